/**
 * The glossary at the head of a report. `docs/how-it-works.md` explains the same words with a picture.
 *
 * @module
 */
import { factList, folded, type Html } from "./html.ts";

const WORDS = [
  ["ΔW, ΔŴ", "the update that the adapter adds to a layer; the update decoded from this file"],
  ["energy", "the sum of the squares of all weights of ΔW; lost is ‖ΔW − ΔŴ‖² / ‖ΔW‖²"],
  [
    "component",
    "one direction of ΔW: a column of B, a row of A, and a singular value that says how strong it is",
  ],
  ["effective rank", "how many components hold 90 % of the energy"],
  ["bits per weight", "bits of the file for each weight of the factors B and A"],
  ["bound", "the smallest loss at these bits if the weights were Gaussian: no method could do better"],
  [
    "bands",
    "components that are stored alike. 2×trellis3: two components of 3 bits per weight; affine and sign are simpler grids; zero: left out; r: rotated first; (x y): B' as x, A' as y",
  ],
  ["SNR", "the loss in decibels, larger is better: 10 dB is 10 % lost, 20 dB is 1 %"],
] as const;

/** The words with their meaning, folded. */
export function glossary(): Html {
  return folded("What the words mean", factList(WORDS));
}
