"""`lqa score`: compares the answers of a model with two adapters, on texts of the task.

Both adapters are loaded into one base model, which runs on each text with the first, with the second, and without any. So anyone who
publishes or downloads an encoded adapter can check what it does, with the base model and texts of their own.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from .base_model import add_adapter, check_exists, context_of, load_base
from .model_command import Progress, model_options, print_report, say_cut
from .scores import Estimate, compare, score
from .texts import LINES, read_lines, to_texts
from .words import Words

REFERENCE, OTHER = "reference", "other"


def size_of(place: str | PathLike[str]) -> int:
    """Bytes of an adapter: of the file, or of the files in its directory."""
    path = Path(place)
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())


def main(words: Sequence[str]) -> None:
    """The command."""
    options = Words("lqa score", "Compares the answers of a model with two adapters: divergence "
                    "in both directions, agreement of the likeliest tokens, loss, share of the gain that is kept.")
    options.add_argument("a", help="the reference: a PEFT directory, an .lqa file, or an adapter that lqa convert reads")
    options.add_argument("b", help="what is compared with it, such as an encoding of it")
    options.add_argument("--texts", required=True, help=f"texts of the task: lines of text or of {LINES}; of a completion and of the last message "
                         "only they count")
    model_options(options, limit=512)
    given = options.parse_args(words)
    for place in (given.a, given.b):
        check_exists(place)
    lines = read_lines(given.texts)
    model, tokenizer = load_base(given.model)
    texts = to_texts(lines, tokenizer, min(given.limit, context_of(model) or given.limit))
    say_cut(texts, given.limit)
    model = add_adapter(add_adapter(model, given.a, REFERENCE), given.b, OTHER)
    reference, base, other = score(model, texts.texts, (REFERENCE, None, OTHER), progress=Progress("scoring"))
    figures = compare(base, reference, other)
    report = {"a": given.a, "b": given.b, "model": given.model, "bytesA": size_of(given.a), "bytesB": size_of(given.b), **texts.report(),
              **{name: one and one.report() for name, one in figures.items()}}
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
