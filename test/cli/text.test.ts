import picocolors from "picocolors";
import { describe, expect, it } from "vitest";
import { decibels, jsonText, percent, printable, ratio, size } from "../../src/cli/format.ts";
import { reportError } from "../../src/cli/report-error.ts";
import { bandsText } from "../../src/core/codecs/bands-text.ts";
import { ERRORS, LqaError } from "../../src/core/index.ts";

/** A terminal that remembers what was written. */
function memoryTerminal(): Parameters<typeof reportError>[2] & {
  readonly written: { out: string; err: string };
} {
  const written = { out: "", err: "" };
  const colors = picocolors.createColors(false);
  return {
    written,
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    width: 80,
    room: Number.POSITIVE_INFINITY,
    colors,
    errors: { room: Number.POSITIVE_INFINITY, colors },
    verbose: false,
    progress: () => {},
    endProgress: () => {},
  };
}

describe("numbers", () => {
  it("are short", () => {
    expect([0, 1, 999, 1000, 999_500, 3_253_104, 5e12].map(size)).toEqual([
      "0 bytes",
      "1 byte",
      "999 bytes",
      "1.00 KB",
      "1.00 MB",
      "3.25 MB",
      "5.00 TB",
    ]);
    expect([0, 0.0123, 0.301, 1, Number.POSITIVE_INFINITY].map(percent)).toEqual([
      "0 %",
      "1.2 %",
      "30.1 %",
      "100.0 %",
      "–",
    ]);
    expect([ratio(100, 8), ratio(3, 2), ratio(1, 0)]).toEqual(["12.5×", "1.50×", "–"]);
    expect([decibels(5.23), decibels(Number.POSITIVE_INFINITY), decibels(null)]).toEqual([
      "5.2 dB",
      "exact",
      "–",
    ]);
  });
});

describe("bands", () => {
  const band = (components: number, b: string, a = b) => ({ components, b, a });
  it("leave out what nearly every file has", () => {
    expect(bandsText([band(3, "affine2 g128 f16"), band(5, "sign g128 f16")])).toBe("3×affine2 5×sign");
    expect(bandsText([band(1, "affine3 g64 f32", "zero"), band(4, "raw f16")])).toBe(
      "1×(affine3/g64/f32 zero) 4×raw/f16",
    );
  });
});

describe("text from a file", () => {
  it("cannot steer the terminal", () => {
    expect(printable("a\u001b[2Jb\r\n\u202ec\u009b")).toBe("a\\u001b[2Jb\\u000d\\u000a\\u202ec\\u009b");
    expect(printable("ዐማርኛ 🙂 ü")).toBe("ዐማርኛ 🙂 ü");
    const terminal = memoryTerminal();
    reportError(new LqaError(ERRORS.SOURCE_SHAPE, { where: "\u001b[31mred" }), false, terminal);
    expect(terminal.written.err).toContain("where       \\u001b[31mred");
  });
});

/** By the properties of Unicode, one by one: what may not reach a terminal as it is. */
const PROPERTIES = [
  /\p{Cc}/u,
  /\p{Cf}/u,
  /\p{Cs}/u,
  /\p{Bidi_Control}/u,
  /\p{Default_Ignorable_Code_Point}/u,
  /\p{Noncharacter_Code_Point}/u,
  /\p{Line_Separator}|\p{Paragraph_Separator}/u,
  /[\u2800\u3164\uffa0\u115f\u{e0000}-\u{e007f}\u061c\u00ad\u180e]/u,
];
const unseen = (text: string): boolean => PROPERTIES.some((property) => property.test(text));

describe("every code point", () => {
  it("is printed as it is if it can be seen, and as an escape if it steers or hides", () => {
    const wrong: string[] = [];
    let escaped = 0;
    for (let point = 0; point <= 0x10ffff; point++) {
      const character = String.fromCodePoint(point);
      const shown = printable(character);
      const hides = unseen(character);
      if (hides) escaped++;
      if (hides ? !/^(\\u[0-9a-f]{4}){1,2}$/.test(shown) : shown !== character)
        wrong.push(`U+${point.toString(16)} ${shown}`);
    }
    expect(wrong).toEqual([]);
    expect(escaped).toBeGreaterThan(6000);
  });

  it("keeps its value in a JSON document, which nothing in it can steer", () => {
    for (let plane = 0; plane <= 0x10; plane++) {
      const points = Array.from({ length: 0x10000 }, (_, i) => plane * 0x10000 + i);
      // Apart, so that two surrogates do not make a character.
      const value = { [plane]: points.map((point) => String.fromCodePoint(point)) };
      const text = jsonText(value, undefined, 0);
      expect(
        JSON.parse(text)[plane].every((character: string, i: number) => character === value[plane]![i]),
      ).toBe(true);
      expect(text.endsWith("]}\n")).toBe(true);
      expect(unseen(text.slice(0, -1))).toBe(false);
    }
    expect(jsonText({ "\u202e": ["\u{e0041}", "\n"] })).toBe(
      '{\n  "\\u202e": [\n    "\\udb40\\udc41",\n    "\\n"\n  ]\n}\n',
    );
  });
});

describe("a defect of the program", () => {
  it("is not blamed on the file", () => {
    const terminal = memoryTerminal();
    expect(reportError(new TypeError("x is undefined\n  at somewhere"), false, terminal)).toBe(70);
    expect(terminal.written.err).toMatch(
      /^lqa: internal error: TypeError: x is undefined\. This is a bug in lqa, sorry\./,
    );
    expect(terminal.written.err.split("\n")).toHaveLength(2);
    const json = memoryTerminal();
    expect(reportError("oops", true, json)).toBe(70);
    expect(JSON.parse(json.written.out).error).toMatchObject({
      code: "LQA-INTERNAL",
      message: "oops",
      class: null,
    });
  });
});
