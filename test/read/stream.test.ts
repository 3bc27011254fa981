/**
 * Streams over the push decoder: every kind of source, back-pressure, early ends and aborts.
 */
import { spawnSync } from "node:child_process";
import { createReadStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type DecodedModule,
  decodeStream,
  isLqaError,
  open,
  type Pieces,
  type StreamOptions,
} from "../../src/core/index.ts";
import { fileBytes, smallInput } from "../container/fixtures.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { inPieces, text } from "./events.ts";

let bytes: Uint8Array;
let whole: string[];
beforeAll(async () => {
  bytes = await fileBytes(smallInput());
  const file = await open(bytes);
  whole = await Promise.all(file.modules.map(async (module) => text(await file.decode(module))));
});

/** The modules of a stream, each as a text that has everything in it. */
async function collect(source: Pieces, options?: StreamOptions): Promise<string[]> {
  const told: string[] = [];
  for await (const module of decodeStream(source, options)) told.push(text(module));
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
    for (const source of sources) expect(await collect(source)).toEqual(whole);
  });

  test("may be standard input", () => {
    const script = `
      import { decodeStream } from ${JSON.stringify(new URL("../../dist/core/index.js", import.meta.url).href)};
      let n = 0;
      for await (const { b } of decodeStream(process.stdin)) n += b.data.length;
      console.log(n);`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { input: bytes });
    expect(String(stdout).trim()).toBe(String(4 * 24 + 3 * 24 + 2 * 7 + 2 * 8));
  });

  test("of something else than bytes is a mistake of the program", async () => {
    for (const bad of [["text"], [[1, 2]], [new Uint16Array(4)]])
      await expect(collect(bad as never)).rejects.toThrow(TypeError);
    await expect(collect(new Response("text") as never)).rejects.toThrow("give its body");
  });

  test("that fails is an IO error with its cause", async () => {
    const cause = new Error("connection reset");
    const broken = (async function* () {
      yield bytes.subarray(0, 500);
      throw cause;
    })();
    const error = await collect(broken).catch((e: unknown) => e);
    expect(isLqaError(error, "IO")).toBe(true);
    expect((error as Error).cause).toBe(cause);
  });

  test("is asked to send a piece when the modules of the last one have been taken", async () => {
    const { stream, taken } = counted(inPieces(bytes, 64));
    const modules = decodeStream(stream);
    expect(taken()).toBe(0);
    const file = await open(bytes);
    for (const { name, chunk } of file.modules) {
      const { value } = await modules.next();
      expect((value as DecodedModule<"f32">).name).toBe(name);
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(taken()).toBe(Math.ceil((chunk.offset + chunk.length) / 64));
    }
    await modules.return(undefined as never);
  });

  test("is cancelled when the reader leaves, and when the file is bad", async () => {
    const left = counted(inPieces(bytes, 64));
    for await (const _ of decodeStream(left.stream)) break;
    await left.cancelled;
    const damaged = bytes.slice();
    damaged[100]! ^= 1;
    const bad = counted(inPieces(damaged, 64));
    const error = await collect(bad.stream).catch((e: unknown) => e);
    expect(isLqaError(error, "INDEX_CRC")).toBe(true);
    await bad.cancelled;
    expect(bad.taken()).toBeLessThan(bytes.length / 64);
    // A Node stream is closed, too.
    const path = join(temporaryDirectory(), "b.lqa");
    writeFileSync(path, damaged);
    const file = createReadStream(path, { highWaterMark: 64 });
    const closed = new Promise((resolve) => file.once("close", () => resolve(undefined)));
    await expect(collect(file)).rejects.toThrow(/INDEX_CRC/);
    await closed;
    expect(file.destroyed).toBe(true);
  });

  test("that hangs does not keep an abort from coming through", async () => {
    const control = new AbortController();
    const hanging = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes.slice(0, 700)),
    });
    const reading = collect(hanging, { signal: control.signal });
    setTimeout(() => control.abort(new Error("enough")), 5);
    const error = await reading.catch((e: unknown) => e);
    expect(isLqaError(error, "ABORTED")).toBe(true);
    expect((error as Error).cause).toMatchObject({ message: "enough" });
    await expect(collect(inPieces(bytes, 9), { signal: control.signal })).rejects.toThrow(/ABORTED/);
  });
});

describe("decodeStream", () => {
  test("gives the modules of the file, decoded as asked, and the ids in the end", async () => {
    const file = await open(bytes);
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
      expect(modules).toBe(4);
      expect(value).toEqual(await file.decode(value.name, { type: "f16", layout: "component" }));
      names.push(value.name);
    }
    expect(names).toEqual(file.modules.map((m) => m.name));
  });

  test("throws after the last module if what follows is bad: nothing was final", async () => {
    const damaged = bytes.slice();
    damaged[damaged.length - 30]! ^= 1;
    const names: string[] = [];
    const reading = (async () => {
      for await (const { name } of decodeStream(inPieces(damaged, 100))) names.push(name);
    })();
    await expect(reading).rejects.toThrow(/TRAILER_CRC|ROOT_DIGEST|TRAILER_MISMATCH/);
    expect(names).toHaveLength(4);
  });
});
