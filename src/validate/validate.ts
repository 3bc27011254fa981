/**
 * The validator: is this file good, and if not, what is the first thing wrong with it (spec clause 15)?
 *
 * Levels contain each other: `structure` looks at prologue, index and lengths; `integrity` at every byte's checksum
 * and digest, padding and sections; `values` at every scale, code and raw weight; `canonical` also at whether the
 * bytes are the one form this content has.
 *
 * @module
 */
import { checkPlanes, type PlaneFinding } from "../codecs/check.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { equalBytes } from "../container/bytes.ts";
import { SCHEMA } from "../container/generated/schema.ts";
import { readIndex } from "../container/index-read.ts";
import { writeIndex } from "../container/index-write.ts";
import { planeExtents } from "../container/layout.ts";
import { COMPATIBLE, PROLOGUE_BYTES } from "../container/prologue.ts";
import { allChunks, type ModuleRecord, type TensorRecord } from "../container/types.ts";
import { type ErrorName, fail, isLqaError, type LqaError } from "../errors.ts";
import { inputLength } from "../model/adapter.ts";
import { openIndex } from "../read/header.ts";
import type { OpenOptions } from "../read/open.ts";
import { type VerifiedIds, verifyFile } from "../read/verify.ts";
import { zstdFor } from "../read/zstd.ts";
import { badBoolean, nonfiniteElement } from "./nonfinite.ts";

/** How much is checked; each level contains the ones before it. */
export type ValidationLevel = "structure" | "integrity" | "values" | "canonical";

export const VALIDATION_LEVELS: readonly ValidationLevel[] = [
  "structure",
  "integrity",
  "values",
  "canonical",
];

export interface ValidateOptions extends OpenOptions {
  /** Default `values`. */
  readonly level?: ValidationLevel;
}

/** What validation found. */
export interface Validation {
  readonly valid: boolean;
  readonly level: ValidationLevel;
  /** The first error of the file; absent if it is valid. */
  readonly error: LqaError | undefined;
  readonly bytes: number;
  /** Counts of the index, once it was readable. */
  readonly modules: number | undefined;
  readonly tensors: number | undefined;
  /** From level `integrity` on. */
  readonly ids: VerifiedIds | undefined;
}

/** Validates a file in memory. Never throws for what is in `bytes`. */
export async function validateLqa(bytes: Uint8Array, options: ValidateOptions = {}): Promise<Validation> {
  const level = options.level ?? "values";
  const depth = VALIDATION_LEVELS.indexOf(level);
  let counts: { modules: number; tensors: number } | undefined;
  let ids: VerifiedIds | undefined;
  let error: LqaError | undefined;
  try {
    const opened = openIndex(bytes, options);
    const { prologue, index } = opened;
    counts = { modules: index.modules.length, tensors: index.tensors.length };
    if (depth === 0) {
      if (bytes.length < prologue.fileLength)
        fail("TRUNCATED_FILE", {
          offset: bytes.length,
          expected: `${prologue.fileLength} bytes`,
          actual: bytes.length,
        });
      if (bytes.length > prologue.fileLength)
        fail("TRAILING_BYTES", {
          offset: prologue.fileLength,
          expected: `${prologue.fileLength} bytes`,
          actual: bytes.length,
        });
    } else {
      const values =
        depth >= 2 ? valueChecks((prologue.compatible & COMPATIBLE.NONFINITE) !== 0, depth >= 3) : undefined;
      const zstd = await zstdFor(allChunks(index), options);
      ids = verifyFile(bytes, opened, zstd, values?.visitor, options.budgetBytes);
      values?.finish();
    }
    if (depth >= 3)
      checkCanonicalIndex(
        bytes.subarray(PROLOGUE_BYTES, PROLOGUE_BYTES + prologue.indexLength),
        opened.canonicalNames,
      );
  } catch (caught) {
    if (!isLqaError(caught)) throw caught;
    error = caught;
  }
  return {
    valid: error === undefined,
    level,
    error,
    bytes: bytes.length,
    modules: counts?.modules,
    tensors: counts?.tensors,
    ids,
  };
}

/** Checks of the `values` level, and of the codes at the `canonical` level. Throws at the first finding. */
function valueChecks(
  nonfiniteDeclared: boolean,
  canonical: boolean,
): {
  visitor: {
    module(r: ModuleRecord, f: PackedFactors, at: number): void;
    tensor(r: TensorRecord, d: Uint8Array, at: number): void;
  };
  finish(): void;
} {
  let nonfiniteSeen = false;
  const module = (record: ModuleRecord, factors: PackedFactors, payloadOffset: number): void => {
    const lengths = { b: record.out, a: inputLength(record) };
    const extents = planeExtents(record, factors.bands);
    for (let e = 0; e < extents.length; e += 3) {
      const { expert, band, factor } = extents[e]!;
      const encoding = factors.bands[band]![factor];
      checkPlanes(
        encoding,
        factors.planes[expert]![band]![factor],
        factors.bands[band]!.components,
        lengths[factor],
        report,
      );
      function report(kind: ErrorName, plane: string, offset: number, finding: PlaneFinding): void {
        if (kind === "NONCANONICAL_CODES" && !canonical) return;
        if (kind === "NONFINITE_VALUE" && nonfiniteDeclared) {
          nonfiniteSeen = true;
          return;
        }
        const { offset: start } = extents.slice(e, e + 3).find((extent) => extent.plane === plane)!;
        const group = finding.group === undefined ? "" : `, group ${finding.group}`;
        fail(kind, {
          where: `module "${record.name}", band ${band}, ${factor === "b" ? "B'" : "A'"} ${plane}, component ${finding.component}${group}`,
          // A compressed payload has no byte to point at but its chunk's first.
          offset: record.compression === "none" ? payloadOffset + start + offset : payloadOffset,
          expected: finding.expected,
          actual: finding.actual,
        });
      }
    }
  };
  const tensor = (record: TensorRecord, data: Uint8Array, payloadOffset: number): void => {
    const boolean = badBoolean(record.element, data);
    if (boolean >= 0)
      fail("TENSOR_RECORD", {
        where: `tensor "${record.name}", element ${boolean}`,
        offset: record.compression === "none" ? payloadOffset + boolean : payloadOffset,
        expected: "0 or 1",
        actual: data[boolean],
      });
    const at = nonfiniteElement(record.element, data);
    if (at < 0) return;
    nonfiniteSeen = true;
    if (!nonfiniteDeclared)
      fail("NONFINITE_VALUE", {
        where: `tensor "${record.name}", element ${at}`,
        offset:
          record.compression === "none"
            ? payloadOffset +
              at *
                (data.length /
                  Math.max(
                    1,
                    record.shape.reduce((p, s) => p * s, 1),
                  ))
            : payloadOffset,
        expected: "a finite number",
      });
  };
  return {
    visitor: { module, tensor },
    finish() {
      if (nonfiniteDeclared && !nonfiniteSeen)
        fail("FEATURE_BITS", {
          where: "compatible features",
          offset: 20,
          expected: "no NONFINITE bit",
          actual: "set",
        });
    },
  };
}

/** The index must be the bytes our writer would give for its records (spec 12.2). */
function checkCanonicalIndex(bytes: Uint8Array, canonicalNames: boolean): void {
  if (!canonicalNames) fail("NONCANONICAL_NAME", { offset: PROLOGUE_BYTES });
  const canonical = writeIndex(readIndex(bytes).vectors);
  if (equalBytes(bytes, canonical)) return;
  let at = 0;
  while (at < bytes.length && bytes[at] === canonical[at]) at++;
  fail("NONCANONICAL_INDEX", {
    where: `table ${SCHEMA.root}`,
    offset: PROLOGUE_BYTES + at,
    expected: `the layout of clause 12.2 (${canonical.length} bytes)`,
    actual: `${bytes.length} bytes`,
  });
}
