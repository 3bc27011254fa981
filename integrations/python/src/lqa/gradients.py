"""A calibration of the gradients that training computes anyway.

At each step the trainer finds how the loss changes with A and B. Mean squares of these gradients say how much errors of each component
change the answers, and their strongest directions how errors of several weights add up: what `lqa calibrate` measures with texts of its
own (`lqa.calibrate` explains the figures). Gradients of four steps do nearly as well (docs/guide/training.md).

The file codes components, B' = B X and A' = T A. The gradients of B' are those of B times Tᵀ, and those of A' are Xᵀ times those of A.
"""
from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import torch
from safetensors.torch import save

from .calibrate import OWN_ASSUMED, Directions, decomposed, lora_layers, squares, toward_assumed

# So many steps are kept, in bfloat16: four times the 16-bit adapter.
STEPS = 4

# A direction of a factor with less than this share of the energy of its strongest is none.
DEPENDENT = 1e-12


class Gradients:
    """The gradients of an adapter in the last four steps of its training.

    Call `add` between `backward` and the optimizer's step; zero gradients only after that. `lqa.encode(model, bits=1, calibration=gradients)`
    then encodes the adapter as it is.

    Args:
        model: a PeftModel in training.
        adapter_name: of the adapter.
    """

    def __init__(self, model: Any, adapter_name: str = "default") -> None:
        self._layers, self._adapter_name = lora_layers(model, adapter_name), adapter_name
        self._steps: deque[_Step] = deque(maxlen=STEPS)

    def add(self) -> None:
        """Copies the gradients of a step. Layers without any, or whose gradients are not finite, are left out."""
        found = {}
        for name, layer in self._layers.items():
            pair = [factor[self._adapter_name].weight.grad for factor in (layer.lora_B, layer.lora_A)]
            if all(one is not None for one in pair):
                found[name] = tuple(one.detach().to("cpu", torch.bfloat16, copy=True) for one in pair)
        self._steps.append(found)

    def taken(self) -> Taken:
        """Copies what a calibration of the adapter as it is needs: a thread can make it while training goes on."""
        return Taken({name: _Factors.of(layer, self._adapter_name) for name, layer in self._layers.items()}, list(self._steps))

    def serialized(self) -> bytes:
        """As that of `taken()`."""
        return self.taken().serialized()


_Step = dict[str, tuple[torch.Tensor, ...]]


class _Factors(NamedTuple):
    """The factors of a layer."""

    b: torch.Tensor
    a: torch.Tensor
    scaling: float

    @classmethod
    def of(cls, layer: Any, adapter_name: str) -> _Factors:
        b, a = (factor[adapter_name].weight.detach().to("cpu", copy=True) for factor in (layer.lora_B, layer.lora_A))
        return cls(b, a, layer.scaling[adapter_name])


class Taken(NamedTuple):
    """An adapter and gradients of its training."""

    factors: dict[str, _Factors]
    steps: list[_Step]

    def figures(self) -> dict[str, torch.Tensor]:
        """As `lqa.calibrate.calibrate` returns them, but sensitivities only up to one factor. Empty without gradients.

        Raises:
            LqaError: SOURCE_NONFINITE if the adapter has weights of infinity or NaN.
        """
        sums, strengths, outputs, directions = {}, {}, {}, {}
        for name, (b, a, scaling) in self.factors.items():
            steps = [pair for step in self.steps if (pair := step.get(name)) and all(bool(one.isfinite().all()) for one in pair)]
            if not steps:
                continue
            u, v, singular = decomposed(b, a)
            root = singular.sqrt()
            of_b, of_a = u * root, root[:, None] * v
            to_b, to_a = _solved(a.double().T, of_a.T), _solved(b.double(), of_b)
            total, found = torch.zeros(3, len(singular), dtype=torch.float64), (Directions(), Directions())
            for gradient_b, gradient_a in steps:
                gb, ga = gradient_b.double() @ to_b, to_a.T @ gradient_a.double()
                total += squares(of_b, of_a, gb, ga)
                for directed, rows in zip(found, (gb.T, ga), strict=True):
                    directed.add(rows.float())
            sums[name], strengths[name], outputs[name] = total, singular * abs(scaling), len(b)
            for factor, directed in zip("ba", found, strict=True):
                directions[f"{name}.directions_{factor}"] = directed.result()
        if not sums:
            return {}
        sums = toward_assumed(sums, strengths, outputs, OWN_ASSUMED)
        return {f"{name}.components": torch.cat([own[None], sums[name]]).T.float().contiguous() for name, own in strengths.items()} | directions

    def serialized(self) -> bytes:
        """The figures as a calibration file of `lqa encode`; no bytes without gradients."""
        figures = self.figures()
        return save(figures, {"scale": "relative"}) if figures else b""


def _solved(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The smallest Z with x Z = y, whose columns are combinations of those of x; of few columns, which may depend on each other."""
    return torch.linalg.pinv(x.T @ x, hermitian=True, rtol=DEPENDENT) @ (x.T @ y)
