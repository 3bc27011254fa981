"""The Python package beside safetensors, in one run; and a thousand packed adapters in memory.

    npm run build && python bench/python.py [--rounds 7] [--adapters 1000] [--write]     --write: into integrations/python/README.md

Needs the package of integrations/python, torch and safetensors. The files have 40 million weights in the shapes of LLaMA-2-7B at rank
16, encoded as in decode.mjs. Each load is a process of its own, as a program that starts; the two take turns, and the least processor
time counts, because on a busy machine everything else is noise. Compared are `lqa.decode(path, torch.float16)` and
`safetensors.torch.load_file` with a copy of each tensor (without one the file stays mapped, and page faults come later). Memory is the
peak above what the process had before, as a multiple of the tensors. GB/s are those of decoding into memory that is used again.
"""
import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MIXES = ("rd", "rd, all rotated, no zeros", "loraquant 2@0.8")
ADAPTER = ROOT / "examples" / "number-words" / "adapter"
MARKS = "<!-- generated: python bench/python.py -->\n", "<!-- /generated -->"


def cpu() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def memory(field: str) -> int:
    return int(re.search(rf"^{field}:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)[1]) * 1024


def load(kind: str, path: str) -> dict:
    """One load in this process."""
    import torch
    from safetensors.torch import load_file

    import lqa

    torch.set_num_threads(1)
    lqa.decode(ROOT / "spec" / "example.lqa", torch.float16)  # everything is imported
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before, begin = memory("VmRSS"), cpu()
    state = lqa.decode(path, torch.float16) if kind == "lqa" else {key: tensor.clone() for key, tensor in load_file(path).items()}
    seconds, peak = cpu() - begin, memory("VmHWM") - before
    size = sum(tensor.nbytes for tensor in state.values())
    return {"seconds": seconds, "memory": peak / size, "bytes": size}


def rate(_kind: str, path: str) -> dict:
    """GB/s of float16, into the same memory again and again."""
    import torch

    import lqa

    file = lqa.open(path)
    b, a = (torch.empty(max(sizes), dtype=torch.float16) for sizes in zip(*((m.rank * m.out, m.rank * m.inputs) for m in file.modules)))
    least, size = float("inf"), 2 * sum(m.parameters for m in file.modules)
    for _ in range(8):
        begin = cpu()
        for m in file.modules:
            file.decode(m, into=(b[:m.rank * m.out], a[:m.rank * m.inputs]))
        least = min(least, cpu() - begin)
    return {"rate": size / least / 1e9}


def packed(quality: str, count: str) -> dict:
    """Resident bytes of packed adapters of SmolLM2, each with bytes of its own."""
    import torch

    import lqa

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.lqa"
        lqa.encode(ADAPTER, path, quality=quality)
        file = lqa.open(path)
        model = torch.nn.Module()
        for m in file.modules:  # the model's layers, without its weights
            at = model
            *parents, leaf = m.name.split(".")
            for name in parents:
                if name not in at._modules:
                    at.add_module(name, torch.nn.Module())
                at = at._modules[name]
            at.add_module(leaf, torch.nn.Linear(m.in_, m.out, device="meta"))
        adapters = lqa.peft.PackedLora(model, dtype=torch.float16)
        adapters.add("first", path)
        before = memory("VmRSS")
        for i in range(int(count)):
            adapters.add(f"adapter {i}", path)
        full = 2 * sum(m.parameters for m in file.modules)
        each = (memory("VmRSS") - before) / int(count)
        return {"file": path.stat().st_size, "resident": each, "full": full, "share": each / full}


def child(*words: str) -> dict:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run([sys.executable, __file__, *words], env=env, check=True, capture_output=True, text=True).stdout)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--adapters", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    import safetensors.torch
    import torch

    import lqa

    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    lines = [f"Measured {date.today()}, {model}, one core, Python {platform.python_version()}, torch {torch.__version__}, "
             f"safetensors {safetensors.__version__}: `python bench/python.py --write`.", "",
             row("40 million weights to f16 tensors", "ms of CPU", "safetensors", "ratio", "memory", "safetensors", "GB/s"),
             row("---", *["--:"] * 6)]
    with tempfile.TemporaryDirectory() as folder:
        for mix in MIXES:
            path, other = f"{folder}/a.lqa", f"{folder}/a.safetensors"
            script = ("const [path, mix] = process.argv.slice(1); const { MIXES } = await import('./bench/decode.mjs');"
                      "const { sevenB } = await import('./bench/seven-b.mjs');"
                      "(await import('node:fs')).writeFileSync(path, await sevenB(MIXES[mix]))")
            subprocess.run(["node", "--input-type=module", "-e", script, path, mix], cwd=ROOT, check=True)
            safetensors.torch.save_file(lqa.decode(path, torch.float16), other)
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(child("lqa", path))
                theirs.append(child("safetensors", other))
            a, b = (min(each["seconds"] for each in runs) * 1e3 for runs in (ours, theirs))
            peaks = (min(each["memory"] for each in runs) for runs in (ours, theirs))
            speed = max(child("rate", path)["rate"] for _ in range(2))
            lines.append(row(mix, f"{a:.0f}", f"{b:.0f}", f"{a / b:.2f}", *(f"{peak:.2f}" for peak in peaks), f"{speed:.1f}"))
            print(lines[-1], file=sys.stderr)
    lines += ["", row(f"{options.adapters} packed adapters of SmolLM2-135M", "file", "resident, each", "16-bit", "share"),
              row("---", *["--:"] * 4)]
    for quality in ("low", "balanced"):
        found = child("packed", quality, str(options.adapters))
        kilobytes = (f"{found[key] / 1e3:.0f} kB" for key in ("file", "resident", "full"))
        lines.append(row(quality, *kilobytes, f"{found['share']:.3f}"))
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        page = ROOT / "integrations" / "python" / "README.md"
        head, rest = page.read_text().split(MARKS[0])
        page.write_text(head + MARKS[0] + text + rest[rest.index(MARKS[1]):])


if __name__ == "__main__":
    parts = {"lqa": load, "safetensors": load, "rate": rate, "packed": packed}
    if len(sys.argv) > 1 and sys.argv[1] in parts:
        words = sys.argv[1:] if sys.argv[1] != "packed" else sys.argv[2:]
        print(json.dumps(parts[sys.argv[1]](*words)))
    else:
        main()
