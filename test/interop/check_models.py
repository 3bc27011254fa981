"""The page about converting says how PEFT merges an adapter into its base model: its program is run here.

python test/interop/check_models.py, after `npm run build`. The base model is small and random, and nothing is asked of the network.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guide/migrating.md").read_text(encoding="utf-8")
MERGE = re.search(r"^## Merge into a base model$.*?^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE).group(1)


def run(folder, *words, **env):
    # A file, not a pipe, which a helper process of a library may hold open after the program has ended.
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:
        code = subprocess.run([str(word) for word in words], cwd=folder, env=os.environ | env, stdout=output, stderr=output).returncode
        if code != 0:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, words))[:200]}: exit code {code}\n{output.read()}")


def lqa(folder, *words):
    run(folder, "node", ROOT / "dist/cli/main.js", *words)


def apart(one, other):
    """Largest difference of the weights of two models, as a share of the largest weight."""
    return max(float((one[name] - other[name]).abs().max() / other[name].abs().max()) for name in other)


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    torch.manual_seed(1)
    base = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2))
    base.save_pretrained(folder / "base-model")
    made = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
    for key, value in made.named_parameters():
        if "lora_" in key:
            value.data = 0.1 * torch.randn_like(value)
    made.save_pretrained(folder / "my-adapter")

    lqa(folder, "encode", "my-adapter", "-o", "my-adapter.lqa", "--profile", "raw")
    lqa(folder, "decode", "my-adapter.lqa", "-o", "adapter")
    run(folder, sys.executable, "-c", MERGE)
    merged = load_file(folder / "merged/model.safetensors")
    expected = {name: value for name, value in made.merge_and_unload().state_dict().items() if name in merged}
    plain = load_file(folder / "base-model/model.safetensors")
    if apart(merged, expected) > 1e-6 or apart(merged, plain) < 1e-2:
        sys.exit("merged: other weights than those of the adapter that was encoded")
    print("ok: PEFT merges what lqa decoded")
