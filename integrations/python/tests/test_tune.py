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
from unittest import mock

import lqa
from lqa import node
from support import REPOSITORY, absent, run

REASON = absent("peft", "torch", "transformers")
if not REASON:
    import peft
    import torch
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3MoeConfig, Qwen3MoeForCausalLM

    import lqa.base_model
    import lqa.calibrate
    import lqa.tune
    from lqa.calibrate import DIRECTIONS, calibrate, lora_layers
    from lqa.draw import LEAST, draw_texts
    from lqa.encodings import PLAIN, WHOLE, Encodings, keep_best, kept_apart
    from lqa.model_command import Progress, duration
    from lqa.texts import Text, read_texts
    from lqa.tune import tune

RANK = 8
# The commands, with what makes them short.
EPOCH = {"calibrate": [], "tune": ["--epochs", "1"]}
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

    def test_figures_nearer_to_what_the_encoder_assumes(self) -> None:
        measured, between, assumed = (calibrate(self.model, self.texts, seed=1, assumed=share) for share in (0, 0.5, 1))
        names = [name for name in measured if name.endswith(".components")]
        ratios = []
        for name in names:
            strengths = measured[name][:, 0]
            outputs = lora_layers(self.model, "default")[name.removesuffix(".components")].out_features
            ratios.append(assumed[name][:, 1:] * outputs * strengths.square().sum() ** 0.25 / strengths.square()[:, None])
        # By the module's outputs and its energy, with the sums of what was measured, and without another look at directions.
        torch.testing.assert_close(torch.cat(ratios), ratios[0][:1].expand(len(names) * RANK, 3), rtol=1e-4, atol=0)
        for found in (between, assumed):
            self.assertEqual(list(found), list(measured))
            self.assertTrue(all(torch.equal(value, measured[name]) for name, value in found.items() if name not in names))
            sums = [sum(each[name][:, 1:].double().sum(0) for name in names) for each in (found, measured)]
            torch.testing.assert_close(*sums, rtol=1e-5, atol=0)
        squares = torch.cat([between[name][:, 1:].square() / (measured[name][:, 1:] * assumed[name][:, 1:]) for name in names])
        torch.testing.assert_close(squares, squares[:1].expand_as(squares), rtol=1e-4, atol=0)

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

    def write_base(self, base: object) -> None:
        """A base model as a directory, and the texts as a file."""
        words = Tokenizer(models.WordLevel({str(i): i for i in range(128)}, unk_token="0"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        template = "{% for one in messages %}{{ '2 ' if one.role == 'user' else '3 ' }}{{ one.content }} {% endfor %}{% if add_generation_prompt %}3 {% endif %}"
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="1", chat_template=template).save_pretrained(self.folder / "my-base")
        base.save_pretrained(self.folder / "my-base")
        (self.folder / "task.jsonl").write_text("".join(
            json.dumps({"prompt": " ".join(map(str, text.tokens[:6])), "completion": " ".join(map(str, text.tokens[6:]))}) + "\n"
            for text in self.texts))
        self.enterContext(contextlib.chdir(self.folder))

    def command(self, name: str, *words: object) -> tuple[int, dict, str]:
        """Its exit code, its report, and what it says on standard error."""
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as wrong:
            code = node._in_python(name, [*map(str, words), "--json"])
        return code, json.loads(said.getvalue()), wrong.getvalue()

    def refused(self, name: str, *words: object, model: bool = False) -> dict:
        """The error of a command; it has written nothing, and loaded no model unless the error is about that."""
        before = sorted(path.name for path in Path().iterdir())
        guard = contextlib.nullcontext() if model else mock.patch(f"lqa.{name}.load_model", side_effect=AssertionError("the model was loaded"))
        with guard:
            code, report, _ = self.command(name, *words, "--model", "my-base", "-o", "x")
        self.assertGreater(code, 0)
        self.assertEqual(sorted(path.name for path in Path().iterdir()), before)
        return report["error"]

    def test_commands(self) -> None:
        self.write_base(self.model.unload())
        # As the guide has them: calibrate without texts, encode, tune with texts.
        commands = [shlex.split(line) for line in re.findall(r"^lqa ((?:calibrate|tune|encode .*--calibration) .*)$", PAGE, re.MULTILINE)]
        self.assertEqual([words[0] for words in commands], ["calibrate", "encode", "tune"])
        code, report, said = self.command(*commands[0])
        self.assertEqual((code, report["modules"]), (0, 6))
        self.assertEqual(set(report["nats"]), {"without a calibration", "with components alone", "with components and directions"})
        self.assertEqual(report["nats"][report["kept"]], min(report["nats"].values()))
        # On a busy machine a step takes more than the half minute after which a line of progress comes.
        said = re.sub(r"^.* left\n", "", said, flags=re.MULTILINE)
        self.assertRegex(said, r"^no --texts: the model writes texts of 3520 tokens itself\ndrawing texts: 3520 of 3520 tokens, .* taken\ncalibrating: \d+ of \d+ texts, ")
        node.run(*commands[1])
        first = Path("my-adapter.lqa").read_bytes()
        self.assertEqual(self.command("calibrate", *commands[0][1:-2], "--texts", "task.jsonl", "-o", "c.safetensors")[0], 0)
        code, report, _ = self.command(*commands[2], "--calibration", "c.safetensors", "--keep", "kept.safetensors", "--epochs", "3")
        self.assertEqual((code, report["texts"], report["textsCut"], report["textsLeftOut"]), (0, 48, 0, 0))
        self.assertLess(report["after"], report["before"])
        self.assertAlmostEqual(report["before"], min(report["nats"].values()), places=6)
        # Not only the components but the directions too are those of the file.
        self.assertIn("with components and directions", report["nats"])
        self.assertEqual(set(load_file("c.safetensors")), {name for name in load_file("kept.safetensors") if not re.search("gains|tuned", name)})
        self.assertTrue(lqa.validate("tuned.lqa").valid)
        tuned = Path("tuned.lqa").read_bytes()
        # Both are as large as --bits 1 allows.
        self.assertLess(abs(len(tuned) - len(first)), 0.02 * len(first))
        self.assertNotEqual(tuned, first)
        for words in (commands[0], commands[2]):
            self.assertEqual(self.command(*words)[1]["error"]["kind"], "OUTPUT_EXISTS")
        # What was tuned can be a calibration again; without its gains.
        code, report, _ = self.command(*commands[2], "--calibration", "kept.safetensors", "--epochs", "3", "--force")
        self.assertEqual((code, report["encoding"]["outputBytes"]), (0, len(tuned)))
        # The same weights; META names another calibration file.
        self.assertEqual(lqa.inspect("tuned.lqa").content_id, lqa.inspect(tuned).content_id)
        self.assertEqual([path.name for path in Path().iterdir() if path.name.startswith("tmp")], [])
        again = lqa.encode("my-adapter", "again.lqa", bits=1, calibration="kept.safetensors")
        self.assertEqual(again.path.read_bytes(), tuned)

    def test_a_goal_of_error_is_that_before_the_training(self) -> None:
        self.write_base(self.model.unload())
        words = ("my-adapter", "--model", "my-base", "--texts", "task.jsonl", "-o", "tuned.lqa", "--max-error", "0.4", "--epochs", "3")
        code, report, _ = self.command("tune", *words, "--keep", "kept.safetensors")
        self.assertEqual(code, 0)
        self.assertLess(report["after"], report["before"])
        self.assertTrue(any("tuned" in name for name in load_file("kept.safetensors")))
        self.assertTrue(lqa.validate("tuned.lqa").valid)

    def test_texts_of_the_commands(self) -> None:
        self.write_base(self.model.unload())
        # Without the digit 1, which the tokenizer takes for the end.
        rows = [" ".join(str(20 + 2 * ((row + place * place) % 10)) for place in range(12)) for row in range(20)]
        # A dialogue, with what other programs take for the end of a line, or for a character of it.
        dialogues = [{"messages": [{"role": "user", "content": row}, {"role": "assistant", "content": f"{row} \u2028"}]} for row in rows]
        Path("chat.jsonl").write_text("\ufeff" + "\n".join(json.dumps(one, ensure_ascii=False) for one in dialogues), encoding="utf-8")
        for name, words in EPOCH.items():
            code, report, _ = self.command(name, "my-adapter", "--model", "my-base", "--texts", "chat.jsonl", "-o", f"{name}d", *words)
            self.assertEqual((code, report["texts"], report["textsCut"], report["textsLeftOut"], report["tokens"]), (0, 20, 0, 0, 20 * 12))
        # The model takes 64 tokens: prompts of 60 and 72, with answers of 12 and the end.
        prompts = [" ".join([row] * times) for row, times in zip(rows, [1] * 16 + [5, 5, 6, 6], strict=True)]
        Path("long.jsonl").write_text("\n".join(json.dumps({"prompt": prompt, "completion": row}) for prompt, row in zip(prompts, rows, strict=True)))
        for name, words in EPOCH.items():
            for limit, cut, left, note in ((256, 2, 2, "2 of 18 texts were cut at 64 tokens; 2 were left out: .*; the model takes no more"),
                                           (20, 16, 4, "16 of 16 texts were cut at 20 tokens; 4 were left out: .*; --limit sets the limit")):
                code, report, said = self.command(name, "my-adapter", "--model", "my-base", "--texts", "long.jsonl", "-o", "x", "--force", "--limit", limit, *words)
                self.assertEqual((code, report["textsCut"], report["textsLeftOut"]), (0, cut, left))
                self.assertRegex(said, f"^note: {note}\n")

    def test_interrupted(self) -> None:
        self.write_base(self.model.unload())
        before = sorted(path.name for path in Path().iterdir())
        for name in EPOCH:
            with mock.patch(f"lqa.{name}.calibrate", side_effect=KeyboardInterrupt), contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(node._in_python(name, ["my-adapter", "--model", "my-base", "--texts", "task.jsonl", "-o", "x"]), 130)
            self.assertEqual(said.getvalue(), "stopped; nothing was written\n")
        self.assertEqual(sorted(path.name for path in Path().iterdir()), before)

    def test_an_adapter_with_biases(self) -> None:
        base = LlamaForCausalLM(LlamaConfig(hidden_size=128, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2, vocab_size=128, attention_bias=True))
        self.write_base(base)
        model = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], bias="all", task_type="CAUSAL_LM"))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.1)
        model.save_pretrained("biased", save_embedding_layers=False)
        error = self.refused("tune", "biased", "--texts", "task.jsonl")
        self.assertEqual((error["kind"], error["actual"]), ("UNSUPPORTED_ADAPTER_FEATURE", '"bias": "all"'))
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(node._in_python("calibrate", ["biased", "--model", "my-base", "--texts", "task.jsonl", "-o", "x"]), 0)
        self.assertRegex(said.getvalue(), "^x: 2 modules, .*\nkept with components and directions: whether it helps cannot be measured with biases")

    def test_a_start_is_looked_for_once(self) -> None:
        torch.manual_seed(42)
        model = peft.get_peft_model(self.model.unload(), peft.LoraConfig(r=RANK, target_modules=["up_proj"], task_type="CAUSAL_LM"))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.15)
        model.save_pretrained(self.folder / "young", save_embedding_layers=False)
        for words, later in (([], "--start=42"), (["--start", "auto"], "--start=42"), (["--start=auto"], "--start=42"),
                             (["--start=none"], "--start=none"), (["--start", "43"], "--start=none")):
            with Encodings(str(self.folder / "young"), ["--bits", "2", *words]) as encodings, mock.patch.object(node.Running, "run", autospec=True, side_effect=node.Running.run) as ran:
                encodings.check()
                first = encodings.report
                encodings.encode()
                self.assertEqual(encodings.report["contentId"], first["contentId"])
            given = [[word for word in call.args if str(word).startswith("--start") or word in words] for call in ran.call_args_list]
            self.assertEqual(given, [words, [later]])

    def test_no_start_unless_asked_for(self) -> None:
        base = self.model.unload()
        self.write_base(base)
        torch.manual_seed(42)
        model = peft.get_peft_model(base, peft.LoraConfig(r=RANK, target_modules=["up_proj"], task_type="CAUSAL_LM"))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.15)
        model.save_pretrained("young", save_embedding_layers=False)
        words = ("young", "--model", "my-base", "--texts", "task.jsonl", "--bits", "1", "--epochs", "3", "--force", "-o", "tuned.lqa")
        for start, seed in (((), None), (("--start", "auto"), 42)):
            code, report, _ = self.command("tune", *words, *start, "--keep", "kept.safetensors")
            self.assertEqual((code, (report["encoding"]["start"] or {}).get("seed")), (0, seed))
            # Without another word about a start, as its content id says which encoding was trained.
            self.assertLess(report["after"], report["before"])
            node.run("encode", "young", "--bits", "1", "--calibration", "kept.safetensors", "-o", "again.lqa", "--force")
            self.assertEqual(Path("again.lqa").read_bytes(), Path("tuned.lqa").read_bytes())
        code, report, _ = self.command("tune", *words, "--start", "maybe")
        self.assertEqual((code, report["error"]["kind"]), (2, "USAGE"))

    def test_refused_before_the_model_is_loaded(self) -> None:
        self.write_base(self.model.unload())
        texts = ("--texts", "task.jsonl")
        Path("few.jsonl").write_text("1 2\n" * 15)
        Path("wrong.jsonl").write_text('{"prompt": "1"}\n')
        for name in ("calibrate", "tune"):
            for words, kind in (
                (("no-adapter",), "NOT_FOUND"),
                (("my-adapter", "--bist", "1"), "USAGE"),
                (("my-adapter", "--bits", "99"), "USAGE"),
                (("my-adapter", "--profile", "rtn"), "USAGE"),
                (("my-adapter", "--texts", "wrong.jsonl"), "SOURCE_IMPORTANCE"),
                (("my-adapter", "--texts", "absent.jsonl"), "NOT_FOUND"),
            ):
                self.assertEqual(self.refused(name, *words, *(() if "--texts" in words else texts))["kind"], kind, (name, words))
        self.assertEqual(self.refused("tune", "my-adapter", "--texts", "few.jsonl")["kind"], "SOURCE_IMPORTANCE")
        self.assertEqual(self.refused("tune", "my-adapter", *texts, "--calibration", "task.jsonl")["kind"], "SOURCE_IMPORTANCE")
        tensors = load_file("my-adapter/adapter_model.safetensors")
        config = Path("my-adapter/adapter_config.json").read_bytes()
        name = next(iter(tensors))
        Path("nan").mkdir()
        Path("nan/adapter_config.json").write_bytes(config)
        save_file(tensors | {name: torch.full_like(tensors[name], float("nan"))}, "nan/adapter_model.safetensors")
        self.assertEqual(self.refused("calibrate", "nan", *texts)["kind"], "SOURCE_NONFINITE")
        for name, words in (("calibrate", ["--limit", "-1"]), ("tune", ["--epochs", "0"]), ("tune", ["--rate", "nan"]), ("tune", ["--code-rate", "-1"]),
                            ("calibrate", ["--limit", "1"]), ("calibrate", ["--seed", "-1"])):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(node._in_python(name, ["my-adapter", "--model", "my-base", "-o", "x", *words]), 2)
            self.assertIn(f'lqa: {words[0]} cannot be "{words[1]}" (LQA-X004 USAGE)', said.getvalue())

    def test_refused_with_the_model(self) -> None:
        base = self.model.unload()
        self.write_base(base)
        texts = ("--texts", "task.jsonl")
        code, report, _ = self.command("calibrate", "my-adapter", *texts, "--model", "./my-bse", "-o", "x")
        self.assertEqual((code, report["error"]["kind"], report["error"]["where"]), (2, "NOT_FOUND", '"./my-bse"'))
        with mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):  # no hub is asked, five times
            code, report, _ = self.command("calibrate", "my-adapter", *texts, "--model", "my-bse", "-o", "x")
        self.assertEqual((code, report["error"]["kind"]), (2, "IO"))
        self.assertIn("no directory has this name", report["error"]["actual"])
        for layers, width, kind, words in ((4, 256, "BASE_MODULE_MISSING", "no place"), (2, 128, "BASE_SHAPE", "size mismatch")):
            other = LlamaForCausalLM(LlamaConfig(hidden_size=width, intermediate_size=384, num_hidden_layers=layers, num_attention_heads=4,
                                                 num_key_value_heads=2, vocab_size=128))
            lora = peft.LoraConfig(r=RANK, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
            peft.get_peft_model(other, lora).save_pretrained("other", save_embedding_layers=False)
            for name in ("calibrate", "tune"):
                error = self.refused(name, "other", *texts, model=True)
                self.assertEqual(error["kind"], kind)
                self.assertIn(words, error["actual"])
        base.lm_head.weight.data[0, 0] = float("nan")
        base.save_pretrained("my-base")
        for name in ("calibrate", "tune"):
            self.assertEqual(self.refused(name, "my-adapter", *texts, model=True)["kind"], "SOURCE_NONFINITE")
        self.assertEqual(self.refused("calibrate", "my-adapter", model=True)["kind"], "SOURCE_NONFINITE")

    def test_every_kind_of_adapter(self) -> None:
        kinds = {
            "dora": {"use_dora": True},
            "rslora": {"use_rslora": True},
            "patterns": {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 3}},
            "saved": {"modules_to_save": ["lm_head"]},
            "lora-bias": {"lora_bias": True},
            "biases": {"bias": "all"},
            "experts": {"target_parameters": ["mlp.experts.down_proj"]},
        }
        llama = LlamaConfig(hidden_size=128, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2, vocab_size=128, attention_bias=True)
        moe = Qwen3MoeConfig(hidden_size=128, intermediate_size=128, moe_intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                             num_key_value_heads=2, head_dim=64, num_experts=4, num_experts_per_tok=2, vocab_size=128)
        for name, options in kinds.items():
            with self.subTest(name):
                torch.manual_seed(3)
                base = (Qwen3MoeForCausalLM(moe) if name == "experts" else LlamaForCausalLM(llama)).eval()
                folder = self.folder / name
                folder.mkdir()
                base.save_pretrained(folder / "base")
                lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **options)
                model = peft.get_peft_model(base, lora)
                for key, weight in model.named_parameters():
                    if "lora_B" in key or "bias" in key:
                        weight.data.normal_(std=0.1)
                model.save_pretrained(folder / "adapter", save_embedding_layers=False)
                with Encodings(str(folder / "adapter"), ["--bits", "4", *(["--expert-layout=out-in"] if name == "experts" else [])]) as encodings:
                    encodings.check()
                    model = lqa.base_model.add_adapter(model.unload() if name == "experts" else LlamaForCausalLM.from_pretrained(folder / "base"), folder / "adapter", "default")
                    training, apart = kept_apart(self.texts[:24], 0)
                    figures = calibrate(model, training)
                    self.assertEqual({key.rpartition(".")[0].rpartition(".")[2] for key in figures}, {"q_proj", "v_proj"})
                    before = {key: value.clone() for key, value in model.state_dict().items()}
                    best = keep_best(model, encodings, figures, apart)
                    alone = name in ("biases", "experts")  # PEFT takes no second one
                    self.assertEqual(len(best.nats), 0 if alone else 3)
                    first = encodings.encode(figures) and encodings.report["contentId"]
                    if alone:
                        with self.assertRaises(lqa.LqaError) as caught:
                            tune(model, lambda tensors: encodings.encode(figures), self.texts[:24])
                        self.assertEqual(caught.exception.kind, "UNSUPPORTED_ADAPTER_FEATURE")
                        continue

                    def encode(tensors):
                        return encodings.encode(figures | dict(tensors), {"content_id": first})

                    found = tune(model, encode, self.texts[:24], epochs=1)
                    self.assertLessEqual(found.after, found.before)
                    self.assertTrue(all(torch.equal(value, before[key]) for key, value in model.state_dict().items()))
                    self.assertTrue(lqa.validate(encode(found.tensors)).valid)

    def test_figures_that_do_not_help_are_not_kept(self) -> None:
        figures = calibrate(self.model, self.texts)
        wrong = {name: value.clone() for name, value in figures.items()}
        for name, value in wrong.items():
            if name.endswith(".components"):
                value[:, 1:] = value[:, 1:].flip(0) ** 2  # the weakest components count most
        with Encodings(str(self.folder / "my-adapter"), ["--bits", "1"]) as encodings:
            best = keep_best(self.model, encodings, wrong, self.texts[:8])
            self.assertEqual((best.name, best.figures), (PLAIN, {}))
            self.assertEqual(min(best.nats.values()), best.nats[PLAIN])
            plain = encodings.encode({}) and encodings.report
            # A calibration file without tensors is none.
            again = encodings.encode({}, {"kept": PLAIN}) and encodings.report
            self.assertAlmostEqual(again["relativeError"], plain["relativeError"], delta=0.1)  # META names the calibration
            self.assertEqual(again["divergenceFrom"], "weights")
            with self.assertRaises(lqa.LqaError):
                encodings.encode({}, {"kept": WHOLE})
            # Without figures, too, an encoding can be trained.
            first = again["contentId"]
            found = tune(self.model, lambda tensors: encodings.encode(tensors, {"kept": PLAIN, "content_id": first}), self.texts, epochs=2)
            self.assertLess(found.after, found.before)

    def test_texts_that_the_model_writes(self) -> None:
        class Tokenizer:
            eos_token_id, bos_token_id, eos_token = 1, None, "<end>"
            chat_template: str | dict[str, str] | None = "{{ message.content }}<end>"

        tokenizer = Tokenizer()
        before = self.state()
        found = draw_texts(self.model, tokenizer, tokens=40 * LEAST, length=6, seed=2)
        self.assertEqual(found, draw_texts(self.model, tokenizer, tokens=40 * LEAST, length=6, seed=2))
        self.assertNotEqual(found, draw_texts(self.model, tokenizer, tokens=40 * LEAST, length=6, seed=3))
        self.assertTrue(all(torch.equal(value, before[name]) for name, value in self.model.state_dict().items()))
        self.assertEqual([(len(text.tokens), text.tokens[0], text.start) for text in found], [(7, 1, 1)] * 40)
        # At nearly no temperature it writes what is likeliest, with the tokens before.
        [text] = draw_texts(self.model, tokenizer, tokens=8, length=8, temperature=1e-6)
        with torch.no_grad():
            likeliest = self.model(input_ids=torch.tensor([text.tokens])).logits[0, :-1].argmax(-1)
        self.assertEqual(list(text.tokens[1:]), likeliest.tolist())
        # A token that ends texts ends this one, but not where it ends turns of a chat.
        tokenizer.eos_token_id = end = text.tokens[3]
        for template, length in ((None, 3), ("{{ bos_token }}", 3), ({"default": "{{ bos_token }}"}, 3), ("{{ eos_token }}", 8), ({"tools": "<end>"}, 8)):
            tokenizer.bos_token_id, tokenizer.chat_template = text.tokens[0], template
            [cut] = draw_texts(self.model, tokenizer, tokens=1, length=8, temperature=1e-6)
            self.assertEqual((template, cut.tokens), (template, text.tokens[: 1 + text.tokens[1:].index(end) + 1] if length == 3 else text.tokens))
        # If they end at once, there are not as many texts as tokens.
        tokenizer.chat_template, tokenizer.eos_token_id = None, text.tokens[1]
        self.assertEqual(draw_texts(self.model, tokenizer, tokens=4 * LEAST, temperature=1e-6), [Text(text.tokens[:2])] * 4)
        tokenizer.bos_token_id = 5
        self.assertEqual(draw_texts(self.model, tokenizer, tokens=2, length=2)[0].tokens[0], 5)
        tokenizer.bos_token_id = tokenizer.eos_token_id = None
        with self.assertRaises(lqa.LqaError) as caught:
            draw_texts(self.model, tokenizer)
        self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")

    def test_texts_of_a_model_for_chats(self) -> None:
        class Tokenizer:
            eos_token_id, bos_token_id, eos_token, chat_template = 1, None, "<end>", "{{ eos_token }}"
            written = "4 5 6 {} 7"

            def apply_chat_template(self, messages: list[dict[str, str]], *, tokenize: bool) -> str:
                assert not tokenize and [message["role"] for message in messages] == ["user"]
                return self.written.format(messages[0]["content"])

            def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
                assert not add_special_tokens
                return {"input_ids": [int(one) for one in text.split()]}

        tokenizer = Tokenizer()
        # A turn of the user begins, of which nothing counts.
        for found, tokens in ((draw_texts(self.model, tokenizer, tokens=96), 99), (draw_texts(self.model, tokenizer, tokens=LEAST, limit=8), 8)):
            self.assertEqual([(text.tokens[:3], text.start, len(text.tokens)) for text in found], [((4, 5, 6), 3, tokens)])
        with self.assertRaises(lqa.LqaError) as caught:
            draw_texts(self.model, tokenizer, limit=3)
        self.assertEqual(caught.exception.kind, "SOURCE_IMPORTANCE")
        # A template that leaves out what is said, or says nothing before it, does not help.
        for written in ("4 5 6", "{} 7"):
            tokenizer.written = written
            self.assertEqual({text.start for text in draw_texts(self.model, tokenizer, tokens=LEAST)}, {1})

    def test_progress_in_a_log(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said, mock.patch("lqa.model_command.time.monotonic", side_effect=[0, 1, 20, 40, 45, 100]):
            progress = Progress("tuning")
            for done in (1, 20, 40, 45, 100):
                progress(done, 100)
        with contextlib.redirect_stderr(io.StringIO()) as batches, mock.patch("lqa.model_command.time.monotonic", side_effect=[0, 40, 80]):
            progress = Progress("tuning")
            for done in (24, 48):  # texts of a batch at once, so the first does not show the pace
                progress(done, 96)
        self.assertEqual(batches.getvalue().splitlines(), ["tuning: 24 of 96 texts, 40 s taken", "tuning: 48 of 96 texts, 1 min 20 s taken, about 1 min 20 s left"])
        self.assertEqual(said.getvalue().splitlines(), ["tuning: 40 of 100 texts, 40 s taken, about 1 min 0 s left", "tuning: 100 of 100 texts, 1 min 40 s taken"])
        self.assertEqual([duration(seconds) for seconds in (5, 65, 4000)], ["5 s", "1 min 5 s", "1 h 6 min"])

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

            def apply_chat_template(self, messages, tokenize: bool, add_generation_prompt: bool = False) -> str:
                if any(one["role"] == "system" for one in messages):
                    raise ValueError("no system")
                return "".join(f"<{one['role'][0]}>{one['content']}" for one in messages) + ("<a>" if add_generation_prompt else "")

        tokenizer = Tokenizer()
        path = self.folder / "texts"
        lines = ["\ufeffabc", json.dumps({"text": "d\u2028e"}, ensure_ascii=False), json.dumps({"prompt": "fg", "completion": "h"}), "", "x", "long" * 9,
                 json.dumps({"prompt": "as long as the limit", "completion": "y"}) + "\r"]
        path.write_text("\n".join(lines), encoding="utf-8")
        found = read_texts(path, tokenizer, 10)
        self.assertEqual([(text.tokens, text.start) for text in found.texts][:3], [((97, 98, 99), 1), ((100, 0x2028, 101), 1), ((102, 103, 104, 0), 2)])
        self.assertEqual([len(text.tokens) for text in found.texts], [3, 3, 4, 10])
        self.assertEqual((found.cut, found.left_out), (1, 2))
        self.assertEqual(found.report(), {"texts": 4, "textsCut": 1, "textsLeftOut": 2, "tokens": 2 + 2 + 2 + 9})
        self.assertRegex(found.said(), "1 of 4 texts were cut at 10 tokens; 2 were left out")
        tokenizer.chat_template = "yes"
        dialogue = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
        path.write_text(json.dumps({"messages": dialogue}))
        [text] = read_texts(path, tokenizer).texts
        self.assertEqual(("".join(map(chr, text.tokens)), text.start), ("<u>hi<a>ho", 8))
        for bad, kind in (('{"prompt": "x"}', "SOURCE_IMPORTANCE"), ('{"text": 1}', "SOURCE_IMPORTANCE"), ("{", "SOURCE_IMPORTANCE"), ("x", "SOURCE_IMPORTANCE"),
                          ("", "SOURCE_IMPORTANCE"), (json.dumps({"messages": dialogue[:1]}), "SOURCE_IMPORTANCE"), ('{"messages": 1}', "SOURCE_IMPORTANCE"),
                          (json.dumps({"messages": [{"role": "system", "content": "x"}, *dialogue]}), "SOURCE_IMPORTANCE")):
            path.write_text(bad)
            with self.assertRaises(lqa.LqaError) as caught:
                read_texts(path, tokenizer)
            self.assertEqual(caught.exception.kind, kind)
        tokenizer.chat_template = None
        path.write_text(json.dumps({"messages": dialogue}))
        with self.assertRaises(lqa.LqaError) as caught:
            read_texts(path, tokenizer)
        self.assertIn("chat template", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
