/** All modules of a file: arrays of every kind, progress, budget, and that nothing is delivered after an error. */
import { beforeAll, describe, expect, it } from "vitest";
import {
  type DecodedModule,
  DecodeMemory,
  type FactorArrays,
  isLqaError,
  type LqaFile,
  memorySource,
  open,
  type WeightType,
} from "../../src/core/index.ts";
import { bytesOf, everyEncodingFile, WAYS } from "./every-encoding.ts";

let bytes: Uint8Array;
let file: LqaFile;
beforeAll(async () => {
  bytes = await everyEncodingFile();
  file = await open(bytes);
});

const same = (x: ArrayBufferView, y: ArrayBufferView): boolean =>
  Buffer.compare(bytesOf(x), bytesOf(y)) === 0;
/** Equal to the last bit, and in everything that is said. */
const equal = (x: DecodedModule<WeightType>, y: DecodedModule<WeightType>): void => {
  expect(same(x.b.data, y.b.data) && same(x.a.data, y.a.data), x.name).toBe(true);
  const said = ({ b, a, ...rest }: DecodedModule<WeightType>): unknown => [
    b.shape,
    b.data.constructor,
    a.shape,
    rest,
  ];
  expect(said(x)).toEqual(said(y));
};
const kindOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  return isLqaError(error) ? error.kind : String(error);
};

/** What is decoded before the end, and what the end is. */
async function decoded<T extends WeightType>(
  modules: AsyncIterable<DecodedModule<T>>,
): Promise<{ all: DecodedModule<T>[]; end: string }> {
  const all: DecodedModule<T>[] = [];
  const end = await kindOf(
    (async () => {
      for await (const module of modules) all.push(module);
    })(),
  );
  return { all, end };
}

describe("decodeAll", () => {
  it("gives what decode gives, in file order, for every way", async () => {
    for (const way of WAYS) {
      const { all } = await decoded(file.decodeAll(way));
      expect(all.map(({ name }) => name)).toEqual(file.modules.map(({ name }) => name));
      for (const one of all) equal(one, await file.decode(one.name, way));
    }
  });

  it("says in each result which layout it has, and what is left to multiply by", async () => {
    for (const { layout, type, multiplier } of WAYS)
      for await (const one of file.decodeAll({ layout, type, multiplier })) {
        const { out, rank, in: inputs, experts, kernel, multiplier: own } = file.module(one.name);
        const each = experts > 1 ? [experts] : [];
        expect(one.b.shape).toEqual([...each, ...(layout === "component" ? [rank, out] : [out, rank])]);
        expect(one.a.shape).toEqual([...each, rank, kernel.reduce((n, k) => n * k, inputs)]);
        for (const { data, shape } of [one.b, one.a])
          expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
        expect(one.multiplier).toBe(multiplier ? 1 : own);
      }
  });

  it("decodes into the caller's arrays again and again, and into a memory that is used again", async () => {
    const { all } = await decoded(file.decodeAll());
    const kept = new Map(all.map(({ name, b, a }) => [name, { b: b.data.fill(7), a: a.data.fill(7) }]));
    for await (const { name, b, a } of file.decodeAll({ into: (module) => kept.get(module.name)! })) {
      expect([b.data, a.data]).toEqual([kept.get(name)!.b, kept.get(name)!.a]);
      expect(b.data).toBe(kept.get(name)!.b);
      const one = await file.decode(name);
      expect(same(b.data, one.b.data) && same(a.data, one.a.data)).toBe(true);
    }
    const memory = new DecodeMemory();
    for await (const { name, b } of file.decodeAll({ memory }))
      expect(same(b.data, (await file.decode(name)).b.data)).toBe(true);
    expect(memory.heldBytes).toBeGreaterThan(0);
  });

  it("takes the requested modules, in file order", async () => {
    const [first, second, third] = file.modules;
    const { all } = await decoded(file.decodeAll({ modules: [third!.name, first!, third!] }));
    expect(all.map(({ name }) => name)).toEqual([first!.name, third!.name]);
    expect(second).toBeDefined();
    expect((await decoded(file.decodeAll({ modules: ["nobody"] }))).end).toBe("USAGE");
  });

  it("reads every kind of input", async () => {
    const pieces = [bytes.subarray(0, 1000), bytes.subarray(1000, 5000), bytes.subarray(5000)];
    const buffer = bytes.slice().buffer;
    const ranges = { byteLength: buffer.byteLength, slice: buffer.slice.bind(buffer) };
    for (const input of [memorySource(bytes), buffer, ranges, pieces, new Blob([bytes as BlobPart])]) {
      const other = await open(input);
      for await (const one of other.decodeAll()) equal(one, await file.decode(one.name));
      expect(await other.verify()).toEqual(await file.verify());
    }
  });

  it("keeps to its budgets for each module", async () => {
    expect(await decoded(file.decodeAll({ budgetBytes: 100 }))).toEqual({ all: [], end: "BUDGET" });
    const memory = new DecodeMemory({ maxBytes: 100 });
    expect(await decoded(file.decodeAll({ memory }))).toEqual({ all: [], end: "BUDGET" });
  });

  it("stops when it is aborted, before and amid the work, and delivers nothing after that", async () => {
    const control = new AbortController();
    const { signal } = control;
    const names: string[] = [];
    const run = async (): Promise<void> => {
      for await (const { name } of file.decodeAll({ signal }))
        if (names.push(name) === 5) control.abort(new Error("enough"));
    };
    const error = await run().catch((e: unknown) => e);
    expect(isLqaError(error, "ABORTED")).toBe(true);
    expect((error as Error).cause).toMatchObject({ message: "enough" });
    expect(names).toHaveLength(5);
    expect(await kindOf(run())).toBe("ABORTED");
    expect(names).toHaveLength(5);
  });

  it("lets timers run, so that a time limit works", async () => {
    const signal = AbortSignal.timeout(30);
    const memory = new DecodeMemory();
    const run = async (): Promise<void> => {
      for await (const _ of file.decodeAll({ signal, memory })) {
        // Work that waits for nothing.
        const end = performance.now() + 10;
        while (performance.now() < end);
      }
    };
    expect(await kindOf(run())).toBe("ABORTED");
  });

  it("ends with the first error: a damaged module, a wrong target", async () => {
    const damaged = bytes.slice();
    damaged[file.modules[6]!.chunk.offset]! ^= 1;
    const { all, end } = await decoded((await open(damaged)).decodeAll());
    expect(end).toBe("CHUNK_CRC");
    expect(all.map(({ name }) => name)).toEqual(file.modules.slice(0, 6).map(({ name }) => name));
    const kept = new Map((await decoded(file.decodeAll())).all.map((one) => [one.name, one]));
    const into = ({ name }: { readonly name: string }): FactorArrays<"f32"> => {
      const { b, a } = kept.get(name)!;
      const wrong = name === file.modules[2]!.name;
      return { b: wrong ? new Float32Array(3) : b.data, a: a.data };
    };
    const second = await decoded(file.decodeAll({ into }));
    expect([second.all.length, second.end]).toEqual([2, "TARGET_SIZE"]);
  });
});

describe("an open file", () => {
  it("tells how far its verification is, in bytes, and its reading, in modules", async () => {
    const fresh = await open(bytes);
    const told: [number, number][] = [];
    const ids = await fresh.verify({ onProgress: (...facts) => void told.push(facts) });
    expect(ids).toEqual(await fresh.storedIds());
    const start = fresh.modules[0]!.chunk.offset;
    expect(told.at(-1)).toEqual([bytes.length - start, bytes.length - start]);
    expect(told.map(([done]) => done)).toEqual(told.map(([done]) => done).sort((x, y) => x - y));
    expect(told.length).toBeGreaterThan(fresh.modules.length);
    for (const one of [fresh, await open(bytes)]) {
      const modules: number[] = [];
      const { modules: read } = await one.adapter({ onProgress: (done) => void modules.push(done) });
      expect(modules).toEqual(fresh.modules.map((_, i) => i + 1));
      expect(read).toHaveLength(fresh.modules.length);
      expect(one.verified).toEqual(ids);
    }
  });

  it("stops verifying and reading when it is aborted", async () => {
    for (const way of ["verify", "adapter"] as const) {
      const fresh = await open(bytes);
      const control = new AbortController();
      let told = 0;
      const onProgress = (): void => void (++told === 3 && control.abort());
      expect(await kindOf(fresh[way]({ signal: control.signal, onProgress }))).toBe("ABORTED");
      expect(told).toBe(3);
      expect(await kindOf(fresh[way]({ signal: control.signal, onProgress }))).toBe("ABORTED");
      expect(told).toBe(3);
      // Bytes in memory are verified before they are decoded.
      expect(fresh.verified === undefined).toBe(way === "verify");
    }
  });
});
