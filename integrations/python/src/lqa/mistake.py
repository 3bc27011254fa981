"""The first line of an error that the user can correct: the mistake, in the user's words. `src/cli/mistake.ts` has the same rule."""
from __future__ import annotations

import re
from typing import Any

# An option: of the command line, or of a function of either language.
NAME = re.compile(r"(--)?[a-z]+([_-]?[A-Za-z]+)*")
# A file of a directory, whose files are listed.
FILE_NAME = re.compile(r"[\w.]+\.[a-z]+", re.ASCII)

NO_DIRECTORY = "a directory of this path does not exist"


def mistake(kind: str, where: str | None, expected: Any, found: Any) -> tuple[str, str | None] | None:
    """The mistake, and the place that is still to be said. None for an error that is no mistake of the user."""
    if kind == "USAGE" and found is not None:
        return _usage(where, found)
    if not where:
        return None
    if kind == "NOT_FOUND":
        return _not_found(where, expected, found), None
    if kind == "OUTPUT_EXISTS" and not found:
        return f"{where} exists already", None
    if kind == "IO" and found:
        return f"{where}: {found}", None
    return None


def _usage(where: str | None, found: Any) -> tuple[str, str | None]:
    if where is None or re.match("lqa( |$)", where):
        return str(found), where
    if NAME.fullmatch(where) or isinstance(found, (int, float)):
        return f"{where} cannot be {found}", None
    return f"{found} for {where}", None


def _not_found(where: str, expected: Any, found: Any) -> str:
    if expected and found in (None, "", "none"):
        return f"{where} has no {expected}"
    if not found:
        return f"{where} does not exist"
    listed = str(found).startswith('"')
    if FILE_NAME.fullmatch(str(expected)):
        return f"{where} has no {expected}, only {found}" if listed else f"{where} is {found}"
    return f"{where} does not exist, only {found}" if listed else f"{where}: {found}"


def printable(text: object) -> str:
    """Without characters that steer a terminal or are invisible."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(text))
