"""Draws the chart of the README from results/: python front.py

docs/images/answers.svg   right answers kept, mean over the seven adapters with all encodings (three tasks × two shapes, and
                          the example), against bits per weight on disk, both means
"""

import math
from collections import defaultdict

import lm
import summarize

PATH = lm.HERE.parents[1] / "docs" / "images" / "answers.svg"
VARIANTS = ("2@0.8", "2@0.9", "3@0.9")
# Name, colour, encodings, which point the name is next to, and where.
FAMILIES = (
    ("lqa", "#0b6e4f", [f"rd {bits} floor 0" for bits in (0.35, 0.5, 0.75, "1.0", 1.25, 1.5, "2.0", 2.5, "4.0")], 2, (-34, -8)),
    ("LoRAQuant", "#c8553d", [f"loraquant {variant} code none" for variant in VARIANTS], 0, (-4, 20)),
    ("rounding to 2 and 3 bits", "#666", ["rtn 2", "rtn 3"], 0, (10, 14)),
    ("16-bit safetensors", "#222", ["f16"], 0, (-126, 20)),
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 56, 24, 20, 46
BITS = (0.3, 20)


def means() -> dict[str, tuple[float, float]]:
    """Of each encoding that all these adapters have: bits per weight on disk, and share of the right answers kept."""
    found = defaultdict(list)
    for members in summarize.results().values():
        for name, line in max((summarize.read(path) for path in members.values()), key=len).items():
            if "bits_on_disk" in line:
                found[name].append((line["bits_on_disk"], line["exact_kept"]))
    most = max(map(len, found.values()))
    return {
        name: tuple(sum(values) / most for values in zip(*points))
        for name, points in found.items()
        if len(points) == most
    }


def x(bits: float) -> float:
    low, high = map(math.log2, BITS)
    return LEFT + (math.log2(bits) - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def chart(found: dict[str, tuple[float, float]]) -> str:
    parts = []
    for bits in (0.5, 1, 2, 4, 8, 16):
        parts.append(f'<path d="M{x(bits):.1f} {TOP}V{HEIGHT - BOTTOM}" class="g"/>')
        parts.append(f'<text x="{x(bits):.1f}" y="{HEIGHT - BOTTOM + 16}" class="m">{bits:g}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{WIDTH - RIGHT}" class="g"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" class="e">{share:.0%}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" class="m">bits per weight in the file</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(13 {middle}) rotate(-90)" class="m">right answers kept</text>')
    for name, color, encodings, at, (right, down) in FAMILIES:
        points = [(x(bits), y(share)) for bits, share in (found[e] for e in encodings if e in found)]
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{color}"/>' for a, b in points]
        a, b = points[at]
        parts.append(f'<text x="{a + right:.1f}" y="{b + down:.1f}" fill="{color}" class="n">{name}</text>')
    style = (
        "text{font:12px system-ui,sans-serif}.m,.e{fill:#333}.m{text-anchor:middle}.e{text-anchor:end}.n{font-weight:600;font-size:13px}"
        ".g{stroke:#ddd}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Right answers kept against bits per weight"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    found = means()
    for _, _, encodings, *_ in FAMILIES:
        for name in encodings:
            if name in found:
                print(f"{name}: {found[name][0]:.2f} bits, {found[name][1]:.1%} of the answers")
    PATH.write_text(chart(found), encoding="utf-8")
    print(PATH)
