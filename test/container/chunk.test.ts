/** A module's payload is made of planes of exactly the lengths that its record implies, and split into them again. */

import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import type { ModuleInput } from "../../src/core/format.ts";
import { open, type Planes, validate } from "../../src/core/index.ts";
import { fileBytes, shape } from "./fixtures.ts";

const none = new Uint8Array(0);
const sign: Planes = { scales: Uint8Array.of(1, 2), zeroPoints: none, codes: Uint8Array.of(5) };
const raw: Planes = {
  scales: none,
  zeroPoints: none,
  codes: Uint8Array.from({ length: 20 }, (_, i) => i + 1),
};
const module = (b: Planes = sign): ModuleInput => ({
  ...shape("q", { out: 3, in: 5, experts: 2, rank: 1 }),
  bands: [
    { components: 1, b: { codec: "sign", group: 0, scale: "f16" }, a: { codec: "raw", element: "f32" } },
  ],
  planes: [[{ b, a: raw }], [{ b: sign, a: raw }]],
});
const fileOf = (own: ModuleInput): Promise<Uint8Array> =>
  fileBytes({ modules: [own], tensors: [], sections: [] });

test("planes are aligned, with zeros between them, and come back", async () => {
  const bytes = await fileOf(module());
  const file = await open(bytes);
  const { chunk, payload } = file.module("q");
  const expert = [5, 0, 0, 0, ...raw.codes, 1, 2];
  expect([...bytes.subarray(chunk.offset, chunk.offset + payload)]).toEqual([
    ...expert,
    ...[0, 0, 0, 0, 0, 0],
    ...expert,
  ]);
  expect((await file.packed("q")).planes).toEqual(module().planes);
});

test("a plane that is too long or too short, and one too many, are mistakes of the caller", async () => {
  for (const codes of [none, new Uint8Array(2)])
    await expect(fileOf(module({ ...sign, codes }))).rejects.toThrow(/q: codes of b in band 0/);
  await expect(fileOf(module({ ...sign, zeroPoints: new Uint8Array(1) }))).rejects.toThrow(RangeError);
});

test("a byte between planes and an unused bit are found where they stand", async () => {
  const at = async (position: number, value: number): Promise<unknown> => {
    const bytes = await fileOf(module());
    const { offset, length } = (await open(bytes)).module("q").chunk;
    bytes[offset + position] = value;
    const end = offset + length - 4;
    new DataView(bytes.buffer).setUint32(end, crc32(bytes.subarray(offset, end)), true);
    const { error } = await validate(bytes);
    return [error!.kind, error!.where, error!.offset! - offset];
  };
  expect(await at(3, 1)).toEqual(["PADDING_NONZERO", 'padding of module "q"', 3]);
  expect(await at(31, 1)).toEqual(["PADDING_NONZERO", 'padding of module "q"', 31]);
  expect(await at(32, 0x08)).toEqual(["PADDING_NONZERO", 'unused bits of module "q"', 32]);
});
