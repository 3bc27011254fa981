/**
 * schema/lqa.ksy, compiled, parses the example and every valid file of the conformance suite, and finds the same parts at
 * the same places, with the same types and lengths, as this library's reader.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { open } from "../../src/core/index.ts";
import { BASE_LAYOUTS, COMPRESSIONS, ELEMENT_TYPES, MODULE_ROLES, readIndex } from "../helpers/parts.ts";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(`${root}/${path}`));
const manifest: { cases: { id: string; file: string; expected: { valid: boolean } }[] } = JSON.parse(
  readFileSync(`${root}/conformance/suite/manifest.json`, "utf8"),
);
// The compiled parser has no types.
// biome-ignore lint/suspicious/noExplicitAny: fields are those of lqa.ksy
type Parsed = any;
let parser: Parsed;

beforeAll(async () => {
  const source = parse(readFileSync(`${root}/schema/lqa.ksy`, "utf8"));
  const compiled = await require("kaitai-struct-compiler").compile("javascript", source, null, true);
  const module = { exports: {} as Parsed };
  new Function("exports", "require", compiled["Lqa.js"])(module.exports, require);
  parser = module.exports.Lqa;
});

function parseFile(bytes: Uint8Array<ArrayBuffer>): Parsed {
  const KaitaiStream = require("kaitai-struct/KaitaiStream");
  const file = new parser(new KaitaiStream(bytes.buffer));
  file._read();
  return file;
}

/** Records without what Kaitai keeps of its own, in the words of our reader. */
function records(items: Parsed[]): unknown[] {
  return items.map((item) =>
    Object.fromEntries(
      Object.entries(item).filter(([key]) => !key.startsWith("_") && key !== "flags" && key !== "tag"),
    ),
  );
}

async function compare(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const file = parseFile(bytes);
  const ours = await open(bytes);
  const p = file.prologue;
  const [started, child]: boolean[] = [p.required.start, p.required.parent];
  const { vectors } = readIndex(
    bytes.subarray(64, 64 + ours.prologue.indexLength),
    64,
    started ? ["start", "positions"] : child ? ["parent", "parentModules"] : [],
  );
  const bits = (fields: Parsed, names: string[]) =>
    names.reduce((sum, name, i) => sum + (fields[name] ? 2 ** i : 0), 0);
  expect({
    major: p.major,
    minor: p.minor,
    required: bits(p.required, ["zstd", "trellis", "experts", "magnitude", "replacement", "start", "parent"]),
    readOnlyCompatible: p.readOnlyCompatible,
    compatible: p.compatible.unknown,
    fileLength: p.fileLength,
    indexLength: p.indexLength,
    modules: p.numModules,
    tensors: p.numTensors,
    sections: p.numSections,
    alignment: file.alignment,
    indexCrc: p.indexCrc32,
  }).toEqual(ours.prologue);

  const table = file.index.root;
  for (const name of ["encodings", "bands", "types", "modules", "tensors", "sections"] as const)
    expect(records(table[name].items), name).toEqual(
      vectors[name].map((record) =>
        Object.fromEntries(Object.entries(record).filter(([key]) => key !== "flags" && key !== "tag")),
      ),
    );
  for (const name of ["plans", "dimensions"] as const) expect(table[name].items).toEqual([...vectors[name]]);
  expect([...table.names.suffixes]).toEqual([...vectors.names]);
  expect(table.starts?.items).toEqual(vectors.start);
  expect(table.positions?.items).toEqual(vectors.positions);
  expect(table.parent?.items).toEqual(vectors.parent);
  expect(table.parentModules?.items).toEqual(vectors.parentModules);

  for (const kind of ["modules", "tensors", "sections"] as const) {
    const chunks = file[kind].map((chunk: Parsed, i: number) => ({
      offset: file._debug[kind].arr[i].start,
      length: chunk.stored.length + 4,
      compression: COMPRESSIONS[table[kind].items[i].compression ?? 0],
    }));
    expect(chunks, kind).toEqual(
      ours[kind].map(({ chunk, compression }) => ({
        offset: chunk.offset,
        length: chunk.length,
        compression,
      })),
    );
  }
  table.types.items.forEach((type: Parsed) => {
    expect(MODULE_ROLES[type.role]).toBeDefined();
    expect(BASE_LAYOUTS[type.baseLayout]).toBeDefined();
  });
  expect(table.tensors.items.map((t: Parsed) => ELEMENT_TYPES[t.element])).toEqual(
    ours.tensors.map((t) => t.element),
  );
  expect(table.sections.items.map((s: Parsed) => [s.tag, s.flags.critical, s.flags.safeToCopy])).toEqual(
    ours.sections.map((s) => [s.type, s.critical, s.safeToCopy]),
  );

  const { digests, trailer } = ours.index;
  const debug = file._debug;
  expect(debug.digests).toMatchObject({ start: digests.offset, end: digests.offset + digests.length });
  expect(file.digests.spans.length).toBe(digests.length / 32 - 1);
  expect(file.trailer.digestsLength).toBe(digests.length);
  expect(debug.trailer).toMatchObject({ start: trailer.offset, end: bytes.length });
}

describe("schema/lqa.ksy", () => {
  it("finds the parts of the example that our reader finds", async () => {
    await compare(read("spec/example.lqa"));
    const example = parseFile(read("spec/example.lqa"));
    expect([...example.modules[0].stored.subarray(0, 4)]).toEqual([0x13, 0x02, 0x1b, 0x02]);
    expect(String.fromCharCode(...example.sections[0].stored.subarray(2, 12))).toBe("base_model");
  });

  const files = new Set(manifest.cases.filter((c) => c.expected.valid).map((c) => c.file));
  it.each([...new Set([...files].map((file) => file.split("/").slice(0, 2).join("/")))])(
    "finds the parts of the valid files of %s",
    async (folder) => {
      for (const file of files) {
        if (!file.startsWith(`${folder}/`)) continue;
        try {
          await compare(read(`conformance/suite/${file}`));
        } catch (cause) {
          throw new Error(file, { cause });
        }
      }
    },
  );

  it("refuses what has no magic, another major version, or ends early", () => {
    const bytes = read("spec/example.lqa");
    expect(() => parseFile(bytes.with(0, 0) as Uint8Array<ArrayBuffer>)).toThrow(/137,76,81,65/);
    expect(() => parseFile(bytes.with(8, 2) as Uint8Array<ArrayBuffer>)).toThrow(/expected \[1\]/);
    expect(() => parseFile(bytes.slice(0, 300))).toThrow(/EOF|bytes/);
  });

  it("has the enumerations of schema/lqa.fbs", () => {
    const fbs = readFileSync(`${root}/schema/lqa.fbs`, "utf8");
    const { enums } = parse(readFileSync(`${root}/schema/lqa.ksy`, "utf8"));
    const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
    const found = Object.fromEntries(
      [...fbs.matchAll(/enum (\w+) : ubyte \{([^}]*)\}/g)].map(([, name, body]) => [
        plain(name!),
        Object.fromEntries(
          [...body!.matchAll(/(\w+) = (\d+)/g)].map(([, word, number]) => [number, plain(word!)]),
        ),
      ]),
    );
    const described = Object.fromEntries(
      Object.entries(enums as Record<string, Record<string, string>>).map(([name, words]) => [
        plain(name),
        Object.fromEntries(Object.entries(words).map(([number, word]) => [number, plain(String(word))])),
      ]),
    );
    expect(described).toEqual(found);
  });
});
