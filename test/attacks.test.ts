/**
 * The attacks of fuzz/attacks/list.mjs against the page that says what came of them: every limit has one, and each ends as
 * docs/attacks.md says, within its CPU time. Memory is measured by fuzz/attacks/run.mjs, which .ci/run runs; files of a
 * gigabyte and commands that take seconds are left to it, too.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ERRORS } from "../src/error-list.ts";
import type { ErrorName } from "../src/errors.ts";
import { isLqaError } from "../src/errors.ts";
import { openFileReader } from "../src/io/file.ts";
import * as limits from "../src/limits.ts";
import { decodeFile, encodeFile } from "../src/node.ts";
import { repairLqa } from "../src/repair.ts";
import { validateReader } from "../src/validate/validate.ts";

interface Attack {
  readonly name: string;
  readonly tries: string;
  readonly group: string;
  readonly command: string;
  readonly words?: readonly string[];
  readonly limit?: keyof typeof limits;
  readonly file?: string;
  readonly big?: boolean;
  readonly code: number;
  /** Most CPU seconds above those of a small file. */
  readonly seconds: number;
  readonly first: ErrorName | "valid";
  make(path: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

const LIMITS = new Map(Object.entries(limits));
const list = new URL("../fuzz/attacks/list.mjs", import.meta.url).href;
const { ATTACKS } = (await import(list)) as { ATTACKS: readonly Attack[] };
const page = readFileSync(new URL("../docs/attacks.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => /^\| (?!file|---)/.test(line))
  .map((line) => line.slice(2, -2).split(" | "));

const folder = mkdtempSync(join(tmpdir(), "lqa-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the page of attacks", () => {
  it("has each attack of the list, in its order, with its command and its end", () => {
    const said = rows.map(([name, tries, command, , , , , code, error]) => [
      name,
      tries,
      command,
      code,
      error,
    ]);
    const listed = ATTACKS.map(({ name, tries, limit, command, words = [], code, first }) => [
      name,
      limit === undefined ? tries : `${tries} (\`${limit}\`)`,
      `\`${[command, ...words].join(" ")}\``,
      String(code),
      first === "valid" ? "–" : `\`${first}\``,
    ]);
    expect(said).toEqual(listed);
  });

  it("says the exit code that the catalogue gives each error", () => {
    for (const { first, code } of ATTACKS) {
      const letter = first === "valid" ? "" : ERRORS[first].code[4]!;
      const codes: Record<string, number> = { "": 0, U: 3, L: 4 };
      expect(code, first).toBe(codes[letter] ?? 1);
    }
  });
});

describe("the limits", () => {
  it("have an attack each", () => {
    const attacked = ATTACKS.flatMap(({ limit }) => limit ?? []);
    expect(attacked.toSorted()).toEqual([...LIMITS.keys()].toSorted());
  });
});

describe("an attack", () => {
  const kindOf = async (run: () => Promise<unknown>): Promise<unknown> => {
    try {
      await run();
      return undefined;
    } catch (error) {
      if (!isLqaError(error)) throw error;
      return error;
    }
  };
  const end = async ({ command, words = [] }: Attack, path: string): Promise<unknown> => {
    const out = join(folder, "out");
    if (command === "encode")
      return kindOf(() =>
        encodeFile(path, `${out}.lqa`, { from: words[1] as "kohya" | undefined, force: true }),
      );
    if (command === "decode") return kindOf(() => decodeFile(path, out));
    if (command === "repair") return kindOf(() => repairLqa(new Uint8Array(readFileSync(path))));
    const reader = await openFileReader(path);
    try {
      return (await validateReader(reader)).error;
    } finally {
      await reader.close();
    }
  };

  it.each(
    ATTACKS.filter(({ big, group }) => big !== true && group !== "Every command").map(
      (one) => [`${one.command} ${one.name}`, one] as const,
    ),
  )("%s", { timeout: 120_000 }, async (_, attack) => {
    const path = join(folder, attack.file ?? "attack.lqa");
    const bytes = await attack.make(path);
    if (bytes !== undefined) writeFileSync(path, bytes);
    const begin = process.cpuUsage();
    const error = await end(attack, path);
    const { user, system } = process.cpuUsage(begin);
    rmSync(path, { recursive: true });
    expect((user + system) / 1e6).toBeLessThan(2 * attack.seconds);
    if (attack.first === "valid") return expect(error).toBeUndefined();
    expect(error).toMatchObject({ kind: attack.first, exitCode: attack.code });
    // It is that limit which stopped it, where it has no error of its own.
    if (attack.limit !== undefined && /_LIMIT$/.test(attack.first))
      expect((error as Error).message).toContain(
        `at most ${LIMITS.get(attack.limit)![attack.first === "HARD_LIMIT" ? "hard" : "core"]}`,
      );
  });
});
