"""Encodings of an adapter with and without a calibration, of which `lqa calibrate` and `lqa tune` keep what answers most like the adapter.

A calibration can make an encoding worse, above all at few bits after a short training (docs/fidelity.md). The model is at hand, so both are
measured, on texts that were not measured with.
"""
from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from . import peft
from .divergence import ADAPTER, ENCODED, activate, batches, mean_divergence
from .errors import LqaError
from .node import Running
from .texts import Text

# One text in so many is kept apart, and so many of few texts.
HELD_BACK, HELD_OF_FEW = 8, 16
# Fewer texts than this are measured on too: what is kept apart of them would tell nothing.
FEW = 8
COMPONENTS, DIRECTIONS = ".components", (".directions_b", ".directions_a")
PLAIN, ALONE, WHOLE = "without a calibration", "with components alone", "with components and directions"

Figures = Mapping[str, torch.Tensor]


class Encodings:
    """`lqa encode` of an adapter with the options of a command, again and again."""

    def __init__(self, adapter: str, options: Sequence[str]) -> None:
        self._adapter, self._options = adapter, list(options)
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Encodings:
        self._folder = tempfile.TemporaryDirectory()
        try:
            self._lqa = Running().__enter__()
        except BaseException:
            self._folder.cleanup()
            raise
        self.calibration, self.file = Path(self._folder.name, "calibration.safetensors"), Path(self._folder.name, "encoded.lqa")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lqa.__exit__(kind, error, trace)
        self._folder.cleanup()

    def encode(self, figures: Figures = {}, metadata: Mapping[str, str] | None = None) -> Path:
        """Encodes with a calibration file of these tensors and this metadata, or without one if there are neither. `report` then has what
        `lqa encode --json` says.

        Raises:
            LqaError: of the command.
        """
        from safetensors.torch import save

        options = [f"--output={self.file}", "--force", *self._options]
        if figures or metadata:
            self.calibration.write_bytes(save(dict(figures), None if metadata is None else dict(metadata)))
            options.append(f"--calibration={self.calibration}")
        self.report = self._lqa.run("encode", self._adapter, *options)
        return self.file

    def check(self) -> None:
        """Encodes without a calibration, so that wrong options and adapters are refused before a model is loaded.

        Raises:
            LqaError: of the command; USAGE for encodings that follow no calibration.
        """
        self.encode()
        profile = self.report["profile"]
        if profile != "rd" or self.report["parent"]:
            found = "--parent" if profile == "rd" else f"--profile {profile}"
            raise LqaError("USAGE", found=f"{found} does not follow a calibration", expected="profile rd without a parent")
        self._options = _with_start(self._options, self.report.get("start"))


def _with_start(options: Sequence[str], found: Mapping[str, Any] | None) -> list[str]:
    """Options of `lqa encode` with the start that it has found, or without one: to look for it takes seconds, and tuning encodes once a step."""
    if found is not None and found.get("seed") is None:
        return list(options)  # states of a generator, which only a search finds
    words, rest = [], iter(options)
    for word in rest:
        if word == "--start":
            next(rest, None)
        elif not word.startswith("--start="):
            words.append(word)
    return [*words, f"--start={'none' if found is None else found['seed']}"]


def kept_apart(texts: Sequence[Text], seed: int) -> tuple[list[Text], list[Text]]:
    """Texts to measure or train with, and those that are kept apart: one in eight, of few texts up to a quarter. All twice of less than eight."""
    order = list(texts)
    random.Random(seed).shuffle(order)
    if len(order) < FEW:
        return order, order
    split = max(len(order) // HELD_BACK, min(HELD_OF_FEW, len(order) // 4))
    return order[split:], order[:split]


@dataclass(frozen=True)
class Best:
    """What was kept.

    Attributes:
        name: of what was kept.
        figures: empty without a calibration.
        nats: by name, the divergence from the adapter on the texts that were kept apart, in nats per token; empty if nothing was measured.
    """

    name: str
    figures: Figures
    nats: dict[str, float]

    def said(self) -> str:
        """In a line for people."""
        measured = ", ".join(f"{value:.3g} {name}" for name, value in self.nats.items())
        if not measured:
            return f"kept {self.name}: whether it helps cannot be measured with biases or bare parameters, of which PEFT takes one adapter at a time"
        return f"divergence on texts kept apart, nats per token: {measured}; kept {self.name}"

    def report(self) -> dict[str, Any]:
        """Of `--json`."""
        return {"kept": self.name, "nats": self.nats}


def keep_best(model: Any, encodings: Encodings, figures: Figures, apart: Sequence[Text]) -> Best:
    """Encodes without a calibration, with its components alone and with its directions too, and keeps what diverges least.

    Args:
        model: a PeftModel with the adapter active; afterwards it is as before.
        figures: of `lqa.calibrate.calibrate`.
        apart: texts that they were not measured with.
    """
    if only_one(model.peft_config[ADAPTER]):
        return Best(WHOLE, figures, {})
    components = {name: value for name, value in figures.items() if not name.endswith(DIRECTIONS)}
    ways = {PLAIN: {}, ALONE: components, WHOLE: figures}
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    parts = batches(model, apart)
    nats = {}
    try:
        for name, own in ways.items():
            file = encodings.encode(own)
            if ENCODED in model.peft_config:
                peft.swap(model, file, ENCODED)
            else:
                peft.load(model, file, ENCODED)
                activate(model, ENCODED)
            nats[name] = mean_divergence(model, parts)
    finally:
        if ENCODED in model.peft_config:
            model.set_adapter(ADAPTER)
            model.delete_adapter(ENCODED)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted.get(name, False))
    best = min(nats, key=lambda name: nats[name])
    return Best(best, ways[best], nats)


def only_one(config: Any) -> str:
    """What in an adapter's configuration keeps PEFT from taking a second such adapter into the model; empty if nothing does."""
    if getattr(config, "bias", "none") != "none":
        return f'"bias": "{config.bias}"'
    return '"target_parameters"' if getattr(config, "target_parameters", None) else ""
