"""What the commands that run a model have in common: their options, progress, and files that appear whole or not at all."""
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import LqaError
from .mistake import NO_DIRECTORY
from .texts import LINES, Texts
from .words import Words

# Seconds between lines of progress in a log.
LOG_EVERY = 30.0


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """The type of an option: a whole number from `least` to `most`."""

    def read(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, found {word!r}")
        return value

    return read


def positive(word: str) -> float:
    """The type of an option: a number above 0."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {word!r}")
    return value


def parser(command: str, description: str, *, texts: str, output: str) -> argparse.ArgumentParser:
    """The options of a command that measures an adapter.

    Args:
        command: its name.
        description: what it does.
        texts: how many texts it takes.
        output: what it writes.
    """
    options = Words(f"lqa {command}", description)
    options.add_argument("adapter", help="the adapter, as a PEFT directory")
    options.add_argument("--texts", help=f"{texts} texts of the adapter's task, lines of text or of {LINES}; without it the model with the adapter "
                         "writes texts itself")
    options.add_argument("-o", "--output", required=True, help=output)
    model_options(options, limit=256)
    options.add_argument("--seed", type=whole(0), default=0, help="of everything that is drawn (default 0)")
    options.add_argument("--force", action="store_true", help="replace existing files")
    return options


def model_options(options: argparse.ArgumentParser, *, limit: int) -> None:
    """Adds the options of every command that runs a model on texts."""
    options.add_argument("--model", required=True, help="the base model: a directory or a name that transformers loads")
    options.add_argument("--limit", type=whole(2), default=limit, help=f"most tokens of a text; the rest is cut (default {limit})")
    options.add_argument("--json", action="store_true", help="print the report, and errors, as JSON")


def output_file(path: str, *, force: bool) -> Callable[[bytes], None]:
    """A function that writes the file, whole or not at all. Refuses now what would be refused after the work.

    Raises:
        LqaError: OUTPUT_EXISTS; IO.
    """
    target = Path(path)
    if os.path.lexists(target) and not force:
        raise LqaError("OUTPUT_EXISTS", where=f'"{path}"', advice="Choose another name, or replace it with --force.")
    if not target.parent.is_dir():
        raise LqaError("IO", where=f'"{path}"', found=NO_DIRECTORY, advice="Create the directory first, or check the path.")
    if target.is_dir():
        raise LqaError("IO", where=f'"{path}"', found="this is a directory", advice="Give the name of a file.")

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
            raise LqaError("IO", where=f'"{path}"', found=error.strerror or str(error)) from error

    return put


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Progress:
    """Progress of one piece of work on stderr: a line that changes on a terminal, a line every half minute in a log.

    Args:
        doing: what is done, such as `calibrating`.
        of: what is counted.
    """

    def __init__(self, doing: str, of: str = "texts") -> None:
        self._doing, self._of = doing, of
        self._began = self._last = time.monotonic()
        # The first report, from which on the pace is measured: an earlier run may have done what is before it.
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._first = self._first or (now, done)
        ended = done >= total
        line = f"{self._doing}: {done} of {total} {self._of}, {self._times(now, done, total)}"
        if sys.stderr.isatty():
            print(f"\r{line:<70}", end="\n" if ended else "", file=sys.stderr, flush=True)
        elif ended or now - self._last >= LOG_EVERY:
            self._last = now
            print(line, file=sys.stderr, flush=True)

    def _times(self, now: float, done: int, total: int) -> str:
        began, first = self._first or (now, done)
        taken = f"{duration(now - self._began)} taken"
        if done >= total or done == first:
            return taken
        return f"{taken}, about {duration((now - began) * (total - done) / (done - first))} left"


def duration(seconds: float) -> str:
    """Seconds for people: `45 s`, `3 min 20 s`, `1 h 5 min`."""
    whole_seconds = round(seconds)
    minutes, rest = divmod(whole_seconds, 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say(text: str) -> None:
    """A remark on stderr; nothing if it is empty."""
    if text:
        print(text, file=sys.stderr, flush=True)


def say_cut(texts: Texts, limit: int) -> None:
    """Says which texts were cut and left out, if any were, and whether a higher `--limit` than this would help."""
    reason = "the model takes no more" if texts.limit < limit else "--limit sets the limit"
    say(texts.said() and f"note: {texts.said()}; {reason}")


def print_report(given: argparse.Namespace, text: str, report: dict[str, Any]) -> None:
    """What a command did, for people or programs."""
    print(json.dumps(report, indent=2) if given.json else text)
