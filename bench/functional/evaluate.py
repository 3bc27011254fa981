"""Scores the encodings of one adapter on its task's held-out items.

Usage: python evaluate.py NAME [--deciding] [--only TEXT ...] [--recode | --dev]

For the base model, every encoding of `table.py`, and the adapter as trained (if it was trained
in this work folder), one JSON line is appended to results/<name>.jsonl; lines that are
there already are not made again. With --dev the development items are scored, and lines are only
printed: for choices. Encodings are made from the reference adapter (see references.py).
All scores are at the positions of the right answers (see lm.py):

  exact      share of items answered right, every token and the end, greedy
  nll        mean negative log-likelihood of an answer token, in nats
  kl         mean Kullback-Leibler divergence of the next-token distributions, from the
             f16 encoding's to this one's, in nats
  nll_kept   share of the fine-tuning gain kept, (base - this) / (base - f16) in nll
  exact_kept the same in exact matches
  same       share of answer tokens of which the likeliest token is still the one of the f16 encoding
  errors     of ΔW, from the factors of both (see errors.py)

A task without right answers (EXACT, see tasks/) has no `exact`. Intervals are 95 %: Wilson for `exact`, bootstrap over items for
the others.
"""

import argparse
import json
import math
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import errors
import lm
import references
import table as encodings
import tasks

import numpy
import torch
from peft import PeftModel

BATCH = 50
ITEMS = 160  # of the held-out items, the first; all that there are, if fewer
CALIBRATION = 100  # training items for the functional errors and the importance
RESAMPLES = 1000


def wilson(hits: int, total: int) -> list[float]:
    z = 1.959964
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


class Scorer:
    """The base model with the items to score; adapters come and go."""

    def __init__(self, items: list[tasks.Item], training: list[tasks.Item]) -> None:
        self.model, self.tokenizer = lm.load_base(torch.float32)
        examples = sorted(lm.examples(self.tokenizer, items[:ITEMS]), key=len)  # little padding
        self.batches = self.cut(examples)
        self.calibration = self.cut(lm.examples(self.tokenizer, training[:CALIBRATION]))
        self.tokens = numpy.array([len(example.answer) for example in examples])
        self.reference: list[torch.Tensor] | None = None  # the f16 adapter's log-probabilities

    def cut(self, examples: list[lm.Example]) -> list[lm.Batch]:
        return [lm.batch(self.tokenizer, examples[i : i + BATCH]) for i in range(0, len(examples), BATCH)]

    def adapt(self, folder: Path) -> dict[str, torch.Tensor]:
        """Adds an adapter to the weights. Returns what `restore` needs."""
        model = PeftModel.from_pretrained(self.model, str(folder)).eval()
        linear = {n: m.get_base_layer() for n, m in model.named_modules() if hasattr(m, "get_base_layer")}
        kept = {n: layer.weight.detach().clone() for n, layer in linear.items()}
        model.merge_adapter()
        self.merged = linear
        self.model = model.unload()
        return kept

    def restore(self, kept: dict[str, torch.Tensor]) -> None:
        """Puts the very weights back: adding and subtracting would leave rounding errors."""
        for name, weight in kept.items():
            self.merged[name].weight.data.copy_(weight)

    def score(self, folder: Path) -> dict[str, numpy.ndarray]:
        """What `measure` says of the base model with this adapter."""
        before = self.adapt(folder)
        got = self.measure()
        self.restore(before)
        return got

    @torch.inference_mode()
    def measure(self, *, keep: bool = False) -> dict[str, numpy.ndarray]:
        """Per item (shortest first): summed nll, summed kl, tokens with the reference's likeliest one, and whether every token is right."""
        layer = lm.output_layer(self.model)
        kept: list[torch.Tensor] = []
        columns: dict[str, list[torch.Tensor]] = {"nll": [], "kl": [], "same": [], "exact": []}
        for index, part in enumerate(self.batches):
            rows = part.inputs.shape[0]
            hidden = lm.answer_states(self.model, part)
            scores = torch.log_softmax(layer(hidden).float(), -1)
            if keep:
                kept.append(scores)
            losses = -scores.gather(1, part.targets[:, None])[:, 0]
            right = scores.argmax(-1) == part.targets
            columns["nll"].append(torch.zeros(rows).index_add(0, part.rows, losses))
            columns["exact"].append(torch.zeros(rows).index_add(0, part.rows, (~right).float()) == 0)
            if self.reference is not None:
                wanted = self.reference[index]
                kl = (wanted.exp() * (wanted - scores)).sum(-1)
                columns["kl"].append(torch.zeros(rows).index_add(0, part.rows, kl))
                same = (wanted.argmax(-1) == scores.argmax(-1)).float()
                columns["same"].append(torch.zeros(rows).index_add(0, part.rows, same))
        if keep:
            self.reference = kept
        return {name: torch.cat(parts).double().numpy() for name, parts in columns.items() if parts}


def bootstrap(of, count: int) -> list[float]:
    """The 95 % interval of a statistic of drawn items, `of(indices)`."""
    rng = numpy.random.default_rng(0)
    drawn = [of(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    return [round(float(v), 6) for v in numpy.quantile(drawn, (0.025, 0.975))]


def summary(got: dict, base: dict | None, reference: dict | None, tokens: numpy.ndarray, exact: bool = True) -> dict:
    """The scores of one model, with intervals; shares of the gain where both ends are known; exact matches if `exact`."""
    count = len(tokens)
    everything = numpy.arange(count)
    hits = int(got["exact"].sum())
    result = {"items": count, "answer_tokens": int(tokens.sum())}
    if exact:
        result |= {
            "exact": round(hits / count, 4),
            "exact_interval": wilson(hits, count),
            "exact_items": "".join(str(int(v)) for v in got["exact"]),
        }

    def add(name: str, of) -> None:
        result[name] = round(float(of(everything)), 6)
        result[f"{name}_interval"] = bootstrap(of, count)

    add("nll", lambda i: got["nll"][i].sum() / tokens[i].sum())
    if "kl" in got:
        result["kl_items"] = [float(f"{value:.3g}") for value in got["kl"]]  # to compare encodings item by item
        add("kl", lambda i: got["kl"][i].sum() / tokens[i].sum())
    if "same" in got:
        add("same", lambda i: got["same"][i].sum() / tokens[i].sum())
    if base is not None and reference is not None:
        for name in ("nll", "exact") if exact else ("nll",):
            a, b, c = base[name], got[name], reference[name]
            add(f"{name}_kept", lambda i: (a[i] - b[i]).sum() / (a[i] - c[i]).sum())
    return result


def done(path: Path, adapter: str) -> dict[str, dict]:
    """Encoding -> its newest line, of those that a results file has of this adapter."""
    return {line["encoding"]: line for line in lm.json_lines(path) if line["adapter"] == adapter}


@dataclass(frozen=True)
class Start:
    """What encodings of an adapter are compared with, item by item: measured every time."""

    base: dict[str, numpy.ndarray]
    reference: dict[str, numpy.ndarray]
    factors: errors.Factors
    inputs: dict[str, tuple[torch.Tensor, float]]


def start(scorer: Scorer, adapter: Path, scratch: Path, *, moments: bool = True) -> Start:
    """What is measured before any encoding; `inputs` only with `moments`."""
    base = scorer.measure()
    restored, _ = encodings.round_trip(adapter, encodings.table()[encodings.REFERENCE], scratch)
    factors = errors.factors(adapter)
    before = scorer.adapt(restored)
    reference = scorer.measure(keep=True)
    inputs = errors.moments(scorer.model, scorer.calibration, list(factors)) if moments else {}
    scorer.restore(before)
    return Start(base, reference, factors, inputs)


def content(adapter: Path, options: list[str], scratch: Path) -> str | None:
    """What the encoder makes of an adapter today: a content id, or none where it refuses."""
    try:
        return encodings.round_trip(adapter, options, scratch)[1]["contentId"]
    except encodings.Refused:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the encodings of an adapter.")
    parser.add_argument("name", metavar="NAME", help="of a kept adapter")
    parser.add_argument("--deciding", action="store_true", help="only the encodings that decide most, and those of --only")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="this encoding, or those that start so")
    parser.add_argument(
        "--recode", action="store_true", help="score again what the encoder now does otherwise"
    )
    parser.add_argument("--dev", action="store_true", help="score development items, and keep nothing")
    args = parser.parse_args()
    adapter = references.load(args.name)
    path = lm.RESULTS / f"{args.name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = lm.WORK / "scratch" / args.name
    moments = scratch / "moments.safetensors"

    rows = encodings.table()
    rows = {e: [o.replace(encodings.MOMENTS, str(moments)) for o in options] for e, options in rows.items()}
    wanted = [
        e
        for e in rows
        if (not args.deciding and not args.only)
        or (args.deciding and e in encodings.DECIDING)
        or any(e == t or (t not in rows and e.startswith(t)) for t in args.only)
    ]
    as_trained = references.trained(args.name)
    have = {} if args.dev else done(path, adapter.digest)
    missing = [e for e in ("base", *wanted, *(["trained"] if as_trained else [])) if e not in have]
    if not missing and not args.recode:
        print(f"{args.name}: nothing to do")
        return

    torch.manual_seed(0)  # nothing is sampled; PEFT draws weights that loading replaces
    task = tasks.load(adapter.task)
    exact, split = getattr(task, "EXACT", True), task.build()
    scorer = Scorer(split.dev if args.dev else split.heldout, split.train)

    def write(encoding: str, line: dict, started: float) -> None:
        about = {"task": adapter.task, "name": args.name, "encoding": encoding, "adapter": adapter.digest}
        line = about | line | {"seconds": round(time.monotonic() - started, 1)}
        if not args.dev:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        right, nll, kl = (line.get(k, math.nan) for k in ("exact", "nll", "kl"))
        print(
            f"{args.name} | {encoding} | error {line.get('errors', {}).get('weight', math.nan):.4f}"
            f" | exact {100 * right:.1f} % | nll {nll:.5f} | kl {kl:.5f}"
            f" | kept {100 * line.get('nll_kept', math.nan):.2f} %"
            f" | {line.get('refused', '')} {line['seconds']} s",
            flush=True,
        )

    started = time.monotonic()
    begun = start(scorer, adapter.folder, scratch)
    base, reference = begun.base, begun.reference
    if "base" in missing:
        write("base", summary(base, None, None, scorer.tokens, exact) | {"versions": lm.versions()}, started)
    errors.write_importance(begun.inputs, moments)
    if args.recode:
        known = [e for e in wanted if e in have]
        missing += [e for e in known if content(adapter.folder, rows[e], scratch) != have[e].get("content")]
        print(f"{args.name}: {len(missing)} of {len(wanted)} to score", flush=True)
    for encoding in missing:
        if encoding == "base":
            continue
        started = time.monotonic()
        if encoding == "trained":
            line = {"errors": errors.compare(begun.factors, errors.factors(as_trained), begun.inputs)}
            got = scorer.score(as_trained)
            write(encoding, line | summary(got, base, reference, scorer.tokens, exact), started)
            continue
        options = encodings.table()[encoding]
        try:
            folder, report = encodings.round_trip(adapter.folder, rows[encoding], scratch)
        except encodings.Refused as refused:
            write(encoding, {"options": options, "refused": str(refused)}, started)
            continue
        if encoding.endswith(encodings.GAIN):
            errors.restore_gain(begun.factors, folder)
        line = {
            "options": options,
            "errors": errors.compare(begun.factors, errors.factors(folder), begun.inputs),
            "bytes": report["outputBytes"],
            "bits_on_disk": report["bitsPerParameter"],
            "average_bits": report["averageBits"],
            "reported_error": report["relativeError"],
            "content": report["contentId"],
        }
        got = reference if encoding == encodings.REFERENCE else scorer.score(folder)
        got = got | {"kl": numpy.zeros(len(scorer.tokens)), "same": scorer.tokens} if got is reference else got
        write(encoding, line | summary(got, base, reference, scorer.tokens, exact), started)
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
