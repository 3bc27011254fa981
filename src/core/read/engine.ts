/**
 * Runs the checks of a whole file over pieces, for `stream.ts` and `whole.ts`.
 *
 * The caller feeds one piece at a time; `next` returns events until it needs another piece.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { assertNotAborted, fail } from "../../errors.ts";
import { type Pieces, piecesOf } from "../../io/pieces.ts";
import type { LimitSet } from "../../limits.ts";
import { isIncomplete } from "../container/prologue.ts";
import type { Zstd } from "../container/zstd.ts";
import { CHUNK_BUDGET } from "./budget.ts";
import { readerValues } from "./chunks.ts";
import { decodeModule } from "./decode.ts";
import type { LqaEvent, ModuleEvent, SectionEvent, TensorEvent } from "./events.ts";
import { Feed } from "./feed.ts";
import { chunksStart, type Header, headerSteps } from "./header.ts";
import type { LqaFile } from "./lqa-file.ts";
import { tensorOf } from "./other-payloads.ts";
import { breather, type Need, PAUSE, type Steps } from "./steps.ts";
import { bodySteps, type ChunkVisitor, type VerifiedIds } from "./verify.ts";

/** How to read a stream. */
export interface StreamOptions {
  /** zstd implementation; by default the native one or zstd-codec, loaded only if the file uses it. */
  readonly zstd?: Zstd | undefined;
  /** Most bytes of one chunk, stored and, if it is compressed, raw together. Default 1 GiB. */
  readonly budgetBytes?: number | undefined;
  /** As in {@link OpenOptions}. */
  readonly limits?: LimitSet | undefined;
  /** As in {@link OpenOptions}, but only open files. Without its parent a file can be read, but not decoded. */
  readonly parents?: readonly LqaFile[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Called when a part of the file behind its index has passed its checks, before its event, with the bytes of the file that
   * have passed, and the length of the file. Not called after an error. If it throws, reading ends with that error.
   */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Options of an engine. */
export interface EngineOptions extends StreamOptions {
  /** The digest list of a pinned file: the engine returns a chunk only after its span has matched its digest. */
  readonly pinned?: Uint8Array | undefined;
}

/** Reads one file. After an error every call throws that error. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #feed = new Feed({ copies: true });
  readonly #steps: Steps<VerifiedIds>;
  #step: IteratorResult<Need, VerifiedIds> | undefined;
  #header: Header | undefined;
  /** The parents of the file, looked up behind the header. */
  #parents: readonly LqaFile[] = [];
  /** Events that `next` returns. */
  #ready: LqaEvent[] = [];
  /** Events of a pinned file, until the span of their chunks is proven. */
  #held: LqaEvent[] = [];
  /** Bytes of the payloads of these chunks. */
  #heldBytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #offset: number;
  /** Without a signal: `next` checks the signal for every event. */
  readonly #breathe = breather(undefined);

  /** @param header header of a file that was opened before: the engine then starts at the first chunk */
  constructor(options: EngineOptions, header?: Header) {
    this.#options = options;
    this.#steps = header === undefined ? this.#fileSteps() : this.#body(header);
    this.#offset = header === undefined ? 0 : chunksStart(header.prologue);
  }

  /** Bytes of the file that have passed their checks. */
  get offset(): number {
    return this.#offset;
  }

  get header(): Header | undefined {
    return this.#header;
  }

  get received(): number {
    return this.#feed.received;
  }

  get held(): number {
    return this.#feed.held;
  }

  get failure(): unknown {
    return this.#failure?.error;
  }

  feed(piece: Uint8Array): void {
    this.#assertAlive();
    this.#feed.push(piece);
  }

  /** Reports the end of the input. */
  close(): void {
    this.#assertAlive();
    this.#feed.close();
  }

  /** The next event; undefined if it needs more input, or after the end event. */
  async next(): Promise<LqaEvent | undefined> {
    this.#assertAlive();
    try {
      for (;;) {
        assertNotAborted(this.#options.signal);
        const event = this.#ready.shift();
        if (event?.type === "module" && typeof event.factors.parent === "string")
          return await this.#withParent(event);
        if (event !== undefined) return event;
        this.#step ??= this.#steps.next();
        if (this.#step.done === true) return undefined;
        const need = this.#step.value;
        if (need.bytes === 0) await this.#breathe();
        await need.load?.();
        const bytes = this.#feed.take(need.bytes);
        if (bytes === undefined) return undefined;
        this.#assertAlive();
        this.#step = this.#steps.next(bytes);
        this.#offset += bytes.length;
        if (bytes.length > 0 && this.#header !== undefined)
          this.#options.onProgress?.(this.#offset, this.#header.prologue.fileLength);
        if (this.#step.done === true) this.#ready.push({ type: "end", ...this.#step.value });
      }
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Ends the engine with an error, and releases its buffers. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#ready = [];
    this.#held = [];
    this.#feed.release();
  }

  /** The event of a module, with the factors of its parent if the caller has provided it. */
  async #withParent(event: ModuleEvent): Promise<ModuleEvent> {
    if (this.#parents.length === 0) return event;
    const { withParents } = await import("./lineage.ts");
    const { record } = event;
    const factors = await withParents(event.factors, record, this.#parents, this.#options);
    return { ...event, factors, decode: (how) => decodeModule(record, factors, how) };
  }

  #assertAlive(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  *#fileSteps(): Steps<VerifiedIds> {
    const header = yield* headerSteps(this.#options.limits ?? "core");
    const { prologue, index } = header;
    this.#ready.push({ type: "header", prologue, index });
    // A pause, so that `next` returns the header even if the first chunk is over the budget.
    yield isIncomplete(prologue) ? { ...PAUSE, load: loadDecoders } : PAUSE;
    return yield* this.#body(header);
  }

  *#body(header: Header): Steps<VerifiedIds> {
    this.#header = header;
    const { zstd, pinned, budgetBytes = CHUNK_BUDGET, parents = [] } = this.#options;
    if (parents.length > 0 && header.index.parentId !== undefined)
      yield {
        ...PAUSE,
        load: async () => {
          const { findParents } = await import("./lineage.ts");
          this.#parents = await findParents(header.index, parents, this.#options);
        },
      };
    const hand = (event: ModuleEvent | TensorEvent | SectionEvent): void => {
      if (pinned === undefined) return void this.#ready.push(event);
      const { payload, chunk } = event.record;
      this.#heldBytes += payload;
      // Many small compressed chunks may share a span, and inflate to any size.
      if (this.#heldBytes > budgetBytes)
        fail(KIND.BUDGET, {
          where: "chunks of one span",
          offset: chunk.offset,
          expected: `at most ${budgetBytes} bytes`,
          actual: this.#heldBytes,
        });
      this.#held.push(event);
    };
    const visitor: ChunkVisitor = {
      module: (record, factors, payload) => {
        hand({
          type: "module",
          record,
          payload,
          factors,
          decode: (how) => decodeModule(record, factors, how),
        });
      },
      tensor: (record, data) => hand({ type: "tensor", record, tensor: tensorOf(record, data) }),
      section: (record, data, map) => hand({ type: "section", record, data, map }),
      proven: () => {
        this.#ready.push(...this.#held);
        this.#held = [];
        this.#heldBytes = 0;
      },
    };
    const values = readerValues();
    return yield* bodySteps(header, { zstd, visitor, values, budgetBytes, pinned });
  }
}

/** The events of an engine that runs over a source until its end. Leaving the loop early cancels the source. */
export async function* eventsOf(
  engine: Engine,
  source: Pieces,
  signal: AbortSignal | undefined,
): AsyncGenerator<LqaEvent, void, undefined> {
  try {
    for await (const piece of piecesOf(source, signal)) {
      engine.feed(piece);
      for (let event = await engine.next(); event !== undefined; event = await engine.next()) yield event;
    }
    engine.close();
    for (let event = await engine.next(); event !== undefined; event = await engine.next()) yield event;
  } finally {
    // Releases the buffers, even if the caller keeps the iterator.
    engine.fail(new TypeError("this stream has ended"));
  }
}

async function loadDecoders(): Promise<void> {
  (await import("./decode-child.ts")).loadDecoders();
}
