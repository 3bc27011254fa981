// invalid/draft: what drafts before 1.0 allowed and 1.0 does not. A file of a draft is refused by
// the identifier of its index; the other cases have the new one, and a feature that is no longer there.
import { concat, patched, text, u32 } from "./bytes.mjs";
import { affine, raw, sign, trellis } from "./codecs.mjs";
import { band, module, tensor } from "./compose.mjs";
import { blocksOf, frame } from "./frames.mjs";
import { payload, prologue, set } from "./lies.mjs";

const only = (over) => ({ modules: [module(over)] });

export function invalidDraft(suite) {
  const add = (name, error, adapter, lies, clauses, about = {}) =>
    suite.invalid(`invalid/draft/${name}`, error, adapter, { lies, clauses, ...about });
  add(
    "identifier",
    "INDEX_IDENTIFIER",
    only({}),
    { index: (bytes) => concat(bytes.subarray(0, 4), text("LQA1"), bytes.subarray(8)) },
    ["6.1"],
  );
  const encoding = (name, stored, fields) =>
    add(name, "ENCODING_PARAMETER", only({ bands: [band(stored)] }), set("encodings", 0, fields), ["6.4"]);
  encoding("affine-that-says-it-has-zero-points", affine(), { mixture: 1 });
  encoding("affine-f32-scale", affine(), { scale: 1 });
  encoding("sign-f32-scale", sign(), { scale: 1 });
  encoding("trellis-f32-scale", trellis(), { scale: 1 });
  encoding("trellis-f16-scale", trellis(), { scale: 2 });
  for (const exponent of [4, 7, 10])
    encoding(`trellis-groups-of-${2 ** exponent}`, trellis(), { group_exponent: exponent });
  encoding("trellis-rotated-with-groups", trellis(4, { rotation: 1 }), { group_exponent: 6 });
  // START and PARENT in drafts of November 2026, which called themselves version 1.1.
  for (const [name, bit] of Object.entries({ start: 7, parent: 9 }))
    add(
      `${name}-of-version-1-1`,
      "UNSUPPORTED_FEATURE",
      only({}),
      prologue((p) => ({ minor: 1, required: p.required + 2 ** bit })),
      ["5.3"],
    );
  add(
    "affine-without-zero-points",
    "CHUNK_LENGTH_MISMATCH",
    only({ bands: [band(affine(2, { group: 0 }))] }),
    payload(0, (bytes) => bytes.subarray(0, -2)),
    ["7.1", "7.2"],
  );
  add("compressed-module", "RECORD_RESERVED_NONZERO", only({}), set("modules", 0, { reserved: 1 }), [
    "6.3",
    "6.7",
  ]);
  const data = Uint8Array.from({ length: 200 }, (_, i) => (i < 20 ? i : 7));
  for (const [name, over] of Object.entries({
    window: { single: false, width: 4, window: 0x58 },
    "window-and-checksum": { single: false, width: 4, window: 0x58, checksum: u32(0) },
    checksum: { checksum: u32(0) },
  })) {
    const stored = frame(200, blocksOf(data), over);
    const adapter = { tensors: [tensor({ element: "U8", shape: [200], data, compression: 1, stored })] };
    add(`frame-with-${name}`, "ZSTD_FRAME", adapter, {}, ["7.5"], {
      level: "integrity",
      features: ["zstd-frames"],
    });
  }
  const infinite = { bands: [band(raw(2))], numbers: () => ({ raw: (_, i) => (i === 1 ? 0x7c00 : 0x3c00) }) };
  add("nonfinite-declared", "NONFINITE_VALUE", only(infinite), prologue({ compatible: 2 }), ["5.3", "8.3"], {
    level: "values",
  });
  const nan = { tensors: [tensor({ shape: [1], data: patched(u32(0x3f800000), 2, 0xc0, 0x7f) })] };
  add("nonfinite-tensor-declared", "NONFINITE_VALUE", nan, prologue({ compatible: 2 }), ["5.3", "8.3"], {
    level: "values",
  });
}
