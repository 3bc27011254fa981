"""The picture of the page about training: bytes of each save, and what the served adapter lacks, over the steps of a run, as SVG."""

import math

STYLE = (
    "text{font:15px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#3a4048}.m{text-anchor:middle}.e{text-anchor:end}.n{font-weight:600}"
    ".ground{fill:#fff}path{fill:none;stroke-width:2.5}path.g{stroke:#d5dae0;stroke-width:1}"
    ".c0{stroke:#666}.p0{fill:#666}.c1{stroke:#b8452d}.p1{fill:#b8452d}.c2{stroke:#2b7fb8}.p2{fill:#2b7fb8}.c3{stroke:#0b6e4f}.p3{fill:#0b6e4f}"
    "@media(prefers-color-scheme:dark){text{fill:#c4cbd4}.ground{fill:#1b1b1f}path.g{stroke:#363d47}"
    ".c0{stroke:#a5adb8}.p0{fill:#a5adb8}.c1{stroke:#ff9a80}.p1{fill:#ff9a80}.c2{stroke:#74bdf0}.p2{fill:#74bdf0}.c3{stroke:#4fd0a2}.p3{fill:#4fd0a2}}"
)
NAMES = {"safetensors": "safetensors, 16 bits", "differences": "differences in bf16, zstd", "whole": "whole .lqa, 1.5 bits", "chain": "chain of .lqa, error 1 %"}
WIDTH, LEFT, RIGHT, HEIGHT = 640, 84, 20, 250


def svg(sizes: list[dict], scores: list[dict]) -> str:
    """
    Args:
        sizes, scores: the lines of results.jsonl of one run, by step.
    """
    bytes_ = {name: [(line["step"], line["chain"]["0.01"][0] if name == "chain" else line[name]) for line in sizes if name in line or name == "chain"]
              for name in NAMES}
    lacks = {name: [(line["step"], line["0.01" if name == "chain" else name]) for line in scores] for name in ("whole", "chain")}
    steps = [line["step"] for line in sizes]
    parts = [*panel(bytes_, steps, 30, "bytes of a save", (1e4, 1e5, 1e6), lambda value: f"{value / 1000:,.0f} KB", NAMES),
             *panel(lacks, steps, 30 + HEIGHT + 50, "KL from the exact adapter", (1e-4, 1e-3), lambda value: f"{value:g}", {})]
    height = 2 * HEIGHT + 130
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 12}" class="m">step of training</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="Bytes of each save of a run, and divergence from the exact adapter"><style>{STYLE}</style>'
            f'<rect class="ground" width="100%" height="100%" rx="10"/>{"".join(parts)}</svg>\n')


def panel(lines: dict[str, list[tuple[int, float]]], steps: list[int], top: int, title: str, marks: tuple[float, ...], shown, names: dict[str, str]) -> list[str]:
    """Lines over the steps, on a logarithmic scale."""
    values = [value for points in lines.values() for _, value in points]
    low, high = math.log(min(values)) - 0.6, math.log(max(values)) + 0.35

    def x(step: int) -> float:
        return LEFT + (step - steps[0]) / (steps[-1] - steps[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return top + (high - math.log(value)) / (high - low) * HEIGHT

    parts = [f'<text x="{LEFT}" y="{top - 10}" class="n">{title}</text>']
    for mark in marks:
        if low <= math.log(mark) <= high:
            parts.append(f'<path d="M{LEFT} {y(mark):.1f}H{WIDTH - RIGHT}" class="g"/><text x="{LEFT - 8}" y="{y(mark) + 5:.1f}" class="e">{shown(mark)}</text>')
    for step in steps[1::2]:
        parts.append(f'<text x="{x(step):.1f}" y="{top + HEIGHT + 20}" class="m">{step}</text>')
    for name, points in lines.items():
        colour = list(NAMES).index(name)
        parts.append(f'<path d="M{"L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)}" class="c{colour}"/>')
        parts += [f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="4" class="p{colour}"/>' for step, value in points]
        if name in names:
            at, down = {"differences": (len(points) // 2, 26), "whole": (len(points) - 6, -12), "chain": (len(points) - 5, 32)}.get(name, (len(points) - 1, -12))
            step, value = points[at]
            right = x(step)
            parts.append(f'<text x="{right:.1f}" y="{y(value) + down:.1f}" class="e n p{colour}">{names[name]}</text>')
    return parts
