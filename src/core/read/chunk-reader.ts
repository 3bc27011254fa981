/**
 * Reads the chunks of an open file by ranges: one chunk, or the chunks of many modules with read-ahead. It knows which chunks of a
 * stable source have passed their checks, and keeps small spans of a pinned file, so that reading several modules reads them once.
 *
 * @module
 */

import { eitherSignal } from "../../io/source.ts";
import { type AnyRecord, placeOf } from "../container/types.ts";
import { assertRoom, CHUNK_BUDGET } from "./budget.ts";
import { readerValues, type ValueChecks } from "./chunks.ts";
import type { Reading } from "./file.ts";
import { FIRST_BYTES, type PlannedRange, planRanges, readExactly } from "./ranges.ts";
import type { WatchOptions } from "./steps.ts";

/** Default number of ranges to read ahead. */
const AHEAD = 4;

const NONE: Promise<Uint8Array[]> = Promise.resolve([]);

/** The chunks of one file. */
export class ChunkReader {
  readonly #reading: Reading;
  readonly #budget: number;
  readonly #values = readerValues();
  /** Chunks of a stable source that have passed their checks. */
  readonly #proven = new WeakSet<AnyRecord>();

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#budget = reading.options.budgetBytes ?? CHUNK_BUDGET;
  }

  /** The ranges to request for some chunks: of a pinned file, of their whole spans. */
  plan<T extends AnyRecord>(records: Iterable<T>): PlannedRange<T>[] {
    const { pin, options } = this.#reading;
    return planRanges(records, options, pin && (({ chunk }) => pin.spanOf(chunk)));
  }

  /** The bytes of one chunk. @throws LqaError BUDGET, and as the source */
  async read(record: AnyRecord, signal?: AbortSignal): Promise<Uint8Array> {
    const { source, pin, options } = this.#reading;
    assertRoom(record, this.#budget, placeOf(record));
    const range = this.plan([record])[0]!;
    if (pin === undefined || range.length > FIRST_BYTES) return (await this.#readRange(range, signal))[0]!;
    // Small modules share a span: keep it, so that reading several modules reads it once.
    const { offset, length } = range;
    source.keep("last", offset, await source.read(offset, length, eitherSignal(signal, options.signal)));
    try {
      return (await this.#readRange(range, signal))[0]!;
    } catch (error) {
      source.keep("last", offset, new Uint8Array(0));
      throw error;
    }
  }

  /** The chunks of planned ranges in file order, a coalesced range at a time, with read-ahead. */
  async *all<T extends AnyRecord>(
    ranges: readonly PlannedRange<T>[],
    { signal, onProgress }: WatchOptions,
  ): AsyncGenerator<[T, Uint8Array][], void, undefined> {
    for (const { chunks } of ranges)
      for (const record of chunks) assertRoom(record, this.#budget, placeOf(record));
    const total = ranges.reduce((sum, { length }) => sum + length, 0);
    const ahead = this.#reading.options.ahead ?? AHEAD;
    let done = 0;
    const control = new AbortController();
    const abort = (): void => control.abort(signal?.reason);
    signal?.addEventListener("abort", abort);
    const requests: Promise<Uint8Array[]>[] = [];
    try {
      for (const [i, range] of ranges.entries()) {
        while (requests.length < ranges.length && requests.length < i + ahead) {
          const promise = this.#readRange(ranges[requests.length]!, control.signal);
          // `await` below throws its error in its turn, unless an earlier request has failed.
          promise.catch(() => {});
          requests.push(promise);
        }
        const chunks = await requests[i]!;
        requests[i] = NONE;
        onProgress?.((done += range.length), total);
        yield range.chunks.map((record, k) => [record, chunks[k]!]);
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      control.abort();
    }
  }

  /** Makes the result of a chunk, with the checks that the chunk still needs. */
  checked<T>(record: AnyRecord, make: (values: ValueChecks | undefined) => T): T {
    const { verified, source } = this.#reading;
    const made = make(verified !== undefined || this.#proven.has(record) ? undefined : this.#values);
    if (source.stable === true) this.#proven.add(record);
    return made;
  }

  /** The chunks of a range, one for each of its records. */
  async #readRange(range: PlannedRange<AnyRecord>, signal?: AbortSignal): Promise<Uint8Array[]> {
    const { header, source, pin, options } = this.#reading;
    const either = eitherSignal(signal, options.signal);
    const where = placeOf(range.chunks[0]!);
    if (pin !== undefined) return await pin.read(source, range, { ...options, where, signal: either });
    const bytes = await readExactly(source, range, where, header.prologue.fileLength, either);
    return range.chunks.map(({ chunk: { offset, length } }) =>
      bytes.subarray(offset - range.offset, offset - range.offset + length),
    );
  }
}
