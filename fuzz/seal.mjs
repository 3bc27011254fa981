// Makes the checksums of a damaged file right again, so that what lies behind them is reached: an attacker does the same.
// For the targets, and for test/property/.

import { crc32 } from "../dist/common/bytes.js";
import { sha256 } from "../dist/common/sha256.js";
import { rootDigest, writeTrailer } from "../dist/core/container/digests.js";
import { DIGEST_BYTES } from "../dist/core/container/layout.js";
import { PROLOGUE_BYTES } from "../dist/core/container/prologue.js";
import { allChunks } from "../dist/core/container/types.js";
import { loadZstdCodec } from "../dist/core/container/zstd.js";
import { chunksStart } from "../dist/core/read/header.js";
import { decompressorOf } from "../dist/core/read/inflate.js";
import { bodySteps } from "../dist/core/read/verify.js";
import { isLqaError } from "../dist/errors.js";
import { openIndex, runOver } from "./steps.mjs";

/** Loaded before anything is measured; every variant of the file readers is given this one. */
export const zstd = await loadZstdCodec();

/** Files are extended to at most this for the length that their records add up to. */
const MOST = 65536;

/** CRC-32 of the index, and of the prologue. In place. */
export function sealHeader(bytes) {
  if (bytes.length < PROLOGUE_BYTES) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = PROLOGUE_BYTES + view.getUint32(32, true);
  if (end <= bytes.length) view.setUint32(56, crc32(bytes.subarray(PROLOGUE_BYTES, end)), true);
  view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
  return bytes;
}

/**
 * Counts, feature bits and the length of the file as its records have them, with the checksums of the header.
 *
 * @returns the file, and its header if it can be read now
 */
export function sealRecords(bytes) {
  for (let attempt = 0; ; attempt++) {
    sealHeader(bytes);
    try {
      return { bytes, header: openIndex(bytes) };
    } catch (error) {
      if (!isLqaError(error) || attempt === 8 || !correct(bytes, error)) return { bytes };
    }
  }
}

/** Everything of {@link sealRecords}, and all other checksums. Returns the file, perhaps of another length. */
export function sealFile(input) {
  const { bytes: sealed, header } = sealRecords(input);
  if (header === undefined) return sealed;
  let bytes = sealed;
  const { index, prologue } = header;
  if (prologue.fileLength > MOST) return bytes;
  if (bytes.length !== prologue.fileLength) bytes = resized(bytes, prologue.fileLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = allChunks(index);
  for (const { chunk } of chunks) {
    const end = chunk.offset + chunk.length - 4;
    view.setUint32(end, crc32(bytes.subarray(chunk.offset, end)), true);
  }
  const starts = [...chunks.map(({ chunk }) => chunk.offset), index.digests.offset];
  index.spans.forEach(([first, end], i) => {
    bytes.set(
      sha256(bytes.subarray(starts[first], starts[end])),
      index.digests.offset + DIGEST_BYTES * (i + 1),
    );
  });
  sealTrailer(bytes, header);
  // The content id needs what is in the chunks: the reader that finds it wrong says what it should be.
  try {
    const steps = bodySteps(header, { tools: { zstd: decompressorOf(zstd) } });
    runOver(bytes, steps, chunksStart(prologue));
  } catch (error) {
    if (isLqaError(error, "CONTENT_ID")) {
      bytes.set(Buffer.from(error.expected, "hex"), index.digests.offset);
      sealTrailer(bytes, header);
    }
  }
  return bytes;
}

function sealTrailer(bytes, { index, prologue, prologueBytes, indexBytes }) {
  const { digests, trailer } = index;
  const list = bytes.subarray(digests.offset, trailer.offset);
  const fields = {
    rootDigest: rootDigest(prologueBytes, indexBytes, list),
    fileLength: prologue.fileLength,
    digestsLength: digests.length,
    indexLength: prologue.indexLength,
  };
  bytes.set(writeTrailer(fields), trailer.offset);
}

/** Gives the field that `error` complains about the value it expects. False if that is no such field. */
function correct(bytes, { kind, expected, offset, where }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (kind) {
    case "FILE_LENGTH_MISMATCH":
      if (expected > MOST) return false;
      view.setBigUint64(24, BigInt(expected), true);
      return true;
    case "FEATURE_BITS":
      view.setUint32(offset, Number(expected), true);
      return true;
    case "COUNT_MISMATCH":
      view.setUint32(
        { modules: 36, tensors: 40, sections: 44 }[where],
        view.getUint32(offset - 4, true),
        true,
      );
      return true;
    case "PADDING_NONZERO":
      if (offset >= chunksStart({ indexLength: view.getUint32(32, true), alignment: 4096 })) return false;
      bytes[offset] = 0;
      return true;
    default:
      return false;
  }
}

function resized(bytes, length) {
  const result = new Uint8Array(length);
  result.set(bytes.subarray(0, Math.min(length, bytes.length)));
  return result;
}
