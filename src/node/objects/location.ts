/**
 * Locations in object storage: `s3://bucket/prefix`, and keys below one.
 *
 * A location has one meaning for every reader: a bucket and the parts of a prefix, none of them empty, `.` or `..`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** A bucket and a prefix in it. */
export interface Location {
  readonly bucket: string;
  /** Parts of the prefix; empty for the whole bucket. */
  readonly parts: readonly string[];
}

/** Most bytes of a key below a location. Object storage allows 1,024 bytes, prefix included. */
const MOST_KEY = 900;
const MOST_LOCATION = 1024;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/;

/**
 * Parses `s3://bucket/prefix`, with or without a slash at the end.
 *
 * @throws LqaError USAGE for anything else
 */
export function parseLocation(text: string): Location {
  const location = parseObjectLocation(text);
  if (location !== undefined) return location;
  return fail(KIND.USAGE, {
    where: "location",
    expected: "s3://bucket/prefix, whose parts are plain names",
    actual: JSON.stringify(text.slice(0, 200)),
    advice: "Give a bucket of object storage, and a prefix without empty parts, . and .. if there is one.",
  });
}

/** Whether a location is in object storage. */
export function isStored(location: string): boolean {
  return location.startsWith("s3://");
}

/** The location, or undefined if the text is not one. */
function parseObjectLocation(text: string): Location | undefined {
  if (Buffer.byteLength(text) > MOST_LOCATION) return undefined;
  const [, bucket, rest] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text) ?? [];
  if (bucket === undefined || !BUCKET.test(bucket)) return undefined;
  const prefix = (rest ?? "").replace(/\/$/, "");
  if (prefix === "") return rest === "/" ? undefined : { bucket, parts: [] };
  return isPlainKey(prefix) ? { bucket, parts: prefix.split("/") } : undefined;
}

/**
 * Whether all parts of a key are valid file names everywhere: none is empty, `.` or `..`, and none has a backslash, a
 * control character or half of a surrogate pair. A key has at most 900 bytes, and a part at most 240.
 */
export function isPlainKey(key: string): boolean {
  if (Buffer.byteLength(key) > MOST_KEY || /[\p{Cc}\p{Cs}\\]/u.test(key)) return false;
  return key
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 240);
}
