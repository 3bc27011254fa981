/**
 * Runs once before all tests: builds `dist/`, which the tests of the command line run as a user would, if it is older
 * than the sources. `npm test` has built it already; this is for `npx vitest`.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export default function setup(): void {
  // `npx vitest test/codecs` need not wait for a build that none of its tests uses.
  const filters = process.argv.slice(2).filter((word) => word.startsWith("test/"));
  const built = /^test\/(attacks|cli|conformance|faults|helpers|io|package|property|read|serve|workers)/;
  if (filters.length > 0 && !filters.some((word) => built.test(word))) return;
  if (newest(join(root, "dist")) >= newest(join(root, "src"))) return;
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  try {
    execFileSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], { cwd: root, encoding: "utf8" });
  } catch (error) {
    // The compiler emits despite type errors: let the tests say what is broken by them.
    console.error(`dist/ was built with errors:\n${(error as { stdout?: string }).stdout ?? error}`);
  }
}

/** Time of the last change of any file below a directory; 0 if there is none. */
function newest(path: string): number {
  try {
    const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    return Math.max(0, ...files.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
  } catch {
    return 0;
  }
}
