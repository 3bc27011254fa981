"""Which file of a run is the parent of the next one.

A reader takes four parents, one behind the other. So the next file is a child of the newest one or, if that has four parents, of
one that it follows. No file is whole only because a chain has reached its limit. A child grows with the training between it and its
parent, so each file but the first gets two such children before the one that it follows does.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .encoder import Adapter, encode_adapter
from .file import LqaFile
from .file import open_whole as open_file
from .node import Running
from .updates import GENERATIONS

CHILDREN = 2


class Next(NamedTuple):
    """A file that was encoded, its bytes, and the number of files of the chain that it follows."""

    file: LqaFile
    data: bytes
    follows: int


def encode_next(source: Adapter, config: Any, options: Mapping[str, Any], running: Running | None = None, parents: Sequence[LqaFile] = ()) -> Next:
    """Encodes a file, and opens and verifies it as a reader does.

    Args:
        source, config: as of `lqa.encode`.
        options: others of it; a goal and `step` among them.
        parents: at most one.

    Raises:
        LqaError: as `lqa.encode`.
    """
    data = encode_adapter(source, None, parents[0] if parents else None, config, "default", None, options, running).data
    file = open_file(data, parents=parents)
    file.verify()
    return Next(file, data, 0)


class Chain:
    """The newest file of a run and those that it follows, the first one first: at most five.

    Attributes:
        files: each is the parent of the next; empty before the first.
    """

    def __init__(self, files: list[LqaFile] | None = None, children: list[int] | None = None) -> None:
        """
        Args:
            files: of the run so far.
            children: how many each of them has.
        """
        self.files = files or []
        self._children = children or [0] * len(self.files)

    def encode(self, source: Adapter, config: Any, options: Mapping[str, Any], running: Running | None = None) -> Next:
        """As `encode_next`, with the parent that the chain chooses. `add` takes the file once it is kept."""
        follows = self._follows()
        found = encode_next(source, config, options, running, self.files[follows - 1 : follows])
        return found if found.file.parent_id is None else found._replace(follows=follows)

    def _follows(self) -> int:
        at = len(self.files)
        if at > GENERATIONS:
            at -= 1
            while at > 1 and self._children[at - 1] >= CHILDREN:
                at -= 1
        return at

    def add(self, found: Next) -> None:
        """Makes a file the newest."""
        if found.follows > 0:
            self._children[found.follows - 1] += 1
        self.files = [*self.files[: found.follows], found.file]
        self._children = [*self._children[: found.follows], 0]
