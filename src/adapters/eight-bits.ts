/**
 * The floats of 8 bits that safetensors files hold: E4M3 without infinities (torch's `float8_e4m3fn`) and E5M2.
 *
 * vLLM and TensorRT-LLM cast factors of these types to the type of the model; neither knows a tensor of scales (vLLM 0.32,
 * `LoRAModel.from_lora_tensors`; TensorRT-LLM pull requests 12848 and 16810). So a file states nothing but the numbers. Each of them is an F16
 * number, so the reader gives F16.
 *
 * @module
 */
import type { Adapter, LoraModule } from "../model/adapter.ts";
import { lazyModule, shapeOf } from "../model/adapter.ts";

/** Types of 8 bits that the reader widens to F16. */
export type EightBits = "F8_E4M3" | "F8_E5M2";

/** The F16 number of each byte of E4M3: sign, 4 bits of exponent with bias 7, 3 of fraction; 0x7f and 0xff are NaN. */
const E4M3_AS_F16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  const sign = (byte & 0x80) << 8;
  const magnitude = byte & 0x7f;
  if (magnitude === 0x7f) return sign | 0x7e00;
  if (magnitude >= 8) return sign | ((magnitude << 7) + (8 << 10));
  // Subnormal: 1 to 7 times 2^-9, which F16 holds as normal numbers.
  const shift = Math.clz32(magnitude) - 28;
  return magnitude === 0 ? sign : sign | ((9 - shift) << 10) | (((magnitude << shift) & 7) << 7);
});

/** The bytes of an F16 tensor with the numbers of one of 8 bits. Exact. */
export function widenEightBits(data: Uint8Array, element: EightBits): Uint8Array {
  const widened = new Uint8Array(2 * data.length);
  for (let index = 0; index < data.length; index++) {
    const byte = data[index]!;
    const half = element === "F8_E4M3" ? E4M3_AS_F16[byte]! : byte << 8;
    widened[2 * index] = half;
    widened[2 * index + 1] = half >>> 8;
  }
  return widened;
}

/** The largest number of E4M3. */
const LARGEST = 448;

/** Numbers as E4M3, rounded once, to nearest, ties to even. Their magnitudes are at most 448: see {@link fitEightBits}. */
export function toE4m3(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => {
    const magnitude = Math.abs(value);
    const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0;
    const exponent = Math.max(exponentOf(magnitude), -6);
    // Exact: a power of two times a number of 24 bits. A carry moves into the exponent.
    const steps = roundToEven(magnitude * 2 ** (3 - exponent));
    return sign | (steps + ((exponent + 6) << 3));
  });
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** ⌊log₂ value⌋ of an F32 number; -∞ of 0. */
function exponentOf(value: number): number {
  if (value === 0) return Number.NEGATIVE_INFINITY;
  const estimate = Math.floor(Math.log2(value));
  return 2 ** estimate > value ? estimate - 1 : 2 ** (estimate + 1) <= value ? estimate + 1 : estimate;
}

/**
 * Multiplies the factors of each module by powers of two so that E4M3 holds them best, and gives all modules the multiplier that
 * undoes it. ΔW is the same. Without it most weights of an adapter would be 0: the smallest number of E4M3 is 2⁻⁹.
 *
 * @param adapter in the portable form: all multipliers are 1
 */
export function fitEightBits(adapter: Adapter): Adapter {
  const room = adapter.modules.map((module) => ({ a: roomOf(module.a), b: roomOf(module.b) }));
  const exponent = room.reduce((least, { a, b }) => Math.min(least, a + b), MOST_EXPONENT);
  return {
    ...adapter,
    modules: adapter.modules.map((module, place) => scaled(module, room[place]!.a, exponent)),
  };
}

/** Stops weights near the smallest F32 number from making the multiplier 0. */
const MOST_EXPONENT = 100;

/** The power of two by which these values can be multiplied; ∞ if all are 0. */
function roomOf(values: Float32Array): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const exponent = exponentOf(LARGEST) - exponentOf(largest);
  return largest * 2 ** exponent > LARGEST ? exponent - 1 : exponent;
}

function scaled(module: LoraModule, ofA: number, sum: number): LoraModule {
  const [a, b] = Number.isFinite(ofA) ? [2 ** ofA, 2 ** (sum - ofA)] : [1, 2 ** sum];
  return lazyModule(
    { ...shapeOf(module), multiplier: 2 ** -sum, alpha: module.rank * 2 ** -sum, rule: "alpha/r" },
    () => module.b.map((value) => value * b),
    () => module.a.map((value) => value * a),
  );
}
