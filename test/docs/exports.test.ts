/** Every value of `lqa` is used by a program of the documentation that the tests run. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import * as entry from "../../src/core/index.ts";
import { blocksOf } from "../helpers/documents.ts";

/** Names that programs of a page import from `lqa`. */
function importedBy(programs: readonly string[]): string[] {
  return programs.flatMap((code) =>
    [...code.matchAll(/import \{([^}]*)\} from "lqa";/g)].flatMap(([, names]) =>
      names!
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    ),
  );
}

it("has at most 30 values, each in a program that readme.test.ts or guide.test.ts runs", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const programs = [
    ...[...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!),
    ...blocksOf("docs/guide/reading.md")
      .filter(({ language }) => language === "ts")
      .map(({ code }) => code),
  ];
  const values = Object.keys(entry);
  expect(values.length).toBeLessThanOrEqual(30);
  expect(values.filter((name) => !importedBy(programs).includes(name))).toEqual([]);
});
