"""The commands of the page about signatures sign an .lqa file and verify it, and verify neither a changed file nor with another key.

python test/interop/check_signing.py. Needs openssl and the package model-signing; makes its keys, and asks nothing of the network.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guide/registries.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"^## Sign a file$.*?^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE).group(1)
VERIFY = COMMANDS.splitlines()[-1]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def check(name, commands, folder, good):
    ran = subprocess.run(["sh", "-eu", "-c", commands], cwd=folder, env=os.environ | {"PATH": PATH}, capture_output=True, text=True)
    if (ran.returncode == 0) != good:
        sys.exit(f"{name}: exit code {ran.returncode}, expected {'0' if good else 'another'}\n{ran.stdout}{ran.stderr}")
    print(f"ok: {name}")


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    file = folder / "my-adapter.lqa"
    example = (ROOT / "spec/example.lqa").read_bytes()
    file.write_bytes(example)
    check("the commands of the page sign and verify", COMMANDS, folder, True)
    file.write_bytes(example[:-1] + bytes([example[-1] ^ 1]))
    check("a changed file is refused", VERIFY, folder, False)
    file.write_bytes(example)
    check("the file as it was is verified again", VERIFY, folder, True)
    check("a stranger's key is made", COMMANDS.replace("private.pem", "other.pem").splitlines()[0], folder, True)
    check("a stranger's key is made public", "openssl ec -in other.pem -pubout -out public.pem", folder, True)
    check("another key is refused", VERIFY, folder, False)
