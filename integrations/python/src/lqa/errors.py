"""The one error family of this package (specification, clause 15), and the catalogue that gives each code its words."""
from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from . import installed  # refuses to be part of another package
from .mistake import mistake, printable

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
        """As the command line prints it: the mistake, code and kind on the first line, then a line for each fact."""
        own = mistake(self.kind, self.where, self.expected, self.found)
        first, where = own or (self.summary.removesuffix("."), self.where)
        rows = [
            ("found", None if own else self.found),
            ("expected", None if own and first.endswith(f" has no {self.expected}") else self.expected),
            ("where", where),
            ("at byte", self.offset),
            ("rule", self.clause and f"specification, clause {self.clause}"),
            ("what to do", self.advice),
        ]
        return "\n".join([f"{printable(first)} ({self.code} {self.kind})",
                          *(f"  {name:<12}{printable(value)}" for name, value in rows if value is not None)])

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.kind, self.where, self.offset, self.expected, self.found, self.summary, self.advice)


def _restore(kind: str, where: str | None, offset: int | None, expected: Any, found: Any, summary: str, advice: str) -> LqaError:
    return LqaError(kind, where=where, offset=offset, expected=expected, found=found, summary=summary, advice=advice)


def error_json(error: LqaError) -> dict[str, Any]:
    """An error in the output of `--json`."""
    return {"code": error.code, "kind": error.kind, "message": str(error).split("\n", 1)[0], "summary": error.summary, "offset": error.offset, "where": error.where,
            "expected": error.expected, "actual": error.found, "clause": error.clause, "advice": error.advice}


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The entries of `spec/errors.json` by their names."""
    text = (files(__package__) / "data" / "errors.json").read_text("utf-8")
    return {entry["name"]: entry for entry in json.loads(text)["errors"]}
