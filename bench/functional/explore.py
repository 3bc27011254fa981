"""Tries what the encoder does not do (yet), by changing factors before encoding or after decoding.

Usage: python explore.py --task NAME --adapter DIR [--name NAME] --encoding NAME ... --change NAME ...

After decoding, for the same bytes. Codes of least squared error are too small: what they
lose of ΔW they lose along ΔW, so <ΔŴ, ΔW> < ‖ΔW‖².
  gain        every module times ‖ΔW‖² / <ΔŴ, ΔW>
  component   every component times what brings its share of ΔW back to its singular value
  energy      every module times ‖ΔW‖ / ‖ΔŴ‖
Before encoding (and undone after): what counts as error when rd allots bits.
  module      every module counts by its own ‖ΔW‖²
  half        by its root: half-way to that
  output      by its output's power, (W + ΔW)X on training items
  x           input channels count by their mean square on training items
  output+x, module+x   both
One JSON line each is appended to results/exploration.jsonl.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import errors
import evaluate
import lm
import table
import tasks

import torch
from safetensors.torch import load_file, save_file

AFTER = ("gain", "component", "energy")
BEFORE = ("module", "half", "output", "x", "output+x", "module+x")
LARGEST = 3.0  # no factor is made larger than this


def gains(change: str, before: errors.Factors, after: errors.Factors) -> errors.Factors:
    """What to multiply B by, per module: a number, or one for every component."""
    found = {}
    for name, (b, a) in before.items():
        hb, ha = after[name]
        both = ((b.T @ hb) * (a @ ha.T)).sum()
        if change == "gain":
            gain = errors.energy(b, a) / both if both > 0 else torch.tensor(1.0)
        elif change == "energy":
            gain = torch.tensor(errors.energy(b, a) / errors.energy(hb, ha)).sqrt()
        else:
            (qb, rb), (qa, ra) = torch.linalg.qr(b), torch.linalg.qr(a.T)
            u, s, v = torch.linalg.svd(rb @ ra.T)
            # Strongest first in both. A dropped component, or one out of order, stays as it is.
            share = ((qb @ u) * hb).sum(0) * ((qa @ v.T) * ha.T).sum(0)
            gain = torch.where(share > 0.3 * s, s / share, 1.0)
        found[name] = gain.clamp(max=LARGEST)
    return found


def weights(change: str, before: errors.Factors, inputs: dict) -> dict[str, tuple[float, torch.Tensor]]:
    """What to multiply B and the columns of A by before encoding."""
    found = {}
    for name, (b, a) in before.items():
        square, output = inputs[name]
        power = square.diagonal()
        columns = torch.ones_like(power)
        if change.endswith("x"):
            columns = power.sqrt().clamp_min(1e-3 * power.mean().sqrt())
        scale = {
            "module": lambda: errors.energy(b, a) ** -0.5,
            "half": lambda: errors.energy(b, a) ** -0.25,
            "output": lambda: math.sqrt(power.mean().item() / output),
            "x": lambda: 1.0,
            "output+x": lambda: output**-0.5,
            "module+x": lambda: errors.energy(b, a, square) ** -0.5,
        }[change]()
        found[name] = (scale, columns)
    # Only ratios matter; keep the size of things, for the f16 scales in the file.
    sizes = [math.log(scale * columns.square().mean().sqrt().item()) for scale, columns in found.values()]
    size = math.exp(sum(sizes) / len(sizes))
    return {name: (scale / size, columns) for name, (scale, columns) in found.items()}


def multiply(folder: Path, by: dict[str, tuple[torch.Tensor | float, torch.Tensor | float]]) -> None:
    """Multiplies B (all of it, or by component) and the columns of A of a PEFT directory."""
    tensors = load_file(folder / evaluate.WEIGHTS)
    for name, (b, a) in by.items():
        for factor, value in (("lora_B", b), ("lora_A", a)):
            key = f"base_model.model.{name}.{factor}.weight"
            tensors[key] = (tensors[key].double() * value).float().contiguous()
    save_file(tensors, folder / evaluate.WEIGHTS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Try changes that the encoder does not make.")
    parser.add_argument("--task", required=True)
    parser.add_argument("--adapter", type=Path, required=True, metavar="DIR")
    parser.add_argument("--name", help="in the results [the folder's name]")
    parser.add_argument("--encoding", action="append", required=True)
    parser.add_argument("--change", action="append", required=True, choices=AFTER + BEFORE)
    args = parser.parse_args()
    name = args.name or args.adapter.name

    torch.manual_seed(0)
    rows = table.table()
    scorer = evaluate.Scorer(tasks.load(args.task).build())
    scratch = lm.WORK / "scratch" / f"explore-{name}"
    before = errors.factors(args.adapter)
    kept = scorer.adapt(table.round_trip(args.adapter, rows[table.REFERENCE], scratch)[0])
    scorer.measure(keep=True)
    inputs = errors.moments(scorer.model, scorer.calibration, list(before))
    scorer.restore(kept)

    for encoding in args.encoding:
        for change in args.change:
            source = args.adapter
            if change in BEFORE:
                source = scratch / "source"
                shutil.rmtree(source, ignore_errors=True)
                source.mkdir(parents=True)
                for file in ("adapter_config.json", evaluate.WEIGHTS):
                    shutil.copy(args.adapter / file, source / file)
                by = weights(change, before, inputs)
                multiply(source, by)
                folder, report = table.round_trip(source, rows[encoding], scratch)
                multiply(folder, {n: (1 / scale, 1 / columns) for n, (scale, columns) in by.items()})
            else:
                folder, report = table.round_trip(source, rows[encoding], scratch)
                multiply(
                    folder, {n: (g, 1.0) for n, g in gains(change, before, errors.factors(folder)).items()}
                )
            kept = scorer.adapt(folder)
            got = scorer.measure()
            scorer.restore(kept)
            line = {"name": name, "encoding": encoding, "change": change, "bytes": report["outputBytes"]}
            line |= evaluate.summary(got, None, None, scorer.tokens)
            line["errors"] = errors.compare(before, errors.factors(folder), inputs)
            line["errors"].pop("by_kind")
            with (lm.HERE / "results" / "exploration.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(
                f"{name} | {encoding} | {change} | exact {line['exact']} nll {line['nll']} kl {line['kl']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
