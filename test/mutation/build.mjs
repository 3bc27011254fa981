// Compiles what the runner loads to JavaScript beside each source, in the sandbox of StrykerJS. Types are checked elsewhere.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};
for (const folder of ["src", "test"])
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/(?<!\.d)\.ts$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), { compilerOptions });
    writeFileSync(path.replace(/ts$/, "js"), outputText);
  }
