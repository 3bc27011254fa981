/**
 * Files and answers from inside: adapters read lazily and written module by module, what is in memory then and what stays behind;
 * temporary files; the digest of a base model; an answer that does not end.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeAdapter } from "../../src/adapters/index.ts";
import { adapterContent } from "../../src/adapters/read-write.ts";
import type { Adapter } from "../../src/core/index.ts";
import { baseDigests } from "../../src/node/base-digest.ts";
import { writeTarget } from "../../src/node/convert-file.ts";
import { openAdapterFiles } from "../../src/node/files/adapter-files.ts";
import { openLazyFile } from "../../src/node/files/lazy-file.ts";
import { forgetTemporary, registerTemporary } from "../../src/node/files/temporary.ts";
import { assertWritable } from "../../src/node/files/write-file.ts";
import { pushFetch } from "../../src/node/remote/push-fetch.ts";
import { shape } from "../container/fixtures.ts";
import { baseModel, LAYERS, writeModel } from "../helpers/models.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

function file(length: number): string {
  const path = join(temporaryDirectory(), "x.bin");
  writeFileSync(
    path,
    Uint8Array.from({ length }, (_, i) => i % 251),
  );
  return path;
}

describe("a lazy file", () => {
  it("reads the requested bytes up to the end of the file, into arrays of their own", () => {
    const lazy = openLazyFile(file(1000))!;
    expect(lazy.length).toBe(1000);
    expect([...lazy.subarray(250, 254)]).toEqual([250, 0, 1, 2]);
    expect(lazy.subarray(990, 2000)).toHaveLength(10);
    expect(lazy.subarray(2000, 3000)).toHaveLength(0);
    const once = lazy.subarray(0, 4);
    once.fill(9);
    expect([...lazy.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
    lazy.close();
  });

  it("says so when the file has become shorter, or was never there", () => {
    const path = file(1000);
    const lazy = openLazyFile(path)!;
    truncateSync(path, 500);
    expect(() => lazy.subarray(400, 600)).toThrow(/IO.*1000 bytes.*500: it has become shorter/);
    lazy.close();
    expect(() => openLazyFile(join(temporaryDirectory(), "nothing"))).toThrow(/NOT_FOUND/);
  });

  it("leaves pipes to be read whole", async () => {
    const folder = temporaryDirectory();
    const pipe = join(folder, "x.safetensors");
    execFileSync("mkfifo", [pipe]);
    const writer = new Promise((resolve) =>
      import("node:fs/promises").then(({ writeFile }) => resolve(writeFile(pipe, "abc"))),
    );
    const { files, close } = await openAdapterFiles(pipe);
    expect(files.get("x.safetensors")).toBeInstanceOf(Uint8Array);
    await writer;
    close();
  });
});

/** Four modules whose factors are made on demand. `asked` records each access; the last holds `value`. */
function adapterOf(asked: string[], value = 1): Adapter {
  const modules = [0, 1, 2, 3].map((i) => {
    const factor = (which: string): Float32Array => {
      asked.push(`${i}${which}`);
      return new Float32Array(16).fill(i === 3 ? value : i / 8);
    };
    return {
      ...shape(`model.layers.${i}.self_attn.q_proj`, { out: 8, in: 8, rank: 2 }),
      get b() {
        return factor("b");
      },
      get a() {
        return factor("a");
      },
    };
  });
  return { modules, tensors: [], origin: undefined, meta: { architecture: "qwen2" } };
}

const BASE = { architecture: "qwen2", heads: 2, keyHeads: 2 };

describe("the content of an adapter's files", () => {
  it.each(["peft", "loralib", "mlx", "gguf"] as const)("asks for one factor after the other: %s", (to) => {
    const asked: string[] = [];
    const files = adapterContent(adapterOf(asked), { factors: "F32", to, base: BASE });
    expect(asked).toEqual([]);
    for (const { length, pieces } of files.values()) {
      let written = 0;
      for (const piece of pieces()) {
        written += piece.length;
        expect(asked.length).toBeLessThanOrEqual(Math.ceil(written / 64));
      }
      expect(written).toBe(length);
    }
    expect([...asked].sort()).toEqual(["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]);
  });
});

describe("an adapter with a weight that F16 cannot hold", () => {
  const adapter = adapterOf([], 70_000);

  it("leaves nothing behind, and what was there", async () => {
    const folder = temporaryDirectory();
    const options = { dtype: "F16", to: "loralib" } as const;
    const fails = expect.objectContaining({ kind: "SOURCE_RANGE" });
    await expect(writeTarget(adapter, join(folder, "new"), options, [])).rejects.toEqual(fails);
    const file = join(folder, "old.safetensors");
    writeFileSync(file, "old");
    await expect(writeTarget(adapter, file, { ...options, force: true }, [])).rejects.toEqual(fails);
    expect(listing(folder)).toEqual(["old.safetensors"]);
    expect(readFileSync(file, "utf8")).toBe("old");
  });

  it.skipIf(process.platform === "win32")("gives a pipe all bytes or none", async () => {
    const pipe = join(temporaryDirectory(), "pipe.safetensors");
    execFileSync("mkfifo", [pipe]);
    // Nobody reads it yet: to open it would wait.
    await expect(writeTarget(adapter, pipe, { dtype: "F16", to: "loralib" }, [])).rejects.toMatchObject({
      kind: "SOURCE_RANGE",
    });
    const hash = `createHash("sha256").update(readFileSync(${JSON.stringify(pipe)})).digest("hex")`;
    const script = `import { createHash } from "crypto"; import { readFileSync } from "fs"; console.log(${hash})`;
    const reader = spawn(process.execPath, ["--input-type=module", "-e", script]);
    const sum = new Promise<string>((resolve) => reader.stdout.once("data", (text) => resolve(String(text))));
    await writeTarget(adapter, pipe, { dtype: "F32", to: "loralib" }, []);
    const [whole] = writeAdapter(adapter, { factors: "F32", to: "loralib" }).values();
    expect(await sum).toContain(createHash("sha256").update(whole!).digest("hex"));
  });
});

describe("an output", () => {
  it("is known to be refused before anything is computed for it", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "x");
    await assertWritable(path);
    writeFileSync(path, "old");
    await expect(assertWritable(path)).rejects.toMatchObject({ kind: "OUTPUT_EXISTS" });
    await assertWritable(path, { force: true });
    await expect(assertWritable(join(folder, "none", "x"))).rejects.toMatchObject({ kind: "IO" });
  });
});

describe("temporary files", () => {
  it("listens to the process only while there are any", () => {
    const count = () => process.listenerCount("SIGINT") + process.listenerCount("exit");
    const before = count();
    registerTemporary("/nowhere/a");
    registerTemporary("/nowhere/b");
    expect(count()).toBe(before + 2);
    forgetTemporary("/nowhere/a");
    forgetTemporary("/nowhere/b");
    expect(count()).toBe(before);
  });
});

describe("the digest of a base model", () => {
  it("hashes a weight once, and notices one that has changed when it is read again", async () => {
    const folder = join(temporaryDirectory(), "base");
    writeModel(folder, baseModel("BF16"));
    const digests = baseDigests(folder);
    const modules = LAYERS.filter((name) => name.endsWith("q_proj")).map((name) =>
      shape(name, { out: 32, in: 24 }),
    );
    const first = await digests.of(modules.slice(1));
    const file = join(folder, "model.safetensors");
    const bytes = readFileSync(file);
    // A weight that is read again is noticed to have changed.
    writeFileSync(file, bytes.fill(1, 8 + Number(bytes.readBigUInt64LE(0))), { flag: "r+" });
    expect(await digests.of(modules.slice(1))).toEqual(first);
    await expect(digests.of(modules)).rejects.toThrow("written to meanwhile");
    await digests.close();
  });
});

it.each(["https://hub.example/api", "https://uploads.example/part/1"])(
  "an answer of a push that does not end is given up: %s",
  async (address) => {
    let [sent, cancelled] = [0, false];
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 2 ** 20;
        controller.enqueue(new Uint8Array(2 ** 20));
      },
      cancel() {
        cancelled = true;
      },
    });
    const remote = { fetch: async () => new Response(endless) };
    const send = pushFetch({ endpoint: "https://hub.example", token: undefined }, "a test", { remote });
    await expect(send(address)).rejects.toMatchObject({ kind: "HTTP_RESPONSE" });
    expect(cancelled).toBe(true);
    expect(sent).toBeLessThan(32 * 2 ** 20);
  },
);
