// What opening a file costs for each of its bytes, for the files within the Core limits (spec clause 14) that cost most: CPU
// time of `open` and its longest synchronous piece, in which no timer and no other request runs. Run after `npm run build`:
//
//   node bench/open.mjs [--only TEXT] [--rounds N]
//
// The least of N rounds (5). Exit code 1 if one costs more than 60 ns a byte above 20 ms, or, with an index of at most 1 MiB,
// has a piece longer than 50 ms.
import { parseArgs } from "node:util";
import { open } from "../dist/core/index.js";
import { bytesOf, empty, manyBands, meta, tinyPlanes } from "../fuzz/attacks/files.mjs";

const { values: options } = parseArgs({
  options: { only: { type: "string", default: "" }, rounds: { type: "string", default: "5" } },
});

const MOST = 2 ** 16;
const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const ZERO = { codec: "zero" };
const SIGN = { codec: "sign", group: 0, scale: "f16" };
const NONE = new Uint8Array(0);
const EMPTY = { scales: NONE, zeroPoints: NONE, codes: NONE };
const ONE = { scales: Uint8Array.of(0, 0x3c), zeroPoints: NONE, codes: NONE };

/** A module of alternating bands of nothing and of one component; `odd` makes the plan another one. */
function banded(name, bands, over, odd = 0) {
  const plan = many(bands, (k) => ({
    components: k < 16 ? 1 + ((odd >> k) & 1) : 1,
    b: ZERO,
    a: k % 2 === 0 ? ZERO : SIGN,
  }));
  const length = Math.ceil((over.in ?? 1) / 8);
  const planes = plan.map(({ a, components }) => ({
    b: EMPTY,
    a:
      a === ZERO
        ? EMPTY
        : {
            ...ONE,
            scales: new Uint8Array(2 * components),
            codes: new Uint8Array(length * components),
          },
  }));
  return {
    ...empty(name, over),
    rank: plan.reduce((sum, { components }) => sum + components, 0),
    alpha: 0,
    multiplier: 1,
    rule: "none",
    bands: plan,
    planes: [planes],
  };
}

const tensor = (name, shape) => ({
  name,
  role: "carried",
  element: "U8",
  shape,
  axis: 0,
  data: new Uint8Array(shape.reduce((product, size) => product * size, 1)),
});
const wide = (i, length, letter) =>
  `${letter.repeat(Math.floor((length - 6) / Buffer.byteLength(letter)))}${String(i).padStart(6, "0")}`;

const FILES = {
  "one module": () => bytesOf({ modules: [empty("m")], sections: [meta({ a: 1 })] }),
  "65,536 modules": () => bytesOf({ modules: many(MOST, (i) => empty(`m${i}`)) }),
  "65,536 modules of 16 experts": () =>
    bytesOf({ modules: many(MOST, (i) => empty(`m${i}`, { experts: 16 })) }),
  "65,536 module types": () => bytesOf({ modules: many(MOST, (i) => empty(`m${i}`, { out: i + 1 })) }),
  "65,536 plans of 8 bands": () => manyBands(MOST, 8),
  "65,536 module types that share a plan of 16 bands": () =>
    bytesOf({ modules: many(MOST, (i) => banded(`m${i}`, 16, { out: i + 1 })) }),
  "256 module types times 256 plans of 16 bands": () =>
    bytesOf({ modules: many(MOST, (i) => banded(`m${i}`, 16, { out: 1 + (i & 255) }, i >> 8)) }),
  "a plan of 1,024 bands and 1,024 experts": () => tinyPlanes(1024),
  "16 MB of names": () => bytesOf({ modules: many(MOST, (i) => empty(wide(i, 255, "x"))) }),
  "16 MB of names, two bytes a letter": () =>
    bytesOf({ modules: many(MOST, (i) => empty(wide(i, 254, "é"))) }),
  "16 MB of names of digits": () => bytesOf({ modules: many(MOST, (i) => empty(wide(i, 255, "1"))) }),
  "65,536 tensors": () => bytesOf({ tensors: many(MOST, (i) => tensor(`t${i}`, [1])) }),
  "65,536 tensors of 8 dimensions": () =>
    bytesOf({ tensors: many(MOST, (i) => tensor(`t${i}`, Array(8).fill(1))) }),
  // What a server takes: an index of at most 1 MiB.
  "16,384 module types that share a plan of 64 bands": () =>
    bytesOf({ modules: many(2 ** 14, (i) => banded(`m${i}`, 64, { out: i + 1 })) }),
  "16 MB of names in an index of 1 MiB": () =>
    bytesOf({ modules: many(60000, (i) => empty(wide(i, 255, "x"))) }),
};

/** CPU milliseconds of this process. Wall time says more of the machine's other work. */
const used = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** CPU milliseconds, and those of the longest time in which nothing else ran. */
async function measure(bytes) {
  let longest = 0;
  let last = used();
  let running = true;
  const tick = () => {
    const now = used();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) setImmediate(tick);
  };
  await new Promise((resolve) => setImmediate(resolve));
  last = used();
  setImmediate(tick);
  const begin = used();
  const file = await open(bytes);
  const cpu = used() - begin;
  await new Promise((resolve) => setImmediate(resolve));
  running = false;
  return { cpu, longest, index: file.prologue.indexLength };
}

let failed = 0;
console.log("| file | bytes | index | CPU | ns a byte | longest piece |\n|---|--:|--:|--:|--:|--:|");
for (const [name, make] of Object.entries(FILES)) {
  if (!name.includes(options.only)) continue;
  const bytes = new Uint8Array(await make());
  const rounds = [];
  for (let i = 0; i < Number(options.rounds); i++) {
    globalThis.gc?.();
    rounds.push(await measure(bytes));
  }
  const cpu = Math.min(...rounds.map((round) => round.cpu));
  const longest = Math.min(...rounds.map((round) => round.longest));
  const { index } = rounds[0];
  const each = (1e6 * cpu) / bytes.length;
  const dear = cpu > 20 && (1e6 * (cpu - 20)) / bytes.length > 60;
  const long = index <= 2 ** 20 && longest > 50;
  if (dear || long) failed++;
  console.log(
    `| ${name} | ${bytes.length} | ${index} | ${cpu.toFixed(1)} ms | ${each.toFixed(0)}${dear ? " (!)" : ""} | ${longest.toFixed(0)} ms${long ? " (!)" : ""} |`,
  );
}
process.exit(failed > 0 ? 1 : 0);
