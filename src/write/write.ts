/**
 * The one-pass writer (spec clause 4): packed modules, plain tensors and sections in, the pieces of a file out, in
 * file order. Nothing is ever written twice or patched: all lengths are known before the first byte, because they
 * follow from the records.
 *
 * @module
 */
import type { PackedFactors } from "../codecs/packed.ts";
import { align } from "../container/bytes.ts";
import { assemblePayload, chunkCrc } from "../container/chunk.ts";
import { compress, loadZstdCodec, type Stored } from "../container/compression.ts";
import { crc32 } from "../container/crc32.ts";
import { contentHasher, moduleContent, rootDigest, tensorContent } from "../container/digests.ts";
import { TENSOR_ROLES } from "../container/encoding-record.ts";
import { featureBits } from "../container/features.ts";
import { readIndex } from "../container/index-read.ts";
import { writeIndex } from "../container/index-write.ts";
import { CRC_BYTES, DIGEST_BYTES, layOut } from "../container/layout.ts";
import { sortByName } from "../container/names.ts";
import { PROLOGUE_BYTES, type Prologue, readPrologue, writePrologue } from "../container/prologue.ts";
import { interpretIndex } from "../container/records-read.ts";
import { writeRecords } from "../container/records-write.ts";
import { createSha256 } from "../container/sha256.ts";
import { writeTrailer } from "../container/trailer.ts";
import type { ModuleRecord, SectionRecord, TensorRecord, Unplaced } from "../container/types.ts";
import { ELEMENT_BYTES, type ModuleShape, type PlainTensor } from "../model/adapter.ts";

/** Version a file of this writer is stamped with: the lowest whose features it uses (spec 16). */
const VERSION = { major: 1, minor: 0 };
/** Without a wish of the caller: the largest of these whose padding stays below a thousandth of the chunks. */
const ALIGNMENTS = [64, 32, 16, 8, 4];
const PADDING_SHARE = 1e-3;
/** Payloads below this are not worth a zstd frame. */
const COMPRESS_FROM = 64;

/** A module ready to be written. */
export interface PackedModule extends ModuleShape, PackedFactors {}

/** A section ready to be written. */
export interface SectionInput {
  readonly type: string;
  readonly critical: boolean;
  readonly safeToCopy: boolean;
  readonly data: Uint8Array;
  /** Whether zstd may be used. */
  readonly compress: boolean;
}

export interface ContainerInput {
  readonly modules: readonly PackedModule[];
  readonly tensors: readonly PlainTensor[];
  readonly sections: readonly SectionInput[];
  /** Chunk alignment in bytes, a power of two from 4 to 4096. Default: up to 64, as long as it costs less than 0.1 %. */
  readonly alignment?: number;
  /** Whether module chunks may be compressed. Off by default: packed codes gain little and lose direct access. */
  readonly compressModules?: boolean;
}

/** A file ready to be emitted. */
export interface PreparedFile {
  readonly fileLength: number;
  /** Stored bytes of the plain tensors' chunks with padding. */
  readonly tensorBytes: number;
  /** Stored bytes of each module's chunk with padding, in file order. */
  readonly modules: readonly { readonly name: string; readonly bytes: number }[];
  /** The pieces of the file in order; joined they are the file. Each iteration starts anew. */
  pieces(): Iterable<Uint8Array>;
}

interface Chunk {
  readonly stored: Stored;
  readonly raw: Uint8Array;
  /** What of the record belongs to the content id; absent for sections. */
  readonly content: Uint8Array | undefined;
}

/**
 * Sorts, compresses where it pays, and lays out a file.
 *
 * @throws LqaError for names, shapes or counts the format does not allow: the index is read back through the same
 *   checks a reader applies. RangeError for planes that do not fit their encoding (a bug of the caller).
 */
export async function prepareFile(input: ContainerInput): Promise<PreparedFile> {
  const modules = sortByName(
    input.modules,
    (m) => m.name,
    () => 0,
    "module",
  );
  const tensors = sortByName(
    input.tensors,
    (t) => t.name,
    (t) => TENSOR_ROLES.indexOf(t.role),
    "tensor",
  );
  const sections = [...input.sections].sort((x, y) => (x.type < y.type ? -1 : 1));

  const zstd = await loadIf(
    tensors.items.length > 0 || sections.some((s) => s.compress) || input.compressModules === true,
  );
  const store = (
    raw: Uint8Array,
    kind: "module" | "tensor" | "section",
    elementSize: number,
    allowed: boolean,
  ): Stored =>
    allowed && zstd !== undefined && raw.length >= COMPRESS_FROM
      ? compress(raw, kind, elementSize, zstd)
      : { compression: "none", bytes: raw };

  const chunks: Chunk[] = [];
  const add = (
    raw: Uint8Array,
    stored: Stored,
    content: Uint8Array | undefined,
  ): { compression: Stored["compression"]; payload: number; chunkLength: number } => {
    chunks.push({ raw, stored, content });
    return {
      compression: stored.compression,
      payload: raw.length,
      chunkLength: stored.bytes.length + CRC_BYTES,
    };
  };
  const moduleRecords = modules.items.map((module): Unplaced<ModuleRecord> => {
    const { planes: _planes, b: _b, a: _a, ...shape } = module as PackedModule & { b?: unknown; a?: unknown };
    const raw = assemblePayload(shape, module);
    return {
      ...shape,
      ...add(raw, store(raw, "module", 1, input.compressModules === true), moduleContent(module)),
    };
  });
  const tensorRecords = tensors.items.map((tensor): Unplaced<TensorRecord> => {
    const { data, ...record } = tensor;
    return {
      ...record,
      ...add(data, store(data, "tensor", ELEMENT_BYTES[tensor.element], true), tensorContent(tensor)),
    };
  });
  const sectionRecords = sections.map(
    (section): Unplaced<SectionRecord> => ({
      type: section.type,
      critical: section.critical,
      safeToCopy: section.safeToCopy,
      ...add(section.data, store(section.data, "section", 1, section.compress), undefined),
    }),
  );

  const vectors = writeRecords(moduleRecords, tensorRecords, sectionRecords, {
    modules: modules.utf8,
    tensors: tensors.utf8,
  });
  const index = writeIndex(vectors);
  const lengths = chunks.map((c) => c.stored.bytes.length + CRC_BYTES);
  const alignment = input.alignment ?? defaultAlignment(lengths);
  const layout = layOut(index.length, lengths, alignment);
  const prologue = writePrologue({
    ...VERSION,
    ...featureBits(
      moduleRecords,
      tensorRecords,
      modules.items.flatMap((m) => m.bands.flatMap(({ b, a }) => [b, a])),
    ),
    readOnlyCompatible: 0,
    fileLength: layout.fileLength,
    indexLength: index.length,
    modules: modules.items.length,
    tensors: tensors.items.length,
    sections: sections.length,
    alignment,
    indexCrc: crc32(index),
  } satisfies Prologue);
  // Whatever the caller gave: a file this writer emits passes the checks of a reader.
  interpretIndex(readIndex(index, PROLOGUE_BYTES), {
    prologue: readPrologue(prologue, true),
    hardOnly: true,
  });

  return {
    fileLength: layout.fileLength,
    tensorBytes: tensorRecords.reduce((sum, t) => sum + align(t.chunkLength, alignment), 0),
    modules: moduleRecords.map((m) => ({ name: m.name, bytes: align(m.chunkLength, alignment) })),
    *pieces() {
      yield prologue;
      yield index;
      let at = PROLOGUE_BYTES + index.length;
      const content = contentHasher();
      const digests: Uint8Array[] = [];
      let span = createSha256();
      const padTo = (position: number): Uint8Array => {
        const padding = new Uint8Array(position - at);
        at = position;
        return padding;
      };
      yield padTo(align(at, alignment));
      for (const [i, { raw, stored, content: record }] of chunks.entries()) {
        if (record !== undefined) content.add(record, raw);
        const crc = chunkCrc(stored.bytes);
        at += stored.bytes.length + CRC_BYTES;
        const padding = padTo(align(at, alignment));
        for (const piece of [stored.bytes, crc, padding]) {
          if (piece.length === 0) continue;
          span.update(piece);
          yield piece;
        }
        if (layout.spans[digests.length]![1] === i + 1) {
          digests.push(span.digest());
          span = createSha256();
        }
      }
      const list = new Uint8Array(layout.digests.length);
      list.set(content.digest());
      for (const [i, digest] of digests.entries()) list.set(digest, DIGEST_BYTES * (i + 1));
      yield list;
      yield writeTrailer({
        rootDigest: rootDigest(prologue, index, list),
        fileLength: layout.fileLength,
        digestsLength: list.length,
        indexLength: index.length,
      });
    },
  };
}

/** Alignment is free for large chunks and dear for small ones (spec annex D). */
function defaultAlignment(lengths: readonly number[]): number {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const padding = (unit: number): number =>
    lengths.reduce((sum, length) => sum + align(length, unit) - length, 0);
  return (
    ALIGNMENTS.find((unit) => padding(unit) <= total * PADDING_SHARE) ?? ALIGNMENTS[ALIGNMENTS.length - 1]!
  );
}

async function loadIf(needed: boolean): Promise<Awaited<ReturnType<typeof loadZstdCodec>> | undefined> {
  return needed ? loadZstdCodec() : undefined;
}
