/**
 * A field: some bytes of a file that mean something together.
 *
 * @module
 */

/** Value of the field, as text. */
export interface ByteField {
  /** In the file. */
  readonly offset: number;
  readonly length: number;
  readonly name: string;
  /** Undefined where it is not told, or not all of its bytes are there. */
  readonly value: string | undefined;
  readonly clause: string;
}

/** Bytes of a file, and where they stand in it. */
export interface Stretch {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A field with its value, if all of it is there. */
export function field(
  offset: number,
  length: number,
  name: string,
  clause: string,
  { offset: base, bytes }: Stretch,
  read: (bytes: Uint8Array) => string,
): ByteField {
  const own = offset < base ? undefined : bytes.subarray(offset - base, offset - base + length);
  return { offset, length, name, clause, value: own?.length === length ? read(own) : undefined };
}

/** Bytes between two others, if there are any, and whether they are the zeros that they should be. */
export function* gap(
  offset: number,
  end: number,
  name: string,
  clause: string,
  stretch: Stretch,
): Generator<ByteField> {
  const read = (bytes: Uint8Array): string => (bytes.every((byte) => byte === 0) ? "zeros" : "not all zeros");
  if (end > offset) yield field(offset, end - offset, name, clause, stretch, read);
}
