/** Zip archives, npz and ONNX adapters that lie: typed errors, nothing allocated before its size was believed. */
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { readOnnxAdapter, writeOnnxAdapter } from "../../src/adapters/onnx/file.ts";
import { readZip } from "../../src/adapters/pickle/zip.ts";
import { readTensorFile } from "../helpers/parts.ts";
import { bytesOf, floats } from "./build.ts";
import { npy, npz } from "./small.ts";

const readNpz = (bytes: Uint8Array): ReturnType<typeof readTensorFile>["tensors"] =>
  readTensorFile(bytes, "x.npz").tensors;

/** Positions of a signature. */
function find(bytes: Uint8Array, signature: readonly number[]): number[] {
  return [...bytes.keys()].filter((at) => signature.every((byte, i) => bytes[at + i] === byte));
}
const LOCAL = [0x50, 0x4b, 3, 4];
const CENTRAL = [0x50, 0x4b, 1, 2];

/** An archive with a field of the central (and, if asked, the local) headers changed. */
function lying(bytes: Uint8Array, central: number, value: number, local?: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const at of find(copy, CENTRAL)) view.setUint32(at + central, value, true);
  if (local !== undefined) for (const at of find(copy, LOCAL)) view.setUint32(at + local, value, true);
  return copy;
}

describe("zip archives", () => {
  const bytes = zipSync({ a: new Uint8Array(1000), b: bytesOf("text") });
  it("are unpacked", () => {
    expect([...readZip(bytes, "test")].map(([name, data]) => [name, data.length])).toEqual([
      ["a", 1000],
      ["b", 4],
    ]);
  });

  it("a bomb is refused before it is unpacked", () => {
    const before = process.memoryUsage().arrayBuffers;
    // 20 bytes that say to be 2 GiB.
    expect(() => readZip(lying(bytes, 24, 2 ** 31 - 1, 22), "test")).toThrow(/at most \d+ bytes of "a"/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
    // Records of one entry of zeros: four are less than the bound for small archives, a hundred are more.
    const zeros = zipSync({ z: new Uint8Array(4e6) }, { level: 9 });
    expect(zeros.length).toBeLessThan(40_000);
    expect(() => readZip(repeated(zeros, 4), "test")).toThrow(/SOURCE_HEADER.*do not overlap/);
    expect(() => readZip(repeated(zeros, 100), "test")).toThrow(/SOURCE_HEADER.*at most \d+ bytes unpacked/);
  });

  /** The only record of an archive, many times under other names. */
  function repeated(archive: Uint8Array, count: number): Uint8Array {
    const central = find(archive, CENTRAL)[0]!;
    const end = find(archive, [0x50, 0x4b, 5, 6])[0]!;
    const header = archive.subarray(central, end);
    const records = Array.from({ length: count }, (_, i) =>
      Buffer.from(header).fill(0x20 + (i % 90), 46, 47),
    );
    const many = Buffer.concat([archive.subarray(0, central), ...records, archive.subarray(end)]);
    const last = many.length - 22;
    many.writeUInt16LE(count, last + 8);
    many.writeUInt16LE(count, last + 10);
    many.writeUInt32LE(header.length * count, last + 12);
    return many;
  }

  const plainly = zipSync({ a: new Uint8Array(1000), b: bytesOf("text") }, { level: 0 });
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /a zip archive/],
    ["half of one", bytes.subarray(0, bytes.length >> 1), /a zip archive/],
    ["without its end", bytes.subarray(0, bytes.length - 22), /a zip archive/],
    ["deflated entries that are larger than they say", lying(bytes, 24, 3), /3 bytes of "a", found more/],
    [
      "deflated entries that are smaller than they say",
      lying(bytes, 24, 1001),
      /1001 bytes of "a", found 1000/,
    ],
    ["stored entries of two sizes", lying(plainly, 24, 4), /1000 bytes of "a", found 4/],
    ["entries of another method", lying(bytes, 8, 0x00_0c_00_00), /method 12/],
    ["encrypted entries", lying(bytes, 8, 0x00_08_00_01), /not encrypted/],
    ["entries behind the end", lying(bytes, 42, 0x7fffffff), /entry "a", found none/],
    ["entries in the middle of others", lying(bytes, 42, 1), /entry "a", found none/],
    ["zip64", lying(bytes, 42, 0xffffffff), /without zip64/],
    ["more bytes than there are", lying(lying(plainly, 24, 5000), 20, 5000), /TRUNCATED_SOURCE/],
    ["two entries of one name", named("a"), /distinct entries/],
    ["a name that is no text", named("\xff"), /a name in UTF-8/],
  ])("%s", (_name, file, message) => {
    expect(() => readZip(file, "test")).toThrow(message);
  });

  it("names of the language are names like any other", () => {
    const entries = readZip(named("_", "_proto__"), "test");
    expect([...entries].map(([name, data]) => [name, data.length])).toEqual([
      ["a_proto__", 3],
      ["__proto__", 3],
    ]);
  });

  /** Two entries, "a" + rest and `first` + rest. */
  function named(first: string, rest = ""): Uint8Array {
    const two = zipSync({ [`a${rest}`]: new Uint8Array(3), [`b${rest}`]: new Uint8Array(3) }, { level: 0 });
    for (const at of [find(two, LOCAL)[1]! + 30, find(two, CENTRAL)[1]! + 46]) two[at] = first.charCodeAt(0);
    return two;
  }
});

describe("npz", () => {
  const usual = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  const file = (array: Uint8Array, name = "x.npy"): Uint8Array => zipSync({ [name]: array }, { level: 0 });
  const data = floats([2, 3]).data;

  it("is read, stored or deflated", () => {
    for (const level of [0, 6] as const) {
      const [[name, tensor]] = [...readNpz(npz([["x", floats([2, 3])]], level))] as [
        [string, ReturnType<typeof floats>],
      ];
      expect([name, tensor.element, tensor.shape, Uint8Array.from(tensor.data)]).toEqual([
        "x",
        "F32",
        [2, 3],
        Uint8Array.from(data),
      ]);
    }
    const one = readNpz(file(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (6,), }", data))).get(
      "x",
    )!;
    expect(one.shape).toEqual([6]);
    const none = readNpz(
      file(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", data.subarray(0, 4))),
    ).get("x")!;
    expect(none.shape).toEqual([]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["no array", file(bytesOf("text"), "x.txt"), /arrays \(\.npy\)/],
    ["no name", file(npy(usual, data), ".npy"), /arrays \(\.npy\)/],
    ["other bytes", file(bytesOf("text and more text")), /a NumPy array/],
    ["version 3", file(npy(usual, data).with(6, 3)), /version 1 or 2/],
    ["a header longer than the file", file(npy(usual, data).with(9, 0xff)), /TRUNCATED_SOURCE/],
    [
      "a header of 3 KB of digits, which a careless pattern never finishes",
      file(npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (${"1".repeat(3_000)},), }`, data)),
      /as NumPy writes it/,
    ],
    [
      "code as a header",
      file(npy("{'descr': __import__('os').system('id'), 'shape': (2,), }", data)),
      /as NumPy writes it/,
    ],
    ["objects", file(npy(usual.replace("<f4", "|O"), data)), /SOURCE_ELEMENT_TYPE/],
    ["big-endian numbers", file(npy(usual.replace("<f4", ">f4"), data)), /SOURCE_ELEMENT_TYPE/],
    ["Fortran order", file(npy(usual.replace("False", "True"), data)), /C order/],
    ["too little data", file(npy(usual, data.subarray(1))), /TRUNCATED_SOURCE/],
    ["too much data", file(npy(usual, floats([7]).data)), /the end of the array/],
    [
      "a shape that overflows",
      file(npy(usual.replace("2, 3", "99999999999, 99999999999"), data)),
      /fewer than 2\^53 bytes/,
    ],
  ])("%s", (_name, bytes, message) => {
    expect(() => readNpz(bytes)).toThrow(message);
  });

  it("a version 2 header longer than what is looked at is refused, not cut", () => {
    const text = bytesOf(`${usual}${" ".repeat(5000)}X`);
    const bytes = new Uint8Array(12 + text.length + data.length);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0]);
    new DataView(bytes.buffer).setUint32(8, text.length, true);
    bytes.set(text, 12);
    bytes.set(data, 12 + text.length);
    expect(() => readNpz(file(bytes))).toThrow(/at most 4096 bytes/);
  });
});

describe("ONNX adapters", () => {
  const tensors = new Map([
    ["x.lora_A.weight", floats([3, 2])],
    ["x.lora_B.weight", floats([2, 4], 2, "F16")],
  ]);
  const bytes = writeOnnxAdapter({ adapterVersion: 1, modelVersion: 2, tensors }, [...tensors.keys()]);

  it("are read as they were written, tensors at multiples of 8", () => {
    const { tensors: found, ...versions } = readOnnxAdapter(bytes);
    expect(versions).toEqual({ adapterVersion: 1, modelVersion: 2 });
    expect([...found].map(([name, { element, shape, data }]) => [name, element, shape, [...data]])).toEqual(
      [...tensors].map(([name, { element, shape, data }]) => [name, element, shape, [...data]]),
    );
    for (const { data } of found.values()) expect(data.byteOffset % 8).toBe(0);
  });

  it("every prefix is an error", () => {
    for (let length = 0; length < bytes.length; length++) {
      // What is cut off at the end may be padding.
      try {
        readOnnxAdapter(bytes.slice(0, length));
      } catch (error) {
        expect((error as { name: string }).name).toBe("LqaError");
        continue;
      }
      expect(bytes.subarray(length).every((byte) => byte === 0)).toBe(true);
    }
  });

  it("every offset and length that is changed gives the same tensors, others of the sizes they say, or an error", () => {
    const values = [0, 1, 3, 4, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc];
    let errors = 0;
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      for (const value of values) {
        const copy = bytes.slice();
        new DataView(copy.buffer).setUint32(at, value, true);
        try {
          for (const { element, shape, data } of readOnnxAdapter(copy).tensors.values()) {
            const width = {
              F32: 4,
              F16: 2,
              BF16: 2,
              F64: 8,
              I64: 8,
              U64: 8,
              I32: 4,
              U32: 4,
              I16: 2,
              U16: 2,
              I8: 1,
              U8: 1,
              BOOL: 1,
            }[element];
            expect(data.length).toBe(shape.reduce((x, y) => x * y, width));
          }
        } catch (error) {
          if ((error as { name: string }).name !== "LqaError") throw error;
          errors++;
        }
      }
    }
    expect(errors).toBeGreaterThan(400);
  });

  it("the size of a tensor that is not its shape's, the fault ONNX Runtime had, is an error", () => {
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    // The dims [3, 2] as two int64.
    const at = [...copy.keys()].find(
      (i) =>
        i % 8 === 0 &&
        view.getUint32(i, true) === 3 &&
        view.getUint32(i + 8, true) === 2 &&
        view.getUint32(i + 4, true) === 0,
    )!;
    view.setBigInt64(at, 3_000_000n, true);
    expect(() => readOnnxAdapter(copy)).toThrow(
      /SOURCE_HEADER.*24000000 bytes of F32 \[3000000,2\], found 24/,
    );
    view.setBigInt64(at, -3n, true);
    expect(() => readOnnxAdapter(copy)).toThrow(/SOURCE_HEADER.*sizes below 2\^53/);
  });
});
