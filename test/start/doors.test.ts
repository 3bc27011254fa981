/** Files with a start through the doors of the package: what serves, uploads, shows, merges and decodes them sees the same weights. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { payloadLength } from "../../src/core/format.ts";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { residentModule } from "../../src/serve/index.ts";
import { uploadModule } from "../../src/webgpu/index.ts";
import { lqa } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { factorsIn } from "../webgpu/packed.ts";
import { SEED, trained } from "./trained.ts";

const { bytes } = await encodeAdapter(trained(0.05), { maxError: 0.02, start: SEED });
const file = await open(bytes);
const decoded = await file.adapter();
/** The decoded weights, in a file that knows no starts. */
const raw = await encodeAdapter(decoded, { profile: "raw", element: "f32" });
const RAW = { codec: "raw", element: "f32" } as const;

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
    const resident = residentModule(shape, factors);
    const bands = resident.bands.map(({ components, b }) => ({ components, b, a: RAW }));
    const place = module.bindings[1].offset!;
    const payload = new Uint8Array(ranges[0]!, place, payloadLength(shape, bands));
    const planes = factorsIn({ shape, bands, payload }).planes[0]!;
    const stored = planes.map(({ a }) => new Float32Array(a.codes.slice().buffer));
    expect(Float32Array.from(stored.flatMap((values) => [...values]))).toEqual(decoded.modules[i]!.a);
    // Its program is that of a file which has them as they are.
    const same = await uploadModule(device, { shape, bands, payload });
    expect(module.program.words).toEqual(same.program.words);
    // As it is kept in a pool, the same.
    await uploadModule(device, resident);
    expect(ranges[2]).toEqual(ranges[0]);
    await expect(uploadModule(device, { ...resident, start: undefined })).rejects.toMatchObject({
      kind: "UNSUPPORTED_FEATURE",
    });
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
    ["auto", "1.0"],
    ["none", "1.0"],
    [String(SEED), "1.0"],
  ] as const) {
    const output = join(folder, "c", `${choice}.lqa`);
    expect(
      lqa("encode", join(folder, "source"), "-o", output, "--max-error", "0.02", "--start", choice).code,
    ).toBe(0);
    expect(lqa("inspect", output, "--json").json<{ version: string }>().version).toBe(version);
  }
  expect(lqa("encode", join(folder, "source"), "--start", "x").code).toBe(2);
}, 120_000);
