/**
 * Turns modules, tensors and sections into the records of an index (spec clauses 6.3 to 6.10). Mirrors `records-read.ts`.
 *
 * @module
 */

import { concat, fromHex, viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { ENCODINGS, SHARED_RECORDS } from "../../limits.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Encoding } from "../codecs/encoding.ts";
import { type Band, hasStart } from "../codecs/packed.ts";
import { type ModuleStart, MT19937 } from "../codecs/start/start.ts";
import { kernelFields } from "./digests.ts";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  TENSOR_ROLES,
  writeEncoding,
} from "./encoding-record.ts";
import type { BandRecord, EncodingRecord, IndexVectors, ModuleTypeRecord } from "./generated/schema.ts";
import { frontCode } from "./names.ts";
import type { ModuleRecord, SectionRecord, TensorRecord, Unplaced } from "./types.ts";

/** Numbers records by content, in the order of first use; equal records share a number. */
function sharedRecords<T>(name: string, most: number): { number(record: T): number; records: T[] } {
  const numbers = new Map<string, number>();
  const records: T[] = [];
  return {
    records,
    number(record) {
      const key = JSON.stringify(record);
      let number = numbers.get(key);
      if (number === undefined) {
        number = records.length;
        if (number >= most)
          fail(KIND.HARD_LIMIT, { where: name, expected: `at most ${most} different ${name}` });
        numbers.set(key, number);
        records.push(record);
      }
      return number;
    },
  };
}

/**
 * The vectors of an index.
 *
 * @param modules in natural order of their names
 * @param tensors in natural order of their names, then by role
 * @param sections in order of their types
 * @param utf8 the names of modules and tensors, in the same order
 * @throws LqaError HARD_LIMIT if there are more different shared records than references can number
 */
export function writeRecords(
  modules: readonly Unplaced<ModuleRecord>[],
  tensors: readonly Unplaced<TensorRecord>[],
  sections: readonly Unplaced<SectionRecord>[],
  utf8: { modules: readonly Uint8Array[]; tensors: readonly Uint8Array[] },
): IndexVectors {
  const heap: Uint8Array[] = [];
  const moduleNames = frontCode(utf8.modules, heap);
  const tensorNames = frontCode(utf8.tensors, heap);
  const types = sharedRecords<ModuleTypeRecord>("module types", SHARED_RECORDS.hard);
  const plans = sharedRecords<readonly Band[]>("band plans", SHARED_RECORDS.hard);
  const encodings = sharedRecords<EncodingRecord>("encodings", ENCODINGS.hard);

  const moduleRecords = modules.map((module, i) => ({
    ...moduleNames[i]!,
    chunkLength: module.chunkLength,
    reserved: 0,
    moduleType: types.number(typeRecord(module)),
    plan: plans.number(module.bands),
  }));
  const started = modules.filter((module) => hasStart(module.bands));
  const child = modules.find((module) => module.parentModule !== undefined);
  const bands: BandRecord[] = [];
  const encodingNumber = (encoding: Encoding): number => encodings.number(writeEncoding(encoding));
  for (const plan of plans.records)
    for (const { components, b, a } of plan)
      bands.push({ components, b: encodingNumber(b), a: encodingNumber(a) });
  return {
    encodings: encodings.records,
    bands,
    plans: plans.records.map((plan) => plan.length),
    types: types.records,
    modules: moduleRecords,
    tensors: tensors.map((tensor, i) => ({
      ...tensorNames[i]!,
      chunkLength: tensor.chunkLength,
      compression: COMPRESSIONS.indexOf(tensor.compression),
      element: ELEMENT_TYPES.indexOf(tensor.element),
      role: TENSOR_ROLES.indexOf(tensor.role),
      axis: tensor.axis,
      dimensions: tensor.shape.length,
    })),
    dimensions: tensors.flatMap((tensor) => tensor.shape),
    sections: sections.map((section) => ({
      tag: [...section.type].reduce((number, letter, k) => number + letter.charCodeAt(0) * 256 ** k, 0),
      chunkLength: section.chunkLength,
      rawLength: section.payload,
      compression: COMPRESSIONS.indexOf(section.compression),
      flags: (section.critical ? 1 : 0) | (section.safeToCopy ? 2 : 0),
      reserved: 0,
    })),
    names: concat(heap),
    ...(started.length > 0 && startVectors(started.map(({ start }) => start!))),
    ...(child !== undefined && parentVectors(child.parentId!, modules)),
  };
}

function typeRecord(shape: ModuleShape): ModuleTypeRecord {
  const [kernel0, kernel1, kernel2] = kernelFields(shape);
  return {
    outSize: shape.out,
    inSize: shape.in,
    multiplier: shape.multiplier,
    alpha: shape.alpha,
    kernel0,
    kernel1,
    kernel2,
    experts: shape.experts,
    role: MODULE_ROLES.indexOf(shape.role),
    baseLayout: BASE_LAYOUTS.indexOf(shape.baseLayout),
    rule: MULTIPLIER_RULES.indexOf(shape.rule),
    reserved: 0,
  };
}

/** The vectors of a file with a parent (spec 8.9.1): a content id, and for each module 0, or 1 + the parent's module number. */
function parentVectors(
  id: string,
  modules: readonly { readonly parentModule?: number | undefined }[],
): { parent: number[]; parentModules: number[] } {
  const view = viewOf(fromHex(id));
  return {
    parent: Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true)),
    parentModules: modules.map(({ parentModule }) => (parentModule === undefined ? 0 : parentModule + 1)),
  };
}

/** The vectors of a file whose modules have these starts. All share one {@link Start}. */
function startVectors(starts: readonly ModuleStart[]): { start: number[]; positions: number[] } {
  const { state } = starts[0]!.start;
  return {
    start: [MT19937, ...(typeof state === "number" ? [state] : state)],
    positions: starts.map(({ position }) => position),
  };
}
