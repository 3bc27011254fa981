/** The layout of what the commands print: nothing is wider than the terminal, nothing is cut in a pipe. */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import picocolors from "picocolors";
import { describe, expect, it } from "vitest";
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
