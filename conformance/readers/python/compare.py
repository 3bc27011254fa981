#!/usr/bin/env python3
"""Compares lqa_reader.py with an lqa command line, file by file and on seeded mutants.

    python3 compare.py --cli "node dist/cli/main.js" [--mutate N --seed S --faults K --keep DIR] [--counts PATH] FILE...

Each file: same verdict and first error code at level canonical, same ids, and, if its source was a PEFT directory,
the same bits in every factor that the command line decodes. Each mutant: same verdict, code and ids. A third of the
mutants is left as it is, a third gets its CRCs repaired, a third also digests and ids, so that every later check is
reached. Standard library only.  SPDX-License-Identifier: CC0-1.0
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
from array import array
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import lqa_reader
from lqa_reader import Adapter, LqaError, Module

SMALL = 64 << 10  # only files up to this size are mutated
BATCH = 200  # files for one run of the command line
CRCS = ("PROLOGUE_CRC", "INDEX_CRC", "CHUNK_CRC")


class Verdict(NamedTuple):
    """Everything both sides must agree on."""
    code: str | None  # None: valid
    file_id: str | None = None
    content_id: str | None = None

    def __str__(self) -> str:
        return self.code or f"valid, ids {self.file_id} {self.content_id}"


class Mutant(NamedTuple):
    path: Path
    what: str
    ours: Verdict


class Comparison:
    def __init__(self, cli: list[str], keep: Path | None) -> None:
        self.cli, self.keep = cli, keep
        self.passed = self.failed = 0
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
            return [Verdict(None, f["fileId"], f["contentId"]) if f["valid"] else Verdict(f["findings"][0]["code"])
                    for f in files]
        if len(paths) == 1:
            return [Verdict("no answer")]
        return [verdict for path in paths for verdict in self.theirs([path])]  # which of them is it?

    def file(self, path: Path, scratch: Path) -> None:
        factors: dict[str, dict[str, bytearray]] = defaultdict(lambda: {"b": bytearray(), "a": bytearray()})
        adapter, ours = None, Verdict(None)
        try:
            with path.open("rb") as stream:
                adapter = lqa_reader.read(stream, "canonical", sink=lambda m, f, data: factors[m.name][f].extend(data))
            ours = Verdict(None, adapter.file_id, adapter.content_id)
        except LqaError as error:
            ours = Verdict(error.code)
        if ours.code == "LQA-U005" and lqa_reader.find_zstd(True) is None:
            print(f"skip {path}: compressed, and no zstd here (install `zstandard`)", flush=True)
            return
        theirs = self.theirs([path])[0]
        self.result(ours == theirs, f"{path}: {ours}" + ("" if ours == theirs else f"; command line: {theirs}"))
        if adapter and not theirs.code and self.dialect(adapter, path) == "peft":
            self.factors(path, adapter, factors, scratch)

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

    def mutants(self, path: Path, count: int, seed: int, faults: int, scratch: Path) -> None:
        original = path.read_bytes()
        index_end = 64 + int.from_bytes(original[32:36], "little")
        adapter = lqa_reader.read(io.BytesIO(original), "canonical")
        chance = random.Random(f"{seed} {path.name}")
        blind = compressed_ranges(adapter) if lqa_reader.find_zstd(True) is None else []
        batch: list[Mutant] = []
        agreed = skipped = 0
        for number in range(count):
            data, at, what = mutate(original, index_end, chance)
            places, said = [at], [what]
            for _ in range(chance.randrange(faults)):
                if len(data) == len(original):  # nothing behind a cut
                    data, at, what = mutate(data, index_end, chance)
                    places, said = [*places, at], [*said, what]
            if any(start <= at < end for start, end in blind for at in places):
                skipped += 1
                continue
            data, ours, repairs = classify(data, chance.choice(((), CRCS, None)))
            file = scratch / f"mutant-{number}.lqa"
            file.write_bytes(data)
            batch.append(Mutant(file, ", ".join(said) + repairs, ours))
            if len(batch) == BATCH:
                agreed += self.compare(path, batch)
                batch = []
        agreed += self.compare(path, batch)
        print(f"     {path}: {agreed} of {count - skipped} mutants agree"
              + (f", {skipped} skipped for want of zstd" if skipped else ""), flush=True)

    def compare(self, path: Path, batch: list[Mutant]) -> int:
        agreed = 0
        for mutant, theirs in zip(batch, self.theirs([m.path for m in batch]) if batch else []):
            ok = mutant.ours == theirs
            agreed += ok
            self.codes[mutant.ours.code or "valid"] += 1
            self.result(ok, f"{path}, {mutant.what}: {mutant.ours}; command line: {theirs}", always=False)
            if not ok and self.keep:
                self.keep.mkdir(parents=True, exist_ok=True)
                (self.keep / f"{path.stem}-{mutant.path.name}").write_bytes(mutant.path.read_bytes())
            mutant.path.unlink()
        return agreed


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
            return data, Verdict(None, adapter.file_id, adapter.content_id), repaired(done)
        except LqaError as error:
            at, actual = error.offset, error.actual
            if error.kind != "I" or done.total() >= 100 or (repair is not None and error.name not in repair):
                return data, Verdict(error.code), repaired(done)
            right = bytes.fromhex(actual) if len(actual) == 64 else int(actual, 16).to_bytes(4, "little")
            assert at is not None
            data = data[:at] + right + data[at + len(right):]
            done[error.name] += 1


def repaired(repairs: Counter[str]) -> str:
    return f" (repaired: {', '.join(f'{n} {name}' for name, n in repairs.items())})" if repairs else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare lqa_reader.py with an lqa command line.")
    parser.add_argument("--cli", required=True, help='the command line, for example "node dist/cli/main.js"')
    parser.add_argument("--mutate", type=int, default=0, metavar="N", help="mutants of each valid file up to 64 KiB")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutants (default 1)")
    parser.add_argument("--faults", type=int, default=1, metavar="K", help="up to K changes in a mutant (default 1)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep mutants on which the two disagree")
    parser.add_argument("--counts", type=Path, metavar="PATH", help='write {"passed":N,"failed":N} here')
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    comparison = Comparison(shlex.split(options.cli), options.keep)
    with tempfile.TemporaryDirectory() as directory:
        for path in options.files:
            comparison.file(path, Path(directory))
            if options.mutate and path.stat().st_size <= SMALL:
                try:
                    comparison.mutants(path, options.mutate, options.seed, options.faults, Path(directory))
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
