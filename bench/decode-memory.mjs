/**
 * Resident memory of `lqa decode` and `lqa convert`: an adapter shaped like Qwen2.5-14B's, rank 48 on all seven projections,
 * 206 million weights. Its planes are arbitrary bytes with ordinary scales, which makes no difference to the memory.
 *
 * Build first (`npm run build`), then `node bench/decode-memory.mjs [--cli OTHER/dist/cli/main.js]... [--layers N]`. Each
 * command runs in its own process; what is printed is its largest resident set and its CPU time, by getrusage, and the
 * SHA-256 of what it wrote. `--cli` measures other builds as well, for a comparison.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { prepareFile } from "../dist/core/write/write.js";
import { linear } from "./seven-b.mjs";

const { values } = parseArgs({
  options: {
    cli: { type: "string", multiple: true, default: [] },
    layers: { type: "string", default: "48" },
  },
});
const own = new URL("../dist/cli/main.js", import.meta.url).pathname;
const work = mkdtempSync(join(tmpdir(), "lqa-decode-memory-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

const RANK = 48;
const PROJECTIONS = [
  ["self_attn.q_proj", 5120, 5120],
  ["self_attn.k_proj", 1024, 5120],
  ["self_attn.v_proj", 1024, 5120],
  ["self_attn.o_proj", 5120, 5120],
  ["mlp.gate_proj", 13824, 5120],
  ["mlp.up_proj", 13824, 5120],
  ["mlp.down_proj", 5120, 13824],
];
const affine = { codec: "affine", bits: 2, group: 128, scale: "f16", rotation: "none" };
const modules = [];
for (let layer = 0; layer < Number(values.layers); layer++)
  for (const [name, out, input] of PROJECTIONS)
    modules.push(
      linear(`model.layers.${layer}.${name}`, out, input, [{ components: RANK, b: affine, a: affine }]),
    );
const weights = modules.reduce((sum, { rank, out, in: input }) => sum + rank * (out + input), 0);
const file = join(work, "adapter.lqa");
writeFileSync(file, Buffer.concat([...(await prepareFile({ modules, tensors: [], sections: [] })).pieces()]));

/** Runs a command of a build; its largest resident set in MiB, its CPU time in seconds, what it wrote. */
async function measure(cli, command, output, options) {
  const path = join(work, output);
  const script = join(work, "run.mjs");
  const report =
    "({ maxRSS, userCPUTime, systemCPUTime }) => [maxRSS / 1024, (userCPUTime + systemCPUTime) / 1e6]";
  writeFileSync(
    script,
    `process.argv.splice(1, 1);
process.on("exit", () => console.error(JSON.stringify((${report})(process.resourceUsage()))));
await import(${JSON.stringify(resolve(cli))});`,
  );
  const run = spawnSync(process.execPath, [script, cli, ...command, path, ...options], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  const [memory, seconds] = JSON.parse(run.stderr.trim().split("\n").at(-1));
  const hash = createHash("sha256");
  for (const name of readdirSync(path).sort())
    for await (const bytes of createReadStream(join(path, name))) hash.update(bytes);
  return { memory, seconds, sha256: hash.digest("hex").slice(0, 16) };
}

console.log(`${weights} weights, ${modules.length} modules, Node ${process.version}`);
console.log("| build | command | resident MiB | CPU s | SHA-256 |\n|---|---|--:|--:|---|");
for (const cli of [...values.cli, own]) {
  const decoded = join(work, "peft");
  for (const [name, command, output, options] of [
    ["lqa decode", ["decode", file, "-o"], "peft", []],
    ["lqa decode --dtype f16", ["decode", file, "-o"], "half", ["--dtype", "f16"]],
    ["lqa decode --to mlx", ["decode", file, "-o"], "mlx", ["--to", "mlx"]],
    ["lqa convert --to mlx", ["convert", decoded], "converted", ["--to", "mlx"]],
  ]) {
    const { memory, seconds, sha256 } = await measure(cli, command, output, options);
    console.log(`| ${cli} | ${name} | ${memory.toFixed(0)} | ${seconds.toFixed(1)} | ${sha256} |`);
  }
  for (const name of ["peft", "half", "mlx", "converted"]) rmSync(join(work, name), { recursive: true });
}
