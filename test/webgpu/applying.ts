/**
 * Packed application on the device keeps to its bound (docs/serving.md), for every encoding, number of rows and type.
 *
 * The reference is computed in binary64 from weights that were decoded exactly. The bound is the number of roundings on the
 * longest way from an input to an output, times 2⁻²³ (a device may round either way), times what the sum would be if nothing
 * in it cancelled.
 *
 * @module
 */

import { decodeModule, type Encoding, inputLength } from "../../src/core/index.ts";
import { type ResidentModule, residentModule } from "../../src/serve/index.ts";
import { type GpuModule, uploadModule } from "../../src/webgpu/index.ts";
import { f16ToNumber, numberToF16 } from "../helpers/floats.ts";
import { anyModule, everyEncoding, factorsOf, Random, shapeOfModule } from "../serve/modules.ts";
import { factorsIn } from "./packed.ts";
import { bufferOf, bytesOf, check, contentsOf, type World } from "./world.ts";

type FloatKind = "f32" | "f16";

/** Weights of both factors of an expert, component after component, and what they are at most if signs are forgotten. */
interface Weights {
  readonly b: Float64Array;
  readonly a: Float64Array;
  readonly bSize: Float64Array;
  readonly aSize: Float64Array;
}

function weightsOf(module: ResidentModule, expert: number): Weights {
  const { shape, bands } = module;
  const n = inputLength(shape);
  const straight = (encoding: Encoding): Encoding =>
    encoding.codec === "trellis" ? { ...encoding, rotation: "none" } : encoding;
  const factors = factorsIn(module);
  const decode = (own: typeof factors): { b: Float64Array; a: Float64Array } => {
    const { b, a } = decodeModule(shape, own, { layout: "component" });
    const part = (all: ArrayLike<number>, length: number): Float64Array =>
      Float64Array.from({ length }, (_, i) => all[expert * length + i]!);
    return { b: part(b.data, shape.rank * shape.out), a: part(a.data, shape.rank * n) };
  };
  const exact = decode(factors);
  const unmixed = decode({
    ...factors,
    bands: bands.map((band) => ({ ...band, b: straight(band.b), a: straight(band.a) })),
  });
  const sizes = { b: unmixed.b.map(Math.abs), a: unmixed.a.map(Math.abs) };
  let number = 0;
  for (const band of bands)
    for (let c = 0; c < band.components; c++, number++)
      for (const [factor, length] of [
        ["b", shape.out],
        ["a", n],
      ] as const)
        if (band[factor].codec === "trellis" && band[factor].rotation !== "none")
          mix(sizes[factor].subarray(number * length, (number + 1) * length));
  return { ...exact, bSize: sizes.b, aSize: sizes.a };
}

/** Each weight of a column becomes the sum of all of it, one of the tail eight times itself. */
function mix(sizes: Float64Array): void {
  const columns = Math.floor(sizes.length / 64);
  for (let k = 0; k < columns; k++) {
    let sum = 0;
    for (let q = 0; q < 64; q++) sum += sizes[q * columns + k]!;
    for (let q = 0; q < 64; q++) sizes[q * columns + k] = sum;
  }
  for (let i = 64 * columns; i < sizes.length; i++) sizes[i]! *= 8;
}

/** As the documentation has it. */
const roundings = (n: number, rank: number): number => 41 + Math.ceil(n / 1024) + rank;

/** Applies once and compares. @returns the largest error, as a part of the bound; 0 if it is that of rounding to binary16 */
async function compare(
  device: GPUDevice,
  gpu: GpuModule,
  module: ResidentModule,
  random: Random,
  { rows, xType, yType, expert }: { rows: number; xType: FloatKind; yType: FloatKind; expert: number },
): Promise<number> {
  const { shape } = module;
  const n = inputLength(shape);
  const x = random.floats(rows * n);
  const y = random.floats(rows * shape.out);
  const stored = (values: Float32Array, type: FloatKind): Float32Array | Uint16Array =>
    type === "f32" ? values : Uint16Array.from(values, numberToF16);
  const numbers = (values: Float32Array | Uint16Array): ArrayLike<number> =>
    values instanceof Float32Array ? values : Float64Array.from(values, f16ToNumber);
  const [xs, ys] = [stored(x, xType), stored(y, yType)];
  const [xBuffer, yBuffer] = [bufferOf(device, bytesOf(xs)), bufferOf(device, bytesOf(ys))];
  const task = await gpu.prepareApply({ x: xBuffer, y: yBuffer, rows, xType, yType, expert });
  const encoder = device.createCommandEncoder();
  task.encode(encoder);
  device.queue.submit([encoder.finish()]);
  const [bytes] = await contentsOf(device, [yBuffer]);
  task.destroy();
  xBuffer.destroy();
  yBuffer.destroy();
  const length = rows * shape.out;
  const found =
    yType === "f32"
      ? new Float32Array(bytes!.slice(0, 4 * length).buffer)
      : numbers(new Uint16Array(bytes!.slice(0, 2 * length).buffer));
  const weights = weightsOf(module, expert);
  const m = shape.multiplier;
  const unit = roundings(n, shape.rank) * 2 ** -23;
  let worst = 0;
  const input = numbers(xs);
  const before = numbers(ys);
  for (let row = 0; row < rows; row++) {
    const h = new Float64Array(shape.rank);
    const hSize = new Float64Array(shape.rank);
    for (let k = 0; k < shape.rank; k++)
      for (let i = 0; i < n; i++) {
        h[k]! += weights.a[k * n + i]! * input[row * n + i]!;
        hSize[k]! += weights.aSize[k * n + i]! * Math.abs(input[row * n + i]!);
      }
    for (let o = 0; o < shape.out; o++) {
      const at = row * shape.out + o;
      let sum = before[at]!;
      let size = Math.abs(sum);
      for (let k = 0; k < shape.rank; k++) {
        sum += m * weights.b[k * shape.out + o]! * h[k]!;
        size += Math.abs(m) * weights.bSize[k * shape.out + o]! * hSize[k]!;
      }
      let bound = unit * size + 2 ** -120;
      if (yType === "f16") bound += Math.max(Math.abs(sum) * 2 ** -11, 2 ** -25) * (1 + unit);
      // From 65520 on a sum is rounded to infinity in binary16.
      if (yType === "f16" && Math.abs(sum) + bound >= 65520 && found[at] === Math.sign(sum) * Infinity)
        continue;
      const ratio = Math.abs(found[at]! - sum) / bound;
      if (!(ratio <= 1))
        throw new Error(
          `${JSON.stringify(module.bands)}, ${shape.out}×${n}, ${rows} rows, ${xType}, ${yType}, expert ${expert}: ` +
            `row ${row}, output ${o}: expected ${sum} ± ${bound}, found ${found[at]}`,
        );
      worst = Math.max(worst, ratio);
    }
  }
  return yType === "f32" ? worst : 0;
}

const ROWS = [1, 2, 3, 5, 8, 9, 17, 64];

export async function checkApply(world: World): Promise<void> {
  const device = await world.newDevice();
  const random = new Random(3);
  let round = 0;
  let worst = 0;
  const once = async (module: ResidentModule, rows: number, expert = 0): Promise<void> => {
    const gpu = await uploadModule(device, module);
    const xType = round % 2 === 0 ? "f32" : "f16";
    const yType = round % 3 === 0 ? "f16" : "f32";
    round++;
    worst = Math.max(worst, await compare(device, gpu, module, random, { rows, xType, yType, expert }));
    gpu.destroy();
  };
  for (const group of [0, 64])
    for (const scale of ["f16", "bf16"] as const)
      await check(world, `every encoding applied, group ${group}, scale ${scale}`, async () => {
        for (const encoding of everyEncoding(group, scale)) {
          const rank = 1 + (round % 5);
          const shape = shapeOfModule(1 + ((37 * round) % 300), 1 + ((53 * round) % 310), rank, {
            multiplier: Math.fround(0.7),
          });
          const bands = [{ components: rank, b: encoding, a: encoding }];
          await once(residentModule(shape, factorsOf(random, shape, bands)), ROWS[round % 5]!);
        }
      });
  for (const rows of ROWS)
    await check(world, `arbitrary modules applied to ${rows} rows`, async () => {
      for (const experts of [1, 3]) {
        const [out, n] = [1 + random.below(400), 1 + random.below(400)];
        await once(anyModule(random, out, n, { experts }), rows, experts - 1);
      }
    });
  for (const [out, n] of [
    [700, 3000],
    [3000, 1100],
    [64, 1024],
    [129, 2049],
  ] as const)
    await check(world, `long vectors applied, ${out} × ${n}`, async () => {
      for (let i = 0; i < 3; i++) await once(anyModule(random, out, n), i + 1);
    });
  await check(world, "components above 64 applied", async () => {
    const rotated = { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" } as const;
    const sign = { codec: "sign", group: 32, scale: "f16" } as const;
    for (const [b, a] of [
      [rotated, sign],
      [sign, rotated],
    ] as const) {
      const shape = shapeOfModule(130, 140, 150, { multiplier: 2 });
      await once(residentModule(shape, factorsOf(random, shape, [{ components: 150, b, a }])), 9);
    }
  });
  world.note(`largest error of applying: ${worst.toExponential(1)} of its bound`);
  device.destroy();
}
