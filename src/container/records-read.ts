/**
 * The meaning of an index: records → modules, tensors and sections with positions (spec clauses 6.3 to 6.10), in the
 * order of checks of clause 15.2. Every count and product is bounded before it is used; every shared record must be
 * referred to, listed once, and in the order of first use, so that one content has one index.
 *
 * @module
 */
import type { Encoding } from "../codecs/encoding.ts";
import type { Band } from "../codecs/packed.ts";
import { fail } from "../errors.ts";
import {
  BANDS,
  CHUNK_BYTES,
  DIMENSION,
  ENCODINGS,
  EXPERTS,
  GROUPS,
  type Limit,
  META_BYTES,
  RANK,
  SHARED_RECORDS,
} from "../limits.ts";
import { consistentMultiplier, ELEMENT_BYTES, inputLength, type ModuleShape } from "../model/adapter.ts";
import { CHOICES } from "./compression.ts";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  KERNEL_DIMENSIONS,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  readEncoding,
  TENSOR_ROLES,
} from "./encoding-record.ts";
import type { IndexVectors, ModuleTypeRecord } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";
import { CRC_BYTES, layOut, payloadLength } from "./layout.ts";
import { compareNames, nameReader } from "./names.ts";
import { COMPATIBLE, checkLimit, hex32, type Prologue, REQUIRED } from "./prologue.ts";
import { checkCompanions, checkMagnitudeAxis } from "./tensor-rules.ts";
import type {
  CompressionName,
  ContainerIndex,
  Extent,
  ModuleRecord,
  SectionRecord,
  TensorRecord,
} from "./types.ts";

/** What reading an index needs to know beside its bytes. */
export interface InterpretOptions {
  readonly prologue: Prologue;
  /** Accept up to the Hard limits instead of Core. */
  readonly hardOnly: boolean;
}

/** Section types this version knows. */
export const KNOWN_SECTIONS: ReadonlySet<string> = new Set(["META", "ORIG"]);

type Unplaced<T extends { chunk: Extent }> = Omit<T, "chunk"> & { chunkLength: number };

/**
 * Interprets the records of a verified index.
 *
 * @returns the index, and whether its names are front-coded canonically
 * @throws LqaError of classes M, V, U and L, with the byte offset of the record
 */
export function interpretIndex(
  read: ReadIndex,
  options: InterpretOptions,
): { index: ContainerIndex; canonicalNames: boolean } {
  const { vectors } = read;
  const { prologue } = options;
  const limit = (value: number, bound: Limit, name: keyof IndexVectors, i: number, where: string): void =>
    checkLimit(value, bound, { where, offset: read.locate(name, i), hardOnly: options.hardOnly });

  for (const [name, declared] of [
    ["modules", prologue.modules],
    ["tensors", prologue.tensors],
    ["sections", prologue.sections],
  ] as const)
    if (vectors[name].length !== declared)
      fail("COUNT_MISMATCH", {
        where: name,
        offset: read.locate(name, 0),
        expected: declared,
        actual: vectors[name].length,
      });
  limit(vectors.encodings.length, ENCODINGS, "encodings", 0, "encodings");
  limit(vectors.bands.length, BANDS, "bands", 0, "bands");
  limit(vectors.plans.length, SHARED_RECORDS, "plans", 0, "plans");
  limit(vectors.types.length, SHARED_RECORDS, "types", 0, "types");

  const encodings = readEncodings(read);
  const plans = readPlans(read, encodings, limit);
  const types = vectors.types.map((record, i) => readType(record, i, read, limit));
  const names = nameReader(vectors.names);
  let canonicalNames = true;
  const usedTypes = firstUse(types.length, "types", read);
  const usedPlans = firstUse(plans.length, "plans", read);

  let previous: Uint8Array | undefined;
  const modules = vectors.modules.map((record, i): Unplaced<ModuleRecord> => {
    const offset = read.locate("modules", i);
    const { bytes, name, canonical } = names.next(record, `module ${i}`);
    canonicalNames &&= canonical;
    const where = `module "${name}"`;
    if (previous !== undefined && compareNames(previous, bytes) >= 0)
      fail("NAME_ORDER", { where, offset, expected: "a name after the one before it" });
    previous = bytes;
    const type = usedTypes(record.moduleType, where, offset, types);
    const plan = usedPlans(record.plan, where, offset, plans);
    const shape: ModuleShape = { ...type, name, rank: plan.rank };
    if (!consistentMultiplier(shape))
      fail("MULTIPLIER", {
        where,
        offset,
        expected: `the multiplier that ${shape.rule} gives for alpha ${shape.alpha} and rank ${shape.rank}`,
        actual: shape.multiplier,
      });
    const payload = payloadLength(shape, plan.bands);
    limit(payload + CRC_BYTES, CHUNK_BYTES, "modules", i, where);
    const compression = readCompression(record.compression, "module", where, offset);
    checkChunkLength(record.chunkLength, payload, compression, where, offset);
    return { ...shape, bands: plan.bands, compression, payload, chunkLength: record.chunkLength };
  });
  usedTypes.finish();
  usedPlans.finish();

  const { tensors, canonicalTensorNames } = readTensors(read, names, limit);
  names.finish();
  checkCompanions(tensors, modules, (i) => read.locate("tensors", i));
  const sections = readSections(read, limit);
  checkFeatures(prologue, modules, tensors, encodings);

  const chunkLengths = [...modules, ...tensors, ...sections].map((record) => record.chunkLength);
  const { chunks, spans, digests, trailer, fileLength } = layOut(
    prologue.indexLength,
    chunkLengths,
    prologue.alignment,
  );
  if (fileLength !== prologue.fileLength)
    fail("FILE_LENGTH_MISMATCH", { offset: 24, expected: fileLength, actual: prologue.fileLength });
  let next = 0;
  const place = <T extends { chunk: Extent }>({ chunkLength: _, ...record }: Unplaced<T>): T =>
    ({ ...record, chunk: chunks[next++]! }) as unknown as T;
  return {
    index: {
      modules: modules.map((m) => place<ModuleRecord>(m)),
      tensors: tensors.map((t) => place<TensorRecord>(t)),
      sections: sections.map((s) => place<SectionRecord>(s)),
      digests,
      spans,
      trailer,
    },
    canonicalNames: canonicalNames && canonicalTensorNames,
  };
}

type LimitCheck = (value: number, bound: Limit, name: keyof IndexVectors, i: number, where: string) => void;

function readEncodings(read: ReadIndex): Encoding[] {
  const seen = new Set<string>();
  return read.vectors.encodings.map((record, i) => {
    const offset = read.locate("encodings", i);
    const encoding = readEncoding(record, `encoding ${i}`, offset);
    const key = JSON.stringify(encoding);
    if (seen.has(key))
      fail("RECORD_REFERENCE", { where: `encoding ${i}`, offset, expected: "each encoding once" });
    seen.add(key);
    return encoding;
  });
}

interface Plan {
  readonly bands: readonly Band[];
  readonly rank: number;
}

function readPlans(read: ReadIndex, encodings: readonly Encoding[], limit: LimitCheck): Plan[] {
  const { bands, plans } = read.vectors;
  const used = firstUse(encodings.length, "encodings", read);
  const seen = new Set<string>();
  let at = 0;
  const result = plans.map((count, i) => {
    const where = `plan ${i}`;
    const offset = read.locate("plans", i);
    if (count < 1) fail("BAND_PLAN", { where, offset, expected: "at least one band", actual: count });
    if (count > bands.length - at)
      fail("RECORD_REFERENCE", {
        where,
        offset,
        expected: `at most ${bands.length - at} bands`,
        actual: count,
      });
    const members = bands.slice(at, at + count);
    let rank = 0;
    const plan = members.map((band, k): Band => {
      const bandOffset = read.locate("bands", at + k);
      if (band.components < 1)
        fail("BAND_PLAN", { where, offset: bandOffset, expected: "at least one component", actual: 0 });
      const before = members[k - 1];
      if (before !== undefined && before.b === band.b && before.a === band.a)
        fail("BAND_PLAN", {
          where,
          offset: bandOffset,
          expected: "neighbouring bands with different encodings",
        });
      rank += band.components;
      return {
        components: band.components,
        b: used(band.b, where, bandOffset, encodings),
        a: used(band.a, where, bandOffset, encodings),
      };
    });
    limit(rank, RANK, "plans", i, where);
    at += count;
    const key = JSON.stringify(members);
    if (seen.has(key)) fail("RECORD_REFERENCE", { where, offset, expected: "each plan once" });
    seen.add(key);
    return { bands: plan, rank };
  });
  if (at !== bands.length)
    fail("RECORD_REFERENCE", {
      where: "bands",
      offset: read.locate("bands", at),
      expected: `${at} bands`,
      actual: bands.length,
    });
  used.finish();
  return result;
}

function readType(
  record: ModuleTypeRecord,
  i: number,
  read: ReadIndex,
  limit: LimitCheck,
): Omit<ModuleShape, "name" | "rank"> {
  const where = `module type ${i}`;
  const offset = read.locate("types", i);
  const role = MODULE_ROLES[record.role] ?? fail("UNSUPPORTED_ROLE", { where, offset, actual: record.role });
  const baseLayout =
    BASE_LAYOUTS[record.baseLayout] ??
    fail("ROLE_SHAPE", { where, offset, expected: "base layout 0 or 1", actual: record.baseLayout });
  const rule =
    MULTIPLIER_RULES[record.rule] ??
    fail("MULTIPLIER", { where, offset, expected: "rule 0 to 3", actual: record.rule });
  if (record.reserved !== 0)
    fail("RECORD_RESERVED_NONZERO", { where, offset, expected: 0, actual: record.reserved });
  for (const field of ["outSize", "inSize", "groups", "experts"] as const)
    if (record[field] < 1)
      fail("DIMENSION_RANGE", { where: `${where}.${field}`, offset, expected: "at least 1", actual: 0 });
  const kernels = [record.kernel0, record.kernel1, record.kernel2];
  const kernel = kernels.slice(0, KERNEL_DIMENSIONS[role]);
  if (kernels.some((size, k) => size > 0 !== k < kernel.length))
    fail("ROLE_SHAPE", {
      where,
      offset,
      expected: `${kernel.length} kernel sizes for ${role}`,
      actual: kernels.join("×"),
    });
  if (kernel.length === 0 && record.groups !== 1)
    fail("ROLE_SHAPE", { where, offset, expected: `1 group for ${role}`, actual: record.groups });
  limit(record.outSize, DIMENSION, "types", i, where);
  limit(record.inSize, DIMENSION, "types", i, where);
  limit(inputLength({ in: record.inSize, kernel }), DIMENSION, "types", i, where);
  limit(record.groups, GROUPS, "types", i, where);
  limit(record.experts, EXPERTS, "types", i, where);
  const { multiplier, alpha } = record;
  if (
    !Number.isFinite(multiplier) ||
    !Number.isFinite(alpha) ||
    Object.is(multiplier, -0) ||
    Object.is(alpha, -0)
  )
    fail("MULTIPLIER", {
      where,
      offset,
      expected: "finite multiplier and alpha, not -0",
      actual: `${multiplier}, ${alpha}`,
    });
  return {
    role,
    out: record.outSize,
    in: record.inSize,
    kernel,
    groups: record.groups,
    experts: record.experts,
    baseLayout,
    multiplier,
    alpha,
    rule,
  };
}

function readTensors(
  read: ReadIndex,
  names: ReturnType<typeof nameReader>,
  limit: LimitCheck,
): { tensors: Unplaced<TensorRecord>[]; canonicalTensorNames: boolean } {
  const { tensors: records, dimensions } = read.vectors;
  let canonicalTensorNames = true;
  let previous: { bytes: Uint8Array; role: number } | undefined;
  let at = 0;
  names.restart();
  const tensors = records.map((record, i): Unplaced<TensorRecord> => {
    const offset = read.locate("tensors", i);
    const { bytes, name, canonical } = names.next(record, `tensor ${i}`);
    canonicalTensorNames &&= canonical;
    const where = `tensor "${name}"`;
    if (previous !== undefined) {
      const order = compareNames(previous.bytes, bytes);
      if (order > 0 || (order === 0 && previous.role >= record.role))
        fail("NAME_ORDER", { where, offset, expected: "a name (or role) after the one before it" });
    }
    previous = { bytes, role: record.role };
    const role =
      TENSOR_ROLES[record.role] ?? fail("UNSUPPORTED_ROLE", { where, offset, actual: record.role });
    const element =
      ELEMENT_TYPES[record.element] ??
      fail("UNSUPPORTED_CODEC", { where, offset, expected: "element type 1 to 13", actual: record.element });
    if (record.dimensions > 8)
      fail("HARD_LIMIT", { where, offset, expected: "at most 8 dimensions", actual: record.dimensions });
    if (record.dimensions > dimensions.length - at)
      fail("RECORD_REFERENCE", {
        where,
        offset,
        expected: `at most ${dimensions.length - at} dimensions`,
        actual: record.dimensions,
      });
    const shape = dimensions.slice(at, at + record.dimensions);
    at += record.dimensions;
    checkMagnitudeAxis(role, record.axis, where, offset);
    let payload: number = ELEMENT_BYTES[element];
    if (shape.includes(0)) payload = 0;
    for (const size of shape) {
      payload *= size;
      limit(payload + CRC_BYTES, CHUNK_BYTES, "tensors", i, where);
    }
    const compression = readCompression(record.compression, "tensor", where, offset);
    checkChunkLength(record.chunkLength, payload, compression, where, offset);
    return {
      name,
      role,
      element,
      shape,
      axis: record.axis,
      compression,
      payload,
      chunkLength: record.chunkLength,
    };
  });
  if (at !== dimensions.length)
    fail("RECORD_REFERENCE", {
      where: "dimensions",
      offset: read.locate("dimensions", at),
      expected: `${at} dimensions`,
      actual: dimensions.length,
    });
  return { tensors, canonicalTensorNames };
}

function readSections(read: ReadIndex, limit: LimitCheck): Unplaced<SectionRecord>[] {
  let previous = "";
  return read.vectors.sections.map((record, i) => {
    const offset = read.locate("sections", i);
    const type = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (record.tag >>> shift) & 0xff));
    const where = `section ${i} (${JSON.stringify(type)})`;
    if (!/^[A-Za-z]{4}$/.test(type))
      fail("SECTION_RECORD", {
        where,
        offset,
        expected: "a type of four ASCII letters",
        actual: hex32(record.tag),
      });
    if (record.flags > 3)
      fail("RECORD_RESERVED_NONZERO", { where, offset, expected: "flags 0 to 3", actual: record.flags });
    if (record.reserved !== 0)
      fail("RECORD_RESERVED_NONZERO", { where, offset, expected: 0, actual: record.reserved });
    if (type <= previous) fail("SECTION_ORDER", { where, offset, expected: `a type after ${previous}` });
    previous = type;
    const critical = (record.flags & 1) !== 0;
    if (critical && /^[a-z]/.test(type))
      fail("SECTION_RECORD", { where, offset, expected: "a private section that is not critical" });
    if (critical && !KNOWN_SECTIONS.has(type)) fail("UNSUPPORTED_SECTION", { where, offset });
    limit(record.rawLength + CRC_BYTES, CHUNK_BYTES, "sections", i, where);
    if (KNOWN_SECTIONS.has(type)) limit(record.rawLength, META_BYTES, "sections", i, where);
    const compression = readCompression(record.compression, "section", where, offset);
    if (type === "META" && compression !== "none")
      fail("SECTION_RECORD", { where, offset, expected: "META stored as it is", actual: compression });
    checkChunkLength(record.chunkLength, record.rawLength, compression, where, offset);
    return {
      type,
      critical,
      safeToCopy: (record.flags & 2) !== 0,
      compression,
      payload: record.rawLength,
      chunkLength: record.chunkLength,
    };
  });
}

/** A compression that is known, and allowed for this kind of payload (spec 7.5). */
function readCompression(
  value: number,
  kind: keyof typeof CHOICES,
  where: string,
  offset: number,
): CompressionName {
  const compression = COMPRESSIONS[value];
  const allowed: readonly CompressionName[] = ["none", ...CHOICES[kind]];
  if (compression === undefined || !allowed.includes(compression))
    fail("UNSUPPORTED_COMPRESSION", {
      where,
      offset,
      expected: allowed.join(" or "),
      actual: compression ?? value,
    });
  return compression;
}

/** A stored payload has the length its record implies; a compressed one is shorter than that, and not empty. */
function checkChunkLength(
  length: number,
  payload: number,
  compression: CompressionName,
  where: string,
  offset: number,
): void {
  const full = payload + CRC_BYTES;
  if (compression === "none" ? length !== full : length <= CRC_BYTES || length >= full)
    fail("CHUNK_LENGTH_MISMATCH", {
      where,
      offset,
      expected: compression === "none" ? full : `${CRC_BYTES + 1} to ${full - 1}`,
      actual: length,
    });
}

/** References to shared records: each must exist, and new ones must come in order; all must be used in the end. */
function firstUse(
  count: number,
  name: "encodings" | "plans" | "types",
  read: ReadIndex,
): { <T>(reference: number, where: string, offset: number, records: readonly T[]): T; finish(): void } {
  let used = 0;
  const resolve = <T>(reference: number, where: string, offset: number, records: readonly T[]): T => {
    if (reference >= count || reference > used)
      fail("RECORD_REFERENCE", {
        where,
        offset,
        expected: `a reference to ${name} below ${Math.min(count, used + 1)}`,
        actual: reference,
      });
    if (reference === used) used++;
    return records[reference]!;
  };
  return Object.assign(resolve, {
    finish() {
      if (used !== count)
        fail("RECORD_REFERENCE", {
          where: name,
          offset: read.locate(name, used),
          expected: `${used} ${name}, all used`,
          actual: count,
        });
    },
  });
}

/** The bits a file must declare (spec 5.3); NONFINITE depends on values and is left to the validator. */
export function featureBits(
  modules: readonly Pick<ModuleRecord, "experts" | "compression">[],
  tensors: readonly Pick<TensorRecord, "role" | "compression">[],
  encodings: Iterable<Encoding>,
): { required: number; compatible: number } {
  let required = 0;
  let compatible = 0;
  for (const chunk of [...modules, ...tensors]) if (chunk.compression !== "none") required |= REQUIRED.ZSTD;
  for (const module of modules) if (module.experts > 1) required |= REQUIRED.EXPERTS;
  for (const { role } of tensors) {
    if (role === "magnitude") required |= REQUIRED.MAGNITUDE;
    else if (role !== "carried") required |= REQUIRED.REPLACEMENT;
  }
  for (const encoding of encodings) {
    if (encoding.codec === "trellis") required |= REQUIRED.TRELLIS;
    if ("scale" in encoding && encoding.scale === "f32") compatible |= COMPATIBLE.F32_SCALE;
  }
  return { required, compatible };
}

function checkFeatures(
  prologue: Prologue,
  modules: readonly Unplaced<ModuleRecord>[],
  tensors: readonly Unplaced<TensorRecord>[],
  encodings: readonly Encoding[],
): void {
  const { required, compatible } = featureBits(modules, tensors, encodings);
  if (prologue.required !== required)
    fail("FEATURE_BITS", {
      where: "required features",
      offset: 12,
      expected: hex32(required),
      actual: hex32(prologue.required),
    });
  if (((prologue.compatible ^ compatible) & COMPATIBLE.F32_SCALE) !== 0)
    fail("FEATURE_BITS", {
      where: "compatible features",
      offset: 20,
      expected: hex32(compatible),
      actual: hex32(prologue.compatible),
    });
}
