/**
 * The sections that the encoder writes: META, with the settings of the encoding, and ORIG (spec 10.2, 10.3).
 *
 * @module
 */

import { toHex } from "../common/bytes.ts";
import { sha256 } from "../common/sha256.ts";
import { encodeMeta, type SectionInput } from "../core/format.ts";
import type { Adapter } from "../model/adapter.ts";
import type { Calibration } from "../model/calibration.ts";
import { VERSION } from "../version.ts";

/** Identifies in META the calibration file that an encoding followed. */
export function fingerprint(calibration: Calibration | undefined): string | undefined {
  return calibration && `sha256:${toHex(sha256(calibration.source).subarray(0, 8))}`;
}

/** A setting in META. Numbers have six digits, so that the number of digits a user typed does not change the file's size. */
function told(value: unknown): string {
  return String(typeof value === "number" ? Number(value.toPrecision(6)) : value);
}

/**
 * The META and ORIG sections of an adapter (spec 10.2, 10.3). META is never compressed, so a reader without zstd can show it.
 *
 * @param settings the encoder's settings, by name
 * @param step of training
 */
export function adapterSections(
  adapter: Pick<Adapter, "meta" | "origin">,
  settings: object,
  relativeError: number,
  step?: number,
): SectionInput[] {
  const words = Object.entries(settings).filter(([, value]) => value !== undefined);
  const encoder = [`lqa/${VERSION}`, ...words.map(([key, value]) => `${key}=${told(value)}`)].join(" ");
  const stated = { ...adapter.meta, encoder, relative_error: relativeError };
  const meta = encodeMeta(step === undefined ? stated : { ...stated, step }, "META");
  const sections: SectionInput[] = [
    { type: "META", critical: false, safeToCopy: true, data: meta, compress: false },
  ];
  if (adapter.origin !== undefined)
    sections.push({
      type: "ORIG",
      critical: false,
      safeToCopy: false,
      data: encodeMeta(adapter.origin, "ORIG"),
      compress: true,
    });
  return sections;
}
