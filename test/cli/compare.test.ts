import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
// Odd characters in a name end in the drawing.
const source = writePeftDirectory(join(folder, "a <b> & c"), { width: 128, layers: 2 });

interface Document {
  readonly parameters: number;
  readonly svg: string | null;
  readonly match: { readonly rdBits: number; readonly bits: number } | null;
  readonly rows: readonly {
    readonly method: string;
    readonly leastBits: number | null;
    readonly measured: { readonly [key: string]: number | null } | null;
  }[];
}

describe("lqa compare", () => {
  it("prints a table, and a row that says so where the floor is in the way", () => {
    const { code, out, err } = lqa("compare", source, "--bits", "0.4,2.5,3", "--floor", "0.5");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(
      /parameters in 4 modules\n +method +on disk +lost +SNR +above bound +bytes +time +counted +gain +at gain 1\n/,
    );
    for (const method of ["sign", "rtn 1", "rtn 4", "rd 2.5", "rd 3"])
      expect(out).toMatch(
        new RegExp(
          `^  ${method} +[\\d.]+ +[\\d.]+ % +-?[\\d.]+ dB +[\\d.]+ dB +[\\d,]+ +[\\d.]+ s +[\\d.]+ +[\\d.]+ +[\\d.]+ %$`,
          "m",
        ),
      );
    expect(out).toMatch(/^ {2}note: rd 0\.4: needs at least [\d.]+ bits at floor 0\.5\.$/m);
    expect(out.replaceAll("\n", " ")).toMatch(
      /rd --fit least-squares reaches the error of rtn 3 \([\d.]+ % lost\) at [\d.]+ bits on disk/,
    );
  });

  it("prints the same as JSON and draws the curve", () => {
    const svg = join(folder, "curve.svg");
    const run = lqa("compare", source, "--bits", "3", "--floor", "0", "--svg", svg, "--json");
    expect({ code: run.code, err: run.err }).toEqual({ code: 0, err: "" });
    const { rows, match, parameters, svg: where } = run.json<Document>();
    expect(parameters).toBe(2 * 4 * (128 + 128 + 128 + 64));
    expect(where).toBe(svg);
    expect(rows).toHaveLength(5 + 1);
    for (const { measured, leastBits } of rows) {
      expect(leastBits).toBeNull();
      expect(Object.keys(measured!).sort()).toEqual(
        ["averageBits", "bitsPerParameter", "relativeError", "restoredError", "gain", "snrDb"]
          .concat(["outputBytes", "tensorBytes", "bound", "aboveBoundDb", "seconds"])
          .sort(),
      );
    }
    expect(match!.rdBits).toBeLessThan(match!.bits);
    const drawing = readFileSync(svg, "utf8");
    expect(drawing).toMatch(/^<svg /);
    expect(drawing).toContain("<title>a &lt;b&gt; &amp; c</title>");
    expect(listing(folder)).toEqual(["a <b> & c", "curve.svg"]);
  });

  it("replaces no drawing unasked, and says so before it computes", () => {
    const svg = join(folder, "kept.svg");
    writeFileSync(svg, "mine");
    const refused = lqa("compare", source, "--svg", svg);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("OUTPUT_EXISTS");
    expect(readFileSync(svg, "utf8")).toBe("mine");
    expect(lqa("compare", source, "--bits", "3", "--svg", svg, "--force").code).toBe(0);
    expect(readFileSync(svg, "utf8")).toMatch(/^<svg /);
  });

  it.each([
    [["--bits", "1;2"], /numbers and commas/],
    [["--bits", "0"], /bits/],
    [["--bits", "17"], /bits/],
    [["--floor", "2"], /one of 0, 0.5, 1/],
    [["--svg", join(folder, "no/such/curve.svg")], /no such|IO/],
  ])("%j gets code 2", (words, message) => {
    const { code, out, err } = lqa("compare", source, ...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });
});
