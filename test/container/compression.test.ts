import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { compress, shuffle } from "../../src/core/container/compression.ts";
import { decompress, unshuffle } from "../../src/core/container/decompress.ts";
import { startZstdCodec } from "../../src/core/container/portable-zstd.ts";
import { loadZstd, loadZstdCodec, zstdOf } from "../../src/core/container/zstd.ts";
import { frameLength } from "../../src/core/container/zstd-frame.ts";
import {
  type CompressionName,
  ERRORS,
  isLqaError,
  LqaError,
  type Zstd,
  type ZstdCodecFunctions,
} from "../../src/core/index.ts";
import { inflater } from "../../src/core/read/inflate.ts";
import { thorough } from "../helpers/thorough.ts";

let codec: ZstdCodecFunctions;
let reader: Zstd;
beforeAll(async () => {
  codec = await loadZstdCodec();
  reader = await loadZstd();
});

const open = (stored: Uint8Array, compression: CompressionName, raw: number, elementSize = 1): Uint8Array =>
  decompress(stored, compression, raw, { zstd: reader, elementSize, base: 0, where: "test" });

describe("compression", () => {
  test("what is stored is what comes back, in one frame or several", () => {
    for (const length of [1, 300, 1 << 20, (1 << 20) + 1, 3 * (1 << 20) + 12]) {
      const raw = new Uint8Array(length).map((_, i) => (i * i) >> 9);
      for (const elementSize of [1, 4]) {
        if (length % elementSize !== 0) continue;
        const { compression, bytes } = compress(raw, "tensor", elementSize, codec);
        expect(Buffer.compare(open(bytes, compression, length, elementSize), raw)).toBe(0);
      }
    }
  });

  test("shuffling is undone", () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 4, 8), fc.uint8Array({ maxLength: 64 }), (size, bytes) => {
        const whole = bytes.subarray(0, bytes.length - (bytes.length % size));
        expect(unshuffle(shuffle(whole, size), size)).toEqual(whole);
      }),
    );
    expect([...shuffle(Uint8Array.of(1, 2, 3, 4, 5, 6), 2)]).toEqual([1, 3, 5, 2, 4, 6]);
  });

  test("text is stored with the dictionary, and zstd's own frame rules hold", () => {
    const text = new TextEncoder().encode(
      '{\n  "lora_alpha": 16,\n  "lora_bias": false,\n  "megatron_core": "megatron.core"\n}',
    );
    const { compression, bytes } = compress(text, "section", 1, codec);
    expect(compression).toBe("text-zstd");
    expect(bytes.length).toBeLessThan(40);
    const options = { elementSize: 1, base: 0, where: "test" };
    expect(decompress(bytes, compression, text.length, { ...options, zstd: codec })).toEqual(text);
    expect(() =>
      decompress(bytes, compression, text.length, {
        ...options,
        zstd: reader.decompress === codec.decompress ? undefined : reader,
      }),
    ).toThrow(/LQA-U005/);
  });

  test("random bytes are stored as they are", () => {
    const raw = new Uint8Array(5000);
    let state = 1;
    for (let i = 0; i < raw.length; i++) raw[i] = (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16;
    expect(compress(raw, "tensor", 1, codec).compression).toBe("none");
  });

  test("every truncation, every extension and every one-byte change of a frame is refused or gives the declared length", () => {
    const raw = new TextEncoder().encode(
      "a frame to damage, a frame to damage, a frame to damage, and then some more text",
    );
    const frame = codec.compress(raw);
    for (let end = 0; end < frame.length; end++)
      expect(() => open(frame.slice(0, end), "zstd", raw.length)).toThrow(/ZSTD_FRAME/);
    expect(() => open(Uint8Array.of(...frame, 0), "zstd", raw.length)).toThrow(/ZSTD_FRAME/);
    expect(() => open(Uint8Array.of(...frame, ...frame), "zstd", raw.length)).toThrow(/ZSTD_FRAME/);
    expect(() => open(frame, "zstd", raw.length + 1)).toThrow(/ZSTD_FRAME/);
    for (let at = 0; at < frame.length; at++)
      for (const flip of [1, 0x80, 0xff]) {
        const mutated = frame.slice();
        mutated[at]! ^= flip;
        try {
          expect(open(mutated, "zstd", raw.length).length).toBe(raw.length);
        } catch (error) {
          expect(isLqaError(error, "ZSTD_FRAME")).toBe(true);
        }
      }
  });

  test("a bomb is refused by its header, before anything is inflated", () => {
    const never: Zstd = {
      decompress() {
        throw new Error("inflated");
      },
    };
    // single segment, 8-byte content size of 2^40
    const bomb = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0);
    expect(() =>
      decompress(bomb, "zstd", 1000, { zstd: never, elementSize: 1, base: 0, where: "t" }),
    ).toThrow(/content size 1000/);
  });

  test("without an implementation the frame is still walked, then refused as unsupported", () => {
    const frame = codec.compress(new Uint8Array(300));
    expect(() =>
      decompress(frame, "zstd", 300, { zstd: undefined, elementSize: 1, base: 0, where: "t" }),
    ).toThrow(/LQA-U005/);
  });
});

describe("the choice of a compression", () => {
  /** A codec whose frames have these lengths. */
  /** As many bytes as a frame of a single segment. */
  const single = (length: number): Uint8Array => new Uint8Array(length).fill(0x20, 4, 5);
  const codecOf = (zstd: number, shuffled: number, text = zstd): ZstdCodecFunctions => ({
    ...codec,
    // What was shuffled begins with two equal bytes.
    compress: (raw) => single(raw[0] === raw[1] ? shuffled : zstd),
    compressText: () => single(text),
  });
  const raw = Uint8Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 7 : i));
  const chosen = (kind: "tensor" | "section", size: number, ...lengths: [number, number]) => {
    const { compression, bytes } = compress(raw, kind, size, codecOf(...lengths));
    return `${compression} ${bytes.length}`;
  };

  test("every frame is a single segment, also where zstd gives it a window", () => {
    for (const length of [500, 2 ** 19, 2 ** 19 + 1, 2 ** 20, 2 ** 20 + 2 ** 19 + 5]) {
      const raw = Uint8Array.from({ length }, (_, i) => (i * i) % 11);
      for (const kind of ["tensor", "section"] as const) {
        const { compression, bytes } = compress(raw, kind, 1, codec);
        expect(compression).not.toBe("none");
        const place = { elementSize: 1, where: "test", base: 0, zstd: codec };
        expect(Buffer.compare(decompress(bytes, compression, length, place), raw)).toBe(0);
        expect(bytes[4]! & 0x3f).toBe(0x20);
      }
    }
    // What this guards against: the package gives 1 MiB a window of 512 KiB.
    expect(codec.compress(new Uint8Array(2 ** 20))[4]! & 0x20).toBe(0);
  });

  test("what saves less than 3 % is not worth it", () => {
    expect(chosen("tensor", 1, 194, 0)).toBe("zstd 194");
    expect(chosen("tensor", 1, 195, 0)).toBe("none 200");
    expect(chosen("section", 1, 194, 0)).toBe("text-zstd 194");
    expect(chosen("section", 1, 195, 0)).toBe("none 200");
    expect(compress(new Uint8Array(0), "section", 1, codecOf(0, 0)).compression).toBe("none");
  });

  test("elements of several bytes are shuffled if that makes them smaller, not if it makes no difference", () => {
    expect(chosen("tensor", 2, 150, 149)).toBe("shuffled-zstd 149");
    expect(chosen("tensor", 2, 150, 150)).toBe("zstd 150");
    expect(chosen("tensor", 2, 199, 150)).toBe("shuffled-zstd 150");
  });

  test("elements of one byte are not shuffled, which would change nothing", () => {
    let calls = 0;
    const counting = { ...codec, compress: () => single(100 - calls++) };
    expect(compress(raw, "tensor", 1, counting).compression).toBe("zstd");
    expect(calls).toBe(1);
  });
});

describe("implementations of zstd", () => {
  const frame = (raw: Uint8Array) => codec.compress(raw);
  const raw = Uint8Array.from({ length: 500 }, (_, i) => i % 7);
  const options = { elementSize: 2, base: 1000, where: "test" };

  test("the package is loaded once; a bundler's way to import it is as good", async () => {
    expect(loadZstdCodec()).toBe(loadZstdCodec());
    expect(await loadZstdCodec()).toBe(codec);
    const module = await import("zstd-codec");
    const { default: other } = module as unknown as { default: typeof module };
    for (const form of [module, other]) {
      const started = await startZstdCodec(Promise.resolve(form));
      expect(started.decompress(started.compress(raw), raw.length)).toEqual(raw);
      expect(started.compress(raw)).toEqual(codec.compress(raw));
      expect(started.decompressText(started.compressText(raw), raw.length)).toEqual(raw);
      expect(started.compressText(raw)).toEqual(codec.compressText(raw));
      expect(() => started.decompress(new Uint8Array(3), 3)).toThrow();
    }
  });

  test("the runtime's own is preferred, and never makes more than one byte too many", async () => {
    const calls: unknown[] = [];
    const zstdDecompressSync = (...call: unknown[]) => {
      calls.push(call);
      return raw;
    };
    const own = await zstdOf({ zstdDecompressSync });
    const some = Uint8Array.of(1);
    expect(own.decompress(some, 500)).toBe(raw);
    expect(own.decompress(some, 0)).toBe(raw);
    expect(calls).toEqual([
      [some, { maxOutputLength: 500 }],
      [some, { maxOutputLength: 1 }],
    ]);
    expect(await zstdOf({})).toBe(codec);
  });

  test("only text needs one that knows the dictionary", () => {
    const decompress_ = (stored: Uint8Array, compression: CompressionName, zstd: Zstd) =>
      decompress(stored, compression, raw.length, { ...options, zstd });
    const refuses: Zstd & Partial<ZstdCodecFunctions> = {
      decompress: codec.decompress,
      decompressText() {
        throw new Error("not asked");
      },
    };
    expect(decompress_(frame(raw), "zstd", refuses)).toEqual(raw);
    expect(decompress_(frame(shuffle(raw, 2)), "shuffled-zstd", refuses)).toEqual(raw);
    const { decompress: plain } = codec;
    expect(() => decompress_(codec.compressText(raw), "text-zstd", { decompress: plain })).toThrow(
      /LQA-U005/,
    );
  });

  test("whatever one throws or returns is a damaged frame, except for errors of this library", () => {
    const failing = (run: () => Uint8Array): unknown => {
      try {
        decompress(frame(raw), "zstd", raw.length, { ...options, zstd: { decompress: run } });
      } catch (error) {
        return isLqaError(error) ? [error.kind, error.offset] : error;
      }
      return "read";
    };
    const thrower = (what: unknown) => () => {
      throw what;
    };
    expect(failing(() => raw)).toBe("read");
    expect(failing(thrower("a string"))).toEqual(["ZSTD_FRAME", 1000]);
    expect(failing(thrower(new RangeError("no")))).toEqual(["ZSTD_FRAME", 1000]);
    expect(failing(thrower(new LqaError(ERRORS.BUDGET, { offset: 5 })))).toEqual(["BUDGET", 5]);
    expect(failing(() => raw.subarray(1))).toEqual(["ZSTD_FRAME", 1000]);
    expect(failing(() => new Uint8Array(501))).toEqual(["ZSTD_FRAME", 1000]);
  });
});

describe("the walk over a frame", () => {
  /** A frame of one block of a byte: 7, by what stands before it. */
  const bytes = (...head: number[]) => Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, ...head, 9, 0, 0, 7);
  const walk = (frame: Uint8Array, rawLength = 1): unknown => {
    try {
      return frameLength(frame, rawLength, 100, "test");
    } catch (error) {
      return isLqaError(error, "ZSTD_FRAME") ? error.offset : error;
    }
  };

  test("knows every form of a content size", () => {
    expect(walk(bytes(0x20, 1))).toBe(10);
    expect(walk(bytes(0xa0, 1, 0, 0, 0))).toBe(13);
    expect(walk(bytes(0xe0, 1, 0, 0, 0, 0, 0, 0, 0))).toBe(17);
    expect(walk(bytes(0x60, 3, 1), 256 + 259)).toBe(11);
    expect(walk(bytes(0xa0, 1, 0, 0, 1))).toBe(105);
    expect(walk(bytes(0xe0, 1, 0, 0, 0, 1, 0, 0, 0))).toBe(105);
    expect(walk(bytes(0x20, 2))).toBe(105);
  });

  test("wants a content size, also of a frame that ends soon", () => {
    expect(walk(bytes(0x00, 0x58))).toBe(104);
    expect(walk(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 1, 0, 0), 1)).toBe(104);
  });

  test("wants a single segment without a checksum, whatever the window", () => {
    for (const window of [0, 0x58, 0x68, 0x69, 0xff]) expect(walk(bytes(0x80, window, 1, 0, 0, 0))).toBe(104);
    const checked = bytes(0x24, 1);
    expect(walk(checked)).toBe(104);
    expect(walk(Uint8Array.of(...checked, 0, 0, 0, 0))).toBe(104);
  });

  test("wants the magic number, no dictionary, and no reserved bit", () => {
    for (let i = 0; i < 4; i++) {
      const wrong = bytes(0x20, 1);
      wrong[i]! ^= 1;
      expect(walk(wrong)).toBe(100);
    }
    for (const bits of [1, 2, 3, 8, 16]) expect(walk(bytes(0x20 + bits, 1))).toBe(104);
  });

  test("wants blocks of known types and of at most 128 KiB, and the last one marked", () => {
    const blocks = (...rest: number[]) => walk(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, ...rest));
    const head = (last: number, type: number, size: number) => {
      const value = last + 2 * type + 8 * size;
      return [value & 255, (value >> 8) & 255, value >> 16];
    };
    expect(blocks(...head(1, 1, 1), 7)).toBe(10);
    expect(blocks(...head(1, 2, 1), 7)).toBe(10);
    expect(blocks(...head(1, 3, 1), 7)).toBe(106);
    expect(blocks(...head(0, 0, 0), ...head(1, 0, 1), 7)).toBe(13);
    expect(blocks(...head(0, 0, 1), 7)).toBe(110);
    expect(blocks(...head(1, 1, 2 ** 17), 7)).toBe(10);
    expect(blocks(...head(1, 1, 2 ** 17 + 1), 7)).toBe(106);
    expect(blocks(...head(1, 0, 2), 7)).toBe(109);
    for (let length = 0; length < 10; length++)
      expect(walk(bytes(0x20, 1).subarray(0, length))).toBeGreaterThanOrEqual(100);
  });
});

describe("inflating while it arrives", () => {
  const MIB = 2 ** 20;
  /** The same payload in pieces; what is held is checked by `most`. */
  const pieces = (
    stored: Uint8Array,
    compression: CompressionName,
    payload: number,
    cut: () => number,
    most = 2 * MIB,
  ): Uint8Array => {
    const raw: Uint8Array[] = [];
    const record = { compression, payload, chunk: { offset: 0, length: stored.length + 4 } };
    const receive = (piece: Uint8Array): void => void raw.push(piece.slice());
    const inflating = inflater(record, { zstd: reader, elementSize: 4, where: "test", most, receive });
    for (let at = 0; at < stored.length; ) {
      const piece = stored.slice(at, at + cut());
      at += piece.length;
      inflating.push(piece);
      // Its memory belongs to the caller again.
      piece.fill(0xaa);
    }
    inflating.finish();
    return Buffer.concat(raw);
  };
  const outcome = (run: () => Uint8Array): unknown => {
    try {
      return Buffer.from(run()).toString("base64");
    } catch (error) {
      if (!isLqaError(error)) throw error;
      return error.message;
    }
  };

  test("gives the bytes and the first error of `decompress`, however it is cut", () => {
    // Three frames: of zeros, of text, a short one.
    const raw = new Uint8Array(2 * MIB + 600).map((_, i) => (i < MIB ? 0 : (i * i) >> 12));
    const stored = compress(raw, "tensor", 1, codec).bytes;
    const cuts = fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(100_000)));
    const change = fc.option(
      fc.record({ at: fc.nat(), value: fc.nat(255), cut: fc.nat(12), tail: fc.nat(3) }),
      { freq: 5 },
    );
    const seen = new Set<string>();
    fc.assert(
      fc.property(cuts, change, fc.constantFrom("zstd", "shuffled-zstd"), (cut, damage, compression) => {
        let bytes = Uint8Array.from(stored);
        if (damage !== null) {
          // Headers and ends of frames are where the rules are.
          bytes[[damage.at, damage.at % 60][damage.at % 2]! % bytes.length] = damage.value;
          if (damage.tail > 0) bytes = bytes.slice(0, bytes.length - damage.cut);
          if (damage.tail > 1) bytes = Uint8Array.from([...bytes, 1, 2, 3].slice(0, bytes.length + 3));
        }
        const whole = outcome(() => open(bytes, compression, raw.length, 4));
        const next = cut[Symbol.iterator]();
        const cutAt = (): number => next.next().value as number;
        expect(outcome(() => pieces(bytes, compression, raw.length, cutAt))).toBe(whole);
        seen.add(String(whole).slice(0, 8));
      }),
      { numRuns: thorough ? 40 : 12, seed: 5 },
    );
    expect(seen.size).toBeGreaterThan(1);
  });

  test("holds no frame that is longer than the caller allows", () => {
    // A frame of blocks without bytes, which the walk has to follow to its end.
    const blocks = new Uint8Array(3 * 10_000);
    const frame = Buffer.concat([codec.compress(new Uint8Array(300)).subarray(0, 7), blocks, blocks]);
    expect(outcome(() => pieces(frame, "zstd", 300, () => 1000, 20_000))).toMatch(/LQA-L003 BUDGET/);
    expect(outcome(() => pieces(frame, "zstd", 300, () => 1000))).toMatch(/LQA-M\d+ ZSTD_FRAME/);
  });
});
