// Makes conformance/gold/v1.0/ from the suite, once: files that decode for ever, with their contents. It refuses to touch a
// folder that is there; neither does generate.mjs. Until version 1.0 of the specification is declared frozen, who changes
// the format removes the folder first.
//
//   node conformance/freeze.mjs
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("suite", import.meta.url));
const gold = fileURLToPath(new URL("gold/v1.0", import.meta.url));
if (existsSync(gold)) throw new Error(`${gold} is there already, and is not for changing`);

/** Of the families with many files every fifth, of the others all; nothing above 64 KiB. */
const MANY = /^valid\/(affine|sign|trellis|tensor|name|section)\//;
const manifest = JSON.parse(readFileSync(join(root, "manifest.json"), "utf8"));
const chosen = manifest.cases
  .filter(({ id, bytes, operation }) => id.startsWith("valid/") && bytes <= 65536 && operation === undefined)
  .filter(({ id }, i) => !MANY.test(id) || i % 5 === 0);
for (const { file } of chosen) {
  mkdirSync(dirname(join(gold, file)), { recursive: true });
  copyFileSync(join(root, file), join(gold, file));
}
const { $schema: _, cases: __, mutations: ___, ...head } = manifest;
const text = JSON.stringify({ ...head, mutations: [], cases: [] }, null, 2).slice(0, -4);
writeFileSync(
  join(gold, "manifest.json"),
  `${text}[\n${chosen.map((c) => JSON.stringify(c)).join(",\n")}\n]\n}\n`,
);
const sums = chosen.map(({ sha256, file }) => `${sha256}  ${file}\n`).join("");
writeFileSync(join(gold, "SHA256SUMS"), sums);
console.log(`${chosen.length} files`);
