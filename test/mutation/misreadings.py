"""Misreadings of the specification: mistakes that passed the whole suite in a reader written from the text alone. Each is built
into the Python reader, and a case has to turn red.

Three more have no entry. The format has lost zstd windows and trellis codes with groups; and a file with more bands than the
Hard limit has an index above Core, which a reader may refuse.
"""
from __future__ import annotations

from typing import Iterator

AXIS = "m.type.out if axis_is_out else m.type.inp)"
CRC = '    check_crc("CHUNK_CRC", data[:-4]'
BUDGET = "chunk.stored + (chunk.raw if chunk.compression else 0) <= budget"
FLOATS = "else (F32, F16, BF16, F64)), \"TENSOR_RECORD\""
MAJOR = "    need(major == 1"
PADDING = "        data = self.exactly(-self.at % alignment, where)\n"
ROOT = "    need(root == file_id.digest()"
SHAPE = "need([n for n in t.shape if n != 1] == want"

# What the reader does (the clause); a text it has, and what replaces it; perhaps another text, and what replaces that.
MISREADINGS = [
    ("refuses a read-only-compatible bit (5.3)", MAJOR, '    need(_readonly == 0, "UNSUPPORTED_FEATURE", "", "")\n' + MAJOR),
    ("refuses a compatible bit (5.3)", MAJOR, '    need(_compatible == 0, "UNSUPPORTED_FEATURE", "", "")\n' + MAJOR),
    ("compares the multiplier bit by bit (9.1)", "need(rounded == t.multiplier and",
     'need(struct.pack("<f", rounded) == struct.pack("<f", t.multiplier) and'),
    ("measures axis 1 of a convolution as in · kernel (9.4)", AXIS, AXIS.replace("m.type.inp", "m.type.a_length()")),
    ("takes any element type for magnitudes and lora-biases (9.4)", FLOATS,
     FLOATS.replace("else (", "else WIDTHS if role in (LORA_BIAS, MAGNITUDE) else (")),
    ("takes only F32 for magnitudes and lora-biases (9.4)", FLOATS,
     FLOATS.replace("else (", "else (F32,) if role in (LORA_BIAS, MAGNITUDE) else (")),
    ("takes token-rows of a module, of its width (9.4)", "need(role == TOKEN_INDICES or m is None",
     "need(role == TOKEN_INDICES or m is None or t.shape[-1:] == (m.type.out,)"),
    ("wants one or two dimensions of a magnitude (9.4)", SHAPE, SHAPE.replace("need(", "need(1 <= len(t.shape) <= 2 and ")),
    ("counts stored and raw bytes of every chunk (14)", BUDGET, "chunk.stored + chunk.raw <= budget"),
    ("counts raw bytes alone (14)", BUDGET, "chunk.raw <= budget"),
    ("counts stored bytes alone (14)", BUDGET, "chunk.stored <= budget"),
    ("looks at padding before all of it is there (15.2)", PADDING,
     '        data = self.some(-self.at % alignment)\n        need(not any(data), "PADDING_NONZERO", "", where)\n'
     '        need(self.at % alignment == 0, "TRUNCATED_FILE", "", where)\n'),
    ("wants the padding of a chunk before its checksum (15.2)", CRC,
     "    size = -source.at % source.alignment\n"
     '    need(len(source.stream.read(size)) == size, "TRUNCATED_FILE", "", "")\n'
     "    source.stream.seek(-size, 1)\n" + CRC,
     "    adapter = Adapter(p.file_length, p.alignment)\n",
     "    adapter = Adapter(p.file_length, p.alignment)\n    source.alignment = p.alignment\n"),
    ("looks for trailing bytes before the root digest (15.2)", ROOT,
     '    need(not source.some(1), "TRAILING_BYTES", "", "")\n' + ROOT),
    ("walks the frames of an unknown section and does not inflate them (10.1)", "    decompress = find_zstd(chunk.compression == TEXT)\n",
     '    if isinstance(chunk.item, SectionRecord) and chunk.item.tag not in (b"META", b"ORIG"):\n        return b""\n'
     "    decompress = find_zstd(chunk.compression == TEXT)\n"),
    ("refuses floats of ±2^53 (10.2)", "abs(real) < 1 << 53)", "abs(real) <= 1 << 53)"),
    ("has no limit of the number of types (14)", ',\n                                    (3, "SHARED_RECORDS", types)', ""),
]


def sources(source: str) -> Iterator[tuple[str, str]]:
    """The reader with one misreading, for each of them."""
    for what, *texts in MISREADINGS:
        changed = source
        for old, new in zip(texts[::2], texts[1::2]):
            if source.count(old) != 1:
                raise ValueError(f"not once in the reader: {old}")
            changed = changed.replace(old, new)
        yield what, changed
