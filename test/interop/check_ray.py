"""The trial of examples/ray/encode.py: a Ray cluster of two nodes on this machine, of which a worker is killed on the way. Afterwards every adapter
has one file, with the bytes that one process makes, and a second run keeps all of them.

python test/interop/check_ray.py [--adapters 1000] [--shards 8] [--counts FILE]     after npm run build; needs ray and numpy
"""

import argparse
import hashlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster

ROOT = pathlib.Path(__file__).resolve().parents[2]
LQA = ["node", str(ROOT / "dist/cli/main.js")]
parser = argparse.ArgumentParser()
parser.add_argument("--adapters", type=int, default=1000)
parser.add_argument("--shards", type=int, default=8)
parser.add_argument("--counts")
arguments = parser.parse_args()


def write_adapter(folder, seed):
    """A PEFT adapter of one module, 16 × 16 of rank 2, with weights of its own."""
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    noise = hashlib.shake_256(str(seed).encode()).digest(128)
    values = struct.pack("<64f", *((x - y) / 256 for x, y in zip(noise[::2], noise[1::2])))
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    header = json.dumps({
        f"{name}A.weight": {"dtype": "F32", "shape": [2, 16], "data_offsets": [0, 128]},
        f"{name}B.weight": {"dtype": "F32", "shape": [16, 2], "data_offsets": [128, 256]},
    }).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + values)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.lqa")} if folder.exists() else {}


def workers():
    """Processes of the cluster that run a task."""
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_text().startswith("ray::encode"):
                yield int(entry.parent.name)
        except OSError:
            pass


def run(address, source, target, kill):
    """Runs the program; kills a worker, and what it started, once a tenth of the files is there."""
    program = [sys.executable, str(ROOT / "examples/ray/encode.py"), str(source), str(target)]
    words = ["--shards", str(arguments.shards), "--address", address, "--lqa", *LQA]
    process = subprocess.Popen([*program, *words, "--", "--quality", "high"], stdout=subprocess.PIPE, text=True)
    killed = False
    while kill and not killed and process.poll() is None:
        time.sleep(0.05)
        if len(files(target)) >= arguments.adapters / 10:
            for worker in list(workers())[:1]:
                os.kill(worker, signal.SIGKILL)
                killed = True
    out, _ = process.communicate()
    counts = next(json.loads(line) for line in reversed(out.splitlines()) if line.startswith("{"))
    return {"code": process.returncode, "killed": killed, **counts}


with tempfile.TemporaryDirectory() as base:
    base = pathlib.Path(base)
    for i in range(arguments.adapters):
        write_adapter(base / "in" / f"group-{i % 10}" / f"adapter-{i}", i)
    subprocess.run([*LQA, "encode", base / "in", "--out-dir", base / "alone", "--quality", "high", "--quiet"], check=True)
    expected = files(base / "alone")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    started = time.monotonic()
    first = run(cluster.address, base / "in", base / "out", kill=True)
    seconds = round(time.monotonic() - started, 1)
    found = files(base / "out")
    second = run(cluster.address, base / "in", base / "out", kill=False)
    cluster.shutdown()

checks = {
    "a worker was killed": first["killed"],
    "the program ended well": first["code"] == 0 and first["failed"] == 0,
    "nothing is lost": len(found) == arguments.adapters and found.keys() == expected.keys(),
    "every file is that of one process": found == expected,
    "again, all is kept": second["kept"] == arguments.adapters and second["encoded"] == 0,
}
for name, good in checks.items():
    print("ok" if good else "FAILED", name)
print(json.dumps({"adapters": arguments.adapters, "shards": arguments.shards, "seconds": seconds, "first": first, "second": second}))
if arguments.counts:
    passed = sum(checks.values())
    pathlib.Path(arguments.counts).write_text(json.dumps({"passed": passed, "failed": len(checks) - passed}))
sys.exit(0 if all(checks.values()) else 1)
