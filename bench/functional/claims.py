"""Prints the figures that the text of docs/results.md rests on: python claims.py

Everything is from results/, as summarize.py reads it. Adapters are of rank 16 on all linear layers
(`r16`) or small (rank 8 on q and v, and the example's); a range is over adapters unless it says otherwise.
"""

import math
from collections.abc import Callable, Iterable
from statistics import geometric_mean

import lm
import summarize
import tasks
import table

Adapter = dict[str, dict]  # encoding -> its line
KEPT = {"nll_kept": "gain", "exact_kept": "exact"}
LORAQUANT = ("2@0.8", "2@0.9", "3@0.9", "3@0.8")


def percent(values: Iterable[float], digits: int = 2) -> str:
    found = sorted(values)
    return f"{100 * found[0]:.{digits}f} to {100 * found[-1]:.{digits}f} % ({len(found)})"


def compare(title: str, adapters: dict[str, Adapter], pairs: list[tuple[str, str]], figure: str) -> None:
    """In how many pairs of encodings the first has the larger figure; the mean and the ends of the ratio."""
    found = [
        (a[one][figure], a[two][figure], f"{name} {one}")
        for name, a in adapters.items()
        for one, two in pairs
        if one in a and two in a
    ]
    if not found:
        return
    worst = max(found, key=lambda v: v[0] / v[1])
    best = min(found, key=lambda v: v[0] / v[1])
    mean = geometric_mean([a / b for a, b, _ in found])
    print(f"- {title}: larger in {sum(a > b for a, b, _ in found)} of {len(found)}, {mean:.3f} times in the geometric mean")
    for label, (a, b, where) in (("most", worst), ("least", best)):
        print(f"  - at {label} {a:.6g} against {b:.6g} ({where})")


def exact_changes(adapters: dict[str, Adapter], pairs: list[tuple[str, str]]) -> str:
    """Items that one of two encodings has right and the other has not, and what chance says of that (two-sided binomial)."""
    won = lost = 0
    least = 1.0
    for a in adapters.values():
        for one, two in pairs:
            if one not in a or two not in a:
                continue
            both = list(zip(a[one]["exact_items"], a[two]["exact_items"]))
            here, there = both.count(("1", "0")), both.count(("0", "1"))
            won, lost = won + here, lost + there
            tail = sum(math.comb(here + there, k) for k in range(min(here, there) + 1)) / 2 ** (here + there)
            least = min(least, 2 * tail)
    return f"{won} answers right only with, {lost} only without; least p of a comparison {least:.3f}"


def spread(series: dict[str, dict[str, Adapter]], encoding: str, belongs: Callable[[str], bool]) -> str:
    """The largest difference between seeds in the gain kept."""
    differences = []
    for name, seeds in series.items():
        values = [a[encoding]["nll_kept"] for a in seeds.values() if encoding in a]
        if belongs(name) and len(values) > 1:
            differences.append(max(values) - min(values))
    return f"{100 * max(differences, default=math.nan):.3f} %"


def powers() -> None:
    """KL divergence with importance to that without, on development items (importance.py)."""
    path = lm.RESULTS / "importance.jsonl"
    lines = lm.json_lines(path)
    plain = {(line["adapter"], line["bits"]): line["kl"] for line in lines if line["power"] == 0}
    for bits, power in sorted({(line["bits"], line["power"]) for line in lines if line["power"]}):
        ratios = [
            line["kl"] / plain[line["adapter"], bits]
            for line in lines
            if (line["bits"], line["power"]) == (bits, power) and (line["adapter"], bits) in plain
        ]
        ends = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"- {bits} bits, power {power}: {geometric_mean(ratios):.3f} ({ends}; {len(ratios)} adapters)")


def main() -> None:
    series = {
        name: {seed: summarize.read(path) for seed, path in members.items()}
        for name, members in summarize.results(summarize.adapters_of(tasks.FIRST)).items()
    }
    adapters = {seed: adapter for seeds in series.values() for seed, adapter in seeds.items()}
    shapes = {
        "r16": {name: a for name, a in adapters.items() if "r16" in name},
        "small": {name: a for name, a in adapters.items() if "r16" not in name},
    }
    print(f"{len(adapters)} adapters, {sum(map(len, adapters.values()))} lines\n\n## Exact answers of f16\n")
    for name, seeds in series.items():
        print(f"- {name}: {percent((a['f16']['exact'] for a in seeds.values()), 1)}")

    print("\n## Kept\n")
    for encoding in (*table.DECIDING[1:], "rd 0.35 floor 0", "rd 0.5 floor 0", "rd 0.75 floor 0", "rd 4.0 floor 0"):
        for shape, members in shapes.items():
            rows = [a[encoding] for a in members.values() if encoding in a]
            if not rows:
                continue
            parts = [f"{title} {percent(r[figure] for r in rows)}" for figure, title in KEPT.items()]
            parts += [f"bits {r:.3f}" for r in sorted({row["bits_on_disk"] for row in rows})[:: max(1, len(rows) - 1)]]
            kl = [r["kl"] for r in rows]
            print(f"- {encoding}, {shape}: {'; '.join(parts)}; KL {min(kl):.6f} to {max(kl):.6f}")
    print("\n## Presets: the least of the right answers that an adapter keeps\n")
    for name, bits in (("low", "1.0"), ("balanced", "1.5"), ("high", "2.5"), ("near-lossless", "4.0")):
        kept = [(a[f"rd {bits} floor 0"]["exact_kept"], n) for n, a in adapters.items() if f"rd {bits} floor 0" in a]
        if kept:
            mean = sum(share for share, _ in kept) / len(kept)
            print(f"- {name}: {min(kept)[0]:.1%} ({min(kept)[1]}), mean {mean:.1%}, {len(kept)} adapters")
    print("\n## Exact answers kept, of each task and shape\n")
    for name, seeds in series.items():
        for encoding in ("rd 1.0 floor 0", "rd 1.5 floor 0", "rd 2.5 floor 0", "loraquant 3@0.9 code search"):
            kept = [a[encoding]["exact_kept"] for a in seeds.values() if encoding in a]
            if kept:
                print(f"- {name}, {encoding}: {percent(kept, 1)}")

    print("\n## Seeds: largest difference of the gain kept\n")
    for encoding in ("rd 1.0 floor 0", "rd 1.5 floor 0", "loraquant 2@0.9 code search"):
        r16, small = (spread(series, encoding, test) for test in (lambda n: "r16" in n, lambda n: "r16" not in n))
        print(f"- {encoding}: r16 {r16}, small {small}")

    print("\n## One against the other\n")
    rules = [f"loraquant {v} {{}} {r}" for v in LORAQUANT for r in ("search", "none")]
    refined = [f"loraquant {v} {r} {{}}" for v in LORAQUANT for r in ("code", "text")]
    for shape, members in shapes.items():
        for one, two in (("3@0.9", "2@0.9"), ("2@0.9", "2@0.8")):
            pair = [(f"loraquant {one} code search", f"loraquant {two} code search")]
            compare(f"{shape}, {one} against {two}, gain", members, pair, "nll_kept")
        pair = [("loraquant 2@0.8 code search", "sign")]
        compare(f"{shape}, 2@0.8 against sign, gain", members, pair, "nll_kept")
        pairs = [(r.format("text"), r.format("code")) for r in rules]
        compare(f"{shape}, h of the text against that of the code, gain", members, pairs, "nll_kept")
        compare(f"{shape}, the same, bits", members, pairs, "bits_on_disk")
        pairs = [(r.format("search"), r.format("none")) for r in refined]
        compare(f"{shape}, refined against plain LoRAQuant, KL", members, pairs, "kl")
        pair = [("rtn 2", "loraquant 2@0.9 code search")]
        compare(f"{shape}, rtn 2 against LoRAQuant 2@0.9, gain", members, pair, "nll_kept")
        for encoding in (e for e in table.table() if e.startswith("loraquant")):
            compare(f"{shape}, rd 1.0 against {encoding}, gain", members, [("rd 1.0 floor 0", encoding)], "nll_kept")

    print("\n## LoRAQuant at its best: of each variant the rule, refinement and gain with the smallest divergence\n")
    everything = {name: summarize.read(path) for members in summarize.results().values() for name, path in members.items()}
    for (name, bits), line in summarize.calibrated().items():
        everything[name][f"calibrated {bits}"] = line
    for title, tasks_of in (("first", tasks.FIRST), ("later", tasks.LATER)):
        starts = summarize.adapters_of(tasks_of)
        for variant in ("2@0.9", "3@0.9"):
            for ours in ("rd 0.5 floor 0", "rd 1.0 floor 0", "calibrated 0.5", "calibrated 1.0"):
                ratios = []
                for name, a in everything.items():
                    ways = [line for e, line in a.items() if e.startswith(f"loraquant {variant} ")]
                    if name.startswith(starts) and any(table.GAIN in line["encoding"] for line in ways) and ours in a:
                        ratios.append(a[ours]["kl"] / min(line["kl"] for line in ways))
                ends = f"{min(ratios):.3f} to {max(ratios):.3f}; {len(ratios)} adapters"
                print(f"- {title} tasks, {ours} / {variant}: {geometric_mean(ratios):.3f} ({ends})")

    for gain in ("", table.GAIN):
        pairs = [(f"loraquant {variant} code sgd{gain}", f"loraquant {variant} code search{gain}") for variant in ("2@0.9", "3@0.9")]
        compare(f"refined by the authors' steps against our search{gain}, KL", everything, pairs, "kl")

    print("\n## With the encoder of 2026-11-25\n")
    before = {path.stem: summarize.read(path) for path in sorted(summarize.EARLIER.glob("*.jsonl"))}
    for shape, belongs in (("r16", lambda name: "r16" in name), ("small", lambda name: "r16" not in name)):
        members = {name: a for name, a in before.items() if belongs(name)}
        for bits in table.RD_BITS:
            for floor in ("0.5", "1"):
                pair = [(f"rd {bits} floor {floor}", f"rd {bits} floor 0")]
                compare(f"{shape}, {bits} bits, floor {floor} against 0, KL", members, pair, "kl")
        pairs = [(f"rd {bits} floor 0 least-squares", f"rd {bits} floor 0") for bits in ("1.0", "1.5")]
        compare(f"{shape}, least squares against a gain of 1, KL", members, pairs, "kl")
        compare(f"{shape}, the same, weight error", members, pairs, "weight")
    for title, rates in (("up to 2.0 bits", [b for b in table.RD_BITS if float(b) <= 2]), ("2.5 bits", ["2.5"])):
        pairs = [(f"rd {b} floor {floor}", f"rd {b} floor 0") for b in rates for floor in ("0.5", "1")]
        for figure in ("kl", "nll_kept"):
            compare(f"{title}, floors of ½ and 1 against 0, {figure}", before, pairs, figure)
    for floor in table.RD_FLOORS:
        pairs = [(f"rd {b} floor {floor} importance", f"rd {b} floor {floor}") for b in table.RD_BITS]
        for figure in ("kl", "functional", "gain"):
            compare(f"floor {floor}, importance against none, {figure}", before, pairs, figure)
        print(f"  - {exact_changes(before, pairs)}")

    print("\n## Over all adapters\n")
    extra = [
        a[e.replace("code", "text")]["bits_on_disk"] - a[e]["bits_on_disk"]
        for a in adapters.values()
        for e in a
        if "code" in e and e.replace("code", "text") in a
    ]
    print(f"- h of the text takes {min(extra):.3f} to {max(extra):.3f} bits more ({len(extra)})")
    gains = [a["rtn 2"]["gain"] for a in adapters.values()]
    print(f"- rtn 2: gain {min(gains):.3f} to {max(gains):.3f}")
    lossy = [(line, name) for name, a in adapters.items() for e, line in a.items() if e.startswith("rd ")]
    for title, (line, name) in (
        ("sound, most lost", max((v for v in lossy if v[0]["exact_kept"] >= 0.9), key=lambda v: v[0]["weight"])),
        ("broken, least lost", min((v for v in lossy if v[0]["exact_kept"] < 0.9), key=lambda v: v[0]["weight"])),
    ):
        print(f"- {title}: {line['weight']:.4f} of the energy, {line['exact_kept']:.3f} kept ({name} {line['encoding']})")

    print("\n## Powers of the importance: KL divergence to that without\n")
    powers()


if __name__ == "__main__":
    main()
