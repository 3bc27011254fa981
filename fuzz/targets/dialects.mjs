// The readers of all dialects and of the containers they come in: safetensors, GGUF, ONNX Runtime, pickles of PyTorch in
// archives and without, npz. What is read is written again, in its own dialect or in another, and what is written reads
// back with the same modules. As in adapter.mjs a configuration comes first, its length in the first two bytes.
import { DIALECTS, readAdapter, writeAdapter } from "../../dist/adapters/index.js";
import { expect, outcome, target } from "../contract.mjs";

const NAMES = ["lora.safetensors", "adapter.gguf", "adapter.onnx_adapter", "adapter.bin", "adapters.npz"];

export const fuzz = target((input, variant) => {
  if (input.length < 2) return;
  const end = 2 + (input[0] | (input[1] << 8));
  const files = new Map([[NAMES[variant % 8] ?? NAMES[0], input.subarray(Math.min(end, input.length))]]);
  if (end > 2) files.set("adapter_config.json", input.subarray(2, end));
  // What the files do not say, a user may; what they say he may not, now and then.
  const from = (variant & 8) === 0 ? undefined : DIALECTS[input.length % DIALECTS.length].name;
  const scaleIfMissing = input.length % 8 !== 0;
  const said = {
    from,
    alpha: 4,
    scaleIfMissing,
    lazy: (variant & 16) !== 0,
    keepUnsupported: (variant & 32) !== 0,
  };
  const { value } = outcome(() => readAdapter(files, said));
  if (value === undefined) return;
  const to = (variant & 64) === 0 ? value.origin?.dialect : DIALECTS[(variant >> 3) % DIALECTS.length].name;
  const { value: written } = outcome(() => writeAdapter(value, { to, factors: "source" }));
  if (written === undefined) return;
  const { value: again } = outcome(() => readAdapter(written, { ...said, scaleIfMissing: true, from: to }));
  expect(again !== undefined, `what is written as ${to} does not read`);
  expect(again.modules.length === value.modules.length, `a module was lost on the way to ${to}`);
});
