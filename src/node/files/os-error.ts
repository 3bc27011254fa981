/**
 * Converts errors of the operating system to errors of this library, with the path and a sentence of advice.
 *
 * The advice covers what users meet: a full disk, a missing permission, a folder in place of a file. The
 * original error is the `cause`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { isLqaError, LqaError } from "../../errors.ts";

const FULL = "The disk is full: free some space, or write to another disk.";

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: FULL,
  EDQUOT: "Your disk quota is used up: free some space, or write to another disk.",
  EFBIG: "The file system cannot hold a file of this size: write to another disk.",
  EACCES: "Check the permissions of the path.",
  EPERM: "Check the permissions of the path.",
  EROFS: "The file system is read-only: write to another place.",
  EISDIR: "This is a directory: give the path of a file.",
  ENOTDIR: "A part of the path is a file, not a directory: check the path.",
  ENAMETOOLONG: "Give a shorter name.",
  ELOOP: "The path is a circle of symbolic links: check the path.",
  EMFILE: "Too many files are open: try again with fewer at once.",
  EIO: "The device failed to read or write: check the disk.",
};

/** What no path on this machine looks like. */
const ADDRESS = /^[a-z][a-z0-9+.-]+:\/\//i;

/** System error code (`ENOENT`…) of a thrown value, or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/**
 * The library's error for a failed system call on `path`: NOT_FOUND for a missing path, else IO.
 * Returns an error of this library unchanged.
 */
export function osError(cause: unknown, path: string, action: "read" | "write"): LqaError {
  if (isLqaError(cause)) return cause;
  const code = systemCode(cause);
  const where = quotePath(path);
  if (action === "read" && (code === "ENOENT" || code === "ENOTDIR") && ADDRESS.test(path))
    return new LqaError(KIND.USAGE, {
      where,
      expected: "a path, or an address of a kind that this command reads",
      actual: "another kind of address",
      advice: path.startsWith("s3:")
        ? "lqa validate reads s3://bucket/prefix, and lqa encode with --out-dir does."
        : "lqa reads http://, https:// and the kinds that --help lists.",
      cause,
    });
  if (code === "ENOENT" && action === "read") return new LqaError(KIND.NOT_FOUND, { where, cause });
  if (code === "ENOENT") {
    return new LqaError(KIND.IO, {
      where,
      actual: "a directory of this path does not exist",
      advice: "Create the directory first, or check the path.",
      cause,
    });
  }
  const actual = code === "ENOSPC" ? "the disk is full (ENOSPC)" : describe(cause);
  return new LqaError(KIND.IO, { where, actual, advice: ADVICE[code ?? ""], cause });
}

/** A path as error messages show it: in quotes, control characters escaped. */
export function quotePath(path: string): string {
  return JSON.stringify(path);
}

/** `EACCES: permission denied, open 'x'` without the call and the path, which the message already names. */
function describe(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/, [a-z_]+( '.*)?$/s, "");
}
