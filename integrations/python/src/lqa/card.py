"""`lqa card`: what an adapter does, measured, as a model card.

With a base model and texts of the task it states what people expect of a quantized model: divergence in both directions, agreement
of the likeliest tokens, perplexity, exact answers, each with its interval. Without them it states what the file says.
"""
from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import LqaError
from .model_command import Progress, output_file, print_report, say_cut, whole
from .report import Inspection, inspect
from .texts import LINES, read_lines, to_texts
from .words import Words

HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
FILE_NAME = re.compile(r"[\w.-]{1,128}\.lqa", re.ASCII)
HUB_FILE = re.compile(r"hf://[\w.-]{1,96}/[\w.-]{1,96}(@[\w.-]{1,96})?(/[\w.-]{1,128})*", re.ASCII)
# Modules of transformer decoders of language; image adapters have other names, and other ways to load them.
LANGUAGE = re.compile(r"^model\.layers\.\d+\.")


def measure(file: str, base: str, texts: str, source: str | None, limit: int) -> dict[str, Any]:
    """Runs the base model on texts with the file, without it, and with the adapter that the file was made from.

    Returns:
        `model`, those of `lqa.texts.Texts.report`, and the figures of `lqa.scores.compare`, each None or `{"value", "low", "high"}`. Without a source: only
        those of the base and of the file.
    """
    from .base_model import add_adapter, context_of, load_base
    from .score import OTHER, REFERENCE
    from .scores import compare, score

    lines = read_lines(texts)
    model, tokenizer = load_base(base)
    read = to_texts(lines, tokenizer, min(limit, context_of(model) or limit))
    say_cut(read, limit)
    model = add_adapter(model, source or file, REFERENCE)
    if source:
        model = add_adapter(model, file, OTHER)
    found = score(model, read.texts, (REFERENCE, None, OTHER) if source else (REFERENCE, None), progress=Progress("scoring"))
    figures = compare(found[1], found[0], found[-1] if source else found[0])
    alone = ("lossBase", "loss", "exact")
    shown = {name: one and one.report() for name, one in figures.items() if source or name in alone}
    return {"model": base, **read.report(), **shown}


def markdown(found: Inspection, measured: dict[str, Any] | None, title: str, location: str) -> str:
    """The card. No text of the file gets into it, except a base model of the form `owner/name`.

    Args:
        found: what is in the file.
        measured: as of `measure`.
        title: the heading.
        location: a file name or a place on the hub, checked by the caller.
    """
    stated = found.meta.get("base_model")
    base = stated if isinstance(stated, str) and HUB_NAME.fullmatch(stated) else None
    ranks = sorted({module.rank for module in found.modules}) or [0]
    lost = found.meta.get("relative_error")
    facts = [
        ("base model", base and f"[{base}](https://huggingface.co/{base})"),
        ("size", f"{found.byte_length:,} bytes; {2 * found.parameters:,} in 16 bits"),
        ("bits per weight", found.parameters and f"{found.bits_per_parameter:.2f}"),
        ("modules", f"{len(found.modules)}, rank {ranks[0]}" + (f" to {ranks[-1]}" if len(ranks) > 1 else "")),
        ("energy of ΔW lost, as the encoder states", isinstance(lost, float) and 0 <= lost <= 1 and f"{lost:.2%}"),
        ("file id", f"`{found.file_id}`"),
    ]
    head = [f"base_model: {base}", "base_model_relation: adapter"] if base else []
    return "\n".join([
        "---", *head, "library_name: lqa", "tags:", "- lqa", "- lora", "- quantized", "---", "",
        f"# {_plain(title)}", "", f"A LoRA adapter{f' of {base}' if base else ''}, quantized in the `.lqa` format.", "",
        *_table([(name, value) for name, value in facts if value]), "",
        *(_measured(measured) if measured else ["What it does to answers was not measured.", ""]),
        *_use(found, base, location),
    ])


def _measured(measured: dict[str, Any]) -> list[str]:
    def row(name: str, key: str, spec: str, change: Any = None) -> tuple[str, str] | None:
        one = measured.get(key)
        if one is None:
            return None
        value, low, high = ((change(one[part]) if change else one[part]) for part in ("value", "low", "high"))
        return name, f"{value:{spec}} ({low:{spec}} to {high:{spec}})"

    against = [
        row("KL(original ‖ this), nats per token", "kl", ".5f"),
        row("KL(this ‖ original)", "reverseKl", ".5f"),
        row("same likeliest token", "top1", ".2%"),
        *(row(f"same of the {word} likeliest", f"top{most}", ".2%") for most, word in ((2, "two"), (3, "three"), (4, "four"), (5, "five"))),
        row("perplexity of the original", "lossReference", ".4g", math.exp),
        row("gain of the original that this keeps", "gainKept", ".1%"),
        row("exact answers of the original", "exactReference", ".1%"),
    ]
    rows = [
        row("perplexity of the base model", "lossBase", ".4g", math.exp),
        row("perplexity of this adapter", "loss", ".4g", math.exp),
        row("exact answers of this adapter", "exact", ".1%"),
        *against,
    ]
    return [
        "## Measured", "",
        f"On {measured['texts']} texts, {measured['tokens']} tokens; in brackets 95 % intervals over texts. Made by `lqa card`"
        f"{'' if measured.get('kl') else ', without the original adapter, so nothing here compares with it'}.", "",
        *_table([one for one in rows if one]), "",
    ]


def _use(found: Inspection, base: str | None, location: str) -> list[str]:
    model, place, word = json.dumps(base or "the base model"), json.dumps(location), shlex.quote(location)
    name = location.rsplit("/", 1)[-1] if location.endswith(".lqa") else "adapter.lqa"
    stem = name.removesuffix(".lqa")
    if any(LANGUAGE.match(module.name) for module in found.modules):
        parts = [
            ("transformers and PEFT", "python", ["import lqa", "from transformers import AutoModelForCausalLM", "",
                                                 f"base = AutoModelForCausalLM.from_pretrained({model})", f"model = lqa.peft.load(base, {place})"]),
            ("vLLM, with the package installed next to it", "python", [f"LoRARequest({json.dumps(stem)}, 1, {place})"]),
            ("llama.cpp", "sh", [f"lqa decode {word} -o {stem}.gguf --base base.gguf"]),
            ("MLX", "python", ["import lqa", "from mlx_lm import load", "", f"model, tokenizer = load({model})", f"lqa.mlx.load(model, {place})"]),
        ]
    else:
        parts = [
            ("diffusers", "python", ["import lqa", "from diffusers import DiffusionPipeline", "",
                                     f"pipeline = DiffusionPipeline.from_pretrained({model})", f"lqa.diffusers.load(pipeline, {place})"]),
            ("ComfyUI, with the nodes of lqa: put the file into `models/loras` and choose it in", "text", [f"Load LoRA (.lqa): {name}"]),
        ]
    parts += [
        ("TypeScript", "ts", ['import { readFile } from "node:fs/promises";', 'import { open } from "lqa";', "",
                              f"const file = await open(await readFile({json.dumps(name)}));",
                              "for await (const { name, multiplier, b, a } of file.decodeAll()) use(name, multiplier, b, a);"]),
        ("Anything that reads PEFT directories", "sh", [f"lqa decode {word} -o {stem}/"]),
    ]
    lines = ["## Use it", ""]
    for runtime, language, code in parts:
        lines += [f"{runtime}:", "", f"```{language}", *code, "```", ""]
    return lines


def _table(rows: list[tuple[str, Any]]) -> list[str]:
    return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]


def _plain(text: str) -> str:
    """One line that Markdown and HTML take as text."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return re.sub(r"([\\`*_{}\[\]()<>#|!~&$-])", r"\\\1", line)


def main(words: Sequence[str]) -> None:
    """The command."""
    options = Words("lqa card", "Writes a model card of an .lqa file: what it holds, how to load it, and, "
                                      "with a base model and texts, what it does to answers. lqa push --card uploads it.")
    options.add_argument("file", help="the .lqa file")
    options.add_argument("--source", help="the adapter that the file was made from: the card then compares the two")
    options.add_argument("--model", help="the base model: a directory or a name that transformers loads")
    options.add_argument("--texts", help=f"texts of the task that neither adapter was trained on: lines of text or of {LINES}; of a completion and of "
                         "the last message only they count")
    options.add_argument("--limit", type=whole(2), default=512, help="most tokens of a text (default 512)")
    options.add_argument("--title", help="heading (default: the name of the file)")
    options.add_argument("--location", help="where the file will be, hf://owner/name/file.lqa (default: its name)")
    options.add_argument("-o", "--output", help="the file to write (default: print the card)")
    options.add_argument("--force", action="store_true", help="replace an existing file")
    options.add_argument("--json", action="store_true", help="print the figures, and errors, as JSON")
    given = options.parse_args(words)
    name = Path(given.file).name
    if (given.model is None) != (given.texts is None) or (given.source is not None and given.model is None):
        raise LqaError("USAGE", where="lqa card", summary="--model and --texts belong together, and --source needs them.",
                       advice="Give --model and --texts, or none of the three for a card without measurements.")
    if given.location is not None and not HUB_FILE.fullmatch(given.location):
        raise LqaError("USAGE", where="--location", found=f'"{given.location[:200]}"', expected="hf://owner/name/file.lqa")
    put = output_file(given.output, force=given.force) if given.output else None
    found = inspect(given.file)
    measured = measure(given.file, given.model, given.texts, given.source, given.limit) if given.model else None
    text = markdown(found, measured, given.title or Path(given.file).stem, given.location or (name if FILE_NAME.fullmatch(name) else "adapter.lqa"))
    if put:
        put(text.encode())
    report = {"file": given.file, "output": given.output, "bytes": found.byte_length, "parameters": found.parameters, "fileId": found.file_id,
              "measured": measured, **({} if put else {"card": text})}
    print_report(given, given.output or text, report)
