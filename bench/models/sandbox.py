"""Runs code that a model wrote, in a process with limits: time, memory, size and number of files, processes, and no network.

The program runs in an empty folder of its own, by a Python that loads no packages, without the environment of this process. It gets new
namespaces from `unshare`: a network without any interface, no other processes in sight, and a file system in which everything outside
the folder is read-only. When its time is up, every process that it started ends with its namespace. Without `unshare` or the
right to use it nothing runs: `require` says so.

This stops loops, forks, floods of files and output, and calls home. It is no defence against somebody who attacks the kernel.
"""

import contextlib
import math
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from place import BenchError

SECONDS = 5  # of CPU time
PATIENCE = 6  # times as long the program may take altogether, so that a busy machine changes no verdict
MEMORY = 1 << 30
FILE_SIZE = 1 << 20
FILES = 64  # open at once
PROCESSES = 16
DISK = 4 << 20  # all files together
OUTPUT = 4096  # bytes of what it prints that are kept

# Inside: everything is made read-only, then a small folder in memory is mounted, in which the program runs as another user.
# `prlimit` counts the processes of that user, and nothing else on the machine has it.
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
USER = 64_999
SETUP = """
set -e
while read -r _ _ _ _ place _; do mount -o remount,bind,ro "$place" 2>/dev/null || [ "$place" != / ]; done </proc/self/mountinfo
mount -t tmpfs -o "size=$2,nr_inodes=256,mode=1777" none "$1"
cat >"$1/program.py"
cd "$1"
mkdir python
mount --bind "$9" python
mount -o remount,bind,ro python
# Not with exec: the kernel does not end the first process of a namespace at its limit of CPU time.
setpriv --reuid=$3 --regid=$3 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
  prlimit --nproc=$4 --as=$5 --fsize=$6 --nofile=$7 --core=0 --cpu=$8 "python/${10}" -I -S program.py </dev/null || exit
"""


@dataclass(frozen=True)
class Outcome:
    """What a program did.

    Attributes:
        passed: it ended by itself with exit code 0, within all limits.
        reason: "ok", "time", or the last line of what it said.
    """

    passed: bool
    reason: str


def missing() -> str | None:
    """Why code cannot be run here; None if it can."""
    for tool in ("unshare", "setpriv", "prlimit", "mount"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (package util-linux)"
    if sys.platform != "linux":
        return "the limits are those of Linux"
    probe = run("print(1)")
    return None if probe.passed else f"a program of one line fails: {probe.reason}"


def require() -> None:
    reason = missing()
    if reason:
        raise BenchError(f"generated code cannot be run safely: {reason}. Run this as root on Linux, for example in a container.")


def run(program: str, seconds: float = SECONDS) -> Outcome:
    """Runs a program of Python for at most `seconds` of CPU time, and waits for its end. One that exits before its last line has failed."""
    mark = secrets.token_hex(16)
    program = f"{program}\n\nprint('\\n{mark}')\n"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as said:
        source.write(program.encode("utf-8", "replace"))
        source.seek(0)
        inside = [folder, DISK, USER, PROCESSES, MEMORY, FILE_SIZE, FILES, f"{math.ceil(seconds)}:{math.ceil(seconds) + 1}", sys.base_prefix, interpreter()]
        process = subprocess.Popen(
            [*UNSHARE, "bash", "-c", SETUP, "sandbox", *map(str, inside)],
            stdin=source,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            start_new_session=True,
            preexec_fn=_limits,
        )
        try:
            code = process.wait(PATIENCE * seconds)
            if code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
                return Outcome(False, "time")
            last = _last_line(said, code)
            if code == 0:
                return Outcome(last == mark, "ok" if last == mark else "ended before its last line")
            return Outcome(False, last)
        except subprocess.TimeoutExpired:
            return Outcome(False, "time")
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """Ends `unshare` and everything in its namespaces, and waits for that. The first process of a PID namespace takes all others with
    it and ends after them, and `unshare` ends after the first process: if `unshare` were killed itself, nothing would wait for the others."""
    if process.poll() is None:
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(int(first[0]) if first else process.pid, signal.SIGKILL)
    process.wait()


def interpreter() -> str:
    """Where the interpreter is in its installation, which the program sees as a folder `python` of its own: it may not see a home folder."""
    return str(Path(sys.executable).resolve().relative_to(Path(sys.base_prefix).resolve()))


def _limits() -> None:
    """Of what the program prints, which goes to a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))


def _last_line(said, code: int) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - OUTPUT))
    lines = said.read(OUTPUT).decode("utf-8", "replace").strip().splitlines()
    return (lines[-1] if lines else f"exit code {code}")[:200]
