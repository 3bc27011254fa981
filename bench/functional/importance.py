"""How strongly importance should choose bits: python importance.py NAME ...

`lqa encode --calibration` weighs the errors of a module's input channels by a power of their second
moments, ½. Here others are tried: 1 is what minimizes the error of the outputs, 0 does not weigh.
Scored on *development* items, since it is a choice; for each encoding one JSON line is
appended to results/importance.jsonl. What is there is not made again.
"""

import argparse
import json
import shutil

import errors
import lm
import references
import table as encodings
import tasks
from evaluate import Scorer, start, summary

from safetensors.torch import save_file

POWERS = (0.0, 1.0, 0.5, 0.25)
BITS = ("1.0", "1.5", "2.0")
KEPT = ("kl", "nll_kept", "exact_kept")
ERRORS = ("weight", "functional", "gain", "functional_gain")


def score(name: str) -> None:
    adapter = references.load(name)
    path = lm.RESULTS / "importance.jsonl"
    done = {(line["adapter"], line["bits"], line["power"]) for line in lm.json_lines(path)}
    missing = [(b, p) for b in BITS for p in POWERS if (adapter.digest, b, p) not in done]
    if not missing:
        print(f"{name}: nothing to do")
        return

    split = tasks.load(adapter.task).build()
    scorer = Scorer(split.dev, split.train)
    scratch = lm.WORK / "scratch" / f"importance-{name}"
    begun = start(scorer, adapter.folder, scratch)
    for bits, power in missing:
        options = ["--profile", "rd", "--bits", bits, "--floor", "0"]
        if power:
            file = scratch / "moments.safetensors"
            # What the encoder takes the root of. Of a module only the ratios matter.
            moments = {m: square.diagonal() / square.diagonal().mean() for m, (square, _) in begun.inputs.items()}
            save_file({m: (v ** (2 * power)).float().contiguous() for m, v in moments.items()}, file)
            options += ["--calibration", str(file)]
        folder, _ = encodings.round_trip(adapter.folder, options, scratch)
        lost = errors.compare(begun.factors, errors.factors(folder), begun.inputs)
        got = summary(scorer.score(folder), begun.base, begun.reference, scorer.tokens)
        line = {"name": name, "adapter": adapter.digest, "bits": bits, "power": power}
        line |= {k: got[k] for k in KEPT} | {k: lost[k] for k in ERRORS}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(*(f"{k} {v}" for k, v in line.items()), flush=True)
    shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Score powers of the importance.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="of kept adapters")
    for name in parser.parse_args().names:
        score(name)


if __name__ == "__main__":
    main()
