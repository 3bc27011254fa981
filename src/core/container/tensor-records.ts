/**
 * Reads the records of plain tensors (spec clause 6.8), and checks each tensor against its role (clause 9.4). Readers import this
 * file, with `rare-records.ts`, for the first file that has a tensor.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { CHUNK_BYTES } from "../../limits.ts";
import {
  ELEMENT_BYTES,
  type ElementType,
  type ModuleShape,
  type PlainTensor,
  type TensorRole,
} from "../../model/adapter.ts";
import {
  checkChunkLength,
  type ExpansionCheck,
  type LimitCheck,
  type Pauses,
  pacer,
  readCompression,
  type Where,
} from "./chunks-read.ts";
import { ELEMENT_TYPES, TENSOR_ROLES } from "./encoding-record.ts";
import type { TensorRecord as TensorTableRecord } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";
import type { NameReader } from "./names.ts";
import type { Extent, TensorRecord } from "./types.ts";

/** Reads the records of tensors. @param chunks extents of their chunks @throws LqaError of classes M, V, U and L */
export function* readTensors(
  read: ReadIndex,
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
  expands: ExpansionCheck,
): Pauses<TensorRecord[]> {
  const next = tensorReader(read, names, limit, chunks, expands);
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
  expands: ExpansionCheck,
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
      expands(payload, chunkLength, "tensors", i, where);
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
