/**
 * Where the errors of the suite's files are. No reader has to say so (spec clause 15.4), but ours does, and `places.json`
 * lists the places it names: a change of one is a change of what its users see. The offsets are those that the Python reader
 * finds, which knows nothing of our sources.
 *
 * `LQA_WRITE_PLACES=1 npx vitest run test/conformance/places.test.ts` rewrites the table.
 */

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
// The readers' side of the suite is plain JavaScript, without types.
// @ts-expect-error
import { readerOf } from "../../conformance/adapters/lqa-document.mjs";
// @ts-expect-error
import { loadCases } from "../../conformance/runner/cases.mjs";
import * as library from "../../src/core/index.ts";
import { readIndex, sha256, toHex } from "../helpers/parts.ts";

interface Run {
  readonly path: string;
  readonly level: string;
  readonly budget: number;
  readonly expected: { readonly valid: boolean };
  readonly parents?: readonly string[];
}
interface Case {
  readonly id: string;
  readonly operation?: string;
  readonly runs: readonly Run[];
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const TABLE = here("places.json");
const all: Case[] = loadCases(here("../../conformance/suite"), { mutations: "none" });
/** The first run of a case is at the level that finds its fault. */
const cases = all
  .filter(({ operation = "read", runs }) => operation === "read" && !runs[0]!.expected.valid)
  .map(({ id, runs }) => ({ id, run: runs[0]! }));

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
const ours = new Map<string, Answer["document"]["error"]>();
for (const { id, run } of cases)
  ours.set(id, (await answer(bytesOf(run.path), run, run.parents?.map(bytesOf))).document.error);
if (process.env.LQA_WRITE_PLACES === "1") {
  const line = ({ id }: { id: string }) =>
    `${JSON.stringify(id)}: ${JSON.stringify([ours.get(id)!.offset ?? null, ours.get(id)!.where ?? ""])}`;
  writeFileSync(TABLE, `{\n${cases.map(line).join(",\n")}\n}\n`);
}
const places: Record<string, [offset: number | null, where: string]> = JSON.parse(
  readFileSync(TABLE, "utf8"),
);

describe("the places of errors", () => {
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
    const commands = cases.map(({ id, run: { path, level, budget, parents } }, seq) =>
      JSON.stringify({ cmd: "run", seq, case: id, path, level, budget, parents }),
    );
    const reader = here("../../conformance/readers/python/lqa_reader.py");
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
    expect(theirs.length).toBe(cases.length);
    let compared = 0;
    const others = cases.flatMap(({ id }, i) => {
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
    expect(compared).toBeGreaterThan(0.95 * cases.length);
  });
});
