/** The vectors of spec/example.md: their numbers follow from its bytes, by the formulas of the clauses and by the library. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ZstdCodec } from "zstd-codec";
import { decodeModule, type Encoding, type Planes } from "../src/core/index.ts";
import { shape } from "./container/fixtures.ts";
import { naturalOrder } from "./helpers/natural-order.ts";

const read = (path: string): string => readFileSync(new URL(`../spec/${path}`, import.meta.url), "utf8");
const page = read("example.md").split("\n## Vectors")[1]!;
const { tables } = JSON.parse(read("trellis-tables.json")) as {
  tables: { number: number; entries: number[] }[];
};
const entriesOf = (number: number): number[] => tables.find((t) => t.number === number)!.entries;

/** One section of the page: its text, its blocks, its tables without their heads. */
function section(number: number) {
  const text = page.split(`### L.${number} `)[1]!.split("\n### ")[0]!;
  const blocks = [...text.matchAll(/```\n([\s\S]*?)\n```/g)].map(([, body]) => body!);
  const tables = [...text.matchAll(/^\| --- .*\n((?:\|.*\n?)+)/gm)].map(([, rows]) =>
    rows!
      .trim()
      .split("\n")
      .map((row) => row.slice(2, -2).split(" | ")),
  );
  return { text, blocks, tables };
}
const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.replaceAll("`", "").trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));
const numbersOf = (list: string): number[] => list.split(/[\s,]+/).map(Number);
const gridOf = (block: string): number[] =>
  block.split("\n").flatMap((line, row) => {
    const [first, ...values] = numbersOf(line.trim());
    expect(first).toBe(16 * row);
    return values;
  });
const bit = (codes: Uint8Array, i: number): number => (codes[i >> 3]! >> (i & 7)) & 1;
const planesOf = (block: string): Planes => {
  const [codes, scales] = block.split("\n").map((line) => bytesOf(line.slice(6)));
  return { codes: codes!, scales: scales!, zeroPoints: new Uint8Array(0) };
};
function decoded(encoding: Encoding, planes: Planes, length: number): number[] {
  const none: Planes = { codes: new Uint8Array(0), scales: new Uint8Array(0), zeroPoints: new Uint8Array(0) };
  const bands = [{ components: 1, b: { codec: "zero" } as const, a: encoding }];
  const row = shape("one row", { out: 1, in: length, rank: 1 });
  return [...decodeModule(row, { bands, planes: [[{ b: none, a: planes }]] }).a.data];
}

test("L.1: names follow from shared and suffix, in natural order", () => {
  const { blocks, tables } = section(1);
  const heap = bytesOf(blocks[0]!);
  let [before, at] = [new Uint8Array(0), 0];
  let last: { kind: string; name: Uint8Array } | undefined;
  expect(tables[0]).toHaveLength(6);
  for (const [record, shared, suffix, own, name] of tables[0]!) {
    const kind = record!.slice(0, 1);
    if (kind !== last?.kind) before = new Uint8Array(0);
    const next = heap.slice(at, at + Number(suffix));
    expect(bytesOf(own!)).toEqual(next);
    const bytes = Uint8Array.of(...before.subarray(0, Number(shared)), ...next);
    expect(new TextDecoder().decode(bytes)).toBe(name!.replaceAll("`", ""));
    if (last?.kind === kind) expect(naturalOrder(last.name, bytes)).toBeLessThan(0);
    at += Number(suffix);
    last = { kind, name: bytes };
    before = bytes;
  }
  expect(at).toBe(heap.length);
});

test("L.2: each window and weight follows from the bits", () => {
  const { text, blocks, tables } = section(2);
  const planes = planesOf(blocks[0]!);
  const entries = entriesOf(3);
  const scale = Number(/bf16 number s = ([\d.]+)\./.exec(text)![1]);
  const weights: number[] = [];
  let window = 0;
  expect(tables[0]).toHaveLength(4);
  for (const [j, bits, number, expression, even, odd, own] of tables[0]!) {
    const at = 3 * Number(j);
    expect(numbersOf(bits!)).toEqual([0, 1, 2].map((i) => bit(planes.codes, at + i)));
    const value = bit(planes.codes, at) + 2 * bit(planes.codes, at + 1) + 4 * bit(planes.codes, at + 2);
    const next = Math.floor(window / 8) + 32 * value;
    expect(Number(number)).toBe(value);
    expect(expression).toBe(`⌊${window} / 8⌋ + 32 · ${value} = ${next}`);
    expect([even, odd].map(Number)).toEqual(entries.slice(2 * next, 2 * next + 2));
    expect(numbersOf(own!)).toEqual([even, odd].map((t) => scale * Number(t)).slice(0, 7 - 2 * Number(j)));
    weights.push(...numbersOf(own!));
    window = next;
  }
  const encoding = { codec: "trellis", table: 3, group: 0, scale: "bf16", rotation: "none" } as const;
  expect(decoded(encoding, planes, 7)).toEqual(weights);
});

test("L.3: each integer is the sum of 8.6.1", () => {
  const { text, blocks } = section(3);
  const planes = planesOf(blocks[0]!);
  const entries = entriesOf(1);
  const t: number[] = [];
  for (let j = 0, window = 0; j < 65; j++) {
    window = (window >> 1) + 128 * bit(planes.codes, j);
    t.push(entries[2 * window]!, entries[2 * window + 1]!);
  }
  expect(gridOf(blocks[1]!)).toEqual(t);
  const ones = (x: number): number => x.toString(2).replaceAll("0", "").length;
  const sum = (row: number, column: number): number =>
    Array.from({ length: 64 }, (_, q) => (-1) ** ones(q & row) * t[2 * q + column]!).reduce((a, b) => a + b);
  const integers = t.map((own, i) => {
    if (i >= 128) return 8 * own;
    const row = i >> 1;
    const [r0, r1, r2, r3, r4, r5] = [0, 1, 2, 3, 4, 5].map((n) => (row >> n) & 1) as [
      ...[number, number, number, number, number, number],
    ];
    return (-1) ** (r0 * r1 + r2 * r3 + r4 * r5) * sum(row, i & 1);
  });
  expect(gridOf(blocks[2]!)).toEqual(integers);
  expect(text).toContain(`= ${sum(3, 1)}\n\nso that its integer is ${integers[7]}.`);
  expect(text).toContain(`8 · ${t[128]} = ${integers[128]}`);
  const terms = [0, 1, 2, 3, 4, 5, 6, 7, 63].map((q) => (-1) ** ones(q & 3) * t[2 * q + 1]!);
  const shown = /^> (.*) = -?\d+$/m
    .exec(text)![1]!
    .replace(" …", "")
    .replaceAll("− ", "-")
    .replaceAll("+ ", "");
  expect(numbersOf(shown)).toEqual(terms);
  const scale = Number(/The scale is s = ([\d.]+):/.exec(text)![1]);
  const encoding = { codec: "trellis", table: 1, group: 0, scale: "bf16", rotation: "hadamard64" } as const;
  const weights = decoded(encoding, planes, 130);
  expect(weights).toEqual(integers.map((integer) => scale * integer));
  for (const [, i, weight] of text.matchAll(/weight (\d+) is (-?[\d.]+\d)/g))
    expect(weights[Number(i)]).toBe(Number(weight));
});

test("L.4: planes stand where 7.3 puts them and decode to the weights", () => {
  const { text, tables } = section(4);
  const encodings = {
    "band 0, B′": { codec: "affine", bits: 2, group: 0, scale: "f16" },
    "band 0, A′": { codec: "affine", bits: 2, group: 0, scale: "f16" },
    "band 1, B′": { codec: "raw", element: "f16" },
    "band 1, A′": { codec: "sign", group: 0, scale: "f16" },
  } as const;
  const planes = new Map<string, Uint8Array>();
  let end = 0;
  let padding = 0;
  for (const [at, hex, what] of tables[0]!) {
    const bytes = bytesOf(hex!);
    expect(Number(at)).toBe(end);
    end += bytes.length;
    if (what === "padding") {
      expect(bytes.every((b) => b === 0)).toBe(true);
      padding += bytes.length;
    } else planes.set(what!, bytes);
  }
  expect(text).toContain(`The payload of ${end} bytes`);
  const offsets = new Map(tables[0]!.map(([at, , what]) => [what!, Number(at)]));
  for (const expert of [0, 1]) {
    // Codes of B′ (1 byte), a gap of 1, raw B′, codes of A′, zero points: 13 bytes, then a gap of 1.
    expect(offsets.get(`expert ${expert}, band 1, B′: codes`)).toBe(32 * expert + 2);
    expect(offsets.get(`expert ${expert}, band 0, B′: scale`)).toBe(32 * expert + 14);
  }
  expect(padding).toBe(2 + 12 + 2);
  expect(tables[1]).toHaveLength(8);
  for (const [expert, component, factor, weights] of tables[1]!) {
    const key = `band ${component}, ${factor}` as keyof typeof encodings;
    const plane = (kind: string) => planes.get(`expert ${expert}, ${key}: ${kind}`) ?? new Uint8Array(0);
    const own = { codes: plane("codes"), zeroPoints: plane("zero point"), scales: plane("scale") };
    const values = numbersOf(weights!);
    expect(decoded(encodings[key], own, factor === "B′" ? 3 : 5)).toEqual(values);
  }
});

test("L.5: the frame is whole and holds the shuffled elements", async () => {
  const { text, tables } = section(5);
  const frame = bytesOf(tables[0]!.map(([, hex]) => hex).join(" "));
  let end = 0;
  for (const [at, hex] of tables[0]!) {
    expect(Number(at)).toBe(end);
    end += bytesOf(hex!).length;
  }
  expect(text).toContain(`stored payload ${frame.length} bytes, \`chunk_length\` ${frame.length + 4}`);
  const elements = bytesOf(/these eight: `([^`]+)`/.exec(text)![1]!);
  const content = await new Promise<Uint8Array>((resolve) =>
    ZstdCodec.run((zstd: { Simple: new () => { decompress(frame: Uint8Array): Uint8Array } }) =>
      resolve(new zstd.Simple().decompress(frame)),
    ),
  );
  for (let i = 0; i < 160; i++)
    expect([content[i], content[160 + i]]).toEqual([...elements.subarray((2 * i) % 16, ((2 * i) % 16) + 2)]);
  const header = frame[7]! + 256 * frame[8]! + 65536 * frame[9]!;
  expect(text).toContain(`block header ${header}: bit 0 is ${header & 1}`);
  expect(text).toContain(`size ${header} / 8 = ${header >> 3}`);
  expect(text).toContain(`10 + ${header >> 3} = ${frame.length}`);
});
