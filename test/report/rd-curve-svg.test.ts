/** The drawing: well-formed whatever it is given, self-contained, readable. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawRdCurve, type RdCurve } from "../../src/report/index.ts";

const curve: RdCurve = {
  title: "an adapter",
  rd: [
    { bits: 2, relativeError: 0.01 },
    { bits: 1, relativeError: 0.09 },
  ],
  bound: [
    { bits: 0, relativeError: 1 },
    { bits: 4, relativeError: 1e-4 },
  ],
  methods: [
    { bits: 1.31, relativeError: 0.33, label: "1-bit RTN", family: "rtn" },
    { bits: 1.33, relativeError: 0.32, label: "g 256", family: "rtn" },
    { bits: 2.2, relativeError: 0.26, label: "2-bit RTN", family: "rtn" },
    { bits: 1.17, relativeError: 0.51, label: "sign", family: "sign" },
  ],
};

/** Checks that tags are balanced and texts escaped, as an XML parser would. Returns element names with their number. */
function parse(xml: string): Map<string, number> {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what XML forbids
  expect(xml).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
  expect(xml).not.toMatch(/\p{Cs}/u);
  const open: string[] = [];
  const counts = new Map<string, number>();
  const rest = xml.replace(
    /<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<]*")*)(\/?)>/g,
    (_, end, name, _attributes, empty) => {
      if (end === "/") expect(open.pop()).toBe(name);
      else {
        counts.set(name, (counts.get(name) ?? 0) + 1);
        if (empty === "") open.push(name);
      }
      return "";
    },
  );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<]|&(?!(amp|lt|gt|quot);)/);
  return counts;
}

describe("the rate-distortion curve as SVG", () => {
  it("is one self-contained, accessible document", () => {
    const svg = drawRdCurve(curve);
    const elements = parse(svg);
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*viewBox="0 0 800 500"[^>]* role="img">/,
    );
    expect(svg).toMatch(
      /<title>an adapter<\/title>\n<desc>Energy of ΔW lost[^<]*rd: 1\.000 bits, −10\.46 dB/,
    );
    expect(svg).toContain("1-bit RTN: 1.310 bits, −4.81 dB");
    expect(svg).toContain("prefers-color-scheme:dark");
    expect(svg).not.toMatch(/<script|href|url\(|@import| on[a-z]+=| id="|NaN|Infinity/);
    // Title, two curve points, four methods.
    expect(elements.get("title")).toBe(7);
    expect(drawRdCurve({ ...curve, rd: [...curve.rd].reverse() })).toBe(svg);
  });

  it("puts fewer bits left and less loss below", () => {
    const at = (svg: string, family: string): number[][] =>
      [...svg.matchAll(new RegExp(`class="lqa-${family}" d="M([\\d.]+) ([\\d.]+)[^"]*"><title>`, "g"))].map(
        (m) => [Number(m[1]), Number(m[2])],
      );
    const [one, two] = at(drawRdCurve(curve), "rd");
    expect(one![0]).toBeLessThan(two![0]!);
    expect(one![1]).toBeLessThan(two![1]!);
  });

  it("escapes names and clears them of what XML forbids", () => {
    const name = `<script>alert("1")</script> & \u0000\u001b[31m\ufffe\ud800 ዐማርኛ 🙂 \u202ereversed`;
    const svg = drawRdCurve({ ...curve, title: name, methods: [{ ...curve.methods[0]!, label: name }] });
    parse(svg);
    expect(svg).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; ");
    expect(svg).toContain("ዐማርኛ 🙂 reversed");
  });

  it("leaves out what has no place on the axes, down to nothing at all", () => {
    const odd = [0, -1, Number.NaN, Number.POSITIVE_INFINITY].map((relativeError) => ({
      bits: 1,
      relativeError,
    }));
    const svg = drawRdCurve({ title: "", rd: odd, bound: odd, methods: [] });
    parse(svg);
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(drawRdCurve({ title: "", rd: [], bound: [], methods: [] })).toBe(svg);
  });

  it("is well-formed for any numbers", () => {
    const point = fc.record({
      bits: fc.double({ min: 0, max: 40 }),
      relativeError: fc.double({ min: 1e-12, max: 1e4 }),
    });
    fc.assert(
      fc.property(
        fc.array(point),
        fc.array(point),
        fc.array(point),
        fc.string(),
        (rd, bound, points, label) => {
          const methods = points.map((p) => ({ ...p, label, family: "rtn" as const }));
          const svg = drawRdCurve({ title: label, rd, bound, methods });
          parse(svg);
          expect(svg).not.toMatch(/="[^"]*(NaN|Infinity)/);
        },
      ),
      { numRuns: 50 },
    );
  });
});
