/**
 * Compares two adapters: modules, plain tensors, metadata, and the error of the weights.
 *
 * It compares weights by the ΔW of each module, so that two encodings of one adapter compare fairly although they store
 * different factors. It compares everything else exactly.
 *
 * @module
 */

import { compareModules } from "../encode/index.ts";
import type { Adapter, LoraModule, MetaValue } from "../model/adapter.ts";
import { comparable, shapeOf, withFactors } from "../model/adapter.ts";

/** One side: an adapter, and the encodings of its modules if they are encoded. */
export interface DiffSide extends Adapter {
  /** Text of the encodings of a module's bands, by module name. */
  readonly encodings?: ReadonlyMap<string, string>;
}

/** A field with its value on both sides. */
export interface FieldChange {
  readonly field: string;
  readonly a: MetaValue | undefined;
  readonly b: MetaValue | undefined;
}

/** A module that both sides have and that differs. */
export interface ModuleChange {
  readonly name: string;
  /** Changed fields of `ModuleShape`, and `encodings`. */
  readonly fields: readonly FieldChange[];
  /** ‖ΔW_a − ΔW_b‖² / ‖ΔW_a‖²; undefined if the shapes of ΔW differ, infinite if ΔW_a is zero and ΔW_b is not. */
  readonly relativeError: number | undefined;
}

/** A plain tensor that both sides have and that differs. */
export interface TensorChange {
  readonly name: string;
  readonly role: string;
  readonly fields: readonly FieldChange[];
  /** Number of bytes that differ; undefined if element type, shape or axis differ. */
  readonly bytes: number | undefined;
}

/** The result of {@link diffAdapters}. */
export interface AdapterDiff {
  readonly identical: boolean;
  readonly modules: {
    readonly onlyA: readonly string[];
    readonly onlyB: readonly string[];
    readonly changed: readonly ModuleChange[];
    readonly equal: number;
  };
  readonly tensors: {
    readonly onlyA: readonly string[];
    readonly onlyB: readonly string[];
    readonly changed: readonly TensorChange[];
    readonly equal: number;
  };
  /** META by its keys, and ORIG by its keys with `origin.` before them. */
  readonly metadata: readonly FieldChange[];
  /** Over all modules with the same shapes: Σ ‖ΔW_a − ΔW_b‖² / Σ ‖ΔW_a‖²; undefined if there are none. */
  readonly relativeError: number | undefined;
}

/** Compares two adapters. Reads the factors module by module and does not keep them. */
export function diffAdapters(a: DiffSide, b: DiffSide): AdapterDiff {
  const { modules, relativeError } = diffModules(a, b);
  const tensors = diffTensors(a, b);
  const metadata = [
    ...changes(a.meta, b.meta),
    ...changes(a.origin ?? {}, b.origin ?? {}).map((change) => ({
      ...change,
      field: `origin.${change.field}`,
    })),
  ];
  const identical = [
    modules.onlyA,
    modules.onlyB,
    modules.changed,
    tensors.onlyA,
    tensors.onlyB,
    tensors.changed,
    metadata,
  ].every((list) => list.length === 0);
  return { identical, modules, tensors, metadata, relativeError };
}

function diffModules(a: DiffSide, b: DiffSide): Pick<AdapterDiff, "modules" | "relativeError"> {
  const modules = { onlyA: [] as string[], onlyB: [] as string[], changed: [] as ModuleChange[], equal: 0 };
  let compared = 0;
  let energy = 0;
  let errorEnergy = 0;
  for (const { key, x, y } of paired(a.modules, b.modules, ({ name }) => name)) {
    if (y === undefined) modules.onlyA.push(key);
    else if (x === undefined) modules.onlyB.push(key);
    else {
      const fields = moduleFields(x, y, a, b);
      let relativeError: number | undefined;
      if (comparable(x, y)) {
        const [one, other] = [withFactors(x), withFactors(y)];
        const found = compareModules(one, other);
        // This also covers weights that are NaN, for which no error can be computed.
        const error = sameFactors(one, other) ? 0 : found.errorEnergy;
        compared++;
        energy += found.energy;
        errorEnergy += error;
        relativeError = share(error, found.energy);
      }
      if (fields.length === 0 && relativeError === 0) modules.equal++;
      else modules.changed.push({ name: key, fields, relativeError });
    }
  }
  return { modules, relativeError: compared === 0 ? undefined : share(errorEnergy, energy) };
}

function diffTensors(a: DiffSide, b: DiffSide): AdapterDiff["tensors"] {
  const tensors = { onlyA: [] as string[], onlyB: [] as string[], changed: [] as TensorChange[], equal: 0 };
  for (const { key, x, y } of paired(a.tensors, b.tensors, ({ name, role }) => `${name} (${role})`)) {
    if (y === undefined) tensors.onlyA.push(key);
    else if (x === undefined) tensors.onlyB.push(key);
    else {
      const fields = changes(
        { element: x.element, shape: [...x.shape], axis: x.axis },
        { element: y.element, shape: [...y.shape], axis: y.axis },
      );
      const bytes = fields.length === 0 ? differentBytes(x.data, y.data) : undefined;
      if (bytes === 0) tensors.equal++;
      else tensors.changed.push({ name: x.name, role: x.role, fields, bytes });
    }
  }
  return tensors;
}

function share(error: number, energy: number): number {
  return error === 0 ? 0 : error / energy;
}

/** Items of both sides by key: in the order of the first side, then those that only the second has. */
function* paired<T>(
  a: readonly T[],
  b: readonly T[],
  keyOf: (item: T) => string,
): Generator<{ key: string; x: T | undefined; y: T | undefined }> {
  const others = new Map(b.map((item) => [keyOf(item), item]));
  for (const x of a) {
    const key = keyOf(x);
    yield { key, x, y: others.get(key) };
    others.delete(key);
  }
  for (const [key, y] of others) yield { key, x: undefined, y };
}

/** True if rank and multiplier are equal, and the factors have the same bits. */
function sameFactors(x: LoraModule, y: LoraModule): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
    new Uint8Array(buffer, byteOffset, byteLength);
  return (
    x.multiplier === y.multiplier &&
    x.rank === y.rank &&
    differentBytes(bytes(x.b), bytes(y.b)) === 0 &&
    differentBytes(bytes(x.a), bytes(y.a)) === 0
  );
}

function moduleFields(x: LoraModule, y: LoraModule, a: DiffSide, b: DiffSide): FieldChange[] {
  const facts = (module: LoraModule, side: DiffSide): Record<string, MetaValue> => {
    const { name, kernel, ...rest } = shapeOf(module);
    const encodings = side.encodings?.get(name);
    return {
      ...rest,
      kernel: [...kernel],
      // Compared only if both sides have encodings; a source adapter has none.
      ...(a.encodings === undefined || b.encodings === undefined || encodings === undefined
        ? {}
        : { encodings }),
    };
  };
  const [one, other] = [facts(x, a), facts(y, b)];
  // Most modules are equal, and there may be 65,536 of them; build sets and texts only for the others.
  const alike = Object.keys(one).every(
    (field) => one[field] === other[field] || equalValues(one[field], other[field]),
  );
  return alike && Object.keys(other).length === Object.keys(one).length ? [] : changes(one, other);
}

/** Keys whose values differ, sorted. */
function changes(
  a: { readonly [key: string]: MetaValue },
  b: { readonly [key: string]: MetaValue },
): FieldChange[] {
  const [x, y] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  return [...new Set([...x.keys(), ...y.keys()])]
    .sort()
    .filter((field) => !equalValues(x.get(field), y.get(field)))
    .map((field) => ({ field, a: x.get(field), b: y.get(field) }));
}

function equalValues(x: MetaValue | undefined, y: MetaValue | undefined): boolean {
  return canonical(x) === canonical(y);
}

/** Canonical text of a value, independent of the order of its keys. Metadata nests 16 deep at most. */
function canonical(value: MetaValue | undefined): string {
  if (value === undefined) return "";
  if (value instanceof Uint8Array) return `bytes:${[...value].join(",")}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
}

/** Number of bytes that differ between two arrays of one length. */
function differentBytes(x: Uint8Array, y: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) count++;
  return count;
}
