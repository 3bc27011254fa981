"""`lqa score`: compares the answers of a model with two adapters, on texts of the task.

Both adapters are loaded into one base model, which runs on each text with the first, with the second, and without any. So anyone who
publishes or downloads an encoded adapter can check what it does, with the base model and texts of their own.
"""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from . import peft
from .errors import LqaError
from .model_command import print_report, progress_line
from .node import run
from .scores import Estimate, compare, score
from .texts import read_texts

REFERENCE, OTHER = "reference", "other"


def add_adapter(model: Any, place: str | PathLike[str], name: str) -> Any:
    """Loads an adapter into a model under a name. Nothing is fetched, and no code of the adapter is run.

    Args:
        model: a model of transformers, or a PeftModel, which gets one more adapter.
        place: a PEFT directory; an .lqa file; or what `lqa convert` reads, which then needs Node.

    Returns:
        The PeftModel, in evaluation mode.

    Raises:
        LqaError: NOT_FOUND; what is wrong with the file; BASE_MODULE_MISSING if the adapter does not fit the model.
    """
    path = Path(place)
    if not path.exists():
        raise LqaError("NOT_FOUND", where=str(path), expected="an adapter: a PEFT directory or a file")
    if any((path / f"adapter_model.{ending}").is_file() for ending in ("safetensors", "bin")):
        return _add_directory(model, path, name)
    if path.is_file() and _is_lqa(path):
        return peft.load(model, path, name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "adapter")
        run("convert", str(path.resolve()), str(target), "--to=peft")
        return _add_directory(model, target, name)


def _is_lqa(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4)[1:] == b"LQA"


def _add_directory(model: Any, path: Path, name: str) -> Any:
    from peft import PeftConfig, PeftModel, PeftModelForCausalLM

    try:
        if not isinstance(model, PeftModel):
            config = PeftConfig.from_pretrained(str(path))
            config.inference_mode = True
            model = PeftModelForCausalLM(model, config, adapter_name=name)
        result = model.load_adapter(str(path), name)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise LqaError("IO", where=str(path), expected="an adapter that PEFT loads into this model", found=str(error).split("\n", 1)[0][:300]) from error
    peft.check_loaded(result, name)
    return model.eval()


def load_base(base: str) -> tuple[Any, Any]:
    """A base model in float32, and its tokenizer. No code that comes with a model is run.

    Raises:
        LqaError: IO if transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise LqaError("IO", where=f"model {base}", expected="a model that transformers loads", found=str(error).split("\n", 1)[0][:300]) from error


def size_of(place: str | PathLike[str]) -> int:
    """Bytes of an adapter: of the file, or of the files in its directory."""
    path = Path(place)
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())


def main(words: Sequence[str]) -> None:
    """The command."""
    options = argparse.ArgumentParser(prog="lqa score", allow_abbrev=False, description="Compares the answers of a model with two adapters: divergence "
                                      "in both directions, agreement of the likeliest tokens, loss, share of the gain that is kept.")
    options.add_argument("a", help="the reference: a PEFT directory, an .lqa file, or an adapter that lqa convert reads")
    options.add_argument("b", help="what is compared with it, such as an encoding of it")
    options.add_argument("--model", required=True, help="the base model: a directory or a name that transformers loads")
    options.add_argument("--texts", required=True, help='texts of the task: lines of text, of {"text": ...}, or of {"prompt": ..., "completion": ...}, '
                         "of which only the completion counts")
    options.add_argument("--limit", type=int, default=512, help="most tokens of a text; the rest is cut (default 512)")
    options.add_argument("--json", action="store_true", help="print the report, and errors, as JSON")
    given = options.parse_args(words)
    model, tokenizer = load_base(given.model)
    texts = read_texts(given.texts, tokenizer, given.limit)
    model = add_adapter(add_adapter(model, given.a, REFERENCE), given.b, OTHER)
    reference, base, other = score(model, texts, (REFERENCE, None, OTHER), progress=progress_line)
    figures = compare(base, reference, other)
    places = int(reference.tokens.sum())
    report = {"a": given.a, "b": given.b, "model": given.model, "bytesA": size_of(given.a), "bytesB": size_of(given.b), "texts": len(texts),
              "tokens": places, **{name: one and one.report() for name, one in figures.items()}}
    print_report(given, _table(given, report, figures), report)


def _table(given: argparse.Namespace, report: dict[str, Any], figures: dict[str, Estimate | None]) -> str:
    def shown(name: str, spec: str) -> str:
        one = figures[name]
        return "A gains nothing over the base model on these texts" if one is None else f"{one:{spec}}"

    rows = (
        ("KL(A || B), nats per token", shown("kl", ".5f")),
        ("KL(B || A), nats per token", shown("reverseKl", ".5f")),
        ("same likeliest token", shown("top1", ".2%")),
        ("same of the five likeliest", shown("top5", ".2%")),
        ("loss of the base model", shown("lossBase", ".4f")),
        ("loss with A", shown("lossReference", ".4f")),
        ("loss with B", shown("loss", ".4f")),
        ("gain of A that B keeps", shown("gainKept", ".2%")),
        ("exact answers with A", shown("exactReference", ".1%")),
        ("exact answers with B", shown("exact", ".1%")),
        ("B minus A", shown("exactChange", "+.1%")),
    )
    head = [f"A: {given.a}, {report['bytesA']} bytes", f"B: {given.b}, {report['bytesB']} bytes",
            f"{report['texts']} texts, {report['tokens']} tokens that count; in brackets 95 % intervals"]
    return "\n".join([*head, "", *(f"{name:<27} {value}" for name, value in rows)])
