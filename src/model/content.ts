/**
 * The content of a file to write: bytes that are produced on demand.
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
  /** The bytes in their order. The iterator makes each piece when the caller takes it. @throws LqaError SOURCE_RANGE */
  pieces(): Iterable<Uint8Array>;
}

/** Content from bytes in memory, as one piece. */
export function contentOf(bytes: Uint8Array): FileContent {
  return { length: bytes.length, pieces: () => [bytes] };
}

/** Joins all pieces of a content. @throws any error that making a piece throws */
export function joinContent({ length, pieces }: FileContent): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces()) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
