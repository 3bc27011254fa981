/**
 * Which adapters a pool should let go of: requests that find their adapter in memory, by policy, over drawn sequences of requests.
 * 10,000 adapters of one size, of which 1,000 and 100 have a place; a million requests each. Nothing is timed: the same numbers
 * on every machine. Run after `npm run build`: node bench/serve/eviction.mjs [--json] [--write]
 * `--write` puts the table into bench/serve/results.md.
 *
 * `pool` is what the pool does (the class `Budget` itself). `lru` lets go of what was used least recently; `2q` is Johnson and
 * Shasha's (VLDB 1994) with a quarter for first uses and as many remembered names as half of the places; `w-tinylfu` is Einziger,
 * Friedman and Manes's (2017) with a window of one hundredth, exact counts, and halving after ten requests for each place; `s3-fifo`
 * is Yang and others' (SOSP 2023). `most popular` keeps the adapters that are requested most often in the whole sequence: no
 * policy knows that.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Budget } from "../../dist/serve/budget.js";

const ADAPTERS = 10_000;
const REQUESTS = 1_000_000;

/** Numbers in [0, 1), always the same ones (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws adapters with frequency 1 / rank^exponent. */
function zipf(exponent, seed) {
  const sums = new Float64Array(ADAPTERS);
  let sum = 0;
  for (let i = 0; i < ADAPTERS; i++) sums[i] = sum += (i + 1) ** -exponent;
  const next = random(seed);
  return () => {
    const x = next() * sum;
    let [low, high] = [0, ADAPTERS - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] > x) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** Sequences of requests: (number of the request) → adapter. */
const SEQUENCES = {
  uniform: () => zipf(0, 1),
  "Zipf 0.8": () => zipf(0.8, 2),
  "Zipf 1.0": () => zipf(1, 3),
  "Zipf 1.2": () => zipf(1.2, 4),
  // Every 50,000 requests other adapters are the popular ones.
  "Zipf 1.0, shifting": () => {
    const draw = zipf(1, 5);
    return (i) => (draw() + 1379 * Math.floor(i / 50_000)) % ADAPTERS;
  },
  // Somebody goes through all adapters, one in ten requests.
  "Zipf 1.0, with a sweep": () => {
    const draw = zipf(1, 6);
    return (i) => (i % 10 === 0 ? (i / 10) % ADAPTERS : draw());
  },
};

/** Policies: (places) → (adapter) → whether it was in memory. */
const POLICIES = {
  pool(places) {
    const budget = new Budget(places);
    const held = new Map();
    return (name) => {
      const known = held.get(name);
      if (known !== undefined) {
        budget.touch(known);
        return true;
      }
      const holding = { bytes: 1, isFree: () => true, drop: () => held.delete(name) };
      budget.take(1, "a test");
      budget.add(holding, "dear");
      held.set(name, holding);
      return false;
    };
  },

  lru(places) {
    const held = new Set();
    return (name) => {
      const hit = held.delete(name);
      if (!hit && held.size === places) held.delete(first(held));
      held.add(name);
      return hit;
    };
  },

  "2q"(places) {
    const [once, remembered, often] = [new Set(), new Set(), new Set()];
    const [forOnce, forRemembered] = [Math.ceil(places / 4), Math.ceil(places / 2)];
    return (name) => {
      if (often.delete(name)) {
        often.add(name);
        return true;
      }
      if (once.has(name)) return true;
      const back = remembered.delete(name);
      if (once.size + often.size === places) {
        if (once.size > forOnce || often.size === 0) {
          const leaving = first(once);
          once.delete(leaving);
          remembered.add(leaving);
          if (remembered.size > forRemembered) remembered.delete(first(remembered));
        } else often.delete(first(often));
      }
      (back ? often : once).add(name);
      return false;
    };
  },

  "s3-fifo"(places) {
    const [small, main, ghosts, uses] = [new Set(), new Set(), new Set(), new Map()];
    const forSmall = Math.ceil(places / 10);
    const leaveMain = () => {
      for (;;) {
        const name = first(main);
        main.delete(name);
        const n = uses.get(name);
        if (n === 0) return void uses.delete(name);
        uses.set(name, n - 1);
        main.add(name);
      }
    };
    const leaveSmall = () => {
      const name = first(small);
      small.delete(name);
      if (uses.get(name) > 0) {
        uses.set(name, 0);
        main.add(name);
        if (main.size > places - forSmall) leaveMain();
        return;
      }
      uses.delete(name);
      ghosts.add(name);
      if (ghosts.size > places - forSmall) ghosts.delete(first(ghosts));
    };
    return (name) => {
      const n = uses.get(name);
      if (n !== undefined) {
        uses.set(name, Math.min(3, n + 1));
        return true;
      }
      while (small.size + main.size >= places) {
        if (small.size >= forSmall) leaveSmall();
        else leaveMain();
      }
      (ghosts.delete(name) ? main : small).add(name);
      uses.set(name, 0);
      return false;
    };
  },

  "w-tinylfu"(places) {
    const [window, trial, kept] = [new Set(), new Set(), new Set()];
    const forWindow = Math.max(1, Math.round(places / 100));
    const forKept = Math.round(0.8 * (places - forWindow));
    const counts = new Float64Array(ADAPTERS);
    let seen = 0;
    return (name) => {
      counts[name]++;
      if (++seen === 10 * places) {
        seen /= 2;
        for (let i = 0; i < ADAPTERS; i++) counts[i] = Math.floor(counts[i] / 2);
      }
      if (window.delete(name)) {
        window.add(name);
        return true;
      }
      if (kept.delete(name)) {
        kept.add(name);
        return true;
      }
      if (trial.delete(name)) {
        kept.add(name);
        if (kept.size > forKept) {
          const back = first(kept);
          kept.delete(back);
          trial.add(back);
        }
        return true;
      }
      window.add(name);
      if (window.size > forWindow) {
        const candidate = first(window);
        window.delete(candidate);
        if (window.size + trial.size + kept.size < places) trial.add(candidate);
        else {
          const from = trial.size > 0 ? trial : kept;
          const victim = first(from);
          if (counts[candidate] > counts[victim]) {
            from.delete(victim);
            trial.add(candidate);
          }
        }
      }
      return false;
    };
  },
};

function first(set) {
  return set.values().next().value;
}

const rows = [];
for (const [sequence, make] of Object.entries(SEQUENCES)) {
  const draw = make();
  const names = Uint16Array.from({ length: REQUESTS }, (_, i) => draw(i));
  const totals = new Float64Array(ADAPTERS);
  for (const name of names) totals[name]++;
  totals.sort().reverse();
  for (const places of [1000, 100]) {
    const hits = {};
    for (const [policy, start] of Object.entries(POLICIES)) {
      const request = start(places);
      let count = 0;
      for (const name of names) if (request(name)) count++;
      hits[policy] = count / REQUESTS;
    }
    hits["most popular"] = totals.subarray(0, places).reduce((sum, n) => sum + n, 0) / REQUESTS;
    rows.push({ sequence, places, ...hits });
  }
}

const NAMES = { pool: "the pool", lru: "LRU", "2q": "2Q", "s3-fifo": "S3-FIFO", "w-tinylfu": "W-TinyLFU" };
const columns = [...Object.keys(POLICIES), "most popular"];
const table = [
  `| requests | places | ${columns.map((c) => NAMES[c] ?? c).join(" | ")} |`,
  `|---|--:|${columns.map(() => "--:|").join("")}`,
  ...rows.map(
    (row) =>
      `| ${row.sequence} | ${row.places} | ${columns.map((c) => `${(100 * row[c]).toFixed(1)} %`).join(" | ")} |`,
  ),
].join("\n");
console.log(process.argv.includes("--json") ? JSON.stringify(rows, null, 2) : table);
if (process.argv.includes("--write")) {
  const doc = new URL("results.md", import.meta.url);
  const made = (_, open, close) => `${open}${table}\n${close}`;
  writeFileSync(
    doc,
    readFileSync(doc, "utf8").replace(
      /(<!-- generated:eviction -->\n)[\s\S]*?(<!-- \/generated:eviction -->)/,
      made,
    ),
  );
}
