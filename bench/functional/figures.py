"""Draws results/ into docs/: python figures.py

functional-rate.svg    what is lost of the fine-tuning gain at which bits on disk, a panel a task and
                       shape: the seed with the most encodings joined, the others small
functional-tuned.svg   what calibrating and tuning change, at which bits on disk (see tuned.py)
"""

import math
from collections.abc import Iterable
from pathlib import Path

import lm
import summarize
import tasks

DOCS = lm.HERE.parents[1] / "docs"

# Family of encodings: how its names start (and end), colour, whether points are joined.
FAMILIES = (
    ("rd", lambda e: e.startswith("rd"), "#0b6e4f", True),
    ("LoRAQuant, refined", lambda e: e.endswith("code search"), "#c8553d", True),
    ("LoRAQuant, plain", lambda e: e.endswith("code none"), "#e8a598", True),
    ("rtn", lambda e: e.startswith("rtn"), "#555555", True),
    ("sign", lambda e: e == "sign", "#000000", False),
)
# The same for functional-tuned.svg: kinds of tuned.py, then families of results/ and of results/earlier/.
TUNED = (
    ("tuned", "#0b6e4f"),
    ("calibrated", "#4b9cd3"),
    ("rd", "#444444"),
    ("rd of 2026-11-25", "#aaaaaa"),
    ("LoRAQuant at its best", "#c8553d"),
)
WIDTH, HEIGHT, LEFT, BOTTOM = 300, 230, 52, 40


class Panel:
    """Axes with points; y is logarithmic, x where `log_x`."""

    def __init__(self, title: str, x: tuple[float, float], y: tuple[float, float], log_x: bool, labels):
        self.ends = [tuple(map(math.log10, x)) if log_x else x, tuple(map(math.log10, y))]
        self.log_x = log_x
        self.parts = [f'<text x="{WIDTH / 2}" y="14" class="t">{title}</text>']
        x_label, y_label = labels
        right, low = WIDTH - 8, HEIGHT - BOTTOM
        for tick in self.ticks(0, log_x):
            at = self.x(tick)
            self.parts.append(f'<path d="M{at:.1f} 22V{low}" class="g"/>')
            self.parts.append(f'<text x="{at:.1f}" y="{low + 13}" class="m">{tick:g}</text>')
        for tick in self.ticks(1, True):
            at = self.y(tick)
            self.parts.append(f'<path d="M{LEFT} {at:.1f}H{right}" class="g"/>')
            self.parts.append(f'<text x="{LEFT - 4}" y="{at + 3:.1f}" class="e">{self.share(tick)}</text>')
        self.parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" class="m">{x_label}</text>')
        middle = (22 + low) / 2
        self.parts.append(f'<text transform="translate(10 {middle}) rotate(-90)" class="m">{y_label}</text>')

    @staticmethod
    def share(tick: float) -> str:
        return f"{tick:g}"

    def ticks(self, axis: int, log: bool) -> Iterable[float]:
        low, high = self.ends[axis]
        if log:
            return [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
        return [value for value in range(math.ceil(low), math.floor(high) + 1)]

    def x(self, value: float) -> float:
        low, high = self.ends[0]
        value = math.log10(value) if self.log_x else value
        return LEFT + (value - low) / (high - low) * (WIDTH - 8 - LEFT)

    def y(self, value: float) -> float:
        low, high = self.ends[1]
        return HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - BOTTOM - 22)

    def add(self, points: list[tuple[float, float]], color: str, joined: bool, radius: float = 2.6) -> None:
        low, high = (10**end for end in self.ends[1])
        places = [(self.x(a), self.y(min(max(b, low), high))) for a, b in sorted(points)]
        if joined and len(places) > 1:
            line = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
            self.parts.append(f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="1.2"/>')
        self.parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius}" fill="{color}"/>' for a, b in places]


# Colors that a dark page needs lighter.
DARK = {"#0b6e4f": "#4fd0a2", "#c8553d": "#ff9a80", "#555555": "#a5adb8", "#000000": "#ffffff", "#4b9cd3": "#74bdf0", "#444444": "#d0d6dd"}


def _dark() -> str:
    return "".join(f"[fill='{light}']{{fill:{dark}}}[stroke='{light}']{{stroke:{dark}}}" for light, dark in DARK.items())


def sheet(panels: list[Panel], columns: int, legend=tuple((name, color) for name, _, color, _ in FAMILIES)) -> str:
    rows = math.ceil(len(panels) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + 20 * math.ceil(len(legend) / columns / 2) + 10
    body = []
    for index, panel in enumerate(panels):
        at = f"translate({index % columns * WIDTH} {index // columns * HEIGHT})"
        body.append(f'<g transform="{at}">{"".join(panel.parts)}</g>')
    for index, (name, color) in enumerate(legend):
        x = index % (2 * columns) * WIDTH / 2 + 14
        y = rows * HEIGHT + 20 * (index // (2 * columns)) + 12
        body.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>')
        body.append(f'<text x="{x + 9}" y="{y + 4}" class="l">{name}</text>')
    style = (
        "text{font:10px system-ui,sans-serif;fill:#222}.t{font-size:12px;text-anchor:middle}"
        ".m{text-anchor:middle}.e{text-anchor:end}.l{font-size:11px}.g{stroke:#ddd;stroke-width:.7}"
    )
    style += f"@media(prefers-color-scheme:dark){{text{{fill:#c4cbd4}}.g{{stroke:#363d47}}[fill='#fff']{{fill:#1b1b1f}}{_dark()}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def rate(name: str, seeds: list[list[dict]]) -> Panel:
    """Gain lost at which bits, of all seeds of a task and shape."""
    panel = Panel(name, (0.2, 4.2), (1e-5, 1.0), False, ("bits per weight on disk", "share of the gain lost"))
    for index, lines in enumerate(sorted(seeds, key=len, reverse=True)):
        for _, belongs, color, joined in FAMILIES:
            points = [(v["bits_on_disk"], 1 - v["nll_kept"]) for v in lines if belongs(v["encoding"])]
            panel.add(points, color, joined and index == 0, 2.6 if index == 0 else 1.6)
    return panel


# The adapter of which every kind was made at several rates.
SHOWN = "number-words-r8-qv-s0"
LABELS = ("KL divergence, nats", "share of right answers lost")


def groups(name: str) -> dict[str, list[dict]]:
    """Scores of an adapter by what TUNED has."""
    own = [line for line in lm.json_lines(lm.RESULTS / "tuned.jsonl") if line["name"] == name]
    scored = summarize.read(lm.RESULTS / f"{name}.jsonl")
    earlier = lm.json_lines(summarize.EARLIER / f"{name}.jsonl")
    best: dict[str, dict] = {}
    for encoding, line in scored.items():
        key = " ".join(encoding.split()[:2])
        if encoding.startswith("loraquant") and (key not in best or line["kl"] < best[key]["kl"]):
            best[key] = line
    rd = [line for line in scored.values() if line["encoding"].startswith("rd ")]
    old = [line for line in earlier if line["encoding"].startswith("rd ") and line["encoding"].endswith(" floor 0")]
    found = {"rd": rd, "rd of 2026-11-25": old, "LoRAQuant at its best": list(best.values())}
    found |= {kind: [line for line in own if line["kind"] == kind] for kind in ("tuned", "calibrated")}
    right = scored["f16"].get("exact")
    return {
        group: [line | {"lost": 1 - line["exact"] / right if right else math.nan, "at": line.get("bits_on_disk") or float(line["bits"])} for line in lines]
        for group, lines in found.items()
    }


def tuned() -> list[Panel]:
    """The divergence and the right answers lost: of one adapter, and in the mean of all that were calibrated at the same rates."""
    panels = []
    for label, key, ends in zip(LABELS, ("kl", "lost"), ((1e-4, 10.0), (1e-2, 1.0))):
        panel = Panel(SHOWN, (0.2, 2.6), ends, False, ("bits per weight on disk", label))
        found = groups(SHOWN)
        for group, color in reversed(TUNED):
            panel.add([(line["at"], line[key]) for line in found[group] if line["at"] < 2.6], color, True)
        panels.append(panel)
    rates: dict[str, set[str]] = {}
    for line in lm.json_lines(lm.RESULTS / "tuned.jsonl"):
        if line["kind"] == "calibrated":
            rates.setdefault(line["name"], set()).add(line["bits"])
    names = sorted(name for name in rates if len(rates[name]) == max(map(len, rates.values())))
    everything = [groups(name) for name in names]
    panel = Panel(f"geometric mean of {len(names)} adapters", (0.2, 2.6), (1e-4, 10.0), False, ("bits per weight on disk", LABELS[0]))
    for group, color in reversed(TUNED):
        points: dict[str, list[dict]] = {}
        for own in everything:
            for line in own[group]:
                points.setdefault(" ".join(line.get("encoding", line.get("bits", "")).split()[:2]), []).append(line)
        full = [lines for lines in points.values() if len(lines) == len(names)]
        means = [
            (sum(line["at"] for line in lines) / len(lines), math.exp(sum(math.log(max(line["kl"], 1e-9)) for line in lines) / len(lines)))
            for lines in full
        ]
        panel.add([(at, kl) for at, kl in means if at < 2.6], color, True)
    return [*panels, panel]


def series() -> dict[str, dict[str, list[dict]]]:
    """Task and shape -> adapter -> its lossy encodings."""

    def read(path: Path) -> list[dict]:
        return [line for encoding, line in summarize.read(path).items() if encoding not in summarize.FIRST]

    members = summarize.results(summarize.adapters_of(tasks.FIRST))
    return {name: {adapter: read(path) for adapter, path in own.items()} for name, own in members.items()}


def main() -> None:
    panels = [rate(f"{name} × {len(seeds)}", list(seeds.values())) for name, seeds in series().items()]
    (DOCS / "functional-rate.svg").write_text(sheet(panels, 3), encoding="utf-8")
    (DOCS / "functional-tuned.svg").write_text(sheet(tuned(), 3, TUNED), encoding="utf-8")
    print(*(DOCS / f"functional-{name}.svg" for name in ("rate", "tuned")), sep="\n")


if __name__ == "__main__":
    main()
