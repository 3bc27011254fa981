/** Names of the library and numbers of the schema: both lists in one order. */
import { expect, test } from "vitest";
import { CODEC_NAMES } from "../../src/core/codecs/registry.ts";
import { ROTATIONS } from "../../src/core/codecs/rotation.ts";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  TENSOR_ROLES,
} from "../../src/core/container/encoding-record.ts";
import {
  BaseLayout,
  Codec,
  Compression,
  ElementType,
  ModuleRole,
  MultiplierRule,
  Rotation,
  TensorRole,
} from "../../src/core/container/generated/schema.ts";

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

test.each([
  ["ModuleRole", ModuleRole, MODULE_ROLES],
  ["BaseLayout", BaseLayout, BASE_LAYOUTS],
  ["TensorRole", TensorRole, TENSOR_ROLES],
  ["Compression", Compression, COMPRESSIONS],
  ["Codec", Codec, CODEC_NAMES],
  ["Rotation", Rotation, ROTATIONS],
  ["ElementType", ElementType, ELEMENT_TYPES.map((name) => name ?? "none")],
] as const)("%s", (_, theirs, ours) => {
  expect(ours.map(plain)).toEqual(Object.keys(theirs).map(plain));
  expect(Object.values(theirs)).toEqual(ours.map((_, i) => i));
});

test("MultiplierRule", () => {
  expect(MultiplierRule).toEqual({ None: 0, AlphaOverRank: 1, AlphaOverSqrtRank: 2, Explicit: 3 });
  expect(MULTIPLIER_RULES).toEqual(["none", "alpha/r", "alpha/sqrt(r)", "explicit"]);
});
