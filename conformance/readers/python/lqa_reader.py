#!/usr/bin/env python3
"""An independent reader and validator of the .lqa format, version 1.0.

Written from spec/lqa-v1.md alone; numbers in comments are its clauses. Standard library only, one pass over a stream.
Chunks are held one at a time, decoded weights 65,536 at a time.  SPDX-License-Identifier: CC0-1.0
"""
from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import math
import random
import re
import struct
import sys
import zlib
from array import array
from collections import namedtuple
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Iterator

# ---- Errors (15) and limits (14): those of errors.json and limits.json that a reader can meet -----------------------

CODES = {
    "TRUNCATED_PROLOGUE": "T001", "TRUNCATED_FILE": "T002", "BAD_MAGIC": "M001", "MAGIC_TEXT_DAMAGE": "M002",
    "PROLOGUE_RESERVED_NONZERO": "M003", "ALIGNMENT_OUT_OF_RANGE": "M004", "FILE_LENGTH_MISMATCH": "M005",
    "TRAILING_BYTES": "M006", "INDEX_TABLE": "M007", "INDEX_VECTOR": "M008", "INDEX_IDENTIFIER": "M009",
    "INDEX_FIELD_MISSING": "M010", "COUNT_MISMATCH": "M011", "PADDING_NONZERO": "M012", "NAME_ENCODING": "M013",
    "NAME_ORDER": "M014", "NAME_HEAP": "M015", "CHUNK_LENGTH_MISMATCH": "M016", "RECORD_RESERVED_NONZERO": "M017",
    "RECORD_REFERENCE": "M018", "ZSTD_FRAME": "M019", "META_ENCODING": "M020", "TRAILER_MISMATCH": "M021",
    "SECTION_ORDER": "M022", "DIMENSION_RANGE": "V001", "ENCODING_PARAMETER": "V002", "MULTIPLIER": "V003",
    "BAND_PLAN": "V004", "ROLE_SHAPE": "V005", "TENSOR_RECORD": "V006", "FEATURE_BITS": "V007", "SCALE_VALUE": "V008",
    "NONFINITE_VALUE": "V009", "SECTION_RECORD": "V011", "PARENT_MISMATCH": "V012", "PROLOGUE_CRC": "I001", "INDEX_CRC": "I002",
    "CHUNK_CRC": "I003", "TRAILER_CRC": "I004", "SPAN_DIGEST": "I005", "ROOT_DIGEST": "I006", "CONTENT_ID": "I007",
    "UNSUPPORTED_VERSION": "U001", "UNSUPPORTED_FEATURE": "U002", "UNSUPPORTED_CODEC": "U003",
    "UNSUPPORTED_ROLE": "U004", "UNSUPPORTED_COMPRESSION": "U005", "UNSUPPORTED_SECTION": "U006", "PARENT_MISSING": "U010", "HARD_LIMIT": "L001",
    "CORE_LIMIT": "L002", "BUDGET": "L003", "IO": "X001", "NOT_FOUND": "X003",
    "BASE_MODULE_MISSING": "B001", "BASE_SHAPE": "B002", "NONCANONICAL_INDEX": "C001", "NONCANONICAL_CODES": "C002", "NONCANONICAL_NAME": "C003",
}
EXIT = {"T": 1, "M": 1, "V": 1, "I": 1, "U": 3, "L": 4, "X": 2, "B": 1, "C": 1}  # 15.1
LIMITS = {  # Core, Hard
    "INDEX_BYTES": (1 << 24, 1 << 26), "MODULES": (1 << 16, 1 << 20), "TENSORS": (1 << 16, 1 << 20),
    "SECTIONS": (64, 1024), "ENCODINGS": (256, 256), "SHARED_RECORDS": (1 << 16, 1 << 16), "BANDS": (1 << 19, 1 << 23), "EXPERT_BANDS": (1 << 20, 1 << 24),
    "NAMES_TOTAL_BYTES": (1 << 24, 1 << 26), "RANK": (1024, 4096), "DIMENSION": (1 << 24, 1 << 25),
    "EXPERTS": (1024, 4096), "TENSOR_DIMENSIONS": (8, 8),
    "STARTED_MODULES": (1 << 12, 1 << 16), "STARTED_RANK": (256, 256), "START_WORK": (1 << 14, 1 << 20), "STARTS": (64, 1024), "GENERATIONS": (4, 16),
    "CHUNK_BYTES": (1 << 30, (1 << 32) - 1), "EXPANSION": (1 << 28, 1 << 34), "FILE_BYTES": (1 << 36, (1 << 53) - 1), "META_BYTES": (1 << 20, 1 << 24),
}


class Place(str):
    """What an error is about; a record says itself where it begins in the file."""

    offset: int

    def __new__(cls, text: str, offset: int) -> Place:
        place = super().__new__(cls, text)
        place.offset = offset
        return place


class LqaError(Exception):
    """The first error of a file: a stable code and where it was found."""

    def __init__(self, name: str, message: str, where: str | None = None, offset: int | None = None,
                 expected: Any = None, actual: Any = None) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.code, self.kind = name, "LQA-" + CODES[name], CODES[name][0]
        self.message, self.where, self.expected, self.actual = message, where, expected, actual
        self.offset = where.offset if offset is None and isinstance(where, Place) else offset

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "name": self.name, "class": self.kind, "offset": self.offset, "where": self.where,
                "message": self.message, "expected": self.expected, "actual": self.actual}


def need(ok: bool, name: str, message: str, where: str | None = None, **more: Any) -> None:
    if not ok:
        raise LqaError(name, message, where, **more)


def limit(quantity: str, value: int, where: str) -> None:
    for name, bound in zip(("HARD_LIMIT", "CORE_LIMIT"), reversed(LIMITS[quantity])):
        need(value <= bound, name, quantity, where, expected=bound, actual=value)


# ---- Records (6; schema/lqa.fbs) ------------------------------------------------------------------------------------

ZERO, RAW, AFFINE, SIGN, TRELLIS = range(5)
F32, F16, BF16, F64, U32, BOOL = 1, 2, 3, 4, 11, 13
EXPONENTS = {F32: ("<I", 255 << 23), F16: ("<H", 31 << 10), BF16: ("<H", 255 << 7), F64: ("<Q", 2047 << 52)}  # 3.2
WIDTHS = {1: 4, 2: 2, 3: 2, 4: 8, 5: 1, 6: 2, 7: 4, 8: 8, 9: 1, 10: 2, 11: 4, 12: 8, 13: 1}  # bytes of an element
REPLACE, BIAS, LORA_BIAS, MAGNITUDE, TOKEN_ROWS, TOKEN_INDICES, CARRIED = range(7)
PLAIN, ZSTD, SHUFFLED, TEXT = range(4)

Band = namedtuple("Band", "components b a")
ModuleRecord = namedtuple("ModuleRecord", "chunk_length name_suffix name_shared reserved type plan")
TensorRecord = namedtuple("TensorRecord",
                          "chunk_length name_suffix name_shared compression element role axis dimensions")
SectionRecord = namedtuple("SectionRecord", "tag chunk_length raw_length compression flags reserved")


def companion(name: str) -> Path | None:
    """A file of the specification: beside this one, or in spec/ of the repository."""
    here = Path(__file__).resolve()
    paths = (p for q in here.parents[:4] for p in (q / name, q / "spec" / name))
    return next((p for p in paths if p.is_file()), None)


# 8.6
with open(companion("trellis-tables.json") or "trellis-tables.json", encoding="utf-8") as tables:
    TABLES = {table["number"]: table for table in json.load(tables)["tables"]}


class Encoding(namedtuple("Encoding", "codec element scale bits mixture group_exponent table rotation")):
    def code_bits(self) -> int:  # 7.2; of a step for trellis
        return int(self.bits if self.codec == AFFINE else TABLES[self.table]["stepBits"] if self.codec == TRELLIS else 1)

    def fields(self, n: int) -> int:  # 7.2: codes of a vector of n weights; steps for trellis
        return -(-n // TABLES[self.table]["weightsPerStep"]) if self.codec == TRELLIS else n

    def mixed(self) -> Encoding:  # 8.8.2: how R is stored, whose "largest" bounds its scale
        return Mixture(AFFINE, 0, BF16, self.mixture, 0, 0, 0, 0) if self.mixture else Encoding(*bytes(8))

    def largest(self) -> int:  # 8.1: the largest magnitude of the codec's integers
        return 127 << 6 * self.rotation if self.codec == TRELLIS else (1 << self.code_bits()) - 1


class Mixture(Encoding):
    def largest(self) -> int:
        return 1 << 64


class ModuleType(namedtuple("ModuleType", "out inp multiplier alpha kernel0 kernel1 kernel2 experts role base_layout "
                                          "rule reserved")):
    def kernel(self) -> tuple[int, int, int]:
        return self.kernel0, self.kernel1, self.kernel2

    def a_length(self) -> int:  # 1.2: a vector of A' has in * kernel weights
        return int(math.prod((self.inp, *(k or 1 for k in self.kernel()))))


SLOTS: tuple[tuple[str, struct.Struct, Any], ...] = (  # in the order of the schema
    ("encodings", struct.Struct("<8B"), Encoding), ("bands", struct.Struct("<HBB"), Band),
    ("plans", struct.Struct("<H"), None), ("types", struct.Struct("<IIffHHHHBBBB"), ModuleType),
    ("modules", struct.Struct("<IHBBHH"), ModuleRecord), ("tensors", struct.Struct("<IHBBBBBB"), TensorRecord),
    ("dimensions", struct.Struct("<I"), None), ("sections", struct.Struct("<4sIIBBH"), SectionRecord),
    ("names", struct.Struct("<B"), None),
    ("start", struct.Struct("<I"), None), ("positions", struct.Struct("<I"), None),  # 8.8.1: only with START
    ("parent", struct.Struct("<I"), None), ("parent_modules", struct.Struct("<I"), None))  # 8.9.1: only with PARENT
START, PARENT = 1 << 5, 1 << 6
DRAFT = 1 << 7 | 1 << 9  # START and PARENT in drafts of November 2026 (5.3)

# of a start: generator, seed or state, draw; of a parent: its content id, number of its module; or ()
Module = namedtuple("Module", "name type plan rank start parent")
Tensor = namedtuple("Tensor", "name record shape")
Chunk = namedtuple("Chunk", "where item stored raw compression")  # bytes of the payload: as stored, not compressed


@dataclass
class Adapter:
    file_length: int
    alignment: int
    encodings: list[Encoding] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    sections: list[SectionRecord] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)  # where each one ends
    noncanonical: LqaError | None = None  # the first codes that are not canonical: said only of a valid file
    digests: dict[Tensor, str] = field(default_factory=dict)  # SHA-256 of tensors
    file_id: str | None = None
    content_id: str | None = None
    documents: dict[str, Any] = field(default_factory=dict)  # META, ORIG
    parent_id: bytes = b""  # 8.9.1
    ancestors: list[Parent] = field(default_factory=list)  # 8.9.2: as far as they were given, the nearest first
    omissions: list[dict[str, str]] = field(default_factory=list)  # 2.3: what this reader could not look at


@dataclass
class Parent:
    """A file that was given as a parent: verified, with the payloads of its modules by their names."""
    adapter: Adapter
    payloads: dict[str, bytes]


# ---- Step 2 of 15.2: the FlatBuffer, by hand (6.1, 6.2) -------------------------------------------------------------

def read_vectors(index: bytes, required: int) -> tuple[list[bytes | None], list[int]]:
    """Verifies the FlatBuffer; the bytes of its vectors, None for those without their bit, and where in the file they begin."""
    def check(ok: bool, name: str, at: int, message: str) -> None:
        need(ok, name, message, "index", offset=64 + at)

    def word(at: int, kind: str = "<I") -> int:
        return int(struct.unpack_from(kind, index, at)[0])

    size = len(index)
    check(size >= 8, "INDEX_TABLE", 0, "too short for a FlatBuffer")
    check(index[4:8] != b"LQA1", "INDEX_IDENTIFIER", 4, "the index of a draft before 1.0 (LQA1): encode the adapter again")
    check(index[4:8] == b"LQI1", "INDEX_IDENTIFIER", 4, "the file identifier is not LQI1")
    table = word(0)
    check(table >= 4 and table % 4 == 0 and table + 4 <= size, "INDEX_TABLE", 0, "root offset")
    vtable = table - word(table, "<i")
    check(vtable >= 0 and vtable % 2 == 0 and vtable + 4 <= size, "INDEX_TABLE", table, "position of the vtable")
    vtable_size, table_size = word(vtable, "<H"), word(vtable + 2, "<H")
    check(vtable_size >= 4 and vtable_size % 2 == 0 and vtable + vtable_size <= size, "INDEX_TABLE", vtable,
          "size of the vtable")
    check(table_size >= 4 and table + table_size <= size, "INDEX_TABLE", vtable + 2, "size of the table")
    vectors, places = list[bytes | None](), list[int]()
    for slot, (name, record, _) in enumerate(SLOTS):
        if slot > 8 and required & (START if slot < 11 else PARENT) == 0:
            vectors.append(None)
            places.append(0)
            continue
        at = vtable + 4 + 2 * slot
        place = word(at, "<H") if at + 2 <= vtable + vtable_size else 0
        check(place != 0, "INDEX_FIELD_MISSING", vtable, f"field {name} is absent")
        check(place >= 4 and place % 4 == 0 and place + 4 <= table_size, "INDEX_TABLE", at, f"place of {name}")
        at = table + place
        start = at + word(at)
        # 4 is the largest alignment of any element, so aligned length words mean aligned elements
        check(word(at) >= 4 and start % 4 == 0 and start + 4 <= size, "INDEX_TABLE", at, f"offset of {name}")
        length = word(start) * record.size
        check(length <= size - start - 4, "INDEX_VECTOR", start, f"vector {name} does not fit into the index")
        vectors.append(index[start + 4:start + 4 + length])
        places.append(64 + start + 4)
    return vectors, places


def canonical_index(vectors: list[bytes | None]) -> bytes:
    """12.2: the one canonical layout of these vectors: nine, or eleven in eleven (8.8.1) or thirteen slots (8.9.1)."""
    slots = max(i for i, data in enumerate(vectors) if data is not None) + 1
    n = sum(data is not None for data in vectors)
    vtable, table = 4 + 2 * slots, 4 + 4 * n
    root = 10 + vtable + -(10 + vtable) % 4
    count, fields = 0, list[int]()
    for data in vectors[:slots]:
        fields.append(0 if data is None else 4 + 4 * count)
        count += data is not None
    head = struct.pack(f"<I4s{root - 8 - vtable}x{slots + 2}Hi", root, b"LQI1", vtable, table, *fields, vtable)
    body, offsets = bytearray(), list[int]()
    for (_, record, _), data in zip(SLOTS, vectors):
        if data is None:
            continue
        offsets.append(root + table + len(body) - (root + 4 + 4 * len(offsets)))
        body += struct.pack("<I", len(data) // record.size) + data + bytes(-len(data) % 4)
    return head + struct.pack(f"<{n}I", *offsets) + body


# ---- Step 3: the records, in the order of 15.2 ----------------------------------------------------------------------

class Shared:
    """6.3: shared records are referred to in the order of first use, each at least once, and all differ."""

    def __init__(self, what: str, count: int, start: int, size: int) -> None:
        self.what, self.count, self.used, self.start, self.size = what, count, 0, start, size
        self.seen: set[Any] = set()

    def distinct(self, value: Any, where: str) -> None:
        need(value not in self.seen, "RECORD_REFERENCE", "equals an earlier one", where)
        self.seen.add(value)

    def refer(self, number: int, where: str) -> None:
        need(number < self.count and number <= self.used, "RECORD_REFERENCE",
             f"{self.what} {number} is absent or not the next unused one", where)
        self.used += number == self.used

    def finish(self) -> None:
        need(self.used == self.count, "RECORD_REFERENCE", f"not every {self.what} is used",
             Place(f"{self.what} {self.used}", self.start + self.used * self.size), expected=self.count,
             actual=self.used)


class Names:
    """6.10 front coding, 3.3 encoding and order, 12.3 canonical sharing; modules first, then tensors."""

    def __init__(self, heap: bytes) -> None:
        self.heap, self.at, self.total = heap, 0, 0
        self.noncanonical: LqaError | None = None
        self.restart()

    def restart(self) -> None:
        self.last, self.last_key = b"", natural_key(b"")

    def next(self, shared: int, suffix: int, where: str, role: int = 0) -> str:
        need(shared <= len(self.last) and suffix <= len(self.heap) - self.at, "NAME_HEAP",
             "a name takes more bytes than there are", where)
        name = self.last[:shared] + self.heap[self.at:self.at + suffix]
        self.at, self.total = self.at + suffix, self.total + len(name)
        limit("NAMES_TOTAL_BYTES", self.total, where)
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        need(1 <= len(name) <= 512 and not re.search("[\0-\x1f\x7f-\x9f]", text), "NAME_ENCODING",
             "a name breaks clause 3.3", where, actual=name[:600].hex())
        key = natural_key(name, role)
        need(key > self.last_key, "NAME_ORDER", f"{text!r} does not follow the name before it", where)
        most = min(255, len(self.last), len(name))
        longest = most if self.last[:most] == name[:most] else 0
        while longest < most and self.last[longest] == name[longest]:
            longest += 1
        if shared != longest and self.noncanonical is None:  # reported in step 7
            self.noncanonical = LqaError("NONCANONICAL_NAME", "the shared prefix is not the longest possible", where,
                                         expected=longest, actual=shared)
        self.last, self.last_key = name, key
        return text


def natural_key(name: bytes, role: int = 0) -> tuple[Any, ...]:
    """3.3: runs of digits as numbers; a digit run sorts among other bytes as a digit does. 6.8: then by role."""
    runs = re.findall(rb"[0-9]+|[^0-9]", name)
    keys = [(48, len(r.lstrip(b"0")), r.lstrip(b"0")) if r.isdigit() else (r[0], 0, b"") for r in runs]
    return keys, name, role


def check_encoding(e: Encoding, where: str, started: bool) -> None:
    """6.4, 8.6, 8.8.1: what has numbers is known, and every field has a value its codec allows."""
    need(e.codec <= TRELLIS, "UNSUPPORTED_CODEC", "unknown codec", where, actual=e.codec)
    grouped = e.codec in (AFFINE, SIGN)
    for name, known in (("element", e.codec != RAW or e.element in WIDTHS),
                        ("table", e.codec != TRELLIS or e.table in TABLES),
                        ("rotation", e.codec != TRELLIS or e.rotation in (0, 1)),
                        ("scale", e.codec in (ZERO, RAW) or e.scale in WIDTHS)):
        need(known, "UNSUPPORTED_CODEC", f"unknown {name} of codec {e.codec}", where, actual=getattr(e, name))
    for name, allowed in (("element", (F32, F16, BF16) if e.codec == RAW else (0,)),
                          ("scale", (F16, BF16) if grouped else (BF16,) if e.codec == TRELLIS else (0,)),
                          ("group_exponent", (0, *range(4, 11)) if grouped else (0,)),
                          ("bits", range(1, 9) if e.codec == AFFINE else (0,)), ("mixture", (0, 4, 8) if started else (0,)),
                          ("table", TABLES if e.codec == TRELLIS else (0,)),
                          ("rotation", (0, 1) if e.codec == TRELLIS else (0,))):
        need(getattr(e, name) in allowed, "ENCODING_PARAMETER",
             f"codec {e.codec} does not allow this {name} (drafts before 1.0 allowed more)", where, actual=getattr(e, name))


def check_type(t: ModuleType, where: str) -> None:
    """6.6, 9.1"""
    need(t.role <= 4, "UNSUPPORTED_ROLE", "unknown module role", where, actual=t.role)
    need(t.base_layout <= 1, "UNSUPPORTED_ROLE", "unknown base layout", where, actual=t.base_layout)
    need(t.rule < 4, "UNSUPPORTED_ROLE", "unknown rule", where, actual=t.rule)
    need(t.reserved == 0, "RECORD_RESERVED_NONZERO", "reserved byte", where, actual=t.reserved)
    need(0 not in (t.out, t.inp, t.experts), "DIMENSION_RANGE", "out, in or experts is 0", where)
    need(all((size != 0) == (i < t.role - 1) for i, size in enumerate(t.kernel())), "ROLE_SHAPE",
         f"kernel sizes do not fit role {t.role}", where, actual=t.kernel())
    need(t.role == 0 or t.base_layout == (t.role == 1), "ROLE_SHAPE", f"base layout of role {t.role}", where,
         actual=t.base_layout)
    for quantity, value in (("DIMENSION", t.out), ("DIMENSION", t.a_length()), ("EXPERTS", t.experts)):
        limit(quantity, value, where)
    for number in (t.multiplier, t.alpha):
        need(math.isfinite(number) and (number != 0 or math.copysign(1, number) > 0), "MULTIPLIER",
             "multiplier or alpha is -0 or not finite", where, actual=str(number))


def check_multiplier(t: ModuleType, rank: int, where: str) -> None:
    """9.1: the quotient is computed in binary64 and rounded to f32."""
    want = (1.0, t.alpha / rank, t.alpha / math.sqrt(rank), t.multiplier)[t.rule]
    (rounded,) = struct.unpack("<f", struct.pack("<f", want))
    need(rounded == t.multiplier and (t.rule != 0 or t.alpha == 0), "MULTIPLIER",
         f"alpha {t.alpha}, rule {t.rule} and rank {rank} do not give the multiplier", where, expected=want,
         actual=t.multiplier)


def check_chunk(allowed: tuple[int, ...], r: Any, raw: int, where: str, item: Any) -> Chunk:
    """7.5, then 7.1"""
    need(r.compression in allowed, "UNSUPPORTED_COMPRESSION", "unknown or not allowed here", where,
         actual=r.compression)
    plain = r.compression == PLAIN
    need(r.chunk_length == raw + 4 if plain else 5 <= r.chunk_length < raw + 4, "CHUNK_LENGTH_MISMATCH",
         "chunk length", where, expected=raw + 4 if plain else f"5 to {raw + 3}", actual=r.chunk_length)
    return Chunk(str(where), item, r.chunk_length - 4, raw, r.compression)


def read_records(vectors: list[bytes], places: list[int], counts: tuple[int, int, int], adapter: Adapter) -> Names:
    """Step 3 up to the sections."""
    def place(slot: int, number: int, text: str) -> Place:
        return Place(text, places[slot] + number * SLOTS[slot][1].size)

    started = vectors[9] is not None
    encodings, bands, sizes, types, modules, tensors, dimensions, sections = (
        [kind._make(r) if kind else r[0] for r in record.iter_unpack(data)]
        for (_, record, kind), data in zip(SLOTS[:8], vectors) if data is not None)
    for i, (what, have, count) in enumerate(zip(("modules", "tensors", "sections"), (modules, tensors, sections), counts)):
        need(len(have) == count, "COUNT_MISMATCH", f"number of {what}", "prologue", offset=36 + 4 * i, expected=len(have),
             actual=count)
    for slot, quantity, records in ((0, "ENCODINGS", encodings), (1, "BANDS", bands), (2, "SHARED_RECORDS", sizes),
                                    (3, "SHARED_RECORDS", types)):
        limit(quantity, len(records), Place("index", places[slot] - 4))
    adapter.encodings, adapter.sections = encodings, sections

    encodings_used, plans_used, types_used = (
        Shared(what, len(vectors[slot]) // SLOTS[slot][1].size, places[slot], SLOTS[slot][1].size)
        for slot, what in ((0, "encoding"), (2, "plan"), (3, "type")))
    for i, e in enumerate(encodings):
        where = place(0, i, f"encoding {i}")
        check_encoding(e, where, started)
        encodings_used.distinct(e, where)

    plans: list[list[Band]] = []  # 6.5
    at = 0
    for i, size in enumerate(sizes):
        where = place(2, i, f"plan {i}")
        need(size > 0, "BAND_PLAN", "a plan without bands", where)
        need(size <= len(bands) - at, "RECORD_REFERENCE", "a plan takes more bands than there are", where)
        plan = bands[at:at + size]
        for k, band in enumerate(plan):
            which = place(1, at + k, f"band {k} of {where}")
            need(band.components > 0, "BAND_PLAN", "a band without components", which)
            need(k == 0 or plan[k - 1][1:] != band[1:], "BAND_PLAN", "neighbours with the same encodings", which)
            encodings_used.refer(band.b, which)
            encodings_used.refer(band.a, which)
            need(encodings[band.b].mixture == 0, "BAND_PLAN", "a mixture of B'", which)  # 8.8.1
        limit("RANK", sum(band.components for band in plan), where)
        plans_used.distinct(tuple(plan), where)
        plans.append(plan)
        at += size
    need(at == len(bands), "RECORD_REFERENCE", "bands are left over", place(1, at, "index"), expected=at,
         actual=len(bands))
    encodings_used.finish()

    for i, t in enumerate(types):
        where = place(3, i, f"type {i}")
        check_type(t, where)
        types_used.distinct(t, where)  # no NaN and no -0 is left, so equal values are equal bytes

    start, positions, parent, parent_modules = ([r[0] for r in struct.iter_unpack("<I", data or b"")] for data in vectors[9:])
    if started:  # 8.8.1
        where = place(9, 0, "start")
        need(start[:1] == [1], "UNSUPPORTED_CODEC", "unknown generator", where)
        need(len(start) == 2 or len(start) > 1 and len(start) % 624 == 1, "ENCODING_PARAMETER", "neither a seed nor states", where)
        limit("STARTS", len(start) // 624, where)
        limit("STARTED_MODULES", len(positions), place(10, 0, "positions"))
    states = [start[:1] + start[i:i + 624] for i in range(1, len(start), 624)]
    placed = 0
    if vectors[11] is not None:  # 8.9.1
        for slot, what, have, count in ((11, "parent", parent, 8), (12, "parent_modules", parent_modules, len(modules))):
            need(len(have) == count, "RECORD_REFERENCE", f"entries of {what}", Place(what, places[slot] - 4), expected=count,
                 actual=len(have))
        adapter.parent_id = vectors[11]

    names = Names(vectors[8])
    lengths: dict[tuple[int, int], int] = {}
    expert_bands = last_parent = 0
    for i, r in enumerate(modules):  # 6.7
        name = names.next(r.name_shared, r.name_suffix, place(4, i, f"module {i}"))
        where = place(4, i, f"module {name!r}")
        types_used.refer(r.type, where)
        plans_used.refer(r.plan, where)
        m = Module(name, types[r.type], plans[r.plan], sum(band.components for band in plans[r.plan]), (),
                   (adapter.parent_id, parent_modules[i] - 1) if parent_modules and parent_modules[i] else ())
        check_multiplier(m.type, m.rank, where)
        expert_bands += m.type.experts * len(m.plan)
        limit("EXPERT_BANDS", expert_bands, where)
        if (r.type, r.plan) not in lengths:
            lengths[r.type, r.plan] = payload_length(encodings, m)
        raw = lengths[r.type, r.plan]
        limit("CHUNK_BYTES", max(raw, r.chunk_length), where)
        need(r.reserved == 0, "RECORD_RESERVED_NONZERO", "only drafts before 1.0 compressed modules", where, actual=r.reserved)
        need(r.chunk_length == raw + 4, "CHUNK_LENGTH_MISMATCH", "chunk length", where, expected=raw + 4,
             actual=r.chunk_length)
        mixed = sum(band.components for band in m.plan if encodings[band.a].mixture)
        if mixed:  # 8.8.1
            need(m.type.experts == 1, "BAND_PLAN", "a start of several experts", where, actual=m.type.experts)
            limit("STARTED_RANK", m.rank, where)
            need(placed < len(positions), "RECORD_REFERENCE", "no position is left", where)
            state, draw = divmod(positions[placed], 1 << 22)
            need(state < len(states), "RECORD_REFERENCE", "no such state", where, expected=len(states), actual=state)
            limit("START_WORK", -(-m.rank * m.type.a_length() * (mixed + 8) // r.chunk_length), where)
            m = m._replace(start=(states[state], draw))
            placed += 1
        if m.parent:  # 8.9.1
            need(parent_modules[i] > last_parent, "RECORD_REFERENCE", "modules of the parent do not ascend", where)
            last_parent = parent_modules[i]
        adapter.chunks.append(Chunk(str(where), m, raw, raw, PLAIN))
        adapter.modules.append(m)
    types_used.finish()
    plans_used.finish()
    if started:
        need(placed == len(positions), "RECORD_REFERENCE", "positions are left over", place(10, placed, "positions"))

    names.restart()
    at = expansion = 0
    for i, r in enumerate(tensors):  # 6.8
        name = names.next(r.name_shared, r.name_suffix, place(5, i, f"tensor {i}"), r.role)
        where = place(5, i, f"tensor {name!r}")
        need(r.role <= CARRIED, "UNSUPPORTED_ROLE", "unknown tensor role", where, actual=r.role)
        need(r.element in WIDTHS, "UNSUPPORTED_CODEC", "unknown element type", where, actual=r.element)
        limit("TENSOR_DIMENSIONS", r.dimensions, where)
        need(r.dimensions <= len(dimensions) - at, "RECORD_REFERENCE", "more dimensions than there are", where)
        need(r.axis <= (r.role == MAGNITUDE), "TENSOR_RECORD", "no such axis for this role", where, actual=r.axis)
        shape = tuple(dimensions[at:at + r.dimensions])
        at += r.dimensions
        raw = math.prod(shape) * WIDTHS[r.element]
        limit("CHUNK_BYTES", max(raw, r.chunk_length), where)
        adapter.tensors.append(Tensor(name, r, shape))
        adapter.chunks.append(check_chunk((PLAIN, ZSTD, SHUFFLED), r, raw, where, adapter.tensors[-1]))
        expansion += max(0, raw - 16 * r.chunk_length)
        limit("EXPANSION", expansion, where)
    need(at == len(dimensions), "RECORD_REFERENCE", "dimensions are left over", place(6, at, "index"),
         expected=len(dimensions))
    need(names.at == len(names.heap), "NAME_HEAP", "name bytes are left over", place(8, names.at, "index"),
         expected=len(names.heap))
    check_roles(adapter, [place(5, i, f"tensor {t.name!r}") for i, t in enumerate(adapter.tensors)])

    last = b""
    for i, s in enumerate(sections):  # 6.9
        where, known = place(7, i, f"section {s.tag.decode('latin-1')!r}"), s.tag in (b"META", b"ORIG")
        need(s.tag.isalpha(), "SECTION_RECORD", "a tag is four ASCII letters", where)
        need(s.flags <= 3 and s.reserved == 0, "RECORD_RESERVED_NONZERO", "flags or reserved field", where)
        need(s.tag > last, "SECTION_ORDER", "tags are not ascending", where)
        last = s.tag
        critical = s.flags & 1 == 1
        need(not (s.tag[:1].islower() and critical), "SECTION_RECORD", "a private section is critical", where)
        need(known or not critical, "UNSUPPORTED_SECTION", "unknown and critical", where)  # 10.1
        limit("CHUNK_BYTES", max(s.raw_length, s.chunk_length), where)
        limit("META_BYTES", s.raw_length if known else 0, where)
        need(s.tag != b"META" or s.compression == PLAIN, "SECTION_RECORD", "META is compressed", where)  # 10.2
        adapter.chunks.append(check_chunk((PLAIN, TEXT), s, s.raw_length, where, s))
        expansion += max(0, s.raw_length - 16 * s.chunk_length)
        limit("EXPANSION", expansion, where)
    return names


def check_roles(adapter: Adapter, places: list[Place]) -> None:
    """9.4, after all tensors"""
    modules = {m.name: m for m in adapter.modules}
    others = {(t.name, t.record.role): t for t in adapter.tensors}
    for t, where in zip(adapter.tensors, places):
        role, m = t.record.role, modules.get(t.name)
        if role in (REPLACE, CARRIED):
            continue
        need(t.record.element in ((U32,) if role == TOKEN_INDICES else (F32, F16, BF16, F64)), "TENSOR_RECORD",
             "element type", where, actual=t.record.element)
        if role == BIAS:
            need((t.name, REPLACE) not in others, "TENSOR_RECORD", "a second tensor for one base tensor", where)
        elif role in (LORA_BIAS, MAGNITUDE):
            if m is None:
                raise LqaError("TENSOR_RECORD", "no module of its name", where)
            axis_is_out = role == LORA_BIAS or t.record.axis == m.type.base_layout
            want = [n for n in (m.type.experts, m.type.out if axis_is_out else m.type.inp) if n != 1]
            need([n for n in t.shape if n != 1] == want, "TENSOR_RECORD", "shape", where, expected=want, actual=t.shape)
        else:
            need(role == TOKEN_INDICES or m is None, "TENSOR_RECORD", "a module of its name", where)
            need(len(t.shape) == (2 if role == TOKEN_ROWS else 1), "TENSOR_RECORD", "shape", where, actual=t.shape)
            other = others.get((t.name, TOKEN_ROWS + TOKEN_INDICES - role))
            need(other is not None and other.shape[:1] == t.shape[:1], "TENSOR_RECORD",
                 "token-rows and token-indices need each other", where)


def check_features(adapter: Adapter, required: int) -> None:
    """5.3"""
    kinds = {t.record.role for t in adapter.tensors}
    used = (any(t.record.compression for t in adapter.tensors)
            | any(e.codec == TRELLIS for e in adapter.encodings) << 1
            | any(m.type.experts > 1 for m in adapter.modules) << 2 | (MAGNITUDE in kinds) << 3
            | bool(kinds - {MAGNITUDE, CARRIED}) << 4 | any(e.mixture for e in adapter.encodings) << 5
            | any(m.parent for m in adapter.modules) << 6)
    need(required == used, "FEATURE_BITS", "required bits are not the ones the file uses", "prologue", offset=12,
         expected=hex(used), actual=hex(required))


# ---- Step 4: compression (7.5, 7.6) ---------------------------------------------------------------------------------

def split_frames(data: bytes, raw: int, where: str) -> list[tuple[int, bytes, int]]:
    """Walks the headers of zstd frames (RFC 8878); where each frame is, its bytes, its content size."""
    frames, first, at = [], 0, 0

    def check(ok: bool, message: str) -> None:
        need(ok, "ZSTD_FRAME", message, where, offset=first)

    def number(width: int) -> int:
        nonlocal at
        check(at + width <= len(data), "a frame ends early")
        at += width
        return int.from_bytes(data[at - width:at], "little")

    for start in range(0, raw, 1 << 20):
        first, size = at, min(1 << 20, raw - start)
        check(number(4) == 0xFD2FB528, "no zstd frame where one must start")
        flags = number(1)
        width = (1, 2, 4, 8)[flags >> 6]
        check(flags & 0x3F == 0x20, "no single segment, or a checksum or dictionary (drafts before 1.0 allowed more)")
        check(number(width) + 256 * (width == 2) == size, "a frame does not declare its content size")
        last = 0
        while not last:
            header = number(3)
            last, kind, length = header & 1, header >> 1 & 3, header >> 3
            check(kind < 3 and length <= 1 << 17, "a reserved block type or an oversized block")
            number(1 if kind == 1 else length)
        frames.append((first, data[first:at], size))
    first = at
    check(at == len(data), "bytes behind the last frame")
    return frames


def find_zstd(dictionary: bool) -> Callable[[bytes, int], bytes] | None:
    """An optional decompressor: Python 3.14's own or the package `zstandard`."""
    path = companion("text-dictionary.txt") if dictionary else None
    text = path.read_bytes() if path else b""  # 7.5
    for package in ("compression.zstd", "zstandard") if text or not dictionary else ():
        try:
            zstd: Any = importlib.import_module(package)
        except ImportError:
            continue
        if package == "zstandard":
            known = zstd.ZstdCompressionDict(text, zstd.DICT_TYPE_RAWCONTENT) if dictionary else None
            return lambda frame, size: bytes(zstd.ZstdDecompressor(dict_data=known).decompress(frame, size))
        known = zstd.ZstdDict(text, is_raw=True) if dictionary else None
        return lambda frame, size: bytes(zstd.ZstdDecompressor(zstd_dict=known).decompress(frame, size + 1))
    return None


def inflate(data: bytes, chunk: Chunk) -> bytes | None:
    """The payload of a chunk; None if it is compressed and there is no decompressor."""
    if chunk.compression == PLAIN:
        return data
    frames = split_frames(data, chunk.raw, chunk.where)  # all headers before any content
    decompress = find_zstd(chunk.compression == TEXT)
    if decompress is None:
        return None
    result = bytearray()
    for at, frame, size in frames:
        try:
            content = decompress(frame, size)
        except Exception as error:  # both packages have their own classes
            raise LqaError("ZSTD_FRAME", f"zstd: {error}", chunk.where, at) from None
        need(len(content) == size, "ZSTD_FRAME", "content size", chunk.where, offset=at, expected=size,
             actual=len(content))
        if chunk.compression == SHUFFLED and isinstance(chunk.item, Tensor):
            width, plain = WIDTHS[chunk.item.record.element], bytearray(size)
            for k in range(width):
                plain[k::width] = content[k * (size // width):(k + 1) * (size // width)]
            content = bytes(plain)
        result += content
    return bytes(result)


# ---- Step 4: numbers (3.2) and codecs (8) ---------------------------------------------------------------------------

def widen(data: bytes, element: int) -> bytes:
    """3.2: f16 or bf16 to f32, exactly."""
    if element == F32:
        return data
    if element == BF16:
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return bytes(wide)
    return struct.pack(f"<{len(data) // 2}f", *struct.unpack(f"<{len(data) // 2}e", data))


def narrow(data: bytes) -> bytes:
    """3.2, 8.7: f32 to f16, to nearest, ties to even; 65520 and above become infinity."""
    return b"".join(struct.pack("<e", value if abs(value) < 65520 else math.copysign(math.inf, value))
                    for (value,) in struct.iter_unpack("<f", data))


def check_finite(data: bytes, element: int, where: str, offset: int) -> None:
    """8.3"""
    kind, mask = EXPONENTS[element]
    for i, (value,) in enumerate(struct.iter_unpack(kind, data)):
        need(value & mask != mask, "NONFINITE_VALUE", "Inf or NaN", where, offset=offset + i * WIDTHS[element])


def unpack_codes(data: bytes, at: int, count: int, bits: int) -> list[int]:
    """7.2: `count` fields from a byte boundary on, lowest bit first."""
    mask, codes = (1 << bits) - 1, []
    for start in range(at, at + (count * bits + 7 >> 3), bits):  # `bits` bytes hold eight codes
        word = int.from_bytes(data[start:start + bits], "little")
        codes += [word >> shift & mask for shift in range(0, 8 * bits, bits)]
    return codes[:count]


# One factor of one band of one expert: where its planes lie in a module payload, and their bytes
Plane = namedtuple("Plane", "expert factor encoding components n groups codes code_bytes zeros zero_bytes scales scale_bytes")


def block(encodings: list[Encoding], m: Module) -> tuple[list[Plane], int]:
    """7.2, 7.3: the planes of the first expert, first of B', then of A' and its mixture, and the bytes of all of them."""
    sizes = []
    for factor, n in zip("bar", (m.type.out, m.type.a_length(), m.rank)):  # r: the mixture of A' (8.8.2)
        for band in m.plan:
            e, groups = encodings[band.b if factor == "b" else band.a], 0
            e = e.mixed() if factor == "r" else e
            code_bytes = zero_bytes = 0
            if e.codec == RAW:
                code_bytes = band.components * n * WIDTHS[e.element]
            elif e.codec != ZERO:
                groups = -(-n >> e.group_exponent) if e.group_exponent else 1
                code_bytes = band.components * (e.fields(n) * e.code_bits() + 7 >> 3)
                zero_bytes = band.components * (groups * e.bits + 7 >> 3)  # only affine has bits
            sizes.append((factor, e, band.components, n, groups, code_bytes, zero_bytes, 2 * band.components * groups))
    at, codes, zeros, scales = 0, [], [], []
    for _, e, *_, code_bytes, _, _ in sizes:
        at += -at % WIDTHS[e.element] if e.codec == RAW else 0
        codes.append(at)
        at += code_bytes
    for *_, zero_bytes, _ in sizes:
        zeros.append(at)
        at += zero_bytes
    at += at % 2
    for *_, scale_bytes in sizes:
        scales.append(at)
        at += scale_bytes
    return [Plane(0, f, e, count, n, groups, c, c_bytes, z, z_bytes, s, s_bytes)
            for (f, e, count, n, groups, c_bytes, z_bytes, s_bytes), c, z, s in zip(sizes, codes, zeros, scales)], at


def planes(encodings: list[Encoding], m: Module, experts: int) -> Iterator[Plane]:
    """All planes, expert by expert: the block of each begins at a multiple of 16."""
    first, size = block(encodings, m)
    for x in range(experts):
        at = x * (size + -size % 16)
        for p in first:
            yield p._replace(expert=x, codes=p.codes + at, zeros=p.zeros + at, scales=p.scales + at)


def payload_length(encodings: list[Encoding], m: Module) -> int:
    _, size = block(encodings, m)
    return (m.type.experts - 1) * (size + -size % 16) + size


PIECE = 1 << 16  # weights looked at together: a multiple of every group size, and of 8, so pieces start on bytes


class Payload(namedtuple("Payload", "encodings module data where")):
    """The payload of one module: padding, values and weights."""

    def size(self) -> int:  # when decoded
        t: ModuleType = self.module.type
        return int(4 * t.experts * self.module.rank * (t.out + t.a_length()))

    def planes(self) -> Iterator[Plane]:
        return planes(self.encodings, self.module, self.module.type.experts)

    def scales(self, p: Plane, i: int) -> tuple[float, ...]:
        data = widen(self.data[p.scales + 2 * i * p.groups:p.scales + 2 * (i + 1) * p.groups], p.encoding.scale)
        return struct.unpack(f"<{p.groups}f", data)

    def zero_points(self, p: Plane, i: int) -> list[int]:
        bits = p.encoding.code_bits()
        return unpack_codes(self.data, p.zeros + i * (p.groups * bits + 7 >> 3), p.groups, bits)

    def codes(self, p: Plane, i: int, start: int, count: int) -> list[int]:
        bits = p.encoding.code_bits()
        stride = p.encoding.fields(p.n) * bits + 7 >> 3
        return unpack_codes(self.data, p.codes + i * stride + start * bits // 8, count, bits)

    def check_padding(self) -> None:
        """3.6, 7.2, 7.3"""
        if not self.data:  # codec zero alone, however many experts
            return
        at = 0
        for _, own in groupby(self.planes(), key=lambda p: p.expert):
            block = list(own)
            stored = [(p.codes, p.code_bytes, p, p.encoding.fields(p.n)) for p in block]
            stored += [(p.zeros, p.zero_bytes, p, p.groups) for p in block]
            stored += [(p.scales, p.scale_bytes, p, 0) for p in block]
            for start, length, p, count in stored:
                if length == 0:
                    continue
                gap = self.data[at:start]
                need(not any(gap), "PADDING_NONZERO", "between planes", self.where, offset=start - len(gap.lstrip(b"\0")))
                at = start + length
                unused = 0 if p.encoding.codec == RAW else -count * p.encoding.code_bits() % 8
                if unused:
                    stride = length // p.components
                    for last in range(start + stride - 1, at, stride):
                        need(self.data[last] >> 8 - unused == 0, "PADDING_NONZERO", "unused bits", self.where, offset=last)

    def check_values(self, canonical: bool) -> LqaError | None:
        """8.1, 8.3, in the order of the bytes: raw weights stand before scales. Returns the first breach of 12.4."""
        noncanonical: LqaError | None = None
        if not self.data:
            return None
        for _, own in groupby(self.planes(), key=lambda p: p.expert):
            block = list(own)
            for p in block:
                if p.encoding.codec == RAW:
                    check_finite(self.data[p.codes:p.codes + p.code_bytes], p.encoding.element, self.where, p.codes)
            for p in block:
                for i in range(p.components if p.groups else 0):
                    found = self.check_scales(p, i, canonical and noncanonical is None)
                    noncanonical = noncanonical or found
        return noncanonical

    def check_scales(self, p: Plane, i: int, canonical: bool) -> LqaError | None:
        """8.1; returns the first breach of 12.4."""
        scales = self.scales(p, i)
        noncanonical: LqaError | None = None
        used = self.used(p, i) if canonical and 0 in scales else []
        for g, s in enumerate(scales):
            offset = p.scales + 2 * (i * p.groups + g)
            # s * largest is exact in binary64; from 2^128 - 2^103 on it rounds to infinity in f32
            need(0 <= s * p.encoding.largest() < 2.0**128 - 2.0**103 and (s > 0 or math.copysign(1, s) > 0),
                 "SCALE_VALUE", f"scale {s}", self.where, offset=offset)
            if s == 0 and used and used[g] and noncanonical is None:
                noncanonical = LqaError("NONCANONICAL_CODES", "a zero point or codes where the scale is 0", self.where, offset)
        return noncanonical

    def used(self, p: Plane, i: int) -> list[bool]:
        """12.4: which groups of a component have a zero point or a code that is not 0."""
        flags = [point != 0 for point in self.zero_points(p, i)] if p.zero_bytes else [False] * p.groups
        fields = p.encoding.fields(p.n)
        size = 1 << p.encoding.group_exponent if p.encoding.group_exponent else fields
        for start in range(0, fields, PIECE):
            for k, code in enumerate(self.codes(p, i, start, min(PIECE, fields - start)), start):
                flags[k // size] |= code != 0
        return flags

    def weights(self) -> Iterator[tuple[str, bytes]]:
        """8: pieces of both factors as f32, each factor in the order [experts][rank][n]."""
        if not self.module.start:
            yield from self.decoded(p for p in self.planes() if p.factor != "r")
            return
        m, n = self.module, self.module.type.a_length()  # 8.8.4
        block = list(self.planes())  # of one expert
        yield from self.decoded(p for p in block if p.factor == "b")
        mine = draws_of(*m.start, m.rank * n)
        for p, mixture in zip((p for p in block if p.factor == "a"), (p for p in block if p.factor == "r")):
            for i in range(p.components):
                rests = b"".join(piece for _, piece in self.decoded([p], range(i, i + 1)))
                if mixture.groups:
                    (s,), (z,) = self.scales(mixture, i), self.zero_points(mixture, i)
                    factors = [q - z for q in self.codes(mixture, i, 0, m.rank)]
                    sums = (sum(f * x for f, x in zip(factors, mine[j::n])) for j in range(n))
                    rests = struct.pack(f"<{n}f", *(r + s * 2.0**-15 * x for (r,), x in zip(struct.iter_unpack("<f", rests), sums)))
                yield "a", rests

    def decoded(self, planes: Iterable[Plane], components: range | None = None) -> Iterator[tuple[str, bytes]]:
        for p in planes:
            e, size = p.encoding, 1 << p.encoding.group_exponent if p.encoding.group_exponent else p.n
            for i in components or range(p.components):
                scales = self.scales(p, i) if p.groups else ()
                if e.codec == TRELLIS:
                    yield from ((p.factor, piece) for piece in self.trellis(p, i, scales[0]))
                    continue
                if e.codec == SIGN:  # 8.5: the weight is (1 - 2q) * s
                    step, points = -2, [-1] * p.groups
                else:  # 8.4: (q - z) * s
                    step, points = 1, self.zero_points(p, i) if p.groups else []
                for start in range(0, p.n, PIECE):
                    count = min(PIECE, p.n - start)
                    if e.codec == ZERO:
                        piece = bytes(4 * count)
                    elif e.codec == RAW:
                        width = WIDTHS[e.element]
                        at = p.codes + (i * p.n + start) * width
                        piece = widen(self.data[at:at + count * width], e.element)
                    else:  # integer times scale is exact in f32 (8.7)
                        values: list[float] = []
                        codes = self.codes(p, i, start, count)
                        for k in range(0, count, size):
                            s, z = scales[(start + k) // size], points[(start + k) // size]
                            values += [(step * q - z) * s for q in codes[k:k + size]]
                        piece = struct.pack(f"<{count}f", *values)
                    yield p.factor, piece

    def trellis(self, p: Plane, i: int, scale: float) -> Iterator[bytes]:
        """8.6: an integer times the scale of the vector."""
        if p.encoding.rotation:
            integers = rotate([t for piece in self.trellis_integers(p, i) for t in piece])
            pieces: Iterator[list[int]] = iter([integers[k:k + PIECE] for k in range(0, p.n, PIECE)])
        else:
            pieces = self.trellis_integers(p, i)
        for piece in pieces:
            yield struct.pack(f"<{len(piece)}f", *(t * scale for t in piece))

    def trellis_integers(self, p: Plane, i: int) -> Iterator[list[int]]:
        """8.6: the window is the last 8 bits, the newest highest."""
        table, k, steps = TABLES[p.encoding.table], p.encoding.code_bits(), p.encoding.fields(p.n)
        per, entries, window = table["weightsPerStep"], table["entries"], 0
        for start in range(0, steps, PIECE):
            integers: list[int] = []
            for j, code in enumerate(self.codes(p, i, start, min(PIECE, steps - start)), start):
                window = window >> k | code << 8 - k
                integers += [entries[window * per + v] for v in range(min(per, p.n - j * per))]
            yield integers


def draws_of(start: list[int], position: int, count: int) -> array[int]:
    """8.8.3: draws from a position of a state on, two bytes each. Python's generator is the same."""
    words = start[1:]
    while len(words) < 624:
        words.append(1812433253 * (words[-1] ^ words[-1] >> 30) + len(words) & 0xFFFFFFFF)
    generator = random.Random()
    generator.setstate((3, (*words, 624), None))
    generator.getrandbits(32 * position)
    draws: array[int] = array("h")
    for at in range(0, count, PIECE):
        own = min(PIECE, count - at)
        outputs = generator.getrandbits(32 * own).to_bytes(4 * own, "little")
        draws.extend((y >> 8 & 0xFFFF) - (1 << 15) for (y,) in struct.iter_unpack("<I", outputs))
    return draws


def rotate(t: list[int]) -> list[int]:
    """8.6.1, by the fast Walsh-Hadamard transform of each column."""
    c = len(t) // 64
    for k in range(c):
        column, half = t[k:64 * c:c], 1
        while half < 64:
            for r in range(64):
                if not r & half:
                    column[r], column[r | half] = column[r] + column[r | half], column[r] - column[r | half]
            half *= 2
        t[k:64 * c:c] = [-x if (r & r >> 1 & 21).bit_count() & 1 else x for r, x in enumerate(column)]
    return t[:64 * c] + [8 * x for x in t[64 * c:]]


# ---- Step 4: MessagePack (10.2) -------------------------------------------------------------------------------------

def read_messagepack(data: bytes, where: str) -> dict[str, Any]:
    """One map in canonical form."""
    at = start = 0  # start: of the last value begun

    def check(ok: bool, message: str) -> None:
        need(ok, "META_ENCODING", message, where, offset=start)

    def take(count: int) -> bytes:
        nonlocal at
        check(count <= len(data) - at, "the document ends early")
        at += count
        return data[at - count:at]

    def size(width: int, *least: int) -> int:
        number = int.from_bytes(take(width), "big")
        check(number >= least[width.bit_length() - 1], "not the shortest form")
        return number

    def text(length: int) -> str:
        raw = take(length)
        check(raw.decode("utf-8", "ignore").encode("utf-8") == raw, "a string is not UTF-8")
        return raw.decode("utf-8")

    def value(depth: int) -> Any:  # recursion is bounded by 16 levels
        nonlocal start
        start = at
        head = take(1)[0]
        width = 1 << (head & 3)  # of the number behind 0xC4-C6, CC-D3; others say it themselves
        if head < 0x80 or head >= 0xE0:
            return head if head < 0x80 else head - 256
        if head >> 4 in (8, 9) or head >= 0xDC:
            check(depth < 16, "more than 16 levels")
            count = head & 15 if head < 0xA0 else size(2 << (head & 1), 0, 16, 1 << 16)
            if head >> 4 == 8 or head >= 0xDE:
                return mapping(count, depth + 1)
            return [value(depth + 1) for _ in range(count)]
        if head >> 5 == 5:
            return text(head & 31)
        if head in (0xD9, 0xDA, 0xDB):
            return text(size(1 << head - 0xD9, 32, 256, 1 << 16))
        if head in (0xC4, 0xC5, 0xC6):
            return take(size(width, 0, 256, 1 << 16))
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if head == 0xCB:
            real = struct.unpack(">d", take(8))[0]
            check(math.isfinite(real) and not (real == int(real) and abs(real) < 1 << 53),
                  "a float that is an integer, or not finite")
            return real
        if 0xCC <= head <= 0xCF:
            number = size(width, 128, 256, 1 << 16, 1 << 32)
            check(number < 1 << 53, "an integer above 2^53 - 1")
            return number
        if 0xD0 <= head <= 0xD3:
            number = int.from_bytes(take(width), "big", signed=True)
            check(-(1 << 53) < number < -(32, 128, 1 << 15, 1 << 31)[head & 3],
                  "not the shortest form of an integer, or below -(2^53 - 1)")
            return number
        check(False, f"type {head:#x} is not allowed")

    def mapping(count: int, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        last = ""
        for _ in range(count):
            key = value(16)  # nothing that nests
            check(isinstance(key, str) and re.fullmatch("[ -~]{1,255}", key) is not None and key > last
                  and key != "__proto__", "a key is not a printable ASCII string, or out of order")
            last = key
            result[key] = value(depth)
        return result

    check(data[:1] in (b"\xde", b"\xdf") or data[:1] >= b"\x80" and data[:1] < b"\x90", "not a map")
    document = value(0)
    start = at
    check(at == len(data), "bytes behind the map")
    return dict(document)


# ---- The file from front to back (15.2) -----------------------------------------------------------------------------

MAGIC = b"\x89LQA\r\n\x1a\n"
DAMAGED = (b"\x89LQA\n", b"\x89LQA\r\r\n", b"\x09LQA", b"\xc2\x89LQA", b"\xef\xbf\xbdLQA")  # 5.1
LEVELS = ("structure", "integrity", "values", "canonical")  # 15.3
Sink = Callable[[Module, str, bytes], None]
Prologue = namedtuple("Prologue", "required file_length index_length counts alignment index_crc")


class Source:
    """A stream read once, in pieces, so that no length in a file makes it allocate."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.at = stream, 0

    def some(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count and (piece := self.stream.read(min(1 << 20, count - len(data)))):
            data += piece
        self.at += len(data)
        return bytes(data)

    def exactly(self, count: int, where: str) -> bytes:
        data = self.some(count)
        need(len(data) == count, "TRUNCATED_FILE", "the file ends here", where, offset=self.at, expected=count,
             actual=len(data))
        return data

    def padding(self, alignment: int, where: str) -> bytes:
        data = self.exactly(-self.at % alignment, where)
        need(not any(data), "PADDING_NONZERO", "padding", where, offset=self.at - len(data.lstrip(b"\0")))
        return data


def check_crc(name: str, data: bytes, stored: int, where: str, offset: int) -> None:
    need(zlib.crc32(data) == stored, name, "CRC-32", where, offset=offset, expected=f"{stored:#010x}",
         actual=f"{zlib.crc32(data):#010x}")  # 3.4


def read_prologue(raw: bytes) -> Prologue:
    """Step 1; clause 5"""
    wrong = next((i for i, (a, b) in enumerate(zip(raw, MAGIC)) if a != b), None)
    need(wrong is None, "MAGIC_TEXT_DAMAGE" if raw.startswith(DAMAGED) else "BAD_MAGIC", "magic", "prologue",
         offset=wrong, expected=MAGIC.hex(), actual=raw[:8].hex())
    need(len(raw) == 64, "TRUNCATED_PROLOGUE", "fewer than 64 bytes", "prologue", offset=len(raw))
    (major, _minor, required, _readonly, _compatible, file_length, index_length, *counts, exponent, reserved, index_crc,
     crc) = struct.unpack("<8xHHIIIQIIIIB7sII", raw)
    check_crc("PROLOGUE_CRC", raw[:60], crc, "prologue", 60)
    need(major == 1, "UNSUPPORTED_VERSION", "major version", "prologue", offset=8, actual=major)
    need(required & ~(31 | START | PARENT) == 0, "UNSUPPORTED_FEATURE",
         "a draft wrote this file, version 1.1 of November 2026: encode the adapter again" if required & DRAFT else
         "required bits", "prologue", offset=12, actual=hex(required))
    need(required & START == 0 or required & PARENT == 0, "FEATURE_BITS", "START and PARENT", "prologue", offset=12)  # 8.9
    need(not any(reserved), "PROLOGUE_RESERVED_NONZERO", "bytes 49 to 55", "prologue",
         offset=56 - len(reserved.lstrip(b"\0")))
    need(2 <= exponent <= 12, "ALIGNMENT_OUT_OF_RANGE", "exponent", "prologue", offset=48, actual=exponent)
    for quantity, value, at in zip(("FILE_BYTES", "INDEX_BYTES", "MODULES", "TENSORS", "SECTIONS"),
                                   (file_length, index_length, *counts), (24, 32, 36, 40, 44)):
        limit(quantity, value, Place("prologue", at))
    return Prologue(required, file_length, index_length, tuple(counts), 1 << exponent, index_crc)


def read(stream: BinaryIO, level: str = "values", budget: int = 1 << 29, sink: Sink | None = None,
         passed: Callable[[str, str], None] | None = None,
         payloads: Callable[[Adapter, Module | Tensor, bytes], None] | None = None,
         parents: Iterable[Callable[[], BinaryIO]] = ()) -> Adapter:
    """Reads and checks a file. From level `values` on, `sink` gets each factor of each module as f32, in pieces.

    `parents` open the files that may be parents (8.9). `passed` gets kind and name of each module, tensor and section as soon as its chunk has passed its checks (13.1);
    `payloads` gets those of modules and tensors as they are, for programs that decode them themselves.
    """
    depth, source = LEVELS.index(level), Source(stream)
    raw = source.some(64)
    p = read_prologue(raw)
    adapter = Adapter(p.file_length, p.alignment)

    # Steps 2 and 3
    index = source.exactly(p.index_length, "index")
    check_crc("INDEX_CRC", index, p.index_crc, "index", 56)
    vectors, places = read_vectors(index, p.required)
    names = read_records(vectors, places, p.counts, adapter)
    check_features(adapter, p.required)
    opened = end = 64 + p.index_length + -(64 + p.index_length) % p.alignment
    for chunk in adapter.chunks:  # 4.2, 11.1
        end += chunk.stored + 4 + -(chunk.stored + 4) % p.alignment
        if end - opened >= 32768 or chunk is adapter.chunks[-1]:
            adapter.spans.append(end)
            opened = end
    digests_length = 32 + 32 * len(adapter.spans)
    end += digests_length + 64
    need(end == p.file_length, "FILE_LENGTH_MISMATCH", "file length", "prologue", offset=24, expected=end,
         actual=p.file_length)
    source.padding(p.alignment, "padding behind the index")
    if adapter.parent_id:
        find_parents(adapter, [read_parent(opener, budget) for opener in parents])
    if depth == 0:  # 15.3: the length of the file is all that is left
        while source.at < end:
            source.exactly(min(1 << 20, end - source.at), "file")
        need(not source.some(1), "TRAILING_BYTES", "bytes behind the trailer", offset=end)
        return adapter

    # Step 4
    content, span, digests = hashlib.sha256(b"LQA content 1\n"), hashlib.sha256(), list[bytes]()
    for chunk in adapter.chunks:
        start, payload, data = source.at, *read_chunk(source, chunk, budget)
        try:
            if payload is not None:
                check_payload(payload, chunk, adapter, depth, start, budget)
        except LqaError as error:  # a position in a payload becomes one in the file
            error.offset = start + (error.offset or 0 if chunk.compression == PLAIN else 0)
            raise
        span.update(data + source.padding(p.alignment, f"padding behind {chunk.where}"))
        if source.at == adapter.spans[len(digests)]:
            digests.append(span.digest())
            span = hashlib.sha256()
        if payload is None:
            adapter.omissions.append({"where": chunk.where, "code": "LQA-U005", "message": "no zstd implementation"})
        elif not isinstance(chunk.item, SectionRecord):
            content.update(content_record(chunk.item, adapter.encodings) + hashlib.sha256(payload).digest())
            if payloads:
                payloads(adapter, chunk.item, payload)
            if sink and depth >= 2 and isinstance(chunk.item, Module):
                weights = Payload(adapter.encodings, chunk.item, payload, chunk.where)
                if weights.size() <= budget and has_parents(chunk.item, adapter.ancestors):
                    for factor, piece in with_parents(weights, adapter.ancestors):
                        sink(chunk.item, factor, piece)
                elif weights.size() <= budget:
                    adapter.omissions.append({"where": chunk.where, "code": "LQA-U010", "message": "no parent"})
                else:  # the file is valid all the same
                    adapter.omissions.append({"where": chunk.where, "code": "LQA-L003", "message": "too large"})
        if passed and payload is not None:
            passed(*kind_and_name(chunk.item))

    # Step 5; clause 11
    start = source.at
    stored = source.exactly(digests_length, "digest list")
    for at, digest in enumerate(digests, 1):
        need(stored[32 * at:32 * at + 32] == digest, "SPAN_DIGEST", f"span {at - 1}", "digest list",
             offset=start + 32 * at, actual=digest.hex())
    trailer = source.exactly(64, "trailer")
    root, *fields, crc, tail = struct.unpack("<32sQIIII8s", trailer)
    check_crc("TRAILER_CRC", trailer[:52], crc, "trailer", end - 12)
    for at, value, want in zip((32, 40, 44, 48, 56), (*fields, tail),
                               (end, digests_length, p.index_length, 0, MAGIC[::-1])):
        need(value == want, "TRAILER_MISMATCH", "a field contradicts the prologue", "trailer", offset=end - 64 + at,
             expected=str(want), actual=str(value))
    file_id = hashlib.sha256(raw + index + stored)
    need(root == file_id.digest(), "ROOT_DIGEST", "root digest", "trailer", offset=end - 64, actual=file_id.hexdigest())
    need(stored[:32] == content.digest(), "CONTENT_ID", "content id", "digest list", offset=start,
         actual=content.hexdigest())
    adapter.file_id, adapter.content_id = file_id.hexdigest(), content.hexdigest()

    # Steps 6 and 7
    need(not source.some(1), "TRAILING_BYTES", "bytes behind the trailer", offset=end)
    if depth == 3:
        if adapter.noncanonical:
            raise adapter.noncanonical
        if names.noncanonical:
            raise names.noncanonical
        layout = canonical_index(vectors)
        same = next((i for i, (a, b) in enumerate(zip(index, layout)) if a != b), min(len(index), len(layout)))
        need(index == layout, "NONCANONICAL_INDEX", "not laid out as in 12.2", "index", offset=64 + same)
    return adapter


def read_chunk(source: Source, chunk: Chunk, budget: int) -> tuple[bytes | None, bytes]:
    """7.1: the payload, None if it cannot be inflated, and the bytes of the chunk."""
    start, item, where = source.at, chunk.item, chunk.where
    need(chunk.stored + (chunk.raw if chunk.compression else 0) <= budget, "BUDGET", "memory for a chunk", where,
         offset=start, expected=budget, actual=chunk.raw)
    data = source.exactly(chunk.stored + 4, where)
    check_crc("CHUNK_CRC", data[:-4], int.from_bytes(data[-4:], "little"), where, source.at - 4)
    try:
        payload = inflate(data[:-4], chunk)
    except LqaError as error:
        error.offset = start + (error.offset or 0)
        raise
    need(payload is not None or isinstance(item, SectionRecord) and item.flags & 1 == 0, "UNSUPPORTED_COMPRESSION",
         "no zstd implementation (install `zstandard`)", where, offset=start)  # 15.3
    return payload, data


def check_payload(payload: bytes, chunk: Chunk, adapter: Adapter, depth: int, start: int, budget: int) -> None:
    """Padding, values and MessagePack of one payload."""
    item, where = chunk.item, chunk.where
    if isinstance(item, Module):
        weights = Payload(adapter.encodings, item, payload, where)
        weights.check_padding()
        if depth >= 2:
            found = weights.check_values(depth == 3)
            if found and adapter.noncanonical is None:
                found.offset = (found.offset or 0) + start
                adapter.noncanonical = found
            if item.parent and weights.size() <= budget and has_parents(item, adapter.ancestors):
                for _ in with_parents(weights, adapter.ancestors):  # 8.9.3: sums are finite
                    pass
    elif isinstance(item, Tensor):
        element = item.record.element
        if depth >= 2 and element in EXPONENTS:
            check_finite(payload, element, where, 0)
        rest = payload.lstrip(b"\0\1") if depth >= 2 and element == BOOL else b""
        need(not rest, "TENSOR_RECORD", "a Bool is 0 or 1", where, offset=len(payload) - len(rest))
        if depth >= 2 and item.record.role == TOKEN_INDICES:
            last = -1
            for i, (index,) in enumerate(struct.iter_unpack("<I", payload)):
                need(index > last, "TENSOR_RECORD", "indices do not ascend", where, offset=4 * i, actual=index)
                last = index
        if depth >= 2:
            adapter.digests[item] = hashlib.sha256(payload).hexdigest()
    elif item.tag in (b"META", b"ORIG"):
        adapter.documents[item.tag.decode()] = read_messagepack(payload, where)


def kind_and_name(item: Module | Tensor | SectionRecord) -> tuple[str, str]:
    if isinstance(item, SectionRecord):
        return "section", item.tag.decode()
    return "module" if isinstance(item, Module) else "tensor", item.name


def content_record(item: Module | Tensor, encodings: list[Encoding]) -> bytes:
    """11.3"""
    name: bytes = item.name.encode("utf-8")
    head = struct.pack("<BH", isinstance(item, Tensor), len(name)) + name
    if isinstance(item, Tensor):
        r = item.record
        return head + struct.pack(f"<4B{len(item.shape)}I", r.role, r.element, r.axis, len(item.shape), *item.shape)
    t = item.type
    head += struct.pack("<BB6IfI", t.role, t.base_layout, t.out, t.inp, t.experts, *t.kernel(), t.multiplier,
                        len(item.plan))
    head += b"".join(struct.pack("<I8B8B", c, *encodings[b], *encodings[a]) for c, b, a in item.plan)
    if item.start:  # 8.8.5
        words, draw = item.start
        head += struct.pack(f"<{len(words) + 1}I", *words, draw)
    if item.parent:  # 8.9.4
        head += struct.pack("<32sI", *item.parent)
    return head


def shape_fingerprint(adapter: Adapter) -> str:
    """9.5"""
    digest = hashlib.sha256(b"LQA shapes 1\n")
    for m in adapter.modules:
        name, t = m.name.encode("utf-8"), m.type
        digest.update(struct.pack("<H", len(name)) + name + struct.pack("<6I", t.out, t.inp, *t.kernel(), t.experts))
    return digest.hexdigest()


# ---- Parents (8.9) --------------------------------------------------------------------------------------------------

def read_parent(opener: Callable[[], BinaryIO], budget: int) -> Parent | None:
    """A file that is given as a parent; None if it is not valid."""
    payloads: dict[str, bytes] = {}

    def keep(_: Adapter, item: Module | Tensor, data: bytes) -> None:
        if isinstance(item, Module):
            payloads[item.name] = data

    try:
        with opener() as stream:
            return Parent(read(stream, "values", budget, payloads=keep), payloads)
    except LqaError as error:
        if error.kind in "XL":
            raise
        return None


def find_parents(adapter: Adapter, given: list[Parent | None]) -> None:
    """8.9.2: the parents of a file, one behind the other, as far as they are given, and whether each has the modules."""
    last = adapter
    while last.parent_id and given:
        found = next((p for p in given if p and p.adapter.content_id == last.parent_id.hex()), None)
        if last is not adapter and found is None:
            return
        need(found is not None, "PARENT_MISMATCH", "another file, or a broken one", "parent", expected=last.parent_id.hex())
        assert found is not None
        adapter.ancestors.append(found)
        limit("GENERATIONS", len(adapter.ancestors), "parents")
        for m in last.modules:
            if not m.parent:
                continue
            where, modules = f"parent of module {m.name!r}", found.adapter.modules
            need(m.parent[1] < len(modules), "PARENT_MISMATCH", "no such module", where, actual=m.parent[1])
            own = modules[m.parent[1]]
            mine, theirs = ((t.out, t.inp, *t.kernel(), t.experts) for t in (m.type, own.type))
            need(mine == theirs, "PARENT_MISMATCH", "another shape", where, expected=mine, actual=theirs)
            need(own.rank <= m.rank, "PARENT_MISMATCH", "a larger rank", where, expected=m.rank, actual=own.rank)
        last = found.adapter


def has_parents(m: Module, ancestors: list[Parent]) -> bool:
    return not m.parent or ancestors != [] and has_parents(ancestors[0].adapter.modules[m.parent[1]], ancestors[1:])


def with_parents(payload: Payload, ancestors: list[Parent]) -> Iterator[tuple[str, bytes]]:
    """8.9.3: as `weights`, each factor added to the parent's."""
    m = payload.module
    if not m.parent:
        yield from payload.weights()
        return
    need(ancestors != [], "PARENT_MISSING", f"the file with content id {m.parent[0].hex()}", payload.where)
    adapter, payloads = ancestors[0].adapter, ancestors[0].payloads
    own = adapter.modules[m.parent[1]]
    theirs = Payload(adapter.encodings, own, payloads[own.name], payload.where)
    factors = [{"b": bytearray(), "a": bytearray()} for _ in range(2)]
    for factor, piece in payload.weights():
        factors[0][factor] += piece
    for factor, piece in with_parents(theirs, ancestors[1:]):
        factors[1][factor] += piece
    for factor, n in (("b", m.type.out), ("a", m.type.a_length())):
        for x in range(m.type.experts):
            rest, other = (struct.unpack_from(f"<{rank * n}f", data[factor], 4 * x * rank * n)
                           for data, rank in zip(factors, (m.rank, own.rank)))
            sums = [r + p for r, p in zip(rest, (*other, *[0.0] * (len(rest) - len(other))))]
            # from 2^128 - 2^103 on it rounds to infinity in f32
            need(all(abs(x) < 2.0**128 - 2.0**103 for x in sums), "NONFINITE_VALUE", f"a sum of {factor}", payload.where)
            yield factor, struct.pack(f"<{len(sums)}f", *sums)


# ---- Application to a base model (9.6) ------------------------------------------------------------------------------

Base = dict[str, tuple[tuple[int, ...], list[float]]]  # shape and elements of each base tensor


def read_base(data: bytes) -> Base:
    """Operation `apply` of conformance/PROTOCOL.md."""
    base: Base = {}
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at:at + 2], "little")
        name, count = data[at + 2:end].decode("utf-8"), data[end]
        shape = struct.unpack_from(f"<{count}I", data, end + 1)
        at = end + 1 + 4 * count
        base[name] = shape, list(struct.unpack_from(f"<{math.prod(shape)}f", data, at))
        at += 4 * math.prod(shape)
    return base


def to_f32(values: list[float]) -> list[float]:
    return list(struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values)))


def floats(data: bytes, element: int) -> list[float]:
    kind, wide = ("d", data) if element == F64 else ("f", widen(data, element))
    return list(struct.unpack(f"<{len(wide) // WIDTHS[F64 if element == F64 else F32]}{kind}", wide))


def adapt(m: Module, weight: list[float], b: list[float], a: list[float], axis: int, magnitude: list[float]) -> list[float]:
    """Steps 2 and 3 for one expert; `magnitude` is empty if there is none. `b`, `a` are component by component."""
    out, n, rank, per = m.type.out, m.type.a_length(), m.rank, m.type.a_length() // m.type.inp
    place = [(o, i) for o in range(out) for i in range(n)]  # of [out][in * kernel]
    turned = m.type.base_layout == 1
    where = [i * out + o if turned else o * n + i for o, i in place]
    v = []
    for (o, i), at in zip(place, where):
        total = 0.0
        for c in range(rank):
            total += b[c * out + o] * a[c * n + i]
        v.append(weight[at] + m.type.multiplier * total)
    if magnitude:
        index = [o if axis == m.type.base_layout else i // per for o, i in place]
        squares = [0.0] * len(magnitude)
        for k, x in zip(index, v):
            squares[k] += x * x
        # IEEE 754 division, which Python refuses for 0
        scales = [m / math.sqrt(s) if s else math.nan for m, s in zip(magnitude, squares)]
        v = [scales[k] * x for k, x in zip(index, v)]
    result = list(weight)
    for at, x in zip(where, v):
        result[at] = x
    return to_f32(result)


def apply(adapter: Adapter, payloads: dict[Any, bytes], base: Base) -> Base:
    """The base tensors as the adapter changes them, in the order of 9.6."""
    def find(name: str, shape: tuple[int, ...] | None, where: str) -> str:
        need(name in base, "BASE_MODULE_MISSING", f"no base tensor {name!r}", where)
        have = base[name][0]
        need(shape is None or have == shape, "BASE_SHAPE", f"base tensor {name!r}", where, expected=shape, actual=have)
        return name

    def weight_of(name: str) -> str:
        return name + ".weight" if name + ".weight" in base else name

    role = {(t.name, t.record.role): floats(payloads[t], t.record.element) for t in adapter.tensors
            if t.record.role not in (CARRIED, TOKEN_INDICES)}
    for t in adapter.tensors:
        if t.record.role in (REPLACE, BIAS):
            base[find(t.name, t.shape, t.name)] = t.shape, to_f32(role[t.name, t.record.role])
    axes = {t.name: t.record.axis for t in adapter.tensors if t.record.role == MAGNITUDE}
    seen = set[str]()
    for m in adapter.modules:
        t, n = m.type, m.type.a_length()
        experts = (t.experts,) * (t.experts > 1)
        matrix = (t.inp, t.out) if t.base_layout else (t.out, t.inp, *(k for k in t.kernel() if k))
        target = find(weight_of(m.name), experts + matrix, m.name)
        need(target not in seen, "BASE_MODULE_MISSING", "another module has this base weight", m.name)
        seen.add(target)
        factors: dict[str, list[float]] = {"b": [], "a": []}
        for factor, piece in with_parents(Payload(adapter.encodings, m, payloads[m.name], m.name), adapter.ancestors):
            factors[factor] += struct.unpack(f"<{len(piece) // 4}f", piece)
        magnitude, values = role.get((m.name, MAGNITUDE), []), base[target][1]

        def part(list_: list[float], e: int) -> list[float]:
            return list_[e * len(list_) // t.experts:(e + 1) * len(list_) // t.experts]

        base[target] = base[target][0], [x for e in range(t.experts) for x in adapt(
            m, part(values, e), part(factors["b"], e), part(factors["a"], e), axes.get(m.name, 0), part(magnitude, e))]
        if (m.name, LORA_BIAS) in role:
            bias = find(m.name + ".bias", (*experts, t.out), m.name)
            base[bias] = base[bias][0], to_f32([x + t.multiplier * y for x, y in zip(base[bias][1], role[m.name, LORA_BIAS])])
    for t in adapter.tensors:
        if t.record.role == TOKEN_INDICES:
            target = find(weight_of(t.name), None, t.name)
            shape, values = base[target]
            rows, width = to_f32(role[t.name, TOKEN_ROWS]), shape[-1]
            need(len(shape) == 2 and width * t.shape[0] == len(rows), "BASE_SHAPE", "width of rows", t.name, actual=shape)
            for i, (index,) in enumerate(struct.iter_unpack("<I", payloads[t])):
                need(index < shape[0], "BASE_SHAPE", "no such row", t.name, expected=shape[0], actual=index)
                values[index * width:(index + 1) * width] = rows[i * width:(i + 1) * width]
    return base


# ---- Command line ---------------------------------------------------------------------------------------------------

class Pieces(io.RawIOBase):
    """A stream that comes in pieces of these lengths, the last one repeated; without any, all at once."""

    def __init__(self, stream: BinaryIO, lengths: list[int]) -> None:
        self.stream, self.lengths, self.length, self.pushed = stream, iter(lengths), -1, 0
        self.piece = io.BytesIO()

    def read(self, count: int = -1) -> bytes:
        data = self.piece.read(count)
        if not data:
            self.length = next(self.lengths, self.length)
            self.piece = io.BytesIO(self.stream.read(self.length))
            self.pushed += len(self.piece.getbuffer())
            data = self.piece.read(count)
        return data


def report(stream: BinaryIO, level: str, budget: int, passed: Callable[[str, str], None] | None,
           parents: Iterable[Callable[[], BinaryIO]]) -> dict[str, Any]:
    hashes: dict[str, dict[str, dict[str, Any]]] = {}
    unfit = set[tuple[str, str]]()

    def sink(m: Module, factor: str, piece: bytes) -> None:
        kinds = hashes.setdefault(m.name, {k: {"b": hashlib.sha256(), "a": hashlib.sha256()} for k in ("f32", "f16")})
        kinds["f32"][factor].update(piece)
        halves = narrow(piece)
        kinds["f16"][factor].update(halves)
        if (m.parent or m.start and factor == "a") and math.inf in map(abs, struct.unpack(f"<{len(halves) // 2}e", halves)):
            unfit.add((m.name, factor))  # 8.8.4, 8.9.3: not handed out as f16

    adapter = read(stream, level, budget, sink, passed, parents=parents)
    for name, factor in unfit:
        hashes[name]["f16"][factor] = None
    child = bool(adapter.parent_id)
    modules = [{"name": m.name, **m.type._asdict(), "rank": m.rank, "bands": [band._asdict() for band in m.plan],
                **({"parent_module": m.parent[1] + 1 if m.parent else 0} if child else {}),
                "sha256": hashes.get(m.name)} for m in adapter.modules]
    tensors = [{"name": t.name, **t.record._asdict(), "shape": t.shape, "sha256": adapter.digests.get(t)}
               for t in adapter.tensors]
    return {"valid": True, "fileId": adapter.file_id, "contentId": adapter.content_id,
            "fileLength": adapter.file_length, "alignment": adapter.alignment,
            **({"parent": adapter.parent_id.hex()} if child else {}),
            "shapeFingerprint": shape_fingerprint(adapter), "encodings": [e._asdict() for e in adapter.encodings],
            "modules": modules, "tensors": tensors,
            "sections": [{**s._asdict(), "tag": s.tag.decode()} for s in adapter.sections],
            "meta": adapter.documents.get("META"), "origin": adapter.documents.get("ORIG"),
            "omissions": adapter.omissions}


def apply_file(stream: BinaryIO, budget: int, base: Base, parents: Iterable[Callable[[], BinaryIO]]) -> dict[str, Any]:
    payloads: dict[Any, bytes] = {}

    def keep(_: Adapter, item: Module | Tensor, data: bytes) -> None:
        payloads[item.name if isinstance(item, Module) else item] = data

    result = apply(read(stream, "values", budget, payloads=keep, parents=parents), payloads, base)
    return {"valid": True, "results": [
        {"name": name, "sha256": hashlib.sha256(struct.pack(f"<{len(values)}f", *values)).hexdigest()}
        for name, (_, values) in result.items()]}


def answer(open_stream: Callable[[], BinaryIO], level: str, budget: int,
           passed: Callable[[str, str], None] | None = None, base: Base | None = None,
           parents: Iterable[str] = ()) -> tuple[dict[str, Any], int]:
    """The document and exit code of one file."""
    openers: list[Callable[[], BinaryIO]] = [lambda path=path: open(path, "rb") for path in parents]  # type: ignore[misc]
    try:
        with open_stream() as stream:
            if base is not None:
                return apply_file(stream, budget, base, openers), 0
            return report(stream, level, budget, passed, openers), 0
    except LqaError as error:
        failure = error
    except OSError as error:
        failure = LqaError("NOT_FOUND" if isinstance(error, FileNotFoundError) else "IO", str(error))
    except MemoryError:
        failure = LqaError("BUDGET", "out of memory")
    return {"valid": False, "error": failure.document()}, EXIT[failure.kind]


def to_json(document: Any, indent: int | None = None) -> str:
    return json.dumps(document, indent=indent, default=lambda v: {"bin": v.hex()} if isinstance(v, bytes)
                      else v.hexdigest())


def print_json(document: Any, indent: int | None = None) -> None:
    print(to_json(document, indent), flush=True)


def run(command: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The answer to `run`; for `stream` with what was passed, and how many bytes had come."""
    data = bytes.fromhex(command.get("hex", ""))
    events: list[tuple[str, str, int]] = []
    pushed = Pieces(io.BytesIO(data), [])

    def open_stream() -> BinaryIO:
        nonlocal pushed
        stream: BinaryIO = open(command["path"], "rb") if "path" in command else io.BytesIO(data)
        pushed = Pieces(stream, command.get("pieces", []))
        return pushed if command.get("operation") == "stream" else stream  # type: ignore[return-value]

    base = read_base(Path(command["base"]).read_bytes()) if command.get("operation") == "apply" else None
    document, code = answer(open_stream, command.get("level", "values"), command.get("budget", 1 << 29),
                            lambda kind, name: events.append((kind, name, pushed.pushed)), base,
                            command.get("parents", ()))
    return {**document, "events": events} if command.get("operation") == "stream" else document, code


def lines() -> int:
    """Protocol B of conformance/PROTOCOL.md."""
    reason = "no zstd implementation; install zstandard"
    without = {name: reason for name, text in (("zstd", False), ("text-zstd", True)) if find_zstd(text) is None}
    for line in sys.stdin:
        command = json.loads(line)
        if command["cmd"] == "stop":
            break
        if command["cmd"] == "start":
            print_json({"protocol": 1, "name": "lqa_reader.py", "version": "1.0",
                        "language": f"Python {sys.version_info.major}.{sys.version_info.minor}"})
        elif command["cmd"] == "caps":
            print_json({"levels": LEVELS, "operations": ["read", "stream", "apply"], "without": without})
        elif command.get("operation", "read") not in ("read", "stream", "apply"):
            print_json({"seq": command["seq"], "skipped": "reads from front to back"})
        else:
            document, code = run(command)
            print_json({"seq": command["seq"], "exit": code, "document": document})
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Check and decode an .lqa file; prints one JSON document.")
    parser.add_argument("--level", choices=LEVELS, default="values", help="how deep to look (clause 15.3)")
    parser.add_argument("--budget", type=int, default=1 << 29, help="bytes one chunk may need (default 512 MiB)")
    parser.add_argument("--parent", action="append", default=[], help="a file that may be a parent (clause 8.9)")
    parser.add_argument("--lines", action="store_true", help="many files: JSON lines (conformance/PROTOCOL.md)")
    parser.add_argument("file", nargs="?", default="-", help="a file, or - for standard input")
    options = parser.parse_args(arguments)
    if options.lines:
        return lines()
    document, code = answer(lambda: sys.stdin.buffer if options.file == "-" else open(options.file, "rb"),
                            options.level, options.budget, parents=options.parent)
    print_json(document, 2)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
