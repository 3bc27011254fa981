"""What can be said of an encoding without asking the model for answers: errors of ΔW.

Candidates for the figure that predicts behaviour. D is ΔW - ΔŴ; sums and means are over
modules; X are a module's inputs on training items, in the model with the f16 adapter:

  energy            Σ ‖D‖²
  weight            Σ ‖D‖² / Σ ‖ΔW‖²
  weight_mean       mean of ‖D‖² / ‖ΔW‖²
  functional        Σ ‖DX‖² / Σ ‖ΔW X‖²
  functional_mean   mean of ‖DX‖² / ‖ΔW X‖²
  output_mean       mean of ‖DX‖² / ‖(W + ΔW) X‖²: how much of the module's output is wrong
  diagonal          functional, if input channels were uncorrelated: what `lqa encode --calibration` reports
  diagonal_mean     its mean over modules
  shrink            the part of `weight` that is along ΔW: Σ (1 - g)² ‖ΔW‖² / Σ ‖ΔW‖², where a
                    module's gain g is <ΔŴ, ΔW> / ‖ΔW‖²; the rest of `weight` is noise
  functional_shrink the same of `functional`, with g = <ΔŴ X, ΔW X> / ‖ΔW X‖²
  gain              Σ <ΔŴ, ΔW> / Σ ‖ΔW‖²: how much of ΔW is left along itself
  functional_gain   Σ <ΔŴ X, ΔW X> / Σ ‖ΔW X‖²

and `by_kind` has weight and functional by the modules' last name (q_proj, v_proj, …).
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import lm

Factors = dict[str, tuple[torch.Tensor, torch.Tensor]]  # module -> multiplier · B, A


def factors(folder: Path) -> Factors:
    """The LoRA factors of a PEFT directory, in double precision."""
    config = json.loads((folder / "adapter_config.json").read_text())
    if config.get("rank_pattern") or config.get("alpha_pattern") or config.get("use_rslora"):
        raise ValueError(f"{folder}: one multiplier for all modules expected")
    tensors = load_file(folder / "adapter_model.safetensors")
    found = {}
    for name, b in tensors.items():
        if name.endswith(".lora_B.weight"):
            a = tensors[name.replace(".lora_B.", ".lora_A.")]
            module = name.removeprefix("base_model.model.").removesuffix(".lora_B.weight")
            found[module] = (b.double() * (config["lora_alpha"] / config["r"]), a.double())
    return found


@torch.inference_mode()
def moments(model, batches: list[lm.Batch], modules: list[str]) -> dict[str, tuple[torch.Tensor, float]]:
    """For every module XᵀX and ‖Y‖² over the real positions of the batches but the first.

    The first position of a text is where heads look that have nothing to look at. In some
    modules its activations are far larger than all others (56 times the power in the last
    down_proj here), and would be all that counts.
    """
    found = {name: (torch.tensor(0.0), 0.0) for name in modules}
    real = torch.empty(0)

    def hook(name: str):
        def add(module, inputs, output) -> None:
            x = inputs[0][real]
            square, energy = found[name]
            found[name] = (square + x.T @ x, energy + output[real].double().square().sum().item())

        return add

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in modules]
    try:
        for part in batches:
            # A row's last scored position is its last real one.
            real = part.scored.flip(1).cumsum(1).flip(1) > 0
            real[:, 0] = False
            lm.answer_states(model, part)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (square.double(), energy) for name, (square, energy) in found.items()}


def inner(b, a, other_b, other_a, square: torch.Tensor | None = None) -> float:
    """<B A, B' A'>, or <B A X, B' A' X> where `square` is XXᵀ, from small matrices only."""
    right = a @ other_a.T if square is None else a @ square @ other_a.T
    return ((b.T @ other_b) * right).sum().item()


def energy(b: torch.Tensor, a: torch.Tensor, square: torch.Tensor | None = None) -> float:
    """‖B A‖² or ‖B A X‖²."""
    return max(0.0, inner(b, a, b, a, square))


def write_importance(inputs: dict[str, tuple[torch.Tensor, float]], path: Path) -> None:
    """Second moments of input channels, as `lqa encode --calibration` reads them. Only ratios matter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: square.diagonal().float().contiguous() for name, (square, _) in inputs.items()}, path)


def restore_gain(before: Factors, folder: Path) -> None:
    """Divides each module of a PEFT directory by its gain."""
    path = folder / "adapter_model.safetensors"
    tensors, after = load_file(path), factors(folder)
    for name, (b, a) in before.items():
        gain = inner(b, a, *after[name]) / energy(b, a) if energy(b, a) else 0.0
        if gain > 0:
            tensors[f"base_model.model.{name}.lora_B.weight"] /= gain
    save_file(tensors, path)


def compare(before: Factors, after: Factors, inputs: dict[str, tuple[torch.Tensor, float]]) -> dict:
    rows = []
    for name, (b, a) in before.items():
        square, output = inputs[name]
        d = (torch.cat([b, -after[name][0]], 1), torch.cat([a, after[name][1]]))
        channels = square.diagonal().sqrt()
        row = {
            "kind": name.rsplit(".", 1)[1],
            "lost": energy(*d),
            "whole": energy(b, a),
            "gain": inner(b, a, *after[name]),
            "seen_lost": energy(*d, square),
            "seen": energy(b, a, square),
            "seen_gain": inner(b, a, *after[name], square),
            "output": output,
            "channels_lost": energy(d[0], d[1] * channels),
            "channels": energy(b, a * channels),
        }
        row["along"] = (row["whole"] - row["gain"]) ** 2 / row["whole"] if row["whole"] else 0.0
        row["seen_along"] = (row["seen"] - row["seen_gain"]) ** 2 / row["seen"] if row["seen"] else 0.0
        rows.append(row)

    def share(lost: str, of: str, chosen: list[dict] = rows) -> float:
        return sum(row[lost] for row in chosen) / sum(row[of] for row in chosen)

    def mean(lost: str, of: str) -> float:
        # A module that was never trained (B = 0) has nothing to lose.
        return sum(row[lost] / row[of] if row[of] else 0.0 for row in rows) / len(rows)

    result: dict = {
        "energy": sum(row["lost"] for row in rows),
        "weight": share("lost", "whole"),
        "weight_mean": mean("lost", "whole"),
        "functional": share("seen_lost", "seen"),
        "functional_mean": mean("seen_lost", "seen"),
        "output_mean": mean("seen_lost", "output"),
        "diagonal": share("channels_lost", "channels"),
        "diagonal_mean": mean("channels_lost", "channels"),
        "shrink": share("along", "whole"),
        "functional_shrink": share("seen_along", "seen"),
        "gain": share("gain", "whole"),
        "functional_gain": share("seen_gain", "seen"),
    }
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in sorted({r["kind"] for r in rows})}
    by_kind = {
        kind: [share("lost", "whole", part), share("seen_lost", "seen", part)] for kind, part in kinds.items()
    }
    return {name: float(f"{value:.6g}") for name, value in result.items()} | {
        "by_kind": {kind: [float(f"{v:.4g}") for v in values] for kind, values in by_kind.items()}
    }
