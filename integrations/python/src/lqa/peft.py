"""Adapters into PEFT models, from .lqa files, without a directory in between and without changes to PEFT.

`load` is what `PeftModel.from_pretrained` and `PeftModel.load_adapter` do for a directory, `swap` what `hotswap_adapter` does. They use
PEFT's public functions: `get_peft_model`, `add_adapter`, `set_peft_model_state_dict`. `update` takes the next version of an adapter that
is in training. `PackedLora` needs no PEFT.
"""
from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from .config import lora_config
from .errors import LqaError
from .file import LqaFile, Module
from .file import open_whole as open_file
from .packed import PackedLora
from .source import Source
from .updates import changed_modules, next_file

__all__ = ["PackedLora", "install", "load", "swap", "update"]
logger = logging.getLogger("lqa")
# The files that the adapters of a model were loaded from, by their names.
_loaded: WeakKeyDictionary[Any, dict[str, LqaFile]] = WeakKeyDictionary()


def install() -> None:
    """See `lqa.loaders.install`."""
    from .loaders import install

    install()


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
        ValueError: if the model has an adapter of this name, torch cannot name a module so, or PEFT refuses the configuration.
    """
    from peft import PeftModel, get_peft_model, set_peft_model_state_dict
    from torch.nn import ModuleDict

    if "." in adapter_name or hasattr(ModuleDict(), adapter_name):
        raise ValueError(f'"{adapter_name}" is the name of a method of torch modules, or has a dot: use another adapter_name')
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
        with _refused_by_peft():
            result = set_peft_model_state_dict(model, state, adapter_name=adapter_name)
        check_loaded(result, adapter_name)
        set_multipliers(file, model.get_base_model(), adapter_name)
    except BaseException:
        model.delete_adapter(adapter_name) if is_peft else model.unload()
        raise
    _loaded.setdefault(model, {})[adapter_name] = file
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
        _loaded.setdefault(model, {})[adapter_name] = file
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
    _loaded[model].pop(trial)


def update(model: Any, source: Source | LqaFile, adapter_name: str = "default") -> int:
    """Replaces an adapter by its next version, in the same tensors: call it between two requests. Everything is verified and decoded
    before the first tensor is written.

    Args:
        model: a PeftModel whose adapter was loaded by `load`, `swap` or `update`.
        source: the file that follows the one in use: a child of it, as bytes or as of `lqa.open`, or a file without a parent.
        adapter_name: of the adapter that is replaced.

    Returns:
        The number of modules that changed, which is logged, too (logger `lqa`).

    Raises:
        LqaError: as `lqa.updates.next_file` and `load`. The model then has the old adapter.
        ValueError: as `swap`.
    """
    file = next_file(_loaded.get(model, {}).get(adapter_name), source)
    swap(model, file, adapter_name)
    changed = changed_modules(file)
    logger.info('adapter "%s": %d of %d modules changed, %d bytes, content id %s', adapter_name, changed, len(file.modules), file.byte_length,
                file.content_id)
    return changed


def check_model(file: LqaFile, model: Any) -> None:
    """Compares the layers of an adapter, and the parameters that it replaces, with those of a base model. What a library allocates
    for an adapter follows from these sizes, so nothing is allocated for one that does not fit.

    Args:
        model: a model of torch; or the models of a pipeline, by the names of its components, which are in front of their layers' names.

    Raises:
        LqaError: BASE_MODULE_MISSING, BASE_SHAPE of the first layer that differs.
    """
    layers = _layers(model)

    def parameter(name: str) -> Any:
        owner, _, leaf = name.rpartition(".")
        return getattr(layers.get(owner), leaf, None)

    for module in file.modules:
        where, layer = f'module "{module.name}"', layers.get(module.name)
        expected, found = _sizes(module), None if layer is None else _layer_sizes(layer)
        if layer is None:
            weight = parameter(module.name)
            if not hasattr(weight, "shape"):
                raise LqaError("BASE_MODULE_MISSING", where=where)
            # A bare parameter, of experts as a rule, either way round.
            expected, found = (*((module.experts,) if weight.dim() > 2 else ()), *sorted(expected)), (*weight.shape[:-2], *sorted(weight.shape[-2:]))
        elif module.experts > 1:
            raise LqaError("BASE_SHAPE", where=where, expected=f"a parameter of {module.experts} experts", found=type(layer).__name__)
        if found is not None and expected != found:
            raise LqaError("BASE_SHAPE", where=where, expected=str(list(expected)), found=str(list(found)))
    for tensor in file.tensors:
        if tensor.role in ("replace", "bias"):
            where, weight = f'tensor "{tensor.name}"', parameter(tensor.name)
            if not hasattr(weight, "shape"):
                raise LqaError("BASE_MODULE_MISSING", where=where)
            if tuple(weight.shape) != tensor.shape:
                raise LqaError("BASE_SHAPE", where=where, expected=str(list(tensor.shape)), found=str(list(weight.shape)))
        elif tensor.role in ("token-rows", "token-indices") and tensor.name not in layers:
            raise LqaError("BASE_MODULE_MISSING", where=f'tensor "{tensor.name}"')


WRAPPERS = ("base_layer", "original_module")


def _layers(model: Any) -> dict[str, Any]:
    """The layers of the base model by their names, without what adapters have wrapped around them."""
    models = model if isinstance(model, dict) else {"": model}
    named = ((f"{component}.{name}".strip(".").split("."), layer) for component, each in models.items() for name, layer in each.named_modules())
    return {".".join(part for part in path if part not in WRAPPERS): layer for path, layer in named if "modules_to_save" not in path}


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

    config = LoraConfig(**{field: value for field, value in lora_config(file).items() if field != "peft_type"})
    config.inference_mode = not is_trainable
    return config


@contextmanager
def _refused_by_peft() -> Iterator[None]:
    """What PEFT raises of tensors that have no place, or another shape than their place."""
    try:
        yield
    except KeyError as error:
        raise LqaError("BASE_MODULE_MISSING", where=str(error)[:200], summary="The adapter lacks a tensor that PEFT expects for this model.") from error
    except RuntimeError as error:
        raise LqaError("BASE_SHAPE", where="the adapter", found=" ".join(str(error).split())[:300]) from error


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
    models = model if isinstance(model, dict) else {"": model}
    scaled = {}
    for component, each in models.items():
        for name, layer in each.named_modules():
            if isinstance(getattr(layer, "scaling", None), dict) and adapter_name in layer.scaling:  # attention has a number of this name
                path = [part for part in f"{component}.{name}".strip(".").split(".") if part not in WRAPPERS]
                # The layer of a bare parameter is around the layer that has the parameter.
                scaled[".".join([*path, layer.parameter_name] if hasattr(layer, "parameter_name") else path)] = layer
    for module in file.modules:
        layer = scaled.get(module.name)
        if layer is None:
            continue
        scaling = layer.scaling[adapter_name]
        if hasattr(scaling, "fill_"):
            scaling.fill_(module.multiplier)  # a tensor, after prepare_model_for_compiled_hotswap
        else:
            layer.scaling[adapter_name] = module.multiplier
        # What `set_scale` computes the multiplier from, with which pipelines weight their adapters.
        rank = layer.r[adapter_name]
        layer.lora_alpha[adapter_name] = module.multiplier * (math.sqrt(rank) if layer.use_rslora.get(adapter_name) else rank)
