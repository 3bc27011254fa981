"""What can be said of an encoding without asking the model for answers: errors of ΔW.

Candidates for the figure that predicts behaviour. D is ΔW - ΔŴ; sums and means are over
modules; X are a module's inputs on training items, in the model with the f16 adapter:

  weight            Σ ‖D‖² / Σ ‖ΔW‖²
  weight_mean       mean of ‖D‖² / ‖ΔW‖²
  functional        Σ ‖DX‖² / Σ ‖ΔW X‖²
  functional_mean   mean of ‖DX‖² / ‖ΔW X‖²
  output_mean       mean of ‖DX‖² / ‖(W + ΔW) X‖²: how much of the module's output is wrong
  shrink            the part of `weight` that is along ΔW: Σ (1 - g)² ‖ΔW‖² / Σ ‖ΔW‖², where a
                    module's gain g is <ΔŴ, ΔW> / ‖ΔW‖²; the rest of `weight` is noise
  functional_shrink the same of `functional`, with g = <ΔŴ X, ΔW X> / ‖ΔW X‖²

and `by_kind` has weight and functional by the modules' last name (q_proj, v_proj, …).
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

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


def compare(before: Factors, after: Factors, inputs: dict[str, tuple[torch.Tensor, float]]) -> dict:
    rows = []
    for name, (b, a) in before.items():
        square, output = inputs[name]
        d = (torch.cat([b, -after[name][0]], 1), torch.cat([a, after[name][1]]))
        kind = name.rsplit(".", 1)[1]
        whole, seen = energy(b, a), energy(b, a, square)
        gain, seen_gain = inner(b, a, *after[name]), inner(b, a, *after[name], square)
        along = (whole - gain) ** 2 / whole if whole else 0.0
        seen_along = (seen - seen_gain) ** 2 / seen if seen else 0.0
        rows.append((kind, energy(*d), whole, energy(*d, square), seen, output, along, seen_along))

    def share(chosen: list[tuple], lost: int, of: int) -> float:
        return sum(row[lost] for row in chosen) / sum(row[of] for row in chosen)

    def mean(lost: int, of: int) -> float:
        # A module that was never trained (B = 0) has nothing to lose.
        return sum(row[lost] / row[of] if row[of] else 0.0 for row in rows) / len(rows)

    result: dict = {
        "weight": share(rows, 1, 2),
        "weight_mean": mean(1, 2),
        "functional": share(rows, 3, 4),
        "functional_mean": mean(3, 4),
        "output_mean": mean(3, 5),
        "shrink": share(rows, 6, 2),
        "functional_shrink": share(rows, 7, 4),
    }
    kinds = {kind: [row for row in rows if row[0] == kind] for kind in sorted({row[0] for row in rows})}
    result["by_kind"] = {
        k: [float(f"{share(v, *c):.4g}") for c in ((1, 2), (3, 4))] for k, v in kinds.items()
    }
    return {k: v if isinstance(v, dict) else float(f"{v:.6g}") for k, v in result.items()}
