import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";

interface Row {
  readonly name: string;
  readonly alignment: number | string;
  /** With META and ORIG. */
  readonly overhead: number;
  readonly containerOverhead: number;
}

describe("bytes on disk beyond the bits that the codecs need (node bench/overhead.mjs)", () => {
  const { results } = JSON.parse(
    execFileSync(process.execPath, ["bench/overhead.mjs", "--json"], { encoding: "utf8" }),
  ) as {
    results: Row[];
  };
  const row = (start: string): Row =>
    results.find((r) => r.name.startsWith(start) && r.alignment === "default")!;

  test("a LLaMA-2-7B adapter: at most 1 %, everything counted", () => {
    expect(row("LLaMA-2-7B").overhead).toBeLessThan(0.01);
  });
  test("a 25 KB adapter of 8 modules: at most 5 %, everything counted", () => {
    expect(row("25 KB: 8 modules").overhead).toBeLessThan(0.05);
  });
  test("a 25 KB adapter of 24 modules: at most 5 % for the container", () => {
    expect(row("25 KB: 24 modules").containerOverhead).toBeLessThan(0.05);
  });
});
