/**
 * Runs once before all tests: builds `dist/`, which the tests of the command line run as a user would. `npm test` has built it
 * already; this is for `npx vitest`.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export default function setup(): void {
  // `npx vitest test/codecs` need not wait for a build that none of its tests uses.
  const filters = process.argv.slice(2).filter((word) => word.startsWith("test/"));
  const built = /^test\/(attacks|cli|conformance|faults|helpers|io|package|property|read|serve|workers)/;
  if (filters.length > 0 && !filters.some((word) => built.test(word))) return;
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  try {
    execFileSync(process.execPath, [compiler, "-b", "tsconfig.build.json"], { cwd: root, encoding: "utf8" });
  } catch (error) {
    // The compiler emits despite type errors: let the tests say what is broken by them.
    console.error(`dist/ was built with errors:\n${(error as { stdout?: string }).stdout ?? error}`);
  }
}
