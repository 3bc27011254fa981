"""Factors as floats of 8 bits (E4M3), as vLLM and TensorRT-LLM load them: they cast them to the type of the model, and know no scales.

The smallest number of E4M3 is 2^-9, so factors are multiplied by powers of two first, which `lora_alpha` undoes. Rank and alpha are one for all
modules, since servers leave out patterns. The numbers are those of `lqa decode --dtype f8-e4m3` with Node.
"""
from __future__ import annotations

from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .config import alpha_of, lora_config
from .errors import LqaError
from .state import PREFIX

if TYPE_CHECKING:
    from .file import LqaFile, Module

LARGEST = 448.0
# Stops weights near the smallest float32 from making the multiplier 0.
MOST_EXPONENT = 100
Floats = NDArray[np.floating[Any]]


def eight_bits(file: LqaFile, rank: int | None = None) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """The fields of `adapter_config.json`, and the bytes of the E4M3 tensors by PEFT's keys.

    Args:
        rank: keep the first components of each module, at most so many.

    Raises:
        LqaError: BUDGET if padding to the largest rank makes the adapter too large; UNSUPPORTED_DIALECT for what some server refuses or leaves out: DoRA, biases, whole tensors, convolutions, experts.
    """
    tensor = next((t for t in file.tensors if t.role != "carried"), None)
    other = next((m for m in file.modules if m.kernel or m.experts > 1), None)
    if tensor or other:
        raise LqaError("UNSUPPORTED_DIALECT", where=f'tensor "{tensor.name}"' if tensor else f'module "{other and other.name}"',
                       expected="only what every server computes: factors of linear layers and embeddings",
                       found=tensor.role if tensor else "experts or a convolution", advice="Decode with --dtype f16.")
    kept = {m.name: m.rank if rank is None else min(m.rank, rank) for m in file.modules}
    most = max(kept.values(), default=8)
    # As four bytes a weight, like factors of float32.
    file._afford(4 * most * sum(m.out + m.in_ for m in file.modules), f"the adapter with all modules of rank {most}")
    room = {m.name: [_room(each) for each in _factors(file, m, kept[m.name])] for m in file.modules}
    total = min([sum(each) for each in room.values()] + [MOST_EXPONENT])
    state = {}
    for m in file.modules:
        b, a = _factors(file, m, kept[m.name])
        of_a = room[m.name][1] if np.isfinite(room[m.name][1]) else 0
        words = ("lora_embedding_A", "lora_embedding_B") if m.role == "embedding" else ("lora_A.weight", "lora_B.weight")
        wide_a, wide_b = np.zeros((most, a.shape[1])), np.zeros((b.shape[0], most))
        wide_a[: a.shape[0]], wide_b[:, : b.shape[1]] = a * 2.0**of_a, b * 2.0 ** (total - of_a)
        state |= {f"{PREFIX}{m.name}.{words[0]}": to_e4m3(wide_a), f"{PREFIX}{m.name}.{words[1]}": to_e4m3(wide_b)}
    config = lora_config(file, rank) | {"r": most, "lora_alpha": alpha_of(2.0**-total, most), "rank_pattern": {}, "alpha_pattern": {}}
    return config, dict(sorted(state.items()))


def _factors(file: LqaFile, module: Module, kept: int) -> tuple[Floats, Floats]:
    """B times the multiplier, rounded to float32, and A: their first components."""
    decoded = file.decode(module, "f32")
    b = (decoded.b * np.float32(module.multiplier)).reshape(module.out, module.rank)
    return b[:, :kept].astype(np.float64), decoded.a.reshape(module.rank, -1)[:kept].astype(np.float64)


def _room(values: Floats) -> float:
    """The exponent of the largest power of two that values can be multiplied by; infinite if all are 0."""
    largest = float(np.abs(values).max(initial=0))
    if largest == 0:
        return np.inf
    exponent = int(np.frexp(LARGEST)[1] - np.frexp(largest)[1])
    return exponent - 1 if largest * 2.0**exponent > LARGEST else exponent


def to_e4m3(values: Floats) -> NDArray[np.uint8]:
    """The bytes of numbers of at most 448, rounded to nearest, ties to even."""
    magnitude = np.abs(values)
    exponent = np.maximum(np.frexp(magnitude)[1] - 1, -6)
    exponent[magnitude == 0] = -6
    # Exact but for the rounding; a carry moves into the exponent.
    steps = np.rint(magnitude * np.exp2(3.0 - exponent)).astype(np.int64)
    return (np.signbit(values) * 0x80 | (steps + ((exponent + 6) << 3))).astype(np.uint8)
