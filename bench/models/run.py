"""Makes models, adapters and scores, in the order in which a run cut short is worth most: ./run [--quick] [--list]

Adapters that are kept are not trained again, and lines of results that are there are not made again: rerun to resume. `--quick` trains
one adapter from nothing, whatever is kept, and makes two rows of its table, in the folder `quick` of the work folder.
"""

import argparse
import os
import subprocess
import sys

import keep
import place
import plan

ITEMS = "100"
QUICK = ["--items", "40", "--only", "lqa 1.0", "--only", "nf4"]


def commands(quick: bool) -> list[list[str]]:
    listed = []
    for name in [plan.QUICK] if quick else plan.ADAPTERS:
        if name not in keep.names():
            listed += [["train.py", name], ["keep.py", name]]
        listed += [["divergence.py", name, *QUICK], ["answers.py", name, *QUICK]] if quick else [["divergence.py", name, "--items", ITEMS], ["answers.py", name]]
    return [*listed, ["tables.py"]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make models, adapters and scores; rerun to resume.")
    parser.add_argument("--quick", action="store_true", help=f"only two rows of {plan.QUICK}, from nothing")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    args = parser.parse_args()
    if args.quick and place.OUTPUT == place.HERE:
        # place.py reads it when it starts.
        os.environ["LQA_MODELS_OUTPUT"] = str(place.WORK / "quick")
        os.execv(sys.executable, [sys.executable, __file__, *sys.argv[1:]])
    failed = 0
    for command in commands(args.quick):
        print("$ python", *command, flush=True)
        if not args.list:
            failed += subprocess.run([sys.executable, *command], cwd=place.HERE).returncode != 0
    if not failed and not args.list and args.quick:
        print(place.TABLES.read_text(encoding="utf-8"))
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
