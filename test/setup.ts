/**
 * Runs once before all tests, whichever are chosen: builds `dist/`, which the tests of the command line and of threads run as a user
 * would. When nothing has changed, this takes 0.2 s of CPU time.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export default function setup(): void {
  // The compiler emits despite type errors, and prints them: the tests then say what they break.
  spawnSync(process.execPath, [join(root, ".ci", "build.mjs")], { stdio: ["ignore", "inherit", "inherit"] });
  if (!existsSync(join(root, "dist", "cli", "main.js"))) throw new Error("dist/ could not be built");
}
