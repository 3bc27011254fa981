"""How long a format takes to load: python load.py [NAME] (default: the adapter of Qwen2.5-Coder 0.5B)

CPU time of one thread from a file on disk, which the system has in its cache, to tensors that a program multiplies by: bfloat16 for `.lqa`,
safetensors and NF4, blocks as they are for GGUF, which llama.cpp computes with. Encodings take turns; the least of 15 rounds counts.
Writes `results/load.json`; `tables.py` makes the table.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import keep
import methods
import peers
import place
import torch
from safetensors.torch import load_file

import lqa

NAME = "qwen2.5-coder-0.5b-gsm8k-r16-all-young-s0"
ENCODINGS = ("bf16", "fp8", "int8", "nf4", "q8_0", "q4_0", "lqa 0.5", "lqa 1.0", "lqa 1.5", "lqa 2.5", "lqa 4.0")
ROUNDS = 15


def scaled(file: Path) -> list[torch.Tensor]:
    """Factors of FP8 or int8 with their scales, or of 16 bits."""
    tensors = load_file(file)
    return [value.bfloat16() * tensors[f"{key}_scale"] if f"{key}_scale" in tensors else value.bfloat16()
            for key, value in tensors.items() if not key.endswith("_scale")]  # fmt: skip


def nf4(file: Path) -> list[torch.Tensor]:
    """The same of NF4, one table of two values for each byte."""
    tensors, table = load_file(file), peers.NF4.bfloat16()
    pairs = torch.stack([table[torch.arange(256) >> 4], table[torch.arange(256) & 15]], 1)
    out = []
    for key in tensors:
        if key.endswith("_absmax"):
            continue
        values = pairs[tensors[key].int()].flatten()
        most = tensors[f"{key}_absmax"].bfloat16()
        whole = len(values) // peers.BLOCK
        out.append((values[: whole * peers.BLOCK].view(-1, peers.BLOCK) * most[:whole, None]).flatten())
        if len(most) > whole:
            out.append(values[whole * peers.BLOCK :] * most[whole])
    return out


def blocks(file: Path) -> list[torch.Tensor]:
    """Tensors of a GGUF file, copied into memory as they are."""
    import gguf

    return [torch.from_numpy(tensor.data.copy()) for tensor in gguf.GGUFReader(file).tensors]


def loader(encoding: str, folder: Path) -> Callable[[], object]:
    if encoding.startswith("lqa"):
        return lambda: lqa.decode(folder / "adapter.lqa", torch.bfloat16)
    if encoding in peers.GGUF:
        return lambda: blocks(folder / "adapter.gguf")
    file = folder / "adapter.safetensors"
    return lambda: (nf4 if encoding == "nf4" else scaled)(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long formats take to load.")
    parser.add_argument("name", nargs="?", default=NAME, help="an adapter of plan.py that is kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    reference = keep.load(args.name)
    made = {one: methods.make(one, reference) for one in ENCODINGS}
    loads = {one: loader(one, made[one].folder.parent) for one in ENCODINGS}
    least = dict.fromkeys(ENCODINGS, float("inf"))
    for _ in range(ROUNDS):
        for one, load in loads.items():
            begin = time.process_time()
            load()
            least[one] = min(least[one], time.process_time() - begin)
    lines = {one: {"bytes": made[one].size, "ms": round(1000 * seconds, 1)} for one, seconds in least.items()}
    found = {"adapter": args.name, "weights": methods.weights(reference.folder), "date": str(date.today()), "machine": platform.machine(),
             "torch": torch.__version__, "encodings": lines}  # fmt: skip
    with place.whole(place.RESULTS / "load.json") as partial:
        partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for one, line in lines.items():
        print(f"{one:10} {line['bytes']:10,} bytes {line['ms']:8.1f} ms")


if __name__ == "__main__":
    place.main(main)
