"""Files and the pure reader of the repository; tests run from a clone, against the package that is installed."""
import atexit
import functools
import http.server
import importlib.util
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLE = REPOSITORY / "spec" / "example.lqa"
GOLD = REPOSITORY / "conformance" / "gold" / "v1.0"
SOUND = [*sorted(GOLD.glob("**/*.lqa")), EXAMPLE]


def _load_reader():
    path = REPOSITORY / "conformance" / "readers" / "python" / "lqa_reader.py"
    spec = importlib.util.spec_from_file_location("lqa_reader", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


reader = _load_reader()


def absent(*packages: str) -> str:
    """Why tests that need these packages, and the encoder, are skipped; empty if they are not."""
    from lqa import LqaError, node

    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    try:
        node._program()
    except LqaError as error:
        missing.append(str(error))
    if missing:
        print(f"skipped: tests that need {', '.join(packages)}: {', '.join(missing)}")
    return ", ".join(missing)


def changed(source: str, function: str) -> str:
    """The source of a function of another program with the change that docs/peft-layout.md has for it.

    Raises:
        ValueError: if the lines around the change are not there, once.
    """
    page = (REPOSITORY / "docs" / "peft-layout.md").read_text()
    section = page[page.index(f"In `{function}`"):].split("\n\nIn `")[0]
    for hunk in re.findall(r"```diff\n(.*?)```", section, re.DOTALL):
        lines = hunk.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[:1] != skipped) for skipped in "+-")
        if source.count(old) != 1:
            raise ValueError(f"{function} does not have, once:\n{old}")
        source = source.replace(old, new)
    return source


@functools.cache
def _running():
    from lqa import node

    running = node.Running().__enter__()
    atexit.register(running.__exit__)
    return running


def run(*words: object) -> dict:
    """Runs a command of `lqa` in one process for all tests: to start Node takes longer than most commands."""
    return _running().run(*map(str, words))


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers of a stand-in for a server, without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()
