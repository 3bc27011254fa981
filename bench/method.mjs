// Draws the method as one picture, from the example adapter and the default encoder: one module split into components, the bits
// that each component gets, and the bits of every component of every module. Run after `npm run build`:
//
//   node bench/method.mjs            writes docs/images/method.svg
//   node bench/method.mjs --check    fails if that is not what the library draws today (test/docs/pictures.test.ts does this)
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readAdapter } from "../dist/adapters/index.js";
import { inputLength, open } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { readSourceFiles } from "../dist/node/index.js";
import { inspectLqa } from "../dist/report/index.js";

const ADAPTER = fileURLToPath(new URL("../examples/number-words/adapter", import.meta.url));
const PICTURE = fileURLToPath(new URL("../docs/images/method.svg", import.meta.url));
/** The module of the first two steps. */
const SHOWN = "model.layers.5.self_attn.o_proj";
const PROJECTIONS = ["q", "k", "v", "o"];
const [WIDTH, LEFT, RIGHT] = [560, 24, 536];
/** Largest number of bits that has a colour of its own; more bits look the same. */
const MOST = 5;

const drawn = draw(await measured());
if (!process.argv.includes("--check")) writeFileSync(PICTURE, drawn);
else if (!existsSync(PICTURE) || readFileSync(PICTURE, "utf8") !== drawn) {
  console.error("docs/images/method.svg is not what the library draws: run node bench/method.mjs");
  process.exitCode = 1;
}

/** The adapter, encoded with the default preset: per module the energy share and the bits per weight of each component. */
async function measured() {
  const source = readAdapter(await readSourceFiles(ADAPTER));
  const { bytes, report } = await encodeAdapter(source, {});
  const file = await open(bytes);
  const { modules } = await inspectLqa(bytes, { source });
  const rows = [];
  for (const [i, record] of file.modules.entries()) {
    const { bands, planes } = await file.packed(record);
    const bits = bands.flatMap(({ components }, band) => {
      const stored = Object.values(planes[0][band]).flatMap((of) => Object.values(of));
      const total = stored.reduce((sum, { length }) => sum + length, 0);
      return Array(components).fill((8 * total) / components / (record.out + inputLength(record)));
    });
    const energies = Array.from(modules[i].loss.singularValues, (value) => value ** 2);
    const energy = energies.reduce((sum, value) => sum + value, 0);
    rows.push({ name: record.name, bits, shares: energies.map((value) => value / energy) });
  }
  return {
    rows,
    sizes: [statSync(`${ADAPTER}/adapter_model.safetensors`).size, bytes.length],
    kept: 1 - report.relativeError,
  };
}

function draw({ rows, sizes, kept }) {
  const module = rows.find(({ name }) => name === SHOWN);
  const layers = rows.length / PROJECTIONS.length;
  const cell = { width: (RIGHT - LEFT - 16) / layers, height: 8 };
  const colour = (value) => (value === 0 ? 0 : Math.min(MOST, Math.max(1, Math.round(value))));
  const text = (x, y, words, style = "") =>
    `<text x="${x}" y="${y}"${style && ` class="${style}"`}>${words}</text>`;
  const heading = (y, number, words) =>
    `<circle class="number" cx="${LEFT + 12}" cy="${y - 6}" r="13"/>${text(LEFT + 12, y, number, "on middle")}${text(LEFT + 36, y, words, "bold")}`;

  const slot = (RIGHT - LEFT) / module.shares.length;
  const base = 214;
  const bars = module.shares.map((share, i) => {
    const height = Math.max(2, 110 * share);
    const [x, middle] = [LEFT + i * slot, LEFT + (i + 0.5) * slot];
    return `<rect class="b${colour(module.bits[i])}" x="${number(x + 5)}" y="${number(base - height)}" width="${number(slot - 10)}" height="${number(height)}"/>
${text(number(middle), number(base - height - 7), `${percent(share)} %`, "middle")}
<rect class="b${colour(module.bits[i])}" x="${number(x + 5)}" y="300" width="${number(slot - 10)}" height="34" rx="4"/>
${text(number(middle), 323, bitsText(module.bits[i]), `t${colour(module.bits[i])} middle`)}`;
  });

  const map = PROJECTIONS.map((projection, p) => {
    const top = 422 + p * (8 * cell.height + 10);
    const cells = Array.from({ length: layers }, (_, layer) => {
      const { bits: own } = rows.find(({ name }) =>
        name.endsWith(`layers.${layer}.self_attn.${projection}_proj`),
      );
      return own.map((value, i) => {
        const x = LEFT + 16 + layer * cell.width;
        return `<rect class="b${colour(value)}" x="${number(x)}" y="${top + i * cell.height}" width="${number(cell.width - 1)}" height="${cell.height - 1}"/>`;
      });
    });
    return `${text(LEFT, top + 37, projection, "dim")}\n${cells.flat().join("")}`;
  });

  const key = Array.from({ length: MOST + 1 }, (_, i) => {
    const x = 205 + i * 55;
    return `<rect class="b${i}" x="${x}" y="729" width="50" height="26" rx="4"/>${text(x + 25, 748, i === MOST ? `${i}+` : i, `t${i} middle`)}`;
  });

  const [from, to] = sizes.map((size) =>
    size >= 1e6 ? `${(size / 1e6).toFixed(1)} MB` : `${Math.round(size / 1000)} KB`,
  );
  const result = `${from} → ${to}, with ${(100 * kept).toFixed(0)} % of the energy of ΔW`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} 812" width="${WIDTH}" height="812" role="img" aria-labelledby="title what">
<title id="title">How lqa makes an adapter small</title>
<desc id="what">1. Each update ΔW is split by a singular value decomposition into components, strongest first: ${SHOWN} of the example adapter holds ${percent(module.shares[0])} % of its energy in the first of ${module.shares.length}. 2. Strong components get more bits per weight: ${module.bits.map(bitsText).join(", ")}. 3. All ${rows.length} modules share one budget. ${result}.</desc>
<style>
text{font:17px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1b1f24}
.bold,.result{font-weight:600}.bold{font-size:19px}.middle{text-anchor:middle}
.ground{fill:#fff}.dim{fill:#57606a}.number{fill:#1d5491}.on{fill:#fff;font-weight:600}
.b0{fill:#e6e9ed}.b1{fill:#bad6f0}.b2{fill:#8fbfe6}.b3{fill:#5b9bd0}.b4{fill:#2f6fae}.b5{fill:#0c356a}
.t0,.t1,.t2,.t3{fill:#0b1220}.t4,.t5{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6e9ed}.ground{fill:#1b1b1f}.dim{fill:#a5adb8}.number{fill:#2a68a3}.on{fill:#fff}
.b0{fill:#32363e}.b1{fill:#1f4468}.b2{fill:#2a5f90}.b3{fill:#4a8cc4}.b4{fill:#8fc1ec}.b5{fill:#d9ecff}
.t0,.t1,.t2{fill:#fff}.t3,.t4,.t5{fill:#0b1220}}
</style>
<rect class="ground" width="100%" height="100%" rx="10"/>
${heading(36, 1, "Split the update ΔW of a layer by strength")}
${text(LEFT + 36, 62, "8 components of one module, by share of ΔW", "dim")}
${bars.join("\n")}
${heading(260, 2, "Give strong components more bits")}
${text(LEFT + 36, 286, "bits per weight of the same components", "dim")}
${heading(380, 3, "Spend one budget where it saves most")}
${text(LEFT + 36, 406, `across: ${layers} layers; down: components of q, k, v, o`, "dim")}
${map.join("\n")}
${text(LEFT, 748, "bits per weight", "dim")}
${key.join("")}
${text(LEFT, 792, result, "result")}
</svg>
`;
}

function number(value) {
  return Number(value.toFixed(1));
}

function bitsText(bits) {
  return bits === 0 ? "0" : bits.toFixed(1);
}

function percent(share) {
  return share >= 0.1 ? (100 * share).toFixed(0) : (100 * share).toFixed(1);
}
