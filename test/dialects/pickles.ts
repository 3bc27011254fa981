/**
 * Writes pickles and files of `torch.save` byte by byte after Python's pickletools, for tests.
 *
 * @module
 */

import { zipSync } from "fflate";
import type { SafeTensor } from "../helpers/safetensors.ts";

/** Bytes of a program under construction. */
export class Pickle {
  readonly bytes: number[] = [0x80, 2];

  op(...codes: number[]): this {
    this.bytes.push(...codes);
    return this;
  }
  u32(value: number): this {
    return this.op(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  }
  /** BINUNICODE. */
  text(value: string): this {
    const utf8 = [...new TextEncoder().encode(value)];
    return this.op(0x58)
      .u32(utf8.length)
      .op(...utf8);
  }
  /** BININT. */
  int(value: number): this {
    return this.op(0x4a).u32(value);
  }
  /** GLOBAL. */
  name(module: string, name: string): this {
    return this.op(0x63, ...new TextEncoder().encode(`${module}\n${name}\n`));
  }
  /** A tuple of integers. */
  ints(values: readonly number[]): this {
    this.op(0x28);
    for (const value of values) this.int(value);
    return this.op(0x74);
  }
  /** With STOP. */
  done(): Uint8Array {
    return Uint8Array.from([...this.bytes, 0x2e]);
  }
}

const STORAGES: Readonly<Record<string, string>> = {
  F32: "FloatStorage",
  F16: "HalfStorage",
  BF16: "BFloat16Storage",
  F64: "DoubleStorage",
  I64: "LongStorage",
};

/** A view of a storage. */
export interface TestView {
  readonly key: string;
  readonly element: string;
  /** Elements of the storage. */
  readonly count: number;
  readonly begin?: number;
  readonly shape: readonly number[];
  readonly stride?: readonly number[];
}

/** Strides of C order. */
function cOrder(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** The program of a dictionary of tensors, as torch.save writes it. `legacy`: references have a view behind them. */
export function stateDict(views: readonly (readonly [string, TestView])[], legacy = false): Pickle {
  // OrderedDict(), MARK, items, SETITEMS.
  const pickle = new Pickle().name("collections", "OrderedDict").op(0x29, 0x52, 0x28);
  for (const [name, { key, element, count, begin = 0, shape, stride = cOrder(shape) }] of views) {
    pickle.text(name).name("torch._utils", "_rebuild_tensor_v2").op(0x28, 0x28);
    pickle
      .text("storage")
      .name("torch", STORAGES[element] ?? element)
      .text(key)
      .text("cpu")
      .int(count);
    if (legacy) pickle.op(0x4e);
    pickle.op(0x74, 0x51).int(begin).ints(shape).ints(stride);
    pickle.op(0x89).name("collections", "OrderedDict").op(0x29, 0x52, 0x74, 0x52);
  }
  return pickle.op(0x75);
}

/** An archive with this program and these storages. */
export function archive(program: Uint8Array, storages: Record<string, Uint8Array> = {}): Uint8Array {
  const data = Object.entries(storages).map(([key, bytes]): [string, Uint8Array] => [
    `archive/data/${key}`,
    bytes,
  ]);
  return zipSync({ "archive/data.pkl": program, ...Object.fromEntries(data) }, { level: 0 });
}

/** A file of `torch.save`: an archive, or what versions before 1.6 wrote. */
export function torchFile(
  tensors: readonly (readonly [string, SafeTensor])[],
  form: "archive" | "legacy" = "archive",
): Uint8Array {
  const views = tensors.map(([name, { element, shape }], i): [string, TestView] => [
    name,
    { key: `${i}`, element, count: shape.reduce((a, b) => a * b, 1), shape },
  ]);
  if (form === "archive") {
    return archive(
      stateDict(views).done(),
      Object.fromEntries(tensors.map(([, { data }], i) => [`${i}`, data])),
    );
  }
  return legacyFile(
    stateDict(views, true).done(),
    tensors.map(([, { data }], i) => ({ key: `${i}`, count: views[i]![1].count, data })),
  );
}

/** Magic number, protocol, machine, object, keys, storages. */
export function legacyFile(
  program: Uint8Array,
  storages: readonly { readonly key: string; readonly count: number; readonly data: Uint8Array }[],
): Uint8Array {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  const protocol = new Pickle().op(0x4d, 0xe9, 3).done();
  const machine = new Pickle().op(0x7d, 0x28).text("little_endian").op(0x88, 0x75).done();
  const keys = new Pickle().op(0x5d, 0x28);
  for (const { key } of storages) keys.text(key);
  const parts: Uint8Array[] = [Uint8Array.from(magic), protocol, machine, program, keys.op(0x65).done()];
  for (const { count, data } of storages) {
    const size = new Uint8Array(8);
    new DataView(size.buffer).setBigUint64(0, BigInt(count), true);
    parts.push(size, data);
  }
  return new Uint8Array(Buffer.concat(parts));
}
