// Our FlatBuffers verifier against the official one (the Rust crate `flatbuffers`, driven by flatc's own code for
// schema/lqa.fbs), on mutated indexes: what ours accepts, theirs accepts. The other way round ours is stricter by intent;
// those inputs are counted by the rule that ours refused them with (`refusal` below).
//
// Usage: node fuzz/verifier/compare.mjs PROGRAM [--mutants N] [--seed N] [--counts FILE] [--json]
// PROGRAM is what `cargo build --release` makes in fuzz/verifier (it needs flatc, as $FLATC or on the PATH).
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SCHEMA } from "../../dist/core/container/generated/schema.js";
import { verifyIndex } from "../../dist/core/container/index-read.js";
import { isLqaError } from "../../dist/errors.js";
import { generator, mutate } from "../mutate.mjs";

Error.stackTraceLimit = 0;
const here = import.meta.dirname;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mutants: { type: "string", default: "200000" },
    seed: { type: "string", default: "1" },
    counts: { type: "string" },
    json: { type: "boolean" },
  },
});
const [program] = positionals;
if (program === undefined) throw new Error("the verifier's program is missing");
/** Buffers sent before the answers are waited for. */
const BATCH = 2048;

const folder = join(here, "../corpus/index");
// Without the last byte, which chooses a variant in other targets.
const corpus = readdirSync(folder).map((file) => readFileSync(join(folder, file)).subarray(0, -1));
const random = generator(Number(options.seed));

/** Small steps at places that lead somewhere: offsets, vtables, lengths of vectors. The rest of an index is free bytes. */
function bend(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const root = view.getUint32(0, true);
  const vtable = root - view.getInt32(root, true);
  const size = view.getUint16(vtable, true);
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const slot = vtable + 4 + 2 * random((size - 4) / 2);
    const field = root + view.getUint16(slot, true);
    const at = [0, root, vtable, vtable + 2, slot, field, field + view.getUint32(field, true)][random(7)];
    if (at + 4 > data.length) continue;
    const step = [1, 2, 3, 4, 8, -1, -2, -3, -4, -8, 100, -100, 2 ** 31, 2 ** 16][random(14)];
    if (at === vtable || at === vtable + 2 || at === slot)
      view.setUint16(at, view.getUint16(at, true) + step, true);
    else view.setUint32(at, view.getUint32(at, true) + step, true);
  }
  return data;
}

function mutant() {
  if (random(2) === 0) return mutate(corpus, random);
  const origin = Buffer.from(corpus[random(corpus.length)]);
  try {
    const bent = bend(origin);
    // A third of them cut short or made longer besides.
    if (random(3) > 0) return bent;
    return random(2) === 0
      ? bent.subarray(0, random(bent.length))
      : Buffer.concat([bent, Buffer.alloc(random(9))]);
  } catch (error) {
    // A step before led out of the buffer.
    if (error instanceof RangeError) return origin;
    throw error;
  }
}

/**
 * The optional vectors of a buffer that passed without them. Ours looks at those of the file's features, the official verifier at all that
 * are there.
 */
function present(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const root = view.getUint32(0, true);
  const vtable = root - view.getInt32(root, true);
  const size = view.getUint16(vtable, true);
  return SCHEMA.vectors
    .filter(({ optional }, slot) => {
      const entry = 4 + 2 * slot;
      return optional && entry < size && view.getUint16(vtable + entry, true) !== 0;
    })
    .map(({ name }) => name);
}

/** undefined if ours accepts; else the rule, without the numbers, and the part of the buffer. */
function refusal(bytes) {
  try {
    verifyIndex(bytes, SCHEMA);
    verifyIndex(bytes, SCHEMA, 0, present(bytes));
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return `${partAt(bytes, error.offset)}: ${String(error.expected ?? "").replaceAll(/\d+/g, "N")}`;
  }
}

/** Which part of a buffer a byte is in, as far as the buffer says so. */
function partAt(bytes, at) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (at < 8) return "first 8 bytes";
  const root = view.getUint32(0, true);
  if (at === root) return "table";
  if (root + 4 <= bytes.length) {
    const vtable = root - view.getInt32(root, true);
    if (at === vtable + 2) return "table size";
    if (at >= vtable && at < vtable + 4 + 2 * SCHEMA.vectors.length) return "vtable";
  }
  return at > root && at < root + 64 ? "offset to a vector" : "vector";
}

const theirs = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const ended = new Promise((_, reject) => {
  theirs.on("error", reject);
  theirs.on("exit", (code) => reject(new Error(`the official verifier ended with code ${code}`)));
});
ended.catch(() => {});

/** Answers to a batch of buffers. */
function ask(buffers) {
  const parts = buffers.flatMap((buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(buffer.length);
    return [length, buffer];
  });
  const answers = new Promise((resolve) => {
    let got = "";
    theirs.stdout.on("data", function collect(text) {
      got += text;
      if (got.length < buffers.length) return;
      theirs.stdout.off("data", collect);
      resolve(got);
    });
  });
  theirs.stdin.write(Buffer.concat([...parts, Buffer.alloc(4)]));
  return Promise.race([answers, ended]);
}

const counts = { both: 0, neither: 0, onlyOurs: 0, onlyTheirs: 0 };
const stricter = new Map();
const total = Number(options.mutants);
if (!(total > 0)) throw new Error(`--mutants: expected a number above 0, found ${options.mutants}`);
const begin = performance.now();
for (let done = 0; done < total; done += BATCH) {
  const batch = Array.from({ length: BATCH }, () => {
    for (;;) {
      const data = mutant();
      if (data.length > 0) return data;
    }
  });
  const refusals = batch.map(refusal);
  const answers = await ask(batch);
  for (const [i, data] of batch.entries()) {
    const [ours, official] = [refusals[i] === undefined, answers[i] === "1"];
    counts[ours ? (official ? "both" : "onlyOurs") : official ? "onlyTheirs" : "neither"]++;
    if (!ours && official) stricter.set(refusals[i], (stricter.get(refusals[i]) ?? 0) + 1);
    if (ours && !official) {
      mkdirSync(join(here, "../findings"), { recursive: true });
      writeFileSync(join(here, `../findings/verifier-${done + i}`), data);
    }
  }
}
theirs.stdin.end();
const seconds = (performance.now() - begin) / 1000;
const compared = counts.both + counts.neither + counts.onlyOurs + counts.onlyTheirs;
const reasons = [...stricter].sort(([, x], [, y]) => y - x);
if (options.json)
  console.log(JSON.stringify({ compared, ...counts, stricter: Object.fromEntries(reasons) }, null, 2));
else {
  console.log(
    `${compared} mutants (${Math.round(compared / seconds)} a second): both accept ${counts.both}, both refuse ${counts.neither}, only ours accepts ${counts.onlyOurs}, only theirs accepts ${counts.onlyTheirs}`,
  );
  for (const [reason, count] of reasons) console.log(`  ${String(count).padStart(9)}  ${reason}`);
}
if (options.counts)
  writeFileSync(
    options.counts,
    JSON.stringify({ passed: counts.onlyOurs === 0 ? 1 : 0, failed: counts.onlyOurs === 0 ? 0 : 1 }),
  );
process.exit(counts.onlyOurs === 0 ? 0 : 1);
