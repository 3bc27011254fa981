"""Adapters into PEFT models, from .lqa files, without a directory in between and without changes to PEFT.

`load` is what `PeftModel.from_pretrained` and `PeftModel.load_adapter` do for a directory, `swap` what `hotswap_adapter` does. They use
PEFT's public functions: `get_peft_model`, `add_adapter`, `set_peft_model_state_dict`. `PackedLora` needs no PEFT.
"""
from __future__ import annotations

import math
from typing import Any

from .errors import LqaError
from .file import LqaFile, Module
from .file import open_whole as open_file
from .packed import PackedLora
from .source import Source
from .state import lora_config

__all__ = ["PackedLora", "load", "swap"]


def load(model: Any, source: Source | LqaFile, adapter_name: str = "default", *, is_trainable: bool = False) -> Any:
    """Adds an adapter to a model. The multiplier of each layer is the one in the file, whatever its configuration says.

    Args:
        model: a base model, which becomes a PeftModel with this adapter active, as by `PeftModel.from_pretrained`; or a PeftModel, which
            gets one more adapter, as by `load_adapter`: use `model.set_adapter(name)`.
        source: as of `lqa.open`, or an open file.
        adapter_name: a name that the model does not have yet.
        is_trainable: let the adapter be trained on.

    Returns:
        The PeftModel, in evaluation mode unless trainable.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE if the model has other layers. The model is then as it was.
        ValueError: if the model has an adapter of this name, or PEFT refuses the configuration.
    """
    from peft import PeftModel, get_peft_model, set_peft_model_state_dict

    file = open_verified(source)
    is_peft = isinstance(model, PeftModel)
    if is_peft and adapter_name in model.peft_config:
        raise ValueError(f'the model has an adapter "{adapter_name}": use lqa.peft.swap, or another adapter_name')
    config = peft_config(file, is_trainable)
    check_model(file, model.get_base_model() if is_peft else model)
    state = peft_state(file)
    if is_peft:
        model.add_adapter(adapter_name, config)
    else:
        model = get_peft_model(model, config, adapter_name=adapter_name)
    try:
        result = set_peft_model_state_dict(model, state, adapter_name=adapter_name)
        check_loaded(result, adapter_name)
        set_multipliers(file, model.get_base_model(), adapter_name)
    except BaseException:
        model.delete_adapter(adapter_name) if is_peft else model.unload()
        raise
    return model if is_trainable else model.eval()


def swap(model: Any, source: Source | LqaFile, adapter_name: str = "default") -> None:
    """Replaces an adapter of a PeftModel by another one under the same name.

    If the new adapter has the same layers, ranks and saved modules, its weights are copied into the tensors of the old one, so that a
    compiled model stays compiled. Otherwise the layers are made again. Active adapters stay active.

    Args:
        model: a PeftModel.
        source: as of `lqa.open`, or an open file.
        adapter_name: of the adapter that is replaced.

    Raises:
        LqaError: as `load`. The model then has the old adapter.
        ValueError: if there is no adapter of this name, or it is merged into the model.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    if adapter_name not in model.peft_config:
        raise ValueError(f'the model has no adapter "{adapter_name}"')
    if any(adapter_name in getattr(layer, "merged_adapters", ()) for layer in model.modules()):
        raise ValueError(f'the adapter "{adapter_name}" is merged: call model.unmerge_adapter() first')
    file = open_verified(source)
    check_model(file, model.get_base_model())
    old, new = model.peft_config[adapter_name], peft_config(file, False)
    state = peft_state(file)
    present = get_peft_model_state_dict(model, adapter_name=adapter_name, save_embedding_layers=False)
    same = {key: tensor.shape for key, tensor in present.items()} == {key: tensor.shape for key, tensor in state.items()}
    alike = ("use_dora", "bias", "lora_bias", "fan_in_fan_out", "trainable_token_indices", "target_parameters")
    if same and all(getattr(old, field, None) == getattr(new, field, None) for field in alike):
        set_peft_model_state_dict(model, state, adapter_name=adapter_name)
        set_multipliers(file, model.get_base_model(), adapter_name)
        new.inference_mode = old.inference_mode
        model.peft_config[adapter_name] = new
        return
    active = list(model.active_adapters)
    trial = f"{adapter_name}_next"
    load(model, file, trial)  # whatever can fail fails here, while the old adapter is still in the model
    model.set_adapter(trial, inference_mode=True)
    model.delete_adapter(adapter_name)
    load(model, file, adapter_name)
    model.set_adapter(active[0], inference_mode=old.inference_mode)
    if len(active) > 1:
        model.base_model.set_adapter(active, inference_mode=old.inference_mode)
    model.delete_adapter(trial)


def check_model(file: LqaFile, model: Any) -> None:
    """Compares the layers of an adapter with those of a base model.

    Args:
        model: a model of torch; or the models of a pipeline, by the names of its components, which are in front of their layers' names.

    Raises:
        LqaError: BASE_MODULE_MISSING, BASE_SHAPE of the first layer that differs.
    """
    layers = _layers(model)
    parameters = None
    for module in file.modules:
        layer = layers.get(module.name)
        if layer is None:
            parameters = parameters or {name for owner, each in layers.items() for name in _bare_parameters(owner, each)}
            if module.name not in parameters and f"{module.name}.base_layer" not in layers:
                raise LqaError("BASE_MODULE_MISSING", where=f'module "{module.name}"')
            continue
        layer = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
        expected, found = _sizes(module), _layer_sizes(layer)
        if module.experts == 1 and found is not None and expected != found:
            raise LqaError("BASE_SHAPE", where=f'module "{module.name}"', expected=str(list(expected)), found=str(list(found)))


def _layers(model: Any) -> dict[str, Any]:
    models = model if isinstance(model, dict) else {"": model}
    return {f"{component}.{name}".strip("."): layer for component, each in models.items() for name, layer in each.named_modules()}


def _bare_parameters(owner: str, layer: Any) -> list[str]:
    return [f"{owner}.{name}".strip(".") for name, _ in layer.named_parameters(recurse=False)]


def _sizes(module: Module) -> tuple[int, ...]:
    return (module.out, module.in_, *module.kernel)


def _layer_sizes(layer: Any) -> tuple[int, ...] | None:
    """Output, input and kernel of a layer of torch, or of transformers' Conv1D; None of others."""
    if hasattr(layer, "out_features") and hasattr(layer, "in_features"):
        return layer.out_features, layer.in_features
    if hasattr(layer, "num_embeddings"):
        return layer.embedding_dim, layer.num_embeddings
    if hasattr(layer, "out_channels"):
        return layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size
    if hasattr(layer, "nf") and getattr(layer, "weight", None) is not None:
        return layer.nf, layer.weight.shape[0]
    return None


def open_verified(source: Source | LqaFile) -> LqaFile:
    file = source if isinstance(source, LqaFile) else open_file(source)
    file.verify()
    return file


def peft_config(file: LqaFile, is_trainable: bool) -> Any:
    from peft import LoraConfig

    fields = lora_config(file)
    if fields.get("peft_type", "LORA") != "LORA":
        raise LqaError("SOURCE_CONFIG", where="section ORIG", expected="peft_type LORA", found=str(fields["peft_type"])[:100])
    # Ways to begin a training; some of them change the weights of the base.
    fields["init_lora_weights"] = True
    config = LoraConfig.from_peft_type(**fields)
    config.inference_mode = not is_trainable
    return config


def peft_state(file: LqaFile) -> dict[str, Any]:
    import torch

    return file.state_dict(torch.float32)


def check_loaded(result: Any, adapter_name: str) -> None:
    """PEFT only warns of tensors without a place, and of places without a tensor."""
    unexpected = sorted(result.unexpected_keys)
    if unexpected:
        raise LqaError("BASE_MODULE_MISSING", where=f'tensor "{unexpected[0]}"', found=f"no place for {len(unexpected)} tensors of the adapter")
    missing = [key for key in result.missing_keys if adapter_name in key.split(".")]
    if missing:
        raise LqaError("BASE_MODULE_MISSING", where=f'"{missing[0]}"', summary="The model has more layers than the adapter.",
                       found=f"no tensors for {len(missing)} places of the model")


def set_multipliers(file: LqaFile, model: Any, adapter_name: str) -> None:
    """Gives each layer of a loaded adapter the multiplier of the file.

    Args:
        model: as of `check_model`.
    """
    layers = _layers(model)
    for module in file.modules:
        layer = layers.get(module.name)
        # The layer of a bare parameter (experts) has another path; its configuration is PEFT's own.
        if layer is None or adapter_name not in getattr(layer, "scaling", ()):
            continue
        scaling = layer.scaling[adapter_name]
        if hasattr(scaling, "fill_"):
            scaling.fill_(module.multiplier)  # a tensor, after prepare_model_for_compiled_hotswap
        else:
            layer.scaling[adapter_name] = module.multiplier
        # What `set_scale` computes the multiplier from, with which pipelines weight their adapters.
        rank = layer.r[adapter_name]
        layer.lora_alpha[adapter_name] = module.multiplier * (math.sqrt(rank) if layer.use_rslora.get(adapter_name) else rank)
