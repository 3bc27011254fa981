"""The picture of the pages: right answers kept against bits per weight in the file, a line for each method, as SVG.

A point is the mean over the adapters whose greedy answers are complete: all that have answers for every encoding shown. Thin lines are 95 %
intervals.
"""

import math

from summary import Summary

# Name, encodings, which point the name is next to, and where. Colours are in STYLE, by number.
METHODS = (
    ("lqa, calibrated", ("lqa 0.5 calibrated", "lqa 0.75 calibrated", "lqa 1.0 calibrated"), 0, (-20, -34)),
    ("lqa", ("lqa 0.5", "lqa 0.75", "lqa 1.0", "lqa 1.5", "lqa 2.5", "lqa 4.0"), -1, (-14, -26)),
    ("LoRAQuant", ("loraquant 2@0.8", "loraquant 2@0.9", "loraquant 3@0.9"), 0, (-20, 24)),
    ("rounding, 2 and 3 bits", ("rtn 2", "rtn 3"), 0, (10, 16)),
    ("NF4", ("nf4",), 0, (-10, 24)),
    ("FP8", ("fp8",), 0, (-14, 24)),
)
STYLE = (
    ".i{stroke-width:1.2;opacity:.45}.b{stroke-dasharray:4 4;stroke-width:1.5}text{font:15px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#3a4048}.m{text-anchor:middle}.e{text-anchor:end}.n{font-weight:600}"
    ".ground{fill:#fff}.g{stroke:#d5dae0}path{fill:none;stroke-width:2.5}path.g{stroke-width:1}"
    ".c0{stroke:#2b7fb8}.p0{fill:#2b7fb8}.c1{stroke:#0b6e4f}.p1{fill:#0b6e4f}.c2{stroke:#b8452d}.p2{fill:#b8452d}"
    ".c3{stroke:#666}.p3{fill:#666}.c4{stroke:#222}.p4{fill:#222}"
    "@media(prefers-color-scheme:dark){text{fill:#c4cbd4}.ground{fill:#1b1b1f}.g{stroke:#363d47}"
    ".c0{stroke:#74bdf0}.p0{fill:#74bdf0}.c1{stroke:#4fd0a2}.p1{fill:#4fd0a2}.c2{stroke:#ff9a80}.p2{fill:#ff9a80}"
    ".c3{stroke:#a5adb8}.p3{fill:#a5adb8}.c4{stroke:#fff}.p4{fill:#fff}}"
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 346, 70, 16, 34, 54
BITS = (0.4, 20)
STEPS = (0, 0.5, 0.75, 0.8, 0.9)


def means(found: list[Summary]) -> dict[str, tuple[float, ...]]:
    """Of each encoding shown: bits per weight, share of the right answers kept, and its interval; means over the adapters that have all."""
    names = [name for _, encodings, *_ in METHODS for name in encodings]
    points: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for one in found:
        rows = [one.row(name) for name in names]
        if all(row and row.answers and row.answers.kept for row in rows):
            for row in rows:
                kept = row.answers.kept
                points[row.encoding].append((row.bits, kept.value, kept.low, kept.high))
    return {name: tuple(sum(part) / len(many) for part in zip(*many, strict=True)) for name, many in points.items() if many}


def svg(found: list[Summary]) -> str:
    points = means(found)
    low = max((step for step in STEPS if all(share >= step for _, share, *_ in points.values())), default=0)
    high = max([1.0, *(share for _, share, *_ in points.values())]) + 0.05

    def x(bits: float) -> float:
        return LEFT + math.log2(bits / BITS[0]) / math.log2(BITS[1] / BITS[0]) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return TOP + (high - share) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for bits in (0.5, 1, 2, 4, 8, 16):
        parts.append(f'<path d="M{x(bits):.1f} {TOP}V{HEIGHT - BOTTOM}" class="g"/>')
        parts.append(f'<text x="{x(bits):.1f}" y="{HEIGHT - BOTTOM + 20}" class="m">{bits:g}</text>')
    for share in (low + (1 - low) * part / 5 for part in range(6)):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{WIDTH - RIGHT}" class="g"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 5:.1f}" class="e">{share:.0%}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" class="m">bits per weight in the file</text>')
    parts.append(f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" class="m">right answers kept</text>')
    parts.append(f'<path d="M{LEFT} {y(1):.1f}H{WIDTH - RIGHT}" class="c3 b"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{y(1) - 6:.1f}" class="e p3">16 bits</text>')
    for number, (name, encodings, at, (right, down)) in enumerate(METHODS):
        line = sorted(points[each] for each in encodings if each in points)
        if line:
            colour = min(number, 4)
            ways = [(x(bits), y(share)) for bits, share, *_ in line]
            for bits, _, least, most in line:
                parts.append(f'<path d="M{x(bits):.1f} {y(max(least, low)):.1f}V{y(min(most, high)):.1f}" class="c{colour} i"/>')
            parts.append(f'<path d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in ways)}" class="c{colour}"/>')
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5" class="p{colour}"/>' for a, b in ways]
            a, b = ways[at]
            parts.append(f'<text x="{a + right:.1f}" y="{b + down:.1f}" class="n p{colour}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="Right answers kept against bits per weight"><style>{STYLE}</style>'
        f'<rect class="ground" width="100%" height="100%" rx="10"/>{"".join(parts)}</svg>\n'
    )
