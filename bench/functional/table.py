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

REFERENCE = "f16"  # what everything else is compared with
RD_BITS = ("0.75", "1.0", "1.25", "1.5", "2.0", "2.5")
RD_FLOORS = ("0", "0.5", "1")


def table() -> dict[str, list[str]]:
    """Name -> options of `lqa encode`, the reference first."""
    rows = {REFERENCE: ["--profile", "raw", "--element", "f16"]}
    # The cells that decide the floor come first, so that a run cut short has them.
    for bits in ("1.0", "1.25", "0.75", "1.5", "2.0", "2.5", "0.5"):
        for floor in RD_FLOORS:
            rows[f"rd {bits} floor {floor}"] = ["--profile", "rd", "--bits", bits, "--floor", floor]
    for variant in ("2@0.9", "2@0.8", "3@0.9", "3@0.8"):
        for rule in ("code", "text"):
            for refine in ("search", "none"):
                rows[f"loraquant {variant} {rule} {refine}"] = [
                    "--profile", "loraquant", "--variant", variant, "--h-rule", rule, "--refine", refine,
                ]  # fmt: skip
    # Profiles rtn (1, 2, 3 bits) and sign go here; so does rd with importance weights.
    return rows


class Refused(Exception):
    """The encoder cannot do this for this adapter, and says so."""


def lqa(*arguments: str) -> dict:
    """Runs the command with --json. A refused goal is an answer, anything else an error."""
    run = subprocess.run([*CLI, *arguments, "--json"], capture_output=True, text=True)
    if run.returncode:
        try:
            error = json.loads(run.stdout or run.stderr)["error"]
        except (ValueError, KeyError):
            error = {}
        if error.get("where") == "the size goal":
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
