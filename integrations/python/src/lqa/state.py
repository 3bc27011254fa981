"""PEFT's names for an adapter: the state dict that its directory would have."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arrays import DType, is_torch
from .errors import LqaError

if TYPE_CHECKING:
    from .file import LqaFile

PREFIX = "base_model.model."
SUFFIXES = {"magnitude": ".lora_magnitude_vector", "lora-bias": ".lora_B.bias",
            "token-rows": ".token_adapter.trainable_tokens_delta"}


def state_dict(file: LqaFile, dtype: DType, rank: int | None = None) -> dict[str, Any]:
    """See `LqaFile.state_dict`."""
    name_key = _keys(file)
    adapted = {m.name for m in file.modules}
    state: dict[str, Any] = {}

    def put(path: str, suffix: str, array: Any) -> None:
        key = name_key(path, suffix)
        if key in state:
            raise LqaError("UNSUPPORTED_DIALECT", where="section ORIG", expected="different keys", found=f'"{key}" twice')
        state[key] = array

    for m in file.modules:
        decoded = file.decode(m, dtype)
        a, b = decoded.a, decoded.b
        kept = m.rank if rank is None else min(m.rank, rank)
        if kept < m.rank:
            a, b = a[..., :kept, :], b[..., :kept]
        if m.experts > 1 and (m.kernel or m.role == "embedding"):
            raise LqaError("UNSUPPORTED_ROLE", where=f'module "{m.name}"', expected="linear layers with experts", found=f"{m.experts} of {m.role}",
                           advice="PEFT has no form for it. Read the factors with decode.")
        if m.experts > 1:
            # PEFT lets the expert run fastest in B: (out, rank · experts).
            a = a.reshape(-1, m.inputs)
            b = (b.permute(1, 2, 0) if is_torch(dtype) else b.transpose(1, 2, 0)).reshape(m.out, -1)
        if m.kernel:
            a, b = a.reshape(kept, m.in_, *m.kernel), b.reshape(*b.shape, *(1 for _ in m.kernel))
        embedding = m.role == "embedding"
        put(m.name, ".lora_embedding_A" if embedding else ".lora_A.weight", a)
        put(m.name, ".lora_embedding_B" if embedding else ".lora_B.weight", b)
    for t, data in file.tensor_all(dtype):
        if t.role in ("token-indices", "carried"):
            continue
        layer, dot, leaf = t.name.rpartition(".")
        if t.role in SUFFIXES:
            put(t.name, SUFFIXES[t.role], data)
        else:
            put(layer, f".base_layer.{leaf}" if layer in adapted else f"{dot}{leaf}", data)
    return state


def _keys(file: LqaFile) -> Any:
    """The function from a layer's name and a suffix to PEFT's key: the one that ORIG records, if it records one."""
    origin = file.origin if file.origin.get("dialect") == "peft" else {}
    pairs, name, prefix = origin.get("keys", []), origin.get("adapter_name"), origin.get("prefix", PREFIX)
    sound = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    if not sound or not all(isinstance(word, str) for word in (prefix, name or "", *(word for pair in pairs for word in pair))):
        raise LqaError("UNSUPPORTED_DIALECT", where="section ORIG", expected="pairs of names", found="something else")
    actual = dict(pairs)

    def key_of(path: str, suffix: str) -> str:
        part, dot, weight = suffix.partition(".weight")
        recorded = actual.get(prefix + path + (f"{part}.{name}{dot}{weight}" if name else suffix))
        if recorded is None:
            return PREFIX + path + suffix
        # On disk keys have no adapter's name; those that were saved from memory do.
        key = recorded.replace(f".{name}", "", 1) if name else recorded
        return key if key.startswith(PREFIX) else PREFIX + key

    return key_of
