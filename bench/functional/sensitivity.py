"""How sensitivities should be measured and counted: python sensitivity.py NAME ..., or without names the table of what is there

`lqa calibrate` draws tokens from the model's distribution softened by a temperature, and the allocation counts what a weaker
component costs five times. Here other temperatures and counts are tried, at 0.5 bits per weight, with 64 training items, scored
on *development* items, since it is a choice. For each encoding one JSON line is appended to results/sensitivity.jsonl; what is
there is not made again. Needs what tuned.py needs.
"""

import argparse
import shutil
from collections import defaultdict

import lm
import lqa.calibrate
import references
import table as encodings
from trial import begin, keep

from safetensors.torch import save_file

BITS, TEXTS = "0.5", 64
TEMPERATURES, COUNTS = (1.0, 2.0, 4.0), (1.0, 5.0)
BUILT_IN = 5.0  # what the encoder counts: SHRINKAGE of src/encode/quantize/rd/gain.ts
PATH = lm.RESULTS / "sensitivity.jsonl"


def score(name: str) -> None:
    adapter = references.load(name)
    done = {(line["adapter"], line["temperature"], line["count"]) for line in lm.json_lines(PATH)}
    wanted = [(None, None), *((t, c) for t in TEMPERATURES for c in COUNTS)]
    missing = [pair for pair in wanted if (adapter.digest, *pair) not in done]
    if not missing:
        print(f"{name}: nothing to do")
        return
    trial = begin(name, "dev", TEXTS, "sensitivity")
    measured = {}
    for temperature, count in missing:
        options = ["--profile", "rd", "--bits", BITS]
        if temperature is not None:
            if temperature not in measured:
                lqa.calibrate.TEMPERATURE = temperature
                measured[temperature] = lqa.calibrate.calibrate(trial.model, trial.texts)
            figures = {key: value.clone() for key, value in measured[temperature].items()}
            for value in figures.values():
                value[:, 3] *= count / BUILT_IN
            file = trial.scratch / "calibration.safetensors"
            save_file(figures, file)
            options += ["--calibration", str(file)]
        folder, report = encodings.round_trip(trial.folder, options, trial.scratch)
        got = trial.score(folder)
        line = {"name": name, "adapter": adapter.digest, "temperature": temperature, "count": count, "items": got["items"]}
        line |= {"kl": got["kl"], "exact": got["exact"], "estimate": report.get("divergence"), "content": report["contentId"]}
        keep(PATH, line)
    shutil.rmtree(trial.scratch, ignore_errors=True)


def show() -> None:
    """KL divergence next to that of no calibration."""
    found: dict[tuple, dict[str, dict]] = defaultdict(dict)
    for line in lm.json_lines(PATH):
        found[line["temperature"], line["count"]][line["name"]] = line
    names = sorted(found[None, None])
    print(f"| temperature | count | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for temperature, count in ((t, c) for t in TEMPERATURES for c in COUNTS):
        one = found[temperature, count]
        cells = [f"{one[n]['kl'] / found[None, None][n]['kl']:.2f}" if n in one else "" for n in names]
        print(f"| {temperature:g} | {count:g} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score ways to measure and count sensitivities.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="kept adapters")
    given = parser.parse_args()
    for name in given.names:
        score(name)
    if not given.names:
        show()


if __name__ == "__main__":
    main()
