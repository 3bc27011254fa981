/** What the bench of serving found, as Markdown. */
import { LOADS, WARM_UP } from "./cold.mjs";
import { FILES, SWITCHES } from "./pools.mjs";

const GIB = 2 ** 30;
const ms = (value) => (value < 0.1 ? value.toFixed(3) : value.toFixed(2));

const perSecond = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
const served = (rate, resident, share) =>
  `${perSecond(rate)} (${resident.toLocaleString("en")}, ${(100 * share).toFixed(0)} %)`;

/** @param words how many columns are words, which stand to the left */
function table(head, rows, words = 1) {
  const align = head.map((_, i) => (i < words ? "---" : "--:"));
  return [head, align, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Up to this a difference is noise. */
const NOISE = 0.03;

/** What was aimed at, and what this run reached. */
function goals({ apply, pools, cold }) {
  const rows = [];
  const add = (what, goal, met, reached) => rows.push([what, goal, met ? "yes" : "no", reached]);
  if (apply) {
    const slower = apply.filter(({ toDecoded }) => toDecoded < 1 - NOISE);
    const ratios = apply.map(({ toDecoded }) => 1 / toDecoded);
    add(
      "packed, of decoding first and multiplying then",
      "never slower",
      slower.length === 0,
      `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} of its time; slower by more than ${100 * NOISE} % in ${slower.length} of ${apply.length} rows${slower.length > 0 ? `: ${slower.map((row) => `${row.name} at ${row.rows} (${(1 / row.toDecoded).toFixed(2)})`).join(", ")}` : ""}`,
    );
    const single = apply.filter((row) => row.rows === 1);
    const most = single.reduce((x, y) => (x.toF16 > y.toF16 ? x : y));
    add(
      "packed at one row, of binary16 factors in memory",
      "at most 2 ×",
      most.toF16 <= 2,
      `${Math.min(...single.map(({ toF16 }) => toF16)).toFixed(2)} to ${most.toF16.toFixed(2)} (${most.name})`,
    );
  }
  const row = pools?.rows.find(({ shape, adapters }) => shape === "all-linear r16" && adapters === 1000);
  if (row) {
    add(
      "1,000 all-linear adapters, rank 16, 1.5 bits",
      "at most 8 GiB",
      row.resident === 1000 && row.rssBytes <= 8 * GIB,
      `${row.resident.toLocaleString("en")} resident, ${(row.usedBytes / GIB).toFixed(2)} GiB counted, ${(row.rssBytes / GIB).toFixed(2)} GiB of process memory, of which ${(row.heapBytes / GIB).toFixed(2)} are JavaScript objects`,
    );
    const { median, high, most } = row.switchMilliseconds;
    add(
      "switch to one of them",
      "at most 1 ms, 999 of 1,000",
      high <= 1,
      `${ms(median)} ms (median), ${ms(high)} (999 of 1,000), ${ms(most)} (most of ${SWITCHES.toLocaleString("en")})`,
    );
  }
  const many = pools?.rows.find(({ shape, adapters }) => shape === "all-linear r16" && adapters === 10000);
  if (many)
    add(
      "10,000 all-linear adapters, more than fit",
      "at least 40 requests a second, and more than from safetensors each time",
      many.packed >= Math.max(40, many.safetensors),
      `${perSecond(many.packed)}; ${perSecond(many.safetensors)} from safetensors`,
    );
  const small = pools?.rows.filter(({ shape }) => shape === "q/v r4") ?? [];
  if (small.length > 0) {
    const ratios = small.map(({ packed, f16 }) => packed / f16);
    add(
      "q and v at rank 4, requests a second, of a cache of binary16 factors",
      "at least 1",
      Math.min(...ratios) >= 1,
      `${ratios.map((ratio) => ratio.toFixed(2)).join(", ")} with ${small.map(({ adapters }) => adapters.toLocaleString("en")).join("; ")} adapters`,
    );
  }
  if (cold) {
    for (const [i, what, most] of [
      [0, "cold file to its first module applied", 2],
      [1, "cold file to all its 224 modules, with their CRC-32", 10],
    ]) {
      const { cpu } = cold[i];
      add(
        what,
        `at most ${most} ms of CPU`,
        cpu[1] <= most,
        `${ms(cpu[1])} ms (median), ${ms(cpu[0])} (least); the file in the system's cache, \`verify: false\``,
      );
    }
  }
  return table(["what", "goal", "met", "reached"], rows, 4);
}

export function page({ machine, runtime, date, loadBefore, loadAfter, apply, cold, pools }) {
  const load = (values) => values.map((value) => value.toFixed(1)).join(", ");
  const parts = [
    `Measured ${date}, ${machine} that were shared with other work (load ${load(loadBefore)} before, ${load(loadAfter)} after), ${runtime}; \`npm run bench:serve\`.`,
    "## Goals",
    goals({ apply, cold, pools }),
  ];
  if (pools) {
    const { budget, rows } = pools;
    parts.push(
      "## Pools",
      `Each pool has a budget of ${(budget / GIB).toFixed(1)} GiB. Adapters are generated; all of a shape share ${FILES} equal files, but each has its own memory. *Resident*: how many are in memory; a request for another one loads it from its file and evicts others. Process memory and JavaScript heap are what filling the pool added. A switch is \`acquire\` of a resident adapter; the last column is that and its first module applied to one row.`,
      table(
        [
          "shape",
          "adapters",
          "resident",
          "packed file, MB",
          "counted, GiB",
          "process, GiB",
          "heap, MiB",
          "load of one, ms CPU",
          "switch, ms: median, 99.9 %, most",
          "and first module, ms: median, 99.9 %",
        ],
        rows.map((row) => [
          row.shape,
          row.adapters.toLocaleString("en"),
          row.resident.toLocaleString("en"),
          (row.fileBytes / 1e6).toFixed(2),
          (row.usedBytes / GIB).toFixed(3),
          (row.rssBytes / GIB).toFixed(3),
          (row.heapBytes / 2 ** 20).toFixed(1),
          ms(row.loadCpuMilliseconds),
          [row.switchMilliseconds.median, row.switchMilliseconds.high, row.switchMilliseconds.most]
            .map(ms)
            .join(", "),
          [row.switchAndApplyMilliseconds.median, row.switchAndApplyMilliseconds.high].map(ms).join(", "),
        ]),
      ),
      "## Requests a second by the number of adapters",
      `A second of CPU time, one thread; the best of five such seconds. A request is for an adapter drawn at random, and takes one row through all its modules (224 of all-linear, 64 of q/v). *f16*: a cache of binary16 factors, of the same budget, whose misses read the safetensors file. *safetensors each time*: the file for each request. Both multiply by \`bench/serve/baseline.as\`, and files are in the system's cache, though not in the processor's; a disk would make the misses slower. In brackets: resident adapters, and the share of requests that found theirs in memory.`,
      table(
        ["shape", "adapters", "packed", "f16", "safetensors each time"],
        rows.map((row) => [
          row.shape,
          row.adapters.toLocaleString("en"),
          served(row.packed, row.resident, row.packedHitShare),
          served(row.f16, row.f16Resident, row.f16HitShare),
          perSecond(row.safetensors),
        ]),
      ),
    );
  }
  if (cold)
    parts.push(
      "## A cold adapter from disk",
      `All linear layers, rank 16, 7.4 MB, the file in the system's cache. The times are ms from \`acquire\` on, by the clock and of CPU time: least of ${LOADS} loads of 24 files, and the median of the best 24 in a row. Each loads into the memory of one that has left the pool. ${WARM_UP} loads before them are not counted: in them the engine compiles what loading runs. Of the first 24 loads of the process until a module is applied, the median is ${ms(cold[0].firstCpu)} ms of CPU time.`,
      table(
        ["until", "clock, least", "clock, median", "CPU, least", "CPU, median"],
        cold.map((row) => [row.what, ...[...row.wall, ...row.cpu].map(ms)]),
      ),
    );
  if (apply) {
    parts.push(
      "## Packed application beside decoding first, and beside f16 in memory",
      "ns per weight, for all rows of a call together; 21 modules of LLaMA-2-7B at rank 16. *Decoded*: to binary32 in memory that is used again, then multiplied. *f16*: factors in WebAssembly memory before the clock starts, read in place. Both are kernels with the same order of sums (`bench/serve/baseline.as`). Times are sums over modules of the least time of each, from 16 rows on of CPU time.",
      table(
        ["codec", "rows", "packed", "packed, f16 rows", "decoded", "f16", "decoded / packed", "packed / f16"],
        apply.map((row) => [
          row.name,
          row.rows,
          ...[row.packed, row["packed, f16 rows"], row.decoded, row.f16].map((value) => value.toFixed(3)),
          row.toDecoded.toFixed(2),
          row.toF16.toFixed(2),
        ]),
      ),
    );
  }
  return `${parts.join("\n\n")}\n`;
}
