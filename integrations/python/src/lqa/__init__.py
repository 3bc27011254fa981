"""Reads .lqa files, quantized LoRA adapters, into numpy arrays or torch tensors.

Every byte of a file is checked before anything of it is returned (errors: `LqaError`), and the weights are exactly those
that every other reader of the format gets.
"""
from .adapter import LqaAdapter, LqaModule, LqaTensor, load_lqa, read_lqa
from .peft import load_peft_model
from .reader import LqaError

__all__ = ["LqaAdapter", "LqaError", "LqaModule", "LqaTensor", "load_lqa", "load_peft_model", "read_lqa"]
__version__ = "0.1.0"
