import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  compress,
  decompress,
  loadZstd,
  loadZstdCodec,
  shuffle,
  unshuffle,
  type Zstd,
  type ZstdCodecFunctions,
} from "../../src/container/compression.ts";
import type { CompressionName } from "../../src/container/types.ts";
import { isLqaError } from "../../src/errors.ts";

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
