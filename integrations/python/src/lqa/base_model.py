"""The base model and its adapters, by transformers and PEFT, for the commands that run a model. No code that comes with either is run."""
from __future__ import annotations

import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from . import peft
from .config import refuse_imports
from .divergence import ADAPTER
from .errors import LqaError
from .hub import LAYOUT
from .node import run

GIVE_MODEL = "Give a directory with a model of transformers, or its name on the hub."


def load_base(base: str) -> tuple[Any, Any]:
    """A base model in float32, and its tokenizer.

    Raises:
        LqaError: NOT_FOUND for a path where nothing is; IO if transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    check_base(base)
    logging.disable_progress_bar()  # a log has no use for it
    try:
        return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = "transformers cannot load it" if Path(base).is_dir() else "no directory has this name, and transformers cannot load it from the hub"
        raise LqaError("IO", where=f'"{base}"', found=f"{said}: {_words(error)}", advice=GIVE_MODEL) from error


def check_base(base: str) -> None:
    """Refuses what must be a path and is none: transformers would look for it on the hub, and say that it cannot connect.

    Raises:
        LqaError: NOT_FOUND.
    """
    # A name on the hub is `name` or `owner/name`.
    is_path = base.startswith((".", "~", os.sep)) or base.count("/") > 1 or "\\" in base or base.endswith("/")
    if is_path and not Path(base).is_dir():
        raise LqaError("NOT_FOUND", where=f'"{base}"', found="a file, not a directory with a model" if Path(base).exists() else None,
                       advice=GIVE_MODEL)


def context_of(model: Any) -> int | None:
    """Most tokens that a model takes at once, if its configuration says so."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return next((size for key in ("max_position_embeddings", "n_positions", "n_ctx") if isinstance(size := getattr(config, key, None), int) and size > 0), None)


def add_adapter(model: Any, place: str | PathLike[str], name: str) -> Any:
    """Loads an adapter into a model under a name. Nothing is fetched.

    Args:
        model: a model of transformers, or a PeftModel, which gets one more adapter.
        place: a PEFT directory; an .lqa file; or what `lqa convert` reads, which then needs Node.

    Returns:
        The PeftModel, in evaluation mode.

    Raises:
        LqaError: NOT_FOUND; what is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE if the adapter does not fit the model.
    """
    check_exists(place)
    path = Path(place)
    if is_directory(path):
        return _add_directory(model, path, name)
    if (path / LAYOUT).is_file() or (path.is_file() and _is_lqa(path)):
        return peft.load(model, path, name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "adapter")
        run("convert", str(path.resolve()), str(target), "--to=peft")
        return _add_directory(model, target, name)


def check_exists(place: str | PathLike[str]) -> None:
    """Raises NOT_FOUND for a path where nothing is, before a model is loaded in vain."""
    if not Path(place).exists():
        raise LqaError("NOT_FOUND", where=f'"{place}"')


def load_model(base: str, adapter: str | PathLike[str]) -> tuple[Any, Any]:
    """A base model with an adapter of a PEFT directory active, and its tokenizer.

    Raises:
        LqaError: as `check_directory`, `load_base` and `add_adapter`.
    """
    check_directory(adapter)
    model, tokenizer = load_base(base)
    return add_adapter(model, adapter, ADAPTER), tokenizer


def check_directory(adapter: str | PathLike[str]) -> None:
    """Raises NOT_FOUND unless there is an adapter of PEFT. It is never fetched."""
    if not is_directory(Path(adapter)):
        raise LqaError("NOT_FOUND", where=f'"{adapter}"', expected="adapter_model.safetensors" if Path(adapter).exists() else None,
                       advice="Give a directory of PEFT.")


def is_directory(path: Path) -> bool:
    """Whether there is an adapter of PEFT."""
    return any((path / f"adapter_model.{ending}").is_file() for ending in ("safetensors", "bin"))


def _is_lqa(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4)[1:] == b"LQA"


def _add_directory(model: Any, path: Path, name: str) -> Any:
    from peft import PeftConfig, PeftModel, PeftModelForCausalLM

    refuse_imports(path / "adapter_config.json")
    try:
        if not isinstance(model, PeftModel):
            config = PeftConfig.from_pretrained(str(path))
            config.inference_mode = True
            model = PeftModelForCausalLM(model, config, adapter_name=name)
        result = model.load_adapter(str(path), name)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        found = _words(error)
        kind = "BASE_SHAPE" if "size mismatch" in found else "IO"
        raise LqaError(kind, where=str(path), expected="an adapter that PEFT loads into this model", found=found) from error
    peft.check_loaded(result, name)
    return model.eval()


def _words(error: Exception) -> str:
    """The line of a message of torch, transformers or PEFT that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # torch heads a list of tensors of other shapes with a line that says nothing.
    chosen = lines[1] if lines[0].startswith("Error(s) in loading state_dict") and len(lines) > 1 else lines[0]
    more = sum("size mismatch" in line for line in lines) - 1
    return chosen[:300] + (f" (and {more} more)" if more > 0 else "")
