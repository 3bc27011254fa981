/**
 * The core for computing with a file: it opens what `openLqa` opens, gives the bits the suite states, refuses the rest with
 * the same error, and weighs nothing that only others need.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/core/container/bytes.ts";
import { sha256 } from "../../src/core/container/sha256.ts";
import { type LqaCore, openCore } from "../../src/core/read/core.ts";
import { openLqa } from "../../src/core/read/open.ts";
import { isLqaError, type LqaError } from "../../src/errors.ts";
import { fileBytes, smallInput } from "../container/fixtures.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const suite = join(root, "conformance/suite");

/** Hashes of decoded weights as the suite states them. */
interface Hashes {
  readonly f32: { readonly b: string; readonly a: string };
  readonly f16: { readonly b: string; readonly a: string };
}

interface Case {
  readonly id: string;
  readonly file: string;
  readonly level: string;
  readonly operation?: string;
  readonly expected: {
    readonly valid: boolean;
    readonly error?: { readonly code: string };
    readonly modules?: readonly { readonly name: string; readonly sha256?: Hashes }[];
    readonly tensors?: readonly { readonly name: string; readonly sha256: string | null }[];
  };
}

/** What is read whole; the cases of limits need memory. */
const cases: Case[] = JSON.parse(readFileSync(join(suite, "manifest.json"), "utf8")).cases.filter(
  ({ id, operation }: Case) => operation === undefined && !id.startsWith("limits/"),
);
const bytesOf = ({ file }: Case): Uint8Array => new Uint8Array(readFileSync(join(suite, file)));

const hash = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));

/** What opening a file and looking at every module and tensor gives: hashes of it, and all of the first error. */
async function outcome(
  open: (bytes: Uint8Array) => Promise<LqaCore>,
  bytes: Uint8Array,
): Promise<{ seen: string[]; error?: LqaError }> {
  const seen: string[] = [];
  try {
    const file = await open(bytes);
    const { prologue, index, fileId, contentId, canonicalNames } = file;
    seen.push(JSON.stringify({ prologue, index, fileId, contentId, canonicalNames }));
    for (const module of file.modules) {
      const { planes } = file.packed(module);
      for (const { b, a } of planes.flat())
        for (const { scales, zeroPoints, codes } of [b, a])
          seen.push([scales, zeroPoints, codes].map(hash).join());
    }
    for (const tensor of file.tensors) seen.push(hash(file.tensor(tensor).data));
    return { seen };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { seen, error };
  }
}

describe("openCore", () => {
  it("decodes every valid file of the suite to the bits that are stated", async () => {
    let decoded = 0;
    for (const one of cases.filter(({ expected }) => expected.valid)) {
      const file = await openCore(bytesOf(one));
      const { modules = [], tensors = [] } = one.expected;
      expect(file.modules.map(({ name }) => name)).toEqual(modules.map(({ name }) => name));
      for (const { name, sha256: hashes } of modules) {
        if (hashes === undefined) continue;
        for (const type of ["f32", "f16"] as const) {
          const { b, a } = file.decodeModule(name, { layout: "component", type });
          expect({ b: hash(b), a: hash(a) }, `${one.id} ${name} ${type}`).toEqual(hashes[type]);
        }
        decoded++;
      }
      expect(file.tensors.map((tensor) => hash(file.tensor(tensor).data))).toEqual(
        tensors.map(({ sha256 }) => sha256),
      );
    }
    expect(decoded).toBeGreaterThan(400);
  });

  it("gives what openLqa gives, bits and errors, for every file of the suite", async () => {
    for (const one of cases) {
      const bytes = bytesOf(one);
      const [core, whole] = [await outcome(openCore, bytes), await outcome(openLqa, bytes)];
      expect(core.seen.join(), one.id).toBe(whole.seen.join());
      // The core has nothing to look at what is behind the index with.
      if (core.error !== undefined && /^TRUNCATED_FILE|^TRAILING_BYTES/.test(core.error.kind)) {
        expect(whole.error, one.id).toBeDefined();
        continue;
      }
      expect({ ...core.error, message: core.error?.message }, one.id).toEqual({
        ...whole.error,
        message: whole.error?.message,
      });
    }
  });

  it("refuses what is wrong with a prologue, an index or a chunk", async () => {
    const chunks = /^invalid\/(chunk|frame|padding|layout)\//;
    let refused = 0;
    for (const one of cases.filter(({ id, level }) => level === "structure" || chunks.test(id))) {
      if (one.expected.valid) continue;
      const { error } = await outcome(openCore, bytesOf(one));
      // A section is not looked at, nor is the padding behind a chunk.
      if (error === undefined && one.level !== "structure") continue;
      // A wrong length comes first: the core has no SHA-256 to look for an earlier error with.
      if (error?.kind === "TRUNCATED_FILE" || error?.kind === "TRAILING_BYTES") continue;
      expect(error?.code, one.id).toBe(one.expected.error!.code);
      refused++;
    }
    expect(refused).toBeGreaterThan(700);
  });

  it("finds modules by name, and keeps to its budget", async () => {
    const file = await openCore(await fileBytes(smallInput()));
    const [first] = file.modules;
    expect(file.module(first!.name)).toBe(first);
    expect(() => file.module("nothing")).toThrow(/a module of this file, found nothing/);
    expect(() => file.decodeModule("nothing")).toThrow(/a module of this file, found nothing/);
    expect(() => file.decodeModule(first!, { budgetBytes: 1 })).toThrow(/at most 1 bytes/);
  });

  it("has the methods of openLqa that read chunks, and no others", async () => {
    const bytes = await fileBytes(smallInput());
    const [core, whole] = [await openCore(bytes), await openLqa(bytes)];
    const own = ["meta", "origin", "shapeFingerprint", "readAdapter", "verify"];
    expect(Object.keys(core).sort()).toEqual(
      Object.keys(whole)
        .filter((key) => !own.includes(key))
        .sort(),
    );
  });
});

describe("a bundle of openCore", () => {
  /** Modules of the library and of packages: in what is loaded first and later, and all that were looked at. */
  interface Inputs {
    readonly bundled: string[];
    readonly later: string[];
    readonly imported: string[];
  }

  async function inputsOf(entry: string): Promise<Inputs> {
    const { metafile } = await build({
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
    return { bundled: of(loaded), later: of(later), imported: Object.keys(metafile.inputs) };
  }
  const unwanted = (paths: readonly string[]): string[] =>
    paths.filter((path) =>
      /node_modules|\/(meta|sha256|digests|verify|section|open|ranged|engine)\.ts$/.test(path),
    );

  it("has no package and nothing of sections, digests and verification", async () => {
    const { bundled } = await inputsOf(`export { openCore } from "./src/core/index.ts";`);
    expect(bundled).toContain("src/core/read/core.ts");
    expect(unwanted(bundled)).toEqual([]);
    expect(unwanted((await inputsOf(`export { openLqa } from "./src/core/index.ts";`)).bundled)).toContain(
      "src/core/read/verify.ts",
    );
  });

  it("loads what only compressed chunks need when there are some", async () => {
    const { bundled, later } = await inputsOf(`export { openCore } from "./src/core/index.ts";`);
    const zstd = ["decompress", "inflate", "portable-zstd", "text-dictionary", "zstd-frame"];
    const paths = zstd.map((name) => `src/core/container/${name}.ts`);
    expect(later.filter((path) => paths.includes(path)).sort()).toEqual(paths);
    expect(bundled.filter((path) => paths.includes(path))).toEqual([]);
  });

  it("needs no tree-shaking for that: nothing it reaches imports them", async () => {
    const { imported } = await inputsOf(`export { openCore } from "./src/core/read/core.ts";`);
    expect(imported).toContain("src/core/read/core.ts");
    expect(unwanted(imported)).toEqual([]);
  });
});
