/**
 * safetensors files: the container of nearly every adapter.
 *
 * The reader returns views into the caller's bytes, or reads the data on demand, in the order of the header. It guarantees that
 * every tensor's size follows from its shape and that the tensors tile the data exactly: no overlaps, and no gaps between or
 * after them. The writer produces the same bytes as the reference library (checked against version 0.8.0): same order, same
 * header text, same padding. The exception is metadata, which keeps the caller's order; the library's order is random.
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { ELEMENT_BYTES, type ElementType } from "../model/adapter.ts";
import { type FileContent, joinContent } from "../model/content.ts";
import type { SourceBytes } from "./dialect.ts";
import { type EightBits, widenEightBits } from "./eight-bits.ts";
import { quoteName } from "./json.ts";
import {
  type HeaderEntry,
  headerBytes,
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
  readHeader,
  type SafetensorsHeader,
} from "./safetensors-header.ts";

/**
 * One tensor: little-endian, C order. `data` may begin at any offset in its buffer. If the file is not in memory, each access
 * reads it; in an adapter that is being written, each access computes it.
 */
export type SafeTensor = TensorOf<ElementType>;

/** A tensor to write. Only the writer of PEFT directories makes F8_E4M3. */
export type WrittenTensor = TensorOf<ElementType | "F8_E4M3">;

interface TensorOf<Element> {
  readonly element: Element;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A whole file. */
export interface Safetensors {
  readonly metadata: Map<string, string> | undefined;
  /** In the order of the header. */
  readonly tensors: Map<string, SafeTensor>;
}

/**
 * Reads a safetensors file. The tensors' `data` are views, not copies; those of F8_E4M3 and F8_E5M2 are F16 tensors, widened at
 * each access.
 *
 * @throws LqaError TRUNCATED_SOURCE if the file ends early; SOURCE_ELEMENT_TYPE for an element type that LQA does not have
 * (F8_E8M0, F6, F4, C64, …); SOURCE_HEADER, with the byte offset, for everything else that breaks the format
 */
export function readSafetensors(bytes: SourceBytes): Safetensors {
  const header = readHeader(bytes.subarray(0, headerBytes(bytes.subarray(0, LENGTH_BYTES))));
  const { metadata, entries, dataStart } = header;
  const elements = checkAll(header, bytes.length, SOURCE_BYTES);
  const tensors = new Map<string, SafeTensor>();
  for (const [name, entry] of entries) {
    const element = elements.get(name)!;
    const stored = (): Uint8Array => bytes.subarray(dataStart + entry.begin, dataStart + entry.end);
    const narrow = element === "F8_E4M3" || element === "F8_E5M2";
    const tensor: SafeTensor = {
      element: narrow ? "F16" : element,
      shape: entry.shape,
      get data() {
        return narrow ? widenEightBits(stored(), element) : stored();
      },
    };
    if (element === "BOOL") checkBooleans(name, tensor.data, dataStart + entry.begin);
    tensors.set(name, tensor);
  }
  return { metadata, tensors };
}

/** Bytes of one element, of the types that {@link readSafetensors} reads. */
const SOURCE_BYTES: Readonly<Record<ElementType | EightBits, number>> = {
  ...ELEMENT_BYTES,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/**
 * Checks that the size of each tensor in a header follows from its shape, and that the tensors tile the rest of the file.
 *
 * @returns the element type of each
 * @throws LqaError as {@link readSafetensors}; SOURCE_ELEMENT_TYPE also for types of 8 bits
 */
export function checkEntries(header: SafetensorsHeader, fileLength: number): Map<string, ElementType> {
  return checkAll(header, fileLength, ELEMENT_BYTES);
}

function checkAll<Element extends string>(
  { entries, dataStart }: SafetensorsHeader,
  fileLength: number,
  sizes: Readonly<Record<Element, number>>,
): Map<string, Element> {
  const elements = new Map<string, Element>();
  for (const [name, entry] of entries) elements.set(name, checkSize(name, entry, sizes));
  checkTiling(entries, fileLength - dataStart, dataStart);
  return elements;
}

function checkSize<Element extends string>(
  name: string,
  entry: HeaderEntry,
  sizes: Readonly<Record<Element, number>>,
): Element {
  const where = `tensor ${quoteName(name)}`;
  if (!Object.hasOwn(sizes, entry.dtype)) {
    const expected = Object.keys(sizes).join(", ");
    fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected, actual: quoteName(entry.dtype), offset: entry.offset });
  }
  const element = entry.dtype as Element;
  let size: number = sizes[element];
  for (const dimension of entry.shape) {
    size *= dimension;
    // Below 2^53 every product is exact, so one comparison after each factor is enough.
    if (size > Number.MAX_SAFE_INTEGER) {
      const actual = `[${entry.shape.slice(0, 8).join(",")}]`;
      fail(KIND.SOURCE_HEADER, { where, expected: "fewer than 2^53 bytes", actual, offset: entry.offset });
    }
  }
  if (size !== entry.end - entry.begin) {
    const expected = `${size} bytes of ${element} for shape [${entry.shape.slice(0, 8).join(",")}]`;
    fail(KIND.SOURCE_HEADER, {
      where,
      expected,
      actual: `data_offsets [${entry.begin},${entry.end}]`,
      offset: entry.offset,
    });
  }
  return element;
}

function checkTiling(entries: ReadonlyMap<string, HeaderEntry>, length: number, dataStart: number): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const [name, entry] of sorted) {
    if (entry.begin !== position) {
      fail(KIND.SOURCE_HEADER, {
        where: `tensor ${quoteName(name)}`,
        expected: `data from ${position}, where the tensor before it ends`,
        actual: entry.begin,
        offset: entry.offset,
      });
    }
    position = entry.end;
  }
  const details = {
    where: "safetensors file",
    expected: `${dataStart + position} bytes`,
    actual: dataStart + length,
  };
  if (position > length) fail(KIND.TRUNCATED_SOURCE, { ...details, offset: dataStart + length });
  if (position < length) fail(KIND.SOURCE_HEADER, { ...details, offset: dataStart + position });
}

function checkBooleans(name: string, data: Uint8Array, offset: number): void {
  const index = data.findIndex((byte) => byte > 1);
  if (index < 0) return;
  fail(KIND.SOURCE_HEADER, {
    where: `tensor ${quoteName(name)}`,
    expected: "0 or 1 in a BOOL tensor",
    actual: data[index],
    offset: offset + index,
  });
}

/** Order of element types in files of the reference library, which then sorts by name. */
const LIBRARY_ORDER: readonly WrittenTensor["element"][] = [
  "U64",
  "I64",
  "F64",
  "F32",
  "U32",
  "I32",
  "BF16",
  "F16",
  "U16",
  "I16",
  "I8",
  "U8",
  "F8_E4M3",
  "BOOL",
];

/** The order in which the reference library writes these tensors. It compares names as UTF-8 bytes. */
export function libraryOrder(tensors: ReadonlyMap<string, Pick<WrittenTensor, "element">>): string[] {
  const encoder = new TextEncoder();
  const keyed = [...tensors].map(([name, { element }]) => ({
    name,
    rank: LIBRARY_ORDER.indexOf(element),
    bytes: encoder.encode(name),
  }));
  keyed.sort((a, b) => a.rank - b.rank || compareBytes(a.bytes, b.bytes));
  return keyed.map(({ name }) => name);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    if (a[index] !== b[index]) return a[index]! - b[index]!;
  }
  return a.length - b.length;
}

/** Options of {@link writeSafetensors}. */
export interface SafetensorsOptions {
  /** The header begins with it, in this order. Absent: no `__metadata__`. */
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  /** Order of the tensors, with every name once. Default: {@link libraryOrder}. */
  readonly order?: readonly string[] | undefined;
}

/** As {@link safetensorsContent}, as one array in memory. @throws RangeError as {@link safetensorsContent} */
export function writeSafetensors(
  tensors: ReadonlyMap<string, WrittenTensor>,
  options: SafetensorsOptions = {},
): Uint8Array {
  return joinContent(safetensorsContent(tensors, options));
}

/** Length of a tensor in bytes, from its shape. */
export function byteLength({ element, shape }: Pick<WrittenTensor, "element" | "shape">): number {
  return shape.reduce((product, size) => product * size, SOURCE_BYTES[element]);
}

/**
 * The content of a safetensors file. Spaces pad the header so that the data begins at a multiple of 8. The data of a tensor is
 * read once, when its piece is taken.
 *
 * @throws RangeError if `order` is not a permutation of the names or if the header would exceed 100 MB; when a piece is
 *   taken, if a tensor's data does not have the length that its shape implies. These are mistakes of the caller, not of a file.
 */
export function safetensorsContent(
  tensors: ReadonlyMap<string, WrittenTensor>,
  options: SafetensorsOptions = {},
): FileContent {
  const order = options.order ?? libraryOrder(tensors);
  if (order.length !== tensors.size || new Set(order).size !== order.length) {
    throw new RangeError("The order must name every tensor once.");
  }
  const fields: string[] = [];
  if (options.metadata !== undefined) {
    const pairs = [...options.metadata].map(
      ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
    );
    fields.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  let length = 0;
  for (const name of order) {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new RangeError(`No tensor ${quoteName(name)}.`);
    const { element, shape } = tensor;
    const end = length + byteLength(tensor);
    const span = `[${length},${end}]`;
    fields.push(`${JSON.stringify(name)}:{"dtype":"${element}","shape":[${shape}],"data_offsets":${span}}`);
    length = end;
  }
  const header = new TextEncoder().encode(`{${fields.join(",")}}`);
  const padded = Math.ceil(header.length / 8) * 8;
  if (padded > MAX_HEADER_BYTES) throw new RangeError("The header would be larger than safetensors allows.");
  const head = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(header, 8);
  function* pieces(): Generator<Uint8Array, void> {
    yield head;
    for (const name of order) yield dataOf(name, tensors.get(name)!);
  }
  return { length: head.length + length, pieces };
}

/** The data of a tensor. @throws RangeError if it does not have the length that the shape implies */
export function dataOf(name: string, tensor: WrittenTensor): Uint8Array {
  const { element, shape, data } = tensor;
  if (data.length === byteLength(tensor)) return data;
  throw new RangeError(
    `Tensor ${quoteName(name)} has ${data.length} bytes, not those of [${shape}] ${element}.`,
  );
}
