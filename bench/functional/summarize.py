"""Prints results/ as Markdown: python summarize.py [--write] [TEXT ...] (adapters that start so)

One table of what is kept, for the adapters that were scored in full; then one of each adapter, by bits on disk. `--write` puts all of
them into tables.md.
"""

import argparse
import re
from pathlib import Path

import lm
import references
import tasks

SINGLE = lm.HERE / "tables.md"
EARLIER = lm.RESULTS / "earlier"  # what encoders before today's were scored with
HEAD = """# Every score of every adapter

Written by `summarize.py --write` from `results/`.

*weight error*: ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules; *functional error*: the same of what modules give out for training items; *gain*:
⟨ΔW, ΔŴ⟩ / ‖ΔW‖²; *KL*: of next-token distributions to those of the f16 adapter. The first table has the share of the gain and of the right
answers kept, of the adapters that were scored in full."""
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
    ("likeliest token kept", "same", percent(1), True),
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
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest])


def one(adapter: dict[str, dict]) -> str:
    def cell(line: dict, name: str, write, with_interval: bool) -> str:
        if name not in line:
            return ""
        interval = line.get(f"{name}_interval") if with_interval else None
        return write(line[name]) + (f" ({write(interval[0])} to {write(interval[1])})" if interval else "")

    names = sorted(adapter, key=lambda name: order(name, adapter[name]))
    columns = [column for column in COLUMNS if any(column[1] in line for line in adapter.values())]
    head = ["encoding", *(column[0] for column in columns)]
    return markdown([head, *([name, *(cell(adapter[name], *column[1:]) for column in columns)] for name in names)])


def adapters_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """How the names of adapters of these tasks start."""
    found = [name.replace("_", "-") for name in names]
    return (*(f"{name}-" for name in found), *(f"example-{name}" for name in found))


def results(starts: tuple[str, ...] = ()) -> dict[str, dict[str, Path]]:
    """Task and shape -> adapter -> its file; an adapter without seeds stands for itself."""
    series: dict[str, dict[str, Path]] = {}
    kept = references.names()
    for path in sorted(lm.RESULTS.glob("*-*.jsonl")):
        if path.stem in kept and (not starts or path.stem.startswith(starts)):
            series.setdefault(re.sub(r"-s\d+$", "", path.stem), {})[path.stem] = path
    return series


def single(name: str, path: Path, marks: str) -> list[str]:
    impossible = refused(path)
    note = [f"Not possible at this floor: {', '.join(impossible)}."] if impossible else []
    return [f"{marks} {name}", one(read(path)), *note]


def singles(starts: tuple[str, ...] = ()) -> str:
    files = (item for members in results(starts).values() for item in members.items())
    return "\n\n".join(part for name, path in files for part in single(name, path, "##"))


def in_full() -> dict[str, dict[str, dict]]:
    """The lines of each adapter of the first tasks that was scored in full: at low rates too."""
    adapters = {name: read(path) for members in results(adapters_of(tasks.FIRST)).values() for name, path in members.items()}
    return {name: lines for name, lines in adapters.items() if "rd 0.5 floor 0" in lines}


def calibrated() -> dict[tuple[str, str], dict]:
    """The calibrated encodings that tuned.py scored, by adapter and rate."""
    return {(line["name"], line["bits"]): line for line in lm.json_lines(lm.RESULTS / "tuned.jsonl") if line["kind"] == "calibrated"}


def summary() -> str:
    """Gain and right answers kept, of encodings that all these adapters have."""
    adapters = in_full()
    shared = set.intersection(*map(set, adapters.values())) - {"base", "f16", "trained"}
    first = next(iter(adapters.values()))
    rows = [["encoding", "bits on disk", *adapters]]
    for encoding in sorted(shared, key=lambda name: order(name, first[name])):
        lines = [adapter[encoding] for adapter in adapters.values()]
        bits = sum(line["bits_on_disk"] for line in lines) / len(lines)
        rows.append([encoding, f"{bits:.2f}", *(f"{percent(2)(line['nll_kept'])}, {percent(1)(line['exact_kept'])}" for line in lines)])
    return markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print results as tables.")
    parser.add_argument("starts", nargs="*", metavar="TEXT", help="adapters that start so")
    parser.add_argument("--write", action="store_true", help="put the tables into tables.md")
    args = parser.parse_args()
    starts = tuple(args.starts)
    if not args.write:
        print(f"{summary()}\n\n{singles(starts)}")
        return
    SINGLE.write_text(f"{HEAD}\n\n{summary()}\n\n{singles()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
