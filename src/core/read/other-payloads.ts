/**
 * Payloads that are not of modules: the decompressor that they need, because only they may be compressed (spec clause 7.5), and
 * checks of the elements of plain tensors (clauses 6.8, 8.3 and 9.4).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import { ELEMENT_BYTES, type ElementType, type PlainTensor } from "../../model/adapter.ts";
import { nonfiniteElement } from "../codecs/check.ts";
import type { ChunkRecord, TensorRecord } from "../container/types.ts";
import { type Decompressor, loadZstd, loadZstdCodec, type Zstd } from "../container/zstd.ts";
import type { ValueOptions } from "./chunks.ts";

/**
 * Loads the decompressor for some chunks: the checks of frames, and an implementation of zstd. That is the package only if there
 * is no native one, or for the text dictionary.
 *
 * @param options.zstd takes precedence over all others
 * @returns undefined if none of these chunks is compressed
 */
export async function zstdFor(
  records: readonly Pick<ChunkRecord, "compression">[],
  options: { readonly zstd?: Zstd | undefined },
): Promise<Decompressor | undefined> {
  if (records.every(({ compression }) => compression === "none")) return undefined;
  const text = records.some(({ compression }) => compression === "text-zstd");
  const [{ decompressorOf }, zstd] = await Promise.all([
    import("./inflate.ts"),
    text ? loadZstdCodec() : (options.zstd ?? loadZstd()),
  ]);
  return decompressorOf(text ? { ...zstd, ...options.zstd } : zstd);
}

/** A tensor record with its data. */
export function tensorOf({ name, role, element, shape, axis }: TensorRecord, data: Uint8Array): PlainTensor {
  return { name, role, element, shape, axis, data };
}

/**
 * Checks elements of a plain tensor, from number `first` on.
 *
 * @param before of a tensor that is checked in pieces: the last token index of the piece before
 * @returns the last token index, for the next piece
 */
export function checkTensor(
  { report }: Pick<ValueOptions, "report">,
  record: TensorRecord,
  data: Uint8Array,
  first = 0,
  before = -1,
): number {
  const { chunk, compression, element: type } = record;
  const place = (element: number): { where: string; offset: number } => ({
    where: `tensor "${record.name}", element ${first + element}`,
    offset: chunk.offset + (compression === "none" ? (first + element) * ELEMENT_BYTES[type] : 0),
  });
  const boolean = badBoolean(type, data);
  if (boolean >= 0)
    report(
      new LqaError(KIND.TENSOR_RECORD, { ...place(boolean), expected: "0 or 1", actual: data[boolean] }),
    );
  let last = before;
  if (record.role === "token-indices") {
    const unordered = unorderedIndex(data, before);
    last = unordered.last;
    if (unordered.at >= 0)
      report(
        new LqaError(KIND.TENSOR_RECORD, { ...place(unordered.at), expected: `an index above ${last}` }),
      );
  }
  const at = nonfiniteElement(type, data);
  if (at >= 0) report(new LqaError(KIND.NONFINITE_VALUE, { ...place(at), expected: "a finite number" }));
  return last;
}

/** Number of the first element of a BOOL tensor that is neither 0 nor 1; −1 if there is none (spec clause 6.8). */
export function badBoolean(element: ElementType, data: Uint8Array): number {
  return element === "BOOL" ? data.findIndex((value) => value > 1) : -1;
}

/**
 * Checks the values of `token-indices`: distinct, in ascending order.
 *
 * @param data little-endian U32, at any byte offset
 * @param before the index before the first of `data`; −1 if there is none
 * @returns `at`: number of the first index that is not above the one before it, or −1; `last`: the last index before that
 */
function unorderedIndex(data: Uint8Array, before: number): { at: number; last: number } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let last = before;
  for (let i = 0; 4 * i < data.length; i++) {
    const index = view.getUint32(4 * i, true);
    if (index <= last) return { at: i, last };
    last = index;
  }
  return { at: -1, last };
}
