"""The adapters that are kept: python keep.py [NAME ...]

`adapters/<name>.lqa.zst` has the weights of a trained adapter rounded to bfloat16, the element type in which most adapters are
published: an .lqa file of the profile `raw`, compressed with zstd. Of the lossless forms tried it is the smallest (bfloat16 12.6 bits per weight,
float16 14.8, float32 29.8). `<name>.json` says how the adapter was trained. What the file decodes to is the **reference adapter**: every
encoding is made from it and compared with it. Decoding is exact to the bit, so the bench starts from the same weights on every
machine; training again would give others, since floating-point sums depend on the processor.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import place
import zstandard
from place import BenchError

WEIGHTS, ENDING = "adapter_model.safetensors", ".lqa.zst"
LEVEL, LARGEST = 19, 1 << 28  # of zstd; bytes of a file that is unpacked
# The lqa command. LQA_CLI names another build, so that a long run does not change with dist/; what is kept is decoded by our own.
OURS = ["node", str(place.ROOT / "dist/cli/main.js")]
CLI = shlex.split(os.environ["LQA_CLI"]) if "LQA_CLI" in os.environ else OURS
LORAQUANT = ("node", str(place.ROOT / "bench/loraquant/encode.mjs"))


@dataclass(frozen=True)
class Reference:
    """A reference adapter, as a PEFT directory.

    Attributes:
        name: of `plan.py`.
        folder: the directory.
        weights: what names its weights in results.
    """

    name: str
    folder: Path
    weights: str


def lqa(*arguments: str, cli: list[str] = CLI) -> dict:
    """Runs a command of the command line and returns its report. LoRAQuant has a program of its own."""
    try:
        run = subprocess.run([*(LORAQUANT if "loraquant" in arguments else cli), *arguments, "--json"], capture_output=True, text=True)
        report = json.loads(run.stdout)
    except (OSError, ValueError) as error:
        raise BenchError(f"lqa {shlex.join(arguments)} gives no report ({error}); build it with npm ci && npm run build") from error
    if "error" in report:
        raise BenchError(f"lqa {shlex.join(arguments)}: {report['error']['message']}")
    return report


def digest(folder: Path) -> str:
    """Names the weights of a PEFT directory."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]


def names() -> list[str]:
    """All adapters that are kept."""
    return sorted(path.name.removesuffix(ENDING) for path in place.ADAPTERS.glob(f"*{ENDING}"))


def load(name: str) -> Reference:
    """Decodes a kept adapter into the work folder."""
    file = place.ADAPTERS / f"{name}{ENDING}"
    if not file.is_file():
        raise BenchError(f"{name} is not kept; train it with train.py, then run keep.py")
    folder = place.STATE / "references" / name
    packed = folder.with_name(f"{name}.lqa")
    with place.whole(packed) as partial:
        try:
            partial.write_bytes(zstandard.ZstdDecompressor().decompress(file.read_bytes(), max_output_size=LARGEST))
        except zstandard.ZstdError as error:
            raise BenchError(f"{file} is damaged ({error}); take it from the repository again") from error
    lqa("decode", str(packed), "-o", str(folder), "--force", cli=OURS)
    return Reference(name, folder, digest(folder))


def keep(name: str) -> None:
    folder = place.STATE / "trained" / name
    if not folder.is_dir():
        raise BenchError(f"{name} is not trained; run train.py {name}")
    place.ADAPTERS.mkdir(parents=True, exist_ok=True)
    target = place.ADAPTERS / f"{name}{ENDING}"
    with place.whole(target) as partial:
        lqa("encode", str(folder), "-o", str(partial), "--profile", "raw", "--element", "bf16")
        partial.write_bytes(zstandard.ZstdCompressor(LEVEL).compress(partial.read_bytes()))
    shutil.copy(folder / "training.json", place.ADAPTERS / f"{name}.json")
    print(f"{name}: {target.stat().st_size} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep trained adapters in the repository.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all that are trained and not yet kept, or these")
    args = parser.parse_args()
    trained = sorted(path.name for path in (place.STATE / "trained").glob("*") if path.is_dir() and path.suffix != ".partial")
    for name in args.names or [one for one in trained if one not in names()]:
        keep(name)


if __name__ == "__main__":
    place.main(main)
