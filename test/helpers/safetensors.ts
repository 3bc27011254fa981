/**
 * Writes and reads safetensors files of any element type, for tests. Independent of the library's own reader and writer, so that a fault
 * there cannot hide itself.
 *
 * @module
 */
import type { ElementType } from "../../src/core/index.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "./floats.ts";

/** A tensor and its bytes. */
export interface SafeTensor {
  readonly element: ElementType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A tensor of any type of the format. */
export type WrittenTensor = Omit<SafeTensor, "element"> & { readonly element: string };

/** The order of types in files of the safetensors library. */
const TYPES = "U64 I64 F64 F32 U32 I32 BF16 F16 U16 I16 F8_E4M3 F8_E5M2 I8 U8 BOOL".split(" ");
const typeOf = ({ element }: WrittenTensor): number => TYPES.indexOf(element);

/** A file with these tensors: in this order, or in that of the safetensors library, by type and then by name. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, WrittenTensor>,
  {
    metadata,
    order,
  }: {
    readonly metadata?: ReadonlyMap<string, string> | undefined;
    readonly order?: readonly string[] | undefined;
  } = {},
): Uint8Array {
  const header: Record<string, unknown> = {};
  if (metadata !== undefined) header.__metadata__ = Object.fromEntries(metadata);
  const ordered =
    order?.map((name) => [name, tensors.get(name)!] as const) ??
    [...tensors].sort(([x, a], [y, b]) => typeOf(a) - typeOf(b) || (x < y ? -1 : 1));
  let at = 0;
  for (const [name, { element, shape, data }] of ordered) {
    header[name] = { dtype: element, shape, data_offsets: [at, at + data.length] };
    at += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(8 + 8 * Math.ceil(json.length / 8), " ");
  head.writeBigUInt64LE(BigInt(head.length - 8));
  json.copy(head, 8);
  return new Uint8Array(Buffer.concat([head, ...ordered.map(([, { data }]) => data)]));
}

/** The tensors of a file, in the order of its header, and its metadata. */
export function readSafetensors(bytes: Uint8Array): {
  readonly metadata: ReadonlyMap<string, string> | undefined;
  readonly tensors: Map<string, SafeTensor>;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begin = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, begin)),
  ) as Record<string, { dtype: ElementType; shape: number[]; data_offsets: [number, number] }>;
  const tensors = Object.entries(entries).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [from, to],
      },
    ]) => {
      const data = bytes.subarray(begin + from, begin + to);
      return [name, { element: dtype, shape, data }] as const;
    },
  );
  return {
    metadata: metadata && new Map(Object.entries(metadata as unknown as Record<string, string>)),
    tensors: new Map(tensors),
  };
}

/** The bytes of numbers as elements of this type. */
export function fromFloat32(values: Float32Array, element: "F32" | "F16" | "BF16"): Uint8Array {
  const size = element === "F32" ? 4 : 2;
  const data = new Uint8Array(size * values.length);
  const view = new DataView(data.buffer);
  for (const [i, value] of values.entries())
    if (element === "F32") view.setFloat32(4 * i, value, true);
    else view.setUint16(2 * i, element === "F16" ? numberToF16(value) : numberToBf16(value), true);
  return data;
}

/** The values of an F32, F16 or BF16 tensor. */
export function toFloat32({ element, data }: Pick<SafeTensor, "element" | "data">): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = {
    F32: (i: number) => view.getFloat32(4 * i, true),
    F16: (i: number) => f16ToNumber(view.getUint16(2 * i, true)),
    BF16: (i: number) => bf16ToNumber(view.getUint16(2 * i, true)),
  }[element as "F32" | "F16" | "BF16"];
  return Float32Array.from({ length: data.length / (element === "F32" ? 4 : 2) }, (_, i) => read(i));
}
