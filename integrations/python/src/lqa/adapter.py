"""An .lqa file as numpy arrays or torch tensors, and as a PEFT state dict."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

import numpy as np

from .decode import decode_factors
from .reader import lqa_reader as r

Framework = Literal["numpy", "torch"]
ROLES = ("replace", "bias", "lora-bias", "magnitude", "token-rows", "token-indices", "carried")
MODULE_ROLES = ("linear", "embedding", "conv1d", "conv2d", "conv3d")
# By the numbers of elements in the schema; BF16 (3), which numpy does not have, is widened.
DTYPES = {1: "<f4", 2: "<f2", 4: "<f8", 5: "<i1", 6: "<i2", 7: "<i4", 8: "<i8", 9: "<u1", 10: "<u2", 11: "<u4",
          12: "<u8", 13: "?"}
PREFIX = "base_model.model."


@dataclass(frozen=True)
class LqaModule:
    """One adapted layer: ΔW = multiplier · B · A."""

    name: str
    role: str
    rank: int
    multiplier: float
    experts: int
    base_layout: str
    kernel: tuple[int, ...]
    b: np.ndarray = field(repr=False)  # (experts, out, rank), float32
    a: np.ndarray = field(repr=False)  # (experts, rank, in · kernel), float32

    def delta(self) -> np.ndarray:
        """ΔW as (out, in · kernel), with experts first if there are any; float32."""
        product = np.float32(self.multiplier) * (self.b @ self.a)
        return product if self.experts > 1 else product[0]


@dataclass(frozen=True)
class LqaTensor:
    """A tensor that is stored as it is."""

    name: str
    role: str
    element: int
    data: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class LqaAdapter:
    modules: list[LqaModule]
    tensors: list[LqaTensor]
    meta: dict[str, Any]
    origin: dict[str, Any]
    file_id: str
    content_id: str

    def config(self) -> dict[str, Any]:
        """Fields of PEFT's LoraConfig: the ones the adapter came with, or such that say the same."""
        if self.origin.get("dialect") == "peft":
            return dict(json.loads(self.origin["config"]))
        if self.origin.get("dialect") in ("kohya", "diffusers", "cloneofsimo", "gguf"):
            raise ValueError(f"This adapter came from {self.origin['dialect']}, whose layers have other names than the "
                             "model's: write it with lqa decode --to peft first.")
        ranks = [m.rank for m in self.modules]
        usual = max(set(ranks), key=ranks.count)
        roles = {t.role for t in self.tensors}
        return {
            "peft_type": "LORA", "r": usual, "lora_alpha": usual, "lora_dropout": 0.0, "inference_mode": True,
            "target_modules": sorted(m.name for m in self.modules),
            "rank_pattern": {f"^{m.name.replace('.', chr(92) + '.')}": m.rank for m in self.modules if m.rank != usual},
            "use_dora": "magnitude" in roles, "lora_bias": "lora-bias" in roles,
            "bias": "all" if "bias" in roles else "none",
            "fan_in_fan_out": any(m.role == "linear" and m.base_layout == "in-out" for m in self.modules),
            "modules_to_save": sorted({t.name.rsplit(".", 1)[0] for t in self.tensors if t.role == "replace"}) or None,
        }

    def state_dict(self, framework: Framework = "numpy") -> dict[str, Any]:
        """What a file of PEFT for this adapter holds, by its keys. Factors are float32."""
        actual = {usual: key for usual, key in self.origin.get("keys", [])} if self.origin.get("dialect") == "peft" else {}
        name = self.origin.get("adapter_name") if self.origin.get("dialect") == "peft" else None
        prefix = self.origin.get("prefix", PREFIX) if self.origin.get("dialect") == "peft" else PREFIX
        adapted = {m.name for m in self.modules}
        state: dict[str, Any] = {}

        def put(path: str, suffix: str, array: np.ndarray, element: int = r.F32) -> None:
            part, dot, weight = suffix.partition(".weight")
            recorded = actual.get(prefix + path + (f"{part}.{name}{dot}{weight}" if name else suffix))
            # On disk keys have no adapter's name; those that were saved from memory do.
            key = recorded.replace(f".{name}", "", 1) if recorded and name else recorded
            if key is None:
                key = PREFIX + path + suffix
            elif not key.startswith(PREFIX):
                key = PREFIX + key
            state[key] = _as(framework, array, element)

        for m in self.modules:
            embedding = m.role == "embedding"
            ones = (1,) * len(m.kernel)
            a = m.a.reshape(-1, m.a.shape[2]) if m.experts > 1 else m.a[0]
            # PEFT lets the expert run fastest in B: (out, rank · experts).
            b = np.moveaxis(m.b, 0, 2).reshape(m.b.shape[1], -1) if m.experts > 1 else m.b[0]
            if m.kernel:
                a, b = a.reshape(m.rank, -1, *m.kernel), b.reshape(*b.shape, *ones)
            put(m.name, ".lora_embedding_A" if embedding else ".lora_A.weight", a)
            put(m.name, ".lora_embedding_B" if embedding else ".lora_B.weight", b)
        for t in self.tensors:
            if t.role in ("token-indices", "carried"):
                continue
            if t.role in ("magnitude", "lora-bias", "token-rows"):
                suffix = {"magnitude": ".lora_magnitude_vector", "lora-bias": ".lora_B.bias",
                          "token-rows": ".token_adapter.trainable_tokens_delta"}[t.role]
                put(t.name, suffix, t.data, t.element)
                continue
            layer, dot, leaf = t.name.rpartition(".")
            put(layer, f".base_layer.{leaf}" if layer in adapted else f"{dot}{leaf}", t.data, t.element)
        return state


def read_lqa(path: str | PathLike[str], *, budget: int = 1 << 29) -> LqaAdapter:
    """Reads a whole file.

    `budget` bounds the memory that one module or tensor may take. Raises `LqaError` at the first byte that breaks a rule,
    and OSError.
    """
    modules: list[LqaModule] = []
    tensors: list[LqaTensor] = []

    def take(adapter: Any, item: Any, payload: bytes) -> None:
        if isinstance(item, r.Tensor):
            element = item.record.element
            if element == r.BF16:
                data = np.frombuffer(payload, "<u2").copy()
            else:
                data = np.frombuffer(payload, DTYPES[element]).copy()
            tensors.append(LqaTensor(item.name, ROLES[item.record.role], element, data.reshape(item.shape)))
            return
        t = item.type
        r.need(4 * t.experts * item.rank * (t.out + t.a_length()) <= budget, "BUDGET", "decoded factors", item.name)
        b, a = decode_factors(adapter.encodings, item, payload)
        modules.append(LqaModule(item.name, MODULE_ROLES[t.role], item.rank, t.multiplier, t.experts,
                                 ("out-in", "in-out")[t.base_layout], tuple(k for k in t.kernel() if k),
                                 np.ascontiguousarray(b.transpose(0, 2, 1)), a))

    with open(path, "rb") as stream:
        adapter = r.read(stream, "values", budget, None, None, take)
    documents = adapter.documents
    # Without zstd a compressed ORIG is passed over: the keys of this adapter are not known then.
    if any(s.tag == b"ORIG" for s in adapter.sections) and "ORIG" not in documents:
        raise r.LqaError("UNSUPPORTED_COMPRESSION", "no zstd implementation: pip install zstandard", "section ORIG")
    return LqaAdapter(modules, tensors, documents.get("META", {}), documents.get("ORIG", {}), adapter.file_id,
                      adapter.content_id)


def load_lqa(path: str | PathLike[str], framework: Framework = "numpy") -> dict[str, Any]:
    """The state dict of an .lqa file, as PEFT's `load_file` would give it of the adapter's directory.

    With `framework="torch"` tensors of torch. Multipliers are no part of a state dict: see `load_peft_model`.
    """
    return read_lqa(path).state_dict(framework)


def _as(framework: Framework, array: np.ndarray, element: int) -> Any:
    if framework == "numpy":
        return (array.astype(np.uint32) << 16).view(np.float32) if element == r.BF16 else array
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array).view(np.int16) if element == r.BF16 else
                              np.ascontiguousarray(array))
    return tensor.view(torch.bfloat16) if element == r.BF16 else tensor
