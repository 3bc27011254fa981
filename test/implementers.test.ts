/** docs/implementers.md: its bytes are those of spec/example.lqa, its numbers come out of them, and its cases exist. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { open } from "../src/core/index.ts";
import { crc32, toHex } from "./helpers/parts.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(`${root}/docs/implementers.md`, "utf8");
const example = new Uint8Array(readFileSync(`${root}/spec/example.lqa`));
const blocks = (kind: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${kind}\\n([^]*?)\`\`\``, "g"))].flatMap(([, body]) =>
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
    expect(toHex(example.subarray(at, at + bytes.length)), `${at}: ${text}`).toBe(bytes.join(""));
  expect(page).toContain(`${example.length} bytes`);
});

test("its checksums and digests are over what it says", () => {
  const view = new DataView(example.buffer);
  let found = 0;
  for (const { at, text } of dump) {
    const over = /^(CRC-32|SHA-256) of bytes (\d+) to (\d+)/.exec(text);
    if (over === null) continue;
    const part = example.subarray(Number(over[2]), Number(over[3]) + 1);
    if (over[1] === "CRC-32") expect(crc32(part), text).toBe(view.getUint32(at, true));
    else
      expect(createHash("sha256").update(part).digest("hex"), text).toBe(
        toHex(example.subarray(at, at + 32)),
      );
    found++;
  }
  expect(found).toBe(5);
  const id = createHash("sha256");
  for (const [from, to] of [
    [0, 63],
    [64, 279],
    [340, 403],
  ] as const)
    id.update(example.subarray(from, to + 1));
  expect(id.digest("hex")).toBe(toHex(example.subarray(404, 436)));
  expect(view.getFloat32(188, true)).toBe(2);
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
