"""Prints results/ as Markdown: python summarize.py [--write] [TEXT ...] (adapters that start so)

One table an adapter, by bits on disk; then, for every task and shape with several seeds, the
mean over seeds of each figure, with the smallest and the largest; of exact matches with an
interval over seeds and items. `--write` puts the tables of one adapter each into tables.md, and
the others, with a summary, where docs/results.md has its marks.
"""

import argparse
import re
from pathlib import Path

import lm

import numpy

DOCUMENT = lm.HERE.parents[1] / "docs" / "results.md"
SINGLE = lm.HERE / "tables.md"
MARKS = ("<!-- tables -->", "<!-- /tables -->")
FIRST = ("base", "trained", "f16")
RESAMPLES = 2000


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
    lines = lm.json_lines(path)
    newest = [line for line in lines if line["adapter"] == lines[-1]["adapter"] and "refused" not in line]
    figures = ({"perplexity": 2.718281828459045 ** line["nll"]} | line for line in newest)
    return {line["encoding"]: line | line.get("errors", {}) for line in figures}


def refused(path: Path) -> list[str]:
    lines = lm.json_lines(path)
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


def interval(figure: str, lines: list[dict], references: list[dict]) -> tuple[float, float] | None:
    """95 % of the mean over seeds of `exact` or `exact_kept`: seeds and items are drawn anew, the same items of every seed."""
    if figure not in ("exact", "exact_kept"):
        return None
    right, whole = (
        numpy.array([[int(c) for c in line["exact_items"]] for line in rows], float) for rows in (lines, references)
    )
    rng = numpy.random.default_rng(0)
    seeds, items = right.shape
    drawn = []
    for _ in range(RESAMPLES):
        at = numpy.ix_(rng.integers(0, seeds, seeds), rng.integers(0, items, items))
        hits = right[at].mean(1)
        drawn.append((hits / whole[at].mean(1) if figure == "exact_kept" else hits).mean())
    low, high = numpy.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def several(adapters: list[dict[str, dict]]) -> str:
    """Only encodings that all seeds have."""
    shared = set.intersection(*(set(adapter) for adapter in adapters))
    rows = []
    for encoding in sorted(shared, key=lambda name: order(name, adapters[0][name])):
        row = [encoding]
        lines = [a[encoding] for a in adapters]
        for _, name, write, _ in COLUMNS:
            if any(name not in line for line in lines):
                row.append("")
                continue
            values = [line[name] for line in lines]
            ends = interval(name, lines, [a["f16"] for a in adapters]) or (min(values), max(values))
            row.append(f"{write(sum(values) / len(values))} ({write(ends[0])} to {write(ends[1])})")
        rows.append(row)
    return markdown(rows)


def results(starts: tuple[str, ...] = ()) -> dict[str, dict[str, Path]]:
    """Task and shape -> adapter -> its file; an adapter without seeds stands for itself."""
    series: dict[str, dict[str, Path]] = {}
    for path in sorted(lm.RESULTS.glob("*-*.jsonl")):
        if not starts or path.stem.startswith(starts):
            series.setdefault(re.sub(r"-s\d+$", "", path.stem), {})[path.stem] = path
    return series


def single(name: str, path: Path, marks: str) -> list[str]:
    impossible = refused(path)
    note = [f"Not possible at this floor: {', '.join(impossible)}."] if impossible else []
    return [f"{marks} {name}", one(read(path)), *note]


def singles(starts: tuple[str, ...] = ()) -> str:
    files = (item for members in results(starts).values() for item in members.items())
    return "\n\n".join(part for name, path in files for part in single(name, path, "##"))


def together(starts: tuple[str, ...] = ()) -> str:
    parts: list[str] = []
    for name, members in results(starts).items():
        adapters = [read(path) for path in members.values()]
        if len(adapters) > 1:
            parts += [f"### {name}: mean of {len(adapters)} seeds", several(adapters)]
        elif name in members:
            parts += single(name, members[name], "###")
    return "\n\n".join(parts)


def summary() -> str:
    """Gain and exact answers kept, mean over seeds, of encodings that all adapters have."""
    series = {name: [read(path) for path in members.values()] for name, members in results().items()}
    everything = [adapter for adapters in series.values() for adapter in adapters]
    shared = set.intersection(*(set(adapter) for adapter in everything)) - {"base", "f16", "trained"}
    titles = (f"{name} × {len(adapters)}" if len(adapters) > 1 else name for name, adapters in series.items())
    rows = [["encoding", *titles], ["---"] * (len(series) + 1)]
    for encoding in sorted(shared, key=lambda name: order(name, everything[0][name])):
        cells = []
        for adapters in series.values():
            kept, exact, bits = (
                sum(a[encoding][figure] for a in adapters) / len(adapters) for figure in ("nll_kept", "exact_kept", "bits_on_disk")
            )
            cells.append(f"{percent(2)(kept)}, {percent(1)(exact)} at {bits:.2f} bits")
        rows.append([encoding, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print results as tables.")
    parser.add_argument("starts", nargs="*", metavar="TEXT", help="adapters that start so")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    args = parser.parse_args()
    starts = tuple(args.starts)
    if not args.write:
        print(f"{singles(starts)}\n\n{together(starts)}")
        return
    SINGLE.write_text(
        "# Every score of every adapter\n\nWritten by `summarize.py --write` from `results/`; "
        f"[docs/results.md](../../docs/results.md) says what the columns are.\n\n{singles()}\n",
        encoding="utf-8",
    )
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n\n{summary()}\n\n{together()}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
