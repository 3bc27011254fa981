"""Adapters into models of mlx-lm, from .lqa files: what `mlx_lm.tuner.utils.load_adapters` does for a directory.

mlx-lm gives all layers one rank and one scale; here each layer has those of the file.
"""
from __future__ import annotations

from typing import Any

from .errors import LqaError
from .file import LqaFile, Module
from .file import open_whole as open_file
from .source import Source


def load(model: Any, source: Source | LqaFile, dtype: str = "f32") -> Any:
    """Puts an adapter into a model, in the place of the one that it has, if it has one. Needs mlx and mlx-lm.

    Args:
        model: a model of mlx-lm.
        source: as of `lqa.open`, or an open file.
        dtype: of the factors: `f32` or `f16`.

    Returns:
        The model.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE, UNSUPPORTED_ROLE. The model is then as it was.
    """
    import mlx.core as mx
    from mlx.utils import tree_unflatten

    file = source if isinstance(source, LqaFile) else open_file(source)
    file.verify()
    layers = dict(model.named_modules())
    bases = {name: base for name, layer in layers.items() if (base := _base(layer)) is not None}
    layers |= bases
    magnitudes = {}
    for tensor, data in file.tensor_all():
        if tensor.role == "magnitude":
            magnitudes[tensor.name] = mx.array(data).reshape(-1)
        elif tensor.role != "carried":
            raise LqaError("UNSUPPORTED_ROLE", where=f'tensor "{tensor.name}"', expected="magnitude", found=tensor.role,
                           advice="mlx-lm has no place for such tensors.")
    adapted = {}
    for module in file.modules:
        where = f'module "{module.name}"'
        if module.kernel:
            raise LqaError("UNSUPPORTED_ROLE", where=where, expected="a linear layer or an embedding", found=module.role,
                           advice="mlx-lm adapts no convolutions.")
        if module.name not in layers:
            raise LqaError("BASE_MODULE_MISSING", where=where)
        layer = _adapted(layers[module.name], module, module.name in magnitudes, where)
        decoded = file.decode(module, dtype)
        b, a = mx.array(decoded.b), mx.array(decoded.a)
        layer.lora_a, layer.lora_b = (a, b) if module.experts > 1 else (a.T, b.T)
        if module.name in magnitudes:
            layer.m = magnitudes[module.name]
        adapted[module.name] = layer
    model.update_modules(tree_unflatten(list((bases | adapted).items())))
    return model


def _base(layer: Any) -> Any:
    """The layer inside one that mlx-lm adapted; None of other layers."""
    if "lora_a" not in layer:
        return None
    return layer.get("linear", layer.get("embedding"))


def _adapted(base: Any, module: Module, magnitude: bool, where: str) -> Any:
    """The adapted layer of a layer, with random factors.

    Raises:
        LqaError: BASE_SHAPE, UNSUPPORTED_ROLE.
    """
    from mlx_lm.tuner.dora import DoRAEmbedding, DoRALinear
    from mlx_lm.tuner.lora import LoRAEmbedding, LoRALinear, LoRASwitchLinear

    if module.experts > 1:
        kind, expected = LoRASwitchLinear, (module.experts, module.out, module.in_)
    elif module.role == "embedding":
        kind, expected = DoRAEmbedding if magnitude else LoRAEmbedding, (module.in_, module.out)
    else:
        kind, expected = DoRALinear if magnitude else LoRALinear, (module.out, module.in_)
    if magnitude and module.experts > 1:
        raise LqaError("UNSUPPORTED_ROLE", where=where, expected="LoRA", found="DoRA of experts", advice="mlx-lm has no DoRA of experts.")
    shape = getattr(base.get("weight"), "shape", ())
    bits = getattr(base, "bits", None)
    found = shape if bits is None else (*shape[:-1], shape[-1] * 32 // bits)
    if tuple(found) != expected:
        raise LqaError("BASE_SHAPE", where=where, expected=str(list(expected)), found=str(list(found)))
    arguments = {"r": module.rank, "scale": module.multiplier, "dropout": 0.0}
    return base.to_lora(**arguments) if hasattr(base, "to_lora") and not magnitude else kind.from_base(base, **arguments)
