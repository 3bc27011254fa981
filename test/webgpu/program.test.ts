/** The description of a module for kernels; their results are checked on devices (`npm run check:webgpu`). */
import { describe, expect, it } from "vitest";
import { planeExtents, planeSizes, TRELLIS_TABLES } from "../../src/core/format.ts";
import { AdapterPool } from "../../src/serve/index.ts";
import { uploadModule } from "../../src/webgpu/index.ts";
import { allTables, gpuProgramOf } from "../../src/webgpu/program.ts";
import { DECODE_ROTATED_SHADER, DECODE_SHADER } from "../../src/webgpu/shaders/decode.ts";
import { anyAdapter, anyModule, fileOf, Random } from "../serve/modules.ts";

const HEADER = 20;
const ENTRY = 6;

describe("the program of a module", () => {
  it("says where the planes of each component begin, as the layout of a payload has it", () => {
    const random = new Random(1);
    for (let i = 0; i < 50; i++) {
      const { shape, bands } = anyModule(random, 1 + random.below(200), 1 + random.below(200), {
        experts: 2,
      });
      const { words } = gpuProgramOf(shape, bands);
      const entries = { b: HEADER, a: words[4 + 8 + 1]! };
      expect(words[5]).toBe(HEADER);
      const first = bands.map((_, band) =>
        bands.slice(0, band).reduce((sum, { components }) => sum + components, 0),
      );
      for (const { expert, band, factor, plane, offset } of planeExtents(shape, bands)) {
        if (factor === "mix") continue;
        const length = factor === "b" ? shape.out : shape.in;
        const each = planeSizes(bands[band]![factor], 1, length)[plane];
        const word = { codes: 3, scales: 4, zeroPoints: 5 }[plane];
        for (let c = 0; c < bands[band]!.components; c++)
          expect(expert * words[2]! + words[entries[factor] + ENTRY * (first[band]! + c) + word]!).toBe(
            offset + c * each,
          );
      }
    }
  });

  it("lists the same components of B' and A' to be applied, none of which has a factor of zeros", () => {
    const random = new Random(2);
    for (let i = 0; i < 50; i++) {
      const { shape, bands } = anyModule(random, 70, 80);
      const { words } = gpuProgramOf(shape, bands);
      const applied = [4, 12].map((at) => {
        const list = (word: number): number[] => [
          ...words.subarray(words[at + word]!, words[at + word]! + words[at + word + 1]!),
        ];
        return [...list(4), ...list(6)].sort((x, y) => x - y);
      });
      const expected = bands
        .flatMap((band) => new Array<typeof band>(band.components).fill(band))
        .flatMap((band, number) => (band.a.codec === "zero" || band.b.codec === "zero" ? [] : [number]));
      expect(applied).toEqual([expected, expected]);
    }
  });

  it("has all trellis tables in one", () => {
    const all = allTables();
    let at = 0;
    for (const { entries } of TRELLIS_TABLES.values()) {
      expect([...new Int8Array(all.buffer, at, entries.length)]).toEqual([...entries]);
      at += entries.length;
    }
    expect(at).toBe(all.length);
  });
});

it("takes modules that a pool has, as they are kept there", async () => {
  const modules = anyAdapter(4);
  const pool = new AdapterPool({ budgetBytes: 2 ** 20 });
  await pool.add("one", await fileOf(modules));
  const lease = await pool.acquire("one");
  for (const { shape, payload } of modules) expect(lease.packed(shape.name)?.payload).toEqual(payload);
  expect(lease.packed("another layer")).toBeUndefined();
  lease.release();
  expect(() => lease.packed(modules[0]!.shape.name)).toThrow(/released before/);
});

it("needs nothing of a device that is not everywhere", () => {
  for (const code of [DECODE_SHADER, DECODE_ROTATED_SHADER])
    expect(code).not.toMatch(/\benable\b|\bf16\b|subgroup/);
});

it("refuses a module that no buffer of a device can hold, before it asks for one", async () => {
  const device = {
    limits: { maxBufferSize: 1024, maxStorageBufferBindingSize: 1024 },
    lost: new Promise(() => {}),
  } as unknown as GPUDevice;
  await expect(uploadModule(device, anyModule(new Random(3), 4000, 4000))).rejects.toMatchObject({
    kind: "GPU_LIMIT",
    where: 'module "layers.0.q_proj"',
  });
});

it("refuses a module with a bias, which would be lost", async () => {
  const device = {
    limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 },
    lost: new Promise(() => {}),
  } as unknown as GPUDevice;
  const module = { ...anyModule(new Random(3), 40, 40), bias: new Float32Array(40) };
  await expect(uploadModule(device, module)).rejects.toMatchObject({ kind: "CANNOT_APPLY" });
});
