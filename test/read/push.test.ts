/**
 * The push decoder: any cut of a file gives the same events and the same first error, which is that of the readers of
 * whole files; and its memory stays within the index and one chunk.
 */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type FactorArrays, isLqaError, LqaDecoder, type LqaEvent, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { fileBytes, section, smallInput, tensor } from "../container/fixtures.ts";
import { numbers, thorough } from "../helpers/thorough.ts";
import { createModule } from "../workers/modules.ts";
import { comparable, cut, expected, inPieces, opened, pushed, validated } from "./events.ts";

const example = new Uint8Array(readFileSync(new URL("../../spec/example.lqa", import.meta.url)));
const files = new Map<string, Uint8Array>([["the example of the specification", example]]);

beforeAll(async () => {
  files.set("a bit of everything", await fileBytes(smallInput()));
  files.set("an empty file", await fileBytes({ modules: [], tensors: [], sections: [] }));
  files.set("wide padding", await fileBytes({ ...smallInput(), alignment: 128 }));
  const modules = [createModule("layers.0.q", 48, 40, 3, 1), createModule("layers.1.q", 64, 40, 2, 2)];
  const origin = {
    dialect: "peft",
    config: new TextEncoder().encode('{"peft_type":"LORA","r":3,"lora_alpha":6}'.repeat(9)),
  };
  // ORIG is compressed with the text dictionary.
  const adapter = {
    modules,
    tensors: [tensor("bias", { role: "bias" as const })],
    origin,
    meta: { base_model: "tiny" },
  };
  files.set("an encoded adapter", (await encodeAdapter(adapter, { profile: "rtn" })).bytes);
});

const NAMES = [
  "the example of the specification",
  "a bit of everything",
  "an empty file",
  "wide padding",
  "an encoded adapter",
];

describe.each(NAMES)("%s", (name) => {
  test("in one piece says what the file says", async () => {
    const bytes = files.get(name)!;
    const { events, error } = await pushed([bytes]);
    expect(error).toBeUndefined();
    expect(comparable(events)).toEqual(await expected(bytes));
  });

  test("byte by byte says the same, and so it does in pieces of other sizes", async () => {
    const bytes = files.get(name)!;
    const whole = await pushed([bytes]);
    for (const size of [1, 3, 7, 64, 1000]) expect(await pushed(inPieces(bytes, size))).toEqual(whole);
  });

  test("cut at every position says the same", async () => {
    const bytes = files.get(name)!;
    const whole = (await pushed([bytes])).events.join();
    for (const at of numbers(0, bytes.length, 7))
      if ((await pushed(cut(bytes, [at]))).events.join() !== whole) expect.fail(`cut at ${at}`);
  });

  test("cut at random, with empty pieces, says the same", async () => {
    const bytes = files.get(name)!;
    const whole = await pushed([bytes]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 40 }), async (positions) => {
        expect(await pushed(cut(bytes, positions))).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });

  test("truncated at any byte has the first error of the validator", async () => {
    const bytes = files.get(name)!;
    const whole = await pushed([bytes]);
    for (const end of numbers(0, bytes.length - 1, 7)) {
      const part = bytes.slice(0, end);
      const { events, error } = await pushed(inPieces(part, 97));
      expect(error, `${end} bytes`).toEqual(await validated(part));
      expect(error).toEqual({ kind: end < 64 ? "TRUNCATED_PROLOGUE" : "TRUNCATED_FILE", offset: end });
      // Earlier events are the beginning of the events of the whole file.
      expect(events.every((event, i) => event === whole.events[i])).toBe(true);
      expect(events.length).toBeLessThan(whole.events.length);
    }
  });

  test("with a byte behind it is refused, whenever that byte comes", async () => {
    const longer = new Uint8Array(Buffer.concat([files.get(name)!, Uint8Array.of(7)]));
    for (const positions of [[], [longer.length - 1], [1, 64, longer.length - 2]]) {
      const { events, error } = await pushed(cut(longer, positions));
      expect(error).toEqual({ kind: "TRAILING_BYTES", offset: longer.length - 1 });
      expect(error).toEqual(await validated(longer));
      expect(events.some((event) => event.startsWith('{"type":"end"'))).toBe(false);
    }
  });
});

describe("damage", () => {
  test("any flipped byte of the example has the first error of the readers of whole files", async () => {
    for (const at of numbers(0, example.length - 1, 5))
      for (const mask of [1 << (at % 8), 0xff]) {
        const bytes = example.slice();
        bytes[at]! ^= mask;
        const told = await pushed([bytes]);
        expect(told.error, `byte ${at}`).toBeDefined();
        expect(told.error, `byte ${at}`).toEqual(await opened(bytes));
        expect(told.error, `byte ${at}`).toEqual(await validated(bytes));
        expect(await pushed(inPieces(bytes, 1)), `byte ${at}`).toEqual(told);
      }
  });

  test("flipped and cut short, however it arrives, it has the first error of the validator", async () => {
    const bytes = files.get("a bit of everything")!;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
        fc.nat(bytes.length),
        fc.array(fc.nat(bytes.length), { maxLength: 8 }),
        async (flips, end, positions) => {
          const damaged = bytes.slice();
          for (const [at, mask] of flips) damaged[at]! ^= mask;
          const part = damaged.slice(0, end);
          const told = await pushed(
            cut(
              part,
              positions.map((p) => p % (end + 1)),
            ),
          );
          expect(told.error).toEqual(await validated(part));
          expect(told).toEqual(await pushed([part]));
        },
      ),
      { numRuns: thorough ? 300 : 60 },
    );
  });

  test("of a file of the wrong length: open and the stream report what comes first", async () => {
    const short = example.slice(0, 462);
    for (const bytes of [short, Uint8Array.of(...example, 0)]) {
      bytes[290]! ^= 1;
      expect(await opened(bytes)).toEqual({ kind: "CHUNK_CRC", offset: 296 });
      expect((await pushed([bytes])).error).toEqual({ kind: "CHUNK_CRC", offset: 296 });
    }
  });

  test("ends the decoder: the same error from then on, no events, no buffer kept, and where it stopped", async () => {
    const bytes = files.get("a bit of everything")!.slice();
    const file = await open(bytes.slice());
    const bad = file.modules[1]!;
    bytes[bad.chunk.offset + 2]! ^= 4;
    const events: LqaEvent[] = [];
    const decoder = new LqaDecoder((event) => void events.push(event));
    const [first, second] = cut(bytes, [bad.chunk.offset + 10]) as [Uint8Array, Uint8Array];
    await decoder.push(first);
    expect(decoder.heldBytes).toBeGreaterThan(0);
    const error = await decoder.push(second).catch((e: unknown) => e);
    expect(isLqaError(error, "CHUNK_CRC")).toBe(true);
    expect(events.map((e) => e.type)).toEqual(["header", "module"]);
    for (const again of [decoder.push(second), decoder.end()])
      expect(await again.catch((e: unknown) => e)).toBe(error);
    expect(events).toHaveLength(2);
    expect(decoder.error).toBe(error);
    expect(decoder.offset).toBe(bad.chunk.offset);
    expect(decoder.received).toBe(bytes.length);
    expect(decoder.heldBytes).toBe(0);
  });
});

describe("a decoder", () => {
  test("tells how far it has come", async () => {
    const bytes = files.get("a bit of everything")!;
    const file = await open(bytes);
    const seen: number[] = [];
    const decoder = new LqaDecoder((event) => {
      if (event.type === "module") seen.push(event.record.chunk.offset);
    });
    for (const piece of inPieces(bytes, 1)) await decoder.push(piece);
    expect(seen).toEqual(file.modules.map((m) => m.chunk.offset));
    expect(decoder.offset).toBe(bytes.length);
    expect(await decoder.end()).toEqual(await file.verify());
    expect(decoder.offset).toBe(bytes.length);
  });

  test("tells progress: what passed its checks, up to the whole file, the same for every cut, none after an error", async () => {
    const bytes = files.get("a bit of everything")!;
    const file = await open(bytes);
    const progress = async (input: Uint8Array, size: number) => {
      const told: [number, number][] = [];
      const decoder = new LqaDecoder(() => {}, { onProgress: (...facts) => told.push(facts) });
      let error: unknown;
      try {
        for (const piece of inPieces(input, size)) await decoder.push(piece);
        await decoder.end();
      } catch (e) {
        error = e;
      }
      return { told, error };
    };
    const { told, error } = await progress(bytes, bytes.length);
    expect(error).toBeUndefined();
    const { offset, length } = file.modules[0]!.chunk;
    expect(told[0]).toEqual([offset + length, bytes.length]);
    expect(told.at(-1)).toEqual([bytes.length, bytes.length]);
    expect(told.map(([done]) => done)).toEqual(
      [...new Set(told.map(([done]) => done))].sort((x, y) => x - y),
    );
    expect(await progress(bytes, 1)).toEqual({ told, error: undefined });
    const damaged = bytes.slice();
    damaged[file.modules[1]!.chunk.offset]! ^= 1;
    const stopped = await progress(damaged, 7);
    expect(isLqaError(stopped.error, "CHUNK_CRC")).toBe(true);
    expect(stopped.told).toEqual(told.filter(([done]) => done <= file.modules[1]!.chunk.offset));
    const mistake = new Error("mine");
    const decoder = new LqaDecoder(() => {}, {
      onProgress: () => {
        throw mistake;
      },
    });
    await expect(decoder.push(bytes)).rejects.toBe(mistake);
    await expect(decoder.end()).rejects.toBe(mistake);
    expect(decoder.heldBytes).toBe(0);
  });

  test("keeps nothing of what was pushed, and nothing of what it told", async () => {
    const bytes = files.get("a bit of everything")!;
    const told: unknown[] = [];
    const events: LqaEvent[] = [];
    const decoder = new LqaDecoder((event) => {
      events.push(event);
      told.push(structuredClone(JSON.parse(JSON.stringify(event))));
      // The receiver may do as it likes with its data.
      if (event.type === "tensor") event.tensor.data.fill(1);
    });
    const scratch = new Uint8Array(100);
    for (const piece of inPieces(bytes, 100)) {
      scratch.fill(0xee).set(piece);
      await decoder.push(scratch.subarray(0, piece.length));
    }
    await decoder.end();
    const whole: unknown[] = [];
    const other = new LqaDecoder((event) => void whole.push(JSON.parse(JSON.stringify(event))));
    await other.push(bytes);
    await other.end();
    expect(told).toEqual(whole);
    const module = events.find((e) => e.type === "module")!;
    expect(module.decode()).toEqual(await (await open(bytes)).decode(module.record));
  });

  test("holds no more than the index or one chunk", async () => {
    const bytes = files.get("an encoded adapter")!;
    const file = await open(bytes);
    const largest = Math.max(
      file.prologue.indexLength,
      ...[...file.modules, ...file.tensors, ...file.sections].map(({ chunk }) => chunk.length),
    );
    const decoder = new LqaDecoder(() => {});
    let most = 0;
    for (const piece of inPieces(bytes, 5)) {
      await decoder.push(piece);
      most = Math.max(most, decoder.heldBytes);
    }
    await decoder.end();
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(largest);
    expect(decoder.heldBytes).toBe(0);
  });

  test("reserves by what has arrived, not by what was promised", async () => {
    const shape = [48 * 2 ** 20];
    const big = tensor("big", { element: "U8", shape, data: new Uint8Array(shape[0]!) });
    const bytes = await fileBytes({ modules: [], tensors: [big], sections: [], compressTensors: false });
    const decoder = new LqaDecoder(() => {});
    await decoder.push(bytes.subarray(0, 5000));
    expect(decoder.heldBytes).toBeLessThanOrEqual(2 ** 20);
    await decoder.push(bytes.subarray(5000, 3 * 2 ** 20));
    expect(decoder.heldBytes).toBeLessThanOrEqual(6 * 2 ** 20);
    for (const piece of inPieces(bytes.subarray(3 * 2 ** 20), 2 ** 20)) await decoder.push(piece);
    expect(await decoder.end()).toEqual(await (await open(bytes)).verify());
  });

  test("refuses a chunk above its budget before it takes any of it, after the header", async () => {
    const bytes = files.get("a bit of everything")!;
    const file = await open(bytes);
    const largest = Math.max(...file.modules.map(({ payload }) => payload));
    const first = file.modules.find(({ payload }) => payload === largest)!;
    const { events, error } = await pushed(inPieces(bytes, 11), { budgetBytes: largest - 1 });
    expect(error).toEqual({ kind: "BUDGET", offset: first.chunk.offset });
    expect(events).toHaveLength(1 + file.modules.indexOf(first));
    expect(await pushed([bytes], { budgetBytes: largest - 1 })).toEqual({ events, error });
    // 6400 zeros, compressed to some dozen bytes: it is the raw size that counts.
    const packed = { ...smallInput(), modules: [], tensors: [smallInput().tensors[5]!] };
    const zeros = await fileBytes(packed);
    expect(zeros.length).toBeLessThan(1000);
    expect((await pushed([zeros], { budgetBytes: 6400 })).error?.kind).toBe("BUDGET");
    expect((await pushed([zeros], { budgetBytes: 6600 })).error).toBeUndefined();
  });

  test("knows limits", async () => {
    const bytes = files.get("a bit of everything")!;
    expect((await pushed([bytes], { limits: "hard" })).error).toBeUndefined();
  });

  test("waits for its receiver, and ends with what that throws", async () => {
    const bytes = files.get("a bit of everything")!;
    let inside = 0;
    const waiting = new LqaDecoder(async () => {
      expect(++inside).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      inside--;
    });
    await waiting.push(bytes);
    await waiting.end();
    const own = new Error("no more");
    const throwing = new LqaDecoder((event) => {
      if (event.type === "tensor") throw own;
    });
    await expect(throwing.push(bytes)).rejects.toBe(own);
    await expect(throwing.push(bytes)).rejects.toBe(own);
    expect(throwing.heldBytes).toBe(0);
  });

  test("is ended by a target of the wrong size or type, and tells nothing after it", async () => {
    const bytes = files.get("a bit of everything")!;
    const file = await open(bytes);
    const {
      b: { data: b },
      a: { data: a },
    } = await file.decode(file.modules[1]!);
    const bad: FactorArrays[] = [
      { b, a: new Float32Array(a.length - 1) },
      { b: new Uint16Array(b.length), a },
    ];
    for (const into of bad) {
      const types: string[] = [];
      const decoder = new LqaDecoder((event) => {
        types.push(event.type);
        if (event.type === "module" && types.length === 3) event.decode({ into });
      });
      const error = await decoder.push(bytes).catch((e: unknown) => e);
      expect(isLqaError(error, "TARGET_SIZE")).toBe(true);
      expect(types).toEqual(["header", "module", "module"]);
      await expect(decoder.end()).rejects.toBe(error);
      expect(types).toHaveLength(3);
      expect(decoder.heldBytes).toBe(0);
      const { offset, length } = file.modules[1]!.chunk;
      expect(decoder.offset).toBe(offset + length);
    }
  });

  test("stops on request, by signal or by call", async () => {
    const bytes = files.get("a bit of everything")!;
    for (const way of ["signal", "call"]) {
      const control = new AbortController();
      const types: string[] = [];
      const decoder: LqaDecoder = new LqaDecoder(
        ({ type }) => {
          types.push(type);
          if (types.length < 3) return;
          if (way === "signal") control.abort(new Error("enough"));
          else decoder.abort(new Error("enough"));
        },
        { signal: control.signal },
      );
      const error = await decoder.push(bytes).catch((e: unknown) => e);
      expect(isLqaError(error, "ABORTED")).toBe(true);
      expect((error as Error).cause).toMatchObject({ message: "enough" });
      expect(types).toEqual(["header", "module", "module"]);
      await expect(decoder.end()).rejects.toBe(error);
      expect(decoder.heldBytes).toBe(0);
    }
  });

  test("says what is wrong about a wrong use", async () => {
    const bytes = files.get("a bit of everything")!;
    const decoder = new LqaDecoder(() => {});
    await expect(decoder.push("text" as never)).rejects.toThrow(TypeError);
    const push = decoder.push(bytes);
    await expect(decoder.push(bytes)).rejects.toThrow(/wait for the push/);
    await push;
    await decoder.end();
    await expect(decoder.push(bytes)).rejects.toThrow(/has ended/);
    await expect(decoder.end()).rejects.toThrow(/has ended/);
  });

  test("checks what META holds before it tells it", async () => {
    const bytes = await fileBytes({
      modules: [],
      tensors: [],
      sections: [section("META", Uint8Array.of(0x80))],
    });
    expect(JSON.parse((await pushed([bytes])).events[1]!)).toMatchObject({
      type: "section",
      data: "gA==",
      map: {},
    });
    const bad = await fileBytes({
      modules: [],
      tensors: [],
      sections: [section("META", Uint8Array.of(0x90))],
    });
    expect((await pushed([bad])).error?.kind).toBe("META_ENCODING");
  });
});
