"""Factors of a checked payload by numpy: clause 8 of the specification for whole planes at once.

Integers are multiplied by their scale in float64, which is exact, and rounded to float32 once, as the clause says.
"""
from typing import Any

import numpy as np

from .reader import lqa_reader as r

_WIDE = {2: "<f2", 4: "<f4"}


def _floats(data: Any, element: int) -> np.ndarray:
    """F32, F16 or BF16 as float32."""
    if element == r.BF16:
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, _WIDE[r.WIDTHS[element]]).astype(np.float32)


def _bits(data: Any, rows: int) -> np.ndarray:
    """Rows of whole bytes as bits, lowest first."""
    return np.unpackbits(np.frombuffer(data, np.uint8).reshape(rows, -1), axis=1, bitorder="little")


def _fields(data: Any, rows: int, count: int, bits: int) -> np.ndarray:
    """7.2: `count` unsigned fields in each row."""
    fields = _bits(data, rows)[:, :count * bits].reshape(rows, count, bits)
    result = np.zeros((rows, count), np.int32)
    for bit in range(bits):
        result |= fields[:, :, bit].astype(np.int32) << bit
    return result


def _trellis(data: Any, e: Any, rows: int, n: int) -> np.ndarray:
    """8.6: the window of a step is its bits and those before it, eight together, the newest highest."""
    k, steps = e.code_bits(), e.fields(n)
    table = r.TABLES[e.table]
    per = table["weightsPerStep"]
    entries = np.array(table["entries"], np.int32).reshape(-1, per)
    bits = np.pad(_bits(data, rows)[:, :steps * k], ((0, 0), (8, 0)))
    window = np.zeros((rows, steps), np.int32)
    for t in range(8):
        window |= bits[:, k + t:k + t + k * (steps - 1) + 1:k].astype(np.int32) << t
    integers = entries[window].reshape(rows, steps * per)[:, :n]
    return _rotate(integers) if e.rotation else integers


def _rotate(t: np.ndarray) -> np.ndarray:
    """8.6.1, for each row."""
    rows, n = t.shape
    c = n // 64
    head = t[:, :64 * c].reshape(rows, 64, c)
    half = 1
    while half < 64:
        pairs = head.reshape(rows, 32 // half, 2, half, c)
        head = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), axis=2).reshape(rows, 64, c)
        half *= 2
    signs = np.array([-1 if (i & i >> 1 & 21).bit_count() & 1 else 1 for i in range(64)], np.int32)
    return np.concatenate(((head * signs[:, None]).reshape(rows, 64 * c), 8 * t[:, 64 * c:]), axis=1)


def _plane(payload: bytes, p: Any) -> np.ndarray:
    """One factor of one band: (components, n) as float32."""
    e, rows, n = p.encoding, p.components, p.n
    if e.codec == r.ZERO:
        return np.zeros((rows, n), np.float32)
    if e.codec == r.RAW:
        return _floats(payload[p.codes:p.codes + p.code_bytes], e.element).reshape(rows, n)
    scales = _floats(payload[p.scales:p.scales + p.scale_bytes], e.scale).reshape(rows, p.groups)
    codes = payload[p.codes:p.codes + p.code_bytes]
    size = 1 << e.group_exponent if e.group_exponent else n
    if e.codec == r.TRELLIS:
        integers = _trellis(codes, e, rows, n)
    elif e.codec == r.SIGN:
        integers = 1 - 2 * _fields(codes, rows, n, 1)
    else:
        points = _fields(payload[p.zeros:p.zeros + p.zero_bytes], rows, p.groups, e.code_bits())
        integers = _fields(codes, rows, n, e.code_bits()) - np.repeat(points, size, axis=1)[:, :n]
    return integers.astype(np.float32) * np.repeat(scales, size, axis=1)[:, :n]


def decode_factors(encodings: list, module: Any, payload: bytes) -> tuple[np.ndarray, np.ndarray]:
    """B' and A' of a module, each (experts, rank, n) as float32."""
    experts = module.type.experts
    parts: dict[str, list[np.ndarray]] = {"b": [], "a": []}
    for p in r.planes(encodings, module, experts):
        parts[p.factor].append(_plane(payload, p))
    b, a = (np.concatenate(parts[f]).reshape(experts, module.rank, -1) for f in "ba")
    return b, a
