"""What a file says of its origin runs, opens and allocates nothing, in every version of PEFT that the package allows.

LQA_PEFT is a list of folders, each with another version of PEFT (`pip install --no-deps --target FOLDER peft==0.19.1`).
"""
import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import lqa
from support import absent

REASON = absent("peft", "torch")
if not REASON:
    import peft
    import torch
    from torch import nn

    from hostile import LAYERS, write
    from lqa.config import KNOWN, lora_config

# Loads each file of argv into a model and prints what was loaded, and by how many KiB the peak of the memory grew.
LOAD = """
import sys, resource, torch
from torch import nn
import lqa, peft
class Model(nn.Module):
    config = {"model_type": "custom"}
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peft.__version__)
for file in sys.argv[1:]:
    before = peak()
    try:
        model = lqa.peft.load(Model(), file)
        said = sorted(n for n, m in model.named_modules() if hasattr(m, "scaling"))
    except lqa.LqaError as error:
        said = [error.kind]
    print(peak() - before, *said)
"""


@unittest.skipIf(REASON, REASON)
class Hostile(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "x.lqa"

    def model(self) -> "nn.Module":
        class Model(nn.Module):
            config = {"model_type": "custom"}

            def __init__(self) -> None:
                super().__init__()
                self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

            def forward(self, x):
                return self.third(self.second(self.first(x)))

        return Model()

    def load_in_each_peft(self, *files: Path) -> list[tuple[str, list[tuple[int, list[str]]]]]:
        """Of every version its name, and of each file: by how many KiB the peak of the memory grew, and what was loaded or the error."""
        found = []
        for place in ("", *filter(None, os.environ.get("LQA_PEFT", "").split(os.pathsep))):
            path = [part for part in (place, str(self.folder), os.environ.get("PYTHONPATH", "")) if part]
            result = subprocess.run([sys.executable, "-W", "ignore", "-c", LOAD, *files], cwd=self.folder, capture_output=True, text=True,
                                    check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(path)})
            self.assertEqual(result.returncode, 0, result.stderr)
            version, *lines = result.stdout.splitlines()
            found.append((version, [(int(grown), said) for grown, *said in map(str.split, lines)]))
        return found

    def test_a_named_module_is_not_imported_and_memory_follows_the_modules_of_the_file(self) -> None:
        """200 million components for a layer that the file does not have would be 6.8 GB."""
        (self.folder / "evil_payload.py").write_text(f"open({str(self.folder / 'owned')!r}, 'w').close()\n")
        names = write(self.folder / "names.lqa", {"megatron_config": {"x": 1}, "megatron_core": "evil_payload"})
        wide = write(self.folder / "wide.lqa",
                     {"r": 200_000_000, "rank_pattern": {"third": 200_000_000}, "target_modules": ["first", "second", "third"]})
        self.assertTrue(lqa.validate(names).valid)
        self.assertLess(names.stat().st_size, 1000)
        for version, ((_, refused), (grown, loaded)) in self.load_in_each_peft(names, wide):
            self.assertEqual(refused, ["UNSUPPORTED_ADAPTER_FEATURE"], version)
            self.assertFalse((self.folder / "owned").exists(), version)
            self.assertEqual(loaded, ["base_model.model.first", "base_model.model.second"], version)
            self.assertLess(grown, 128 << 10, version)

    def test_fields_reach_nothing(self) -> None:
        """Only what the modules and tensors say, whatever the configuration has."""
        file = lqa.open(write(self.file, {}))
        usual, plain = json.loads(file.origin["config"]), lora_config(file)

        def made(config: dict, origin: dict | None = None) -> dict:
            file.__dict__["origin"] = origin or {"dialect": "peft", "config": json.dumps(usual | config)}
            return lora_config(file)

        slow = "(([a-z._0-9]+)+)+X"
        for config in ({"auto_mapping": {"base_model_class": "x", "parent_library": "evil_payload"}}, {"base_model_name_or_path": "evil/model"},
                       {"revision": "evil"}, {"corda_config": {"cache_file": "/tmp/x"}}, {"eva_config": {"rho": 2.0}}, {"loftq_config": {"x": 1}},
                       {"modules_to_save": ["third"]}, {"trainable_token_indices": {"third": [0, 1]}}, {"target_parameters": ["third.weight"]},
                       {"target_modules": slow, "exclude_modules": slow, "layers_pattern": [slow], "rank_pattern": {slow: 3}},
                       {"r": "8", "lora_alpha": [], "rank_pattern": 5, "modules_to_save": {"a": 1}}, {"runtime_config": {"x": 1}},
                       {"task_type": "os.system"}, {"megatron_core": "evil_payload"}, {"monteclora_config": {"num_samples": 10**9}}):
            self.assertEqual(made(config), plain, config)
        self.assertEqual(made({"task_type": "CAUSAL_LM"}), plain | {"task_type": "CAUSAL_LM"})
        for config in ({"megatron_config": {"x": 1}}, {"layer_replication": [[0, 4], [2, 5]]}, {"alora_invocation_tokens": [1]},
                       {"arrow_config": {"x": 1}}, {"kasa_config": {"x": 1}}, {"use_bdlora": True}, {"use_qalora": True}, {"new_field": 1},
                       {"init_lora_weights": "pissa_niter_4"}, {"init_lora_weights": "OLoRA"}, {"init_lora_weights": "corda"}):
            with self.assertRaisesRegex(lqa.LqaError, "UNSUPPORTED_ADAPTER_FEATURE"):
                made(config)
        for origin in ({"dialect": "peft"}, {"dialect": "peft", "config": "[" * 100_000}, {"dialect": "peft", "config": "[]"},
                       {"dialect": "peft", "config": '{"peft_type": "LOHA"}'}, {"dialect": "kohya"}):
            with self.assertRaisesRegex(lqa.LqaError, "SOURCE_CONFIG"):
                made({}, origin)

    def test_every_field_of_peft_is_known_or_refused(self) -> None:
        refused = {"alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "megatron_config", "use_bdlora", "use_qalora"}
        fields = {field.name for field in dataclasses.fields(peft.LoraConfig)}
        self.assertEqual(sorted(fields - KNOWN), sorted(refused & fields))

    def test_what_a_file_replaces_must_be_in_the_model(self) -> None:
        weight, bias = ({"name": f"third.{leaf}", "role": "replace", "element": "F32", "shape": shape, "data": [0] * 4 * math.prod(shape)}
                        for leaf, shape in (("weight", [4, 4]), ("bias", [4])))
        model = lqa.peft.load(self.model(), write(self.file, {}, tensors=[bias, weight]))
        self.assertTrue(torch.equal(model.base_model.model.third.modules_to_save["default"].weight, torch.zeros(4, 4)))
        for tensors, kind in (([weight], "BASE_MODULE_MISSING"), ([bias | {"shape": [2], "data": [0] * 8}, weight], "BASE_SHAPE"),
                              ([weight | {"name": "fourth.weight"}], "BASE_MODULE_MISSING"), ([bias | {"name": "training"}], "BASE_MODULE_MISSING")):
            model = self.model()
            with self.assertRaisesRegex(lqa.LqaError, kind):
                lqa.peft.load(model, write(self.file, {}, tensors=tensors))
            self.assertEqual(list(model.state_dict()), list(self.model().state_dict()))

    def test_experts_must_be_those_of_the_model(self) -> None:
        """PEFT allocates for as many as the model has."""
        model = self.model()
        model.experts = nn.Module()
        model.experts.weight = nn.Parameter(torch.zeros(3, 4, 6))
        for experts, out in ((2, 4), (3, 5)):
            module = {"name": "experts.weight", "experts": experts, "out": out, "in": 6}
            with self.assertRaisesRegex(lqa.LqaError, "BASE_SHAPE"):
                lqa.peft.load(model, write(self.file, {"target_parameters": ["experts.weight"]}, modules=[module, *LAYERS]))
        write(self.file, {}, modules=[*LAYERS, {"name": "third", "experts": 2, "out": 4, "in": 4}])
        with self.assertRaisesRegex(lqa.LqaError, "BASE_SHAPE"):
            lqa.peft.load(model, self.file)


if __name__ == "__main__":
    unittest.main()
