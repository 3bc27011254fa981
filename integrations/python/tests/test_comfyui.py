"""The nodes of integrations/comfyui against a stand-in for ComfyUI: the patched weights of an .lqa file are those of the decoded safetensors
file, bit for bit, by every naming of CASES."""
import importlib.util
import tempfile
import unittest
from pathlib import Path

import lqa
from comfyui_cases import CASES, adapter_of, weights_of
from comfyui_standin import Patcher, installed
from support import REPOSITORY, absent, run

REASON = absent("safetensors", "torch")
if not REASON:
    import torch
    from safetensors.torch import save_file

    from lqa.comfyui import alpha_of, names_of, state_dict

# Of layers whose names in diffusers are not those of ComfyUI's weights, as comfy.utils.unet_to_diffusers has them.
DIFFUSERS = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
             "lora_unet_down_blocks_0_resnets_0_conv1": "input_blocks.1.0.in_layers.2",
             "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q": "input_blocks.4.1.transformer_blocks.0.attn1.to_q"}


@unittest.skipIf(REASON, REASON)
class Nodes(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.loras = self.folder / "loras"
        self.loras.mkdir()
        comfyui = installed(self.loras)
        comfyui.__enter__()
        self.addCleanup(comfyui.__exit__, None, None, None)
        spec = importlib.util.spec_from_file_location("lqa_nodes", REPOSITORY / "integrations" / "comfyui" / "__init__.py")
        self.nodes = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.nodes)

    def models(self, case) -> tuple[Patcher, Patcher]:
        weights = weights_of(case)
        aliases = {name: f"diffusion_model.{path}.weight" for name, path in DIFFUSERS.items() if f"diffusion_model.{path}.weight" in weights}
        return (Patcher({key: value for key, value in weights.items() if key.startswith("diffusion_model.")}, aliases),
                Patcher({key: value for key, value in weights.items() if key.startswith("clip_")}))

    def encoded(self, case, name: str = "style") -> None:
        """NAME.lqa, and NAME.safetensors that lqa decode writes of it."""
        save_file(adapter_of(case), self.folder / "made.safetensors")
        run("encode", self.folder / "made.safetensors", "-o", self.loras / f"{name}.lqa", "--profile", "rtn", "--code-bits", "4", "--force")
        run("decode", self.loras / f"{name}.lqa", "-o", self.loras / f"{name}.safetensors", "--force")

    def test_every_naming(self) -> None:
        for what, case in CASES.items():
            with self.subTest(what):
                self.encoded(case)
                node, (model, clip) = self.nodes.LoadLoraLqa(), self.models(case)
                ours = node.load_lora(model, clip, "style.lqa", 0.75, -0.5)
                theirs = node.load_lora(model, clip, "style.safetensors", 0.75, -0.5)
                for mine, other, plain in zip(ours, theirs, (model, clip)):
                    have, want = mine.patched(), other.patched()
                    for key, weight in want.items():
                        self.assertFalse(torch.equal(weight, plain.weights[key]), f"{key} is not changed")
                        self.assertTrue(torch.equal(have[key], weight), key)

    def test_lists(self) -> None:
        """.lqa files are listed in the nodes, and only there."""
        import folder_paths

        for name in ("b.lqa", "a.safetensors", "c.txt"):
            (self.loras / name).write_bytes(b"")
        inputs = self.nodes.NODE_CLASS_MAPPINGS["LoadLoraLqa"].INPUT_TYPES()["required"]
        self.assertEqual(inputs["lora_name"], (["a.safetensors", "b.lqa"],))
        self.assertEqual(list(inputs), ["model", "clip", "lora_name", "strength_model", "strength_clip"])
        self.assertEqual(list(self.nodes.LoadLoraLqaModelOnly.INPUT_TYPES()["required"]), ["model", "lora_name", "strength_model"])
        self.assertEqual(folder_paths.get_filename_list("loras"), ["a.safetensors"])

    def test_without_text_encoders_and_without_strength(self) -> None:
        case = CASES["Wan"]
        self.encoded(case)
        node, (model, _) = self.nodes.LoadLoraLqaModelOnly(), self.models(case)
        (ours,), (theirs,) = (node.load_lora_model_only(model, f"style.{end}", 1.0) for end in ("lqa", "safetensors"))
        for key, weight in theirs.patched().items():
            self.assertTrue(torch.equal(ours.patched()[key], weight), key)
        self.assertEqual(node.load_lora(model, None, "style.lqa", 0, 0), (model, None))

    def test_tensors_are_kept_until_the_file_changes(self) -> None:
        case = CASES["Flux, kohya"]
        self.encoded(case)
        node, (model, clip) = self.nodes.LoadLoraLqa(), self.models(case)
        node.load_lora(model, clip, "style.lqa", 1.0, 1.0)
        first = node.loaded[1]
        node.load_lora(model, clip, "style.lqa", 0.5, 1.0)
        self.assertIs(node.loaded[1], first)
        self.encoded(case | {"alpha": 2.0})
        node.load_lora(model, clip, "style.lqa", 1.0, 1.0)
        self.assertIsNot(node.loaded[1], first)

    def test_what_is_refused(self) -> None:
        self.encoded(CASES["Wan"])
        model, clip = self.models(CASES["Flux, kohya"])
        node = self.nodes.LoadLoraLqa()
        with self.assertRaises(lqa.LqaError) as caught:
            node.load_lora(model, clip, "style.lqa", 1.0, 1.0)
        self.assertEqual(caught.exception.kind, "BASE_MODULE_MISSING")
        data = bytearray((self.loras / "style.lqa").read_bytes())
        data[-200] ^= 1
        (self.loras / "damaged.lqa").write_bytes(data)
        with self.assertRaises(lqa.LqaError):
            node.load_lora(*self.models(CASES["Wan"]), "damaged.lqa", 1.0, 1.0)
        self.assertIsNone(node.loaded)
        with self.assertRaises(FileNotFoundError):
            node.load_lora(model, clip, "absent.lqa", 1.0, 1.0)

    def test_names_and_types(self) -> None:
        self.assertEqual(names_of("unet.a.b")[:2], ("lora_unet_a_b", "diffusion_model.a.b"))
        self.assertEqual(names_of("blocks.0.q")[0], "lora_unet_blocks_0_q")
        self.assertEqual(names_of("text_encoder_2.x.y")[0], "lora_te2_x_y")
        self.encoded(CASES["SD 1.5, kohya"])
        file = lqa.open(self.loras / "style.lqa")
        self.assertEqual({each.dtype for key, each in state_dict(file).items() if "lora_" in key.rpartition(".lora_")[1]}, {torch.float16})
        self.assertEqual({each.dtype for key, each in state_dict(file, dtype=torch.float32).items() if not key.endswith("alpha")}, {torch.float32})
        for module in file.modules:
            self.assertEqual(alpha_of(module), 3.0)
