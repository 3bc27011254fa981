"""Prints results/ as Markdown: python summarize.py [--write] [TEXT ...] (adapters that start so)

One table an adapter, by bits on disk; then, for every task and shape with several seeds, the
mean over seeds of each figure, with the smallest and the largest. `--write` puts the tables
where docs/results.md has its marks, after a summary of all adapters.
"""

import argparse
import json
import re
from pathlib import Path

import lm

DOCUMENT = lm.HERE.parents[1] / "docs" / "results.md"
MARKS = ("<!-- tables -->", "<!-- /tables -->")
FIRST = ("base", "trained", "f16")


def percent(digits: int):
    return lambda value: f"{100 * value:.{digits}f} %"


# Title, where it is in a line, how it is written, whether its interval is.
COLUMNS = (
    ("bits on disk", "bits_on_disk", "{:.3f}".format, False),
    ("weight error", "weight", "{:.4f}".format, False),
    ("mean over modules", "weight_mean", "{:.4f}".format, False),
    ("gain", "gain", "{:.3f}".format, False),
    ("functional error", "functional", "{:.4f}".format, False),
    ("KL, nats", "kl", "{:.5f}".format, True),
    ("perplexity", "perplexity", "{:.4f}".format, False),
    ("gain kept", "nll_kept", percent(2), True),
    ("exact", "exact", percent(1), True),
    ("exact kept", "exact_kept", percent(1), True),
)


def order(name: str, line: dict) -> tuple:
    """Base, trained, f16, then by bits."""
    return (FIRST.index(name) if name in FIRST else len(FIRST), line.get("bits_on_disk", 0), name)


def read(path: Path) -> dict[str, dict]:
    """Encoding -> figures, of the newest adapter that the file has; refused ones are left out."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    newest = [line for line in lines if line["adapter"] == lines[-1]["adapter"] and "refused" not in line]
    figures = ({"perplexity": 2.718281828459045 ** line["nll"]} | line for line in newest)
    return {line["encoding"]: line | line.get("errors", {}) for line in figures}


def refused(path: Path) -> list[str]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line["encoding"] for line in lines if "refused" in line and line["adapter"] == lines[-1]["adapter"]]


def markdown(rows: list[list[str]]) -> str:
    head = ["encoding", *(column[0] for column in COLUMNS)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def one(adapter: dict[str, dict]) -> str:
    def cell(line: dict, name: str, write, with_interval: bool) -> str:
        if name not in line:
            return ""
        interval = line.get(f"{name}_interval") if with_interval else None
        return write(line[name]) + (f" ({write(interval[0])} to {write(interval[1])})" if interval else "")

    names = sorted(adapter, key=lambda name: order(name, adapter[name]))
    return markdown([[name, *(cell(adapter[name], *column[1:]) for column in COLUMNS)] for name in names])


def several(adapters: list[dict[str, dict]]) -> str:
    """Only encodings that all seeds have."""
    shared = set.intersection(*(set(adapter) for adapter in adapters))
    rows = []
    for encoding in sorted(shared, key=lambda name: order(name, adapters[0][name])):
        row = [encoding]
        for _, name, write, _ in COLUMNS:
            values = [a[encoding][name] for a in adapters if name in a[encoding]]
            ends = f" ({write(min(values))} to {write(max(values))})" if values else ""
            row.append(write(sum(values) / len(values)) + ends if values else "")
        rows.append(row)
    return markdown(rows)


def report(starts: tuple[str, ...]) -> str:
    parts: list[str] = []
    series: dict[str, list[dict[str, dict]]] = {}
    for path in sorted(lm.RESULTS.glob("*-*.jsonl")):
        name = path.stem
        if starts and not name.startswith(starts):
            continue
        adapter = read(path)
        parts += [f"### {name}", one(adapter)]
        if impossible := refused(path):
            parts.append(f"Not possible at this floor: {', '.join(impossible)}.")
        if match := re.fullmatch(r"(.+)-s\d+", name):
            series.setdefault(match[1], []).append(adapter)
    for name, adapters in series.items():
        if len(adapters) > 1:
            parts += [f"### {name}: mean of {len(adapters)} seeds (least to most)", several(adapters)]
    return "\n\n".join(parts)


def summary() -> str:
    """Gain and exact answers kept, encodings that all adapters have."""
    paths = [path for path in sorted(lm.RESULTS.glob("*-*.jsonl"))]
    adapters = [read(path) for path in paths]
    shared = set.intersection(*(set(adapter) for adapter in adapters)) - {"base", "f16"}
    rows = [["encoding", *(path.stem for path in paths)], ["---"] * (len(paths) + 1)]
    for name in sorted(shared, key=lambda name: order(name, adapters[0][name])):
        lines = [adapter[name] for adapter in adapters]
        rows.append(
            [name, *(f"{percent(2)(l['nll_kept'])}, {percent(1)(l['exact_kept'])} at {l['bits_on_disk']:.2f} bits" for l in lines)]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print results as tables.")
    parser.add_argument("starts", nargs="*", metavar="TEXT", help="adapters that start so")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    args = parser.parse_args()
    tables = report(tuple(args.starts))
    if not args.write:
        print(tables)
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n\n{summary()}\n\n{tables}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
