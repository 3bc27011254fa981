"""Writes adapters as GGUF files, in F32, F16 or Q8_0, with the package `gguf` of llama.cpp: its names of layers, its blocks, its writer."""
from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .config import side_file
from .errors import LqaError

if TYPE_CHECKING:
    from .file import LqaFile, Module

GgufType = Literal["f32", "f16", "q8_0"]
# transformers' names of the architectures whose converter changes no weights but q and k, to llama.cpp's.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
                 "gemma3_text": "gemma3", "phi3": "phi3", "phi": "phi2", "starcoder2": "starcoder2", "stablelm": "stablelm",
                 "gpt2": "gpt2", "olmo2": "olmo2"}
# Those whose q and k have the rows of each head in another order in llama.cpp.
INTERLEAVED = ("llama",)
OTHER_WAY = "Convert a PEFT directory with llama.cpp's convert_lora_to_gguf.py instead."
# Most layers of a model, as in llama.cpp (LLAMA_MAX_LAYERS). Stops a name or a configuration from making the table of names as long as it says.
MOST_LAYERS = 512


class Base(NamedTuple):
    """What of the base model llama.cpp's names need, and the shapes of its weights by these names, as far as they are known."""

    architecture: str
    heads: int
    key_heads: int
    shapes: dict[str, tuple[int, int]]


def read_base(path: str | os.PathLike[str]) -> Base:
    """The base model of a GGUF file, a `config.json` or its directory.

    Raises:
        LqaError: NOT_FOUND; SOURCE_CONFIG; UNSUPPORTED_DIALECT of an architecture whose conversion this version does not know;
            MISSING_PACKAGE.
    """
    place = os.path.join(path, "config.json") if os.path.isdir(path) else os.fspath(path)
    if not os.path.isfile(place):
        raise LqaError("NOT_FOUND", where=f'"{place}"', advice="Give the base model: its GGUF file, or its config.json.")
    about = os.stat(place)
    return _of_config(place) if place.endswith(".json") else _of_gguf(place, about.st_mtime_ns, about.st_size)


def _of_config(place: str) -> Base:
    data = side_file(Path(place))
    try:
        config = json.loads(data)
        architecture = ARCHITECTURES.get(config["model_type"])
        heads = _size(config.get("num_attention_heads") or config["n_head"], 1 << 16)
        wide = _size(config.get("hidden_size") or config.get("n_embd") or 0)
        key_heads = _size(config.get("num_key_value_heads") or heads, 1 << 16)
        inner = _size(config.get("intermediate_size") or 0)
        head = _size(config.get("head_dim") or wide // heads)
        layers = _size(config.get("num_hidden_layers") or 0, MOST_LAYERS)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, ZeroDivisionError) as error:
        raise LqaError("SOURCE_CONFIG", where=place, found=str(error)[:100]) from error
    known = _known(architecture or config["model_type"], place)
    shapes = {}
    if wide and architecture in ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"):
        shapes = {"attn_q": (heads * head, wide), "attn_k": (key_heads * head, wide), "attn_v": (key_heads * head, wide),
                  "attn_output": (wide, heads * head)}
        shapes |= {"ffn_gate": (inner, wide), "ffn_up": (inner, wide), "ffn_down": (wide, inner)} if inner else {}
    return Base(known, heads, key_heads, {f"blk.{block}.{name}": shape for block in range(layers)
                                          for name, shape in shapes.items()})


def _size(value: Any, most: int = 1 << 31) -> int:
    """A number of a configuration. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40]} is no whole number of at most {most}")
    return value


@functools.lru_cache(maxsize=4)
def _of_gguf(place: str, _time: int, _size: int) -> Base:
    """Of a file at one time: the reader of `gguf` makes arrays of all words of the vocabulary, which takes seconds."""
    gguf = _library()
    try:
        reader = gguf.GGUFReader(place)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise LqaError("SOURCE_HEADER", where=place, found=str(error)[:100]) from error

    def value(key: str) -> Any:
        field = reader.get_field(key)
        return field and field.contents()

    architecture = _known(value("general.architecture"), place)
    heads, key_heads = (value(f"{architecture}.attention.{key}") for key in ("head_count", "head_count_kv"))
    if not isinstance(heads, int) or not isinstance(key_heads or heads, int):
        raise LqaError("UNSUPPORTED_DIALECT", where=place, expected="one number of heads for all layers", found=str(heads)[:40])
    shapes = {} if (value("split.count") or 1) > 1 else {
        each.name.removesuffix(".weight"): (int(each.shape[1]), int(each.shape[0])) for each in reader.tensors if len(each.shape) == 2}
    return Base(architecture, heads, key_heads or heads, shapes)


def _known(architecture: Any, place: str) -> str:
    if architecture not in ARCHITECTURES.values():
        raise LqaError("UNSUPPORTED_DIALECT", where=place, expected=f"an architecture of {', '.join(sorted(ARCHITECTURES))}",
                       found=str(architecture)[:40], advice=OTHER_WAY)
    return str(architecture)


def write_gguf(file: LqaFile, base: Base, path: str | os.PathLike[str], dtype: GgufType) -> None:
    """Writes a verified file as an adapter.

    Args:
        dtype: of the factors. Rows that are no multiple of 32 stay F16 with `q8_0`, as in llama.cpp's converter: those of B unless the rank
            is one.

    Raises:
        LqaError: BASE_MODULE_MISSING, BASE_SHAPE; UNSUPPORTED_DIALECT for what llama.cpp has no place for; SOURCE_RANGE if F16 cannot
            hold a weight; MISSING_PACKAGE.
    """
    gguf = _library()
    tensor = next((t for t in file.tensors if t.role != "carried"), None)
    if tensor is not None:
        raise LqaError("UNSUPPORTED_DIALECT", where=f'tensor "{tensor.name}"', expected="factors alone", found=tensor.role, advice=OTHER_WAY)
    names = _names(gguf, file, base)
    alpha = _common_alpha(file)
    writer = gguf.GGUFWriter(path, base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha or 0.0)

    # Two passes, so that one module at a time is in memory: the header has the sizes.
    def each(take: Callable[[str, NDArray[Any], Any], None]) -> None:
        for name, m in sorted((names[m.name], m) for m in file.modules):
            a, b = _factors(file, m, name, base, alpha is None)
            for part, values in (("lora_a", a), ("lora_b", b)):
                take(f"{name}.weight.{part}", *_packed(gguf, values, dtype, f'factor {part[-1].upper()} of module "{m.name}"'))

    each(lambda name, data, kind: writer.add_tensor_info(name, data.shape, data.dtype, data.nbytes, raw_dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    each(lambda _, data, __: writer.write_tensor_data(data))
    writer.close()


def _names(gguf: Any, file: LqaFile, base: Base) -> dict[str, str]:
    """llama.cpp's name of each module."""
    blocks = [int(found[1]) for m in file.modules if (found := re.search(r"\.(\d{1,5})\.", m.name))]
    if max(blocks, default=0) >= MOST_LAYERS:
        raise LqaError("UNSUPPORTED_DIALECT", where="the adapter", expected=f"at most {MOST_LAYERS} layers", found=f"layer {max(blocks)}")
    kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == base.architecture)
    table = gguf.get_tensor_name_map(kind, max(blocks, default=0) + 1)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for m in file.modules:
        name = table.get_name(m.name)
        usual = m.experts == 1 and (m.role == "linear" or (m.role == "embedding" and name == "token_embd"))
        if name is None or not usual or name in taken:
            raise LqaError("UNSUPPORTED_DIALECT", where=f'module "{m.name}"', expected="a layer that llama.cpp has a name for",
                           found=m.role if name else "another one", advice=OTHER_WAY)
        names[m.name] = name
        taken.add(name)
        shape = base.shapes.get(name)
        own = (m.in_, m.out) if m.role == "embedding" else (m.out, m.in_)
        if base.shapes and shape is None:
            if name in ("output", "token_embd") or name.rpartition(".")[2] not in {each.rpartition(".")[2] for each in base.shapes}:
                continue
            raise LqaError("BASE_MODULE_MISSING", where=f'module "{m.name}"', expected=f"{name} in the base model")
        if shape is not None and shape != own:
            raise LqaError("BASE_SHAPE", where=f'module "{m.name}"', expected=str(list(own)), found=str(list(shape)))
    return names


def _common_alpha(file: LqaFile) -> float | None:
    """The alpha that gives every module its multiplier; 0 if all multipliers are 1, None if no alpha does."""
    if all(m.multiplier == 1 for m in file.modules):
        return 0.0
    first = file.modules[0]
    alpha = np.float32(first.multiplier * first.rank)
    fits = alpha != 0 and all(np.float32(float(alpha) / m.rank) == np.float32(m.multiplier) for m in file.modules)
    return float(alpha) if fits else None


def _factors(file: LqaFile, m: Module, name: str, base: Base, fold: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """A `[r, in]`, of an embedding `[vocabulary, r]`, and B `[out, r]`, in llama.cpp's order of rows."""
    decoded = file.decode(m, "f32")
    a, b = decoded.a.reshape(m.rank, -1), decoded.b.reshape(m.out, m.rank)
    if fold:
        b = b * np.float32(m.multiplier)
    heads = {"attn_q": base.heads, "attn_k": base.key_heads}.get(name.rpartition(".")[2])
    if heads and base.architecture in INTERLEAVED:
        if m.out % (2 * heads):
            raise LqaError("UNSUPPORTED_DIALECT", where=f'module "{m.name}"', expected=f"rows for {heads} heads of even size", found=str(m.out))
        b = b.reshape(heads, 2, m.out // heads // 2, m.rank).swapaxes(1, 2).reshape(m.out, m.rank)
    return (a.T if m.role == "embedding" else a), b


def _packed(gguf: Any, values: NDArray[Any], dtype: GgufType, where: str) -> tuple[NDArray[Any], Any]:
    """The data of a tensor, and its type as the writer wants it."""
    values = np.ascontiguousarray(values, np.float32)
    if dtype == "f32":
        return values, None
    if dtype == "q8_0" and values.shape[-1] % 32 == 0:
        kind = gguf.GGMLQuantizationType.Q8_0
        return gguf.quants.quantize(values, kind), kind
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise LqaError("SOURCE_RANGE", where=where, expected="weights that F16 can hold", advice='Write the factors with dtype="f32".')
    return half, None


def _library() -> Any:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise LqaError("MISSING_PACKAGE", where="lqa.llama_cpp", summary="The package gguf is not installed.", advice="pip install gguf") from error
    return gguf
