// What encoding costs and keeps, over the real adapters in $LQA_ADAPTERS (default ../shared/adapters) that this
// version reads, and over the project's own example. Run after `npm run build`: node bench/adapters.mjs [--json]

import { readAdapter } from "../dist/adapters/index.js";
import { isLqaError } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { readSourceFiles } from "../dist/node/index.js";
import { adapterFolders, VARIANTS } from "./real-adapters.mjs";

const results = [];
for (const [name, path] of adapterFolders()) {
  let files;
  try {
    files = await readSourceFiles(path);
    const adapter = readAdapter(files);
    const inputBytes = [...files.values()].reduce((sum, file) => sum + file.length, 0);
    for (const variant of VARIANTS) {
      const { report } = await encodeAdapter(adapter, { profile: "loraquant", variant });
      const plain = (await encodeAdapter(adapter, { profile: "loraquant", variant, refine: "none" })).report;
      const { modules: _, ...total } = report;
      results.push({ name, variant, inputBytes, ...total, plainRelativeError: plain.relativeError });
    }
  } catch (error) {
    if (!isLqaError(error)) throw error;
    results.push({ name, refused: error.code, reason: error.actual ?? error.message });
  }
}
if (process.argv.includes("--json"))
  console.log(
    JSON.stringify({ node: process.version, date: new Date().toISOString().slice(0, 10), results }, null, 2),
  );
else {
  console.log(
    "| adapter | variant | bytes in | bytes out | average bits | bits on disk | squared error | without refinement |\n|---|---|---|---|---|---|---|---|",
  );
  for (const r of results)
    console.log(
      r.refused
        ? `| ${r.name} | | | refused: ${r.refused}, ${r.reason} | | | | |`
        : `| ${r.name} | ${r.variant} | ${r.inputBytes} | ${r.outputBytes} | ${r.averageBits.toFixed(3)} | ${r.bitsPerParameter.toFixed(3)} | ${r.relativeError.toFixed(4)} | ${r.plainRelativeError.toFixed(4)} |`,
    );
}
