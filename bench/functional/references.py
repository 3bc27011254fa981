"""The adapters of the bench, kept as `.lqa` files: python references.py keep NAME | list

`data/<name>.lqa` is a trained adapter with a ten-thousandth of the energy of ΔW lost, and
`data/<name>.json` tells how it was trained. What the file decodes to is the *reference adapter*: every
encoding is made from it and compared with it. Decoding is exact to the bit on every
machine, so that all scores start from the same weights, wherever they are repeated; training
again would give others (floating-point sums depend on the processor). `keep` makes the two
files of an adapter that `train.py` has left in the work folder.
"""

import argparse
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import lm
import table

LOST = "1e-4"  # of the energy of ΔW
WEIGHTS = "adapter_model.safetensors"

# Adapters that are in the repository for another purpose, as PEFT directories.
ELSEWHERE = {"example-number-words": ("number-words", table.ROOT / "examples" / "number-words" / "adapter")}


@dataclass(frozen=True)
class Reference:
    """A reference adapter, as a PEFT directory."""

    task: str
    folder: Path
    digest: str  # of its weights: what results are made from


def names() -> list[str]:
    """All adapters that there are to score."""
    return sorted({path.stem for path in lm.DATA.glob("*.lqa")} | ELSEWHERE.keys())


def load(name: str) -> Reference:
    """Decodes a kept adapter into the work folder."""
    if name in ELSEWHERE:
        task, folder = ELSEWHERE[name]
    else:
        task = json.loads((lm.DATA / f"{name}.json").read_text())["task"]
        folder = lm.WORK / "references" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        table.lqa("decode", str(lm.DATA / f"{name}.lqa"), "-o", str(folder), "--force")
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]
    return Reference(task, folder, digest)


def trained(name: str) -> Path | None:
    """The adapter as it was trained, if it was trained in this work folder."""
    folder = lm.WORK / "adapters" / name
    return folder if (folder / "training.json").is_file() else None


def keep(name: str) -> None:
    folder = trained(name)
    if folder is None:
        raise SystemExit(f"error: {name} is not trained; run train.py")
    lm.DATA.mkdir(parents=True, exist_ok=True)
    partial = lm.DATA / f"{name}.partial"
    table.lqa("encode", str(folder), "-o", str(partial), "--force", "--max-error", LOST)
    shutil.copy(folder / "training.json", lm.DATA / f"{name}.json")
    partial.replace(lm.DATA / f"{name}.lqa")
    print(f"{name}: kept in {lm.DATA}")


def main() -> None:
    parser = argparse.ArgumentParser(description="The kept adapters.")
    parser.add_argument("action", choices=("keep", "list"))
    parser.add_argument("name", nargs="?")
    args = parser.parse_args()
    if args.action == "list":
        print(*names(), sep="\n")
    elif args.name is None:
        parser.error("keep what?")
    elif (lm.DATA / f"{args.name}.lqa").is_file():
        print(f"{args.name}: kept already")
    else:
        keep(args.name)


if __name__ == "__main__":
    main()
