"""The plugin of vLLM against small classes that have vLLM's names and parameters (vllm_standin.py); integrations/vllm/check has the real ones."""
import asyncio
import importlib.util
import inspect
import json
import os
import shutil
import tempfile
import types
import unittest
import zipfile
from importlib import metadata
from pathlib import Path
from unittest import mock

import lqa
from support import REPOSITORY, absent, run

REASON = absent("torch", "safetensors")
if not REASON:
    import torch
    from safetensors.torch import save_file

    import vllm_standin
    from lqa import vllm as plugin
    from vllm_standin import LoRAAdapterNotFoundError, LoRARequest, PPMissingLayer

    with vllm_standin.installed():
        from lqa.vllm_lora import PackedWorkerLoRAManager, pack
        from lqa.vllm_resolver import LqaResolver

SIZES = {"q_proj": 32, "v_proj": 16}


class Served(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def encoded(self, name: str, seed: int = 0, layers: int = 3, inputs: int = 24, **fields) -> Path:
        torch.manual_seed(seed)
        config = {"peft_type": "LORA", "r": 4, "lora_alpha": 10, "target_modules": list(SIZES), "bias": "none"} | fields
        state = {}
        for layer in range(layers):
            for part, size in SIZES.items():
                key = f"base_model.model.layers.{layer}.{part}"
                state[f"{key}.lora_A.weight"] = torch.randn(config["r"], inputs)
                state[f"{key}.lora_B.weight"] = torch.randn(size, config["r"])
                if config.get("use_dora"):
                    state[f"{key}.lora_magnitude_vector"] = torch.ones(size)
        source = self.folder / f"{name}-made"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        save_file(state, source / "adapter_model.safetensors")
        (source / "adapter_config.json").write_text(json.dumps(config))
        run("encode", source, "-o", self.folder / f"{name}.lqa", "--force", "--profile", "rtn", "--code-bits", "2")
        return self.folder / f"{name}.lqa"

    def manager(self, dtype=None, elsewhere=()):
        """Of a model with three blocks, whose q and v are merged. Another worker has those of `elsewhere`."""
        def model():
            modules = {f"layers.{i}.qkv_proj": types.SimpleNamespace(input_size=24, output_size=48, output_sizes=list(SIZES.values()))
                       for i in range(3) if i not in elsewhere}
            modules |= {f"layers.{i}": PPMissingLayer() for i in elsewhere}
            return types.SimpleNamespace(named_modules=lambda: modules.items())

        config = types.SimpleNamespace(lora_dtype=dtype or torch.float32, max_lora_rank=8)
        manager = vllm_standin.LRUCacheWorkerLoRAManager(config)
        manager.create_lora_manager(model(), None)
        pack(manager)
        return manager

    def in_slot(self, manager, request, file: Path, dtype=None) -> None:
        """What was copied into the slot is the adapter of the file, scaled once."""
        manager._apply_adapters({request})
        weights = manager._adapter_manager.slots[request.lora_int_id]
        opened = lqa.open(file)
        self.assertEqual(sorted(weights), sorted(module.name for module in opened.modules))
        for decoded in opened.decode_all(dtype or torch.float32, multiplier=True):
            a, b = weights[decoded.name]
            self.assertTrue(torch.equal(a, decoded.a) and torch.equal(b, decoded.b), decoded.name)
        held = manager._adapter_manager._registered_adapters[request.lora_int_id]
        self.assertEqual(held.loras, {})  # packed again


@unittest.skipIf(REASON, REASON)
class Worker(Served):
    def test_eviction_and_reload(self) -> None:
        """Seven adapters, four in memory, two in slots: scaled once each time, in each type."""
        files = [self.encoded(f"a{i}", i, **({"use_rslora": True} if i % 2 else {"alpha_pattern": {"v_proj": 3}})) for i in range(7)]
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            manager = self.manager(dtype)
            requests = [LoRARequest(f"a{i}", i + 1, str(file)) for i, file in enumerate(files)]
            for i in (0, 1, 0, 2, 3, 4, 0, 5, 6, 0, 1, 2, 6, 5, 4):
                self.in_slot(manager, requests[i], files[i], dtype)
            self.assertEqual(len(manager.list_adapters()), 4)
            self.assertEqual(manager.packed_bytes, sum(file.stat().st_size for file in files))

    def test_memory_is_used_again(self) -> None:
        """For adapters with the same shapes; not for others, not after a fault, and not where copies may be under way."""
        files = [self.encoded(f"a{i}", i) for i in range(3)] + [self.encoded("wide", 5, r=8)]
        requests = [LoRARequest(f"a{i}", i + 1, str(file)) for i, file in enumerate(files)]
        manager = self.manager()
        slots = manager._adapter_manager
        places = []
        for i in (0, 1, 2, 0, 3, 1):
            self.in_slot(manager, requests[i], files[i])
            places.append(slots.last[2].data_ptr())
        self.assertEqual(len(set(places[:4])), 1)
        self.assertEqual(len({*places[3:5]}), 2)
        with mock.patch("lqa.vllm_lora.decode_modules", side_effect=lqa.LqaError("NONFINITE_VALUE")), self.assertRaises(lqa.LqaError):
            slots.activate_adapter(3)
        self.assertIsNone(slots.last)
        self.in_slot(manager, requests[2], files[2])
        slots.device, slots.last = "cuda", None
        for i in (0, 1):
            self.in_slot(manager, requests[i], files[i])
            self.assertIsNone(slots.last)

    def test_slots_are_filled_with_zeros_where_another_form_was(self) -> None:
        """Two slots. Nothing of an adapter of rank 8, of other layers, or of a directory is left in the slot of a later one."""
        files = [self.encoded(f"a{i}", i) for i in range(4)] + [self.encoded("wide", 5, r=8), self.encoded("few", 6, layers=2)]
        requests = [LoRARequest(f"a{i}", i + 1, str(file)) for i, file in enumerate(files)]
        manager = self.manager()
        slots = manager._adapter_manager
        layers = list(slots.modules.values())
        resets = []
        for i in (0, 1, 2, 3, 4, 5, 0, 1, 2):
            before = sum(layer.resets for layer in layers)
            self.in_slot(manager, requests[i], files[i])
            resets.append(sum(layer.resets for layer in layers) - before)
        self.assertEqual(resets, [3, 3, 0, 0, 3, 3, 3, 3, 0])
        # vLLM fills a slot itself.
        manager._adapter_manager.remove_adapter(1)
        slots.add_adapter(vllm_standin.LoRAModel(9, 8, {"layers.0.q_proj": vllm_standin.LoRALayerWeights(
            "layers.0.q_proj", 8, 8, torch.ones(8, 24), torch.ones(SIZES["q_proj"], 8), 1)}))
        slots.activate_adapter(9)
        for i in (1, 2, 3):
            self.in_slot(manager, requests[i], files[i])

    def test_layers_of_another_worker(self) -> None:
        file = self.encoded("a")
        manager = self.manager(torch.bfloat16, elsewhere=(1,))
        manager._apply_adapters({LoRARequest("a", 1, str(file))})
        weights = manager._adapter_manager.slots[1]
        self.assertEqual(sorted(weights), [f"layers.{i}.{part}" for i in (0, 2) for part in sorted(SIZES)])
        opened = lqa.open(file)
        for name, (a, b) in weights.items():
            decoded = opened.decode(name, torch.bfloat16, multiplier=True)
            self.assertTrue(torch.equal(a, decoded.a) and torch.equal(b, decoded.b), name)

    def test_directories_are_left_to_vllm(self) -> None:
        self.assertEqual(self.manager()._load_adapter(LoRARequest("d", 1, "/adapters/d")), "directory /adapters/d")

    def test_what_is_refused(self) -> None:
        manager = self.manager()
        good = self.encoded("good")
        data = good.read_bytes()
        (self.folder / "cut.lqa").write_bytes(data[:-5])
        (self.folder / "damaged.lqa").write_bytes(data[:-400] + bytes([data[-400] ^ 1]) + data[-399:])
        refused = {"cut": "TRUNCATED_FILE", "damaged": "CRC|DIGEST|MISMATCH", "more": "BASE_MODULE_MISSING", "wide": "BASE_SHAPE",
                   "dora": "UNSUPPORTED_ROLE", f"good.lqa#{'0' * 64}": "WRONG_FILE"}
        self.encoded("more", layers=4), self.encoded("wide", inputs=25), self.encoded("dora", use_dora=True)
        self.in_slot(manager, LoRARequest("good", 1, str(good)), good)
        for name, kinds in refused.items():
            with self.subTest(name), self.assertRaisesRegex(lqa.LqaError, kinds):
                manager.add_adapter(LoRARequest("bad", 2, str(self.folder / (name if "#" in name else f"{name}.lqa"))))
        with self.assertRaisesRegex(ValueError, "rank 16 is greater"):
            manager.add_adapter(LoRARequest("bad", 2, str(self.encoded("rank", r=16))))
        with self.assertRaises(LoRAAdapterNotFoundError):
            manager.add_adapter(LoRARequest("bad", 2, str(self.folder / "nothing.lqa")))
        self.assertEqual((manager.list_adapters(), len(manager._kept)), ({1}, 1))
        self.in_slot(manager, LoRARequest("good", 1, str(good)), good)

    def test_files_that_change(self) -> None:
        """What was accepted is served until it is loaded again, by a request of its own and not by a step of the model."""
        manager = self.manager()
        file, other = self.encoded("one"), self.encoded("two", 9)
        first = shutil.copy(file, self.folder / "first.lqa")
        request = LoRARequest("one", 1, str(file))
        self.in_slot(manager, request, first)
        os.replace(other, file)
        manager._adapter_manager.remove_adapter(1)
        self.in_slot(manager, request, first)
        again = LoRARequest("one", 1, str(file), load_inplace=True)
        manager.add_adapter(again)
        self.in_slot(manager, again, file)
        second = shutil.copy(file, self.folder / "second.lqa")
        file.write_bytes(b"half a file")
        self.in_slot(manager, again, second)
        with self.assertRaises(lqa.LqaError):
            manager.add_adapter(again)
        self.in_slot(manager, again, second)
        # Unloaded and loaded under the same name and path: vLLM gives it another number.
        shutil.copy(first, file)
        self.in_slot(manager, LoRARequest("one", 2, str(file)), first)

    def test_memory_is_bounded(self) -> None:
        files = [self.encoded(f"a{i}", i) for i in range(5)]
        with mock.patch.dict(os.environ, {"LQA_VLLM_BYTES": str(2 * files[0].stat().st_size + 200)}):
            manager = self.manager()
        for i, file in enumerate(files):
            self.in_slot(manager, LoRARequest(f"a{i}", i + 1, str(file)), file)
            self.assertLessEqual(len(manager._kept), 2)
        same = shutil.copy(files[4], self.folder / "same.lqa")  # kept once
        self.in_slot(manager, LoRARequest("same", 9, str(same)), same)
        self.assertEqual(len({id(each) for each in manager._kept.values()}), 2)
        self.in_slot(manager, LoRARequest("a0", 1, str(files[0])), files[0])


@unittest.skipIf(REASON, REASON)
class Plugin(Served):
    def test_paths(self) -> None:
        pin = "aB" * 32
        self.assertEqual(plugin.split_path("x/fr.lqa"), ("x/fr.lqa", None))
        self.assertEqual(plugin.split_path(f"fr.LQA#{pin}"), ("fr.LQA", pin))
        self.assertEqual(plugin.split_path(f"https://h/fr.lqa?sig=1#{pin}"), ("https://h/fr.lqa?sig=1", pin))
        self.assertEqual(plugin.split_path(f"hf://me/fr#{pin}"), ("hf://me/fr", pin))
        directory = self.folder / "layout"
        directory.mkdir()
        self.assertIsNone(plugin.split_path(str(directory)))
        (directory / "adapter_model.lqa").write_bytes(b"")
        self.assertEqual(plugin.split_path(str(directory)), (str(directory), None))
        for other in ("x/fr", "fr.lqa/", "owner/name", f"x#{pin}", "https://h/?a=fr.lqa", "fr.lqa#1"):
            self.assertIsNone(plugin.split_path(other), other)

    def test_entry_point(self) -> None:
        point, = metadata.entry_points(group="vllm.general_plugins", name="lqa")
        self.assertIs(point.load(), plugin.register)

    def registered(self):
        """A manager of a vLLM that has called the plugin, twice as vLLM may, and has not met a file of ours."""
        self.enterContext(vllm_standin.installed())
        stock = vllm_standin.LRUCacheWorkerLoRAManager
        self.addCleanup(setattr, stock, "_load_adapter", stock._load_adapter)
        plugin.register()
        first = stock._load_adapter
        plugin.register()
        self.assertIs(stock._load_adapter, first)
        manager = stock(types.SimpleNamespace(lora_dtype=torch.float32, max_lora_rank=8))
        manager.create_lora_manager(types.SimpleNamespace(named_modules=lambda: [(f"layers.{i}.qkv_proj", types.SimpleNamespace(
            input_size=24, output_size=48, output_sizes=list(SIZES.values()))) for i in range(3)]), None)
        return manager

    def test_the_manager_changes_at_the_first_file_of_ours(self) -> None:
        manager, file = self.registered(), self.encoded("fr")
        self.assertEqual(manager._load_adapter(LoRARequest("d", 1, "/adapters/d")), "directory /adapters/d")
        self.assertIs(type(manager), vllm_standin.LRUCacheWorkerLoRAManager)
        with self.assertRaises(lqa.LqaError):
            (self.folder / "bad.lqa").write_bytes(b"x")
            manager.add_adapter(LoRARequest("bad", 2, str(self.folder / "bad.lqa")))
        self.in_slot(manager, LoRARequest("fr", 3, str(file)), file)
        self.assertIs(type(manager), PackedWorkerLoRAManager)
        self.assertEqual(manager._load_adapter(LoRARequest("d", 1, "/adapters/d")), "directory /adapters/d")

    def test_a_vllm_that_it_does_not_know(self) -> None:
        """Directories load as before; a file of ours ends with what differs, and with what to do."""
        manager, file = self.registered(), self.encoded("fr")
        request = LoRARequest("fr", 1, str(file))
        with mock.patch.object(vllm_standin.LRUCacheLoRAModelManager, "activate_adapter", lambda self, lora_id, slot: None), \
                self.assertRaisesRegex(lqa.LqaError, r"(?s)MISSING_PACKAGE.*takes \(self, lora_id, slot\).*vLLM 0\.32\.0.*lqa decode --portable"):
            manager._load_adapter(request)
        manager.__class__ = type("Other", (vllm_standin.LRUCacheWorkerLoRAManager,), {})
        with self.assertRaisesRegex(lqa.LqaError, "managed by .*Other"):
            manager._load_adapter(request)
        self.assertEqual(manager._load_adapter(LoRARequest("d", 1, "/adapters/d")), "directory /adapters/d")
        # What is optional may be new.
        with mock.patch.object(vllm_standin.LRUCacheLoRAModelManager, "activate_adapter", lambda self, lora_id, slot=None: None):
            self.assertEqual(plugin.unknown(), [])
        self.assertIn("is absent", plugin.unknown({"vllm.lora.nothing:Absent": ()})[0])

    def test_wheels_that_are_not_installed(self) -> None:
        """integrations/vllm/versions.py finds in a wheel what `unknown` finds in an installed vLLM."""
        place = REPOSITORY / "integrations" / "vllm" / "versions.py"
        spec = importlib.util.spec_from_file_location("versions", place)
        versions = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(versions)
        source = inspect.getsource(vllm_standin)

        def differences(text: str) -> list[str]:
            path = self.folder / "vllm-0.1.0-py3-none-any.whl"
            with zipfile.ZipFile(path, "w") as wheel:
                for module in {name.partition(":")[0] for name in plugin.USED}:
                    wheel.writestr(f"{module.replace('.', '/')}.py", text)
            return versions.differences(versions.Wheel(path))

        self.assertEqual(differences(source), [])
        self.assertEqual(differences(source.replace("class PEFTHelper", "class Other")),
                         ["`PEFTHelper.from_dict` is absent", "`PEFTHelper.validate_legal` is absent"])
        self.assertEqual(differences(source.replace("def _load_adapter(self, lora_request)", "def _load_adapter(self, lora_request, slot)")),
                         ["`LRUCacheWorkerLoRAManager._load_adapter` takes self, lora_request, slot"])
        with mock.patch.dict("sys.modules", {"vllm.lora.worker_manager": types.ModuleType("other")}), self.assertLogs("vllm.lqa", "ERROR"):
            plugin.register()

    def test_resolver(self) -> None:
        file = self.encoded("fr")
        (self.folder / "team").mkdir()
        shutil.copy(file, self.folder / "team" / "de.v2.lqa")
        outside = tempfile.NamedTemporaryFile(suffix=".lqa")
        self.addCleanup(outside.close)
        (self.folder / "link.lqa").symlink_to(outside.name)
        (self.folder / "alias.lqa").symlink_to(file)
        (self.folder / "broken.lqa").write_bytes(b"x")
        resolver = LqaResolver(str(self.folder))

        def path(name: str):
            found = asyncio.run(resolver.resolve_lora("base", name))
            return found and found.lora_path

        pin = lqa.open(file).file_id
        real = os.path.realpath(self.folder)
        self.assertEqual(path("fr"), f"{real}/fr.lqa#{pin}")
        self.assertEqual(path("team/de.v2"), f"{real}/team/de.v2.lqa#{pin}")
        self.assertEqual(path("alias"), f"{real}/fr.lqa#{pin}")
        self.assertEqual(path("broken"), f"{real}/broken.lqa")  # the worker says what is wrong with it
        for name in ("../fr", "/etc/passwd", "team/../fr", ".fr", "", "x" * 300, "fr\0", "link", "none", "fr-made", "team/"):
            self.assertIsNone(path(name), name)
        self.assertEqual(LqaResolver("https://h/x/").source("team/de"), "https://h/x/team/de.lqa")
        with self.assertRaisesRegex(lqa.LqaError, "NOT_FOUND"):
            LqaResolver(str(self.folder / "absent"))


if __name__ == "__main__":
    unittest.main()
