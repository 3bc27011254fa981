/**
 * What goes into a file that is to be written: bytes that are made when they are written.
 *
 * A dialect knows the length of each of its files before it has decoded a weight. Whoever writes takes one piece after the
 * other and holds none, so that writing costs the memory of one factor. What a piece needs may fail when it is made.
 *
 * @module
 */

/** The content of a file. */
export interface FileContent {
  /** Bytes of all pieces. */
  readonly length: number;
  /** The bytes in their order. Each piece is made when it is taken. @throws LqaError SOURCE_RANGE */
  pieces(): Iterable<Uint8Array>;
}

/** Bytes that are there already. */
export function contentOf(bytes: Uint8Array): FileContent {
  return { length: bytes.length, pieces: () => [bytes] };
}

/** All bytes of a content. @throws what a piece throws */
export function joinContent({ length, pieces }: FileContent): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces()) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
