"""The package against the pure reader of the conformance suite, and in real PEFT models.

    PYTHONPATH=integrations/python/src python -m unittest discover integrations/python/tests

Needs numpy; the tests with PEFT need it, torch, node and a built library (npm run build), and are skipped without.
"""
import copy
import io
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import lqa
from lqa.decode import decode_factors
from lqa.reader import lqa_reader

REPOSITORY = Path(__file__).resolve().parents[3]
MAIN = REPOSITORY / "dist" / "cli" / "main.js"
try:
    import peft
    import torch
    from torch import nn
    REASON = "" if shutil.which("node") and MAIN.is_file() else "node or the built library is absent"
except ImportError as error:
    REASON = str(error)
if REASON:
    print(f"skipped: tests with PEFT: {REASON}")

SOUND = [*REPOSITORY.glob("conformance/gold/**/*.lqa"), REPOSITORY / "spec" / "example.lqa"]


class Decoding(unittest.TestCase):
    def test_same_floats_as_the_pure_reader(self) -> None:
        suite = REPOSITORY / "conformance/suite"
        # Files at the limits have up to a million planes, which says nothing about floats.
        files = [path for path in suite.glob("**/*.lqa") if "limits" not in path.parts] + [*SOUND]
        seen: set[tuple] = set()
        compared = 0
        for path in files:
            data = path.read_bytes()
            pure: dict[tuple[str, str], bytearray] = {}
            found: list[tuple[str, np.ndarray, np.ndarray]] = []

            def sink(module, factor, piece):
                pure.setdefault((module.name, factor), bytearray()).extend(piece)

            def take(adapter, item, payload):
                if isinstance(item, lqa_reader.Module) and lqa_reader.Payload(None, item, b"", "").size() <= 1 << 26:
                    seen.update((e.codec, e.bits, e.table, e.rotation) for e in adapter.encodings)
                    found.append((item.name, *decode_factors(adapter.encodings, item, payload)))

            try:
                lqa_reader.read(io.BytesIO(data), "values", 1 << 26, sink, None, take)
            except lqa_reader.LqaError:
                self.assertNotIn(path, SOUND)
                continue
            for name, b, a in found:
                self.assertEqual(b.tobytes(), bytes(pure[name, "b"]), (path.name, name))
                self.assertEqual(a.tobytes(), bytes(pure[name, "a"]), (path.name, name))
                compared += 1
        print(f"\n{compared} modules with {len(seen)} encodings decode to the same bytes")
        self.assertGreater(compared, 50)
        self.assertEqual({codec for codec, *_ in seen}, {0, 1, 2, 3, 4})
        self.assertIn(1, {rotation for *_, rotation in seen})

    def test_broken_files_are_refused(self) -> None:
        data = (REPOSITORY / "spec" / "example.lqa").read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.lqa"
            for at in (0, 70, len(data) // 2, len(data) - 40):
                path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
                with self.assertRaises(lqa.LqaError):
                    lqa.load_lqa(path)
            path.write_bytes(data[:-1])
            with self.assertRaises(lqa.LqaError):
                lqa.load_lqa(path)
            path.write_bytes(data)
            with self.assertRaises(lqa.LqaError):
                lqa.read_lqa(path, budget=16)
        with self.assertRaises(FileNotFoundError):
            lqa.load_lqa("absent.lqa")

    def test_delta(self) -> None:
        roles = set()
        for path in SOUND:
            for module in lqa.read_lqa(path).modules:
                b, a, scale = module.b.astype(np.float64), module.a.astype(np.float64), module.multiplier
                expected, size = scale * (b @ a), abs(scale) * (abs(b) @ abs(a))
                delta = module.delta().reshape(expected.shape)
                # Each of the products, their sums, and the multiplication rounds once, to 24 bits or to the smallest number; files
                # with the largest numbers there are have products beyond binary32.
                bound = (module.rank + 2) * (2**-24 * size + 2.0**-149)
                fits = abs(b) @ abs(a) < 2.0**127
                self.assertTrue((abs(delta - expected)[fits] <= bound[fits]).all(), (path.name, module.name))
                roles.add((module.role, module.experts > 1))
        self.assertLessEqual({("linear", False), ("linear", True), ("conv2d", False), ("embedding", False)}, roles)

    def test_needs_numpy_alone(self) -> None:
        """Without safetensors, torch and PEFT, as `pip install` without extras leaves it."""
        code = ("import sys\nfor name in ('safetensors', 'torch', 'peft', 'transformers'): sys.modules[name] = None\n"
                "import lqa; state = lqa.load_lqa(sys.argv[1]); print(sorted(state), all(v.any() for v in state.values()))")
        words = [sys.executable, "-c", code, REPOSITORY / "spec" / "example.lqa"]
        result = subprocess.run(words, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path(lqa.__file__).parents[1])})
        self.assertEqual(result.returncode, 0, result.stderr)
        prefix = "base_model.model.q"
        self.assertEqual(result.stdout.strip(), f"{[f'{prefix}.base_layer.bias', f'{prefix}.lora_A.weight', f'{prefix}.lora_B.weight']} True")


def run(*words: object) -> None:
    result = subprocess.run(["node", str(MAIN), *map(str, words)], capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(f"lqa {words[0]}: {result.stderr}")


@unittest.skipIf(REASON, REASON)
class WithPeft(unittest.TestCase):
    """Adapters that real PEFT made, through .lqa files, into real PEFT models."""

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
                return self.score(self.conv(x.transpose(1, 2)).transpose(1, 2))

        Model.get_input_embeddings = lambda model: model.embed_tokens
        Model.get_output_embeddings = lambda model: None
        return Model()

    CONFIGS = {
        "usual": dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]),
        "patterns and rsLoRA": dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "o_proj"], use_rslora=True,
                                    rank_pattern={"layers.1.q_proj": 4}, alpha_pattern={"v_proj": 7}),
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
                    run("decode", file, "-o", decoded, "--force")
                    if profile == "raw":
                        for each in ("adapter_config.json", "adapter_model.safetensors"):
                            self.assertEqual((decoded / each).read_bytes(), (path / each).read_bytes(), each)
                    reference = peft.PeftModel.from_pretrained(copy.deepcopy(base), decoded).eval()
                    model = lqa.load_peft_model(copy.deepcopy(base), file)
                    with torch.no_grad():
                        self.assertTrue(torch.equal(model(x), reference(x)))
                        self.assertFalse(torch.equal(model(x), base.eval()(x)))
                    state = lqa.load_lqa(file, "torch")
                    from safetensors.torch import load_file
                    expected = load_file(decoded / "adapter_model.safetensors")
                    self.assertEqual(sorted(state), sorted(expected))
                    for key, tensor in expected.items():
                        self.assertTrue(torch.equal(state[key], tensor), key)
                    for key, array in lqa.load_lqa(file).items():
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
                model = lqa.load_peft_model(copy.deepcopy(base), file)
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
        with self.assertRaisesRegex(ValueError, "came from kohya.*--to peft"):
            lqa.load_peft_model(self.base(), self.folder / "kohya.lqa")

    def test_the_multiplier_is_the_file_s(self) -> None:
        """Whatever the configuration beside it says."""
        file = self.folder / "x.lqa"
        run("encode", self.trained(self.base(), self.CONFIGS["usual"]), "-o", file)
        adapter = lqa.read_lqa(file)
        config = json.loads(adapter.origin["config"]) | {"lora_alpha": 1}
        adapter.origin["config"] = json.dumps(config).encode()
        model = lqa.load_peft_model(self.base(), adapter)
        scalings = [m.scaling["default"] for m in model.modules() if hasattr(m, "scaling")]
        self.assertEqual(scalings, [2.0] * 6)

    def test_models_that_do_not_fit(self) -> None:
        path = self.trained(self.base(), self.CONFIGS["usual"])
        file = self.folder / "x.lqa"
        run("encode", path, "-o", file)
        other = self.base()
        other.layers = other.layers[:2]
        with self.assertRaisesRegex(ValueError, "no place for"):
            lqa.load_peft_model(other, file)
        more = self.base()
        more.layers.append(copy.deepcopy(more.layers[0]))
        with self.assertRaisesRegex(ValueError, "has no tensors for"):
            lqa.load_peft_model(more, file)

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
            result = subprocess.run(["node", str(MAIN), "encode", str(path), "-o", str(self.folder / "x.lqa")],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, r"(?s)UNSAFE_PICKLE.*posix\.system")
            self.assertFalse(owned.exists())


if __name__ == "__main__":
    unittest.main()
