/**
 * Streams over the push decoder: every kind of source, back-pressure, early ends and aborts.
 */
import { spawnSync } from "node:child_process";
import { createReadStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeStream, type LqaEvent, lqaEvents, lqaStream, openLqa } from "../../src/core/index.ts";
import { isLqaError } from "../../src/errors.ts";
import { fileBytes, smallInput } from "../container/fixtures.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { cut, inPieces, plain, pushed } from "./events.ts";

let bytes: Uint8Array;
let whole: string[];
beforeAll(async () => {
  bytes = await fileBytes(smallInput());
  whole = (await pushed([bytes])).events;
});

async function collect(events: AsyncIterable<LqaEvent>): Promise<string[]> {
  const told: string[] = [];
  for await (const event of events) told.push(plain(event));
  return told;
}

/** A web stream that counts what was taken from it, and remembers how it was cancelled. */
function counted(pieces: readonly Uint8Array[]): {
  stream: ReadableStream<Uint8Array>;
  taken(): number;
  cancelled: Promise<unknown>;
} {
  let at = 0;
  let cancel: (reason: unknown) => void;
  const cancelled = new Promise<unknown>((resolve) => (cancel = resolve));
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at < pieces.length) controller.enqueue(pieces[at++]!);
        else controller.close();
      },
      cancel: (reason) => cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { stream, taken: () => at, cancelled };
}

describe("a source", () => {
  test("may be a web stream, a Blob, a response, a file, a generator or an array", async () => {
    const path = join(temporaryDirectory(), "a.lqa");
    writeFileSync(path, bytes);
    const pieces = inPieces(bytes, 100);
    const sources = [
      counted(pieces).stream,
      new Blob([bytes as BlobPart]),
      new Blob([bytes as BlobPart]).stream(),
      new Response(bytes as BodyInit).body!,
      createReadStream(path, { highWaterMark: 77 }),
      (async function* () {
        yield* pieces;
      })(),
      pieces,
    ];
    for (const source of sources) expect(await collect(lqaEvents(source))).toEqual(whole);
  });

  test("may be standard input", () => {
    const script = `
      import { decodeStream } from ${JSON.stringify(new URL("../../dist/core/index.js", import.meta.url).href)};
      let n = 0;
      for await (const { b } of decodeStream(process.stdin)) n += b.length;
      console.log(n);`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { input: bytes });
    expect(String(stdout).trim()).toBe(String(4 * 24 + 3 * 24 + 2 * 7 + 2 * 8));
  });

  test("of something else than bytes is a mistake of the program", async () => {
    for (const bad of [["text"], [[1, 2]], [new Uint16Array(4)]])
      await expect(collect(lqaEvents(bad as never))).rejects.toThrow(TypeError);
    await expect(collect(lqaEvents(new Response("text") as never))).rejects.toThrow("give its body");
  });

  test("that fails is an IO error with its cause", async () => {
    const cause = new Error("connection reset");
    const broken = (async function* () {
      yield bytes.subarray(0, 500);
      throw cause;
    })();
    const error = await collect(lqaEvents(broken)).catch((e: unknown) => e);
    expect(isLqaError(error, "IO")).toBe(true);
    expect((error as Error).cause).toBe(cause);
  });

  test("is asked for a piece when the events of the last one have been taken", async () => {
    const { stream, taken } = counted(inPieces(bytes, 64));
    const events = lqaEvents(stream);
    expect(taken()).toBe(0);
    const file = await openLqa(bytes);
    await events.next();
    for (const { chunk } of file.modules) {
      const { value } = await events.next();
      expect(value!.type).toBe("module");
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(taken()).toBe(Math.ceil((chunk.offset + chunk.length) / 64));
    }
    await events.return();
  });

  test("is cancelled when the reader leaves, and when the file is bad", async () => {
    const left = counted(inPieces(bytes, 64));
    for await (const event of lqaEvents(left.stream)) if (event.type === "module") break;
    await left.cancelled;
    const damaged = bytes.slice();
    damaged[100]! ^= 1;
    const bad = counted(inPieces(damaged, 64));
    const error = await collect(lqaEvents(bad.stream)).catch((e: unknown) => e);
    expect(isLqaError(error, "INDEX_CRC")).toBe(true);
    await bad.cancelled;
    expect(bad.taken()).toBeLessThan(bytes.length / 64);
    // A Node stream is closed, too.
    const path = join(temporaryDirectory(), "b.lqa");
    writeFileSync(path, damaged);
    const file = createReadStream(path, { highWaterMark: 64 });
    const closed = new Promise((resolve) => file.once("close", () => resolve(undefined)));
    await expect(collect(lqaEvents(file))).rejects.toThrow(/INDEX_CRC/);
    await closed;
    expect(file.destroyed).toBe(true);
  });

  test("that hangs does not keep an abort from coming through", async () => {
    const control = new AbortController();
    const hanging = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes.slice(0, 700)),
    });
    const reading = collect(lqaEvents(hanging, { signal: control.signal }));
    setTimeout(() => control.abort(new Error("enough")), 5);
    const error = await reading.catch((e: unknown) => e);
    expect(isLqaError(error, "ABORTED")).toBe(true);
    expect((error as Error).cause).toMatchObject({ message: "enough" });
    await expect(collect(lqaEvents(inPieces(bytes, 9), { signal: control.signal }))).rejects.toThrow(
      /ABORTED/,
    );
  });
});

describe("decodeStream", () => {
  test("gives the modules of the file, decoded as asked, and the ids in the end", async () => {
    const file = await openLqa(bytes);
    let modules: number | undefined;
    const stream = decodeStream(inPieces(bytes, 100), {
      decode: { type: "f16", layout: "component" },
      onHeader: ({ index }) => (modules = index.modules.length),
    });
    const names: string[] = [];
    for (;;) {
      const { done, value } = await stream.next();
      if (done === true) {
        expect(value).toEqual(await file.verify());
        break;
      }
      const { record, b, a } = value;
      expect(modules).toBe(4);
      expect({ b, a }).toEqual(file.decodeModule(record.name, { type: "f16", layout: "component" }));
      names.push(record.name);
    }
    expect(names).toEqual(file.modules.map((m) => m.name));
  });

  test("throws after the last module if what follows is bad: nothing was final", async () => {
    const damaged = bytes.slice();
    damaged[damaged.length - 30]! ^= 1;
    const names: string[] = [];
    const reading = (async () => {
      for await (const { record } of decodeStream(inPieces(damaged, 100))) names.push(record.name);
    })();
    await expect(reading).rejects.toThrow(/TRAILER_CRC|ROOT_DIGEST|TRAILER_MISMATCH/);
    expect(names).toHaveLength(4);
  });
});

describe("lqaStream", () => {
  test("is a transform from bytes to events", async () => {
    for (const size of [1, 100, 100_000]) {
      const told: string[] = [];
      await counted(inPieces(bytes, size))
        .stream.pipeThrough(lqaStream())
        .pipeTo(new WritableStream({ write: (event) => void told.push(plain(event)) }));
      expect(told).toEqual(whole);
    }
  });

  test("closes its writable side when everything has been checked", async () => {
    const { readable, writable } = lqaStream();
    const writer = writable.getWriter();
    const reading = (async () => {
      const reader = readable.getReader();
      const told: string[] = [];
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return told;
        told.push(plain(value));
      }
    })();
    for (const piece of inPieces(bytes, 300)) await writer.write(piece);
    await writer.close();
    expect(await reading).toEqual(whole);
  });

  test("takes a piece when its predecessor's events have been read", async () => {
    const { stream, taken } = counted(cut(bytes, [bytes.length - 100, bytes.length - 50]));
    const reader = stream.pipeThrough(lqaStream()).getReader();
    for (const type of ["header", "module", "module"]) expect((await reader.read()).value!.type).toBe(type);
    await new Promise((resolve) => setTimeout(resolve, 5));
    // The first is in work, and the pipe holds the second.
    expect(taken()).toBeLessThanOrEqual(2);
    await reader.cancel();
  });

  test("fails on both sides with the first error of the file", async () => {
    const damaged = bytes.slice();
    damaged[(await openLqa(bytes)).modules[2]!.chunk.offset]! ^= 1;
    const { stream, cancelled } = counted(inPieces(damaged, 64));
    const told: string[] = [];
    const piped = stream
      .pipeThrough(lqaStream())
      .pipeTo(new WritableStream({ write: (event) => void told.push(plain(event)) }));
    const error = await piped.catch((e: unknown) => e);
    expect(isLqaError(error, "CHUNK_CRC")).toBe(true);
    expect(told).toEqual(whole.slice(0, 3));
    expect(await cancelled).toBe(error);
  });

  test("passes on that its source failed, that its reader left, and an abort", async () => {
    const failing = new ReadableStream<Uint8Array>({ pull: (c) => c.error(new Error("gone")) });
    const reader = failing.pipeThrough(lqaStream()).getReader();
    expect(isLqaError(await reader.read().catch((e: unknown) => e), "IO")).toBe(true);

    const left = counted(inPieces(bytes, 64));
    const leaving = left.stream.pipeThrough(lqaStream()).getReader();
    await leaving.read();
    await leaving.cancel("seen enough");
    expect(await left.cancelled).toBe("seen enough");

    // Also while a read waits for bytes that do not come.
    const { readable, writable } = lqaStream();
    const waiting = readable.getReader();
    const pending = waiting.read();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await waiting.cancel("no patience");
    expect(await pending).toMatchObject({ done: true });
    const late = await writable
      .getWriter()
      .write(bytes)
      .catch((e: unknown) => e);
    expect(late).toBe("no patience");

    const control = new AbortController();
    const never = new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(bytes.slice(0, 1500)) });
    const aborted = never.pipeThrough(lqaStream({ signal: control.signal })).getReader();
    await aborted.read();
    setTimeout(() => control.abort(), 5);
    const drain = async (): Promise<void> => {
      while (!(await aborted.read()).done);
    };
    expect(isLqaError(await drain().catch((e: unknown) => e), "ABORTED")).toBe(true);
  });
});
