"""Numbers for people: sizes, ratios, shares. `src/report/format.ts` says the same."""
from __future__ import annotations

import math

UNITS = ("bytes", "KB", "MB", "GB", "TB")


def size(count: int) -> str:
    """`3.10 MB` for 3,100,000, as hubs say sizes; whole numbers of bytes below 1 KB."""
    value, unit = float(count), 0
    while float(f"{value:.3g}") >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:#.3g}".rstrip(".") + f" {UNITS[unit]}" if unit else f"{count} byte{'' if count == 1 else 's'}"


def ratio(before: int, after: int) -> str:
    """`12.3×`."""
    return f"{before / after:.{2 if before / after < 10 else 1}f}×"


def percent(share: float) -> str:
    """`30.1 %` for 0.301. Shares below 10 % keep two digits; zero is `0 %`, and a share that is not finite a dash."""
    if not math.isfinite(share):
        return "–"
    value = 100 * share
    if value == 0:
        return "0 %"
    if value >= 10:
        return f"{value:.1f} %"
    _, exponent = f"{value:.1e}".split("e")
    return f"{value:.{1 - int(exponent)}f} %" if int(exponent) >= -6 else f"{value:.1e} %"
