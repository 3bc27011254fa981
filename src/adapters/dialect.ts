/**
 * What a dialect is: one convention for naming, shaping and scaling an adapter's tensors.
 *
 * A dialect turns the files of its convention into an `Adapter` and back. It resolves everything that its convention
 * leaves to the loader (the multiplier, the rank of each module, which axis of the base weight is which), so that
 * nothing to the right of it needs to know the convention.
 *
 * @module
 */
import type { Adapter, BaseLayout, ModuleShape } from "../model/adapter.ts";
import type { FileContent } from "../model/content.ts";
import type { FactorElement } from "./elements.ts";
import type { BaseDescription } from "./naming/base-description.ts";
import type { OnRounded } from "./rounding.ts";
import type { Source } from "./source.ts";

/** The bytes of a file: all in memory, or read on demand. `subarray` ends where the file ends. */
export interface SourceBytes {
  readonly length: number;
  subarray(begin: number, end: number): Uint8Array;
}

/** The files of one adapter: base name, e.g. `adapter_config.json`, to contents. A `Uint8Array` will do for each. */
export type SourceFiles = ReadonlyMap<string, SourceBytes>;

/** Names of the dialects. */
export type DialectName =
  | "peft"
  | "kohya"
  | "diffusers"
  | "cloneofsimo"
  | "loralib"
  | "mlx"
  | "gguf"
  | "onnx";

/** What a dialect cannot know from the files, and how to treat what is no LoRA. */
export interface ReadSettings {
  /** Alpha of all modules, where the dialect keeps it outside its files: the multiplier is alpha / r. */
  readonly alpha?: number | undefined;
  /** The multiplier of all modules, likewise. */
  readonly multiplier?: number | undefined;
  /**
   * `alpha` and `multiplier` are for those of several adapters whose files have none: the others keep their own. Default:
   * they replace what MLX's configuration says, and are an error for a dialect whose files always say it.
   */
  readonly scaleIfMissing?: boolean | undefined;
  /** How the base stores the weights of experts, for PEFT from 0.19 on, which takes either way. */
  readonly expertLayout?: BaseLayout | undefined;
  /** Tensors of other methods (LoKr, LoHa, …) are carried unchanged; they have no part in the maths. Default: refused. */
  readonly keepUnsupported?: boolean | undefined;
  /** Called with a sentence for each decision that the files left to the dialect, and for what is not part of the maths. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** How to read an adapter. */
export interface ReadOptions extends ReadSettings {
  /** The dialect. Default: the one the files look like. */
  readonly from?: DialectName | undefined;
  /**
   * If true, factors are decoded from the files on each access and not kept, so an adapter takes no more memory than its
   * files. Changes to such an array are lost. Default false.
   */
  readonly lazy?: boolean;
}

/** How to write an adapter. */
export interface WriteOptions {
  /**
   * Element type of the factors: rounded from F32 once, to nearest, ties to even. `source`: the type each factor had
   * in the file it was read from, whatever its dialect, F32 if there was none.
   */
  readonly factors: "F32" | "F16" | "BF16" | "source";
  /**
   * Types of B and A by name of the module as it is written, for `source`.
   *
   * @internal
   */
  readonly elements?: ReadonlyMap<string, readonly [b: FactorElement, a: FactorElement]> | undefined;
  /** The dialect. Default: the one it came from, PEFT if there is none. */
  readonly to?: DialectName | undefined;
  /** What is known of the base model; GGUF needs it. */
  readonly base?: BaseDescription | undefined;
  /**
   * PEFT: written so that every server computes the same. Alpha is the rank and the multiplier is in B, there is one
   * rank, and what servers refuse or drop (DoRA, biases, whole tensors) is an error. Default false.
   */
  readonly portable?: boolean | undefined;
  /** Refuses modules under the names of the base model's layers that do not fit it. @internal */
  readonly checkBase?: ((modules: readonly ModuleShape[]) => void) | undefined;
  /** See `createRoundingMeter`. @internal */
  readonly onRounded?: OnRounded | undefined;
  /** Called with a sentence for each thing that the dialect says in another way or not at all. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/**
 * How a dialect names layers. `model`: paths inside one model; `pipeline`: a component of a diffusion pipeline and a path
 * inside it; `gguf`: llama.cpp's names; `numbers`: by the order in which a program met them.
 */
export type Naming = "model" | "pipeline" | "gguf" | "numbers";

/** One convention. */
export interface Dialect {
  /** Short name, stored as `origin.dialect`. */
  readonly name: DialectName;
  /** For lists and messages: what has this convention, and how it is known. */
  readonly title: string;
  /** @internal */
  readonly naming: Naming;
  /**
   * True if the files may leave the multiplier to the reader.
   *
   * @internal
   */
  readonly scaleOutside?: true;
  /**
   * True if the files look like this dialect, broken ones included. Never throws.
   *
   * @internal
   */
  detect(source: Source): boolean;
  /**
   * Reads an adapter. Its modules may be lazy.
   *
   * @internal
   * @throws LqaError TRUNCATED_SOURCE or of class S for broken files; UNSUPPORTED_ADAPTER_FEATURE for sound ones that
   * LQA cannot express.
   */
  read(source: Source, settings: ReadSettings): Adapter;
  /**
   * Writes an adapter whose names are of this dialect's naming: file name to content. An adapter that came from this
   * dialect gets its names back.
   *
   * @internal
   * @throws LqaError UNSUPPORTED_DIALECT if this dialect cannot say what the adapter holds; SOURCE_RANGE if a factor
   * overflows the chosen element type, when its piece is taken.
   */
  write(adapter: Adapter, options: WriteOptions): Map<string, FileContent>;
}
