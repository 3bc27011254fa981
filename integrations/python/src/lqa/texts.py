"""Texts that `lqa calibrate`, `lqa tune` and `lqa score` run the model on."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import LqaError

LINES = '{"text": …}, {"prompt": …, "completion": …} or {"messages": […]}'


@dataclass(frozen=True)
class Text:
    """A text in tokens. The model is scored where it predicts the tokens from `start` on: all but the first, or an answer."""

    tokens: tuple[int, ...]
    start: int = 1


@dataclass(frozen=True)
class Line:
    """A line of a file of texts: plain text, or an object of JSON. `where` names it in errors."""

    content: str | dict[str, Any]
    where: str


@dataclass(frozen=True)
class Texts:
    """What is left of the lines of a file.

    Attributes:
        texts: at least one.
        cut: texts of which the end was cut off.
        left_out: lines of which nothing was left to score: the prompt alone is as long as the limit, or there is one token at most.
        limit: most tokens of a text.
    """

    texts: list[Text]
    cut: int
    left_out: int
    limit: int

    def said(self) -> str:
        """What was cut and left out, in a sentence; empty if nothing was."""
        parts = [f"{self.cut} of {len(self.texts)} texts were cut at {self.limit} tokens"] if self.cut else []
        if self.left_out:
            parts.append(f"{self.left_out} were left out: of a prompt of {self.limit} tokens, or of a text of one, nothing remains to score")
        return "; ".join(parts)

    def report(self) -> dict[str, int]:
        """Of `--json`."""
        return {"texts": len(self.texts), "textsCut": self.cut, "textsLeftOut": self.left_out, "tokens": sum(len(one.tokens) - one.start for one in self.texts)}


def read_lines(path: str | PathLike[str]) -> list[Line]:
    """Reads a file of texts, in UTF-8: lines of JSON with `text`, with `prompt` and `completion`, or with `messages`; or plain lines.

    Raises:
        LqaError: SOURCE_IMPORTANCE for a line of JSON without these, and if there is no line; NOT_FOUND; IO.
    """
    try:
        # Only a line feed ends a line: other separators of Unicode may be part of a text.
        lines = Path(path).read_bytes().decode("utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise LqaError("NOT_FOUND", where=f'"{path}"') from error
    except OSError as error:
        raise LqaError("IO", where=f'"{path}"', found=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise LqaError("IO", where=f'"{path}"', found=f"this is no text in UTF-8, from byte {error.start} on") from error
    found = [Line(_content(line.strip("\r"), where), where) for number, line in enumerate(lines, 1) if line.strip() for where in [f"{path}, line {number}"]]
    if not found:
        raise LqaError("SOURCE_IMPORTANCE", where=f'"{path}"', summary="The file holds no texts.", advice="Give lines of text, or of JSON.")
    return found


def _content(line: str, where: str) -> str | dict[str, Any]:
    if not line.lstrip().startswith("{"):
        return line
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LqaError("SOURCE_IMPORTANCE", where=where, summary="A line begins as JSON and is none.", expected=LINES, found=str(error),
                       advice="Correct the line.") from error
    has = isinstance(item.get("text"), str) or all(isinstance(item.get(key), str) for key in ("prompt", "completion"))
    if not has and not _is_dialogue(item.get("messages")):
        raise LqaError("SOURCE_IMPORTANCE", where=where, summary="A line of JSON lacks the fields of a text.",
                       expected=f"{LINES}, the last message of the assistant", found=f"the fields {', '.join(item)}" if item else "no fields",
                       advice="Correct the line.")
    return dict(item)


def _is_dialogue(messages: Any) -> bool:
    parts = messages if isinstance(messages, list) else []
    whole = all(isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str) for one in parts)
    return whole and bool(parts) and parts[-1]["role"] == "assistant"


def read_texts(path: str | PathLike[str], tokenizer: Any, limit: int = 256) -> Texts:
    """The texts of a file in tokens: see `read_lines` and `to_texts`."""
    return to_texts(read_lines(path), tokenizer, limit)


def to_texts(lines: Sequence[Line], tokenizer: Any, limit: int) -> Texts:
    """Makes tokens of lines. Of a completion, and of the last message of a dialogue, only they are scored.

    Args:
        tokenizer: of transformers. Its chat template makes a dialogue a text.
        limit: most tokens of a text; what is longer is cut.

    Raises:
        LqaError: SOURCE_IMPORTANCE for a dialogue that the template refuses, and if nothing is left to score.
    """
    texts: list[Text] = []
    cut = 0
    for line in lines:
        tokens, start = _tokens(line, tokenizer)
        if start < min(len(tokens), limit):
            texts.append(Text(tuple(tokens[:limit]), start))
            cut += len(tokens) > limit
    if not texts:
        raise LqaError("SOURCE_IMPORTANCE", where="texts", summary="No text is left to score.",
                       expected=f"texts of two tokens or more, whose prompt is shorter than {limit} tokens", advice="Give other texts, or a higher --limit.")
    return Texts(texts, cut, len(lines) - len(texts), limit)


def _tokens(line: Line, tokenizer: Any) -> tuple[list[int], int]:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    item = line.content
    if isinstance(item, str):
        return ids(item), 1
    if "messages" in item:
        before, whole = _dialogue(item["messages"], tokenizer, line.where)
        prompt = ids(before)
        return prompt + ids(whole.removeprefix(before)), max(1, len(prompt))
    if "text" in item:
        return ids(item["text"]), 1
    prompt = ids(item["prompt"])
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return prompt + ids(item["completion"]) + end, max(1, len(prompt))


def _dialogue(messages: list[dict[str, str]], tokenizer: Any, where: str) -> tuple[str, str]:
    """A dialogue before its last message, as the model is asked to write it, and the whole one."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise LqaError("SOURCE_IMPORTANCE", where=where, summary="The model has no chat template, which makes a text of messages.",
                       advice='Give lines of {"prompt": …, "completion": …}.')
    try:
        before = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:  # a template raises what it wants
        raise LqaError("SOURCE_IMPORTANCE", where=where, summary="The chat template of the model refuses these messages.", found=str(error)[:300],
                       advice="Correct the line.") from error
    if not whole.startswith(before):
        raise LqaError("SOURCE_IMPORTANCE", where=where, summary="The chat template writes another beginning with the answer than without it.",
                       advice='Give lines of {"prompt": …, "completion": …}.')
    return before, whole
