"""Checks the manifests against the schema of Kubernetes 1.31, strictly, and that the shares of the Indexed Job fit its pods.

pip install -r deploy/requirements.txt && python deploy/check.py
"""

import copy
import pathlib

import kubernetes_validate
import yaml


def validate(manifest):
    kubernetes_validate.validate(manifest, "1.31", strict=True)


for path in sorted(pathlib.Path(__file__).parent.glob("*.yaml")):
    for manifest in yaml.safe_load_all(path.read_text()):
        validate(manifest)
        print(f"ok {path.name}: {manifest['kind']} {manifest['metadata']['name']}")

job = yaml.safe_load((pathlib.Path(__file__).parent / "encode.yaml").read_text())
args = job["spec"]["template"]["spec"]["containers"][0]["args"]
assert job["spec"]["completionMode"] == "Indexed", "its pods have no index"
assert args[args.index("--shard") + 1] == f"$(JOB_COMPLETION_INDEX)/{job['spec']['completions']}", "shares and pods differ"
print("ok the shares fit the pods")

broken = copy.deepcopy(job)
broken["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
try:
    validate(broken)
except Exception:
    print("ok a misspelt field is noticed")
else:
    raise AssertionError("a misspelt field was taken")
