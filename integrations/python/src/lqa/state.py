"""PEFT's names and configuration for an adapter: the state dict and the fields of LoraConfig that its directory would have."""
from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .arrays import DType, is_torch
from .errors import LqaError

if TYPE_CHECKING:
    from .file import LqaFile

PREFIX = "base_model.model."
# Adapters of these name their layers otherwise than the model does.
FOREIGN = ("kohya", "diffusers", "cloneofsimo", "gguf")
SUFFIXES = {"magnitude": ".lora_magnitude_vector", "lora-bias": ".lora_B.bias",
            "token-rows": ".token_adapter.trainable_tokens_delta"}


def lora_config(file: LqaFile) -> dict[str, Any]:
    """Fields of PEFT's LoraConfig: those the adapter came with, or such that say the same.

    Patterns of the file become names: PEFT compiles them, and one of a hostile file could match for years.

    Raises:
        LqaError: SOURCE_CONFIG of a file whose configuration is none, or of a dialect with other names than PEFT's.
    """
    dialect = file.origin.get("dialect")
    if dialect == "peft":
        try:
            fields = json.loads(file.origin["config"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise LqaError("SOURCE_CONFIG", where="section ORIG", found=str(error)[:100]) from error
        if not isinstance(fields, dict):
            raise LqaError("SOURCE_CONFIG", where="section ORIG", expected="an object", found=type(fields).__name__)
        return fields | _plain_names(file, fields)
    if dialect in FOREIGN:
        raise LqaError("SOURCE_CONFIG", summary=f"The adapter came from {dialect}, whose layers have other names than the model's.",
                       advice="Write it with lqa decode --to peft first.")
    modules, roles = file.modules, {t.role for t in file.tensors}
    ranks = [m.rank for m in modules]
    usual = max(set(ranks), key=ranks.count) if ranks else 8
    return {
        "peft_type": "LORA", "r": usual, "lora_alpha": usual, "lora_dropout": 0.0, "inference_mode": True,
        "target_modules": sorted(m.name for m in modules),
        "rank_pattern": _ranks(file, usual),
        "use_dora": "magnitude" in roles, "lora_bias": "lora-bias" in roles, "bias": "all" if "bias" in roles else "none",
        "fan_in_fan_out": any(m.role == "linear" and m.base_layout == "in-out" for m in modules),
        "modules_to_save": sorted({t.name.rsplit(".", 1)[0] for t in file.tensors if t.role == "replace"}) or None,
    }


PLAIN = re.compile(r"\^?[A-Za-z0-9_-]+(?:\\?\.[A-Za-z0-9_-]+)*")


def _plain_names(file: LqaFile, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that PEFT takes for patterns, as names. Alphas of layers do not matter: see `peft.set_multipliers`."""
    ranks, alphas = _ranks(file, fields.get("r", 8)), {}
    if any(m.experts > 1 for m in file.modules):
        # Bare parameters have no layer of their own, so theirs are the patterns of the file, if they are names.
        ranks, alphas = ranks | _names(fields, "rank_pattern"), _names(fields, "alpha_pattern")
    given = [fields.get(field) for field in ("target_modules", "exclude_modules", "layers_pattern")]
    found = {"rank_pattern": ranks, "alpha_pattern": alphas}
    # Words in lists are compared, not compiled; but those of layers_pattern are.
    if any(isinstance(value, str) for value in given) or isinstance(given[2], list):
        found |= {"target_modules": sorted(m.name for m in file.modules if m.experts == 1), "exclude_modules": None,
                  "layers_to_transform": None, "layers_pattern": None}
    return found


def _ranks(file: LqaFile, usual: Any) -> dict[str, int]:
    return {f"^{re.escape(m.name)}": m.rank for m in file.modules if m.experts == 1 and m.rank != usual}


def _names(fields: dict[str, Any], field: str) -> dict[str, Any]:
    found = fields.get(field) or {}
    if not isinstance(found, dict) or not all(PLAIN.fullmatch(key) for key in found):
        raise LqaError("SOURCE_CONFIG", where="section ORIG", expected=f"names in {field}", found=str(found)[:100])
    return found


def state_dict(file: LqaFile, dtype: DType) -> dict[str, Any]:
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
        if m.experts > 1:
            # PEFT lets the expert run fastest in B: (out, rank · experts).
            a = a.reshape(-1, m.inputs)
            b = (b.permute(1, 2, 0) if is_torch(dtype) else b.transpose(1, 2, 0)).reshape(m.out, -1)
        if m.kernel:
            a, b = a.reshape(m.rank, m.in_, *m.kernel), b.reshape(*b.shape, *(1 for _ in m.kernel))
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
