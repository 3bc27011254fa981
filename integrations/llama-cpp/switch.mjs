/**
 * Switches among adapters in one running llama.cpp: each as an .lqa file in memory, and as a GGUF file on disk.
 *
 *   node switch.mjs FOLDER MODEL.gguf ADAPTER.lqa...
 *
 * FOLDER has node-llama-cpp in its node_modules. Prints JSON: bytes of an adapter in memory, milliseconds of CPU time until it is active
 * (the median, the first pair not counted), and how many outputs are equal. Exit code 1 if an output is not, or if two adapters have the same.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { decodeFile, readBaseDescription } from "../../dist/node/index.js";
import { inMemory } from "./in-memory.mjs";

const [folder, modelPath, ...files] = process.argv.slice(2);
const { getLlama } = await import(
  pathToFileURL(resolve(folder, "node_modules/node-llama-cpp/dist/index.js")).href
);
const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: "error",
  maxThreads: 1,
});
const model = await llama.loadModel({ modelPath });
const base = await readBaseDescription(modelPath);
const tokens = model.tokenize("fr 93939 =");

/** A context with an adapter, and how long it took. */
async function timed(load) {
  const begin = process.cpuUsage();
  const context = await load();
  const { user, system } = process.cpuUsage(begin);
  return { context, ms: (user + system) / 1000 };
}
const contextWith = (filePath) =>
  model.createContext({ contextSize: 64, lora: { adapters: [{ filePath }] } });

/** The probabilities of the next token, to the last bit; the context is given back. */
async function output(context) {
  const steps = await context
    .getSequence()
    .controlledEvaluate([...tokens.slice(0, -1), [tokens.at(-1), { generateNext: { probabilities: true } }]]);
  const { probabilities } = steps.at(-1).next;
  await context.dispose();
  return JSON.stringify([...probabilities].sort(([x], [y]) => x - y));
}

const disk = await mkdtemp(join(tmpdir(), "lqa-switch-"));
const found = [];
for (const [number, file] of files.entries()) {
  const ours = await timed(() =>
    inMemory(async (path) => {
      await decodeFile(file, path, { to: "gguf", base, dtype: "F16" });
      return await contextWith(path);
    }),
  );
  const have = await output(ours.context);
  const path = join(disk, `${number}.gguf`);
  await decodeFile(file, path, { to: "gguf", base, dtype: "F16" });
  const theirs = await timed(() => contextWith(path));
  const same = have === (await output(theirs.context));
  found.push({ have, same, ms: ours.ms, theirs: theirs.ms, bytes: (await stat(path)).size });
}
await rm(disk, { recursive: true });
const median = (values) => values.sort((x, y) => x - y)[values.length >> 1];
const [{ bytes }] = found;
const equal = found.filter(({ same }) => same).length;
const result = {
  held: bytes,
  "held of a directory": bytes,
  ms: median(found.slice(1).map(({ ms }) => ms)),
  "ms of a directory": median(found.slice(1).map(({ theirs }) => theirs)),
  equal: `${equal} of ${files.length}`,
};
const sound = equal === files.length && new Set(found.map(({ have }) => have)).size === files.length;
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(sound ? 0 : 1));
