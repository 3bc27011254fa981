"""The goals of the encoder on each adapter, with what was measured, and whether they are met.

A goal about answers is met if the share that is kept reaches its mark, and missed if not; one that the interval cannot decide says so.
A goal about the divergence compares two encodings on the same items.
"""

from summary import Row, Summary

from lqa.scores import Estimate

ANSWERS = (("lqa 1.0", 0.99), ("lqa 0.5 calibrated", 0.97), ("lqa 0.5 tuned", 0.99))
DIVERGENCE = (("lqa 1.0", "nf4"), ("lqa 1.0", "q4_0"), ("lqa 1.0", "q4_0 of B'"))


def verdict(kept: Estimate, mark: float) -> str:
    """What an estimate says of a mark that it should reach."""
    if kept.value >= mark:
        return "met" if kept.low >= mark else "met, within the interval"
    return "missed" if kept.high < mark else "missed, within the interval"


def table(found: list[Summary]) -> list[str]:
    rows = ["| adapter | goal | measured | met |", "|---|---|---|---|"]
    for one in found:
        for encoding, mark in ANSWERS:
            row = one.row(encoding)
            kept = row.answers.kept if row and row.answers else None
            goal = f"{encoding}: {100 * mark:.0f} % of the right answers"
            if kept is None:
                rows.append(f"| {one.name} | {goal} | not measured | |")
            else:
                rows.append(f"| {one.name} | {goal} | {100 * kept.value:.1f} % ({100 * kept.low:.1f}–{100 * kept.high:.1f}) | {verdict(kept, mark)} |")
        for encoding, other in DIVERGENCE:
            rows.append(f"| {one.name} | {encoding}: KL below that of {other} | {_against(one.row(encoding), one.row(other))} |")
    return rows


def _against(row: Row | None, other: Row | None) -> str:
    mine, theirs = (each.figures["kl"] if each and each.figures else None for each in (row, other))
    if mine is None or theirs is None or row is None or other is None:
        return "not measured | "
    words = f"{mine.value:.2g} at {row.bits:.2f} bits, {theirs.value:.2g} at {other.bits:.2f}"
    return f"{words} | {'met' if mine.value < theirs.value else 'missed'}"
