/**
 * The suite of conformance/: its manifest, its files, and this library as a reader of it, in this process; and where the errors of its
 * files are. No reader has to say so (spec clause 15.4), but ours does, and `places.json` lists the places it names: a change of one is
 * a change of what its users see. The offsets are those that the Python reader finds, which knows nothing of our sources.
 *
 * `LQA_WRITE_PLACES=1 npx vitest run test/conformance/suite.test.ts` rewrites the table.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
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
import { sample } from "../helpers/thorough.ts";

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
  readonly level: string;
  readonly budget: number;
  readonly parents?: readonly string[];
  readonly operation?: string;
  readonly expected: { readonly valid: boolean };
}
interface Case {
  readonly id: string;
  readonly group: string;
  readonly operation?: string;
  readonly runs: readonly Run[];
}
interface Answer {
  readonly document: {
    readonly error: { readonly name: string; readonly offset: number | null; readonly where?: string };
  };
}

const answer: (bytes: Uint8Array, run: Run, parents?: Uint8Array[]) => Promise<Answer> = readerOf(library, {
  readIndex,
  sha256,
  toHex,
});
const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));

describe("this library as a reader of the suite", () => {
  const cases: Case[] = loadCases(root);
  it.each([...new Set(cases.map(({ group }) => group))])("answers as %s expects", async (group) => {
    const wrong: string[] = [];
    // CI runs all cases in every reader, this library among them.
    const tried = sample(
      cases.filter((c) => c.group === group),
      4,
    );
    for (const { id, runs } of tried) {
      for (const run of runs) {
        // Applying a file to a base model is of the other readers.
        if (run.operation === "apply") continue;
        const bytes =
          run.path === undefined ? new Uint8Array(Buffer.from(run.hex!, "hex")) : bytesOf(run.path);
        const { status, detail } = judge(run, await answer(bytes, run, run.parents?.map(bytesOf)));
        if (status !== "passed") wrong.push(`${id}: ${detail}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("the places of errors", async () => {
  const all: Case[] = loadCases(root, { mutations: "none" });
  /** The first run of a case is at the level that finds its fault. */
  const cases = all
    .filter(({ operation = "read", runs }) => operation === "read" && !runs[0]!.expected.valid)
    .map(({ id, runs }) => ({ id, run: runs[0]! }));
  const ours = new Map<string, Answer["document"]["error"]>();
  for (const { id, run } of cases)
    ours.set(id, (await answer(bytesOf(run.path!), run, run.parents?.map(bytesOf))).document.error);
  const table = fileURLToPath(new URL("places.json", import.meta.url));
  if (process.env.LQA_WRITE_PLACES === "1") {
    const line = ({ id }: { id: string }) =>
      `${JSON.stringify(id)}: ${JSON.stringify([ours.get(id)!.offset ?? null, ours.get(id)!.where ?? ""])}`;
    writeFileSync(table, `{\n${cases.map(line).join(",\n")}\n}\n`);
  }
  const places: Record<string, [offset: number | null, where: string]> = JSON.parse(
    readFileSync(table, "utf8"),
  );

  it("are what the table says, of every file that is refused", () => {
    const found = Object.fromEntries(
      [...ours].map(([id, { offset = null, where = "" }]) => [id, [offset, where]]),
    );
    expect(found).toEqual(places);
  });

  const python = process.env.LQA_PYTHON ?? "python3";
  const absent = spawnSync(python, ["--version"]).status !== 0;
  if (absent) console.log(`skipped: ${python} is not there, so offsets were compared with the table alone`);
  it.skipIf(absent)("have the offsets that the Python reader finds", { timeout: 120_000 }, () => {
    const tried = sample(cases, 10);
    const commands = tried.map(({ id, run: { path, level, budget, parents } }, seq) =>
      JSON.stringify({ cmd: "run", seq, case: id, path, level, budget, parents }),
    );
    const reader = join(root, "../readers/python/lqa_reader.py");
    const { stdout } = spawnSync(python, [reader, "--lines"], {
      input: [...commands, '{"cmd":"stop"}', ""].join("\n"),
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    });
    const answers: Answer[] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const theirs = answers.map(({ document }) => document?.error);
    expect(theirs.length).toBe(tried.length);
    let compared = 0;
    const others = tried.flatMap(({ id }, i) => {
      // Without zstd, it has nothing to say of what is inside a frame.
      if (theirs[i]?.name !== ours.get(id)!.name) return [];
      compared++;
      const [offset] = places[id]!;
      // Of a frame or a document it says where the part begins that is wrong, and ours where in it.
      const within = ["ZSTD_FRAME", "META_ENCODING"].includes(theirs[i]!.name);
      const same = within ? theirs[i]!.offset! <= offset! : theirs[i]!.offset === offset;
      return same ? [] : [`${id}: ${theirs[i]!.offset}, not ${offset}`];
    });
    expect(others).toEqual([]);
    expect(compared).toBeGreaterThan(0.95 * tried.length);
  });
});
