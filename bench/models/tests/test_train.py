"""Training of a small model: a run that is stopped goes on to the same adapter."""

import dataclasses
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
REASON = "" if all(find_spec(name) for name in ("peft", "torch", "transformers")) else "torch, transformers or peft is not installed"
if REASON:
    print(f"skipped: tests of training: {REASON}")
else:
    import bases
    import place
    import plan
    import problems
    import torch
    import train
    from safetensors.torch import load_file


def tiny(folder: Path) -> Path:
    """A model with three heads to one, as a directory of float16 weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(1)
    words = Tokenizer(models.WordLevel({**{str(i): i for i in range(31)}, "<bos>": 31, "<end>": 32}, unk_token="0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", bos_token="<bos>").save_pretrained(folder)
    config = LlamaConfig(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, vocab_size=33)
    LlamaForCausalLM(config).half().save_pretrained(folder)
    return folder


class Stopped(Exception):
    pass


@unittest.skipIf(REASON, REASON)
class Training(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        model = tiny(self.folder / "model")
        items = [problems.Item(str(i), f"{i} {i + 1}", f"{(3 * i) % 31} {i}") for i in range(24)]
        for target, name, value in ((bases, "directory", lambda base: model), (problems, "load", lambda task: problems.Split(items, [], items))):
            self.enterContext(mock.patch.object(target, name, value))
        self.adapter = dataclasses.replace(plan.ADAPTERS[plan.QUICK], steps=14, batch=4)

    def trained(self, name: str, stop: int = 0) -> dict[str, "torch.Tensor"]:
        """What training ends with in a work folder; with `stop`, the first run ends within that step."""
        with mock.patch.object(place, "STATE", self.folder / name):
            if stop:
                backward, calls = train.backward, iter(range(1, 100))

                def stops(*given: object) -> float:
                    if next(calls) == stop:
                        raise Stopped
                    return backward(*given)

                with mock.patch.object(train, "backward", stops), self.assertRaises(Stopped):
                    train.train(self.adapter)
                self.assertFalse((self.folder / name / "trained").exists())
            train.train(self.adapter)
            self.assertEqual(train.progress(self.adapter.name), "trained")
            self.assertEqual([path.name for path in (self.folder / name / "checkpoints").iterdir()], [])
            return load_file(self.folder / name / "trained" / self.adapter.name / "adapter_model.safetensors")

    def test_a_stopped_run_ends_with_the_same_adapter(self) -> None:
        whole, stopped = self.trained("whole"), self.trained("stopped", stop=9)
        self.assertEqual(len(whole), 2 * 2 * 2)
        self.assertTrue(all(torch.equal(whole[key], value) for key, value in stopped.items()))
        self.assertGreater(float(sum(value.norm() for key, value in whole.items() if "lora_B" in key)), 0)
        self.adapter = dataclasses.replace(self.adapter, seed=1)
        other = self.trained("other")
        self.assertFalse(any(torch.equal(whole[key], value) for key, value in other.items()))

    def test_a_checkpoint_of_another_run_is_refused(self) -> None:
        with mock.patch.object(place, "STATE", self.folder / "work"):
            name = self.adapter.name
            checkpoint = self.folder / "work" / "checkpoints" / f"{name}.pt"
            checkpoint.parent.mkdir(parents=True)
            torch.save({"run": {"steps": 3}}, checkpoint)
            with self.assertRaisesRegex(place.BenchError, "belongs to another run .* delete it to train again"):
                train.train(self.adapter)
            self.assertTrue(checkpoint.is_file())

    def test_the_gradient_is_that_of_the_mean_loss(self) -> None:
        """In parts of two places, against one pass over padded rows with labels."""
        model, tokenizer = train.prepared(self.adapter)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.1)
        chosen = train.texts(tokenizer, self.adapter, problems.load("").train[:5])
        with mock.patch.object(train, "PLACES", 2):
            loss = train.backward(model, chosen)
        found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
        model.zero_grad()
        rows = [(torch.tensor([tokens]), torch.tensor([[-100] * start + tokens[start:]])) for tokens, start in chosen]
        counts = [int((labels != -100).sum()) for _, labels in rows]
        expected = sum(model(input_ids=tokens, labels=labels).loss * count for (tokens, labels), count in zip(rows, counts, strict=True)) / sum(counts)
        expected.backward()
        self.assertAlmostEqual(loss, float(expected), places=5)
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                torch.testing.assert_close(found[name], weight.grad, rtol=1e-3, atol=1e-6)

    def test_the_plan(self) -> None:
        self.assertEqual(len({adapter.name for adapter in plan.ADAPTERS.values()}), len(plan.ADAPTERS))
        self.assertIn(plan.QUICK, plan.ADAPTERS)
        self.assertEqual({adapter.base for adapter in plan.ADAPTERS.values()}, set(bases.BASES))
        shares = [train.share_of_rate(step, 100) for step in range(100)]
        self.assertEqual((max(shares), round(shares[0], 3), shares[10]), (1, 0.1, 1))
        self.assertLess(shares[99], 0.001)


if __name__ == "__main__":
    unittest.main()
