"""Draws results.jsonl as docs/images/updates.svg: bytes of each save, and the KL divergence of what is served, over the steps."""

import math
from pathlib import Path

from updates import ERRORS, lines

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images" / "updates.svg"
WIDTH, HEIGHT, LEFT, TOP, GAP = 330, 240, 60, 30, 110
COLOURS = {"16 bits": "#6b7280", "differences, zstd": "#b45309", "whole .lqa": "#111827",
           **dict(zip((f"chain, {error:.0%}" for error in ERRORS), ("#2563eb", "#0d9488")))}
LABEL = "Bytes of each save of an adapter in training, and the KL divergence of what is served, over the steps"


def panel(at: int, title: str, series: dict[str, dict[int, float]], unit) -> list[str]:
    """Lines over steps, on a logarithmic axis, with their names at their ends."""
    values = [value for points in series.values() for value in points.values()]
    steps = [step for points in series.values() for step in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(step: float) -> float:
        return at + (step - min(steps)) / (max(steps) - min(steps)) * WIDTH

    def y(value: float) -> float:
        return TOP + HEIGHT - (math.log10(value) - low) / (high - low) * HEIGHT

    drawn = [f'<text x="{at}" y="{TOP - 12}" font-weight="bold">{title}</text>']
    for power in range(low, high + 1):
        drawn.append(f'<path d="M{at} {y(10**power):.1f}h{WIDTH}" stroke="#dddddd"/>')
        drawn.append(f'<text x="{at - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{unit(power)}</text>')
    for step in (min(steps), max(steps)):
        drawn.append(f'<text x="{x(step):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">step {step}</text>')
    for name, points in series.items():
        colour = COLOURS[name]
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points.items())
        last = max(points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{x(last) + 5:.1f}" y="{y(points[last]) + 4:.1f}" fill="{colour}">{name}</text>')
    return drawn


def main() -> None:
    sizes, scores = lines("sizes"), lines("kl")
    names = {"safetensors": "16 bits", "differences": "differences, zstd", "whole": "whole .lqa"}
    bytes_ = {name: {step: line[key] for step, line in sizes.items() if key in line} for key, name in names.items()}
    bytes_ |= {f"chain, {error:.0%}": {step: line["chain"][str(error)][0] for step, line in sizes.items()} for error in ERRORS}
    kl = {"whole .lqa": {step: line["whole"] for step, line in scores.items()}}
    kl |= {f"chain, {error:.0%}": {step: line[str(error)] for step, line in scores.items()} for error in ERRORS}
    drawn = panel(LEFT, "Bytes of a save", bytes_, lambda power: f"{10**power // 1000} kB" if power < 6 else f"{10**power // 10**6} MB")
    drawn += panel(LEFT + WIDTH + GAP + 60, "KL divergence, nats per token", kl, lambda power: f"1e{power}")
    size = f"{LEFT + 2 * WIDTH + 2 * GAP + 60} {TOP + HEIGHT + 30}"
    body = "\n".join(drawn)
    TARGET.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="system-ui, sans-serif" font-size="12" '
                      f'fill="#1f2937" role="img" aria-label="{LABEL}">\n'
                      f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n', encoding="utf-8")


if __name__ == "__main__":
    main()
