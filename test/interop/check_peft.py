"""Loads what LQA wrote with the real PEFT and compares it with what LQA says it means.

Usage: check_peft.py ORIGINAL_DIR DECODED_DIR FACTORS_DIR

ORIGINAL_DIR  the adapter as PEFT saved it
DECODED_DIR   the adapter as LQA wrote it
FACTORS_DIR   factors.json and raw little-endian files: for each module its name, role, shapes, base layout, multiplier
              (the bits of an f32 in hex), B as [out][rank] and A as [rank][in * kernel], f32

Builds a base model with layers of the right classes and shapes at the right paths, loads DECODED_DIR into it, and
checks bit for bit: factors, scaling, and the delta weight that PEFT computes against torch's own arithmetic on our
factors. Also that keys, metadata, configuration and all other tensors are those of ORIGINAL_DIR. Prints the counts and
exits with 1 if anything failed.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import PeftConfig, PeftModel
from safetensors import safe_open
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

warnings.filterwarnings("ignore")
torch.set_num_threads(1)  # a second one mostly waits
CONVOLUTIONS = {"conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "conv3d": nn.Conv3d}
FUNCTIONS = {"conv1d": functional.conv1d, "conv2d": functional.conv2d, "conv3d": functional.conv3d}
PREFIX = "base_model.model."
passed, failures = 0, []


def check(condition, what):
    global passed
    if condition:
        passed += 1
    else:
        failures.append(what)


def bits(tensor):
    return tensor.detach().contiguous().cpu().flatten().view(torch.uint8)


def equal(a, b):
    """Equal in type, shape and every bit (torch.equal would call 0 and -0 equal)."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))


class Base(nn.Module):
    """The base model: containers made as paths ask for them."""

    def container(self, path):
        module = self
        for segment in path.split(".") if path else []:
            if segment not in module._modules:
                module.add_module(segment, nn.Module())
            module = module._modules[segment]
        return module

    def place(self, path, layer):
        parent, _, leaf = path.rpartition(".")
        self.container(parent).add_module(leaf, layer)


def build_base(modules, tensors):
    base = Base()
    names = {module["name"] for module in modules}
    for module in modules:
        name, out, inputs = module["name"], module["out"], module["in"]
        if name.endswith(".out_proj") and name.removesuffix(".out_proj") in names:
            continue  # part of an attention layer
        if module["role"] == "embedding":
            layer = nn.Embedding(inputs, out)
        elif module["role"] in CONVOLUTIONS:
            layer = CONVOLUTIONS[module["role"]](inputs, out, module["kernel"])
        elif f"{name}.out_proj" in names:
            layer = nn.MultiheadAttention(inputs, 1)
        elif module["baseLayout"] == "in-out":
            layer = Conv1D(out, inputs)
        else:
            layer = nn.Linear(inputs, out)
        base.place(name, layer)
    for tensor in tensors:
        name, role, shape = tensor["name"], tensor["role"], tensor["shape"]
        if role == "token-rows":
            embedding = nn.Embedding(tensor["rows"], shape[1])
            base.place(name, embedding)
            base.get_input_embeddings = lambda embedding=embedding: embedding
        elif role in ("replace", "bias"):
            path, _, leaf = name.rpartition(".")
            parent = base.container(path)
            if leaf not in parent._parameters:
                floating = tensor["data"].is_floating_point()
                value = torch.zeros(shape, dtype=tensor["data"].dtype)
                if floating:
                    parent.register_parameter(leaf, nn.Parameter(value))
                else:
                    parent.register_buffer(leaf, value)
    return base


def delta(module, b, a):
    """torch's own arithmetic for the weight change, in the layout of the base weight."""
    scale = float(module["multiplier"])
    if module["role"] in CONVOLUTIONS:
        ones = (1,) * len(module["kernel"])
        a = a.view(module["rank"], module["in"], *module["kernel"])
        if all(size == 1 for size in module["kernel"]) and module["role"] != "conv3d":
            return (b @ a.flatten(1)).view(module["out"], module["in"], *ones) * scale
        b = b.view(module["out"], module["rank"], *ones)
        return FUNCTIONS[module["role"]](a.transpose(0, 1), b).transpose(0, 1) * scale
    product = b @ a
    return (product.T if module["baseLayout"] == "in-out" else product) * scale


def check_module(layer, module, types):
    name = module["name"]
    if module["role"] == "embedding":
        peft_a, peft_b = layer.lora_embedding_A["default"], layer.lora_embedding_B["default"]
    else:
        peft_a, peft_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    # Written as F16 or BF16, a factor is ours rounded once, to nearest, ties to even, as torch rounds it.
    a, b = (module[factor].to(types[name, factor]).float() for factor in "ab")
    check(equal(peft_a.detach().flatten(1), a), f"{name}: A")
    check(equal(peft_b.detach().flatten(1), b), f"{name}: B")
    scaling = np.float32(layer.scaling["default"])
    check(scaling.view(np.uint32) == module["multiplier"].view(np.uint32), f"{name}: scaling {scaling}")
    if not hasattr(layer, "get_delta_weight") or isinstance(layer.get_base_layer(), nn.MultiheadAttention):
        return
    theirs = layer.get_delta_weight("default").detach()
    base_weight = layer.get_base_layer().weight
    check(theirs.shape == base_weight.shape, f"{name}: shape of the delta weight")
    check(equal(theirs.contiguous(), delta(module, b, a).contiguous()), f"{name}: delta weight")
    # The same again from the definition alone, in another precision: the lines above share code with PEFT. A few rows at a
    # time, because new memory costs more than the products.
    rows = theirs.T if module["baseLayout"] == "in-out" else theirs.flatten(1)
    a, scale = a.double(), float(module["multiplier"])
    pairs = zip(rows.split(64), b.double().split(64), strict=True)
    close = all(torch.allclose(part.double(), (some @ a) * scale, rtol=1e-4, atol=1e-5) for part, some in pairs)
    check(close, f"{name}: delta weight by its definition")


def check_magnitude(layer, module, tensor):
    """DoRA, from the definition: each slice of W + delta along the axis gets the length the magnitude says."""
    weight = layer.get_base_layer().weight.detach().double()
    changed = weight + layer.get_delta_weight("default").detach().double()
    others = [axis for axis in range(changed.dim()) if axis != tensor["axis"]]
    lengths = changed.pow(2).sum(dim=others, keepdim=True).sqrt()
    magnitude = tensor["data"].double().reshape(lengths.shape)
    layer.merge()
    close = torch.allclose(layer.get_base_layer().weight.double(), changed * magnitude / lengths, rtol=1e-4, atol=1e-5)
    check(close, f"{module['name']}: DoRA along axis {tensor['axis']}")
    layer.unmerge()


def check_files(original, decoded):
    """Compares what must be the same. Returns the element type in which each factor was written."""
    config = "adapter_config.json"
    check((original / config).read_bytes() == (decoded / config).read_bytes(), config)
    weights = "adapter_model.safetensors"
    theirs, ours = safe_open(original / weights, "pt"), safe_open(decoded / weights, "pt")
    check(theirs.metadata() == ours.metadata(), "metadata")
    check(sorted(theirs.keys()) == sorted(ours.keys()), "keys")
    factors = {key for key in theirs.keys() if ".lora_A." in key or ".lora_B." in key or ".lora_embedding_" in key}
    factors -= {key for key in factors if key.endswith(".bias")}
    for key in sorted(set(theirs.keys()) - factors):
        check(key in ours.keys() and equal(theirs.get_tensor(key), ours.get_tensor(key)), key)
    return {factor_of(key): ours.get_tensor(key).dtype for key in factors}


def factor_of(key):
    """Module and factor of a key."""
    path, _, rest = key.removeprefix(PREFIX).replace(".base_layer", "").rpartition(".lora_")
    return path, rest.removeprefix("embedding_")[0].lower()


TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64, "I64": torch.int64}
TYPES |= {"I32": torch.int32, "U8": torch.uint8, "I8": torch.int8, "BOOL": torch.bool, "I16": torch.int16}


def read_factors(folder):
    described = json.loads((folder / "factors.json").read_text())
    for module in described["modules"]:
        module["multiplier"] = np.uint32(int(module["multiplier"], 16)).view(np.float32)
        for factor, rows in (("a", module["rank"]), ("b", module["out"])):
            values = np.fromfile(folder / module[factor], "<f4").reshape(rows, -1)
            module[factor] = torch.from_numpy(values)
    indices = {}
    for tensor in described.get("tensors", []):
        raw = (folder / tensor["data"]).read_bytes()
        if tensor["role"] == "token-indices":
            indices[tensor["name"]] = np.frombuffer(raw, "<u4")
        elif tensor["element"] in TYPES:
            tensor["data"] = torch.frombuffer(bytearray(raw), dtype=TYPES[tensor["element"]]).reshape(tensor["shape"])
    for tensor in described.get("tensors", []):
        if tensor["role"] == "token-rows":
            tensor["rows"] = int(indices[tensor["name"]].max()) + 1
    return described["modules"], described.get("tensors", []), indices


def main():
    original, decoded, folder = (Path(argument) for argument in sys.argv[1:4])
    modules, tensors, indices = read_factors(folder)
    types = check_files(original, decoded)
    config = PeftConfig.from_pretrained(decoded)
    config.task_type = None  # would ask for a generation or classification interface of the base model
    torch.manual_seed(0)
    model = PeftModel.from_pretrained(build_base(modules, tensors), decoded, config=config)
    adapted = model.base_model.model
    for module in modules:
        check_module(adapted_layer(adapted, module["name"]), module, types)
    by_name = {module["name"]: module for module in modules}
    for tensor in tensors:
        name = tensor["name"]
        if tensor["role"] == "magnitude":
            check_magnitude(adapted.get_submodule(name), by_name[name], tensor)
        elif tensor["role"] == "lora-bias":
            bias = adapted.get_submodule(name).lora_B["default"].bias.detach()
            check(equal(bias, tensor["data"].float()), f"{name}: LoRA bias")
        elif tensor["role"] == "token-rows":
            weight = adapted.get_submodule(name).weight.detach()
            rows = weight[torch.from_numpy(indices[name].astype(np.int64))]
            check(equal(rows, tensor["data"].float()), f"{name}: token rows")
        elif tensor["role"] in ("replace", "bias"):
            path, _, leaf = name.rpartition(".")
            check(equal(effective(adapted, path, leaf), tensor["data"]), f"{name}: value in the loaded model")
    for what in failures[:20]:
        print(f"FAILED {what}")
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


def adapted_layer(model, name):
    """The LoRA layer of that name. The output projection of an attention layer is below the wrapped layer."""
    parent, _, leaf = name.rpartition(".")
    layer = model.get_submodule(parent)
    if leaf == "out_proj" and hasattr(layer, "get_base_layer"):
        layer = layer.get_base_layer()
    return layer.get_submodule(leaf)


def effective(model, path, leaf):
    """A tensor of the loaded model, as the forward pass sees it: through PEFT's wrappers."""
    module = model
    for segment in path.split("."):
        module = module.modules_to_save["default"] if hasattr(module, "modules_to_save") else module
        module = getattr(module, segment)
    module = module.modules_to_save["default"] if hasattr(module, "modules_to_save") else module
    module = module.get_base_layer() if hasattr(module, "get_base_layer") else module
    return getattr(module, leaf).detach()


if __name__ == "__main__":
    main()
