"""The bytes of a file, from wherever they are: a path, bytes, a file object, an address, or the Hugging Face hub.

`read_source` reads a file as a whole. `open_source` leaves a file on a server there, if it gives ranges. What arrives is bounded:
nothing above `max_bytes` is kept, and of a server never more than the length that the prologue of the file declares.
"""
from __future__ import annotations

import os
import stat
from os import PathLike, fspath
from typing import IO, Any, Literal, NamedTuple, Union
from urllib.parse import urlsplit

from . import hub
from .errors import LqaError
from .hub import LAYOUT
from .ranges import RemoteBytes
from .web import is_address, open_address, read_address

Source = Union[str, PathLike[str], bytes, bytearray, memoryview, IO[bytes]]

VouchedBy = Literal["bytes", "fileId", "digest", "server"]
MAX_BYTES = 1 << 30
PIECE = 1 << 20


def is_lqa(place: Any) -> bool:
    """Whether a path, an address or a name means an `.lqa` file, for programs that take others too: it ends with `.lqa`, is a directory
    of this layout, or begins with `hf://`. Reads nothing."""
    if not isinstance(place, (str, PathLike)) or not isinstance(path := fspath(place), str):
        return False
    name = urlsplit(path).path if is_address(path) else path
    return hub.is_hub(path) or name.lower().endswith(".lqa") or os.path.isfile(os.path.join(path, LAYOUT))


class Opened(NamedTuple):
    """The bytes of a source, and who vouches that they are the file that was meant: see `LqaFile.vouched_by`."""

    data: bytes | RemoteBytes
    vouched_by: VouchedBy


def open_source(source: Source, max_bytes: int = MAX_BYTES, timeout: float | None = None) -> Opened:
    """As `read_source`; of a server that gives ranges, only the beginning."""
    path = fspath(source) if isinstance(source, (str, PathLike)) else None
    if isinstance(path, str) and is_address(path):
        return Opened(open_address(path, max_bytes, timeout), "server")
    if isinstance(path, str) and hub.is_hub(path):
        found = hub.locate(path, max_bytes, timeout)
        if found.path is not None:
            return _of_the_hub(found, _read_path(found.path, max_bytes))
        data = open_address(found.address, max_bytes, timeout, None if found.token is None else f"Bearer {found.token}")
        return Opened(data, "server") if isinstance(data, RemoteBytes) else _of_the_hub(found, data)
    return read_source(source, max_bytes, timeout)


def _of_the_hub(found: hub.OnHub, data: bytes) -> Opened:
    found.compare(data)
    return Opened(data, "digest" if found.digest else "bytes")


def read_source(source: Source, max_bytes: int = MAX_BYTES, timeout: float | None = None) -> Opened:
    """All bytes of `source`, which the caller cannot change any more.

    Args:
        source: a path, also of a directory with `adapter_model.lqa`; bytes; a file object opened for bytes, read from its position; `http://` or `https://`;
            `hf://owner/name[@revision][/path]`.
        max_bytes: most bytes that are read. Default 1 GiB.
        timeout: seconds that reading from an address may take altogether. Default: no limit, as long as bytes arrive.

    Raises:
        LqaError: BUDGET above `max_bytes`; NOT_FOUND, IO; HTTP_RESPONSE, NETWORK of a server.
        TypeError: of another type of source.
    """
    if isinstance(source, bytes):
        return Opened(_bounded(source, len(source), max_bytes, "the bytes"), "bytes")
    if isinstance(source, (bytearray, memoryview)):
        view = memoryview(source)
        _bounded(b"", view.nbytes, max_bytes, "the bytes")
        return Opened(view.tobytes(), "bytes")
    if isinstance(source, (str, PathLike)):
        path = fspath(source)
        if isinstance(path, str) and is_address(path):
            return Opened(read_address(path, max_bytes, timeout), "server")
        if isinstance(path, str) and hub.is_hub(path):
            found = hub.locate(path, max_bytes, timeout, whole=True)
            return _of_the_hub(found, _read_path(found.path, max_bytes))
        return Opened(_read_path(path, max_bytes), "bytes")
    if callable(getattr(source, "read", None)):
        return Opened(_read_pieces(source, max_bytes, f'"{getattr(source, "name", "a file object")}"'), "bytes")
    raise TypeError(f"a source is a path, an address, bytes or a file object, not {type(source).__name__}")


def _bounded(data: bytes, size: int, max_bytes: int, where: str) -> bytes:
    if size > max_bytes:
        raise LqaError("BUDGET", where=where, expected=f"at most {max_bytes} bytes (max_bytes)", found=f"{size} bytes")
    return data


def _read_path(path: Any, max_bytes: int) -> bytes:
    where = f'"{path}"'
    if os.path.isdir(path):
        inside = os.path.join(path, LAYOUT)
        if not os.path.isfile(inside):
            raise LqaError("NOT_FOUND", where=where, expected=LAYOUT,
                           advice="Give the path of an .lqa file. To make one of an adapter, run lqa encode.")
        path = inside
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
                return _read_pieces(stream, max_bytes, where)  # a pipe; or a file that does not say its size
            _bounded(b"", status.st_size, max_bytes, where)
            return stream.read(status.st_size + 1)  # of a file that grew meanwhile one byte too many, which is an error later
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LqaError("NOT_FOUND", where=where) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LqaError("IO", where=where, found=reason) from error


def _read_pieces(stream: Any, max_bytes: int, where: str) -> bytes:
    data = bytearray()
    while True:
        try:
            piece = stream.read(min(PIECE, max_bytes + 1 - len(data)))
        except OSError as error:
            raise LqaError("IO", where=where, found=error.strerror or str(error)) from error
        if not isinstance(piece, (bytes, bytearray)):
            raise TypeError(f"{where} does not give bytes: open it with mode 'rb'")
        if not piece:
            return bytes(data)
        data += piece
        _bounded(b"", len(data), max_bytes, where)
