/**
 * An adapter in memory: modules, plain tensors and their origin. This file knows no files and no quantization.
 *
 * A module changes one layer of the base model by ΔW = multiplier · B · A (spec clause 9.1).
 *
 * @module
 */

/** What kind of layer a module adapts (spec 9.2). */
export type ModuleRole = "linear" | "embedding" | "conv1d" | "conv2d" | "conv3d";

/** Whether the base weight is stored (out, in, …) or (in, out); the latter takes ΔW transposed (spec 9.2). */
export type BaseLayout = "out-in" | "in-out";

/** How the multiplier follows from alpha (spec 9.1). `none`: multiplier 1, there is no alpha. */
export type MultiplierRule = "none" | "alpha/r" | "alpha/sqrt(r)" | "explicit";

/** Element type of a tensor, in safetensors spelling. */
export type ElementType =
  | "F32"
  | "F16"
  | "BF16"
  | "F64"
  | "I8"
  | "I16"
  | "I32"
  | "I64"
  | "U8"
  | "U16"
  | "U32"
  | "U64"
  | "BOOL";

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  I8: 1,
  I16: 2,
  I32: 4,
  I64: 8,
  U8: 1,
  U16: 2,
  U32: 4,
  U64: 8,
  BOOL: 1,
};

/** Everything about a module except its weights. */
export interface ModuleShape {
  /** Path of the adapted layer inside the base model, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly role: ModuleRole;
  /** Rows of B: output features, output channels, or the embedding dimension. */
  readonly out: number;
  /** Input features, input channels (of one group), or the vocabulary size. */
  readonly in: number;
  /** Kernel size: 0 numbers for linear and embedding, 1 to 3 for convolutions. */
  readonly kernel: readonly number[];
  /** Experts of a mixture-of-experts parameter; 1 elsewhere. */
  readonly experts: number;
  readonly rank: number;
  readonly baseLayout: BaseLayout;
  /** The number ΔW is multiplied by; an f32 value. */
  readonly multiplier: number;
  /** Informative; an f32 value, 0 if the source had none. */
  readonly alpha: number;
  readonly rule: MultiplierRule;
}

/**
 * A module with its factors. With a lazy reader (`readAdapter` with `lazy`) each access decodes them again: read them once,
 * and keep the array as long as you need it.
 */
export interface LoraModule extends ModuleShape {
  /** B, `[experts][out][rank]`, row-major. */
  readonly b: Float32Array;
  /** A, `[experts][rank][in · kernel]`, row-major. */
  readonly a: Float32Array;
}

/**
 * A module that does not hold its factors but makes them from its source at each access. Only the source, and the factors of
 * the current module, are in memory.
 */
export function lazyModule(shape: ModuleShape, b: () => Float32Array, a: () => Float32Array): LoraModule {
  return Object.defineProperties(Object.assign(new LazyFactors(b, a), shapeOf(shape)), OWN_GETTERS);
}

class LazyFactors {
  readonly #b: () => Float32Array;
  readonly #a: () => Float32Array;

  constructor(b: () => Float32Array, a: () => Float32Array) {
    this.#b = b;
    this.#a = a;
  }

  get b(): Float32Array {
    return this.#b();
  }

  get a(): Float32Array {
    return this.#a();
  }
}

/**
 * The getters as properties of each module, which are copied with the others (`{ ...module }`). All modules have the same two:
 * engines keep an object with getters of its own as a hash table, and an adapter may have 65,536 modules.
 */
const OWN_GETTERS = /* @__PURE__ */ (() => {
  const { b, a } = Object.getOwnPropertyDescriptors(LazyFactors.prototype);
  return { b: { ...b, enumerable: true }, a: { ...a, enumerable: true } };
})();

/** A module that holds its factors. */
export function withFactors(module: LoraModule): LoraModule {
  return { ...shapeOf(module), b: module.b, a: module.a };
}

/** A module without its factors. It does not read them. */
export function shapeOf(module: ModuleShape): ModuleShape {
  const { name, role, out, kernel, experts, rank, baseLayout, multiplier, alpha, rule } = module;
  return {
    name,
    role,
    out,
    in: module.in,
    kernel,
    experts,
    rank,
    baseLayout,
    multiplier,
    alpha,
    rule,
  };
}

/** What a plain tensor is for (spec 9.4). */
export type TensorRole =
  | "replace" // replaces the base tensor of that name
  | "bias" // replaces the bias of that name
  | "lora-bias" // added to the module's output, times its multiplier
  | "magnitude" // DoRA magnitude of the module of that name
  | "token-rows" // replaces rows of the embedding of that name
  | "token-indices" // which rows
  | "carried"; // belongs to the source but not to the maths

/** A tensor that is stored unchanged. */
export interface PlainTensor {
  /** Name of the base tensor (or of the module, for `lora-bias`, `magnitude`, `token-*`). */
  readonly name: string;
  readonly role: TensorRole;
  readonly element: ElementType;
  readonly shape: readonly number[];
  /** For `magnitude`: the axis of the base weight that it scales. 0 elsewhere. */
  readonly axis: number;
  /** Little-endian, C order. */
  readonly data: Uint8Array;
}

/** A value a MessagePack section can hold (spec 10.2). */
export type MetaValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | MetaValue[]
  | { [key: string]: MetaValue };

/** The source's names and types, so that the same dialect can be written again (spec 10.3). */
export interface Origin {
  readonly dialect: string;
  readonly [key: string]: MetaValue;
}

/** A whole adapter. */
export interface Adapter {
  readonly modules: readonly LoraModule[];
  readonly tensors: readonly PlainTensor[];
  readonly origin: Origin | undefined;
  /** Free metadata: base model, licence, provenance. Never affects the maths. */
  readonly meta: { readonly [key: string]: MetaValue };
}

/** True if the ΔW of both modules have the same shape and layout. Their names, ranks and multipliers may differ. */
export function comparable(x: ModuleShape, y: ModuleShape): boolean {
  const size = ({ out, in: input, kernel, experts, baseLayout }: ModuleShape): string =>
    JSON.stringify([out, input, kernel, experts, baseLayout]);
  return size(x) === size(y);
}

/** Length of one vector of A: the input features times the kernel sizes. */
export function inputLength(shape: Pick<ModuleShape, "in" | "kernel">): number {
  return shape.kernel.reduce((product, size) => product * size, shape.in);
}

/** Parameters of a module's factors: experts · rank · (out + in · kernel). */
export function parameterCount(shape: ModuleShape): number {
  return shape.experts * shape.rank * (shape.out + inputLength(shape));
}

/**
 * The multiplier that a rule gives (spec 9.1), rounded to f32; undefined where the rule gives none (`explicit`).
 *
 * @param alpha as in the source; not necessarily an f32 value
 */
export function multiplierByRule(rule: MultiplierRule, alpha: number, rank: number): number | undefined {
  switch (rule) {
    case "none":
      return 1;
    case "alpha/r":
      return Math.fround(alpha / rank);
    case "alpha/sqrt(r)":
      return Math.fround(alpha / Math.sqrt(rank));
    case "explicit":
      return undefined;
  }
}

/** True if a module's multiplier is the one its own alpha, rank and rule give. */
export function consistentMultiplier(
  { multiplier, alpha, rule }: Pick<ModuleShape, "multiplier" | "alpha" | "rule">,
  rank: number,
): boolean {
  if (rule === "none" && alpha !== 0) return false;
  const expected = multiplierByRule(rule, alpha, rank);
  return expected === undefined || expected === multiplier;
}
