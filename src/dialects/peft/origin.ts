/**
 * The origin record of a PEFT adapter (spec clause 10.3): what it takes to write the same files again.
 *
 * It is part of every converted file, so it says only what cannot be derived: the configuration as it was, the
 * safetensors metadata, the element type of the factors, and exceptions from how PEFT writes. A usual adapter has no
 * exceptions. Exceptions are lists of tuples, not objects: keys and names come from the file, and an object would
 * reorder `10` and choke on `__proto__`.
 *
 * @module
 */
import { fail } from "../../errors.ts";
import type { MetaValue, Origin } from "../../model/adapter.ts";
import { type FactorElement, isFactorElement } from "../elements.ts";
import { PREFIX } from "./keys.ts";

/** The record, unpacked. */
export interface PeftOrigin {
  /** `adapter_config.json`, byte for byte. */
  readonly config: Uint8Array;
  /** `__metadata__` in its order. */
  readonly metadata: ReadonlyMap<string, string> | undefined;
  /** Element type of the factors. */
  readonly element: FactorElement;
  /** Modules whose factors have other types: name to B's and A's. */
  readonly elements: ReadonlyMap<string, readonly [FactorElement, FactorElement]>;
  readonly prefix: string;
  /** The adapter's name, where keys carry it. */
  readonly adapter: string | undefined;
  /** Keys that differ from the ones PEFT would write: theirs to the actual. */
  readonly keys: ReadonlyMap<string, string>;
  /** Order of the keys, where it is not the reference library's. */
  readonly order: readonly string[] | undefined;
}

/** Packs the record. Fields at their usual values are left out. */
export function packOrigin(origin: PeftOrigin): Origin {
  const packed: { dialect: string; [key: string]: MetaValue } = {
    dialect: "peft",
    config: origin.config,
    element: origin.element,
  };
  if (origin.metadata !== undefined)
    packed.metadata = [...origin.metadata].map(([name, value]) => [name, value]);
  if (origin.elements.size > 0) {
    packed.elements = [...origin.elements].map(([name, [b, a]]) => [name, b, a]);
  }
  if (origin.prefix !== PREFIX) packed.prefix = origin.prefix;
  if (origin.adapter !== undefined) packed.adapter_name = origin.adapter;
  if (origin.keys.size > 0) packed.keys = [...origin.keys].map(([usual, actual]) => [usual, actual]);
  if (origin.order !== undefined) packed.order = [...origin.order];
  return packed;
}

/**
 * Unpacks the record of an adapter, which may come from a file anyone could have written.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if a field does not have its type.
 */
export function unpackOrigin(packed: Origin): PeftOrigin {
  const { config, element } = packed;
  if (!(config instanceof Uint8Array)) bad("config", "bytes");
  if (typeof element !== "string" || !isFactorElement(element)) bad("element", "F32, F16 or BF16");
  const elements = rows(packed, "elements", 3).map(
    ([name, b, a]): [string, [FactorElement, FactorElement]] => {
      if (!isFactorElement(b!) || !isFactorElement(a!))
        bad("elements", "names, each with two of F32, F16 and BF16");
      return [name!, [b, a]];
    },
  );
  return {
    config,
    element,
    metadata:
      packed.metadata === undefined
        ? undefined
        : new Map(rows(packed, "metadata", 2).map(([name, value]) => [name!, value!])),
    elements: new Map(elements),
    prefix: optionalString(packed, "prefix") ?? PREFIX,
    adapter: optionalString(packed, "adapter_name"),
    keys: new Map(rows(packed, "keys", 2).map(([usual, actual]) => [usual!, actual!])),
    order: packed.order === undefined ? undefined : strings(packed.order, "order"),
  };
}

function rows(packed: Origin, field: string, width: number): string[][] {
  const value = packed[field];
  if (value === undefined) return [];
  if (!Array.isArray(value)) return bad(field, "a list");
  return value.map((row) => {
    const cells = strings(row, field);
    return cells.length === width ? cells : bad(field, `rows of ${width}`);
  });
}

function strings(value: MetaValue, field: string): string[] {
  if (!Array.isArray(value)) return bad(field, "a list of strings");
  return value.map((item) => (typeof item === "string" ? item : bad(field, "strings")));
}

function optionalString(packed: Origin, field: string): string | undefined {
  const value = packed[field];
  return value === undefined || typeof value === "string" ? value : bad(field, "a string");
}

function bad(field: string, expected: string): never {
  return fail("UNSUPPORTED_DIALECT", {
    where: `origin record field "${field}"`,
    expected,
    actual: "something else",
  });
}
