/**
 * Large payloads, checked piece by piece: a validator holds 1 MiB of them, or one component's codes where those are more
 * (16 MiB up to the Core limits), whatever the size of the chunk and the number of its planes. Compressed ones are
 * inflated piece by piece as well. The same checks in the same order as in memory
 * (`splitPayload`, `read/chunks.ts`), made on whole components at a time.
 *
 * A checksum comes at the end of a chunk, and no rule may be reported before it has passed; so what is found is kept
 * until then: the first padding byte that is not zero, and up to a bounded number of values.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { caught, LqaError } from "../../errors.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import { checkFloats, checkScales, findUsed, firstUnusedBit } from "../codecs/check.ts";
import { FLOAT_BYTES, groupCount } from "../codecs/encoding.ts";
import { lowerFactor, vectorLengths } from "../codecs/packed.ts";
import { requireZero } from "../container/bytes.ts";
import { KNOWN_SECTIONS } from "../container/chunks-read.ts";
import { type PlaneExtent, planeExtents } from "../container/layout.ts";
import type { ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import { ValueChecks } from "../read/chunks.ts";
import type { PayloadScan } from "../read/verify.ts";

/** Chunks above this are scanned. Those of most adapters are below, and checked in memory. */
const SCAN_FROM = 4 * 2 ** 20;
/**
 * Modules with more bands, those of all experts counted, are scanned whatever their size: in memory each takes an object for
 * every few bytes. A mixture of 256 experts has a few thousand.
 */
const MANY_BANDS = 8192;
/** Bytes of a piece, as far as components allow: a multiple of every element. */
const PIECE = 2 ** 20;
/** Most findings kept until the checksum has passed: a chunk of nothing but NaN must not fill the memory. */
const MOST_FINDINGS = 1000;

/** Stretches of planes in one piece at most: those of a few bytes take more memory than the bytes. */
const MANY_STRETCHES = 4096;

/** Value checks whose findings wait for the checksum; undefined below level `values`. */
interface Waiting {
  readonly values: ValueChecks;
  readonly found: LqaError[];
  /** There were more than are kept. */
  more: boolean;
}

/**
 * A scan of a large chunk, or of a module of very many bands; undefined for what is checked in memory. MessagePack always
 * is: it has a limit of its own.
 *
 * @param read the payload is read from somewhere, rather than in memory already
 */
export function scanOf(
  record: ModuleRecord | TensorRecord | SectionRecord,
  values: ValueChecks | undefined,
  read: boolean,
): PayloadScan | undefined {
  const many = "bands" in record && record.experts * record.bands.length > MANY_BANDS;
  const large =
    (read || record.compression !== "none") && Math.max(record.payload, record.chunk.length) > SCAN_FROM;
  if ((!many && !large) || ("type" in record && KNOWN_SECTIONS.has(record.type))) return undefined;
  const waiting = values && delayed(values);
  if ("bands" in record) return moduleScan(record, waiting, values);
  const { payload, chunk } = record;
  return {
    pieces: pieces(payload),
    look(piece, offset) {
      // For a tensor, report the first fault, as in memory.
      if ("role" in record && waiting !== undefined && waiting.found.length === 0)
        waiting.values.tensor(record, piece, chunk.offset, offset / ELEMENT_BYTES[record.element]);
    },
    finish: () => finish(undefined, waiting, values),
  };
}

function delayed(values: ValueChecks): Waiting {
  const found: LqaError[] = [];
  const waiting: Waiting = {
    values: new ValueChecks({
      ...values.options,
      report: (error) => void found.push(error),
      enough: () => found.length >= MOST_FINDINGS || values.options.enough(),
      omit: () => {
        waiting.more = true;
      },
    }),
    found,
    more: false,
  };
  return waiting;
}

function finish(
  padding: LqaError | undefined,
  waiting: Waiting | undefined,
  values: ValueChecks | undefined,
): void {
  if (padding !== undefined) throw padding;
  if (waiting === undefined || values === undefined) return;
  for (const error of waiting.found) values.options.report(error);
  if (waiting.more) values.options.omit();
}

function* pieces(length: number): Generator<number> {
  for (let at = 0; at < length; at += PIECE) yield Math.min(PIECE, length - at);
}

/** Some whole components of a plane, or a stretch of a raw one; without an extent what lies between planes. */
interface Stretch {
  readonly extent: PlaneExtent | undefined;
  readonly length: number;
}

/** The payload of a module in stretches of at most a piece, or of one component. */
function* stretches(record: ModuleRecord): Generator<Stretch> {
  let at = 0;
  for (const extent of planeExtents(record, record.bands)) {
    if (extent.offset > at) yield { extent: undefined, length: extent.offset - at };
    const { components } = record.bands[extent.band]!;
    const row = extent.length / components;
    const { kind } = lowerFactor(record.bands[extent.band]!, extent.factor);
    // Floats are checked one by one; everything else by whole components.
    const step = kind === "floats" ? PIECE : row * Math.max(1, Math.floor(PIECE / row));
    for (let left = extent.length; left > 0; left -= step) yield { extent, length: Math.min(step, left) };
    at = extent.offset + extent.length;
  }
}

function moduleScan(
  record: ModuleRecord,
  waiting: Waiting | undefined,
  values: ValueChecks | undefined,
): PayloadScan {
  const base = record.chunk.offset;
  const lengths = vectorLengths(record, record.bands);
  let padding: LqaError | undefined;
  /** Layout of the piece requested last: stretches of planes, and the bytes between planes. */
  let batch: Stretch[] = [];
  /** Groups that have a zero point or a code, one bit each, of the expert whose planes these are: scales come last. */
  const firstGroup = { b: [0], a: [0], mix: [0] };
  let groupsOfExpert = 0;
  for (const factor of ["b", "a", "mix"] as const)
    record.bands.forEach((own, band) => {
      firstGroup[factor][band] = groupsOfExpert;
      const { scale, group } = lowerFactor(own, factor);
      if (scale !== undefined) groupsOfExpert += own.components * groupCount(group, lengths[factor]);
    });
  let used = new Uint8Array(0);
  let usedOf = -1;
  const canonical = waiting?.values.options.canonical !== undefined;

  function* walk(): Generator<number> {
    let bytes = 0;
    for (const stretch of stretches(record)) {
      if (bytes > 0 && (bytes + stretch.length > PIECE || batch.length === MANY_STRETCHES)) {
        yield bytes;
        batch = [];
        bytes = 0;
      }
      batch.push(stretch);
      bytes += stretch.length;
    }
    if (bytes > 0) yield bytes;
  }

  function look(piece: Uint8Array, offset: number): void {
    let at = 0;
    for (const { extent, length } of batch) {
      lookAt(extent, piece.subarray(at, at + length), offset + at);
      at += length;
    }
  }

  function lookAt(current: PlaneExtent | undefined, piece: Uint8Array, offset: number): void {
    if (current === undefined) {
      padding ??= caught(() => requireZero(piece, base + offset, `padding of module "${record.name}"`));
      return;
    }
    const { expert, band, factor, plane } = current;
    const { components } = record.bands[band]!;
    const lowered = lowerFactor(record.bands[band]!, factor);
    const { element } = lowered;
    const length = lengths[factor];
    const unused = firstUnusedBit(lowered, plane, piece, length);
    if (unused >= 0)
      padding ??= new LqaError(KIND.PADDING_NONZERO, {
        where: `unused bits of module "${record.name}"`,
        offset: base + offset + unused,
        expected: 0,
        actual: piece[unused],
      });
    if (waiting === undefined || waiting.found.length >= MOST_FINDINGS) return;
    const row = current.length / components;
    const at = offset - current.offset;
    if (element !== undefined) {
      // Components of a stretch that begins in the middle of one are counted from the plane's first weight.
      const first = at / FLOAT_BYTES[element];
      const report = waiting.values.plane(record, current, base + offset);
      checkFloats(piece, element, length, (kind, name, where, finding) =>
        report(kind, name, where, {
          ...finding,
          component: Math.floor((first + where / FLOAT_BYTES[element]) / length),
        }),
      );
      return;
    }
    const report = waiting.values.plane(record, current, base + offset, at / row);
    if (!canonical) {
      if (plane === "scales") checkScales(lowered, piece, length, report);
      return;
    }
    if (usedOf !== expert) {
      used = new Uint8Array(Math.ceil(groupsOfExpert / 8));
      usedOf = expert;
    }
    const groups = groupCount(lowered.group, length);
    const first = firstGroup[factor][band]! + (at / row) * groups;
    const isUsed = (i: number): boolean => ((used[(first + i) >>> 3]! >>> ((first + i) & 7)) & 1) === 1;
    if (plane === "scales") checkScales(lowered, piece, length, report, isUsed);
    else
      findUsed(lowered, plane, piece, length, (i) => {
        used[(first + i) >>> 3]! |= 1 << ((first + i) & 7);
      });
  }

  return { pieces: walk(), look, finish: () => finish(padding, waiting, values) };
}
