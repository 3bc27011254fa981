"""The C library behind this package: one file, opened, checked and decoded.

Nothing here knows numpy or torch: weights are written to addresses. Everything stays valid as long as the `Core` does, and a `Core`
is small, so that many packed adapters fit into memory: the bytes of the file, a few hundred more, and once a module with a start was
decoded 2,496 for each of those.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress
from typing import Any, NamedTuple, TypeVar, cast

import zstandard

from ._core import ffi, lib
from .errors import LqaError
from .not_lqa import identified
from .ranges import RemoteBytes

T = TypeVar("T")
LEVELS = {"structure": lib.LQA_STRUCTURE, "integrity": lib.LQA_INTEGRITY, "values": lib.LQA_VALUES, "canonical": lib.LQA_CANONICAL}
F32, F16, BF16 = lib.LQA_F32, lib.LQA_F16, lib.LQA_BF16
B, A = 0, 1
CHUNK_BUDGET = 1 << 30
KEPT_SCRATCH = 1 << 24  # bytes that a thread keeps to decode with
_allocate = ffi.new_allocator(should_clear_after_alloc=False)


def _room(size: int) -> Any:
    try:
        return _allocate("uint64_t[]", -(-size // 8))
    except OverflowError:
        raise MemoryError from None


class _Memory(threading.local):
    """What a thread decodes and inflates with."""

    def __init__(self) -> None:
        self.scratch = _room(0)
        text = bytes(ffi.buffer(lib.lqa_text_dictionary, lib.lqa_text_dictionary_size))
        words = zstandard.ZstdCompressionDict(text, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        self.plain, self.text = zstandard.ZstdDecompressor(), zstandard.ZstdDecompressor(dict_data=words)

    def room(self, size: int) -> Any:
        """Memory to decode with. The next module takes the same, unless it is large."""
        if size > KEPT_SCRATCH:
            return _room(size)
        if ffi.sizeof(self.scratch) < size:
            self.scratch = _room(size)
        return self.scratch


_memory = _Memory()


@ffi.def_extern(error=0)
def lqa_python_inflate(_context: Any, frame: Any, frame_size: int, out: Any, size: int, dictionary: Any, _size: int) -> int:
    """One frame, whose declared size the C library has compared with `size`. Returns another number than `size` if it is broken."""
    decompressor = _memory.text if dictionary != ffi.NULL else _memory.plain
    try:
        data = decompressor.decompress(ffi.buffer(frame, frame_size), max_output_size=size)
    except (zstandard.ZstdError, MemoryError):
        return int(size == 0)
    if len(data) == size:
        ffi.memmove(out, data, size)
    return len(data)


def name_of(record: Any) -> str:
    """The name of a module or tensor; valid UTF-8 since the file was opened."""
    return str(ffi.buffer(record.name.bytes, record.name.length)[:], "utf-8")


class Invalid(NamedTuple):
    """A file that is not valid, among those that may be parents."""

    message: str


def as_parent(work: Callable[[], T]) -> T | Invalid:
    """Does work on a file that may be a parent.

    Raises:
        LqaError: errors that are not of the file: of the source, and of the budget.
    """
    try:
        return work()
    except LqaError as error:
        if error.code[4] in "XL":
            raise
        return Invalid(f"a file that is not valid ({error.code} {error.kind})")


def _with_content_id(wanted: str, given: Sequence[Core | Invalid]) -> tuple[Core | None, list[str]]:
    """The file with a content id, verified, and what the files before it are. Passes over files that are not valid."""
    others = []
    for core in given:
        ids = core if isinstance(core, Invalid) else as_parent(core.verified_ids)
        if isinstance(ids, Invalid):
            others.append(ids.message)
        elif ids[1] == wanted:
            return cast(Core, core), others
        else:
            others.append(ids[1])
    return None, others


class Core:
    """An open file. Opening makes all checks that need no chunk; `check` those of a module; `verify` all, digests included."""

    __slots__ = ("data", "_remote", "_address", "_file", "_kept", "_states", "_lock", "_places", "parent", "ids")

    def __init__(self, data: bytes | RemoteBytes, budget_bytes: int) -> None:
        """
        Args:
            data: the whole file, or one on a server, of which each check fetches what it checks.
            budget_bytes: most bytes that one chunk may need, stored and inflated.

        Raises:
            LqaError: whatever clause 15.2 finds in its steps 1 to 3; BUDGET.
        """
        self._remote = data if isinstance(data, RemoteBytes) else None
        if self._remote is not None:
            self._remote.load_index()
            data = self._remote.data
        self.data, self._lock, self.ids, self._states = data, threading.Lock(), None, None
        self.parent: Core | None = None
        self._address = ffi.from_buffer("uint8_t[]", data) if data else ffi.new("uint8_t[1]")
        self._file = f = ffi.new("lqa_file *")
        options = ffi.new("lqa_options *", {"budget": min(budget_bytes, CHUNK_BUDGET), "inflate": lib.lqa_python_inflate})
        work = ffi.new("uint8_t[]", size := lib.lqa_work_size(self._address, len(data)))
        self._check(lib.lqa_open(f, self._address, len(data), ffi.cast("uint32_t *", work), size, options))
        self._kept = ffi.new("uint8_t[]", lib.lqa_python_keep(f, ffi.NULL))
        lib.lqa_python_keep(f, ffi.cast("uint32_t *", self._kept))
        if self._remote is not None and f.file_length == len(data):  # another length is an error of `verify`
            records = chain(self.modules(), self.tensors(), self.sections())
            self._remote.prove((r.chunk.length for r in records), f.alignment, f.digests_at)

    @property
    def file(self) -> Any:
        return self._file

    @property
    def parent_id(self) -> str | None:
        """The content id of the parent (clause 8.9), hexadecimal; None if the file has none."""
        f = self._file
        return bytes(ffi.buffer(f.parent.at, 32)).hex() if f.parent.count else None

    def verified_ids(self) -> tuple[str, str]:
        """As `verify`, which it calls the first time."""
        return self.ids or self.verify()

    def find_parents(self, given: Sequence[Core | Invalid]) -> None:
        """Takes the parents of this file, one behind the other, from the files given and their own parents, as far as they are among
        them. Verifies them.

        Raises:
            LqaError: PARENT_MISMATCH if none of them is the parent, or the parent has not the modules; HARD_LIMIT, CORE_LIMIT.
        """
        behind = (each for core in given if isinstance(core, Core) for each in core.parents())
        given, chain_ = list(dict.fromkeys([*given, *behind])), [self]
        while given and chain_[-1].parent is None and (wanted := chain_[-1].parent_id) is not None:
            found, others = _with_content_id(wanted, given)
            if found is not None:
                chain_.append(found)
            elif len(chain_) > 1:
                break
            else:
                raise LqaError("PARENT_MISMATCH", where="parent", expected=f"a valid file with content id {wanted}", found=", ".join(others))
        for child, parent in reversed(list(zip(chain_, chain_[1:]))):
            child._set_parent(parent)

    def parents(self) -> Iterator[Core]:
        """The parents that this file was opened with, the nearest first."""
        core = self.parent
        while core is not None:
            yield core
            core = core.parent

    def _set_parent(self, parent: Core) -> None:
        places, ids = _room(lib.lqa_places_size(parent._file)), ffi.new("lqa_ids *")
        ids.content_id = bytes.fromhex(parent.verified_ids()[1])
        with self._lock:
            self._check(lib.lqa_set_parent(self._file, parent._file, ids, places))
            self._places, self.parent = places, parent

    def load(self) -> None:
        """Fetches what is not here yet."""
        if self._remote is not None:
            self._remote.need(0, len(self.data))

    def _need(self, chunk: Any) -> None:
        if self._remote is not None:
            self._remote.need(chunk.offset, chunk.offset + chunk.length)

    def verify(self, level: str = "values") -> tuple[str, str]:
        """Makes all checks of clause 15.2 up to `level`. Returns file id and content id, hexadecimal (empty below `integrity`).

        Raises:
            LqaError: the first fault.
        """
        if level != "structure":
            self.load()
        with self._lock:
            ids = ffi.new("lqa_ids *")
            scratch, size = self._room()
            self._check(lib.lqa_verify(self._file, LEVELS[level], scratch, size, ids))
            found = (bytes(ids.file_id).hex(), bytes(ids.content_id).hex()) if level != "structure" else ("", "")
            if level in ("values", "canonical"):
                self.ids = found
            return found

    def modules(self) -> Iterator[Any]:
        """Each module of the index, as an `lqa_module` that the next step overwrites."""
        record = ffi.new("lqa_module *")
        while lib.lqa_next_module(self._file, record):
            yield record

    def tensors(self) -> Iterator[Any]:
        record = ffi.new("lqa_tensor *")
        while lib.lqa_next_tensor(self._file, record):
            yield record

    def sections(self) -> Iterator[Any]:
        record = ffi.new("lqa_section *")
        while lib.lqa_next_section(self._file, record):
            yield record

    def bands(self, module: Any) -> list[tuple[int, int, int]]:
        """Components, and numbers of the encodings of B' and A', of each band of a module."""
        numbers = ffi.new("uint32_t[3]")
        found = []
        for i in range(module.bands):
            lib.lqa_get_band(self._file, module.first_band + i, numbers, numbers + 1, numbers + 2)
            found.append((numbers[0], numbers[1], numbers[2]))
        return found

    def encodings(self) -> list[Any]:
        """All encodings, by number."""
        return [lib.lqa_get_encoding(self._file, number) for number in range(self._file.encodings.count)]

    def tensor_payload(self, record: Any) -> bytes:
        """The checked bytes of a plain tensor, little-endian.

        Raises:
            LqaError: as clause 15.2 says, BUDGET.
        """
        return self._payload(lib.lqa_tensor_payload, record, lib.LQA_VALUES)

    def section_payload(self, record: Any) -> bytes:
        return self._payload(lib.lqa_section_payload, record)

    def pack(self) -> Any:
        """What `check` and `decode` need to know of each module: an array of records of 120 bytes, without the names."""
        packed = ffi.new("lqa_packed[]", self._file.modules.count)
        lib.lqa_python_pack(self._file, packed)
        return packed

    @staticmethod
    def only(records: Any, wanted: Sequence[bool]) -> Any:
        """Those of the records of `pack` that are wanted, as another array."""
        chosen = ffi.new("lqa_packed[]", sum(wanted))
        for at, record in enumerate(compress(records, wanted)):
            chosen[at] = record
        return chosen

    def check(self, record: Any) -> None:
        """Checks the payload of a module: checksum, padding, values.

        Args:
            record: of `pack`, in an array of one.

        Raises:
            LqaError: the first fault; BUDGET.
        """
        self._need(record[0].chunk)
        with self._lock:
            self._check(lib.lqa_python_check(self._file, record))

    def decode(self, records: Any, factors: tuple[int, ...], address: int, element: int, by_weight: bool, multiplied: bool,
               fresh: bool) -> None:
        """Writes factors of modules to memory, one behind the other, bit for bit as clause 8.7 says. Only after `check` or `verify`.

        Args:
            records: of `pack`, or a slice of them.
            factors: `B` or `A` of each module, or both, B first.
            address: of experts · rank · n weights for each factor, n being out or in · kernel.
            element: `F32`, `F16` or `BF16`.
            by_weight: B as [experts][n][rank] instead of [experts][rank][n], which A always is.
            multiplied: B times the multiplier, which rounds once more.
            fresh: whether the memory was never written.

        Raises:
            LqaError: PARENT_MISSING; NONFINITE_VALUE for a sum that is infinite in this type: do not use the memory then.
        """
        form = ffi.new("lqa_form *", {"element": element, "order": lib.LQA_BY_WEIGHT if by_weight else lib.LQA_BY_COMPONENT,
                                      "multiplied": multiplied})
        count = len(records)
        if (decodable := lib.lqa_python_decodable(self._file, records, count)) < count:
            raise LqaError("PARENT_MISSING", where=f"module {records[decodable].number}",
                           expected=f"the file with content id {self._missing()}")
        if A in factors:
            self._keep_states()
        scratch = _memory.room(lib.lqa_python_scratch(records, count))
        finite = lib.lqa_python_decode(self._file, records, count, sum(1 << factor for factor in factors), form,
                                       ffi.cast("void *", address), fresh, scratch)
        if finite < count:
            raise LqaError("NONFINITE_VALUE", where=f"module {records[finite].number}",
                           expected="sums with a start or a parent that fit in the type")

    def _missing(self) -> str | None:
        """The content id of the parent that is not there."""
        return self.parent_id if self.parent is None else self.parent._missing()

    def _keep_states(self) -> None:
        """Where the starts of all modules begin, once, so that a module does not begin with the draws of those before it."""
        if self.parent is not None:
            self.parent._keep_states()
        with self._lock:
            if self._file.positions.count > 0 and self._states is None:
                self._states = _room(lib.lqa_states_size(self._file))
                lib.lqa_keep_states(self._file, ffi.cast("uint32_t *", self._states))

    def _room(self) -> tuple[Any, int]:
        """Scratch for the largest compressed chunk."""
        size = min(self._file.scratch_needed, CHUNK_BUDGET + (1 << 20))
        return (ffi.new("uint8_t[]", size) if size else ffi.NULL), size

    def _payload(self, function: Any, record: Any, *level: int) -> bytes:
        self._need(record.chunk)
        with self._lock:
            at = ffi.new("uint8_t **")
            scratch, size = self._room()
            self._check(function(self._file, record, *level, scratch, size, at))
            return bytes(ffi.buffer(at[0], record.chunk.raw_length))

    def _check(self, code: int) -> None:
        if code == lib.LQA_OK:
            return
        error, kind = self._file.error, ffi.string(lib.lqa_code_name(code)).decode()
        raise LqaError(kind, offset=error.offset, where=self._where(error), **self._values(kind, error.offset))

    def _where(self, error: Any) -> str:
        place = ffi.string(lib.lqa_place_name(error.place)).decode()
        if error.place in (lib.LQA_MODULE, lib.LQA_TENSOR) and self._file.digests_at:  # names are checked
            for number, record in enumerate(self.modules() if error.place == lib.LQA_MODULE else self.tensors()):
                if number == error.record:
                    return f'{place} "{name_of(record)}"'
        return f"{place} {error.record}" if place in ("encoding", "plan", "type", "module", "tensor", "section") else place

    def _values(self, kind: str, at: int) -> dict[str, Any]:
        """What was expected and found, of faults whose values two reads of the file give."""
        data, f = self.data, self._file

        def number(place: int, size: int) -> int:
            return int.from_bytes(data[place:place + size], "little")

        match kind:
            case "TRUNCATED_PROLOGUE":
                return {"expected": "64 bytes or more", "found": len(data), **identified(bytes(data[:64]))}
            case "TRUNCATED_FILE" | "TRAILING_BYTES":
                return {"expected": f"{f.file_length} bytes", "found": len(data)}
            case "BAD_MAGIC" | "MAGIC_TEXT_DAMAGE":
                return {"expected": "89 4c 51 41 0d 0a 1a 0a", "found": data[:8].hex(" "), **identified(bytes(data[:256]))}
            case "UNSUPPORTED_VERSION":
                return {"expected": "version 1", "found": number(8, 2)}
            case "PADDING_NONZERO":
                return {"expected": 0, "found": number(at, 1)}
            case "PROLOGUE_CRC" | "INDEX_CRC" | "TRAILER_CRC":
                begin, size = {"PROLOGUE_CRC": (0, 60), "INDEX_CRC": (64, f.index_length), "TRAILER_CRC": (at - 52, 52)}[kind]
                return self._checksum(begin, size, at)
            case "CHUNK_CRC":
                for record in chain(self.modules(), self.tensors(), self.sections()):
                    if record.chunk.offset + record.chunk.length - 4 == at:
                        return self._checksum(record.chunk.offset, record.chunk.length - 4, at)
        return {}

    def _checksum(self, begin: int, size: int, at: int) -> dict[str, str]:
        stored = int.from_bytes(self.data[at:at + 4], "little")
        computed = lib.lqa_crc32(self._address + begin, size)
        return {"expected": f"0x{computed:08x}", "found": f"0x{stored:08x}"}
