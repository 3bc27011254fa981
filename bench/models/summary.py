"""The raw lines of `results/`, as rows: what each encoding of an adapter costs, and what it changes.

Every figure has its 95 % interval from drawing the held-out items with replacement, the same items for all encodings (`lqa.scores`).
"""

from dataclasses import dataclass

import methods
import place
import plan

import numpy
from lqa.scores import Estimate, Scores, compare, estimate

FIELDS = ("tokens", "loss", "exact", "kl", "reverse_kl", "top1", "top5")
Lines = list[dict]


@dataclass(frozen=True)
class Answers:
    """Greedy answers to the same problems.

    Attributes:
        count: problems.
        right: how many are answered rightly.
        reference: how many with the reference adapter.
        kept: right ones for each right one of the reference adapter; None if that has none.
    """

    count: int
    right: int
    reference: int
    kept: Estimate | None


@dataclass(frozen=True)
class Row:
    """An encoding of an adapter. `figures` are those of `lqa.scores.compare`; None if it is not scored on all items."""

    encoding: str
    size: int
    bits: float
    figures: dict[str, Estimate | None] | None
    answers: Answers | None


@dataclass(frozen=True)
class Summary:
    """An adapter.

    Attributes:
        items: scored held-out items; tokens: those of their answers that count.
        loss: nats a token without and with the adapter; (nan, nan) if nothing is scored.
        base: greedy answers without an adapter, against those with it.
        rows: in the order of `methods.py`.
    """

    name: str
    items: int
    tokens: int
    loss: tuple[float, float]
    base: Answers | None
    rows: list[Row]

    def row(self, encoding: str) -> Row | None:
        return next((row for row in self.rows if row.encoding == encoding), None)


def names() -> list[str]:
    """Adapters with results, in the order of `plan.py`."""
    return [name for name in plan.ADAPTERS if (place.RESULTS / f"{name}.jsonl").is_file()]


def load(name: str) -> Summary:
    """An adapter with the lines of its results and of the answers to its task."""
    adapter = plan.ADAPTERS[name]
    lines = place.json_lines(place.RESULTS / f"{name}.jsonl")
    return summarized(name, lines, place.json_lines(place.RESULTS / "answers" / f"{adapter.base}.{adapter.task}.jsonl"))


def summarized(name: str, lines: Lines, answers: Lines) -> Summary:
    """The newest line of each encoding counts, and only lines of the newest reference adapter."""
    newest = {line["encoding"]: line for line in lines if "encoding" in line}
    if not newest:
        return Summary(name, 0, 0, (numpy.nan, numpy.nan), None, [])
    of = list(newest.values())[-1]["of"]
    scored = [line for line in lines if line["of"] == of and "item" in line]
    keys = sorted({line["item"] for line in scored if line["weights"] == of}, key=lambda key: (len(key), key))
    base, reference = _scores(scored, "base", keys), _scores(scored, of, keys)
    said = {(line["weights"], line["item"]): line["right"] for line in answers}
    rows = []
    for encoding in methods.names():
        line = newest.get(encoding)
        if line and line["of"] == of:
            other = _scores(scored, line["weights"], keys) if base and reference else None
            figures = compare(base, reference, other) if base and reference and other else None
            rows.append(Row(encoding, line["bytes"], line["bits"], figures, _answers(said, of, line["weights"])))
    if not base or not reference:
        return Summary(name, 0, 0, (numpy.nan, numpy.nan), _answers(said, of, "base"), rows)
    return Summary(name, len(keys), int(reference.tokens.sum()), (_mean(base), _mean(reference)), _answers(said, of, "base"), rows)


def _scores(lines: Lines, weights: str, keys: list[str]) -> Scores | None:
    """The figures of one encoding for these items; None unless all of them are there."""
    found = {line["item"]: line for line in lines if line["weights"] == weights}
    if not keys or any(key not in found for key in keys):
        return None
    return Scores(*(numpy.array([found[key][field] for key in keys]) for field in FIELDS))


def _mean(found: Scores) -> float:
    return float(found.loss.sum() / found.tokens.sum())


def _answers(said: dict[tuple[str, str], bool], of: str, weights: str) -> Answers | None:
    """Of the problems that both have answered; None before that is half of what the reference adapter has answered."""
    answered = [item for whose, item in said if whose == of]
    keys = [item for item in answered if (weights, item) in said]
    if not keys or 2 * len(keys) < len(answered):
        return None
    first, other = (numpy.array([said[whose, key] for key in keys], dtype=float) for whose in (of, weights))
    kept = estimate(lambda i: float(other[i].sum() / max(first[i].sum(), 1)), len(keys)) if first.any() else None
    return Answers(len(keys), int(other.sum()), int(first.sum()), kept)
