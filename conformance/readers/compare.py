#!/usr/bin/env python3
"""Compares independent readers with one another, and with an lqa command line: file by file and on mutants.

    python3 compare.py [--reader COMMAND]... [--cli "node dist/cli/main.js"] [--systematic] [--mutate N --seed S --faults K]
                       [--keep DIR] [--counts PATH] FILE...

The Python reader runs in this process; each --reader is one that speaks protocol B of conformance/PROTOCOL.md.
Each file: the readers give the same document at every level of clause 15.3 (of an error: code and offset), and the
command line the same verdict, ids, and, if the source was a PEFT directory, the same bits in every factor it decodes.
Each mutant: the same code, offset and ids at level canonical; of the command line the code and ids, since
specification 15.4 leaves the offset to an implementation. --systematic takes every cut and every bit flip of a file,
--mutate N seeded mutants. A third of these is left as it is, a third gets its CRCs repaired, a third also digests and
ids, so that every later check is reached; of the systematic ones each is tried in all three ways.
Standard library only.  SPDX-License-Identifier: CC0-1.0
"""
from __future__ import annotations

import argparse
import io
import json
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))
import lqa_reader  # noqa: E402
from lqa_reader import Adapter, LqaError, Module, SectionRecord  # noqa: E402

SMALL = 64 << 10  # only files up to this size are mutated
BATCH = 200  # files for one run of the command line
CRCS = ("PROLOGUE_CRC", "INDEX_CRC", "CHUNK_CRC")
REPAIRS = ((), CRCS, None)  # what is put right in a mutant; None: everything
SECONDS = 120  # for one answer of a reader


class Verdict(NamedTuple):
    """Everything that must be agreed on."""
    code: str | None  # None: valid
    offset: int | None = None  # of the error
    file_id: str | None = None
    content_id: str | None = None

    def __str__(self) -> str:
        return f"{self.code} at {self.offset}" if self.code else f"valid, ids {self.file_id} {self.content_id}"


class Reader:
    """A program that speaks protocol B; started again after a crash."""

    def __init__(self, command: str) -> None:
        self.command = shlex.split(command)
        self.process: subprocess.Popen[bytes] | None = None
        self.name = str(self.ask({"cmd": "start", "protocol": 1}).get("language", command))
        self.without = set(self.ask({"cmd": "caps"}).get("without", {}))

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin and self.process.stdout
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
            return dict(json.loads(self.process.stdout.readline()))
        except (OSError, ValueError):
            self.process.kill()
            code = self.process.wait()
            self.process = None
            return {"crash": f"ended with {code}"}
        finally:
            timer.cancel()

    def document(self, level: str, **what: str) -> dict[str, Any]:
        answer = self.ask({"cmd": "run", "seq": 0, "level": level, "budget": 1 << 29, **what})
        return dict(answer.get("document") or {"error": {"code": str(answer)}})

    def verdict(self, data: bytes) -> Verdict:
        document = self.document("canonical", hex=data.hex())
        if document.get("valid"):
            return Verdict(None, None, document["fileId"], document["contentId"])
        return Verdict(document["error"]["code"], document["error"].get("offset"))


class Mutant(NamedTuple):
    data: bytes
    what: str
    ours: Verdict
    zstd: bool  # compressed bytes were changed: what is corrupt in them, implementations may differ in (7.5)


class Comparison:
    def __init__(self, readers: list[Reader], cli: list[str], keep: Path | None) -> None:
        self.readers, self.cli, self.keep = readers, cli, keep
        self.blind = lqa_reader.find_zstd(True) is None or any(r.without for r in readers)
        self.passed = self.failed = self.undecided = 0
        self.codes: Counter[str] = Counter()  # what the mutants were found to be

    def result(self, ok: bool, what: str, always: bool = True) -> None:
        self.passed, self.failed = self.passed + ok, self.failed + (not ok)
        if always or not ok:
            print("pass" if ok else "FAIL", what, flush=True)

    def run(self, *arguments: str) -> Any:
        done = subprocess.run([*self.cli, *arguments, "--json"], capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def theirs(self, paths: list[Path]) -> list[Verdict]:
        document = self.run("validate", "--level", "canonical", *map(str, paths))
        files = document.get("files", []) if isinstance(document, dict) else []
        if len(files) == len(paths):
            return [Verdict(None, None, f["fileId"], f["contentId"]) if f["valid"]
                    else Verdict(f["findings"][0]["code"]) for f in files]
        if len(paths) == 1:
            return [Verdict("no answer")]
        return [verdict for path in paths for verdict in self.theirs([path])]  # which of them is it?

    def file(self, path: Path, scratch: Path) -> None:
        factors: dict[str, dict[str, bytearray]] = defaultdict(lambda: {"b": bytearray(), "a": bytearray()})
        adapter, ours = None, Verdict(None)
        try:
            with path.open("rb") as stream:
                adapter = lqa_reader.read(stream, "canonical", sink=lambda m, f, data: factors[m.name][f].extend(data))
            ours = Verdict(None, None, adapter.file_id, adapter.content_id)
        except LqaError as error:
            ours = Verdict(error.code, error.offset)
        self.documents(path)
        if not self.cli:
            return
        if ours.code == "LQA-U005" and lqa_reader.find_zstd(True) is None:
            print(f"skip {path}: compressed, and no zstd here (install `zstandard`)", flush=True)
            return
        theirs = self.theirs([path])[0]
        same = ours._replace(offset=None) == theirs
        self.result(same, f"{path}: {ours}" + ("" if same else f"; command line: {theirs}"))
        if adapter and not theirs.code and self.dialect(adapter, path) == "peft":
            self.factors(path, adapter, factors, scratch)

    def documents(self, path: Path) -> None:
        """The same document at every level; a reader without zstd may say so."""
        for level in lqa_reader.LEVELS if self.readers else ():
            ours = json.loads(lqa_reader.to_json(lqa_reader.answer(lambda: path.open("rb"), level, 1 << 29)[0]))
            for reader in self.readers:
                theirs = reader.document(level, path=str(path.resolve()))
                without = [d.get("error", {}).get("code") == "LQA-U005" for d in (ours, theirs)]
                if self.blind and without[0] != without[1]:
                    name = "Python" if without[0] else reader.name
                    print(f"skip {path}, {reader.name}, level {level}: compressed, and {name} has no zstd", flush=True)
                    continue
                pair = [comparable(d, self.blind) for d in (ours, theirs)]
                differ = [k for k in {**pair[0], **pair[1]} if pair[0].get(k) != pair[1].get(k)]
                self.result(not differ, f"{path}, {reader.name}, level {level}" + "".join(
                    f"; {k}: {str(pair[0].get(k))[:300]} or {str(pair[1].get(k))[:300]}" for k in differ))

    def dialect(self, adapter: Adapter, path: Path) -> str | None:
        origin = adapter.documents.get("ORIG")
        if origin is None and any(s.tag == b"ORIG" for s in adapter.sections):  # compressed, and no zstd here
            origin = (self.run("inspect", str(path)) or {}).get("origin")
        return (origin or {}).get("dialect")

    def factors(self, path: Path, adapter: Adapter, factors: dict[str, dict[str, bytearray]], scratch: Path) -> None:
        target = scratch / f"{self.passed + self.failed}"
        self.run("decode", str(path), "-o", str(target), "--dtype", "f32")
        stored = peft_factors(target / "adapter_model.safetensors")
        compared = wrong = other = 0
        for m in adapter.modules:
            if m.name not in factors or m.type.experts > 1:  # too large to decode here, or more than two tensors
                other += 1
                continue
            for letter in "ab":
                ok = stored.get((m.name, letter)) == peft_order(m, letter, factors[m.name][letter])
                compared, wrong = compared + 1, wrong + (not ok)
        self.result(compared > 0 and not wrong, f"{path}: {compared} factors, {wrong} differ, {other} modules left out")

    def mutants(self, path: Path, chosen: Iterator[tuple[bytes, list[int], str, tuple[str, ...] | None]]) -> None:
        original = path.read_bytes()
        adapter = lqa_reader.read(io.BytesIO(original), "canonical")
        compressed = compressed_ranges(adapter)
        if self.blind and any(c.compression and not isinstance(c.item, SectionRecord) for c in adapter.chunks):
            print(f"skip mutants of {path}: compressed modules or tensors, and not everyone has zstd", flush=True)
            return
        batch: list[Mutant] = []
        agreed = compared = skipped = 0
        self.undecided = 0
        for data, places, what, repair in chosen:
            zstd = any(start <= at < end for start, end in compressed for at in places)
            if zstd and self.blind:
                skipped += 1
                continue
            data, ours, repairs = classify(data, repair)
            batch.append(Mutant(data, what + repairs, ours, zstd))
            compared += 1
            if len(batch) == BATCH:
                agreed += self.compare(path, batch)
                batch = []
        agreed += self.compare(path, batch)
        print(f"     {path}: {agreed} of {compared - self.undecided} mutants agree"
              + (f", {skipped} skipped for want of zstd" if skipped else "")
              + (f", {self.undecided} in which not every zstd noticed what is corrupt" if self.undecided else ""), flush=True)

    def compare(self, path: Path, batch: list[Mutant]) -> int:
        agreed = 0
        lines: list[Verdict | None] = [None] * len(batch)
        with tempfile.TemporaryDirectory() as directory:
            paths = [Path(directory) / f"{i}.lqa" for i in range(len(batch))]
            for file, mutant in zip(paths, batch) if self.cli else ():
                file.write_bytes(mutant.data)
            if self.cli and batch:
                lines = list(self.theirs(paths))
        for mutant, line in zip(batch, lines):
            others = [(r.name, r.verdict(mutant.data)) for r in self.readers]
            wrong = [f"{name}: {v}" for name, v in others if v != mutant.ours]
            if line is not None and line != mutant.ours._replace(offset=None):
                wrong.append(f"command line: {line}")
            codes = {mutant.ours.code, *(v.code for _, v in others), *((line.code,) if line else ())}
            if wrong and mutant.zstd and "LQA-M019" in codes:
                self.undecided += 1
                continue
            agreed += not wrong
            self.codes[mutant.ours.code or "valid"] += 1
            self.result(not wrong, f"{path}, {mutant.what}: {mutant.ours}; {'; '.join(wrong)}", always=False)
            if wrong and self.keep:
                self.keep.mkdir(parents=True, exist_ok=True)
                (self.keep / f"{path.stem}-{self.failed}.lqa").write_bytes(mutant.data)
        return agreed


def comparable(document: dict[str, Any], blind: bool) -> dict[str, Any]:
    """What two readers must agree on: texts are their own, and without zstd an ORIG may be missing."""
    same = {k: v for k, v in document.items() if k not in ("omissions", *(("origin",) if blind else ()))}
    if "error" in same:
        same["error"] = {k: same["error"].get(k) for k in ("code", "name", "class", "offset")}
    return same


def seeded(original: bytes, name: str, count: int, seed: int, faults: int) -> Iterator[Any]:
    """Mutants with up to `faults` changes: bytes, places of the changes, description, what to repair."""
    index_end = 64 + int.from_bytes(original[32:36], "little")
    chance = random.Random(f"{seed} {name}")
    for _ in range(count):
        data, at, what = mutate(original, index_end, chance)
        places, said = [at], [what]
        for _ in range(chance.randrange(faults)):
            if len(data) == len(original):  # nothing behind a cut
                data, at, what = mutate(data, index_end, chance)
                places, said = [*places, at], [*said, what]
        yield data, places, ", ".join(said), chance.choice(REPAIRS)


def systematic(original: bytes) -> Iterator[Any]:
    """Every cut, and every flip of one bit with each kind of repair."""
    for at in range(len(original)):
        yield original[:at], [], f"cut to {at} bytes", ()
        for bit in range(8):
            data = original[:at] + bytes([original[at] ^ 1 << bit]) + original[at + 1:]
            for repair in REPAIRS:
                yield data, [at], f"bit {bit} of byte {at}", repair


def peft_factors(path: Path) -> dict[tuple[str, str], bytes]:
    """The factors of a safetensors file by module and letter, as stored; only F32 is expected."""
    if not path.is_file():
        return {}
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    found = {}
    for key, tensor in json.loads(data[8:8 + length]).items():
        match = re.fullmatch(r"(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?", key)
        if match and tensor["dtype"] == "F32":
            start, end = tensor["data_offsets"]
            found[match[1], match[2].lower()] = data[8 + length + start:8 + length + end]
    return found


def peft_order(m: Module, letter: str, data: bytearray) -> bytes:
    """The reader's [rank][n] as PEFT stores it: A as [rank][in, kernel], B as [out][rank]."""
    if letter == "a":
        return bytes(data)
    words, turned = memoryview(data).cast("I"), array("I", bytes(len(data)))
    for i in range(m.rank):
        turned[i::m.rank] = array("I", words[i * m.type.out:(i + 1) * m.type.out])
    return turned.tobytes()


def compressed_ranges(adapter: Adapter) -> list[tuple[int, int]]:
    """Where compressed chunks lie, counted from the end of the file, as no position is stored."""
    end, ranges = adapter.file_length - 96 - 32 * len(adapter.spans), []
    for chunk in reversed(adapter.chunks):
        end -= chunk.stored + 4 + -(chunk.stored + 4) % adapter.alignment
        if chunk.compression:
            ranges.append((end, end + chunk.stored + 4))
    return ranges


def mutate(original: bytes, index_end: int, chance: random.Random) -> tuple[bytes, int, str]:
    """One bit or byte changed, or another length; most places are outside the chunks."""
    size, data, kind = len(original), bytearray(original), chance.randrange(10)
    at = chance.randrange(*chance.choice(((0, size), (0, index_end), (size - 160, size))))
    if kind < 5:
        data[at] ^= 1 << chance.randrange(8)
    elif kind < 9:
        data[at] = chance.choice((0, 1, 2, 127, 128, 255, chance.randrange(256), data[at] + 1 & 255))
    elif chance.randrange(8):
        return bytes(data[:at]), size, f"cut to {at} bytes"
    else:
        return bytes(data) + chance.randbytes(chance.randrange(1, 5)), size, "bytes appended"
    return bytes(data), at, f"byte {at} from {original[at]:#04x} to {data[at]:#04x}"


def classify(data: bytes, repair: tuple[str, ...] | None) -> tuple[bytes, Verdict, str]:
    """The reader's verdict; before, checksums that are in the way are put right: those named, or all (None)."""
    done: Counter[str] = Counter()
    while True:
        try:
            adapter = lqa_reader.read(io.BytesIO(data), "canonical")
            return data, Verdict(None, None, adapter.file_id, adapter.content_id), repaired(done)
        except LqaError as error:
            at, actual = error.offset, error.actual
            if error.kind != "I" or done.total() >= 100 or (repair is not None and error.name not in repair):
                return data, Verdict(error.code, at), repaired(done)
            right = bytes.fromhex(actual) if len(actual) == 64 else int(actual, 16).to_bytes(4, "little")
            assert at is not None
            data = data[:at] + right + data[at + len(right):]
            done[error.name] += 1


def repaired(repairs: Counter[str]) -> str:
    return f" (repaired: {', '.join(f'{n} {name}' for name, n in repairs.items())})" if repairs else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare readers of .lqa files.")
    parser.add_argument("--reader", action="append", default=[], metavar="COMMAND", help="a reader that speaks protocol B")
    parser.add_argument("--cli", default="", help='the command line, for example "node dist/cli/main.js"')
    parser.add_argument("--systematic", action="store_true", help="every cut and bit flip of each valid file up to 64 KiB")
    parser.add_argument("--mutate", type=int, default=0, metavar="N", help="mutants of each valid file up to 64 KiB")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutants (default 1)")
    parser.add_argument("--faults", type=int, default=1, metavar="K", help="up to K changes in a mutant (default 1)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep mutants on which there is no agreement")
    parser.add_argument("--counts", type=Path, metavar="PATH", help='write {"passed":N,"failed":N} here')
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    comparison = Comparison([Reader(r) for r in options.reader], shlex.split(options.cli), options.keep)
    with tempfile.TemporaryDirectory() as directory:
        for path in options.files:
            comparison.file(path, Path(directory))
            if path.stat().st_size > SMALL:
                continue
            data = path.read_bytes()
            try:
                if options.systematic:
                    comparison.mutants(path, systematic(data))
                if options.mutate:
                    comparison.mutants(path, seeded(data, path.name, options.mutate, options.seed, options.faults))
            except LqaError:
                print(f"     {path}: not valid, so not mutated")
    if comparison.codes:
        print("     mutants: " + ", ".join(f"{n} {code}" for code, n in sorted(comparison.codes.items())))
    print(f"{comparison.passed} passed, {comparison.failed} failed")
    if options.counts:
        options.counts.write_text(json.dumps({"passed": comparison.passed, "failed": comparison.failed}) + "\n")
    return 1 if comparison.failed else 0


if __name__ == "__main__":
    sys.exit(main())
