"""The words of a command line: those that are wrong are errors of this package, in the words of the other commands."""
from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from .errors import LqaError


class Words(argparse.ArgumentParser):
    """A parser that raises USAGE."""

    def __init__(self, command: str, description: str | None, advice: str = "") -> None:
        """
        Args:
            command: `lqa NAME`.
            description: what it does.
            advice: what else to do about a wrong word.
        """
        super().__init__(prog=command, description=description, allow_abbrev=False)
        self._advice = f"See {command} --help.{advice}"

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """As of the base class, but an option that is not known is said before one that is missing: most often they are the same."""
        options = [word.split("=")[0] for word in args if word.startswith("--") and word != "--"]
        unknown = [word for word in options if word not in self._option_string_actions]
        if unknown and not {"-h", "--help"} & set(args):
            self.error(f"unrecognized arguments: {unknown[0]}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        advice, expected = self._advice, None
        if unknown := re.fullmatch("unrecognized arguments: (.*)", message, re.S):
            word = unknown[1].split(" ")[0].split("=")[0]
            message = f"unknown option {word}" if word.startswith("-") else f"too many words: {unknown[1]}"
            if near := get_close_matches(word, self._option_string_actions, 1):
                advice = f"Did you mean {near[0]}? {advice}"
        elif missing := re.fullmatch("the following arguments are required: (.*)", message):
            names = [_shown(name) for name in missing[1].split(", ")]
            message = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) + (" are" if len(names) > 1 else " is") + " missing"
        elif wrong := re.fullmatch("argument ([^:]*): (.*)", message, re.S):
            name, said = _shown(wrong[1]), wrong[2]
            if choice := re.fullmatch(r"invalid choice: '(.*)' \(choose from (.*)\)", said, re.S):
                message, expected = f'{name} cannot be "{choice[1]}"', f"one of {choice[2].replace(chr(39), '')}"
            elif value := re.fullmatch("expected (.*), found '(.*)'", said, re.S):
                message, expected = f'{name} cannot be "{value[2]}"', value[1]
            elif invalid := re.fullmatch("invalid [a-z]+ value: '(.*)'", said, re.S):
                message, expected = f'{name} cannot be "{invalid[1]}"', "a number"
            else:
                message = f"{name} has no value" if said == "expected one argument" else f"{name}: {said}"
        raise LqaError("USAGE", where=self.prog, expected=expected, found=message, advice=advice)


def _shown(name: str) -> str:
    """`-o/--output` as `--output`, `file` as `<file>`."""
    return name.split("/")[-1] if name.startswith("-") else f"<{name}>"
