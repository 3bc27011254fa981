"""Custom nodes of ComfyUI: "Load LoRA (.lqa)". Put this folder into ComfyUI/custom_nodes and the package lqa-format into its Python.

The nodes list `.lqa` files beside the others in the folders of LoRAs, decode them in memory, and give the tensors to ComfyUI's own loader.
Other files go to ComfyUI's loader unchanged. Nothing of ComfyUI is replaced.
"""
import os

import comfy.lora
import comfy.sd
import comfy.utils
import folder_paths
from lqa.comfyui import state_dict

FOLDER = "loras_lqa"


def register_folder() -> None:
    """Makes ComfyUI list `.lqa` files in the folders of LoRAs, under a name of its own: the lists of other nodes stay as they are."""
    paths, _ = folder_paths.folder_names_and_paths["loras"]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, {".lqa"})


def lora_names() -> list[str]:
    return sorted({*folder_paths.get_filename_list("loras"), *folder_paths.get_filename_list(FOLDER)})


class LoadLoraLqa:
    """ComfyUI's "Load LoRA" for `.lqa` files, and for those that it takes itself."""

    def __init__(self) -> None:
        self.loaded = None

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        strength = ("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01})
        return {"required": {"model": ("MODEL",), "clip": ("CLIP",), "lora_name": (lora_names(),),
                             "strength_model": strength, "strength_clip": strength}}

    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "load_lora"
    CATEGORY = "loaders"
    DESCRIPTION = "Applies a LoRA from an .lqa file, or any other file of a LoRA, to a model and its text encoders."

    def load_lora(self, model, clip, lora_name: str, strength_model: float, strength_clip: float) -> tuple:
        if strength_model == 0 and strength_clip == 0:
            return model, clip
        is_lqa = lora_name.lower().endswith(".lqa")
        path = folder_paths.get_full_path_or_raise(FOLDER if is_lqa else "loras", lora_name)
        tensors = self._tensors(path, model, clip) if is_lqa else comfy.utils.load_torch_file(path, safe_load=True)
        return comfy.sd.load_lora_for_models(model, clip, tensors, strength_model, strength_clip)

    def _tensors(self, path: str, model, clip) -> dict:
        """The decoded tensors, kept for the next run if file and layers are the same: only a strength has changed, as a rule."""
        keys: dict = {}
        if model is not None:
            keys = comfy.lora.model_lora_keys_unet(model.model, keys)
        if clip is not None:
            keys = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, keys)
        status = os.stat(path)
        what = path, status.st_mtime_ns, status.st_size, frozenset(keys)
        if self.loaded is None or self.loaded[0] != what:
            self.loaded = None  # frees the old tensors before the new ones
            self.loaded = what, state_dict(path, keys)
        return self.loaded[1]


class LoadLoraLqaModelOnly(LoadLoraLqa):
    """The same for a model without text encoders."""

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        inputs = super().INPUT_TYPES()["required"]
        return {"required": {name: inputs[name] for name in ("model", "lora_name", "strength_model")}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_lora_model_only"

    def load_lora_model_only(self, model, lora_name: str, strength_model: float) -> tuple:
        return (self.load_lora(model, None, lora_name, strength_model, 0)[0],)


register_folder()
NODE_CLASS_MAPPINGS = {"LoadLoraLqa": LoadLoraLqa, "LoadLoraLqaModelOnly": LoadLoraLqaModelOnly}
NODE_DISPLAY_NAME_MAPPINGS = {"LoadLoraLqa": "Load LoRA (.lqa)", "LoadLoraLqaModelOnly": "Load LoRA, model only (.lqa)"}
