"""Training that ends in `.lqa` files: a callback of `transformers.Trainer`, and of the trainers of TRL, which take the same callbacks.

At each save of the trainer the callback writes `step-NNNNNN.lqa`. The first file is whole; each later one holds what differs from an
earlier one (`lqa.chain` says which), or is whole again where that is smaller. What differs is the adapter as it is minus what a
reader of the chain has, so errors of the files do not add up. With a goal in bits each file is whole, and the gradients of the steps
before it say which errors matter (`lqa.gradients`).

A step is encoded while training goes on: the callback copies the adapter and returns. If a save comes before the encoder is free, the
newest copy waits, and the one that waited is not encoded.
"""
from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback

from .chain import Chain, encode_next
from .encoder import peft_adapter
from .errors import LqaError
from .file import LqaFile
from .file import open_whole as open_file
from .gradients import Gradients, Taken
from .node import Running
from .updates import parents_of

logger = logging.getLogger("lqa")
NAME = re.compile(r"step-(\d{6,})\.lqa")
PARTIAL = ".partial"
WEIGHTS = "adapter_model.safetensors"
# Added to the niceness of the process that encodes, where the system has one: training goes first.
NICENESS = 10


class LqaCallback(TrainerCallback):  # type: ignore[misc]
    """Writes an `.lqa` file at each save of a trainer.

    Args:
        folder: where the files go. Default: `lqa` in the trainer's output directory.
        max_error: most of the energy of ΔW that a file may lose; what changed since its parent and is not stored counts 8 times.
        bits: in place of `max_error`, bits per weight of each file. Each one is then whole, and calibrated by the gradients of the last steps
            before it (`lqa.gradients`): far smaller errors at as many bits, and nothing to run.
        start: the seed of torch's generator that was set right before PEFT made the adapter. Files without a parent then store it in
            place of the random numbers that A began with, where that pays. Nothing is searched.
        instead: remove `adapter_model.safetensors` of each checkpoint once a later one is there and the step has its file. The newest
            one stays: training resumes from it.
        wait: let training wait at a save rather than leave one out.
        adapter_name: which adapter of the model.
        options: others of `lqa.encode`, of every file.
        on_file: called with the path of each file, in the thread that encodes.

    Attributes:
        newest: the path of the newest file; None before the first.
        skipped: the steps that were not encoded, because a newer one came before the encoder was free.
        errors: what went wrong, by step. Training goes on; the next file follows the last good one.
    """

    def __init__(self, folder: str | PathLike[str] | None = None, *, max_error: float = 0.01, bits: float | None = None, start: int | None = None,
                 instead: bool = False, wait: bool = False, adapter_name: str = "default", options: dict[str, Any] | None = None,
                 on_file: Callable[[Path], None] | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        goal = {"max_error": max_error} if bits is None else {"bits": bits}
        self._options = {**goal, "start": "none" if start is None else start, "workers": 1, **(options or {})}
        self._instead, self._wait, self._adapter_name, self._on_file = instead, wait, adapter_name, on_file
        self._whole = bits is not None
        self._gradients: Gradients | None = None
        self._writer: _Writer | None = None
        self.newest: Path | None = None
        self.skipped: list[int] = []
        self.errors: dict[int, Exception] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Goes on where the files of the folder end, if the trainer resumes.

        Raises:
            LqaError: OUTPUT_EXISTS if the folder has files of another run; MISSING_PACKAGE without the encoder; IO.
            TypeError, ValueError: if the model is no PeftModel with such an adapter.
        """
        if not state.is_world_process_zero:
            return
        peft_adapter(model, self._adapter_name)
        folder = self._folder or Path(args.output_dir) / "lqa"
        file, path = _resume(folder, state.global_step)
        self.newest = path
        chain = None if self._whole else Chain() if file is None else _chain(folder, file)
        self._gradients = Gradients(model, self._adapter_name) if self._whole else None
        self._writer = _Writer(self, folder, Path(args.output_dir) if self._instead else None, chain)
        if state.global_step > 0 and path != folder / _name(state.global_step):
            self._submit(state.global_step, model)  # the trainer saved this step and ended before it was encoded

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Copies the gradients, for the calibration of whole files."""
        if self._gradients is not None:
            self._gradients.add()

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Copies the adapter, to be encoded."""
        if self._writer is not None:
            self._submit(state.global_step, model)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Waits for the last file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _submit(self, step: int, model: Any) -> None:
        tensors, config = peft_adapter(model, self._adapter_name)
        copied = {key: tensor.detach().to("cpu", copy=True) for key, tensor in tensors.items()}
        assert self._writer is not None
        self._writer.submit(_Saved(step, copied, config.to_dict(), self._gradients and self._gradients.taken()))


class _Saved(NamedTuple):
    """The adapter at a step."""

    step: int
    tensors: dict[str, Any]
    config: dict[str, Any]
    gradients: Taken | None


class _Writer:
    """The thread that encodes: one step at a time, and the newest that waits."""

    def __init__(self, callback: LqaCallback, folder: Path, checkpoints: Path | None, chain: Chain | None) -> None:
        self._callback, self._folder, self._checkpoints, self._chain = callback, folder, checkpoints, chain
        self._waiting: _Saved | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="lqa", daemon=True)
        self._thread.start()

    def submit(self, saved: _Saved) -> None:
        with self._changed:
            if self._callback._wait:
                self._changed.wait_for(lambda: self._waiting is None)
            if self._waiting is not None:
                self._callback.skipped.append(self._waiting.step)
                logger.info("step %d is not encoded: step %d came before the encoder was free", self._waiting.step, saved.step)
            self._waiting = saved
            self._changed.notify()

    def close(self) -> None:
        """Waits until nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        running: Running | None = None
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                    saved, self._waiting = self._waiting, None
                    self._changed.notify_all()
                if saved is None:
                    return
                try:
                    if running is None or running.ended:
                        running = Running(niceness=NICENESS).__enter__()
                    self._encode(saved, running)
                except Exception as error:  # whatever it is, training goes on
                    self._callback.errors[saved.step] = error
                    logger.error("step %d is not written: %s", saved.step, error)
        finally:
            if running is not None:
                running.__exit__()

    def _encode(self, saved: _Saved, running: Running) -> None:
        options = {**self._callback._options, "step": saved.step}
        if self._chain is None:
            found = encode_next(saved.tensors, saved.config, {"calibration": saved.gradients, **options}, running)
        else:
            found = self._chain.encode(saved.tensors, saved.config, options, running)
        path = self._folder / _name(saved.step)
        _write(path, found.data)
        if self._chain is not None:
            self._chain.add(found)
        self._callback.newest = path
        parent = found.file.parent_id
        logger.info("%s: %d bytes, %s, error %.2g", path, len(found.data), "whole" if parent is None else f"a child of {parent[:12]}",
                    found.file.meta["relative_error"])
        if self._chain is None and "calibration=" not in found.file.meta["encoder"]:
            logger.warning("%s has no calibration: there were no finite gradients before the optimizer's step", path)
        if self._checkpoints is not None:
            _thin(self._checkpoints, self._folder, saved.step)
        if self._callback._on_file is not None:
            self._callback._on_file(path)


def _name(step: int) -> str:
    return f"step-{step:06d}.lqa"


def _files(folder: Path) -> dict[int, Path]:
    """The files of a run, by step, in order."""
    found = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def open_run(folder: str | PathLike[str], step: int | None = None) -> LqaFile:
    """Opens a file of a run, with those that it follows.

    Args:
        folder: where `LqaCallback` wrote the files.
        step: which one; default the last.

    Raises:
        LqaError: NOT_FOUND; as `lqa.open`.
    """
    files = _files(Path(folder)) if Path(folder).is_dir() else {}
    steps = [each for each in files if step is None or each <= step]
    if not steps or (step is not None and steps[-1] != step):
        raise LqaError("NOT_FOUND", where=f'"{folder}"', expected="files of a run" if step is None else _name(step))
    file = open_file(files[steps.pop()])
    chain = [file]
    # The parent of a file is an earlier one.
    while chain[-1].parent_id is not None and steps:
        try:
            before = open_file(files[steps.pop()])
            if before.content_id == chain[-1].parent_id:
                chain.append(before)
        except LqaError:
            continue
    for child, parent in reversed(list(zip(chain, chain[1:]))):
        child._core.find_parents([parent._core])
    return file


def _chain(folder: Path, file: LqaFile) -> Chain:
    """Of a file of a run."""
    children = []
    for path in _files(folder).values():
        with suppress(LqaError):  # one that is broken
            children.append(open_file(path).parent_id)
    files = [*(LqaFile(core) for core in reversed(parents_of(file))), file]
    return Chain(files, [children.count(each.content_id) for each in files])


def _resume(folder: Path, step: int) -> tuple[LqaFile | None, Path | None]:
    """The last good file up to a step. Later files, and what was left half-written, are removed: the run goes another way from here.

    Raises:
        LqaError: OUTPUT_EXISTS at step 0; IO.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = _files(folder)
        if step == 0 and files:
            raise LqaError("OUTPUT_EXISTS", where=f'"{folder}"', expected="no files of another run", found=f"{len(files)} files",
                           advice="Resume that run (resume_from_checkpoint), or give LqaCallback another folder.")
        for path in folder.glob(f"step-*{PARTIAL}"):
            path.unlink()
        for each in reversed(files):
            if each <= step:
                try:
                    file = open_run(folder, each)
                    if [file._core, *parents_of(file)][-1].parent_id is None:
                        file.verify()
                        return file, files[each]
                except LqaError as error:
                    if error.code[4] == "X":
                        raise
                logger.error("%s is not valid, or its parent is gone: the run goes on from the file before it", files[each])
            files[each].unlink()
    except OSError as error:
        raise LqaError("IO", where=f'"{folder}"', found=error.strerror or str(error)) from error
    return None, None


def _write(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all, also after a power failure.

    Raises:
        LqaError: IO.
    """
    partial = path.with_suffix(PARTIAL)
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise LqaError("IO", where=f'"{path}"', found=error.strerror or str(error)) from error


def _thin(checkpoints: Path, folder: Path, newest: int) -> None:
    """Removes the weights of checkpoints before the newest whose step has a file."""
    for checkpoint in checkpoints.glob("checkpoint-*"):
        step = checkpoint.name.removeprefix("checkpoint-")
        if step.isdigit() and int(step) < newest and (folder / _name(int(step))).is_file():
            (checkpoint / WEIGHTS).unlink(missing_ok=True)
