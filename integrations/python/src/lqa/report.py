"""Whether a file is good, and what is in it."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import NDArray

from . import node
from .arrays import DType, NumpyDType
from .core import LEVELS, Core
from .errors import LqaError
from .file import BUDGET_BYTES, LqaFile, Module, Tensor
from .file import open_whole as open_file
from .source import MAX_BYTES, Source, VouchedBy, read_source

if TYPE_CHECKING:
    import torch

Level = Literal["structure", "integrity", "values", "canonical"]


@dataclass(frozen=True)
class Warning:
    """What breaks no rule but is suspicious. The fields are those of `LqaError`, without a clause."""

    code: str
    kind: str
    summary: str
    advice: str
    where: str | None
    offset: int | None
    expected: Any
    found: Any


@dataclass(frozen=True)
class Validation:
    """What validation found.

    Attributes:
        valid: whether the file keeps all rules of the level.
        level: how much was checked.
        error: the first fault; None if the file is valid.
        findings: the faults in the order of the checks: none or the first, or with `all` all of them.
        omitted: findings beyond the 1000 that are kept.
        warnings: what is suspicious; only with `all`.
        byte_length: of the file.
        modules, tensors: how many the index has; None if it could not be read.
        file_id, content_id: of a valid file, from level `integrity` on.
        vouched_by: who says that this is the file you meant, as of `LqaFile`.
    """

    valid: bool
    level: Level
    error: LqaError | None
    findings: tuple[LqaError, ...]
    omitted: int
    warnings: tuple[Warning, ...]
    byte_length: int
    modules: int | None
    tensors: int | None
    file_id: str | None
    content_id: str | None
    vouched_by: VouchedBy = "bytes"


def validate(source: Source, *, level: Level = "values", all: bool = False, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES,
             timeout: float | None = None) -> Validation:
    """Checks a file; what is wrong with it is returned, not raised.

    Args:
        source, max_bytes, budget_bytes, timeout: as of `open`.
        level: `structure`: prologue, index, lengths; `integrity`: also every byte's checksum and digest; `values`: also every scale and
            weight; `canonical`: also whether the bytes are the one form of this content.
        all: also the faults behind the first one, and warnings. The validator of the TypeScript library finds them: this needs
            the encoder and Node (extra `encode`).

    Raises:
        LqaError: NOT_FOUND, IO, NETWORK, HTTP_RESPONSE, ACCESS_DENIED, BUDGET of `max_bytes`: the source could not be read. With `all`
            MISSING_PACKAGE without Node.
        ValueError: of an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level!r}")
    data, vouched_by = read_source(source, max_bytes, timeout)
    assert isinstance(data, bytes)
    found = _all_findings(data, level, budget_bytes, timeout) if all else _first_finding(data, level, budget_bytes)
    return replace(found, vouched_by=vouched_by)


def _first_finding(data: bytes, level: Level, budget_bytes: int) -> Validation:
    modules = tensors = None
    try:
        core = Core(data, budget_bytes)
        modules, tensors = core.file.modules.count, core.file.tensors.count
        file_id, content_id = core.verify(level)
    except LqaError as error:
        return Validation(False, level, error, (error,), 0, (), len(data), modules, tensors, None, None)
    return Validation(True, level, None, (), 0, (), len(data), modules, tensors, file_id or None, content_id or None)


def _all_findings(data: bytes, level: Level, budget_bytes: int, timeout: float | None) -> Validation:
    (report,) = node.run("validate", "-", "--all", f"--level={level}", f"--budget={budget_bytes}", data=data, timeout=timeout)["files"]
    findings = tuple(node.error_of(problem) for problem in report["findings"])
    warnings = tuple(Warning(w["code"], w["kind"], w["message"], w["advice"], w["where"], w["offset"], w["expected"], w["actual"])
                     for w in report["warnings"])
    return Validation(report["valid"], level, findings[0] if findings else None, findings, report["omitted"], warnings, len(data),
                      report["modules"], report["tensors"], report["fileId"], report["contentId"])


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
        vouched_by: who says that this is the file you meant, as of `LqaFile`.
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
    vouched_by: VouchedBy = "bytes"


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
                      file.meta, file.origin, file.vouched_by)


@overload
def decode(source: Source | LqaFile, dtype: NumpyDType = ..., *, rank: int | None = ..., max_bytes: int = ..., budget_bytes: int = ...,
           timeout: float | None = ...) -> dict[str, NDArray[Any]]: ...
@overload
def decode(source: Source | LqaFile, dtype: torch.dtype, *, rank: int | None = ..., max_bytes: int = ..., budget_bytes: int = ...,
           timeout: float | None = ...) -> dict[str, torch.Tensor]: ...


def decode(source: Source | LqaFile, dtype: DType = "f32", *, rank: int | None = None, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES,
           timeout: float | None = None) -> dict[str, Any]:
    """The whole adapter as PEFT's state dict, as `safetensors.torch.load_file` gives it of the adapter's directory.

    Args:
        source: as of `open`, or an open file, to which the other arguments do not apply.
        dtype: of the factors: `f32` or `f16` for arrays of numpy; `torch.float16`, `torch.float32`, `torch.bfloat16` for tensors.
        rank: most components of each module; `LqaFile.rank_error` says what the others had.

    Raises:
        LqaError: as `open` and `LqaFile.state_dict`.
    """
    file = source if isinstance(source, LqaFile) else open_file(source, max_bytes=max_bytes, budget_bytes=budget_bytes, timeout=timeout)
    return file.state_dict(dtype, rank=rank)
