"""Adapters that real PEFT made, through .lqa files, into real PEFT models.

Needs torch, peft and what lqa.encode needs: Node, and a package that was built with the command line.
"""
import contextlib
import copy
import inspect
import io
import json
import re
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

import lqa
from support import REPOSITORY, absent, changed, run

REASON = absent("peft", "torch")
if not REASON:
    import peft
    import torch
    from torch import nn

    import lqa.peft
    from lqa.config import lora_config


@unittest.skipIf(REASON, REASON)
class WithPeft(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def base(self) -> "nn.Module":
        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.q_proj, self.v_proj, self.o_proj = nn.Linear(32, 32), nn.Linear(32, 16, bias=False), nn.Linear(16, 32)

            def forward(self, x):
                return x + self.o_proj(torch.tanh(self.v_proj(x) + self.q_proj(x)[..., :16]))

        class Experts(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.randn(3, 32, 16) * 0.2)

            def forward(self, x):
                return x + torch.einsum("bti,eoi->bto", x[..., :16], self.weight)

        class Model(nn.Module):
            config = {"model_type": "custom", "tie_word_embeddings": False}

            def __init__(self) -> None:
                super().__init__()
                self.embed_tokens = nn.Embedding(50, 32)
                self.layers = nn.ModuleList(Block() for _ in range(3))
                self.experts = Experts()
                self.conv = nn.Conv1d(32, 32, 3, padding=1)
                self.score = nn.Linear(32, 5)

            def forward(self, x):
                x = self.embed_tokens(x)
                for layer in self.layers:
                    x = layer(x)
                x = self.experts(x)
                # Contiguous: with strides, what torch computes depends on some processors on where the weights are in memory.
                return self.score(self.conv(x.transpose(1, 2)).transpose(1, 2).contiguous())

        Model.get_input_embeddings = lambda model: model.embed_tokens
        Model.get_output_embeddings = lambda model: None
        return Model()

    CONFIGS = {
        "usual": dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]),
        "patterns and rsLoRA": dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "o_proj"], use_rslora=True,
                                    rank_pattern={"layers.1.q_proj": 4}, alpha_pattern={"v_proj": 7}),
        "a pattern": dict(r=8, lora_alpha=16, target_modules=r".*\.[qv]_proj", rank_pattern={r"layers\.[01]\.q_proj": 4}),
        "DoRA": dict(r=4, lora_alpha=5, target_modules=["q_proj", "o_proj"], use_dora=True),
        "LoRA biases": dict(r=4, lora_alpha=5, target_modules=["q_proj", "o_proj"], lora_bias=True),
        "embedding, convolution, head": dict(r=4, target_modules=["embed_tokens", "conv", "v_proj"], modules_to_save=["score"]),
        "biases": dict(r=4, target_modules=["q_proj"], bias="all"),
        "experts": dict(r=4, lora_alpha=6, target_modules=["q_proj"], target_parameters=["experts.weight"]),
        "rows of tokens": dict(r=4, target_modules=["v_proj"], trainable_token_indices={"embed_tokens": [3, 7, 49]}),
    }

    def trained(self, base, config) -> Path:
        model = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(**config))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn_like(parameter) * 0.3 + (1 if "magnitude" in name else 0)
        path = self.folder / "adapter"
        model.save_pretrained(path)
        return path

    def test_the_same_as_the_directory(self) -> None:
        x = torch.randint(0, 50, (2, 7))
        for name, config in self.CONFIGS.items():
            for profile in ("raw", "rd"):
                with self.subTest(name, profile=profile):
                    base = self.base()
                    path = self.trained(base, config)
                    file, decoded = self.folder / "x.lqa", self.folder / "decoded"
                    # PEFT's file does not say how the base stores experts: as (experts, out, in) here.
                    layout = ["--expert-layout", "out-in"] if name == "experts" else []
                    run("encode", path, "-o", file, "--profile", profile, "--force", *layout)
                    run("decode", file, "-o", decoded, "--force", "--keep-config")
                    if profile == "raw":
                        for each in ("adapter_config.json", "adapter_model.safetensors"):
                            self.assertEqual((decoded / each).read_bytes(), (path / each).read_bytes(), each)
                    reference = peft.PeftModel.from_pretrained(copy.deepcopy(base), decoded).eval()
                    model = lqa.peft.load(copy.deepcopy(base), file)
                    with torch.no_grad():
                        self.assertTrue(torch.equal(model(x), reference(x)))
                        self.assertFalse(torch.equal(model(x), base.eval()(x)))
                    state = lqa.decode(file, torch.float32)
                    from safetensors.torch import load_file
                    expected = load_file(decoded / "adapter_model.safetensors")
                    self.assertEqual(sorted(state), sorted(expected))
                    for key, tensor in expected.items():
                        self.assertTrue(torch.equal(state[key], tensor), key)
                    for key, array in lqa.decode(file).items():
                        self.assertTrue(np.array_equal(array, expected[key].float().numpy()), key)
                    shutil.rmtree(path)

    def test_other_dialects(self) -> None:
        """Adapters of other dialects have no configuration of PEFT: one that says the same is made. Multipliers are 2 and 4 here, so
        that folding them into B is exact."""
        x = torch.randint(0, 50, (2, 7))
        base = self.base()
        path = self.trained(base, dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], rank_pattern={"layers.1.q_proj": 4}))
        reference = peft.PeftModel.from_pretrained(copy.deepcopy(base), path).eval()
        for dialect, words in (("mlx", []), ("loralib", ["--alpha", "16"]), ("onnx", [])):
            with self.subTest(dialect):
                other, file = self.folder / dialect, self.folder / f"{dialect}.lqa"
                run("convert", path, other, "--to", dialect)
                run("encode", other, "-o", file, "--profile", "raw", *words)
                model = lqa.peft.load(copy.deepcopy(base), file)
                with torch.no_grad():
                    if dialect == "mlx":  # one rank there: sums have zeros in them, and another order
                        torch.testing.assert_close(model(x), reference(x), rtol=1e-5, atol=1e-5)
                    else:
                        self.assertTrue(torch.equal(model(x), reference(x)))

    def test_dialects_of_other_models(self) -> None:
        """Their layers have other names than the model's."""
        import safetensors.torch
        name = "lora_unet_mid_block_attentions_0_proj_in"
        safetensors.torch.save_file({f"{name}.lora_down.weight": torch.ones(2, 4), f"{name}.lora_up.weight": torch.ones(4, 2)},
                                    self.folder / "kohya.safetensors")
        run("encode", self.folder / "kohya.safetensors", "-o", self.folder / "kohya.lqa")
        with self.assertRaisesRegex(lqa.LqaError, "(?s)came from kohya.*SOURCE_CONFIG.*--to peft"):
            lqa.peft.load(self.base(), self.folder / "kohya.lqa")

    def encoded(self, base, config, name: str = "x.lqa") -> Path:
        run("encode", self.trained(base, config), "-o", self.folder / name, "--force")
        return self.folder / name

    def test_the_multiplier_is_the_file_s(self) -> None:
        """Whatever the configuration beside it says."""
        file = lqa.open(self.encoded(self.base(), self.CONFIGS["usual"]))
        config = json.loads(file.origin["config"]) | {"lora_alpha": 1}
        file.__dict__["origin"] = {**file.origin, "config": json.dumps(config).encode()}
        model = lqa.peft.load(self.base(), file)
        scalings = [m.scaling["default"] for m in model.modules() if hasattr(m, "scaling")]
        self.assertEqual(scalings, [2.0] * 6)

    def test_models_that_do_not_fit(self) -> None:
        file = self.encoded(self.base(), self.CONFIGS["usual"])
        other = self.base()
        other.layers = other.layers[:2]
        narrow = self.base()
        narrow.layers[1].q_proj = nn.Linear(32, 31)
        for model, kind, where in ((other, "BASE_MODULE_MISSING", "layers.2.q_proj"), (narrow, "BASE_SHAPE", "layers.1.q_proj")):
            before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.peft.load(model, file)
            self.assertEqual(caught.exception.kind, kind)
            self.assertIn(where, str(caught.exception))
            after = model.state_dict()  # not a trace of the adapter
            self.assertEqual(sorted(after), sorted(before))
            self.assertTrue(all(torch.equal(after[key], before[key]) for key in before))

    def test_several_adapters_on_one_model(self) -> None:
        """The second and the third, switched between, with DoRA and with a saved module, beside directories in a model of PEFT's own."""
        x = torch.randint(0, 50, (2, 7))
        base = self.base()
        ours = theirs = None
        names = ("usual", "DoRA", "embedding, convolution, head", "patterns and rsLoRA")
        for name in names:
            file = self.encoded(base, self.CONFIGS[name])
            decoded = self.folder / name
            run("decode", file, "-o", decoded)
            if ours is None:
                ours, theirs = lqa.peft.load(copy.deepcopy(base), file, name), peft.PeftModel.from_pretrained(
                    copy.deepcopy(base), decoded, name)
            else:
                self.assertIs(lqa.peft.load(ours, file, name), ours)
                theirs.load_adapter(decoded, name)
            self.assertEqual(ours.active_adapter, names[0])
        with self.assertRaisesRegex(ValueError, "swap"):
            lqa.peft.load(ours, file, "DoRA")
        seen = set()
        with torch.no_grad():
            for name in (*names, *reversed(names)):
                ours.set_adapter(name)
                theirs.set_adapter(name)
                output = ours(x)
                self.assertTrue(torch.equal(output, theirs(x)), name)
                seen.add(output.sum().item())
        self.assertEqual(len(seen), len(names))

    def test_an_adapter_that_does_not_load_leaves_the_others(self) -> None:
        x = torch.randint(0, 50, (2, 7))
        base = self.base()
        model = lqa.peft.load(copy.deepcopy(base), self.encoded(base, self.CONFIGS["usual"]), "good")
        damaged = bytearray(self.encoded(base, self.CONFIGS["DoRA"]).read_bytes())
        damaged[-1] ^= 1
        with torch.no_grad():
            before = model(x)
            for source in (damaged, bytes(damaged[:-9])):
                for use in (lqa.peft.load, lqa.peft.swap):
                    with self.assertRaises(lqa.LqaError):
                        use(model, source, "bad" if use is lqa.peft.load else "good")
            self.assertEqual(list(model.peft_config), ["good"])
            self.assertTrue(torch.equal(model(x), before))

    def test_swap(self) -> None:
        x = torch.randint(0, 50, (2, 7))
        base = self.base()
        # The second has the first's shapes; the others have other ranks, other layers, magnitudes, a saved module.
        configs = [self.CONFIGS[name] for name in ("usual", "usual", "patterns and rsLoRA", "DoRA", "DoRA", "embedding, convolution, head",
                                                   "usual")]
        configs[1] = configs[1] | {"lora_alpha": 5}
        configs[4] = configs[4] | {"lora_alpha": 7}
        model = None
        in_place = []
        for i, config in enumerate(configs):
            file = self.encoded(base, config)
            reference = lqa.peft.load(copy.deepcopy(base), file)
            if model is None:
                model = lqa.peft.load(copy.deepcopy(base), file)
            else:
                weights = {p.data_ptr() for name, p in model.named_parameters() if ".lora_" in name}
                lqa.peft.swap(model, file)
                in_place.append({p.data_ptr() for name, p in model.named_parameters() if ".lora_" in name} == weights)
            self.assertEqual((list(model.peft_config), model.active_adapters), (["default"], ["default"]))
            self.assertFalse(any(p.requires_grad for name, p in model.named_parameters() if ".lora_" in name))
            with torch.no_grad():
                self.assertTrue(torch.equal(model(x), reference(x)), i)
        self.assertEqual([in_place[0], in_place[3]], [True, True])
        with self.assertRaisesRegex(ValueError, "no adapter"):
            lqa.peft.swap(model, file, "other")
        model.merge_adapter()
        with self.assertRaisesRegex(ValueError, "merged"):
            lqa.peft.swap(model, file)

    def test_packed(self) -> None:
        """Layers that decode on use: the outputs of PEFT with the decoded adapter, to the last bit."""
        x = torch.randint(0, 50, (2, 7))
        base = self.base().eval()
        files = {name: self.encoded(base, self.CONFIGS[name], f"{name}.lqa") for name in ("usual", "patterns and rsLoRA")}
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            alone = copy.deepcopy(base).to(dtype)
            packed = lqa.peft.PackedLora(alone, dtype=dtype)
            for name, file in files.items():
                packed.add(name, file)
            with torch.no_grad():
                expected = {None: copy.deepcopy(base).to(dtype)(x)}
                for name, file in files.items():
                    model = lqa.peft.load(copy.deepcopy(base).to(dtype), file)
                    for layer in model.modules():  # PEFT keeps factors in float32 unless it is asked not to
                        if hasattr(layer, "lora_A"):
                            layer.lora_A.to(dtype), layer.lora_B.to(dtype)
                    expected[name] = model(x)
                for name in (None, *files, *reversed(files), None):
                    with packed.active(name):
                        self.assertTrue(torch.equal(alone(x), expected[name]), (dtype, name))
                    self.assertTrue(torch.equal(alone(x), expected[None]))
        self.assertEqual(packed.names, tuple(files))
        self.assertEqual(packed.packed_bytes, sum(file.stat().st_size for file in files.values()))
        packed.set_adapter("usual")
        packed.remove("usual")
        self.assertIsNone(packed.active_adapter)
        with torch.no_grad():
            self.assertTrue(torch.equal(alone(x), expected[None]))
        with self.assertRaises(KeyError):
            packed.set_adapter("usual")
        for name, kind in (("DoRA", "UNSUPPORTED_ROLE"), ("embedding, convolution, head", "UNSUPPORTED_ROLE")):
            with self.assertRaises(lqa.LqaError) as caught:
                packed.add(name, self.encoded(base, self.CONFIGS[name]))
            self.assertEqual(caught.exception.kind, kind)
        self.assertEqual(packed.names, ("patterns and rsLoRA",))

    def test_a_known_start(self) -> None:
        """An A that moved little from what PEFT drew: the encoder finds the seed, and the file loads in every way."""
        class Wide(nn.Module):
            config = {"model_type": "custom"}

            def __init__(self) -> None:
                super().__init__()
                self.layers = nn.ModuleList(nn.ModuleDict({"q_proj": nn.Linear(256, 256), "v_proj": nn.Linear(256, 256)}) for _ in range(3))

            def forward(self, x):
                for layer in self.layers:
                    x = torch.tanh(layer["v_proj"](torch.tanh(layer["q_proj"](x))))
                return x

        base, x = Wide().eval(), torch.randn(2, 256)
        torch.manual_seed(42)
        trained = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
        for name, parameter in trained.named_parameters():
            if parameter.requires_grad:
                parameter.data += torch.randn_like(parameter) * (0.002 if "lora_A" in name else 0.1)
        trained.save_pretrained(self.folder / "adapter")
        file, whole, decoded = (self.folder / name for name in ("x.lqa", "whole.lqa", "decoded"))
        run("encode", self.folder / "adapter", "-o", file)
        run("encode", self.folder / "adapter", "-o", whole, "--start", "none")
        self.assertEqual([path.read_bytes()[12] >> 5 for path in (file, whole)], [1, 0])  # required bit 5
        self.assertTrue(any(" start" in band.a for module in lqa.open(file).modules for band in module.bands))
        run("decode", file, "-o", decoded)
        with torch.no_grad():
            expected = peft.PeftModel.from_pretrained(copy.deepcopy(base), decoded).eval()(x)
            self.assertFalse(torch.equal(expected, base(x)))
            self.assertTrue(torch.equal(lqa.peft.load(copy.deepcopy(base), file)(x), expected))
            packed = lqa.peft.PackedLora(base)
            packed.add("start", file)
            with packed.active("start"):
                self.assertTrue(torch.equal(base(x), expected))
        from safetensors.torch import load_file
        for key, tensor in load_file(decoded / "adapter_model.safetensors").items():
            self.assertTrue(torch.equal(lqa.decode(file, torch.float32)[key], tensor), key)
            self.assertTrue(torch.equal(lqa.decode(file, torch.bfloat16)[key], tensor.bfloat16()), key)

    def test_installed_loaders(self) -> None:
        """PEFT's own functions take a file and a directory of the layout; everything else as before, and nothing before the call."""
        base, x = self.base(), torch.randint(0, 50, (2, 7))
        file = self.encoded(base, self.CONFIGS["usual"])
        directory = self.folder / "layout"
        directory.mkdir()
        shutil.copy(file, directory / "adapter_model.lqa")
        plain = peft.PeftModel.from_pretrained(copy.deepcopy(base), self.folder / "adapter")
        with self.assertRaises(Exception):
            peft.PeftModel.from_pretrained(copy.deepcopy(base), str(file))
        before = {name: vars(peft.PeftModel)[name] for name in ("from_pretrained", "load_adapter")}
        try:
            lqa.peft.install()
            first = vars(peft.PeftModel)["load_adapter"]
            lqa.peft.install()
            self.assertIs(vars(peft.PeftModel)["load_adapter"], first)
            with torch.no_grad():
                expected = lqa.peft.load(copy.deepcopy(base), file)(x)
                for source in (file, str(file), directory):
                    model = peft.PeftModel.from_pretrained(copy.deepcopy(base), source)
                    self.assertTrue(torch.equal(model(x), expected))
                    model.load_adapter(source, "second")
                    model.load_adapter(model_id=str(source), adapter_name="third", is_trainable=True)
                    model.set_adapter("third")
                    self.assertTrue(torch.equal(model.eval()(x), expected))
                with self.assertRaises(lqa.LqaError):
                    peft.PeftModel.from_pretrained(copy.deepcopy(base), self.folder / "absent.lqa")
                same = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(self.folder / "adapter"))
                self.assertTrue(torch.equal(same.eval()(x), plain.eval()(x)))
        finally:
            for name, method in before.items():
                setattr(peft.PeftModel, name, method)

    def test_the_lines_that_peft_would_need(self) -> None:
        """The change of docs/peft-layout.md, made to a copy of PEFT's function, loads the layout as the decoded directory."""
        import peft.peft_model
        from peft.utils import save_and_load

        base, x = self.base(), torch.randint(0, 50, (2, 7))
        layout, decoded = self.folder / "layout", self.folder / "decoded"
        run("encode", self.trained(base, self.CONFIGS["usual"]), "-o", layout, "--layout", "peft")
        run("decode", layout, "-o", decoded)
        with self.assertRaises(Exception):
            peft.PeftModel.from_pretrained(copy.deepcopy(base), layout)
        source = changed(inspect.getsource(save_and_load.load_peft_weights), "load_peft_weights")
        exec(source, scope := dict(vars(save_and_load)))  # noqa: S102
        with mock.patch.object(peft.peft_model, "load_peft_weights", scope["load_peft_weights"]), torch.no_grad():
            models = [peft.PeftModel.from_pretrained(copy.deepcopy(base), path).eval()(x) for path in (layout, decoded)]
        self.assertTrue(torch.equal(*models))

    def test_the_examples_of_the_readme(self) -> None:
        base = self.base()
        for name in ("my-adapter", "fr", "de", "it"):
            self.encoded(base, self.CONFIGS["usual"], f"{name}.lqa")
        blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "integrations/python/README.md").read_text(), re.S)
        self.assertEqual(len(blocks), 4)
        # llama.cpp has a test of its own, test_gguf.
        blocks = [block for block in blocks if "xllamacpp" not in block]
        self.assertEqual(len(blocks), 3)
        front = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
        self.assertEqual(len(front), 1)  # its model comes from a hub: another in its place
        loading = re.compile(r"AutoModelForCausalLM\.from_pretrained\(.*\)|from transformers import AutoModelForCausalLM")
        blocks.append(loading.sub(lambda found: "" if "import" in found[0] else "base", front[0]))
        for block in blocks:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
                exec(block, {"base": self.base().eval(), "tokens": torch.randint(0, 50, (2, 7))})

    def test_patterns_of_a_file_reach_no_regular_expression(self) -> None:
        base = self.base()
        file = self.encoded(base, self.CONFIGS["usual"])
        opened = lqa.open(file)
        slow = "(([a-z._0-9]+)+)+X"
        hostile = json.loads(opened.origin["config"]) | {
            "target_modules": slow, "exclude_modules": slow, "layers_pattern": slow, "rank_pattern": {slow: 3}, "alpha_pattern": {slow: 3}}
        opened.__dict__["origin"] = {**opened.origin, "config": json.dumps(hostile)}
        self.assertNotIn(slow, str(lora_config(opened)))
        x = torch.randint(0, 50, (2, 7))
        with torch.no_grad():
            model = lqa.peft.load(copy.deepcopy(base), opened)
            self.assertTrue(torch.equal(model(x), lqa.peft.load(copy.deepcopy(base), file)(x)))

    def test_files_of_torch_and_numpy(self) -> None:
        """What torch.save and numpy.savez really write is read as what it is."""
        path = self.trained(self.base(), self.CONFIGS["usual"])
        from safetensors.torch import load_file
        weights = load_file(path / "adapter_model.safetensors")
        weights = {k: (v.half() if i % 3 == 0 else v.bfloat16() if i % 3 == 1 else v) for i, (k, v) in enumerate(weights.items())}
        turned = next(iter(weights))
        weights[turned] = weights[turned].t().contiguous().t()
        for form in (True, False):
            folder, out = self.folder / f"torch-{form}", self.folder / f"out-{form}"
            folder.mkdir()
            shutil.copy(path / "adapter_config.json", folder)
            torch.save({k: nn.Parameter(v) if form else v for k, v in weights.items()}, folder / "adapter_model.bin",
                       _use_new_zipfile_serialization=form)
            run("convert", folder, out, "--to", "peft")
            found = load_file(out / "adapter_model.safetensors")
            self.assertEqual(sorted(found), sorted(weights))
            for key, tensor in weights.items():
                self.assertEqual(found[key].dtype, tensor.dtype)
                self.assertTrue(torch.equal(found[key], tensor), key)
        mlx = self.folder / "mlx"
        mlx.mkdir()
        a, b = np.random.randn(32, 4).astype(np.float16), np.random.randn(4, 16).astype(np.float32)
        (mlx / "adapter_config.json").write_text(json.dumps({"lora_parameters": {"scale": 3.0, "rank": 4}}))
        for save in (np.savez, np.savez_compressed):
            save(mlx / "adapters.npz", **{"layers.0.v_proj.lora_a": a, "layers.0.v_proj.lora_b": b})
            run("convert", mlx, self.folder / "npz", "--to", "peft", "--force")
            found = load_file(self.folder / "npz" / "adapter_model.safetensors")
            self.assertTrue(np.array_equal(found["base_model.model.layers.0.v_proj.lora_A.weight"].numpy(), a.T.astype(np.float32)))
            self.assertTrue(np.array_equal(found["base_model.model.layers.0.v_proj.lora_B.weight"].numpy(), b.T))

    def test_pickles_with_code_are_refused_and_not_run(self) -> None:
        path = self.trained(self.base(), self.CONFIGS["usual"])
        owned = self.folder / "owned"

        class Evil:
            def __reduce__(self):
                import os
                return os.system, (f"touch {owned}",)

        (path / "adapter_model.safetensors").unlink()
        for form in (True, False):
            torch.save({"base_model.model.x.lora_A.weight": torch.ones(1), "evil": Evil()}, path / "adapter_model.bin",
                       _use_new_zipfile_serialization=form)
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.encode(path, self.folder / "x.lqa")
            self.assertEqual((caught.exception.kind, caught.exception.exit_code), ("UNSAFE_PICKLE", 1))
            self.assertIn("posix.system", str(caught.exception))
            self.assertFalse(owned.exists())


if __name__ == "__main__":
    unittest.main()
