"""Draws the chart of the README from results/: python front.py

docs/images/answers.svg   right answers kept, mean over the seven adapters with all encodings (three tasks × two shapes, and
                          the example), against bits per weight on disk, both means
"""

import math
from collections import defaultdict
from pathlib import Path

import lm
import summarize
import table as encodings

PATH = lm.HERE.parents[1] / "docs" / "images" / "answers.svg"
RATES = (0.5, 0.75, "1.0")
VARIANTS = [f"loraquant {variant} {rule}" for variant in ("2@0.8", "2@0.9", "3@0.9") for rule in ("code", "text")]
WAYS = [refine + gain for refine in ("none", "search") for gain in ("", encodings.GAIN)]
# Name, encodings (of each group the best), which point the name is next to, and where. Colours are in STYLE, by number.
FAMILIES = (
    ("lqa, calibrated", [[f"calibrated {bits}"] for bits in RATES], 0, (-20, -22)),
    ("lqa", [[f"rd {bits} floor 0"] for bits in (0.35, *RATES, 1.5, 2.5, "4.0")], 1, (-42, -6)),
    ("LoRAQuant at its best", [[f"{one} {way}" for way in WAYS] for one in VARIANTS], 0, (-30, 24)),
    ("rounding, 2 and 3 bits", [["rtn 2"], ["rtn 3"]], 0, (10, 16)),
    ("16-bit", [["f16"]], 0, (-46, 24)),
)
STYLE = (
    "text{font:15px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#3a4048}.m{text-anchor:middle}.e{text-anchor:end}.n{font-weight:600}"
    ".ground{fill:#fff}.g{stroke:#d5dae0}path{fill:none;stroke-width:2.5}path.g{stroke-width:1}"
    ".c0{stroke:#2b7fb8}.p0{fill:#2b7fb8}.c1{stroke:#0b6e4f}.p1{fill:#0b6e4f}.c2{stroke:#b8452d}.p2{fill:#b8452d}"
    ".c3{stroke:#666}.p3{fill:#666}.c4{stroke:#222}.p4{fill:#222}"
    "@media(prefers-color-scheme:dark){text{fill:#c4cbd4}.ground{fill:#1b1b1f}.g{stroke:#363d47}"
    ".c0{stroke:#74bdf0}.p0{fill:#74bdf0}.c1{stroke:#4fd0a2}.p1{fill:#4fd0a2}.c2{stroke:#ff9a80}.p2{fill:#ff9a80}"
    ".c3{stroke:#a5adb8}.p3{fill:#a5adb8}.c4{stroke:#fff}.p4{fill:#fff}}"
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 346, 70, 16, 34, 54
BITS = (0.3, 20)


def means() -> dict[str, tuple[float, float]]:
    """Of each encoding that all these adapters have: bits per weight on disk, and share of the right answers kept."""
    found = defaultdict(list)
    adapters = summarize.in_full()
    for adapter in adapters.values():
        for name, line in adapter.items():
            if "bits_on_disk" in line:
                found[name].append((line["bits_on_disk"], line["exact_kept"]))
    for (name, bits), line in summarize.calibrated().items():
        if name in adapters:
            found[f"calibrated {bits}"].append((float(bits), line["exact"] / adapters[name]["f16"]["exact"]))
    most = max(map(len, found.values()))
    return {
        name: tuple(sum(values) / most for values in zip(*points))
        for name, points in found.items()
        if len(points) == most
    }


def best(found: dict[str, tuple[float, float]], groups: list[list[str]]) -> list[str]:
    """Of each group the encoding with the most right answers."""
    known = ([name for name in group if name in found] for group in groups)
    return [max(names, key=lambda name: found[name][1]) for names in known if names]


def x(bits: float) -> float:
    low, high = map(math.log2, BITS)
    return LEFT + (math.log2(bits) - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def chart(found: dict[str, tuple[float, float]]) -> str:
    parts = []
    for bits in (0.5, 1, 2, 4, 8, 16):
        parts.append(f'<path d="M{x(bits):.1f} {TOP}V{HEIGHT - BOTTOM}" class="g"/>')
        parts.append(f'<text x="{x(bits):.1f}" y="{HEIGHT - BOTTOM + 20}" class="m">{bits:g}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{WIDTH - RIGHT}" class="g"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 5:.1f}" class="e">{share:.0%}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" class="m">bits per weight in the file</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" class="m">right answers kept</text>')
    for number, (name, groups, at, (right, down)) in enumerate(FAMILIES):
        points = sorted((x(bits), y(share)) for bits, share in (found[e] for e in best(found, groups)))
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path d="M{line}" class="c{number}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5" class="p{number}"/>' for a, b in points]
        a, b = points[at]
        parts.append(f'<text x="{a + right:.1f}" y="{b + down:.1f}" class="n p{number}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="Right answers kept against bits per weight"><style>{STYLE}</style>'
        f'<rect class="ground" width="100%" height="100%" rx="10"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    found = means()
    for _, groups, *_ in FAMILIES:
        for name in best(found, groups):
            print(f"{name}: {found[name][0]:.2f} bits, {found[name][1]:.1%} of the answers")
    PATH.write_text(chart(found), encoding="utf-8")
    print(PATH)
