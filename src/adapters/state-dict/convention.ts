/**
 * The convention of keys of a dialect whose files are tables of tensors by name: kohya, diffusers, cloneofsimo,
 * loralib, MLX, and, inside their containers, GGUF and ONNX.
 *
 * @module
 */
import type { ModuleShape, MultiplierRule, PlainTensor } from "../../model/adapter.ts";
import type { DialectName } from "../dialect.ts";
import type { TensorLayout } from "../factors.ts";
import type { OtherMethod } from "../other-methods.ts";
import type { SafeTensor } from "../safetensors.ts";

/** A part of a module. `alpha` is a number in a tensor; `magnitude` and `lora-bias` are plain tensors. */
export type Part = "a" | "b" | "alpha" | "magnitude" | "lora-bias";

/** The meaning of a key. */
export type KeyMeaning =
  | {
      readonly kind: "part";
      readonly part: Part;
      readonly module: string;
      /** The spelling of the key; undefined if it is the same in all styles. */
      readonly style: string | undefined;
    }
  | { readonly kind: "tensor"; readonly role: "replace" | "bias" | "carried"; readonly name: string }
  /** Stored next to the factors; most programs omit it. Carried. */
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
  /** File name, if the source had none. */
  readonly file: string;
  readonly layout: TensorLayout;
  /** Undefined for a key that does not belong to this convention. */
  parse(key: string, tensor: SafeTensor): KeyMeaning | undefined;
  /** The scope of a module, for example its component of a pipeline. The modules of one scope share a style of keys. */
  scope?(module: string): string;
  /** The key of a part. `style`: the style of the scope in the source; undefined for an adapter from another dialect. */
  key(module: Pick<ModuleShape, "name" | "role">, part: Part, style: string | undefined): string;
  isEmbedding?(module: string): boolean;
  /** If true, the writer adds an alpha tensor to every module; otherwise only to modules that had one in the source. */
  readonly alphas?: true;
  /** The scale of a module without an alpha tensor. */
  scale(module: string, rank: number): Scale;
  /** Roles of plain tensors that the format can express, in addition to carried ones. */
  readonly roles: readonly PlainTensor["role"][];
  /** Shape of a DoRA magnitude along an axis of the base weight; undefined if the convention cannot express it. */
  magnitudeShape?(module: ModuleShape, axis: number): readonly number[] | undefined;
  /** Metadata of a file that did not come from this dialect. */
  readonly metadata?: ReadonlyMap<string, string>;
}

/** Shape of a magnitude with one number per output: `[out]`; undefined if `axis` is the axis of the inputs. */
export function outputMagnitude(module: ModuleShape, axis: number): readonly number[] | undefined {
  return (axis === 0) === (module.baseLayout === "out-in") ? [module.out] : undefined;
}
