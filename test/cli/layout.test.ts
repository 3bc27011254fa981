/** What the commands print: the layout, of which nothing is wider than the terminal and nothing is cut in a pipe; texts, errors, progress. */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import picocolors from "picocolors";
import { describe, expect, it } from "vitest";
import { decibels, jsonText, percent, printable, ratio, size } from "../../src/cli/format.ts";
import {
  bar,
  type Column,
  cutMiddle,
  facts,
  note,
  type Paper,
  table,
  textWidth,
  title,
  verdict,
  wrap,
} from "../../src/cli/layout.ts";
import { reportError } from "../../src/cli/report-error.ts";
import { progressPace } from "../../src/cli/terminal.ts";
import { bandsText } from "../../src/core/codecs/bands-text.ts";
import { ERRORS, LqaError } from "../../src/core/index.ts";
import { lqaIn } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const paper = (room: number): Paper => ({ room, colors: picocolors.createColors(false) });
const PIPE = paper(Number.POSITIVE_INFINITY);

describe("texts", () => {
  it("have the width of a terminal, not of a string", () => {
    expect(
      ["abc", "ዐማርኛ", "模型", "e\u0301", picocolors.createColors(true).red("red")].map(textWidth),
    ).toEqual([3, 4, 4, 1, 3]);
  });

  it("are cut in the middle of a name", () => {
    expect(cutMiddle("model.layers.0.self_attn.q_proj", 15)).toBe("model.l….q_proj");
    expect(cutMiddle("short", 15)).toBe("short");
    expect(cutMiddle("模型模型模型", 7)).toBe("模…模型");
  });

  it("wrap at spaces, and break only words that are longer than a line", () => {
    expect(wrap("one two three", 8)).toEqual(["one two", "three"]);
    expect(wrap("an unbreakable word", 8)).toEqual(["an", "unbreaka", "ble word"]);
    expect(wrap("one two three", Number.POSITIVE_INFINITY)).toEqual(["one two three"]);
  });
});

describe("facts", () => {
  it("keep a long word in one piece: it goes below a name that leaves no room for it", () => {
    const digest = "0".repeat(71);
    expect(
      facts(
        [
          ["a long name", `sha256 ${digest}`],
          ["size", "1 KiB"],
        ],
        paper(80),
      ),
    ).toEqual(["  a long name", "    sha256", `    ${digest}`, "  size         1 KiB"]);
    expect(facts([["id", digest]], paper(80))).toEqual([`  id  ${digest}`]);
    expect(facts([["id", digest]], PIPE)).toEqual([`  id  ${digest}`]);
    // One that is longer than a line is broken in any case.
    expect(facts([["id", digest]], paper(40))[0]).toBe(`  id  ${"0".repeat(34)}`);
  });
});

describe("bars", () => {
  it("have eighths of a character", () => {
    expect([0, 1e-9, 1 / 16, 0.5, 0.53, 1, 2, Number.NaN].map((share) => bar(share, 4))).toEqual([
      "",
      "▏",
      "▎",
      "██",
      "██▏",
      "████",
      "████",
      "",
    ]);
  });
});

const COLUMNS: Column[] = [
  { title: "module", narrow: "cut" },
  { title: "rank", right: true },
  { title: "extra", right: true, narrow: "omit" },
  { title: "bands", narrow: "wrap" },
];
const ROWS = [
  ["model.layers.0.self_attn.q_proj", "8", "0.5", "2×trellis3 6×trellis1"],
  ["model.layers.10.mlp.down_proj", "16", "12.25", "16×zero"],
];

describe("tables", () => {
  it("align their columns", () => {
    expect(table(COLUMNS, ROWS, PIPE)).toEqual([
      "  module                           rank  extra  bands",
      "  model.layers.0.self_attn.q_proj     8    0.5  2×trellis3 6×trellis1",
      "  model.layers.10.mlp.down_proj      16  12.25  16×zero",
    ]);
    expect(
      table(
        [{}, { right: true }],
        [
          ["a", "1"],
          ["bc", "20"],
        ],
        PIPE,
      ),
    ).toEqual(["  a    1", "  bc  20"]);
  });

  it("give way to a narrow terminal in this order: text, names, optional columns", () => {
    const long = ROWS.map(([name, rank, extra, bands]) => [name!, rank!, extra!, `${bands} ${bands}`]);
    expect(table(COLUMNS, long, paper(90))).toEqual([
      "  module                           rank  extra  bands",
      "  model.layers.0.self_attn.q_proj     8    0.5  2×trellis3 6×trellis1 2×trellis3",
      "                                                6×trellis1",
      "  model.layers.10.mlp.down_proj      16  12.25  16×zero 16×zero",
    ]);
    expect(table(COLUMNS, long, paper(44))).toEqual([
      "  module                         rank  extra",
      "  model.layers.0…lf_attn.q_proj     8    0.5",
      "    2×trellis3 6×trellis1 2×trellis3",
      "    6×trellis1",
      "  model.layers.10.mlp.down_proj    16  12.25",
      "    16×zero 16×zero",
    ]);
    expect(table(COLUMNS, ROWS, paper(32)).at(-1)).toMatch(/extra\.$/);
  });

  it("fit into every terminal and show everything in a pipe", () => {
    const cell = fc
      .string({ unit: "grapheme", maxLength: 60 })
      .map((text) => text.replace(/[\p{C}\s]/gu, "_"));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, fc.nat().map(String), fc.nat().map(String), cell), { maxLength: 5 }),
        fc.integer({ min: 40, max: 140 }),
        (rows, room) => {
          for (const line of table(COLUMNS, rows, paper(room)))
            expect(textWidth(line)).toBeLessThanOrEqual(room);
          const piped = table(COLUMNS, rows, PIPE);
          expect(piped).toHaveLength(rows.length + 1);
          rows.forEach(([name, , , text], i) => {
            expect(piped[i + 1]).toContain(name);
            expect(piped[i + 1]).toContain(text);
          });
          const word = rows[0]?.[0] ?? "";
          const others = [
            ...facts([["name", word]], paper(room)),
            ...note("warning", `${word} ${word}`, paper(room)),
            ...title(word, word, paper(room)),
            verdict("valid", word, "1 byte", paper(room)),
          ];
          for (const line of others) expect(textWidth(line), line).toBeLessThanOrEqual(room);
        },
      ),
    );
  });
});

describe("the commands", () => {
  const folder = temporaryDirectory();
  const name = `adapter-${"of-a-very-long-name-".repeat(6)}`;
  mkdirSync(join(folder, "adapters"));
  renameSync(writePeftDirectory(join(folder, "source"), { layers: 3 }), join(folder, "adapters", name));
  const file = `${name}.lqa`;
  const commands: readonly (readonly [words: readonly string[], code: number])[] = [
    [["encode", `adapters/${name}`, "-o", file, "--bits", "6"], 0],
    [["encode", "--out-dir", "many", "adapters/**", "--bits", "6"], 0],
    [["inspect", file, "--modules"], 0],
    [["validate", file, `adapters/${name}/adapter_config.json`], 1],
    [["decode", file, "-o", "restored"], 0],
    [["convert", `adapters/${name}`, "mlx", "--to", "mlx"], 0],
    [["diff", `adapters/${name}`, file], 0],
    [["compare", `adapters/${name}`, "--bits", "1,6"], 0],
    [["inspect", `${name}.absent`], 2],
    [["explain", "LQA-M012"], 0],
  ];
  const fits = (room: number, words: readonly string[], code: number): void => {
    const run = lqaIn({ cwd: folder, env: { COLUMNS: String(room) } }, ...words);
    expect(run.code, `${words.join(" ")}\n${run.err}`).toBe(code);
    for (const line of `${run.out}${run.err}`.split("\n"))
      expect(textWidth(line), `${words.join(" ")}:\n${line}`).toBeLessThanOrEqual(room);
  };

  it("fit into a terminal of 80 columns", { timeout: 120_000 }, () => {
    for (const [words, code] of commands) fits(80, words, code);
  });

  it("fit into a terminal of 120 columns", () => {
    for (const words of [
      ["inspect", file, "--modules"],
      ["compare", `adapters/${name}`, "--bits", "1,6"],
    ])
      fits(120, words, 0);
  });

  it("cut nothing in a pipe", () => {
    const { out } = lqaIn({ cwd: folder }, "validate", file);
    expect(out).toMatch(new RegExp(`^valid {4}${name}\\.lqa {2}[^\\n]+\\n$`));
    const { out: list } = lqaIn({ cwd: folder }, "encode", "--out-dir", "many", "adapters/**", "--bits", "6");
    expect(list).toContain(`adapters/${name}`);
  });
});

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

describe("progress", () => {
  it("tells the rate and the time that is left, once they mean something", () => {
    const pace = progressPace();
    expect(pace(0, 60, 10)).toBe("0/60");
    expect(pace(1, 60, 10.2)).toBe("1/60");
    expect(pace(12, 60, 12)).toBe("12/60  6.0/s  8 s left");
    expect(pace(60, 60, 14)).toBe("60/60  15/s  0 s left");
    // New work starts over.
    expect(pace(1, 100, 20)).toBe("1/100");
    expect(pace(2, 100, 120)).toBe("2/100  0.0/s  2.7 h left");
    expect(pace(60, 100, 1000)).toBe("60/100  0.1/s  11 min left");
  });

  it("counts without a total", () => {
    const pace = progressPace();
    expect(pace(1, undefined, 0)).toBe("1");
    expect(pace(21, undefined, 2)).toBe("21  10/s");
  });
});
