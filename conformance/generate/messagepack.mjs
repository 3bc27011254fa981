// The canonical MessagePack of clause 10.2, from JSON; { bin: hex } alone is a byte string.
import { concat, fromHex, text, u8 } from "./bytes.mjs";

const big = (width, value) => {
  const bytes = new Uint8Array(width);
  let rest = BigInt.asUintN(8 * width, BigInt(value));
  for (let i = width - 1; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 255n);
  return bytes;
};

/** The shortest head for a length: fix form up to `fix` items, else the first code whose number is wide enough. */
function head(length, fix, base, ...codes) {
  if (length < fix) return u8(base + length);
  for (const [code, width] of codes) if (length < 256 ** width) return concat(u8(code), big(width, length));
  throw new Error("too long");
}

function integer(value) {
  if (value >= 0) return head(value, 128, 0, [0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8]);
  if (value >= -32) return u8(256 + value);
  for (const [code, width] of [
    [0xd0, 1],
    [0xd1, 2],
    [0xd2, 4],
  ])
    if (value >= -(2 ** (8 * width - 1))) return concat(u8(code), big(width, value));
  return concat(u8(0xd3), big(8, value));
}

export function float(value) {
  const bytes = new Uint8Array(9);
  bytes[0] = 0xcb;
  new DataView(bytes.buffer).setFloat64(1, value);
  return bytes;
}

export const string = (value) => {
  const bytes = text(value);
  return concat(head(bytes.length, 32, 0xa0, [0xd9, 1], [0xda, 2], [0xdb, 4]), bytes);
};

export function meta(value) {
  if (value === null) return u8(0xc0);
  if (typeof value === "boolean") return u8(value ? 0xc3 : 0xc2);
  if (typeof value === "number") return Number.isSafeInteger(value) ? integer(value) : float(value);
  if (typeof value === "string") return string(value);
  if (Array.isArray(value))
    return concat(head(value.length, 16, 0x90, [0xdc, 2], [0xdd, 4]), ...value.map(meta));
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === "bin") {
    const bytes = fromHex(value.bin);
    return concat(head(bytes.length, 0, 0, [0xc4, 1], [0xc5, 2], [0xc6, 4]), bytes);
  }
  keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return concat(
    head(keys.length, 16, 0x80, [0xde, 2], [0xdf, 4]),
    ...keys.flatMap((key) => [string(key), meta(value[key])]),
  );
}
