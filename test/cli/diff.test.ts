/** `lqa diff`: what differs between two adapters, told to people and to programs. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeMeta } from "../../src/core/format.ts";
import type { MetaValue } from "../../src/core/index.ts";
import { bands, fileBytes, packed, section, shape, tensor } from "../container/fixtures.ts";
import { lqa, type Run } from "../helpers/cli.ts";
import { testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);

interface Diff {
  identical: boolean;
  relativeError: number;
  modules: {
    onlyA: string[];
    onlyB: string[];
    changed: { name: string; fields: { field: string; a: unknown; b: unknown }[]; relativeError?: number }[];
    equal: number;
  };
  tensors: { onlyA: string[]; onlyB: string[]; changed: { name: string; bytes?: number }[]; equal: number };
  metadata: { field: string; a?: unknown; b?: unknown }[];
}
const diff = (a: string, b: string, ...words: string[]): Run => lqa("diff", path(a), path(b), ...words);
const json = (a: string, b: string): Diff => diff(a, b, "--json").json<Diff>();

beforeAll(() => {
  writePeftDirectory(path("adapter"));
  for (const [name, ...words] of [
    ["rd.lqa", "--max-error", "0.01"],
    ["small.lqa", "--max-error", "0.2"],
    ["raw.lqa", "--profile", "raw"],
    ["again.lqa", "--profile", "raw"],
  ] as const)
    expect(lqa("encode", path("adapter"), "-o", path(name), ...words).code, name).toBe(0);
});

async function write(
  name: string,
  meta: { [key: string]: MetaValue },
  ...modules: ReturnType<typeof packed>[]
) {
  const tensors = [tensor("t"), tensor(`only-in-${name}`)];
  const sections = [section("META", encodeMeta(meta, "META"))];
  writeFileSync(path(name), await fileBytes({ modules, tensors, sections }));
}

describe("lqa diff", () => {
  it("takes standard input once", () => {
    expect(lqa("diff", "-", "-")).toMatchObject({
      code: 2,
      err: expect.stringContaining("- is given twice"),
    });
  });

  it("finds nothing between equal files, whatever they are called", () => {
    expect(json("raw.lqa", "again.lqa")).toMatchObject({ identical: true, relativeError: 0 });
    const { code, out } = diff("raw.lqa", "again.lqa", "--exit-code");
    expect(code).toBe(0);
    expect(out).toContain("The adapters are the same.");
  });

  it("measures each module of a file against its source, as encode reports it", () => {
    const found = json("adapter", "rd.lqa");
    expect(found.identical).toBe(false);
    expect(found.modules).toMatchObject({ onlyA: [], onlyB: [], equal: 0 });
    expect(found.modules.changed).toHaveLength(4);
    for (const { relativeError, fields } of found.modules.changed) {
      expect(relativeError).toBeGreaterThan(0);
      expect(relativeError).toBeLessThan(0.2);
      expect(fields).toEqual([]);
    }
    const report = lqa("encode", path("adapter"), "-o", path("x.lqa"), "--max-error", "0.01", "--json").json<{
      relativeError: number;
    }>();
    expect(found.relativeError).toBeCloseTo(report.relativeError, 10);
    // The raw profile keeps F32 factors: ΔW is the same.
    expect(json("adapter", "raw.lqa").relativeError).toBe(0);
  });

  it("names encodings, and metadata of the encoder, where both are files", () => {
    const found = json("rd.lqa", "small.lqa");
    expect(found.modules.changed[0]!.fields.map(({ field }) => field)).toContain("encodings");
    const { code, out } = diff("rd.lqa", "small.lqa", "--exit-code");
    expect(code).toBe(1);
    expect(out).toMatch(/modules that differ: 4, equal: 0/);
    expect(out).toMatch(/q_proj +error \d+/);
    expect(out).toMatch(/error of all modules: /);
  });

  it("shows structure, tensors and metadata that changed", async () => {
    const q = shape("q");
    await write(
      "a.lqa",
      { base_model: "x", list: [1, 2], gone: true },
      packed(q, bands(1, 3)),
      packed(shape("only-a"), bands(1, 3)),
    );
    await write(
      "b.lqa",
      { base_model: "y", list: [1, 2], new: new Uint8Array([1, 2]) },
      packed({ ...q, multiplier: 4, alpha: 16 }, bands(1, 3)),
      packed(shape("only-b"), bands(1, 3)),
    );
    const found = json("a.lqa", "b.lqa");
    expect(found.modules).toMatchObject({ onlyA: ["only-a"], onlyB: ["only-b"], equal: 0 });
    const [changed] = found.modules.changed;
    expect(changed).toMatchObject({ name: "q", relativeError: expect.closeTo(1, 10) });
    expect(changed!.fields).toEqual([
      { field: "alpha", a: 8, b: 16 },
      { field: "multiplier", a: 2, b: 4 },
    ]);
    expect(found.tensors).toMatchObject({
      onlyA: ["only-in-a.lqa (replace)"],
      onlyB: ["only-in-b.lqa (replace)"],
      changed: [],
      equal: 1,
    });
    expect(found.metadata).toEqual([
      { field: "base_model", a: "x", b: "y" },
      { field: "gone", a: true },
      { field: "new", b: "0102" },
    ]);
    const { out } = diff("a.lqa", "b.lqa");
    for (const line of ["only-a", "only-b", "multiplier 2 → 4", "base_model  x → y", "gone        true → –"])
      expect(out).toContain(line);
    await write("c.lqa", {}, packed(shape("only-c"), bands(1, 3)));
    // No module is in both, so no error can be given.
    expect(json("a.lqa", "c.lqa").relativeError).toBeNull();
    expect(diff("a.lqa", "c.lqa").out).not.toContain("error of all modules");
  });

  it("counts the bytes of tensors that differ, and says where types or shapes do", async () => {
    const data = new Uint8Array(24).fill(1);
    const write = async (name: string, ...tensors: ReturnType<typeof tensor>[]): Promise<void> =>
      writeFileSync(path(name), await fileBytes({ modules: [], tensors, sections: [] }));
    await write("t1.lqa", tensor("x", { data }), tensor("y", { data }));
    const other = data.slice();
    other.set([2, 2, 2]);
    await write("t2.lqa", tensor("x", { data: other }), tensor("y", { shape: [6], data }));
    expect(json("t1.lqa", "t2.lqa").tensors.changed).toMatchObject([
      { name: "x", bytes: 3, fields: [] },
      { name: "y", fields: [{ field: "shape", a: [3, 2], b: [6] }] },
    ]);
  });

  it("finds one changed weight", () => {
    writePeftDirectory(path("changed"), {
      change: (tensors) => {
        const [, first] = [...tensors][0]!;
        first.values[5]! += 0.5;
      },
    });
    expect(testTensors().size).toBe(8);
    const found = json("adapter", "changed");
    expect(found.modules.equal).toBe(3);
    expect(found.modules.changed).toHaveLength(1);
  });

  it("needs two adapters that can be read and are valid", () => {
    expect(lqa("diff", path("rd.lqa")).code).toBe(2);
    expect(diff("rd.lqa", "absent.lqa").code).toBe(2);
    writeFileSync(path("bad.lqa"), "no");
    expect(diff("rd.lqa", "bad.lqa").code).toBe(1);
  });
});
