/** A whole adapter at once: arrays of every kind, progress, budget, and that nothing is delivered after an error. */
import { beforeAll, describe, expect, it } from "vitest";
import {
  type DecodedFactors,
  DecodeMemory,
  decodeAll,
  isLqaError,
  type LqaFile,
  memorySource,
  openLqa,
  openSource,
  parameterCount,
} from "../../src/core/index.ts";
import { bytesOf, everyEncodingFile, WAYS } from "./every-encoding.ts";

let bytes: Uint8Array;
let file: LqaFile;
let weights: number;
beforeAll(async () => {
  bytes = await everyEncodingFile();
  file = await openLqa(bytes);
  weights = file.modules.reduce((sum, module) => sum + parameterCount(module), 0);
});

const same = (x: ArrayBufferView, y: ArrayBufferView): boolean =>
  Buffer.compare(bytesOf(x), bytesOf(y)) === 0;
const kindOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  return isLqaError(error) ? error.kind : String(error);
};

describe("decodeAll", () => {
  it("gives what decodeModule gives, in file order, for every way", async () => {
    for (const way of WAYS) {
      const all = await decodeAll(file, way);
      expect([...all.keys()]).toEqual(file.modules.map(({ name }) => name));
      for (const [name, { b, a }] of all) {
        const one = file.decodeModule(name, way);
        expect(same(b, one.b) && same(a, one.a), name).toBe(true);
      }
    }
  });

  it("tells each module with its progress, and waits for what is told", async () => {
    const told: string[] = [];
    let inside = 0;
    await decodeAll(file, {
      memory: new DecodeMemory(),
      async onModule({ name }, { b }, { done, total }) {
        expect(++inside).toBe(1);
        const copy = b.slice();
        await new Promise((resolve) => setTimeout(resolve, 1));
        // The memory is not used again before this resolves.
        expect(same(b, copy)).toBe(true);
        expect([done, total]).toEqual([told.push(name), file.modules.length]);
        inside--;
      },
    });
    expect(told).toEqual(file.modules.map(({ name }) => name));
  });

  it("decodes into the caller's arrays again and again, and into a memory with nothing to keep", async () => {
    const kept = await decodeAll(file);
    for (const { b, a } of kept.values()) {
      (b as Float32Array).fill(7);
      (a as Float32Array).fill(7);
    }
    const again = await decodeAll(file, { into: ({ name }) => kept.get(name)! });
    for (const [name, { b, a }] of again) {
      expect(b).toBe(kept.get(name)!.b);
      const one = file.decodeModule(name);
      expect(same(b, one.b) && same(a, one.a)).toBe(true);
    }
    expect((await decodeAll(file, { memory: new DecodeMemory() })).size).toBe(0);
  });

  it("reads a source by ranges as well", async () => {
    const remote = await openSource(memorySource(bytes));
    const all = await decodeAll(remote);
    for (const [name, { b }] of all) expect(same(b, file.decodeModule(name).b)).toBe(true);
  });

  it("keeps to its budget, which is asked for before anything is decoded", async () => {
    const onModule = (): void => expect.fail("nothing is delivered");
    expect(await kindOf(decodeAll(file, { budgetBytes: 4 * weights - 1, onModule }))).toBe("BUDGET");
    expect(await kindOf(decodeAll(file, { budgetBytes: 2 * weights - 1, type: "f16", onModule }))).toBe(
      "BUDGET",
    );
    expect((await decodeAll(file, { budgetBytes: 2 * weights, type: "f16" })).size).toBe(file.modules.length);
    expect(await kindOf(decodeAll(file, { memory: new DecodeMemory({ maxBytes: 100 }), onModule }))).toBe(
      "BUDGET",
    );
  });

  it("stops when it is told to, before and amid the work, and delivers nothing after that", async () => {
    for (const memory of [undefined, new DecodeMemory()]) {
      const control = new AbortController();
      let modules = 0;
      const options = {
        ...(memory && { memory }),
        signal: control.signal,
        onModule: () => void (++modules === 5 && control.abort(new Error("enough"))),
      };
      const error = await decodeAll(file, options).catch((e: unknown) => e);
      expect(isLqaError(error, "ABORTED")).toBe(true);
      expect((error as Error).cause).toMatchObject({ message: "enough" });
      expect(modules).toBe(5);
      expect(await kindOf(decodeAll(file, options))).toBe("ABORTED");
      expect(modules).toBe(5);
    }
  });

  it("lets timers run, so that a time limit works", async () => {
    const signal = AbortSignal.timeout(30);
    const again = {
      modules: Array.from({ length: 400 }, () => file.modules).flat(),
      packed: file.packed,
    };
    const started = performance.now();
    expect(await kindOf(decodeAll(again, { signal, memory: new DecodeMemory() }))).toBe("ABORTED");
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it("ends with the first error: a damaged module, a wrong target, what a receiver throws", async () => {
    const damaged = bytes.slice();
    damaged[file.modules[6]!.chunk.offset]! ^= 1;
    const told: string[] = [];
    const onModule = ({ name }: { name: string }): void => void told.push(name);
    expect(await kindOf(decodeAll(await openLqa(damaged), { onModule }))).toBe("CHUNK_CRC");
    expect(told).toEqual(file.modules.slice(0, 6).map(({ name }) => name));
    told.length = 0;
    const kept = await decodeAll(file);
    const into = ({ name }: { name: string }): DecodedFactors =>
      name === file.modules[2]!.name ? { b: new Float32Array(3), a: new Float32Array(3) } : kept.get(name)!;
    expect(await kindOf(decodeAll(file, { into, onModule }))).toBe("TARGET_SIZE");
    expect(told).toHaveLength(2);
    const own = new Error("mine");
    await expect(
      decodeAll(file, {
        onModule() {
          throw own;
        },
      }),
    ).rejects.toBe(own);
  });
});

describe("an open file", () => {
  it("tells how far its verification is, in bytes, and its reading, in modules", async () => {
    const told: [number, number][] = [];
    const ids = await file.verify({ onProgress: (...facts) => void told.push(facts) });
    expect(ids).toEqual({ fileId: file.fileId, contentId: file.contentId });
    const start = file.modules[0]!.chunk.offset;
    expect(told.at(-1)).toEqual([bytes.length - start, bytes.length - start]);
    expect(told.map(([done]) => done)).toEqual(told.map(([done]) => done).sort((x, y) => x - y));
    expect(told.length).toBeGreaterThan(file.modules.length);
    const modules: number[] = [];
    const { modules: read } = await file.readAdapter({ onProgress: (done) => void modules.push(done) });
    expect(modules).toEqual(file.modules.map((_, i) => i + 1));
    expect(read).toHaveLength(file.modules.length);
  });

  it("stops verifying and reading when it is told to", async () => {
    for (const way of ["verify", "readAdapter"] as const) {
      const control = new AbortController();
      let told = 0;
      const onProgress = (): void => void (++told === 3 && control.abort());
      expect(await kindOf(file[way]({ signal: control.signal, onProgress }))).toBe("ABORTED");
      expect(told).toBe(3);
      expect(await kindOf(file[way]({ signal: control.signal, onProgress }))).toBe("ABORTED");
      expect(told).toBe(3);
    }
  });
});
