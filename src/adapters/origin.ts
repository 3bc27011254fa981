/**
 * The fields of an origin record that all dialects of named tensors share (spec clause 10.3): what the writer needs to
 * reproduce the file.
 *
 * Every converted file contains it, so it states only what cannot be derived: metadata, the element type of the
 * factors, and exceptions from the dialect's usual output. A usual adapter has no exceptions. Exceptions are lists of
 * tuples, not objects: keys and names come from the file, and an object would reorder `10` and mishandle `__proto__`.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter, LoraModule, MetaValue, Origin } from "../model/adapter.ts";
import type { WriteOptions } from "./dialect.ts";
import { type FactorElement, isFactorElement } from "./elements.ts";
import { libraryOrder, type SafeTensor, type WrittenTensor } from "./safetensors.ts";

/** What the record says about a file of named tensors. */
export interface FileOrigin {
  /** `__metadata__` in its order. */
  readonly metadata: ReadonlyMap<string, string> | undefined;
  /** Element type of the factors. */
  readonly element: FactorElement;
  /** Modules whose factors have other types: name to the types of B and A. */
  readonly elements: ReadonlyMap<string, ElementPair>;
  /** Keys that differ from the ones that the dialect would write: the dialect's to the actual. */
  readonly keys: ReadonlyMap<string, string>;
  /** Order of the keys, if it is not the reference library's. */
  readonly order: readonly string[] | undefined;
}

/** A record under construction. */
export interface PackedOrigin {
  dialect: string;
  [key: string]: MetaValue;
}

/** Packs the record. Omits fields with their usual values. */
export function packFileOrigin(dialect: string, origin: FileOrigin): PackedOrigin {
  const packed: PackedOrigin = { dialect, element: origin.element };
  if (origin.metadata !== undefined) packed.metadata = packRows(origin.metadata);
  if (origin.elements.size > 0) {
    packed.elements = [...origin.elements].map(([name, [b, a]]) => [name, b, a]);
  }
  if (origin.keys.size > 0) packed.keys = packRows(origin.keys);
  if (origin.order !== undefined) packed.order = [...origin.order];
  return packed;
}

/** A map of strings as rows of two cells. */
export function packRows(map: ReadonlyMap<string, string>): MetaValue[] {
  return [...map].map(([name, value]) => [name, value]);
}

/**
 * Unpacks the record of an adapter. It may come from an untrusted file.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if a field does not have its type
 */
export function unpackFileOrigin(packed: Origin): FileOrigin {
  const { element } = packed;
  if (typeof element !== "string" || !isFactorElement(element)) badOrigin("element", "F32, F16 or BF16");
  const elements = originRows(packed, "elements", 3).map(
    ([name, b, a]): [string, [FactorElement, FactorElement]] => {
      if (!isFactorElement(b!) || !isFactorElement(a!))
        badOrigin("elements", "names, each with two of F32, F16 and BF16");
      return [name!, [b, a]];
    },
  );
  return {
    element,
    metadata: packed.metadata === undefined ? undefined : originMap(packed, "metadata"),
    elements: new Map(elements),
    keys: originMap(packed, "keys"),
    order: packed.order === undefined ? undefined : strings(packed.order, "order"),
  };
}

/** The record of an adapter that did not come from this dialect. */
export function newFileOrigin(metadata: ReadonlyMap<string, string> | undefined): FileOrigin {
  return { metadata, element: "F32", elements: new Map(), keys: new Map(), order: undefined };
}

/** Element types of a module's factors: B's and A's. */
export type ElementPair = readonly [b: FactorElement, a: FactorElement];

/** The element types that the factors of each module had in the source, in any dialect; F32 without a record. */
export function sourceElementPairs({ modules, origin }: Adapter): ElementPair[] {
  if (origin?.element === undefined) return modules.map(() => ["F32", "F32"]);
  const { element, elements } = unpackFileOrigin(origin);
  return modules.map(({ name }) => elements.get(name) ?? [element, element]);
}

/** Element types of a module's factors in the file to write. */
export function elementsOf(
  { name }: Pick<LoraModule, "name">,
  { factors, elements }: Pick<WriteOptions, "factors" | "elements">,
): ElementPair {
  // Only the writer of PEFT directories knows F8_E4M3, and asks for no other type then.
  return factors === "source" || factors === "F8_E4M3"
    ? (elements?.get(name) ?? ["F32", "F32"])
    : [factors, factors];
}

/** The commonest element type of the factors, and the modules that have others. */
export function describeElements(
  types: readonly (readonly [string, readonly [FactorElement, FactorElement]])[],
): Pick<FileOrigin, "element" | "elements"> {
  const element = commonest(types.flatMap(([, pair]) => pair)) ?? "F32";
  return { element, elements: new Map(types.filter(([, [b, a]]) => b !== element || a !== element)) };
}

/** The most frequent value; the first of equally frequent ones. Undefined for an empty list. */
export function commonest<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

/** The order of the keys of a file; undefined if it is the reference library's. */
export function unusualOrder(tensors: ReadonlyMap<string, SafeTensor>): readonly string[] | undefined {
  const order = [...tensors.keys()];
  const usual = libraryOrder(tensors);
  return order.every((key, index) => key === usual[index]) ? undefined : order;
}

/** The recorded order; undefined unless it names exactly these tensors (an adapter may have lost a module since). */
export function keptOrder(
  { order }: FileOrigin,
  tensors: ReadonlyMap<string, WrittenTensor>,
): readonly string[] | undefined {
  if (order === undefined || order.length !== tensors.size || new Set(order).size !== order.length)
    return undefined;
  return order.every((key) => tensors.has(key)) ? order : undefined;
}

/** Rows of two strings as a map; empty if the field is absent. @throws LqaError UNSUPPORTED_DIALECT */
export function originMap(packed: Origin, field: string): Map<string, string> {
  return new Map(originRows(packed, field, 2).map(([key, value]) => [key!, value!]));
}

/** Rows of strings; none if the field is absent. @throws LqaError UNSUPPORTED_DIALECT */
export function originRows(packed: Origin, field: string, width: number): string[][] {
  const value = packed[field];
  if (value === undefined) return [];
  if (!Array.isArray(value)) return badOrigin(field, "a list");
  return value.map((row) => {
    const cells = strings(row, field);
    return cells.length === width ? cells : badOrigin(field, `rows of ${width}`);
  });
}

function strings(value: MetaValue, field: string): string[] {
  if (!Array.isArray(value)) return badOrigin(field, "a list of strings");
  return value.map((item) => (typeof item === "string" ? item : badOrigin(field, "strings")));
}

/** A string field, or undefined if it is absent. @throws LqaError UNSUPPORTED_DIALECT */
export function originString(packed: Origin, field: string): string | undefined {
  const value = packed[field];
  return value === undefined || typeof value === "string" ? value : badOrigin(field, "a string");
}

/** A field of bytes, or undefined if it is absent. @throws LqaError UNSUPPORTED_DIALECT */
export function originBytes(packed: Origin, field: string): Uint8Array | undefined {
  const value = packed[field];
  return value === undefined || value instanceof Uint8Array ? value : badOrigin(field, "bytes");
}

/** Throws: a field of an origin record does not have the form that its dialect gives it. */
export function badOrigin(field: string, expected: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `origin record field "${field}"`,
    expected,
    actual: "something else",
  });
}
