"""LQA: quantized LoRA adapters as numpy arrays, torch tensors and PEFT models.

    import lqa
    file = lqa.open("my-adapter.lqa")           # a path, bytes, a file object, an address
    decoded = file.decode(file.modules[0])      # ΔW = decoded.multiplier · decoded.b @ decoded.a
    state = lqa.decode("my-adapter.lqa")        # PEFT's state dict

The names are those of the TypeScript library. Every byte is checked before anything of it is returned, and the weights are exactly
those of every other reader of the format. Everything that input can do wrong is an `LqaError`.
"""
from .encode import Encoded, encode
from .errors import LqaError
from .file import Band, DecodedModule, LqaFile, Module, Tensor, open
from .report import Inspection, Validation, decode, inspect, validate

__all__ = ["Band", "DecodedModule", "Encoded", "Inspection", "LqaError", "LqaFile", "Module", "Tensor", "Validation", "decode", "encode",
           "inspect", "open", "validate"]
__version__ = "0.1.0"
