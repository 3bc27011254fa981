"""Adapters into PEFT models, without a file in between."""
from __future__ import annotations

from os import PathLike
from typing import Any

from .adapter import LqaAdapter, read_lqa


def load_peft_model(base: Any, adapter: str | PathLike[str] | LqaAdapter, adapter_name: str = "default") -> Any:
    """`base` with the adapter, as a PeftModel; what `PeftModel.from_pretrained` gives for the adapter's directory.

    The multiplier of each layer is the one in the file, whatever the configuration says. Raises `LqaError` for a broken
    file and ValueError if the model does not have the adapter's layers.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    file = adapter if isinstance(adapter, LqaAdapter) else read_lqa(adapter)
    fields = file.config()
    # Ways to begin a training; some of them change the weights of the base.
    fields["init_lora_weights"] = True
    config = LoraConfig.from_peft_type(**fields)
    config.inference_mode = True
    model = get_peft_model(base, config, adapter_name=adapter_name)
    state = file.state_dict("torch")
    result = set_peft_model_state_dict(model, state, adapter_name=adapter_name)
    if result.unexpected_keys:
        raise ValueError(f"The model has no place for {len(result.unexpected_keys)} tensors of the adapter, the first: "
                         f"{result.unexpected_keys[0]}")
    loras = [key for key in result.missing_keys if ".lora_" in key and f".{adapter_name}" in key]
    if loras:
        raise ValueError(f"The adapter has no tensors for {len(loras)} places of the model, the first: {loras[0]}")
    layers = dict(model.base_model.model.named_modules())
    for module in file.modules:
        layer = layers.get(module.name)
        # The layer of a bare parameter (experts) has another path; its configuration is PEFT's own.
        if layer is not None and hasattr(layer, "scaling"):
            layer.scaling[adapter_name] = module.multiplier
        elif module.experts == 1:
            raise ValueError(f"The model has no layer {module.name}.")
    return model.eval()
