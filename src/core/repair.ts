/**
 * Repairs a damaged file if the result is provably the original, and otherwise refuses.
 *
 * The choices in the prologue, the index and the payloads determine all other bytes of a file (spec clauses 4.2, 7.1 and
 * 11). So exactly one file has the payloads at hand. The repair builds it, and accepts it only if
 *
 * - the stored root digest, in a trailer that passes its CRC-32, is the one of that file: SHA-256 then proves all of it; or
 * - prologue, index and every chunk pass their own CRC-32, and only digests, trailer, lengths or bytes behind the end
 *   differed: nothing that carries data was touched.
 *
 * It never changes payloads or index. It cannot repair a chunk whose payload is damaged, and leaves nothing out to make a
 * file valid.
 *
 * @module
 */

import { isLqaError, LqaError } from "../errors.ts";
import { ELEMENT_BYTES } from "../model/adapter.ts";
import { equalBytes } from "../model/bytes.ts";
import { CRC_BYTES, crc32 } from "./container/bytes.ts";
import { withoutPauses } from "./container/chunks-read.ts";
import {
  contentHasher,
  moduleContent,
  rootDigest,
  tensorContent,
  writeTrailer,
} from "./container/digests.ts";
import { readIndex } from "./container/index-read.ts";
import { chunkCrc, DIGEST_BYTES, TRAILER_BYTES } from "./container/layout.ts";
import {
  PROLOGUE_BYTES,
  type Prologue,
  REQUIRED,
  readPrologue,
  vectorsWith,
  writePrologue,
} from "./container/prologue.ts";
import { createSha256, sha256 } from "./container/sha256.ts";
import { allChunks, type ContainerIndex, type ModuleRecord, type TensorRecord } from "./container/types.ts";
import type { Zstd } from "./container/zstd.ts";
import { type InflateCount, inflateCount } from "./read/budget.ts";
import { chunksStart, headerSteps } from "./read/header.ts";
import { zstdFor } from "./read/other-payloads.ts";
import { runSteps, takeFrom } from "./read/steps.ts";
import { validate } from "./validate/validate.ts";

/** A part of the file that the repair changed. */
export interface Repair {
  /** Name of the part, e.g. `trailer` or `CRC-32 of module "q"`. */
  readonly what: string;
  /** Place of the first different byte in the repaired file. */
  readonly offset: number;
  /** Number of bytes that are different now. */
  readonly bytes: number;
}

/** A repaired file. */
export interface Repaired {
  readonly bytes: Uint8Array;
  /** In file order; empty if the file was valid. */
  readonly repairs: readonly Repair[];
  /** The proof that this is the original. */
  readonly proof: "none needed" | "root digest" | "chunk checksums";
  /** What the repair could not restore, as sentences. */
  readonly lost: readonly string[];
  readonly fileId: string;
  readonly contentId: string;
}

/** A prologue that may be the original one, with the index that it belongs to. */
interface Candidate {
  readonly prologue: Prologue;
  readonly prologueBytes: Uint8Array;
  readonly index: ContainerIndex;
  readonly indexBytes: Uint8Array;
  /** True if it is the stored prologue, which passed its CRC-32, except perhaps for the length of the file. */
  readonly trusted: boolean;
}

type Fitted = Pick<Candidate, "prologue" | "index">;

/** How to repair. */
export interface RepairOptions {
  readonly zstd?: Zstd;
  /** Most bytes that compressed chunks may inflate to, all attempts together. Never below 1 GiB or 16 times the file. */
  readonly budgetBytes?: number;
}

/** Most candidates for which the repair builds a whole file. */
const MOST_BUILDS = 4;
/** Stored bytes to inflate at once. */
const PIECE = 2 ** 20;

/**
 * Repairs a file in memory. Needs memory for the repaired copy.
 *
 * @throws LqaError the first error of the file, with other advice, if it cannot be repaired; BUDGET
 */
export async function repairLqa(bytes: Uint8Array, options: RepairOptions = {}): Promise<Repaired> {
  const before = await validate(bytes, { ...options, warnings: false });
  if (before.error === undefined)
    return { bytes, repairs: [], proof: "none needed", lost: [], ...before.ids! };
  const inflated = inflateCount(bytes.length, options.budgetBytes);
  let builds = 0;
  for await (const candidate of candidates(bytes)) {
    if (!provable(bytes, candidate)) continue;
    // A damaged file has one or two provable candidates; only a crafted one has more.
    if (++builds > MOST_BUILDS) break;
    const built = await build(bytes, candidate, inflated, options);
    if (built === undefined) continue;
    const after = await validate(built.bytes, { ...options, warnings: false });
    // Apart from hostile input there is only one such file; if it breaks a rule, it cannot be repaired.
    if (after.ids === undefined) break;
    return { ...built, ...after.ids };
  }
  const { offset, where, expected, actual } = before.error;
  throw new LqaError(before.error, {
    offset,
    where,
    expected,
    actual,
    advice: "This cannot be repaired without guessing, so nothing was written. Fetch the file again.",
  });
}

/** Prologues to try: the stored one; that one with the file length that follows from the records; ones rebuilt from the index. */
async function* candidates(bytes: Uint8Array): AsyncGenerator<Candidate> {
  try {
    yield { ...(await runSteps(headerSteps("core"), takeFrom(bytes))), trusted: true };
    return;
  } catch (error) {
    if (!isLqaError(error)) throw error;
  }
  for (const { indexBytes, prologue, trusted } of guesses(bytes)) {
    const fitting = await fitted(indexBytes, prologue);
    if (fitting === undefined) continue;
    const prologueBytes = writePrologue(fitting.prologue);
    // If counts or feature bits are wrong although the prologue passes its CRC-32, a writer wrote them: that is no damage.
    const asStored = writePrologue({ ...fitting.prologue, fileLength: prologue.fileLength });
    const kept = trusted && equalBytes(asStored, writePrologue(prologue));
    yield { ...fitting, prologueBytes, indexBytes, trusted: kept };
  }
}

/** Pairs of an index and a prologue for it, whose file length is not known yet. */
function* guesses(
  bytes: Uint8Array,
): Generator<{ indexBytes: Uint8Array; prologue: Prologue; trusted: boolean }> {
  let stored: Prologue | undefined;
  try {
    stored = readPrologue(bytes.subarray(0, PROLOGUE_BYTES), "core");
  } catch (error) {
    if (!isLqaError(error)) throw error;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const lengths = new Set<number>();
  if (bytes.length >= PROLOGUE_BYTES) lengths.add(view.getUint32(32, true));
  if (bytes.length >= PROLOGUE_BYTES + TRAILER_BYTES)
    lengths.add(view.getUint32(bytes.length - TRAILER_BYTES + 44, true));
  for (const length of lengths) {
    if (length > bytes.length - PROLOGUE_BYTES) continue;
    const indexBytes = bytes.subarray(PROLOGUE_BYTES, PROLOGUE_BYTES + length);
    const indexCrc = crc32(indexBytes);
    if (stored?.indexCrc === indexCrc) yield { indexBytes, prologue: stored, trusted: true };
    const { required, minor } = featuresOf(indexBytes);
    // Only the root digest can tell which of the 11 alignments is right.
    for (let exponent = 2; exponent <= 12; exponent++) {
      const fields = { major: 1, minor, required, readOnlyCompatible: 0, compatible: 0, fileLength: 0 };
      const counts = { modules: 0, tensors: 0, sections: 0 };
      const alignment = 2 ** exponent;
      yield {
        indexBytes,
        prologue: { ...fields, ...counts, indexLength: length, alignment, indexCrc },
        trusted: false,
      };
    }
  }
}

/** The minor version and the required bits of an index, found by the vectors that only these features have. */
function featuresOf(indexBytes: Uint8Array): Pick<Prologue, "required" | "minor"> {
  for (const required of [REQUIRED.START, REQUIRED.PARENT])
    try {
      readIndex(indexBytes, PROLOGUE_BYTES, vectorsWith({ required }));
      return { required, minor: 1 };
    } catch (error) {
      if (!isLqaError(error)) throw error;
    }
  return { required: 0, minor: 0 };
}

/** The prologue with the counts, bits and length that follow from the index; undefined if the index is broken. */
async function fitted(indexBytes: Uint8Array, prologue: Prologue): Promise<Fitted | undefined> {
  try {
    const { interpretRareIndex } = await import("./container/rare-records.ts");
    const read = readIndex(indexBytes, PROLOGUE_BYTES, vectorsWith(prologue));
    const { modules, tensors, sections } = read.vectors;
    let fitting = {
      ...prologue,
      modules: modules.length,
      tensors: tensors.length,
      sections: sections.length,
    };
    // The reader reports one mismatch at a time, with the right value: the required bits, then the length.
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        const { index } = withoutPauses(interpretRareIndex(read, { prologue: fitting, limits: "core" }));
        return { prologue: fitting, index };
      } catch (error) {
        if (isLqaError(error, "FILE_LENGTH_MISMATCH"))
          fitting = { ...fitting, fileLength: Number(error.expected) };
        else if (isLqaError(error, "FEATURE_BITS"))
          fitting = { ...fitting, required: Number(error.expected) };
        else return undefined;
      }
    }
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return undefined;
  }
}

/** Whether a proof for a candidate is possible. The check is cheap and comes before building anything. */
function provable(bytes: Uint8Array, { index, indexBytes, trusted }: Candidate): boolean {
  const last = allChunks(index).at(-1);
  const payloadEnd = last === undefined ? PROLOGUE_BYTES + indexBytes.length : chunkEnd(last) - CRC_BYTES;
  return bytes.length >= payloadEnd && (trusted || storedRootOf(bytes, index.trailer.offset) !== undefined);
}

/** Builds the one file with this header and the payloads at hand; undefined if nothing proves it. */
async function build(
  bytes: Uint8Array,
  { prologue, prologueBytes, index, indexBytes, trusted }: Candidate,
  inflated: InflateCount,
  options: RepairOptions,
): Promise<Omit<Repaired, "fileId" | "contentId"> | undefined> {
  const chunks = allChunks(index);
  const result = new Uint8Array(prologue.fileLength);
  result.set(prologueBytes);
  result.set(indexBytes, PROLOGUE_BYTES);
  let sums = true;
  for (const { chunk } of chunks) {
    const end = chunk.offset + chunk.length - CRC_BYTES;
    const payload = bytes.subarray(chunk.offset, end);
    const crc = chunkCrc(payload);
    sums &&= equalBytes(crc, bytes.subarray(end, end + CRC_BYTES));
    result.set(payload, chunk.offset);
    result.set(crc, end);
  }
  const list = result.subarray(index.digests.offset, index.trailer.offset);
  const storedRoot = storedRootOf(bytes, index.trailer.offset);
  // Without the root digest, only parts that carry no data may differ.
  if (storedRoot === undefined && !(trusted && sums)) return undefined;
  const contentId = await contentIdOf(result, index, inflated, options);
  if (contentId === undefined) return undefined;
  list.set(contentId);
  const starts = [...chunks.map(({ chunk }) => chunk.offset), index.digests.offset];
  index.spans.forEach(([first, end], i) => {
    list.set(sha256(result.subarray(starts[first]!, starts[end]!)), DIGEST_BYTES * (i + 1));
  });
  const root = rootDigest(prologueBytes, indexBytes, list);
  const { fileLength, indexLength } = prologue;
  result.set(
    writeTrailer({ rootDigest: root, fileLength, digestsLength: list.length, indexLength }),
    index.trailer.offset,
  );

  const proof = storedRoot !== undefined && equalBytes(storedRoot, root) ? "root digest" : "chunk checksums";
  if (proof === "chunk checksums" && !(trusted && sums)) return undefined;
  return {
    bytes: result,
    repairs: differences(bytes, result, index, prologue),
    proof,
    lost: lostParts(bytes, result, index, proof),
  };
}

async function contentIdOf(
  bytes: Uint8Array,
  index: ContainerIndex,
  inflated: InflateCount,
  options: RepairOptions,
): Promise<Uint8Array | undefined> {
  const zstd = await zstdFor(allChunks(index), options);
  const content = contentHasher();
  const payload = (record: ModuleRecord | TensorRecord): Uint8Array => {
    const { chunk, compression, name } = record;
    inflated(record, `"${name}"`);
    const stored = bytes.subarray(chunk.offset, chunk.offset + chunk.length - CRC_BYTES);
    if (compression === "none") return sha256(stored);
    const hash = createSha256();
    const inflating = zstd!.inflater(record, {
      elementSize: "element" in record ? ELEMENT_BYTES[record.element] : 1,
      where: `"${name}"`,
      most: stored.length,
      receive: (raw) => hash.update(raw),
    });
    for (let at = 0; at < stored.length; at += PIECE) inflating.push(stored.subarray(at, at + PIECE));
    inflating.finish();
    return hash.digest();
  };
  try {
    for (const module of index.modules) content.add(moduleContent(module), payload(module));
    for (const tensor of index.tensors) content.add(tensorContent(tensor), payload(tensor));
  } catch (error) {
    if (!isLqaError(error) || error.kind === "BUDGET") throw error;
    return undefined;
  }
  return content.digest();
}

/** The root digest of the trailer at `offset`, if there is a trailer that passes its CRC-32. */
function storedRootOf(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  if (bytes.length < offset + TRAILER_BYTES) return undefined;
  const trailer = bytes.subarray(offset, offset + TRAILER_BYTES);
  const view = new DataView(trailer.buffer, trailer.byteOffset, TRAILER_BYTES);
  return view.getUint32(52, true) === crc32(trailer.subarray(0, 52))
    ? trailer.subarray(0, DIGEST_BYTES)
    : undefined;
}

function chunkEnd({
  chunk,
}: {
  readonly chunk: { readonly offset: number; readonly length: number };
}): number {
  return chunk.offset + chunk.length;
}

/** The parts of the format in which the two files differ. */
function differences(
  before: Uint8Array,
  after: Uint8Array,
  index: ContainerIndex,
  prologue: Prologue,
): Repair[] {
  const repairs: Repair[] = [];
  const part = (what: string, from: number, to: number): void => {
    let bytes = 0;
    let first = -1;
    for (let i = from; i < to; i++)
      if (before[i] !== after[i]) {
        bytes++;
        if (first < 0) first = i;
      }
    if (bytes > 0) repairs.push({ what, offset: first, bytes });
  };
  part("prologue", 0, PROLOGUE_BYTES);
  let at = PROLOGUE_BYTES + prologue.indexLength;
  part("padding after the index", at, chunksStart(prologue));
  at = chunksStart(prologue);
  const names = [
    ...index.modules.map(({ name }) => `module "${name}"`),
    ...index.tensors.map(({ name }) => `tensor "${name}"`),
    ...index.sections.map(({ type }) => `section ${type}`),
  ];
  for (const [i, record] of allChunks(index).entries()) {
    const end = chunkEnd(record);
    part(`padding before ${names[i]}`, at, record.chunk.offset);
    part(`CRC-32 of ${names[i]}`, end - CRC_BYTES, end);
    at = end;
  }
  part("padding before the digest list", at, index.digests.offset);
  part("content id", index.digests.offset, index.digests.offset + DIGEST_BYTES);
  part("digest list", index.digests.offset + DIGEST_BYTES, index.trailer.offset);
  part("trailer", index.trailer.offset, after.length);
  if (before.length > after.length)
    repairs.push({
      what: "bytes behind the end, cut",
      offset: after.length,
      bytes: before.length - after.length,
    });
  return repairs;
}

function lostParts(
  before: Uint8Array,
  after: Uint8Array,
  index: ContainerIndex,
  proof: Repaired["proof"],
): string[] {
  const lost: string[] = [];
  if (proof === "chunk checksums")
    lost.push(
      "The root digest of the original: the file id is the one of the repaired file, and nothing here shows that the original had it.",
    );
  const { offset } = index.digests;
  const kept = equalBytes(
    before.subarray(offset, offset + DIGEST_BYTES),
    after.subarray(offset, offset + DIGEST_BYTES),
  );
  if (!kept && proof === "chunk checksums")
    lost.push("The content id of the original: weights are known to be whole by their CRC-32 only.");
  if (before.length > after.length)
    lost.push(`${before.length - after.length} bytes behind the end of the file.`);
  return lost;
}
