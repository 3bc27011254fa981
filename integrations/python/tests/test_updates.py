"""Adapters in training: encoding from memory, updates of a model in use, and the callback of transformers' Trainer.

Needs what test_peft.py needs, and transformers.
"""
import contextlib
import inspect
import io
import json
import re
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import lqa
from support import REPOSITORY, absent, run

REASON = absent("peft", "torch", "transformers", "accelerate")
if not REASON:
    import peft
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    import lqa.chain
    import lqa.training
    from lqa.calibrate import OWN_ASSUMED, Directions, _components, components_of, lora_layers, toward_assumed
    from lqa.gradients import STEPS, Gradients
    from lqa.training import LqaCallback, open_run

VOCABULARY, WIDTH = 48, 12
PAGE = (REPOSITORY / "docs" / "guide" / "training.md").read_text(encoding="utf-8")


@unittest.skipIf(REASON, REASON)
class WithModel(unittest.TestCase):
    size, rank = 64, 4

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def base(self) -> "LlamaForCausalLM":
        torch.manual_seed(5)
        return LlamaForCausalLM(LlamaConfig(hidden_size=self.size, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                                            num_key_value_heads=1, vocab_size=VOCABULARY, max_position_embeddings=32)).eval()

    def model(self, rank: int | None = None) -> "peft.PeftModel":
        torch.manual_seed(42)
        return peft.get_peft_model(self.base(), peft.LoraConfig(r=rank or self.rank, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))

    def step(self, model: "peft.PeftModel", size: float) -> None:
        """Moves the adapter as a step of training does: everything a little."""
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_" in name:
                    weight += size * (0.01 if "lora_A" in name else 0.1) * torch.randn_like(weight)

    def factors(self, model: "peft.PeftModel") -> dict[str, "torch.Tensor"]:
        return {key: tensor.clone() for key, tensor in peft.get_peft_model_state_dict(model).items()}

    def assert_kind(self, kind: str, call, *words, **options) -> "lqa.LqaError":
        with self.assertRaises(lqa.LqaError) as caught:
            call(*words, **options)
        self.assertEqual(caught.exception.kind, kind, str(caught.exception))
        return caught.exception


class InMemory(WithModel):
    def test_the_same_as_from_a_directory(self) -> None:
        model = self.model()
        self.step(model, 1)
        model.save_pretrained(self.folder / "adapter", save_embedding_layers=False)
        file = lqa.encode(self.folder / "adapter", self.folder / "adapter.lqa", max_error=0.05)
        config = json.loads((self.folder / "adapter" / "adapter_config.json").read_text())
        arrays = {key: tensor.numpy() for key, tensor in self.factors(model).items()}
        for data in (lqa.encode(model, max_error=0.05), lqa.encode(self.factors(model), config=model.peft_config["default"], max_error=0.05),
                     lqa.encode(arrays, config=config, max_error=0.05), lqa.encode(arrays, config=config, max_error=0.05, timeout=60)):
            self.assertIsInstance(data, bytes)
            self.assertEqual(lqa.open(data).content_id, file.content_id)
        self.assertEqual(lqa.encode(model, self.folder / "again.lqa", max_error=0.05).content_id, file.content_id)
        # Bytes do not depend on the order of a set.
        self.assertEqual(lqa.encode(model, max_error=0.05), lqa.encode(self.factors(model), config=model.peft_config["default"], max_error=0.05))

    def test_what_is_no_adapter(self) -> None:
        model = self.model()
        for source in (self.base(), 7, {}, {"a": 1}, self.factors(model)):
            with self.assertRaises(TypeError):
                lqa.encode(source)
        with self.assertRaises(ValueError):
            lqa.encode(model, adapter_name="other")
        self.assert_kind("SOURCE_CONFIG", lqa.encode, self.factors(model), config={"r": object()})
        self.assert_kind("USAGE", lqa.encode, model, bits=1, max_error=0.1)
        next(p for n, p in model.named_parameters() if "lora_A" in n).data.fill_(float("nan"))
        self.assert_kind("SOURCE_NONFINITE", lqa.encode, model)

    def test_errors_of_children_do_not_add_up(self) -> None:
        model = self.model()
        self.step(model, 1)
        most, before, chain = 0.05, None, []
        sizes = []
        for step in range(6):
            data = lqa.encode(model, max_error=most, parent=before, step=step)
            file = lqa.open(data, parents=[] if before is None else [before])
            # A reader takes no more than four parents: then the parent of the file takes its place.
            chain = chain[:4]
            self.assertEqual(file.parent_id, chain[-1].content_id if chain else None)
            self.assertEqual(file.meta["step"], step)
            chain.append(file)
            lost = energy = 0.0
            for module in file.modules:
                layer = model.get_base_model().get_submodule(module.name)
                delta = layer.get_delta_weight("default").detach()
                error = delta - torch.from_numpy(file.decode(module).delta())
                lost, energy = lost + float(error.square().sum()), energy + float(delta.square().sum())
            self.assertLessEqual(lost / energy, most * 1.001)
            sizes.append(len(data))
            before = file
            self.step(model, 0.05)
        self.assertLess(max(sizes[1:]), 0.75 * sizes[0])
        # Without the parents it is no file.
        self.assert_kind("PARENT_MISSING", lqa.open(data).decode, file.modules[0])
        self.assert_kind("PARENT_MISMATCH", lqa.open, data, parents=[lqa.encode(self.model(8), max_error=0.05)])


class Updates(WithModel):
    def setUp(self) -> None:
        super().setUp()
        model = self.model()
        self.files: list[lqa.LqaFile] = []
        self.data: list[bytes] = []
        for size in (1.0, 0.1, 0.1):
            self.step(model, size)
            before = self.files[-1] if self.files else None
            self.data.append(lqa.encode(model, max_error=0.02, parent=before))
            self.files.append(lqa.open(self.data[-1], parents=[] if before is None else [before]))
        self.assertIsNotNone(self.files[2].parent_id)

    def said(self, model: "peft.PeftModel") -> "torch.Tensor":
        with torch.no_grad():
            return model(input_ids=torch.arange(10)[None]).logits

    def test_an_update(self) -> None:
        served = lqa.peft.load(self.base(), self.data[0])
        weights = [weight for name, weight in served.named_parameters() if "lora_" in name]
        for data, file in zip(self.data[1:], self.files[1:]):
            with self.assertLogs("lqa", "INFO") as logged:
                changed = lqa.peft.update(served, data)
            self.assertTrue(0 < changed <= len(file.modules))
            self.assertIn(f"{changed} of 4 modules changed", logged.output[0])
            self.assertTrue(torch.equal(self.said(served), self.said(lqa.peft.load(self.base(), file))))
        self.assertTrue(all(x is y for x, y in zip(weights, (w for n, w in served.named_parameters() if "lora_" in n), strict=True)))
        # A file without a parent follows every other, so that a reader can begin again.
        lqa.peft.update(served, self.data[0])
        self.assertTrue(torch.equal(self.said(served), self.said(lqa.peft.load(self.base(), self.data[0]))))

    def test_what_does_not_follow_is_refused(self) -> None:
        served = lqa.peft.load(self.base(), self.data[0])
        lqa.peft.update(served, self.data[1])
        said = self.said(served)
        broken = bytearray(self.data[2])
        broken[-100] ^= 1
        other, larger = self.model(8), self.model()
        self.step(other, 1)
        self.step(larger, 1)
        with torch.no_grad():
            next(p for n, p in larger.named_parameters() if "lora_B" in n).fill_(float("inf"))
        stranger = self.model()
        self.step(stranger, 2)
        stranger = lqa.encode(stranger, max_error=0.02)
        child = self.model()
        self.step(child, 2)
        fewer = {key: tensor for key, tensor in self.factors(child).items() if "layers.0" in key}
        for data, kind in ((self.data[1], "PARENT_MISMATCH"),  # twice
                           (lqa.encode(child, parent=stranger, max_error=0.3), "PARENT_MISMATCH"),  # of another run
                           (self.data[2][:-1], "TRUNCATED_FILE"), (lqa.encode(other, max_error=0.05), "BASE_SHAPE"),
                           (lqa.encode(fewer, config=child.peft_config["default"], max_error=0.05), "BASE_MODULE_MISSING")):
            self.assert_kind(kind, lqa.peft.update, served, data)
            self.assertTrue(torch.equal(self.said(served), said))
        with self.assertRaises(lqa.LqaError):
            lqa.peft.update(served, bytes(broken))
        self.assertTrue(torch.equal(self.said(served), said))
        lqa.peft.update(served, self.data[2])  # the one that follows still does
        self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, self.data[1])  # out of order
        self.assert_kind("PARENT_MISSING", lqa.peft.update, peft.PeftModel(self.base(), child.peft_config["default"]), self.data[2])


class Siblings(WithModel):
    """A run of files, of which many are children of an earlier one than the last."""

    def setUp(self) -> None:
        super().setUp()
        self.trained, self.chain = self.model(), lqa.chain.Chain()
        self.step(self.trained, 1)
        self.config = self.trained.peft_config["default"].to_dict()
        self.data = [self.saved(step, self.chain) for step in range(1, 13)]

    def saved(self, step: int | None, chain: "lqa.chain.Chain") -> bytes:
        found = chain.encode(self.factors(self.trained), self.config, {"max_error": 0.02, "step": step})
        chain.add(found)
        self.step(self.trained, 0.05)
        return found.data

    def said(self, model: "peft.PeftModel") -> "torch.Tensor":
        return torch.cat([tensor.flatten() for tensor in self.factors(model).values()])

    def test_only_the_first_is_whole(self) -> None:
        files = [lqa.open(data) for data in self.data]
        ids = [file.content_id for file in files]
        parents = [ids.index(file.parent_id) + 1 if file.parent_id else 0 for file in files]
        # Of the files 2, 3 and 4 each gets two children before the one that it follows does.
        self.assertEqual(parents, [0, 1, 2, 3, 4, 4, 3, 7, 7, 2, 10, 11])
        self.assertLess(max(map(len, self.data[1:])), 0.75 * len(self.data[0]))
        self.assertEqual([file.content_id for file in self.chain.files], [ids[number - 1] for number in (1, 2, 10, 11, 12)])
        self.assertEqual(len(lqa.updates.parents_of(lqa.open(self.data[9], parents=self.data[:2]))), 2)

    def test_a_reader_takes_each_in_its_order(self) -> None:
        served = lqa.peft.load(self.base(), self.data[0])
        for step, data in enumerate(self.data[1:], 2):
            lqa.peft.update(served, data)
            now = lqa.peft._loaded[served]["default"]
            self.assertLessEqual(len(lqa.updates.parents_of(now)), 4)  # what nothing follows any more is freed
            said = self.said(served)
            for old in self.data[1:step]:  # twice, or one that the reader had before
                self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, old)
            self.assertTrue(torch.equal(self.said(served), said))
        exact = lqa.peft.load(self.base(), self.chain.files[-1])
        self.assertTrue(torch.equal(said, self.said(exact)))

    def test_a_reader_that_missed_some(self) -> None:
        served = lqa.peft.load(self.base(), self.data[0])
        for number in (2, 3, 6, 7):  # 7 is a child of 3, so 4 to 6 are not needed
            self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, self.data[10])
            if number == 6:
                self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, self.data[5])
            else:
                lqa.peft.update(served, self.data[number - 1])
        for late in (4, 5, 6):  # now they are old
            said = self.said(served)
            self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, self.data[late - 1])
            self.assertTrue(torch.equal(self.said(served), said))
        lqa.peft.update(served, self.data[7])

    def test_a_file_of_a_folder_is_opened_with_those_that_it_follows(self) -> None:
        for step, data in enumerate(self.data, 1):
            (self.folder / f"step-{step:06d}.lqa").write_bytes(data[:-1] if step in (6, 9) else data)
        file = open_run(self.folder)  # 12 needs neither 6 nor 9, which are broken
        self.assertEqual([core.verified_ids()[1] for core in lqa.updates.parents_of(file)],
                         [lqa.open(self.data[number - 1]).content_id for number in (11, 10, 2, 1)])
        # A run that goes on from 11 counts the children that are there.
        chain = lqa.training._chain(self.folder, open_run(self.folder, 11))
        self.assertEqual((len(chain.files), chain._children), (4, [1, 2, 1, 1]))

    def test_without_a_step_only_the_last_has_children(self) -> None:
        self.chain, made = lqa.chain.Chain(), []
        for _ in range(6):
            made.append(self.saved(None, self.chain))
        served = lqa.peft.load(self.base(), made[0])
        for data in made[1:5]:
            lqa.peft.update(served, data)
        self.assert_kind("PARENT_MISMATCH", lqa.peft.update, served, made[5])


class Training(WithModel):
    def trainer(self, callbacks: list, steps: int = 6, **options) -> "Trainer":
        generator = torch.Generator().manual_seed(3)
        rows = torch.randint(0, VOCABULARY, (64, WIDTH), generator=generator)
        arguments = TrainingArguments(str(self.folder / "out"), max_steps=steps, per_device_train_batch_size=4, learning_rate=1e-2, save_steps=2,
                                      use_cpu=True, report_to=[], disable_tqdm=True, logging_strategy="no", seed=1, **options)
        return Trainer(self.model(), arguments, train_dataset=[{"input_ids": row, "labels": row} for row in rows], callbacks=callbacks)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    def assert_like(self, file: "lqa.LqaFile", checkpoint: Path, most: float) -> None:
        """The file has the adapter of a checkpoint, up to an error."""
        exact = lqa.peft.load(self.base(), lqa.encode(checkpoint, self.folder / "exact.lqa", profile="raw", force=True).path)
        coded = lqa.peft.load(self.base(), file)
        lost = energy = 0.0
        for module in file.modules:
            one, other = (each.get_base_model().get_submodule(module.name).get_delta_weight("default") for each in (exact, coded))
            lost, energy = lost + float((one - other).square().sum()), energy + float(one.square().sum())
        self.assertLessEqual(lost, most * 1.001 * energy)

    def test_default_error(self) -> None:
        self.assertEqual(inspect.signature(LqaCallback).parameters["max_error"].default, 0.01)

    def test_a_file_at_each_save(self) -> None:
        callback, found = LqaCallback(max_error=0.03, instead=True, wait=True, on_file=lambda path: found.append(path.name)), []
        self.trainer([callback]).train()
        folder = self.folder / "out" / "lqa"
        self.assertEqual((callback.errors, callback.skipped), ({}, []))
        steps = [2, 4, 6]
        self.assertEqual(self.names(folder), [f"step-{step:06d}.lqa" for step in steps])
        self.assertEqual(found, self.names(folder))
        self.assertEqual(callback.newest, folder / "step-000006.lqa")
        for step in steps:
            self.assertEqual((self.folder / "out" / f"checkpoint-{step}" / "adapter_model.safetensors").exists(), step == 6)
        self.assert_like(open_run(folder), self.folder / "out" / "checkpoint-6", 0.03)
        self.assert_kind("NOT_FOUND", open_run, folder, 5)
        self.assert_kind("NOT_FOUND", open_run, self.folder / "absent")
        # Another run does not write into this one.
        self.assert_kind("OUTPUT_EXISTS", self.trainer([LqaCallback()]).train)

    def test_a_run_that_was_killed_goes_on(self) -> None:
        class Kill(lqa.training.TrainerCallback):
            def on_step_end(self, args, state, control, **_):
                if state.global_step == 5:
                    raise KeyboardInterrupt

        callback = LqaCallback()
        with self.assertRaises(KeyboardInterrupt):
            self.trainer([callback, Kill()], 8).train()
        callback.on_train_end(None, None, None)  # what was submitted is written, or the process is gone
        folder = self.folder / "out" / "lqa"
        for ahead, lost in ((False, True), (True, False)):  # killed before step 4 was written; and in the middle of a later file
            if lost:
                (folder / "step-000004.lqa").unlink()
            (folder / "step-000006.partial").write_bytes(b"half")
            if ahead:
                (folder / "step-000006.lqa").write_bytes(b"of another way")
            for checkpoint in (self.folder / "out").glob("checkpoint-[68]"):
                for path in checkpoint.iterdir():
                    path.unlink()
                checkpoint.rmdir()
            callback = LqaCallback()
            self.trainer([callback], 8).train(resume_from_checkpoint=str(self.folder / "out" / "checkpoint-4"))
            self.assertEqual(callback.errors, {})
            names = self.names(folder)
            self.assertEqual(names, sorted({f"step-{step:06d}.lqa" for step in (2, 4, 6, 8) if step not in callback.skipped}))
            self.assertIn("step-000008.lqa", names)
            self.assert_like(open_run(folder), self.folder / "out" / "checkpoint-8", 0.1)
        # The last file is broken: the run goes on from the one before it.
        path = folder / "step-000008.lqa"
        path.write_bytes(path.read_bytes()[:-1])
        callback = LqaCallback()
        with self.assertLogs("lqa", "ERROR"):
            self.trainer([callback], 10).train(resume_from_checkpoint=True)
        self.assert_like(open_run(folder, 10), self.folder / "out" / "checkpoint-10", 0.1)

    def test_a_write_that_fails_leaves_the_last_file(self) -> None:
        callback = LqaCallback()
        there, replace = [], lqa.training.os.replace

        def fails(source, target) -> None:
            if there:
                raise OSError(28, "No space left on device")
            there.append(target)
            replace(source, target)

        with mock.patch.object(lqa.training.os, "replace", fails), self.assertLogs("lqa", "ERROR"):
            trainer = self.trainer([callback])
            trainer.train()
        self.assertEqual({error.kind for error in callback.errors.values()}, {"IO"})
        folder = self.folder / "out" / "lqa"
        self.assertEqual(self.names(folder), [there[0].name])
        open_run(folder).verify()

    def test_files_of_so_many_bits_are_whole_and_calibrated(self) -> None:
        self.size, self.rank = 256, 8  # a file of smaller layers is mostly container
        callback = LqaCallback(bits=1.5, wait=True)
        self.trainer([callback]).train()
        folder = self.folder / "out" / "lqa"
        self.assertEqual((callback.errors, self.names(folder)), ({}, [f"step-{step:06d}.lqa" for step in (2, 4, 6)]))
        file = open_run(folder)
        self.assertEqual((file.parent_id, file.meta["step"]), (None, 6))
        self.assertIn("calibration=sha256:", file.meta["encoder"])
        plain = lqa.encode(self.folder / "out" / "checkpoint-6", bits=1.5)
        self.assertLessEqual(len(file._core.data), 1.02 * len(plain))
        exact = lqa.peft.load(self.base(), lqa.encode(self.folder / "out" / "checkpoint-6", profile="raw"))
        rows = torch.randint(0, VOCABULARY, (64, WIDTH), generator=torch.Generator().manual_seed(3))

        def lost(decoded: "lqa.LqaFile | bytes") -> float:
            with torch.no_grad():
                one, other = (model(input_ids=rows).logits.log_softmax(-1) for model in (exact, lqa.peft.load(self.base(), decoded)))
            return float((one.exp() * (one - other)).sum())

        self.assertLess(lost(file), 0.8 * lost(plain))
        # A run that goes on has no gradients before its first step.
        (folder / "step-000006.lqa").unlink()
        callback = LqaCallback(bits=1.5, wait=True)
        with self.assertLogs("lqa", "WARNING") as logged:
            self.trainer([callback], 8).train(resume_from_checkpoint=True)
        self.assertEqual([record.getMessage().partition(":")[0] for record in logged.records], [f"{folder / 'step-000006.lqa'} has no calibration"])
        self.assertEqual(callback.errors, {})
        self.assertEqual(["calibration=" in open_run(folder, step).meta["encoder"] for step in (4, 6, 8)], [True, False, True])

    def test_a_start_and_a_calibration_must_be_given_to_count(self) -> None:
        self.size, self.rank = 256, 8
        moments = self.folder / "moments.safetensors"
        save_file({f"model.layers.{i}.self_attn.{name}_proj": torch.ones(256) for i in range(2) for name in "qv"}, moments)
        seen, encode = [], lqa.chain.encode_adapter

        def spied(*words, **named):
            seen.append(words[6])
            return encode(*words, **named)

        with mock.patch.object(lqa.chain, "encode_adapter", spied):
            for number, given in enumerate(({"start": 42, "options": {"calibration": moments}}, {})):
                callback = LqaCallback(self.folder / f"files-{number}", bits=1.5, wait=True, **given)
                self.trainer([callback], 2).train()
                self.assertEqual(callback.errors, {})
        self.assertEqual([each["start"] for each in seen], [42, "none"])
        self.assertEqual((seen[0]["calibration"], type(seen[1]["calibration"])), (moments, lqa.gradients.Taken))

    def test_the_newest_waits(self) -> None:
        begun, go = threading.Event(), threading.Event()
        encode, seen = lqa.chain.encode_adapter, []

        def slow(*words, **options):
            seen.append(words[0])
            begun.set()
            go.wait(30)
            return encode(*words, **options)

        class Freed(lqa.training.TrainerCallback):
            def on_save(self, args, state, control, **_):
                begun.wait(30)
                if state.global_step == 6:
                    go.set()

        callback = LqaCallback()
        with mock.patch.object(lqa.chain, "encode_adapter", slow):
            self.trainer([callback, Freed()]).train()
        self.assertEqual((callback.skipped, len(seen), callback.errors), ([4], 2, {}))
        self.assertEqual(self.names(self.folder / "out" / "lqa"), ["step-000002.lqa", "step-000006.lqa"])

    def test_the_tutorial(self) -> None:
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        programs = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(programs), 3)
        spoken = sorted(set(re.findall(r"[A-Z]?[a-z]+", programs[0])))
        words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *spoken])}, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(self.folder / "my-base")
        torch.manual_seed(5)
        LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                                     vocab_size=len(spoken) + 1, max_position_embeddings=32)).save_pretrained(self.folder / "my-base")
        self.enterContext(contextlib.chdir(self.folder))
        names: dict[str, object] = {}
        printed = []
        for program in programs:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(program, "training.md", "exec"), names)
            printed.append(said.getvalue())
        self.assertIn("skipped [] errors {}", printed[0])
        files = self.names(Path("run/lqa"))
        self.assertEqual(files, [f"step-{step:06d}.lqa" for step in range(5, 31, 5)])
        # The served answers change as training goes on.
        answers = [line.partition("The king of")[2] for line in printed[1].splitlines()]
        self.assertEqual((len(answers), len(set(answers)) > 1), (len(files), True), printed[1])
        self.assertRegex(printed[2], r"^\d+ bytes, (a child|whole)\n$")
        found = run("inspect", *(Path("run/lqa", name).resolve() for name in files))["files"]
        parents = {Path(each["file"]).name: each["parent"] and Path(each["parent"]["file"]).name for each in found}
        self.assertEqual([(name, parents[name]) for name in files], list(zip(files, [None, *files[:4], files[3]])))
        self.assertEqual([each["step"] for each in found], [*range(5, 31, 5)])

    def test_models_without_such_an_adapter(self) -> None:
        trainer = self.trainer([LqaCallback(adapter_name="other")])
        with self.assertRaises(ValueError):
            trainer.train()


class OfTraining(WithModel):
    """`lqa.gradients`."""

    size, rank = 256, 8

    def trained(self) -> "peft.PeftModel":
        model = self.model()
        self.step(model, 1)
        return model

    def backward(self, model: "peft.PeftModel", seed: int) -> None:
        rows = torch.randint(0, VOCABULARY, (4, WIDTH), generator=torch.Generator().manual_seed(seed))
        model.zero_grad()
        model(input_ids=rows, labels=rows).loss.backward()

    def test_figures_are_those_of_the_components(self) -> None:
        model = self.trained()
        gradients, layers = Gradients(model), lora_layers(model, "default")
        sums = {name: torch.zeros(3, self.rank, dtype=torch.float64) for name in layers}
        directions = {name: (Directions(), Directions()) for name in layers}
        for seed in range(STEPS + 2):
            self.backward(model, seed)
            gradients.add()
            if seed < 2:  # those of four steps are kept
                continue
            with _components(layers, "default") as factors:
                self.backward(model, seed)
                for name, (b, a, _) in factors.items():
                    gb, ga, b, a = (x.detach().double() for x in (b.grad, a.grad, b, a))
                    sums[name] += torch.stack([gb.square().sum(0) * b.square().sum(0) / len(b), ga.square().sum(1) * a.square().sum(1) / a.shape[1],
                                               (gb * b).sum(0).square()])
                    for found, rows in zip(directions[name], (gb.T, ga), strict=True):
                        found.add(rows.float())
        figures = gradients.taken().figures()
        strengths = {name: components_of(layer, "default")[2] for name, layer in layers.items()}
        sums = toward_assumed(sums, strengths, {name: layer.out_features for name, layer in layers.items()}, OWN_ASSUMED)
        for name in layers:
            torch.testing.assert_close(figures[f"{name}.components"], torch.cat([strengths[name][None], sums[name]]).T.float(), rtol=0.05, atol=0)
            for factor, wanted in zip("ba", directions[name], strict=True):
                one, other = figures[f"{name}.directions_{factor}"], wanted.result()
                self.assertLess(float((one.T @ one - other.T @ other).norm()), 0.02 * float((other.T @ other).norm()))

    def test_four_steps_of_bfloat16_are_kept(self) -> None:
        model = self.trained()
        gradients = Gradients(model)
        for seed in range(6):
            self.backward(model, seed)
            gradients.add()
        kept = sum(one.nbytes for step in gradients.taken().steps for pair in step.values() for one in pair)
        self.assertEqual(kept, 4 * 2 * sum(tensor.numel() for tensor in self.factors(model).values()))

    def test_the_estimate_is_not_of_gradients(self) -> None:
        model = self.trained()
        gradients = Gradients(model)
        self.backward(model, 1)
        gradients.add()
        report = lqa.encode(model, self.folder / "adapter.lqa", bits=1.5, calibration=gradients).report
        self.assertEqual((report["divergenceFrom"], report["calibration"]["matched"]), ("weights", 4))

    def test_what_has_no_gradients_is_not_calibrated(self) -> None:
        model = self.trained()
        gradients, plain = Gradients(model), lqa.encode(model, bits=1.5)
        for bad in (None, float("nan"), float("inf")):
            model.zero_grad()
            for name, weight in model.named_parameters():
                if "lora_" in name and bad is not None:
                    weight.grad = torch.full_like(weight, bad)
            gradients.add()
            self.assertEqual(gradients.taken().figures(), {})
        self.assertEqual(lqa.encode(model, bits=1.5, calibration=gradients), plain)

    def test_an_adapter_of_fewer_directions_than_its_rank(self) -> None:
        for untrained in (True, False):
            model = self.model()
            if not untrained:
                with torch.no_grad():
                    for name, weight in model.named_parameters():
                        if "lora_" in name:
                            weight.copy_(torch.randn(len(weight), 2) @ torch.randn(2, weight.shape[1]))
            gradients = Gradients(model)
            self.backward(model, 1)
            gradients.add()
            for name, figure in gradients.taken().figures().items():
                self.assertTrue(bool(figure.isfinite().all()), name)
            if not untrained:
                lqa.open(lqa.encode(model, bits=1.5, calibration=gradients)).verify()


@unittest.skipIf(REASON or absent("trl", "datasets"), REASON or "trl or datasets is absent")
class WithTrl(WithModel):
    """Run where TRL is installed, which the environment of CI does not have: tried with 1.16.0."""

    def test_policy_optimization(self) -> None:
        """Real GRPO on a reward that is computed: how many of the words are the wanted one."""
        from datasets import Dataset
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
        from trl import GRPOConfig, GRPOTrainer

        words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1", pad_token="w2")
        rewarded = []

        def reward(completions, **_):
            rewarded.append([each.split().count("w7") / 4 + len(set(each.split())) / 16 for each in completions])
            return rewarded[-1]

        arguments = GRPOConfig(str(self.folder / "out"), max_steps=4, save_steps=2, per_device_train_batch_size=4, num_generations=4,
                               max_completion_length=4, learning_rate=1e-2, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True,
                               logging_strategy="no", seed=1)
        callback = LqaCallback(wait=True)
        GRPOTrainer(self.model(), reward, arguments, Dataset.from_list([{"prompt": "w3 w4 w5"}] * 8), processing_class=tokenizer,
                    callbacks=[callback]).train()
        self.assertEqual((callback.errors, callback.skipped, len(rewarded) >= 4), ({}, [], True))
        folder = self.folder / "out" / "lqa"
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["step-000002.lqa", "step-000004.lqa"])
        served = lqa.peft.load(self.base(), folder / "step-000002.lqa")
        lqa.peft.update(served, folder / "step-000004.lqa")


if __name__ == "__main__":
    unittest.main()
