"""Calibration and tuning with a small model of transformers and an adapter of PEFT.

Needs what test_peft.py needs, and transformers.
"""
import contextlib
import io
import json
import re
import shlex
import tempfile
import unittest
from pathlib import Path

import lqa
from lqa import node
from support import REPOSITORY, absent, run

REASON = absent("peft", "torch", "transformers")
if not REASON:
    import peft
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    import lqa.calibrate
    import lqa.tune
    from lqa.calibrate import DIRECTIONS, calibrate, lora_layers
    from lqa.texts import Text, read_texts
    from lqa.tune import tune

RANK = 8
PAGE = (REPOSITORY / "docs" / "guide" / "choosing-bits.md").read_text(encoding="utf-8")


@unittest.skipIf(REASON, REASON)
class Calibration(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(5)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        config = LlamaConfig(hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                             vocab_size=128, max_position_embeddings=64)
        base = LlamaForCausalLM(config).eval()
        lora = peft.LoraConfig(r=RANK, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM")
        self.model = peft.get_peft_model(base, lora).eval()
        for name, weight in self.model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.15).mul_(0.7 ** torch.arange(RANK))
        self.model.save_pretrained(self.folder / "my-adapter")
        generator = torch.Generator().manual_seed(7)
        self.texts = [Text(tuple(torch.randint(0, 128, (12,), generator=generator).tolist()), start=3) for _ in range(48)]

    def state(self) -> dict[str, "torch.Tensor"]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    @torch.no_grad()
    def said(self) -> "torch.Tensor":
        """The log-likelihoods of all texts, which have one length, at once."""
        tokens = torch.tensor([text.tokens[:-1] for text in self.texts])
        return torch.log_softmax(self.model(input_ids=tokens, use_cache=False).logits[:, self.texts[0].start - 1:], -1)

    def divergence(self, wanted: "torch.Tensor") -> float:
        return float((wanted.exp() * (wanted - self.said())).sum(-1).double().mean())

    def test_figures_of_components(self) -> None:
        before = self.state()
        wanted = [(name, p.requires_grad) for name, p in self.model.named_parameters()]
        found = calibrate(self.model, self.texts, seed=1)
        self.assertEqual(sorted(found)[0], "model.layers.0.mlp.up_proj.components")
        self.assertEqual(len(found), 3 * 6)
        components = {name: figures for name, figures in found.items() if name.endswith(".components")}
        self.assertEqual(len(components), 6)
        for name, figures in components.items():
            self.assertEqual((tuple(figures.shape), figures.dtype), ((RANK, 4), torch.float32))
            layer = lora_layers(self.model, "default")[name.removesuffix(".components")]
            delta = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            torch.testing.assert_close(figures[:, 0], torch.linalg.svdvals(delta)[:RANK], rtol=1e-4, atol=0)
            self.assertTrue((figures > 0).all())
        # The model is as it was, to the bit.
        for name, value in self.model.state_dict().items():
            self.assertTrue(torch.equal(value, before[name]), name)
        self.assertEqual(wanted, [(name, p.requires_grad) for name, p in self.model.named_parameters()])
        again = calibrate(self.model, self.texts, seed=1)
        self.assertTrue(all(torch.equal(again[name], value) for name, value in found.items()))

    def test_errors_count_most_along_the_directions(self) -> None:
        found = calibrate(self.model, self.texts, seed=1)
        wanted = self.said()
        torch.manual_seed(3)
        for factor in "ba":
            along, elsewhere = 0.0, 0.0
            for name, layer in lora_layers(self.model, "default").items():
                weight = (layer.lora_B if factor == "b" else layer.lora_A)["default"].weight
                vectors = weight.data.T if factor == "b" else weight.data  # a view, one vector a row
                directions = found[f"{name}.directions_{factor}"]
                self.assertEqual((directions.dtype, directions.shape[1]), (torch.float32, vectors.shape[1]))
                self.assertLessEqual(len(directions), DIRECTIONS)
                strengths = directions.square().sum(1)
                self.assertTrue((strengths[1:] <= strengths[:-1] * 1.001).all())
                # Second moments whose diagonal is 1 in the mean, of which these are a part.
                self.assertLessEqual(float(strengths.sum()), 1.001 * vectors.shape[1])
                unit = directions[:1] / directions[:1].norm()
                other = torch.randn_like(unit)
                other -= other @ torch.linalg.pinv(directions) @ directions
                size = 0.1 * vectors.norm(dim=1, keepdim=True)
                kept = vectors.clone()
                for error in (unit, other / other.norm()):
                    vectors += size * error
                    if error is unit:
                        along += self.divergence(wanted)
                    else:
                        elsewhere += self.divergence(wanted)
                    vectors.copy_(kept)
            self.assertGreater(along, 3 * elsewhere, factor)

    def test_directions_are_the_strongest_of_many_rows(self) -> None:
        torch.manual_seed(4)
        rows = torch.randn(2000, 200) * 0.95 ** torch.arange(200)
        rows = rows @ torch.linalg.qr(torch.randn(200, 200))[0]
        found = lqa.calibrate.Directions()
        for part in rows.split(50):
            found.add(part)
            # A calibration of a large model must fit beside it.
            self.assertLessEqual(found.rows.nbytes, 2 * DIRECTIONS * 4 * 200)
        kept = found.result()
        self.assertEqual(tuple(kept.shape), (DIRECTIONS, 200))
        moments = rows.T @ rows / rows.square().sum() * 200
        best = torch.linalg.eigvalsh(moments)[-DIRECTIONS:].sum()
        captured = torch.linalg.eigvalsh(kept @ kept.T).sum()
        self.assertLessEqual(float(captured), float(best) * 1.001)
        self.assertGreater(float(captured), 0.97 * float(best))

    def test_the_unit_is_nats_per_token(self) -> None:
        found = calibrate(self.model, [text for text in self.texts for _ in range(4)], seed=2)
        wanted = self.said()
        layers = lora_layers(self.model, "default")
        for column, noise in ((1, 0.02), (3, None)):
            expected, measured = 0.0, 0.0
            for name, layer in layers.items():
                b, a = layer.lora_B["default"].weight, layer.lora_A["default"].weight
                kept = b.detach().clone()
                u, s, vt = torch.linalg.svd(b.detach() @ a.detach(), full_matrices=False)
                u, s, vt = u[:, :RANK], s[:RANK], vt[:RANK]
                coordinates = torch.linalg.lstsq(a.detach().T, vt.T).solution  # vt = coordinates.T @ a
                figures = found[f"{name}.components"]
                for _ in range(6):
                    error = torch.zeros_like(u)
                    if noise is None:  # one component is a tenth weaker
                        error[:, 0] = -0.1 * u[:, 0]
                    else:
                        error = torch.randn(u.shape) * (noise / u.shape[0]) ** 0.5
                    b.data.copy_(kept + (error * s) @ coordinates.T)
                    measured += self.divergence(wanted)
                    expected += float(figures[0, 3] * 0.01 / 2 if noise is None else figures[:, column].sum() * noise / 2)
                b.data.copy_(kept)
            self.assertLess(abs(measured / expected - 1), 0.35, f"column {column}: {measured} measured, {expected} expected")

    def test_encode_and_tune(self) -> None:
        calibration = self.folder / "calibration.safetensors"
        figures = calibrate(self.model, self.texts)
        save_file(figures, calibration)
        first = lqa.encode(self.folder / "my-adapter", self.folder / "first.lqa", quality="low", calibration=calibration)
        self.assertGreater(first.report["divergence"], 0)
        before = self.state()

        second_path = self.folder / "second.lqa"

        def encode(tensors):
            save_file(figures | tensors, calibration, {"content_id": first.content_id} if tensors else None)
            made = run("encode", self.folder / "my-adapter", f"--output={second_path}", "--quality=low", f"--calibration={calibration}",
                       "--force")
            self.assertEqual(made["outputBytes"], first.byte_length)
            return second_path

        tuned = tune(self.model, encode, self.texts, epochs=3, rate=0.05)
        self.assertLess(tuned.after, tuned.before)
        self.assertEqual({name.rpartition(".")[0] for name in tuned.tensors}, {name.rpartition(".")[0] for name in figures})
        self.assertEqual(self.model.active_adapters, ["default"])
        self.assertEqual(list(self.model.state_dict()), list(before))
        self.assertTrue(all(torch.equal(value, before[name]) for name, value in self.model.state_dict().items()))
        second = lqa.open(encode(tuned.tensors))
        was = lqa.open(first.path)
        changed = 0
        for module in was.modules:
            a, b = was.decode(module.name), second.decode(module.name)
            for name, factor, axis in (("tuned_b", b.b, 0), ("tuned_a", b.a, 1)):
                wanted = tuned.tensors[f"{module.name}.{name}"].numpy()
                wanted = wanted.T if axis == 0 else wanted
                coded = abs(factor).max(axis) > 0
                if not coded.any():
                    continue
                cosine = (wanted * factor).sum(axis)[coded] / ((wanted**2).sum(axis) * (factor**2).sum(axis))[coded] ** 0.5
                self.assertGreater(float(cosine.min()), 0.6)
            changed += int((a.a != b.a).sum())
        self.assertGreater(changed, 0)
        # Broken off after two of three epochs, and continued: the same.
        state = self.folder / "state"

        def breaks(done: int, total: int) -> None:
            if done > 2 * total // 3:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            tune(self.model, encode, self.texts, epochs=3, rate=0.05, state=state, progress=breaks)
        again = tune(self.model, encode, self.texts, epochs=3, rate=0.05, state=state)
        self.assertEqual((again.before, again.after), (tuned.before, tuned.after))
        self.assertTrue(all(torch.equal(value, tuned.tensors[name]) for name, value in again.tensors.items()))
        for other in ({"seed": 1}, {"epochs": 4}):
            with self.assertRaises(lqa.LqaError) as caught:
                tune(self.model, encode, self.texts, **({"epochs": 3, "rate": 0.05, "state": state} | other))
            self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")
        save_file(figures, calibration)
        larger = lqa.encode(self.folder / "my-adapter", self.folder / "larger.lqa", quality="high", calibration=calibration)

        with self.assertRaises(lqa.LqaError) as caught:
            tune(self.model, lambda _: larger.path, self.texts, epochs=3, rate=0.05, state=state)
        self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")
        state.write_bytes(b"no state")
        with self.assertRaises(lqa.LqaError) as caught:
            tune(self.model, encode, self.texts, epochs=3, rate=0.05, state=state)
        self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")
        self.assertEqual(list(self.model.state_dict()), list(before))
        # Without the vectors it is the factors alone.
        gains = {name: value for name, value in tuned.tensors.items() if name.endswith(".gains")}
        third = lqa.open(encode(gains))
        for module in was.modules:
            a, b = was.decode(module.name), third.decode(module.name)
            own = gains[f"{module.name}.gains"].numpy()
            self.assertTrue((a.a == b.a).all())
            # Both scales are rounded to 8 bits, and a factor that near to 1 is left out.
            self.assertLessEqual(float(abs(b.b - a.b * own).max()), 2**-7 * float(abs(a.b * own).max()))
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.encode(self.folder / "my-adapter", self.folder / "third.lqa", quality="high", calibration=calibration)
        self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")

    def test_commands(self) -> None:
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        words = Tokenizer(models.WordLevel({str(i): i for i in range(128)}, unk_token="0"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="1").save_pretrained(self.folder / "my-base")
        base = self.model.unload()
        base.save_pretrained(self.folder / "my-base")
        texts = self.folder / "task.jsonl"
        texts.write_text("".join(
            json.dumps({"prompt": " ".join(map(str, text.tokens[:6])), "completion": " ".join(map(str, text.tokens[6:]))}) + "\n"
            for text in self.texts))
        self.enterContext(contextlib.chdir(self.folder))
        # As the guide has them: calibrate, encode, tune.
        commands = [shlex.split(line) for line in re.findall(r"^lqa (.*--(?:texts|calibration) .*)$", PAGE, re.MULTILINE)]
        self.assertEqual([words[0] for words in commands], ["calibrate", "encode", "tune"])
        lqa.calibrate.main(commands[0][1:])
        node.run(*commands[1])
        first = Path("my-adapter.lqa").read_bytes()
        with contextlib.redirect_stdout(io.StringIO()) as said:
            lqa.tune.main([*commands[2][1:], "--calibration", "calibration.safetensors", "--keep", "kept.safetensors", "--epochs", "3"])
        self.assertRegex(said.getvalue(), r"tuned\.lqa: \d+ bytes.*\n.* nats per token before, .* after")
        self.assertTrue(lqa.validate("tuned.lqa").valid)
        tuned = Path("tuned.lqa").read_bytes()
        self.assertEqual(len(tuned), len(first))
        self.assertNotEqual(tuned, first)
        for module, words in ((lqa.calibrate, commands[0]), (lqa.tune, commands[2])):
            with self.assertRaises(lqa.LqaError) as caught:
                module.main(words[1:])
            self.assertEqual(caught.exception.kind, "OUTPUT_EXISTS")
        # What was tuned can be a calibration again; without its gains.
        with contextlib.redirect_stdout(io.StringIO()) as said:
            lqa.tune.main([*commands[2][1:], "--calibration", "kept.safetensors", "--epochs", "3", "--force", "--json"])
        self.assertEqual(json.loads(said.getvalue())["encoding"]["outputBytes"], len(tuned))
        self.assertEqual(Path("tuned.lqa").read_bytes(), tuned)
        self.assertEqual([path.name for path in Path().iterdir() if path.name.startswith("tmp")], [])
        for words, kind in ((["no-adapter"], "NOT_FOUND"), (["my-adapter", "--calibration", "task.jsonl"], "SOURCE_IMPORTANCE")):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                code = node._in_python("tune", [*words, *commands[2][2:6], "-o", "x.lqa", "--json"])
            self.assertEqual((json.loads(said.getvalue())["error"]["kind"], Path("x.lqa").exists()), (kind, False))
            self.assertGreater(code, 0)
        again = lqa.encode("my-adapter", "again.lqa", bits=1, calibration="kept.safetensors")
        self.assertEqual(again.path.read_bytes(), tuned)

    def test_few_texts(self) -> None:
        for work in (lambda: calibrate(self.model, []), lambda: tune(self.model, lambda tensors: b"", self.texts[:15])):
            with self.assertRaises(lqa.LqaError) as caught:
                work()
            self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")

    def test_texts(self) -> None:
        class Tokenizer:
            eos_token_id = 0

            def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
                return {"input_ids": [ord(c) for c in text]}

        path = self.folder / "texts"
        lines = ["abc", json.dumps({"text": "de"}), json.dumps({"prompt": "fg", "completion": "h"}), "", "x", "long" * 9]
        path.write_text("\n".join(lines))
        found = read_texts(path, Tokenizer(), 10)
        self.assertEqual([(text.tokens, text.start) for text in found][:3], [((97, 98, 99), 1), ((100, 101), 1), ((102, 103, 104, 0), 2)])
        self.assertEqual([len(text.tokens) for text in found], [3, 2, 4, 10])
        for bad, kind in (('{"prompt": "x"}', "SOURCE_IMPORTANCE"), ('{"text": 1}', "SOURCE_IMPORTANCE"), ("{", "SOURCE_IMPORTANCE"), ("x", "SOURCE_IMPORTANCE")):
            path.write_text(bad)
            with self.assertRaises(lqa.LqaError) as caught:
                read_texts(path, Tokenizer())
            self.assertEqual(caught.exception.kind, kind)


if __name__ == "__main__":
    unittest.main()
