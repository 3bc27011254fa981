// Is what the encoder writes the same on every runtime, for any number of workers, and does every reader find the same in it?
// Every encoding of encoders/settings.mjs is made on each runtime that is there (runner/readers.mjs) and compared by SHA-256
// with the first one's. Where all bytes are equal, one file represents all producers: the files of the first are then read by
// every reader of the repository, whose documents (ids, records, hashes of all decoded weights) have to be equal.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { findBrowser, openPage } from "./adapters/browser.mjs";
import { fileOf } from "./encoders/host.mjs";
import { ENCODINGS } from "./encoders/settings.mjs";
import { Lines } from "./runner/lines.mjs";
import { measure } from "./runner/measure.mjs";
import { findReaders, findRuntimes } from "./runner/readers.mjs";
import { countOf, jsonReport, ranOf, textReport, wrongOf } from "./runner/report.mjs";

const HELP = `Usage: node conformance/encoders.mjs [options]

  --filter TEXT      only encodings whose name contains TEXT
  --keep DIRECTORY   keep the files there
  --json FILE, --counts FILE ({"passed", "failed"})

Exit code 0 if all bytes and all documents are equal, 1 if not, 2 if called wrongly.
`;

const run = promisify(execFile);
const own = (path) => fileURLToPath(new URL(path, import.meta.url));
const adapter = own("../examples/number-words/adapter");
/** Numbers of worker threads: of the first runtime, of the others. A browser's page has only itself. */
const WORKERS = [
  [1, 2, 5],
  [1, 2],
];
const BUDGET = 2 ** 29;
const LIMITS = { timeout: 60000, startTimeout: 30000, cap: 2 ** 24 };

const values = options();
const ids = ENCODINGS.map(([id]) => id).filter((id) => id.includes(values.filter ?? ""));
if (ids.length === 0) usage(`no encoding has ${JSON.stringify(values.filter)} in its name`);
const scratch =
  values.keep === undefined ? mkdtempSync(join(tmpdir(), "lqa-encoders-")) : resolve(values.keep);
process.on("exit", () => values.keep === undefined && rmSync(scratch, { recursive: true, force: true }));

const encoders = await compareEncoders();
console.log(`Encoders: bytes compared with those of ${encoders[0].label} with one worker\n`);
process.stdout.write(textReport(encoders));
const equal = wrongOf(countOf(ranOf(encoders).flatMap(({ results }) => results))) === 0;
const readers = await compareReaders();
const one = equal ? "; one file represents all producers, because their bytes are equal" : "";
console.log(`\nReaders: documents compared with that of ${readers[0].label}${one}\n`);
process.stdout.write(textReport(readers));

const count = countOf(ranOf([...encoders, ...readers]).flatMap(({ results }) => results));
const failed = wrongOf(count);
if (values.json) writeFileSync(values.json, jsonReport([...encoders, ...readers]));
if (values.counts) writeFileSync(values.counts, JSON.stringify({ passed: count.passed, failed }));
console.log(`${count.passed} passed, ${failed} failed, ${count.skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;

function usage(message) {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}

function options() {
  const string = { type: "string" };
  try {
    const { values } = parseArgs({
      options: { help: { type: "boolean" }, filter: string, keep: string, json: string, counts: string },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    return values;
  } catch (error) {
    return usage(error.message);
  }
}

/** Two at a time. */
async function each(list, work) {
  const queue = [...list.entries()];
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next[1], next[0]);
  };
  await Promise.all([lane(), lane()]);
}

/** A column for each runtime. */
async function compareEncoders() {
  const runtimes = await findRuntimes();
  const [first, ...others] = runtimes.filter(({ unavailable }) => unavailable === undefined);
  if (first === undefined) throw new Error(runtimes[0].unavailable);
  const made = await produced(first, WORKERS[0], scratch);
  const wanted = new Map(made.list.filter(({ workers }) => workers === 1).map((one) => [one.id, one]));
  const columns = [columnOf(first, WORKERS[0], made, wanted)];
  await each(others, async (runtime, i) => {
    const workers = runtime.browser ? [1] : WORKERS[1];
    columns[i + 1] = columnOf(runtime, workers, await produced(runtime, workers), wanted);
  });
  return [...columns, ...runtimes.filter(({ unavailable }) => unavailable !== undefined)];
}

/** What one runtime writes: { list: [{ workers, id, length, sha256 }], problem, seconds }. */
async function produced(runtime, workers, directory) {
  const begin = performance.now();
  const made = await (runtime.browser ? inPage(runtime) : onHost(runtime, workers, directory)).then(
    (list) => ({ list }),
    (error) => ({ list: [], problem: error.stderr?.trim().split("\n").slice(-5).join(" ") || error.message }),
  );
  return { ...made, seconds: (performance.now() - begin) / 1000 };
}

async function onHost({ program, flags }, workers, directory) {
  const more = [values.filter ?? "", ...(directory === undefined ? [] : [directory])];
  const args = [...flags, own("encoders/host.mjs"), adapter, workers.join(), ...more];
  const { stdout } = await run(program, args, { maxBuffer: 2 ** 24, timeout: 600000 });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

async function inPage({ program }) {
  const { page, close } = await openPage(new URL("encoders/page.mjs", import.meta.url), {
    executable: findBrowser(program),
    files: (path) => readFileSync(join(adapter, basename(path))),
  });
  try {
    return await page.evaluate((filter) => globalThis.encodeAll(filter), values.filter);
  } finally {
    await close();
  }
}

function columnOf({ label, program }, workers, { list, problem, seconds }, wanted) {
  const results = ids.map((id) => {
    const expected = wanted.get(id);
    for (const count of workers) {
      const found = list.find((one) => one.id === id && one.workers === count);
      const where = `with ${count} ${count === 1 ? "worker" : "workers"}`;
      if (found === undefined)
        return { id, group: id, status: "crash", detail: problem ?? `was not written ${where}` };
      if (found.sha256 !== expected?.sha256) {
        const [wants, has] = [expected, found].map((one) => one && `${one.length} bytes ${one.sha256}`);
        return { id, group: id, status: "failed", detail: `${where}: expected ${wants}, found ${has}` };
      }
    }
    return { id, group: id, status: "passed" };
  });
  const about = { name: program, workers };
  return { label, about, results, seconds };
}

/** A column for each reader. What the first one finds is what all others have to find. */
async function compareReaders() {
  const found = (await findReaders()).filter(({ unavailable }) => unavailable === undefined);
  // Every file has a compressed section.
  const list = found.filter(
    ({ label }) => label !== "C" || !found.some((other) => other.label === "C, zstd"),
  );
  const cases = await casesFrom(list[0]);
  const columns = [];
  await each(list, async ({ label, command, env, broken }, i) => {
    if (broken !== undefined)
      columns[i] = { label, results: [{ id: "build", group: "build", status: "failed", detail: broken }] };
    else columns[i] = { label, ...(await measure(new Lines(command, { ...LIMITS, env }), cases)) };
  });
  return columns;
}

/** The files as cases of the runner, which expect the document of this reader. */
async function casesFrom({ command, env }) {
  const reader = new Lines(command, { ...LIMITS, env });
  const cases = [];
  for (const id of ids) {
    const asked = { id, path: fileOf(scratch, id), level: "canonical", budget: BUDGET };
    const { document, ...other } = await reader.run(asked);
    if (document?.valid !== true) throw new Error(`${id} is not valid: ${JSON.stringify(document ?? other)}`);
    const compressed = (list) => list.some(({ compression }) => compression !== 0);
    const features = [
      ...(compressed(document.tensors) ? ["zstd"] : []),
      ...(compressed(document.sections) ? ["text-zstd"] : []),
    ];
    const expected = { exit: 0, ...document };
    cases.push({
      id,
      group: id,
      features,
      operation: "read",
      runs: [{ ...asked, expected, exits: new Map() }],
    });
  }
  await reader.stop();
  return cases;
}
