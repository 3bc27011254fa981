"""Adapters that `lqa` wrote, in the programs that load them.

    python check.py [--write] [--counts FILE]

For each program a small random model is adapted, the adapter goes through .lqa files and into other dialects, and the outputs
with the adapter as the program itself loads it are compared with those of the weights that clause 9.6 makes of it. What was
loaded by what is compared with programs.json, of which docs/dialects.md is made; `--write` writes it. `--counts` receives
{"passed", "failed"}. A program that is not installed is skipped, with the reason.

Needs the built library, and the packages of requirements.txt, requirements-alone.txt and ../requirements.txt.
"""
import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOUND = HERE / "programs.json"
sys.path.insert(0, str(HERE))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # a second thread mostly waits: the models are small
warnings.filterwarnings("ignore")

from common import Checks  # noqa: E402

# Module of this folder, and the packages without which it is skipped.
PARTS = {"diffusion": ["torch", "transformers", "peft", "diffusers", "lycoris"], "flux_models": ["torch", "peft", "diffusers"],
         "cloneofsimo_models": ["torch", "transformers", "peft", "diffusers", "videogen_hub"], "mlx_models": ["mlx.core", "mlx_lm", "peft"],
         "loralib_models": ["torch", "loralib"]}


def missing(packages: list[str]) -> str | None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            return str(error)
    return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--counts", type=Path)
    options = parser.parse_args()
    checks, skipped = Checks(), False
    with tempfile.TemporaryDirectory() as name:
        for part, packages in PARTS.items():
            begun, reason = time.monotonic(), missing(packages)
            if reason:
                skipped = True
                print(f"skipped: {part}: {reason}")
                continue
            folder = Path(name) / part
            folder.mkdir()
            try:
                importlib.import_module(part).check(checks, folder)
            except Exception:
                checks.that(False, f"{part}: {traceback.format_exc()}")
            print(f"{part}: {time.monotonic() - begun:.0f} s", flush=True)
    found: dict[str, dict[str, list[str]]] = {}
    for dialect, program, what in checks.rows:
        found.setdefault(dialect, {}).setdefault(program, []).append(what)
    if options.write and not skipped and not checks.failures:
        FOUND.write_text(json.dumps(found, indent=2) + "\n")
    elif skipped:
        print("skipped: programs.json: not everything was checked")
    else:
        checks.that(FOUND.is_file() and json.loads(FOUND.read_text()) == found, "programs.json says something else: run this with --write")
    if options.counts:
        options.counts.write_text(json.dumps({"passed": checks.passed, "failed": len(checks.failures)}))
    print(f"{checks.passed} passed, {len(checks.failures)} failed")
    return 1 if checks.failures else 0


if __name__ == "__main__":
    sys.exit(main())
