// Writes everything that is derived from spec/errors.json, spec/limits.json, spec/checks.json, spec/registry.json,
// spec/text-dictionary.txt and spec/trellis-tables.json: src/error-catalogue.ts, src/limits.ts, src/core/container/text-dictionary.ts,
// src/core/codecs/trellis-tables.ts, the tables inside the pages of spec/, and docs/errors.md.
// `node spec/generate.mjs --check` fails when a generated file is not current.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { textOf } from "../src/common/wasm/build.mjs";

const root = new URL("../", import.meta.url);
const check = process.argv.includes("--check");
const { classes, errors } = JSON.parse(readFileSync(new URL("spec/errors.json", root), "utf8"));
const registry = JSON.parse(readFileSync(new URL("spec/registry.json", root), "utf8"));
/** Errors a file can have, alone or with a base model; the others are of programs. */
const ofFormat = ({ code, clause }) => clause !== "-" && !"XS".includes(code[0]);
const checks = JSON.parse(readFileSync(new URL("spec/checks.json", root), "utf8"));
const limits = JSON.parse(readFileSync(new URL("spec/limits.json", root), "utf8"));

const names = new Set();
for (const e of errors) {
  if (!classes[e.code[0]]) throw new Error(`unknown class of ${e.code}`);
  for (const key of [e.code, e.name]) {
    if (names.has(key)) throw new Error(`${key} occurs twice in spec/errors.json`);
    names.add(key);
  }
}

const notice = (source) => `// Generated from ${source} by spec/generate.mjs. Do not edit.\n`;

const lineOf = ({ name, code, clause, summary, advice }) => {
  const fields = { kind: name, code: `LQA-${code}`, clause, summary, advice };
  const text = Object.entries(fields).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `export const ${name}: ErrorKind<"${name}"> = { ${text.join(", ")} };`;
};

const catalogue = `${notice("spec/errors.json")}

import type { ErrorKind } from "./errors.ts";

// Every kind of error that this library raises is a constant of its own: a bundler keeps those that the code kept refers to.

${errors.map(lineOf).join("\n")}
`;

const limitsSource = `${notice("spec/limits.json")}
/** A column of the table in spec clause 14, by which a reader or validator bounds a file. */
export type LimitSet = "device" | "core" | "hard";

/**
 * One limit of spec clause 14: up to \`device\` a device accepts, up to \`core\` every other reader; above \`hard\` a file is
 * malformed.
 */
export interface Limit {
  readonly quantity: string;
  readonly device: number;
  readonly core: number;
  readonly hard: number;
}

${limits
  .map(
    (l) =>
      `/** Spec clause 14, ${l.quantity}. Stops ${l.stops}. */\nexport const ${l.name}: Limit = { quantity: ${JSON.stringify(
        l.quantity,
      )}, device: ${l.device}, core: ${l.core}, hard: ${l.hard} };`,
  )
  .join("\n\n")}
`;

const number = (n) => {
  if (n === 2 ** 53 - 1) return "2^53 − 1";
  if (n === 2 ** 32 - 1) return "2^32 − 1";
  const exponent = Math.log2(n);
  return Number.isInteger(exponent) && exponent >= 13 ? `2^${exponent}` : n.toLocaleString("en-US");
};
const limitTable = [
  "| quantity | Device | Core | Hard |",
  "|---|--:|--:|--:|",
  ...limits.map((l) => `| ${l.quantity} | ${number(l.device)} | ${number(l.core)} | ${number(l.hard)} |`),
].join("\n");
const classTable = [
  "| letter | class | exit code | meaning |",
  "|---|---|---|---|",
  ...Object.entries(classes)
    .filter(([letter]) => errors.some((e) => e.code[0] === letter && ofFormat(e)))
    .map(([k, v]) => `| ${k} | ${v.name} | ${v.exit} | ${v.meaning} |`),
].join("\n");
const checkTable = checks
  .flatMap(({ step, title, checks }) => [
    `${step === 1 ? "" : "\n"}_Step ${step}: ${title}._`,
    "",
    "| no. | field | condition | error | clause |",
    "|---|---|---|---|---|",
    ...checks.flatMap(({ id, each, field, condition, error, clause }, i) => {
      const kinds = [error].flat();
      if (kinds.some((name) => !names.has(name)))
        throw new Error(`check ${id} has no error of spec/errors.json`);
      const row = `| ${step}.${i + 1} | ${field} | ${condition} | ${kinds.map((name) => `\`${name}\``).join(", ")} | ${clause} |`;
      return each === (checks[i - 1]?.each ?? "") ? [row] : [`| | **${each || "once"}** | | | |`, row];
    }),
  ])
  .join("\n");

const errorDoc = `# Errors

Generated from \`spec/errors.json\` by \`spec/generate.mjs\`. Codes are stable: a code never changes its meaning.

| letter | class | exit code | meaning |
|---|---|---|---|
${Object.entries(classes)
  .map(([k, v]) => `| ${k} | ${v.name} | ${v.exit} | ${v.meaning} |`)
  .join("\n")}

${errors
  .map(
    (e) =>
      `## LQA-${e.code} ${e.name}\n\n${e.summary}\n\nClass: ${classes[e.code[0]].name}. ${
        e.clause === "-" ? "" : `Clause: ${e.clause} of [the specification](../spec/lqa-v1.md). `
      }Likely cause: ${e.cause} What to do: ${e.advice}`,
  )
  .join("\n\n")}
`;

const dictionary = readFileSync(new URL("spec/text-dictionary.txt", root), "utf8");
if (/[^\n\x20-\x7e]/.test(dictionary))
  throw new Error("spec/text-dictionary.txt must be printable ASCII and line feeds");
const dictionarySource = `${notice("spec/text-dictionary.txt")}
/** The text dictionary of spec clause 7.5: ${dictionary.length} bytes of ASCII, a zstd raw-content dictionary. */
export const TEXT_DICTIONARY = ${JSON.stringify(dictionary)};
`;

const { tables } = JSON.parse(readFileSync(new URL("spec/trellis-tables.json", root), "utf8"));
tables.forEach((t, i) => {
  const sound =
    t.number === i + 1 &&
    t.entries.length === 256 * t.weightsPerStep &&
    t.entries.every((e) => Number.isInteger(e) && Math.abs(e) <= 127) &&
    t.entries.slice(0, t.weightsPerStep).every((e) => e >= 0);
  if (!sound) throw new Error(`table ${i + 1} of spec/trellis-tables.json breaks clause 8.6`);
});
// A table was trained from a convolutional code (train-tables.mjs), so that its entries at windows w and w ^ m are nearly the same, or
// opposite, for some masks m. These are what a greedy search for the least entropy of the differences found: for each weight
// of a step, at most one mask of each highest bit, the highest first, negative where entries are opposite.
const MASKS = {
  1: [[], []],
  2: [[129, 71, -24, -15, -7]],
  3: [
    [246, -101, 18, 11, -1],
    [-162, -112, -36, 14, -1],
  ],
  4: [[-211, -126, -60, -18, 5]],
  5: [[-211, -66, -49, 26, 15]],
  6: [[-204, 101, -58, -27]],
};
const differences = tables.flatMap(({ number, weightsPerStep, entries }) =>
  MASKS[number].flatMap((masks, v) =>
    Array.from({ length: 256 }, (_, w) => {
      const entry = (window) => entries[window * weightsPerStep + v];
      const mask = masks.find((m) => (w ^ Math.abs(m)) < w) ?? 0;
      return entry(w) - Math.sign(mask) * entry(w ^ Math.abs(mask));
    }),
  ),
);
const trellisSource = `${notice("spec/trellis-tables.json")}
/**
 * The trellis tables of spec clause 8.6. The entry of weight v of window w is a difference plus the entry at window w ^ |m|, times
 * the sign of m, where m is the first of masks[v] whose highest bit w has. Without such a mask it is the difference.
 */
export const TRELLIS_DATA: readonly {
  readonly number: number;
  readonly stepBits: number;
  readonly weightsPerStep: number;
  readonly unit: number;
  readonly distortion: number;
  readonly masks: readonly (readonly number[])[];
}[] = [
${tables.map(({ entries: _, ...table }) => `  ${JSON.stringify({ ...table, masks: MASKS[table.number] })},`).join("\n")}
];

/** The differences of all tables in their order: of weight 0 of all windows, then of weight 1; bytes modulo 256 (src/common/wasm/kernel.ts). */
export const TRELLIS_DIFFERENCES: string =
  "${textOf(Uint8Array.from(differences, (x) => x & 255))}";
`;
const decibels = (ratio) => (10 * Math.log10(ratio)).toFixed(2);
const rateOf = ({ stepBits, weightsPerStep }) => stepBits / weightsPerStep;
const trellisTable = [
  "| table | k | V | bits per weight |",
  "|---|---|---|---|",
  ...tables.map((t) => `| ${t.number} | ${t.stepBits} | ${t.weightsPerStep} | ${rateOf(t)} |`),
].join("\n");
const trellisQuality = [
  "| table | bits per weight R | distortion | 4^−R | above it | scale of unit variance |",
  "|---|---|---|---|---|---|",
  ...tables.map((t) => {
    const rate = rateOf(t);
    return `| ${t.number} | ${rate} | ${t.distortion} | ${(4 ** -rate).toPrecision(4)} | ${decibels(t.distortion * 4 ** rate)} dB | ${t.unit} |`;
  }),
].join("\n");

const policies = [
  "| registries | Specification Required | Experimental Use | Private Use | Reserved |",
  "|---|---|---|---|---|",
  ...Object.entries({ enumeration: "enumerations (one byte)", bits: "feature bits" }).map(
    ([width, title]) => {
      const cells = ["Specification Required", "Experimental Use", "Private Use", "Reserved"].map(
        (policy) => {
          const range = registry.ranges[width].find((one) => one.policy === policy);
          if (range === undefined && width === "bits")
            return `required bits ${registry.reserved.bits.join(" and ")}`;
          return range === undefined
            ? "–"
            : range.from === range.to
              ? `${range.from}`
              : `${range.from}–${range.to}`;
        },
      );
      return `| ${title} | ${cells.join(" | ")} |`;
    },
  ),
  "| section tags | first letter upper case | first letter lower case | first letter lower case | first letter `X`; " +
    `${registry.reserved.tags.map((tag) => `\`${tag}\``).join(", ")} |`,
  "| META keys | letters, digits and `_` | with a `/`, such as `example.org/run` | the same | – |",
].join("\n");
const registryTables = registry.registries
  .map(({ title, clause, width, values }) => {
    const numbered = width === "enumeration" || width === "bits";
    const known = values.map(({ number, name }) =>
      numbered ? `${number} ${name}` : `\`${number}\` ${name}`,
    );
    return `| ${title} | ${clause} | ${known.join(", ") || "none"} |`;
  })
  .join("\n");
const registryTable = `| registry | clause | assigned |\n|---|---|---|\n${registryTables}`;

const tableOfErrors = `{
  "classes": {
${Object.entries(classes)
  .map(([letter, about]) => `    ${JSON.stringify(letter)}: ${JSON.stringify(about)}`)
  .join(",\n")}
  },
  "errors": [
${errors.map((error) => `    ${JSON.stringify(error)}`).join(",\n")}
  ]
}
`;

const outputs = [
  // One line for each error.
  ["spec/errors.json", tableOfErrors],
  ["src/core/codecs/trellis-tables.ts", trellisSource],
  ["src/core/container/text-dictionary.ts", dictionarySource],
  ["src/error-catalogue.ts", catalogue],
  ["src/limits.ts", limitsSource],
  ["docs/errors.md", errorDoc],
];
/** Tables inside pages, each between `<!-- generated:NAME -->` and `<!-- /generated -->`. */
const filled = {
  "spec/lqa-v1.md": { trellis: trellisTable, limits: limitTable, classes: classTable, checks: checkTable },
  "spec/rationale.md": { "trellis quality": trellisQuality },
  "spec/registries.md": { policies, registry: registryTable },
};
for (const [path, bodies] of Object.entries(filled)) {
  const url = new URL(path, root);
  if (!existsSync(url)) continue;
  let text = readFileSync(url, "utf8");
  for (const [name, body] of Object.entries(bodies)) {
    const pattern = new RegExp(`(<!-- generated:${name} -->\\n)[\\s\\S]*?(<!-- /generated -->)`);
    if (!pattern.test(text)) throw new Error(`${path} has no place for generated table ${name}`);
    text = text.replace(pattern, (_, open, close) => `${open}${body}\n${close}`);
  }
  outputs.push([path, text]);
}

let stale = 0;
for (const [path, text] of outputs) {
  const url = new URL(path, root);
  const current = existsSync(url) ? readFileSync(url, "utf8") : undefined;
  if (current === text) continue;
  if (check) {
    console.error(`${path} is not current; run: node spec/generate.mjs`);
    stale++;
  } else {
    writeFileSync(url, text);
    console.log(`wrote ${path}`);
  }
}
process.exit(stale ? 1 : 0);
