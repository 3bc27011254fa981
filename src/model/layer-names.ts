/**
 * Names of the layers of language models, in all architectures, under the name that GGUF has for them.
 *
 * The table has the certain rows of gguf-py's `tensor_mapping.py` (version 0.19.0): layers whose inputs a converter does not reorder. It
 * omits PLaMo, whose attention outputs the converter reorders, and the towers of multimodal models, which have their own GGUF names.
 *
 * @module
 */

/** GGUF name of a layer inside a block, to paths inside a block. */
export const BLOCK_PATHS: Readonly<Record<string, readonly string[]>> = {
  attn_q: [
    "self_attn.q_proj",
    "attn.q_proj",
    "attn.attention.q_proj",
    "attention.wq",
    "attention.self.query",
    "attention.q_lin",
  ],
  attn_k: [
    "self_attn.k_proj",
    "attn.k_proj",
    "attn.attention.k_proj",
    "attention.wk",
    "attention.self.key",
    "attention.k_lin",
  ],
  attn_v: [
    "self_attn.v_proj",
    "attn.v_proj",
    "attn.attention.v_proj",
    "attention.wv",
    "attention.self.value",
    "attention.v_lin",
  ],
  attn_qkv: [
    "self_attn.qkv_proj",
    "attn.c_attn",
    "attn.Wqkv",
    "attn.qkv_proj",
    "attention.query_key_value",
    "self_attention.query_key_value",
    "self_attn.query_key_value",
    "mixer.Wqkv",
    "norm_attn_norm.attn.Wqkv",
  ],
  attn_output: [
    "self_attn.o_proj",
    "self_attn.out_proj",
    "self_attn.dense",
    "attn.c_proj",
    "attn.out_proj",
    "attn.Wo",
    "attn.attention.out_proj",
    "attention.wo",
    "attention.dense",
    "attention.output.dense",
    "attention.out_lin",
    "self_attention.dense",
    "mixer.out_proj",
    "norm_attn_norm.attn.out_proj",
  ],
  attn_q_a: ["self_attn.q_a_proj"],
  attn_q_b: ["self_attn.q_b_proj"],
  attn_kv_a_mqa: ["self_attn.kv_a_proj_with_mqa"],
  attn_kv_b: ["self_attn.kv_b_proj"],
  ffn_gate: ["mlp.gate_proj", "feed_forward.gate_proj", "feed_forward.w1", "mlp.w2", "mlp.c_fc_0"],
  ffn_up: [
    "mlp.up_proj",
    "mlp.gate_up_proj",
    "feed_forward.up_proj",
    "feed_forward.w3",
    "mlp.c_fc",
    "mlp.c_fc_1",
    "mlp.fc1",
    "mlp.fc_in",
    "mlp.w1",
    "mlp.dense_h_to_4h",
    "mlp.Wi",
    "ffn.up_proj",
    "ffn.lin1",
    "intermediate.dense",
  ],
  ffn_down: [
    "mlp.down_proj",
    "feed_forward.down_proj",
    "feed_forward.w2",
    "mlp.c_proj",
    "mlp.fc2",
    "mlp.fc_out",
    "mlp.dense_4h_to_h",
    "mlp.Wo",
    "ffn.down_proj",
    "ffn.lin2",
    "output.dense",
  ],
  ffn_gate_inp: ["mlp.gate", "mlp.router", "block_sparse_moe.gate", "feed_forward.router"],
  ffn_gate_inp_shexp: ["mlp.shared_expert_gate"],
  // Experts: paths with a number after "experts" are listed without it.
  ffn_gate_exps: [
    "mlp.experts.gate_proj",
    "block_sparse_moe.experts.w1",
    "feed_forward.experts.gate_proj",
    "feed_forward.experts.w1",
  ],
  ffn_up_exps: [
    "mlp.experts.up_proj",
    "block_sparse_moe.experts.w3",
    "feed_forward.experts.up_proj",
    "feed_forward.experts.w3",
  ],
  ffn_down_exps: [
    "mlp.experts.down_proj",
    "block_sparse_moe.experts.w2",
    "feed_forward.experts.down_proj",
    "feed_forward.experts.w2",
  ],
  ffn_gate_up_exps: ["mlp.experts.gate_up_proj"],
  ffn_gate_shexp: [
    "mlp.shared_expert.gate_proj",
    "mlp.shared_experts.gate_proj",
    "mlp.shared_mlp.gate_proj",
    "feed_forward.shared_expert.gate_proj",
  ],
  ffn_up_shexp: [
    "mlp.shared_expert.up_proj",
    "mlp.shared_experts.up_proj",
    "mlp.shared_mlp.up_proj",
    "feed_forward.shared_expert.up_proj",
  ],
  ffn_down_shexp: [
    "mlp.shared_expert.down_proj",
    "mlp.shared_experts.down_proj",
    "mlp.shared_mlp.down_proj",
    "feed_forward.shared_expert.down_proj",
  ],
};

/** The path of the layer whose queries meet the keys of this one; undefined if the path is not that of keys. */
export function queryOf(path: string): string | undefined {
  const { attn_q: queries, attn_k: keys } = BLOCK_PATHS;
  const found = keys!.findIndex((key) => path === key || path.endsWith(`.${key}`));
  return found < 0 ? undefined : path.slice(0, -keys![found]!.length) + queries![found]!;
}
