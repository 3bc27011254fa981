"""`lqa card` with a small model of transformers and an adapter of PEFT, and without a model."""
import contextlib
import io
import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import lqa
from lqa import card, node
from support import REPOSITORY, absent

EXAMPLE = REPOSITORY / "spec" / "example.lqa"
REASON = absent("peft", "torch", "transformers")


def run(*words: object) -> tuple[int, str]:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as wrong:
        code = node._in_python("card", [str(word) for word in words])
    return code, said.getvalue() or wrong.getvalue()


class WithoutModel(unittest.TestCase):
    def test_it_says_what_the_file_says(self) -> None:
        code, text = run(EXAMPLE)
        self.assertEqual(code, 0)
        self.assertIn(f"`{lqa.inspect(EXAMPLE).file_id}`", text)
        self.assertIn("What it does to answers was not measured.", text)
        self.assertNotIn("## Measured", text)
        for line in ('readFile("example.lqa")', 'lqa.diffusers.load(pipeline, "example.lqa")', "Load LoRA (.lqa): example.lqa", "lqa decode example.lqa -o example/"):
            self.assertIn(line, text)

    def test_each_runtime_of_a_language_model_is_named(self) -> None:
        found = lqa.inspect(EXAMPLE)
        found = replace(found, modules=(replace(found.modules[0], name="model.layers.0.self_attn.q_proj"),))
        text = card.markdown(found, None, "x", "hf://me/packed/tiny.lqa")
        for line in ('lqa.peft.load(base, "hf://me/packed/tiny.lqa")', 'LoRARequest("tiny", 1, "hf://me/packed/tiny.lqa")', "-o tiny.gguf --base base.gguf",
                     'lqa.mlx.load(model, "hf://me/packed/tiny.lqa")', 'readFile("tiny.lqa")', "lqa decode hf://me/packed/tiny.lqa -o tiny/"):
            self.assertIn(line, text)
        self.assertNotIn("ComfyUI", text)
        self.assertTrue(text.startswith("---\n"))

    def test_text_of_strangers_stays_text(self) -> None:
        found = replace(lqa.inspect(EXAMPLE), meta={"base_model": "a/b\n# <script>", "relative_error": "x|y"})
        text = card.markdown(found, None, "# <b>`x`\n[y](z)", "adapter.lqa")
        self.assertNotIn("script", text)
        self.assertNotIn("x|y", text)
        self.assertIn("# \\# \\<b\\>\\`x\\` \\[y\\]\\(z\\)\n", text)
        # The name of the file is not repeated where a shell or Python reads it.
        with tempfile.TemporaryDirectory() as folder:
            odd = Path(folder, 'a";import os#$(x).lqa')
            odd.write_bytes(EXAMPLE.read_bytes())
            self.assertIn('"adapter.lqa"', run(odd)[1])

    def test_bad_input(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder, "README.md")
            kept.write_text("mine")
            for words, code in (([EXAMPLE, "--model", "x"], 2), ([EXAMPLE, "--source", "x"], 2), ([EXAMPLE, "--location", "hf://a/b c"], 2),
                                ([Path(folder, "absent.lqa")], 2), ([EXAMPLE, "-o", kept], 2), ([kept], 1)):
                found, said = run(*words, "--json")
                self.assertEqual(found, code, said)
                self.assertIn("error", json.loads(said))
            self.assertEqual(kept.read_text(), "mine")
            self.assertEqual(run(EXAMPLE, "-o", kept, "--force")[0], 0)
            self.assertEqual(kept.read_text(), run(EXAMPLE)[1].removesuffix("\n"))


@unittest.skipIf(REASON, REASON)
class WithModel(unittest.TestCase):
    def test_it_measures(self) -> None:
        from test_score import Scoring

        Scoring.setUpClass()
        self.addCleanup(Scoring.doClassCleanups)
        folder = Scoring.folder
        lqa.encode(folder / "first", folder / "first.lqa", bits=6)
        words = (folder / "first.lqa", "--model", folder / "my-base", "--texts", folder / "task.jsonl")
        code, said = run(*words, "--source", folder / "first", "--json")
        self.assertEqual(code, 0, said)
        report = json.loads(said)
        scored = json.loads(Scoring().run_score(folder / "first", *words, "--json")[1])
        for name in ("kl", "reverseKl", "top1", "top2", "top3", "top4", "top5", "loss", "exact"):
            self.assertEqual(report["measured"][name], scored[name], name)
        self.assertRegex(report["card"], r"\| KL\(original ‖ this\), nats per token \| 0\.\d{5} \(0\.\d{5} to 0\.\d{5}\) \|")
        for most in ("two", "three", "four", "five"):
            self.assertRegex(report["card"], rf"\| same of the {most} likeliest \| [\d.]+% \(")
        self.assertRegex(report["card"], r"\| perplexity of this adapter \| [\d.]+ \([\d.]+ to [\d.]+\) \|")
        self.assertIn('model = lqa.peft.load(base, "first.lqa")', report["card"])
        alone = json.loads(run(*words, "--json")[1])
        self.assertNotIn("kl", alone["measured"])
        self.assertEqual(alone["measured"]["loss"], scored["loss"])
        self.assertIn("without the original adapter", alone["card"])


if __name__ == "__main__":
    unittest.main()
