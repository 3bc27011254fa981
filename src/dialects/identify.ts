/**
 * What the files of an adapter look like when no dialect of this version reads them, so that the refusal can say so.
 *
 * @module
 */
import { isLqaError } from "../errors.ts";
import type { SourceBytes, SourceFiles } from "./dialect.ts";
import { headerBytes, readHeader } from "./safetensors-header.ts";

/** A guess at a source: what it looks like, and what to do about it. */
export interface Identification {
  /** The file the guess rests on, if there is one. */
  readonly file: string | undefined;
  readonly looksLike: string;
  readonly advice: string;
}

const CONVERT =
  "This version reads PEFT directories. Load the adapter with the tool it came from and save it with PEFT.";

/** Signs of a convention: a key that matches, and the name. The first that any key shows decides. */
const CONVENTIONS: readonly (readonly [RegExp, string])[] = [
  [
    /\.(lokr_|hada_|oft_blocks|oft_diag|boft_|ia3_|lora_mid\.|dora_scale$)/,
    "a LyCORIS file (LoHa, LoKr, OFT, …)",
  ],
  [/^lora_.*\.(lora_down|lora_up)\.weight$|^lora_.*\.alpha$/, "a kohya file (lora_unet_….lora_down)"],
  [/^(unet|text_encoder):\d+:(up|down)$/, "a cloneofsimo file (unet:N:up)"],
  [/^w_[ab]_\d+$/, "a LoRA-ViT file (w_a_000), which has no module names"],
  [
    /\.processor\.|\.lora\.(down|up)\.weight$|_lora\.(down|up)\.weight$/,
    "a diffusers file (…to_k.lora.down)",
  ],
  [/^(unet|transformer|text_encoder(_2)?)\..*\.lora_[AB]\.weight$/, "a diffusers file (unet.….lora_A)"],
  [/\.lora_[ab]$/, "an MLX file (….lora_a, transposed)"],
  [/\.lora_[AB]$/, "a loralib file (bare .lora_A, no alpha)"],
];

const TORCH = "a PyTorch pickle, which is not read because it can run code";
const RESAVE = "In Python, load the adapter with PEFT and save_pretrained(…, safe_serialization=True).";

/** Enough to know a file by. */
const MAGIC_BYTES = 32;

/** Looks at the files. Throws nothing but what reading a file throws. */
export function identify(files: SourceFiles): Identification {
  for (const [file, bytes] of files) {
    const magic = identifyMagic(file, bytes.subarray(0, MAGIC_BYTES));
    if (magic !== undefined) return { file, ...magic };
  }
  for (const [file, bytes] of files) {
    if (!file.endsWith(".json")) return { file, ...identifySafetensors(bytes) };
  }
  const file = [...files.keys()][0];
  return { file, looksLike: "no weights", advice: "Give the directory that PEFT's save_pretrained wrote." };
}

function identifyMagic(file: string, bytes: Uint8Array): Omit<Identification, "file"> | undefined {
  const at = (offset: number, text: string): boolean =>
    [...text].every((letter, index) => bytes[offset + index] === letter.charCodeAt(0));
  if (at(0, "GGUF")) return { looksLike: "a GGUF file", advice: CONVERT };
  if (at(4, "TORT")) return { looksLike: "an ONNX Runtime adapter", advice: CONVERT };
  if (at(0, "\x89LQA"))
    return { looksLike: "an LQA file", advice: "It is encoded already; decode it instead." };
  // A safetensors header of 128 bytes begins like a pickle, but has its brace at byte 8.
  const pickle = bytes[0] === 0x80 && bytes[1]! <= 5 && bytes[8] !== 0x7b;
  if (at(0, "PK\x03\x04") || pickle) return { looksLike: TORCH, advice: RESAVE };
  if (/\.(bin|pt|pth|ckpt)$/.test(file)) return { looksLike: TORCH, advice: RESAVE };
  if (at(0, "version https://git-lfs")) {
    return {
      looksLike: "a Git LFS pointer",
      advice: "Fetch the file itself, for example with git lfs pull.",
    };
  }
  return undefined;
}

function identifySafetensors(bytes: SourceBytes): Omit<Identification, "file"> {
  let names: string[];
  try {
    const end = headerBytes(bytes.subarray(0, MAGIC_BYTES));
    names = [...readHeader(bytes.subarray(0, end)).entries.keys()];
  } catch (error) {
    const reason = isLqaError(error) ? error.message : "unreadable";
    return { looksLike: `no safetensors file: ${reason}`, advice: "Fetch the file again, or save it again." };
  }
  if (names.some((name) => name.startsWith("base_model.model.") && /\.lora_[AB]\.weight$/.test(name))) {
    return {
      looksLike: "PEFT weights without their adapter_config.json, which alone has the multiplier",
      advice: "Give the directory with both files.",
    };
  }
  for (const [pattern, looksLike] of CONVENTIONS) {
    if (names.some((name) => pattern.test(name))) return { looksLike, advice: CONVERT };
  }
  return { looksLike: "a safetensors file of a convention unknown to this version", advice: CONVERT };
}
