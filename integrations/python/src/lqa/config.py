"""The configuration that PEFT gets for an adapter, made from the modules and tensors of its file.

PEFT imports, opens and allocates what a configuration names: `megatron_core` is a module that PEFT up to 0.19 imports, `r` is allocated
for every layer that `target_modules` matches, whether the file has it or not, and patterns are regular expressions. So the configuration
that an adapter came with is never given to PEFT. It is only compared: a field that changes what the tensors mean is refused.
"""
from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import LqaError

if TYPE_CHECKING:
    from .file import LqaFile

# Adapters of these name their layers otherwise than the model does.
FOREIGN = ("kohya", "diffusers", "cloneofsimo", "gguf")
# Their effect is in the modules and tensors of the file, or they have none on a finished adapter: see src/adapters/peft/fields.ts.
KNOWN = frozenset((
    "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "bias", "lora_bias", "use_dora",
    "modules_to_save", "trainable_token_indices", "target_parameters", "init_lora_weights", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision",
    "task_type", "corda_config", "eva_config", "loftq_config", "lora_dropout", "lora_ga_config", "monteclora_config", "velora_config",
    "ensure_weight_tying", "megatron_core", "qalora_group_size", "runtime_config", "merge_weights", "lora_dtype", "lorap_emb_lr",
    "lorap_lr_ratio"))
# Such an adapter is for a base whose weights PEFT changes when it makes the adapter.
REWRITING = re.compile(r"(pissa(_niter_\d+)?|olora|corda|loftq|lora_ga)", re.I)
# As much of a configuration is read.
CONFIG_BYTES = 1 << 22
# Names of classes that PEFT has; each wraps a model and runs nothing.
TASKS = ("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")
# PEFT saves layers of these names without an entry in modules_to_save, and loads them into the base model.
EMBEDDINGS = ("embed_tokens", "lm_head", "embed_in", "embed_out", "wte", "word_embeddings", "tok_embeddings", "shared", "output_layer")


def lora_config(file: LqaFile, rank: int | None = None) -> dict[str, Any]:
    """Fields of PEFT's LoraConfig that say what the file says: one entry for each module, and nothing that it does not have.

    Args:
        rank: most components of each module, as of `LqaFile.state_dict`.

    Raises:
        LqaError: SOURCE_CONFIG of a file whose configuration is none, or of a dialect with other names than PEFT's;
            UNSUPPORTED_ADAPTER_FEATURE of a configuration that gives the tensors another meaning; UNSUPPORTED_ROLE of a file
            without modules.
    """
    dialect = file.origin.get("dialect")
    if dialect in FOREIGN:
        raise LqaError("SOURCE_CONFIG", summary=f"The adapter came from {dialect}, whose layers have other names than the model's.",
                       advice="Write it with lqa decode --to peft first.")
    given = _given(file) if dialect == "peft" else {}
    parameters = _words(given.get("target_parameters"))
    bare = {m.name for m in file.modules if m.experts > 1 or m.name.endswith(tuple(f".{each}" for each in parameters)) or m.name in parameters}
    if not file.modules:
        raise LqaError("UNSUPPORTED_ROLE", where="the adapter", expected="modules with factors", found="plain tensors alone",
                       advice="PEFT loads no such adapter.")
    adapted = {m.name for m in file.modules}
    ranks = {m.name: m.rank if rank is None else min(m.rank, rank) for m in file.modules}
    alphas = {m.name: alpha_of(m.multiplier, ranks[m.name]) for m in file.modules}
    usual, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    roles = {t.role for t in file.tensors}
    biases = [t.name.rpartition(".")[0] for t in file.tensors if t.role == "bias"]
    task = given.get("task_type")
    return {
        "peft_type": "LORA", "task_type": task if task in TASKS else None, "inference_mode": True, "init_lora_weights": True,
        "r": usual, "lora_alpha": alpha, "lora_dropout": 0.0, "use_rslora": False,
        "rank_pattern": {f"^{re.escape(name)}": each for name, each in ranks.items() if each != usual},
        "alpha_pattern": {f"^{re.escape(name)}": each for name, each in alphas.items() if each != alpha},
        "target_modules": sorted(adapted - bare), **({"target_parameters": sorted(bare)} if bare else {}),
        "use_dora": "magnitude" in roles, "lora_bias": "lora-bias" in roles,
        "bias": "none" if not biases else "lora_only" if adapted.issuperset(biases) else "all",
        "fan_in_fan_out": any(m.role == "linear" and m.base_layout == "in-out" for m in file.modules if m.name not in bare),
        "modules_to_save": _saved(file, adapted, _words(given.get("modules_to_save"))),
        "trainable_token_indices": {t.name: data.tolist() for t, data in file.tensor_all() if t.role == "token-indices"} or None,
    }


def side_file(path: Path) -> bytes:
    """The bytes of a configuration.

    Raises:
        LqaError: IO, also of a pipe or a device; BUDGET above `CONFIG_BYTES`.
    """
    try:
        if not path.is_file():
            raise LqaError("IO", where=f'"{path}"', found="this is not a regular file" if path.exists() else "it does not exist", advice="Check the path.")
        with path.open("rb") as stream:
            data = stream.read(CONFIG_BYTES + 1)
    except OSError as error:
        raise LqaError("IO", where=f'"{path}"', found=error.strerror or str(error)) from error
    if len(data) > CONFIG_BYTES:
        raise LqaError("BUDGET", where=f'"{path}"', expected=f"at most {CONFIG_BYTES} bytes of a configuration")
    return data


def refuse_imports(path: Path) -> None:
    """Refuses the configuration of a directory of PEFT that makes PEFT import a module of its choice, as 0.18 and 0.19 do.

    Raises:
        LqaError: UNSUPPORTED_ADAPTER_FEATURE; SOURCE_CONFIG; as of `side_file`.
    """
    try:
        fields = json.loads(side_file(path))
    except (ValueError, RecursionError) as error:
        raise LqaError("SOURCE_CONFIG", where=str(path), found=str(error)[:100]) from error
    if not isinstance(fields, dict):
        raise LqaError("SOURCE_CONFIG", where=str(path), expected="an object", found=type(fields).__name__)
    if fields.get("megatron_config"):
        raise LqaError("UNSUPPORTED_ADAPTER_FEATURE", where=str(path), expected="plain LoRA", found="megatron_config")


def _given(file: LqaFile) -> dict[str, Any]:
    """The configuration that the adapter came with, of which nothing changes the meaning of its tensors."""
    try:
        fields = json.loads(file.origin["config"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise LqaError("SOURCE_CONFIG", where="section ORIG", found=str(error)[:100]) from error
    if not isinstance(fields, dict):
        raise LqaError("SOURCE_CONFIG", where="section ORIG", expected="an object", found=type(fields).__name__)
    if fields.get("peft_type", "LORA") != "LORA":
        raise LqaError("SOURCE_CONFIG", where="section ORIG", expected="peft_type LORA", found=str(fields["peft_type"])[:100])
    start = fields.get("init_lora_weights")
    unknown = next((field for field, value in fields.items() if value and field not in KNOWN), None)
    if isinstance(start, str) and REWRITING.fullmatch(start):
        unknown = "init_lora_weights"
    if unknown is not None:
        raise LqaError("UNSUPPORTED_ADAPTER_FEATURE", where="section ORIG", expected="plain LoRA",
                       found=f"{json.dumps(unknown[:60])}: {json.dumps(fields[unknown])[:60]}")
    return fields


def _words(value: Any) -> tuple[str, ...]:
    """A list of a configuration, as names to compare with; patterns are none."""
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def alpha_of(multiplier: float, rank: int) -> float:
    """What PEFT divides by the rank: binary64 holds the product exactly, so that the quotient is the multiplier."""
    alpha = multiplier * rank
    return int(alpha) if alpha.is_integer() else alpha


def _saved(file: LqaFile, adapted: set[str], listed: tuple[str, ...]) -> list[str] | None:
    """The layers that the file replaces: outermost ones, since PEFT wraps none inside another."""
    layers = {t.name.rpartition(".")[0] or t.name for t in file.tensors if t.role == "replace"} - adapted
    layers = {name for name in layers if name.rpartition(".")[2] not in EMBEDDINGS or any(f".{name}".endswith(f".{each}") for each in listed)}
    parts = {name: name.split(".") for name in layers}
    outermost = [name for name, path in parts.items() if not any(".".join(path[:i]) in layers for i in range(1, len(path)))]
    return sorted(outermost) or None
