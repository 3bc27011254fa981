"""Encodes many adapters on a Ray cluster: each task encodes one share with `lqa encode --shard`.

Both places are directories that all machines see, or s3://bucket/prefix. Every machine needs Node and the command `lqa` (see
README.md of the repository). A task whose worker or node ends is started again, and keeps the files that are there and whole. Rerun
the program to resume.

pip install ray==2.60.0
python encode.py s3://in/adapters s3://out/lqa --shards 64 -- --bits 1.25
"""

import argparse
import json
import subprocess
import sys

import ray


@ray.remote(num_cpus=1, max_retries=5, retry_exceptions=True)
def encode(command):
    """One share: a list of (output, state, error) for its adapters."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    items = json.loads(done.stdout or "{}")
    if not isinstance(items, list):  # not one adapter was looked at
        raise RuntimeError(done.stdout + done.stderr)
    return [(item["output"], item["state"], item.get("error", {}).get("message")) for item in items]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("adapters")
    parser.add_argument("out")
    parser.add_argument("--shards", type=int, default=64, help="several for each core of the cluster [64]")
    parser.add_argument("--address", help="of a running cluster; without one, a cluster of this machine is started")
    parser.add_argument("--lqa", nargs="+", default=["lqa"], help="the command, if it is not on the PATH")
    arguments, options = parser.parse_known_args()
    options = [word for word in options if word != "--"]
    command = [*arguments.lqa, "encode", arguments.adapters, "--out-dir", arguments.out, "--workers", "1", "--json", *options]
    ray.init(address=arguments.address)
    tasks = [encode.remote([*command, "--shard", f"{i}/{arguments.shards}"]) for i in range(arguments.shards)]
    counts = {"encoded": 0, "kept": 0, "failed": 0, "left": 0}
    while tasks:
        ready, tasks = ray.wait(tasks)
        for output, state, error in ray.get(ready[0]):
            counts[state] += 1
            if state == "failed":
                print(f"{output}: {error}", file=sys.stderr)
    print(json.dumps(counts))
    return 1 if counts["failed"] + counts["left"] else 0


if __name__ == "__main__":
    sys.exit(main())
