"""Prints results/ as Markdown tables: python summarize.py [TEXT ...] (adapters that start so)

One table an adapter; then, for every task and shape with several seeds, the mean over seeds
of each figure, with the smallest and the largest.
"""

import json
import re
import sys
from pathlib import Path

import lm

def percent(digits: int):
    return lambda value: f"{100 * value:.{digits}f} %"


# Title, where it is in a line, how it is written.
COLUMNS = (
    ("bits on disk", "bits_on_disk", "{:.3f}".format),
    ("weight error", "weight", "{:.4f}".format),
    ("mean of modules", "weight_mean", "{:.4f}".format),
    ("output error", "output_mean", "{:.5f}".format),
    ("exact", "exact", percent(1)),
    ("nll", "nll", "{:.4f}".format),
    ("kl", "kl", "{:.5f}".format),
    ("nll kept", "nll_kept", percent(2)),
    ("exact kept", "exact_kept", percent(1)),
)


def order(name: str) -> tuple[int, str]:
    """Base, trained, f16, then by name."""
    first = ("base", "trained", "f16")
    return (first.index(name) if name in first else len(first), name)


def read(path: Path) -> dict[str, dict]:
    """Encoding -> figures, of the newest adapter that the file has; refused ones are left out."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    newest = [line for line in lines if line["adapter"] == lines[-1]["adapter"]]
    return {line["encoding"]: line | line.get("errors", {}) for line in newest if "refused" not in line}


def markdown(rows: list[list[str]]) -> str:
    head = ["encoding", *(title for title, _, _ in COLUMNS)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def one(adapter: dict[str, dict]) -> str:
    def cell(line: dict, name: str, write) -> str:
        interval = line.get(f"{name}_interval")
        between = f" ({write(interval[0])} to {write(interval[1])})" if interval and name != "nll" else ""
        return write(line[name]) + between if name in line else ""

    return markdown([[e, *(cell(adapter[e], *c[1:]) for c in COLUMNS)] for e in sorted(adapter, key=order)])


def several(adapters: list[dict[str, dict]]) -> str:
    """Only encodings that all seeds have."""
    rows = []
    for encoding in sorted(set.intersection(*(set(adapter) for adapter in adapters)), key=order):
        row = [encoding]
        for _, name, write in COLUMNS:
            values = [a[encoding][name] for a in adapters if name in a[encoding]]
            ends = f" ({write(min(values))} to {write(max(values))})" if values else ""
            row.append(write(sum(values) / len(values)) + ends if values else "")
        rows.append(row)
    return markdown(rows)


def main() -> None:
    series: dict[str, list[dict[str, dict]]] = {}
    for path in sorted(lm.RESULTS.glob("*.jsonl")):
        name = path.stem
        if name == "generated" or (
            sys.argv[1:] and not name.startswith(tuple(sys.argv[1:]))
        ):
            continue
        adapter = read(path)
        print(f"### {name}\n\n{one(adapter)}\n")
        if match := re.fullmatch(r"(.+)-s\d+", name):
            series.setdefault(match[1], []).append(adapter)
    for name, adapters in series.items():
        if len(adapters) > 1:
            print(f"### {name}: mean of {len(adapters)} seeds (least to most)\n\n{several(adapters)}\n")


if __name__ == "__main__":
    main()
