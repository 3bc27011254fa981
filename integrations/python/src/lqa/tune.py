"""`lqa tune`: an encoding that answers more like its adapter, at the same size.

Each component of each layer gets one factor, trained by distillation: the model with the encoded adapter learns to predict the
tokens that it predicts with the adapter itself. Nothing else changes. The factors multiply the scales of B', which the file has anyway,
so it becomes no byte longer. A part of the texts is kept apart; the factors of the epoch that is best on these are taken, and none if
no epoch was better than the encoding as it is.
"""
from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import parametrize

from . import peft
from .calibrate import calibrate, lora_layers
from .errors import LqaError
from .model_command import load_model, output_file, parser, print_report, progress_line
from .node import run
from .source import Source
from .texts import Text, read_texts

ADAPTER, ENCODED = "default", "lqa-encoded"
# Of the adapter's distribution at each place these are kept, and what is left as one: tens of MB instead of gigabytes.
KEPT = 256
# Tokens of a batch: the distributions of all places are in memory at once.
BATCH_TOKENS = 1024
HELD_BACK = 8


@dataclass(frozen=True)
class Tuned:
    """What training found.

    Attributes:
        gains: `<module>.gains`, float32 `[components]`; empty if nothing was better than the encoding as it is.
        before, after: Kullback-Leibler divergence from the adapter on the texts that were kept apart, in nats per token.
    """

    gains: dict[str, torch.Tensor]
    before: float
    after: float


class _Gain(torch.nn.Module):
    def __init__(self, components: int, device: torch.device) -> None:
        super().__init__()
        self.log = torch.nn.Parameter(torch.zeros(components, device=device))

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        return b * self.log.exp().to(b.dtype)


@dataclass(frozen=True)
class _Batch:
    tokens: torch.Tensor  # rows × width, padded on the right
    mask: torch.Tensor
    scored: torch.Tensor  # rows × width: places that predict a token that counts
    wanted: torch.Tensor  # places × kept, the likeliest tokens
    scores: torch.Tensor  # their log-probabilities, and behind them that of all others


def tune(model: Any, encoded: Source, texts: Sequence[Text], *, adapter_name: str = ADAPTER, epochs: int = 2, rate: float = 0.03,
         seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Tuned:
    """Trains a factor for each component of an encoding.

    Args:
        model: a PeftModel with the adapter that was encoded. Afterwards it is as before.
        encoded: the encoding, as of `lqa.open`.
        texts: hundreds of what the adapter is for, sixteen at least. One in eight is kept apart.
        adapter_name: of the adapter.
        epochs: times that the texts are gone through; each is tried on those kept apart.
        rate: learning rate of Adam, which falls to 0 along a cosine.
        seed: of the order of the texts.
        progress: called with the number of texts done and their total.

    Raises:
        LqaError: SOURCE_IMPORTANCE for fewer texts; what is wrong with the encoding, as `lqa.peft.load`.
    """
    if len(texts) < 2 * HELD_BACK:
        raise LqaError("SOURCE_IMPORTANCE", where="texts", expected=f"at least {2 * HELD_BACK}", found=str(len(texts)))
    order = list(texts)
    random.Random(seed).shuffle(order)
    split = len(order) // HELD_BACK
    peft.load(model, encoded, ENCODED)
    layers = lora_layers(model, ENCODED)
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    gains = {name: _Gain(layer.lora_A[ENCODED].weight.shape[0], layer.lora_B[ENCODED].weight.device) for name, layer in layers.items()}
    try:
        model.requires_grad_(False)
        _activate(model, adapter_name)
        held_back, training = (_batches(model, part) for part in (order[:split], order[split:]))
        _activate(model, ENCODED)
        for name, layer in layers.items():
            parametrize.register_parametrization(layer.lora_B[ENCODED], "weight", gains[name])
        return _train(model, gains, training, held_back, epochs, rate, seed, progress)
    finally:
        for layer in layers.values():
            if parametrize.is_parametrized(layer.lora_B[ENCODED]):
                parametrize.remove_parametrizations(layer.lora_B[ENCODED], "weight", leave_parametrized=False)
        model.set_adapter(adapter_name)
        model.delete_adapter(ENCODED)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted.get(name, False))


def _train(model: Any, gains: dict[str, _Gain], training: list[_Batch], held_back: list[_Batch], epochs: int, rate: float, seed: int,
           progress: Callable[[int, int], None] | None) -> Tuned:
    optimizer = torch.optim.Adam([gain.log for gain in gains.values()], lr=rate)
    steps = epochs * len(training)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * min(1, step / steps))) / 2)
    before = after = _mean(model, held_back)
    best: dict[str, torch.Tensor] = {}
    done, total = 0, epochs * sum(len(part.tokens) for part in training)
    for epoch in range(epochs):
        order = training.copy()
        random.Random(f"{seed} {epoch}").shuffle(order)
        for part in order:
            optimizer.zero_grad()
            _divergence(model, part).mean().backward()
            optimizer.step()
            schedule.step()
            done += len(part.tokens)
            if progress:
                progress(done, total)
        found = _mean(model, held_back)
        if found < after:
            after = found
            best = {f"{name}.gains": gain.log.detach().exp().float().cpu().contiguous() for name, gain in gains.items()}
    return Tuned(best, before, after)


def _activate(model: Any, name: str) -> None:
    """Makes an adapter the active one. PEFT then wants gradients of its weights; here nothing but the gains has any."""
    model.set_adapter(name)
    model.requires_grad_(False)


def _batches(model: Any, texts: Sequence[Text]) -> list[_Batch]:
    """Batches of like length, with what the active adapter predicts."""
    found: list[_Batch] = []
    rows: list[Text] = []
    for text in sorted(texts, key=lambda one: len(one.tokens)):
        if rows and (len(rows) + 1) * len(text.tokens) > BATCH_TOKENS:
            found.append(_batch(model, rows))
            rows = []
        rows.append(text)
    return [*found, _batch(model, rows)] if rows else found


@torch.no_grad()
def _batch(model: Any, rows: Sequence[Text]) -> _Batch:
    device = next(model.parameters()).device
    width = max(len(row.tokens) for row in rows) - 1
    tokens = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    mask, scored = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for i, row in enumerate(rows):
        length = len(row.tokens) - 1
        tokens[i, :length] = torch.tensor(row.tokens[:-1])
        mask[i, :length] = 1
        scored[i, row.start - 1:length] = True
    scores = _scores(model, tokens, mask, scored)
    top, wanted = scores.topk(min(KEPT, scores.shape[1]))
    return _Batch(tokens, mask, scored, wanted, _with_rest(top))


def _scores(model: Any, tokens: torch.Tensor, mask: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[scored]
    return torch.log_softmax(logits.float(), -1)


def _with_rest(kept: torch.Tensor) -> torch.Tensor:
    """Log-probabilities, and behind them that of everything else."""
    rest = (1 - kept.exp().sum(-1, keepdim=True)).clamp_min(1e-7)
    return torch.cat([kept, rest.log()], -1)


def _divergence(model: Any, part: _Batch) -> torch.Tensor:
    """Nats of each scored place."""
    got = _with_rest(_scores(model, part.tokens, part.mask, part.scored).gather(1, part.wanted))
    return (part.scores.exp() * (part.scores - got)).sum(-1)


@torch.no_grad()
def _mean(model: Any, parts: list[_Batch]) -> float:
    return float(torch.cat([_divergence(model, part) for part in parts]).double().mean())


def main(words: Sequence[str]) -> None:
    """The command."""
    from safetensors.torch import save, save_file

    options = parser("tune", "Encodes an adapter and trains the scales of the encoding, so that the model answers more like with the adapter "
                     "itself. All other options are those of `lqa encode`.", texts="hundreds of", output="the .lqa file to write")
    options.add_argument("--calibration", help="a file of `lqa calibrate`; without it, the first 64 texts calibrate")
    options.add_argument("--keep", help="where to keep the calibration with the gains, from which `lqa encode` makes the same file")
    options.add_argument("--epochs", type=int, default=2, help="times that the texts are gone through (default 2)")
    options.add_argument("--rate", type=float, default=0.03, help="learning rate (default 0.03)")
    options.add_argument("--force", action="store_true", help="replace existing files")
    given, encoding = options.parse_known_args(words)
    put = output_file(given.output, force=given.force)
    keep = output_file(given.keep, force=given.force) if given.keep else None
    figures = _components(given.calibration) if given.calibration else None
    with tempfile.TemporaryDirectory() as folder:
        calibration, encoded = Path(folder, "calibration.safetensors"), Path(folder, "encoded.lqa")

        def encode() -> dict[str, Any]:
            return run("encode", given.adapter, f"--output={encoded}", f"--calibration={calibration}", "--force", *encoding)

        model, tokenizer = load_model(given.model, given.adapter)
        texts = read_texts(given.texts, tokenizer, given.limit)
        figures = figures or calibrate(model, texts[:64], seed=given.seed, progress=progress_line)
        save_file(figures, calibration)
        report = encode()
        found = tune(model, str(encoded), texts, epochs=given.epochs, rate=given.rate, seed=given.seed, progress=progress_line)
        if found.gains:
            calibration.write_bytes(save(figures | found.gains, {"content_id": report["contentId"]}))
            report = encode()
        put(encoded.read_bytes())
        if keep:
            keep(calibration.read_bytes())
    size = f"{given.output}: {report['outputBytes']} bytes, {report['bitsPerParameter']:.3f} bits per weight"
    change = f"{found.before:.5f} nats per token before, {found.after:.5f} after"
    print_report(given, f"{size}\ndivergence from the adapter on texts kept apart: {change}",
                 {"output": given.output, "before": found.before, "after": found.after, "encoding": report})


def _components(path: str) -> dict[str, torch.Tensor]:
    """The figures of a calibration file, without gains of an earlier run.

    Raises:
        LqaError: SOURCE_IMPORTANCE.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = {name: tensor for name, tensor in load_file(path).items() if name.endswith(".components")}
    except (OSError, SafetensorError) as error:
        raise LqaError("SOURCE_IMPORTANCE", where=path, found=str(error)) from error
    if not found:
        raise LqaError("SOURCE_IMPORTANCE", where=path, expected="a file of lqa calibrate", found="no tensor of components")
    return found
