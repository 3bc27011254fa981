/**
 * Decoding over workers of the built library: the bits of one thread, whatever the number of threads.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileBytes, packed, SIGN, shape, smallInput } from "../container/fixtures.ts";
import { core, node } from "../helpers/built.ts";
import { childModules, contentIdOf, parentModules, startedFamily, written } from "../parent/family.ts";
import { everyEncodingFile } from "../read/every-encoding.ts";

const { isLqaError, open } = core;
const { createWorkerPool, decodeWithWorkers } = node;
type LqaFile = Awaited<ReturnType<typeof open>>;

const pool = createWorkerPool(3);
let file: LqaFile;
let bytes: Uint8Array;
beforeAll(async () => {
  const { modules, ...rest } = smallInput();
  const more = Array.from({ length: 9 }, (_, i) =>
    packed(
      shape(`more.${i}`, { out: 300 + i, in: 70, rank: 2, alpha: 4 }),
      [{ components: 2, b: SIGN, a: SIGN }],
      i + 9,
    ),
  );
  bytes = await fileBytes({ ...rest, modules: [...modules, ...more] });
  file = await open(bytes);
});
afterAll(() => pool.close());

const bits = (array: ArrayBufferView): string =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("hex");

describe("decodeWithWorkers", () => {
  it.each([
    {},
    { type: "f16" as const },
    { layout: "component" as const },
    { type: "f16" as const, layout: "component" as const, multiplier: true },
  ])("gives the bits of one thread for %j", async (how) => {
    for (const threads of [{ workers: 1 }, { workers: 2 }, { pool }]) {
      const { buffer, modules, workers } = await decodeWithWorkers(file, { ...how, ...threads });
      expect(buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(workers).toBe(threads.workers ?? 3);
      expect(modules.map(({ name }) => name)).toEqual(file.modules.map(({ name }) => name));
      let end = 0;
      for (const module of modules) {
        expect(module).toEqual(await file.decode(module.name, how));
        for (const { data } of [module.b, module.a]) {
          expect(data.buffer).toBe(buffer);
          expect([data.byteOffset % 64, data.byteOffset >= end]).toEqual([0, true]);
          end = data.byteOffset + data.byteLength;
        }
      }
      expect(end).toBeLessThanOrEqual(buffer.byteLength);
    }
  });

  it("tells progress in order", async () => {
    for (const threads of [{ workers: 1 }, { pool }]) {
      const told: [number, number, string][] = [];
      const onProgress = (...facts: [number, number, string]): void => void told.push(facts);
      await decodeWithWorkers(file, { ...threads, onProgress });
      expect(told).toEqual(file.modules.map(({ name }, i) => [i + 1, file.modules.length, name]));
    }
  });

  it("throws for a damaged module, and leaves the pool usable", async () => {
    const damaged = bytes.slice();
    damaged[file.modules[5]!.chunk.offset]! ^= 1;
    const bad = await open(damaged);
    for (const threads of [{ workers: 1 }, { workers: 2 }, { pool }]) {
      const error = await decodeWithWorkers(bad, threads).catch((e: unknown) => e);
      expect(isLqaError(error, "CHUNK_CRC")).toBe(true);
    }
    expect((await decodeWithWorkers(file, { pool })).modules).toHaveLength(13);
  });

  it("stops on request, before and amid the work", async () => {
    for (const threads of [{ workers: 1 }, { workers: 2 }, { pool }]) {
      const control = new AbortController();
      let modules = 0;
      const onProgress = (): void => {
        if (++modules === 3) control.abort();
      };
      const stopped = decodeWithWorkers(file, { ...threads, signal: control.signal, onProgress });
      expect(isLqaError(await stopped.catch((e: unknown) => e), "ABORTED")).toBe(true);
      expect(modules).toBe(3);
      await expect(decodeWithWorkers(file, { ...threads, signal: control.signal })).rejects.toThrow(
        /ABORTED/,
      );
    }
  });

  it("keeps to a budget, and to a sensible number of workers", async () => {
    await expect(decodeWithWorkers(file, { budgetBytes: 1000 })).rejects.toThrow(/BUDGET/);
    for (const workers of [0, 65, 1.5])
      await expect(decodeWithWorkers(file, { workers })).rejects.toThrow(/USAGE/);
  });

  it("takes one thread for a small file, and where nothing can be shared", async () => {
    expect((await decodeWithWorkers(file)).workers).toBe(1);
    const { SharedArrayBuffer: shared } = globalThis;
    try {
      (globalThis as { SharedArrayBuffer?: unknown }).SharedArrayBuffer = undefined;
      const { buffer, modules, workers } = await decodeWithWorkers(file, { workers: 2 });
      expect(buffer).toBeInstanceOf(ArrayBuffer);
      expect(workers).toBe(1);
      expect(modules[4]).toEqual(await file.decode(modules[4]!.name));
    } finally {
      globalThis.SharedArrayBuffer = shared;
    }
  });

  it("decodes every encoding to the bits of one thread, into memory that was used before", async () => {
    const every = await open(await everyEncodingFile());
    let buffer: SharedArrayBuffer | ArrayBuffer | undefined;
    for (const type of ["f32", "f16"] as const)
      for (const layout of ["peft", "component"] as const) {
        const decoded = await decodeWithWorkers(every, { type, layout, multiplier: true, pool, buffer });
        expect(decoded.buffer).toBe(buffer ?? decoded.buffer);
        buffer = decoded.buffer;
        for (const { name, b, a } of decoded.modules) {
          const alone = await every.decode(name, { type, layout, multiplier: true });
          expect(bits(b.data) === bits(alone.b.data) && bits(a.data) === bits(alone.a.data), name).toBe(true);
        }
      }
  });

  it("is done with its memory when it stops, and the pool can be used again or by two at once", async () => {
    // Modules of some milliseconds, so that other workers are amid theirs when one has finished.
    const modules = Array.from({ length: 12 }, (_, i) =>
      packed(
        shape(`layers.${i}`, { out: 20_000, in: 20_000, rank: 8, alpha: 16 }),
        [{ components: 8, b: SIGN, a: SIGN }],
        i + 1,
      ),
    );
    const large = await open(await fileBytes({ modules, tensors: [], sections: [] }));
    const whole = await decodeWithWorkers(large, { workers: 1 });
    const expected = Buffer.from(new Uint8Array(whole.buffer));
    const fresh = (): SharedArrayBuffer => new SharedArrayBuffer(expected.length);
    for (let round = 0; round < 5; round++) {
      const buffer = fresh();
      const stop = new AbortController();
      const onProgress = (): void => stop.abort();
      await expect(
        decodeWithWorkers(large, { pool, buffer, signal: stop.signal, onProgress }),
      ).rejects.toThrow(/ABORTED/);
      const left = Buffer.from(new Uint8Array(buffer));
      const both = await Promise.all([1, 2].map(() => decodeWithWorkers(large, { pool, buffer: fresh() })));
      for (const { buffer } of both) expect(expected.equals(new Uint8Array(buffer))).toBe(true);
      expect(left.equals(new Uint8Array(buffer))).toBe(true);
    }
  });

  it("needs a pool of at least one worker", () => {
    for (const count of [0, 65, 1.5, Number.NaN, {} as number])
      expect(() => createWorkerPool(count)).toThrow(/USAGE/);
  });

  it("takes a buffer that is too small for none, and one that is not shared for one thread", async () => {
    const { buffer } = await decodeWithWorkers(file, { workers: 1 });
    const small = decodeWithWorkers(file, { pool, buffer: new SharedArrayBuffer(buffer.byteLength - 1) });
    await expect(small).rejects.toThrow(/TARGET_SIZE/);
    const own = new ArrayBuffer(buffer.byteLength);
    const alone = await decodeWithWorkers(file, { pool, buffer: own });
    expect([alone.workers, alone.buffer]).toEqual([1, own]);
    expect(bits(new Uint8Array(own))).toBe(bits(new Uint8Array(buffer)));
  });

  it("decodes a file without modules", async () => {
    const empty = await open(await fileBytes({ modules: [], tensors: [], sections: [] }));
    expect((await decodeWithWorkers(empty, { workers: 2 })).modules).toEqual([]);
  });

  it("decodes children to the bits of one thread, of a parent with a start, too", async () => {
    const parent = await written(parentModules());
    const { first, bytes } = await startedFamily();
    for (const [child, parents] of [
      [await written(childModules(await contentIdOf(parent))), [parent]],
      [bytes, [first]],
    ] as const) {
      const family = await open(child, { parents });
      for (const type of ["f32", "f16"] as const)
        for (const module of (await decodeWithWorkers(family, { type, pool })).modules)
          expect(module).toEqual(await family.decode(module.name, { type }));
    }
    await expect(decodeWithWorkers(await open(bytes), { pool })).rejects.toThrow("PARENT_MISSING");
  });
});
