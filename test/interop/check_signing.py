"""lqa and the package model-signing accept each other's signatures, and refuse each other's bad ones.

After `npm run build`: python test/interop/check_signing.py. Keys are made here; nothing is asked for on the network.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parents[2]
MODEL_SIGNING = [sys.executable, "-m", "model_signing"]
LQA = ["node", str(ROOT / "dist/cli/main.js")]


def ends(*command):
    """The exit code of a command."""
    return subprocess.run([str(word) for word in command], capture_output=True).returncode


def check(name, code, good):
    if (code == 0) != good:
        sys.exit(f"{name}: exit code {code}, expected {'0' if good else 'another'}")
    print(f"ok: {name}")


def write_keys(folder, curve):
    key = ec.generate_private_key(curve)
    private, public = folder / f"{curve.name}.pem", folder / f"{curve.name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    file, changed = folder / "a.lqa", folder / "changed.lqa"
    example = (ROOT / "spec/example.lqa").read_bytes()
    file.write_bytes(example)
    changed.write_bytes(example[:-1] + bytes([example[-1] ^ 1]))
    strangers = folder / "strangers"
    strangers.mkdir()
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        private, public = write_keys(folder, curve)
        _, stranger = write_keys(strangers, curve)
        ours, theirs = folder / f"{curve.name}.ours", folder / f"{curve.name}.theirs"
        check(f"lqa signs, {curve.name}", ends(*LQA, "sign", file, "--key", private, "--signature", ours), True)
        check(
            f"model-signing signs, {curve.name}",
            ends(*MODEL_SIGNING, "sign", "key", file, "--private_key", private, "--signature", theirs),
            True,
        )
        for by, signature in (("lqa", ours), ("model-signing", theirs)):
            for model, key, good in ((file, public, True), (changed, public, False), (file, stranger, False)):
                what = f"{curve.name}, {model.name} signed by {by}, {'own' if key == public else 'other'} key, verified by"
                lqa = ends(*LQA, "verify-signature", model, "--key", key, "--signature", signature)
                check(f"{what} lqa", lqa, good)
                verify = ("verify", "key", model, "--public_key", key, "--signature", signature)
                check(f"{what} model-signing", ends(*MODEL_SIGNING, *verify), good)
