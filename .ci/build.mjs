/**
 * Builds `dist/` from `src/`: compiles what has changed, removes the output of sources that are no longer there, which tests and the
 * program would go on using, and writes the manual page. Prints the errors of the compiler, which emits despite them; the exit code is 1
 * then.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [source, output] = [join(root, "src"), join(root, "dist")];

// TypeScript 7 has no interface for programs yet: typedoc, api-extractor and our tests of documents use version 6.
const compiler = join(root, "node_modules", "typescript-7", "bin", "tsc");
const compiled = spawnSync(process.execPath, [compiler, "-b", "tsconfig.build.json"], {
  cwd: root,
  stdio: ["ignore", "inherit", "inherit"],
});

for (const name of existsSync(output) ? readdirSync(output, { recursive: true }).map(String) : []) {
  const path = join(output, name);
  // A folder that was removed a moment ago takes its files along.
  if (!existsSync(path)) continue;
  if (statSync(path).isDirectory() ? !existsSync(join(source, name)) : isStale(name))
    rmSync(path, { recursive: true });
}

// The compiler writes its record whenever it has written anything else.
const manual = join(output, "cli", "lqa.1");
const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
let failed = compiled.status !== 0;
if (changed(manual) <= changed(join(output, ".tsbuildinfo"))) {
  const page = spawnSync(process.execPath, [join(output, "cli", "main.js"), "man"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  failed ||= page.status !== 0;
  if (page.status === 0) writeFileSync(manual, page.stdout);
}
process.exitCode = failed ? 1 : 0;

/** Whether a compiled file has no source. What is not compiled, such as the manual page, stays. */
function isStale(name) {
  const module = name.replace(/(\.d)?\.[jt]s$/, "");
  return module !== name && !existsSync(join(source, `${module}.ts`));
}
