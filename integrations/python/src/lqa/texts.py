"""Texts that `lqa calibrate` and `lqa tune` run the model on."""
from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import LqaError


@dataclass(frozen=True)
class Text:
    """A text in tokens. The model is scored where it predicts the tokens from `start` on: all but the first, or an answer."""

    tokens: tuple[int, ...]
    start: int = 1


def read_texts(path: str | PathLike[str], tokenizer: Any, limit: int = 256) -> list[Text]:
    """Reads texts: lines of JSON with `text`, or with `prompt` and `completion`, of which only the completion is scored; or plain lines.

    Args:
        path: the file.
        tokenizer: of transformers.
        limit: most tokens of a text; what is longer is cut.

    Raises:
        LqaError: SOURCE_IMPORTANCE for a line of JSON without these, and if nothing is left to score; IO.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LqaError("IO", where=str(path), found=str(error)) from error
    texts = [text for number, line in enumerate(lines, 1) if line.strip() and (text := _text(line, tokenizer, limit, f"{path}, line {number}"))]
    if not texts:
        raise LqaError("SOURCE_IMPORTANCE", where=str(path), expected="texts of two tokens or more", found="none")
    return texts


def _text(line: str, tokenizer: Any, limit: int, where: str) -> Text | None:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    if not line.lstrip().startswith("{"):
        return _cut(ids(line), 1, limit)
    try:
        item = json.loads(line)
        if "text" in item:
            return _cut(ids(item["text"]), 1, limit)
        prompt = ids(item["prompt"])
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        return _cut(prompt + ids(item["completion"]) + end, max(1, len(prompt)), limit)
    except (ValueError, KeyError, TypeError) as error:
        raise LqaError("SOURCE_IMPORTANCE", where=where, expected='{"text": …} or {"prompt": …, "completion": …}', found=str(error)) from error


def _cut(tokens: list[int], start: int, limit: int) -> Text | None:
    tokens = tokens[:limit]
    return Text(tuple(tokens), start) if start < len(tokens) else None
