// The FlatBuffers verifier alone, on bytes that need no checksum; what it accepts, flatc's own reader can walk without
// leaving the buffer. (fuzz/verifier/ compares it with the official verifier.)
import { SCHEMA } from "../../dist/core/container/generated/schema.js";
import { readIndex, verifyIndex } from "../../dist/core/container/index-read.js";
import { expect, outcome, target } from "../contract.mjs";

export const fuzz = target((input, variant) => {
  const optional = SCHEMA.vectors.filter((one) => one.optional).map(({ name }) => name);
  // Of a file with a start, with a parent, and of one that has all of them.
  const present = [[], optional.slice(0, 2), optional.slice(2), optional][variant & 3];
  const { value } = outcome(() => verifyIndex(input, SCHEMA, variant, present));
  if (value === undefined) return;
  for (const { start, count, size } of value.values())
    expect(start >= 8 && start + count * size <= input.length, "a vector outside the index");
  readIndex(input, variant, present);
});
