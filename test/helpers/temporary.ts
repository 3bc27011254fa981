/**
 * Places for tests to write to.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const directories: string[] = [];
const mounts: string[] = [];

// Registered when the helper is loaded: inside a running test it would be too late.
afterAll(() => {
  for (const path of mounts) execFileSync("umount", [path]);
  for (const path of directories) rmSync(path, { recursive: true, force: true });
});

/** A new empty directory that is removed after the tests of the file. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "lqa-test-"));
  directories.push(path);
  return path;
}

/** Names of everything in a directory, hidden files included. */
export function listing(path: string): string[] {
  return readdirSync(path).sort();
}

/**
 * A file system of a few kilobytes, or the reason why there can be none here. Needs root and Linux.
 */
export function tinyDisk(kilobytes: number): { readonly path: string } | { readonly skipped: string } {
  if (process.platform !== "linux") return { skipped: "needs Linux" };
  if (process.getuid?.() !== 0) return { skipped: "needs root to mount a tmpfs" };
  const mount = join(temporaryDirectory(), "disk");
  mkdirSync(mount);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", mount], { stdio: "pipe" });
  } catch (error) {
    const reason = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    return { skipped: `cannot mount a tmpfs: ${reason}` };
  }
  mounts.push(mount);
  return { path: mount };
}
