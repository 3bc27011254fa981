"""What the commands that run a model have in common: their options, the model, progress, and files that appear whole or not at all."""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import LqaError


def parser(command: str, description: str, *, texts: str, output: str) -> argparse.ArgumentParser:
    """The options of a command.

    Args:
        command: its name.
        description: what it does.
        texts: how many texts it takes.
        output: what it writes.
    """
    options = argparse.ArgumentParser(prog=f"lqa {command}", description=description, allow_abbrev=False)
    options.add_argument("adapter", help="the adapter, as a PEFT directory")
    options.add_argument("--model", required=True, help="the base model: a directory or a name that transformers loads")
    options.add_argument("--texts", required=True,
                         help=f'{texts} texts of the adapter\'s task: lines of text, of {{"text": ...}}, or of {{"prompt": ..., "completion": ...}}')
    options.add_argument("-o", "--output", required=True, help=output)
    options.add_argument("--limit", type=int, default=256, help="most tokens of a text (default 256)")
    options.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default 0)")
    options.add_argument("--json", action="store_true", help="print the report, and errors, as JSON")
    return options


def load_model(base: str, adapter: str | PathLike[str]) -> tuple[Any, Any]:
    """A base model with an adapter, and its tokenizer, by transformers and PEFT. No code that comes with a model is run.

    Raises:
        LqaError: NOT_FOUND without a directory of the adapter, which is never fetched; IO if they cannot load it.
    """
    if not Path(adapter).is_dir():
        raise LqaError("NOT_FOUND", where=str(adapter), expected="a PEFT directory")
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return PeftModel.from_pretrained(model, str(adapter)).eval(), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise LqaError("IO", where=f"model {base}, adapter {adapter}", expected="a model and an adapter for it that transformers and PEFT load",
                       found=str(error).split("\n", 1)[0][:300]) from error


def output_file(path: str, *, force: bool) -> Callable[[bytes], None]:
    """A function that writes the file, whole or not at all. Refuses now what would be refused after the work.

    Raises:
        LqaError: OUTPUT_EXISTS; IO.
    """
    target = Path(path)
    if os.path.lexists(target) and not force:
        raise LqaError("OUTPUT_EXISTS", where=path, advice="Choose another name, or replace it with --force.")
    if not target.parent.is_dir():
        raise LqaError("IO", where=path, expected="a directory that exists", found=str(target.parent))

    def put(data: bytes) -> None:
        try:
            handle, temporary = tempfile.mkstemp(dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.chmod(temporary, 0o666 & ~_umask())
                os.replace(temporary, target)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise LqaError("IO", where=path, found=error.strerror or str(error)) from error

    return put


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def progress_line(done: int, total: int) -> None:
    """Progress on stderr, if it is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} texts", end="\n" if done == total else "", file=sys.stderr, flush=True)


def print_report(given: argparse.Namespace, text: str, report: dict[str, Any]) -> None:
    """What a command did, for people or programs."""
    print(json.dumps(report, indent=2) if given.json else text)
