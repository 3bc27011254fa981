/**
 * Decoding on the device is exact: the suite's SHA-256 of every file that readers accept, and the bytes of the reference
 * decoder for encodings, sizes, layouts and numbers that files of the suite do not have.
 *
 * @module
 */

import { decodeModule, isLqaError, type ModuleShape, open } from "../../src/core/index.ts";
import { type PackedModule, uploadModule } from "../../src/webgpu/index.ts";
import { sha256, toHex } from "../helpers/parts.ts";
import { anyModule, everyEncoding, factorsOf, Random, shapeOfModule } from "../serve/modules.ts";
import { factorsIn } from "./packed.ts";
import { assertSame, bytesOf, check, contentsOf, type World } from "./world.ts";

const TYPES = ["f32", "f16"] as const;

/** Null for weights that have an infinite one. */
interface Hashes {
  readonly b: string | null;
  readonly a: string | null;
}

interface SuiteModule {
  readonly name: string;
  readonly sha256?: Readonly<Record<"f32" | "f16", Hashes>>;
}

interface SuiteCase {
  readonly id: string;
  readonly file: string;
  readonly budget?: number;
  /** Files of the suite that it may need. */
  readonly parents?: readonly string[];
  readonly expected: { readonly valid: boolean; readonly modules?: readonly SuiteModule[] };
}

/** Factors that take longer on a processor than all others together are left to a reader that has a device. */
const MOST_WEIGHTS = 2 ** 22;

/** Every file of the suite that has weights, once. */
export async function checkSuite(world: World): Promise<void> {
  const suite = "conformance/suite";
  const manifest = JSON.parse(new TextDecoder().decode(await world.read(`${suite}/manifest.json`)));
  const device = await world.newDevice();
  const files = new Map<string, SuiteCase>();
  for (const one of manifest.cases as SuiteCase[])
    if (one.expected.valid && one.expected.modules?.some((module) => module.sha256 != null))
      files.set(one.file, one);
  const read = (file: string): Promise<Uint8Array> => world.read(`${suite}/${file}`);
  for (const { id, file, expected, parents: named = [] } of files.values())
    await check(world, `suite ${id}`, async () => {
      const parents = await Promise.all(named.map(read));
      const opened = await open(await read(file), { budgetBytes: 2 ** 30, parents });
      for (const { name, sha256: hashes } of expected.modules!) {
        if (hashes == null) continue;
        const shape = opened.modules.find((module) => module.name === name)!;
        await compareHashes(device, shape, { shape, factors: await opened.packed(shape) }, hashes);
      }
    });
  device.destroy();
}

async function compareHashes(
  device: GPUDevice,
  shape: ModuleShape,
  packed: PackedModule,
  hashes: Readonly<Record<"f32" | "f16", Hashes>>,
): Promise<void> {
  const n = shape.kernel.reduce((product, size) => product * size, shape.in);
  const weights = { b: shape.experts * shape.rank * shape.out, a: shape.experts * shape.rank * n };
  if (weights.a + weights.b > MOST_WEIGHTS) return;
  const module = await uploadModule(device, packed);
  for (const type of TYPES) {
    // Weights that binary16 cannot hold.
    if (hashes[type].b === null || hashes[type].a === null) {
      const error = await module.decode({ layout: "component", type }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!isLqaError(error, "NONFINITE_VALUE"))
        throw new Error(`${shape.name} ${type}: expected NONFINITE_VALUE, found ${error}`);
      continue;
    }
    const { b, a } = await module.decode({ layout: "component", type });
    const found = await contentsOf(device, [b, a]);
    for (const [i, factor] of (["b", "a"] as const).entries()) {
      const bytes = found[i]!.subarray(0, weights[factor] * (type === "f32" ? 4 : 2));
      const hash = toHex(sha256(bytes));
      if (hash !== hashes[type][factor])
        throw new Error(`${shape.name} ${factor} ${type}: expected ${hashes[type][factor]}, found ${hash}`);
    }
    b.destroy();
    a.destroy();
  }
  module.destroy();
}

/** Compares all layouts and types of a module with the reference decoder. */
export async function compareModule(device: GPUDevice, packed: PackedModule, what: string): Promise<void> {
  const { shape } = packed;
  const factors = "factors" in packed ? packed.factors : factorsIn(packed);
  const module = await uploadModule(device, packed);
  for (const type of TYPES)
    for (const layout of ["peft", "component"] as const)
      for (const multiplier of [false, true]) {
        const expected = decodeModule(shape, factors, { type, layout, multiplier });
        const { b, a } = await module.decode({ type, layout, multiplier });
        const found = await contentsOf(device, [b, a]);
        for (const [i, factor] of (["b", "a"] as const).entries()) {
          const bytes = bytesOf(expected[factor].data);
          assertSame(
            found[i]!.subarray(0, bytes.length),
            bytes,
            `${what}: ${factor} ${type} ${layout}${multiplier ? " multiplied" : ""}`,
          );
        }
        b.destroy();
        a.destroy();
      }
  module.destroy();
}

/** Encodings and sizes that files of the suite do not have. */
export async function checkModules(world: World): Promise<void> {
  const device = await world.newDevice();
  const random = new Random(7);
  for (const group of [0, 16, 1024])
    for (const scale of ["f16", "bf16"] as const)
      await check(world, `every encoding, group ${group}, scale ${scale}`, async () => {
        const encodings = everyEncoding(group, scale);
        const bands = encodings.map((b, i) => ({
          components: 1 + (i % 2),
          b,
          a: encodings[encodings.length - 1 - i]!,
        }));
        const rank = bands.reduce((sum, { components }) => sum + components, 0);
        const shape = shapeOfModule(1 + random.below(300), 1 + random.below(700), rank, {
          multiplier: Math.fround(0.3),
        });
        await compareModule(device, { shape, factors: factorsOf(random, shape, bands) }, "module");
      });
  for (let i = 0; i < 8; i++)
    await check(world, `arbitrary module ${i}`, async () => {
      const more = { experts: 1 + (i % 3), multiplier: Math.fround(-(random.value() + 0.1)) };
      const module = anyModule(random, 1 + random.below(400), 1 + random.below(400), more);
      await compareModule(device, module, JSON.stringify(module.bands));
    });
  device.destroy();
}

/** Numbers at every edge: as raw weights, as scales, as multipliers. */
export async function checkNumbers(world: World): Promise<void> {
  const device = await world.newDevice();
  const random = new Random(11);
  const words = (count: number): Uint8Array =>
    bytesOf(Uint32Array.from({ length: count }, () => edge(random)));
  const n = 4096;
  for (const multiplier of [1, -0.75, 3, 2 ** -20, 2 ** 120, -(2 ** -140), 1e-45, 1.0000001])
    await check(world, `raw numbers at the edges, multiplier ${multiplier}`, async () => {
      const encoding = { codec: "raw", element: "f32" } as const;
      const shape = shapeOfModule(n, 1, 1, { multiplier: Math.fround(multiplier) });
      const bands = [{ components: 1, b: encoding, a: encoding }];
      const empty = new Uint8Array(0);
      const plane = (codes: Uint8Array) => ({ scales: empty, zeroPoints: empty, codes });
      const factors = { bands, planes: [[{ b: plane(words(n)), a: plane(words(1)) }]] };
      await compareModule(device, { shape, factors }, "numbers");
    });
  for (const scale of ["f16", "bf16"] as const)
    await check(world, `scales at the edges, ${scale}`, async () => {
      const encodings = everyEncoding(16, scale).filter(({ codec }) => codec !== "zero" && codec !== "raw");
      const bands = encodings.map((encoding) => ({ components: 1, b: encoding, a: encoding }));
      const shape = shapeOfModule(16 * 40, 16 * 13, bands.length, { multiplier: Math.fround(1 / 3) });
      const factors = factorsOf(random, shape, bands);
      for (const { b, a } of factors.planes[0]!)
        for (const { scales } of [b, a]) {
          // The sign stays clear and the number finite, as files have it. Of 16 bits: the high half of a word.
          for (let at = 0; at < scales.length; at += 2) {
            const view = new DataView(scales.buffer, scales.byteOffset + at, 2);
            const infinite = scale === "f16" ? 0x7c00 : 0x7f80;
            const positive = (edge(random) >>> 16) & 0x7fff;
            view.setUint16(0, (positive & infinite) === infinite ? positive & 0x3fff : positive, true);
          }
        }
      await compareModule(device, { shape, factors }, "scales");
    });
  device.destroy();
}

/** Bits of a binary32 number: anything finite, often subnormal, near a tie of binary16, or with a fraction of a few bits. */
function edge(random: Random): number {
  const word = (): number =>
    ((random.byte() << 24) | (random.byte() << 16) | (random.byte() << 8) | random.byte()) >>> 0;
  const any = word();
  const sign = any & 0x80000000;
  const finite = (bits: number): number =>
    ((bits & 0x7f800000) === 0x7f800000 ? bits & 0x7f7fffff : bits) >>> 0;
  switch (random.below(6)) {
    case 0:
      return (sign | (any & 0x7fffff)) >>> 0;
    case 1:
      return finite(sign | (any & 0x7f800000) | ((any & 0x3ff) << 13) | random.pick([0xfff, 0x1000, 0x1001]));
    case 2:
      // Where binary16 is subnormal, or nothing.
      return (sign | ((101 + random.below(14)) << 23) | (any & 0x7fe000) | random.pick([0, 1, 0x1000])) >>> 0;
    case 3:
      // Where binary16 ends.
      return (sign | ((141 + random.below(3)) << 23) | (any & 0x7fffff)) >>> 0;
    case 4:
      return random.pick([0, 0x80000000, 1, 0x7f7fffff, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001]);
    default:
      return finite(any);
  }
}

/** Adapters as `lqa encode` writes them. */
export async function checkAdapters(world: World): Promise<void> {
  const device = await world.newDevice();
  for (const path of world.adapters)
    await check(world, `adapter ${path}`, async () => {
      const file = await open(await world.read(path));
      for (const shape of file.modules) {
        const module = await uploadModule(device, { shape, factors: await file.packed(shape) });
        for (const [type, layout] of [
          ["f32", "component"],
          ["f16", "peft"],
        ] as const) {
          const expected = await file.decode(shape, { type, layout });
          const { b, a } = await module.decode({ type, layout });
          const found = await contentsOf(device, [b, a]);
          for (const [i, factor] of (["b", "a"] as const).entries()) {
            const bytes = bytesOf(expected[factor].data);
            assertSame(found[i]!.subarray(0, bytes.length), bytes, `${shape.name} ${factor} ${type}`);
          }
          b.destroy();
          a.destroy();
        }
        module.destroy();
      }
    });
  device.destroy();
}
