/**
 * ONNX Runtime's adapter files (`.onnx_adapter`): a FlatBuffer `TORT` with a list of named tensors. Also their predecessor of
 * ONNX Runtime GenAI 0.4 (`adapter_weights.fb`, `GAIL`, genai_lora.fbs there), which has no versions.
 *
 * The JavaScript runtime of FlatBuffers checks nothing while it reads, so this file reads by itself and checks every offset
 * against the end of the file. ONNX Runtime's own loader had a heap overflow because it did not compare the size of a tensor
 * with its shape (fixed in 2026).
 *
 * @module
 */
import { Builder } from "flatbuffers";
import { decodeUtf8 } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { ELEMENT_BYTES, type ElementType } from "../../model/adapter.ts";
import { quoteName } from "../json.ts";
import type { SafeTensor } from "../safetensors.ts";

/** ONNX's numbers of element types. */
const TYPES: ReadonlyMap<number, ElementType> = new Map([
  [1, "F32"],
  [2, "U8"],
  [3, "I8"],
  [4, "U16"],
  [5, "I16"],
  [6, "I32"],
  [7, "I64"],
  [9, "BOOL"],
  [10, "F16"],
  [11, "F64"],
  [12, "U32"],
  [13, "U64"],
  [16, "BF16"],
]);

const WHERE = "ONNX Runtime adapter";
const FORMAT_VERSION = 1;

/** A whole file. */
export interface OnnxAdapter {
  /** Versions that the file's writer gave to the adapter and its model. */
  readonly adapterVersion: number;
  readonly modelVersion: number;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}

/** Number of the field that holds the list of tensors, by file identifier. */
const LISTS: ReadonlyMap<string, number> = new Map([
  ["TORT", 3],
  ["GAIL", 1],
]);

function listField(bytes: Uint8Array): number | undefined {
  return LISTS.get(String.fromCharCode(...bytes.subarray(4, 8)));
}

/** True if the bytes begin like an ONNX adapter file. */
export function isOnnxAdapter(bytes: Uint8Array): boolean {
  return listField(bytes) !== undefined;
}

/** Checked access to the bytes. */
interface Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function bad(expected: string, actual: string | number, offset: number): never {
  return fail(KIND.SOURCE_HEADER, { where: WHERE, expected, actual, offset });
}

function check({ bytes }: Reader, at: number, length: number): number {
  if (at < 0 || at + length > bytes.length) bad("offsets inside the file", at, at);
  return at;
}

const u32 = (reader: Reader, at: number): number => reader.view.getUint32(check(reader, at, 4), true);
const i32 = (reader: Reader, at: number): number => reader.view.getInt32(check(reader, at, 4), true);

/** Target of an offset. */
function follow(reader: Reader, at: number): number {
  const step = u32(reader, at);
  if (step === 0) bad("an offset", 0, at);
  return check(reader, at + step, 4);
}

/** Position of a field of a table; undefined if it is absent. */
function field(reader: Reader, table: number, id: number): number | undefined {
  const vtable = check(reader, table - i32(reader, table), 4);
  const size = reader.view.getUint16(vtable, true);
  const inline = reader.view.getUint16(vtable + 2, true);
  check(reader, vtable, Math.max(4, size));
  const slot = 4 + 2 * id;
  const offset = slot + 2 > size ? 0 : reader.view.getUint16(vtable + slot, true);
  if (offset === 0) return undefined;
  if (offset >= inline) bad(`a field inside its table of ${inline} bytes`, offset, vtable + slot);
  return check(reader, table + offset, 4);
}

/** A vector of elements of `width` bytes: the position of the first, and their number. */
function vector(reader: Reader, at: number, width: number): { begin: number; count: number } {
  const start = follow(reader, at);
  const count = u32(reader, start);
  if (count * width > reader.bytes.length) bad("a length inside the file", count, start);
  return { begin: check(reader, start + 4, count * width), count };
}

/**
 * Reads a file. The tensors' `data` are views.
 *
 * @throws LqaError SOURCE_HEADER for everything that breaks the format; SOURCE_ELEMENT_TYPE; UNSUPPORTED_DIALECT for
 * another format version
 */
export function readOnnxAdapter(bytes: Uint8Array): OnnxAdapter {
  const reader: Reader = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
  const tensorList = listField(bytes) ?? bad('the identifier "TORT"', "other bytes", 4);
  const root = follow(reader, 0);
  const number = (id: number): number => {
    const at = field(reader, root, id);
    return at === undefined ? 0 : i32(reader, at);
  };
  const version = number(0);
  if (version !== FORMAT_VERSION) {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: WHERE,
      expected: `format version ${FORMAT_VERSION}`,
      actual: version,
    });
  }
  const tensors = new Map<string, SafeTensor>();
  const list = field(reader, root, tensorList);
  const { begin, count } = list === undefined ? { begin: 0, count: 0 } : vector(reader, list, 4);
  for (let i = 0; i < count; i++) {
    const at = follow(reader, begin + 4 * i);
    const { name, tensor } = readParameter(reader, at);
    if (tensors.has(name)) bad("distinct names", `${quoteName(name)} a second time`, at);
    tensors.set(name, tensor);
  }
  const [adapterVersion, modelVersion] = tensorList === 3 ? [number(1), number(2)] : [1, 1];
  return { adapterVersion, modelVersion, tensors };
}

function readParameter(reader: Reader, table: number): { name: string; tensor: SafeTensor } {
  const required = (id: number): number =>
    field(reader, table, id) ?? bad("name, dims, type and data", "less", table);
  const text = vector(reader, required(0), 1);
  const name = decodeName(reader, text.begin, text.count);
  const where = `${WHERE}, tensor ${quoteName(name)}`;
  const dims = vector(reader, required(1), 8);
  if (dims.count > 8) bad("at most 8 axes", dims.count, dims.begin);
  const shape = Array.from({ length: dims.count }, (_, i) => {
    const size = Number(reader.view.getBigInt64(dims.begin + 8 * i, true));
    return Number.isSafeInteger(size) && size >= 0 ? size : bad("sizes below 2^53", size, dims.begin + 8 * i);
  });
  const type = i32(reader, required(2));
  const element = TYPES.get(type);
  if (element === undefined) {
    return fail(KIND.SOURCE_ELEMENT_TYPE, {
      where,
      expected: "a number or a bool",
      actual: `ONNX type ${type}`,
    });
  }
  const data = vector(reader, required(3), 1);
  const size = shape.reduce((product, each) => product * each, ELEMENT_BYTES[element]);
  if (size !== data.count) bad(`${size} bytes of ${element} [${shape}]`, data.count, data.begin);
  return {
    name,
    tensor: { element, shape, data: reader.bytes.subarray(data.begin, data.begin + data.count) },
  };
}

function decodeName({ bytes }: Reader, begin: number, length: number): string {
  let name: string;
  try {
    name = decodeUtf8(bytes.subarray(begin, begin + length));
  } catch {
    return bad("a name in UTF-8", "bytes that are not", begin);
  }
  if (name !== "" && !name.includes("\0")) return name;
  return bad("a name that is not empty and has no NUL", quoteName(name), begin);
}

/** Writes a file, tensors in `order`. */
export function writeOnnxAdapter(
  { adapterVersion, modelVersion, tensors }: OnnxAdapter,
  order: readonly string[],
): Uint8Array {
  const numbers = new Map([...TYPES].map(([number, element]) => [element, number]));
  const builder = new Builder(1024);
  const tables = order.map((name) => {
    const { element, shape, data } = tensors.get(name)!;
    // The schema aligns the data at 8 bytes.
    builder.prep(8, data.length);
    const bytes = builder.createByteVector(data);
    builder.startVector(8, shape.length, 8);
    for (const size of [...shape].reverse()) builder.addInt64(BigInt(size));
    const dims = builder.endVector();
    const text = builder.createString(name);
    builder.startObject(4);
    builder.addFieldOffset(0, text, 0);
    builder.addFieldOffset(1, dims, 0);
    builder.addFieldInt32(2, numbers.get(element)!, 0);
    builder.addFieldOffset(3, bytes, 0);
    return builder.endObject();
  });
  builder.startVector(4, tables.length, 4);
  for (const table of tables.reverse()) builder.addOffset(table);
  const list = builder.endVector();
  builder.startObject(4);
  builder.addFieldInt32(0, FORMAT_VERSION, 0);
  builder.addFieldInt32(1, adapterVersion, 0);
  builder.addFieldInt32(2, modelVersion, 0);
  builder.addFieldOffset(3, list, 0);
  builder.finish(builder.endObject(), "TORT");
  return builder.asUint8Array().slice();
}
