/**
 * A pool under random requests, changes and faults, for as long as is asked for:
 *
 *     npm run build && node --expose-gc test/serve/soak.mjs [--seconds 1800] [--seed 1]
 *
 * Twelve clients at once acquire, apply, batch, decode, add, remove, replace, pin and give up, on a store that loses
 * adapters, breaks them, fails and is slow. Every result is compared, to the last bit, with what one of the versions of that
 * adapter gives; every error must be of a kind that was asked for. In the end nothing may be left: no byte of the budget, no
 * lease, no open file, and no more of the heap than near the beginning. Exit code 1 otherwise.
 */

import { linear } from "../../bench/seven-b.mjs";
import { concat } from "../../dist/container/bytes.js";
import { AdapterPool, applyBatch, isLqaError, memorySource } from "../../dist/index.js";
import { prepareFile } from "../../dist/write/write.js";

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
  "USAGE",
  "ADAPTER_IN_USE",
  "ACTIVATION_SHAPE",
]);
/** Classes of errors of a damaged file. */
const DAMAGE = "TMVI";

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

/** Version v of every adapter: adapter n may be version n or n + 1. */
async function makeVersions() {
  return Promise.all(
    Array.from({ length: VERSIONS }, async (_, v) => {
      const modules = LAYERS.map((name) => linear(name, LENGTH, LENGTH, BANDS[v % 2]));
      return concat([...(await prepareFile({ modules, tensors: [], sections: [] })).pieces()]);
    }),
  );
}

/**
 * @param limits `seconds` or `steps` of all clients together
 * @returns what was done, and what was found wrong: nothing, if all is well
 */
export async function soak({
  seconds = Number.POSITIVE_INFINITY,
  steps = Number.POSITIVE_INFINITY,
  seed = 1,
  verify = true,
}) {
  let state = seed * 2654435761;
  const random = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(random() * limit);
  const wrong = [];
  const done = {};
  const errors = {};
  const versions = await makeVersions();
  const x = Float32Array.from({ length: LENGTH }, () => random() - 0.5);

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
        return Buffer.from(y.buffer).toString("base64");
      }),
    );
    lease.release();
  }
  const names = Array.from({ length: VERSIONS - 1 }, (_, n) => `n${n}`);
  const versionsOf = (name) => [Number(name.slice(1)), Number(name.slice(1)) + 1];

  let [opened, closed] = [0, 0];
  const store = {
    async open(name) {
      if (random() < 0.1) await pause();
      if (!names.includes(name) || random() < 0.02)
        throw Object.assign(new Error("gone"), { code: "ENOENT" });
      let bytes = versions[versionsOf(name)[below(2)]];
      const fault = random();
      if (fault < 0.04) {
        bytes = bytes.slice();
        // In the chunks: prologue and index have errors of every kind.
        bytes[bytes.length - 600 - below(bytes.length / 2)] ^= 1 << below(8);
      } else if (fault < 0.06) bytes = bytes.subarray(0, bytes.length - 1 - below(600));
      const inner = memorySource(bytes);
      opened++;
      return {
        source: {
          size: inner.size,
          async read(offset, length, signal) {
            if (random() < 0.2) await pause();
            if (random() < 0.01) throw new Error("the line is dead");
            return inner.read(offset, length, signal);
          },
        },
        async close() {
          closed++;
        },
      };
    },
  };
  const one = versions[0].length;
  const pool = new AdapterPool({ budgetBytes: 6 * (one + 3000), store, verify });
  const check = (name, layer, y) => {
    const found = Buffer.from(y.buffer, y.byteOffset, y.byteLength).toString("base64");
    if (!versionsOf(name).some((v) => outputs[v][LAYERS.indexOf(layer)] === found))
      wrong.push(`${name} ${layer}: another result`);
  };
  const pick = (all) => all[below(all.length)];

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
        const y = new Float32Array(LENGTH);
        const layer = pick(LAYERS);
        lease.apply(layer, x, y, { batchInvariant: true });
        check(name, layer, y);
        if (random() < 0.2) lease.apply(layer, new Float32Array(LENGTH + 1), y);
      } finally {
        lease.release();
      }
    },
    async factors(name) {
      const lease = await pool.acquire(name);
      try {
        lease.factors(pick(LAYERS), { type: random() < 0.5 ? "f16" : "f32" });
        if (random() < 0.3) await pause();
      } finally {
        lease.release();
      }
    },
    async batch() {
      const asked = Array.from({ length: 1 + below(4) }, () => pick([...names, "nobody"]));
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
  };
  const WEIGHTS = [
    "request",
    "request",
    "request",
    "request",
    "factors",
    "batch",
    "batch",
    "add",
    "replace",
    "remove",
    "remove",
    "pin",
  ];
  const note = (error) => {
    const kind = isLqaError(error) ? error.kind : String(error?.stack ?? error);
    errors[kind] = (errors[kind] ?? 0) + 1;
    if (!EXPECTED.has(kind) && !DAMAGE.includes(error.class ?? "-")) wrong.push(kind);
  };

  const start = performance.now();
  let taken = 0;
  let heapBefore;
  const heap = () => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  };
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (taken < steps && performance.now() - start < 1000 * seconds && wrong.length < 20) {
      taken++;
      const action = pick(WEIGHTS);
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
      if (heapBefore === undefined && performance.now() - start > 100 * seconds) heapBefore = heap();
      await pause();
    }
  });
  await Promise.all(clients);
  for (const name of [...pool.names]) pool.unpin(name);
  const { statistics } = pool;
  pool.clear();
  // What completes in the background ends.
  for (let i = 0; i < 50; i++) await pause();
  const { usedBytes, leases, contents, adapters } = pool.statistics;
  for (const [what, value] of Object.entries({
    usedBytes,
    leases,
    contents,
    adapters,
    "open files": opened - closed,
  }))
    if (value !== 0) wrong.push(`${what} in the end: ${value}`);
  const growth = heapBefore === undefined ? undefined : heap() - heapBefore;
  if (growth !== undefined && globalThis.gc && growth > 16 * 2 ** 20)
    wrong.push(`the heap grew by ${growth} bytes`);
  return {
    steps: taken,
    seconds: (performance.now() - start) / 1000,
    done,
    errors,
    statistics,
    heapGrowth: growth,
    wrong,
  };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

if (process.argv[1]?.endsWith("soak.mjs")) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const seconds = option("--seconds", 1800) / 2;
  for (const verify of [true, false]) {
    const result = await soak({ seconds, seed: option("--seed", 1), verify });
    console.log(JSON.stringify({ verify, ...result }, null, 2));
    if (result.wrong.length > 0) process.exitCode = 1;
  }
}
