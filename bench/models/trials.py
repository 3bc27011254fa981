"""Trials of what could become the default, on several base models: python trials.py NAME ... [--only PATTERN] [--items N]; without names what they gave

NAME is an adapter that is kept here or in bench/functional, or trained here. Each trial is a calibration file, encoded without a known
start at 0.5 and 1.0 bits, or at those of --bits, and scored on the first held-out items like everything else. `results/trials.jsonl` gets a
line for each; lines that are there are not made again.

- `plain`: without a calibration. `start`: with a start if the encoder uses one by itself; its line says what share of A's energy is not
  from its random numbers. `start at any distance`: by an encoder that uses starts however far A moved, such as that of commit ab62b962.
- `factors`: a file made of the factors alone that says of errors what the encoder assumed without one until 2026-12-02.
- `span`: `factors`, with the noise of B' shaped by B's own left singular vectors, with a quarter of the metric; also with a twentieth.
- `k as q`, `k as q, o twice`: `factors`, with errors of k counted by q's number of outputs, as the encoder does now, and those of o twice.
- `B' by strength`, `B' by its root`: `k as q`, where noise in a vector of B' counts (2.5 s / s₁)^p times, for p of 1 and ½: s is the strength of
  its component, s₁ that of the strongest. Measured sensitivities grow in this way; noise in A' counts as before.
- `November`: by the encoder of 2026-11-25, built at commit 8bb7c1e9 and named by LQA_CLI.
- `own texts`: measured on texts that the model writes, as `lqa calibrate` measures without texts (which then keeps it only if it answers
  more like the adapter than `plain` on texts kept apart); also with weights as measured, of fewer tokens, and drawn again.
- `gradients`: of four batches of the training items, as `lqa.training.LqaCallback` with bits takes them in the last steps of a training; also with
  a start if the encoder uses one by itself.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import bases
import divergence
import keep
import place
import plan
import problems
import train

import numpy
import torch
from lqa.base_model import add_adapter, load_base
from lqa.calibrate import OWN_ASSUMED, calibrate, components_of, log_likelihoods, lora_layers
from lqa.divergence import ADAPTER
from lqa.draw import TOKENS, draw_texts
from lqa.encodings import kept_apart
from lqa.gradients import STEPS, Gradients
from lqa.scores import estimate, score
from lqa.texts import Text
from safetensors.torch import save

BITS = ("0.5", "1.0")
STARTS = ("start", "start at any distance")
WITH_START = (*STARTS, "gradients and a start")
OTHERS = {"November": ["--profile", "rd"]}
# So many trials are scored together: the adapter runs once for all.
TOGETHER = 4
PATH = place.RESULTS / "trials.jsonl"
# So many times as much as noise in A' counts that in B' of the strongest component.
STRONGEST = 2.5
# Items of SmolLM2 in a batch of `gradients`.
BATCH = 4
Figures = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """An adapter active in its model, and items to score."""

    folder: Path
    model: Any
    tokenizer: Any
    items: list[Text]
    # Puts the gradients of one batch of training items after the other into the adapter.
    training: Callable[[], Iterator[object]]


def load(name: str, count: int) -> Case:
    if name in plan.ADAPTERS | plan.SHORT:
        adapter, folder = (plan.ADAPTERS | plan.SHORT)[name], keep.load(name).folder if name in keep.names() else place.STATE / "trained" / name
        model, tokenizer = load_base(str(bases.directory(bases.find(adapter.base))))
        items = [text for _, text in divergence.texts(tokenizer, adapter, count)]

        def training() -> Iterator[object]:
            for chosen in train.batches(train.texts(tokenizer, adapter, problems.load(adapter.task).train), adapter):
                yield train.backward(model, chosen)
    else:
        sys.path.append(str(place.ROOT / "bench" / "functional"))
        import lm
        import references
        import tasks

        reference = references.load(name)
        folder = reference.folder
        model, tokenizer = lm.load_base(torch.float32)
        heldout = tasks.load(reference.task).build().heldout[:count]
        items = [Text(tuple(one.prompt + one.answer), len(one.prompt)) for one in lm.examples(tokenizer, heldout)]

        def training() -> Iterator[object]:
            seen = lm.examples(tokenizer, tasks.load(reference.task).build().train)
            for at in range(0, len(seen), BATCH):
                lost = [-log_likelihoods(model, Text(tuple(one.prompt + one.answer), len(one.prompt))).gather(1, torch.tensor(one.answer)[:, None]).mean()
                        for one in seen[at : at + BATCH]]
                yield torch.stack(lost).mean().backward()
    model = add_adapter(model, folder, ADAPTER)
    return Case(folder, model, tokenizer, items, training)


def moved(name: str, case: Case) -> float | None:
    """What share of A's energy is not from its random numbers, as a median over modules; None for adapters that were not trained here."""
    adapter = (plan.ADAPTERS | plan.SHORT).get(name)
    if not adapter:
        return None
    begun, _ = train.prepared(adapter)
    before, now = ([layer.lora_A[ADAPTER].weight.detach().flatten() for layer in lora_layers(model, ADAPTER).values()] for model in (begun, case.model))
    return round(median(1 - float(torch.cosine_similarity(x, y, 0)) ** 2 for x, y in zip(before, now, strict=True)), 4)


def factors(case: Case, *, k_as_q: bool = False, o: float = 1, span: float = 0, power: float = 0) -> Figures:
    """A calibration file of the factors alone: with `k_as_q` the weight of a module is that of `weightOf` in src/encode/quantize/rd/subject.ts.

    Args:
        span: the share of B's own directions of the metric of B', which is 1 in the mean over all.
        power: p, see above.
    """
    found: Figures = {}
    layers = lora_layers(case.model, ADAPTER)
    for name, layer in layers.items():
        u, _, strengths = components_of(layer, ADAPTER)
        counted = layers.get(name.replace("k_proj", "q_proj"), layer) if k_as_q else layer
        weight = (o if name.endswith("o_proj") else 1) / (counted.out_features * strengths.square().sum() ** 0.25)
        a = weight * strengths.square()
        b = a * (STRONGEST * strengths / strengths[0]) ** power
        found[f"{name}.components"] = torch.stack([strengths, b, a, (b + a) / 2], 1).float().contiguous()
        if span:
            found[f"{name}.directions_b"] = (u.T * (span * len(u) / u.shape[1]) ** 0.5).float().contiguous()
            found[f"{name}.directions_a"] = torch.zeros(1, layer.in_features)
    return found


def own(case: Case, *, tokens: int = TOKENS, seed: int = 0, assumed: float = OWN_ASSUMED) -> Figures:
    texts = draw_texts(case.model, case.tokenizer, tokens=tokens, seed=seed)
    return calibrate(case.model, kept_apart(texts, 0)[0], assumed=assumed)


def gradients(case: Case) -> bytes:
    kept = Gradients(case.model, ADAPTER)
    for layer in lora_layers(case.model, ADAPTER).values():
        for factor in (layer.lora_A, layer.lora_B):
            factor.requires_grad_(True)
    for _ in islice(case.training(), STEPS):
        kept.add()
        case.model.zero_grad()
    return kept.serialized()


TRIALS: dict[str, Callable[[Case], Figures | bytes]] = {
    **{trial: lambda _: {} for trial in ("plain", *OTHERS, *STARTS)},
    "factors": factors,
    "span": lambda case: factors(case, span=0.25),
    "span, a twentieth": lambda case: factors(case, span=0.05),
    "k as q": lambda case: factors(case, k_as_q=True),
    "k as q, o twice": lambda case: factors(case, k_as_q=True, o=2),
    "B' by strength": lambda case: factors(case, k_as_q=True, power=1),
    "B' by its root": lambda case: factors(case, k_as_q=True, power=0.5),
    "own texts": own,
    "own texts, again": lambda case: own(case, seed=1),
    "own texts, as measured": lambda case: own(case, assumed=0),
    "a quarter of own texts": lambda case: own(case, tokens=TOKENS // 4),
    "gradients": gradients,
    "gradients and a start": gradients,
}


def run(name: str, count: int, wanted: list[str], rates: list[str]) -> None:
    done = {(line["name"], line["trial"], line["bits"]) for line in place.json_lines(PATH) if line["items"] == count}
    wanted = [trial for trial in wanted if any((name, trial, bits) not in done for bits in rates)]
    if not wanted:
        print(f"{name}: scored already", flush=True)
        return
    case = load(name, count)
    for at in range(0, len(wanted), TOGETHER):
        together = [(trial, bits) for trial in wanted[at : at + TOGETHER] for bits in rates]
        lines = encoded(name, case, wanted[at : at + TOGETHER], rates)
        found = score(case.model, case.items, [ADAPTER, *(label(*one) for one in together)])
        for one, line, scores in zip(together, lines, found[1:], strict=True):
            case.model.delete_adapter(label(*one))
            line |= {"items": count, "tokens": int(scores.tokens.sum()), "kl": float(f"{scores.kl.sum() / scores.tokens.sum():.6g}")}
            place.append(PATH, line | {"kl_items": [float(f"{kl:.4g}") for kl in scores.kl]})
            print(*(f"{key} {value}" for key, value in line.items()), flush=True)


def label(trial: str, bits: str) -> str:
    """The name of an encoding in the model."""
    return re.sub("[^a-z0-9]", "_", f"{trial} {bits}")


def encoded(name: str, case: Case, trials: list[str], rates: list[str]) -> list[dict]:
    """Makes encodings and adds them to the model. Returns the beginnings of their lines."""
    scratch, lines = place.STATE / "trials" / name, []
    scratch.mkdir(parents=True, exist_ok=True)
    for trial in trials:
        began = time.process_time()
        figures = TRIALS[trial](case)
        line = {"name": name, "trial": trial, "seconds": round(time.process_time() - began, 1)}
        if trial in ("factors", *STARTS):
            line["moved"] = moved(name, case)
        options = OTHERS.get(trial, ["--start", "auto" if trial in WITH_START else "none"])
        if figures:
            (scratch / "calibration.safetensors").write_bytes(figures if isinstance(figures, bytes) else save(figures))
            options += ["--calibration", str(scratch / "calibration.safetensors")]
        for bits in rates:
            report = keep.lqa("encode", str(case.folder), "-o", str(scratch / "adapter.lqa"), "--force", "--bits", bits, *options)
            keep.lqa("decode", str(scratch / "adapter.lqa"), "-o", str(scratch / "restored"), "--force")
            add_adapter(case.model, scratch / "restored", label(trial, bits))
            lines.append(line | {"bits": bits, "bytes": report["outputBytes"], "content": report["contentId"]})
    case.model.set_adapter(ADAPTER)
    return lines


def show() -> None:
    """KL of each trial relative to what it is compared with, in brackets 95 % intervals by paired bootstrap over items."""
    lines = {(line["name"], line["items"], line["bits"], line["trial"]): line for line in place.json_lines(PATH)}
    pairs = list(dict.fromkeys(key[:3] for key in lines))
    made = [trial for trial in TRIALS if any(key[3] == trial for key in lines)]
    for title, against, trials in (
        ("Without data", "factors", [one for one in made if one.startswith(("span", "k as q"))]),
        ("Noise in B' by strength", "plain", [one for one in made if one.startswith("B'")]),
        ("By gradients of training", "plain", [one for one in made if one.startswith("gradients")]),
        ("By texts of the model itself", "plain", [one for one in made if one.startswith(("start", "factors", "own", "a quarter"))]),
    ):
        print(f"\n{title}, KL relative to `{against}`:\n\n| adapter | items | bits | KL of {against} | {' | '.join(trials)} |", f"|---|--:|--:|--:|{'--:|' * len(trials)}", sep="\n")
        ratios: dict[str, list[float]] = {trial: [] for trial in trials}
        for pair in pairs:
            base = lines.get((*pair, against))
            if base is None or not any((*pair, trial) in lines for trial in trials):
                continue
            cells = []
            for trial in trials:
                line = lines.get((*pair, trial))
                cells.append(ratio(line, base) if line else "")
                ratios[trial] += [line["kl"] / base["kl"]] if line else []
            print(f"| {' | '.join(map(str, pair))} | {base['kl']:.2g} | {' | '.join(cells)} |")
        print(f"| geometric mean | | | | {' | '.join(f'{geometric_mean(own):.2f}' if own else '' for own in ratios.values())} |")
    for name, share in {line["name"]: line["moved"] for line in lines.values() if line.get("moved") is not None}.items():
        print(f"\n{share:.1%} of the energy of A of {name} is not from its random numbers")


def ratio(line: dict, base: dict) -> str:
    x, y = (numpy.array(one["kl_items"]) for one in (line, base))
    return f"{estimate(lambda i: float(x[i].sum() / y[i].sum()), len(x)):.2f}".replace(" to ", "–")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score trials of what could become the default; rerun to resume.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="adapters of bench/models or bench/functional")
    parser.add_argument("--items", type=int, default=48, help="the first N held-out items (default 48)")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="trials, such as 'own texts*'; may be repeated")
    parser.add_argument("--bits", action="append", default=[], metavar="BITS", help=f"rates, may be repeated (default {' and '.join(BITS)})")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for name in given.names:
        run(name, given.items, [one for one in TRIALS if not given.only or any(fnmatchcase(one, pattern) for pattern in given.only)], given.bits or list(BITS))
    if not given.names:
        show()


if __name__ == "__main__":
    place.main(main)
