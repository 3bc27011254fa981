/**
 * Locations: how a user names a file or an adapter. A path; an `http(s)://` address of a file; or a file or folder in a
 * model repository of the Hugging Face hub, in the notation of the hub's own clients: `hf://owner/name[@revision][/path]`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** A file or folder in a model repository. */
export interface HubLocation {
  /** `owner/name`. */
  readonly repo: string;
  /** A branch, a tag or a commit. Undefined: the main branch. */
  readonly revision: string | undefined;
  /** File or folder in the repository; empty for its root. */
  readonly path: string;
}

const HUB = /^hf:\/\//i;
/** The revision ends at a slash, except in the two families of references that the hub itself makes. */
const PLACE = /^([^/@]+\/[^/@]+)(?:@(refs\/(?:pr|convert)\/[^/]+|[^/]+))?(?:\/(.*))?$/s;
/** One part of the name of a repository, as the hub allows it. */
const NAME = /^(?![.-])(?!.*(?:--|\.\.))[\w.-]{1,96}(?<![.-])$/;
/** First parts that name repositories of another kind. */
const OTHER_KINDS: ReadonlySet<string> = new Set(["datasets", "spaces", "buckets", "kernels"]);
const MOST_PATH = 1024;
const MOST_REVISION = 256;

/** Whether a location is an address rather than a path on this machine. */
export function isRemote(location: string): boolean {
  return isHub(location) || isWeb(location);
}

/** Whether a location is the address of a file on a web server. */
export function isWeb(location: string): boolean {
  return /^https?:\/\//i.test(location);
}

/** Whether a location is on the hub. */
export function isHub(location: string): boolean {
  return HUB.test(location);
}

/** `owner/name`, without its scheme. */
function isShort(location: string): boolean {
  const [owner = "", name = "", ...more] = location.split("/");
  return more.length === 0 && NAME.test(owner) && NAME.test(name);
}

/** @throws LqaError USAGE for anything but `hf://owner/name[@revision][/path]` with plain names */
export function parseHub(location: string): HubLocation {
  const [, repo, escaped, rest] = (isHub(location) && PLACE.exec(location.replace(HUB, ""))) || [];
  const revision = escaped === undefined ? undefined : unescaped(escaped);
  const path = (rest ?? "").replace(/\/$/, "");
  const [owner, name] = (repo ?? "").split("/");
  const plain =
    repo !== undefined &&
    NAME.test(owner!) &&
    NAME.test(name!) &&
    !OTHER_KINDS.has(owner!) &&
    (escaped === undefined || isRevision(revision)) &&
    (path === "" || isPlainPath(path));
  if (!plain)
    fail(KIND.USAGE, {
      expected: "hf://owner/name, hf://owner/name@revision or hf://owner/name/path of a model repository",
      actual: `${JSON.stringify(location.slice(0, 200))} is not a location on the hub`,
      advice: isShort(location)
        ? `Did you mean hf://${location}?`
        : "A slash in the name of a branch is written %2F.",
    });
  return { repo: repo!, revision, path };
}

/** A file name derived from this location: the last part of its path, without the query of an address. */
export function nameOfLocation(location: string): string {
  if (isHub(location)) {
    const { repo, path } = parseHub(location);
    return lastPart(path === "" ? repo : path);
  }
  return lastPart(location.replace(/[?#].*$/s, "").replace(/^https?:\/\/[^/]*/i, ""));
}

/** Whether a location names a whole repository, and no file in it. */
export function isWhole(location: string): boolean {
  return isHub(location) && parseHub(location).path === "";
}

/** A location that is safe to print: without the query of an address, which may hold a signature. */
export function shownLocation(location: string): string {
  return isWeb(location) ? location.replace(/[?#].*$/s, "") : location;
}

/**
 * Whether all parts of a path in a repository are valid file names: none is empty, `.` or `..`, and none has a backslash or a
 * control character.
 */
export function isPlainPath(path: string): boolean {
  if (path.length > MOST_PATH || /[\p{Cc}\p{Cs}\\]/u.test(path)) return false;
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function isRevision(revision: string | undefined): boolean {
  return revision !== undefined && revision.length <= MOST_REVISION && isPlainPath(revision);
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function lastPart(path: string): string {
  return path.split("/").filter(Boolean).at(-1) ?? "";
}
