/**
 * Splits kohya's names: `down_blocks_0_attentions_1_proj_in` is `down_blocks.0.attentions.1.proj_in`.
 *
 * kohya writes underscores for dots, which hides where one word ends. This file lists the words that occur in diffusion
 * models; the longest match comes first. A name with unknown words stays in one piece, so nothing is guessed. Every
 * result, written with underscores, gives the original name.
 *
 * @module
 */

const WORDS: ReadonlySet<string> = new Set(
  `
  down_blocks up_blocks mid_block attentions resnets downsamplers upsamplers transformer_blocks attn1 attn2 attn
  to_q to_k to_v to_out to_add_out add_q_proj add_k_proj add_v_proj add_out_proj to_q_proj to_kv
  ff ff_context net proj proj_in proj_out proj_mlp conv_in conv_out conv conv1 conv2 conv_shortcut nin_shortcut
  time_emb_proj time_embedding add_embedding time_proj linear linear_1 linear_2 norm norm1 norm1_context norm2 norm_out
  input_blocks output_blocks middle_block in_layers out_layers emb_layers skip_connection op label_emb time_embed out
  text_model encoder layers layer self_attn q_proj k_proj v_proj out_proj mlp fc1 fc2 embeddings token_embedding
  position_embedding text_projection transformer resblocks block SelfAttention DenseReluDense wi wi_0 wi_1 wo q k v o
  single_transformer_blocks context_embedder x_embedder time_text_embed timestep_embedder guidance_embedder
  text_embedder joint_blocks context_block x_block qkv adaLN_modulation t_embedder y_embedder final_layer pos_embed
  double_blocks single_blocks img_attn txt_attn img_mlp txt_mlp img_mod txt_mod lin linear1 linear2 modulation
  img_in txt_in time_in vector_in guidance_in in_layer out_layer cross_attn ffn blocks patch_embedding
  text_embedding time_projection head
  `
    .trim()
    .split(/\s+/),
);

const MOST = Math.max(...[...WORDS].map((word) => word.split("_").length));

/** The path that a name encodes; undefined if it contains unknown words. */
export function splitWords(name: string): string | undefined {
  const parts = name.split("_");
  // dead: positions from which no split reaches the end.
  const dead = new Set<number>();
  const walk = (at: number): string[] | undefined => {
    if (at === parts.length) return [];
    if (dead.has(at)) return undefined;
    for (let length = Math.min(MOST, parts.length - at); length > 0; length--) {
      const word = parts.slice(at, at + length).join("_");
      if (!WORDS.has(word) && !/^\d+$/.test(word)) continue;
      const rest = walk(at + length);
      if (rest !== undefined) return [word, ...rest];
    }
    dead.add(at);
    return undefined;
  };
  // The recursion is as deep as the name has words; longer names are not from kohya.
  return parts.length > 128 ? undefined : walk(0)?.join(".");
}
