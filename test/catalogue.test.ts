import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ERRORS, isLqaError, LqaError } from "../src/core/index.ts";

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/^error-catalogue/.test(name))
    .map((name) => readFileSync(`${folder}/${name}`, "utf8"));

describe("the error catalogue", () => {
  const sources = files("src").join("\n");
  test.each(Object.keys(ERRORS))("%s is raised somewhere", (name) =>
    expect(sources).toMatch(new RegExp(`\\bKIND\\.${name}\\b`)),
  );

  test("every kind that is raised is in it, under its own name and code", () => {
    const used = [...sources.matchAll(/\bKIND\.([A-Z][A-Z_]+)\b/g)].map(([, name]) => name!);
    expect(used.filter((name) => !(name in ERRORS))).toEqual([]);
    expect(Object.values(ERRORS).map(({ kind }) => kind)).toEqual(Object.keys(ERRORS));
    const codes = Object.values(ERRORS).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  test("each class has the exit code of spec/errors.json", () => {
    const { classes } = JSON.parse(readFileSync("spec/errors.json", "utf8"));
    for (const entry of Object.values(ERRORS)) {
      const error = new LqaError(entry);
      expect(error.exitCode, entry.kind).toBe(classes[error.class].exit);
    }
  });

  test("clauses exist in the specification", () => {
    const spec = readFileSync("spec/lqa-v1.md", "utf8");
    for (const { clause } of Object.values(ERRORS))
      if (clause !== "-") expect(spec).toMatch(new RegExp(`^##+ ${clause.replace(".", "\\.")} `, "m"));
  });

  test("an error says what, where, expected, found and which clause", () => {
    const error = new LqaError(ERRORS.CHUNK_CRC, {
      where: 'module "q"',
      expected: "0x1",
      actual: "0x2",
      offset: 99,
    });
    expect(error.message).toBe(
      'LQA-I003 CHUNK_CRC: The file is damaged: a chunk does not match its CRC-32. In module "q". (expected 0x1, found 0x2) at byte 99 [spec 7.1]',
    );
    expect(error).toMatchObject({ code: "LQA-I003", class: "I", exitCode: 1, clause: "7.1", offset: 99 });
    expect(isLqaError(error, "CHUNK_CRC")).toBe(true);
    expect(isLqaError(error, "INDEX_CRC")).toBe(false);
    expect(isLqaError(new Error("x"))).toBe(false);
  });
});
