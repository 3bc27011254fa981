/**
 * The validator: it checks a file and reports what is wrong with it (spec clause 15).
 *
 * Each level contains the ones before it. `structure` checks prologue, index and lengths; `integrity` the checksums and
 * digests of every byte, padding and sections; `values` every scale and raw weight; `canonical` also that the bytes are the
 * canonical form of their content. A file has one first error; with `all` the validator makes every check that does not depend
 * on a failed one. A valid file can still be suspicious: then the validator warns.
 *
 * It reads a file once, from its first byte to its last, and large chunks in pieces (`scan.ts`).
 *
 * @module
 */

import { equalBytes } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../../errors.ts";
import { type Input, openInput } from "../../io/input.ts";
import { piecesOf } from "../../io/pieces.ts";
import type { ByteSource } from "../../io/source.ts";
import type { Origin } from "../../model/adapter.ts";
import { usedGroups } from "../codecs/canonical.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { SCHEMA } from "../container/generated/schema.ts";
import { readIndex } from "../container/index-read.ts";
import { writeIndex } from "../container/index-write.ts";
import type { MetaMap } from "../container/meta.ts";
import { PROLOGUE_BYTES, vectorsWith } from "../container/prologue.ts";
import type { ModuleRecord } from "../container/types.ts";
import { CHUNK_BUDGET, PIECE_BUDGET } from "../read/budget.ts";
import { ValueChecks } from "../read/chunks.ts";
import { Feed, feedOf } from "../read/feed.ts";
import { chunksStart, type Header, headerSteps } from "../read/header.ts";
import type { LqaFile } from "../read/lqa-file.ts";
import { asRequested, piecesFrom } from "../read/pieces-from.ts";
import { PAUSE, runSteps, type Steps } from "../read/steps.ts";
import { bodySteps, type VerifiedIds } from "../read/verify.ts";
import { scanOf } from "./scan.ts";
import { type Suspicion, suspiciousPlanes, suspiciousRecords } from "./suspicions.ts";
import type { ValidateOptions, Validation, ValidationLevel } from "./validation.ts";

/** Most findings and most warnings to keep: a file full of errors must not fill the memory. */
export const MOST_FINDINGS = 1000;
/** Bytes to read at once when the validator only counts them. */
const SKIPPED = 2 ** 20;
/** Bytes per request of a source; the next piece arrives during the checks of one. */
const PIECE = 2 ** 21;

/** How far each level goes. */
const DEPTHS: Readonly<Record<ValidationLevel, number>> = {
  structure: 0,
  integrity: 1,
  values: 2,
  canonical: 3,
};

/** A validation, with warnings that have no texts yet: `validate.ts` adds them. */
export interface Checked extends Omit<Validation, "warnings"> {
  readonly suspicions: readonly Suspicion[];
}

/** The implementation of {@link import("./validate.ts").validate}, which imports this file. */
export async function runValidation(
  input: Input,
  { signal, ...options }: ValidateOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<Checked> {
  const opened = openInput(input);
  if (opened.kind === "bytes") {
    const { bytes } = opened;
    return await check(new Run(options, { size: bytes.length }, false), feedOf(bytes));
  }
  if (opened.kind === "pieces")
    return await checkPieces(new Run(options, {}, true), piecesOf(opened.pieces, signal), true);
  const source =
    opened.kind === "source" ? opened.source : (await import("../read/open-url.ts")).httpRanges(opened.url);
  const run = new Run(options, source, true);
  if (options.level !== "structure") {
    const pieces = piecesFrom(source, 0, source.size ?? Number.MAX_SAFE_INTEGER, signal, {
      pieceBytes: PIECE,
    });
    return await checkPieces(run, pieces, false);
  }
  const { more } = asRequested(source, signal);
  return await check(run, new Feed({ more: (missing) => read(more(missing)) }));
}

/** Checks pieces that arrive. It leaves them at the end, because their source may still read ahead. */
async function checkPieces(
  run: Run,
  pieces: AsyncGenerator<Uint8Array, void, undefined>,
  copies: boolean,
): Promise<Checked> {
  try {
    return await check(
      run,
      new Feed({
        copies,
        // The run keeps the header.
        passing: () => run.header !== undefined,
        more: async () => (await read(pieces.next())).value ?? undefined,
      }),
    );
  } finally {
    // Without `await`: a source that hangs must not keep its validation from ending.
    pieces.return().catch(() => {});
  }
}

async function check(run: Run, feed: Feed): Promise<Checked> {
  let ids: VerifiedIds | undefined;
  try {
    ids = await runSteps(run.steps(), feed);
  } catch (caught) {
    if (caught instanceof ReadFailure) throw caught.cause;
    if (!isLqaError(caught)) throw caught;
    run.add(caught);
  }
  return run.result(feed.taken, ids);
}

/** Wraps an error of the source, to distinguish it from an invalid file. */
class ReadFailure extends Error {}

async function read<T>(piece: Promise<T>): Promise<T> {
  try {
    return await piece;
  } catch (cause) {
    throw new ReadFailure("the source failed", { cause });
  }
}

/** The validation of one file. */
class Run {
  header: Header | undefined;
  #parents: readonly LqaFile[] = [];
  /** Codes that are not canonical, in file order. */
  readonly #noncanonical: LqaError[] = [];
  readonly #options: ValidateOptions;
  readonly #level: ValidationLevel;
  readonly #source: Pick<ByteSource, "size">;
  readonly #scanned: boolean;
  readonly #findings: LqaError[] = [];
  readonly #suspicions: Suspicion[] = [];
  #omitted = 0;
  #meta: MetaMap | undefined;
  #origin: Origin | undefined;

  /** @param source its size, which a source on a server knows after its first answer @param scanned whether to scan large chunks in pieces */
  constructor(options: ValidateOptions, source: Pick<ByteSource, "size">, scanned: boolean) {
    this.#options = options;
    this.#level = options.level ?? "values";
    this.#source = source;
    this.#scanned = scanned;
  }

  /** Adds a finding, or counts it if there are too many. */
  add(error: LqaError): void {
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push(error);
    else this.#omitted++;
  }

  *steps(): Steps<VerifiedIds | undefined> {
    const depth = DEPTHS[this.#level];
    const report = (error: LqaError): void => {
      if (this.#options.all !== true) throw error;
      this.add(error);
    };
    const header = yield* headerSteps(this.#options.limits ?? "core");
    this.header = header;
    const { prologue, index } = header;
    if (this.#options.warnings !== false) this.#warn(suspiciousRecords(index, prologue.fileLength));
    if (this.#options.parents !== undefined && index.parentId !== undefined)
      yield { ...PAUSE, load: () => this.#findParents(header) };
    const parents = this.#parents;
    let ids: VerifiedIds | undefined;
    if (depth === 0) yield* this.#length(chunksStart(prologue), prologue.fileLength);
    else {
      const values = depth >= 2 ? this.#valueChecks(depth >= 3, report) : undefined;
      ids = yield* bodySteps(header, {
        zstd: this.#options.zstd,
        report: this.#options.all === true ? report : undefined,
        budgetBytes:
          this.#options.budgetBytes ??
          (!this.#scanned ? undefined : parents.length > 0 ? CHUNK_BUDGET : PIECE_BUDGET),
        // Sums need the whole module.
        scan: (record) =>
          parents.length > 0 && "bands" in record && record.parentModule !== undefined
            ? undefined
            : scanOf(record, values, this.#scanned),
        values,
        sums:
          values === undefined || parents.length === 0
            ? undefined
            : (record, factors) => this.#checkSums(record, factors, report),
        visitor: {
          module:
            values === undefined || this.#options.warnings === false
              ? undefined
              : (record, factors) => this.#warn(suspiciousPlanes(record, factors)),
          section: ({ type }, _, map) => {
            if (type === "META") this.#meta = map;
            if (type === "ORIG") this.#origin = map as Origin | undefined;
          },
        },
      });
      this.#meta ??= {};
    }
    if (depth >= 3) {
      for (const error of this.#noncanonical) report(error);
      checkCanonicalIndex(header, report);
    }
    return ids;
  }

  #valueChecks(canonical: boolean, report: (error: LqaError) => void): ValueChecks {
    const all = this.#options.all === true;
    return new ValueChecks({
      canonical: canonical ? usedGroups : undefined,
      // Only a valid file is not canonical: such findings wait for the end.
      report: (error) => {
        if (error.kind !== "NONCANONICAL_CODES") report(error);
        else this.#noncanonical.push(error);
      },
      enough: (kind) =>
        kind === "NONCANONICAL_CODES"
          ? this.#noncanonical.length >= (all ? MOST_FINDINGS : 1)
          : this.#findings.length >= MOST_FINDINGS,
      omit: () => {
        // Only codes that are not canonical come so far where one error is requested: they wait.
        if (all) this.#omitted++;
      },
    });
  }

  /** Finds the parents among the inputs that the caller gives. */
  async #findParents({ index }: Header): Promise<void> {
    const { parentsOf } = await import("../read/file.ts");
    try {
      this.#parents = await parentsOf(index, this.#options);
    } catch (cause) {
      throw isLqaError(cause) && cause.class !== "X"
        ? cause
        : new ReadFailure("the parent failed", { cause });
    }
  }

  async #checkSums(
    record: ModuleRecord,
    factors: PackedFactors,
    report: (error: LqaError) => void,
  ): Promise<void> {
    const { withParents } = await import("../read/lineage.ts");
    try {
      await withParents(factors, record, this.#parents, {});
    } catch (error) {
      if (!isLqaError(error, "NONFINITE_VALUE")) throw error;
      report(error);
    }
  }

  /** Checks the length of the file without its content. @param received bytes read so far */
  *#length(received: number, expected: number): Steps<void> {
    let length = this.#source.size ?? received;
    while (this.#source.size === undefined) {
      const piece = yield { bytes: SKIPPED };
      length += piece.length;
      if (piece.length < SKIPPED || length > expected) break;
    }
    if (length === expected) return;
    fail(length < expected ? KIND.TRUNCATED_FILE : KIND.TRAILING_BYTES, {
      offset: Math.min(length, expected),
      expected: `${expected} bytes`,
      actual: this.#source.size === undefined && length > expected ? "more" : length,
    });
  }

  #warn(suspicions: Iterable<Suspicion>): void {
    for (const suspicion of suspicions) {
      if (this.#suspicions.length === MOST_FINDINGS) return;
      this.#suspicions.push(suspicion);
    }
  }

  result(taken: number, ids: VerifiedIds | undefined): Checked {
    const findings = this.#findings;
    const index = this.header?.index;
    return {
      valid: findings.length === 0,
      level: this.#level,
      error: findings[0],
      findings,
      omitted: this.#omitted,
      suspicions: this.#suspicions,
      bytes: this.#source.size ?? taken,
      modules: index?.modules.length,
      tensors: index?.tensors.length,
      ids: findings.length === 0 ? ids : undefined,
      meta: this.#meta,
      origin: this.#origin,
      index,
    };
  }
}

/** Checks that the index has the bytes that the writer makes for its records (spec 12.2). */
function checkCanonicalIndex(
  { prologue, indexBytes, noncanonicalName }: Header,
  report: (error: LqaError) => void,
): void {
  const attempt = (check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (!isLqaError(error)) throw error;
      report(error);
    }
  };
  if (noncanonicalName !== undefined)
    attempt(() => fail(KIND.NONCANONICAL_NAME, { offset: noncanonicalName }));
  const canonical = writeIndex(readIndex(indexBytes, 0, vectorsWith(prologue)).vectors);
  if (equalBytes(indexBytes, canonical)) return;
  let at = 0;
  while (at < indexBytes.length && indexBytes[at] === canonical[at]) at++;
  attempt(() =>
    fail(KIND.NONCANONICAL_INDEX, {
      where: `table ${SCHEMA.table}`,
      offset: PROLOGUE_BYTES + at,
      expected: `the layout of clause 12.2 (${canonical.length} bytes)`,
      actual: `${indexBytes.length} bytes`,
    }),
  );
}
