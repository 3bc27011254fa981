/**
 * The content of an index, with the positions that follow from it (spec clauses 4.2 and 6).
 *
 * @module
 */

import type { ElementType, ModuleShape, TensorRole } from "../../model/adapter.ts";
import type { Band } from "../codecs/packed.ts";
import type { ModuleStart } from "../codecs/start/start.ts";

/** How a payload is stored (spec 7.5). */
export type CompressionName = "none" | "zstd" | "shuffled-zstd" | "text-zstd";

/** A range of bytes in the file. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** The properties of every chunk: compression, size and place. */
export interface ChunkRecord {
  readonly compression: CompressionName;
  /** Bytes of the payload before compression. */
  readonly payload: number;
  /** The stored payload with its CRC-32; without the padding behind it. */
  readonly chunk: Extent;
}

/** One adapted layer (spec 6.7). */
export interface ModuleRecord extends ModuleShape, ChunkRecord {
  /** Modules are never compressed. */
  readonly compression: "none";
  readonly bands: readonly Band[];
  /** Where the draws of A' begin, if a vector of it has a start (spec 8.8). */
  readonly start?: ModuleStart | undefined;
  /** Number of the parent's module that decoding adds this one to, if there is one (spec 8.9). */
  readonly parentModule?: number | undefined;
  /** The content id of that parent, hexadecimal: the same for all modules of a file. */
  readonly parentId?: string | undefined;
}

/** One plain tensor (spec 6.8). */
export interface TensorRecord extends ChunkRecord {
  readonly name: string;
  readonly role: TensorRole;
  readonly element: ElementType;
  readonly shape: readonly number[];
  readonly axis: number;
}

/** One section (spec 6.9). */
export interface SectionRecord extends ChunkRecord {
  /** Four ASCII letters, e.g. `META`. */
  readonly type: string;
  /** A reader that does not know the section must refuse the file (spec 10.1). */
  readonly critical: boolean;
  /** An editor that changed modules or tensors keeps an unknown section if this is set, otherwise drops it (spec 10.5). */
  readonly safeToCopy: boolean;
}

/** A whole index. The order of chunks in the file is: modules, tensors, sections. */
export interface ContainerIndex {
  readonly modules: readonly ModuleRecord[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  /** The content id of the parent, hexadecimal, if modules have one (spec 8.9). */
  readonly parentId?: string | undefined;
  /** The digest list. */
  readonly digests: Extent;
  /** Spans of chunks that share a digest, as [first, end) numbers of chunks (spec 11.1). */
  readonly spans: readonly (readonly [first: number, end: number])[];
  readonly trailer: Extent;
}

/** Every chunk of a file, in file order. */
export function allChunks(index: Pick<ContainerIndex, "modules" | "tensors" | "sections">): ChunkRecord[] {
  return [...index.modules, ...index.tensors, ...index.sections];
}

/** A record without a position yet, with the length of its chunk. */
export type Unplaced<T> = Omit<T, "chunk"> & { readonly chunkLength: number };

/** A record of any kind; each has a chunk. */
export type AnyRecord = ModuleRecord | TensorRecord | SectionRecord;

/** The name of a chunk in errors. */
export function placeOf(record: AnyRecord): string {
  if ("type" in record) return `section ${record.type}`;
  return `${"element" in record ? "tensor" : "module"} "${record.name}"`;
}
