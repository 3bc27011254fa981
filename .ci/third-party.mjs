// The licences of the packages that the wheel bundles and npm installs, as THIRD-PARTY-NOTICES.txt: from each package, or from
// .ci/third-party/ where a package has none. With --check it writes nothing and ends with code 1 if the file is not current.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const target = join(root, "THIRD-PARTY-NOTICES.txt");
const read = (...path) =>
  readFileSync(join(root, ...path), "utf8")
    .replaceAll("\r\n", "\n")
    .trim();

/** Packages without a licence file, and what they contain of others: the texts of their repositories. */
const TEXTS = {
  "zstd-codec": [
    ["zstd-codec (github.com/yoshihitoh/zstd-codec, LICENSE)", "zstd-codec.txt"],
    ["Zstandard 1.3.6, compiled into it (github.com/facebook/zstd, LICENSE)", "zstd.txt"],
    [
      "The runtime of Emscripten, compiled into it (github.com/emscripten-core/emscripten, LICENSE)",
      "emscripten.txt",
    ],
  ],
};

function textsOf(name) {
  if (name in TEXTS)
    return TEXTS[name].map(([title, file]) => `${title}:\n\n${read(".ci/third-party", file)}`);
  const files = readdirSync(join(root, "node_modules", name)).filter((file) =>
    /^(licen[cs]e|notice)/i.test(file),
  );
  if (files.length === 0)
    throw new Error(`${name} has no licence file: add the text of its repository to .ci/third-party/`);
  return files.sort().map((file) => read("node_modules", name, file));
}

const { dependencies } = JSON.parse(read("package.json"));
const sections = Object.keys(dependencies).map((name) => {
  const { version, license } = JSON.parse(read("node_modules", name, "package.json"));
  return [`${name} ${version} (${license})`, ...textsOf(name)].join("\n\n");
});
const head = `LQA is under the Apache License 2.0 (LICENSE). It uses these packages. npm installs them next to it; the wheel of Python contains them.
`;
const line = "=".repeat(78);
const text = `${[head.trim(), ...sections].join(`\n\n${line}\n\n`)}\n`;
if (process.argv.includes("--check")) {
  const current = readFileSync(target, "utf8") === text;
  if (!current) console.error("THIRD-PARTY-NOTICES.txt is not current: run node .ci/third-party.mjs");
  process.exit(current ? 0 : 1);
}
writeFileSync(target, text);
