/**
 * The suite of conformance/: its manifest, its files, and this library as a reader of it, in this process.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
// The readers' side of the suite is plain JavaScript, without types.
// @ts-expect-error
import { readerOf } from "../../conformance/adapters/lqa-document.mjs";
// @ts-expect-error
import { loadCases } from "../../conformance/runner/cases.mjs";
// @ts-expect-error
import { judge } from "../../conformance/runner/compare.mjs";
import * as library from "../../src/core/index.ts";
import { readIndex, sha256, toHex } from "../helpers/parts.ts";

const root = fileURLToPath(new URL("../../conformance/suite", import.meta.url));
const read = (path: string): Buffer => readFileSync(join(root, path));
const manifest = JSON.parse(String(read("manifest.json")));

describe("the conformance suite", () => {
  it("has a manifest that its schema allows", () => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(String(read("manifest.schema.json"))));
    validate(manifest);
    expect(validate.errors).toBeNull();
    expect(validate({ ...manifest, cases: [{ id: "x" }] })).toBe(false);
  });

  it("has the files that its manifest says, and no others", () => {
    const hashes = new Map<string, string>(
      manifest.cases.map((c: { file: string; sha256: string }) => [c.file, c.sha256]),
    );
    for (const { table } of manifest.mutations) {
      const { file, sha256 } = JSON.parse(String(read(table)));
      hashes.set(file, sha256);
    }
    for (const [file, expected] of hashes)
      expect(createHash("sha256").update(read(file)).digest("hex"), file).toBe(expected);
    const present = readdirSync(root, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".lqa"));
    expect(present.sort()).toEqual([...hashes.keys()].sort());
  });

  it("is large enough to mean something, and small enough to be copied", () => {
    const count = (folder: string, valid: boolean) =>
      manifest.cases.filter(
        (c: { id: string; expected: { valid: boolean } }) =>
          c.id.startsWith(folder) && c.expected.valid === valid,
      ).length;
    expect(count("valid/", true)).toBeGreaterThanOrEqual(250);
    expect(count("invalid/", false)).toBeGreaterThanOrEqual(500);
    // Compressed, as Git, npm and tar copy it: cases at the limits are megabytes of zeros and repeats.
    const bytes = readdirSync(root, { recursive: true })
      .map((name) => join(root, String(name)))
      .filter((path) => statSync(path).isFile())
      .reduce((sum, path) => sum + gzipSync(readFileSync(path), { level: 6 }).length, 0);
    expect(bytes).toBeLessThan(2.5e6);
  });
});

interface Run {
  readonly path?: string;
  readonly hex?: string;
  readonly parents?: readonly string[];
  readonly operation?: string;
}

describe("this library as a reader of the suite", () => {
  const answer = readerOf(library, { readIndex, sha256, toHex });
  const cases: { id: string; group: string; runs: Run[] }[] = loadCases(root);
  it.each([...new Set(cases.map(({ group }) => group))])("answers as %s expects", async (group) => {
    const wrong: string[] = [];
    for (const { id, runs } of cases.filter((c) => c.group === group)) {
      for (const run of runs) {
        // Applying a file to a base model is of the other readers.
        if (run.operation === "apply") continue;
        const bytes = run.path === undefined ? Buffer.from(run.hex!, "hex") : readFileSync(run.path);
        const parents = run.parents?.map((path) => new Uint8Array(readFileSync(path)));
        const { status, detail } = judge(run, await answer(new Uint8Array(bytes), run, parents));
        if (status !== "passed") wrong.push(`${id}: ${detail}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
