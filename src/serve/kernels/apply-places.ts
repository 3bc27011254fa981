/**
 * The memory layout of the kernel that applies packed modules.
 *
 * @module
 */
import { FREE } from "../../core/rooms.ts";
import type { ApplyProgram } from "../program.ts";
import type { Rotating } from "../rotating.ts";

/** The kernel reads 16 bytes at a time, some of them beyond the data it uses. */
const MARGIN = 64;
/** Most components whose weights are multiplied together, and bytes of their tiles. As in apply.as. */
const MOST_COMPONENTS = 16;
const TILES_BYTES = MOST_COMPONENTS * (4 * 1024 + 64);
/** Bytes per weight of a rotated vector: 16-bit integers of all components, and one byte. */
const INTEGER_BYTES = MOST_COMPONENTS * 2 + 1;
/** Addresses in a call. */
export interface Places {
  readonly draws: number;
  readonly lists: readonly [a: number, b: number, draws: number, mix: number];
  readonly tiles: number;
  readonly payload: number;
  /** One row of binary16. */
  readonly half: number;
  readonly x: readonly [straight: number, rotated: number];
  /** Rotated weights. */
  readonly integers: number;
  readonly sums: number;
  readonly h: number;
  /** For a lineage: the sum of h over its generations. */
  readonly total: number;
  /** For a start: products of its rows, as `[rank][rows]` and `[rows][rank]`, and the result of mixing them, laid out like h. */
  readonly start: readonly [products: number, rows: number, mixed: number];
  readonly z: readonly [straight: number, rotated: number];
  readonly y: number;
  readonly end: number;
}

/** Bytes of a row of binary32, a multiple of a cache line. */
export function rowBytes(length: number): number {
  return 64 * Math.ceil(length / 16);
}

/** A layout in which each of these programs fits. */
export function placesFor(
  programs: readonly ApplyProgram[],
  [n, out]: readonly [number, number],
  rows: number,
  turns: Rotating,
): Places {
  let at = FREE;
  const take = (bytes: number): number => {
    const place = at + MARGIN;
    at = MARGIN * Math.ceil((place + bytes + MARGIN) / MARGIN);
    return place;
  };
  const most = (bytes: (program: ApplyProgram) => number): number => Math.max(...programs.map(bytes));
  const [xBytes, zBytes] = [rows * rowBytes(n), rows * rowBytes(out)];
  const isRotated = (factor: "a" | "b"): boolean =>
    programs.some(({ [factor]: { straight, encodings } }) => straight < encodings.length);
  const turnsRows = (factor: "a" | "b"): boolean => isRotated(factor) && turns[factor] === "rows";
  const held = (factor: "a" | "b", length: number): number =>
    isRotated(factor) && turns[factor] === "weights" ? INTEGER_BYTES * length : 0;
  const rank = most(({ start }) => start?.rank ?? 0);
  const hBytes = 4 * rows * most(({ components }) => components);
  return {
    draws: take(2 * rank * n),
    lists: [
      take(most(({ a }) => a.words.byteLength)),
      take(most(({ b }) => b.words.byteLength)),
      take(most(({ start }) => start?.draws.byteLength ?? 0)),
      take(most(({ start }) => start?.mix.words.byteLength ?? 0)),
    ],
    tiles: take(TILES_BYTES),
    payload: take(most(({ payloadBytes }) => payloadBytes)),
    half: take(2 * Math.max(n, out)),
    x: [take(xBytes), take(turnsRows("a") ? xBytes : 0)],
    integers: take(Math.max(held("a", n), held("b", out))),
    sums: take(64 * rows),
    h: take(hBytes),
    total: take(programs.length > 1 ? hBytes : 0),
    start: [take(4 * rows * rank), take(rows * rowBytes(rank)), take(rank === 0 ? 0 : hBytes)],
    z: [take(zBytes), take(turnsRows("b") ? zBytes : 0)],
    y: take(zBytes),
    end: at + MARGIN,
  };
}
