/**
 * The profiles `rtn` and `sign`: the baselines that other methods are compared with. They round the original factors directly. No
 * SVD, no search, no allocation: every component gets the same bits.
 *
 * `rtn` is round-to-nearest over the range of each group with a zero point. `sign` is one sign bit and the mean magnitude of the group
 * (XNOR-Net's binarisation, without a mean shift). They follow the baselines of LoRAQuant (arXiv 2510.26690), the smallest range of
 * 1e-5 included, except for what storing the result needs: a group lies in one component, its range includes 0 (`minMaxFit`), scales
 * are rounded to 16 bits before codes are chosen, and sign(0) is +. Components that add nothing to ΔW (a zero column of B or row of A,
 * as in untrained modules) take codec `zero`.
 *
 * @module
 */
import type { Band, PackedBand, PackedFactors } from "../../core/index.ts";
import { inputLength, type LoraModule } from "../../model/adapter.ts";
import { CODERS, type Coded } from "./coders.ts";
import { minMaxFit } from "./fit.ts";
import type { Bundle } from "./groups.ts";
import { componentsOfA, componentsOfB } from "./reparameterize.ts";

/** Codes vectors of one band. */
type CodeFactor = (bundles: readonly Bundle[], where: string) => Coded;

/**
 * Rounds the original factors to nearest. Weights must be finite.
 *
 * @param bits bits of a code, 1 to 8
 * @param group weights that share a scale; 0 for the whole vector
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function rtnFactors(module: LoraModule, bits: number, group: number): PackedFactors {
  return codeOriginals(module, group, (bundles, where) => CODERS.affine(bundles, bits, minMaxFit, where));
}

/** Signs and mean magnitudes of the original factors. @throws as {@link rtnFactors} */
export function signFactors(module: LoraModule, group: number): PackedFactors {
  return codeOriginals(module, group, CODERS.sign);
}

function codeOriginals(module: LoraModule, group: number, code: CodeFactor): PackedFactors {
  const { experts, out, rank, name } = module;
  const n = inputLength(module);
  const all = Array.from({ length: experts }, (_, e) => ({
    b: componentsOfB(module, e),
    a: componentsOfA(module, e),
  }));
  const live = Array.from({ length: rank }, (_, c) =>
    all.some(({ b, a }) => anyNonzero(b, c * out, out) && anyNonzero(a, c * n, n)),
  );
  const bands: Band[] = [];
  const planes: PackedBand[][] = all.map(() => []);
  for (let from = 0, end = 0; from < rank; from = end) {
    while (end < rank && live[end] === live[from]) end++;
    const factor = (which: "b" | "a"): Coded => {
      if (!live[from]) return CODERS.zero(experts);
      const length = which === "b" ? out : n;
      const bundles = all.map(
        (expert): Bundle => ({ values: expert[which], from, components: end - from, length, group }),
      );
      return code(bundles, `module "${name}", factor ${which.toUpperCase()}`);
    };
    const [b, a] = [factor("b"), factor("a")];
    bands.push({ components: end - from, b: b.encoding, a: a.encoding });
    for (const [e, list] of planes.entries()) list.push({ b: b.planes[e]!, a: a.planes[e]! });
  }
  return { bands, planes };
}

function anyNonzero(values: Float64Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (values[i] !== 0) return true;
  return false;
}
