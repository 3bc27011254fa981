/**
 * Writes GGUF files, version 3, of float tensors.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { FileContent } from "../../model/content.ts";
import { quoteName } from "../json.ts";
import { byteLength, dataOf, type SafeTensor } from "../safetensors.ts";
import { DEFAULT_ALIGNMENT } from "./read.ts";

const TYPES: Readonly<Record<string, number>> = { F32: 0, F16: 1, BF16: 30 };

/** Key-value pairs as a file stores them. */
export interface GgufPairs {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly alignment: number;
}

/** Most bytes of padding in a file. Stops an alignment of a gigabyte, which is cheap to state in a file. */
const MOST_PADDING = 2 ** 26;

const utf8 = new TextEncoder();

/** Serializes pairs of texts and F32 numbers. */
export function ggufPairs(pairs: ReadonlyMap<string, string | number>): GgufPairs {
  const bytes: number[] = [];
  for (const [key, value] of pairs) {
    pushText(bytes, key);
    if (typeof value === "string") {
      pushU32(bytes, 8);
      pushText(bytes, value);
    } else {
      pushU32(bytes, 6);
      bytes.push(...new Uint8Array(new Uint32Array(new Float32Array([value]).buffer).buffer));
    }
  }
  return { count: pairs.size, bytes: Uint8Array.from(bytes), alignment: DEFAULT_ALIGNMENT };
}

/**
 * The content of a GGUF file. Shapes are outermost first, as in safetensors; GGUF stores them reversed. The data of a tensor
 * is read once, when its piece is taken.
 *
 * @param order every tensor name once
 * @throws LqaError UNSUPPORTED_DIALECT for an element type other than F32, F16 and BF16; BUDGET if the alignment of an origin
 *   record needs more than {@link MOST_PADDING} bytes of padding
 */
export function ggufContent(
  pairs: GgufPairs,
  tensors: ReadonlyMap<string, SafeTensor>,
  order: readonly string[],
): FileContent {
  const aligned = (position: number): number => Math.ceil(position / pairs.alignment) * pairs.alignment;
  const infos: number[] = [];
  let length = 0;
  let data = 0;
  for (const name of order) {
    const tensor = tensors.get(name)!;
    const { element, shape } = tensor;
    const type = TYPES[element];
    if (type === undefined) {
      return fail(KIND.UNSUPPORTED_DIALECT, {
        where: `tensor ${quoteName(name)}`,
        expected: "F32, F16 or BF16, as GGUF tensors are written",
        actual: element,
      });
    }
    pushText(infos, name);
    pushU32(infos, shape.length);
    for (const size of [...shape].reverse()) pushU64(infos, size);
    pushU32(infos, type);
    pushU64(infos, length);
    length = aligned(length + byteLength(tensor));
    data += byteLength(tensor);
  }
  const head: number[] = [0x47, 0x47, 0x55, 0x46];
  pushU32(head, 3);
  pushU64(head, order.length);
  pushU64(head, pairs.count);
  const start = aligned(head.length + pairs.bytes.length + infos.length);
  const used = head.length + pairs.bytes.length + infos.length;
  const padding = start - used + length - data;
  if (padding > MOST_PADDING) {
    fail(KIND.BUDGET, {
      where: "the GGUF file",
      expected: `at most ${MOST_PADDING} bytes of padding`,
      actual: padding,
      advice: `Its tensors are aligned at ${pairs.alignment} bytes, as in the file it came from: write another dialect.`,
    });
  }
  const first = new Uint8Array(start);
  first.set(head);
  first.set(pairs.bytes, head.length);
  first.set(infos, head.length + pairs.bytes.length);
  function* pieces(): Generator<Uint8Array, void> {
    yield first;
    for (const name of order) {
      const bytes = dataOf(name, tensors.get(name)!);
      yield bytes;
      yield new Uint8Array(aligned(bytes.length) - bytes.length);
    }
  }
  return { length: start + length, pieces };
}

function pushU32(bytes: number[], value: number): void {
  for (let shift = 0; shift < 32; shift += 8) bytes.push((value >>> shift) & 0xff);
}

function pushU64(bytes: number[], value: number): void {
  pushU32(bytes, value % 2 ** 32);
  pushU32(bytes, Math.floor(value / 2 ** 32));
}

function pushText(bytes: number[], text: string): void {
  const encoded = utf8.encode(text);
  pushU64(bytes, encoded.length);
  for (const byte of encoded) bytes.push(byte);
}
