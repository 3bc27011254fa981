/**
 * What does not fit is refused by name before the device is asked; what the device refuses, or loses, is reported by name,
 * too; and what is destroyed leaves nothing behind.
 *
 * @module
 */

import { type ErrorName, isLqaError } from "../../src/core/index.ts";
import { residentModule } from "../../src/serve/index.ts";
import { uploadModule } from "../../src/webgpu/index.ts";
import { anyModule, factorsOf, Random, shapeOfModule } from "../serve/modules.ts";
import { bufferOf, check, type World } from "./world.ts";

const [UNIFORM, STORAGE] = [0x40, 0x80];

async function refused(name: ErrorName, work: () => Promise<unknown> | undefined): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isLqaError(error, name)) return;
    throw new Error(`expected ${name}, found ${error}`);
  }
  throw new Error(`expected ${name}, found nothing wrong`);
}

export async function checkRefusals(world: World): Promise<void> {
  const random = new Random(5);
  const device = await world.newDevice();
  const packed = anyModule(random, 48, 64, { experts: 2 });
  const { rank } = packed.shape;
  const buffer = (bytes: number, usage = STORAGE): GPUBuffer =>
    bufferOf(device, new Uint8Array(bytes), usage);
  const module = await uploadModule(device, packed);
  const bBytes = 4 * 2 * rank * 48;

  await check(world, "targets that do not fit are refused", async () => {
    await refused("TARGET_SIZE", () => module.prepareDecode({}));
    await refused("TARGET_SIZE", () => module.prepareDecode({ b: buffer(bBytes - 4) }));
    await refused("TARGET_SIZE", () => module.prepareDecode({ b: buffer(bBytes, UNIFORM) }));
    const large = buffer(bBytes + 256);
    await refused("TARGET_SIZE", () => module.prepareDecode({ b: { buffer: large, offset: 4 } }));
    await refused("TARGET_SIZE", () => module.prepareDecode({ b: { buffer: large, offset: -256 } }));
    await refused("TARGET_SIZE", () => module.prepareDecode({ b: { buffer: large, size: bBytes - 4 } }));
    (await module.prepareDecode({ b: { buffer: large, offset: 256 } })).destroy();
  });
  await check(world, "activations that do not fit are refused", async () => {
    const [x, y] = [buffer(4 * 3 * 64), buffer(4 * 3 * 48)];
    const good = { x, y, rows: 3, expert: 1 };
    (await module.prepareApply(good)).destroy();
    for (const wrong of [
      { rows: 4 },
      { rows: 0 },
      { rows: 1.5 },
      { expert: 2 },
      { expert: -1 },
      { x: buffer(4 * 3 * 64 - 4) },
      { y: buffer(4 * 3 * 48, UNIFORM) },
    ])
      await refused("ACTIVATION_SHAPE", () => module.prepareApply({ ...good, ...wrong }));
    const { expert: _, ...none } = good;
    await refused("ACTIVATION_SHAPE", () => module.prepareApply(none));
  });
  await check(world, "an embedding is decoded and not applied", async () => {
    const shape = shapeOfModule(32, 48, 1, { role: "embedding" });
    const raw = { codec: "raw", element: "f16" } as const;
    const bands = [{ components: 1, b: raw, a: raw }];
    const embedding = await uploadModule(device, { shape, factors: factorsOf(random, shape, bands) });
    await refused("CANNOT_APPLY", () => embedding.prepareApply({ x: buffer(192), y: buffer(128), rows: 1 }));
    const { b, a } = await embedding.decode();
    b.destroy();
    a.destroy();
    embedding.destroy();
  });
  await check(world, "what is above the limits of the device is refused", async () => {
    const zero = { codec: "zero" } as const;
    const shape = shapeOfModule(2 ** 24, 64, 4);
    const bands = [{ components: 4, b: zero, a: zero }];
    const large = await uploadModule(device, residentModule(shape, factorsOf(random, shape, bands)));
    await refused("GPU_LIMIT", () => large.decode());
    await refused("GPU_LIMIT", () => large.prepareDecode({ b: buffer(64) }));
    await refused("GPU_LIMIT", () => large.prepareApply({ x: buffer(64), y: buffer(64), rows: 2 ** 20 }));
    large.destroy();
    // Devices of 128 MiB a binding are what everybody has; a payload of that size takes a while.
    const small = new Proxy(device, {
      get: (target, name) =>
        name === "limits"
          ? new Proxy(target.limits, {
              get: (own, limit) =>
                limit === "maxStorageBufferBindingSize" ? 256 : Reflect.get(own, limit, own),
            })
          : Reflect.get(target, name, target),
    });
    await refused("GPU_LIMIT", () => uploadModule(small, packed));
  });
  await check(world, "a buffer of another device is refused by the device", async () => {
    const other = await world.newDevice();
    const foreign = bufferOf(other, new Uint8Array(bBytes), STORAGE);
    await refused("GPU_DEVICE", () => module.prepareDecode({ b: foreign }));
    other.destroy();
  });
  await check(world, "planes that do not fit their shape are a RangeError", async () => {
    const broken = { ...packed, payload: packed.payload.subarray(1) };
    const error = await uploadModule(device, broken).catch((reason: unknown) => reason);
    if (!(error instanceof RangeError)) throw new Error(`expected a RangeError, found ${error}`);
  });
  await check(world, "everything is given back", async () => {
    const alive = new Set<GPUBuffer>();
    const { createBuffer } = device;
    device.createBuffer = (descriptor) => {
      const made = createBuffer.call(device, descriptor);
      alive.add(made);
      const { destroy } = made;
      made.destroy = () => {
        alive.delete(made);
        destroy.call(made);
      };
      return made;
    };
    for (let i = 0; i < 3; i++) {
      const own = await uploadModule(device, packed);
      const { b, a } = await own.decode();
      const [x, y] = [32, 4].map((rows) => bufferOf(device, new Uint8Array(4 * rows * 64)));
      const few = await own.prepareApply({ x: x!, y: y!, rows: 1, expert: 0, yType: "f16" });
      const many = await own.prepareApply({ x: x!, y: x!, rows: 32, expert: 0, yType: "f16" });
      await refused("ACTIVATION_SHAPE", () => own.prepareApply({ x: x!, y: y!, rows: 32, expert: 0 }));
      if (alive.size < 8) throw new Error(`${alive.size} buffers are not what all this needs`);
      for (const held of [few, few, many, b, a, x!, y!, own]) held.destroy();
      const labels = [...alive].map(({ label }) => label);
      if (labels.length > 0) throw new Error(`left: ${labels.join(", ")}`);
    }
    device.createBuffer = createBuffer;
  });
  await check(world, "what was destroyed is not used", async () => {
    const encoder = device.createCommandEncoder();
    const target = buffer(bBytes);
    const task = await module.prepareDecode({ b: target });
    const other = await module.prepareDecode({ b: target });
    task.destroy();
    await refused("USAGE", () => void task.encode(encoder) as undefined);
    module.destroy();
    await refused("USAGE", () => void other.encode(encoder) as undefined);
    await refused("USAGE", () => module.decode());
    await refused("USAGE", () => module.prepareApply({ x: target, y: target, rows: 1, expert: 0 }));
  });
  await check(world, "a device that is lost is named", async () => {
    const doomed = await world.newDevice();
    const own = await uploadModule(doomed, packed);
    const task = await own.prepareDecode({ b: bufferOf(doomed, new Uint8Array(bBytes)) });
    const encoder = doomed.createCommandEncoder();
    doomed.destroy();
    await doomed.lost;
    await refused("GPU_DEVICE", () => uploadModule(doomed, packed));
    await refused("GPU_DEVICE", () => own.decode());
    await refused("GPU_DEVICE", () => void task.encode(encoder) as undefined);
    own.destroy();
  });
  device.destroy();
}
