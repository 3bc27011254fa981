/** Reads the LoRA pairs of a PEFT safetensors file: just enough for measuring. Undefined if the file is not there. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LoraModule } from "../../src/core/index.ts";
import { makeModule } from "./modules.ts";

const folder = process.env.LQA_ADAPTERS ?? join(import.meta.dirname, "../../../shared/adapters");

export function readAdapter(name: string, multiplier: number): LoraModule[] | undefined {
  const path = join(folder, name, "adapter_model.safetensors");
  if (!existsSync(path)) {
    console.log(`skipped: no ${name} in the folder of real adapters (set LQA_ADAPTERS)`);
    return undefined;
  }
  const file = readFileSync(path);
  const base = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, base));
  const tensor = (key: string): Float32Array => {
    const [start, end] = header[key].data_offsets;
    return new Float32Array(Uint8Array.from(file.subarray(base + start, base + end)).buffer);
  };
  return Object.keys(header)
    .filter((key) => key.endsWith(".lora_A.weight"))
    .map((key) => {
      const keyB = key.replace("lora_A", "lora_B");
      const [rank, n] = header[key].shape;
      const shape = { out: header[keyB].shape[0], in: n, rank, multiplier };
      return { ...makeModule(shape), name: key.slice(0, -14), b: tensor(keyB), a: tensor(key) };
    });
}
