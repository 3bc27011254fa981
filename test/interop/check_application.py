"""Compares what the specification says a file does to a base model (clause 9.6) with what the real PEFT does.

Usage: check_application.py [--node NODE]

For each case of conformance/suite/apply that PEFT can express: writes the file as a PEFT adapter (`lqa decode`), loads it
into a model with the base weights, merges it in float64, rounds to float32 and compares with the same computation in the
Python reader, whose results have the hashes of the suite. Summation order and the last operations differ, so a weight may
be its float32 neighbour. Prints the counts and exits with 1 if anything failed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import nn
from transformers.pytorch_utils import Conv1D

root = Path(__file__).resolve().parents[2]
suite = root / "conformance" / "suite"
sys.path.insert(0, str(root / "conformance" / "readers" / "python"))
import lqa_reader  # noqa: E402

warnings.filterwarnings("ignore")
CONVOLUTIONS = {2: nn.Conv1d, 3: nn.Conv2d, 4: nn.Conv3d}


class Experts(nn.Module):
    def __init__(self, shape, transposed):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.is_transposed = transposed

    def forward(self, x):
        return x @ self.weight[0]


class Base(nn.Module):
    def forward(self, x):
        return x


def build(modules, base):
    """A model whose parameters have the names and shapes of the base tensors."""
    model = Base()
    by_name = {m["name"]: m for m in modules}
    for name, (shape, values) in base.items():
        layer, _, leaf = name.rpartition(".")
        bias = f"{layer}.bias" in base
        m = by_name.get(layer)
        if leaf == "bias":
            continue
        if m is None:
            module = nn.Embedding(*shape) if layer == "e" else nn.Linear(shape[1], shape[0], bias=False)
        elif m["role"] == 1:
            module = nn.Embedding(*shape)
        elif m["role"] >= 2:
            module = CONVOLUTIONS[m["role"]](m["inp"], m["out"], shape[2:], bias=bias)
        elif m["base_layout"] == 1:
            module = Conv1D(m["out"], m["inp"])
        else:
            module = nn.Linear(m["inp"], m["out"], bias=bias)
        model.add_module(layer, module)
    model.double()
    with torch.no_grad():
        for name, (shape, values) in base.items():
            model.get_parameter(name).copy_(torch.tensor(values, dtype=torch.float64).reshape(shape))
    return model


def merge(loaded, modules):
    for name, layer in loaded.named_modules():
        if hasattr(layer, "scaling") and layer.scaling:
            m = next(m for m in modules if name.endswith("." + m["name"]))
            assert np.float32(layer.scaling["default"]) == np.float32(m["multiplier"]), "multiplier"
            layer.scaling["default"] = m["multiplier"]  # 9.1 rounds it to float32
    return loaded.merge_and_unload().state_dict()


def ulps(a, b):
    """How many float32 steps lie between two arrays, at most."""
    key = lambda x: np.where((i := x.view(np.int32).astype(np.int64)) < 0, -(2**31) - i, i)  # noqa: E731
    return int(np.max(np.abs(key(a) - key(b)), initial=0))


def run(case, node):
    """None if PEFT gives the same, else what differs; raises Skip."""
    modules = {c["id"]: c for c in manifest["cases"]}[case["file"][:-4]]["expected"]["modules"]
    if any(m["experts"] > 1 for m in modules):
        raise Skip("experts: the layout of a bare parameter is not in the adapter (check_peft.py compares these)")
    base = lqa_reader.read_base((suite / case["base"]).read_bytes())
    if any("." not in name for name in base):
        raise Skip("a base tensor that is no layer's weight")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "adapter"
        command = [node, str(root / "dist/cli/main.js"), "decode", str(suite / case["file"]), "--output", str(out), "--to",
                   "peft", "--dtype", "f32"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Skip(done.stderr.strip().split("\n")[0][:160])
        model = build(modules, base)
        try:
            loaded = PeftModel.from_pretrained(model, out, autocast_adapter_dtype=False).double()
            merged = merge(loaded, modules)
        except (ValueError, RuntimeError, TypeError) as error:
            raise Skip(f"PEFT refuses it: {type(error).__name__}: {str(error)[:100]}") from None
    with open(suite / case["file"], "rb") as stream:
        payloads = {}

        def keep(_, item, data):
            payloads[item.name if isinstance(item, lqa_reader.Module) else item] = data

        adapter = lqa_reader.read(stream, payloads=keep)
    wanted = lqa_reader.apply(adapter, payloads, base)
    worst = 0
    for name, (_, values) in wanted.items():
        have = merged[name].double().numpy().astype(np.float32).ravel()
        worst = max(worst, ulps(have, np.array(values, dtype=np.float32)))
    return worst


class Skip(Exception):
    pass


parser = argparse.ArgumentParser()
parser.add_argument("--node", default="node")
options = parser.parse_args()
manifest = json.loads((suite / "manifest.json").read_text())
passed, failed, equal, skipped = 0, 0, 0, {}
for case in manifest["cases"]:
    if case.get("operation") != "apply" or not case["expected"]["valid"] or "rounding" in case["id"]:
        continue
    try:
        worst = run(case, options.node)
    except Skip as why:
        skipped[case["id"]] = str(why)
        continue
    equal += worst == 0
    passed += worst <= 1
    if worst > 1:
        failed += 1
        print(f"FAILED: {case['id']}: {worst} float32 steps apart")
for name, why in skipped.items():
    print(f"skipped: {name}: {why}")
print(f"{passed} passed ({equal} of them bit by bit), {failed} failed, {len(skipped)} skipped")
sys.exit(1 if failed or not passed else 0)
