"""`lqa calibrate`: how much errors in each component of an adapter change what the model says.

The components of a layer are those of ΔW = U S Vᵀ, as the encoder makes them: B' = U S^½, A' = S^½ Vᵀ. The model runs over texts with the
adapter in this form; at each scored place a token is drawn from the model's own distribution, softened, and the gradient of its
log-likelihood goes back to B' and A'. Mean squares of these gradients are the second order of the Kullback-Leibler divergence that
small errors cause (the Fisher information), of noise in B', of noise in A', and of a weaker component. One backward pass for each text;
nothing of the size of a layer is kept.

Besides, it finds how errors of several weights of a vector add up: the strongest directions of the second moments of each layer's
inputs (weighted by the gradient at the layer's output there), and of the gradients at its outputs (a Kronecker-factored Fisher matrix,
arXiv 1503.05671). With these the encoder shapes the noise of its codes.

Why softened: where a model is certain, as on what it has learned by heart, its own distribution has next to no gradient, though a
larger error changes the answer. Chosen on development items (docs/fidelity.md). What the softened distribution loses is not what the
model's own loses, so in the end all sensitivities are multiplied by one factor: the divergence that random noise causes, measured
with the model, over what they say of it.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from .base_model import check_directory, context_of, load_model
from .divergence import check_finite
from .draw import TOKENS, draw_texts
from .encodings import COMPONENTS, Encodings, keep_best, kept_apart
from .errors import LqaError
from .model_command import Progress, output_file, parser, print_report, say, say_cut
from .texts import Line, Text, Texts, read_lines, to_texts

PREFIX = "base_model.model."
# How near to what the encoder assumes are the sensitivities that texts of the model's own give (docs/fidelity.md).
OWN_ASSUMED = 0.5
# Kept of the directions of each factor. Half as many do nearly as well (docs/fidelity.md).
DIRECTIONS = 32
# Of the softmax that tokens are drawn from.
TEMPERATURE = 2.0
# The noise by which they are compared with the model, as a share of each vector's energy, and on about how many texts.
NOISE = 0.02
NOISY_TEXTS = 32
# Largest factor between what they say and what the model says: beyond it the measurement is rounding.
MOST_OFF = 64.0


def calibrate(model: Any, texts: Sequence[Text], *, adapter_name: str = "default", seed: int = 0, assumed: float = 0.0,
              progress: Callable[[int, int], None] | None = None) -> dict[str, torch.Tensor]:
    """Measures the sensitivities of an adapter's components.

    Args:
        model: a PeftModel with the adapter active, as trained: the one that is to be encoded. It is as before afterwards.
        texts: a few dozen of what the adapter is for.
        adapter_name: of the adapter.
        seed: of the drawn tokens.
        assumed: 0 for sensitivities as measured, 1 for what the encoder assumes without a calibration, and what is between them: weights in
            their geometric mean. `OWN_ASSUMED` for texts that the model wrote, which say less of the task than its own texts.
        progress: called with the number of texts done and their total.

    Returns:
        `<module>.components`, float32 `[rank, 4]`, strongest component first: its strength (multiplier · singular value), and the nats per
        token, times 2, for noise of the energy of its vector of B', of its vector of A', and for its loss.
        `<module>.directions_b`, float32 `[directions, out]`, and `<module>.directions_a`, `[directions, in]`, at most 32, strongest first:
        V, where an error e of a vector counts by d ‖e‖² + ‖V e‖², and d makes that ‖e‖² in the mean over all directions.

    Raises:
        LqaError: SOURCE_IMPORTANCE without texts, or for layers that are not linear; SOURCE_NONFINITE if the adapter has weights, or the
            model predictions, of infinity or NaN.
    """
    layers = lora_layers(model, adapter_name)
    if not texts or not layers:
        raise LqaError("SOURCE_IMPORTANCE", summary="There is nothing to calibrate.", expected="an adapter with linear layers, and texts",
                       found=f"{len(layers)} layers, {len(texts)} texts", advice="Check the adapter and the texts.")
    generator = torch.Generator().manual_seed(seed)
    count = 0
    with _components(layers, adapter_name) as factors:
        sums = {name: torch.zeros(3, len(strengths), dtype=torch.float64) for name, (_, _, strengths) in factors.items()}
        with _observed(layers) as directions:
            for done, text in enumerate(texts, 1):
                scores = torch.log_softmax(log_likelihoods(model, text) / TEMPERATURE, -1)
                check_finite(scores)
                drawn = torch.multinomial(scores.detach().exp().cpu(), 1, generator=generator).to(scores.device)
                count += len(drawn)
                gradients = torch.autograd.grad(-scores.gather(1, drawn).sum(), [f for b, a, _ in factors.values() for f in (b, a)])
                for (b, a, _), total, gb, ga in zip(factors.values(), sums.values(), gradients[::2], gradients[1::2], strict=True):
                    total += squares(*(x.detach().double().cpu() for x in (b, a, gb, ga)))
                if progress:
                    progress(done, len(texts))
        said = sum(float(total[:2].sum()) for total in sums.values()) / count
        scale = _noise_ratio(model, texts[:: max(1, len(texts) // NOISY_TEXTS)], factors, said, generator)
        strengths = {name: own for name, (_, _, own) in factors.items()}
        outputs = {name: layer.out_features for name, layer in layers.items()}
        sums = toward_assumed({name: scale * own / count for name, own in sums.items()}, strengths, outputs, assumed)
        found = {f"{name}.components": torch.cat([own[None], sums[name]]).T.float().contiguous() for name, own in strengths.items()}
        # A layer that no text reached has none.
        return found | {f"{name}.directions_{factor}": one.result() for name, own in directions.items()
                        for factor, one in own.items() if one.rows is not None}


def squares(b: torch.Tensor, a: torch.Tensor, gb: torch.Tensor, ga: torch.Tensor) -> torch.Tensor:
    """What gradients of B' and A' say of each component, `[3, rank]`: of noise in its vector of B', of A', and of its loss."""
    noise = gb.square().sum(0) * b.square().sum(0) / b.shape[0], ga.square().sum(1) * a.square().sum(1) / a.shape[1]
    return torch.stack([*noise, (gb * b).sum(0).square()])


def toward_assumed(measured: dict[str, torch.Tensor], strengths: dict[str, torch.Tensor], outputs: dict[str, int], share: float) -> dict[str, torch.Tensor]:
    """Sensitivities nearer to those that the encoder assumes (weightOf in src/encode/quantize/rd/subject.ts), with the sums that they had."""
    if not share:
        return measured
    names = list(measured)
    found = torch.cat([measured[name] for name in names], 1)
    squares = [strengths[name].square() for name in names]
    rule = torch.cat([own / (outputs[name] * own.sum().clamp_min(1e-300) ** 0.25) for name, own in zip(names, squares, strict=True)])
    mixed = found ** (1 - share) * rule**share
    mixed *= found.sum(1, keepdim=True) / mixed.sum(1, keepdim=True).clamp_min(1e-300)
    return dict(zip(names, mixed.split([len(strengths[name]) for name in names], 1), strict=True))


def _noise_ratio(model: Any, texts: Sequence[Text], factors: dict[str, tuple[torch.nn.Parameter, torch.nn.Parameter, torch.Tensor]],
                 said: float, generator: torch.Generator) -> float:
    """The divergence that random noise in all vectors causes, over what their sensitivities, `said` in sum, say of it."""
    clean, noisy = {}, {}
    for b, a, _ in factors.values():
        for factor, dim in ((b, 0), (a, 1)):
            clean[factor] = factor.detach().clone()
            size = (NOISE * clean[factor].float().square().mean(dim, keepdim=True)).sqrt()
            noisy[factor] = clean[factor] + (torch.randn(factor.shape, generator=generator).to(size) * size).to(factor.dtype)
    nats = places = 0.0
    with torch.no_grad():
        for text in texts:
            own = log_likelihoods(model, text)
            for factor, value in noisy.items():
                factor.copy_(value)
            found = log_likelihoods(model, text)
            for factor, value in clean.items():
                factor.copy_(value)
            nats += float((own.exp() * (own - found)).sum())
            places += len(own)
    return min(max(nats / places / (NOISE * said / 2), 1 / MOST_OFF), MOST_OFF) if said > 0 else 1.0


class Directions:
    """The strongest directions of rows that come one after another: an approximate SVD that never holds more than a few of them."""

    def __init__(self) -> None:
        self.rows: torch.Tensor | None = None
        self.energy = 0.0

    def add(self, rows: torch.Tensor) -> None:
        self.energy += float(rows.double().square().sum())
        self.rows = rows if self.rows is None else torch.cat([self.rows, rows])
        if len(self.rows) > 2 * DIRECTIONS:
            self._shrink()

    def _shrink(self) -> None:
        # With R = U S Vᵀ, R Rᵀ = U S² Uᵀ and Uᵀ R = S Vᵀ.
        _, u = torch.linalg.eigh((self.rows @ self.rows.T).double())
        self.rows = u[:, -DIRECTIONS:].flip(1).T.to(self.rows) @ self.rows

    def result(self) -> torch.Tensor:
        """As `calibrate` returns them."""
        assert self.rows is not None
        self._shrink()
        if not self.energy > 0:
            return torch.zeros(1, self.rows.shape[1])
        return (self.rows * (self.rows.shape[1] / self.energy) ** 0.5).float().cpu().contiguous()


@contextmanager
def _observed(layers: dict[str, Any]) -> Iterator[dict[str, dict[str, Directions]]]:
    """Collects directions while the model runs forward and back."""
    found = {name: {"b": Directions(), "a": Directions()} for name in layers}

    def watch(own: dict[str, Directions]) -> Callable[..., None]:
        def forward(_layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            x = inputs[0].detach()

            def back(gradient: torch.Tensor) -> None:
                g = gradient.detach().float().flatten(0, -2)
                own["b"].add(g)
                own["a"].add(x.float().flatten(0, -2) * g.norm(dim=1, keepdim=True))

            output.register_hook(back)

        return forward

    handles = [layer.register_forward_hook(watch(found[name])) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def lora_layers(model: Any, adapter_name: str) -> dict[str, Any]:
    """The linear LoRA layers of an adapter, by the names that they have in its file."""
    found = {}
    for name, layer in model.named_modules():
        # Layers around a bare parameter, which may hold several experts, have a name besides.
        if adapter_name in getattr(layer, "lora_A", {}) and not hasattr(layer, "parameter_name") and layer.lora_A[adapter_name].weight.dim() == 2:
            found[name.removeprefix(PREFIX)] = layer
    return found


def log_likelihoods(model: Any, text: Text) -> torch.Tensor:
    """Log-probabilities of all tokens at the scored places, `[places, vocabulary]`, float32."""
    device = next(model.parameters()).device
    tokens = torch.tensor([text.tokens[:-1]], device=device)
    logits = model(input_ids=tokens, use_cache=False).logits[0, text.start - 1:]
    return torch.log_softmax(logits.float(), -1)


def components_of(layer: Any, adapter_name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The components of a layer, strongest first, in float64: U `[out, rank]`, Vᵀ `[rank, in]`, and |multiplier| · singular values.

    Raises:
        LqaError: SOURCE_NONFINITE.
    """
    u, vt, s = decomposed(layer.lora_B[adapter_name].weight.detach(), layer.lora_A[adapter_name].weight.detach())
    return u, vt, s * abs(layer.scaling[adapter_name])


def decomposed(b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `components_of`, of factors and without the multiplier.

    Raises:
        LqaError: SOURCE_NONFINITE.
    """
    b, a = b.double(), a.double()
    if not bool(b.isfinite().all() and a.isfinite().all()):
        raise LqaError("SOURCE_NONFINITE", where="the factors of a layer")
    qb, rb = torch.linalg.qr(b)
    qa, ra = torch.linalg.qr(a.T)
    u, s, vt = torch.linalg.svd(rb @ ra.T)
    return qb @ u, vt @ qa.T, s


@contextmanager
def _components(layers: dict[str, Any], adapter_name: str) -> Iterator[dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """The layers with their factors in the form of components, for gradients; afterwards everything is as before."""
    kept: list[tuple[torch.nn.Parameter, torch.Tensor, bool]] = []
    factors = {}
    try:
        for name, layer in layers.items():
            a, b = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
            u, v, strengths = components_of(layer, adapter_name)
            root = (strengths / abs(layer.scaling[adapter_name])).sqrt()
            for parameter, value in ((b, u * root), (a, root[:, None] * v)):
                kept.append((parameter, parameter.detach().clone(), parameter.requires_grad))
                parameter.data.copy_(value)
                parameter.requires_grad_(True)
            factors[name] = (b, a, strengths.cpu())
        yield factors
    finally:
        for parameter, value, wanted in kept:
            parameter.data.copy_(value)
            parameter.requires_grad_(wanted)


def texts_of(given: Any, lines: list[Line] | None, model: Any, tokenizer: Any, tokens: int) -> Texts:
    """The texts of a command: those of its file, or, without one, of so many tokens that the model writes."""
    limit = min(given.limit, context_of(model) or given.limit)
    if lines is not None:
        texts = to_texts(lines, tokenizer, limit)
        say_cut(texts, given.limit)
        return texts
    say(f"no --texts: the model writes texts of {tokens} tokens itself")
    progress = Progress("drawing texts", "tokens")
    return Texts(draw_texts(model, tokenizer, tokens=tokens, limit=limit, seed=given.seed, progress=progress), 0, 0, limit)


def main(words: Sequence[str]) -> None:
    """The command."""
    from safetensors.torch import save

    options = parser("calibrate", "Measures how much errors in each component of an adapter change what the model says, for `lqa encode --calibration`. "
                     "All other options are those of `lqa encode`, such as --bits: with them it tries whether that helps.",
                     texts="a few dozen", output="the file to write, safetensors")
    given, encoding = options.parse_known_args(words)
    put = output_file(given.output, force=given.force)
    lines = None if given.texts is None else read_lines(given.texts)
    check_directory(given.adapter)
    with Encodings(given.adapter, encoding) as encodings:
        encodings.check()
        model, tokenizer = load_model(given.model, given.adapter)
        texts = texts_of(given, lines, model, tokenizer, TOKENS)
        measured, apart = kept_apart(texts.texts, given.seed)
        assumed = OWN_ASSUMED if lines is None else 0
        figures = calibrate(model, measured, seed=given.seed, assumed=assumed, progress=Progress("calibrating"))
        best = keep_best(model, encodings, figures, apart)
    # A file without tensors: `lqa encode` takes it for no calibration.
    put(save(dict(best.figures), {"kept": best.name}))
    modules = sum(name.endswith(COMPONENTS) for name in best.figures)
    report = {"output": given.output, "modules": modules, **texts.report(), **best.report()}
    print_report(given, f"{given.output}: {modules} modules, measured on {report['tokens']} tokens of {len(texts.texts)} texts\n{best.said()}".rstrip(), report)
