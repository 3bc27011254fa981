"""Scores encodings of adapters on held-out items: python divergence.py [--items N] [--only NAME] NAME ...

For each item the model runs once with the reference adapter, once without any, and once with each encoding (`lqa.scores`, which is
what `lqa score` uses too). `results/<name>.jsonl` gets a line for each encoding (file bytes, bits per weight) and one for each item and
encoding. Lines that are there are not made again: rerun to resume.
"""

import argparse
import os

import bases
import methods
import keep
import place
import plan
import problems

import torch
from lqa.score import add_adapter, load_base
from lqa.scores import Scores, score
from lqa.texts import Text

REFERENCE, BASE = "reference", "base"
FIELDS = ("tokens", "loss", "exact", "kl", "reverse_kl", "top1", "top5")


def texts(tokenizer, adapter: plan.Adapter, count: int) -> list[tuple[str, Text]]:
    """The first held-out items as tokens, with their keys."""
    found = []
    for item in problems.load(adapter.task).heldout[:count]:
        words = problems.wrapped(adapter.base, item)
        prompt, answer = (tokenizer(words[part], add_special_tokens=False)["input_ids"] for part in ("prompt", "completion"))
        found.append((item.key, Text((*prompt, *answer, tokenizer.eos_token_id), len(prompt))))
    return found


def run(name: str, count: int, wanted: list[str]) -> None:
    """Scores one adapter."""
    adapter, path = plan.ADAPTERS[name], place.RESULTS / f"{name}.jsonl"
    reference = keep.load(name)
    made = methods.recorded(wanted, reference)
    lines = place.json_lines(path)
    done = {(line["item"], line["weights"]) for line in lines if "item" in line and line["of"] == reference.weights}

    model, tokenizer = load_base(str(bases.directory(bases.find(adapter.base))))
    items = texts(tokenizer, adapter, count)
    targets = {reference.weights: REFERENCE, BASE: None, **{one.weights: one.name for one in made}}
    missing = [weights for weights in targets if any((key, weights) not in done for key, _ in items)]
    if not missing:
        print(f"{name}: scored already", flush=True)
        return
    model = add_adapter(model, reference.folder, REFERENCE)
    for one in made:
        if one.weights in missing and one.weights != reference.weights:
            model = add_adapter(model, one.folder, one.name.replace(".", "_"))
    for number, (key, text) in enumerate(items, 1):
        # The reference first: everything is compared with it.
        now = [reference.weights, *(weights for weights in missing if weights != reference.weights and (key, weights) not in done)]
        found = score(model, [text], [targets[weights] and targets[weights].replace(".", "_") for weights in now]) if len(now) > 1 else []
        for weights, one in zip(now, found, strict=False):
            if (key, weights) not in done:
                place.append(path, {"item": key, "of": reference.weights, "weights": weights, **figures(one)})
        if number % 10 == 0:
            print(f"{name}: {number} of {len(items)} items", flush=True)


def figures(found: Scores) -> dict[str, float]:
    """Of the only text."""
    return {field: float(f"{float(getattr(found, field)[0]):.6g}") for field in FIELDS}


def main() -> None:
    parser = argparse.ArgumentParser(description="Score encodings on held-out items; rerun to resume.")
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"adapters: {', '.join(keep.names())}")
    parser.add_argument("--items", type=int, default=100, help="the first N held-out items (default 100)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="an encoding, or a pattern like 'lqa *'; may be repeated")
    args = parser.parse_args()
    wanted = methods.chosen(args.only)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for name in args.names:
        run(name, args.items, wanted)


if __name__ == "__main__":
    place.main(main)
