/** Files with a start through the doors of the package: what serves, uploads, shows, merges and decodes them sees the same weights. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { AdapterPool, applyPacked, residentModule } from "../../src/serve/index.ts";
import { uploadModule } from "../../src/webgpu/index.ts";
import { programOf } from "../../src/webgpu/program.ts";
import { lqa } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { factorsIn } from "../webgpu/packed.ts";
import { SEED, trained } from "./trained.ts";

const { bytes } = await encodeAdapter(trained(0.05), { maxError: 0.02, start: SEED });
const file = await open(bytes);
const decoded = await file.adapter();
/** The decoded weights, in a file that knows no starts. */
const raw = await encodeAdapter(decoded, { profile: "raw", element: "f32" });
const x = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));

it("are served with the numbers of their decoded weights", async () => {
  const pool = new AdapterPool({ budgetBytes: 2 ** 24 });
  await pool.add("start", bytes);
  await pool.add("raw", raw.bytes);
  const [lease, plain] = [await pool.acquire("start"), await pool.acquire("raw")];
  for (const { name, out, a, b } of decoded.modules) {
    const [y, expected] = [new Float32Array(out), new Float32Array(out)];
    expect(lease.apply(name, x, y)).toBe(true);
    plain.apply(name, x, expected);
    expect(y).toEqual(expected);
    expect(y.some((value) => value !== 0)).toBe(true);
    expect(lease.decode(name)!.a.data).toEqual(a);
    expect(lease.decode(name)!.b.data).toEqual(b);
    const alone = new Float32Array(out);
    const record = file.modules.find((module) => module.name === name)!;
    applyPacked(residentModule(record, await file.packed(record)), x, alone);
    expect(alone).toEqual(expected);
  }
  // A' is there decoded, and counted.
  const held = decoded.modules.reduce((sum, { a }) => sum + 4 * a.length, 0);
  expect(pool.statistics.packedBytes).toBeGreaterThan(held);
  lease.release();
  plain.release();
});

it("are uploaded to a device with the numbers of their decoded weights, and never as they are stored", async () => {
  const ranges: ArrayBuffer[] = [];
  const device = {
    limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 },
    lost: new Promise(() => {}),
    pushErrorScope() {},
    popErrorScope: () => Promise.resolve(null),
    createBuffer({ size }: { size: number }) {
      const range = new ArrayBuffer(size);
      ranges.push(range);
      return { size, getMappedRange: () => range, unmap() {}, destroy() {} };
    },
  } as unknown as GPUDevice;
  for (const [i, shape] of file.modules.entries()) {
    const factors = await file.packed(shape);
    ranges.length = 0;
    const module = await uploadModule(device, { shape, factors });
    const { bands, payload } = residentModule(shape, factors);
    expect(module.program.words).toEqual(programOf(shape, bands).words);
    const place = module.bindings[1].offset!;
    expect(new Uint8Array(ranges[0]!, place, payload.length)).toEqual(payload);
    const planes = factorsIn({ shape, bands, payload }).planes[0]!;
    const stored = planes.map(({ a }) => new Float32Array(a.codes.slice().buffer));
    expect(Float32Array.from(stored.flatMap((values) => [...values]))).toEqual(decoded.modules[i]!.a);
    await expect(uploadModule(device, { shape, bands: factors.bands, payload })).rejects.toMatchObject({
      kind: "UNSUPPORTED_FEATURE",
    });
    expect(() =>
      applyPacked({ shape, bands: factors.bands, payload }, x, new Float32Array(shape.out)),
    ).toThrow(/UNSUPPORTED_FEATURE/);
  }
});

it("are shown, checked, compared, decoded and encoded by the program", async () => {
  const folder = temporaryDirectory();
  const [own, plain] = [join(folder, "start.lqa"), join(folder, "raw.lqa")];
  writeFileSync(own, bytes);
  writeFileSync(plain, raw.bytes);
  expect(lqa("inspect", own).out).toMatch(/seed 42 in 4 of 4 modules/);
  const shown = lqa("inspect", own, "--json", "--modules").json<{
    start: object;
    modules: { start: object }[];
  }>();
  expect(shown.start).toEqual({ generator: "mt19937", seed: SEED, states: 1 });
  expect(shown.modules.map(({ start }) => start)).toEqual(
    file.modules.map(({ start }) => ({ position: start!.position })),
  );
  expect(lqa("inspect", plain, "--json").json<{ start?: object }>().start).toBeUndefined();
  expect(lqa("validate", own, "--level", "canonical").code).toBe(0);
  const difference = lqa("diff", own, plain, "--json").out;
  expect(difference).toMatch(/"relativeError": 0[,\s]/);
  const source = join(folder, "source.lqa");
  writeFileSync(source, (await encodeAdapter(trained(0.05), { profile: "raw", element: "f32" })).bytes);
  for (const input of [own, source])
    expect(lqa("decode", input, "-o", input.replace(/\.lqa$/, ""), "--to", "peft").code).toBe(0);
  mkdirSync(join(folder, "c"));
  for (const [choice, version] of [
    ["auto", "1.1"],
    ["none", "1.0"],
    [String(SEED), "1.1"],
  ] as const) {
    const output = join(folder, "c", `${choice}.lqa`);
    expect(
      lqa("encode", join(folder, "source"), "-o", output, "--max-error", "0.02", "--start", choice).code,
    ).toBe(0);
    expect(lqa("inspect", output, "--json").json<{ version: string }>().version).toBe(version);
  }
  expect(lqa("encode", join(folder, "source"), "--start", "x").code).toBe(2);
}, 120_000);
