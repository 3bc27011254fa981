"""Checks the files for Kubernetes and Compose by the schemas of both, what the fleet relies on in them, and each PromQL expression
of the alerts and of the dashboard.

pip install -r deploy/requirements.txt && python deploy/check.py [--counts file]
"""

import json
import pathlib
import re
import sys

import kubernetes_validate
import promql_parser
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from compose_spec import PyCompose

HERE = pathlib.Path(__file__).parent
COUNTS = {"passed": 0, "failed": 0}


def check(name, test):
    """Runs a check and tells how it went."""
    try:
        test()
    except Exception as error:  # what is wrong is told, and the next check is made
        COUNTS["failed"] += 1
        print(f"not ok {name}: {str(error)[:400]}")
    else:
        COUNTS["passed"] += 1
        print(f"ok {name}")


def must(condition, text):
    if not condition:
        raise AssertionError(text)


def validate(manifest):
    """One manifest, strictly: a misspelt field is an error."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        ScaledObject.model_validate(manifest)
    else:
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def manifests_of(name):
    return list(yaml.safe_load_all((HERE / name).read_text()))


kinds = {manifest["kind"]: manifest for manifest in manifests_of("kubernetes.yaml")}
for name in ("kubernetes.yaml", "encode.yaml", "serve.yaml"):
    for manifest in manifests_of(name):
        check(f"{manifest['kind']} {manifest['metadata']['name']}", lambda: validate(manifest))


def misspelt_is_noticed():
    broken = json.loads(json.dumps(kinds["Deployment"]))
    broken["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    try:
        validate(broken)
    except Exception:
        return
    raise AssertionError("a misspelt field was taken")


def scaled_object_fits():
    scaled, worker = kinds["ScaledObject"]["spec"], kinds["Deployment"]
    must(scaled["scaleTargetRef"]["name"] == worker["metadata"]["name"], "the ScaledObject scales another Deployment")
    lists = [trigger["metadata"]["listName"] for trigger in scaled["triggers"]]
    must(lists == ["bull:lqa-fleet:wait", "bull:lqa-fleet:active"], f"lists of BullMQ, found {lists}")
    data = kinds["ConfigMap"]["data"]
    address = {trigger["metadata"]["addressFromEnv"] for trigger in scaled["triggers"]}
    must(address <= set(data), f"{address} is not in the ConfigMap")
    allowed = (data["LQA_FLEET_ALLOW_SOURCE"], data["LQA_FLEET_ALLOW_TARGET"])
    must(allowed == (data["SOURCE"], data["TARGET"]), "workers may not do what is submitted")
    must(data["LQA_FLEET_QUEUE"] == f"redis://{data['KEDA_REDIS_ADDRESS']}", "workers and KEDA ask different servers")


def server_fits():
    of = {manifest["kind"]: manifest["spec"] for manifest in manifests_of("serve.yaml")}
    pod = of["Deployment"]["template"]
    args = pod["spec"]["containers"][0]["args"]
    option = lambda name: float(args[args.index(name) + 1])
    stopping = option("--grace") + option("--drain")
    must(pod["spec"]["terminationGracePeriodSeconds"] > stopping, "the pod is killed before the server ends")
    labels = pod["metadata"]["labels"]
    must(of["Service"]["selector"] == labels, "the Service selects other pods")
    must(of["PodDisruptionBudget"]["selector"]["matchLabels"] == labels, "the budget is for other pods")


def shares_fit():
    (job,) = manifests_of("encode.yaml")
    spec = job["spec"]
    args = spec["template"]["spec"]["containers"][0]["args"]
    shard = args[args.index("--shard") + 1]
    must(spec["completionMode"] == "Indexed", "its pods have no index")
    must(shard == f"$(JOB_COMPLETION_INDEX)/{spec['completions']}", f"{shard} of {spec['completions']} pods")


def expressions_parse():
    alerts = [rule for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    for rule in alerts:
        must({"alert", "expr", "for", "labels", "annotations"} == set(rule), f"{rule['alert']} has other fields")
        must({"summary", "action"} == set(rule["annotations"]), f"{rule['alert']} does not say what to do")
    panels = json.loads((HERE / "dashboard.json").read_text())["panels"]
    targets = [target for panel in panels for target in panel.get("targets", [])]
    must(len(alerts) > 5 and len(targets) > 15, "alerts or panels are missing")
    for expression in [each["expr"] for each in alerts + targets]:
        # Grafana replaces its variables.
        promql_parser.parse(expression.replace("$__rate_interval", "5m").replace("$instance", ".*"))
    try:
        promql_parser.parse("sum(rate(lqa_requests_total[5m])")
    except Exception:
        return
    raise AssertionError("an expression without its last parenthesis was taken")


def compose_is_valid():
    text = (HERE / "compose.yaml").read_text()
    # As Compose itself does before it looks at anything: defaults of variables, and something for those that must be set.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "set", text)
    compose = PyCompose.from_json(json.dumps(yaml.safe_load(text)))
    compose.validate()
    must(set(compose.service_names()) == {"redis", "storage", "submit", "worker"}, "other services")


check("a misspelt field is noticed", misspelt_is_noticed)
check("the ScaledObject fits the Deployment and the queue", scaled_object_fits)
check("the Service and the budget fit the server, which has time to end", server_fits)
check("the shares fit the pods of the Indexed Job", shares_fit)
check("expressions of alerts and dashboard", expressions_parse)
check("compose.yaml", compose_is_valid)
if "--counts" in sys.argv:
    pathlib.Path(sys.argv[sys.argv.index("--counts") + 1]).write_text(json.dumps(COUNTS))
sys.exit(1 if COUNTS["failed"] else 0)
