// The adapters that benches run over: the project's own example, and the real ones in $LQA_ADAPTERS (default
// ../shared/adapters), which are not part of the project.
import { existsSync, readdirSync } from "node:fs";

/** Names and folders; says so on stderr when the real ones are absent. */
export function adapterFolders() {
  const root = process.env.LQA_ADAPTERS ?? new URL("../../shared/adapters", import.meta.url).pathname;
  const real = existsSync(root)
    ? readdirSync(root, { withFileTypes: true }).filter((e) => e.isDirectory())
    : [];
  if (real.length === 0) console.error(`skipped: no adapters in ${root}`);
  const own = new URL("../examples/number-words/adapter", import.meta.url).pathname;
  return [["number-words (ours)", own], ...real.map((e) => [e.name, `${root}/${e.name}`])];
}

/** The published variants of LoRAQuant. */
export const VARIANTS = ["2@0.8", "2@0.9", "3@0.8", "3@0.9"];
