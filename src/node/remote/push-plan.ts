/**
 * The plan of a push: what it will do.
 *
 * @module
 */
import { basename } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { HttpOptions } from "../../io/http.ts";
import { LQA_FILE } from "../files/adapter-names.ts";
import { isPlainPath } from "./location.ts";

/** Options of {@link openPush}. */
export interface PushOptions {
  /** Replaces a file that has the same name but other bytes. */
  readonly force?: boolean | undefined;
  /** Replaces a README.md that this library did not write, or that someone changed since. */
  readonly replaceCard?: boolean | undefined;
  /** Visibility of a new repository. Default: that of the account. */
  readonly private?: boolean | undefined;
  /** `adapter_config.json` that goes next to the file, in the layout of docs/peft-layout.md. Default: none. */
  readonly config?: Uint8Array | undefined;
  /** Title of the commit. Default: "Add NAME". */
  readonly message?: string | undefined;
  readonly remote?: HttpOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The target of a pushed file. */
export interface PushTarget {
  /** `hf://owner/name/path`, with the branch if the user named one. */
  readonly location: string;
  /** Public address of the file. */
  readonly address: string;
  /** Name of the repository, without its owner. */
  readonly name: string;
}

/** A planned push. */
export interface PushPlan {
  readonly target: PushTarget;
  /** Whether the push creates the repository, as far as this token can see. */
  readonly creates: boolean;
  /** Files to push: those that the repository does not have yet. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Why the push does not include the card. */
  readonly cardKept: "unchanged" | "not written by lqa" | undefined;
  /** Pushes. @returns the commit; undefined if there is nothing to push */
  push(): Promise<string | undefined>;
}

/** Name of the model card. */
export const CARD = "README.md";
/** Most bytes of a model card. */
export const MOST_CARD: number = 2 ** 20;

/**
 * The path of a file in a repository.
 *
 * @param path path of the file on this machine; its name is used if `given`, the path in the location, is empty, and in that
 * folder if the file is `adapter_model.lqa`. A name without the ending gets it: other programs find the file by it
 * @throws LqaError USAGE unless it is a plain path that ends in `.lqa`
 */
export function pushPath(path: string, given: string): string {
  const base = basename(path);
  const name = /\.lqa$/i.test(base) ? base : `${base}.lqa`;
  const isFolder = name === LQA_FILE && given !== "" && !/\.lqa$/i.test(given);
  const full = given === "" ? name : isFolder ? `${given.replace(/\/$/, "")}/${name}` : given;
  if (!isPlainPath(full) || !/\.lqa$/i.test(full))
    fail(KIND.USAGE, {
      where: "location",
      expected: "a location without a path, or with one that ends in .lqa",
      actual: JSON.stringify(full.slice(0, 200)),
    });
  return full;
}
