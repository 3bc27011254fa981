"""The page about converting says how PEFT merges an adapter into its base model, and how an adapter that changes its base becomes
one that means the same in every program. Its programs are run here.

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
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guide/migrating.md").read_text(encoding="utf-8")


def programs(heading):
    """The Python programs of one section."""
    section = re.search(rf"^## {heading}$(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE).group(1)
    return re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


[MERGE] = programs("Merge into a base model")
TO_PLAIN, KEEP_BASE = programs("Adapters that change their base")


def run(folder, *words, **env):
    # A file, not a pipe, which a helper process of a library may hold open after the program has ended.
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:
        code = subprocess.run([str(word) for word in words], cwd=folder, env=os.environ | env, stdout=output, stderr=output).returncode
        if code != 0:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, words))[:200]}: exit code {code}\n{output.read()}")


def lqa(folder, *words):
    run(folder, "node", ROOT / "dist/cli/main.js", *words)


def refused(folder, name):
    """Checks that lqa refuses an adapter, names the section, and leaves nothing behind."""
    result = subprocess.run(["node", ROOT / "dist/cli/main.js", "encode", name, "-o", "refused.lqa"], cwd=folder, capture_output=True, text=True)
    if result.returncode != 3 or "#adapters-that-change-their-base" not in result.stderr or (folder / "refused.lqa").exists():
        sys.exit(f"{name}: exit code {result.returncode}, not a refusal that names the section\n{result.stderr}")


def logits(base, adapter=None):
    """What a model answers; base and adapter are directories, or base is a model."""
    model = LlamaForCausalLM.from_pretrained(base) if isinstance(base, Path) else base
    model = PeftModel.from_pretrained(model, adapter) if adapter else model
    with torch.no_grad():
        return model.eval()(torch.arange(20)[None]).logits


def check_changed(folder, name, **arguments):
    """An adapter that changes its base is refused; what the program of the page makes of it is stored, and answers the same."""
    made = get_peft_model(LlamaForCausalLM.from_pretrained(folder / "base-model"),
                          LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **arguments))
    for key, value in made.named_parameters():
        if "lora_" in key:
            value.data += 0.02 * torch.randn_like(value)
    expected = logits(made)
    made.save_pretrained(folder / name)
    refused(folder, name)
    if name == "repeated":
        run(folder, sys.executable, "-c", KEEP_BASE)
        base, adapter = folder / "repeated-base", name
    else:
        run(folder, sys.executable, "-c", TO_PLAIN.replace('"pissa"', f'"{name}"'))
        base, adapter = folder / "base-model", "plain"
    lqa(folder, "encode", adapter, "-o", f"{name}.lqa", "--profile", "raw")
    lqa(folder, "decode", f"{name}.lqa", "-o", f"{name}-decoded")
    moved = float((logits(base, folder / f"{name}-decoded") - expected).abs().max() / expected.abs().max())
    wrong = float((logits(base) - expected).abs().max() / expected.abs().max())
    if moved > 1e-5 or wrong < 1e-3:
        sys.exit(f"{name}: answers differ by {moved:.1e} of the largest (without the adapter {wrong:.1e})")
    print(f"ok: {name} means the same after the program of the page (largest difference {moved:.1e})")


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

    check_changed(folder, "pissa", init_lora_weights="pissa")
    check_changed(folder, "olora", init_lora_weights="olora")
    check_changed(folder, "repeated", layer_replication=[(0, 2), (1, 2)])
