/**
 * What quantizing did to a module, measured on what a decoder will compute.
 *
 * The decoded factors come from the planes through the reference decoder, never from the encoder's own values. ΔW is
 * not formed: energies come from Gram matrices in double precision, and where the error is so small that their
 * difference would be rounding, from a QR of both products together. These figures use `log10` and are for reading;
 * nothing in a file depends on them.
 *
 * @module
 */
import { decodePlanes } from "../codecs/decode.ts";
import { type Encoding, encodingLabel, FLOAT_BYTES, groupCount } from "../codecs/encoding.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { trellisBits, trellisTable } from "../codecs/trellis.ts";
import { differenceEnergy, innerProduct, type LowRank } from "../linalg/gram.ts";
import { dot } from "../linalg/vectors.ts";
import { inputLength, type LoraModule, parameterCount } from "../model/adapter.ts";
import { componentsOfA, componentsOfB } from "./reparameterize.ts";

/** Figures that describe a module or a whole adapter. */
export interface Quality {
  /** Weights of the factors. */
  readonly parameters: number;
  /**
   * Bits a weight as the LoRAQuant paper counts them: codes, scales and zero points, without the container. The zero
   * point of a group counts its `bits` bits, without the padding of the plane.
   */
  readonly averageBits: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖²; 0 if nothing was lost, Infinity if ΔW is zero and ΔŴ is not. */
  readonly relativeError: number;
  /** −10 log₁₀ relativeError; Infinity if nothing was lost. */
  readonly snrDb: number;
  /** Cosine of the angle between ΔW and ΔŴ; 1 if both are zero, 0 if one is. */
  readonly cosine: number;
  /** ‖ΔW‖², multiplier included, summed over experts. */
  readonly energy: number;
  /** ‖ΔW − ΔŴ‖². */
  readonly errorEnergy: number;
  /** ‖ΔŴ‖². */
  readonly decodedEnergy: number;
}

/** The quality of one module. */
export interface ModuleQuality extends Quality {
  readonly name: string;
  readonly rank: number;
  /** The band plan with short labels, see `encodingLabel`. */
  readonly bands: readonly { readonly components: number; readonly b: string; readonly a: string }[];
}

/**
 * Below this share of ‖B‖²‖A‖² an error energy is taken from the QR form: the Gram form is off by about 1e-16 of
 * that, so that it is good to 6 digits or better where it is used.
 */
const GRAM_FLOOR = 1e-10;

/** Compares a module with its packed factors. */
export function moduleQuality(module: LoraModule, factors: PackedFactors): ModuleQuality {
  let energy = 0;
  let decodedEnergy = 0;
  let errorEnergy = 0;
  for (let e = 0; e < module.experts; e++) {
    const original: LowRank = {
      rank: module.rank,
      out: module.out,
      n: inputLength(module),
      b: componentsOfB(module, e),
      a: componentsOfA(module, e),
    };
    const decoded = decodeExpert(module, factors, e);
    const own = innerProduct(original, original);
    const theirs = innerProduct(decoded, decoded);
    energy += own;
    decodedEnergy += theirs;
    errorEnergy += expertError(original, decoded, own, theirs);
  }
  const square = module.multiplier * module.multiplier;
  return {
    name: module.name,
    rank: module.rank,
    bands: factors.bands.map((band) => ({
      components: band.components,
      b: encodingLabel(band.b),
      a: encodingLabel(band.a),
    })),
    ...figures(
      parameterCount(module),
      countedBits(module, factors),
      square * energy,
      square * errorEnergy,
      square * decodedEnergy,
    ),
  };
}

/** Adds up the figures of modules: energies and bits are summed, ratios follow. */
export function totalQuality(modules: readonly Quality[]): Quality {
  let parameters = 0;
  let bits = 0;
  let energy = 0;
  let errorEnergy = 0;
  let decodedEnergy = 0;
  for (const module of modules) {
    parameters += module.parameters;
    bits += module.averageBits * module.parameters;
    energy += module.energy;
    errorEnergy += module.errorEnergy;
    decodedEnergy += module.decodedEnergy;
  }
  return figures(parameters, bits, energy, errorEnergy, decodedEnergy);
}

function figures(
  parameters: number,
  bits: number,
  energy: number,
  errorEnergy: number,
  decodedEnergy: number,
): Quality {
  const relativeError = errorEnergy === 0 ? 0 : errorEnergy / energy;
  const lengths = Math.sqrt(energy) * Math.sqrt(decodedEnergy);
  const inner = (energy + decodedEnergy - errorEnergy) / 2;
  const cosine =
    lengths === 0 ? (energy === decodedEnergy ? 1 : 0) : Math.min(Math.max(inner / lengths, -1), 1);
  return {
    parameters,
    averageBits: parameters === 0 ? 0 : bits / parameters,
    relativeError,
    snrDb: relativeError === 0 ? Number.POSITIVE_INFINITY : -10 * Math.log10(relativeError),
    cosine,
    energy,
    errorEnergy,
    decodedEnergy,
  };
}

function expertError(original: LowRank, decoded: LowRank, own: number, theirs: number): number {
  const error = own + theirs - 2 * innerProduct(original, decoded);
  const scale = squares(original.b) * squares(original.a) + squares(decoded.b) * squares(decoded.a);
  if (error > GRAM_FLOOR * scale) return error;
  // Equal factors are the common case of the raw profile, and no rounding should make them differ.
  if (same(original.b, decoded.b) && same(original.a, decoded.a)) return 0;
  return differenceEnergy(original, decoded);
}

function squares(values: Float64Array): number {
  return dot(values, 0, values, 0, values.length);
}

function same(x: Float64Array, y: Float64Array): boolean {
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

/** B̂ and Â of one expert as a decoder gives them in binary32. */
function decodeExpert(module: LoraModule, factors: PackedFactors, expert: number): LowRank {
  const { rank, out } = module;
  const n = inputLength(module);
  const b = new Float32Array(rank * out);
  const a = new Float32Array(rank * n);
  let from = 0;
  for (const [i, band] of factors.bands.entries()) {
    const planes = factors.planes[expert]![i]!;
    const atB = { offset: from * out, componentStride: out, weightStride: 1 };
    decodePlanes(band.b, planes.b, band.components, out, b, atB);
    const atA = { offset: from * n, componentStride: n, weightStride: 1 };
    decodePlanes(band.a, planes.a, band.components, n, a, atA);
    from += band.components;
  }
  return { rank, out, n, b: Float64Array.from(b), a: Float64Array.from(a) };
}

function countedBits(module: LoraModule, factors: PackedFactors): number {
  let bits = 0;
  for (const band of factors.bands) {
    bits += band.components * (vectorBits(band.b, module.out) + vectorBits(band.a, inputLength(module)));
  }
  return bits * module.experts;
}

function vectorBits(encoding: Encoding, length: number): number {
  switch (encoding.codec) {
    case "zero":
      return 0;
    case "raw":
      return 8 * FLOAT_BYTES[encoding.element] * length;
    case "trellis": {
      const scales = groupCount(encoding.group, length) * 8 * FLOAT_BYTES[encoding.scale];
      return trellisBits(trellisTable(encoding.table), length) + scales;
    }
    default: {
      const bits = encoding.codec === "sign" ? 1 : encoding.bits;
      const zeroPoint = encoding.codec === "affine" && encoding.zeroPoint ? bits : 0;
      return (
        bits * length + groupCount(encoding.group, length) * (8 * FLOAT_BYTES[encoding.scale] + zeroPoint)
      );
    }
  }
}
