/** Whatever adapter goes in, and whatever the options: what the file holds is what every way of reading it gives. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodePlain, lower, type SectionInput } from "../../src/core/format.ts";
import {
  type Adapter,
  inputLength,
  isLqaError,
  type LqaFile,
  type MetaMap,
  type ModuleRecord,
  open,
  type PlainTensor,
  validate,
} from "../../src/core/index.ts";
import { type EncodeOptions, encodeAdapter } from "../../src/encode/index.ts";
import { fileBytes } from "../container/fixtures.ts";
import { numberToF16 } from "../helpers/floats.ts";
import { contentOf, streamed } from "../read/events.ts";
import { adapters, options } from "./adapters.ts";
import { holds, TIMEOUT } from "./runs.ts";

const bits = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Both factors by the reference decoder, component by component. */
async function reference(file: LqaFile, module: ModuleRecord): Promise<{ b: Float32Array; a: Float32Array }> {
  const { bands, planes } = await file.packed(module);
  const of = (factor: "b" | "a", length: number): Float32Array => {
    const target = new Float32Array(module.experts * module.rank * length);
    let offset = 0;
    for (const expert of planes)
      for (const [i, band] of bands.entries()) {
        const at = { offset, componentStride: length, weightStride: 1 };
        decodePlain(lower(band[factor]), expert[i]![factor], band.components, length, target, at);
        offset += band.components * length;
      }
    return target;
  };
  return { b: of("b", module.out), a: of("a", inputLength(module)) };
}

/** The same weights with B as `[experts][out][rank]`. */
function turned(b: Float32Array, { experts, rank, out }: ModuleRecord): Float32Array {
  return b
    .map((_, i) => {
      const [expert, o, k] = [Math.floor(i / (rank * out)), Math.floor(i / rank) % out, i % rank];
      return b[(expert * rank + k) * out + o]!;
    })
    .subarray(0, experts * rank * out);
}

/** What the policy makes of a tensor. */
function kept(tensor: PlainTensor, policy: string | undefined): PlainTensor {
  if (policy !== "f16" || !["F64", "F32", "BF16"].includes(tensor.element)) return tensor;
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  const size = { F64: 8, F32: 4, BF16: 2 }[tensor.element as "F32"];
  const halves = Uint16Array.from({ length: tensor.data.length / size }, (_, i) => {
    if (size === 8) return numberToF16(view.getFloat64(8 * i, true));
    if (size === 4) return numberToF16(view.getFloat32(4 * i, true));
    const wide = new DataView(new ArrayBuffer(4));
    wide.setUint32(0, view.getUint16(2 * i, true) << 16);
    return numberToF16(wide.getFloat32(0));
  });
  return { ...tensor, element: "F16", data: bits(halves) };
}

const shuffled = <T>(items: readonly T[], seed: number): T[] =>
  items
    .map((item, i) => [Math.imul(i + 1, 2654435761 ^ seed) >>> 0, item] as const)
    .sort(([x], [y]) => x - y)
    .map(([, item]) => item);

/** The encoding, or undefined if the adapter cannot be as small as the options want: a tiny one is mostly container. */
async function encoded(adapter: Adapter, how: EncodeOptions): Promise<Uint8Array | undefined> {
  try {
    return (await encodeAdapter(adapter, how)).bytes;
  } catch (error) {
    const goal = "bits" in how || "maxBytes" in how;
    if (goal && isLqaError(error, "USAGE") && error.where === "this adapter") return undefined;
    throw error;
  }
}

describe("an encoded adapter", () => {
  test("is valid and canonical, and decodes to the bits of the reference decoder", {
    timeout: TIMEOUT,
  }, async () => {
    await holds(
      20,
      fc.asyncProperty(adapters, options, async (adapter, how) => {
        const bytes = await encoded(adapter, how);
        if (bytes === undefined) return;
        expect((await validate(bytes, { level: "canonical" })).error).toBeUndefined();
        const file = await open(bytes);
        expect(new Set(file.modules.map(({ name }) => name))).toEqual(
          new Set(adapter.modules.map(({ name }) => name)),
        );
        for (const module of file.modules) {
          const { b, a } = await reference(file, module);
          const whole = { component: { b, a }, peft: { b: turned(b, module), a } };
          for (const layout of ["component", "peft"] as const) {
            const wide = await file.decode(module, { layout });
            const half = await file.decode(module, { layout, type: "f16" });
            for (const factor of ["b", "a"] as const) {
              expect(bits(wide[factor].data)).toEqual(bits(whole[layout][factor]));
              expect(bits(half[factor].data)).toEqual(
                bits(Uint16Array.from(whole[layout][factor], numberToF16)),
              );
            }
          }
        }
      }),
    );
  });

  test("of profile raw as f32 has the factors of the source, bit for bit", { timeout: TIMEOUT }, async () => {
    await holds(
      30,
      fc.asyncProperty(adapters, async (adapter) => {
        const { bytes } = await encodeAdapter(adapter, { profile: "raw" });
        const file = await open(bytes);
        for (const { name, b, a, alpha, multiplier, ...module } of adapter.modules) {
          const decoded = await file.decode(name);
          expect(bits(decoded.b.data)).toEqual(bits(b));
          expect(bits(decoded.a.data)).toEqual(bits(a));
          const { rule: _, ...shape } = module;
          expect(file.module(name)).toMatchObject({ ...shape, alpha: Math.fround(alpha), multiplier });
        }
      }),
    );
  });

  test("keeps tensors, metadata and origin", { timeout: TIMEOUT }, async () => {
    await holds(
      30,
      fc.asyncProperty(adapters, fc.constantFrom("zstd", "keep", "f16"), async (adapter, tensors) => {
        const file = await open((await encodeAdapter(adapter, { profile: "sign", tensors })).bytes);
        const read = await file.adapter();
        const byKey = (list: readonly PlainTensor[]) =>
          new Map(list.map((tensor) => [`${tensor.role} ${tensor.name}`, tensor]));
        const [found, given] = [
          byKey(read.tensors),
          byKey(adapter.tensors.map((tensor) => kept(tensor, tensors))),
        ];
        expect([...found.keys()].sort()).toEqual([...given.keys()].sort());
        for (const [key, { data, ...record }] of given) {
          expect(found.get(key)).toMatchObject(record);
          expect(bits(found.get(key)!.data)).toEqual(data);
        }
        const { encoder, relative_error: _, ...meta } = read.meta;
        const { encoder: __, relative_error: ___, ...source } = adapter.meta;
        expect(meta).toEqual(source);
        expect(encoder).toMatch(/^lqa\//);
        const { tensor_element: _e, tensor_elements: _es, ...origin } = read.origin ?? ({} as MetaMap);
        expect(origin).toEqual(adapter.origin ?? {});
      }),
    );
  });

  test("does not depend on the order of the source", { timeout: TIMEOUT }, async () => {
    await holds(
      15,
      fc.asyncProperty(adapters, options, fc.nat(), async (adapter, how, seed) => {
        const bytes = await encoded(adapter, how);
        if (bytes === undefined) return;
        const turned: Adapter = {
          ...adapter,
          modules: shuffled(adapter.modules, seed),
          tensors: shuffled(adapter.tensors, seed),
          meta: Object.fromEntries(shuffled(Object.entries(adapter.meta), seed)),
        };
        expect(await encoded(turned, how)).toEqual(bytes);
      }),
    );
  });

  test("of profile raw, decoded and encoded again, is the same file", { timeout: TIMEOUT }, async () => {
    await holds(
      20,
      fc.asyncProperty(
        adapters,
        fc.constantFrom("f32", "f16", "bf16"),
        fc.constantFrom("zstd", "keep"),
        async (adapter, element, tensors) => {
          const how = { profile: "raw", element, tensors } as const;
          const once = await encodeAdapter(adapter, how);
          const again = await encodeAdapter(await (await open(once.bytes)).adapter(), how);
          const twice = await encodeAdapter(await (await open(again.bytes)).adapter(), how);
          // The first encoding rounds; relative_error in META says so, and is 0 from then on.
          if (element === "f32") expect(again.bytes).toEqual(once.bytes);
          expect(twice.bytes).toEqual(again.bytes);
        },
      ),
    );
  });

  test("read and written again as it is stored, is the same file", { timeout: TIMEOUT }, async () => {
    await holds(
      20,
      fc.asyncProperty(adapters, options, async (adapter, how) => {
        const bytes = await encoded(adapter, how);
        if (bytes === undefined) return;
        const file = await open(bytes);
        const { prologue } = file;
        const sections: SectionInput[] = [];
        for await (const event of streamed([bytes]))
          if (event.type === "section")
            sections.push({ ...event.record, data: event.data, compress: event.record.type !== "META" });
        const again = await fileBytes({
          ...(await contentOf(file)),
          sections,
          alignment: prologue.alignment,
          compressTensors: how.tensors !== "keep",
        });
        expect(again).toEqual(bytes);
      }),
    );
  });
});
