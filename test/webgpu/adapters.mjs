// Adapters for the checks on a device, encoded as `lqa encode` does: the example of this repository, and the first modules of
// some real ones, if their folder is there ($LQA_ADAPTERS, by default ../shared/adapters).
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readAdapter } from "../../dist/adapters/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { readSourceFiles } from "../../dist/node/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const REAL = ["smollm2-135m-r8", "gpt2-tigrinya-r8", "sd-skin-r4-partial-zero"];
const MODULES = 4;
const SETTINGS = { "rtn 2": { profile: "rtn" }, "1.5 bits": { bits: 1.5 } };

/** Encodes them into a folder, and returns the names of the files. */
export async function encodeAdapters(folder) {
  const real = process.env.LQA_ADAPTERS ?? join(root, "../shared/adapters");
  const sources = [["number-words", join(root, "examples/number-words/adapter")]];
  if (existsSync(real)) for (const name of REAL) sources.push([name, join(real, name)]);
  else console.log("skipped: real adapters: their folder is not there (set LQA_ADAPTERS)");
  const names = [];
  for (const [name, path] of sources) {
    const adapter = readAdapter(await readSourceFiles(path));
    const modules = adapter.modules.slice(0, MODULES);
    for (const [label, settings] of Object.entries(SETTINGS)) {
      const { bytes } = await encodeAdapter({ ...adapter, modules, tensors: [] }, settings);
      const file = `${name}, ${label}.lqa`;
      writeFileSync(join(folder, file), bytes);
      names.push(file);
    }
  }
  return names;
}
