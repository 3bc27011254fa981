"""The same adapter as an .lqa file and as what `lqa decode` writes, in diffusers, transformers and mlx-lm: the same outputs, bit for bit.

The models are small and random. Needs those packages, and what lqa.encode needs.
"""
import sys
import tempfile
import unittest
from pathlib import Path

import lqa
from support import REPOSITORY, absent, run

PROGRAMS = REPOSITORY / "test" / "interop" / "programs"
NO_DIFFUSERS, NO_TRANSFORMERS = absent("diffusers", "peft", "transformers", "lycoris"), absent("peft", "transformers", "torch")
NO_MLX = absent("mlx_lm", "peft", "transformers", "torch")
sys.path.insert(0, str(PROGRAMS))
if not NO_TRANSFORMERS:
    import torch
    import transformers.integrations.peft

    # transformers 5.24 asks for a PEFT that is not released yet; what is used of it is in 0.21.
    transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"


QUANTIZED = ("--profile", "rtn", "--code-bits", "2")


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def refused(self, kind: str, call, *arguments) -> None:
        with self.assertRaises(lqa.LqaError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.kind, kind, caught.exception)


@unittest.skipIf(NO_DIFFUSERS, NO_DIFFUSERS)
class Diffusers(Folder):
    """Stable Diffusion 1 and XL, and Flux, of a few channels."""

    ATTENTION = dict(r=4, lora_alpha=5, target_modules=["to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "time_emb_proj"],
                     rank_pattern={"to_v": 2}, alpha_pattern={"to_k": 3})
    TEXT = dict(r=3, lora_alpha=7, target_modules=["q_proj", "v_proj", "out_proj", "fc1"])

    def both(self, new, output, weights: Path, *words: object) -> Path:
        """Outputs with the adapter from an .lqa file, from what diffusers loads of the decoded file, and without."""
        file, again = self.folder / "x.lqa", self.folder / "again"
        run("encode", weights, "-o", file, "--force", *QUANTIZED)
        run("decode", file, "-o", again, "--force", *words)
        ours, theirs = new(), new()
        plain = output(ours)
        lqa.diffusers.load(ours, file, "style")
        theirs.load_lora_weights(str(again), weight_name=next(again.iterdir()).name, adapter_name="style")
        have, want = output(ours), output(theirs)
        self.assertEqual(have.tobytes(), want.tobytes())
        self.assertGreater(abs(have - plain).max() / abs(plain).max(), 0.05)
        # The multiplier survives what diffusers does with it.
        for pipe in (ours, theirs):
            pipe.set_adapters(["style"], [0.5])
        self.assertEqual(output(ours).tobytes(), output(theirs).tobytes())
        ours.unload_lora_weights()
        self.assertEqual(output(ours).tobytes(), plain.tobytes())
        return file

    def saved(self, pipe, **text) -> Path:
        import diffusion

        diffusion.random_adapter(pipe, self.ATTENTION, text or None)
        return diffusion.save(pipe, self.folder / "made")

    def test_stable_diffusion(self) -> None:
        import diffusion

        for xl in (False, True):
            with self.subTest(xl=xl):
                self.both(lambda: diffusion.small_pipeline(xl), diffusion.output, self.saved(diffusion.small_pipeline(xl), **self.TEXT))

    def test_dora_and_kohya(self) -> None:
        import diffusion

        def new():
            return diffusion.small_pipeline(False)

        made = new()
        diffusion.random_adapter(made, dict(r=4, lora_alpha=6, target_modules=diffusion.ATTENTION, use_dora=True), None)
        weights = diffusion.save(made, self.folder / "dora")
        self.both(new, diffusion.output, weights)
        made = new()
        # As a file of diffusers it has no place for multipliers: of 2 they are folded into B exactly.
        diffusion.random_adapter(made, dict(r=4, lora_alpha=8, target_modules=diffusion.ATTENTION), None)
        run("convert", diffusion.save(made, self.folder / "plain"), self.folder / "kohya.safetensors", "--to", "kohya")
        self.both(new, diffusion.output, self.folder / "kohya.safetensors", "--to", "diffusers")

    def test_flux(self) -> None:
        import diffusion
        from diffusers import FluxPipeline, FluxTransformer2DModel
        from peft import LoraConfig

        def new():
            torch.manual_seed(3)
            model = FluxTransformer2DModel(patch_size=1, in_channels=4, num_layers=1, num_single_layers=2, attention_head_dim=16,
                                           num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
                                           axes_dims_rope=(4, 4, 8)).eval()
            return FluxPipeline(scheduler=None, vae=None, text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None,
                                transformer=model)

        def output(pipe):
            generator = torch.Generator().manual_seed(9)
            noise, text, pooled = (torch.randn(*shape, generator=generator) for shape in ((1, 16, 4), (1, 7, 32), (1, 32)))
            with torch.no_grad():
                return pipe.transformer(hidden_states=noise, encoder_hidden_states=text, pooled_projections=pooled,
                                        timestep=torch.tensor([0.5]), img_ids=torch.rand(16, 3, generator=generator),
                                        txt_ids=torch.zeros(7, 3)).sample.numpy()

        made = new()
        made.transformer.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=["to_q", "to_k", "add_v_proj", "to_out.0", "proj_mlp"],
                                                rank_pattern={"proj_mlp": 2}))
        diffusion.randomize(made.transformer)
        from diffusers.training_utils import _collate_lora_metadata
        from peft.utils import get_peft_model_state_dict

        FluxPipeline.save_lora_weights(self.folder / "made", transformer_lora_layers=get_peft_model_state_dict(made.transformer),
                                       **_collate_lora_metadata({"transformer": made.transformer}))
        self.both(new, output, self.folder / "made" / "pytorch_lora_weights.safetensors")

    def test_what_does_not_fit(self) -> None:
        import diffusion

        pipe = diffusion.small_pipeline(False)
        plain = diffusion.output(pipe)
        file = self.folder / "xl.lqa"
        run("encode", self.saved(diffusion.small_pipeline(True), **self.TEXT), "-o", file)
        self.refused("BASE_MODULE_MISSING", lqa.diffusers.load, pipe, file)
        data = bytearray(file.read_bytes())
        data[-200] ^= 1
        with self.assertRaises(lqa.LqaError):
            lqa.diffusers.load(pipe, bytes(data))
        self.assertEqual(pipe.get_list_adapters(), {})
        self.assertEqual(diffusion.output(pipe).tobytes(), plain.tobytes())


@unittest.skipIf(NO_TRANSFORMERS, NO_TRANSFORMERS)
class Transformers(Folder):
    def base(self):
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(6)
        return LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                                            num_key_value_heads=2, vocab_size=100, tie_word_embeddings=False, initializer_range=0.2)).eval()

    def encoded(self, name: str, **config) -> Path:
        import peft

        model = peft.get_peft_model(self.base(), peft.LoraConfig(**config))
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn_like(parameter) * 0.3 + (1 if "magnitude" in key else 0)
        model.save_pretrained(self.folder / f"{name}-made")
        run("encode", self.folder / f"{name}-made", "-o", self.folder / f"{name}.lqa", *QUANTIZED)
        run("decode", self.folder / f"{name}.lqa", "-o", self.folder / name)
        return self.folder / f"{name}.lqa"

    def test_the_same_as_the_directory(self) -> None:
        """As transformers loads it; of DoRA as PEFT loads it, because transformers 5.24 leaves out the magnitudes of directories."""
        import peft

        tokens = torch.randint(0, 100, (2, 9))
        ours, theirs = self.base(), self.base()
        with torch.no_grad():
            plain = ours(tokens).logits
            for name, config in (("usual", dict(r=8, lora_alpha=11, target_modules=["q_proj", "down_proj"])),
                                 ("patterns", dict(r=8, lora_alpha=5, use_rslora=True, target_modules=["k_proj", "v_proj"],
                                                   rank_pattern={"v_proj": 3}, alpha_pattern={"layers.1.self_attn.k_proj": 7})),
                                 ("dora", dict(r=4, target_modules=["o_proj"], use_dora=True)),
                                 ("head", dict(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"]))):
                with self.subTest(name):
                    lqa.transformers.load(ours, self.encoded(name, **config), name)
                    ours.set_adapter(name)
                    if name == "dora":
                        want = peft.PeftModel.from_pretrained(self.base(), self.folder / name).eval()(tokens).logits
                    else:
                        theirs.load_adapter(str(self.folder / name), adapter_name=name)
                        theirs.set_adapter(name)
                        want = theirs(tokens).logits
                    self.assertTrue(torch.equal(ours(tokens).logits, want))
                    self.assertFalse(torch.allclose(ours(tokens).logits, plain, atol=1e-2))
        with self.assertRaisesRegex(ValueError, "delete_adapter"):
            lqa.transformers.load(ours, self.folder / "usual.lqa", "usual")

    def test_what_does_not_fit(self) -> None:
        file = self.encoded("usual", r=8, target_modules=["q_proj"])
        model = self.base()
        model.model.layers = model.model.layers[:1]
        before = sorted(model.state_dict())
        self.refused("BASE_MODULE_MISSING", lqa.transformers.load, model, file)
        with self.assertRaises(lqa.LqaError):
            lqa.transformers.load(model, file.read_bytes()[:-3])
        self.assertEqual(sorted(model.state_dict()), before)
        lqa.transformers.load(self.base(), file)


@unittest.skipIf(NO_MLX, NO_MLX)
class Mlx(Folder):
    def test_the_same_as_the_directory(self) -> None:
        import mlx_models
        from mlx_lm.utils import load_model

        kinds = {"llama": {"all": dict(keys=None), "some": dict(keys=["self_attn.q_proj", "self_attn.v_proj"]),
                           "dora": dict(keys=["self_attn.q_proj"], dora=True),
                           "embedding": dict(keys=["model.embed_tokens", "self_attn.v_proj"])}, "mixtral": {"experts": dict(keys=None)}}
        for base, adapters in kinds.items():
            place = self.folder / base
            mlx_models.save_model(getattr(mlx_models, base.upper()), place)
            plain = mlx_models.output(place)
            model, _ = load_model(place, lazy=False)  # one model, switched from adapter to adapter
            for name, options in adapters.items():
                with self.subTest(name):
                    mlx_models.trained(self.folder / f"{name}-made", place, **options)
                    run("encode", self.folder / f"{name}-made", "-o", self.folder / f"{name}.lqa", *QUANTIZED)
                    run("decode", self.folder / f"{name}.lqa", "-o", self.folder / name)
                    want = mlx_models.output(place, self.folder / name)
                    self.assertIs(lqa.mlx.load(model, self.folder / f"{name}.lqa"), model)
                    self.assertEqual(self.output(model).tobytes(), want.tobytes())
                    self.assertGreater(abs(want - plain).max() / abs(plain).max(), 0.05)

    def output(self, model):
        import mlx.core as mx
        import numpy as np

        model.eval()
        return np.array(model(mx.array([[3, 14, 15, 92, 65], [35, 89, 79, 32, 38]])).astype(mx.float32), np.float64)

    def test_from_peft_and_what_does_not_fit(self) -> None:
        """Two ranks and multipliers, for which a directory of mlx-lm has no place: as the merged weights, but for rounding."""
        import mlx_models
        import numpy as np
        import peft
        import safetensors.numpy
        from mlx_lm.utils import load_model
        from transformers import LlamaConfig, LlamaForCausalLM

        place, file = self.folder / "llama", self.folder / "x.lqa"
        mlx_models.save_model(mlx_models.LLAMA, place)
        fields = {key: value for key, value in mlx_models.LLAMA.items() if key not in ("model_type", "architectures", "rope_theta")}
        model = peft.get_peft_model(LlamaForCausalLM(LlamaConfig(**fields)), peft.LoraConfig(
            r=8, lora_alpha=12, target_modules=["q_proj", "k_proj", "down_proj"], rank_pattern={"k_proj": 4}, alpha_pattern={"down_proj": 3}))
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = 0.2 * torch.randn_like(parameter)
        model.save_pretrained(self.folder / "peft")
        run("encode", self.folder / "peft", "-o", file, *QUANTIZED)
        weights = safetensors.numpy.load_file(place / "model.safetensors")
        for module in lqa.open(file).decode_all():
            weights[f"{module.name}.weight"] = weights[f"{module.name}.weight"] + module.delta().astype(np.float32)
        (self.folder / "merged").mkdir()
        safetensors.numpy.save_file(weights, self.folder / "merged" / "model.safetensors", {"format": "mlx"})
        (self.folder / "merged" / "config.json").write_bytes((place / "config.json").read_bytes())
        ours, _ = load_model(place, lazy=False)
        lqa.mlx.load(ours, file)
        have, want = self.output(ours), mlx_models.output(self.folder / "merged")
        self.assertLess(abs(have - want).max() / abs(want).max(), 1e-5)

        for kind, changes in (("BASE_MODULE_MISSING", {"num_hidden_layers": 1}), ("BASE_SHAPE", {"hidden_size": 32})):
            place = self.folder / kind
            mlx_models.save_model(mlx_models.LLAMA | changes, place)
            small, _ = load_model(place, lazy=False)
            self.refused(kind, lqa.mlx.load, small, file)
            self.assertEqual(self.output(small).tobytes(), mlx_models.output(place).tobytes())


if __name__ == "__main__":
    unittest.main()
