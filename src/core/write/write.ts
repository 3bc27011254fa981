/**
 * The writer: it turns packed modules, plain tensors and sections into the pieces of a file (spec clause 4).
 *
 * @module
 */

import { align, CRC_BYTES } from "../../common/bytes.ts";
import { ELEMENT_BYTES, type ModuleShape, type PlainTensor } from "../../model/adapter.ts";
import type { Band, PackedFactors } from "../codecs/packed.ts";
import type { ModuleStart } from "../codecs/start/start.ts";
import { compress, expansionBound, type Stored } from "../container/compression.ts";
import { moduleContent, tensorContent } from "../container/digests.ts";
import { TENSOR_ROLES } from "../container/encoding-record.ts";
import { payloadLength } from "../container/layout.ts";
import { sortByName } from "../container/names.ts";
import { assemblePayload } from "../container/payload.ts";
import type { ModuleRecord, SectionRecord, TensorRecord, Unplaced } from "../container/types.ts";
import { loadZstdCodec } from "../container/zstd.ts";
import { type Chunk, contentIdOf, emitFile } from "./emit.ts";
import { planFile } from "./plan.ts";

/** Bytes from which the writer tries to compress a payload. */
const COMPRESS_FROM = 64;

/** A module whose encodings are known; it may have no planes yet. */
export interface PlannedModule extends ModuleShape {
  readonly bands: readonly Band[];
  /** Where the draws of A' begin; required if a band of A' has a start. */
  readonly start?: ModuleStart | undefined;
  /** Number of the parent's module that this one adds to, if the file has a parent. */
  readonly parentModule?: number | undefined;
  /** Content id of that parent, hexadecimal: the same for all modules of a file. */
  readonly parentId?: string | undefined;
}

/** A module, ready to write. */
export interface ModuleInput extends PlannedModule, PackedFactors {}

/** A section, ready to write. */
export interface SectionInput {
  readonly type: string;
  readonly critical: boolean;
  readonly safeToCopy: boolean;
  readonly data: Uint8Array;
  /** Whether the writer may compress it. */
  readonly compress: boolean;
}

/** What is in a file beside its modules, and how it is stored. */
export interface ContainerInput {
  readonly tensors: readonly PlainTensor[];
  readonly sections: readonly SectionInput[];
  /** Whether the writer may compress plain tensors. Default true. */
  readonly compressTensors?: boolean;
  /** Chunk alignment in bytes, a power of two from 4 to 4096. Default: up to 64, as long as it costs less than 0.1 %. */
  readonly alignment?: number;
}

/** A file, ready to emit. */
export interface PreparedFile {
  readonly fileLength: number;
  /** Stored bytes of the plain tensors' chunks with padding. */
  readonly tensorBytes: number;
  /** Stored bytes of each module's chunk with padding, in file order. */
  readonly modules: readonly { readonly name: string; readonly bytes: number }[];
  /** The content id: SHA-256 over all that the maths depends on (spec clause 11.3). */
  contentId(): Uint8Array;
  /** The pieces of the file, in order. Concatenated, they are the file. Each iteration starts from the first. */
  pieces(): Iterable<Uint8Array>;
}

/** A writer that holds an adapter's plain tensors and sections, compressed if that makes them smaller. */
export interface Writer {
  /** Stored bytes of the plain tensors' chunks, without padding. */
  readonly tensorBytes: number;
  /** Length of the file with these modules. Needs their bands, not their planes. */
  fileLength(modules: readonly PlannedModule[]): number;
  /**
   * The file with these modules.
   *
   * @param section replaces the section of its type
   * @throws LqaError for names, shapes or counts that the format does not allow
   * @throws RangeError for planes that do not fit their encoding (a bug of the caller)
   */
  prepare(modules: readonly ModuleInput[], section?: SectionInput): PreparedFile;
}

/**
 * Sorts and compresses plain tensors and sections.
 *
 * It never compresses module chunks: packed codes gain little by it and lose direct access (spec/rationale.md).
 */
export async function createWriter(input: ContainerInput): Promise<Writer> {
  const { alignment, compressTensors = true } = input;
  const tensors = sortByName(
    input.tensors,
    (t) => t.name,
    (t) => TENSOR_ROLES.indexOf(t.role),
    "tensor",
  );
  const sections = [...input.sections].sort((x, y) => (x.type < y.type ? -1 : 1));
  const store = await storeFor([
    ...(compressTensors ? tensors.items : []),
    ...sections.filter((s) => s.compress),
  ]);
  const tensorChunks = chunksOfTensors(tensors.items, compressTensors ? store : undefined);
  const storeSection = ({ data, compress: allowed }: SectionInput): Chunk => ({
    raw: data,
    stored: allowed ? store(data, "section", 1) : { compression: "none", bytes: data },
    content: undefined,
  });
  const sectionChunks = sections.map(storeSection);
  const tensorRecords = recordsOf(tensors.items, tensorChunks);
  const plan = <M extends PlannedModule>(modules: readonly M[], chunks = sectionChunks) => {
    const sorted = sortByName(
      modules,
      (m) => m.name,
      () => 0,
      "module",
    );
    const records = sorted.items.map(moduleRecord);
    const input = {
      modules: records,
      tensors: tensorRecords,
      sections: sections.map(({ type, critical, safeToCopy }, i): Unplaced<SectionRecord> => {
        return { type, critical, safeToCopy, ...chunkFields(chunks[i]!) };
      }),
      utf8: { modules: sorted.utf8, tensors: tensors.utf8 },
    };
    return { records, sorted: sorted.items, plan: planFile(input, alignment) };
  };
  return {
    tensorBytes: tensorRecords.reduce((sum, t) => sum + t.chunkLength, 0),
    fileLength: (modules) => plan(modules).plan.layout.fileLength,
    prepare(modules, section) {
      const others = sections.map((one, i) =>
        one.type === section?.type ? storeSection(section) : sectionChunks[i]!,
      );
      const planned = plan(modules, others);
      const moduleChunks = planned.sorted.map(moduleChunk);
      const { layout, alignment: unit } = planned.plan;
      return {
        fileLength: layout.fileLength,
        tensorBytes: tensorRecords.reduce((sum, t) => sum + align(t.chunkLength, unit), 0),
        modules: planned.records.map((m) => ({ name: m.name, bytes: align(m.chunkLength, unit) })),
        contentId: () => contentIdOf([...moduleChunks, ...tensorChunks]),
        pieces: () => emitFile(planned.plan, [...moduleChunks, ...tensorChunks, ...others]),
      };
    },
  };
}

function recordsOf(tensors: readonly PlainTensor[], chunks: readonly Chunk[]): Unplaced<TensorRecord>[] {
  return tensors.map(({ data: _, ...record }, i) => ({ ...record, ...chunkFields(chunks[i]!) }));
}

function moduleRecord(module: PlannedModule): Unplaced<ModuleRecord> {
  const payload = payloadLength(module, module.bands);
  return { ...module, compression: "none", payload, chunkLength: payload + CRC_BYTES };
}

function moduleChunk(module: ModuleInput): Chunk {
  const raw = assemblePayload(module, module);
  return { raw, stored: { compression: "none", bytes: raw }, content: moduleContent(module) };
}

/** Compresses bytes, if that makes them smaller. */
type Store = (raw: Uint8Array, kind: "tensor" | "section", elementSize: number) => Stored;

/** Loads zstd if one of these payloads is long enough to compress. */
async function storeFor(payloads: readonly { readonly data: Uint8Array }[]): Promise<Store> {
  const compressible = payloads.some(({ data }) => data.length >= COMPRESS_FROM);
  const zstd = compressible ? await loadZstdCodec() : undefined;
  return (raw, kind, elementSize) =>
    zstd !== undefined && raw.length >= COMPRESS_FROM
      ? compress(raw, kind, elementSize, zstd)
      : { compression: "none", bytes: raw };
}

function chunksOfTensors(tensors: readonly PlainTensor[], store: Store | undefined): Chunk[] {
  const bounded = expansionBound();
  return tensors.map((tensor) => {
    const stored = store?.(tensor.data, "tensor", ELEMENT_BYTES[tensor.element]);
    return {
      raw: tensor.data,
      stored: bounded(tensor.data, stored ?? { compression: "none", bytes: tensor.data }),
      content: tensorContent(tensor),
    };
  });
}

function chunkFields({ raw, stored }: Chunk): {
  compression: Stored["compression"];
  payload: number;
  chunkLength: number;
} {
  return {
    compression: stored.compression,
    payload: raw.length,
    chunkLength: stored.bytes.length + CRC_BYTES,
  };
}
