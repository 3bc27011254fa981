"""Adapters into pipelines of diffusers, from .lqa files: what `pipe.load_lora_weights` does for a file.

The multipliers are those of the file, one for each layer. Files of kohya's and of diffusers' programs name their layers as pipelines do.
"""
from __future__ import annotations

from typing import Any

from .errors import LqaError
from .file import LqaFile
from .peft import check_model, open_verified, set_multipliers
from .source import Source
from .state import SUFFIXES

MODELS = ("unet", "transformer")


def load(pipe: Any, source: Source | LqaFile, adapter_name: str = "default") -> None:
    """Adds an adapter to a pipeline; needs peft. `pipe.set_adapters`, `fuse_lora`, `unload_lora_weights` and so on apply to it.

    Args:
        pipe: a pipeline with `load_lora_weights`.
        source: as of `lqa.open`, or an open file.
        adapter_name: a name that the pipeline does not have yet.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE if the pipeline has other layers; UNSUPPORTED_ROLE of
            parts that diffusers does not load. The pipeline is then as it was.
        ValueError: if diffusers refuses the adapter, or has one of this name.
    """
    import torch

    file = open_verified(source)
    if adapter_name in {name for names in pipe.get_list_adapters().values() for name in names}:
        raise ValueError(f'the pipeline has an adapter "{adapter_name}": call pipe.delete_adapters first, or use another adapter_name')
    models = {name: each for name, each in pipe.components.items() if isinstance(each, torch.nn.Module)}
    if not any(module.name.startswith(tuple(f"{name}." for name in models)) for module in file.modules):
        # An adapter of the main model alone, as PEFT saves it.
        main = next((name for name in MODELS if name in models), "")
        models, prefix = {"": models[main]} if main else models, f"{main}."
    else:
        prefix = ""
    try:
        check_model(file, models)
    except LqaError as error:
        if error.kind != "BASE_MODULE_MISSING":
            raise
        raise LqaError("BASE_MODULE_MISSING", where=error.where, advice="Use the pipeline the adapter was trained for. If its layers have "
                       "the names of another program, write it with lqa decode and load that file.") from error
    state = state_dict(file, prefix)
    try:
        pipe.load_lora_weights(state, adapter_name=adapter_name)
        set_multipliers(file, models, adapter_name)
    except BaseException:
        if adapter_name in {name for names in pipe.get_list_adapters().values() for name in names}:
            pipe.delete_adapters(adapter_name)
        raise


def state_dict(source: Source | LqaFile, prefix: str = "", dtype: Any = None) -> dict[str, Any]:
    """What `pipe.load_lora_weights` takes instead of a file: tensors by the keys of diffusers, without multipliers.

    Args:
        prefix: in front of the names of layers that do not begin with a component.
        dtype: torch.float32 (default), float16 or bfloat16.

    Raises:
        LqaError: whatever is wrong with the file; UNSUPPORTED_ROLE.
    """
    import torch

    file = open_verified(source)
    dtype = dtype or torch.float32
    state = {}
    for module in file.modules:
        if module.role == "embedding" or module.experts > 1:
            raise LqaError("UNSUPPORTED_ROLE", where=f'module "{module.name}"', expected="linear and convolution layers",
                           found="experts" if module.experts > 1 else module.role, advice="diffusers does not load such layers.")
        decoded = file.decode(module, dtype)
        a, b = decoded.a, decoded.b
        if module.kernel:
            a, b = a.reshape(module.rank, module.in_, *module.kernel), b.reshape(*b.shape, *(1 for _ in module.kernel))
        state[f"{prefix}{module.name}.lora_A.weight"], state[f"{prefix}{module.name}.lora_B.weight"] = a, b
    for tensor, data in file.tensor_all(dtype):
        if tensor.role == "carried":
            continue
        if tensor.role not in ("magnitude", "lora-bias"):
            raise LqaError("UNSUPPORTED_ROLE", where=f'tensor "{tensor.name}"', expected="magnitude or lora-bias", found=tensor.role,
                           advice="diffusers does not load such tensors.")
        state[f"{prefix}{tensor.name}{SUFFIXES[tensor.role]}"] = data
    return state
