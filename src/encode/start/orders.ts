/**
 * The orders in which programs draw the starts of an adapter's modules, as data.
 *
 * @module
 */

/** Number of draws between the start of a module and that of the one before it, by the sizes of A and B. */
export interface Spacing {
  readonly name: string;
  before(a: number, b: number): number;
}

/** The orders of known programs, most common first. */
export const SPACINGS: readonly Spacing[] = [
  // PEFT: `nn.Linear` draws A and B, then `reset_lora_parameters` draws A again.
  { name: "peft", before: (a, b) => a + b },
  // One pass over all modules draws A again: LoRA-ViT, Sam_LoRA.
  { name: "pass", before: () => 0 },
  // `nn.Linear` draws A and B, and B is then set to 0.
  { name: "linear", before: (_a, b) => b },
];

/** Possible orders of the program that wrote a file of this dialect; none if its generator is another one. */
export function spacingsOf(dialect: string | undefined): readonly Spacing[] {
  if (dialect === "mlx") return [];
  return dialect === "peft" || dialect === "diffusers" || dialect === "kohya"
    ? SPACINGS.slice(0, 1)
    : SPACINGS;
}

/** Seeds of trainers and examples, most common first: transformers' Trainer, mlx-lm and diffusers' scripts, Unsloth. */
export const COMMON_SEEDS: readonly number[] = [42, 0, 3407, 1234, 1, 123, 1337];

/** Parts of names, in the order in which models create the layers. */
const PARTS: readonly string[] = [
  ...["self_attn", "self_attention", "attention", "attn", "attn1", "attn2", "self"],
  ...["q_proj", "query", "to_q", "q_lin", "q"],
  ...["k_proj", "key", "to_k", "k_lin", "k"],
  ...["v_proj", "value", "to_v", "v_lin", "v"],
  ...["query_key_value", "c_attn", "qkv", "o_proj", "out_proj", "to_out", "out_lin", "o"],
  ...[
    "mlp",
    "ffn",
    "intermediate",
    "c_fc",
    "lin1",
    "fc1",
    "gate_proj",
    "up_proj",
    "down_proj",
    "lin2",
    "fc2",
  ],
  ...["output", "c_proj", "dense", "score", "classifier", "lm_head"],
];
const PLACES = new Map(PARTS.map((part, i) => [part, i]));

/** Compares names by the order in which models create the layers. */
export function compareByModel(x: string, y: string): number {
  const [one, other] = [x.split("."), y.split(".")];
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const [a, b] = [one[i]!, other[i]!];
    if (a === b) continue;
    const [numberA, numberB] = [Number(a), Number(b)];
    if (Number.isInteger(numberA) && Number.isInteger(numberB)) return numberA - numberB;
    const [placeA, placeB] = [PLACES.get(a), PLACES.get(b)];
    if (placeA !== undefined && placeB !== undefined) return placeA - placeB;
    return a < b ? -1 : 1;
  }
  return one.length - other.length;
}
