/**
 * Reads chunk records: those of tensors and sections (spec clauses 6.8 and 6.9), and checks the rules for all of them.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { CHUNK_BYTES, type Limit, META_BYTES } from "../../limits.ts";
import {
  ELEMENT_BYTES,
  type ElementType,
  type ModuleShape,
  type PlainTensor,
  type TensorRole,
} from "../../model/adapter.ts";
import { CRC_BYTES } from "./bytes.ts";
import { COMPRESSIONS, ELEMENT_TYPES, TENSOR_ROLES } from "./encoding-record.ts";
import type { IndexVectors, TensorRecord as TensorTableRecord } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";
import type { NameReader } from "./names.ts";
import { hex32 } from "./prologue.ts";
import type { CompressionName, Extent, SectionRecord, TensorRecord } from "./types.ts";

/** Section types that this version knows. */
export const KNOWN_SECTIONS: ReadonlySet<string> = new Set(["META", "ORIG"]);

/** Reads the records of tensors. @param chunks extents of their chunks @throws LqaError of classes M, V, U and L */
export function* readTensors(
  read: ReadIndex,
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
): Pauses<TensorRecord[]> {
  const next = tensorReader(read, names, limit, chunks);
  const rest = pacer();
  const tensors: TensorRecord[] = [];
  names.restart();
  for (let i = 0; i < read.count("tensors"); i++) {
    tensors.push(next.tensor(i));
    if (rest(1)) yield;
  }
  next.finish();
  return tensors;
}

/** Reads one tensor record after the other. Not a generator: engines optimize these later or not at all. */
function tensorReader(
  read: ReadIndex,
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
): { tensor(i: number): TensorRecord; finish(): void } {
  const column = (field: keyof TensorTableRecord): ((i: number) => number) => read.column("tensors", field);
  const [suffix, shared] = [column("nameSuffix"), column("nameShared")];
  const [roles, elements, axes] = [column("role"), column("element"), column("axis")];
  const [compressions, lengths] = [column("compression"), column("chunkLength")];
  const [dimensions, sizes] = [column("dimensions"), read.column("dimensions")];
  const sizeCount = read.count("dimensions");
  const locate = read.locate("tensors");
  let at = 0;
  let name = "";
  const where = (): string => `tensor "${name}"`;
  return {
    tensor(i) {
      const offset = locate(i);
      name = names.next(shared(i), suffix(i), "tensor", i, offset);
      if (i > 0 && (names.order > 0 || (names.order === 0 && roles(i - 1) >= roles(i))))
        fail(KIND.NAME_ORDER, {
          where: where(),
          offset,
          expected: "a name (or role) after the one before it",
        });
      const role =
        TENSOR_ROLES[roles(i)] ?? fail(KIND.UNSUPPORTED_ROLE, { where: where(), offset, actual: roles(i) });
      const element =
        ELEMENT_TYPES[elements(i)] ??
        fail(KIND.UNSUPPORTED_CODEC, {
          where: where(),
          offset,
          expected: "element type 1 to 13",
          actual: elements(i),
        });
      const rank = dimensions(i);
      if (rank > 8)
        fail(KIND.HARD_LIMIT, { where: where(), offset, expected: "at most 8 dimensions", actual: rank });
      if (rank > sizeCount - at)
        fail(KIND.RECORD_REFERENCE, {
          where: where(),
          offset,
          expected: `at most ${sizeCount - at} dimensions`,
          actual: rank,
        });
      const shape: number[] = [];
      // Eight dimensions of 32 bits stay far below infinity; if one of them is 0, so is the product.
      let payload = ELEMENT_BYTES[element];
      for (const end = at + rank; at < end; at++) {
        shape.push(sizes(at));
        payload *= sizes(at);
      }
      const axis = axes(i);
      checkMagnitudeAxis(role, axis, where, offset);
      limit(payload, CHUNK_BYTES, "tensors", i, where);
      const chunkLength = lengths(i);
      limit(chunkLength, CHUNK_BYTES, "tensors", i, where);
      const compression = readCompression(compressions(i), "tensor", where, offset);
      checkChunkLength(chunkLength, payload, compression, where, offset);
      return { name, role, element, shape, axis, compression, payload, chunk: chunks[i]! };
    },
    finish() {
      if (at !== sizeCount)
        fail(KIND.RECORD_REFERENCE, {
          where: "dimensions",
          offset: read.locate("dimensions")(at),
          expected: `${at} dimensions`,
          actual: sizeCount,
        });
    },
  };
}

/** Reads the records of sections. @param chunks extents of their chunks @throws LqaError of classes M, V, U and L */
export function readSections(read: ReadIndex, limit: LimitCheck, chunks: readonly Extent[]): SectionRecord[] {
  let previous = "";
  return read.vectors.sections.map((record, i) => {
    const offset = read.locate("sections")(i);
    const type = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (record.tag >>> shift) & 0xff));
    const where = (): string => `section ${i} (${JSON.stringify(type)})`;
    if (![...type].every((letter) => /[A-Za-z]/.test(letter)))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a type of four ASCII letters",
        actual: hex32(record.tag),
      });
    if (record.flags > 3)
      fail(KIND.RECORD_RESERVED_NONZERO, {
        where: where(),
        offset,
        expected: "flags 0 to 3",
        actual: record.flags,
      });
    if (record.reserved !== 0)
      fail(KIND.RECORD_RESERVED_NONZERO, { where: where(), offset, expected: 0, actual: record.reserved });
    if (type <= previous)
      fail(KIND.SECTION_ORDER, { where: where(), offset, expected: `a type after ${previous}` });
    previous = type;
    const critical = (record.flags & 1) !== 0;
    if (critical && /^[a-z]/.test(type))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a private section that is not critical",
      });
    if (critical && !KNOWN_SECTIONS.has(type)) fail(KIND.UNSUPPORTED_SECTION, { where: where(), offset });
    limit(Math.max(record.rawLength, record.chunkLength), CHUNK_BYTES, "sections", i, where);
    if (KNOWN_SECTIONS.has(type)) limit(record.rawLength, META_BYTES, "sections", i, where);
    if (type === "META" && record.compression !== 0)
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "META stored as it is",
        actual: record.compression,
      });
    const compression = readCompression(record.compression, "section", where, offset);
    checkChunkLength(record.chunkLength, record.rawLength, compression, where, offset);
    return {
      type,
      critical,
      safeToCopy: (record.flags & 2) !== 0,
      compression,
      payload: record.rawLength,
      chunk: chunks[i]!,
    };
  });
}

// Rules for every chunk record, and the limit check that all record readers share (spec clauses 7.1, 7.5, 14).

/** Name of a record in errors. A function, because making a text for every record takes longer than all its checks. */
export type Where = () => string;

/** Fails with HARD_LIMIT or CORE_LIMIT at entry `i` of a vector if `value` is above `bound`. */
export type LimitCheck = (
  value: number,
  bound: Limit,
  name: keyof IndexVectors,
  i: number,
  where: Where,
) => void;

/** The compressions that each kind of payload may have (spec 7.5). */
export const CHOICES = {
  tensor: ["zstd", "shuffled-zstd"],
  section: ["text-zstd"],
} as const;

/** Reads a compression, which must be allowed for this kind of payload (spec 7.5). @throws LqaError UNSUPPORTED_COMPRESSION */
export function readCompression(
  value: number,
  kind: keyof typeof CHOICES,
  where: Where,
  offset: number,
): CompressionName {
  if (value === 0) return "none";
  const name = COMPRESSIONS[value];
  const allowed: readonly CompressionName[] = ["none", ...CHOICES[kind]];
  return (
    allowed.find((one) => one === name) ??
    fail(KIND.UNSUPPORTED_COMPRESSION, {
      where: where(),
      offset,
      expected: allowed.join(" or "),
      actual: name ?? value,
    })
  );
}

/**
 * Checks the length of a chunk: it is that of the payload and its CRC-32; a compressed payload is shorter, and not empty.
 *
 * @throws LqaError CHUNK_LENGTH_MISMATCH
 */
export function checkChunkLength(
  length: number,
  payload: number,
  compression: CompressionName,
  where: Where,
  offset: number,
): void {
  const full = payload + CRC_BYTES;
  if (compression === "none" ? length !== full : length <= CRC_BYTES || length >= full)
    fail(KIND.CHUNK_LENGTH_MISMATCH, {
      where: where(),
      offset,
      expected: compression === "none" ? full : `${CRC_BYTES + 1} to ${full - 1}`,
      actual: length,
    });
}

// Rules for the role of a plain tensor: about the tensor, its values, and modules and other tensors (spec clause 9.4).

type TensorShape = Pick<PlainTensor, "name" | "role" | "element" | "shape" | "axis">;

/** Checks an axis: 0 or 1 for a magnitude, 0 for other roles. @throws LqaError TENSOR_RECORD */
export function checkMagnitudeAxis(role: TensorRole, axis: number, where: Where, offset: number): void {
  const most = role === "magnitude" ? 1 : 0;
  if (axis > most)
    fail(KIND.TENSOR_RECORD, { where: `${where()}.axis`, offset, expected: `at most ${most}`, actual: axis });
}

const FLOATS: readonly ElementType[] = ["F32", "F16", "BF16", "F64"];

/**
 * Checks each tensor against its role: element type, shape, and the modules and tensors it belongs to.
 *
 * @param locate returns the file offset of a tensor's record; absent for tensors that are in no file
 * @throws LqaError TENSOR_RECORD
 */
export function checkRoles(
  tensors: readonly TensorShape[],
  modules: readonly Omit<ModuleShape, "kernel">[],
  locate?: (i: number) => number,
): void {
  // Most adapters have no other tensors, and there may be 65,536 of them.
  if (tensors.every(({ role }) => role === "replace" || role === "carried")) return;
  const byModule = new Map(modules.map((module) => [module.name, module]));
  const byRole = new Map(tensors.map((tensor) => [`${tensor.role} ${tensor.name}`, tensor]));
  tensors.forEach(({ name, role, element, shape, axis }, i) => {
    const need = (ok: boolean, expected: string, actual?: string): void => {
      if (!ok)
        fail(KIND.TENSOR_RECORD, { where: `${role} "${name}"`, offset: locate?.(i), expected, actual });
    };
    const other = (role: TensorRole): TensorShape | undefined => byRole.get(`${role} ${name}`);
    if (role === "replace" || role === "carried") return;
    if (role === "token-indices") need(element === "U32", "U32", element);
    else need(FLOATS.includes(element), "F32, F16, BF16 or F64", element);
    if (role === "bias") {
      need(other("replace") === undefined, "one tensor that replaces a base tensor", "a replace tensor too");
    } else if (role === "magnitude" || role === "lora-bias") {
      const module =
        byModule.get(name) ??
        fail(KIND.TENSOR_RECORD, {
          where: `${role} "${name}"`,
          offset: locate?.(i),
          expected: "a module of the same name",
          actual: "none",
        });
      const rowsFirst = module.baseLayout === "out-in";
      const size = role === "magnitude" && rowsFirst !== (axis === 0) ? module.in : module.out;
      const expected = module.experts === 1 ? [size] : [module.experts, size];
      need(
        `${longer(shape)}` === `${longer(expected)}`,
        `shape ${expected.join("×")}, with any dimensions of 1 added`,
        shape.join("×") || "a scalar",
      );
    } else if (role === "token-rows") {
      need(!byModule.has(name), "no module of the same name", "one");
      const rows = other("token-indices")?.shape[0];
      need(rows !== undefined, "token-indices of the same name", "none");
      need(shape.length === 2 && shape[0] === rows, `shape ${rows}×width`, shape.join("×"));
    } else {
      need(other("token-rows") !== undefined, "token-rows of the same name", "none");
      need(shape.length === 1, "one dimension", shape.join("×"));
    }
  });
}

const longer = (shape: readonly number[]): readonly number[] => shape.filter((size) => size !== 1);

/**
 * Checks the values of `token-indices`: distinct, in ascending order.
 *
 * @param data little-endian U32, at any byte offset
 * @param before the index before the first of `data`; −1 if there is none
 * @returns `at`: number of the first index that is not above the one before it, or −1; `last`: the last index before that
 */
export function unorderedIndex(data: Uint8Array, before: number): { at: number; last: number } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let last = before;
  for (let i = 0; 4 * i < data.length; i++) {
    const index = view.getUint32(4 * i, true);
    if (index <= last) return { at: i, last };
    last = index;
  }
  return { at: -1, last };
}

// Pauses in long work. Loops over every record of an index are generators that yield periodically, so that the caller can let
// timers and other requests run in between (`read/steps.ts`), or continue at once.

/** Work that may pause. It yields nothing, and ends with a result or an error. */
export type Pauses<T> = Generator<undefined, T, unknown>;

/** Records or bands between two pauses: they take one to four milliseconds. */
const BETWEEN = 4096;

/** A function that counts work, and returns true when it is time for a pause. */
export function pacer(): (work: number) => boolean {
  let done = 0;
  return (work) => {
    done += work;
    if (done < BETWEEN) return false;
    done = 0;
    return true;
  };
}

/** Does the work without pauses. */
export function withoutPauses<T>(work: Pauses<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}
