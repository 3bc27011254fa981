/**
 * Arbitrary adapters, options and packed files. Small on purpose: what breaks an encoder is shapes, signs, zeros, extremes and
 * names, not size; and a small counterexample can be read.
 */

import fc from "fast-check";
import type { ModuleInput, SectionInput } from "../../src/core/format.ts";
import {
  type Adapter,
  type Band,
  type ElementType,
  type Encoding,
  inputLength,
  type LoraModule,
  type MetaValue,
  type ModuleRole,
  type ModuleShape,
  type PlainTensor,
} from "../../src/core/index.ts";
import type { EncodeOptions } from "../../src/encode/index.ts";
import { type FileInput, packed } from "../container/fixtures.ts";

/** Bytes of an element. */
const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = {
  ...{ F32: 4, F16: 2, BF16: 2, F64: 8, BOOL: 1 },
  ...{ I8: 1, I16: 2, I32: 4, I64: 8, U8: 1, U16: 2, U32: 4, U64: 8 },
};

/** Names as they occur, and names as nobody expects them: anything of 1 to 512 bytes without control characters. */
export const names: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.nat(12), fc.constantFrom("q_proj", "k", "mlp.up", "experts"))
    .map(([i, end]) => `layers.${i}.${end}`),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "The quick brown fox jumps over the lazy dog, again and again.",
    "007",
    "7",
    "a".repeat(512),
    "層.1",
    "\u{1f600}",
    " ",
    "\u2028",
    "\ufeffmark",
    "e\u0301",
    "é",
  ),
  fc.string({ unit: "binary", minLength: 1, maxLength: 30 }).filter((name) => !/[\p{Cc}\p{Cs}]/u.test(name)),
);

/** Weights: mostly ordinary, sometimes zeros, constants, subnormals and extremes. */
const weights = (length: number): fc.Arbitrary<Float32Array> =>
  fc
    .tuple(
      fc.constantFrom("ordinary", "ordinary", "zero", "constant", "tiny", "large", "sparse"),
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }),
    )
    .map(([kind, values]) =>
      Float32Array.from({ length }, (_, i) => {
        // A stretch of an irrational rotation: no two groups are alike, and the few drawn values shrink well.
        const value = values[i % values.length]! * (((i * 0.6180339887) % 1) - 0.5);
        if (kind === "zero") return 0;
        if (kind === "constant") return values[0]!;
        if (kind === "tiny") return value * 2 ** -30;
        if (kind === "large") return value * 2 ** 12;
        return kind === "sparse" && i % 7 !== 0 ? 0 : value;
      }),
    );

const roles = fc.constantFrom<(readonly [ModuleRole, number])[]>(
  ["linear", 0],
  ["linear", 0],
  ["embedding", 0],
  ["conv1d", 1],
  ["conv2d", 2],
  ["conv3d", 3],
);

const shapes: fc.Arbitrary<Omit<ModuleShape, "name">> = fc
  .record({
    role: roles,
    // Now and then enough weights for the kernel.
    out: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 40 }) },
      { weight: 1, arbitrary: fc.constant(520) },
    ),
    in: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(64, 130)),
    sizes: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.constant(2)),
    experts: fc.constantFrom(1, 1, 1, 2, 3),
    rank: fc.integer({ min: 1, max: 6 }),
    baseLayout: fc.constantFrom("out-in", "in-out"),
    alpha: fc.constantFrom(0, 1, 4, 16, 0.1, -2),
    rule: fc.constantFrom("none", "alpha/r", "alpha/sqrt(r)", "explicit"),
  } as const)
  .map(({ role: [role, dimensions], sizes, alpha: given, ...shape }) => {
    const alpha = shape.rule === "none" ? 0 : Math.fround(given);
    const multiplier = Math.fround(
      {
        none: 1,
        "alpha/r": alpha / shape.rank,
        "alpha/sqrt(r)": alpha / Math.sqrt(shape.rank),
        explicit: 0.3,
      }[shape.rule],
    );
    const baseLayout = role === "linear" ? shape.baseLayout : role === "embedding" ? "in-out" : "out-in";
    return {
      ...shape,
      role,
      baseLayout,
      alpha,
      kernel: sizes.slice(0, dimensions),
      multiplier: multiplier + 0,
    };
  });

const modules: fc.Arbitrary<Omit<LoraModule, "name">> = shapes.chain((shape) =>
  fc
    .tuple(
      weights(shape.experts * shape.rank * shape.out),
      weights(shape.experts * shape.rank * inputLength(shape)),
    )
    .map(([b, a]) => ({ ...shape, b, a })),
);

/** A base tensor is replaced once. */
const targetOf = ({ name, role }: PlainTensor): string => `${role === "bias" ? "replace" : role} ${name}`;

const ELEMENTS = Object.keys(ELEMENT_BYTES) as ElementType[];

/** Tensors that need no partner, with any bytes that are finite numbers. */
const tensors: fc.Arbitrary<PlainTensor> = fc
  .record({
    name: names,
    role: fc.constantFrom("replace", "bias", "carried"),
    element: fc.constantFrom(...ELEMENTS),
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
    bytes: fc.oneof(fc.constant([0]), fc.array(fc.nat(255), { minLength: 1, maxLength: 8 })),
  } as const)
  .filter(({ role, element }) => role !== "bias" || /^B?F/.test(element))
  .map(({ bytes, ...tensor }) => {
    const size = ELEMENT_BYTES[tensor.element];
    const count = tensor.shape.reduce((product, dimension) => product * dimension, 1);
    const isFloat = /^B?F/.test(tensor.element);
    const data = Uint8Array.from({ length: count * size }, (_, i) => {
      if (tensor.element === "BOOL") return bytes[i % bytes.length]! & 1;
      // Without the highest bit of its exponent a float is finite; without the next one F16 can hold it.
      const byte = bytes[i % bytes.length]!;
      return isFloat && i % size === size - 1 ? (byte & 0x8f) | 0x20 : byte;
    });
    return { ...tensor, axis: 0, data };
  });

const keys: fc.Arbitrary<string> = fc
  .string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
    minLength: 1,
    maxLength: 20,
  })
  .filter((key) => key !== "__proto__");

/** What META can hold. */
export const metaMaps: fc.Arbitrary<{ [key: string]: MetaValue }> = fc.letrec<{
  value: MetaValue;
  map: { [key: string]: MetaValue };
}>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie("value"), { maxLength: 5 }),
    tie("map"),
  ) as fc.Arbitrary<MetaValue>,
  map: fc.dictionary(fc.oneof(keys, fc.constantFrom("constructor", "toString", "valueOf")), tie("value"), {
    maxKeys: 5,
    noNullPrototype: true,
  }),
})).map;

/** Whole adapters: each name once among the modules, and once a role among the tensors. */
export const adapters: fc.Arbitrary<Adapter> = fc.record({
  modules: fc.uniqueArray(
    fc.tuple(names, modules).map(([name, module]) => ({ ...module, name })),
    { maxLength: 4, selector: (module) => module.name },
  ),
  tensors: fc.uniqueArray(tensors, { maxLength: 4, selector: targetOf }),
  origin: fc.option(
    metaMaps.map(({ tensor_element: _, tensor_elements: __, ...map }) => ({ ...map, dialect: "arbitrary" })),
    { nil: undefined },
  ),
  meta: metaMaps,
});

/** Every profile, with its options. */
export const options: fc.Arbitrary<EncodeOptions> = fc
  .tuple(
    fc.oneof(
      fc.record({
        profile: fc.constant("rd" as const),
        bits: fc.constantFrom(0.8, 2, 6),
        floor: fc.constantFrom(0, 0.5, 1),
        fit: fc.constantFrom("unbiased", "least-squares"),
      } as const),
      fc.constantFrom<EncodeOptions[]>(
        {},
        { profile: "rd", maxError: 0.05 },
        { profile: "rd", maxBytes: 20_000 },
      ),
      fc.record({
        profile: fc.constant("rtn" as const),
        codeBits: fc.integer({ min: 1, max: 8 }),
        group: fc.constantFrom(0, 16, 64),
      }),
      fc.record({ profile: fc.constant("sign" as const), group: fc.constantFrom(0, 32) }),
      fc.record({
        profile: fc.constant("raw" as const),
        element: fc.constantFrom("f32", "f16", "bf16"),
      } as const),
    ),
    fc.record({
      tensors: fc.constantFrom("zstd", "keep", "f16"),
      alignment: fc.constantFrom(undefined, 8, 64, 4096),
    } as const),
  )
  .map(([quantize, { alignment, tensors }]) => ({
    ...quantize,
    tensors,
    ...(alignment === undefined ? {} : { alignment }),
  }));

/** Every encoding. */
export const encodings: fc.Arbitrary<Encoding> = fc.oneof(
  fc.constant<Encoding>({ codec: "zero" }),
  fc.record({ codec: fc.constant("raw" as const), element: fc.constantFrom("f32", "f16", "bf16") } as const),
  ...(["affine", "sign", "trellis"] as const).map((codec) =>
    fc
      .record({
        group: fc.constantFrom(0, 16, 32, 1024),
        scale: fc.constantFrom("f16", "bf16"),
        bits: fc.integer({ min: 1, max: 8 }),
        table: fc.integer({ min: 1, max: 6 }),
        rotated: fc.boolean(),
      } as const)
      .map(({ group, scale, bits, table, rotated }): Encoding => {
        if (codec === "sign") return { codec, group, scale };
        if (codec === "affine") return { codec, group, scale, bits };
        return { codec, group: 0, scale: "bf16", table, rotation: rotated ? "hadamard64" : "none" };
      }),
  ),
);

const same = (x: Band, y: Band | undefined): boolean =>
  y !== undefined && JSON.stringify([x.b, x.a]) === JSON.stringify([y.b, y.a]);

const packedModules: fc.Arbitrary<Omit<ModuleInput, "name">> = fc
  .tuple(
    shapes,
    fc.array(fc.record({ components: fc.integer({ min: 1, max: 3 }), b: encodings, a: encodings }), {
      minLength: 1,
      maxLength: 3,
    }),
    fc.nat(1000),
  )
  .map(([shape, drawn, seed]) => {
    const bands = drawn.filter((band, i) => !same(band, drawn[i - 1]));
    const rank = bands.reduce((sum, band) => sum + band.components, 0);
    const whole = { ...shape, rank, name: "", rule: "explicit" as const, multiplier: Math.fround(0.7) };
    const module = packed(whole, bands, seed);
    for (const experts of module.planes)
      for (const [i, { b, a }] of experts.entries()) {
        clearTrellisTail(bands[i]!.b, b.codes, bands[i]!.components, shape.out);
        clearTrellisTail(bands[i]!.a, a.codes, bands[i]!.components, inputLength(shape));
      }
    return module;
  });

/** Fixtures know the unused bits of affine and sign codes; those of a trellis depend on its table. */
function clearTrellisTail(encoding: Encoding, codes: Uint8Array, components: number, length: number): void {
  if (encoding.codec !== "trellis") return;
  const [step, each] = [[], [1, 2], [1, 1], [3, 2], [2, 1], [3, 1], [4, 1]][encoding.table] as [
    number,
    number,
  ];
  const used = (Math.ceil(length / each) * step) % 8;
  const bytes = codes.length / components;
  if (used !== 0) for (let c = 1; c <= components; c++) codes[c * bytes - 1]! &= (1 << used) - 1;
}

const sections: fc.Arbitrary<SectionInput> = fc.record({
  type: fc.constantFrom("note", "zzzz", "aBCD", "Work"),
  critical: fc.constant(false),
  safeToCopy: fc.boolean(),
  data: fc.uint8Array({ maxLength: 200 }),
  compress: fc.boolean(),
});

/** Files of any content: packed modules of every encoding with any codes, tensors, private sections. */
export const files: fc.Arbitrary<FileInput> = fc.record({
  modules: fc.uniqueArray(
    fc.tuple(names, packedModules).map(([name, module]) => ({ ...module, name })),
    { maxLength: 4, selector: (module) => module.name },
  ),
  tensors: fc.uniqueArray(tensors, { maxLength: 3, selector: targetOf }),
  sections: fc.uniqueArray(sections, { maxLength: 3, selector: ({ type }) => type }),
  alignment: fc.constantFrom(4, 8, 16, 256),
  compressTensors: fc.boolean(),
});
