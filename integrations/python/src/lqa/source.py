"""The bytes of a file, from wherever they are: a path, bytes, a file object, an address, or the Hugging Face hub.

A file is read as a whole, because the checks of the format cover the whole file. What arrives is bounded: nothing above `max_bytes`
is kept, and of a server never more than the length that the prologue of the file declares.
"""
from __future__ import annotations

import http.client
import os
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from os import PathLike, fspath
from typing import IO, Any, Union

from . import hub
from .errors import LqaError

Source = Union[str, PathLike[str], bytes, bytearray, memoryview, IO[bytes]]

MAX_BYTES = 1 << 30
PIECE = 1 << 20
MAGIC = b"\x89LQA\r\n\x1a\n"
PROLOGUE_BYTES = 64
REDIRECTS = 5
SILENCE_SECONDS = 30.0
LEAST_RATE = 1024  # bytes per second, over each time of silence


def is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def read_source(source: Source, max_bytes: int = MAX_BYTES, timeout: float | None = None) -> bytes:
    """All bytes of `source`, which the caller cannot change any more.

    Args:
        source: a path; bytes; a file object opened for bytes, read from its position; `http://` or `https://`;
            `hf://owner/name[@revision][/path]`.
        max_bytes: most bytes that are read. Default 1 GiB.
        timeout: seconds that reading from an address may take altogether. Default: no limit, as long as bytes arrive.

    Raises:
        LqaError: BUDGET above `max_bytes`; NOT_FOUND, IO; HTTP_RESPONSE, NETWORK of a server.
        TypeError: of another type of source.
    """
    if isinstance(source, bytes):
        return _bounded(source, len(source), max_bytes, "the bytes")
    if isinstance(source, (bytearray, memoryview)):
        view = memoryview(source)
        _bounded(b"", view.nbytes, max_bytes, "the bytes")
        return view.tobytes()
    if isinstance(source, (str, PathLike)):
        path = fspath(source)
        if isinstance(path, str) and is_address(path):
            return _read_address(path, max_bytes, timeout)
        if isinstance(path, str) and hub.is_hub(path):
            return _read_path(hub.download(path, max_bytes, timeout), max_bytes)
        return _read_path(path, max_bytes)
    if callable(getattr(source, "read", None)):
        return _read_pieces(source, max_bytes, f'"{getattr(source, "name", "a file object")}"')
    raise TypeError(f"a source is a path, an address, bytes or a file object, not {type(source).__name__}")


def _bounded(data: bytes, size: int, max_bytes: int, where: str) -> bytes:
    if size > max_bytes:
        raise LqaError("BUDGET", where=where, expected=f"at most {max_bytes} bytes (max_bytes)", found=f"{size} bytes")
    return data


def _read_path(path: Any, max_bytes: int) -> bytes:
    where = f'"{path}"'
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


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects; never from https to http, and to nothing else than http."""

    max_redirections = REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        was, will = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if will not in ("http", "https") or (was == "https" and will == "http"):
            raise LqaError("HTTP_RESPONSE", where=f'"{req.full_url}"', expected="a redirect to https", found=f'"{newurl[:200]}"')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read_address(address: str, max_bytes: int, timeout: float | None) -> bytes:
    where = f'"{address}"'
    begin = time.monotonic()
    opener = urllib.request.OpenerDirector()
    # No file:, ftp: or data:, whatever a redirect says.
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                    urllib.request.HTTPDefaultErrorHandler, _Redirects, urllib.request.HTTPErrorProcessor):
        opener.add_handler(handler())
    request = urllib.request.Request(address, headers={"accept-encoding": "identity", "user-agent": "lqa-python"})
    silence = SILENCE_SECONDS if timeout is None else min(timeout, SILENCE_SECONDS)
    try:
        with opener.open(request, timeout=silence) as response:
            if response.status != 200:
                raise LqaError("HTTP_RESPONSE", where=where, expected="status 200", found=f"status {response.status}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise LqaError("HTTP_RESPONSE", where=where, expected="no content-encoding",
                               found=response.headers["content-encoding"][:100])
            return _read_response(response, max_bytes, timeout, begin, where)
    except urllib.error.HTTPError as error:
        kind = "ACCESS_DENIED" if error.code in (401, 403) else "NOT_FOUND" if error.code in (404, 410) else "HTTP_RESPONSE"
        raise LqaError(kind, where=where, expected="status 200", found=f"status {error.code}",
                       advice="Check the address, and that it can be read without credentials.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise LqaError("NETWORK", where=where, found=str(reason)[:200]) from error


def _read_response(response: Any, max_bytes: int, timeout: float | None, begin: float, where: str) -> bytes:
    data = bytearray()
    most = max_bytes
    window, arrived = time.monotonic(), 0
    while True:
        piece = response.read1(PIECE)
        if not piece:
            break
        data += piece
        arrived += len(piece)
        if len(data) >= PROLOGUE_BYTES and most == max_bytes and data.startswith(MAGIC):
            # The length it declares: a server that sends more gives TRAILING_BYTES, not all that it has.
            most = int.from_bytes(data[24:32], "little")
            _bounded(b"", most, max_bytes, where)
        if len(data) > most:
            if most == max_bytes:
                _bounded(b"", len(data), max_bytes, where)
            break
        now = time.monotonic()
        if timeout is not None and now - begin > timeout:
            raise LqaError("NETWORK", where=where, expected=f"all bytes within {timeout} s", found=f"{len(data)} bytes")
        if now - window > SILENCE_SECONDS:
            if arrived < LEAST_RATE * SILENCE_SECONDS:
                raise LqaError("NETWORK", where=where, expected=f"{LEAST_RATE} bytes a second", found=f"{arrived} in {now - window:.0f} s")
            window, arrived = now, 0
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and len(data) < min(int(declared), most):
        raise LqaError("NETWORK", where=where, expected=f"{declared} bytes", found=f"{len(data)}: the server broke off")
    return bytes(data)
