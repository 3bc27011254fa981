/**
 * Decoding one module through the public API: arrays of the library's or the caller's, memory that is used again, both
 * layouts and types, the multiplier, dense ΔW; and every wrong use, which must leave the targets as they were.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  type DecodedModule,
  DecodeMemory,
  type DecodeOptions,
  decodeDelta,
  type FactorArrays,
  type HalfArray,
  isLqaError,
  type LqaFile,
  type ModuleRecord,
  open,
  type WeightType,
} from "../../src/core/index.ts";
import { fileBytes, packed, SIGN, shape, smallInput } from "../container/fixtures.ts";
import { numberToF16 } from "../helpers/floats.ts";
import { bytesOf, everyEncodingFile, WAYS } from "./every-encoding.ts";

const { Float16Array: Half } = globalThis as { Float16Array?: new (length: number) => HalfArray };
let every: LqaFile;
let small: LqaFile;
beforeAll(async () => {
  every = await open(await everyEncodingFile());
  small = await open(await fileBytes(smallInput()));
});

async function failure(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (isLqaError(error)) return error.kind;
    throw error;
  }
  return "nothing";
}

/** The arrays of a decoded module. */
const arrays = <T extends WeightType>({ b, a }: DecodedModule<T>): FactorArrays<T> => ({
  b: b.data,
  a: a.data,
});
const same = (x: ArrayBufferView, y: ArrayBufferView): boolean =>
  Buffer.compare(bytesOf(x), bytesOf(y)) === 0;
const lengthsOf = (m: ModuleRecord): [number, number] => [m.rank * m.out, m.rank * m.in];

/** Arrays of the caller's in the middle of larger ones, whose surroundings must stay as they are. */
function guarded(
  module: ModuleRecord,
  type: "f32" | "f16",
  shift = 3,
): { into: FactorArrays; intact(): boolean } {
  const Type = type === "f32" ? Float32Array : Uint16Array;
  const whole = lengthsOf(module).map((length) => new Type(length + 2 * shift).fill(7));
  const [b, a] = lengthsOf(module).map((length, i) => whole[i]!.subarray(shift, shift + length));
  const edges = (x: Float32Array | Uint16Array): (Float32Array | Uint16Array)[] => [
    x.subarray(0, shift),
    x.subarray(x.length - shift),
  ];
  return {
    into: { b: b!, a: a! },
    intact: () => whole.flatMap(edges).every((edge) => edge.every((x) => x === 7)),
  };
}

describe("into", () => {
  it("writes what new arrays would hold, and nothing outside it, for every encoding", async () => {
    for (const module of every.modules)
      for (const way of WAYS) {
        const fresh = arrays(await every.decode(module, way));
        const { into, intact } = guarded(module, way.type);
        const {
          b: { data: b },
          a: { data: a },
        } = await every.decode(module, { ...way, into });
        expect(b).toBe(into.b);
        expect(a).toBe(into.a);
        expect(same(b, fresh.b) && same(a, fresh.a), `${module.name} ${JSON.stringify(way)}`).toBe(true);
        expect(intact()).toBe(true);
      }
  });

  it("takes arrays of any alignment, of shared memory and of WebAssembly memory", async () => {
    const module = every.modules[9]!;
    const fresh = arrays(await every.decode(module, { type: "f16" }));
    const buffers = [
      new ArrayBuffer(2 ** 16),
      new SharedArrayBuffer(2 ** 16),
      new WebAssembly.Memory({ initial: 1 }).buffer,
    ];
    const [bLength, aLength] = lengthsOf(module);
    for (const buffer of buffers)
      for (let shift = 0; shift < 66; shift += 2) {
        const into = {
          b: new Uint16Array(buffer, shift, bLength),
          a: new Uint16Array(buffer, shift + 2 * bLength, aLength),
        };
        await every.decode(module, { type: "f16", into });
        expect(same(into.b, fresh.b) && same(into.a, fresh.a)).toBe(true);
      }
  });

  it("takes halves as bits or, where the engine has it, as Float16Array; new ones are that", async () => {
    const module = every.modules[5]!;
    const fresh = arrays(await every.decode(module, { type: "f16" }));
    expect(fresh.b).toBeInstanceOf(Half ?? Uint16Array);
    if (Half === undefined) return;
    const [bLength, aLength] = lengthsOf(module);
    const into = { b: new Half(bLength), a: new Uint16Array(aLength) };
    await every.decode(module, { type: "f16", into });
    expect(same(into.b, fresh.b) && same(into.a, fresh.a)).toBe(true);
  });

  it("refuses a wrong length, a wrong type and a detached array, and writes to neither", async () => {
    const module = every.modules[7]!;
    const [bLength, aLength] = lengthsOf(module);
    const detached = new Float32Array(bLength);
    structuredClone(detached, { transfer: [detached.buffer] });
    const good = { b: new Float32Array(bLength).fill(7), a: new Float32Array(aLength).fill(7) };
    const bad: [FactorArrays, "f32" | "f16"][] = [
      [{ ...good, b: new Float32Array(bLength - 1) }, "f32"],
      [{ ...good, b: new Float32Array(bLength + 1) }, "f32"],
      [{ ...good, a: new Float32Array(0) }, "f32"],
      [{ ...good, a: new Uint16Array(aLength) }, "f32"],
      [{ ...good, a: new Float64Array(aLength) as never }, "f32"],
      [{ ...good, b: new Uint8Array(4 * bLength) as never }, "f32"],
      [{ ...good, b: detached }, "f32"],
      [good, "f16"],
      [{ b: new Int16Array(bLength) as never, a: new Uint16Array(aLength) }, "f16"],
    ];
    for (const [into, type] of bad)
      expect(await failure(() => every.decode(module, { type, into }))).toBe("TARGET_SIZE");
    expect(good.b.every((x) => x === 7) && good.a.every((x) => x === 7)).toBe(true);
    await expect(every.decode(module, { into: { ...good, a: new Float32Array(9) } })).rejects.toThrow(
      /TARGET_SIZE.*A of module "layers\.\d+\.q".*expected Float32Array of 3120.*found Float32Array of 9/,
    );
  });
});

describe("decoding", () => {
  it("multiplies in binary32, then rounds", async () => {
    for (const module of every.modules) {
      const { b } = arrays(await every.decode(module));
      const wide = arrays(await every.decode(module, { multiplier: true }));
      const half = arrays(await every.decode(module, { multiplier: true, type: "f16" }));
      const expected = b.map((x) => x * module.multiplier);
      expect(same(wide.b, expected)).toBe(true);
      expect(same(half.b, Uint16Array.from(expected, numberToF16))).toBe(true);
      expect(same(wide.a, arrays(await every.decode(module)).a)).toBe(true);
    }
  });

  it("gives B in PEFT's layout transposed, expert by expert, and A as it is", async () => {
    for (const file of [every, small])
      for (const module of file.modules) {
        const { rank, out, experts } = module;
        const peft = arrays(await file.decode(module));
        const stored = arrays(await file.decode(module, { layout: "component" }));
        expect(same(peft.a, stored.a)).toBe(true);
        for (let e = 0; e < experts; e++)
          for (let o = 0; o < out; o++)
            for (let k = 0; k < rank; k++) {
              const base = e * out * rank;
              if (!Object.is(peft.b[base + o * rank + k], stored.b[base + k * out + o]))
                expect.fail(`${module.name} ${e} ${o} ${k}`);
            }
      }
  });

  it("keeps to its budget, and says so where the engine has no such memory", async () => {
    const module = every.modules[3]!;
    const bytes = 4 * (lengthsOf(module)[0] + lengthsOf(module)[1]);
    expect(await failure(() => every.decode(module, { budgetBytes: bytes - 1 }))).toBe("BUDGET");
    expect(await failure(() => every.decode(module, { budgetBytes: bytes }))).toBe("nothing");
    expect(await failure(() => every.decode(module, { budgetBytes: bytes / 2, type: "f16" }))).toBe(
      "nothing",
    );
    // Zeros need no bytes in the file: 2^42 weights are declared by a few.
    const huge = shape("huge", { out: 2 ** 30, in: 2 ** 30, rank: 2048, alpha: 4096 });
    const bands = [{ components: 2048, b: { codec: "zero" as const }, a: { codec: "zero" as const } }];
    const zeros = { bands, planes: packed({ ...huge, out: 1, in: 1 }, bands).planes };
    expect(await failure(() => decodeDelta(huge, zeros))).toBe("BUDGET");
    const all = { budgetBytes: Number.POSITIVE_INFINITY };
    expect(await failure(() => decodeDelta(huge, zeros, all))).toBe("BUDGET");
  });
});

describe("DecodeMemory", () => {
  it("holds what new arrays would hold, and overwrites it with the next module", async () => {
    const memory = new DecodeMemory();
    let before: FactorArrays | undefined;
    for (const module of every.modules)
      for (const way of WAYS) {
        const fresh = arrays(await every.decode(module, way));
        const {
          b: { data: b },
          a: { data: a },
        } = await every.decode(module, { ...way, memory });
        expect(same(b, fresh.b) && same(a, fresh.a), module.name).toBe(true);
        expect([b.constructor, a.constructor]).toEqual([fresh.b.constructor, fresh.a.constructor]);
        expect([b.byteOffset % 64, a.byteOffset % 64]).toEqual([0, 0]);
        expect(b.buffer).toBe(a.buffer);
        // Taken away where the memory had to grow, else in the same buffer.
        if (before !== undefined) expect(before.b.length === 0 || before.b.buffer === b.buffer).toBe(true);
        before = { b, a };
      }
    expect(memory.heldBytes).toBeGreaterThan(0);
    expect(memory.heldBytes).toBeLessThan(8 * 2 ** 20);
  });

  it("is WebAssembly memory, whose views are handed out: nothing is copied", async () => {
    const memory = new DecodeMemory();
    const {
      b: { data: b },
      a: { data: a },
    } = await every.decode(every.modules[4]!, { memory });
    expect(b.buffer.byteLength).toBe(memory.heldBytes);
    expect(b.buffer.byteLength % 65536).toBe(0);
    expect(a.byteOffset).toBeGreaterThan(65536);
  });

  it("has a limit, can be released, and used again", async () => {
    const module = every.modules[3]!;
    const memory = new DecodeMemory({ maxBytes: 5000 });
    expect(memory.heldBytes).toBe(0);
    expect(await failure(() => every.decode(module, { memory }))).toBe("BUDGET");
    const roomy = new DecodeMemory();
    const { b } = arrays(await every.decode(module, { memory: roomy }));
    const copy = b.slice();
    roomy.release();
    expect(roomy.heldBytes).toBe(0);
    expect(same(b, copy)).toBe(true);
    expect(same(arrays(await every.decode(module, { memory: roomy })).b, copy)).toBe(true);
    // What was handed out before is not touched any more.
    expect(same(b, copy)).toBe(true);
  });
});

describe("decodeDelta", () => {
  /** ΔW from the definition: B times the multiplier, then products and sums rounded one by one. */
  async function deltaOf(file: LqaFile, module: ModuleRecord): Promise<Float32Array> {
    const {
      b: { data: b },
      a: { data: a },
    } = await file.decode(module, { multiplier: true });
    const { rank, out, experts } = module;
    const n = a.length / (experts * rank);
    const result = new Float32Array(experts * out * n);
    for (let e = 0; e < experts; e++)
      for (let o = 0; o < out; o++)
        for (let i = 0; i < n; i++) {
          let sum = 0;
          for (let k = 0; k < rank; k++) {
            const product = Math.fround(b[(e * out + o) * rank + k]! * a[(e * rank + k) * n + i]!);
            sum = k === 0 ? product : Math.fround(sum + product);
          }
          result[(e * out + o) * n + i] = sum;
        }
    return result;
  }

  it("is multiplier · B · A, to the bit, experts and convolutions included", async () => {
    for (const file of [small, every])
      for (const module of file === small ? file.modules : file.modules.filter((_, i) => i % 7 === 0)) {
        const expected = await deltaOf(file, module);
        const delta = decodeDelta(module, await file.packed(module));
        expect(same(delta, expected), module.name).toBe(true);
        const whole = new Float32Array(expected.length + 2).fill(7);
        const into = whole.subarray(1, 1 + expected.length);
        expect(decodeDelta(module, await file.packed(module), { into })).toBe(into);
        expect(same(into, expected)).toBe(true);
        expect([whole[0], whole.at(-1)]).toEqual([7, 7]);
      }
  });

  it("keeps to its budget, and refuses a wrong target before it decodes", async () => {
    const module = small.modules[0]!;
    const factors = await small.packed(module);
    expect(await failure(() => decodeDelta(module, factors, { budgetBytes: 100 }))).toBe("BUDGET");
    for (const into of [new Float32Array(3), new Float64Array(7 * 15) as never, new Float32Array(0)])
      expect(await failure(() => decodeDelta(module, factors, { into }))).toBe("TARGET_SIZE");
  });
});

describe("a module whose chunk is damaged", () => {
  it("leaves the caller's arrays as they were", async () => {
    const bytes = await fileBytes({
      modules: [packed(shape("a", { out: 700, in: 600 }), [{ components: 4, b: SIGN, a: SIGN }])],
      tensors: [],
      sections: [],
    });
    const [record] = (await open(bytes)).modules;
    bytes[record!.chunk.offset + 5]! ^= 2;
    const file = await open(bytes);
    const { into, intact } = guarded(record!, "f32");
    const options: DecodeOptions[] = [{ into }, { memory: new DecodeMemory() }, {}];
    for (const option of options) expect(await failure(() => file.decode("a", option))).toBe("CHUNK_CRC");
    expect(intact() && into.b.every((x) => x === 7) && into.a.every((x) => x === 7)).toBe(true);
  });
});
