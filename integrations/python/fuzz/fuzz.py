"""fuzz.py SECONDS [SEED]: opens, checks, decodes and describes mutants of the conformance suite with the package that is installed.

Everything that input can do wrong is an LqaError: any other exception is a finding, and so is what a sanitizer stops (see `run`). In most
mutants the checksums are computed again, so that what lies behind them is reached. A finding is kept in fuzz/findings/ of the repository,
and is run again first: `fuzz.py FILE...` runs files as they are.
"""
import random
import sys
import time
import traceback
from pathlib import Path
from zlib import crc32

import lqa
from lqa import core
from lqa.config import lora_config

REPOSITORY = Path(__file__).resolve().parents[3]
CORPUS = [*sorted(REPOSITORY.glob("conformance/suite/valid/**/*.lqa")), *sorted(REPOSITORY.glob("conformance/gold/**/*.lqa")),
          REPOSITORY / "spec/example.lqa"]
FINDINGS = REPOSITORY / "fuzz/findings"
LARGEST = 1 << 16
BUDGET = 1 << 24
VALUES = (0, 1, 2, 3, 4, 15, 16, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 32767, 32768, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
          0x7F800000, 0x7FC00000, 0x00FFFFFF, 0x01000000)


def mutate(data: bytearray, chance: random.Random) -> bytearray:
    index = 64 + int.from_bytes(data[32:36], "little")
    for _ in range(chance.randint(1, 6)):
        if len(data) < 9:
            break
        # Half of them in prologue and index, which are small and decide most.
        at = chance.randrange(index if chance.random() < 0.5 and index < len(data) - 4 else len(data) - 4)
        match chance.randrange(6):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.randrange(256)
            case 2:
                data[at:at + 4] = chance.choice(VALUES).to_bytes(4, "little")
            case 3:
                data[at] = data[at] + 1 & 255
            case 4:
                begin, size = chance.randrange(len(data)), chance.randrange(64)
                piece = data[begin:begin + min(size, len(data) - at)]
                data[at:at + len(piece)] = piece
            case _ if chance.random() < 0.1:
                del data[-chance.randrange(1, len(data) // 4):]
    return data


def seal(data: bytearray) -> bytearray:
    """With the checksums that it should have: of the index, the prologue, and the chunks if the index can be read."""

    def put(at: int, begin: int, end: int) -> None:
        data[at:at + 4] = crc32(data[begin:end]).to_bytes(4, "little")

    if len(data) < 64:
        return data
    put(56, 64, 64 + int.from_bytes(data[32:36], "little"))
    put(60, 0, 60)
    try:
        opened = core.Core(bytes(data), BUDGET)
        for records in (opened.modules, opened.tensors, opened.sections):
            for record in records():
                end = record.chunk.offset + record.chunk.length
                if 4 <= record.chunk.length and end <= len(data):
                    put(end - 4, record.chunk.offset, end - 4)
    except lqa.LqaError:
        pass
    return data


def use(data: bytes) -> list[str]:
    """Calls everything that takes a file. Returns the names of the errors."""
    errors = []

    def call(function, *words, **options):
        try:
            return function(*words, **options)
        except lqa.LqaError as error:
            assert str(error) and error.advice and error.exit_code in (1, 2, 3, 4), repr(error)
            errors.append(error.kind)
            return None

    for level in ("structure", "canonical"):
        call(lqa.validate, data, level=level, budget_bytes=BUDGET)
    call(lqa.inspect, data, budget_bytes=BUDGET)
    file = call(lqa.open, data, budget_bytes=BUDGET)
    if file is not None:
        call(lambda: (dict(file.meta), dict(file.origin), file.modules, file.tensors))
        for module in file.modules[:16]:
            if module.parameters < 1 << 20:
                call(file.decode, module)
                call(file.decode, module, "f16", layout="component", multiplier=True)
        call(lambda: [tensor for tensor in file.tensor_all()])
        if sum(module.parameters for module in file.modules) < 1 << 20:
            call(file.state_dict)
        call(lora_config, file)
        call(file.verify)
    return errors


def finding(data: bytes) -> None:
    traceback.print_exc()
    FINDINGS.mkdir(parents=True, exist_ok=True)
    path = FINDINGS / f"python-{crc32(data):08x}.lqa"
    path.write_bytes(data)
    print(f"finding: {path}")


def main() -> int:
    words = sys.argv[1:]
    if words and not words[0].isdigit():
        for path in words:
            print(path, *use(Path(path).read_bytes()))
        return 0
    seconds, seed = int(words[0] if words else 30), int(words[1]) if len(words) > 1 else 1
    chance = random.Random(seed)
    files = [path.read_bytes() for path in CORPUS if path.stat().st_size <= LARGEST]
    seen: set[str] = set()
    mutants = sound = 0
    end = time.monotonic() + seconds
    while mutants == 0 or time.monotonic() < end:
        # Each file once as it is: valid files have findings, too.
        data = bytearray(files[mutants] if mutants < len(files) else mutate(bytearray(chance.choice(files)), chance))
        if mutants >= len(files) and chance.random() < 0.8:
            data = seal(data)
        mutants += 1
        try:
            errors = use(bytes(data))
        except Exception:  # what is no LqaError is what this looks for
            finding(bytes(data))
            return 1
        seen.update(errors)
        sound += not errors
    print(f"{mutants} files and mutants of {len(files)} files, seed {seed}: {sound} without an error, {len(seen)} kinds of errors, no finding")
    return 0 if mutants > len(files) and len(seen) > 20 else 1


if __name__ == "__main__":
    sys.exit(main())
