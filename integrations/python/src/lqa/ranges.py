"""The bytes of a file that is elsewhere, in memory of the file's length that is filled when something is needed.

The memory is the system's, without pages until something is written to it. What arrives is proven before it is used: the digests of the
file against its root digest, and each span of chunks against its digest (clause 11). A server that mixes two files is found out.
"""
from __future__ import annotations

import hashlib
import mmap
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise

from .errors import LqaError

MAGIC = b"\x89LQA\r\n\x1a\n"
PROLOGUE_BYTES, TRAILER_BYTES, DIGEST_BYTES = 64, 64, 32
SPAN_BYTES = 1 << 15


class RemoteBytes:
    """Filled by `fetch(begin, end)`, which gives exactly these bytes or raises."""

    def __init__(self, fetch: Callable[[int, int], bytes], head: bytes, size: int) -> None:
        self.data = mmap.mmap(-1, size)
        self.data[: len(head)] = head
        self._fetch, self._known, self._lock = fetch, len(head), threading.Lock()
        self._ends: list[int] = []  # where the first span begins, and where each span ends
        self._missing: set[int] = set()
        self._digests = b""
        self._digests_at = self._index_end = 0

    def load_index(self) -> None:
        """Everything before the first chunk."""
        alignment = 1 << min(self.data[48], 12)
        end = -(-(PROLOGUE_BYTES + int.from_bytes(self.data[32:36], "little")) // alignment) * alignment
        self._index_end = min(end, len(self.data))
        if self._index_end > self._known:
            self.data[self._known:self._index_end] = self._fetch(self._known, self._index_end)
            self._known = self._index_end

    def prove(self, lengths: Iterable[int], alignment: int, digests_at: int) -> None:
        """Says where the chunks are, once the index was checked: spans are made of them.

        Args:
            lengths: stored bytes of each chunk, in the order of the file.
        """
        end, self._ends, self._digests_at = self._index_end, [self._index_end], digests_at
        for length in lengths:
            end = -(-(end + length) // alignment) * alignment
            if end - self._ends[-1] >= SPAN_BYTES:
                self._ends.append(end)
        if end > self._ends[-1]:
            self._ends.append(end)
        self._missing = set(range(len(self._ends) - 1))

    def need(self, begin: int, end: int) -> None:
        """Fetches and proves the spans of a part of the file.

        Raises:
            LqaError: ROOT_DIGEST, SPAN_DIGEST; what `fetch` raises.
        """
        with self._lock:
            if not self._ends or (self._digests and not self._missing):
                return
            spans = list(pairwise(self._ends))
            wanted = [i for i in sorted(self._missing) if spans[i][0] < end and spans[i][1] > begin]
            if not self._digests:
                self._load_digests()
            while wanted:
                run = 1
                while run < len(wanted) and wanted[run] == wanted[0] + run:
                    run += 1
                first, last = spans[wanted[0]][0], spans[wanted[run - 1]][1]
                # The head may reach into it.
                data = self.data[first:self._known] + self._fetch(self._known, last) if first < self._known < last else (
                    self.data[first:last] if last <= self._known else self._fetch(first, last))
                for i in wanted[:run]:
                    at = DIGEST_BYTES * (i + 1)
                    span = memoryview(data)[spans[i][0] - first:spans[i][1] - first]
                    if hashlib.sha256(span).digest() != self._digests[at:at + DIGEST_BYTES]:
                        raise LqaError("SPAN_DIGEST", where="digests", offset=self._digests_at + at)
                self.data[first:last] = data
                self._missing.difference_update(wanted[:run])
                del wanted[:run]

    def root_digest(self) -> str:
        """The file id, hexadecimal (clause 11): what every part that is read has been proven against.

        Raises:
            LqaError: ROOT_DIGEST; what `fetch` raises.
        """
        with self._lock:
            if not self._digests:
                self._load_digests()
            return self.data[-TRAILER_BYTES:][:DIGEST_BYTES].hex()

    def _load_digests(self) -> None:
        at, size = self._digests_at, len(self.data)
        data = self._fetch(at, size)
        digests, trailer = data[:-TRAILER_BYTES], data[-TRAILER_BYTES:]
        index = self.data[: PROLOGUE_BYTES + int.from_bytes(self.data[32:36], "little")]
        if hashlib.sha256(index + digests).digest() != trailer[:DIGEST_BYTES]:
            raise LqaError("ROOT_DIGEST", where="trailer", offset=size - TRAILER_BYTES)
        self.data[at:] = data
        self._digests = digests
