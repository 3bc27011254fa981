// Bytes, checksums and numbers: spec clause 3. Nothing here, and nothing else in this folder, uses the library: what the
// suite expects follows from the specification, from these few lines, and from the SHA-256 and CRC-32 of Node.
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

export const u8 = (...values) => Uint8Array.from(values);
export const u16 = (...values) => little(2, values, (v, at, x) => v.setUint16(at, x, true));
export const u32 = (...values) => little(4, values, (v, at, x) => v.setUint32(at, x, true));
export const u64 = (...values) => little(8, values, (v, at, x) => v.setBigUint64(at, BigInt(x), true));
export const f32 = (...values) => little(4, values, (v, at, x) => v.setFloat32(at, x, true));
export const f64 = (...values) => little(8, values, (v, at, x) => v.setFloat64(at, x, true));
export const text = (string) => new TextEncoder().encode(string);
export const zeros = (length) => new Uint8Array(length);

function little(width, values, put) {
  const bytes = new Uint8Array(width * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    put(view, width * i, value);
  });
  return bytes;
}

export const concat = (...parts) => joined(parts);

/** As concat, of a list of any length. */
export function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The bytes with those from `at` on replaced. */
export function patched(bytes, at, ...values) {
  const copy = Uint8Array.from(bytes);
  copy.set(values, at);
  return copy;
}

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
export const fromHex = (string) => Uint8Array.from(Buffer.from(string.replaceAll(" ", ""), "hex"));
export const padding = (length, alignment) => zeros((alignment - (length % alignment)) % alignment);

/** 3.4 */
export { crc32 };

/** 3.5 */
export function sha256(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Seeded: the same numbers on every machine. */
export function random(seed) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x6a09e667) | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  return { below: (n) => next() % n, bits: (n) => next() >>> (32 - n) };
}

/** A seed from a name, so that a case does not change when another is added before it. */
export const seedOf = (name) => crc32(text(name));

const scratch = new DataView(new ArrayBuffer(4));
export function bitsOfF32(value) {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}
export function f32OfBits(bits) {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** 3.2: the f32 bits of a wider or equal pattern; exact, a NaN keeps sign and payload. */
export const widen = {
  1: (bits) => bits >>> 0,
  2: (bits) => {
    const sign = (bits & 0x8000) << 16;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 0x3ff;
    if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
    if (exponent === 0) return (sign | bitsOfF32(fraction * 2 ** -24)) >>> 0;
    return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  },
  3: (bits) => (bits << 16) >>> 0,
};

/** 3.2, 8.7: f32 bits rounded once to f16, to nearest, ties to even; a NaN becomes quiet. */
export function narrow(bits) {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  const value = f32OfBits(magnitude);
  if (value >= 65520) return sign | 0x7c00;
  // the distance of neighbouring f16 numbers here; the quotient is exact, and below 2^11
  const exponent = Math.max(-14, magnitude === 0 ? -14 : Math.floor(Math.log2(value)));
  let unit = 2 ** (exponent - 10);
  if (value / unit >= 2048) unit *= 2; // where log2 was rounded
  const quotient = value / unit;
  const down = Math.floor(quotient);
  const rest = quotient - down;
  const whole = down + (rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? 1 : 0);
  const biased = Math.round(Math.log2(unit)) + 10 + 14; // 0 for subnormal numbers and the first binade
  return sign | (biased * 1024 + whole);
}
