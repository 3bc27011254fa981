import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  TENSOR_ROLES,
} from "../src/container/encoding-record.ts";
import {
  BaseLayout,
  Compression,
  ElementType,
  ModuleRole,
  MultiplierRule,
  TensorRole,
} from "../src/container/generated/schema.ts";

const enums: Record<string, Record<string, number>> = {
  BaseLayout,
  Compression,
  ElementType,
  ModuleRole,
  TensorRole,
};

import { ERRORS } from "../src/error-catalogue.ts";
import { isLqaError, LqaError } from "../src/errors.ts";

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("error-catalogue"))
    .map((name) => readFileSync(`${folder}/${name}`, "utf8"));

describe("the error catalogue", () => {
  const sources = files("src").join("\n");
  test.each(Object.keys(ERRORS))("%s is raised somewhere", (name) => expect(sources).toContain(`"${name}"`));

  test("clauses exist in the specification", () => {
    const spec = readFileSync("spec/lqa-v1.md", "utf8");
    for (const { clause } of Object.values(ERRORS))
      if (clause !== "-") expect(spec).toMatch(new RegExp(`^##+ ${clause.replace(".", "\\.")} `, "m"));
  });

  test("an error says what, where, expected, found and which clause", () => {
    const error = new LqaError("CHUNK_CRC", {
      where: 'module "q"',
      expected: "0x1",
      actual: "0x2",
      offset: 99,
    });
    expect(error.message).toBe(
      'LQA-I003 CHUNK_CRC: A chunk does not match its CRC-32. In module "q". (expected 0x1, found 0x2) at byte 99 [spec 7.1]',
    );
    expect(error).toMatchObject({ code: "LQA-I003", class: "I", exitCode: 1, clause: "7.1", offset: 99 });
    expect(isLqaError(error, "CHUNK_CRC")).toBe(true);
    expect(isLqaError(error, "INDEX_CRC")).toBe(false);
    expect(isLqaError(new Error("x"))).toBe(false);
  });
});

describe("enumerations are numbered as in the schema", () => {
  const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  test.each([
    ["ModuleRole", MODULE_ROLES],
    ["BaseLayout", BASE_LAYOUTS],
    ["TensorRole", TENSOR_ROLES],
    ["Compression", COMPRESSIONS],
    ["ElementType", ELEMENT_TYPES.map((name) => name ?? "none")],
  ])("%s", (name, ours) => {
    const theirs = enums[name]!;
    expect(ours.map(plain)).toEqual(Object.keys(theirs).map(plain));
    expect(Object.values(theirs)).toEqual(ours.map((_, i) => i));
  });
  test("MultiplierRule", () => expect(Object.keys(MultiplierRule).length).toBe(MULTIPLIER_RULES.length));
});
