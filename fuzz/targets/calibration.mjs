// Calibration files: llama.cpp's matrices in GGUF and .dat, and safetensors; also GGUF as such.

import { readCalibration } from "../../dist/adapters/calibration/index.js";
import { readGguf } from "../../dist/adapters/gguf/read.js";
import { expect, outcome, target } from "../contract.mjs";

const MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"].map((name) => ({
  name,
  role: "linear",
  out: 4,
  in: 8,
  kernel: [],
  experts: 1,
  rank: 2,
  baseLayout: "out-in",
  multiplier: 1,
  alpha: 2,
  rule: "alpha/r",
}));

export const fuzz = target((input) => {
  const { value } = outcome(() => readCalibration(input, MODULES));
  if (value !== undefined) expect(typeof value === "object", "no calibration and no error");
  outcome(() => readGguf(input));
});
