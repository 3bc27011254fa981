/** Every value of `lqa` is used by a program of the documentation that the tests run. */
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
  const programs = ["README.md", "docs/guide/code.md", "docs/guide/reading.md"]
    .flatMap(blocksOf)
    .filter(({ language }) => language === "ts")
    .map(({ code }) => code);
  const values = Object.keys(entry);
  expect(values.length).toBeLessThanOrEqual(30);
  expect(values.filter((name) => !importedBy(programs).includes(name))).toEqual([]);
});
