"""Which cheap figure tells how an encoding behaves: python predictors.py

For every figure that encodings are known by without asking the model for answers (errors.py explains
them), the rank correlation (Spearman's) with the KL divergence and with the gain lost in likelihood:
inside each adapter, as the mean over adapters, and over all encodings of all adapters
together. `f16` and refused encodings are left out. Then, for each adapter, the encodings
that broke the task (more than a tenth of the exact matches lost) beside those that did not: a
figure to warn by has a level between the two.
"""

import math
from pathlib import Path

import summarize
import tasks

import numpy

# What encodings are known by. The composed ones count what is lost along ΔW for more than the rest.
FIGURES = {
    "energy": lambda e: e["energy"],
    "weight": lambda e: e["weight"],
    "weight_mean": lambda e: e["weight_mean"],
    "functional": lambda e: e["functional"],
    "functional_mean": lambda e: e["functional_mean"],
    "output_mean": lambda e: e["output_mean"],
    "diagonal": lambda e: e["diagonal"],
    "diagonal_mean": lambda e: e["diagonal_mean"],
    "shrink": lambda e: e["shrink"],
    "functional_shrink": lambda e: e["functional_shrink"],
    "|1 - gain|": lambda e: abs(1 - e["gain"]),
    "weight + 16 (1 - gain)²": lambda e: e["weight"] + 16 * (1 - e["gain"]) ** 2,
    "weight_mean + 16 (1 - gain)²": lambda e: e["weight_mean"] + 16 * (1 - e["gain"]) ** 2,
    "functional + 16 (1 - functional_gain)²": lambda e: (
        e["functional"] + 16 * (1 - e["functional_gain"]) ** 2
    ),
    "functional_mean + 16 (1 - functional_gain)²": lambda e: (
        e["functional_mean"] + 16 * (1 - e["functional_gain"]) ** 2
    ),
}
OUTCOMES = {
    "KL": lambda line: line["kl"],
    "gain lost": lambda line: 1 - line["nll_kept"],
    "exact lost": lambda line: 1 - line["exact_kept"],
}
BROKEN = 0.1


def ranks(values: list[float]) -> numpy.ndarray:
    """Ranks, ties shared."""
    array = numpy.array(values)
    return numpy.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])


def spearman(x: list[float], y: list[float]) -> float:
    return float(numpy.corrcoef(ranks(x), ranks(y))[0, 1])


def series(*, earlier: bool = False) -> dict[str, dict[str, list[dict]]]:
    """Task and shape -> adapter -> its lossy encodings; with those of the earlier encoder too, where figures are compared."""

    def read(path: Path) -> list[dict]:
        before = summarize.EARLIER / path.name
        found = [*summarize.read(path).items(), *(summarize.read(before).items() if earlier and before.is_file() else ())]
        return [line for encoding, line in found if encoding not in summarize.FIRST]

    return {
        name: {
            adapter: read(path)
            for adapter, path in members.items()
        }
        for name, members in summarize.results(summarize.adapters_of(tasks.FIRST)).items()
    }


def main() -> None:
    found = {name: lines for members in series(earlier=True).values() for name, lines in members.items()}
    everything = [line for lines in found.values() for line in lines]
    print(f"{len(everything)} encodings of {len(found)} adapters\n")

    print("| figure | " + " | ".join(f"{o}, inside adapters | {o}, all together" for o in OUTCOMES) + " |")
    print("|---|" + "---|---|" * len(OUTCOMES))
    for figure, of in FIGURES.items():
        cells = []
        for outcome in OUTCOMES.values():

            def correlation(lines: list[dict]) -> float:
                return spearman([of(line["errors"]) for line in lines], [outcome(line) for line in lines])

            inside = [c for c in map(correlation, found.values()) if not math.isnan(c)]
            cells += [f"{sum(inside) / len(inside):.3f}", f"{correlation(everything):.3f}"]
        print(f"| {figure} | " + " | ".join(cells) + " |")

    print(f"\nBroken: more than {BROKEN:.0%} of the exact matches lost. Least figure of a broken encoding,")
    print("largest figure of a sound one, and how many are on the wrong side of the best level.\n")
    print("| figure | broken from | sound up to | best level | wrong |\n|---|---|---|---|---|")
    for figure, of in FIGURES.items():
        values = sorted((of(line["errors"]), OUTCOMES["exact lost"](line) > BROKEN) for line in everything)
        broken = [value for value, is_broken in values if is_broken]
        sound = [value for value, is_broken in values if not is_broken]
        if not broken or not sound:
            continue
        wrong = {v: sum(b < v for b in broken) + sum(s >= v for s in sound) for v, _ in values}
        level = min(wrong, key=wrong.get)
        print(f"| {figure} | {broken[0]:.4g} | {sound[-1]:.4g} | {level:.4g} | {wrong[level]}/{len(values)} |")


if __name__ == "__main__":
    main()
