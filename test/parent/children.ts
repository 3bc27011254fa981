/** Files with a parent of every kind, for the tests that apply and keep them. */
import { readFileSync } from "node:fs";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { SEED, trained } from "../start/trained.ts";
import { childModules, contentIdOf, parentModules, written } from "./family.ts";
import { checkpoint } from "./run.ts";

/** Parents, and the files that need them. */
export interface Relatives {
  /** A parent, and a child of every codec. */
  readonly family: readonly [Uint8Array, Uint8Array];
  /** A parent, three children, and a child of the first of these, as the encoder makes them. */
  readonly parent: Uint8Array;
  readonly children: readonly Uint8Array[];
  readonly grandchild: Uint8Array;
  /** A parent with a start, and its child. */
  readonly started: Uint8Array;
  readonly startedChild: Uint8Array;
}

export async function relatives(): Promise<Relatives> {
  const oldest = await written(parentModules());
  const { bytes: parent } = await encodeAdapter(checkpoint(0), { maxError: 0.002 });
  const { bytes: started } = await encodeAdapter(trained(0.02), { maxError: 0.02, start: SEED });
  const parentFile = await open(parent);
  const children = await Promise.all(
    [2, 6, 8].map(
      async (step) => (await encodeAdapter(checkpoint(step), { maxError: 0.005, parent: parentFile })).bytes,
    ),
  );
  const first = await open(children[0]!, { parents: [parent] });
  return {
    family: [oldest, await written(childModules(await contentIdOf(oldest)))],
    parent,
    children,
    grandchild: (await encodeAdapter(checkpoint(5), { maxError: 0.004, parent: first })).bytes,
    started,
    startedChild: (
      await encodeAdapter(trained(0.021), { maxError: 0.01, parent: await open(started), start: "none" })
    ).bytes,
  };
}

/** One child of each kind with its parents: what it is, its file, theirs. */
export function eachKind({
  family,
  parent,
  children,
  grandchild,
  started,
  startedChild,
}: Relatives): [name: string, bytes: Uint8Array, parents: Uint8Array[]][] {
  return [
    ["a child of every codec", family[1], [family[0]]],
    ["a child as the encoder makes them", children[2]!, [parent]],
    ["a child of a child", grandchild, [children[0]!, parent]],
    ["a child of an adapter with a start", startedChild, [started]],
  ];
}

/** A file of the conformance suite. */
export function suite(name: string): Uint8Array {
  const url = new URL(`../../conformance/suite/valid/parent/${name}.lqa`, import.meta.url);
  return new Uint8Array(readFileSync(url));
}
