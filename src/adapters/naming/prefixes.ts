/**
 * How keys that do not begin with a component's name tell which model of a diffusion pipeline they belong to: one table of
 * what programs write, taken from their code (named in each row).
 *
 * @module
 */
import { COMPONENT } from "../../model/base-shape.ts";

/** A prefix of keys. */
export interface KeyPrefix {
  /** Identifies the row in origin records, so it never changes. The empty mark belongs to keys with a component. */
  readonly mark: string;
  /** Removed from the key. */
  readonly text: string;
  /** Matches the keys that the row applies to. */
  readonly keys: RegExp;
  readonly component: string;
  /** The row applies only to files that also have such a key: two pipelines use one prefix for different components. */
  readonly beside?: RegExp;
}

/** Layers in the code of diffusion transformers: of diffusers, and of the models' authors. */
const BLOCKS =
  "(?:(?:single_)?transformer_blocks|double_blocks|single_blocks|joint_blocks|refiner_blocks|token_refiner)\\.";

const WITH_COMPONENT: KeyPrefix = { mark: "", text: "", keys: COMPONENT, component: "" };

const PREFIXES: readonly KeyPrefix[] = [
  // Programs that put a component in front of a path that has it.
  { mark: "!unet-unet", text: "unet.unet.", keys: /^unet\.unet\./, component: "unet" },
  WITH_COMPONENT,
  // ComfyUI (comfy/lora.py: "diffusion_model." + the path in the model's own code), ai-toolkit, musubi-tuner, lightx2v.
  {
    mark: "!comfy-unet",
    text: "diffusion_model.",
    keys: /^diffusion_model\.(?:input_blocks|middle_block|output_blocks|time_embed|label_emb|out)\./,
    component: "unet",
  },
  { mark: "!comfy", text: "diffusion_model.", keys: /^diffusion_model\./, component: "transformer" },
  {
    mark: "!clip_l",
    text: "text_encoders.clip_l.transformer.",
    keys: /^text_encoders\.clip_l\.transformer\./,
    component: "text_encoder",
  },
  {
    mark: "!clip_g",
    text: "text_encoders.clip_g.transformer.",
    keys: /^text_encoders\.clip_g\.transformer\./,
    component: "text_encoder_2",
  },
  // T5-XXL in ComfyUI is the second text encoder of Flux, and the third of Stable Diffusion 3.
  {
    mark: "!t5xxl",
    text: "text_encoders.t5xxl.transformer.",
    keys: /^text_encoders\.t5xxl\.transformer\./,
    component: "text_encoder_2",
    beside: /(?:^|\.)(?:double_blocks|single_blocks|single_transformer_blocks)\./,
  },
  {
    mark: "!t5xxl-3",
    text: "text_encoders.t5xxl.transformer.",
    keys: /^text_encoders\.t5xxl\.transformer\./,
    component: "text_encoder_3",
    beside: /(?:^|\.)joint_blocks\.|^text_encoders\.clip_g\./,
  },
  // Without any prefix: Qwen-Image-Lightning, XLabs and Black Forest Labs (Flux), Wan.
  {
    mark: "!transformer",
    text: "",
    keys: new RegExp(
      `^(?:${BLOCKS}|blocks\\.\\d+\\.(?:self_attn|cross_attn|ffn)\\.|(?:img_in|txt_in|time_in|vector_in|guidance_in|final_layer|x_embedder|context_embedder|time_text_embed|norm_out|proj_out)\\.)`,
    ),
    component: "transformer",
  },
  // Attention processors of diffusers before 0.20.
  { mark: "!", text: "", keys: /^(?!text_encoders\.|lora_)/, component: "unet" },
];

/** The row for a key; undefined if nothing in it names a model. */
export function prefixOf(key: string): KeyPrefix | undefined {
  return PREFIXES.find(({ keys }) => keys.test(key));
}

/** As {@link prefixOf}, with only the rows that apply to a file with these keys. */
export function prefixesOf(keys: readonly string[]): typeof prefixOf {
  const rows = PREFIXES.filter(({ beside }) => beside === undefined || keys.some((key) => beside.test(key)));
  return (key) => rows.find((row) => row.keys.test(key));
}

/** The row with the mark of an origin record. */
export function prefixMarked(mark: string): KeyPrefix {
  return PREFIXES.find((row) => row.mark === mark) ?? WITH_COMPONENT;
}

/** True for a key of a diffusion model that has neither a component in front nor the path of a UNet in diffusers. */
export function isModelsOwn(key: string): boolean {
  const mark = prefixOf(key)?.mark ?? "!";
  return mark !== "!" && !COMPONENT.test(key);
}

/** True for a layer's path (without component) that comes from the code of a model's authors rather than from diffusers. */
export function isAuthorsPath(path: string): boolean {
  return /^(double_blocks|single_blocks|joint_blocks|input_blocks|output_blocks|middle_block|out)\.|^blocks\.\d+\.(self_attn|cross_attn|ffn\.\d)\b/.test(
    path,
  );
}
