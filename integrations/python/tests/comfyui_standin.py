"""What the nodes of integrations/comfyui touch of ComfyUI, as small as it can be: names, arguments, and what is computed from them.

ComfyUI is no package, and too big for each run of the tests; integrations/comfyui/check.py compares the same cases in a real one.
"""
import os
import sys
import types
from contextlib import contextmanager
from pathlib import Path

CLIP = ("clip_l", "clip_g")


def model_lora_keys_unet(model, key_map):
    """ComfyUI also has kohya's names of diffusers' layers; those of the cases are in `model.aliases`."""
    for key in model.state_dict():
        path = key.removeprefix("diffusion_model.").removesuffix(".weight")
        key_map[f"lora_unet_{path.replace('.', '_')}"] = key
        key_map[f"diffusion_model.{path}"] = key
        if path.startswith("transformer_blocks."):  # Qwen-Image
            key_map[path] = key_map[f"transformer.{path}"] = key
    return key_map | model.aliases


def model_lora_keys_clip(model, key_map):
    for key in model.state_dict():
        encoder, _, path = key.removesuffix(".weight").partition(".transformer.")
        key_map[f"lora_te{1 + CLIP.index(encoder)}_{path.replace('.', '_')}"] = key
        if encoder == "clip_l":
            key_map[f"lora_te_{path.replace('.', '_')}"] = key
    return key_map


class Patcher:
    """A model with patches: `comfy.model_patcher.ModelPatcher`, or a `CLIP` around one."""

    def __init__(self, weights, aliases=None) -> None:
        self.weights, self.patches = weights, []
        self.model = self.cond_stage_model = types.SimpleNamespace(state_dict=lambda: self.weights, aliases=aliases or {})

    def patched(self):
        result = dict(self.weights)
        for key, (up, down, alpha), strength in self.patches:
            if key in result:
                scale = 1.0 if alpha is None else alpha / down.shape[0]
                product = up.float().flatten(1) @ down.float().flatten(1)
                result[key] = result[key] + (strength * scale * product).reshape(result[key].shape)
        return result


ENDS = ("lora_up.weight", "lora_down.weight"), ("lora_B.weight", "lora_A.weight"), ("lora_B.default.weight", "lora_A.default.weight")


def load_lora_for_models(model, clip, lora, strength_model, strength_clip):
    keys = {} if model is None else model_lora_keys_unet(model.model, {})
    if clip is not None:
        keys = model_lora_keys_clip(clip.cond_stage_model, keys)
    made = []
    for each, strength in ((model, strength_model), (clip, strength_clip)):
        made.append(None if each is None else Patcher(each.weights, each.model.aliases))
        for name, key in keys.items() if each is not None else ():
            for up, down in ENDS:
                if f"{name}.{up}" in lora:
                    alpha = lora.get(f"{name}.alpha")
                    made[-1].patches.append((key, (lora[f"{name}.{up}"], lora[f"{name}.{down}"], None if alpha is None else alpha.item()), strength))
    return tuple(made)


@contextmanager
def installed(folder: Path):
    """`import comfy` and `import folder_paths` find these; LoRAs are in `folder`."""
    from safetensors.torch import load_file

    folders = {"loras": ([str(folder)], {".safetensors", ".pt"})}

    def listed(name):
        paths, extensions = folders[name]
        return sorted(each for path in paths for each in os.listdir(path) if os.path.splitext(each)[1].lower() in extensions)

    def full(name, filename):
        path = next((os.path.join(each, filename) for each in folders[name][0] if os.path.isfile(os.path.join(each, filename))), None)
        if path is None:
            raise FileNotFoundError(filename)
        return path

    modules = {
        "comfy": {}, "comfy.lora": {"model_lora_keys_unet": model_lora_keys_unet, "model_lora_keys_clip": model_lora_keys_clip},
        "comfy.sd": {"load_lora_for_models": load_lora_for_models},
        "comfy.utils": {"load_torch_file": lambda path, safe_load: load_file(path)},
        "folder_paths": {"folder_names_and_paths": folders, "get_filename_list": listed, "get_full_path_or_raise": full},
    }
    for name, contents in modules.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(contents, __path__=[])
    for name in modules:
        if "." in name:
            setattr(sys.modules["comfy"], name.partition(".")[2], sys.modules[name])
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
