"""Adapters into models of transformers, from .lqa files: what `model.load_adapter` does for a directory."""
from __future__ import annotations

from typing import Any

from .file import LqaFile
from .peft import check_loaded, check_model, open_verified, peft_config, peft_state, set_multipliers
from .source import Source


def load(model: Any, source: Source | LqaFile, adapter_name: str = "default", *, is_trainable: bool = False) -> None:
    """Adds an adapter to a model, which keeps its class; needs peft. `model.set_adapter`, `disable_adapters` and so on apply to it.

    Args:
        model: a `PreTrainedModel`.
        source: as of `lqa.open`, or an open file.
        adapter_name: a name that the model does not have yet.
        is_trainable: let the adapter be trained on.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE if the model has other layers. The model is then as it was.
        ValueError: if the model has an adapter of this name, or PEFT refuses the configuration.
    """
    file = open_verified(source)
    if adapter_name in getattr(model, "peft_config", ()):
        raise ValueError(f'the model has an adapter "{adapter_name}": call model.delete_adapter first, or use another adapter_name')
    check_model(file, model)
    config = peft_config(file, is_trainable)
    # With PEFT's key of files, transformers 5.24 finds no place for a magnitude.
    state = {f"{key}.weight" if key.endswith(".lora_magnitude_vector") else key: tensor for key, tensor in peft_state(file).items()}
    before = getattr(model, "_hf_peft_config_loaded", False)
    try:
        result = model.load_adapter(adapter_name=adapter_name, peft_config=config, adapter_state_dict=state, is_trainable=is_trainable,
                                    hotswap=False)
        check_loaded(result, adapter_name)
        set_multipliers(file, model, adapter_name)
    except BaseException:
        if adapter_name in getattr(model, "peft_config", ()):
            model.delete_adapter(adapter_name)
        model._hf_peft_config_loaded = before
        raise
