"""The functions of a real ComfyUI that the nodes rely on, with the cases of the tests: an .lqa file and the decoded safetensors file give
the same patched weights, bit for bit, under every naming.

    cd PATH/TO/ComfyUI && venv/bin/python PATH/TO/integrations/comfyui/check.py

Run it with the Python of ComfyUI, in its folder, after the package was installed there with the extra `encode`. The models have ComfyUI's
classes and the names of real layers, and small random weights. Exit code 1 if anything differs.
"""
import os
import sys
import tempfile
import types
from pathlib import Path

sys.path[:0] = [os.getcwd(), str(Path(__file__).resolve().parents[1] / "python" / "tests")]
import torch  # noqa: E402
from comfyui_cases import CASES, adapter_of, weights_of  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from support import run  # noqa: E402

sys.argv = [sys.argv[0], "--cpu"]  # ComfyUI reads the command line when it is imported
import comfy.lora  # noqa: E402
import comfy.lora_convert  # noqa: E402
import comfy.model_base as model_base  # noqa: E402
import comfy.utils  # noqa: E402
from lqa.comfyui import state_dict  # noqa: E402

# The fields of configurations from which ComfyUI makes diffusers' names of layers.
SD15 = {"num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1] * 9 + [0] * 3, "transformer_depth_middle": 1}
SDXL = {"num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "transformer_depth_middle": 10}
KINDS = {"SD 1.5": (model_base.BaseModel, SD15), "SDXL": (model_base.SDXL, SDXL),
         "Flux": (model_base.Flux, {"depth": 1, "depth_single_blocks": 1, "hidden_size": 24}), "Wan": (model_base.WAN21, {}),
         "Qwen-Image": (model_base.QwenImage, {})}


def patched(tensors: dict, keys: dict, weights: dict) -> dict:
    """The weights with a LoRA at a strength of 0.75."""
    found = {}
    for key, patch in comfy.lora.load_lora(comfy.lora_convert.convert_lora(tensors), keys).items():
        name = key if isinstance(key, str) else key[0]
        found[name] = comfy.lora.calculate_weight([(0.75, patch, 1.0, None, None)], weights[name].clone(), key)
    return found


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, case in CASES.items():
            base, config = next(kind for start, kind in KINDS.items() if what.startswith(start))
            weights = weights_of(case)
            of_model, of_clip = ({key: each for key, each in weights.items() if key.startswith("clip_") == clip} for clip in (False, True))
            model = object.__new__(type("Small", (base,), {"state_dict": lambda self, held=of_model: held}))
            object.__setattr__(model, "model_config", types.SimpleNamespace(unet_config=config))
            keys = comfy.lora.model_lora_keys_unet(model, {})
            keys = comfy.lora.model_lora_keys_clip(types.SimpleNamespace(state_dict=lambda held=of_clip: held), keys)
            save_file(adapter_of(case), folder / "made.safetensors")
            run("encode", folder / "made.safetensors", "-o", folder / "x.lqa", "--profile", "rtn", "--code-bits", "4", "--force")
            run("decode", folder / "x.lqa", "-o", folder / "x.safetensors", "--force")
            ours = patched(state_dict(folder / "x.lqa", keys), keys, weights)
            theirs = patched(comfy.utils.load_torch_file(str(folder / "x.safetensors"), safe_load=True), keys, weights)
            same = ours.keys() == theirs.keys() == weights.keys() and all(
                torch.equal(ours[key], theirs[key]) and not torch.equal(ours[key], weights[key]) for key in weights)
            failed += not same
            print(f"{what}: {len(ours)} weights {'equal' if same else 'DIFFERENT'}", flush=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
