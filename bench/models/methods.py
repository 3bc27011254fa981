"""The encodings of the bench: how each is made from a reference adapter, as a real file, and what that file means as a PEFT directory."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import bases
import keep
import peers
import place
import plan
import problems
from place import BenchError

CALIBRATION, TUNING = 64, 160  # training items
BITS = ("0.5", "0.75", "1.0", "1.5", "2.5", "4.0")


@dataclass(frozen=True)
class Encoded:
    """An encoding of an adapter.

    Attributes:
        name: of the encoding.
        folder: a PEFT directory of what the file means.
        size: bytes of the file.
        bits: 8 · size for each weight of the adapter.
        weights: names what the file means, in results.
    """

    name: str
    folder: Path
    size: int
    bits: float
    weights: str


def names() -> list[str]:
    return list(_makers())


def chosen(patterns: list[str]) -> list[str]:
    """The encodings with a name or a pattern like `lqa *`; all, if there is none."""
    found = [one for one in names() if not patterns or any(fnmatchcase(one, pattern) for pattern in patterns)]
    if not found:
        raise BenchError(f"no encoding is called {' or '.join(patterns)}; choose from: {', '.join(names())}")
    return found


def make(name: str, reference: keep.Reference) -> Encoded:
    """Makes an encoding in the work folder. One that is there from the same adapter is taken as it is."""
    if name not in _makers():
        raise BenchError(f"no encoding {name!r}; choose from: {', '.join(names())}")
    folder = place.STATE / "encodings" / reference.name / name.replace(" ", "_").replace("'", "")
    made = folder / "encoded.json"
    if made.is_file() and json.loads(made.read_text())["of"] == reference.weights:
        return Encoded(name, folder / "restored", **json.loads(made.read_text())["is"])
    place.remove(folder)
    folder.mkdir(parents=True)
    size = _makers()[name](reference, folder)
    restored = folder / "restored"
    found = {"size": size, "bits": round(8 * size / weights(reference.folder), 4), "weights": keep.digest(restored)}
    made.write_text(json.dumps({"of": reference.weights, "is": found}))
    return Encoded(name, restored, **found)


def recorded(wanted: list[str], reference: keep.Reference) -> list[Encoded]:
    """Makes encodings, and gives each a line in the results of its adapter."""
    path = place.RESULTS / f"{reference.name}.jsonl"
    found = [make(name, reference) for name in wanted]
    lines = place.json_lines(path)
    for one in found:
        line = {"encoding": one.name, "of": reference.weights, "weights": one.weights, "bytes": one.size, "bits": one.bits}
        if line not in lines:
            place.append(path, line)
    return found


def weights(folder: Path) -> int:
    """How many weights an adapter has."""
    from safetensors import safe_open

    with safe_open(folder / keep.WEIGHTS, "pt") as file:
        return sum(file.get_tensor(key).numel() for key in file.keys())  # noqa: SIM118: not a mapping


Maker = Callable[[keep.Reference, Path], int]


def _makers() -> dict[str, Maker]:
    """Name -> a function that writes the file and `folder/restored`, and returns the bytes of the file."""
    loraquant = ("--profile", "loraquant", "--h-rule", "code", "--refine", "search", "--variant")
    return {
        **{f"lqa {bits}": _lqa("--bits", bits) for bits in BITS},
        **{f"lqa {bits} plain": _lqa("--bits", bits, "--start", "none") for bits in BITS},
        **{f"lqa {bits} calibrated": _calibrated("--bits", bits) for bits in BITS[:4]},
        "lqa 0.5 tuned": _tuned("--bits", "0.5"),
        **{f"rtn {bits}": _lqa("--profile", "rtn", "--code-bits", bits) for bits in ("2", "3")},
        **{f"loraquant {variant}": _lqa(*loraquant, variant) for variant in ("2@0.8", "2@0.9", "3@0.9")},
        **{name: _peer(name) for name in peers.names()},
    }


def _peer(name: str) -> Maker:
    return lambda reference, folder: peers.encode(name, reference.folder, folder)


def _lqa(*options: str) -> Maker:
    def make(reference: keep.Reference, folder: Path) -> int:
        keep.lqa("encode", str(reference.folder), "-o", str(folder / "adapter.lqa"), *options)
        return _restored(folder)

    return make


def _restored(folder: Path) -> int:
    file = folder / "adapter.lqa"
    keep.lqa("decode", str(file), "-o", str(folder / "restored"))
    return file.stat().st_size


def _calibrated(*options: str) -> Maker:
    def make(reference: keep.Reference, folder: Path) -> int:
        return _lqa(*options, "--calibration", str(_calibration(reference)))(reference, folder)

    return make


def _tuned(*options: str) -> Maker:
    def make(reference: keep.Reference, folder: Path) -> int:
        state = place.STATE / "calibration" / f"{reference.name}-{reference.weights}.state"
        file = folder / "adapter.lqa"
        calibration = ("--calibration", str(_calibration(reference)), "--state", str(state))
        _with_model("tune", reference, TUNING, "-o", str(file), *calibration, *options)
        return _restored(folder)

    return make


def _calibration(reference: keep.Reference) -> Path:
    """A file of `lqa calibrate`, made once for an adapter."""
    file = place.STATE / "calibration" / f"{reference.name}-{reference.weights}.safetensors"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        _with_model("calibrate", reference, CALIBRATION, "-o", str(file))
    return file


def _with_model(command: str, reference: keep.Reference, count: int, *options: str) -> None:
    """Runs a command of the Python package on the first training items."""
    adapter = plan.ADAPTERS[reference.name]
    texts = place.STATE / "calibration" / f"{reference.name}-{count}.jsonl"
    with place.whole(texts) as partial:
        lines = [json.dumps(problems.wrapped(adapter.base, item)) for item in problems.load(adapter.task).train[:count]]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = bases.directory(bases.find(adapter.base))
    words = [command, str(reference.folder), "--model", str(model), "--texts", str(texts), *options]
    if subprocess.run([sys.executable, "-W", "ignore", "-c", "from lqa.node import main; main()", *words]).returncode:
        raise BenchError(f"lqa {command} failed for {reference.name}")


