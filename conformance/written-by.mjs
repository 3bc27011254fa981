// Writes conformance/written-by.md: node conformance/written-by.mjs [--check] [--keep DIRECTORY]
// Encodes small adapters with the commands of written-by/features.mjs, looks at the files, and says of all that the format can
// hold which command writes it. What no command writes has a reason to stay, or it goes out of the format; without one this
// fails. `--check` writes nothing and fails if the page is not current. Needs `npm run build`.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../dist/cli/run.js";
import { open } from "../dist/core/index.js";
import { ADAPTERS, BASE } from "./written-by/adapters.mjs";
import { COMMANDS, featuresOf, RESERVED } from "./written-by/features.mjs";
import { partsOf } from "./written-by/parts.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const page = join(here, "written-by.md");
const check = process.argv.includes("--check");
const keep = process.argv.includes("--keep") ? process.argv[process.argv.indexOf("--keep") + 1] : undefined;
const registry = JSON.parse(readFileSync(join(here, "..", "spec", "registry.json"), "utf8"));

const work = keep ?? mkdtempSync(join(tmpdir(), "written-by-"));
mkdirSync(work, { recursive: true });
const files = await encoded(work);
if (keep === undefined) rmSync(work, { recursive: true });

const features = featuresOf(registry);
const missing = [];
const rows = features.map(({ group, name, clause, seen }) => {
  const id = `${group}: ${name}`;
  const by = files.find((file) => seen(file));
  const reason = RESERVED[id];
  if (by === undefined && reason === undefined)
    missing.push(`no command writes ${id}: give a reason, or remove it`);
  if (by !== undefined && reason !== undefined)
    missing.push(`${id} has a reason, but is written by ${by.command}`);
  return { group, line: `| ${name} | ${clause} | ${by ? `\`${by.command}\`` : `reserved: ${reason}`} |` };
});
for (const id of Object.keys(RESERVED))
  if (!features.some(({ group, name }) => `${group}: ${name}` === id))
    missing.push(`a reason for ${id}, which there is not`);

const text = `# What writes it

_Written by \`node conformance/written-by.mjs\`; CI compares. Do not edit._

All that a file can hold, and the first command of \`lqa\` whose file holds it. The program makes the adapters, runs the commands, and
reads the files without the library. Values of different fields combine freely: a reader decodes planes field by field. What no
command writes says why the format has it.

| adapter | what it is |
| --- | --- |
${Object.entries(ADAPTERS)
  .map(([name, [what]]) => `| ${name} | ${what} |`)
  .join("\n")}
${[...new Set(rows.map(({ group }) => group))]
  .map((group) => {
    const own = rows.filter((row) => row.group === group).map(({ line }) => line);
    return `\n## ${group}\n\n| what | clause | written by |\n| --- | --- | --- |\n${own.join("\n")}\n`;
  })
  .join("")}`;

for (const line of missing) console.error(line);
if (missing.length > 0) process.exitCode = 1;
if (!check) writeFileSync(page, text);
else if (readFileSync(page, "utf8") !== text) {
  console.error("not current: written-by.md; run: node conformance/written-by.mjs");
  process.exitCode = 1;
}
console.log(`${features.length} rows, ${files.length} commands`);

/** Runs the commands in a directory of their adapters: the parts of each file, with its command. */
async function encoded(directory) {
  const before = process.cwd();
  process.chdir(directory);
  for (const [name, [, own]] of Object.entries(ADAPTERS)) {
    mkdirSync(name, { recursive: true });
    for (const [file, bytes] of Object.entries(own)) writeFileSync(join(name, file), bytes);
  }
  writeFileSync("base.safetensors", BASE);
  const list = [];
  for (const [i, command] of COMMANDS.entries()) {
    const output = i === 0 ? "linear.lqa" : `${i}.lqa`;
    const words = command.replace("OUT", output).split(" ").slice(1);
    const code = await run([...words, "--quiet", "--force", "--workers", "1"]);
    if (code !== 0) throw new Error(`${command}: exit code ${code}`);
    const bytes = new Uint8Array(readFileSync(output));
    const meta = await (await open(bytes)).meta();
    list.push({
      command: command.replace(" -o OUT", ""),
      metaKeys: Object.keys(meta ?? {}),
      ...partsOf(bytes),
    });
  }
  process.chdir(before);
  return list;
}
