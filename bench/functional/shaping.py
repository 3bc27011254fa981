"""What the directions of a calibration do, by which noise of codes is shaped: python shaping.py NAME ... [--bits 0.5 1.0]; without names the table

Each adapter is encoded with a calibration of 64 training items of which directions are left out: all, those of one factor, or all but
the strongest. Also with a calibration on texts of another task, verses, which is how a user would see general text: with all figures,
and with sensitivities only. Scored on development items, with which the number of directions was chosen; one JSON line
each is appended to results/shaping.jsonl.
"""

import argparse
import shutil
from collections import defaultdict
from statistics import geometric_mean

import lm
import table as encodings
import tasks
from trial import begin, keep, read_texts

from lqa.calibrate import DIRECTIONS, calibrate
from safetensors.torch import save_file

TEXTS = 64
OTHER = "verses"
PATH = lm.RESULTS / "shaping.jsonl"
# Name, how many directions of B' and of A', whether the texts are of another task.
WAYS = {
    "no calibration": None,
    "no directions": (0, 0, False),
    "directions of B' only": (DIRECTIONS, 0, False),
    "directions of A' only": (0, DIRECTIONS, False),
    "8 directions": (8, 8, False),
    "16 directions": (16, 16, False),
    "32 directions": (DIRECTIONS, DIRECTIONS, False),
    "other texts, no directions": (0, 0, True),
    "other texts, 32 directions": (DIRECTIONS, DIRECTIONS, True),
}


def score(name: str, rates: list[str]) -> None:
    trial = begin(name, "dev", TEXTS, "shaping")
    others = read_texts(trial.scorer, tasks.load(OTHER).build().train[:TEXTS])
    measured = {other: calibrate(trial.model, others if other else trial.texts) for other in (False, True)}
    file = trial.scratch / "calibration.safetensors"
    for bits in rates:
        for way, chosen in WAYS.items():
            options = ["--profile", "rd", "--bits", bits]
            if chosen:
                count_b, count_a, other = chosen
                counts = {"directions_b": count_b, "directions_a": count_a}  # of figures that are not named all are taken
                save_file({key: value[: counts.get(key.rsplit(".", 1)[1])] for key, value in measured[other].items()}, file)
                options += ["--calibration", str(file)]
            folder, report = encodings.round_trip(trial.folder, options, trial.scratch)
            got = trial.score(folder)
            line = {"name": name, "bits": bits, "way": way, "kl": got["kl"], "exact": got.get("exact"), "estimate": report.get("divergence")}
            line |= {"error": report["relativeError"], "content": report["contentId"]}
            keep(PATH, line)
    shutil.rmtree(trial.scratch, ignore_errors=True)


def show() -> None:
    """KL divergence relative to no calibration."""
    rows: dict[str, dict[tuple, float]] = defaultdict(dict)
    for line in lm.json_lines(PATH):
        rows[line["way"]][line["name"], line["bits"]] = line["kl"]
    first = rows["no calibration"]
    columns = sorted(first)
    print(f"| calibration | {' | '.join(f'{name}, {bits}' for name, bits in columns)} | mean |\n|---|{'---|' * (len(columns) + 1)}")
    for way in list(WAYS)[1:]:
        ratios = [rows[way][at] / first[at] for at in columns]
        mean = geometric_mean(ratios)
        print(f"| {way} | {' | '.join(f'{ratio:.2f}' for ratio in [*ratios, mean])} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score encodings with shaped noise.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="kept adapters")
    parser.add_argument("--bits", nargs="+", default=["0.5", "1.0"], help="bits per weight of the file")
    given = parser.parse_args()
    for name in given.names:
        score(name, given.bits)
    if not given.names:
        show()


if __name__ == "__main__":
    main()
