"""What the checks of this folder share: the built `lqa`, and comparing outputs of models."""
import json
import os
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "conformance" / "readers" / "python"))
import lqa_reader  # noqa: E402

HOST = ROOT / "test" / "helpers" / "cli-host.mjs"

# Adapter and merged weights add the same products in another order, and the merged weights are rounded to float32 once
# more: a few units of 2^-24 for each of the ten to forty layers that a value passes. 1e-5 is 170 such units; what is compared
# differs by 3e-7 to 2.2e-6 of the largest output, and every adapter here changes it by more than EFFECT, so a multiplier that is
# off by a thousandth is found.
BOUND = 1e-5
EFFECT = 0.05


@cache
def host() -> subprocess.Popen:
    """The built program in one process: a start costs more than most commands."""
    return subprocess.Popen(["node", str(HOST), "/dev/stdin", "/dev/stdout"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def lqa(*words) -> dict:
    """Runs `lqa … --json`. Raises RuntimeError with its message if it fails."""
    print(json.dumps({"cwd": os.getcwd(), "words": [*map(str, words), "--json"]}), file=host().stdin, flush=True)
    answer = json.loads(host().stdout.readline())
    document = json.loads(answer["out"])
    if answer["code"]:
        raise RuntimeError(f"lqa {words[0]}: {document.get('error', {}).get('message') or answer['err']}")
    return document


def adapt(m, weight: list, b: list, a: list, axis: int, magnitude: list) -> list:
    """As `adapt` of the reader (clause 9.6), by numpy: in Python alone the models here would take minutes."""
    out, n, turned = m.type.out, m.type.a_length(), m.type.base_layout == 1
    base = np.array(weight, dtype=np.float64).reshape((n, out) if turned else (out, n))
    delta = m.type.multiplier * (np.array(b).reshape(m.rank, out).T @ np.array(a).reshape(m.rank, n))
    made = (base.T if turned else base) + delta
    if magnitude:
        of_rows = axis == m.type.base_layout
        parts = made if of_rows else made.reshape(out, m.type.inp, -1).transpose(1, 0, 2).reshape(m.type.inp, -1)
        scales = np.array(magnitude) / np.sqrt((parts * parts).sum(axis=1))
        made = made * (scales[:, None] if of_rows else np.repeat(scales, n // m.type.inp)[None, :])
    return (made.T if turned else made).astype(np.float32).ravel().tolist()


lqa_reader.adapt = adapt


def applied(file: Path, base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a base model with the adapter of an .lqa file added, as the reader in Python adds it (clause 9.6).

    Args:
        base: float32 tensors by the names that the modules of the file have, which are changed to those of the file's one prefix.
    """
    payloads = {}

    def keep(_, item, data: bytes) -> None:
        payloads[item.name if isinstance(item, lqa_reader.Module) else item] = data

    with open(file, "rb") as stream:
        adapter = lqa_reader.read(stream, "values", 1 << 29, payloads=keep)
    modules = [module.name for module in adapter.modules]

    def found(names: dict[str, str]) -> int:
        return sum(f"{name}.weight" in names or name in names for name in modules)

    # transformers 5 has dropped a prefix of CLIP, and an adapter may name the component that a model is.
    changes = [lambda name: name, lambda name: name.replace(".", ".text_model.", 1), lambda name: f"transformer.{name}",
               lambda name: f"model.{name}", lambda name: name.removeprefix("model.")]
    names = {}
    for component in sorted({name.split(".")[0] for name in base}):
        own = [name for name in base if name.split(".")[0] == component]
        names |= max(({change(name): name for name in own} for change in changes), key=found)
    lists = {name: (base[own].shape, base[own].astype(np.float32).ravel().tolist()) for name, own in names.items()}
    result = lqa_reader.apply(adapter, payloads, lists)
    return {own: np.array(result[name][1], dtype=np.float32).reshape(base[own].shape) for name, own in names.items()}


def version(package: str) -> str:
    """Name and version of an installed package."""
    return f"{package} {metadata.version(package)}"


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, as a share of the largest value."""
    assert one.shape == other.shape and np.isfinite(one).all() and np.isfinite(other).all()
    return float(np.abs(one - other).max() / np.abs(other).max())


def hollow(make):
    """A model of its full size without its memory: `make` is called on torch's meta device, and each weight is a zero, expanded."""
    import torch

    with torch.device("meta"):
        model = make()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            zeros = torch.zeros((), dtype=torch.float32).expand(parameter.shape)
            module.register_parameter(name, torch.nn.Parameter(zeros, requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return model.eval()


def outputs(layers: dict, inputs: dict) -> np.ndarray:
    """What each layer of a hollow model makes of its input; both by name. Products with expanded zeros, which are slow, are left out."""
    from unittest import mock

    import torch

    linear = torch.nn.Linear.forward
    sparing = lambda layer, x: linear(layer, x) if any(layer.weight.stride()) else x.new_zeros(*x.shape[:-1], layer.out_features)
    with torch.no_grad(), mock.patch.object(torch.nn.Linear, "forward", sparing):
        return torch.cat([layers[name](value).flatten() for name, value in inputs.items()]).double().numpy()


class Checks:
    """Counts, prints and collects what was compared."""

    def __init__(self) -> None:
        self.passed, self.failures, self.rows = 0, [], []

    def that(self, holds: bool, what: str) -> None:
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)
            print(f"FAIL  {what}")

    def same(self, dialect: str, program: str, what: str, loaded: np.ndarray, merged: np.ndarray, plain: np.ndarray) -> None:
        """The outputs with the adapter loaded and with merged weights; `plain`: without an adapter."""
        far, effect = apart(loaded, merged), apart(plain, merged)
        label = f"{dialect} in {program}: {what}"
        if far <= BOUND and effect >= EFFECT:
            print(f"ok    {label}: {far:.1e} apart, the adapter changes {effect:.2f}")
        self.that(far <= BOUND and effect >= EFFECT, f"{label}: {far:.1e} apart, the adapter changes {effect:.1e}")
        self.rows.append((dialect, program, what))
