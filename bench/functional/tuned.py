"""What calibration and tuning do: python tuned.py NAME ... [--bits 0.5 1.0] [--kinds plain calibrated] [--try epochs=2 code_rate=0]; without names what it means

Each adapter is encoded as it is, with a calibration (`lqa calibrate`, 64 training items), by itself (`lqa calibrate --bits` without
texts: the model draws them, and what is best on those kept apart is kept), and tuned (`lqa tune`, 512 training items, of which one
in eight is kept apart), all at the same size, and scored on the task's held-out items like everything else (see evaluate.py). For
each encoding one JSON line is appended to results/tuned.jsonl; what is there is not made again. With --again it is: an encoding
whose content has a score keeps it, and gets its new estimate (the last line of an encoding holds). With --unseen the calibration is
of 64 development items, which no training saw. With --try encodings are scored on development items with other arguments of
`lqa.tune.tune`, and only printed. The `lqa` package of integrations/python must be installed, with the command line.
"""

import argparse
import json
import os
import re
import shutil
import time
from collections import defaultdict
from statistics import geometric_mean

import estimate
import lm
import references
import table as encodings
import tasks
from trial import begin, read_texts

from lqa.calibrate import OWN_ASSUMED, calibrate
from lqa.draw import draw_texts
from lqa.encodings import Encodings, keep_best, kept_apart
from lqa.node import Running
from lqa.tune import tune
from safetensors.torch import save_file

CALIBRATION, TRAINING = 64, 512
PATH = lm.RESULTS / "tuned.jsonl"
KEPT = ("items", "kl_items", "kl", "kl_interval", "exact", "exact_interval", "same", "nll_kept")
OWN = "own"  # calibrated with texts that the model draws
KINDS = ("plain", "calibrated", OWN, "tuned")
UNSEEN = "unseen"  # calibrated with development items, which no training saw


def score(name: str, rates: list[str], kinds: list[str], again: bool, tried: dict[str, float]) -> None:
    adapter = references.load(name)
    known = [] if tried else lm.json_lines(PATH)
    done = set() if again else {(line["adapter"], line["bits"], line["kind"]) for line in known}
    scores = {(line["adapter"], line["content"]): line for line in known}
    wanted = {bits: [kind for kind in (*KINDS, UNSEEN) if kind in kinds and (adapter.digest, bits, kind) not in done] for bits in rates}
    if not any(wanted.values()):
        print(f"{name}: nothing to do")
        return
    trial = begin(name, "dev" if tried else "heldout", TRAINING, "tuned")
    file = trial.scratch / "calibration.safetensors"
    items = tasks.load(adapter.task).build().dev
    seconds = {"plain": 0.0}
    missing_kinds = {kind for missing in wanted.values() for kind in missing}
    began = time.process_time()
    if OWN in missing_kinds:
        measured, apart = kept_apart(draw_texts(trial.model, trial.scorer.tokenizer), 0)
        own = calibrate(trial.model, measured, assumed=OWN_ASSUMED)
    seconds[OWN] = time.process_time() - began
    began = time.process_time()
    if missing_kinds & {"calibrated", UNSEEN, "tuned"}:
        texts = read_texts(trial.scorer, items[:CALIBRATION]) if UNSEEN in kinds else trial.texts[:CALIBRATION]
        figures = calibrate(trial.model, texts)
    seconds["calibrated"] = seconds[UNSEEN] = time.process_time() - began
    for bits, missing in wanted.items():
        options = ["--profile", "rd", "--bits", bits]
        calibrated = [*options, "--calibration", str(file)]
        found = []

        def keep(tensors):
            save_file(figures | tensors, file, {"content_id": first} if tensors else None)

        def encode(tensors):
            keep(tensors)
            running.run("encode", str(trial.folder), "-o", str(trial.scratch / "tuned.lqa"), "--force", *calibrated)
            return str(trial.scratch / "tuned.lqa")

        for kind in missing:
            extra = {}
            if kind == "tuned":
                save_file(figures, file)
                first = encodings.round_trip(trial.folder, calibrated, trial.scratch)[1]["contentId"]
                began = sum(os.times()[:4])
                with Running() as running:
                    tuned = tune(trial.model, encode, trial.texts, **tried)
                seconds[kind] = sum(os.times()[:4]) - began
                extra = {"held_back": [round(tuned.before, 6), round(tuned.after, 6)]}
                keep(tuned.tensors)
            elif kind == OWN:
                with Encodings(str(trial.folder), options) as candidates:
                    best = keep_best(trial.model, candidates, own, apart)
                save_file(dict(best.figures), file, {"kept": best.name})
                extra = {"kept": best.name, "apart": {way: float(f"{nats:.4g}") for way, nats in best.nats.items()}}
            elif kind != "plain":
                keep({})
            folder, report = encodings.round_trip(trial.folder, options if kind == "plain" else calibrated, trial.scratch)
            got = scores.get((adapter.digest, report["contentId"])) or trial.score(folder)
            line = {"name": name, "adapter": adapter.digest, "bits": bits, "kind": kind, "content": report["contentId"]}
            line |= {k: got[k] for k in KEPT if k in got} | {"bytes": report["outputBytes"], "error": round(report["relativeError"], 6)}
            line |= {"estimate": report.get("divergence"), "seconds": round(seconds[kind], 1)} | extra
            found.append(line)
            print(*(f"{k} {v}" for k, v in line.items()), flush=True)
        if not tried:
            with PATH.open("a", encoding="utf-8") as out:
                out.writelines(json.dumps(line) + "\n" for line in found)
    shutil.rmtree(trial.scratch, ignore_errors=True)


def show() -> None:
    """Geometric means over adapters and rates, and the estimates. families.py has the table."""
    rows: dict[tuple[str, str], dict[str, dict]] = defaultdict(dict)
    for line in lm.json_lines(PATH):
        rows[line["name"], line["bits"]][line["kind"]] = line
    for kind in KINDS[1:]:
        for rate in (*sorted({bits for _, bits in rows}), "all"):
            ratios = [kinds[kind]["kl"] / kinds["plain"]["kl"] for (_, bits), kinds in rows.items() if kind in kinds and rate in (bits, "all")]
            ends(f"{kind} / plain at {rate}", ratios)
    intervals = [[kinds[kind]["kl_interval"] for kind in ("calibrated", "plain")] for kinds in rows.values() if "calibrated" in kinds]
    apart = sum(one[1] < other[0] for one, other in intervals)
    print(f"\ncalibrated below plain, with intervals over items apart: {apart} of {len(intervals)}")
    gains = [kinds["calibrated"]["nll_kept"] for kinds in rows.values() if "calibrated" in kinds]
    print(f"\nshare of the gain kept by calibrated files: {100 * min(gains):.2f} % or more")
    both = [kinds for kinds in rows.values() if UNSEEN in kinds and "calibrated" in kinds]
    ends(f"{UNSEEN} / calibrated", [kinds[UNSEEN]["kl"] / kinds["calibrated"]["kl"] for kinds in both])
    estimates("calibrated", rows)
    estimates(UNSEEN, rows)


def ends(title: str, ratios: list[float]) -> None:
    if ratios:
        print(f"\n{title}, over {len(ratios)}: geometric mean {geometric_mean(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


def estimates(kind: str, rows: dict[tuple[str, str], dict[str, dict]]) -> None:
    """How far off the estimate of the divergence is, also with its constant fitted to other adapters or tasks."""
    ratios = [(name, kinds[kind]["estimate"] / kinds[kind]["kl"]) for (name, _), kinds in rows.items() if kind in kinds]
    ends(f"estimate / {kind}", [ratio for _, ratio in ratios])
    print("\n| constant fitted without | root mean square | nine of ten | worst |\n|---|--:|--:|--:|")
    for title, of in (("nothing", None), ("an adapter", str), ("a task", lambda name: re.sub("^example-|-r[0-9]+-.*", "", name))):
        constants = (geometric_mean(other for one, other in ratios if of is None or of(one) != of(name)) for name, _ in ratios)
        print(f"| {title} | {estimate.factors(ratio / constant for (_, ratio), constant in zip(ratios, constants))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score calibrated and tuned encodings.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="kept adapters")
    parser.add_argument("--bits", nargs="+", default=["0.5", "1.0"], help="bits per weight of the file")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="which encodings are scored")
    parser.add_argument("--unseen", dest="kinds", action="store_const", const=[UNSEEN], help="calibrate with development items instead")
    parser.add_argument("--again", action="store_true", help="also what has results; equal encodings keep their scores")
    parser.add_argument("--try", dest="tried", nargs="+", default=[], metavar="NAME=VALUE", help="arguments of tune")
    given = parser.parse_args()
    tried = {key: float(value) if "rate" in key else int(value) for key, value in (one.split("=") for one in given.tried)}
    for name in given.names:
        score(name, given.bits, given.kinds, given.again, tried)
    if not given.names:
        show()


if __name__ == "__main__":
    main()
