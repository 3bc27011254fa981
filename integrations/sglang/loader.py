"""The loader of SGLang, without its server: the package requires CUDA, the code that takes an adapter does not.

    pip install --no-deps --target SITE sglang==0.5.23
    lqa decode FILE.lqa -o DIRECTORY
    python loader.py SITE FILE.lqa DIRECTORY

`LoRAConfig` and `LoRAAdapter` are SGLang's; the other modules of `sglang` are stand-ins. Compares the weights of the directory with those of
`lqa.decode`, as `Engine.load_lora_adapter_from_tensors` hands them over.
"""
import importlib.abc
import importlib.machinery
import json
import sys
import types
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import load_file

import lqa

SITE, FILE, DIRECTORY = (Path(word) for word in sys.argv[1:4])
REAL = {f"sglang.srt.{name}" for name in ("lora.lora", "lora.lora_config", "lora.utils", "layers.utils.common")}
PACKAGES = {"sglang", "sglang.srt", "sglang.srt.lora", "sglang.srt.layers"}


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        other = name.split(".")[0] != "sglang" or name in REAL
        return None if other else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__ = [str(SITE / spec.name.replace(".", "/"))]
        if spec.name not in PACKAGES:
            module.__getattr__ = stand_in
        return module

    def exec_module(self, module):
        pass


def stand_in(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return mock.MagicMock(name=name)


sys.meta_path.insert(0, StandIns())
import sglang.srt.layers.utils as utils  # noqa: E402
from sglang.srt.layers.utils.common import get_layer_id  # noqa: E402

utils.get_layer_id = get_layer_id
from sglang.srt.lora.lora import LoRAAdapter  # noqa: E402
from sglang.srt.lora.lora_config import LoRAConfig  # noqa: E402


def load(tensors, config):
    layers = 1 + max(get_layer_id(name) or 0 for name in tensors)
    adapter = LoRAAdapter("adapter", config, types.SimpleNamespace(num_hidden_layers=layers), None, None)
    adapter.initialize_weights_from_tensors(tensors)
    weights = {name: weight for layer in adapter.layers for name, weight in layer.weights.items()}
    return adapter.scaling, weights


of_file = load(lqa.decode(FILE, torch.float32), LoRAConfig.from_dict(json.loads((DIRECTORY / "adapter_config.json").read_text())))
of_directory = load(load_file(DIRECTORY / "adapter_model.safetensors"), LoRAConfig(path=str(DIRECTORY)))
equal = sum(torch.equal(weight, of_file[1][name]) for name, weight in of_directory[1].items())
print(f"{equal} of {len(of_directory[1])} weights equal, multiplier {of_file[0]} and {of_directory[0]}")
sys.exit(equal != len(of_directory[1]) or len(of_file[1]) != equal or of_file[0] != of_directory[0])
