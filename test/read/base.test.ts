import { expect, test } from "vitest";
import { checkBase } from "../../src/core/index.ts";
import { shape } from "../container/fixtures.ts";

const module = shape("model.q", { out: 24, in: 40 });
const base = (name: string, ...size: number[]): Map<string, number[]> => new Map([[name, size]]);

test("a base model of the right shapes is accepted", () => {
  checkBase([module], base("model.q.weight", 24, 40));
  checkBase([{ ...module, baseLayout: "in-out" }], base("model.q.weight", 40, 24));
  checkBase([{ ...module, role: "conv2d", kernel: [3, 3] }], base("model.q.weight", 24, 40, 3, 3));
  checkBase([{ ...module, experts: 8 }], base("model.q", 8, 24, 40));
});

test.each<[string, Map<string, number[]>, RegExp]>([
  ["a missing layer", base("model.k.weight", 24, 40), /LQA-B001 BASE_MODULE_MISSING.*model\.q/],
  ["a transposed layer", base("model.q.weight", 40, 24), /LQA-B002 BASE_SHAPE.*expected 24×40, found 40×24/],
  ["a layer of another rank", base("model.q.weight", 24, 40, 1), /BASE_SHAPE/],
])("%s is named", (_, shapes, message) => expect(() => checkBase([module], shapes)).toThrow(message));

test("names of a model without its head have another prefix, one for all modules", () => {
  const two = [shape("model.a.q"), shape("model.b.q")];
  const shapes = (...names: string[]) => new Map(names.map((name) => [name, [24, 40]]));
  checkBase(two, shapes("a.q.weight", "b.q.weight"));
  checkBase([shape("h.0.attn")], shapes("transformer.h.0.attn.weight"));
  // Two changes at once are none; where one weight is missing it is that one which is named.
  expect(() => checkBase(two, shapes("a.q.weight", "transformer.model.b.q.weight"))).toThrow(/MISSING.*b\.q/);
  expect(() => checkBase(two, shapes("b.q.weight", "c.q.weight"))).toThrow(/MISSING.*model\.a\.q/);
});
