"""What every way to encode does to behaviour, over all adapters: python families.py [--write]

Encoders and ways at equal bytes, from the raw results of evaluate.py (`earlier/`: the encoder of 2026-11-25; plain: today's without a start),
young.py and trials.py of bench/models (with and without a known start), tuned.py (calibrated and tuned), and those of bench/models on other base models. Prints KL to the unquantized adapter on held-out items,
and KL relative to plain with its 95 % interval by paired bootstrap, where both results have the figures of single items. Then the means
over all pairs, next to what we want to reach, and what known starts save at equal bytes and at equal KL. `--write` puts the tables into
docs/fidelity.md and docs/known-starts.md.
"""

import argparse
import math
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import geometric_mean

import lm
import summarize
from young import PATH as YOUNG
from young import interval

DOCS = lm.HERE.parents[1] / "docs"
PAGES = {"families": DOCS / "fidelity.md", "goals": DOCS / "fidelity.md", "starts-kl": DOCS / "known-starts.md"}
MODELS = lm.HERE.parent / "models" / "results"
WAYS = {"old": "November", "plain": "plain", "start": "start", "calibrated": "calibrated", "own": "by itself", "tuned": "tuned"}
# A way, what it is compared with, the largest mean and the largest ratio that we want.
GOALS = (
    ("plain", "old", 0.5, 0.8),
    ("own", "old", 0.35, None),
    ("own", "plain", None, 1.02),
    ("tuned", "old", 0.15, None),
    ("start", "plain", None, 1.02),
    ("calibrated", "plain", None, 1.02),
    ("tuned", "plain", None, 1.02),
)
Rows = dict[tuple[str, str], dict[str, dict]]


def gather() -> Rows:
    """Of each adapter and rate the lines of results by way."""
    rows: Rows = defaultdict(dict)
    kept = {path.stem for path in lm.DATA.glob("*.lqa")} | {path.stem for path in summarize.EARLIER.glob("*.jsonl")}
    for name in sorted(kept):
        for way, folder in (("old", summarize.EARLIER), ("plain", lm.RESULTS)):
            path = folder / f"{name}.jsonl"
            for encoding, line in summarize.read(path).items() if path.is_file() else ():
                if found := re.fullmatch(r"rd ([\d.]+) floor 0", encoding):
                    rows[name, found[1]][way] = line
    for line in lm.json_lines(lm.RESULTS / "tuned.jsonl"):
        if line["kind"] in WAYS:
            rows[line["name"], line["bits"]].setdefault(line["kind"], line)
    begun = [line | {"name": f"young {line['name']}", "kl_items": line["items"], "way": line["start"]} for line in lm.json_lines(YOUNG) if line["label"] == "main"]
    tried = [line | {"name": f"{line['name']}, {line['items']} items", "way": line["trial"]} for line in lm.json_lines(MODELS / "trials.jsonl") if line["name"] not in kept]
    ways_of = {"none": "plain", "plain": "plain", "seed": "start", "start": "start", "November": "old", "own texts": "own", "tuned": "tuned"}
    for line in [*begun, *tried]:
        if line["way"] in ways_of:
            rows[line["name"], line["bits"]][ways_of[line["way"]]] = line
    for ways in rows.values():
        # The start is not used.
        if "start" in ways and ways["start"]["kl_items"] == ways["plain"]["kl_items"]:
            del ways["start"]
    for path in sorted(MODELS.glob("*-s[0-9].jsonl")):
        lines = lm.json_lines(path)
        names = {line.get("encoding") for line in lines}
        scored: dict[str, dict[str, dict]] = defaultdict(dict)
        for line in lines:
            if "item" in line:
                scored[line["weights"]][line["item"]] = line
        for line in lines:
            found = re.fullmatch(r"lqa ([\d.]+)(?: (calibrated|plain|tuned))?", line.get("encoding", ""))
            own = scored[line["weights"]]
            if found and own.keys() == scored[line["of"]].keys():
                kl = [own[item]["kl"] for item in sorted(own)]
                # Where the default has no start, there is no other encoding without one.
                usual = "start" if f"lqa {found[1]} plain" in names else "plain"
                rows[path.stem, found[1]][found[2] or usual] = {"kl": sum(kl) / sum(one["tokens"] for one in own.values()), "kl_items": kl}
    return {key: ways for key, ways in sorted(rows.items()) if len(ways) > 1 and "plain" in ways}


def table(rows: Rows) -> list[str]:
    shown = [way for way in WAYS if any(way in ways for ways in rows.values())]
    lines = [f"| adapter | bits | {' | '.join(WAYS[way] for way in shown)} | plain / November | start / plain |", "|---" * (len(shown) + 4) + "|"]
    for (name, bits), ways in rows.items():
        figures = " | ".join(f"{ways[way]['kl']:.2g}" if way in ways else "" for way in shown)
        lines.append(f"| {name} | {bits} | {figures} | {ratio(ways, 'plain', 'old')} | {ratio(ways, 'start', 'plain')} |")
    return lines


def ratio(ways: dict[str, dict], way: str, other: str) -> str:
    """KL of one way over that of another, with an interval if single items are known."""
    if way not in ways or other not in ways:
        return ""
    text = f"{ways[way]['kl'] / ways[other]['kl']:.2f}"
    items = [ways[each].get("kl_items") for each in (way, other)]
    if None in items:
        return text
    low, high = interval(*items)
    return f"{text} ({low:.2f}–{high:.2f})"


def goals(rows: Rows) -> list[str]:
    lines = ["| KL of | relative to | pairs | geometric mean | least to most | goal | reached |", "|---" * 7 + "|"]
    for way, other, mean, most in GOALS:
        found = [(ways[way]["kl"] / ways[other]["kl"], key) for key, ways in rows.items() if way in ways and other in ways]
        wanted = " and ".join([f"mean ≤ {mean}"] * (mean is not None) + [f"each ≤ {most}"] * (most is not None))
        if not found:
            lines.append(f"| {WAYS[way]} | {WAYS[other]} | 0 | | | {wanted} | not measured |")
            continue
        ratios = [one for one, _ in found]
        above = sum(one > most for one in ratios) if most is not None else 0
        said = [] if mean is None else ["mean yes" if geometric_mean(ratios) <= mean else "mean no"]
        said += [f"{above} of {len(found)} above" if above else "each yes"] * (most is not None)
        figures = f"{geometric_mean(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| {WAYS[way]} | {WAYS[other]} | {len(found)} | {figures} | {wanted} | {', '.join(said)} |")
    return lines


def starts(rows: Rows) -> list[str]:
    """What starts save: KL at equal bits, and bits at the KL of plain between rates of the start, where lines join the logarithms of KL."""
    both: dict[str, dict[str, dict]] = defaultdict(dict)
    for (name, bits), ways in rows.items():
        if "start" in ways:
            both[name][bits] = ways
    rates = sorted({bits for own in both.values() for bits in own}, key=float)
    heads = [f"KL at {rates[0]} bits", *rates[1:], f"bytes for the KL of {rates[1]} bits", *rates[2:-1]]
    lines = [f"| adapter | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name, own in sorted(both.items(), key=lambda each: ("-s0" not in each[0], each[0])):
        cells = [f"{own[bits]['start']['kl'] / own[bits]['plain']['kl']:.2f}" if bits in own else "–" for bits in rates]
        curve = sorted((float(bits), math.log(ways["start"]["kl"])) for bits, ways in own.items())
        for bits in rates[1:-1]:
            wanted = math.log(own[bits]["plain"]["kl"]) if bits in own else math.inf
            found = [x + (y - x) * (wanted - u) / (v - u) for (x, u), (y, v) in pairwise(curve) if v <= wanted <= u]
            cells.append(f"{found[0] / float(bits):.2f}" if found else "–")
        lines.append(f"| {name.removeprefix('young ').partition(',')[0]} | {' | '.join(cells)} |")
    return lines


def write(part: str, lines: list[str]) -> None:
    """Replaces a part of its page, which stands between two comments."""
    page: Path = PAGES[part]
    begin, end = f"<!-- generated:{part} -->\n", f"<!-- /generated:{part} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of every way to encode, over all adapters.")
    parser.add_argument("--write", action="store_true", help="put them into the documentation")
    put: Callable[[str, list[str]], None] = write if parser.parse_args().write else lambda _, lines: print("\n".join(lines), end="\n\n")
    rows = gather()
    put("families", table(rows))
    put("goals", goals(rows))
    put("starts-kl", starts(rows))


if __name__ == "__main__":
    main()
