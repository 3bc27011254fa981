"""Encoding: an adapter at a place or in memory becomes a file, or the bytes of one.

What is in memory goes to Node as a directory of PEFT, in memory too where the system has a place for that.
"""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Union

import numpy as np

from .arrays import is_torch
from .errors import LqaError
from .file import LqaFile
from .file import open_whole as open_file
from .hub import is_hub
from .node import Running, run, shared
from .source import Source, is_address
from .updates import GENERATIONS, parents_of

IN_MEMORY = "/dev/shm"
PATHS = ("calibration", "base")
# A place, a PeftModel, or a state dict of PEFT.
Adapter = Union[str, PathLike[str], Mapping[str, Any], Any]


class Measured(Protocol):
    """A calibration in memory, such as `lqa.gradients.Gradients`."""

    def serialized(self) -> bytes:
        """The calibration file; no bytes if there is none."""


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


def encode(source: Adapter, target: str | PathLike[str] | None = None, *,
           from_: Literal["peft", "kohya", "diffusers", "cloneofsimo", "loralib", "mlx", "gguf", "onnx"] | None = None,
           alpha: float | None = None, multiplier: float | None = None,
           expert_layout: Literal["out-in", "in-out"] | None = None, keep_unsupported: bool = False,
           profile: Literal["rd", "rtn", "sign", "raw"] | None = None,
           quality: Literal["low", "balanced", "high", "near-lossless"] | None = None, bits: float | None = None,
           max_bytes: int | str | None = None, max_error: float | str | None = None, floor: float | None = None,
           fit: Literal["unbiased", "least-squares"] | None = None,
           code_bits: int | None = None, group: int | None = None, element: Literal["f32", "f16", "bf16"] | None = None,
           tensors: Literal["zstd", "keep", "f16"] | None = None, calibration: str | PathLike[str] | Measured | None = None,
           layout: Literal["file", "peft"] | None = None, base: str | PathLike[str] | None = None, unweighted: bool = False, start: int | Literal["none", "auto"] | None = None,
           parent: LqaFile | Source | None = None, step: int | None = None, workers: int | None = None, align: int | None = None,
           config: Any = None, adapter_name: str = "default", force: bool = False, timeout: float | None = None) -> Encoded | bytes:
    """Encodes an adapter. A file appears whole or not at all.

    Args:
        source: the adapter: a directory of PEFT, a file of another dialect, the address of one, or `hf://owner/name[@revision][/path]`;
            or one in memory: a PeftModel, or a state dict of PEFT (arrays of numpy or tensors by PEFT's keys).
        target: the .lqa file to write, or with `layout="peft"` the directory. Without it, the bytes of the file are returned, and a process of Node stays for the next call.
        bits, quality, max_bytes, max_error: the goal, one of them; default `quality="balanced"`, about 1.5 bits per weight.
        calibration: a file of `lqa calibrate` or `lqa tune`, or moments of inputs; or `lqa.gradients.Gradients` of the training.
        parent: the file of which the adapter is the next version; the result then stores what differs from it, if that is smaller. If
            it has a parent itself, give it open: `lqa.open(child, parents=[...])`. If it has four, one behind the other, its own
            parent takes its place.
        step: of training. Readers of updates refuse a child that is not newer than what they have.
        config: of a state dict, which does not say how B · A is scaled: the LoraConfig, or its fields.
        adapter_name: of a PeftModel: which of its adapters.
        force: replace an existing file.
        timeout: seconds it may take.

    The others are the options of `lqa encode --help`, with underscores.

    Raises:
        LqaError: what is wrong with the adapter, the parent or an option; OUTPUT_EXISTS; MISSING_PACKAGE without Node or in a package that
            was built without the encoder; ABORTED after `timeout`.
        ValueError: if the model has no adapter of this name.
        TypeError: of something else than an adapter; of a layout without a target.
    """
    if target is None and layout is not None:
        raise TypeError("a layout needs a target")
    own = ("source", "target", "timeout", "parent", "config", "adapter_name")
    options = {name: value for name, value in locals().items() if name not in (*own, "own")}
    found = encode_adapter(source, target, parent, config, adapter_name, timeout, options)
    return found.data if target is None else found.encoded


class Made(NamedTuple):
    """What `encode_adapter` made: the bytes, if they have no place, and the report."""

    data: bytes
    encoded: Encoded


def encode_adapter(source: Adapter, target: str | PathLike[str] | None, parent: LqaFile | Source | None, config: Any, adapter_name: str,
                   timeout: float | None, options: Mapping[str, Any], running: Running | None = None) -> Made:
    """As `encode`. `options` are those of `lqa encode`, with underscores; `running` performs it, if there is no target."""
    with tempfile.TemporaryDirectory(prefix="lqa-", dir=IN_MEMORY if os.path.isdir(IN_MEMORY) else None) as name:
        folder = Path(name)
        if isinstance(source, (str, PathLike)):
            place = place_of(source)
        else:
            place = str(write_adapter(folder / "adapter", source, config, adapter_name))
        calibration = options.get("calibration")
        if calibration is not None and not isinstance(calibration, (str, PathLike)):
            measured = folder / "calibration.safetensors"
            options = {**options, "calibration": measured if measured.write_bytes(calibration.serialized()) else None}
        path = folder / "encoded.lqa" if target is None else Path(os.path.abspath(fspath(target)))
        words = [f"--{name.strip('_').replace('_', '-')}{'' if value is True else f'={os.path.abspath(value) if name in PATHS else value}'}"
                 for name, value in options.items() if value is not None and value is not False]
        words += [f"--parent={each}" for each in _parents(parent, folder)]
        command = "encode", place, f"--output={path}", *words
        report = (running or shared()).run(*command) if target is None and timeout is None else run(*command, timeout=timeout)
        encoded = Encoded(path, report["outputBytes"], report["inputBytes"], report["parameters"], report["averageBits"],
                          report["relativeError"], report["outlook"], report["fileId"], report["contentId"], report)
        return Made(path.read_bytes() if target is None else b"", encoded)


def _parents(parent: LqaFile | Source | None, folder: Path) -> Iterator[str]:
    """The places of a parent and of those behind it. What has none is written into the folder."""
    if isinstance(parent, (str, PathLike)):
        yield place_of(parent)
        return
    if parent is None:
        return
    file = parent if isinstance(parent, LqaFile) else open_file(parent)
    for number, core in enumerate([file._core, *parents_of(file)][-GENERATIONS:]):
        core.load()
        path = folder / f"parent-{number}.lqa"
        path.write_bytes(core.data)
        yield str(path)


def write_adapter(folder: Path, source: Any, config: Any, adapter_name: str) -> Path:
    """Writes an adapter that is in memory as a directory of PEFT, which it returns.

    Raises:
        LqaError: SOURCE_CONFIG.
        TypeError, ValueError: of something else than a PeftModel with such an adapter, or a state dict with its configuration.
    """
    if not isinstance(source, Mapping):
        source, config = peft_adapter(source, adapter_name)
    kinds = {is_torch(array.dtype) for array in source.values() if hasattr(array, "dtype")}
    if len(kinds) != 1 or not all(hasattr(array, "dtype") for array in source.values()):
        raise TypeError("a state dict has arrays of numpy, or tensors of torch")
    if config is None:
        raise TypeError("a state dict needs its configuration: config=")
    folder.mkdir()
    weights = folder / "adapter_model.safetensors"
    if kinds == {True}:
        from safetensors.torch import save_file

        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in source.items()}, weights)
    else:
        from safetensors.numpy import save_file

        save_file({key: np.ascontiguousarray(array) for key, array in source.items()}, weights)
    fields = config if isinstance(config, Mapping) else config.to_dict()
    # Sets have another order in each process.
    plain = {key: sorted(value) if isinstance(value, (set, frozenset)) else value for key, value in fields.items()}
    try:
        (folder / "adapter_config.json").write_text(json.dumps(plain, sort_keys=True), "utf-8")
    except (TypeError, ValueError) as error:
        raise LqaError("SOURCE_CONFIG", where="config", found=str(error)[:200]) from error
    return folder


def peft_adapter(model: Any, adapter_name: str = "default") -> tuple[dict[str, Any], Any]:
    """The state dict and the configuration of an adapter of a PeftModel. The tensors are the model's own.

    Raises:
        TypeError: of something else than a PeftModel.
        ValueError: if it has no adapter of this name.
    """
    if not isinstance(getattr(model, "peft_config", None), Mapping):
        raise TypeError(f"an adapter is a place, a PeftModel or a state dict, not {type(model).__name__}")
    from peft import get_peft_model_state_dict

    if adapter_name not in model.peft_config:
        raise ValueError(f'the model has no adapter "{adapter_name}"')
    return get_peft_model_state_dict(model, adapter_name=adapter_name, save_embedding_layers=False), model.peft_config[adapter_name]


def place_of(source: str | PathLike[str]) -> str:
    """A path, made absolute, or an address as it is."""
    place = fspath(source)
    return place if is_hub(place) or is_address(place) else os.path.abspath(place)
