/**
 * What the hub lists about a file of a commit. Downloaded bytes are compared with it. Also sources whose errors give advice about
 * their server.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { HttpSource } from "../../io/http.ts";

/** A file in the list of its server. */
export interface ListedFile {
  readonly size?: number | undefined;
  /** Lower-case hexadecimal SHA-256 of the content. On the hub, only large files have one. */
  readonly sha256?: string | undefined;
  /** Lower-case hexadecimal name of the Git object. For small files of the hub it is that of the content. */
  readonly blob?: string | undefined;
}

/** Lower-case hexadecimal SHA-256 of bytes. */
export function sha256Of(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Lower-case hexadecimal name of the Git object with these bytes. */
export function blobOf(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** The text, if it is lower-case hexadecimal with this many digits. */
export function hexOf(value: unknown, digits: number): string | undefined {
  return typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value)
    ? value
    : undefined;
}

/** The number, if it can be the size of a file. */
export function sizeOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** @throws LqaError HTTP_RESPONSE if the list has a size and the file has another one */
export function assertSize(size: number | undefined, listed: ListedFile, where: string): void {
  if (size === undefined || listed.size === undefined || size === listed.size) return;
  fail(KIND.HTTP_RESPONSE, { where, expected: `${listed.size} bytes`, actual: size });
}

/** @throws LqaError HTTP_RESPONSE if the list has digests and the bytes have others */
export function assertListed(bytes: Uint8Array, { sha256, blob }: ListedFile, where: string): void {
  if (sha256 !== undefined) assertDigest("SHA-256", sha256, sha256Of(bytes), where);
  if (blob !== undefined) assertDigest("Git object", blob, blobOf(bytes), where);
}

/** @throws LqaError HTTP_RESPONSE unless the digests are equal */
export function assertDigest(name: string, expected: string, found: string, where: string): void {
  if (found === expected) return;
  fail(KIND.HTTP_RESPONSE, {
    where,
    expected: `${name} ${expected}, as the server lists it`,
    actual: found,
    advice: "The download is damaged, or was changed on its way. Try again; do not use it.",
  });
}

/** The same source; `told` converts each of its errors. */
export function withErrors(source: HttpSource, told: (error: unknown) => unknown): HttpSource {
  return {
    address: source.address,
    get size() {
      return source.size;
    },
    get requests() {
      return source.requests;
    },
    async read(offset, length, signal) {
      try {
        return await source.read(offset, length, signal);
      } catch (error) {
        throw told(error);
      }
    },
  };
}
