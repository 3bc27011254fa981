/**
 * A pool under random requests, changes and faults, for a given time:
 *
 *     npm run build && node test/serve/soak.mjs [--seconds 1800] [--seed 1]
 *
 * Twelve clients at once acquire, apply, batch, decode, add, remove, replace, pin, give up and use what was removed, on stores
 * that lose adapters, break them, fail and are slow (`soak-stores.mjs`), next to an adapter and a pool whose budgets are too
 * small. Every result is compared, to the last bit, with what one of the versions of that adapter gives; every error must be
 * of a provoked kind.
 *
 * It runs in rounds. After each everything is let go of, and nothing may be left: no byte of the budget, no lease, no content
 * that the collector cannot have, no file, as the pool and the system count them. In the end heap and external memory must be
 * what they were when it was warm. Exit code 1 otherwise.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import v8 from "node:v8";
import vm from "node:vm";
import { linear } from "../../bench/seven-b.mjs";
import { isLqaError, memorySource } from "../../dist/core/index.js";
import { createWriter } from "../../dist/core/write/write.js";
import { AdapterPool, applyBatch } from "../../dist/serve/index.js";
import { faultyStore, pause } from "./soak-stores.mjs";

const LENGTH = 256;
const LAYERS = ["layers.0.q", "layers.1.q"];
const VERSIONS = 10;
const CLIENTS = 12;
/** What the faults below may cause, and what requests of things that are gone may. */
const EXPECTED = new Set([
  "UNKNOWN_ADAPTER",
  "ABORTED",
  "BUDGET",
  "IO",
  "NOT_FOUND",
  "USAGE",
  "ADAPTER_IN_USE",
  "ACTIVATION_SHAPE",
]);
/** Classes of errors of a damaged file. */
const DAMAGE = "TMVI";
/** An adapter that no budget here suffices for. */
const HUGE = "huge";
/** Above so many modules the programs of others are forgotten. */
const KEPT_PROGRAMS = 4200;
/** With so many rounds memory is compared. */
const COMPARED = 20;
/** Most bytes that the heap, and what is outside of it, may have grown by between the warm and the last rounds. */
const MOST_GROWTH = { heapUsed: 4 * 2 ** 20, external: 2 ** 20 };

const grouped = { group: 16, scale: "f16" };
const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const BANDS = [
  [
    { components: 1, b: trellis(4, "none"), a: trellis(4, "hadamard64") },
    { components: 3, b: { codec: "sign", ...grouped }, a: { codec: "sign", ...grouped } },
  ],
  [
    { components: 2, b: trellis(6, "hadamard64"), a: trellis(5, "none") },
    { components: 2, b: { codec: "zero" }, a: { codec: "zero" } },
  ],
];

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc");

async function fileOf(bands, length) {
  const modules = LAYERS.map((name) => linear(name, length, length, bands));
  return Buffer.concat([...(await createWriter({ tensors: [], sections: [] })).prepare(modules).pieces()]);
}

/**
 * @param limits `seconds` or `steps` of all clients together; `rounds`
 * @returns what was done, and what was found wrong: nothing, if all is well
 */
export async function soak({
  seconds = Number.POSITIVE_INFINITY,
  steps = Number.POSITIVE_INFINITY,
  rounds = 3,
  seed = 1,
  verify = true,
}) {
  let state = seed * 2654435761;
  const random = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(random() * limit);
  const pick = (all) => all[below(all.length)];
  const wrong = [];
  const done = {};
  const errors = {};
  // Version v of every adapter: adapter n may be version n or n + 1.
  const versions = [];
  for (let v = 0; v < VERSIONS; v++) versions.push(await fileOf(BANDS[v % 2], LENGTH));
  const huge = await fileOf(
    [{ components: 8, b: { codec: "sign", ...grouped }, a: trellis(6, "none") }],
    4096,
  );
  const x = Float32Array.from({ length: LENGTH }, () => random() - 0.5);
  const names = Array.from({ length: VERSIONS - 1 }, (_, n) => `n${n}`);
  const versionsOf = (name) => [Number(name.slice(1)), Number(name.slice(1)) + 1];

  // The programs of the modules that were applied last are kept (src/serve/program.ts): before memory is compared they are
  // as many as they can be.
  if (rounds >= COMPARED) {
    for (let i = 0; 2 * i < KEPT_PROGRAMS; i++) {
      const warm = new AdapterPool({ budgetBytes: 2 ** 30 });
      await warm.add("warm", versions[i % VERSIONS]);
      const lease = await warm.acquire("warm");
      for (const layer of LAYERS) lease.apply(layer, x, new Float32Array(LENGTH));
      lease.release();
    }
  }

  const base64 = (y) => Buffer.from(y.buffer, y.byteOffset, y.byteLength).toString("base64");
  // What each version gives, from a pool that nothing happens to.
  const outputs = [];
  for (const [v, bytes] of versions.entries()) {
    const quiet = new AdapterPool({ budgetBytes: 2 ** 30 });
    await quiet.add(String(v), bytes);
    const lease = await quiet.acquire(String(v));
    outputs.push(
      LAYERS.map((layer) => {
        const y = new Float32Array(LENGTH);
        lease.apply(layer, x, y, { batchInvariant: true });
        return base64(y);
      }),
    );
    lease.release();
  }

  const directory = mkdtempSync(join(tmpdir(), "lqa-soak-"));
  const versionOf = (name) =>
    name === HUGE ? huge : names.includes(name) ? versions[pick(versionsOf(name))] : undefined;
  const stores = faultyStore(directory, versionOf, below);
  const { store } = stores;
  for (const name of names) stores.vandalise(name);
  writeFileSync(join(directory, `${HUGE}.lqa`), huge);
  const one = versions[0].length;
  const pool = new AdapterPool({ budgetBytes: 6 * (one + 3000), store, verify, concurrentLoads: 4 });
  /** Contents that were seen in this round. */
  let seen = [];

  const run = (lease, layer) => {
    if (seen.length < 500) seen.push(new WeakRef(lease.content));
    const y = new Float32Array(LENGTH);
    lease.apply(layer, x, y, { batchInvariant: true });
    return y;
  };
  const check = (name, layer, y) => {
    if (!versionsOf(name).some((v) => outputs[v][LAYERS.indexOf(layer)] === base64(y)))
      wrong.push(`${name} ${layer}: another result`);
  };
  /** What must fail, with one of these errors or with a fault of the store. */
  const mustFail = async (what, promise, kind) => {
    let lease;
    try {
      lease = await promise;
    } catch (error) {
      note(error);
      done[`${what}: ${error.kind === kind}`] = (done[`${what}: ${error.kind === kind}`] ?? 0) + 1;
      return;
    }
    lease?.release();
    wrong.push(`${what}: no ${kind}`);
  };

  const actions = {
    async request(name) {
      const control = new AbortController();
      if (random() < 0.1) setTimeout(() => control.abort(), below(3));
      const lease = await pool.acquire(name, {
        signal: control.signal,
        ...(random() < 0.3 ? { modules: [LAYERS[0]] } : {}),
      });
      try {
        if (random() < 0.3) await pause();
        const layer = pick(LAYERS);
        const y = run(lease, layer);
        check(name, layer, y);
        if (random() < 0.2) lease.apply(layer, new Float32Array(LENGTH + 1), y);
      } finally {
        lease.release();
        if (random() < 0.1) lease.release();
      }
      if (random() < 0.05) lease.apply(LAYERS[0], x, x.slice());
    },
    async factors(name) {
      const lease = await pool.acquire(name);
      try {
        lease.decode(pick(LAYERS), { type: random() < 0.5 ? "f16" : "f32" });
        if (random() < 0.3) await pause();
      } finally {
        lease.release();
      }
    },
    async batch() {
      const asked = Array.from({ length: 1 + below(4) }, () => pick([...names, "nobody", HUGE]));
      const { leases, failures } = await pool.acquireAll(asked);
      try {
        for (const error of failures.values()) note(error);
        const rows = asked.map((name) => leases.get(name));
        const [wide, y] = [new Float32Array(rows.length * LENGTH), new Float32Array(rows.length * LENGTH)];
        for (let i = 0; i < rows.length; i++) wide.set(x, i * LENGTH);
        const result = applyBatch(LAYERS[1], rows, wide, y, { batchInvariant: true });
        if (result.failures.length > 0) wrong.push(`batch: ${result.failures[0].error}`);
        rows.forEach((lease, i) => {
          const own = y.slice(i * LENGTH, (i + 1) * LENGTH);
          if (lease !== undefined) check(lease.name, LAYERS[1], own);
          else if (own.some((value) => value !== 0)) wrong.push("a row without an adapter changed");
        });
      } finally {
        for (const lease of leases.values()) lease.release();
      }
    },
    /** Removed or replaced while it is in use: the lease goes on as it was. */
    async removeInUse(name) {
      const lease = await pool.acquire(name);
      try {
        const before = base64(run(lease, LAYERS[0]));
        try {
          if (random() < 0.3) await pool.replace(name);
          else pool.remove(name, { ifIdle: random() < 0.3 });
        } catch (error) {
          note(error);
        }
        (await pool.acquire(name)).release();
        if (base64(run(lease, LAYERS[0])) !== before) wrong.push(`${name}: changed under a lease`);
      } finally {
        lease.release();
      }
    },
    async tooLarge() {
      await mustFail("too large an adapter", pool.acquire(HUGE), "BUDGET");
    },
    async tooSmall(name) {
      const small = new AdapterPool({ budgetBytes: one >> 1, store, verify });
      await mustFail("too small a budget", small.acquire(name), "BUDGET");
      const { usedBytes, leases, contents } = small.statistics;
      if (usedBytes + leases + contents > 0) wrong.push(`${usedBytes} bytes in a pool that is too small`);
    },
    async add(name) {
      const bytes = versions[pick(versionsOf(name))];
      await pool.add(
        name,
        random() < 0.5 ? memorySource(bytes) : async () => ({ source: memorySource(bytes) }),
      );
    },
    async replace(name) {
      await pool.replace(name);
    },
    async remove(name) {
      pool.remove(name, { ifIdle: random() < 0.5 });
    },
    async pin(name) {
      await pool.pin(name);
      await pause();
      pool.unpin(name);
    },
    async vandalise(name) {
      stores.vandalise(name);
    },
  };
  const often = { request: 4, batch: 2, remove: 2 };
  const weighted = Object.keys(actions).flatMap((name) => Array(often[name] ?? 1).fill(name));
  const note = (error) => {
    const kind = isLqaError(error) ? error.kind : String(error?.stack ?? error);
    errors[kind] = (errors[kind] ?? 0) + 1;
    if (!EXPECTED.has(kind) && !DAMAGE.includes(error.class ?? "-")) wrong.push(kind);
  };

  const start = performance.now();
  let taken = 0;
  const client = async (end) => {
    while (taken < end.steps && performance.now() < end.time && wrong.length < 20) {
      taken++;
      const action = pick(weighted);
      done[action] = (done[action] ?? 0) + 1;
      try {
        await actions[action](pick(names));
      } catch (error) {
        note(error);
      }
      const { usedBytes, packedBytes, decodedBytes, budgetBytes } = pool.statistics;
      if (usedBytes > budgetBytes) wrong.push(`${usedBytes} bytes used of ${budgetBytes}`);
      if (usedBytes < packedBytes + decodedBytes)
        wrong.push(`${packedBytes} + ${decodedBytes} bytes, but ${usedBytes} counted`);
      await pause();
    }
  };
  const samples = [];
  /** Lets go of everything, and looks what is left. */
  const settle = async () => {
    for (const name of [...pool.names]) pool.unpin(name);
    pool.clear();
    // What completes in the background ends, and files are closed.
    for (let i = 0; i < 200 && (stores.open > 0 || i < 20); i++) await pause(1);
    collect();
    await pause(1);
    collect();
    const { usedBytes, packedBytes, decodedBytes, leases, contents, adapters, resident, pinned } =
      pool.statistics;
    const counts = { usedBytes, packedBytes, decodedBytes, leases, contents, adapters, resident, pinned };
    const left = { ...counts, "files of the store": stores.open };
    left["contents that are not collected"] = seen.filter((ref) => ref.deref() !== undefined).length;
    for (const [what, value] of Object.entries(left)) if (value !== 0) wrong.push(`${what} left: ${value}`);
    seen = [];
    const { heapUsed, external } = process.memoryUsage();
    samples.push({ heapUsed, external, handles: openHandles() });
  };

  try {
    for (let round = 1; round <= rounds && wrong.length === 0; round++) {
      const end = { steps: (steps * round) / rounds, time: start + (1000 * seconds * round) / rounds };
      await Promise.all(Array.from({ length: CLIENTS }, () => client(end)));
      await settle();
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  const handles = samples.map((sample) => sample.handles);
  if (Math.min(...handles) < Math.max(...handles)) wrong.push(`handles after rounds: ${handles.join(" ")}`);
  const memory = Object.fromEntries(
    Object.entries(MOST_GROWTH).map(([what, most]) => {
      const least = (from, to) =>
        Math.min(...samples.slice(from * rounds, to * rounds).map((sample) => sample[what]));
      const growth = least(0.75, 1) - least(0.25, 0.5);
      // A few rounds are not warm.
      if (rounds >= COMPARED && growth > most) wrong.push(`${what} grew by ${growth} bytes`);
      return [what, { each: samples.map((sample) => sample[what]), growth }];
    }),
  );
  const { loads, loadFailures, evictions, deduplicated, hits, misses } = pool.statistics;
  return {
    steps: taken,
    seconds: (performance.now() - start) / 1000,
    done,
    errors,
    statistics: { loads, loadFailures, evictions, deduplicated, hits, misses },
    rounds: samples.length,
    handles: handles.at(-1),
    memory,
    wrong,
  };
}

/** Files and sockets that this process has open, where the system tells. */
function openHandles() {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

if (process.argv[1]?.endsWith("soak.mjs")) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const seconds = option("--seconds", 1800) / 2;
  for (const verify of [true, false]) {
    const result = await soak({ seconds, rounds: 30, seed: option("--seed", 1), verify });
    console.log(JSON.stringify({ verify, ...result }, null, 2));
    if (result.wrong.length > 0) process.exitCode = 1;
  }
}
