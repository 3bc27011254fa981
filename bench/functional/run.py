"""Trains and scores everything, in the order in which a run cut short is worth most.

Usage: ./run [--quick] [--list], which makes the environment and starts this.

Adapters that are in data/ are not trained again, and scores that are in results/ are not made
again, so the same command continues a run that was stopped. `--quick` is one adapter from
nothing to its scores, without a look at either: its files go to the work folder.
"""

import argparse
import os
import subprocess
import sys

import lm
import references
import tasks
import train

# Trained and scored in this order.
ADAPTERS = [
    (task, shape, seed)
    for seed in train.SEEDS
    for shape in train.STEPS["localized"]
    for task in ("localized", "airports", "number-words")
]
QUICK = ("localized", "r16-all", 0)
LATER = [(task, shape, 0) for task in tasks.LATER for shape in train.STEPS[task]]
AT_LOW_RATES = ("--only", "rd 0.5 floor 0", "--only", "rd 0.75 floor 0")


def script(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(lm.HERE / name), *arguments]


def commands(quick: bool) -> list[list[str]]:
    listed: list[list[str]] = []
    adapters = [QUICK] if quick else [*ADAPTERS, *LATER]
    for task, shape, seed in adapters:
        name = train.adapter_name(task, shape, seed)
        if not (lm.DATA / f"{name}.lqa").is_file():
            listed.append(script("train.py", "--task", task, "--shape", shape, "--seed", str(seed)))
            listed.append(script("references.py", "keep", name))
        listed.append(script("evaluate.py", name, "--deciding", *(AT_LOW_RATES if task in tasks.LATER else ())))
    if not quick:
        of_seed_0 = [train.adapter_name(*adapter) for adapter in ADAPTERS if adapter[2] == 0]
        in_full = [*references.ELSEWHERE, *of_seed_0]
        listed += [script("evaluate.py", name) for name in in_full]
        names = [train.adapter_name(*adapter) for adapter in (*ADAPTERS, *LATER)]
        calibrated = ("--kinds", "plain", "calibrated", "--bits", "0.5")
        listed.append(script("tuned.py", *names, *calibrated))
        of_later = [train.adapter_name(*adapter) for adapter in LATER]
        listed.append(script("tuned.py", *in_full, *of_later, *calibrated, "0.75", "1.0"))
        listed.append(script("tuned.py", *in_full, *of_later, "--kinds", "tuned", "--bits", "0.5"))
    return listed + [script("summarize.py")]


def main() -> int:
    parser = argparse.ArgumentParser(description="Train and score everything.")
    parser.add_argument("--quick", action="store_true", help=f"one adapter only: {' '.join(map(str, QUICK))}")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    args = parser.parse_args()
    # Read by lm.py when it starts: so it starts anew, here and in every command.
    if args.quick and "LQA_FUNCTIONAL_OUTPUT" not in os.environ:
        folder = str(lm.WORK / "quick")
        os.environ |= {"LQA_FUNCTIONAL_OUTPUT": folder, "LQA_FUNCTIONAL_WORK": folder}
        os.execv(sys.executable, [sys.executable, __file__, *sys.argv[1:]])

    failed = 0
    for command in commands(args.quick):
        print("$", *command[1:], flush=True)
        if not args.list:
            failed += subprocess.run(command, cwd=lm.HERE).returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
