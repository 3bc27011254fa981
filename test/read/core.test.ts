/**
 * The core for computing with a file: it opens what `open` opens, gives the bits the suite states, refuses the rest with
 * the same error, and weighs nothing that only others need.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { type Input, isLqaError, type LqaError, type LqaFile, open } from "../../src/core/index.ts";
import { fileBytes, smallInput } from "../container/fixtures.ts";
import { sample } from "../helpers/thorough.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const suite = join(root, "conformance/suite");

/** Hashes of decoded weights as the suite states them; null where a sum does not fit the type. */
type Hashes = Record<"f32" | "f16", Record<"b" | "a", string | null>>;

interface Case {
  readonly id: string;
  readonly file: string;
  readonly level: string;
  readonly operation?: string;
  /** Files of the suite that it may need. */
  readonly parents?: readonly string[];
  readonly expected: {
    readonly valid: boolean;
    readonly error?: { readonly code: string };
    readonly modules?: readonly { readonly name: string; readonly sha256?: Hashes | null }[];
    readonly tensors?: readonly { readonly name: string; readonly sha256: string | null }[];
  };
}

/** What is read whole; the cases of limits need memory. */
const cases: Case[] = JSON.parse(readFileSync(join(suite, "manifest.json"), "utf8")).cases.filter(
  ({ id, operation }: Case) => operation === undefined && !id.startsWith("limits/"),
);
const read = (file: string): Uint8Array => new Uint8Array(readFileSync(join(suite, file)));
const bytesOf = ({ file }: Case): Uint8Array => read(file);
const parentsOf = ({ parents }: Case): Uint8Array[] | undefined => parents?.map(read);

const hash = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");

/** What opening a file and looking at every module and tensor gives: hashes of it, and all of the first error. */
async function outcome(input: Input, one: Case): Promise<{ seen: string[]; error?: LqaError }> {
  const seen: string[] = [];
  try {
    const file: LqaFile = await open(input, { parents: parentsOf(one) });
    const { prologue, index } = file;
    seen.push(JSON.stringify({ prologue, index, ...(await file.storedIds()) }));
    for (const module of file.modules) {
      const { planes } = await file.packed(module);
      for (const { b, a } of planes.flat())
        for (const { scales, zeroPoints, codes } of [b, a])
          seen.push([scales, zeroPoints, codes].map(hash).join());
    }
    for (const tensor of file.tensors) seen.push(hash((await file.tensor(tensor)).data));
    return { seen };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { seen, error };
  }
}

/** The same bytes as what is not in memory and cannot change: a Blob, and a stream. */
function inputsOf(bytes: Uint8Array): Input[] {
  const pieces = Array.from({ length: Math.ceil(bytes.length / 500) }, (_, i) =>
    bytes.subarray(500 * i, 500 * (i + 1)),
  );
  return [new Blob([bytes as Uint8Array<ArrayBuffer>]), pieces];
}

describe("open", () => {
  it("decodes every valid file of the suite to the bits that are stated", async () => {
    let decoded = 0;
    for (const one of cases.filter(({ expected }) => expected.valid)) {
      const file = await open(bytesOf(one), { parents: parentsOf(one) });
      const { modules = [], tensors = [] } = one.expected;
      expect(file.modules.map(({ name }) => name)).toEqual(modules.map(({ name }) => name));
      for (const { name, sha256: hashes } of modules) {
        // Of a child without its parent there are none.
        if (!hashes) continue;
        for (const type of ["f32", "f16"] as const) {
          if (hashes[type].a === null || hashes[type].b === null) {
            await expect(file.decode(name, { type }), `${one.id} ${type}`).rejects.toThrow(/NONFINITE_VALUE/);
            continue;
          }
          const { b, a } = await file.decode(name, { layout: "component", type });
          expect({ b: hash(b.data), a: hash(a.data) }, `${one.id} ${name} ${type}`).toEqual(hashes[type]);
        }
        decoded++;
      }
      for (const [i, { sha256 }] of tensors.entries())
        expect(hash((await file.tensor(file.tensors[i]!)).data)).toBe(sha256);
    }
    expect(decoded).toBeGreaterThan(400);
  });

  it("gives the same of a Blob and a stream, bits and errors, for every file of the suite", async () => {
    for (const one of sample(cases, 7)) {
      const bytes = bytesOf(one);
      const whole = await outcome(bytes, one);
      for (const input of inputsOf(bytes)) {
        const { seen, error } = await outcome(input, one);
        // Of bytes, which cost nothing to look at, an earlier error than a wrong length is looked for.
        if (/^TRUNCATED_FILE|^TRAILING_BYTES/.test(error?.kind ?? "")) {
          expect(whole.error, one.id).toBeDefined();
          continue;
        }
        // The end of a stream shows when something behind it is read.
        if (whole.error?.kind === "TRAILING_BYTES" && error === undefined) continue;
        expect(seen.join(), one.id).toBe(whole.seen.join());
        expect({ ...error, message: error?.message }, one.id).toEqual({
          ...whole.error,
          message: whole.error?.message,
        });
      }
    }
  });

  it("refuses what is wrong with a prologue, an index or a chunk", async () => {
    const chunks = /^invalid\/(chunk|frame|padding|layout)\//;
    let refused = 0;
    for (const one of cases.filter(({ id, level }) => level === "structure" || chunks.test(id))) {
      if (one.expected.valid) continue;
      const { error } = await outcome(bytesOf(one), one);
      // A section is not looked at, nor is the padding behind a chunk.
      if (error === undefined && one.level !== "structure") continue;
      expect(error?.code, one.id).toBe(one.expected.error!.code);
      refused++;
    }
    expect(refused).toBeGreaterThan(700);
  });

  it("finds modules by name, and keeps to its budget", async () => {
    const file = await open(await fileBytes(smallInput()));
    const [first] = file.modules;
    expect(file.module(first!.name)).toBe(first);
    expect(() => file.module("nothing")).toThrow(/a module of this file, found nothing/);
    await expect(file.decode("nothing")).rejects.toThrow(/a module of this file, found nothing/);
    await expect(file.decode(first!, { budgetBytes: 1 })).rejects.toThrow(/at most 1 bytes/);
  });

  it("hashes nothing twice: a chunk that was checked, and a file that was verified", async () => {
    const bytes = await fileBytes(smallInput());
    const [checked, verified, fresh] = [await open(bytes), await open(bytes), await open(bytes)];
    for await (const _ of checked.decodeAll());
    expect(verified.verified).toBeUndefined();
    const ids = await verified.verify();
    expect(verified.verified).toBe(ids);
    // A caller must not change the bytes of an open file; here a change has no effect, because nothing reads them again.
    bytes[fresh.modules[1]!.chunk.offset]! ^= 1;
    for (const file of [checked, verified]) {
      for await (const _ of file.decodeAll());
      await file.packed(file.modules[1]!);
    }
    expect(await verified.verify()).toBe(ids);
    expect((await verified.adapter()).modules).toHaveLength(verified.modules.length);
    await expect(fresh.packed(fresh.modules[1]!)).rejects.toThrow(/CHUNK_CRC/);
    await expect(fresh.verify()).rejects.toThrow(/CHUNK_CRC/);
    expect(fresh.verified).toBeUndefined();
  });
});

describe("a bundle of open", () => {
  /** Modules of the library and of packages: in what is loaded first, and later. */
  interface Inputs {
    readonly bundled: string[];
    readonly later: string[];
    /** The text of each file that is loaded first. */
    readonly first: ReadonlyMap<string, string>;
  }

  async function inputsOf(entry: string): Promise<Inputs> {
    const { metafile, outputFiles } = await build({
      stdin: { contents: entry, resolveDir: root, loader: "ts" },
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      external: ["zstd-codec"],
      splitting: true,
      outdir: "bundle",
      write: false,
      metafile: true,
    });
    const { outputs } = metafile;
    // The entry, and what it imports before it runs.
    const loaded = Object.keys(outputs).filter((path) => outputs[path]!.entryPoint === "<stdin>");
    for (const path of loaded)
      for (const one of outputs[path]!.imports)
        if (one.kind === "import-statement" && !loaded.includes(one.path)) loaded.push(one.path);
    const of = (paths: readonly string[]): string[] =>
      paths
        .flatMap((path) => Object.entries(outputs[path]!.inputs))
        .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
        .map(([path]) => path);
    const later = Object.keys(outputs).filter((path) => !loaded.includes(path));
    const first = new Map(
      outputFiles
        .map(({ path, text }) => [basename(path), text] as const)
        .filter(([name]) => loaded.some((path) => basename(path) === name)),
    );
    return { bundled: of(loaded), later: of(later), first };
  }
  const unwanted = (paths: readonly string[]): string[] =>
    paths.filter((path) =>
      /node_modules|\/(meta|sha256|digests|verify|whole|engine|stream|pin|pieces|http-ranges|validation|rare-records)\.ts$/.test(
        path,
      ),
    );
  const entry = `export { open } from "./src/core/index.ts";`;

  it("loads no package first, and nothing of sections, digests, verification, streams, servers and validation", async () => {
    const { bundled, later } = await inputsOf(entry);
    expect(bundled).toContain("src/core/read/file.ts");
    expect(unwanted(bundled)).toEqual([]);
    expect(unwanted(later)).toEqual(
      expect.arrayContaining(["src/io/http-ranges.ts", "src/core/read/pin.ts", "src/core/read/verify.ts"]),
    );
  });

  it("opens and decodes modules with what it loads first alone", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lqa-first-"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    for (const [name, text] of (await inputsOf(entry)).first) writeFileSync(join(folder, name), text);
    // The other files are not there: importing one of them fails.
    const bundled = await import(/* @vite-ignore */ join(folder, "stdin.js"));
    let decoded = 0;
    for (const one of cases.filter(({ expected }) => expected.valid)) {
      const bytes = bytesOf(one);
      const view = new DataView(bytes.buffer);
      // Plain tensors, a start and a parent need more.
      if (view.getUint32(40, true) > 0 || (view.getUint32(12, true) & (32 | 64)) !== 0) continue;
      const file: LqaFile = await bundled.open(bytes);
      for await (const { b, a } of file.decodeAll()) decoded += b.data.length + a.data.length;
      await expect(file.verify()).rejects.toThrow(/whole/);
    }
    expect(decoded).toBeGreaterThan(1000);
    rmSync(folder, { recursive: true });
  });

  it("loads what only compressed chunks need when there are some", async () => {
    const { bundled, later } = await inputsOf(entry);
    const zstd = ["decompress", "portable-zstd", "text-dictionary", "zstd-frame"];
    const paths = [...zstd.map((name) => `src/core/container/${name}.ts`), "src/core/read/inflate.ts"];
    expect(later.filter((path) => paths.includes(path)).sort()).toEqual(paths);
    expect(bundled.filter((path) => paths.includes(path))).toEqual([]);
  });
});
