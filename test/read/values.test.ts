/**
 * Values that break a rule (spec clauses 8.1, 8.3 and 6.8) are refused by everything that hands weights out: whole files,
 * single modules, streams, ranges, threads, pools; each gives the error that the suite states, and hands nothing of the
 * chunk out. And the first error of a file does not depend on how it is read (13.1).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  blobSource,
  decodeStream,
  isLqaError,
  LqaDecoder,
  type LqaError,
  open,
  validate,
} from "../../src/core/index.ts";
import { createWorkerPool, decodeWithWorkers } from "../../src/node/index.ts";
import { AdapterPool, memoryStore } from "../../src/serve/index.ts";
import { sample } from "../helpers/thorough.ts";
import { streamed as eventsOfStream } from "./events.ts";

const suite = fileURLToPath(new URL("../../conformance/suite", import.meta.url));

interface Case {
  readonly id: string;
  readonly file: string;
  readonly level: string;
  readonly operation?: string;
  readonly expected: { readonly error?: { readonly name: string } };
}

const cases: Case[] = JSON.parse(readFileSync(join(suite, "manifest.json"), "utf8")).cases;
const bytesOf = ({ file }: Case): Uint8Array => new Uint8Array(readFileSync(join(suite, file)));

/** Broken by a value, in a chunk that passes everything else. */
const ofValues = cases.filter(
  ({ id, operation, level, expected: { error } }) =>
    operation === undefined &&
    level === "values" &&
    /^invalid\/(scale|nonfinite|tensor)\//.test(id) &&
    ["SCALE_VALUE", "NONFINITE_VALUE", "TENSOR_RECORD"].includes(error?.name ?? ""),
);

/** What a way of reading throws: the error, or undefined. */
async function thrown(read: () => unknown): Promise<LqaError | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return error;
  }
}

async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Reads to the end of it. */
async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

const ROLES = ["replace", "bias", "magnitude", "token-rows", "token-indices"] as const;

/** Every way to the weights of a file and to its plain tensors. */
const ways: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  "open and verify": async (bytes) => (await open(bytes)).verify(),
  "open and adapter": async (bytes) => (await open(bytes)).adapter(),
  "open, decode and tensor": async (bytes) => {
    const file = await open(bytes);
    for (const module of file.modules) await file.decode(module);
    for (const tensor of file.tensors) await file.tensor(tensor);
  },
  "open, packed and tensor": async (bytes) => {
    const file = await open(bytes);
    for (const module of file.modules) await file.packed(module);
    for (const tensor of file.tensors) await file.tensor(tensor);
  },
  "a source, packedAll and tensor": async (bytes) => {
    const file = await open(blobSource(new Blob([bytes as Uint8Array<ArrayBuffer>])));
    await drain(file.packedAll());
    for (const tensor of file.tensors) await file.tensor(tensor);
  },
  "a source, decode and tensor": async (bytes) => {
    const file = await open(blobSource(new Blob([bytes as Uint8Array<ArrayBuffer>])));
    for (const module of file.modules) await file.decode(module);
    for (const tensor of file.tensors) await file.tensor(tensor);
  },
  "a source and verify": async (bytes) =>
    (await open(blobSource(new Blob([bytes as Uint8Array<ArrayBuffer>])))).verify(),
  "a stream, byte by byte": (bytes) => drain(eventsOfStream(inPieces(bytes, 1))),
  decodeStream: (bytes) => drain(decodeStream(inPieces(bytes, 100))),
  LqaDecoder: async (bytes) => {
    const decoder = new LqaDecoder(() => {});
    await decoder.push(bytes);
    await decoder.end();
  },
  "a pool that verifies": (bytes) =>
    new AdapterPool({ budgetBytes: 2 ** 24, verify: true, hostTensors: ROLES }).add("a", bytes),
};

/** Ways to modules only. */
const moduleWays: typeof ways = {
  decodeAll: async (bytes) => drain((await open(bytes)).decodeAll()),
  "decodeWithWorkers in this thread": async (bytes) => decodeWithWorkers(await open(bytes)),
  "a pool that loads modules": async (bytes) => {
    const store = memoryStore(new Map([["a", bytes]]));
    const pool = new AdapterPool({ budgetBytes: 2 ** 24, store, verify: false });
    (await pool.acquire("a")).release();
  },
};

describe("a value that breaks a rule", () => {
  it("has cases of every kind in the suite", () => {
    const kinds = new Set(ofValues.map(({ id }) => id.split("/")[1]));
    expect([...kinds].toSorted()).toEqual(["nonfinite", "scale", "tensor"]);
    expect(ofValues.length).toBeGreaterThan(50);
  });

  it.each(Object.entries(ways))("is refused by %s", async (_, read) => {
    for (const one of ofValues) {
      const bytes = bytesOf(one);
      const { error: stated } = await validate(bytes);
      const error = await thrown(() => read(bytes));
      expect(error?.kind, one.id).toBe(one.expected.error!.name);
      expect([error?.where, error?.offset], one.id).toEqual([stated?.where, stated?.offset]);
    }
  });

  it.each(Object.entries(moduleWays))("in a module is refused by %s", async (_, read) => {
    for (const one of ofValues) {
      const bytes = bytesOf(one);
      const { tensors } = await open(bytes);
      if (tensors.length > 0) continue;
      expect((await thrown(() => read(bytes)))?.kind, one.id).toBe(one.expected.error!.name);
    }
  });

  it("is refused by threads, which hand nothing out", async () => {
    const one = ofValues.find(({ id }) => id.startsWith("invalid/scale/"))!;
    const pool = createWorkerPool(1);
    try {
      const file = await open(bytesOf(one));
      expect((await thrown(() => decodeWithWorkers(file, { pool })))?.kind).toBe("SCALE_VALUE");
    } finally {
      await pool.close();
    }
  });

  it("of a module is found before the next module, however the file is cut", async () => {
    for (const one of ofValues) {
      const bytes = bytesOf(one);
      const seen: string[] = [];
      const decoder = new LqaDecoder(({ type }) => void seen.push(type));
      const error = await thrown(async () => {
        for await (const piece of inPieces(bytes, 7)) await decoder.push(piece);
      });
      const { modules } = await open(bytes);
      // Files of a bad module have no other; tensors are alone in theirs.
      expect(seen.filter((type) => type === "module").length, one.id).toBeLessThan(
        Math.max(1, modules.length),
      );
      expect(error, one.id).toBeDefined();
    }
  });
});

describe("the first error of a file", () => {
  it("is the same for every file of the suite, read whole, verified after opening, and as a stream", async () => {
    const all = cases.filter(({ id, operation }) => operation === undefined && !id.startsWith("limits/"));
    for (const one of sample(all, 7)) {
      const bytes = bytesOf(one);
      const { error } = await validate(bytes, { level: "values" });
      const opened = await thrown(async () => (await open(bytes)).verify());
      const streamed = await thrown(() => drain(eventsOfStream(inPieces(bytes, 1000))));
      expect(opened && [opened.kind, opened.offset], one.id).toEqual(error && [error.kind, error.offset]);
      expect(streamed && [streamed.kind, streamed.offset], one.id).toEqual(
        error && [error.kind, error.offset],
      );
    }
  });

  it("of a file that ends in its padding is that it ends, whatever the padding that is there", async () => {
    const bytes = bytesOf(cases.find(({ id }) => id === "invalid/layout/padding-behind-the-index-first")!);
    const { error } = await validate(bytes);
    expect(error?.kind).toBe("PADDING_NONZERO");
    const cut = bytes.slice(0, error!.offset! + 1);
    for (const level of ["structure", "integrity", "values"] as const)
      expect((await validate(cut, { level })).error?.kind).toBe("TRUNCATED_FILE");
    expect((await thrown(() => open(cut)))?.kind).toBe("TRUNCATED_FILE");
    expect((await thrown(() => drain(eventsOfStream(inPieces(cut, 1)))))?.kind).toBe("TRUNCATED_FILE");
  });
});
