/**
 * What a push does, before it does it: the same for the hub and for registries.
 *
 * @module
 */
import { basename } from "node:path";
import type { HttpOptions } from "../../core/io/http.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { isPlainPath } from "./location.ts";

/** How {@link openPush} pushes. */
export interface PushOptions {
  /** Replace a file of the same name that has other bytes; in a registry, a tag of another artifact. */
  readonly force?: boolean | undefined;
  /** Replace a README.md that this library did not write, or that was changed since. Of the hub only. */
  readonly replaceCard?: boolean | undefined;
  /** Visibility of a repository that is created. Default: that of the account. Of the hub only. */
  readonly private?: boolean | undefined;
  /** Title of the commit. Default: "Add NAME". Of the hub only. */
  readonly message?: string | undefined;
  readonly remote?: HttpOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where a file will be. */
export interface PushTarget {
  /** `hf://owner/name/path`, with the branch if one was given; or `oci://host/name:tag`. */
  readonly location: string;
  /** Address from which everybody downloads it; undefined in a registry, whose addresses need a client. */
  readonly address: string | undefined;
  /** What the repository or artifact is called: the last part of its name. */
  readonly name: string;
}

/** What a push does. */
export interface PushPlan {
  readonly target: PushTarget;
  /** Whether the repository is not there yet, as far as this token can see. A registry does not say: false. */
  readonly creates: boolean;
  /** Files that are pushed: of a commit, those that the repository does not have already. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Why the card is not among them. */
  readonly cardKept: "unchanged" | "not written by lqa" | undefined;
  /** Pushes. @returns the commit, or the digest of the artifact; undefined if there is nothing to push */
  push(): Promise<string | undefined>;
}

/** Name of the model card. */
export const CARD = "README.md";

/**
 * The path that a file gets in a repository or artifact.
 *
 * @param path of the file on this machine, whose name is used where the location has no path
 * @throws LqaError USAGE unless it is a plain path that ends in `.lqa`
 */
export function pushPath(path: string, given: string): string {
  const full = given === "" ? basename(path) : given;
  if (!isPlainPath(full) || !/\.lqa$/i.test(full))
    fail(KIND.USAGE, {
      where: "location",
      expected: "a location without a path, or with one that ends in .lqa",
      actual: JSON.stringify(full.slice(0, 200)),
    });
  return full;
}
