"""`lqa tune`: an encoding that answers more like its adapter, at the same size.

The codes and the scales of the encoding are trained by distillation: the model with the encoded adapter learns to predict the tokens
that it predicts with the adapter itself. Each vector has a copy in full precision. A step encodes the copies anew, at the bits that
each vector has, and changes them by the gradient at the encoded weights (a straight-through estimator); each component has a factor
besides, which multiplies scales that the file has anyway. So it becomes no byte longer. A part of the texts is kept apart; what the
epoch found that is best on these is taken, and nothing if no epoch was better than the encoding as it is.
"""
from __future__ import annotations

import hashlib
import math
import pickle
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from . import peft
from .base_model import check_directory, check_exists, load_model
from .calibrate import OWN_ASSUMED, calibrate, components_of, lora_layers, texts_of
from .divergence import ADAPTER, ENCODED, Batch, activate, batches, check_finite, divergence, mean_divergence
from .draw import TOKENS
from .encodings import COMPONENTS, DIRECTIONS, PLAIN, Encodings, keep_best, kept_apart, only_one
from .errors import LqaError
from .model_command import Progress, output_file, parser, positive, print_report, whole
from .source import Source
from .texts import Text, read_lines

# Fewest texts: some must be left to train with.
LEAST_TEXTS = 16
# Tokens of the texts that the model writes if none are given, and texts that calibrate.
DRAWN, CALIBRATING = 3 * TOKENS, 64
# Bounds of a factor, as in the calibration file's reader.
MOST_GAIN = 16
# Cosine from which on an encoded vector is that component.
LIKE = 0.5


# What an encoder makes of trained tensors: see `tune`.
Encode = Callable[[Mapping[str, torch.Tensor]], Source]


@dataclass(frozen=True)
class Tuned:
    """What training found.

    Attributes:
        tensors: float32, for each module `<module>.gains` `[components]`, `<module>.tuned_b` `[components, out]` and
            `<module>.tuned_a` `[components, in]`; empty if nothing was better than the encoding as it is.
        before, after: Kullback-Leibler divergence from the adapter on the texts that were kept apart, in nats per token.
    """

    tensors: dict[str, torch.Tensor]
    before: float
    after: float


def tune(model: Any, encode: Encode, texts: Sequence[Text], *, adapter_name: str = ADAPTER, epochs: int = 4, rate: float = 0.03,
         code_rate: float = 0.003, seed: int = 0, state: str | PathLike[str] | None = None,
         progress: Callable[[int, int], None] | None = None) -> Tuned:
    """Trains the vectors of an encoding, and a factor for each component.

    Args:
        model: a PeftModel with the adapter that is encoded. Afterwards it is as before.
        encode: encodes the adapter with tensors as in `Tuned.tensors`, at first with none. It is called once for each step.
        texts: hundreds of what the adapter is for, sixteen at least. One in eight is kept apart.
        adapter_name: of the adapter.
        epochs: times that the texts are gone through; each is tried on those kept apart.
        rate: learning rate of Adam for the logarithms of the factors, which falls to 0 along a cosine.
        code_rate: the same for the vectors, relative to the root mean square of each.
        seed: of the order of the texts.
        state: a file that keeps what was reached after each epoch. If it is there, training goes on from it.
        progress: called with the number of texts done and their total.

    Raises:
        LqaError: SOURCE_IMPORTANCE for fewer texts, and for a state of another encoding, other texts or other arguments;
            UNSUPPORTED_ADAPTER_FEATURE for biases and bare parameters; SOURCE_NONFINITE for infinity and NaN; what is wrong with the encoding, as `lqa.peft.load`.
    """
    check_trainable(model.peft_config[adapter_name])
    check_count(texts)
    training_texts, apart = kept_apart(texts, seed)
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    peft.load(model, encode({}), ENCODED)
    try:
        activate(model, adapter_name)
        held_back, training = (batches(model, part) for part in (apart, training_texts))
        own, encoded = lora_layers(model, adapter_name), lora_layers(model, ENCODED)
        trained = {name: _Trained(own[name], adapter_name, layer) for name, layer in encoded.items()}
        activate(model, ENCODED)
        for one in trained.values():
            one.b.requires_grad_(True)
            one.a.requires_grad_(True)
        kept = None if state is None else _State(Path(state), _digest(trained, [*apart, *training_texts], (epochs, rate, code_rate, seed)))
        return _train(model, trained, encode, training, held_back, epochs, (rate, code_rate), seed, kept, progress)
    finally:
        model.set_adapter(adapter_name)
        model.delete_adapter(ENCODED)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted.get(name, False))


class _Trained:
    """A layer in training: its components as the encoder makes them, in full precision, and a factor of each."""

    def __init__(self, own: Any, name: str, encoded: Any) -> None:
        self.b, self.a = encoded.lora_B[ENCODED].weight, encoded.lora_A[ENCODED].weight
        coded_b, coded_a = self.b.detach(), self.a.detach()
        u, v, strengths = components_of(own, name)
        root = (strengths / abs(own.scaling[name])).sqrt()
        b, a = (u * root).to(coded_b), (root[:, None] * v).to(coded_a)
        # The encoder may have chosen the other signs; or, of components that are equally strong, others.
        cosines = torch.stack([torch.cosine_similarity(b, coded_b, 0), torch.cosine_similarity(a, coded_a, 1)])
        same = cosines.abs().amin(0) > LIKE
        b = torch.where(same, b * cosines[0].sign(), coded_b)
        a = torch.where(same[:, None], a * cosines[1].sign()[:, None], coded_a)
        # Components without bits stay without.
        self.live = (coded_b.abs().amax(0) > 0) & (coded_a.abs().amax(1) > 0)
        # In units of the root mean square of each vector, so that all have one learning rate.
        self.units = [x.square().mean(dim, keepdim=True).sqrt().clamp_min(torch.finfo(x.dtype).tiny) for x, dim in ((b, 0), (a, 1))]
        self.vectors = [torch.nn.Parameter(x / unit) for x, unit in zip((b, a), self.units, strict=True)]
        self.gains = torch.nn.Parameter(torch.zeros(len(root), dtype=b.dtype, device=b.device))  # logarithms

    def take_gradients(self) -> None:
        """Takes those at the encoded weights for those of the vectors. Factors of whole vectors do not matter to Adam."""
        b, a = self.vectors
        self.gains.grad = (self.b.grad * self.b.detach()).sum(0) * self.live
        b.grad, a.grad = self.b.grad * self.live, self.a.grad * self.live[:, None]
        self.b.grad = self.a.grad = None

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        gains = self.gains.detach().exp().clamp(1 / MOST_GAIN, MOST_GAIN)
        b, a = (vector.detach() * unit for vector, unit in zip(self.vectors, self.units, strict=True))
        return {f"{name}.{key}": value.float().cpu().contiguous() for key, value in (("gains", gains), ("tuned_b", b.T), ("tuned_a", a))}


def _train(model: Any, trained: dict[str, _Trained], encode: Encode, training: list[Batch], held_back: list[Batch], epochs: int,
           rates: tuple[float, float], seed: int, kept: _State | None, progress: Callable[[int, int], None] | None) -> Tuned:
    gains, vectors = [one.gains for one in trained.values()], [x for one in trained.values() for x in one.vectors]
    optimizer = torch.optim.Adam([{"params": gains, "lr": rates[0]}, {"params": vectors, "lr": rates[1]}], eps=1e-12)
    steps = epochs * len(training)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * min(1, step / steps))) / 2)
    parameters = [*gains, *vectors]
    total = epochs * sum(len(part.tokens) for part in training)

    def tensors() -> dict[str, torch.Tensor]:
        return {key: value for name, one in trained.items() for key, value in one.tensors(name).items()}

    reached = kept.read() if kept else None
    if reached:
        for parameter, value in zip(parameters, reached["parameters"], strict=True):
            parameter.data.copy_(value)
        optimizer.load_state_dict(reached["optimizer"])
        schedule.load_state_dict(reached["schedule"])
        begin, before, after, best = reached["epochs"], reached["before"], reached["after"], reached["best"]
        peft.swap(model, encode(tensors()), ENCODED)
    else:
        begin, before, best = 0, mean_divergence(model, held_back), {}
        after = before
    done = begin * total // epochs
    for epoch in range(begin, epochs):
        order = training.copy()
        random.Random(f"{seed} {epoch}").shuffle(order)
        for part in order:
            nats = divergence(model, part).mean()
            check_finite(nats)
            nats.backward()
            for one in trained.values():
                one.take_gradients()
            optimizer.step()
            schedule.step()
            peft.swap(model, encode(tensors()), ENCODED)
            done += len(part.tokens)
            if progress:
                progress(done, total)
        found = mean_divergence(model, held_back)
        if found < after:
            after, best = found, tensors()
        if kept:
            kept.write({"epochs": epoch + 1, "before": before, "after": after, "best": best, "parameters": [p.detach() for p in parameters],
                        "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()})
    return Tuned(best, before, after)


@dataclass(frozen=True)
class _State:
    """What was reached, in a file."""

    path: Path
    digest: str  # of what it belongs to

    def read(self) -> dict[str, Any] | None:
        """None if there is no file. Runs no code that a file may hold."""
        if not self.path.is_file():
            return None
        try:
            found = torch.load(self.path, weights_only=True)
            if found["digest"] == self.digest:
                return found
            wrong = None
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            wrong = str(error).split("\n", 1)[0][:200]
        raise LqaError("SOURCE_IMPORTANCE", where=f'"{self.path}"', summary="The file holds the state of another run, or is damaged.", found=wrong,
                       advice="Delete the file, or give the adapter, texts and options that it belongs to.")

    def write(self, reached: dict[str, Any]) -> None:
        partial = self.path.with_name(f"{self.path.name}.partial")
        torch.save(reached | {"digest": self.digest}, partial)
        partial.replace(self.path)


def _digest(trained: dict[str, _Trained], texts: Sequence[Text], options: tuple[float, ...]) -> str:
    """Of the encoding and the vectors to start with, the texts in their order, and the options."""
    digest = hashlib.sha256(repr((options, [(text.tokens, text.start) for text in texts])).encode())
    for name, one in sorted(trained.items()):
        coded = {f"{name}.{key}": factor.detach().float().cpu().contiguous() for key, factor in (("b", one.b), ("a", one.a))}
        for key, value in (one.tensors(name) | coded).items():
            digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def check_count(texts: Sequence[Any] | None) -> None:
    """Raises SOURCE_IMPORTANCE for too few texts, or lines of them."""
    if texts is not None and len(texts) < LEAST_TEXTS:
        raise LqaError("SOURCE_IMPORTANCE", where="texts", summary="There are too few texts.", expected=f"at least {LEAST_TEXTS}", found=str(len(texts)),
                       advice="Give more texts with --texts.")


def check_trainable(config: Any) -> None:
    """Raises UNSUPPORTED_ADAPTER_FEATURE for an adapter whose encoding PEFT cannot take into the model too."""
    if found := only_one(config):
        raise LqaError("UNSUPPORTED_ADAPTER_FEATURE", where="adapter_config.json", expected="no biases and no bare parameters, to train an encoding", found=found,
                       advice="Use lqa calibrate, then lqa encode --calibration.")


def main(words: Sequence[str]) -> None:
    """The command."""
    from peft import PeftConfig

    options = parser("tune", "Encodes an adapter and trains codes and scales of the encoding, so that the model answers more like with the adapter "
                     "itself. All other options are those of `lqa encode`.", texts="hundreds of", output="the .lqa file to write")
    options.add_argument("--calibration", help="a file of `lqa calibrate`; without it, the first texts calibrate")
    options.add_argument("--keep", help="where to keep the calibration with what was trained, from which `lqa encode` makes the same file")
    options.add_argument("--start", default="none", help="none, auto or a seed, as of lqa encode (default none: tuned files are not closer with a start)")
    options.add_argument("--epochs", type=whole(1), default=4, help="times that the texts are gone through (default 4)")
    options.add_argument("--rate", type=positive, default=0.03, help="learning rate of the factors (default 0.03)")
    options.add_argument("--code-rate", type=positive, default=0.003, help="learning rate of the vectors (default 0.003)")
    options.add_argument("--state", help="a file that keeps what was reached after each epoch; the same command then goes on from it")
    given, encoding = options.parse_known_args(words)
    put = output_file(given.output, force=given.force)
    keep = output_file(given.keep, force=given.force) if given.keep else None
    figures = _figures(given.calibration) if given.calibration else None
    lines = None if given.texts is None else read_lines(given.texts)
    check_count(lines)
    check_directory(given.adapter)
    with Encodings(given.adapter, [*encoding, f"--start={given.start}"]) as encodings:
        encodings.check()
        check_trainable(PeftConfig.from_pretrained(given.adapter))
        model, tokenizer = load_model(given.model, given.adapter)
        texts = texts_of(given, lines, model, tokenizer, DRAWN)
        training, apart = kept_apart(texts.texts, given.seed)
        if figures is None:
            assumed = OWN_ASSUMED if lines is None else 0
            figures = calibrate(model, training[:CALIBRATING], seed=given.seed, assumed=assumed, progress=Progress("calibrating"))
        best = keep_best(model, encodings, figures, apart)
        encodings.encode(best.figures, {"kept": best.name})
        first = {"kept": best.name, "content_id": encodings.report["contentId"]}

        def encode(tensors: Mapping[str, torch.Tensor]) -> Source:
            return encodings.encode({**best.figures, **tensors}, first)

        found = tune(model, encode, texts.texts, epochs=given.epochs, rate=given.rate, code_rate=given.code_rate, seed=given.seed,
                     state=given.state, progress=Progress("tuning"))
        encode(found.tensors)
        put(encodings.file.read_bytes())
        if keep:
            keep(encodings.calibration.read_bytes())
        report = encodings.report
    size = f"{given.output}: {report['outputBytes']} bytes, {report['bitsPerParameter']:.3f} bits per weight"
    change = f"{found.before:.5f} before training, {found.after:.5f} after" + ("" if found.tensors else ", so what was trained is not used")
    print_report(given, f"{size}\n{best.said()}\ntraining, on the same texts: {change}",
                 {"output": given.output, **texts.report(), **best.report(), "before": found.before, "after": found.after, "encoding": report})


def _figures(path: str) -> dict[str, torch.Tensor]:
    """The figures of a calibration file, without what an earlier run trained; none if the file says that they do not help.

    Raises:
        LqaError: NOT_FOUND; SOURCE_IMPORTANCE.
    """
    from safetensors import SafetensorError, safe_open

    check_exists(path)

    endings = (COMPONENTS, *DIRECTIONS)
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys() if name.endswith(endings)}
            kept = (file.metadata() or {}).get("kept")
    except (OSError, SafetensorError) as error:
        raise LqaError("SOURCE_IMPORTANCE", where=f'"{path}"', summary="The file is no calibration.", found=str(error),
                       advice="Give a file that lqa calibrate wrote.") from error
    if not found and kept != PLAIN:
        raise LqaError("SOURCE_IMPORTANCE", where=f'"{path}"', summary="The file is no calibration: it has no tensor of components.",
                       advice="Give a file that lqa calibrate wrote.")
    return found
