"""The one error family of this package (specification, clause 15), and the catalogue that gives each code its words."""
from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from . import installed  # refuses to be part of another package

EXIT_CODES = {"U": 3, "L": 4, "X": 2}


class LqaError(Exception):
    """The only error that bad input can cause: of a file, an adapter, a model, the network or the operating system.

    Attributes:
        code: stable code, for example `LQA-M012`.
        kind: its name, for example `PADDING_NONZERO`.
        clause: clause of the specification; None where it says nothing.
        summary: what happened, in one sentence.
        advice: what to do about it.
        offset: byte of the file where the fault was found; None if no byte is at fault.
        where: record, tensor or path, for example `module "model.layers.0.self_attn.q_proj"`.
        expected: what the specification or the caller asked for.
        found: what was there instead.
    """

    def __init__(self, kind: str, *, where: str | None = None, offset: int | None = None, expected: Any = None,
                 found: Any = None, summary: str | None = None, advice: str | None = None) -> None:
        entry = catalogue()[kind]
        self.kind = kind
        self.code = f"LQA-{entry['code']}"
        self.clause = None if entry["clause"] == "-" else str(entry["clause"])
        self.summary = summary or str(entry["summary"])
        self.advice = advice or str(entry["advice"])
        self.offset, self.where, self.expected, self.found = offset, where, expected, found
        super().__init__(self._message())

    @property
    def exit_code(self) -> int:
        """What a command returns for it: 1 invalid, 2 usage or I/O, 3 unsupported, 4 over a limit."""
        return EXIT_CODES.get(self.code[4], 1)

    def _message(self) -> str:
        text = f"{self.code} {self.kind}: {self.summary}"
        if self.where is not None:
            text += f" In {self.where}."
        values = [f"{word} {value}" for word, value in (("expected", self.expected), ("found", self.found)) if value is not None]
        if values:
            text += f" ({', '.join(values)})"
        if self.offset is not None:
            text += f" at byte {self.offset}"
        if self.clause is not None:
            text += f" [spec {self.clause}]"
        return f"{text} {self.advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.kind, self.where, self.offset, self.expected, self.found, self.summary, self.advice)


def _restore(kind: str, where: str | None, offset: int | None, expected: Any, found: Any, summary: str, advice: str) -> LqaError:
    return LqaError(kind, where=where, offset=offset, expected=expected, found=found, summary=summary, advice=advice)


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The entries of `spec/errors.json` by their names."""
    text = (files(__package__) / "data" / "errors.json").read_text("utf-8")
    return {entry["name"]: entry for entry in json.loads(text)["errors"]}
