// Container overhead: bytes on disk beyond the bits that the codecs need (codes, scales, zero points), for the default
// chunk alignment and fixed ones; and how many planes of codes of the file begin at multiples of 4, 16 and 64 bytes. Sections are those of a real PEFT adapter. Run after `npm run build`: node bench/overhead.mjs [--json]
import { concat } from "../dist/common/bytes.js";
import { planeExtents } from "../dist/core/container/layout.js";
import { open } from "../dist/core/index.js";
import { createWriter } from "../dist/core/write/write.js";
import { adapterSections } from "../dist/encode/sections.js";
import { linear, PROJECTIONS, RANK } from "./seven-b.mjs";

const AFFINE2 = { codec: "affine", bits: 2, group: 128, scale: "f16" };
const SIGN = { codec: "sign", group: 128, scale: "f16" };

/** The configuration a PEFT user's file carries, as PEFT 0.19 writes it. */
const CONFIG = JSON.stringify(
  {
    alora_invocation_tokens: null,
    alpha_pattern: {},
    arrow_config: null,
    auto_mapping: null,
    base_model_name_or_path: "meta-llama/Llama-2-7b-hf",
    bias: "none",
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    exclude_modules: null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: 32,
    lora_bias: false,
    lora_dropout: 0.0,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: null,
    peft_type: "LORA",
    peft_version: "0.19.1",
    qalora_group_size: 16,
    r: 16,
    rank_pattern: {},
    revision: null,
    target_modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    target_parameters: null,
    task_type: "CAUSAL_LM",
    trainable_token_indices: null,
    use_dora: false,
    use_qalora: false,
    use_rslora: false,
  },
  null,
  2,
);
const utf8 = new TextEncoder();
const sections = adapterSections(
  {
    meta: { base_model: "meta-llama/Llama-2-7b-hf" },
    origin: { dialect: "peft", config: utf8.encode(CONFIG), element: "F32", metadata: [["format", "pt"]] },
  },
  { profile: "loraquant", variant: "2@0.8", hRule: "code", refine: "search", group: 128 },
  0.3123456789,
);

/** The two bands of LoRAQuant, the first with `high` components. */
const bandsOf = (rank, high) => [
  { components: high, b: AFFINE2, a: AFFINE2 },
  { components: rank - high, b: SIGN, a: SIGN },
];

/** Bits by the paper's count (LoRAQuant §4): codes, 16 bits a scale, b bits a zero point. */
function countedBits({ out, in: input, bands: [high, low] }) {
  const groups = Math.ceil(out / 128) + Math.ceil(input / 128);
  return high.components * ((out + input) * 2 + groups * 18) + low.components * (out + input + groups * 16);
}

/** Different modules split differently, as real spectra do. */
const split = (i, rank) => Math.max(1, Math.round(rank / 2) + ((i * 7) % 3) - 1);
const llama = [];
for (let layer = 0; layer < 32; layer++)
  for (const [name, out, input] of PROJECTIONS)
    llama.push(linear(`model.layers.${layer}.${name}`, out, input, bandsOf(RANK, split(llama.length, RANK))));
const attention = (layers, rank, size) =>
  Array.from({ length: 2 * layers }, (_, i) =>
    linear(
      `model.layers.${i >> 1}.self_attn.${i % 2 ? "v" : "q"}_proj`,
      size,
      size,
      bandsOf(rank, split(i, rank)),
    ),
  );
const cases = [
  ["LLaMA-2-7B, all linear, r 16 (224 modules)", llama],
  ["25 KB: 8 modules 640×640, r 12", attention(4, 12, 640)],
  ["25 KB: 24 modules 640×640, r 4", attention(12, 4, 640)],
];

/** Shares of the planes of codes that begin at multiples of these, in the file. */
async function aligned(prepared, units) {
  const { modules } = await open(concat([...prepared.pieces()]));
  const places = modules.flatMap((module) =>
    [...planeExtents(module, module.bands)]
      .filter(({ plane }) => plane === "codes")
      .map(({ offset }) => module.chunk.offset + offset),
  );
  return units.map((unit) => places.filter((place) => place % unit === 0).length / places.length);
}

const results = [];
for (const [name, modules] of cases)
  for (const alignment of [undefined, 4, 8, 16, 64, 256]) {
    const counted = modules.reduce((sum, m) => sum + countedBits(m), 0) / 8;
    const options = alignment === undefined ? {} : { alignment };
    const whole = (await createWriter({ tensors: [], sections, ...options })).prepare(modules);
    const all = whole.fileLength;
    const bare = (await createWriter({ tensors: [], sections: [], ...options })).fileLength(modules);
    results.push({
      name,
      alignment: alignment ?? "default",
      countedBytes: counted,
      fileBytes: all,
      overhead: all / counted - 1,
      containerOverhead: bare / counted - 1,
      aligned: await aligned(whole, [4, 16, 64]),
    });
  }
if (process.argv.includes("--json"))
  console.log(
    JSON.stringify({ node: process.version, date: new Date().toISOString().slice(0, 10), results }, null, 2),
  );
else {
  console.log(
    "| adapter | alignment | counted bytes | file bytes | overhead | without META and ORIG | planes of codes at multiples of 4, 16, 64 |\n|---|---|---|---|---|---|---|",
  );
  for (const r of results)
    console.log(
      `| ${r.name} | ${r.alignment} | ${r.countedBytes.toFixed(0)} | ${r.fileBytes} | ${(100 * r.overhead).toFixed(2)} % | ${(100 * r.containerOverhead).toFixed(2)} % | ${r.aligned.map((share) => `${Math.round(100 * share)} %`).join(", ")} |`,
    );
}
