"""How differently a model answers with one adapter and with another: divergence, agreement, loss and exact answers, with intervals.

All scores are at the places that predict tokens that count: all but the first of a text, or those of an answer. Each text runs alone,
so that nothing depends on padding. `lqa score` is the command; the benches of the repository use this module too.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from .errors import LqaError
from .texts import Text

# Draws for an interval.
RESAMPLES = 1000
TOP = 5


@dataclass(frozen=True)
class Scores:
    """What a model says of each text. Every array has the shape `[texts]`; sums are over the places of a text.

    Attributes:
        tokens: places that count.
        loss: summed negative log-likelihood of the tokens of the text, in nats.
        exact: 1 where every token is the likeliest one at its place, else 0: whether greedy decoding would give this answer.
        kl: summed Kullback-Leibler divergence of what this model predicts from what the reference does, KL(reference ‖ this), in nats.
        reverse_kl: KL(this ‖ reference).
        top1: places where the likeliest token is the reference's.
        top5: for each place the share of the reference's five likeliest tokens that are among this model's five, summed.
        top2, top3, top4: the same of two, three and four. None if only the others were measured.
    """

    tokens: numpy.ndarray
    loss: numpy.ndarray
    exact: numpy.ndarray
    kl: numpy.ndarray
    reverse_kl: numpy.ndarray
    top1: numpy.ndarray
    top5: numpy.ndarray
    top2: numpy.ndarray | None = None
    top3: numpy.ndarray | None = None
    top4: numpy.ndarray | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} ({self.low:{spec}} to {self.high:{spec}})"

    def report(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def score(model: Any, texts: Sequence[Text], adapters: Sequence[str | None], *, progress: Callable[[int, int], None] | None = None) -> list[Scores]:
    """Scores adapters against the first of them.

    Args:
        model: a PeftModel that has the adapters. Afterwards the first named adapter is active.
        texts: of the task; what neither adapter was trained on.
        adapters: names; None is the base model without an adapter. The first is the reference.
        progress: called with the number of texts done and their total.

    Returns:
        One entry for each adapter, in their order.

    Raises:
        LqaError: SOURCE_NONFINITE if a model predicts infinity or NaN.
    """
    rows: list[list[list[float]]] = [[] for _ in adapters]
    for done, text in enumerate(texts, 1):
        reference: torch.Tensor | None = None
        for name, found in zip(adapters, rows, strict=True):
            said = _said(model, text, name)
            if not bool(said.isfinite().all()):
                raise LqaError("SOURCE_NONFINITE", where=f"what the model predicts with {name or 'no adapter'}, text {done}",
                               advice="Check the base model and its element type; run it in float32.")
            reference = said if reference is None else reference
            found.append(_figures(text, reference, said))
        if progress:
            progress(done, len(texts))
    names = [name for name in adapters if name is not None]
    if names:
        model.set_adapter(names[0], inference_mode=True)
    return [Scores(*numpy.array(found, dtype=numpy.float64).T) for found in rows]


@torch.inference_mode()
def _said(model: Any, text: Text, name: str | None) -> torch.Tensor:
    """Log-probabilities `[places, vocabulary]` with an adapter."""
    if name is not None:
        model.set_adapter(name, inference_mode=True)
    device = next(model.parameters()).device
    places = len(text.tokens) - text.start
    with model.disable_adapter() if name is None else nullcontext():
        logits = model(input_ids=torch.tensor([text.tokens[:-1]], device=device), use_cache=False, logits_to_keep=places).logits
    return torch.log_softmax(logits[0, -places:].float(), -1)


@torch.inference_mode()
def _figures(text: Text, reference: torch.Tensor, said: torch.Tensor) -> list[float]:
    """The figures of a text, in the order of `Scores`."""
    tokens = torch.tensor(text.tokens[text.start:], device=said.device)
    top, wanted = (x.topk(min(TOP, x.shape[-1]), -1).indices for x in (said, reference))
    change = reference - said
    return [
        float(len(tokens)),
        float(-said.gather(1, tokens[:, None]).double().sum()),
        float(bool((top[:, 0] == tokens).all())),
        float((reference.exp() * change).double().sum()),
        float(-(said.exp() * change).double().sum()),
        float((top[:, 0] == wanted[:, 0]).sum()),
        *(float((wanted[:, :most, None] == top[:, None, :most]).any(-1).double().mean(-1).sum()) for most in (TOP, 2, 3, 4)),
    ]


def estimate(of: Callable[[numpy.ndarray], float], count: int) -> Estimate:
    """A statistic of texts, `of(indices)`, and the interval that drawing `count` texts again and again gives. Always the same draws."""
    generator = numpy.random.default_rng(0)
    drawn = [of(generator.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = numpy.quantile(drawn, (0.025, 0.975))
    return Estimate(float(of(numpy.arange(count))), float(low), float(high))


def compare(base: Scores, reference: Scores, other: Scores) -> dict[str, Estimate | None]:
    """The figures of a comparison, by their names in the report of `lqa score`.

    Losses, divergences and agreements are for each token. `gainKept` is the share of the reference's gain over the base in loss that is
    left, (base - other) / (base - reference); None unless the reference surely has a gain. `top2` to `top4` are None if they were not measured.
    `lossChange` and `exactChange`
    are other minus reference. `exact` counts texts.
    """
    count = len(reference.tokens)

    def per_token(values: numpy.ndarray) -> Estimate:
        return estimate(lambda i: float(values[i].sum() / reference.tokens[i].sum()), count)

    gain = base.loss - reference.loss
    return {
        "kl": per_token(other.kl),
        "reverseKl": per_token(other.reverse_kl),
        "top1": per_token(other.top1),
        **{f"top{most}": None if (same := getattr(other, f"top{most}")) is None else per_token(same) for most in (2, 3, 4)},
        "top5": per_token(other.top5),
        "lossBase": per_token(base.loss),
        "lossReference": per_token(reference.loss),
        "loss": per_token(other.loss),
        "lossChange": per_token(other.loss - reference.loss),
        "gainKept": estimate(lambda i: _ratio((base.loss - other.loss)[i].sum(), gain[i].sum()), count) if per_token(gain).low > 0 else None,
        "exactReference": estimate(lambda i: float(reference.exact[i].mean()), count),
        "exact": estimate(lambda i: float(other.exact[i].mean()), count),
        "exactChange": estimate(lambda i: float((other.exact - reference.exact)[i].mean()), count),
    }


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b else math.nan
