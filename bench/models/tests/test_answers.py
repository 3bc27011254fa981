"""Adapters that are kept, and greedy answers to problems, with a fake in place of llama.cpp."""

import json
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
REASON = "" if all(find_spec(name) for name in ("gguf", "safetensors", "torch", "zstandard")) else "torch, safetensors, gguf or zstandard is not installed"
if REASON:
    print(f"skipped: tests of answers: {REASON}")
else:
    import answers
    import keep
    import place
    import plan
    import problems
    import torch
    from safetensors.torch import load_file, save_file

ITEMS = [problems.Item(str(number), f"How many is {number} and 1?", f"#### {number + 1}") for number in range(9)] if not REASON else []


@unittest.skipIf(REASON, REASON)
class Kept(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, value in (("ADAPTERS", self.folder / "adapters"), ("STATE", self.folder)):
            self.enterContext(mock.patch.object(place, name, value))

    def test_the_weights_come_back_rounded_to_bfloat16(self) -> None:
        # A name with dots, as the models have.
        trained = self.folder / "trained" / "qwen2.5-coder-0.5b-x"
        trained.mkdir(parents=True)
        generator = torch.Generator().manual_seed(1)
        key = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
        weights = {key.format("A"): torch.randn(8, 96, generator=generator), key.format("B"): torch.randn(64, 8, generator=generator) / 1000}
        save_file(weights, trained / keep.WEIGHTS)
        config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
        (trained / "adapter_config.json").write_text(json.dumps(config))
        (trained / "training.json").write_text("{}")
        keep.keep(trained.name)
        self.assertEqual(keep.names(), [trained.name])
        file = self.folder / "adapters" / f"{trained.name}.lqa.zst"
        self.assertLess(file.stat().st_size, 2 * (8 * 96 + 64 * 8) + 1000)
        found = load_file(keep.load(trained.name).folder / keep.WEIGHTS)
        self.assertTrue(all(torch.equal(found[name].float(), weight.bfloat16().float()) for name, weight in weights.items()))
        file.write_bytes(file.read_bytes()[:-9])
        with self.assertRaisesRegex(place.BenchError, "is damaged .* take it from the repository again"):
            keep.load(trained.name)


@unittest.skipIf(REASON, REASON)
class Greedy(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.asked: list[tuple[str, list[int]]] = []
        split = problems.Split([], [], ITEMS)
        for module, name, value in (
            (place, "RESULTS", self.folder), (answers.bases, "gguf", lambda base: self.folder / "model.gguf"), (problems, "load", lambda task: split),
            (answers, "adapter", lambda folder, base: folder), (answers, "server", self.server), (keep, "load", self.reference),
            (answers, "tokens", lambda base, items: [(item, [int(item.key)]) for item in items]), (answers.methods, "recorded", self.made),
        ):  # fmt: skip
            self.enterContext(mock.patch.object(module, name, value))

    def reference(self, name: str) -> "keep.Reference":
        return keep.Reference(name, self.folder / "reference", "ref")

    def made(self, wanted: list[str], reference: "keep.Reference") -> list:
        return [answers.methods.Encoded(name, self.folder / name, 1, 1.0, f"{name} weights") for name in wanted]

    def server(self, model: Path, adapter: Path | None, length: int):
        def ask(prompt: list[int]) -> tuple[str, int]:
            name = adapter.name if adapter else "base"
            self.asked.append((name, prompt))
            if len(self.asked) == self.ends:
                raise place.BenchError("stopped")
            return (f"#### {prompt[0] + (name != 'base')}", 3)

        return ask

    ends = 0

    def run_once(self, *wanted: str) -> None:
        with mock.patch("builtins.print"):
            answers.run(plan.QUICK, "gsm8k", 5, list(wanted))

    def test_a_stopped_run_is_resumed(self) -> None:
        self.ends = 8
        with self.assertRaisesRegex(place.BenchError, "stopped"):
            self.run_once("lqa 1.0")
        self.ends = 0
        path = self.folder / "answers" / "gemma3-270m.gsm8k.jsonl"
        before = place.json_lines(path)
        self.assertGreater(len(before), 4)
        self.run_once("lqa 1.0")
        after = place.json_lines(path)
        self.assertEqual(after[: len(before)], before)
        self.assertEqual(len({(line["weights"], line["item"]) for line in after}), len(after))
        self.assertEqual({line["weights"]: 0 for line in after}, {"base": 0, "ref": 0, "lqa 1.0 weights": 0})
        self.assertEqual([line["right"] for line in after], [line["weights"] != "base" for line in after])
        self.run_once("lqa 1.0")
        self.assertEqual(place.json_lines(path), after)

    def test_without_encodings_only_the_base_answers(self) -> None:
        self.run_once()
        self.assertEqual({name for name, _ in self.asked}, {"base"})


@unittest.skipIf(REASON, REASON)
class Missing(unittest.TestCase):
    def test_llama_cpp_that_is_not_installed(self) -> None:
        with mock.patch.dict(sys.modules, {"xllamacpp": None}), self.assertRaisesRegex(place.BenchError, "xllamacpp is not installed .*requirements.txt"):
            answers.server(Path("model.gguf"), None, 8)


if __name__ == "__main__":
    unittest.main()
