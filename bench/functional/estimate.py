"""How the estimate of `lqa encode` was fitted, and how far off it is: python estimate.py

The estimate has three steps (src/encode/quantize/answers.ts): the losses of the modules, Σ (noise + w · shrinkage) / width; the
divergence, a constant times that; the share of right answers that change, 1 - exp(-NEAR · √divergence - FAR · divergence). Here each
constant is fitted to the encodings of results/, each adapter counting the same, and of each its rd encodings as much as the
others. Then it is fitted again without one adapter, one task or one shape, and compared with what was measured on what was
left out.

Only measured divergences between LEAST and MOST count: below, hardly an answer changes; above, hardly one is left.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import geometric_mean

import lm
import summarize
import table
import tasks

import numpy

WIDTH = 576  # of the base model
SHRINKAGE, DIVERGENCE, NEAR, FAR = 16.0, 0.0132, 0.4, 3.3  # what src/encode/quantize/answers.ts has
LEAST, MOST = 3e-4, 0.7
WEIGHTS = (1, 5, 10, 16, 25, 40, 80)
LEFT_OUT: dict[str, Callable[[dict], str]] = {
    "an adapter": lambda line: line["name"],
    "a task": lambda line: line["task"],
    "a shape": lambda line: line["shape"],
}


def written(encoding: str) -> bool:
    """Whether `lqa encode` writes it, and loses something: it does not restore the gain of others."""
    return encoding not in summarize.FIRST and not encoding.endswith(table.GAIN)


def losses(line: dict) -> dict[str, float]:
    """Noise and shrinkage of all modules of an encoding, by the width of the model."""
    along = line["energy"] * line["shrink"] / line["weight"]
    return {"noise": (line["energy"] - along) / WIDTH, "shrinkage": along / WIDTH}


def predicted(line: dict) -> float:
    """The divergence that `lqa encode` estimates from the weights, in nats per token."""
    found = losses(line)
    return DIVERGENCE * (found["noise"] + SHRINKAGE * found["shrinkage"])


def lines() -> list[dict]:
    """Scored encodings, with their losses, and the answers that were right only before."""
    found = []
    for series, members in summarize.results(summarize.adapters_of(tasks.NAMES)).items():
        for name, path in members.items():
            adapter = summarize.read(path)
            right = adapter["f16"].get("exact_items")
            for encoding, line in adapter.items():
                if not written(encoding):
                    continue
                found.append({
                    "name": name,
                    "task": line["task"],
                    "shape": series.removeprefix(f"{line['task']}-"),
                    "rd": encoding.startswith("rd "),
                    **losses(line),
                    "lost": line["weight"],
                    "kl": line["kl"],
                    # A task of style has no right answers.
                    "changed": right and sum(a > b for a, b in zip(right, line["exact_items"])) / right.count("1"),
                })  # fmt: skip
    return found


def weights(chosen: list[dict]) -> numpy.ndarray:
    kinds = [(line["name"], line["rd"]) for line in chosen]
    counts = Counter(kinds)
    return numpy.array([1 / counts[kind] for kind in kinds])


def constant(chosen: list[dict], counts: float) -> float:
    logs = numpy.log([line["kl"] / (line["noise"] + counts * line["shrinkage"]) for line in chosen])
    return math.exp(numpy.average(logs, weights=weights(chosen)))


def curve(chosen: list[dict]) -> tuple[float, float]:
    """NEAR and FAR of least squared error of the root of the share that changed: roots of shares are equally sure."""
    kl, changes = (numpy.array([line[key] for line in chosen]) for key in ("kl", "changed"))
    found = [
        (numpy.average((numpy.sqrt(1 - numpy.exp(-near * kl**0.5 - far * kl)) - changes**0.5) ** 2, weights=weights(chosen)), near, far)
        for near in numpy.arange(0, 1.5, 0.025)
        for far in numpy.arange(1, 8, 0.1)
    ]
    return min(found)[1:]


def changed(divergence: float) -> float:
    return 1 - math.exp(-NEAR * divergence**0.5 - FAR * divergence)


def factors(ratios: Iterable[float]) -> str:
    """Root mean square, nine of ten, and the worst, as factors up or down."""
    logs = numpy.abs(numpy.log(list(ratios)))
    return " | ".join(f"{math.exp(value):.2f}" for value in (math.sqrt((logs**2).mean()), numpy.quantile(logs, 0.9), logs.max()))


def counting(everything: list[dict]) -> list[dict]:
    return [line for line in everything if LEAST <= line["kl"] <= MOST]


def held_out(chosen: list[dict], of: Callable[[dict], str], counts: float) -> list[tuple[float, dict]]:
    """Predicted divergence of each line, by a constant that was fitted without its adapter, task or shape."""
    groups = {of(line) for line in chosen}
    fitted = {group: constant([line for line in counting(chosen) if of(line) != group], counts) for group in groups}
    return [(fitted[of(line)] * (line["noise"] + counts * line["shrinkage"]), line) for line in chosen]


def errors(chosen: list[dict]) -> None:
    count, adapters = sum(line["rd"] for line in chosen), {line["name"] for line in chosen}
    print(f"{len(chosen)} encodings of {len(adapters)} adapters, {count} of them rd of {len({n['name'] for n in chosen if n['rd']})}\n")
    print("| shrinkage counts | left out | constant | rd: root mean square | nine of ten | worst | all: root mean square | nine of ten | worst |")
    print("|---|---|---|---|---|---|---|---|---|")
    for counts in WEIGHTS:
        for title, of in LEFT_OUT.items():
            pairs = held_out(chosen, of, counts)
            parts = (factors(p / line["kl"] for p, line in pairs if line["rd"] or every) for every in (False, True))
            print(f"| {counts} | {title} | {constant(chosen, counts):.4f} | {' | '.join(parts)} |")


def by_series(chosen: list[dict]) -> None:
    """What was measured, as a multiple of what the chosen constants predict."""
    print("\n| task | shape | encodings | KL measured / predicted, geometric mean | least and most |\n|---|---|---|---|---|")
    for task, shape in sorted({(line["task"], line["shape"]) for line in chosen}):
        some = [line for line in chosen if (line["task"], line["shape"]) == (task, shape)]
        ratios = [line["kl"] / DIVERGENCE / (line["noise"] + SHRINKAGE * line["shrinkage"]) for line in some]
        mean = geometric_mean(ratios)
        print(f"| {task} | {shape} | {len(some)} | {mean:.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")


def bins(title: str, ends: tuple[float, ...], values: list[tuple[float, dict]]) -> None:
    """The share of right answers that changed, of encodings by a figure."""
    print(f"\n| {title} | encodings | right answers changed: mean | least and most | curve, at the mean |\n|---|---|---|---|---|")
    for low, high in zip(ends, ends[1:]):
        some = [(value, line["changed"]) for value, line in values if low <= value < high]
        if some:
            mean = sum(value for value, _ in some) / len(some)
            shares = [share for _, share in some]
            figures = (sum(shares) / len(shares), min(shares), max(shares), changed(mean))
            average, least, most, at = map(summarize.percent(1), figures)
            print(f"| {low:g} to {high:g} | {len(some)} | {average} | {least} to {most} | {at} |")


def warnings(pairs: list[tuple[float, dict]]) -> None:
    print("\nA warning from a level on: encodings that changed a tenth of the right answers without it, and others with it\n")
    print("| figure | level | missed | false |\n|---|---|---|---|")
    figures = (
        ("right answers that should change", lambda p, _: changed(p), (0.01, 0.02, 0.03, 0.05, 0.1)),
        ("share of the energy of ΔW lost", lambda _, line: line["lost"], (0.015, 0.03, 0.06, 0.1, 0.2)),
    )
    for title, value, levels in figures:
        for level in levels:
            warned = [(value(p, line) >= level, line["changed"] > 0.1) for p, line in pairs]
            missed, wrong = sum(b and not w for w, b in warned), sum(w and not b for w, b in warned)
            broken = sum(b for _, b in warned)
            print(f"| {title} | {summarize.percent(1)(level)} | {missed} of {broken} | {wrong} of {len(warned) - broken} |")


def main() -> None:
    everything = lines()
    errors(counting(everything))
    by_series(counting(everything))
    pairs = held_out(everything, LEFT_OUT["a task"], SHRINKAGE)
    everything = [line for line in everything if line["changed"] is not None]
    near, far = curve(everything)
    print(f"\nRight answers that change: 1 - exp(-{near:.3f} · √KL - {far:.1f} · KL) fits best; chosen {NEAR}, {FAR}")
    ends = (0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 10)
    bins("KL measured, nats per token", ends, [(line["kl"], line) for line in everything])
    pairs = [(value, line) for value, line in pairs if line["changed"] is not None]
    for title, rd in (("rd", True), ("others", False)):
        some = [(value, line) for value, line in pairs if line["rd"] is rd]
        bins(f"KL predicted without the task: {title}", ends, some)
        warnings(some)


if __name__ == "__main__":
    main()
