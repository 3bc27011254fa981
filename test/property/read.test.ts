/** Whatever the file, and whatever is done to it: all ways of reading it agree. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
// The fuzz targets are plain JavaScript, without types.
// @ts-expect-error
import { sealFile } from "../../fuzz/seal.mjs";
import { memorySource, open, validate } from "../../src/core/index.ts";
import { fileBytes } from "../container/fixtures.ts";
import {
  comparable,
  contentOf,
  cut,
  expected,
  finding,
  opened,
  pushed,
  text,
  validated,
} from "../read/events.ts";
import { files } from "./adapters.ts";
import { holds, TIMEOUT } from "./runs.ts";

const written = files.map(fileBytes);

/** What the reader by ranges says of a file: every module, tensor and id, or its first error. */
async function ranged(bytes: Uint8Array): Promise<string> {
  try {
    const file = await open(memorySource(bytes), { gapBytes: 0 });
    const modules: unknown[] = [];
    for await (const { record, decode } of file.packedAll()) modules.push([record, decode()]);
    const tensors = [];
    for (const record of file.tensors) tensors.push(await file.tensor(record));
    return text([modules, tensors, await file.verify()]);
  } catch (error) {
    return text(finding(error));
  }
}

/** The same from the whole file. */
async function whole(bytes: Uint8Array): Promise<string> {
  const file = await open(bytes);
  const modules: unknown[] = [];
  for (const record of file.modules) modules.push([record, await file.decode(record)]);
  return text([modules, (await contentOf(file)).tensors, await file.verify()]);
}

describe("an arbitrary file", () => {
  test("is written, accepted, and written again as the same bytes", { timeout: TIMEOUT }, async () => {
    await holds(
      40,
      fc.asyncProperty(files, async (input) => {
        const bytes = await fileBytes(input);
        const { error, ...result } = await validate(bytes, { level: "values" });
        expect(error, JSON.stringify(result)).toBeUndefined();
        const file = await open(bytes);
        const again = await fileBytes({
          ...input,
          ...(await contentOf(file)),
        });
        expect(again).toEqual(bytes);
      }),
    );
  });

  test("says the same in pieces as at once", { timeout: TIMEOUT }, async () => {
    await holds(
      40,
      fc.asyncProperty(
        written,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 }),
        async (file, cuts) => {
          const bytes = await file;
          const pieces = cut(
            bytes,
            cuts.map((share) => Math.floor(share * bytes.length)),
          );
          const told = await pushed(pieces);
          expect(told.error).toBeUndefined();
          expect(comparable(told.events)).toEqual(await expected(bytes));
        },
      ),
    );
  });

  test("gives each subset of its modules as the whole does", { timeout: TIMEOUT }, async () => {
    await holds(
      40,
      fc.asyncProperty(written, fc.nat(15), fc.constantFrom(0, 64, 65536), async (file, chosen, gapBytes) => {
        const bytes = await file;
        const all = await open(bytes);
        const wanted = all.modules.filter((_, i) => (chosen >> i) & 1).map(({ name }) => name);
        const part = await open(memorySource(bytes), { gapBytes });
        const found: [string, string][] = [];
        for await (const { record, factors, decode } of part.packedAll({ modules: wanted.toReversed() }))
          found.push([record.name, text([factors, decode()])]);
        expect(found).toEqual(
          await Promise.all(
            wanted.map(async (name) => [name, text([await all.packed(name), await all.decode(name)])]),
          ),
        );
      }),
    );
  });
});

/** A change of the index: at a share of its length, so many bytes as a number. */
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    size: fc.constantFrom(1, 1, 1, 2, 4),
    value: fc.oneof(
      fc.constantFrom(
        0,
        1,
        2,
        4,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0xffff,
        0x10000,
        0x7fffffff,
        0xfffffff0,
        0xffffffff,
      ),
      fc.nat(0xffffffff),
    ),
    relative: fc.boolean(),
  }),
  { minLength: 1, maxLength: 3 },
);

describe("a file whose index was changed, with checksums that fit", () => {
  test("is refused with one error, or read alike, by all ways of reading", { timeout: TIMEOUT }, async () => {
    const accepted = { files: 0, of: 0 };
    await holds(
      250,
      fc.asyncProperty(written, changes, async (file, list) => {
        const bytes = Uint8Array.from(await file);
        const view = new DataView(bytes.buffer);
        const indexLength = view.getUint32(32, true);
        for (const { at, size, value, relative } of list) {
          const position = 64 + Math.floor((at * (indexLength - size)) / size) * size;
          const old =
            size === 4
              ? view.getUint32(position, true)
              : size === 2
                ? view.getUint16(position, true)
                : bytes[position]!;
          const next = relative ? old + (value % 8) - 4 : value;
          if (size === 4) view.setUint32(position, next, true);
          else if (size === 2) view.setUint16(position, next, true);
          else bytes[position] = next;
        }
        const sealed: Uint8Array = sealFile(bytes);
        const [first, push, open, ranges] = [
          await validated(sealed),
          await pushed(
            cut(
              sealed,
              [70, 200, 1000].map((n) => Math.min(n, sealed.length)),
            ),
          ),
          await opened(sealed),
          await ranged(sealed),
        ];
        accepted.of++;
        expect(push.error).toEqual(first);
        if (first === undefined) {
          accepted.files++;
          expect(open).toBeUndefined();
          expect(ranges).toEqual(await whole(sealed));
          expect(comparable(push.events)).toEqual(await expected(sealed));
        } else {
          // Lengths are compared first where the length of the input is known.
          if (open!.kind !== "TRUNCATED_FILE" && open!.kind !== "TRAILING_BYTES") expect(open).toEqual(first);
          expect(ranges.startsWith('{"kind":')).toBe(true);
        }
      }),
    );
    // A property that nothing passes through shows nothing.
    expect(accepted.files).toBeGreaterThan(accepted.of / 100);
    expect(accepted.files).toBeLessThan(accepted.of);
  });
});
