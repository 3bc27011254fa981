"""How far a model with an encoded adapter is from the model with the adapter itself, on a few texts, again and again while it is trained."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .errors import LqaError
from .texts import Text

ADAPTER, ENCODED = "default", "lqa-encoded"
# Of the adapter's distribution at each place these are kept, and what is left as one: tens of MB instead of gigabytes.
KEPT = 256
# Tokens of a batch: the distributions of all places are in memory at once.
BATCH_TOKENS = 512


@dataclass(frozen=True)
class Batch:
    """Texts of like length, with what the adapter predicts."""

    tokens: torch.Tensor  # rows × width, padded on the right
    mask: torch.Tensor
    scored: torch.Tensor  # rows × width: places that predict a token that counts
    wanted: torch.Tensor  # places × kept, the likeliest tokens
    scores: torch.Tensor  # their log-probabilities, and behind them that of all others


def activate(model: Any, name: str) -> None:
    """Makes an adapter the active one. PEFT then wants gradients of its weights; here they have none until they are trained."""
    model.set_adapter(name)
    model.requires_grad_(False)


def batches(model: Any, texts: Sequence[Text]) -> list[Batch]:
    """Batches of texts, with what the active adapter predicts.

    Raises:
        LqaError: SOURCE_NONFINITE if that is not finite.
    """
    found: list[Batch] = []
    rows: list[Text] = []
    for text in sorted(texts, key=lambda one: len(one.tokens)):
        if rows and (len(rows) + 1) * len(text.tokens) > BATCH_TOKENS:
            found.append(_batch(model, rows))
            rows = []
        rows.append(text)
    return [*found, _batch(model, rows)] if rows else found


@torch.no_grad()
def _batch(model: Any, rows: Sequence[Text]) -> Batch:
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
    check_finite(scores)
    top, wanted = scores.topk(min(KEPT, scores.shape[1]))
    return Batch(tokens, mask, scored, wanted, _with_rest(top))


def check_finite(scores: torch.Tensor) -> None:
    """Raises SOURCE_NONFINITE if a model predicts infinity or NaN."""
    if not bool(scores.isfinite().all()):
        raise LqaError("SOURCE_NONFINITE", where="what the model predicts with the adapter", advice="Check the base model and the adapter.")


def _scores(model: Any, tokens: torch.Tensor, mask: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[scored]
    return torch.log_softmax(logits.float(), -1)


def _with_rest(kept: torch.Tensor) -> torch.Tensor:
    """Log-probabilities, and behind them that of everything else."""
    rest = (1 - kept.exp().sum(-1, keepdim=True)).clamp_min(1e-7)
    return torch.cat([kept, rest.log()], -1)


def divergence(model: Any, part: Batch) -> torch.Tensor:
    """Kullback-Leibler divergence of what the active adapter predicts from what was wanted, in nats, at each scored place."""
    got = _with_rest(_scores(model, part.tokens, part.mask, part.scored).gather(1, part.wanted))
    return (part.scores.exp() * (part.scores - got)).sum(-1)


@torch.no_grad()
def mean_divergence(model: Any, parts: Sequence[Batch]) -> float:
    """The mean over all scored places."""
    return float(torch.cat([divergence(model, part) for part in parts]).double().mean())
