/**
 * A file cut into regions that follow each other without gaps: prologue, index, one for each chunk with the padding behind
 * it, digest list, trailer (spec clause 4.1). If the index cannot be read, only the prologue is recognised.
 *
 * @module
 */
import { PROLOGUE_BYTES } from "../../../../src/core/container/prologue.ts";
import type { ChunkRecord, ContainerIndex, Extent } from "../../../../src/core/container/types.ts";
import type { OpenedIndex } from "../../../../src/core/read/header.ts";

/** What a region is. `unknown`: its bytes cannot be classified. */
export type RegionKind =
  | "prologue"
  | "index"
  | "module"
  | "tensor"
  | "section"
  | "digests"
  | "trailer"
  | "unknown";

/** A stretch of the file. */
export interface Region extends Extent {
  readonly kind: RegionKind;
  /** Of a chunk the name of its module, tensor or section; otherwise what it is. */
  readonly name: string;
  /** Of the specification. */
  readonly clause: string;
  /** Of a chunk: its number among those of its kind. */
  readonly number: number;
}

/**
 * The regions of a file.
 *
 * @param opened undefined if prologue or index cannot be read
 */
export function regionsOf(opened: OpenedIndex | undefined, fileLength: number): Region[] {
  if (opened === undefined) return unknownRegions(fileLength);
  const { index } = opened;
  const parts: Omit<Region, "length">[] = [
    { kind: "prologue", name: "prologue", clause: "5", number: 0, offset: 0 },
    { kind: "index", name: "index", clause: "6", number: 0, offset: PROLOGUE_BYTES },
    ...chunkRegions(index.modules, "module", "7.2", ({ name }) => name),
    ...chunkRegions(index.tensors, "tensor", "7.4", ({ name, role }) => `${name} (${role})`),
    ...chunkRegions(index.sections, "section", "10", ({ type }) => type),
    { kind: "digests", name: "digests", clause: "11", number: 0, offset: index.digests.offset },
    { kind: "trailer", name: "trailer", clause: "11.4", number: 0, offset: index.trailer.offset },
  ];
  return parts.map((part, i) => ({ ...part, length: (parts[i + 1]?.offset ?? fileLength) - part.offset }));
}

function chunkRegions<T extends ChunkRecord>(
  records: readonly T[],
  kind: "module" | "tensor" | "section",
  clause: string,
  name: (record: T) => string,
): Omit<Region, "length">[] {
  return records.map((record, number) => ({
    ...{ kind, clause, number },
    name: name(record),
    offset: record.chunk.offset,
  }));
}

function unknownRegions(fileLength: number): Region[] {
  const head = Math.min(PROLOGUE_BYTES, fileLength);
  const rest = { kind: "unknown", name: "what follows", clause: "4.1", number: 0 } as const;
  return [
    { kind: "prologue", name: "prologue", clause: "5", number: 0, offset: 0, length: head },
    ...(fileLength > head ? [{ ...rest, offset: head, length: fileLength - head }] : []),
  ];
}

/** The chunk of a region, if it is one. */
export function chunkOf(
  { modules, tensors, sections }: ContainerIndex,
  { kind, number }: Region,
): ChunkRecord | undefined {
  if (kind === "module") return modules[number];
  if (kind === "tensor") return tensors[number];
  return kind === "section" ? sections[number] : undefined;
}
