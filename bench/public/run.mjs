/**
 * Public adapters, encoded as anyone would: one row each with the dialect, or the rule by which it was refused; the ratio of sizes; the
 * worst module; and modules dropped.
 *
 * adapters.json lists them by repository, commit, path and SHA-256 of the file of weights; what is not known is null. The file is
 * taken from the folders in $LQA_ADAPTERS (default ../shared/adapters; several are separated as in PATH) by its SHA-256, else
 * fetched from GitHub where commit and path are known and `--fetch` is given: of a file in Git LFS the repository has a pointer,
 * and the content comes from another host. What cannot be had is skipped, with the reason.
 * `outcome` is what happened when the list was made, null for a file that nobody has encoded yet: without `--write` a difference
 * is a failure (exit code 1).
 *
 * Run after `npm run build`: node bench/public/run.mjs [--fetch] [--write] [--counts FILE]
 * `--write` puts outcomes into adapters.json and the table into README.md here; `--counts` receives {"passed", "failed"}.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { isLqaError } from "../../dist/core/index.js";
import { encodeFile } from "../../dist/node/index.js";

const { values } = parseArgs({
  options: { fetch: { type: "boolean" }, write: { type: "boolean" }, counts: { type: "string" } },
});
const at = (name) => new URL(name, import.meta.url);
const list = JSON.parse(readFileSync(at("adapters.json"), "utf8"));
const work = mkdtempSync(join(tmpdir(), "lqa-public-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** Most bytes that are fetched of one file, and milliseconds. */
const MOST_BYTES = 2 ** 30;
const MOST_TIME = 600_000;
/** How a pointer of Git LFS begins. */
const LFS = Buffer.from("version https://git-lfs.github.com/spec/v1");
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Paths of the files in a folder and below by their SHA-256. */
function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() && !/\.(json|md)$/.test(entry.name)) yield [sha256(readFileSync(path)), path];
  }
}

const roots = (process.env.LQA_ADAPTERS ?? at("../../../shared/adapters").pathname).split(delimiter);
const held = new Map(roots.filter((root) => existsSync(root)).flatMap((root) => [...filesBelow(root)]));

/** The directory, or the file, to encode. */
async function sourceOf({ name, repository, commit, path, ...hashes }) {
  const here = held.get(hashes.sha256) ?? held.get(hashes.convertedSha256);
  if (here !== undefined)
    return existsSync(join(dirname(here), "adapter_config.json")) ? dirname(here) : here;
  if (repository === null || commit === null || path === null || hashes.sha256 === null)
    throw new Error("not in $LQA_ADAPTERS, and repository, commit or path is not known");
  if (!values.fetch) throw new Error("not in $LQA_ADAPTERS; --fetch fetches it");
  const folder = join(work, name);
  mkdirSync(folder, { recursive: true });
  const below = `${repository.slice("https://github.com/".length)}/${commit}`;
  const raw = `https://raw.githubusercontent.com/${below}`;
  let bytes = await download(`${raw}/${path}`);
  if (bytes.subarray(0, LFS.length).equals(LFS))
    bytes = await download(`https://media.githubusercontent.com/media/${below}/${path}`);
  if (sha256(bytes) !== hashes.sha256) throw new Error("what was fetched has another SHA-256");
  writeFileSync(join(folder, basename(path)), bytes);
  const config = await download(`${raw}/${dirname(path)}/adapter_config.json`).catch(() => undefined);
  if (config === undefined) return join(folder, basename(path));
  writeFileSync(join(folder, "adapter_config.json"), config);
  return folder;
}

async function download(address) {
  const response = await fetch(address, { signal: AbortSignal.timeout(MOST_TIME) });
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  if (Number(response.headers.get("content-length")) > MOST_BYTES) throw new Error("too large");
  const pieces = [];
  let length = 0;
  for await (const piece of response.body) {
    length += piece.length;
    if (length > MOST_BYTES) throw new Error("too large");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Encodes; what is compared, and what is shown. */
async function outcomeOf(source, options) {
  const output = join(work, "out.lqa");
  try {
    const done = await encodeFile(source, output, { ...options, force: true });
    const live = done.modules.filter(
      ({ relativeError, averageBits }) => relativeError > 0 || averageBits > 0,
    );
    const worst = live.reduce((most, module) => Math.max(most, module.relativeError), 0);
    const shown = [
      ...[`${(done.inputBytes / done.outputBytes).toFixed(1)}`, done.relativeError.toFixed(4)],
      ...[worst.toFixed(3), `${done.droppedModules} of ${done.modules.length}`],
    ];
    return { outcome: done.dialect, shown };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    const refused = `${error.code} ${error.kind}`;
    return {
      outcome: refused,
      shown: [],
      why: reasonOf(error),
    };
  }
}

/** The first sentence of an error's message. */
function reasonOf({ message }) {
  return (/^\S+ \S+: (.+?\.)(?: |$)/s.exec(message)?.[1] ?? message).replaceAll("|", " ");
}

let passed = 0;
let failed = 0;
const rows = [];
for (const entry of list) {
  let source;
  try {
    source = await sourceOf(entry);
  } catch (error) {
    console.log(`skipped: ${entry.name}: ${error.message}`);
    continue;
  }
  const { outcome, shown, why } = await outcomeOf(source, entry.options);
  if (values.write) entry.outcome = outcome;
  if (outcome === (entry.outcome ?? outcome)) passed++;
  else {
    failed++;
    console.log(`FAIL  ${entry.name}: expected ${entry.outcome}, found ${outcome}`);
  }
  const cells = shown.length > 0 ? shown : [`refused: ${why ?? ""}`, "", "", ""];
  rows.push(`| ${[`\`${entry.name}\``, `\`${outcome}\``, ...cells].join(" | ")} |`);
}
const table = [
  "| adapter | dialect, or rule | times smaller | error | worst module | dropped |\n|---|---|--:|--:|--:|--:|",
  ...rows,
].join("\n");
console.log(
  `${table}\n${list.length} listed, ${passed} as expected, ${failed} not, ${list.length - passed - failed} skipped`,
);
if (values.write) {
  writeFileSync(at("adapters.json"), `${JSON.stringify(list, null, 2)}\n`);
  const readme = readFileSync(at("README.md"), "utf8");
  const stamp = `${list.length} listed, ${rows.length} encoded with the default settings. \`node bench/public/run.mjs --write\`, ${new Date().toISOString().slice(0, 10)}, Node ${process.version}.`;
  const made = (_, open, close) => `${open}${stamp}\n\n${table}\n${close}`;
  writeFileSync(
    at("README.md"),
    readme.replace(/(<!-- generated -->\n)[\s\S]*?(<!-- \/generated -->)/, made),
  );
}
if (values.counts) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
process.exitCode = failed > 0 ? 1 : 0;
