/**
 * Makes PEFT adapter directories with seeded weights, for tests. Independent of the library's own safetensors writer, so
 * that a fault there cannot hide itself.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { normal } from "./random.ts";

/** A tensor of 32-bit floats. */
export interface TestTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What kind of adapter to make. */
export interface TestAdapter {
  readonly seed?: number;
  readonly layers?: number;
  readonly rank?: number;
  readonly alpha?: number;
  readonly width?: number;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes the tensors before they are written. */
  readonly change?: (tensors: Map<string, TestTensor>) => void;
}

/** Tensors of a small adapter: q_proj (width to width) and v_proj (width to width / 2) of each layer. */
export function testTensors(options: TestAdapter = {}): Map<string, TestTensor> {
  const { seed = 1, layers = 2, rank = 4, width = 64 } = options;
  const next = normal(seed);
  const tensors = new Map<string, TestTensor>();
  for (let layer = 0; layer < layers; layer++) {
    for (const [projection, out] of [
      ["q_proj", width],
      ["v_proj", width / 2],
    ] as const) {
      const prefix = `base_model.model.model.layers.${layer}.self_attn.${projection}`;
      // Component i is weaker than the one before it, as in trained adapters.
      const a = Float32Array.from({ length: rank * width }, (_, i) => next() / (1 + Math.floor(i / width)));
      const b = Float32Array.from({ length: out * rank }, () => 0.02 * next());
      tensors.set(`${prefix}.lora_A.weight`, { shape: [rank, width], values: a });
      tensors.set(`${prefix}.lora_B.weight`, { shape: [out, rank], values: b });
    }
  }
  options.change?.(tensors);
  return tensors;
}

/** Writes a PEFT directory and returns its path. */
export function writePeftDirectory(path: string, options: TestAdapter = {}): string {
  const { rank = 4, alpha = 8, config = {} } = options;
  mkdirSync(path, { recursive: true });
  const full = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "example/tiny",
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    target_modules: ["q_proj", "v_proj"],
    ...config,
  };
  writeFileSync(join(path, "adapter_config.json"), `${JSON.stringify(full, null, 2)}\n`);
  writeFileSync(join(path, "adapter_model.safetensors"), safetensors(testTensors(options)));
  return path;
}

/** The bytes of a safetensors file with these tensors. */
export function safetensors(tensors: ReadonlyMap<string, TestTensor>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { shape, values }] of [...tensors].sort(([x], [y]) => (x < y ? -1 : 1))) {
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  let json = JSON.stringify(header);
  json = json.padEnd(Math.ceil(json.length / 8) * 8);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return Buffer.concat([length, Buffer.from(json, "latin1"), ...parts]);
}

/** Reads the F32 tensors of a safetensors file: just enough for files of this project's own tests. */
export function readSafetensors(bytes: Uint8Array): Map<string, TestTensor & { readonly dtype: string }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString("utf8")) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, TestTensor & { readonly dtype: string }>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = data_offsets;
    const values = new Float32Array(dtype === "F32" ? (end - begin) / 4 : 0);
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(8 + length + begin + 4 * i, true);
    tensors.set(name, { dtype, shape, values });
  }
  return tensors;
}
