"""Updates of an adapter in vLLM's workers, against the small classes of vllm_standin.py."""
import json
import types
import unittest
from unittest import mock

import lqa
from support import absent

REASON = absent("torch", "safetensors")
if not REASON:
    import torch
    from safetensors.torch import load_file

    import vllm_standin
    from test_vllm import Served

    with vllm_standin.installed():
        from lqa import vllm_update
else:
    Served = unittest.TestCase


@unittest.skipIf(REASON, REASON)
class Updated(Served):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(vllm_standin.installed())
        self.manager_ = self.manager()
        worker = type("Worker", (vllm_update.Updates,), {})()
        worker.model_runner = types.SimpleNamespace(lora_manager=self.manager_)
        self.engine = types.SimpleNamespace(collective_rpc=lambda method, args: [getattr(worker, method)(*args)])
        path = self.encoded("policy")
        state = load_file(self.folder / "policy-made" / "adapter_model.safetensors")
        config = json.loads((self.folder / "policy-made" / "adapter_config.json").read_text())
        self.data, before = [path.read_bytes()], lqa.open(path)
        for step in range(1, 3):
            state = {key: tensor + 0.02 * tensor.std() * torch.randn_like(tensor) for key, tensor in state.items()}
            self.data.append(lqa.encode(state, config=config, max_error=0.01, parent=before, step=step))
            before = lqa.open(self.data[-1], parents=[before])
        self.last = before

    def sibling(self, step: int | None) -> bytes:
        """A child of the second file."""
        state = {key: 1.01 * tensor for key, tensor in load_file(self.folder / "policy-made" / "adapter_model.safetensors").items()}
        config = json.loads((self.folder / "policy-made" / "adapter_config.json").read_text())
        return lqa.encode(state, config=config, max_error=0.01, parent=lqa.open(self.data[1], parents=self.data[:1]), step=step)

    def slot(self) -> dict:
        return {name: (a.clone(), b.clone()) for name, (a, b) in self.manager_._adapter_manager.slots[1].items()}

    def same(self, one: dict, other: dict) -> bool:
        return all(torch.equal(x, y) for name, pair in one.items() for x, y in zip(pair, other[name]))

    def test_updates_replace_the_adapter(self) -> None:
        requests, slots = [], []
        for data in self.data:
            with self.assertLogs("vllm.lqa", "INFO") as logged:
                requests.append(vllm_update.update(self.engine, "policy", 1, data))
            self.assertRegex(logged.output[0], r"\d of 6 modules changed")
            slots.append(self.slot())
        for decoded in self.last.decode_all(torch.float32, multiplier=True):
            a, b = slots[-1][decoded.name]
            self.assertTrue(torch.equal(a, decoded.a) and torch.equal(b, decoded.b), decoded.name)
        self.assertFalse(self.same(slots[0], slots[1]))
        # One version is kept; each has a path of its own.
        self.assertEqual((len(self.manager_._kept), len({request.lora_path for request in requests})), (1, 3))
        # vLLM drops it and loads it again: the same, without a file.
        self.manager_._adapter_manager.remove_adapter(1)
        self.manager_._apply_adapters({requests[-1]})
        self.assertTrue(self.same(self.slot(), slots[-1]))

    def test_a_child_of_an_earlier_file_follows_if_it_is_newer(self) -> None:
        for data in self.data:
            vllm_update.update(self.engine, "policy", 1, data)
        before = self.slot()
        for step in (None, 1, 2):
            with self.subTest(step), self.assertRaises(lqa.LqaError) as caught:
                vllm_update.update(self.engine, "policy", 1, self.sibling(step))
            self.assertEqual(caught.exception.kind, "PARENT_MISMATCH")
            self.assertTrue(self.same(self.slot(), before))
        newer = self.sibling(3)
        vllm_update.update(self.engine, "policy", 1, newer)
        for decoded in lqa.open(newer, parents=self.data).decode_all(torch.float32, multiplier=True):
            a, b = self.slot()[decoded.name]
            self.assertTrue(torch.equal(a, decoded.a) and torch.equal(b, decoded.b), decoded.name)
        # What nothing follows any more is freed.
        self.assertEqual(self.manager_.packed_bytes, len(newer) + sum(map(len, self.data[:2])))
        with self.assertRaises(lqa.LqaError):
            vllm_update.update(self.engine, "policy", 1, self.data[2])

    def test_the_server_loads_a_child_of_an_earlier_file(self) -> None:
        made = self.requests()
        for step in (3, 1):
            path = self.folder / f"sibling-{step}.lqa"
            path.write_bytes(self.sibling(step))
            made.append(vllm_standin.LoRARequest("policy", 1, str(path), load_inplace=True))
        *ordered, old = made
        for request in ordered:
            self.manager_.add_adapter(request)
        before = self.slot()
        with self.assertRaises(lqa.LqaError) as caught:
            self.manager_.add_adapter(old)
        self.assertEqual(caught.exception.kind, "PARENT_MISMATCH")
        self.assertTrue(self.same(self.slot(), before))

    def requests(self) -> list:
        """What vLLM's HTTP server makes of `load_lora_adapter`, the later ones with `load_inplace`."""
        made = []
        for step, data in enumerate(self.data):
            (self.folder / f"step-{step}.lqa").write_bytes(data)
            made.append(vllm_standin.LoRARequest("policy", 1, str(self.folder / f"step-{step}.lqa"), load_inplace=step > 0))
        return made

    def test_the_server_loads_updates_in_place(self) -> None:
        first, *others = self.requests()
        self.manager_.add_adapter(first)
        for request in others:
            with self.assertLogs("vllm.lqa", "INFO") as logged:
                self.manager_.add_adapter(request)
            self.assertRegex(logged.output[0], r'adapter "policy": \d of 6 modules changed')
        for decoded in self.last.decode_all(torch.float32, multiplier=True):
            a, b = self.slot()[decoded.name]
            self.assertTrue(torch.equal(a, decoded.a) and torch.equal(b, decoded.b), decoded.name)
        # One version is kept, and counts with its parents.
        self.assertEqual((len(self.manager_._kept), self.manager_.packed_bytes), (1, sum(map(len, self.data))))
        before = self.slot()
        self.manager_._adapter_manager.remove_adapter(1)
        self.manager_._apply_adapters({others[-1]})
        self.assertTrue(self.same(self.slot(), before))

    def test_updates_that_the_server_refuses(self) -> None:
        first, second, third = self.requests()
        with self.assertRaises(lqa.LqaError) as caught:
            self.manager_.add_adapter(second)
        self.assertEqual(caught.exception.kind, "PARENT_MISSING")
        self.manager_.add_adapter(first)
        before = self.slot()
        second.load_inplace = False  # a request under another name
        second.lora_int_id = 2
        for request, kind in ((third, "PARENT_MISMATCH"), (second, "PARENT_MISSING")):
            with self.subTest(kind), self.assertRaises(lqa.LqaError) as caught:
                self.manager_.add_adapter(request)
            self.assertEqual(caught.exception.kind, kind)
            self.assertTrue(self.same(self.slot(), before))

    def test_an_update_that_cannot_be_decoded_changes_nothing(self) -> None:
        first, second, _ = self.requests()
        self.manager_.add_adapter(first)
        before = self.slot()
        with mock.patch("lqa.vllm_lora.decode_modules", side_effect=lqa.LqaError("BUDGET")), self.assertRaises(lqa.LqaError):
            self.manager_.add_adapter(second)
        self.assertTrue(self.same(self.slot(), before))
        self.manager_._adapter_manager.remove_adapter(1)
        self.manager_.add_adapter(first)
        self.assertTrue(self.same(self.slot(), before))

    def test_what_is_refused_changes_nothing(self) -> None:
        with self.assertRaises(lqa.LqaError) as caught:
            vllm_update.update(self.engine, "policy", 1, self.data[1])
        self.assertEqual(caught.exception.kind, "PARENT_MISSING")
        vllm_update.update(self.engine, "policy", 1, self.data[0])
        slot = self.slot()
        wide = self.encoded("wide", inputs=25).read_bytes()
        for data, number, kind in ((self.data[2], 1, "PARENT_MISMATCH"), (self.data[0], 1, "PARENT_MISMATCH"),
                                   (self.data[1][:-1], 1, "TRUNCATED_FILE"), (wide, 1, "BASE_SHAPE"), (self.data[1], 2, "PARENT_MISSING")):
            with self.subTest(kind), self.assertRaises(lqa.LqaError) as caught:
                vllm_update.update(self.engine, "policy", number, data)
            self.assertEqual(caught.exception.kind, kind)
            self.assertTrue(self.same(self.slot(), slot))
        vllm_update.update(self.engine, "policy", 1, self.data[1])
        self.assertFalse(self.same(self.slot(), slot))


if __name__ == "__main__":
    unittest.main()
