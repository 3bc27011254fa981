/** The comparison with LoRAQuant: its files have the content that they had when the method was a profile of the encoder. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const file = join(temporaryDirectory(), "paper.lqa");

/** Encodes the example adapter. Returns the report. */
function encode(...words: string[]): { contentId: string; relativeError: number; averageBits: number } {
  const program = ["bench/loraquant/encode.mjs", "encode", "examples/number-words/adapter", "-o", file];
  const out = execFileSync(process.execPath, [...program, "--force", "--json", ...words], {
    encoding: "utf8",
  });
  return JSON.parse(out);
}

describe("node bench/loraquant/encode.mjs", () => {
  it.each([
    [[], "db4b40e8efba58623dd32cbd1c412de4feab67c9f9d21cb09d6d6f3be5dbb52f", 0.334],
    [["--refine", "none"], "cbc34e6df8eb0f77f109a59f07c1b9ec294e4f4fe291189c34977d034f5f55be", 0.592],
    [["--refine", "sgd"], "944f0d3f23525bae0ebe837a76a002a9fbfe4312fb507674a674ef9d33797d87", 0.338],
    [
      ["--variant", "3@0.9", "--h-rule", "text"],
      "043cb3030f4063eabfe4f0f2cea3c75b9bf26548cf37b38ada0951bf244a78b4",
      0.102,
    ],
  ])("%j gives the known content and error", (words, contentId, error) => {
    const report = encode(...words);
    expect(report.contentId).toBe(contentId);
    expect(report.relativeError).toBeCloseTo(error, 3);
    expect(lqa("validate", file, "--level", "canonical").code).toBe(0);
  });
});
