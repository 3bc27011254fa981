"""Exported adapters of loralib in loralib, whose programs load them with `load_state_dict(strict=False)`."""
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from common import Checks, applied, lqa, version

SIZES = dict(embed_tokens=(50, 32), query=(32, 24), value=(24, 40), out=(40, 12))


class Model(nn.Module):
    """`rank` 0: without an adapter."""

    def __init__(self, rank: int = 0, alpha: float = 1.0) -> None:
        import loralib

        super().__init__()
        torch.manual_seed(2)
        # merge_weights=False: what is compared is the adapter's own path.
        lora = dict(r=rank, lora_alpha=alpha, merge_weights=False)
        self.embed_tokens = loralib.Embedding(*SIZES["embed_tokens"], **lora)
        self.query, self.value = (loralib.Linear(*SIZES[name], **lora) for name in ("query", "value"))
        self.out = nn.Linear(*SIZES["out"])

    def forward(self, x):
        return self.out(torch.tanh(self.value(torch.tanh(self.query(self.embed_tokens(x))))))


def output(model: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(torch.arange(50)).double().numpy()


def loaded(weights: Path, alpha: float, base: dict) -> np.ndarray:
    """As the examples of loralib load it: the base, then the adapter over it."""
    state = load_file(weights)
    rank = next(value.shape[0] for key, value in state.items() if key.endswith("query.lora_A"))
    model = Model(rank, alpha)
    model.load_state_dict(base, strict=False)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not [key for key in missing if "lora_" in key], (missing, unexpected)
    return output(model)


def check(checks: Checks, folder: Path) -> None:
    import loralib

    program = version("loralib")
    base = Model().state_dict()
    plain = output(Model())

    made = Model(4, 6.0)
    made.load_state_dict(base, strict=False)
    for name, parameter in made.named_parameters():
        if "lora_" in name:
            parameter.data = 0.4 * torch.randn_like(parameter)
    made.out.weight.data = made.out.weight.data * 1.1
    state = loralib.lora_state_dict(made) | {f"out.{key}": value for key, value in made.out.state_dict().items()}
    for name, words in (("loralib.safetensors", []), ("loralib.pt", [])):
        weights = folder / name
        save_file(state, weights) if name.endswith("safetensors") else torch.save(state, weights)
        what = f"linear layers, an embedding and a head, {'torch.save' if name.endswith('pt') else 'safetensors'}"
        file, again = (folder / f"{name}{end}" for end in (".lqa", ".again"))
        lqa("encode", weights, "-o", file, "--profile", "raw", "--alpha", "6")
        written = lqa("decode", file, "-o", again)["files"]
        model = Model()
        adapted = applied(file, {key: value.numpy() for key, value in base.items()})
        model.load_state_dict({key: torch.from_numpy(value) for key, value in adapted.items()})
        path = again / written[0]["name"]
        checks.same("loralib", program, what, loaded(path, 6.0, base), output(model), plain)
        checks.that(float(np.abs(loaded(path, 6.0, base) - output(made)).max()) == 0, f"loralib, {what}: other outputs than the source's")

    # MergedLinear has factors of several layers side by side, and the file does not say which.
    merged = loralib.MergedLinear(16, 48, r=4, enable_lora=[True, False, True])
    save_file({f"c_attn.{key}": value for key, value in loralib.lora_state_dict(merged).items()}, folder / "merged.safetensors")
    try:
        lqa("encode", folder / "merged.safetensors", "-o", folder / "merged.lqa", "--alpha", "4")
        checks.that(False, "loralib: MergedLinear was taken for a linear layer")
    except RuntimeError as error:
        checks.that("MergedLinear" in str(error), f"loralib: MergedLinear is refused as something else: {error}")
