/**
 * Writes GGUF files and importance matrices, and reads the types of tensors, byte by byte after the format's description, for tests. Independent of the
 * library's own reader.
 *
 * @module
 */

/** A value with its type by number, as in the file. */
export type TypedValue = readonly [type: number, value: unknown];

/** A tensor; `type` 0 is F32. */
export interface TestGgufTensor {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
  readonly type?: number;
  /** Instead of where the data is. */
  readonly offset?: number;
}

export interface TestGguf {
  readonly version?: number;
  readonly metadata?: readonly (readonly [key: string, value: TypedValue])[];
  readonly tensors?: readonly (readonly [name: string, tensor: TestGgufTensor])[];
  readonly alignment?: number;
  /** Instead of how many there are. */
  readonly tensorCount?: bigint;
  readonly pairCount?: bigint;
}

/** Little-endian bytes under construction. */
class Bytes {
  readonly parts: number[] = [];

  number(set: (view: DataView) => void, size: number): this {
    const view = new DataView(new ArrayBuffer(size));
    set(view);
    this.parts.push(...new Uint8Array(view.buffer));
    return this;
  }
  u32(value: number): this {
    return this.number((view) => view.setUint32(0, value, true), 4);
  }
  u64(value: number | bigint): this {
    return this.number((view) => view.setBigUint64(0, BigInt(value), true), 8);
  }
  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.length).parts.push(...bytes);
    return this;
  }
  pad(alignment: number): this {
    while (this.parts.length % alignment !== 0) this.parts.push(0);
    return this;
  }
  value([type, value]: TypedValue): this {
    const put = (set: "setInt8" | "setInt16" | "setInt32" | "setUint16" | "setFloat32", size: number) =>
      this.number((view) => view[set](0, value as number, true), size);
    if (type === 0 || type === 1 || type === 7) return put("setInt8", 1);
    if (type === 2) return put("setUint16", 2);
    if (type === 3) return put("setInt16", 2);
    if (type === 4) return this.u32(value as number);
    if (type === 5) return put("setInt32", 4);
    if (type === 6) return put("setFloat32", 4);
    if (type === 8) return this.text(value as string);
    if (type === 10) return this.u64(value as bigint);
    if (type === 11) return this.number((view) => view.setBigInt64(0, value as bigint, true), 8);
    if (type === 12) return this.number((view) => view.setFloat64(0, value as number, true), 8);
    const [element, values] = value as readonly [number, readonly unknown[]];
    this.u32(element).u64(values.length);
    for (const item of values) this.value([element, item]);
    return this;
  }
}

/** The bytes of a GGUF file. */
export function gguf(file: TestGguf): Uint8Array {
  const { version = 3, metadata = [], tensors = [], alignment = 32 } = file;
  const out = new Bytes().u32(0x46554747).u32(version);
  out.u64(file.tensorCount ?? tensors.length).u64(file.pairCount ?? metadata.length);
  for (const [key, value] of metadata) out.text(key).u32(value[0]).value(value);
  let at = 0;
  for (const [name, { dims, data, type = 0, offset }] of tensors) {
    out.text(name).u32(dims.length);
    for (const dim of dims) out.u64(dim);
    out.u32(type).u64(offset ?? at);
    at = Math.ceil((at + data.length) / alignment) * alignment;
  }
  if (tensors.length > 0) out.pad(alignment);
  const header = Uint8Array.from(out.parts);
  const bytes = new Uint8Array(header.length + at);
  bytes.set(header);
  let position = header.length;
  for (const [, { data }] of tensors) {
    bytes.set(data, position);
    position += Math.ceil(data.length / alignment) * alignment;
  }
  return bytes;
}

/** Numbers as little-endian F32. */
export function f32Bytes(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    view.setFloat32(4 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}

/** Sums of squares of one weight matrix; `sums[expert][channel]`. */
export interface TestSums {
  readonly sums: readonly (readonly number[])[];
  readonly counts: readonly number[];
}

/** An importance matrix as `llama-imatrix` writes it. */
export function imatrix(entries: Readonly<Record<string, TestSums>>): Uint8Array {
  return gguf({
    metadata: [
      ["general.type", [8, "imatrix"]],
      ["imatrix.datasets", [9, [8, ["calibration.txt"]]]],
      ["imatrix.chunk_count", [4, 10]],
      ["imatrix.chunk_size", [4, 512]],
    ],
    tensors: Object.entries(entries).flatMap(([name, { sums, counts }]) => [
      [`${name}.in_sum2`, { dims: [sums[0]!.length, sums.length], data: f32Bytes(sums.flat()) }] as const,
      [`${name}.counts`, { dims: [1, counts.length], data: f32Bytes(counts) }] as const,
    ]),
  });
}

/** An entry of a `.dat` file. */
export interface TestDatEntry {
  readonly name: string;
  readonly calls: number;
  readonly values: readonly number[];
}

/** An importance matrix as earlier versions wrote it; without `dataset` as the earliest did. */
export function dat(entries: readonly TestDatEntry[], dataset?: string): Uint8Array {
  const out = new Bytes().u32(entries.length);
  for (const { name, calls, values } of entries) {
    out.u32(name.length).parts.push(...new TextEncoder().encode(name));
    out
      .u32(calls)
      .u32(values.length)
      .parts.push(...f32Bytes(values));
  }
  if (dataset !== undefined)
    out
      .u32(10)
      .u32(dataset.length)
      .parts.push(...new TextEncoder().encode(dataset));
  return Uint8Array.from(out.parts);
}

/** Sizes of the values of each type but texts (8) and lists (9). */
const SIZES: Readonly<Record<number, number>> = {
  ...{ 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 },
};

/** The types of the tensors of a GGUF file by their names, those of floats in words. */
export function ggufTypes(bytes: Uint8Array): Map<string, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 8;
  const u32 = (): number => view.getUint32((at += 4) - 4, true);
  const u64 = (): number => Number(view.getBigUint64((at += 8) - 8, true));
  const text = (): string => {
    const length = u64();
    at += length;
    return new TextDecoder().decode(bytes.subarray(at - length, at));
  };
  const skip = (type: number): void => {
    if (type === 8) text();
    else if (type === 9) for (let [item, left] = [u32(), u64()]; left > 0; left--) skip(item);
    else at += SIZES[type]!;
  };
  const [tensors, pairs] = [u64(), u64()];
  for (let i = 0; i < pairs; i++) {
    text();
    skip(u32());
  }
  const types = new Map<string, string>();
  for (let i = 0; i < tensors; i++) {
    const name = text();
    const dimensions = u32();
    at += 8 * dimensions;
    const type = u32();
    types.set(name, ["F32", "F16"][type] ?? (type === 30 ? "BF16" : String(type)));
    at += 8;
  }
  return types;
}
