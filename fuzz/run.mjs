// Runs the fuzz targets by plain mutation: the inputs of the corpus, changed in one to eight places, spliced and cut. No
// native code, so it runs wherever Node does. The same seed gives the same inputs from the same corpus.
//
// A target with a grammar (`generate`) gets every other input from that. The corpus of such a target, and of one whose bytes are
// choices (`grows`), grows from coverage: what reached a block of the library for the first time is kept in fuzz/grown/TARGET/,
// and is part of the corpus of the next run.
//
// Usage: node fuzz/run.mjs [--seconds N] [--seed N] [--counts FILE] [--totals FILE] [TARGET...]
// Each target gets its share of the time. A finding is written to fuzz/findings/ and ends the run with code 1. --totals
// adds executions and seconds to those of earlier runs in FILE, so that a long run is many short ones with other seeds.
// Exit code 2 if called wrongly.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { openCoverage } from "./coverage.mjs";
import { generator, mutate } from "./mutate.mjs";

const here = import.meta.dirname;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    counts: { type: "string" },
    totals: { type: "string" },
  },
});
const all = readdirSync(join(here, "targets")).map((name) => name.replace(".mjs", ""));
const names = positionals.length > 0 ? positionals : all;
const unknown = names.filter((name) => !all.includes(name));
// With seconds that are no number every target would end at once, and pass.
if (unknown.length > 0 || !(Number(options.seconds) > 0) || !Number.isInteger(Number(options.seed))) {
  console.error(
    `expected --seconds above 0, an integer --seed and targets of ${all.join(", ")}; found ${process.argv.slice(2).join(" ")}`,
  );
  process.exit(2);
}
/** Most memory of the whole process: twice what one execution may reserve, and Node itself. */
const MOST_RSS = 512 * 2 ** 20;

/** Executions between two looks at clock and memory. */
const BATCH = 512;

/** Blocks are counted in this many batches at first, and then in one of as many: most of what can be reached is reached soon. */
const COUNTED = 64;

const SHARED = { open: "lqa", decode: "lqa", stream: "lqa", validate: "lqa", inspect: "lqa" };

/** Inputs of a folder; none if there is no such folder. */
const inputsIn = (folder) =>
  existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(join(folder, file))) : [];

/** Finds the inputs that reached something new, by halves, and adds them to the corpus and to `folder`. */
async function grow(inputs, growing) {
  const { name, fuzz, corpus, coverage, folder } = growing;
  for (const input of inputs) {
    announce(name, input);
    await fuzz(input);
  }
  const blocks = coverage.look();
  if (blocks.length === 0) return;
  if (inputs.length > 1) {
    const half = inputs.length >> 1;
    await grow(inputs.slice(0, half), growing);
    await grow(inputs.slice(half), growing);
    return;
  }
  coverage.learn(blocks);
  const [input] = inputs;
  corpus.push(input);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, createHash("sha256").update(input).digest("hex").slice(0, 12)), input);
}

async function run(name, seconds, seed) {
  const { fuzz, generate, grows = generate !== undefined } = await import(`./targets/${name}.mjs`);
  const random = generator(seed);
  const folder = join(here, "grown", name);
  const corpus = inputsIn(join(here, "corpus", SHARED[name] ?? name));
  if (grows) corpus.push(...inputsIn(folder));
  const coverage = grows ? openCoverage() : undefined;
  coverage?.count(true);
  if (generate && corpus.length === 0) corpus.push(generate(random));
  const begin = performance.now();
  let executions = 0;
  let peak = 0;
  const batch = [];
  /** Executes one input; what it found, if it found something. */
  const execute = async (data) => {
    announce(name, data);
    try {
      const running = fuzz(data);
      if (running instanceof Promise) await running;
      return undefined;
    } catch (error) {
      return { name, executions, seconds: elapsed(), peak, finding: keep(name, data, error) };
    }
  };
  // Looking at the clock and at the memory costs as much as ten executions of the fastest targets.
  const elapsed = () => (performance.now() - begin) / 1000;
  for (const input of corpus) {
    const found = await execute(input);
    if (found !== undefined) return found;
  }
  coverage?.learn(coverage.look());
  for (let batches = 0; elapsed() < seconds; batches++) {
    const counted = batches < COUNTED || batches % COUNTED === 0;
    if (batches >= COUNTED) coverage?.count(counted);
    for (let i = 0; i < BATCH; i++, executions++) {
      const data = generate && random(2) === 0 ? generate(random) : mutate(corpus, random);
      batch[i] = data;
      const found = await execute(data);
      if (found !== undefined) return found;
    }
    if (counted && coverage?.look().length > 0) await grow(batch, { name, fuzz, corpus, coverage, folder });
    const rss = process.memoryUsage.rss();
    if (rss > peak) peak = rss;
    if (rss > MOST_RSS)
      return {
        name,
        executions,
        seconds: elapsed(),
        peak,
        finding: `resident memory of ${rss} bytes after ${executions} executions`,
      };
  }
  const reached = coverage && { blocks: coverage.blocks, inputs: corpus.length };
  return { name, executions, seconds: elapsed(), peak, reached };
}

function keep(name, data, error) {
  const folder = join(here, "findings");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}-${createHash("sha256").update(data).digest("hex").slice(0, 12)}`);
  writeFileSync(path, data);
  return `${path}: ${error?.name}: ${error?.message}`;
}

/** Most CPU time of one execution. The contract's own clock only sees executions that end. */
const HANGS_AFTER = 20_000_000;
/** What the worker is doing: number of the execution, number of the target, length of the input; then the input. */
const doing = isMainThread ? new SharedArrayBuffer(2 ** 20) : workerData;
const [progress, current] = [new Int32Array(doing, 0, 3), new Uint8Array(doing, 12)];

if (isMainThread) watch();
else await runAll();

/** Runs everything in a thread, and looks whether it goes on: what never returns would otherwise say nothing. */
function watch() {
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: doing });
  worker.on("error", (error) => {
    throw error;
  });
  worker.on("exit", (code) => process.exit(code));
  let seen = { execution: -1, time: 0 };
  setInterval(() => {
    const { user, system } = process.cpuUsage();
    const execution = Atomics.load(progress, 0);
    if (execution !== seen.execution) seen = { execution, time: user + system };
    else if (user + system - seen.time > HANGS_AFTER) {
      const [, target, length] = progress;
      const finding = keep(names[target], current.slice(0, length), new Error("does not end"));
      console.log(`${names[target].padEnd(12)} FINDING ${finding}`);
      process.exit(1);
    }
  }, 1000).unref();
}

/** Tells the watching thread what is executed next. */
function announce(name, data) {
  current.set(data.subarray(0, current.length));
  progress[2] = Math.min(data.length, current.length);
  progress[1] = names.indexOf(name);
  Atomics.add(progress, 0, 1);
}

async function runAll() {
  const results = [];
  for (const name of names) {
    const result = await run(name, Number(options.seconds) / names.length, Number(options.seed));
    results.push(result);
    if (options.totals) addTotals(options.totals, result);
    const rate = Math.round(result.executions / result.seconds);
    console.log(
      `${name.padEnd(12)} ${String(result.executions).padStart(10)} executions, ${String(rate).padStart(7)} a second, resident ${Math.round(result.peak / 2 ** 20)} MiB${result.reached ? `, ${result.reached.blocks} blocks reached by ${result.reached.inputs} inputs` : ""}${result.finding ? `, FINDING ${result.finding}` : ""}`,
    );
  }
  const failed = results.filter(({ finding }) => finding).length;
  const executions = results.reduce((sum, one) => sum + one.executions, 0);
  console.log(`${executions} executions, ${failed} findings`);
  if (options.counts)
    writeFileSync(options.counts, JSON.stringify({ passed: results.length - failed, failed }));
  process.exit(failed > 0 ? 1 : 0);
}

/** Adds a result to those of earlier runs. Replaced at once, so that a run that is stopped leaves whole numbers. */
function addTotals(path, { name, executions, seconds, finding }) {
  const totals = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  const one = totals[name] ?? { executions: 0, seconds: 0, findings: 0 };
  totals[name] = {
    executions: one.executions + executions,
    seconds: Math.round(one.seconds + seconds),
    findings: one.findings + (finding ? 1 : 0),
  };
  writeFileSync(`${path}.new`, `${JSON.stringify(totals, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
