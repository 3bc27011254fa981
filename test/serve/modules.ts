/**
 * Modules of arbitrary codes for the tests of serving.
 *
 * @module
 */

import { splitPayload } from "../../src/core/format.ts";
import {
  type Band,
  type Encoding,
  inputLength,
  type ModuleShape,
  type PackedFactors,
  type PlainTensor,
  type ScaleType,
} from "../../src/core/index.ts";
import { type ResidentModule, residentModule } from "../../src/serve/index.ts";
import { partOf } from "../codecs/decode-jobs.ts";
import { fileBytes } from "../container/fixtures.ts";

/** Arbitrary but always the same. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = 2 * seed + 1;
  }

  byte(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 8) & 255;
  }

  below(limit: number): number {
    return Math.floor(((this.byte() * 65536 + this.byte() * 256 + this.byte()) / 2 ** 24) * limit);
  }

  /** A number of ordinary size, and now and then 0. */
  value(): number {
    return this.byte() < 8 ? 0 : Math.fround((this.byte() - 127.5) * 2 ** (this.below(12) - 12));
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }

  bytes(length: number): Uint8Array {
    const shift = this.byte() % 8;
    return new Uint8Array(length + 16).map(() => this.byte()).subarray(shift, shift + length);
  }

  floats(length: number): Float32Array {
    return Float32Array.from({ length }, () => this.value());
  }
}

/** Activations that are always the same. */
export function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * i));
}

const SCALES: readonly ScaleType[] = ["f16", "bf16"];

/** Every encoding of a group and a scale type. */
export function everyEncoding(group: number, scale: ScaleType): Encoding[] {
  const all: Encoding[] = [{ codec: "zero" }, { codec: "sign", group, scale }];
  for (const element of ["f16", "bf16", "f32"] as const) all.push({ codec: "raw", element });
  for (let bits = 1; bits <= 8; bits++) all.push({ codec: "affine", bits, group, scale });
  for (let table = 1; table <= 6; table++) {
    all.push({ codec: "trellis", table, group: 0, scale: "bf16", rotation: "none" });
    all.push({ codec: "trellis", table, group: 0, scale: "bf16", rotation: "hadamard64" });
  }
  return all;
}

export function anyEncoding(random: Random): Encoding {
  return random.pick(everyEncoding(random.pick([0, 16, 64, 128, 1024]), random.pick(SCALES)));
}

export function shapeOfModule(
  out: number,
  input: number,
  rank: number,
  more: Partial<ModuleShape> = {},
): ModuleShape {
  return {
    name: "layers.0.q_proj",
    role: "linear",
    out,
    in: input,
    kernel: [],
    experts: 1,
    rank,
    baseLayout: "out-in",
    multiplier: 2,
    alpha: 0,
    rule: "explicit",
    ...more,
  };
}

/** Planes of arbitrary codes and ordinary scales and raw weights for a module of these bands. */
export function factorsOf(random: Random, shape: ModuleShape, bands: readonly Band[]): PackedFactors {
  const scale = (): number =>
    random.byte() < 8 ? 0 : (1 + random.byte() / 255) * 2 ** (random.below(8) - 14);
  const planes = (encoding: Encoding, components: number, length: number) => {
    const part = partOf(encoding, components, length, (n) => random.bytes(n), scale);
    if (encoding.codec === "raw") {
      // Exponents of ordinary numbers, or arbitrary bytes would be NaN now and then.
      const width = encoding.element === "f32" ? 4 : 2;
      const exponent = encoding.element === "f16" ? 0x30 : 0x3c;
      const { codes } = part.planes;
      for (let i = width - 1; i < codes.length; i += width) codes[i] = (codes[i]! & 0x80) | exponent;
    }
    return part.planes;
  };
  return {
    bands,
    planes: Array.from({ length: shape.experts }, () =>
      bands.map(({ components, b, a }) => ({
        b: planes(b, components, shape.out),
        a: planes(a, components, inputLength(shape)),
      })),
    ),
  };
}

/** A module of arbitrary bands. */
export function anyModule(
  random: Random,
  out: number,
  input: number,
  more: Partial<ModuleShape> = {},
): ResidentModule {
  const bands = Array.from({ length: 1 + random.below(4) }, () => ({
    components: 1 + random.below(6),
    b: anyEncoding(random),
    a: anyEncoding(random),
  }));
  const rank = bands.reduce((sum, { components }) => sum + components, 0);
  const shape = shapeOfModule(out, input, rank, { multiplier: Math.fround(random.value() + 0.5), ...more });
  return residentModule(shape, factorsOf(random, shape, bands));
}

/** A file with these modules and plain tensors. */
export async function fileOf(
  modules: readonly ResidentModule[],
  tensors: readonly PlainTensor[] = [],
): Promise<Uint8Array> {
  const packed = modules.map(({ shape, bands, payload }) => ({
    ...shape,
    ...splitPayload(shape, bands, payload),
  }));
  return fileBytes({ modules: packed, tensors, sections: [] });
}

/** A small adapter: some layers of encodings that any seed gives. */
export function anyAdapter(seed: number, layers = 3, length = 96): ResidentModule[] {
  const random = new Random(seed);
  // Bits that nothing uses must be 0 in a file, and are where every code fills its bytes.
  const encodings = everyEncoding(16, "f16").filter((e) => e.codec !== "affine" || e.bits === 8);
  return Array.from({ length: layers }, (_, layer) => {
    const first = random.pick(encodings);
    // Neighbours that are alike would be one band.
    const others = encodings.filter((encoding) => encoding !== first);
    const bands = [
      { components: 1, b: first, a: random.pick(encodings) },
      { components: 2, b: random.pick(others), a: random.pick(encodings) },
    ];
    const shape = shapeOfModule(length, length, 3, { name: `layers.${layer}.q_proj`, multiplier: 0.5 });
    return residentModule(shape, factorsOf(random, shape, bands));
  });
}
