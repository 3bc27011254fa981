"""What was fixed with the first three tasks, on the tasks that came later: python later.py

Presets and floors come from airports, localized and number-words, and so did the constants of the estimate of `lqa encode`: FITTED
has them; since then they were fitted to all tasks (estimate.py). Nothing else was chosen
with the tasks in tasks.LATER, or with the adapters of encoder.py and terrain.py: what is printed here is what carries.
"""

import json
import math
from statistics import geometric_mean

import estimate
import lm
import summarize
import tasks
from evaluate import bootstrap

import numpy

BITS = ("0.5", "0.75", "1.0", "1.5", "2.5")
OTHERS = ("loraquant 2@0.9 code search", "loraquant 3@0.9 code search", "rtn 2")
Adapter = dict[str, dict]
# Weight of shrinkage, and nats per unit, as fitted to the first three tasks.
FITTED = (40.0, 0.0057)


def percent(value: float, interval: list[float] | None = None) -> str:
    text = f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def read() -> dict[str, Adapter]:
    found = summarize.results(summarize.adapters_of(tasks.LATER))
    return {name: summarize.read(path) for members in found.values() for name, path in members.items()}


def trained(adapters: dict[str, Adapter]) -> None:
    print("| adapter | steps | NLL per answer token: base, adapter | right: base, adapter |\n|---|--:|---|---|")
    for name, a in adapters.items():
        steps = json.loads((lm.DATA / f"{name}.json").read_text())["steps"]
        right = f"{percent(a['base']['exact'])}, {percent(a['f16']['exact'])}" if "exact" in a["f16"] else "-"
        print(f"| {name} | {steps} | {a['base']['nll']:.3f}, {a['f16']['nll']:.3f} | {right} |")


def kept(adapters: dict[str, Adapter], figure: str, title: str) -> None:
    some = {name: a for name, a in adapters.items() if figure in a["rd 1.0 floor 0"]}
    columns = [*(f"rd {bits} floor 0" for bits in BITS), *OTHERS]
    print(f"\n{title}\n\n| adapter | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, a in some.items():
        print(f"| {name} | " + " | ".join(percent(a[c][figure], a[c][f"{figure}_interval"]) if c in a else "" for c in columns) + " |")
    for column in columns:
        values = sorted((a[column][figure], name) for name, a in some.items() if column in a)
        if values:
            print(f"- {column}: {percent(values[0][0])} ({values[0][1]}) to {percent(values[-1][0])}")


def table(adapters: dict[str, Adapter]) -> None:
    """What docs/results.md has: gain, right answers (where there are any) and likeliest tokens kept."""
    columns = [*(f"rd {bits} floor 0" for bits in BITS), *OTHERS]
    print("\n| encoding | bits on disk | " + " | ".join(adapters) + " |\n|---|--:|" + "---|" * len(adapters))
    for column in columns:
        some = [a[column] for a in adapters.values()]
        cells = [", ".join(percent(line[figure]) for figure in ("nll_kept", "exact_kept", "same") if figure in line) for line in some]
        print(f"| {column} | {sum(line['bits_on_disk'] for line in some) / len(some):.2f} | {' | '.join(cells)} |")
    print("| KL of rd 1.0, nats per token | | " + " | ".join(f"{a['rd 1.0 floor 0']['kl']:.4f}" for a in adapters.values()) + " |")


def lines(adapters: dict[str, Adapter]) -> list[dict]:
    """Lossy encodings with the two estimates: of the divergence, and of the answers that change."""
    found = []
    for name, a in adapters.items():
        for encoding, line in a.items():
            if not estimate.written(encoding):
                continue
            shrinkage, divergence = FITTED
            parts = estimate.losses(line)
            expected = divergence * (parts["noise"] + shrinkage * parts["shrinkage"])
            one = {"name": name, "task": line["task"], "encoding": encoding, "kl": line["kl"], "predicted": expected}
            if "exact_items" in line:
                right = a["f16"]["exact_items"]
                one["changed"] = sum(x > y for x, y in zip(right, line["exact_items"])) / right.count("1")
            found.append(one)
    return found


def estimates(found: list[dict]) -> None:
    print("\nKL measured / estimated from the weights, encodings of which at least a few answers change and not all\n")
    print("| adapter | `rd`: geometric mean | least and most | all methods: geometric mean | least and most |\n|---|--:|---|--:|---|")
    counted = [line for line in found if estimate.LEAST <= line["kl"] <= estimate.MOST]

    def cells(some: list[dict]) -> str:
        ratios = [line["kl"] / line["predicted"] for line in some]
        if not ratios:
            return "- | -"
        return f"{geometric_mean(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} ({len(ratios)})"

    for name in dict.fromkeys(line["name"] for line in counted):
        some = [line for line in counted if line["name"] == name]
        print(f"| {name} | {cells([line for line in some if line['encoding'].startswith('rd ')])} | {cells(some)} |")
    for title, some in (("rd", [line for line in counted if line["encoding"].startswith("rd ")]), ("all methods", counted)):
        within = sum(0.25 <= line["kl"] / line["predicted"] <= 4 for line in some)
        print(f"- {title}: within 4 times {within} of {len(some)}; root mean square, nine of ten, worst {estimate.factors(line['kl'] / line['predicted'] for line in some)}")


def answers(found: list[dict]) -> None:
    """The share of right answers that change: by the curve from the divergence, and by both steps."""
    some = [line for line in found if "changed" in line]
    print("\n| KL measured, nats per token | encodings | right answers changed: mean | least and most | curve, at the mean |\n|---|---|---|---|---|")
    ends = (0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 10)
    for low, high in zip(ends, ends[1:]):
        part = [line for line in some if low <= line["kl"] < high]
        if part:
            shares, mean = [line["changed"] for line in part], sum(line["kl"] for line in part) / len(part)
            cells = (sum(shares) / len(shares), min(shares), max(shares), estimate.changed(mean))
            average, least, most, curve = map(percent, cells)
            print(f"| {low:g} to {high:g} | {len(part)} | {average} | {least} to {most} | {curve} |")
    rd = [line for line in some if line["encoding"].startswith("rd ")]
    for title, part in (("rd", rd), ("all methods", some)):
        within = sum(line["changed"] / 4 <= estimate.changed(line["predicted"]) <= 4 * line["changed"] for line in part if line["changed"])
        print(f"- {title}: estimate from the weights within 4 times of the answers that changed in {within} of {sum(line['changed'] > 0 for line in part)}")
        broken = [line for line in part if line["changed"] > 0.1]
        missed = [line for line in broken if estimate.changed(line["predicted"]) < 0.05]
        false = [line for line in part if line["changed"] <= 0.1 and estimate.changed(line["predicted"]) >= 0.05]
        print(f"  warning at 5 %: missed {len(missed)} of {len(broken)} that changed more than a tenth, false for {len(false)} of {len(part) - len(broken)}")
        for line in missed:
            print(f"    missed: {line['name']} {line['encoding']}, {percent(line['changed'])} changed")


def pairs(adapters: dict[str, Adapter]) -> None:
    """Ratios of divergences, paired by item: an interval for each adapter, and the mean over adapters with one over adapters."""
    print("\nKL of `rd` / KL of another encoding of the same adapter, paired by item")
    for other in OTHERS:
        for bits in ("0.5", "1.0", "1.5"):
            logs, worst = [], (0.0, "")
            wins = sure = 0
            for name, a in adapters.items():
                if other not in a or f"rd {bits} floor 0" not in a:
                    continue
                one, two = (numpy.array(a[e]["kl_items"]) for e in (f"rd {bits} floor 0", other))
                ratio = one.sum() / two.sum()
                _, high = bootstrap(lambda i, one=one, two=two: one[i].sum() / two[i].sum(), len(one))
                wins, sure = wins + (ratio < 1), sure + (high < 1)
                logs.append(math.log(ratio))
                worst = max(worst, (ratio, f"{name}, up to {high:.2f}"))
            if logs:
                found = numpy.array(logs)
                low, high = bootstrap(lambda i, found=found: math.exp(found[i].mean()), len(found))
                mean = math.exp(found.mean())
                print(f"- rd {bits} / {other}: {mean:.3f} ({low:.3f} to {high:.3f} over {len(found)} adapters); smaller in {wins}, surely in {sure}; most {worst[0]:.3f} ({worst[1]})")


def main() -> None:
    adapters = read()
    trained(adapters)
    table(adapters)
    kept(adapters, "nll_kept", "Share of the gain kept")
    kept(adapters, "exact_kept", "Share of the right answers kept")
    kept(adapters, "same", "Share of answer tokens of which the likeliest token is the same")
    found = lines(adapters)
    estimates(found)
    answers(found)
    pairs(adapters)


if __name__ == "__main__":
    main()
