"""Whether a file is good, and what is in it."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .core import LEVELS, Core
from .errors import LqaError
from .file import BUDGET_BYTES, LqaFile, Module, Tensor
from .file import open as open_file
from .source import MAX_BYTES, Source, read_source

Level = Literal["structure", "integrity", "values", "canonical"]


@dataclass(frozen=True)
class Validation:
    """What validation found.

    Attributes:
        valid: whether the file keeps all rules of the level.
        level: how much was checked.
        error: the first fault; None if the file is valid.
        findings: the faults in the order of the checks: none or the first. `lqa validate --all` finds those behind it, and warnings.
        byte_length: of the file.
        file_id, content_id: of a valid file, from level `integrity` on.
    """

    valid: bool
    level: Level
    error: LqaError | None
    byte_length: int
    file_id: str | None
    content_id: str | None

    @property
    def findings(self) -> tuple[LqaError, ...]:
        return () if self.error is None else (self.error,)


def validate(source: Source, *, level: Level = "values", max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES,
             timeout: float | None = None) -> Validation:
    """Checks a file; what is wrong with it is returned, not raised.

    Args:
        source, max_bytes, budget_bytes, timeout: as of `open`.
        level: `structure`: prologue, index, lengths; `integrity`: also every byte's checksum and digest; `values`: also every scale and
            weight; `canonical`: also whether the bytes are the one form of this content.

    Raises:
        LqaError: NOT_FOUND, IO, NETWORK, HTTP_RESPONSE, ACCESS_DENIED, BUDGET of `max_bytes`: the source could not be read.
        ValueError: of an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level!r}")
    data = read_source(source, max_bytes, timeout)
    try:
        file_id, content_id = Core(data, budget_bytes).verify(level)
    except LqaError as error:
        return Validation(False, level, error, len(data), None, None)
    return Validation(True, level, None, len(data), file_id or None, content_id or None)


@dataclass(frozen=True)
class Inspection:
    """What is in a file.

    Attributes:
        byte_length, alignment: of the file, in bytes.
        file_id, content_id: verified.
        parameters: weights of all modules.
        bits_per_parameter: of the whole file.
        encodings: how many factors of bands have each encoding.
        modules, tensors: the records.
        meta, origin: what the file says of itself and where it came from.
    """

    byte_length: int
    alignment: int
    file_id: str
    content_id: str
    parameters: int
    bits_per_parameter: float
    encodings: Mapping[str, int]
    modules: tuple[Module, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)
    origin: Mapping[str, Any] = field(repr=False)


def inspect(source: Source | LqaFile, *, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES,
            timeout: float | None = None) -> Inspection:
    """Verifies a file and says what is in it, without decoding weights.

    Args:
        source: as of `open`, or an open file, to which the other arguments do not apply.

    Raises:
        LqaError: as `open` and `LqaFile.verify`.
    """
    file = source if isinstance(source, LqaFile) else open_file(source, max_bytes=max_bytes, budget_bytes=budget_bytes, timeout=timeout)
    file_id, content_id = file.verify()
    parameters = sum(m.parameters for m in file.modules)
    encodings = Counter(label for m in file.modules for band in m.bands for label in (band.b, band.a))
    return Inspection(file.byte_length, file.alignment, file_id, content_id, parameters,
                      8 * file.byte_length / parameters if parameters else 0.0, dict(encodings.most_common()), file.modules, file.tensors,
                      file.meta, file.origin)


def decode(source: Source | LqaFile, dtype: Any = "f32", *, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES,
           timeout: float | None = None) -> dict[str, Any]:
    """The whole adapter as PEFT's state dict, as `safetensors.torch.load_file` gives it of the adapter's directory.

    Args:
        source: as of `open`, or an open file, to which the other arguments do not apply.
        dtype: of the factors: `f32` or `f16` for arrays of numpy; `torch.float16`, `torch.float32`, `torch.bfloat16` for tensors.

    Raises:
        LqaError: as `open` and `LqaFile.state_dict`.
    """
    file = source if isinstance(source, LqaFile) else open_file(source, max_bytes=max_bytes, budget_bytes=budget_bytes, timeout=timeout)
    return file.state_dict(dtype)
