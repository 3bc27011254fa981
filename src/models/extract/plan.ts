/**
 * Plans what to do with each tensor of two models: turn it into a module, compare it, or ignore it.
 *
 * The plan needs only headers, so it reports every mismatch of the two models before anything reads weights. A module is
 * the `.weight` of a layer: a matrix, or the kernel of a convolution. As PEFT's "all-linear" does, the plan leaves out
 * embeddings and output heads unless the caller requests them.
 *
 * @module
 */

import { quoteName } from "../../adapters/json.ts";
import { sortByName } from "../../core/container/names.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { DIMENSION } from "../../limits.ts";
import type { ModuleRole } from "../../model/adapter.ts";
import { isFloat } from "./difference.ts";
import { commonPrefix, layerOf, looksTransposed, matchesLayer, vocabularyLayer } from "./layers.ts";
import type { Model, StoredTensor } from "./model.ts";

/** Which layers to extract. */
export interface LayerChoice {
  /** Only layers that match one of these; `*` and `?` as wildcards, tails of names match. Default: all. */
  readonly include?: readonly string[] | undefined;
  /** No layer that matches one of these. */
  readonly exclude?: readonly string[] | undefined;
  /** Embeddings and output heads too. Default: false. */
  readonly embeddings?: boolean | undefined;
  /** Keep changed tensors that become no module, whole. Default: false. */
  readonly keepRest?: boolean | undefined;
  /**
   * Linear weights are stored (in, out) instead of (out, in). Default: detected from the shapes of GPT-2's
   * layers. Set it for other models with that layout.
   */
  readonly fanInFanOut?: boolean | undefined;
  /** Put before every name, for models saved without the head they will be used with, e.g. `transformer.`. */
  readonly prefix?: string | undefined;
}

/** Why a tensor is not extracted as a module. */
export type RestReason =
  | "embedding"
  | "output head"
  | "not a layer's weight" // a bias, a bare parameter
  | "not a matrix" // a norm's weight, a stack of experts
  | "one input channel" // most likely a depthwise convolution, which no LoRA can express
  | "not floating point"
  | "another shape in the base"
  | "not in the base";

/** A tensor that becomes a module. */
export interface PlannedModule {
  /** Name of the layer. */
  readonly name: string;
  readonly role: ModuleRole;
  /** The stored weight as a matrix: `rows × columns`. */
  readonly rows: number;
  readonly columns: number;
  readonly kernel: readonly number[];
  /** Stored (in, out): rows are inputs. */
  readonly transposed: boolean;
  readonly base: StoredTensor;
  readonly tuned: StoredTensor;
}

/** A tensor that becomes no module, but may have changed. */
export interface PlannedRest {
  readonly name: string;
  readonly reason: RestReason;
  /** Undefined if the base model has no such tensor, or one of another shape. */
  readonly base: StoredTensor | undefined;
  readonly tuned: StoredTensor;
}

/** The plan for a pair of models. */
export interface Plan {
  /** In natural order of the names; so are `rest` and `onlyInBase`. */
  readonly modules: readonly PlannedModule[];
  readonly rest: readonly PlannedRest[];
  readonly onlyInBase: readonly string[];
  /** How many tensors `include` and `exclude` left out. */
  readonly filtered: number;
  readonly fanInFanOut: boolean;
  /** Layers of the tuned model that contain other layers. An adapter cannot keep their own parameters. */
  readonly containers: ReadonlySet<string>;
}

/** No convolution in use has a larger window; a larger dimension means a stack of matrices. */
const MAX_KERNEL = 64;

const CONVOLUTIONS: readonly ModuleRole[] = ["conv1d", "conv2d", "conv3d"];

/**
 * Plans an extraction.
 *
 * @throws LqaError MODELS_DIFFER for weights to extract that only one model has, or that differ in shape, with their
 * names; SOURCE_ELEMENT_TYPE for quantized weights; NAME_ENCODING; HARD_LIMIT
 */
export function planExtraction(base: Model, tuned: Model, choice: LayerChoice): Plan {
  const [before, after] = align(base, tuned, choice.prefix ?? "");
  const fanInFanOut = choice.fanInFanOut ?? looksTransposed(after);
  const modules: PlannedModule[] = [];
  const rest: PlannedRest[] = [];
  const missing: string[] = [];
  let filtered = 0;
  for (const [name, tensor] of after) {
    if (!isChosen(name, choice)) {
      filtered += 1;
      continue;
    }
    const other = before.get(name);
    const reason = reasonAgainst(name, tensor, choice);
    if (reason === undefined && other !== undefined) {
      modules.push(planModule(name, other, tensor, fanInFanOut));
    } else if (reason === undefined && choice.keepRest !== true) missing.push(name);
    else rest.push(planRest(name, other, tensor, reason));
  }
  refuseMissing(
    missing,
    "only in the tuned model",
    "--keep-rest keeps them whole, --exclude leaves them out.",
  );
  const lost: string[] = [];
  const extra: string[] = [];
  for (const [name, tensor] of before) {
    if (after.has(name) || !isChosen(name, choice)) continue;
    (reasonAgainst(name, tensor, choice) === undefined ? lost : extra).push(name);
  }
  refuseMissing(lost, "only in the base model", "Is the tuned model complete? --exclude leaves them out.");
  return {
    modules: sorted(modules, "module"),
    rest: sorted(rest, "tensor"),
    onlyInBase: sorted(
      extra.map((name) => ({ name })),
      "tensor",
    ).map(({ name }) => name),
    filtered,
    fanInFanOut,
    containers: containersOf(after.keys()),
  };
}

/** Both models under the longer names of the two, with `prefix` before them. */
function align(base: Model, tuned: Model, prefix: string): [Model, Model] {
  const toBase = commonPrefix(base, tuned);
  if (toBase !== undefined) return [renamed(base, prefix + toBase), renamed(tuned, prefix)];
  const toTuned = commonPrefix(tuned, base);
  if (toTuned !== undefined) return [renamed(base, prefix), renamed(tuned, prefix + toTuned)];
  const [first] = tuned.keys();
  const [other] = base.keys();
  return fail(KIND.MODELS_DIFFER, {
    expected: first === undefined ? "tensors" : `tensors such as ${quoteName(first)} in the base model`,
    actual: other === undefined ? "none" : `others, such as ${quoteName(other)}`,
  });
}

function renamed(model: Model, prefix: string): Model {
  return prefix === "" ? model : new Map([...model].map(([name, tensor]) => [prefix + name, tensor]));
}

function isChosen(name: string, { include, exclude }: LayerChoice): boolean {
  const layer = layerOf(name);
  const matches = (pattern: string): boolean => matchesLayer(pattern, layer === "" ? name : layer);
  return (include === undefined || include.some(matches)) && !(exclude ?? []).some(matches);
}

/** Why a tensor becomes no module; undefined if it becomes one. */
function reasonAgainst(
  name: string,
  { element, shape }: StoredTensor,
  choice: LayerChoice,
): RestReason | undefined {
  if (!name.endsWith(".weight") || layerOf(name) === "") return "not a layer's weight";
  if (shape.length < 2 || shape.length > 5 || shape.includes(0)) return "not a matrix";
  const kernel = shape.slice(2);
  if (kernel.some((size) => size > MAX_KERNEL)) return "not a matrix";
  if (kernel.length > 0 && shape[1] === 1) return "one input channel";
  const kind = kernel.length === 0 ? vocabularyLayer(layerOf(name)) : undefined;
  if (kind !== undefined && choice.embeddings !== true) return kind === "output" ? "output head" : kind;
  if (isFloat(element)) return undefined;
  // A matrix of integers called `weight` is a quantized weight: the difference of its codes means nothing.
  return fail(KIND.SOURCE_ELEMENT_TYPE, {
    where: `tensor ${quoteName(name)}`,
    expected: "F32, F16, BF16 or F64",
    actual: element,
    advice: "This looks like a quantized model. Use the one that is not, or dequantize it first.",
  });
}

function planModule(
  name: string,
  base: StoredTensor,
  tuned: StoredTensor,
  fanInFanOut: boolean,
): PlannedModule {
  const { shape } = tuned;
  if (`${base.shape}` !== `${shape}`) {
    fail(KIND.MODELS_DIFFER, {
      where: `tensor ${quoteName(name)}`,
      expected: `[${base.shape}], as in the base model`,
      actual: `[${shape}]`,
      advice: "Leave the layer out with --exclude.",
    });
  }
  if (!isFloat(base.element)) {
    fail(KIND.SOURCE_ELEMENT_TYPE, {
      where: `tensor ${quoteName(name)} of the base model`,
      expected: "F32, F16, BF16 or F64",
      actual: base.element,
      advice: "Use a base model that is not quantized.",
    });
  }
  const [rows, inputs, ...kernel] = shape as [number, number, ...number[]];
  const columns = kernel.reduce((product, size) => product * size, inputs);
  if (Math.max(rows, columns) > DIMENSION.hard) {
    fail(KIND.HARD_LIMIT, {
      where: `tensor ${quoteName(name)}`,
      expected: `dimensions of at most ${DIMENSION.hard}`,
      actual: Math.max(rows, columns),
    });
  }
  const layer = layerOf(name);
  const kind = kernel.length === 0 ? vocabularyLayer(layer) : undefined;
  const role = kernel.length > 0 ? CONVOLUTIONS[kernel.length - 1]! : kind === "embedding" ? kind : "linear";
  const transposed = role === "embedding" || (role === "linear" && kind === undefined && fanInFanOut);
  return { name: layer, role, rows, columns, kernel, transposed, base, tuned };
}

function planRest(
  name: string,
  base: StoredTensor | undefined,
  tuned: StoredTensor,
  reason: RestReason | undefined,
): PlannedRest {
  if (base === undefined) return { name, reason: "not in the base", base, tuned };
  if (`${base.shape}` !== `${tuned.shape}`) {
    return { name, reason: "another shape in the base", base: undefined, tuned };
  }
  const floating = isFloat(base.element) && isFloat(tuned.element);
  return { name, reason: floating ? reason! : "not floating point", base, tuned };
}

function refuseMissing(names: readonly string[], which: string, advice: string): void {
  if (names.length === 0) return;
  const shown = names.slice(0, 4).map(quoteName).join(", ");
  const more = names.length > 4 ? ` and ${names.length - 4} more` : "";
  fail(KIND.MODELS_DIFFER, {
    expected: "the same weights in both",
    actual: `${which}: ${shown}${more}`,
    advice,
  });
}

function sorted<T extends { readonly name: string }>(items: readonly T[], kind: string): T[] {
  return sortByName(
    items,
    ({ name }) => name,
    () => 0,
    kind,
  ).items;
}

/** Every layer that contains another layer. */
function containersOf(names: Iterable<string>): Set<string> {
  const containers = new Set<string>();
  for (const name of names) {
    for (let layer = layerOf(layerOf(name)); layer !== "" && !containers.has(layer); layer = layerOf(layer)) {
      containers.add(layer);
    }
  }
  return containers;
}
