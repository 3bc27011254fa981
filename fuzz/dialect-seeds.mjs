// Small adapters in every dialect and container, for fuzz/seeds.mjs. What the library writes it writes itself; pickles
// and npz, which it only reads, are made here.
import { zipSync } from "fflate";
import { DIALECTS, writeAdapter } from "../dist/adapters/index.js";
import { isLqaError } from "../dist/errors.js";

/** File extension to the number by which targets/dialects.mjs picks the name. */
const NUMBERS = { safetensors: 0, gguf: 1, onnx_adapter: 2, bin: 3, npz: 4 };

/** `adapter` in each dialect that can say it, with names that the dialect knows: [name, input, variant]. */
export function* dialectSeeds(adapter) {
  for (const { name: to } of DIALECTS) {
    const module = { ...adapter.modules[0], name: PATHS[to] ?? adapter.modules[0].name };
    const named = { modules: [module], tensors: [], meta: { architecture: "llama" }, origin: undefined };
    let files;
    try {
      files = writeAdapter(named, { to, factors: "F32", onNote() {} });
    } catch (error) {
      if (!isLqaError(error)) throw error;
      throw new Error(`no seed for ${to}: ${error.message}`);
    }
    const [weights] = [...files].filter(([file]) => !file.endsWith(".json"));
    const config = files.get("adapter_config.json") ?? new Uint8Array(0);
    yield [to, framed(config, weights[1]), NUMBERS[weights[0].split(".").pop()]];
  }
  const tensors = new Map(
    Object.entries(STATE).map(([key, shape]) => [key, { shape, data: floats(shape[0] * shape[1]) }]),
  );
  yield ["torch", framed(new Uint8Array(0), torchArchive(tensors)), NUMBERS.bin];
  yield ["torch-legacy", framed(new Uint8Array(0), torchLegacy(tensors)), NUMBERS.bin];
  yield ["pickle", framed(new Uint8Array(0), pickleOf(tensors)), NUMBERS.bin];
  for (const level of [0, 9]) {
    yield [level === 0 ? "npz" : "npz-deflated", framed(MLX, npz(tensors, level)), NUMBERS.npz];
  }
}

const PATHS = {
  kohya: "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
  diffusers: "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
  cloneofsimo: "unet:0",
  gguf: "blk.0.attn_q",
};
const STATE = { "layers.0.q_proj.lora_A": [2, 8], "layers.0.q_proj.lora_B": [4, 2] };
const MLX = Buffer.from('{"fine_tune_type":"lora","lora_parameters":{"rank":2,"scale":10.0,"dropout":0.0}}');

/** Input of the targets that take a configuration and a file. */
export function framed(config, weights) {
  return Buffer.concat([Buffer.of(config.length & 255, config.length >> 8), config, weights]);
}

function floats(count) {
  return Buffer.from(Float32Array.from({ length: count }, (_, i) => (i - 3) / 64).buffer);
}

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

const OP = {
  global: (module, name) => Buffer.from(`c${module}\n${name}\n`),
  text: (value) => Buffer.concat([Buffer.from("X"), u32(Buffer.byteLength(value)), Buffer.from(value)]),
  byte: (value) => Buffer.of(0x4b, value),
  tuple: (...items) => Buffer.concat([Buffer.from("("), ...items, Buffer.from("t")]),
  call: Buffer.from("R"),
  reference: Buffer.from("Q"),
};

/** A dictionary of tensors by protocol 2, as torch.save writes it. */
function pickleOf(tensors, oldStorages = false) {
  const items = [...tensors].flatMap(([key, { shape, data }], number) => {
    const storage = [OP.text("storage"), OP.global("torch", "FloatStorage"), OP.text(String(number))];
    const place = [OP.text("cpu"), OP.byte(data.length / 4), ...(oldStorages ? [Buffer.from("N")] : [])];
    return [
      OP.text(key),
      OP.global("torch._utils", "_rebuild_tensor_v2"),
      OP.tuple(
        Buffer.concat([OP.tuple(...storage, ...place), OP.reference]),
        OP.byte(0),
        OP.tuple(...shape.map(OP.byte)),
        OP.tuple(OP.byte(shape[1]), OP.byte(1)),
        Buffer.of(0x89),
        Buffer.concat([OP.global("collections", "OrderedDict"), Buffer.from(")R")]),
      ),
      OP.call,
    ];
  });
  return Buffer.concat([Buffer.of(0x80, 2), Buffer.from("}("), ...items, Buffer.from("u.")]);
}

function torchArchive(tensors) {
  const storages = [...tensors.values()].map(({ data }, i) => [`archive/data/${i}`, new Uint8Array(data)]);
  const files = { "archive/data.pkl": pickleOf(tensors), "archive/byteorder": Buffer.from("little") };
  return zipSync({ ...files, ...Object.fromEntries(storages) }, { level: 0, mtime: "1980-01-01" });
}

/** Magic number, protocol, machine, the dictionary, keys of the storages, the storages. */
function torchLegacy(tensors) {
  const long = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const pickle = (...parts) => Buffer.concat([Buffer.of(0x80, 2), ...parts, Buffer.from(".")]);
  const keys = [...tensors.keys()].map((_, i) => OP.text(String(i)));
  return Buffer.concat([
    pickle(Buffer.from(long)),
    pickle(Buffer.from([0x4d, 0xe9, 0x03])),
    pickle(Buffer.from("}")),
    pickleOf(tensors, true),
    pickle(Buffer.from("]("), ...keys, Buffer.from("e")),
    ...[...tensors.values()].flatMap(({ data }) => [u64(data.length / 4), data]),
  ]);
}

function npz(tensors, level) {
  const files = [...tensors].map(([key, { shape, data }]) => {
    // MLX has factors transposed.
    const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.toReversed().join(", ")}), }`;
    const header = Buffer.from(`${text.padEnd(117)}\n`);
    const begin = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    return [`${key.toLowerCase()}.npy`, new Uint8Array(Buffer.concat([begin, header, data]))];
  });
  return zipSync(Object.fromEntries(files), { level, mtime: "1980-01-01" });
}
