"""Writes small adapters with the real PEFT, one directory for each feature, as inputs for round trips.

Usage: make_peft.py OUT

OUT/sound/NAME holds adapters LQA must read, OUT/refused/NAME those it must refuse by name. Every adapter has random,
trained-looking weights: PEFT's own start (B zero, magnitudes derived) would hide mistakes.
"""

import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.config import BdLoraConfig, KasaConfig, MontecloraConfig, VeloraConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

warnings.filterwarnings("ignore")


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up = nn.Parameter(torch.zeros(3, 6, 5))


class Block(nn.Module):
    """One layer of each kind PEFT adapts. All sizes differ, so that a swapped axis cannot go unnoticed."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(12, 20)
        self.k_proj = nn.Linear(12, 8)
        self.v_proj = nn.Linear(12, 12, bias=False)
        self.c_attn = Conv1D(24, 16)
        self.conv1 = nn.Conv1d(6, 10, 3)
        self.conv2 = nn.Conv2d(3, 14, (3, 5))
        self.conv3 = nn.Conv3d(2, 9, 2)
        self.point = nn.Conv2d(7, 5, 1)
        self.norm = nn.LayerNorm(12)
        self.mha = nn.MultiheadAttention(16, 2)
        self.mlp = Experts()


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(12, 6)
        self.out = nn.Linear(6, 4)
        self.register_buffer("steps", torch.tensor([3, 5], dtype=torch.int64))


class Model(nn.Module):
    """With eleven blocks, names sort as text in another order than as numbers."""

    def __init__(self, blocks=2):
        super().__init__()
        self.embed_tokens = nn.Embedding(50, 12)
        self.layers = nn.ModuleList([Block() for _ in range(blocks)])
        self.classifier = Head()
        self.lm_head = nn.Linear(12, 50, bias=False)

    def get_input_embeddings(self):
        return self.embed_tokens

    def get_output_embeddings(self):
        return self.lm_head


ATTENTION = ["q_proj", "k_proj", "v_proj"]

# Name: arguments of LoraConfig, and what to do to the model before saving.
SOUND = {
    "plain": dict(r=4, lora_alpha=8, target_modules=ATTENTION),
    "eleven-blocks": dict(r=2, lora_alpha=3, target_modules=ATTENTION, blocks=11),
    "f16": dict(r=4, target_modules=ATTENTION, dtype=torch.float16),
    "bf16": dict(r=4, target_modules=ATTENTION, dtype=torch.bfloat16),
    "mixed-types": dict(r=4, target_modules=ATTENTION, dtype={"q_proj.lora_B": torch.float16, "k_proj": torch.bfloat16}),
    "rslora": dict(r=3, lora_alpha=16, use_rslora=True, target_modules=ATTENTION),
    "alpha-fraction": dict(r=3, lora_alpha=0.1, target_modules=ATTENTION),
    "alpha-zero": dict(r=3, lora_alpha=0, target_modules=ATTENTION),
    # Two patterns match layers.1.q_proj: the first one counts.
    "patterns": dict(
        r=4,
        lora_alpha=8,
        target_modules=ATTENTION,
        rank_pattern={r"layers\.1\.q_proj": 6, "q_proj": 2, r"^layers\.\d+\.v_proj": 5, "1.k_proj": 3},
        alpha_pattern={"q_proj": 32, r"layers\.1\.q_proj": 64, "layers.(0|7).k_proj": 10, "[ik]_proj": 11},
    ),
    "patterns-rslora": dict(
        r=4, lora_alpha=7, use_rslora=True, target_modules=ATTENTION, rank_pattern={"k_proj": 7}, alpha_pattern={"v_proj": 3}
    ),
    "fan-in-fan-out": dict(r=4, lora_alpha=12, target_modules=["c_attn"], fan_in_fan_out=True),
    "embedding": dict(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"], save_embedding_layers=False),
    "embedding-saved": dict(r=4, target_modules=["embed_tokens", "q_proj"], save_embedding_layers=True),
    "resized-embedding": dict(r=4, target_modules=["q_proj"], save_embedding_layers=True),
    "conv1d": dict(r=3, target_modules=["conv1"]),
    "conv2d": dict(r=4, lora_alpha=5, target_modules=["conv2", "point"]),
    "conv3d": dict(r=2, target_modules=["conv3"]),
    "attention": dict(r=4, target_modules=["mha"], rank_pattern={"1.mha": 3}, alpha_pattern={"1.mha": 30}),
    "dora": dict(r=4, lora_alpha=6, use_dora=True, target_modules=[*ATTENTION, "embed_tokens"], save_embedding_layers=False),
    "dora-conv2d": dict(r=4, use_dora=True, target_modules=["conv2", "point"]),
    "dora-fan-in-fan-out": dict(r=4, use_dora=True, target_modules=["c_attn"], fan_in_fan_out=True),
    "modules-to-save": dict(r=4, target_modules=["q_proj"], modules_to_save=["classifier"]),
    "modules-to-save-layer": dict(r=4, target_modules=["q_proj"], modules_to_save=["classifier.dense", "norm"]),
    "bias-all": dict(r=4, target_modules=["q_proj"], bias="all"),
    "bias-all-saved": dict(r=4, target_modules=["q_proj"], bias="all", modules_to_save=["classifier"]),
    "bias-lora-only": dict(r=4, target_modules=ATTENTION, bias="lora_only"),
    "lora-bias": dict(r=4, lora_alpha=6, target_modules=["q_proj", "k_proj"], lora_bias=True),
    "token-list": dict(r=4, target_modules=["q_proj"], trainable_token_indices=[7, 3, 49]),
    "token-table": dict(r=4, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [0, 10, 2]}),
    "velora": dict(r=4, target_modules=["q_proj"], velora_config=VeloraConfig(num_groups=4)),
    "monteclora": dict(r=4, target_modules=["q_proj"], monteclora_config=MontecloraConfig()),
    "orthogonal": dict(r=4, target_modules=["q_proj"], init_lora_weights="orthogonal"),
}

REFUSED = {
    "pissa": dict(r=4, target_modules=["q_proj"], init_lora_weights="pissa"),
    "pissa-niter": dict(r=4, target_modules=["q_proj"], init_lora_weights="pissa_niter_4"),
    "olora": dict(r=4, target_modules=["q_proj"], init_lora_weights="olora"),
    "alora": dict(r=4, target_modules=["q_proj"], alora_invocation_tokens=[3, 4], task_type="CAUSAL_LM"),
    "bdlora": dict(r=4, target_modules=["q_proj"], use_bdlora=BdLoraConfig(target_modules_bd_a=["q_proj"], nblocks=2)),
    "kasa": dict(r=4, target_modules=["q_proj"], kasa_config=KasaConfig()),
    "target-parameters": dict(r=4, target_modules=[], target_parameters=["mlp.gate_up"]),
}


def make(folder, arguments, seed):
    torch.manual_seed(seed)
    arguments = dict(arguments)
    dtype = arguments.pop("dtype", None)
    embeddings = arguments.pop("save_embedding_layers", "auto")
    base = Model(arguments.pop("blocks", 2))
    if arguments.get("task_type") == "CAUSAL_LM":
        base.prepare_inputs_for_generation = lambda *_, **__: None
    model = get_peft_model(base, LoraConfig(**arguments))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.is_floating_point():
                parameter.copy_(torch.randn_like(parameter) * 0.2 + (1 if "magnitude" in name else 0))
    if isinstance(dtype, torch.dtype):
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(dtype)
    elif dtype is not None:
        for name, parameter in model.named_parameters():
            for part, element in dtype.items():
                if "lora_" in name and part in name:
                    parameter.data = parameter.data.to(element)
    model.save_pretrained(str(folder), save_embedding_layers=embeddings)


def main():
    out = Path(sys.argv[1])
    made = 0
    for group, cases in (("sound", SOUND), ("refused", REFUSED)):
        for seed, (name, arguments) in enumerate(cases.items()):
            make(out / group / name, arguments, seed)
            made += 1
    print(f"{made} adapters in {out}")


if __name__ == "__main__":
    main()
