"""Files of one adapter that follow each other: the first is whole, and each later one holds what differs from an earlier one.

A reader has the last file and those that it follows, at most four. `next_file` opens the one that comes next, and refuses every
other, before anything of the reader changes. The next one is a child of the last file; or a child of one that the last follows, and then its
step, which META states, must be higher. What the reader no longer needs is freed with the last file.
"""
from __future__ import annotations

import logging

from .core import Core
from .errors import LqaError
from .file import LqaFile
from .file import open_whole as open_file
from .source import Source

# A child may have as many parents, one behind the other, in every reader of the format.
GENERATIONS = 4


def next_file(now: LqaFile | None, source: Source | LqaFile) -> LqaFile:
    """Opens and verifies the file that follows `now`: a child of it or of a file that it follows, or a file without a parent, for the
    same layers with the same ranks.

    Args:
        now: the file that the reader has; None if it has none.
        source: as of `lqa.open`, or an open file.

    Raises:
        LqaError: whatever is wrong with the file; PARENT_MISSING for a child if there is no file; PARENT_MISMATCH for a child of another
            file, for `now` itself, and for a child that is not newer by its step; BASE_SHAPE, BASE_MODULE_MISSING for other layers, shapes
            or ranks; CORE_LIMIT.
    """
    file = source if isinstance(source, LqaFile) else open_file(source)
    if file.parent_id is not None and now is None:
        raise LqaError("PARENT_MISSING", where="the update", expected=f"the file with content id {file.parent_id}", found="none yet",
                       advice="Load that file first, or give a file without a parent.")
    if now is not None:
        line = {core.verified_ids()[1] for core in (now._core, *parents_of(now))}
        if file.parent_id not in (None, *line):
            raise LqaError("PARENT_MISMATCH", where="the update", summary="The update does not follow the file that is in use.",
                           expected=f"a child of the file with content id {now.content_id}, or of one that it follows", found=f"a child of {file.parent_id}",
                           advice="Give the updates in their order, or a file without a parent.")
        if file.parent_id is not None:
            _compare_steps(now, file)
            file._core.find_parents([now._core])
    file.verify()
    if now is not None:
        if file.content_id == now.content_id:
            raise LqaError("PARENT_MISMATCH", where="the update", summary="The update is the file that is in use already.",
                           expected="the file that follows it", found=f"content id {file.content_id}", advice="Give each update once.")
        _compare(now, file)
    return file


def _compare_steps(now: LqaFile, file: LqaFile) -> None:
    before, after = (each.meta.get("step") for each in (now, file))
    if isinstance(before, int) and isinstance(after, int):
        newer = after > before
    else:  # one without a step follows its parent only
        newer = file.parent_id == now.content_id
    if not newer:
        raise LqaError("PARENT_MISMATCH", where="the update", summary="The update is not newer than the file that is in use.",
                       expected=f"a step after {before}" if isinstance(before, int) else "a child of the file in use", found=f"step {after}",
                       advice="Give the updates in their order, each once, or a file without a parent.")


def _compare(now: LqaFile, file: LqaFile) -> None:
    before = {module.name: module for module in now.modules}
    for module in file.modules:
        was = before.pop(module.name, None)
        if was is None:
            raise LqaError("BASE_MODULE_MISSING", where=f'module "{module.name}"', summary="The update has a layer that the adapter in use lacks.",
                           advice="Load it as another adapter.")
        expected, found = ([m.out, m.in_, *m.kernel, m.experts, m.rank] for m in (was, module))
        if expected != found:
            raise LqaError("BASE_SHAPE", where=f'module "{module.name}"', summary="The update has other shapes than the adapter in use.",
                           expected=f"sizes and rank {expected}", found=str(found), advice="Load it as another adapter.")
    if before:
        raise LqaError("BASE_MODULE_MISSING", where=f'module "{next(iter(before))}"', summary="The update lacks a layer of the adapter in use.",
                       advice="Load it as another adapter.")


def log_update(name: str, file: LqaFile) -> int:
    """Says in vLLM's log what an update changed. Returns the number of modules that it changed."""
    changed = changed_modules(file)
    logging.getLogger("vllm.lqa").info('lqa: adapter "%s": %d of %d modules changed, %d bytes', name, changed, len(file.modules), file.byte_length)
    return changed


def changed_modules(file: LqaFile) -> int:
    """Number of modules that a file stores something for: in a child those that differ from the parent's."""
    stored = (module for module in file.modules if any(band.b != "zero" or band.a != "zero" for band in module.bands))
    return sum(1 for _ in stored) if file.parent_id is not None else len(file.modules)


def parents_of(file: LqaFile) -> list[Core]:
    """The parents that a file was opened with, the nearest first."""
    return [*file._core.parents()]
