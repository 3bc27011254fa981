import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS, lqa, lqaIn, optionsOf } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const source = writePeftDirectory(join(folder, "adapter"), { layers: 1 });

describe("help", () => {
  it("lists the commands and the exit codes", () => {
    const { code, out, err } = lqa("--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const [, listed = ""] = /^Commands\n((?: .*\n)+)/m.exec(out) ?? [];
    expect([...listed.matchAll(/^ {2}([a-z]+) +[A-Z].*\.$/gm)].map(([, name]) => name)).toEqual(COMMANDS);
    expect(out).toContain("Exit codes");
    expect(lqa("help").out).toBe(out);
    expect(lqa("-h").out).toBe(out);
  });

  it.each(COMMANDS)("explains %s with every option, and has examples of it", (name) => {
    const { code, out } = lqa(name, "--help");
    expect(code).toBe(0);
    for (const option of optionsOf(name)) expect(out).toContain(`--${option}`);
    expect(out).toMatch(new RegExp(`^Examples\n {2}lqa ${name}\\b`, "m"));
    expect(lqa("help", name).out).toBe(out);
  });

  it.each([80, 120])("fits into a terminal of %d columns", (columns) => {
    const env = { COLUMNS: String(columns) };
    const help = (...words: string[]): string[] => lqaIn({ env }, ...words, "--help").out.split("\n");
    for (const line of [[], ...COMMANDS.map((name) => [name])].flatMap((words) => help(...words)))
      expect(line.length, line).toBeLessThanOrEqual(columns);
    const longest = Math.max(...help("encode").map((line) => line.length));
    expect(longest).toBeLessThanOrEqual(Math.min(columns, 100));
    expect(longest).toBeGreaterThan(Math.min(columns, 100) - 6);
  });

  it("lists the goals of encode first, and every option under one heading", () => {
    const { out } = lqa("encode", "--help");
    const headings = [...out.matchAll(/^[A-Z].*$/gm)].map(([line]) => line);
    const wanted = ["Goal (at most one, with --profile rd)", "Output", "Input", "Method", "File", "Options"];
    expect(headings.filter((line) => wanted.includes(line))).toEqual(wanted);
    for (const name of optionsOf("encode"))
      expect(out.match(new RegExp(`^ {2}(-., | {4})--${name}\\b(?!-)`, "gm"))).toHaveLength(1);
  });

  it("is what no words at all get, as an error", () => {
    const { code, out, err } = lqa();
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("Usage");
  });

  it("prints the version", () => {
    expect(lqa("--version").out).toMatch(/^lqa \d+\.\d+\.\d+\n$/);
  });
});

describe("a wrong word", () => {
  const cases: readonly [string[], RegExp][] = [
    [
      ["tune", "x"],
      /lqa tune is in the Python package lqa-format[\s\S]*pip install "\.\/integrations\/python\[encode,tune\]"/,
    ],
    [["encod", "x"], /unknown command "encod"[\s\S]*Did you mean lqa encode\?/],
    [["encdoe"], /Did you mean lqa encode\?/],
    [["val"], /Did you mean lqa validate\?/],
    [["inspekt"], /Did you mean lqa inspect\?/],
    [["inxxxxt"], /^(?![\s\S]*Did you mean)/],
    [[""], /^(?![\s\S]*Did you mean)/],
    [["file.lqa"], /Did you mean lqa inspect file\.lqa\?/],
    [["encode", "x", "--elment", "f16"], /unknown option --elment[\s\S]*Did you mean --element\?/],
    [["encode", "x", "-Q"], /unknown option -Q/],
    [["encode", "x", "--preset", "high"], /unknown option --preset[\s\S]*Did you mean --quality\?/],
    [
      ["push", "x", "owner/name"],
      /"owner\/name" is not a location on the hub[\s\S]*Did you mean hf:\/\/owner\/name\?/,
    ],
    [["encode", "x", "y"], /2 adapters are given without --out-dir[\s\S]*one adapter, or [^\n]*--out-dir/],
    [["encode", "-"], /standard input without --output/],
    [["encode", "x", "--max-bytes", "10XB"], /a number of bytes, such as 40000, 40KB or 1\.5MiB/],
    [["encode", "x", "--max-error", "%"], /a share, such as 0\.01 or 1%/],
    [["decode", "x"], /does not end in .lqa, and --output is missing/],
    [["encode", "-o", "y"], /<dir\|file>\.\.\. is missing/],
    [["encode", "x", "-o"], /-o has no value/],
    [["encode", "x", "-o", "--json-file"], /-o is followed by --json-file/],
    [
      ["encode", "x", "-o", "y", "--profile", "rnt"],
      /one of rd, rtn, sign, raw[\s\S]*Did you mean --profile rtn\?/,
    ],
    [["encode", "x", "-o", "y", "--start", "-"], /none, auto, or a seed/],
    [["encode", "x", "-o", "y", "--group", "100"], /one of 0, 16, 32/],
    [["encode", "x", "-o", "y", "--align", "-8"], /--align cannot be -8/],
    [["encode", "x", "-o", "y", "--force=yes"], /--force takes no value/],
    [["encode", "x", "-o", "y", "-o", "z"], /-o is given twice/],
    [["encode", "x", "-o", "y", "--element", "f16", "--bits", "2"], /element only with profile raw/],
    [["encode", "x", "-o", "y", "--profile", "raw", "--group", "64"], /group only with profile rtn, sign/],
    [["encode", "x", "-o", "y", "--profile", "rtn", "--code-bits", "9"], /1, 2, 3, 4, 5, 6, 7, 8/],
    [["encode", "x", "-o", "y", "--profile", "rtn", "--bits", "2"], /bits only with profile rd/],
    [["encode", "x", "-o", "y", "--profile", "sign", "--bits", "1"], /bits only with profile rd/],
    [["encode", "x", "-o", "y", "--tensors", "f32"], /one of zstd, keep, f16/],
    [["decode", "a", "b", "-o", "c"], /2 arguments: a, b/],
    [["decode", "", "-o", "c"], /an empty <file\.lqa\|url>/],
    [["validate"], /<file\.lqa\|url>\.\.\. is missing/],
    [["--quick"], /unknown option --quick/],
    [["encode", "x", "--bits", "-1"], /--bits cannot be -1.*\n.*not below 0/],
    [["encode", "x", "--bits", "0"], /--bits cannot be 0.*\n.*above 0, at most 16/],
    [["encode", "x", "--bits", "17"], /--bits cannot be 17 /],
    [["encode", "x", "--bits", "two"], /--bits cannot be "two".*\n.*a number/],
    [["encode", "x", "--bits", ""], /--bits has no value/],
    [["encode", "x", "--bits"], /--bits has no value/],
    [["encode", "x", "--bits", "1", "--bits", "2"], /--bits is given twice/],
    [["encode", "x", "--bits", "2", "--quality", "high"], /two goals, quality and bits/],
    [["encode", "x", "--bits", "2", "--max-error", "0.1"], /two goals, bits and --max-error/],
    [["encode", "x", "--max-bytes", "1MB", "--max-error", "0.1"], /two goals, --max-bytes and --max-error/],
    [["encode", "x", "--max-error", "2"], /--max-error cannot be 2.*\n.*above 0, at most 1/],
    [["encode", "x", "--max-error", "0"], /--max-error cannot be 0/],
    [["encode", "x", "--max-error", "-1"], /--max-error cannot be -1/],
    [["encode", "x", "--max-error", "-5%"], /--max-error cannot be -5%/],
    [["encode", "x", "--max-error", "1e-12"], /--max-error cannot be 1e-12.*\n.*at least/],
    [["encode", "x", "--max-bytes", "0"], /--max-bytes cannot be 0/],
    [["encode", "x", "--max-bytes", "10"], /10 bytes are too few for this adapter.*\n.*at least \d+ bytes/],
    [["encode", "x", "--max-bytes", "1.5"], /--max-bytes cannot be "1\.5"/],
    [["encode", "x", "--quality", "hihg"], /--quality cannot be "hihg"[\s\S]*Did you mean --quality high\?/],
    [["encode", "x", "--quality", "7"], /--quality cannot be "7"/],
    [["encode", "x", "--qualty", "high"], /unknown option --qualty[\s\S]*Did you mean --quality\?/],
    [["encode", "x", "--workers", "0"], /--workers cannot be "0"[\s\S]*from 1 to 64/],
    [["encode", "x", "--workers", "1.5"], /--workers cannot be "1\.5"/],
    [["encode", "x", "--from", "lora"], /--from cannot be "lora"[\s\S]*one of/],
    [["encode", "x", "--timeout", "soon"], /--timeout cannot be "soon"/],
    [["encode", "x", "--shard", "3"], /--shard cannot be "3"/],
    [["encode", "x", "--json=yes"], /--json takes no value/],
    [["decode", "x", "--dtype", "f8"], /--dtype cannot be "f8"[\s\S]*one of source, f32, f16, bf16/],
    [["decode", "x", "--to", "lycoris"], /--to cannot be "lycoris"/],
    [["decode", "x", "--bits", "2"], /unknown option --bits/],
    [["decode"], /<file\.lqa\|url> is missing/],
    [["inspect"], /<file\.lqa\|url> is missing/],
    [["decode", "a.lqa", "b.lqa"], /2 arguments: a\.lqa, b\.lqa[\s\S]*Name the output with -o b\.lqa/],
    [["inspect", "a.lqa", "--source", "x"], /--source without it/],
    [
      ["validate", "a.lqa", "--level", "all"],
      /--level cannot be "all"[\s\S]*structure, integrity, values, canonical/,
    ],
    [["validate", "a.lqa", "--lvl", "all"], /unknown option --lvl/],
    [["validate", "a.lqa", "--budget", "much"], /--budget cannot be "much"/],
    [["diff", "x"], /only one adapter is given.*\n.*two adapters/],
    [["diff", "x", "x", "x"], /3 adapters are given/],
    [["convert", "x"], /only one path is given.*\n.*two paths/],
    [["convert", "x", "y", "z"], /3 paths are given/],
    [["explain", "LQA-Z999"], /LQA-Z999/],
    [["completion", "tcsh"], /tcsh/],
    [["push", "x"], /no location is given/],
    [["rebase"], /is missing/],
  ];
  it("is tried in 80 ways", () => expect(cases.length).toBeGreaterThanOrEqual(80));

  it.each(cases)("%j gets code 2 and a sentence", (words, expected) => {
    const { code, out, err } = lqaIn({ cwd: folder }, ...words.map((word) => (word === "x" ? source : word)));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(expected);
    expect(err).toMatch(/^lqa: .*\(LQA-X004 USAGE\)$/m);
    // The mistake comes first, and no name of the library's own.
    expect(err).not.toMatch(
      /The command line or a call|maxError|maxBytes|size goal|error goal|this floor|where +rd\b/,
    );
  });

  it.each<[string[], RegExp]>([
    [["encode", "my-adaptor"], /^lqa: "my-adaptor" does not exist \(LQA-X003 NOT_FOUND\)$/m],
    [["encode", "zz*", "--out-dir", "o"], /^lqa: "zz\*": no path of this pattern \(/m],
    [
      ["encode", "x", "-o", "nowhere/x.lqa"],
      /^lqa: "nowhere\/x\.lqa": a directory of this path does not exist \(/m,
    ],
    [["encode", "x", "-o", "there.lqa"], /^lqa: "there\.lqa" exists already \([\s\S]*--force/m],
    [
      ["encode", "many", "-o", "z.lqa"],
      /^lqa: "many" has no adapter_model\.safetensors, only "one"[\s\S]*--out-dir/m,
    ],
    [["inspect", "nothing.lqa"], /^lqa: "nothing\.lqa" does not exist \(/m],
  ])("%j says the mistake first", (words, expected) => {
    writeFileSync(join(folder, "there.lqa"), "");
    mkdirSync(join(folder, "many/one"), { recursive: true });
    const { code, err } = lqaIn({ cwd: folder }, ...words.map((word) => (word === "x" ? source : word)));
    expect(code).toBe(2);
    expect(err).toMatch(expected);
  });

  it("is printed as JSON with --json", () => {
    const run = lqa("encode", "--json", "--oops");
    expect(run.code).toBe(2);
    expect(run.err).toBe("");
    const { error } = run.json<{ error: Record<string, unknown> }>();
    expect(Object.keys(error)).toEqual([
      "code",
      "kind",
      "class",
      "message",
      "summary",
      "offset",
      "where",
      "expected",
      "actual",
      "clause",
      "advice",
    ]);
    expect(error).toMatchObject({ code: "LQA-X004", kind: "USAGE", class: "X", offset: null, clause: null });
  });
});

it("a file of weights with its usual name gives the output the name of its directory", () => {
  expect(lqaIn({ cwd: folder }, "encode", join(source, "adapter_model.safetensors"), "--quiet").code).toBe(0);
  expect(existsSync(join(folder, "adapter.lqa"))).toBe(true);
});
