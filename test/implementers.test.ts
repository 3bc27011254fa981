/** Clause 9.7: its bytes are those of spec/example.lqa, and its numbers come out of them. docs/implementers.md: its cases exist. */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { open } from "../src/core/index.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(`${root}/docs/implementers.md`, "utf8");
const specification = readFileSync(`${root}/spec/lqa-v1.md`, "utf8");
const example = new Uint8Array(readFileSync(`${root}/spec/example.lqa`));
const blocks = (kind: string): string[] =>
  [...specification.matchAll(new RegExp(`\`\`\`${kind}\\n([^]*?)\`\`\``, "g"))].flatMap(([, body]) =>
    body!.trimEnd().split("\n"),
  );
const dump = blocks("hex").map((line) => {
  const [, offset, bytes, text] =
    /^ *(\d+) {2}((?:[0-9a-f]{2} ?)+?) {2,}(\S.*)$/.exec(line) ?? expect.fail(line);
  return { at: Number(offset), bytes: bytes!.trim().split(" "), text: text! };
});

test("its bytes stand where it says", () => {
  expect(dump.length).toBeGreaterThan(30);
  for (const { at, bytes, text } of dump)
    expect(Buffer.from(example.subarray(at, at + bytes.length)).toString("hex"), `${at}: ${text}`).toBe(
      bytes.join(""),
    );
  expect(specification).toContain(`has ${example.length} bytes`);
});

test("its checksums are over what it says", () => {
  const view = new DataView(example.buffer);
  const sums = dump.filter(({ text }) => text.startsWith("CRC-32"));
  expect(sums).toHaveLength(3);
  for (const { at, text } of sums) {
    const over = /^CRC-32 of bytes (\d+) to (\d+)$/.exec(text)!;
    expect(crc32(example.subarray(Number(over[1]), Number(over[2]) + 1)), text).toBe(
      view.getUint32(at, true),
    );
  }
});

test("its weights are those of the file", async () => {
  const {
    b: { data: b },
    a: { data: a },
  } = await (await open(example)).decode("q", { layout: "component" });
  const rows = blocks("values").map((line) => line.slice(4).trim().split(/ +/).map(Number));
  expect(rows.slice(0, 2).flat()).toEqual([...b]);
  expect(rows.slice(2).flat()).toEqual([...a]);
});

test("its cases exist, and its pitfalls have one each", () => {
  const manifest = JSON.parse(readFileSync(`${root}/conformance/suite/manifest.json`, "utf8"));
  const ids: string[] = manifest.cases.map((c: { id: string }) => c.id);
  const named = [...page.matchAll(/`((?:valid|invalid|limits|canonical)\/[a-z0-9/-]*)`/g)].map(
    ([, id]) => id!,
  );
  expect(named.length).toBeGreaterThan(40);
  for (const id of named)
    expect(
      ids.some((other) => other.startsWith(id)),
      id,
    ).toBe(true);
  const pitfalls = page
    .slice(page.indexOf("## Pitfalls"), page.indexOf("## Running"))
    .split("\n")
    .filter((line) => line.startsWith("| "));
  for (const line of pitfalls.slice(2)) {
    const cases = [...line.matchAll(/`((?:valid|invalid|limits|canonical)\/[^`]*)`/g)];
    expect(cases.length, line).toBeGreaterThan(0);
    for (const [, id] of cases) expect(ids).toContain(id);
  }
});

/** Lines of a file of C, Java or Rust that are neither empty nor comments. */
const codeLines = (path: string): number =>
  readFileSync(`${root}/${path}`, "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "")
    .split("\n")
    .filter((line) => line.trim() !== "").length;

test("the decoder and the readers have as many lines as it says", () => {
  const readers = readFileSync(`${root}/conformance/readers/README.md`, "utf8");
  const java = codeLines("conformance/readers/java/LqaDecoder.java");
  expect(page).toContain(`| ${java} ([Java]`);
  expect(readers).toMatch(new RegExp(`\\(java/\\).*\\| ${java} \\|`));
  const sum = (folder: string, names: readonly string[]): string =>
    names.reduce((lines, name) => lines + codeLines(`${folder}/${name}`), 0).toLocaleString("en");
  const c = sum("integrations/c", ["lqa.c", "lqa.h", "lqa_bytes.h", "lqa_decode.h", "lqa_hash.c"]);
  expect(readers).toMatch(new RegExp(`\\(c/\\).*\\| ${c} \\|`));
  const sources = readdirSync(`${root}/conformance/readers/rust/src`, { recursive: true, encoding: "utf8" });
  const rust = sum(
    "conformance/readers/rust/src",
    sources.filter((name) => name.endsWith(".rs")),
  );
  expect(readers).toMatch(new RegExp(`\\(rust/\\).*\\| ${rust} \\|`));
  expect(page).toContain(` to ${rust} ([three of them]`);
});
