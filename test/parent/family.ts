/** Parents and their children, and what a child decodes to by the rule of clause 8.9, one addition after the other. */

import type { ModuleInput } from "../../src/core/format.ts";
import { type Encoding, type LqaFile, type ModuleShape, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { AFFINE2, bands, fileBytes, packed, SIGN, shape } from "../container/fixtures.ts";
import { SEED, trained } from "../start/trained.ts";

export const RAW: Encoding = { codec: "raw", element: "f32" };
export const ZERO: Encoding = { codec: "zero" };

/** Shapes of the modules: small, large enough for the kernel, with experts, a convolution. */
export const SHAPES: readonly ModuleShape[] = [
  shape("a"),
  shape("b", { out: 640, in: 1040, rank: 8, multiplier: Math.fround(0.3), alpha: 0, rule: "explicit" }),
  shape("c", { experts: 3, out: 96, in: 130 }),
  shape("d", { role: "conv2d", kernel: [3, 3], in: 16, out: 32 }),
  shape("e", { role: "embedding", baseLayout: "in-out", out: 64, in: 500 }),
];

/** A parent with a module of each shape, of half the rank. */
export function parentModules(seed = 1): ModuleInput[] {
  return SHAPES.map((own, i) => {
    const rank = own.rank / 2;
    const rule = { multiplier: Math.fround(1.5), alpha: 0, rule: "explicit" as const };
    return packed({ ...own, ...rule, name: `parent.${i}`, rank }, bands(1, rank - 1), seed + i);
  });
}

/** A child: number of the parent's module for each of its own; `undefined` for none. */
export function childModules(
  parentId: string,
  numbers: readonly (number | undefined)[] = SHAPES.map((_, i) => i),
  seed = 50,
): ModuleInput[] {
  return SHAPES.map((own, i) => {
    const plan = [
      { components: 1, b: AFFINE2, a: RAW },
      { components: own.rank / 2, b: ZERO, a: SIGN },
      { components: own.rank / 2 - 1, b: AFFINE2, a: ZERO },
    ];
    const parentModule = numbers[i];
    const module = packed(own, plan, seed + i);
    return parentModule === undefined ? module : { ...module, parentModule, parentId };
  });
}

export async function contentIdOf(bytes: Uint8Array): Promise<string> {
  return (await (await open(bytes)).verify()).contentId;
}

export function written(modules: readonly ModuleInput[]): Promise<Uint8Array> {
  return fileBytes({ modules, tensors: [], sections: [] });
}

/** All factors of a file, component after component. */
export async function factorsOf(file: LqaFile): Promise<{ b: Float32Array; a: Float32Array }[]> {
  const found = [];
  for await (const { b, a } of file.decodeAll({ layout: "component" })) found.push({ b: b.data, a: a.data });
  return found;
}

/** The sum of a rest and the parent's factor, `[experts][rank][length]`: the parent's rank may be smaller. */
export function sum(rest: Float32Array, parent: Float32Array, experts: number, length: number): Float32Array {
  const [rank, own] = [rest, parent].map((factor) => factor.length / experts / length) as [number, number];
  return rest.map((value, at) => {
    const [expert, inside] = [Math.floor(at / (rank * length)), at % (rank * length)];
    return value + (inside < own * length ? parent[expert * own * length + inside]! : 0);
  });
}

/** A parent with a start; and a child of a rank above it, with its rests, its modules in the order of the parent's. */
export async function startedFamily(): Promise<{
  readonly first: Uint8Array;
  readonly modules: readonly ModuleInput[];
  readonly bytes: Uint8Array;
}> {
  const { bytes: first } = await encodeAdapter(trained(0.05), { maxError: 0.02, start: SEED });
  const parentId = await contentIdOf(first);
  const modules = (await open(first)).modules.map((record, i) => {
    const own = shape(record.name, { out: record.out, in: record.in, rank: record.rank + 3 });
    return packed(own, bands(2, record.rank + 1), i);
  });
  const children = modules.map((one, parentModule) => ({ ...one, parentModule, parentId }));
  return { first, modules, bytes: await written(children) };
}
