// Adapters for benches and trials of fleets.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A PEFT adapter with weights of its own; those of its layers are the same. */
export function writeAdapter(folder, seed, { rank, width, layers = 1 }) {
  let state = seed + 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const factors = ["q_proj", "v_proj"].flatMap((projection) =>
    [
      ["A", [rank, width]],
      ["B", [width, rank]],
    ].map(([factor, shape]) => {
      const data = Float32Array.from({ length: rank * width }, () => 0.05 * (next() + next() + next()));
      return { name: `self_attn.${projection}.lora_${factor}.weight`, shape, data };
    }),
  );
  const header = { __metadata__: { format: "pt" } };
  let at = 0;
  for (let layer = 0; layer < layers; layer++)
    for (const { name, shape, data } of factors) {
      header[`base_model.model.model.layers.${layer}.${name}`] = {
        dtype: "F32",
        shape,
        data_offsets: [at, at + data.byteLength],
      };
      at += data.byteLength;
    }
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, "adapter_model.safetensors"), "w");
  writeSync(file, Buffer.concat([length, Buffer.from(text)]));
  for (let layer = 0; layer < layers; layer++) for (const { data } of factors) writeSync(file, data);
  closeSync(file);
  const config = {
    peft_type: "LORA",
    r: rank,
    lora_alpha: 8,
    bias: "none",
    target_modules: ["q_proj", "v_proj"],
    base_model_name_or_path: "example/tiny",
  };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
}

/** Name of an adapter in a listing that is made up; names are in the order of their numbers. */
export const nameOf = (i) =>
  `group-${String(Math.floor(i / 1000)).padStart(6, "0")}/adapter-${String(i).padStart(9, "0")}`;
