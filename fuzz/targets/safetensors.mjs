// safetensors files: what is accepted tiles the file exactly, and is written and read again alike.
import { readSafetensors, writeSafetensors } from "../../dist/adapters/safetensors.js";
import { expect, outcome, target } from "../contract.mjs";

export const fuzz = target((input) => {
  const { value } = outcome(() => readSafetensors(input));
  if (value === undefined) return;
  let bytes = 0;
  for (const { data } of value.tensors.values()) bytes += data.length;
  expect(bytes <= input.length, "tensors larger than their file");
  const written = outcome(() => writeSafetensors(value.tensors, { metadata: value.metadata })).value;
  if (written !== undefined)
    expect(readSafetensors(written).tensors.size === value.tensors.size, "a tensor was lost");
});
