/** A file with a module for every encoding, large enough for the kernel, and the hash of all that can be decoded of it. */
import { createHash } from "node:crypto";
import type { AffineEncoding, DecodeOptions, Encoding, ScaleType } from "../../src/core/index.ts";
import { fileBytes, packed, shape } from "../container/fixtures.ts";

const SCALES: readonly ScaleType[] = ["f16", "bf16"];

/** Every codec at every width, and all scale types and groups in turn. */
export function everyEncoding(): Encoding[] {
  let n = 0;
  const how = (): Pick<AffineEncoding, "group" | "scale"> => {
    const group = [128, 0, 16, 1024, 64][n % 5] as AffineEncoding["group"];
    return { group, scale: SCALES[n++ % 2]! };
  };
  const all: Encoding[] = [{ codec: "zero" }];
  for (const element of ["f16", "bf16", "f32"] as const) all.push({ codec: "raw", element });
  for (let i = 0; i < 3; i++) all.push({ codec: "sign", ...how() });
  for (let bits = 1; bits <= 8; bits++) all.push({ codec: "affine", bits, ...how() });
  for (let table = 1; table <= 6; table++)
    for (const rotation of ["none", "hadamard64"] as const)
      all.push({ codec: "trellis", table, rotation, group: 0, scale: "bf16" });
  return all;
}

/** Lengths whose codes fill their bytes for every encoding. */
export async function everyEncodingFile(): Promise<Uint8Array> {
  const modules = everyEncoding().map((encoding, i) => {
    const over = { out: 640, in: 1040, rank: 3, multiplier: Math.fround(0.7 + i), rule: "explicit" as const };
    const one = { components: 3, b: encoding, a: encoding };
    // Two bands where there can be: two encodings share the rows of B.
    const bands =
      i % 3 === 0
        ? [one]
        : [
            { ...one, components: 1 },
            { components: 2, b: SECOND, a: SECOND },
          ];
    return packed(shape(`layers.${i}.q`, { ...over, alpha: 0 }), bands, i + 1);
  });
  return fileBytes({ modules, tensors: [], sections: [] });
}

const SECOND: Encoding = { codec: "affine", bits: 4, group: 32, scale: "bf16" };

/** All ways of decoding a module. */
export const WAYS: readonly Required<Pick<DecodeOptions, "type" | "layout" | "multiplier">>[] = (
  ["f32", "f16"] as const
).flatMap((type) =>
  (["peft", "component"] as const).flatMap((layout) =>
    [false, true].map((multiplier) => ({ type, layout, multiplier })),
  ),
);

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** One hash of everything that `library` decodes of the file: arrays of its own, of a DecodeMemory, and ΔW. */
export async function hashOf(
  library: typeof import("../../src/core/index.ts"),
  bytes: Uint8Array,
): Promise<string> {
  const file = await library.open(bytes);
  const memory = new library.DecodeMemory();
  const hash = createHash("sha256");
  for (const module of file.modules) {
    for (const way of WAYS)
      for (const options of [way, { ...way, memory }]) {
        const {
          b: { data: b },
          a: { data: a },
        } = await file.decode(module, options);
        hash.update(bytesOf(b)).update(bytesOf(a));
      }
    hash.update(bytesOf(library.decodeDelta(module, await file.packed(module))));
  }
  return hash.digest("hex");
}
