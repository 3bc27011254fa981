/**
 * Importance matrices of llama.cpp: the GGUF files that `llama-imatrix` writes, and the older binary `.dat` files.
 *
 * For each weight matrix of the model, both hold the sums of squares of the matrix's inputs. In GGUF, tensor
 * `<name>.in_sum2` holds them as `[channels, experts]`, and `<name>.counts` holds the number of tokens per expert; sums
 * divided by counts are the moments. (This reader ignores `<name>.in_sum`, the sums without squares.) A `.dat` file has one
 * number of calls for all experts, and the sums must be divided by it. Until 2025 llama.cpp counted a call for each chunk of
 * text, so that these "moments" are a sum over a chunk instead of a mean over tokens. For all matrices that see every token
 * they are too large by the same factor, which changes no relative error and no comparison between such matrices.
 *
 * This follows `tools/imatrix/imatrix.cpp` of llama.cpp.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { assertFits, type Cursor, cursorOf, malformed, readI32, readName, take } from "../cursor.ts";
import { toFloat32 } from "../elements.ts";
import { type GgufTensor, readGguf } from "../gguf/read.ts";
import { quoteName } from "../json.ts";
import { assertSquares, type MomentsEntry, unfit } from "./entry.ts";

const SUMS = ".in_sum2";
const COUNTS = ".counts";

/**
 * @throws LqaError as `readGguf`; UNSUPPORTED_DIALECT for a GGUF file of another kind; SOURCE_IMPORTANCE for sums
 *   without counts or with shapes that do not match
 */
export function ggufEntries(bytes: Uint8Array): MomentsEntry[] {
  const { metadata, tensors } = readGguf(bytes);
  const kind = metadata.get("general.type");
  if (kind !== undefined && kind !== "imatrix") {
    const actual = typeof kind === "string" ? quoteName(kind) : typeof kind;
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: "GGUF file",
      expected: 'general.type "imatrix"',
      actual,
      advice: "Give the file that llama-imatrix wrote.",
    });
  }
  const entries: MomentsEntry[] = [];
  for (const [tensorName, sums] of tensors) {
    if (!tensorName.endsWith(SUMS)) continue;
    const name = tensorName.slice(0, -SUMS.length);
    const counts = tensors.get(name + COUNTS);
    if (counts === undefined)
      return unfit(tensorName, { expected: `a tensor ${quoteName(name + COUNTS)}`, actual: "none" });
    const [channels = 1, experts = 1, ...rest] = sums.dims;
    const counted = elements(counts);
    if (rest.some((size) => size !== 1) || channels === 0 || (counted !== experts && counted !== 1)) {
      const actual = `[${sums.dims}] and counts [${counts.dims}]`;
      unfit(tensorName, { expected: "sums [in, experts] and counts [1, experts]", actual });
    }
    const read = (): Float64Array | undefined => meansOf(name, channels, sums, counts);
    entries.push({ name, channels, length: channels * experts, read });
  }
  return entries;
}

function elements({ dims }: GgufTensor): number {
  return dims.reduce((product, size) => product * size, 1);
}

/** Sums divided by counts; an expert that no token reached gets the mean of the others. Undefined if no expert was reached. */
function meansOf(
  name: string,
  channels: number,
  sums: GgufTensor,
  counts: GgufTensor,
): Float64Array | undefined {
  const totals = floatsOf(name + SUMS, sums);
  const experts = totals.length / channels;
  const tokens = floatsOf(name + COUNTS, counts);
  const countOf = (expert: number): number => tokens[tokens.length === 1 ? 0 : expert]!;
  const all = Array.from({ length: experts }, (_, expert) => expert);
  const reached = all.filter((expert) => countOf(expert) > 0);
  if (reached.length === 0) return undefined;
  const means = new Float64Array(totals.length);
  const common = new Float64Array(channels);
  for (const expert of reached) {
    for (let j = 0; j < channels; j++) {
      const mean = totals[expert * channels + j]! / countOf(expert);
      means[expert * channels + j] = mean;
      common[j]! += mean / reached.length;
    }
  }
  for (const expert of all) if (countOf(expert) === 0) means.set(common, expert * channels);
  return means;
}

function floatsOf(name: string, { type, data }: GgufTensor): Float32Array {
  if (type !== "F32")
    return fail(KIND.SOURCE_ELEMENT_TYPE, {
      where: `tensor ${quoteName(name)}`,
      expected: "F32",
      actual: type,
      advice: "Give the file as llama-imatrix wrote it.",
    });
  const values = toFloat32({ element: "F32", data });
  assertSquares(name, values);
  return values;
}

/** Least bytes of an entry: the two lengths, the calls, one byte of name, one value. */
const LEAST_ENTRY = 4 + 1 + 4 + 4 + 4;
const MAX_NAME = 512;

/**
 * True if the bytes begin like a `.dat` file. It has no signature, so this checks for a number of entries that fits the file
 * and a name of printable ASCII.
 */
export function isDat(bytes: Uint8Array): boolean {
  if (bytes.length < 4 + LEAST_ENTRY) return false;
  const { view } = cursorOf(bytes, "");
  const entries = view.getInt32(0, true);
  const name = view.getInt32(4, true);
  if (entries < 1 || entries * LEAST_ENTRY > bytes.length || name < 1 || name > MAX_NAME) return false;
  return bytes.subarray(8, 8 + name).every((byte) => byte > 0x20 && byte < 0x7f);
}

/** @throws LqaError TRUNCATED_SOURCE, SOURCE_HEADER */
export function datEntries(bytes: Uint8Array): MomentsEntry[] {
  const cursor = cursorOf(bytes, "importance matrix");
  const count = readLength(cursor, LEAST_ENTRY, "a number of entries");
  const entries = new Map<string, MomentsEntry>();
  for (let i = 0; i < count; i++) {
    const offset = cursor.at;
    const name = readName(cursor, readLength(cursor, 1, "the length of a name"), "a name");
    if (entries.has(name)) malformed(cursor, "distinct names", `${quoteName(name)} a second time`, offset);
    const calls = readI32(cursor, "a number of calls");
    if (calls < 0) malformed(cursor, "a number of calls", calls, cursor.at - 4);
    const length = readLength(cursor, 4, "a number of values");
    const at = take(cursor, 4 * length, "values");
    const data = bytes.subarray(at, cursor.at);
    const read = (): Float64Array => {
      const values = toFloat32({ element: "F32", data });
      assertSquares(name, values);
      // As in llama.cpp: sums without a number of calls are used unchanged.
      return Float64Array.from(values, (value) => value / Math.max(calls, 1));
    };
    entries.set(name, { name, channels: undefined, length, read });
  }
  // Later versions add the number of chunks and the name of the text.
  if (cursor.at < bytes.length) {
    readI32(cursor, "a number of chunks");
    const text = cursor.at < bytes.length ? readI32(cursor, "the length of a text") : 0;
    if (text < 0) malformed(cursor, "the length of a text", text, cursor.at - 4);
    take(cursor, text, "a text");
    if (cursor.at < bytes.length) malformed(cursor, "the end of the file", "more bytes");
  }
  return [...entries.values()];
}

function readLength(cursor: Cursor, least: number, what: string): number {
  const offset = cursor.at;
  const length = readI32(cursor, what);
  if (length < 1) malformed(cursor, `${what} above 0`, length, offset);
  assertFits(cursor, length, least, what, offset);
  return length;
}
