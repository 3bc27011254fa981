"""What people would pick instead of `.lqa`, as real files: safetensors in FP8 and int8, NF4 of bitsandbytes, Q8_0 and Q4_0 of GGUF.

Each format has a function `quantize(tensor) -> (stored tensors, what they mean in float32)` for one matrix. The tests compare it with the
library that people use. A LoRA factor is a matrix `[rank, in]` (A) or `[out, rank]` (B); scales are those of the format, for each
row or for each block, and they count in the file.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
BLOCK = 64
# The 16 values of NF4 (QLoRA, arXiv 2305.14314, appendix E; `functional.py` of bitsandbytes).
NF4 = torch.tensor(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
     0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
)  # fmt: skip

Stored = dict[str, torch.Tensor]


def float16(weight: torch.Tensor) -> tuple[Stored, torch.Tensor]:
    half = weight.half()
    return {"": half}, half.float()


def bfloat16(weight: torch.Tensor) -> tuple[Stored, torch.Tensor]:
    half = weight.bfloat16()
    return {"": half}, half.float()


def fp8(weight: torch.Tensor) -> tuple[Stored, torch.Tensor]:
    """F8_E4M3 with a scale for each row, so that its largest weight is 448."""
    scale = _row_scale(weight, torch.finfo(torch.float8_e4m3fn).max)
    codes = (weight / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"": codes, "_scale": scale}, codes.float() * scale.float()


def int8(weight: torch.Tensor) -> tuple[Stored, torch.Tensor]:
    """I8, symmetric, with a scale for each row."""
    scale = _row_scale(weight, 127)
    codes = (weight / scale.float()).round().clamp(-127, 127).to(torch.int8)
    return {"": codes, "_scale": scale}, codes.float() * scale.float()


def _row_scale(weight: torch.Tensor, largest: float) -> torch.Tensor:
    """In bfloat16, as compressed-tensors keeps the scales of a bfloat16 model; 1 for rows of zeros."""
    most = weight.abs().amax(1, keepdim=True)
    return torch.where(most > 0, most / largest, 1).bfloat16()


def nf4(weight: torch.Tensor) -> tuple[Stored, torch.Tensor]:
    """NF4: blocks of 64 weights in their order, each with its largest magnitude in float32; two codes a byte, the first one above."""
    flat = weight.flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    most = blocks.abs().amax(1)
    scaled = blocks / torch.where(most > 0, most, 1)[:, None]
    # The nearest value: halves of the way between neighbours part them.
    codes = torch.bucketize(scaled, (NF4[1:] + NF4[:-1]) / 2).to(torch.uint8)
    meant = (NF4[codes.long()] * most[:, None]).flatten()[: len(flat)].view_as(weight)
    kept = codes.flatten()[: len(flat) + len(flat) % 2].view(-1, 2)
    return {"": (kept[:, 0] << 4) | kept[:, 1], "_absmax": most}, meant


SAFETENSORS: dict[str, Callable[[torch.Tensor], tuple[Stored, torch.Tensor]]] = {
    "f16": float16, "bf16": bfloat16, "fp8": fp8, "int8": int8, "nf4": nf4,
}  # fmt: skip
GGUF = ("q8_0", "q4_0", "q4_0 of B'")


def names() -> list[str]:
    return [*SAFETENSORS, *GGUF]


def encode(name: str, adapter: Path, folder: Path) -> int:
    """Writes an adapter in a format, and what the file means as a PEFT directory `folder/restored`.

    Returns:
        Bytes of the file.
    """
    tensors = {key: value.float() for key, value in load_file(adapter / WEIGHTS).items()}
    folder.mkdir(parents=True, exist_ok=True)
    if name in SAFETENSORS:
        file = folder / "adapter.safetensors"
        stored: Stored = {}
        meant: Stored = {}
        for key, value in tensors.items():
            kept, meant[key] = SAFETENSORS[name](value)
            stored |= {key + ending: tensor.contiguous() for ending, tensor in kept.items()}
        save_file(stored, file)
    else:
        file = folder / "adapter.gguf"
        meant = _gguf(name, tensors, json.loads((adapter / CONFIG).read_text()), file)
    restored = folder / "restored"
    restored.mkdir(exist_ok=True)
    save_file({key: value.contiguous() for key, value in meant.items()}, restored / WEIGHTS)
    (restored / CONFIG).write_bytes((adapter / CONFIG).read_bytes())
    return file.stat().st_size


def _gguf(name: str, tensors: Stored, config: dict, file: Path) -> Stored:
    """A GGUF adapter as llama.cpp's `convert_lora_to_gguf.py` writes it: rows without whole blocks of 32 stay F16, so B of a small rank does.

    With `B'`, B is stored transposed, which llama.cpp does not load: the smallest that the blocks could be.
    """
    import gguf

    wanted = gguf.GGMLQuantizationType[name.split()[0].upper()]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", config["lora_alpha"])
    meant: Stored = {}
    for key, value in tensors.items():
        turned = name.endswith("B'") and "lora_B" in key
        rows = (value.T if turned else value).contiguous().numpy()
        kind = wanted if rows.shape[1] % gguf.GGML_QUANT_SIZES[wanted][0] == 0 else gguf.GGMLQuantizationType.F16
        data = gguf.quants.quantize(rows, kind)
        writer.add_tensor(key, data, raw_dtype=kind)
        values = torch.from_numpy(numpy.array(gguf.quants.dequantize(data, kind), dtype=numpy.float32))
        meant[key] = values.T if turned else values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return meant
