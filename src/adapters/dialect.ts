/**
 * What a dialect is: one convention for naming, shaping and scaling an adapter's tensors.
 *
 * A dialect turns the files of its convention into an `Adapter` and back. It resolves everything that the convention
 * leaves to the loader: the multiplier, the rank of each module, which axis of the base weight is which. The rest of
 * the library then needs to know no convention.
 *
 * @module
 */
import type { Adapter, BaseLayout, ModuleShape } from "../model/adapter.ts";
import type { FileContent } from "../model/content.ts";
import type { ConfigRisk } from "./config-risks.ts";
import type { DialectName } from "./dialect-names.ts";
import type { FactorElement } from "./elements.ts";
import type { BaseDescription } from "./naming/base-description.ts";
import type { OnRounded } from "./rounding.ts";
import type { Source } from "./source.ts";

/** The bytes of a file: all in memory, or read on demand. `subarray` ends where the file ends. */
export interface SourceBytes {
  readonly length: number;
  subarray(begin: number, end: number): Uint8Array;
}

/** The files of one adapter: base name, e.g. `adapter_config.json`, to contents. A `Uint8Array` is a valid value. */
export type SourceFiles = ReadonlyMap<string, SourceBytes>;

export type { DialectName } from "./dialect-names.ts";

/** What a dialect cannot know from the files, and how to treat tensors of other methods than LoRA. */
export interface ReadSettings {
  /** Alpha of all modules, for dialects that keep it outside their files: the multiplier is alpha / r. */
  readonly alpha?: number | undefined;
  /** The multiplier of all modules, for the same dialects. */
  readonly multiplier?: number | undefined;
  /**
   * Applies `alpha` and `multiplier` only to adapters whose files have none (when reading several); the others keep their
   * own. Default: they replace what MLX's configuration says, and are an error for a dialect whose files always state it.
   */
  readonly scaleIfMissing?: boolean | undefined;
  /** How the base model stores the weights of experts. Needed for PEFT 0.19 and later, which allow both layouts. */
  readonly expertLayout?: BaseLayout | undefined;
  /** Carries tensors of other methods (LoKr, LoHa, …) unchanged; they do not take part in the maths. Default: refused. */
  readonly keepUnsupported?: boolean | undefined;
  /** Called with a sentence for each decision that the files left open, and for tensors that do not take part in the maths. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** How to read an adapter. */
export interface ReadOptions extends ReadSettings {
  /** The dialect. Default: detected from the files. */
  readonly from?: DialectName | undefined;
  /**
   * If true, each access decodes a factor from the files and the adapter keeps no copy, so it takes no more memory than its
   * files. Changes to such an array are lost. Default false.
   */
  readonly lazy?: boolean;
}

/** How to write an adapter. */
export interface WriteOptions {
  /**
   * Element type of the factors; values are rounded from F32 once, to nearest, ties to even. `source`: each factor gets the
   * type that it had in its source file, in any dialect, or F32 without a source; those of 8 bits get F16. `F8_E4M3`: only to
   * PEFT, and always in the portable form, with a power of two as multiplier.
   */
  readonly factors: "F32" | "F16" | "BF16" | "F8_E4M3" | "source";
  /**
   * Element types of B and A by the module's name in the written file, for `source`.
   *
   * @internal
   */
  readonly elements?: ReadonlyMap<string, readonly [b: FactorElement, a: FactorElement]> | undefined;
  /** The dialect. Default: the one that the adapter was read from, or PEFT. */
  readonly to?: DialectName | undefined;
  /** The base model; required for GGUF. */
  readonly base?: BaseDescription | undefined;
  /**
   * PEFT: writes an adapter that every server computes in the same way. Alpha is the rank, the multiplier is in B, and all
   * modules have one rank. What servers refuse or drop (DoRA, biases, whole tensors) is an error. Default false.
   */
  readonly portable?: boolean | undefined;
  /** Refuses modules that do not fit the base model; called with the names of its layers. @internal */
  readonly checkBase?: ((modules: readonly ModuleShape[]) => void) | undefined;
  /** See `createRoundingMeter`. @internal */
  readonly onRounded?: OnRounded | undefined;
  /** Called with a sentence for everything that the dialect states differently or cannot state. */
  readonly onNote?: ((note: string) => void) | undefined;
  /**
   * Writes the configuration of the source as it is, with fields that make a program that loads it import a module, open a path or
   * allocate memory (SECURITY.md lists them). Default false: they are left out, or follow from the modules.
   */
  readonly keepConfig?: boolean | undefined;
  /** Called for each of these fields that the configuration of the source has. */
  readonly onConfigRisk?: ((risk: ConfigRisk) => void) | undefined;
}

/**
 * How a dialect names layers. `model`: paths inside one model; `pipeline`: a component of a diffusion pipeline and a path
 * inside it; `gguf`: llama.cpp's names; `numbers`: by the order in which a program visited them.
 */
export type Naming = "model" | "pipeline" | "gguf" | "numbers";

/** One convention. */
export interface Dialect {
  /** Short name, stored as `origin.dialect`. */
  readonly name: DialectName;
  /** For lists and messages: which programs use this convention, and how its files look. */
  readonly title: string;
  /** @internal */
  readonly naming: Naming;
  /**
   * True if files of this dialect may omit the multiplier, so that the caller states it.
   *
   * @internal
   */
  readonly scaleOutside?: true;
  /**
   * True if the files look like this dialect, even if they are broken. Never throws.
   *
   * @internal
   */
  detect(source: Source): boolean;
  /**
   * Reads an adapter. Its modules may be lazy.
   *
   * @internal
   * @throws LqaError TRUNCATED_SOURCE or of class S for broken files; UNSUPPORTED_ADAPTER_FEATURE for valid files that
   * LQA cannot express.
   */
  read(source: Source, settings: ReadSettings): Adapter;
  /**
   * Writes an adapter whose names follow this dialect's naming: file name to content. An adapter that was read from this
   * dialect gets its original names back.
   *
   * @internal
   * @throws LqaError UNSUPPORTED_DIALECT if this dialect cannot express the adapter; SOURCE_RANGE if a factor overflows
   * the chosen element type (thrown when its piece is taken).
   */
  write(adapter: Adapter, options: WriteOptions): Map<string, FileContent>;
}
