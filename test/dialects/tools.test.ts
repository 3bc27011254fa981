/** Adapters that real tools wrote (test/fixtures/tools): ΔW of every module is what the tool itself computes. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readAdapter } from "../../src/adapters/index.ts";
import { deltaOf } from "./delta.ts";

const tools = fileURLToPath(new URL("../fixtures/tools", import.meta.url));
const folders = (place: string): string[] =>
  readdirSync(place, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
const kinds = folders(tools).flatMap((tool) => folders(join(tools, tool)).map((kind) => join(tool, kind)));

/** Other tensors than factors: the head, and biases, which PEFT 0.11 and 0.14 left out of their files. */
function plainTensors(tool: string, kind: string): number {
  if (kind === "tokens") return /^peft-0\.1[14]\./.test(tool) ? 2 : 4;
  return kind === "classifier" ? 2 : 0;
}

describe("written by a real tool", () => {
  it("there are files of nine tools or versions", () => expect(kinds.length).toBe(23));

  it.each(kinds)("%s", (kind) => {
    const place = join(tools, kind);
    const names = readdirSync(place).filter((name) => name !== "delta.json");
    const adapter = readAdapter(new Map(names.map((name) => [name, readFileSync(join(place, name))])));
    const expected = JSON.parse(readFileSync(join(place, "delta.json"), "utf8")) as Record<string, number[]>;
    expect(adapter.modules.map(({ name }) => name).sort()).toEqual(Object.keys(expected).sort());
    for (const module of adapter.modules) {
      const delta = deltaOf(module);
      const tool = expected[module.name]!;
      expect(delta.length).toBe(tool.length);
      // The tool multiplies in binary32: 2^-22 of the largest value is four units.
      const bound = 2 ** -22 * Math.max(...tool.map(Math.abs));
      for (const [i, value] of tool.entries()) expect(Math.abs(delta[i]! - value)).toBeLessThan(bound);
    }
    expect(adapter.tensors.length).toBe(plainTensors(basename(dirname(place)), basename(place)));
  });
});
