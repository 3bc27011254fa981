"""The encodings of the table, each as options of `lqa encode`, and the way through the CLI.

An adapter is encoded to a file and decoded to a PEFT directory by the public command
line, in processes of their own; what is scored is that directory.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The lqa command. LQA_CLI names another build, so that a long run does not change with dist/.
CLI = shlex.split(os.environ.get("LQA_CLI", f"node {shlex.quote(str(ROOT / 'dist/cli/main.js'))}"))
LORAQUANT = ("node", str(ROOT / "bench/loraquant/encode.mjs"))

REFERENCE = "f16"  # what everything else is compared with
MOMENTS = "{moments}"  # stands for the file of second moments among the options
GAIN = " gain 1"  # ends names of encodings of which each decoded module is then stretched, so that <ΔŴ, ΔW> = ‖ΔW‖²
RD_BITS = ("1.0", "1.25", "1.5", "2.0", "2.5", "0.75")
RD_FLOORS = ("0", "1", "0.5")


def table() -> dict[str, list[str]]:
    """Name -> options of `lqa encode`, the reference first, then what decides most."""

    def rd(bits: str, floor: str = "0", *more: str) -> list[str]:
        return ["--profile", "rd", "--bits", bits, "--floor", floor, *more]

    rows = {REFERENCE: ["--profile", "raw", "--element", "f16"]}
    for bits in RD_BITS[:5]:
        rows[f"rd {bits} floor 0"] = rd(bits)
    rows["rd 1.0 floor 1"] = rd("1.0", "1")
    rows |= {f"rtn {bits}": ["--profile", "rtn", "--code-bits", str(bits)] for bits in (2, 1, 3)}
    rows["sign"] = ["--profile", "sign"]
    for rule, refine in (("code", "search"), ("code", "none"), ("text", "search"), ("text", "none")):
        for variant in ("2@0.8", "2@0.9", "3@0.9", "3@0.8"):
            rows[f"loraquant {variant} {rule} {refine}"] = [
                "--profile", "loraquant", "--variant", variant, "--h-rule", rule, "--refine", refine,
            ]  # fmt: skip
    for variant in ("2@0.9", "3@0.9"):
        rows[f"loraquant {variant} code sgd"] = [*rows[f"loraquant {variant} code search"][:-1], "sgd"]
        for rule, refine in (("code", "search"), ("code", "none"), ("text", "search"), ("text", "none"), ("code", "sgd")):
            # As strong as the adapter, which they are not by themselves.
            rows[f"loraquant {variant} {rule} {refine}{GAIN}"] = rows[f"loraquant {variant} {rule} {refine}"]
    for floor in RD_FLOORS:
        for bits in RD_BITS:
            rows[f"rd {bits} floor {floor}"] = rd(bits, floor)
    for bits in ("0.5", "0.35", "4.0"):  # where tasks break, and where nothing is lost
        rows[f"rd {bits} floor 0"] = rd(bits)
    for bits in ("1.0", "1.5"):
        rows[f"rd {bits} floor 0 least-squares"] = rd(bits, "0", "--fit", "least-squares")
    for floor in RD_FLOORS:
        for bits in RD_BITS:
            options = rd(bits, floor, "--calibration", MOMENTS)
            rows[f"rd {bits} floor {floor} importance"] = options
    return rows


# Scored for every adapter; all others for those of seed 0.
DECIDING = (
    "f16", "rtn 2", "sign", "loraquant 2@0.8 code search", "loraquant 2@0.9 code search",
    "loraquant 3@0.9 code search", "rd 1.0 floor 0", "rd 1.5 floor 0", "rd 2.5 floor 0",
)  # fmt: skip


class Refused(Exception):
    """The encoder cannot do this for this adapter, and says so."""


def lqa(*arguments: str) -> dict:
    """Runs the command with --json. A refused goal is an answer, anything else an error. LoRAQuant has a program of its own."""
    program = LORAQUANT if "loraquant" in arguments else CLI
    run = subprocess.run([*program, *arguments, "--json"], capture_output=True, text=True)
    if run.returncode:
        try:
            error = json.loads(run.stdout or run.stderr)["error"]
        except (ValueError, KeyError):
            error = {}
        if error.get("where") == "the size of the file":
            raise Refused(f"{error['code']}: {error['expected']}")
        raise RuntimeError(f"lqa {shlex.join(arguments)}: {run.stderr or run.stdout}")
    return json.loads(run.stdout)


def round_trip(source: Path, options: list[str], folder: Path) -> tuple[Path, dict]:
    """Encodes and decodes; returns the PEFT directory and the encoder's report."""
    folder.mkdir(parents=True, exist_ok=True)
    file, restored = folder / "adapter.lqa", folder / "restored"
    report = lqa("encode", str(source), "-o", str(file), "--force", *options)
    lqa("decode", str(file), "-o", str(restored), "--force")
    return restored, report
