/** Names and metadata of any kind: they come through unchanged, or are refused by name of the fault. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeMeta } from "../../src/core/format.ts";
import { isLqaError, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { fileBytes, metaOf, packed, shape } from "../container/fixtures.ts";
import { naturalOrder } from "../helpers/natural-order.ts";
import { metaMaps, names } from "./adapters.ts";
import { holds, TIMEOUT } from "./runs.ts";

const kindOf = async (call: () => Promise<unknown>): Promise<string | undefined> => {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return error.kind;
  }
};

/** Any strings, those that no Unicode encoding can hold among them. */
const strings = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.array(fc.nat(0xffff), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom(
    "\ud800",
    "a\udfff",
    "\udc00\ud800",
    "\0",
    "a\0b",
    "\x7f",
    "\x85",
    "",
    "x".repeat(513),
    "é".repeat(257),
  ),
  names,
);

describe("names", () => {
  test("come through a file in natural order, or are refused", { timeout: TIMEOUT }, async () => {
    const raw = { components: 1, b: { codec: "zero" }, a: { codec: "zero" } } as const;
    await holds(
      80,
      fc.asyncProperty(fc.uniqueArray(strings, { maxLength: 6 }), async (list) => {
        const legal = (name: string): boolean => {
          const length = new TextEncoder().encode(name).length;
          return length >= 1 && length <= 512 && !/[\p{Cc}\p{Cs}]/u.test(name);
        };
        const modules = list.map((name) =>
          packed(shape(name, { rank: 1, rule: "none", alpha: 0, multiplier: 1 }), [raw]),
        );
        if (!list.every(legal)) {
          await expect(fileBytes({ modules, tensors: [], sections: [] })).rejects.toMatchObject({
            kind: "NAME_ENCODING",
          });
          return;
        }
        const file = await open(await fileBytes({ modules, tensors: [], sections: [] }));
        const utf8 = (name: string): Uint8Array => new TextEncoder().encode(name);
        expect(file.modules.map(({ name }) => name)).toEqual(
          [...list].sort((x, y) => naturalOrder(utf8(x), utf8(y))),
        );
        for (const name of list) expect(file.module(name).name).toBe(name);
      }),
      [[["__proto__", "constructor", "hasOwnProperty"]], [["\ud800"]], [["\ufeff", "\ufeff\ufeff"]]],
    );
  });
});

describe("metadata", () => {
  test("comes through META and ORIG", { timeout: TIMEOUT }, async () => {
    await holds(
      150,
      fc.asyncProperty(metaMaps, async (map) => {
        const bytes = encodeMeta(map, "META");
        const decoded = await metaOf(bytes);
        expect(decoded).toEqual(map);
        expect(encodeMeta(decoded, "META")).toEqual(bytes);
        const turned = Object.fromEntries(Object.entries(map).reverse());
        expect(encodeMeta(turned, "META")).toEqual(bytes);
      }),
    );
  });

  test("with any keys comes through, or is META_ENCODING", { timeout: TIMEOUT }, async () => {
    const keys = fc.oneof(
      strings,
      fc.constantFrom("__proto__", "k".repeat(255), "k".repeat(256), "\u00e9", "a\tb"),
    );
    await holds(
      300,
      fc.asyncProperty(
        fc.uniqueArray(keys, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (list, nested) => {
          const legal = list.every((key) => /^[\x20-\x7e]{1,255}$/.test(key) && key !== "__proto__");
          const map = Object.create(null);
          for (const [i, key] of list.entries()) map[key] = i;
          const whole = nested ? { in: [map] } : map;
          const kind = await kindOf(async () =>
            expect(await metaOf(encodeMeta(whole, "META"))).toEqual(
              nested ? { in: [{ ...map }] } : { ...map },
            ),
          );
          expect(kind).toBe(legal ? undefined : "META_ENCODING");
          expect(Object.prototype).toEqual({});
        },
      ),
      [
        [["__proto__"], false],
        [["__proto__", "a"], true],
      ],
    );
  });

  test("of an adapter with a key that META cannot hold is refused before anything is written", {
    timeout: TIMEOUT,
  }, async () => {
    await holds(
      30,
      fc.asyncProperty(fc.constantFrom("", "\0", "ü", "__proto__", "k".repeat(256)), async (key) => {
        const meta = Object.defineProperty({}, key, { value: 1, enumerable: true });
        await expect(
          encodeAdapter({ modules: [], tensors: [], origin: undefined, meta }),
        ).rejects.toMatchObject({ kind: "META_ENCODING" });
      }),
    );
  });
});
