/**
 * What a dialect says about its keys, if its files are a table of tensors by name: kohya, diffusers, cloneofsimo,
 * loralib, MLX, and inside their containers GGUF and ONNX.
 *
 * @module
 */
import type { ModuleShape, MultiplierRule, PlainTensor } from "../../model/adapter.ts";
import type { DialectName } from "../dialect.ts";
import type { FactorLayout } from "../factors.ts";
import type { OtherMethod } from "../other-methods.ts";
import type { SafeTensor } from "../safetensors.ts";

/** What belongs to a module. `alpha` is a number in a tensor, `magnitude` and `lora-bias` are plain tensors. */
export type Part = "a" | "b" | "alpha" | "magnitude" | "lora-bias";

/** What a key says. */
export type KeyMeaning =
  | {
      readonly kind: "part";
      readonly part: Part;
      readonly module: string;
      /** How the key is written; undefined where that is the same in all styles. */
      readonly style: string | undefined;
    }
  | { readonly kind: "tensor"; readonly role: "replace" | "bias" | "carried"; readonly name: string }
  /** Stored next to the factors; most programs leave it out. Kept. */
  | { readonly kind: "beside" }
  /** Belongs to another method than LoRA. */
  | { readonly kind: "unsupported"; readonly method: OtherMethod };

/** What ΔW of a module is multiplied by. */
export interface Scale {
  readonly multiplier: number;
  readonly alpha: number;
  readonly rule: MultiplierRule;
}

/** A convention of keys. */
export interface Convention {
  readonly name: DialectName;
  /** File name, where the source had none of its own. */
  readonly file: string;
  readonly layout: FactorLayout;
  /** Undefined for a key that says nothing to this convention. */
  parse(key: string, tensor: SafeTensor): KeyMeaning | undefined;
  /** Modules of one scope share a style of keys: one component of a pipeline, for example. */
  scope?(module: string): string;
  /** The key of a part. `style`: what the scope was read with; undefined for an adapter from elsewhere. */
  key(module: Pick<ModuleShape, "name" | "role">, part: Part, style: string | undefined): string;
  isEmbedding?(module: string): boolean;
  /** Every module has its alpha in a tensor. Elsewhere only modules that were read with one have it. */
  readonly alphas?: true;
  /** The multiplier of a module without an alpha of its own. */
  scale(module: string, rank: number): Scale;
  /** Plain tensors that have a place in the format, in addition to those that are kept unchanged. */
  readonly roles: readonly PlainTensor["role"][];
  /** Shape of a DoRA magnitude; undefined if this one cannot be said. */
  magnitudeShape?(module: ModuleShape, axis: number): readonly number[] | undefined;
  /** Metadata of a file that did not come from this dialect. */
  readonly metadata?: ReadonlyMap<string, string>;
}

/** Shape of a magnitude of outputs: `[out]`, or nothing where it is one of inputs. */
export function outputMagnitude(module: ModuleShape, axis: number): readonly number[] | undefined {
  return (axis === 0) === (module.baseLayout === "out-in") ? [module.out] : undefined;
}
