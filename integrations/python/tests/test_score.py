"""`lqa score` with a small model of transformers and adapters of PEFT.

Needs what test_peft.py needs, and transformers.
"""
import contextlib
import io
import json
import re
import shlex
import shutil
import tempfile
import unittest
from pathlib import Path

import lqa
import numpy
from lqa import node
from support import REPOSITORY, absent

REASON = absent("peft", "torch", "transformers")
if not REASON:
    import peft
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    import lqa.score
    from lqa.scores import Scores, compare, estimate, score
    from lqa.texts import Text


@unittest.skipIf(REASON, REASON)
class Scoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        """A base model, two adapters of it as directories, the first as .lqa and as GGUF too, and texts."""
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        torch.manual_seed(5)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                             vocab_size=64, max_position_embeddings=64)
        base = LlamaForCausalLM(config).eval()
        base.save_pretrained(cls.folder / "my-base")
        words = Tokenizer(models.WordLevel({**{str(i): i for i in range(63)}, "<end>": 63}, unk_token="0"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(cls.folder / "my-base")
        lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM")
        cls.model = peft.get_peft_model(base, lora, adapter_name="first").eval()
        cls.model.add_adapter("second", peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
        for name, weight in cls.model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.5)
        for name in ("first", "second"):
            cls.model.save_pretrained(cls.folder, selected_adapters=[name])
        shutil.copytree(cls.folder / "first", cls.folder / "my-adapter")
        generator = torch.Generator().manual_seed(7)
        cls.texts = [Text(tuple(torch.randint(0, 63, (12,), generator=generator).tolist()), start=3 + i % 3) for i in range(20)]
        lines = [{"prompt": " ".join(map(str, text.tokens[:4])), "completion": " ".join(map(str, text.tokens[4:]))} for text in cls.texts]
        (cls.folder / "task.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run_score(self, *words: object) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as wrong:
            code = node._in_python("score", [str(word) for word in words])
        return code, said.getvalue() or wrong.getvalue()

    def command(self, a: str, b: str, *more: str) -> dict:
        code, said = self.run_score(self.folder / a, self.folder / b, "--model", self.folder / "my-base", "--texts", self.folder / "task.jsonl", "--json", *more)
        return {"code": code, **json.loads(said)}

    @torch.no_grad()
    def said(self, name: str | None, text: "Text") -> "torch.Tensor":
        """Log-probabilities where the text counts, by the whole model."""
        if name:
            self.model.set_adapter(name)
        with contextlib.nullcontext() if name else self.model.disable_adapter():
            logits = self.model(input_ids=torch.tensor([text.tokens])).logits[0]
        return torch.log_softmax(logits[text.start - 1:-1].double(), -1)

    def test_figures_are_those_of_whole_distributions(self) -> None:
        first, base, second = score(self.model, self.texts, ("first", None, "second"))
        self.assertEqual(first.tokens.tolist(), [12 - text.start for text in self.texts])
        for name, found in (("first", first), (None, base), ("second", second)):
            for i, text in enumerate(self.texts):
                p, q = self.said("first", text), self.said(name, text)
                tokens = torch.tensor(text.tokens[text.start:])
                expected = {
                    "loss": -q[torch.arange(len(tokens)), tokens].sum(),
                    "kl": (p.exp() * (p - q)).sum(),
                    "reverse_kl": (q.exp() * (q - p)).sum(),
                    "top1": (p.argmax(-1) == q.argmax(-1)).sum(),
                    **{f"top{most}": sum(len(set(a.tolist()) & set(b.tolist())) / most
                                         for a, b in zip(p.topk(most).indices, q.topk(most).indices, strict=True)) for most in (2, 3, 4, 5)},
                    "exact": (q.argmax(-1) == tokens).all(),
                }
                for key, value in expected.items():
                    self.assertAlmostEqual(float(getattr(found, key)[i]), float(value), places=3, msg=f"{name} {key}")
        self.assertTrue((second.kl > 0).all() and (second.reverse_kl != second.kl).all())
        self.assertEqual(float(abs(first.kl).max()), 0)

    def test_comparison(self) -> None:
        def made(loss: list[float], exact: list[int], kl: float) -> "Scores":
            two = numpy.full(len(loss), 2.0)
            return Scores(two, numpy.array(loss), numpy.array(exact, dtype=float), two * kl, two * kl / 2, two, two / 2)

        base, reference, other = (made([loss] * 4, exact, kl) for loss, exact, kl in ((8, [0] * 4, 1), (2, [1, 1, 1, 0], 0), (3, [1, 1, 0, 0], 0.1)))
        found = compare(base, reference, other)
        self.assertEqual([found.pop(f"top{most}") for most in (2, 3, 4)], [None] * 3)
        values = {name: round(one.value, 6) for name, one in found.items()}
        self.assertEqual(values, {"kl": 0.1, "reverseKl": 0.05, "top1": 1, "top5": 0.5, "lossBase": 4, "lossReference": 1, "loss": 1.5, "lossChange": 0.5,
                                  "gainKept": 0.833333, "exactReference": 0.75, "exact": 0.5, "exactChange": -0.25})
        self.assertLess(found["exactChange"].low, -0.25)
        self.assertEqual(found["exactChange"].high, 0)
        self.assertIsNone(compare(reference, base, other)["gainKept"])

    def test_intervals_hold_the_truth_in_19_of_20(self) -> None:
        generator = numpy.random.default_rng(3)
        held = 0
        for _ in range(200):
            drawn = generator.normal(1, 1, 60)
            found = estimate(lambda i: float(drawn[i].mean()), 60)
            held += found.low <= 1 <= found.high
        self.assertGreater(held, 178)
        self.assertLess(held, 199)

    def test_command(self) -> None:
        encoded = lqa.encode(self.folder / "first", self.folder / "first.lqa", bits=6)
        self.assertEqual(self.command("first", "first")["kl"], {"value": 0, "low": 0, "high": 0})
        by_file, worse = self.command("first", "first.lqa"), self.command("first", "second")
        self.assertEqual((by_file["code"], by_file["texts"], by_file["bytesB"]), (0, 20, encoded.byte_length))
        self.assertEqual(by_file["tokens"], 20 * 9)  # eight words and the end
        self.assertLess(by_file["kl"]["value"], 0.1 * worse["kl"]["value"])
        self.assertGreater(by_file["top5"]["value"], worse["top5"]["value"])
        # What lqa convert reads is scored like the directory it came from.
        node.run("convert", str(self.folder / "first"), str(self.folder / "first-mlx"), "--to=mlx")
        self.assertLess(self.command("first", "first-mlx")["kl"]["value"], 1e-6)
        code, said = self.run_score(self.folder / "first", self.folder / "first.lqa", "--model", self.folder / "my-base", "--texts", self.folder / "task.jsonl")
        self.assertEqual(code, 0)
        self.assertRegex(said, r"first\.lqa, \d+ bytes\n20 texts, 180 tokens that count")
        self.assertRegex(said, r"KL\(A \|\| B\), nats per token +0\.\d{5} \(0\.\d{5} to 0\.\d{5}\)")
        self.assertIn("gains nothing over the base model", said)

    def test_the_commands_of_the_guide(self) -> None:
        page = (REPOSITORY / "docs" / "guide" / "scoring.md").read_text(encoding="utf-8")
        commands = [shlex.split(line) for line in re.findall(r"^lqa (.*)$", page, re.MULTILINE)]
        self.assertEqual([words[0] for words in commands], ["encode", "score", "card", "push"])
        self.enterContext(contextlib.chdir(self.folder))
        node.run(*commands[0])
        code, said = self.run_score(*commands[1][1:])
        self.assertEqual(code, 0)
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(node._in_python("card", commands[2][1:]), 0)
        self.assertIn("## Measured", (self.folder / "card.md").read_text())
        # The page shows the same rows.
        shown = page.split("```")[3].split("\n")
        names = [re.split(r" {2,}", line)[0] for line in shown if re.search(r" {2,}", line)]
        self.assertEqual(names, [re.split(r" {2,}", line)[0] for line in said.split("\n") if re.search(r" {2,}", line)])

    def test_long_texts_are_cut(self) -> None:
        self.assertEqual(self.command("first", "second", "--limit", "7")["tokens"], 20 * 3)

    def test_bad_input(self) -> None:
        (self.folder / "broken.lqa").write_bytes(b"\x89LQA\r\n\x1a\nbroken")
        (self.folder / "noise").write_bytes(b"noise")
        other = LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=64))
        other = peft.get_peft_model(other, peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
        other.save_pretrained(self.folder / "of-another-model")
        for name, kinds in (("absent", ["NOT_FOUND"]), ("broken.lqa", ["TRUNCATED_PROLOGUE"]), ("of-another-model", ["BASE_SHAPE"]),
                            ("noise", ["UNSUPPORTED_DIALECT", "SOURCE_HEADER", "TRUNCATED_SOURCE", "UNKNOWN_DIALECT"])):
            found = self.command("first", name)
            self.assertIn(found["error"]["kind"], kinds, found)
            self.assertGreater(found["code"], 0)
        no_model = self.run_score(self.folder / "first", self.folder / "first", "--model", self.folder / "absent", "--texts", self.folder / "task.jsonl", "--json")
        self.assertEqual((no_model[0], json.loads(no_model[1])["error"]["kind"]), (2, "NOT_FOUND"))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(node._in_python("score", ["only-one"]), 2)
        self.assertIn("lqa: <b>, --texts and --model are missing (LQA-X004 USAGE)", said.getvalue())

    def test_a_directory_with_an_encoded_adapter(self) -> None:
        lqa.encode(self.folder / "first", self.folder / "layout", bits=6, layout="peft")
        lqa.encode(self.folder / "first", self.folder / "same.lqa", bits=6)
        self.assertEqual(self.command("first", "layout")["kl"], self.command("first", "same.lqa")["kl"])

    def test_a_configuration_that_names_a_module_is_refused(self) -> None:
        """PEFT 0.18 and 0.19 import it."""
        odd = shutil.copytree(self.folder / "first", self.folder / "odd")
        config = json.loads((odd / "adapter_config.json").read_text())
        (odd / "adapter_config.json").write_text(json.dumps({**config, "megatron_config": {"x": 1}, "megatron_core": "evil_payload"}))
        found = self.command("first", "odd")
        self.assertEqual((found["code"], found["error"]["kind"]), (3, "UNSUPPORTED_ADAPTER_FEATURE"))
        (odd / "adapter_config.json").write_text("[]")
        self.assertEqual(self.command("first", "odd")["error"]["kind"], "SOURCE_CONFIG")

    def test_layers_without_tensors_are_an_error(self) -> None:
        """PEFT loads such an adapter with a warning, and it then does less than its author says."""
        from safetensors.torch import load_file, save_file

        half = self.folder / "half"
        half.mkdir()
        (half / "adapter_config.json").write_bytes((self.folder / "first" / "adapter_config.json").read_bytes())
        tensors = load_file(self.folder / "first" / "adapter_model.safetensors")
        save_file({name: value for name, value in tensors.items() if "up_proj" not in name}, half / "adapter_model.safetensors")
        self.assertEqual(self.command("first", "half")["error"]["kind"], "BASE_MODULE_MISSING")

    def test_a_model_that_predicts_no_numbers(self) -> None:
        weight = self.model.get_base_model().lm_head.weight
        kept = weight.data.clone()
        weight.data[0, 0] = float("nan")
        try:
            with self.assertRaises(lqa.LqaError) as caught:
                score(self.model, self.texts[:1], ("first",))
        finally:
            weight.data.copy_(kept)
        self.assertEqual(caught.exception.kind, "SOURCE_NONFINITE")


if __name__ == "__main__":
    unittest.main()
