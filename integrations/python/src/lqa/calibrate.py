"""`lqa calibrate`: how much errors in each component of an adapter change what the model says.

The components of a layer are those of ΔW = U S Vᵀ, as the encoder makes them: B' = U S^½, A' = S^½ Vᵀ. The model runs over texts with the
adapter in this form; at each scored place a token is drawn from the model's own distribution, softened, and the gradient of its
log-likelihood goes back to B' and A'. Mean squares of these gradients are the second order of the Kullback-Leibler divergence that
small errors cause (the Fisher information), of noise in B', of noise in A', and of a weaker component. One backward pass for each text;
nothing of the size of a layer is kept.

Why softened: where a model is certain, as on what it has learned by heart, its own distribution has next to no gradient, though a
larger error changes the answer. Chosen on development items (docs/fidelity.md).
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from .errors import LqaError

PREFIX = "base_model.model."
# Of the softmax that tokens are drawn from and errors are measured in.
TEMPERATURE = 2.0


@dataclass(frozen=True)
class Text:
    """A text in tokens. The model is scored where it predicts the tokens from `start` on: all but the first, or an answer."""

    tokens: tuple[int, ...]
    start: int = 1


def calibrate(model: Any, texts: Sequence[Text], *, adapter_name: str = "default", seed: int = 0,
              progress: Callable[[int, int], None] | None = None) -> dict[str, torch.Tensor]:
    """Measures the sensitivities of an adapter's components.

    Args:
        model: a PeftModel with the adapter active, as trained: the one that is to be encoded. It is as before afterwards.
        texts: a few dozen of what the adapter is for.
        adapter_name: of the adapter.
        seed: of the drawn tokens.
        progress: called with the number of texts done and their total.

    Returns:
        `<module>.components`, float32 `[rank, 4]`, strongest component first: its strength (multiplier · singular value), and the nats per
        token of the softened distribution, times 2, for noise of the energy of its vector of B', of its vector of A', and for its loss.

    Raises:
        LqaError: SOURCE_IMPORTANCE without texts, or for layers that are not linear.
    """
    layers = lora_layers(model, adapter_name)
    if not texts or not layers:
        raise LqaError("SOURCE_IMPORTANCE", where="calibration", expected="an adapter with linear layers, and texts",
                       found=f"{len(layers)} layers, {len(texts)} texts")
    generator = torch.Generator().manual_seed(seed)
    count = 0
    with _components(layers, adapter_name) as factors:
        sums = {name: torch.zeros(3, len(strengths), dtype=torch.float64) for name, (_, _, strengths) in factors.items()}
        for done, text in enumerate(texts, 1):
            scores = torch.log_softmax(log_likelihoods(model, text) / TEMPERATURE, -1)
            drawn = torch.multinomial(scores.detach().exp().cpu(), 1, generator=generator).to(scores.device)
            count += len(drawn)
            gradients = torch.autograd.grad(-scores.gather(1, drawn).sum(), [f for b, a, _ in factors.values() for f in (b, a)])
            for (b, a, _), total, gb, ga in zip(factors.values(), sums.values(), gradients[::2], gradients[1::2], strict=True):
                gb, ga, b, a = (x.detach().double().cpu() for x in (gb, ga, b, a))
                total[0] += gb.square().sum(0) * b.square().sum(0) / b.shape[0]
                total[1] += ga.square().sum(1) * a.square().sum(1) / a.shape[1]
                total[2] += (gb * b).sum(0).square()
            if progress:
                progress(done, len(texts))
        return {f"{name}.components": torch.cat([strengths[None], sums[name] / count]).T.float().contiguous()
                for name, (_, _, strengths) in factors.items()}


def lora_layers(model: Any, adapter_name: str) -> dict[str, Any]:
    """The linear LoRA layers of an adapter, by the names that they have in its file."""
    found = {}
    for name, layer in model.named_modules():
        if adapter_name in getattr(layer, "lora_A", {}) and layer.lora_A[adapter_name].weight.dim() == 2:
            found[name.removeprefix(PREFIX)] = layer
    return found


def log_likelihoods(model: Any, text: Text) -> torch.Tensor:
    """Log-probabilities of all tokens at the scored places, `[places, vocabulary]`, float32."""
    device = next(model.parameters()).device
    tokens = torch.tensor([text.tokens[:-1]], device=device)
    logits = model(input_ids=tokens, use_cache=False).logits[0, text.start - 1:]
    return torch.log_softmax(logits.float(), -1)


@contextmanager
def _components(layers: dict[str, Any], adapter_name: str) -> Iterator[dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """The layers with their factors in the form of components, for gradients; afterwards everything is as before."""
    kept: list[tuple[torch.nn.Parameter, torch.Tensor, bool]] = []
    factors = {}
    try:
        for name, layer in layers.items():
            a, b = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
            qb, rb = torch.linalg.qr(b.detach().double())
            qa, ra = torch.linalg.qr(a.detach().double().T)
            u, s, vt = torch.linalg.svd(rb @ ra.T)
            root = s.sqrt()
            for parameter, value in ((b, (qb @ u) * root), (a, root[:, None] * (vt @ qa.T))):
                kept.append((parameter, parameter.detach().clone(), parameter.requires_grad))
                parameter.data.copy_(value)
                parameter.requires_grad_(True)
            factors[name] = (b, a, (s * abs(layer.scaling[adapter_name])).cpu())
        yield factors
    finally:
        for parameter, value, wanted in kept:
            parameter.data.copy_(value)
            parameter.requires_grad_(wanted)


def read_texts(path: str | PathLike[str], tokenizer: Any, limit: int = 256) -> list[Text]:
    """Reads texts: lines of JSON with `text`, or with `prompt` and `completion`, of which only the completion is scored; or plain lines.

    Args:
        path: the file.
        tokenizer: of transformers.
        limit: most tokens of a text; what is longer is cut.

    Raises:
        LqaError: SOURCE_IMPORTANCE for a line of JSON without these, and if nothing is left to score; IO.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LqaError("IO", where=str(path), found=str(error)) from error
    texts = [text for number, line in enumerate(lines, 1) if line.strip() and (text := _text(line, tokenizer, limit, f"{path}, line {number}"))]
    if not texts:
        raise LqaError("SOURCE_IMPORTANCE", where=str(path), expected="texts of two tokens or more", found="none")
    return texts


def _text(line: str, tokenizer: Any, limit: int, where: str) -> Text | None:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    if not line.lstrip().startswith("{"):
        return _cut(ids(line), 1, limit)
    try:
        item = json.loads(line)
        if "text" in item:
            return _cut(ids(item["text"]), 1, limit)
        prompt = ids(item["prompt"])
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        return _cut(prompt + ids(item["completion"]) + end, max(1, len(prompt)), limit)
    except (ValueError, KeyError, TypeError) as error:
        raise LqaError("SOURCE_IMPORTANCE", where=where, expected='{"text": …} or {"prompt": …, "completion": …}', found=str(error)) from error


def _cut(tokens: list[int], start: int, limit: int) -> Text | None:
    tokens = tokens[:limit]
    return Text(tuple(tokens), start) if start < len(tokens) else None


def load_model(base: str, adapter: str | PathLike[str]) -> tuple[Any, Any]:
    """A base model with an adapter, and its tokenizer, by transformers and PEFT."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, str(adapter)).eval(), tokenizer


def check_output(path: str, force: bool) -> None:
    """Refuses before the work what would be refused after it.

    Raises:
        LqaError: OUTPUT_EXISTS.
    """
    if Path(path).exists() and not force:
        raise LqaError("OUTPUT_EXISTS", where=path, advice="Choose another name, or replace it with --force.")


def line(done: int, total: int) -> None:
    """Progress, on stderr when it is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} texts", end="\n" if done == total else "", file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> None:
    """The command."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(prog="lqa calibrate", description="Measures how much errors in each component of an adapter change "
                                     "what the model says, for `lqa encode --calibration`.")
    parser.add_argument("adapter", help="the adapter, as a PEFT directory")
    parser.add_argument("--model", required=True, help="the base model: a directory or a name that transformers loads")
    parser.add_argument("--texts", required=True, help="a few dozen texts of the adapter's task: lines of text, or of JSON with prompt and completion")
    parser.add_argument("-o", "--output", required=True, help="the file to write, safetensors")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("--limit", type=int, default=256, help="most tokens of a text (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn tokens (default 0)")
    given = parser.parse_args(words)
    check_output(given.output, given.force)
    model, tokenizer = load_model(given.model, given.adapter)
    found = calibrate(model, read_texts(given.texts, tokenizer, given.limit), seed=given.seed, progress=line)
    temporary = Path(f"{given.output}.part")
    save_file(found, temporary)
    temporary.replace(given.output)

