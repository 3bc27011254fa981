// invalid/meta: MessagePack that is not in the canonical subset (spec clause 10.2).
import { concat, f32, fromHex, text, u8 } from "./bytes.mjs";
import { module, section } from "./compose.mjs";
import { shortFrames } from "./frames.mjs";
import { float, meta, string } from "./messagepack.mjs";

/** { a: value } with the value as bytes in hexadecimal. */
const value = (hex) => concat(u8(0x81), string("a"), typeof hex === "string" ? fromHex(hex) : hex);
const map = (...pairs) =>
  concat(
    u8(0x80 + pairs.length),
    ...pairs.flatMap(([key, item]) => [typeof key === "string" ? string(key) : key, item]),
  );
const one = u8(1);

const documents = {
  "no-bytes": new Uint8Array(0),
  nil: fromHex("c0"),
  "an-array": fromHex("90"),
  "a-string": string("META"),
  "a-number": one,
  "two-maps": fromHex("8080"),
  "byte-behind": fromHex("80c0"),
  "map-cut-before-a-key": fromHex("81"),
  "map-cut-before-a-value": fromHex("81a161"),
  "map-of-more-than-there-is": fromHex("de0010a16101"),
  "map-of-2-to-the-32": fromHex("dfffffffff"),
  "array-of-2-to-the-32": value("ddffffffff"),
  "string-of-2-to-the-32": value("dbffffffff61"),
  "binary-of-2-to-the-32": value("c6ffffffff00"),
  "string-cut": value("a26162").subarray(0, 5),
  "number-cut": value("cd01"),
  "float-cut": value("cb3ff8"),
  "keys-not-sorted": map(["b", one], ["a", one]),
  "key-twice": map(["a", one], ["a", one]),
  "key-twice-not-adjacent": map(["a", one], ["b", one], ["a", one]),
  "keys-sorted-by-length": map(["b", one], ["aa", one]),
  "keys-sorted-without-case": map(["a", one], ["B", one]),
  "nested-keys-not-sorted": value(map(["z", one], ["y", one])),
  "nested-keys-in-an-array-not-sorted": value(concat(u8(0x91), map(["z", one], ["y", one]))),
  "key-empty": map(["", one]),
  "key-256-characters": map(["k".repeat(256), one]),
  "key-with-line-feed": map(["a\n", one]),
  "key-delete": map(["\u007f", one]),
  "key-not-ascii": map(["é", one]),
  "key-number": map([one, one]),
  "key-nil": map([fromHex("c0"), one]),
  "key-binary": map([fromHex("c40161"), one]),
  "key-array": map([fromHex("90"), one]),
  "key-map": map([fromHex("80"), one]),
  "key-proto": map(["__proto__", one]),
  "key-proto-nested": value(map(["__proto__", one])),
  "key-in-the-long-form": map([fromHex("d90161"), one]),
  "map-in-the-long-form": concat(fromHex("de0001"), string("a"), one),
  "map-in-the-longest-form": concat(fromHex("df00000001"), string("a"), one),
  "empty-map-in-the-long-form": fromHex("de0000"),
  "array-in-the-long-form": value("dc0000"),
  "array-in-the-longest-form": value(concat(fromHex("dd0000000f"), new Uint8Array(15))),
  "array-of-16-in-the-longest-form": value(concat(fromHex("dd00000010"), new Uint8Array(16))),
  "string-8-of-31": value(concat(fromHex("d91f"), text("x".repeat(31)))),
  "string-16-of-255": value(concat(fromHex("da00ff"), text("x".repeat(255)))),
  "string-32-of-256": value(concat(fromHex("db00000100"), text("x".repeat(256)))),
  "binary-16-of-255": value(concat(fromHex("c500ff"), new Uint8Array(255))),
  "binary-32-of-256": value(concat(fromHex("c600000100"), new Uint8Array(256))),
  "u8-of-127": value("cc7f"),
  "u16-of-255": value("cd00ff"),
  "u32-of-65535": value("ce0000ffff"),
  "u64-of-2-to-the-32-minus-1": value("cf00000000ffffffff"),
  "i8-of-minus-32": value("d0e0"),
  "i16-of-minus-128": value("d1ff80"),
  "i32-of-minus-32768": value("d2ffff8000"),
  "i64-of-minus-2-to-the-31": value("d3ffffffff80000000"),
  "i8-of-1": value("d001"),
  "i16-of-1000": value("d103e8"),
  "i32-of-100000": value("d2000186a0"),
  "i64-of-2-to-the-40": value("d30000010000000000"),
  "u64-of-2-to-the-53": value("cf0020000000000000"),
  "u64-of-all-ones": value("cfffffffffffffffff"),
  "i64-of-minus-2-to-the-53": value("d3ffe0000000000000"),
  "i64-smallest": value("d38000000000000000"),
  "float-32": value(concat(u8(0xca), Uint8Array.from(f32(0.5)).reverse())),
  "float-of-1": value(float(1)),
  "float-of-0": value(float(0)),
  "float-of-minus-0": value(float(-0)),
  "float-of-2-to-the-53-minus-1": value(float(2 ** 53 - 1)),
  "float-nan": value(float(Number.NaN)),
  "float-infinity": value(float(Infinity)),
  "float-minus-infinity": value(float(-Infinity)),
  "type-c1": value("c1"),
  "extension-1": value("d40100"),
  "extension-2": value("d5010000"),
  "extension-16": value(concat(fromHex("d801"), new Uint8Array(16))),
  "extension-8": value("c7010100"),
  "extension-32": value("c9000000010100"),
  timestamp: value("d6ff00000000"),
  "string-not-utf-8": value("a1ff"),
  "string-cut-character": value("a1c3"),
  "string-cut-character-before-a-key": map(["a", fromHex("a1c3")], ["b", one]),
  "string-surrogate": value("a3eda080"),
  "string-overlong": value("a2c080"),
  "depth-17": value(`${"91".repeat(15)}90`),
  "depth-17-of-maps": concat(...Array(16).fill(fromHex("81a161")), fromHex("80")),
  "depth-5000": value("91".repeat(5000)),
};

export function invalidMeta(suite) {
  const modules = () => [module()];
  for (const [name, bytes] of Object.entries(documents))
    suite.invalid(
      `invalid/meta/${name}`,
      "META_ENCODING",
      { modules: modules(), sections: [section("META", bytes)] },
      { level: "integrity", clauses: ["10.2"] },
    );
  const origin = (name, bytes, over = {}, about = {}) =>
    suite.invalid(
      `invalid/meta/orig-${name}`,
      "META_ENCODING",
      { modules: modules(), sections: [section("ORIG", bytes, over)] },
      { level: "integrity", clauses: ["10.2", "10.3"], ...about },
    );
  origin("keys-not-sorted", map(["b", one], ["a", one]));
  origin("an-array", fromHex("90"));
  origin("float-32", documents["float-32"]);
  const long = concat(meta({ a: "x".repeat(60) }), u8(0));
  origin(
    "byte-behind-compressed",
    long,
    { compression: 3, stored: shortFrames(long) },
    { features: ["text-zstd"] },
  );
}
