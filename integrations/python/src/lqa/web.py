"""Files behind `http://` and `https://`: whole, or by ranges.

A server is trusted no more than a file: time, rate, redirects and what it says of a range are checked. A token goes to the origin of
the address alone.
"""
from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import LqaError
from .ranges import MAGIC, PROLOGUE_BYTES, RemoteBytes

PIECE = 1 << 20
# What the first request asks for: the index of most adapters.
FIRST_BYTES = 1 << 16
REDIRECTS = 5
SILENCE_SECONDS = 30.0
LEAST_RATE = 1024  # bytes per second, over each time of silence


def is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects; never from https to http, and to nothing else than http."""

    max_redirections = REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        was, will = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if will not in ("http", "https") or (was == "https" and will == "http"):
            raise LqaError("HTTP_RESPONSE", where=f'"{req.full_url}"', expected="a redirect to https", found=f'"{newurl[:200]}"')
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if request is not None and token is not None and _origin(request.full_url) == _origin(req.full_url):
            request.add_unredirected_header("Authorization", token)
        return request


def _origin(address: str) -> tuple[str, str]:
    return urllib.parse.urlsplit(address.lower())[:2]


class Server:
    """One file on a server, within one time limit."""

    def __init__(self, address: str, timeout: float | None, authorization: str | None = None) -> None:
        self.where, self._address, self._timeout, self._authorization = f'"{_shown(address)}"', address, timeout, authorization
        self._begin = time.monotonic()

    def left(self) -> float | None:
        """Seconds that are left."""
        return None if self._timeout is None else self._timeout - (time.monotonic() - self._begin)

    @contextmanager
    def ask(self, headers: dict[str, str] | None = None) -> Iterator[Any]:
        """The answer to a request: status 200, or 206 if `headers` have a range.

        Raises:
            LqaError: NOT_FOUND, ACCESS_DENIED, HTTP_RESPONSE, NETWORK.
        """
        opener = urllib.request.OpenerDirector()
        # No file:, ftp: or data:, whatever a redirect says.
        for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                        urllib.request.HTTPDefaultErrorHandler, _Redirects, urllib.request.HTTPErrorProcessor):
            opener.add_handler(handler())
        try:
            with self._send(opener, headers) as response:
                allowed = (200, 206) if headers else (200,)
                if response.status not in allowed:
                    raise LqaError("HTTP_RESPONSE", where=self.where, expected=f"status {allowed[-1]}", found=f"status {response.status}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise LqaError("HTTP_RESPONSE", where=self.where, expected="no content-encoding",
                                   found=response.headers["content-encoding"][:100])
                yield response
        except urllib.error.HTTPError as error:
            kind = "ACCESS_DENIED" if error.code in (401, 403) else "NOT_FOUND" if error.code in (404, 410) else "HTTP_RESPONSE"
            raise LqaError(kind, where=self.where, expected="status 200", found=f"status {error.code}",
                           advice="Check the address, and that it can be read without credentials.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise LqaError("NETWORK", where=self.where, found=str(reason)[:200]) from error

    def _send(self, opener: urllib.request.OpenerDirector, headers: dict[str, str] | None) -> Any:
        request = urllib.request.Request(self._address, headers={"accept-encoding": "identity", "user-agent": "lqa-python", **(headers or {})})
        if self._authorization is not None:
            request.add_unredirected_header("Authorization", self._authorization)
        left = self.left()
        if left is not None and left <= 0:
            raise LqaError("NETWORK", where=self.where, expected=f"all bytes within {self._timeout} s", found="no time left")
        return opener.open(request, timeout=SILENCE_SECONDS if left is None else min(left, SILENCE_SECONDS))

    def body(self, response: Any, most: int) -> bytes:
        """The bytes of an answer, up to one more than `most`; of an .lqa file up to one more than the length it declares."""
        data, limit = bytearray(), most
        window, arrived = time.monotonic(), 0
        while len(data) <= limit and (piece := response.read1(min(PIECE, limit + 1 - len(data)))):
            data += piece
            arrived += len(piece)
            if limit == most and response.status == 200 and len(data) >= PROLOGUE_BYTES and data.startswith(MAGIC):
                # A server that sends more gives TRAILING_BYTES, not all that it has.
                limit = int.from_bytes(data[24:32], "little")
                _bounded(limit, most, self.where)
            now, left = time.monotonic(), self.left()
            if left is not None and left < 0:
                raise LqaError("NETWORK", where=self.where, expected=f"all bytes within {self._timeout} s", found=f"{len(data)} bytes")
            if now - window > SILENCE_SECONDS:
                if arrived < LEAST_RATE * SILENCE_SECONDS:
                    raise LqaError("NETWORK", where=self.where, expected=f"{LEAST_RATE} bytes a second",
                                   found=f"{arrived} in {now - window:.0f} s")
                window, arrived = now, 0
        declared = response.headers.get("content-length", "")
        if declared.isdigit() and len(data) < min(int(declared), limit):
            raise LqaError("NETWORK", where=self.where, expected=f"{declared} bytes", found=f"{len(data)}: the server broke off")
        return bytes(data)

    def whole(self, response: Any, max_bytes: int) -> bytes:
        data = self.body(response, max_bytes)
        _bounded(min(len(data), max_bytes + 1), max_bytes, self.where)
        return data

    def part(self, response: Any, begin: int, end: int, size: int | None) -> tuple[bytes, int]:
        """The bytes of an answer to a range, and the length of the file. `size`: what it must be."""
        said = response.headers.get("content-range", "none")
        match = re.fullmatch(r"bytes (\d{1,16})-(\d{1,16})/(\d{1,16})", said)
        first, last, total = (int(number) for number in match.groups()) if match else (-1, -1, -1)
        if size is not None and match and total != size:
            raise LqaError("REMOTE_CHANGED", where=self.where, expected=f"{size} bytes", found=f"{total} bytes")
        if first != begin or last != min(end, total) - 1:
            raise LqaError("HTTP_RESPONSE", where=self.where, expected=f"bytes {begin}-{end - 1}", found=said[:100])
        data = self.body(response, last + 1 - first)
        if len(data) != last + 1 - first:
            raise LqaError("HTTP_RESPONSE", where=self.where, expected=f"{last + 1 - first} bytes", found=f"{len(data)} or more")
        return data, total


def read_address(address: str, max_bytes: int, timeout: float | None) -> bytes:
    """All bytes of a file."""
    server = Server(address, timeout)
    with server.ask() as response:
        return server.whole(response, max_bytes)


def open_address(address: str, max_bytes: int, timeout: float | None, authorization: str | None = None) -> bytes | RemoteBytes:
    """A file by ranges; all bytes of one that is small, or whose server does not give ranges.

    Args:
        timeout: seconds that opening may take; after that, each read.
        authorization: the header of that name, which is sent to the origin of the address alone.

    Raises:
        LqaError: BUDGET above `max_bytes`; as `Server.ask`. Reads also REMOTE_CHANGED.
    """
    server = Server(address, timeout, authorization)
    with server.ask({"range": f"bytes=0-{FIRST_BYTES - 1}"}) as response:
        if response.status == 200:
            return server.whole(response, max_bytes)
        head, size = server.part(response, 0, FIRST_BYTES, None)
        tag = response.headers.get("etag", "")
    _bounded(size, max_bytes, server.where)
    if len(head) == size:
        return head

    def fetch(begin: int, end: int) -> bytes:
        later = Server(address, timeout, authorization)
        headers = {"range": f"bytes={begin}-{end - 1}", **({"if-range": tag} if tag.startswith('"') else {})}
        with later.ask(headers) as answer:
            if answer.status == 200 or (tag and answer.headers.get("etag", tag) != tag):
                raise LqaError("REMOTE_CHANGED", where=later.where, expected=f"the entity tag {tag[:100] or 'of before'}",
                               found=answer.headers.get("etag", "none")[:100])
            return later.part(answer, begin, end, size)[0]

    return RemoteBytes(fetch, head, size)


def _shown(address: str) -> str:
    """Without the query, which may hold a signature."""
    return address.split("?")[0].split("#")[0]


def _bounded(size: int, max_bytes: int, where: str) -> None:
    if size > max_bytes:
        raise LqaError("BUDGET", where=where, expected=f"at most {max_bytes} bytes (max_bytes)", found=f"{size} bytes")
