/**
 * The key under which PEFT writes each part of an adapter. The reader compares it with the actual key and records
 * the difference; the writer starts from it. Both use one function, so they cannot disagree.
 *
 * @module
 */
import type { ModuleShape, PlainTensor } from "../../model/adapter.ts";
import { moduleSuffix } from "./keys.ts";

/** What a key depends on in addition to the part itself. */
export interface KeyContext {
  readonly prefix: string;
  readonly adapter: string | undefined;
  /** Names of the adapted modules; the base model's tensors of these are under `base_layer`. */
  readonly adapted: ReadonlySet<string>;
}

/** Key of a factor. */
export function factorKey(
  module: Pick<ModuleShape, "name" | "role">,
  factor: "a" | "b",
  context: KeyContext,
): string {
  const kind = module.role === "embedding" ? (`embedding-${factor}` as const) : factor;
  return context.prefix + module.name + moduleSuffix(kind, context.adapter);
}

/** Key of a plain tensor; undefined for token indices, which are in PEFT's configuration. */
export function tensorKey(
  tensor: Pick<PlainTensor, "name" | "role">,
  context: KeyContext,
): string | undefined {
  const { name, role } = tensor;
  if (role === "token-indices") return undefined;
  if (role === "magnitude" || role === "lora-bias" || role === "token-rows") {
    return context.prefix + name + moduleSuffix(role, context.adapter);
  }
  if (role !== "carried") {
    const dot = name.lastIndexOf(".");
    const layer = name.slice(0, Math.max(dot, 0));
    if (context.adapted.has(layer)) return `${context.prefix}${layer}.base_layer${name.slice(dot)}`;
  }
  return context.prefix + name;
}
