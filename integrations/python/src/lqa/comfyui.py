"""Adapters of diffusion models as the tensors that ComfyUI's loader takes.

ComfyUI finds the layers of a model by names that it makes of the model's own: kohya's (`lora_unet_…`), diffusers' (`transformer.…`), and those
of the model's authors (`diffusion_model.…`). A file names its layers in one of these ways. `state_dict` chooses for each layer the
name that ComfyUI has for the model at hand, so an adapter loads whichever program made it. The custom node is in integrations/comfyui.
"""
from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LqaError
from .peft import open_verified

if TYPE_CHECKING:
    from .file import LqaFile, Module
    from .source import Source

# What files put in front of the paths of layers, and ComfyUI's names for such a layer: {} is the path, {_} the path with underscores.
MODEL = ("lora_unet_{_}", "diffusion_model.{}", "transformer.{}", "lora_transformer_{_}", "lycoris_{_}", "{}")
NAMES = {
    "unet": MODEL, "transformer": MODEL, "prior_unet": ("lora_prior_unet_{_}",), "prior_text_encoder": ("lora_prior_te_{_}",),
    "text_encoder": ("lora_te1_{_}", "lora_te_{_}", "text_encoder.{}", "text_encoders.clip_l.transformer.{}"),
    "text_encoder_2": ("lora_te2_{_}", "text_encoder_2.{}", "text_encoders.clip_g.transformer.{}", "text_encoders.t5xxl.transformer.{}"),
    "text_encoder_3": ("lora_te3_{_}", "text_encoders.t5xxl.transformer.{}"),
}
TYPES = {"F16": "float16", "BF16": "bfloat16"}


def names_of(layer: str) -> tuple[str, ...]:
    """Names that ComfyUI may have for a layer of a file, the usual one first."""
    component, dot, path = layer.partition(".")
    forms = NAMES.get(component) if dot else None
    forms, path = (MODEL, layer) if forms is None else (forms, path)
    return tuple(form.replace("{_}", path.replace(".", "_")).replace("{}", path) for form in forms)


def state_dict(source: Source | LqaFile, keys: Container[str] | None = None, dtype: Any = None) -> dict[str, Any]:
    """What `comfy.sd.load_lora_for_models` takes: `….lora_up.weight` [out, rank], `….lora_down.weight` [rank, in, *kernel], `….alpha`,
    and `….dora_scale` of DoRA.

    Args:
        source: as of `lqa.open`, or an open file.
        keys: the names that ComfyUI has for the layers of the model and the text encoders, as `comfy.lora.model_lora_keys_unet` and
            `model_lora_keys_clip` give them. Without it every layer gets its usual name.
        dtype: torch.float32, float16 or bfloat16. Default: the type that the adapter was saved in; float32 if its weights exceed that.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING if no layer of the file is among `keys`; UNSUPPORTED_ROLE for
            embeddings, experts and tensors that ComfyUI does not load.
    """
    import torch

    file = open_verified(source)
    chosen = dtype or getattr(torch, TYPES.get(str(file.origin.get("element")), "float32"))
    state: dict[str, Any] = {}
    places: dict[str, str] = {}
    found = 0
    for module in file.modules:
        if module.role == "embedding" or module.experts > 1:
            raise LqaError("UNSUPPORTED_ROLE", where=f'module "{module.name}"', expected="linear and convolution layers",
                           found="experts" if module.experts > 1 else module.role, advice="ComfyUI does not load such layers.")
        names = names_of(module.name)
        name = next((each for each in names if keys is not None and each in keys), None)
        found += name is not None
        place = places[module.name] = name or names[0]
        if f"{place}.alpha" in state:
            raise LqaError("UNSUPPORTED_DIALECT", where=f'module "{module.name}"', expected="layers with different names in ComfyUI", found=place)
        decoded = file.decode(module, chosen)
        if dtype is None and chosen == torch.float16 and not all(bool(torch.isfinite(each).all()) for each in (decoded.a, decoded.b)):
            decoded = file.decode(module, torch.float32)
        up, down = decoded.b, decoded.a
        if module.kernel:
            up, down = up.reshape(*up.shape, *(1 for _ in module.kernel)), down.reshape(module.rank, module.in_, *module.kernel)
        state[f"{place}.lora_up.weight"], state[f"{place}.lora_down.weight"] = up, down
        state[f"{place}.alpha"] = torch.tensor(alpha_of(module), dtype=torch.float64)
    if keys is not None and file.modules and found == 0:
        raise LqaError("BASE_MODULE_MISSING", where=f'module "{file.modules[0].name}"', expected="a layer of the model or a text encoder",
                       found=f"none of {len(file.modules)}", advice="Use the kind of model that the adapter was trained for.")
    for tensor, data in file.tensor_all(chosen):
        if tensor.role == "carried":
            continue
        if tensor.role != "magnitude" or tensor.name not in places:
            raise LqaError("UNSUPPORTED_ROLE", where=f'tensor "{tensor.name}"', expected="magnitude", found=tensor.role,
                           advice="ComfyUI does not load such tensors.")
        # ComfyUI compares with a weight [out, in, *kernel].
        dimensions = max(2, 2 + len(file.module(tensor.name).kernel))
        state[f"{places[tensor.name]}.dora_scale"] = data if data.dim() > 1 else data.reshape(-1, *(1 for _ in range(dimensions - 1)))
    return state


def alpha_of(module: Module) -> float:
    """The number that, divided by the rank in binary64 as ComfyUI does, gives the multiplier: the adapter's own alpha if it does, so
    that nothing differs from the adapter's own file."""
    if module.alpha and float(np.float32(module.alpha / module.rank)) == module.multiplier:
        return module.alpha
    return module.multiplier * module.rank
