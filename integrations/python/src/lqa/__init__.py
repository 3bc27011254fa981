"""LQA: quantized LoRA adapters as numpy arrays, torch tensors and PEFT models.

    import lqa
    file = lqa.open("my-adapter.lqa")           # a path, bytes, a file object, an address
    decoded = file.decode(file.modules[0])      # ΔW = decoded.multiplier · decoded.b @ decoded.a
    state = lqa.decode("my-adapter.lqa")        # PEFT's state dict

The names are those of the TypeScript library. What is returned was checked, and the weights are exactly those of every other reader of
the format. Everything that input can do wrong is an `LqaError`.
"""
from importlib.metadata import version as _version

DISTRIBUTION = "lqa-format"

from . import installed  # before anything else: it refuses an environment with another package's module `lqa`
from . import diffusers, llama_cpp, mlx, peft, transformers
from .encoder import Encoded, encode
from .errors import LqaError
from .file import Band, DecodedModule, LqaFile, Module, Tensor, open
from .report import Inspection, Validation, Warning, decode, inspect, validate

__all__ = ["Band", "DecodedModule", "Encoded", "Inspection", "LqaError", "LqaFile", "Module", "Tensor", "Validation", "Warning", "decode", "diffusers",
           "encode", "inspect", "llama_cpp", "mlx", "open", "peft", "transformers", "validate"]
__version__ = _version(DISTRIBUTION)
