/**
 * Arrays as `.npy` files, version 1.0 of NumPy's format: magic, length of the header, header, elements in C order.
 *
 * @module
 */

/** Bytes to which the elements of a file are aligned. */
const ALIGNMENT = 64;

/** An array as a file. */
export function npyFile(
  data: Float32Array | Uint16Array,
  shape: readonly number[],
  type: "f32" | "f16",
): Uint8Array {
  const descr = type === "f32" ? "<f4" : "<f2";
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(length + data.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  bytes.set(new TextEncoder().encode(`${dictionary.padEnd(length - 11, " ")}\n`), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), length);
  return bytes;
}
