"""What a change of the encoder did: python recoded.py

Encodings that were scored with the encoder of 2026-11-25 (results/earlier/) and with today's, as a table of Markdown: for each,
the ratio of the KL divergences over the adapters that have both, and the right answers of all of them together.
"""

from collections import defaultdict
from statistics import geometric_mean

import summarize


def row(name: str, pairs: list[tuple[dict, dict]]) -> str:
    ratios = [new["kl"] / old["kl"] for old, new in pairs]
    mean = geometric_mean(ratios)
    right = [sum(line["exact_items"].count("1") for line in lines) for lines in zip(*pairs)]
    total = sum(new["items"] for _, new in pairs)
    return f"| {name} | {len(pairs)} | {mean:.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {right[0]} | {right[1]} of {total} |"


def main() -> None:
    found = defaultdict(list)
    for path in sorted(summarize.EARLIER.glob("*.jsonl")):
        before, now = summarize.read(path), summarize.read(path.parents[1] / path.name)
        for encoding in before.keys() & now.keys():
            found[encoding].append((before[encoding], now[encoding]))
    print("| encoding | adapters | KL now / before, geometric mean | least and most | right before | right now |")
    print("|---|---|---|---|---|---|")
    for encoding in sorted(found, key=lambda name: found[name][0][1]["bits_on_disk"]):
        print(row(encoding, found[encoding]))
    print(row("all", [pair for pairs in found.values() for pair in pairs]))


if __name__ == "__main__":
    main()
