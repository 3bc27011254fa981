/**
 * Reading by ranges: the same modules as from the whole file, with few requests, from a file, a Blob and a server.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type ByteSource,
  blobSource,
  httpSource,
  isLqaError,
  type ModuleRecord,
  memorySource,
  type OpenOptions,
  open,
} from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { openFileSource } from "../../src/node/index.ts";
import { bands, concat, fileBytes, packed, shape, smallInput, tensor } from "../container/fixtures.ts";
import { findNginx, startNginx } from "../helpers/nginx.ts";
import { answerRange, good, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { createModule } from "../workers/modules.ts";
import { finding, opened, text } from "./events.ts";

let small: Uint8Array;
/** 40 modules of 12 KB: longer than the first request. */
let large: Uint8Array;
/** An index longer than the first request. */
let wide: Uint8Array;
/** With META, and an ORIG that is compressed with the text dictionary. */
let encoded: Uint8Array;
beforeAll(async () => {
  small = await fileBytes(smallInput());
  const many = Array.from({ length: 40 }, (_, i) =>
    packed(shape(`layers.${i}.q`, { out: 5000, in: 5000, rank: 5, alpha: 10 }), bands(2, 3), i + 1),
  );
  large = await fileBytes({ ...smallInput(), modules: many, tensors: [smallInput().tensors[0]!] });
  const names = Array.from({ length: 2500 }, (_, i) => `${(i * 7919 * 104729).toString(36)}.${i}.projection`);
  wide = await fileBytes({
    modules: names.map((name, i) => packed(shape(name, { out: 4, in: 4 }), bands(1, 3), i + 1)),
    tensors: [],
    sections: [],
    alignment: 256,
  });
  const config = new TextEncoder().encode('{"peft_type":"LORA","r":3,"lora_alpha":6}'.repeat(9));
  const modules = Array.from({ length: 6 }, (_, i) => createModule(`layers.${i}.q`, 4000, 4000, 8, i));
  const adapter = { modules, tensors: [], origin: { dialect: "peft", config }, meta: { base_model: "tiny" } };
  encoded = (await encodeAdapter(adapter, { profile: "raw", element: "f16" })).bytes;
});

/** A source that remembers what was read. */
function watched(bytes: Uint8Array): ByteSource & { readonly reads: [offset: number, length: number][] } {
  const reads: [number, number][] = [];
  const source = memorySource(bytes);
  return {
    size: bytes.length,
    reads,
    read(offset, length, signal) {
      reads.push([offset, length]);
      return source.read(offset, length, signal);
    },
  };
}

describe("a source", () => {
  test("gives what the whole file gives, from memory, a Blob, a file and a server", async () => {
    const folder = temporaryDirectory();
    for (const bytes of [small, large, encoded]) {
      const path = join(folder, `${bytes.length}.lqa`);
      writeFileSync(path, bytes);
      const whole = await open(bytes);
      const fileSource = await openFileSource(path);
      const files = [
        await open(memorySource(bytes)),
        await open(blobSource(new Blob([bytes as BlobPart]))),
        await open(fileSource),
        await open(new URL((await serve(good(bytes))).url)),
      ];
      for (const file of files) {
        expect(file.index).toEqual(whole.index);
        expect(file.prologue).toEqual(whole.prologue);
        expect(await file.shapeFingerprint()).toBe(await whole.shapeFingerprint());
        expect(await file.meta()).toEqual(await whole.meta());
        expect(await file.origin()).toEqual(await whole.origin());
        const ids = await whole.verify();
        expect(await file.storedIds()).toEqual(ids);
        expect(await file.verify()).toEqual(ids);
        const names: string[] = [];
        for await (const { record, factors, decode } of file.packedAll()) {
          names.push(record.name);
          expect(text(factors) === text(await whole.packed(record))).toBe(true);
          const how = { type: "f16" } as const;
          expect(text(decode(how)) === text(await whole.decode(record, how))).toBe(true);
        }
        expect(names).toEqual(whole.modules.map((m) => m.name));
        const { name } = whole.modules[2]!;
        const how = { layout: "component" } as const;
        expect(text(await file.decode(name, how)) === text(await whole.decode(name, how))).toBe(true);
        const packed = await file.packed(file.module(name));
        expect(text(packed) === text(await whole.packed(whole.module(name)))).toBe(true);
        for (const tensor of file.tensors)
          expect(await file.tensor(tensor)).toEqual(await whole.tensor(tensor));
        expect(() => file.module("nobody")).toThrow(/USAGE/);
      }
      await fileSource.close();
    }
  });

  test("that is small is read at once", async () => {
    const source = watched(small);
    const file = await open(source);
    await file.meta();
    await file.verify();
    for await (const _ of file.packedAll());
    expect(source.reads).toEqual([[0, 65536]]);
  });

  test("with a long index is read in two steps, and its end", async () => {
    const source = watched(wide);
    const file = await open(source);
    expect(file.modules).toHaveLength(2500);
    expect(file.prologue.indexLength).toBeGreaterThan(65536);
    expect(source.reads).toHaveLength(3);
    expect(await file.verify()).toEqual(await (await open(wide)).verify());
    expect(source.reads).toHaveLength(4);
  });

  test("has its metadata and ids read with one request, once", async () => {
    const source = watched(encoded);
    const file = await open(source);
    expect(source.reads).toHaveLength(2);
    await file.origin();
    await file.meta();
    await file.storedIds();
    expect(source.reads).toHaveLength(2);
    const [offset, length] = source.reads[1]!;
    // The span of the sections begins before them.
    expect(offset).toBeLessThanOrEqual(file.sections[0]!.chunk.offset);
    expect(offset + length).toBe(encoded.length);
  });

  test("need not know its size", async () => {
    const { read } = memorySource(large);
    const file = await open({ read });
    expect(await file.verify()).toEqual(await (await open(large)).verify());
  });

  test("has the first error of open where it is in the part that was read", async () => {
    for (let end = 0; end < small.length; end += 3) {
      const part = small.slice(0, end);
      const error = await open(memorySource(part)).catch((e: unknown) => e);
      expect(finding(error)).toEqual(await opened(part));
    }
    for (let at = 0; at < 400; at++) {
      const bytes = small.slice();
      bytes[at]! ^= 0x41;
      const error = await open(memorySource(bytes)).catch((e: unknown) => e);
      expect(finding(error)).toEqual(await opened(bytes));
    }
    const longer = memorySource(concat([small, Uint8Array.of(0)]));
    await expect(open(longer)).rejects.toThrow(/TRAILING_BYTES/);
  });

  test("does not hand out a damaged module, and does not verify", async () => {
    const whole = await open(large);
    const bytes = large.slice();
    const bad = whole.modules[20]!;
    bytes[bad.chunk.offset + 100]! ^= 1;
    const file = await open(memorySource(bytes));
    await expect(file.packed(bad.name)).rejects.toThrow(/CHUNK_CRC/);
    const names: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const { record } of file.packedAll()) names.push(record.name);
    };
    await expect(reading()).rejects.toThrow(/CHUNK_CRC.*layers\.20\.q/);
    expect(names).toHaveLength(20);
    await expect(file.verify()).rejects.toThrow(/CHUNK_CRC/);
    expect(await file.packed("layers.21.q")).toEqual(await whole.packed(whole.module("layers.21.q")));
  });

  test("has no request under way any more when it does not verify", async () => {
    // 4 MiB are read at once, so that there is a second request when the first chunk is looked at.
    const data = new Uint8Array(5 * 2 ** 20).fill(1);
    const bytes = await fileBytes({
      ...smallInput(),
      tensors: [tensor("big", { element: "BOOL", shape: [data.length], data })],
      compressTensors: false,
    });
    const waiting: AbortSignal[] = [];
    const source: ByteSource = {
      size: bytes.length,
      stable: true,
      async read(offset, length, signal) {
        if (offset < 4 * 2 ** 20) return bytes.subarray(offset, offset + length);
        waiting.push(signal!);
        return new Promise<never>(() => {});
      },
    };
    const file = await open(source);
    const { chunk } = file.modules[0]!;
    bytes[chunk.offset]! ^= 1;
    await expect(file.verify()).rejects.toThrow(/CHUNK_CRC/);
    expect(waiting.map(({ aborted }) => aborted)).toEqual([true]);
  });

  test("has a budget for each chunk", async () => {
    const file = await open(memorySource(large), { budgetBytes: 2000 });
    await expect(file.packed("layers.3.q")).rejects.toThrow(/BUDGET/);
    await expect(file.packedAll().next()).rejects.toThrow(/BUDGET/);
    await expect(file.verify()).rejects.toThrow(/BUDGET/);
  });

  test("that has become shorter is truncated", async () => {
    let cut = large.length;
    const source: ByteSource = {
      size: large.length,
      read: async (offset, length) => large.subarray(offset, Math.min(offset + length, cut)),
    };
    const file = await open(source);
    cut = 200_000;
    await expect(file.packed("layers.30.q")).rejects.toThrow(/TRUNCATED_FILE/);
    await expect(file.verify()).rejects.toThrow(/TRUNCATED_FILE.*at byte 200000/);
  });

  test("reports progress, and stops on request", async () => {
    const file = await open(memorySource(large), { rangeBytes: 30_000 });
    const told: number[] = [];
    for await (const _ of file.packedAll({ onProgress: (done, all) => told.push(done / all) }));
    expect(told).toHaveLength(file.plan().length);
    expect(told.at(-1)).toBe(1);
    expect(told).toEqual([...told].sort((x, y) => x - y));
    const verified: number[] = [];
    await file.verify({ onProgress: (done, all) => verified.push(done / all) });
    expect(verified).toEqual([1]);
    const control = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const _ of file.packedAll({ signal: control.signal })) control.abort();
    };
    const error = await reading().catch((e: unknown) => e);
    expect(isLqaError(error, "ABORTED")).toBe(true);
    for (const call of [
      file.verify({ signal: control.signal }),
      file.meta({ signal: control.signal }),
      file.packed("layers.39.q", { signal: control.signal }),
    ])
      await expect(call).rejects.toThrow(/ABORTED/);
    // Nobody else is stopped by that.
    expect(await file.meta()).toEqual({ a: 1 });
  });
});

describe("plan", () => {
  test("merges neighbours, over small gaps, up to a length", async () => {
    const { modules } = await open(large);
    const [zero, one, two] = modules as unknown as readonly ModuleRecord[];
    const far = modules[20]!;
    const end = ({ chunk }: ModuleRecord): number => chunk.offset + chunk.length;
    // In any order. Between the first and the third there is the second, in which nobody is interested.
    const wanted = [far, two!, zero!, two!];
    const gap = two!.chunk.offset - end(zero!);
    const plan = async (options: OpenOptions, names = wanted) => (await open(large, options)).plan(names);
    expect(await plan({ gapBytes: gap, rangeBytes: 10 * gap })).toEqual([
      { offset: zero!.chunk.offset, length: end(two!) - zero!.chunk.offset, chunks: [zero, two] },
      { offset: far.chunk.offset, length: far.chunk.length, chunks: [far] },
    ]);
    const offsets = [zero!, two!, far].map(({ chunk }) => chunk.offset);
    expect((await plan({ gapBytes: gap - 1 })).map(({ offset }) => offset)).toEqual(offsets);
    // Up to two of them are in one range.
    const most = end(one!) - zero!.chunk.offset;
    const all = await plan({ gapBytes: large.length, rangeBytes: most }, [zero!, one!, two!]);
    expect(all.map(({ chunks }) => chunks.length)).toEqual([2, 1]);
    // A chunk above the length is still one.
    expect(await plan({ gapBytes: 0, rangeBytes: 1 })).toHaveLength(3);
    expect(await plan({}, [])).toEqual([]);
  });

  test("is what is read", async () => {
    for (const stable of [true, false]) {
      const source = { ...watched(large), stable };
      const file = await open(source, { gapBytes: 1000 });
      const wanted = ["layers.10.q", "layers.11.q", "layers.30.q"];
      const plan = file.plan(wanted);
      expect(plan.map(({ chunks }) => chunks.map(({ name }) => name))).toEqual([
        ["layers.10.q", "layers.11.q"],
        ["layers.30.q"],
      ]);
      const before = source.reads.length;
      for await (const _ of file.packedAll({ modules: wanted }));
      expect(source.reads.slice(before)).toEqual(plan.map(({ offset, length }) => [offset, length]));
      // A span has 32 KiB and at most a chunk more; a stable source is read by chunks.
      const { chunk } = file.module("layers.30.q");
      const [least, most] = stable ? [chunk.length, chunk.length] : [32768, 32768 + 2 * chunk.length];
      expect(plan[1]!.length).toBeGreaterThanOrEqual(least);
      expect(plan[1]!.length).toBeLessThanOrEqual(most);
    }
  });
});

describe("a server", () => {
  test("gets one request for a small file, two for a larger one, three for a long index", async () => {
    for (const [bytes, count] of [
      [small, 1],
      [large, 2],
      [wide, 3],
    ] as const) {
      const server = await serve(good(bytes));
      await open(new URL(server.url));
      expect(server.requests).toHaveLength(count);
      expect(server.requests[0]!.headers.range).toBe("bytes=0-65535");
    }
  });

  test("gets several requests at once, no more than allowed, and none after the reader left", async () => {
    const server = await serve(async (_request, response, asked) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      answerRange(large, response, asked);
    });
    const file = await open(httpSource(server.url, { concurrency: 3 }), {
      rangeBytes: 15_000,
      gapBytes: 0,
      ahead: 8,
    });
    expect(file.plan().length).toBeGreaterThan(8);
    let modules = 0;
    for await (const _ of file.packedAll()) modules++;
    expect(modules).toBe(40);
    expect(server.most()).toBe(3);
    const before = server.requests.length;
    for await (const _ of file.packedAll()) break;
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(server.requests.length - before).toBeLessThan(10);
  });

  test("whose file changes while it is read is found out", async () => {
    let tag = '"v1"';
    const server = await serve((_request, response, asked) =>
      answerRange(large, response, asked, { etag: tag }),
    );
    const file = await open(httpSource(server.url, { attempts: 2, pauseMs: 1 }));
    await file.packed("layers.20.q");
    tag = '"v2"';
    for (const call of [() => file.packed("layers.30.q"), () => file.verify(), () => file.packedAll().next()])
      await expect(call()).rejects.toThrow(/REMOTE_CHANGED/);
  });

  test("that ignores ranges serves everything with one answer", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(200);
      response.end(large);
    });
    const file = await open(new URL(server.url));
    expect(await file.verify()).toEqual(await (await open(large)).verify());
    expect(server.requests).toHaveLength(1);
  });

  test("that lies about the length of the file is found out", async () => {
    for (const total of [large.length - 1, large.length + 1]) {
      const server = await serve((_request, response, { range }) => {
        const [first, last] = range!;
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${total}` });
        response.end(large.subarray(first, last + 1));
      });
      await expect(open(new URL(server.url))).rejects.toThrow(/TRUNCATED_FILE|TRAILING_BYTES/);
    }
  });

  test("that sends a page instead is detected", async () => {
    const page = new TextEncoder().encode(`<!doctype html>${" ".repeat(1000)}`);
    const server = await serve((_request, response) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end(page);
    });
    await expect(open(new URL(server.url))).rejects.toThrow(/BAD_MAGIC/);
  });

  test("may be stopped at any time", async () => {
    const control = new AbortController();
    const server = await serve((_request, response, asked) => {
      if (asked.number < 2) answerRange(large, response, asked);
      else setTimeout(() => control.abort(), 5);
    });
    const file = await open(httpSource(server.url, { signal: control.signal }));
    const error = await file.verify().catch((e: unknown) => e);
    expect(isLqaError(error, "ABORTED")).toBe(true);
    await expect(open(httpSource(server.url, { signal: control.signal }))).rejects.toThrow(/ABORTED/);
  });
});

const nginx = findNginx();
if (nginx === undefined) console.log("skipped: ranges from nginx: it is not installed (Debian: nginx-light)");

describe.skipIf(nginx === undefined)("nginx", () => {
  let server: Awaited<ReturnType<typeof startNginx>>;
  beforeAll(async () => {
    server = await startNginx(nginx!);
    for (const [name, bytes] of Object.entries({ large, wide, encoded, small }))
      writeFileSync(join(server.folder, `${name}.lqa`), bytes);
  });

  test.each(["large", "wide", "encoded", "small"])("serves %s", async (name) => {
    const bytes = { large, wide, encoded, small }[name]!;
    const whole = await open(bytes);
    const file = await open(new URL(`${server.url}/${name}.lqa`));
    expect(await file.verify()).toEqual(await whole.verify());
    expect(await file.meta()).toEqual(await whole.meta());
    const wanted = whole.modules.filter((_, i) => i % 7 === 3);
    let at = 0;
    for await (const { record, factors } of file.packedAll({ modules: wanted.map((m) => m.name) })) {
      expect(record).toEqual(wanted[at++]);
      expect(text(factors) === text(await whole.packed(record))).toBe(true);
    }
    expect(at).toBe(wanted.length);
  });

  test("compresses what it sends whole, and with ranges turned off", async () => {
    const file = await open(new URL(`${server.url}/whole/encoded.lqa`));
    expect(await file.verify()).toEqual(await (await open(encoded)).verify());
  });

  test("says when the file was replaced", async () => {
    const path = join(server.folder, "changing.lqa");
    writeFileSync(path, large);
    const file = await open(new URL(`${server.url}/changing.lqa`));
    await file.packed("layers.20.q");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    writeFileSync(path, concat([large, large]));
    await expect(file.packed("layers.30.q")).rejects.toThrow(/REMOTE_CHANGED/);
  });

  test("has no such file", async () => {
    await expect(open(new URL(`${server.url}/nothing.lqa`))).rejects.toThrow(/NOT_FOUND/);
  });
});
