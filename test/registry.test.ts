/** The registries of spec/registries.md against the schema and the sources: what is assigned is what is known, and nothing else. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { MT19937 } from "../src/core/codecs/start/start.ts";
import { KNOWN_SECTIONS } from "../src/core/container/chunks-read.ts";
import * as prologue from "../src/core/container/prologue.ts";
import { TRELLIS_TABLES } from "./../src/core/format.ts";

interface Registry {
  readonly title: string;
  readonly field: string | null;
  readonly clause: string;
  readonly width: "enumeration" | "bits" | "tags" | "keys";
  readonly values: readonly { readonly number: number | string; readonly name: string }[];
}
interface Range {
  readonly from: number;
  readonly to: number;
  readonly policy: string;
}
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const { registries, ranges, reserved } = JSON.parse(read("spec/registry.json")) as {
  registries: readonly Registry[];
  ranges: Readonly<Record<string, readonly Range[]>>;
  reserved: { bits: readonly number[]; tags: readonly string[] };
};
const specification = read("spec/lqa-v1.md");
const numbersOf = (title: string): (number | string)[] =>
  registries.find((one) => one.title === title)!.values.map(({ number }) => number);

/** The enumerations of the schema: name to numbers. */
const enumerations = new Map(
  [...read("schema/lqa.fbs").matchAll(/enum (\w+) : ubyte \{([^}]*)\}/g)].map(([, name, body]) => [
    name!,
    [...body!.matchAll(/\w+ = (\d+)/g)].map(([, number]) => Number(number)),
  ]),
);

describe("the registries", () => {
  it("have every enumeration of the schema, with its numbers", () => {
    const registered = new Map(
      registries
        .filter(({ width, field }) => width === "enumeration" && field !== null)
        .map(({ field, title }) => [field!, numbersOf(title)]),
    );
    expect(registered).toEqual(enumerations);
  });

  it("have the trellis tables and the sections that the library knows", () => {
    expect(numbersOf("Trellis tables")).toEqual([...TRELLIS_TABLES.keys()]);
    expect(numbersOf("Section tags")).toEqual([...KNOWN_SECTIONS].sort());
    expect(numbersOf("Generators of starts")).toEqual([MT19937]);
  });

  it("give no meaning to the sections that the suite calls unknown", () => {
    const { cases } = JSON.parse(read("conformance/suite/manifest.json")) as {
      cases: { id: string; expected: { sections?: { tag: string }[] } }[];
    };
    const tags = cases.flatMap(({ id, expected }) => [
      ...(expected.sections ?? []).map(({ tag }) => tag),
      ...(/unknown-and-critical-(.*)/.exec(id)?.slice(1) ?? []),
    ]);
    const unknown = [...new Set(tags)].filter((tag) => !KNOWN_SECTIONS.has(tag));
    expect(unknown).toContain("XTRA");
    // Private tags, and those that registries.md reserves.
    for (const tag of unknown.filter((tag) => !reserved.tags.includes(tag))) expect(tag).toMatch(/^[a-zX]/);
  });

  it("keep the bits of drafts free", () => {
    expect(reserved.bits.reduce((bits, bit) => bits | (1 << bit), 0)).toBe(prologue.DRAFT_BITS);
    for (const bit of numbersOf("Required feature bits")) expect(reserved.bits).not.toContain(bit);
  });

  it("have the feature bits that the library knows", () => {
    const known = prologue as unknown as Readonly<Record<string, Readonly<Record<string, number>>>>;
    for (const { field, values } of registries.filter(({ width }) => width === "bits"))
      expect(
        values.map(({ number, name }) => [name, 2 ** Number(number)]),
        field!,
      ).toEqual(Object.entries(known[field!] ?? {}));
  });

  it("have the META keys of clause 10.2", () => {
    const [, list] = /Known keys, all optional: (.*)/.exec(specification)!;
    const keys = [...list!.matchAll(/`([a-z_]+)`/g)].map(([, key]) => key!);
    expect(numbersOf("META keys")).toEqual(keys.sort());
  });

  it("assign each number once, in a range for it, and refer to clauses that there are", () => {
    for (const { title, clause, width, values } of registries) {
      expect(specification, title).toMatch(new RegExp(`^#+ ${clause.replaceAll(".", "\\.")} `, "m"));
      expect(new Set(values.map(({ number }) => number)).size, title).toBe(values.length);
      const allowed = ranges[width]?.find(({ policy }) => policy === "Specification Required");
      for (const { number } of allowed === undefined ? [] : values) {
        expect(number, title).toBeGreaterThanOrEqual(allowed!.from);
        expect(number, title).toBeLessThanOrEqual(allowed!.to);
      }
    }
  });

  it("have ranges that divide all numbers between them", () => {
    for (const [width, end] of [
      ["enumeration", 255],
      ["bits", 31],
    ] as const) {
      let next = 0;
      for (const { from, to } of ranges[width]!) {
        expect(from, width).toBe(next);
        next = to + 1;
      }
      expect(next, width).toBe(end + 1);
    }
  });
});
