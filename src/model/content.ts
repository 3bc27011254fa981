/**
 * The content of a file to be written: bytes that are produced on demand.
 *
 * A dialect knows the length of each of its files before it has decoded a weight. The writer takes one piece after the other
 * and holds none, so that writing costs the memory of one factor. Producing a piece may fail.
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
