/**
 * Turns chosen rates into bands: consecutive components with the same two encodings share one (spec clause 6.5), and their
 * planes are joined.
 *
 * @module
 */
import type { Band, Encoding, PackedBand, PackedFactors, Planes } from "../../../core/index.ts";
import { ENCODINGS } from "../coders.ts";
import type { Choice } from "./allocate.ts";
import { type Subject, sideEncoding } from "./subject.ts";

/** A band and its components, from `from` up to but not including `end`. */
interface Run {
  readonly band: Band;
  readonly from: number;
  readonly end: number;
}

/** The bands of a module. For vectors that are not coded yet it assumes the usual encoding. */
export function planBands(subject: Subject, choices: readonly Choice[]): Band[] {
  return runs(subject, choices).map(({ band }) => band);
}

/** Bands and planes of a module whose chosen sides are all coded. */
export function joinBands(subject: Subject, choices: readonly Choice[]): PackedFactors {
  const { components, module } = subject;
  const planned = runs(subject, choices);
  const join = (factor: "b" | "a", { from, end }: Run, expert: number): Planes => {
    const members = components.slice(from, end).map((component, i) => {
      return component[factor].coded.get(choices[from + i]![factor])!.planes[expert]!;
    });
    const plane = (name: keyof Planes): Uint8Array => concat(members.map((planes) => planes[name]));
    return { scales: plane("scales"), zeroPoints: plane("zeroPoints"), codes: plane("codes") };
  };
  return {
    bands: planned.map(({ band }) => band),
    planes: Array.from({ length: module.experts }, (_, expert) =>
      planned.map((run): PackedBand => {
        const band = { b: join("b", run, expert), a: join("a", run, expert) };
        return run.band.a.mix === undefined ? band : { ...band, mix: joinMixes(subject, choices, run) };
      }),
    ),
  };
}

/** The mixtures of a band. Its module has no experts. */
function joinMixes({ components }: Subject, choices: readonly Choice[], { from, end }: Run): Planes {
  const mixes = components.slice(from, end).map(({ a }, i) => a.coded.get(choices[from + i]!.a)!.mix!);
  const plane = (name: keyof Planes): Uint8Array => concat(mixes.map((planes) => planes[name]));
  return { scales: plane("scales"), zeroPoints: plane("zeroPoints"), codes: plane("codes") };
}

function runs(subject: Subject, choices: readonly Choice[]): Run[] {
  const found: Run[] = [];
  const zero = ENCODINGS.zero();
  for (let c = 0; c < subject.module.rank; c++) {
    const component = subject.components[c];
    const b = component === undefined ? zero : sideEncoding(component.b, choices[c]!.b);
    const a = component === undefined ? zero : sideEncoding(component.a, choices[c]!.a);
    const last = found[found.length - 1];
    if (last !== undefined && sameEncoding(last.band.b, b) && sameEncoding(last.band.a, a)) {
      found[found.length - 1] = { ...last, band: { b, a, components: last.band.components + 1 }, end: c + 1 };
    } else found.push({ band: { components: 1, b, a }, from: c, end: c + 1 });
  }
  return found;
}

export function sameEncoding(x: Encoding, y: Encoding): boolean {
  if (x === y) return true;
  const [own, other] = [Object.entries(x), y as unknown as Readonly<Record<string, unknown>>];
  return own.length === Object.keys(y).length && own.every(([name, value]) => other[name] === value);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
