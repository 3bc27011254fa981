"""A stock vLLM that serves `.lqa` files, beside the same adapters as directories.

    check.py WORK [--dtype float32|bfloat16] [--json FILE] [--only server|memory]

Run by `check`, which installs what this needs. Starts `vllm serve` with SmolLM2-135M, two slots and room for four adapters in memory;
sends requests for twenty adapters in rotation, each once as the directory that `lqa decode --portable` wrote and once as the `.lqa`
file, and compares tokens and probabilities; then damaged, missing and unsuitable files, files that change on disk, a file of the hub,
steps of a training run, and the resolver. A second process counts bytes and times of adapters in the memory of a worker. Exit code 1 if anything differs.
"""
import argparse
import contextlib
import gc
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "python" / "tests")]
from hub_double import HubDouble  # noqa: E402
from smollm2 import EXAMPLE, LQA, lqa_command, make_adapters, make_base  # noqa: E402

COUNT = 20
PROMPTS = ["fr 93939 =", "de 4711 ="]
SETTINGS = {"max_loras": 2, "max_cpu_loras": 4, "max_lora_rank": 8, "max_model_len": 256}
os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


def make_odd(folder: Path) -> dict[str, Path]:
    """Files that are not to be served."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    shutil.rmtree(folder, ignore_errors=True)
    weights = load_file(EXAMPLE / "adapter" / "adapter_model.safetensors")
    config = json.loads((EXAMPLE / "adapter" / "adapter_config.json").read_text())
    first = next(key for key in weights if "lora_B" in key)

    def encoded(name: str, tensors: dict, fields: dict) -> Path:
        source = folder / "source" / name
        source.mkdir(parents=True)
        save_file(tensors, source / "adapter_model.safetensors", metadata={"format": "pt"})
        (source / "adapter_config.json").write_text(json.dumps(config | fields))
        lqa_command("encode", source, "-o", folder / f"{name}.lqa", "--bits", "2")
        return folder / f"{name}.lqa"

    sound = encoded("sound", weights, {})
    data = sound.read_bytes()
    (folder / "damaged.lqa").write_bytes(data[:-9000] + bytes([data[-9000] ^ 4]) + data[-8999:])
    (folder / "cut.lqa").write_bytes(data[:len(data) // 2])
    (folder / "text.lqa").write_text("<html>404</html>")
    return {
        "damaged": folder / "damaged.lqa", "cut": folder / "cut.lqa", "text": folder / "text.lqa", "missing": folder / "missing.lqa",
        "wrong shape": encoded("shape", weights | {first: weights[first][:-1].copy()}, {}),
        "wrong layers": encoded("layers", {key.replace("layers.29", "layers.30"): array for key, array in weights.items()}, {}),
        "rank": encoded("rank", {key: np.repeat(array, 2, 0 if "lora_A" in key else 1) for key, array in weights.items()}, {"r": 16}),
        "DoRA": encoded("dora", weights | {key.replace("lora_B.weight", "lora_magnitude_vector"): np.ones(array.shape[0], np.float32)
                                           for key, array in weights.items() if "lora_B" in key}, {"use_dora": True}),
        "another file's id": Path(f"{sound}#{'0' * 64}"),
    }


def make_steps(folder: Path, source: Path) -> list[Path]:
    """A whole file and two updates of it, and what each decodes to as a directory."""
    import lqa
    import torch
    from safetensors.torch import load_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    state, config = load_file(source / "adapter_model.safetensors"), json.loads((source / "adapter_config.json").read_text())
    torch.manual_seed(0)
    made: list[Path] = []
    for step in range(3):
        made.append(folder / f"step-{step}.lqa")
        parent = lqa.open(made[-2], parents=made[:-2]) if step else None
        made[-1].write_bytes(lqa.encode(state, config=config, max_error=0.02, **({"parent": parent} if step else {})))
        lqa_command("decode", made[-1], "-o", folder / f"step-{step}-portable", "--portable", *(each for one in made[:-1] for each in ("--parent", one)))
        state = {key: tensor + 0.3 * tensor.std() * torch.randn_like(tensor) for key, tensor in state.items()}
    return made


class Server:
    """`vllm serve`; by its module, because that command asks for a package named vllm, and the one for CPUs is vllm-cpu."""

    def __init__(self, base: Path, log: Path, dtype: str, modules: dict[str, Path], directory: Path, hub: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [f"--{key.replace('_', '-')}={value}" for key, value in SETTINGS.items()]
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "vllm.entrypoints.openai.api_server", "--model", str(base), "--served-model-name", "base", "--host", "127.0.0.1",
             "--port", str(self.port), "--enable-lora", "--dtype", dtype, "--enforce-eager", *words,
             "--lora-modules", *(f"{name}={path}" for name, path in modules.items())],
            stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
            env=hub | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "LQA_VLLM_ADAPTERS": str(directory)})
        begun = time.monotonic()
        while self.process.poll() is None and time.monotonic() - begun < 1200:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                self.seconds = time.monotonic() - begun
                return
            time.sleep(1)
        self.stop()
        raise RuntimeError(f"vllm did not start: {log.read_text()[-3000:]}")

    def ask(self, path: str, body: dict) -> tuple[int, object]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
                                         {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                text, status = response.read().decode(), response.status
        except urllib.error.HTTPError as error:
            text, status = error.read().decode(), error.code
        with contextlib.suppress(ValueError):
            return status, json.loads(text)
        return status, text

    def answers(self, model: str) -> object:
        """Tokens and the logarithms of their probabilities, of all prompts; or what the server said instead."""
        answers = []
        for prompt in PROMPTS:  # one by one: what is computed together in a batch is rounded otherwise
            status, found = self.ask("/v1/completions", {"model": model, "prompt": prompt, "temperature": 0, "max_tokens": 20, "logprobs": 1})
            if status != 200:
                return status, found
            choice = found["choices"][0]
            answers.append((choice["text"], choice["logprobs"]["tokens"], choice["logprobs"]["token_logprobs"]))
        return answers

    def load(self, name: str, path: object, **more: object) -> tuple[int, object]:
        return self.ask("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path), **more})

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class Checks:
    def __init__(self) -> None:
        self.passed, self.failures = 0, []

    def that(self, true: bool, what: str) -> None:
        self.passed += bool(true)
        if not true:
            self.failures.append(what)
            print(f"FAILED: {what}", flush=True)


def check_server(checks: Checks, work: Path, dtype: str) -> dict:
    base, adapters = work / "base", work / "adapters"
    make_base(base)
    names = make_adapters(adapters, COUNT)
    odd = make_odd(work / "odd")
    live = work / "live"
    shutil.rmtree(live, ignore_errors=True)
    shutil.copytree(adapters, live, ignore=shutil.ignore_patterns("source"))
    served = live / "served"
    served.mkdir()
    shutil.copy(live / "a03.lqa", served / "found.lqa")
    shutil.copy(odd["damaged"], served / "broken.lqa")
    (served / "link.lqa").symlink_to(live / "a04.lqa")
    hub = HubDouble((live / "a10.lqa").read_bytes())
    modules = {f"dir-{name}": live / f"{name}-portable" for name in names[:2]} | {f"lqa-{name}": live / f"{name}.lqa" for name in names[:2]}
    server = Server(base, work / "server.log", dtype, modules, served, hub.environment())
    try:
        print(f"the server started in {server.seconds:.0f} s", flush=True)
        for name in names[2:]:
            checks.that(server.load(f"dir-{name}", live / f"{name}-portable")[0] == 200, f"directory of {name} is loaded")
            status, found = server.load(f"lqa-{name}", live / f"{name}.lqa")
            checks.that(status == 200, f"{name}.lqa is loaded: {found}")
        plain = server.answers("base")
        expected = {}
        rounds = 2
        for turn in range(rounds):
            for name in names:
                want, have = server.answers(f"dir-{name}"), server.answers(f"lqa-{name}")
                checks.that(isinstance(want, list) and want == have, f"round {turn}: {name} answers as its directory")
                checks.that(expected.setdefault(name, have) == have, f"round {turn}: {name} answers as before its eviction")
        checks.that(len({str(each) for each in [plain, *expected.values()]}) == COUNT + 1, "every adapter has answers of its own")
        checks.that(expected["a00"][0][0].strip() == "quatre-vingt-treize mille neuf cent trente-neuf", f"the right words: {expected['a00'][0][0]}")
        tokens = sum(len(answer[1]) for each in expected.values() for answer in each)
        print(f"{COUNT} adapters, {rounds} rounds: {rounds * tokens} tokens compared", flush=True)

        # Files that must not be served: an error that says why, and a server that lives.
        reasons = {"damaged": "CRC", "cut": "TRUNCATED_FILE", "text": "LQA-", "missing": "", "wrong shape": "BASE_SHAPE",
                   "wrong layers": "BASE_MODULE_MISSING", "rank": "max_lora_rank", "DoRA": "DoRA|magnitude", "another file's id": "WRONG_FILE"}
        said = {}
        for what, path in odd.items():
            status, found = server.load("odd", path)
            message = found["error"]["message"] if isinstance(found, dict) else str(found)
            said[what] = message
            known = status == 404 if what == "missing" else status >= 400 and any(word in message for word in reasons[what].split("|"))
            checks.that(known, f"{what} is refused: {status} {message}")
            status, found = server.ask("/v1/completions", {"model": "odd", "prompt": "x", "max_tokens": 1})
            checks.that(status == 404, f"{what} left no adapter behind: {status}")
        checks.that(server.answers("lqa-a05") == expected["a05"] and server.answers("dir-a05") == expected["a05"], "the server lives")

        # Files that change or disappear after they were accepted, with an eviction in between.
        (live / "a06.lqa").write_bytes(b"overwritten")
        (live / "a07.lqa").unlink()
        for name in (*names[:5], "a06", "a07"):
            checks.that(server.answers(f"lqa-{name}") == expected[name], f"{name} answers after files changed on disk")

        # Two versions under one name: the new one when it is asked for, whole; not before.
        shutil.copy(live / "a09.lqa", live / "a08.new")
        os.replace(live / "a08.new", live / "a08.lqa")
        for name in (*names[:5], "a08"):
            checks.that(server.answers(f"lqa-{name}") == expected[name], f"{name} has its version")
        identity = json.loads(subprocess.run([*LQA, "inspect", live / "a08.lqa", "--json"], check=True, capture_output=True).stdout)["fileId"]
        status, found = server.load("lqa-a08", f"{live / 'a08.lqa'}#{identity}", load_inplace=True)
        checks.that(status == 200, f"the new version is loaded: {found}")
        for _ in range(2):
            checks.that(server.answers("lqa-a08") == expected["a09"], "the new version answers")
        status, found = server.load("lqa-a09", odd["damaged"], load_inplace=True)
        checks.that(status >= 400 and server.answers("lqa-a09") == expected["a09"], "a version that cannot be loaded leaves the old one")

        # From the hub, here a double of it; and the steps of a training run from an address, each in place of the one before.
        status, found = server.load("hub", "hf://me/packed/a.lqa")
        checks.that(status == 200 and server.answers("hub") == expected["a10"], f"an adapter of the hub answers: {found}")
        steps = make_steps(work / "steps", adapters / "source" / "a00")
        address = f"http://127.0.0.1:{hub.store.server_port}/step.lqa"
        for step, path in enumerate(steps):
            checks.that(server.load(f"dir-step-{step}", path.with_name(f"{path.stem}-portable"))[0] == 200, f"directory of step {step} is loaded")
            hub.store.data = path.read_bytes()
            status, found = server.load("policy", address, **({"load_inplace": True} if step else {}))
            checks.that(status == 200, f"step {step} is loaded: {found}")
            want, have = server.answers(f"dir-step-{step}"), server.answers("policy")
            checks.that(isinstance(want, list) and want == have, f"step {step} answers as its directory")
        hub.store.data = steps[1].read_bytes()
        status, found = server.load("policy", address, load_inplace=True)
        checks.that(status >= 400 and "PARENT_MISMATCH" in str(found), f"a step that comes late is refused: {status} {found}")
        checks.that(server.answers("policy") == have, "the last step stays in use")

        # The resolver: names of a directory.
        checks.that(server.answers("found") == expected["a03"], "an adapter of the directory is found by its name")
        for name, status in (("../a00", 404), ("link", 404), ("nothing", 404), ("broken", 400)):
            checks.that(server.answers(name)[0] == status, f"{name}: {server.answers(name)}")
        checks.that(server.answers("lqa-a01") == expected["a01"], "the server lives at the end")
        return {"adapters": COUNT, "rounds": rounds, "tokens": rounds * tokens, "steps": [path.stat().st_size for path in steps], "errors": {k: v[:400] for k, v in said.items()}}
    finally:
        server.stop()
        hub.close()


def check_lines(checks, work: Path) -> None:
    """The change of docs/peft-layout.md, made to a copy of vLLM's loader, loads the layout as the decoded directory."""
    import inspect
    import torch
    from vllm.lora import lora_model
    from vllm.lora.peft_helper import PEFTHelper

    from support import changed

    layout, decoded = work / "layout", work / "decoded"
    for path in (layout, decoded):
        shutil.rmtree(path, ignore_errors=True)
    lqa_command("encode", EXAMPLE / "adapter", "-o", layout, "--layout", "peft")
    lqa_command("decode", layout, "-o", decoded)
    source = changed(inspect.getsource(lora_model.LoRAModel.from_local_checkpoint), "LoRAModel.from_local_checkpoint")
    exec(f"class Changed(LoRAModel):\n{source}", scope := dict(vars(lora_model)))
    names = {name for name in json.loads((decoded / "adapter_config.json").read_text())["target_modules"]}
    loras = [loader.from_local_checkpoint(str(path), names, PEFTHelper.from_local_dir(str(path), None), lora_model_id=1, device="cpu",
                                          dtype=torch.float32).loras
             for loader, path in ((scope["Changed"], layout), (lora_model.LoRAModel, decoded))]
    same = loras[0].keys() == loras[1].keys() and all(
        torch.equal(loras[0][name].lora_a, lora.lora_a) and torch.equal(loras[0][name].lora_b, lora.lora_b)
        and loras[0][name].scaling == lora.scaling for name, lora in loras[1].items())
    checks.that(same and len(loras[0]) > 0, f"the lines for vLLM load {len(loras[0])} layers as the decoded directory")


def check_eight_bits(checks, work: Path) -> None:
    """vLLM's own loader casts the E4M3 tensors of `decode --dtype f8-e4m3`, and its scaling is a power of two."""
    import math
    import torch
    from safetensors.torch import load_file
    from vllm.lora import lora_model
    from vllm.lora.peft_helper import PEFTHelper

    folder = work / "eight-bits"
    shutil.rmtree(folder, ignore_errors=True)
    lqa_command("decode", work / "adapters" / "a00.lqa", "-o", folder, "--dtype", "f8-e4m3")
    stored = load_file(folder / "adapter_model.safetensors")
    names = set(json.loads((folder / "adapter_config.json").read_text())["target_modules"])
    loras = lora_model.LoRAModel.from_local_checkpoint(str(folder), names, PEFTHelper.from_local_dir(str(folder), None), lora_model_id=1,
                                                       device="cpu", dtype=torch.float32).loras
    key = "base_model.model.{}.lora_{}.weight"
    same = all(stored[key.format(name, which)].dtype == torch.float8_e4m3fn
               and torch.equal(getattr(lora, f"lora_{which.lower()}"), stored[key.format(name, which)].float())
               and math.log2(lora.scaling).is_integer() for name, lora in loras.items() for which in "AB")
    checks.that(same and len(loras) > 0, f"vLLM casts the tensors of 8 bits of {len(loras)} layers")


def measure(worker, kinds: dict[str, list[str]]) -> dict:
    """In a worker: bytes and times of adapters in its memory, without the weights of the slots."""
    import ctypes
    import torch
    from vllm.lora.request import LoRARequest

    def resident() -> int:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    torch.set_num_threads(1)
    manager = worker.model_runner.lora_manager
    slots = manager._adapter_manager
    found = {}
    for number, (kind, paths) in enumerate(kinds.items()):
        loads, activations = [], []
        for warm in (True, False):  # what is allocated once is allocated in the first pass
            manager.remove_all_adapters()
            if hasattr(manager, "_kept"):
                manager._kept.clear()
            before = resident()
            for i, path in enumerate(paths):
                begun = time.process_time()
                manager.add_adapter(LoRARequest(f"{kind}{i}", 1 + i + 1000 * number, path))
                loads.append(time.process_time() - begun)
            grown = resident() - before
        for i in range(len(paths)):
            begun = time.process_time()
            assert slots.activate_adapter(1 + i + 1000 * number)
            activations.append(time.process_time() - begun)
        found[kind] = {"resident bytes each": round(grown / len(paths)), "load and activate, ms": 1e3 * statistics.median(loads),
                       "activate again, ms": 1e3 * statistics.median(activations)}
    manager.remove_all_adapters()
    return found


def check_memory(checks, work: Path, dtype: str) -> dict:
    make_base(work / "base")
    names = make_adapters(work / "adapters", COUNT)
    check_lines(checks, work)
    check_eight_bits(checks, work)
    os.environ["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"  # `measure` is sent to the worker
    from vllm import LLM

    llm = LLM(model=str(work / "base"), enable_lora=True, dtype=dtype, enforce_eager=True, **(SETTINGS | {"max_cpu_loras": 2 * COUNT}))
    kinds = {"safetensors": [str(work / "adapters" / f"{name}-portable") for name in names],
             "lqa": [str(work / "adapters" / f"{name}.lqa") for name in names]}
    found, = llm.collective_rpc(measure, args=(kinds,))
    found["lqa"]["file bytes each"] = sum(Path(path).stat().st_size for path in kinds["lqa"]) // COUNT
    found["safetensors"]["file bytes each"] = sum((Path(path) / "adapter_model.safetensors").stat().st_size for path in kinds["safetensors"]) // COUNT
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=["server", "memory"])
    options = parser.parse_args()
    import torch
    import vllm

    work = options.work.resolve()
    checks = Checks()
    found: dict = {"vllm": vllm.__version__, "torch": torch.__version__, "python": sys.version.split()[0], "by type": {}}
    if options.only and options.json and options.json.is_file():  # keeps the other part
        found["by type"] = json.loads(options.json.read_text())["by type"]
    for dtype in options.dtype:
        each = found["by type"].setdefault(dtype, {})
        if options.only != "memory":
            before = checks.passed
            each["server"] = check_server(checks, work, dtype)
            each["server"]["checks"] = checks.passed - before
        if options.only != "server":
            each["memory"] = check_memory(checks, work, dtype)
            print(json.dumps(each["memory"], indent=2), flush=True)
        if options.json and not checks.failures:
            options.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{checks.passed} passed, {len(checks.failures)} failed")
    return 1 if checks.failures else 0


if __name__ == "__main__":
    sys.exit(main())
