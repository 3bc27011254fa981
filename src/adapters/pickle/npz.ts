/**
 * NumPy's `.npz`: a zip archive of `.npy` arrays (numpy.lib.format), which older MLX programs use for adapters.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { ELEMENT_BYTES, type ElementType } from "../../model/adapter.ts";
import { cursorOf, malformed, readU32, take } from "../cursor.ts";
import { quoteName } from "../json.ts";
import type { SafeTensor } from "../safetensors.ts";
import { readZip } from "./zip.ts";

const TYPES: ReadonlyMap<string, ElementType> = new Map([
  ["<f8", "F64"],
  ["<f4", "F32"],
  ["<f2", "F16"],
  ["<i8", "I64"],
  ["<i4", "I32"],
  ["<i2", "I16"],
  ["|i1", "I8"],
  ["<u8", "U64"],
  ["<u4", "U32"],
  ["<u2", "U16"],
  ["|u1", "U8"],
  ["|b1", "BOOL"],
]);

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Longest header. NumPy's headers have 118 bytes. */
const MAX_HEADER = 4096;
/**
 * The header is a Python dictionary. NumPy writes it in one way; MLX (`'shape': (4096, 8, )}`) puts the last commas
 * elsewhere. The pattern is unambiguous, so it cannot backtrack.
 */
const HEADER =
  /^\{'descr': '([^']{2,3})', 'fortran_order': (True|False), 'shape': \(([\d, ]{0,400})\)(?:, )?\}[ \n]*$/;
/** The sizes between the parentheses. */
const SIZES = /^(\d{1,15}(, \d{1,15}){0,31}(, ?)?)?$/;

/**
 * Reads all arrays. The name of an array is that of its entry without `.npy`.
 *
 * @throws LqaError SOURCE_HEADER, TRUNCATED_SOURCE; SOURCE_ELEMENT_TYPE for objects, big-endian numbers and the like
 */
export function readNpz(bytes: Uint8Array): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  for (const [entry, data] of readZip(bytes, "npz file")) {
    if (!entry.endsWith(".npy") || entry.length === 4) {
      fail(KIND.SOURCE_HEADER, { where: "npz file", expected: "arrays (.npy)", actual: quoteName(entry) });
    }
    tensors.set(entry.slice(0, -4), readNpy(data, `npz file, array ${quoteName(entry)}`));
  }
  return tensors;
}

function readNpy(bytes: Uint8Array, where: string): SafeTensor {
  const cursor = cursorOf(bytes, where);
  const begin = take(cursor, 8, "the signature");
  const version = bytes[begin + 6];
  if (MAGIC.some((byte, i) => bytes[begin + i] !== byte) || (version !== 1 && version !== 2)) {
    malformed(cursor, "a NumPy array of version 1 or 2", "other bytes", begin);
  }
  const length =
    version === 1 ? cursor.view.getUint16(take(cursor, 2, "a length"), true) : readU32(cursor, "a length");
  const at = take(cursor, length, "the header");
  if (length > MAX_HEADER) malformed(cursor, `a header of at most ${MAX_HEADER} bytes`, length, at);
  const found = HEADER.exec(new TextDecoder("latin1").decode(bytes.subarray(at, at + length)));
  const [, descr, fortran, sizes] = found ?? [];
  if (sizes === undefined || !SIZES.test(sizes))
    return malformed(cursor, "a header as NumPy writes it", "another", at);
  const element = TYPES.get(descr!);
  if (element === undefined) {
    return fail(KIND.SOURCE_ELEMENT_TYPE, {
      where,
      expected: [...TYPES.keys()].join(", "),
      actual: quoteName(descr!),
    });
  }
  const shape = (sizes.match(/\d+/g) ?? []).map(Number);
  if (fortran === "True" && shape.filter((size) => size > 1).length > 1) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where,
      expected: "an array in C order",
      actual: "one in Fortran order",
    });
  }
  const size = shape.reduce((product, each) => product * each, ELEMENT_BYTES[element]);
  if (!Number.isSafeInteger(size)) malformed(cursor, "fewer than 2^53 bytes", `[${shape}]`, at);
  const from = take(cursor, size, "the values");
  if (cursor.at !== bytes.length)
    malformed(cursor, "the end of the array", `${bytes.length - cursor.at} bytes more`);
  return { element, shape, data: bytes.subarray(from, from + size) };
}
