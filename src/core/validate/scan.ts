/**
 * Checks large payloads piece by piece. A validator then holds 1 MiB of a payload, or one component's codes if those are larger
 * (16 MiB up to the Core limits). That does not depend on the size of the chunk or the number of its planes. It also inflates
 * compressed payloads piece by piece. The checks and their order are those in memory (`checkPayload`, `read/chunks.ts`), on
 * whole components at a time.
 *
 * The checksum is at the end of a chunk, and an error of the checksum takes precedence. So the scan keeps its findings until
 * then: the first padding byte that is not zero, and a bounded number of values.
 *
 * @module
 */

import { requireZero } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { caught, type ErrorName, LqaError } from "../../errors.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import { findUsed } from "../codecs/canonical.ts";
import { checkFloats, checkScales, firstUnusedBit } from "../codecs/check.ts";
import { FLOAT_BYTES, groupCount } from "../codecs/encoding.ts";
import { lowerFactor, vectorLengths } from "../codecs/packed.ts";
import { KNOWN_SECTIONS } from "../container/chunks-read.ts";
import { type PlaneExtent, planeExtents } from "../container/layout.ts";
import type { ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import { ValueChecks } from "../read/chunks.ts";
import { checkTensor } from "../read/other-payloads.ts";
import type { PayloadScan } from "../read/verify.ts";

/** Largest chunk to check in memory; the validator scans larger ones. Most adapters have only smaller chunks. */
const SCAN_FROM = 4 * 2 ** 20;
/**
 * Most bands of all experts of a module to check in memory. The validator scans modules with more, whatever their size, because
 * in memory each band is an object, perhaps for a few bytes. A mixture of 256 experts has a few thousand bands.
 */
const MANY_BANDS = 8192;
/** Bytes of a piece, if components are not longer: a multiple of the bytes of every element type. */
const PIECE = 2 ** 20;
/** Most findings to keep until the checksum has passed: a chunk full of NaN must not fill the memory. */
const MOST_FINDINGS = 1000;

/** Most stretches of planes in one piece: the object of a stretch takes more memory than a few bytes. */
const MANY_STRETCHES = 4096;

/** Value checks whose findings wait for the checksum; undefined below level `values`. */
interface Waiting {
  readonly values: ValueChecks;
  readonly found: LqaError[];
  /** Whether it keeps no more errors. Codes that are not canonical are counted for themselves. */
  readonly full: () => boolean;
  /** Whether there were more findings than it keeps. */
  more: boolean;
}

/**
 * A scan for a large chunk, or for a module of very many bands; undefined for chunks to check in memory. These include all
 * MessagePack sections, which have their own limit.
 *
 * @param read true if the payload is read from a source, false if it is in memory already
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
  if ("bands" in record) return new ModuleScan(record, waiting, values);
  const { payload } = record;
  let last: number | undefined;
  return {
    pieces: pieces(payload),
    look(piece, offset) {
      // For a tensor, report the first fault, as in memory.
      if ("role" in record && waiting !== undefined && waiting.found.length === 0)
        last = checkTensor(
          waiting.values.options,
          record,
          piece,
          offset / ELEMENT_BYTES[record.element],
          last,
        );
    },
    finish: () => finish(undefined, waiting, values),
  };
}

function delayed(values: ValueChecks): Waiting {
  const found: LqaError[] = [];
  let noncanonical = 0;
  const enough = (kind: ErrorName): boolean =>
    (kind === "NONCANONICAL_CODES" ? noncanonical : found.length - noncanonical) >= MOST_FINDINGS ||
    values.options.enough(kind);
  const waiting: Waiting = {
    values: new ValueChecks({
      ...values.options,
      report: (error) => {
        found.push(error);
        if (error.kind === "NONCANONICAL_CODES") noncanonical++;
      },
      enough,
      omit: () => {
        waiting.more = true;
      },
    }),
    found,
    full: () => found.length - noncanonical >= MOST_FINDINGS,
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

/** Some whole components of a plane, or a part of a raw plane; without an extent, the bytes between planes. */
interface Stretch {
  readonly extent: PlaneExtent | undefined;
  readonly length: number;
}

/** The payload of a module in stretches of at most a piece, or of one component if that is longer. */
function* stretches(record: ModuleRecord): Generator<Stretch> {
  let at = 0;
  for (const extent of planeExtents(record, record.bands)) {
    if (extent.offset > at) yield { extent: undefined, length: extent.offset - at };
    const { components } = record.bands[extent.band]!;
    const row = extent.length / components;
    const { kind } = lowerFactor(record.bands[extent.band]!, extent.factor);
    // The scan checks floats one by one, and other planes by whole components.
    const step = kind === "floats" ? PIECE : row * Math.max(1, Math.floor(PIECE / row));
    for (let left = extent.length; left > 0; left -= step) yield { extent, length: Math.min(step, left) };
    at = extent.offset + extent.length;
  }
}

/** A scan of a module's payload. */
class ModuleScan implements PayloadScan {
  readonly #record: ModuleRecord;
  readonly #waiting: Waiting | undefined;
  readonly #values: ValueChecks | undefined;
  readonly #lengths: ReturnType<typeof vectorLengths>;
  readonly #groups: UsedGroups | undefined;
  readonly pieces: Iterable<number> = this.#walk();
  #padding: LqaError | undefined;
  /** Layout of the last requested piece: stretches of planes, and the bytes between planes. */
  #batch: Stretch[] = [];

  constructor(record: ModuleRecord, waiting: Waiting | undefined, values: ValueChecks | undefined) {
    this.#record = record;
    this.#waiting = waiting;
    this.#values = values;
    this.#lengths = vectorLengths(record, record.bands);
    if (waiting?.values.options.canonical !== undefined) this.#groups = new UsedGroups(record, this.#lengths);
  }

  *#walk(): Generator<number> {
    let bytes = 0;
    for (const stretch of stretches(this.#record)) {
      if (bytes > 0 && (bytes + stretch.length > PIECE || this.#batch.length === MANY_STRETCHES)) {
        yield bytes;
        this.#batch = [];
        bytes = 0;
      }
      this.#batch.push(stretch);
      bytes += stretch.length;
    }
    if (bytes > 0) yield bytes;
  }

  look(piece: Uint8Array, offset: number): void {
    let at = 0;
    for (const { extent, length } of this.#batch) {
      const stretch = piece.subarray(at, at + length);
      if (extent !== undefined) this.#lookAt(extent, stretch, offset + at);
      else
        this.#padding ??= caught(() =>
          requireZero(
            stretch,
            this.#record.chunk.offset + offset + at,
            `padding of module "${this.#record.name}"`,
          ),
        );
      at += length;
    }
  }

  finish(): void {
    finish(this.#padding, this.#waiting, this.#values);
  }

  #lookAt(current: PlaneExtent, piece: Uint8Array, offset: number): void {
    const record = this.#record;
    const { band, factor, plane } = current;
    const { components } = record.bands[band]!;
    const lowered = lowerFactor(record.bands[band]!, factor);
    const length = this.#lengths[factor];
    const place = record.chunk.offset + offset;
    const unused = firstUnusedBit(lowered, plane, piece, length);
    if (unused >= 0)
      this.#padding ??= new LqaError(KIND.PADDING_NONZERO, {
        where: `unused bits of module "${record.name}"`,
        offset: place + unused,
        expected: 0,
        actual: piece[unused],
      });
    if (this.#waiting === undefined || this.#waiting.full()) return;
    const { values } = this.#waiting;
    const at = offset - current.offset;
    if (lowered.element !== undefined) {
      const elementBytes = FLOAT_BYTES[lowered.element];
      // A stretch may begin in the middle of a component, so count components from the plane's first weight.
      const first = at / elementBytes;
      const report = values.plane(record, current, place);
      checkFloats(piece, lowered.element, length, (kind, name, where, finding) =>
        report(kind, name, where, {
          ...finding,
          component: Math.floor((first + where / elementBytes) / length),
        }),
      );
      return;
    }
    const row = at / (current.length / components);
    const report = values.plane(record, current, place, row);
    const groups = this.#groups?.from(current, row * groupCount(lowered.group, length));
    if (plane === "scales") checkScales(lowered, piece, length, report, groups?.has);
    else if (groups !== undefined) findUsed(lowered, plane, piece, length, groups.add);
  }
}

/** One bit for each group of the current expert: whether it has a zero point or a code that is not 0. Scales come last. */
class UsedGroups {
  /** Number of the first group of each band of an expert, by factor. */
  readonly #first = { b: [0], a: [0], mix: [0] };
  readonly #groups: number;
  #used = new Uint8Array(0);
  #expert = -1;

  constructor(record: ModuleRecord, lengths: ReturnType<typeof vectorLengths>) {
    let groups = 0;
    for (const factor of ["b", "a", "mix"] as const)
      record.bands.forEach((own, band) => {
        this.#first[factor][band] = groups;
        const { scale, group } = lowerFactor(own, factor);
        if (scale !== undefined) groups += own.components * groupCount(group, lengths[factor]);
      });
    this.#groups = groups;
  }

  /** The groups of a plane, counted from one of them. */
  from(
    { expert, factor, band }: PlaneExtent,
    skipped: number,
  ): { has(group: number): boolean; add(group: number): void } {
    if (this.#expert !== expert) {
      this.#used = new Uint8Array(Math.ceil(this.#groups / 8));
      this.#expert = expert;
    }
    const used = this.#used;
    const first = this.#first[factor][band]! + skipped;
    return {
      has: (group) => ((used[(first + group) >>> 3]! >>> ((first + group) & 7)) & 1) === 1,
      add: (group) => {
        used[(first + group) >>> 3]! |= 1 << ((first + group) & 7);
      },
    };
  }
}
