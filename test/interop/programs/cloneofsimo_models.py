"""Adapters of cloneofsimo's program, which numbers layers, in that program and under diffusers' names.

PyPI has its `lora_diffusion/lora.py` as a file of videogen-hub. It adapts Stable Diffusion 1 with the layers of its full size. Their
base weights are 0, so each layer's output is what the adapter adds; layers are compared one by one.
"""
import importlib.util
import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from common import ROOT, Checks, apart, hollow, lqa, outputs, version
from diffusion import Pipeline, components, output, prepare

ADAPTERS = Path(os.environ.get("LQA_ADAPTERS", ROOT.parent / "shared" / "adapters"))
REAL = ("sd15-analog-svd-r4-fp16", "sd15-disney-inpaint-r1-mixed")
TOKEN = "<s1>"


def program():
    """lora.py alone, without the package around it."""
    package = importlib.util.find_spec("videogen_hub").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("lora_diffusion", Path(package) / "pipelines/t2v_turbo/utils/lora.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def quietly(function, *arguments):
    """Without what the program prints, and without random weights that are replaced anyway."""
    with redirect_stdout(io.StringIO()), mock.patch.object(torch.nn.Linear, "reset_parameters", lambda layer: None):
        return function(*arguments)


def stable_diffusion(old: bool):
    """Stable Diffusion 1. `old`: the parts of a transformer block in the order in which diffusers before 0.15 registered them."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = hollow(lambda: UNet2DConditionModel(cross_attention_dim=768))
    text = hollow(lambda: CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)))
    for block in unet.modules() if old else ():
        if type(block).__name__ == "BasicTransformerBlock":
            block._modules |= {name: block._modules.pop(name) for name in ("ff", "attn2")}
    return StableDiffusionPipeline(vae=None, text_encoder=text, tokenizer=None, unet=unet, scheduler=None, safety_checker=None,
                                   feature_extractor=None, requires_safety_checker=False)


def named(pipeline, kind) -> dict:
    """Layers of a kind by their names in adapters: transformers 5 has dropped a part of CLIP's."""
    found = {}
    for component, model in components(pipeline).items():
        start = f"{component}." + ("text_model." if component == "text_encoder" and not hasattr(model, "text_model") else "")
        found |= {start + name: layer for name, layer in model.named_modules() if isinstance(layer, kind)}
    return found


def loaded(lora, pipeline, weights: Path):
    """The pipeline with the file as the program loads it, without dropout."""
    with safe_open(weights, framework="pt") as file:
        quietly(lora.monkeypatch_or_replace_safeloras, SimpleNamespace(**components(pipeline)), file)
    for model in components(pipeline).values():
        model.eval()
    return pipeline


def made(lora, pipeline, weights: Path, extended: bool = False) -> Path:
    """An adapter with random weights and an embedding, as the program saves it."""
    inject = lora.inject_trainable_lora_extended if extended else lora.inject_trainable_lora
    targets = {"unet": lora.UNET_EXTENDED_TARGET_REPLACE if extended else lora.UNET_DEFAULT_TARGET_REPLACE,
               "text_encoder": lora.TEXT_ENCODER_DEFAULT_TARGET_REPLACE}
    for name, model in components(pipeline).items():
        quietly(inject, model, targets[name], 4 if name == "unet" else 2)
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.data = 0.25 * torch.randn_like(parameter)
    maps = {name: (model, targets[name]) for name, model in components(pipeline).items()}
    quietly(lora.save_safeloras_with_embeds, maps, {TOKEN: torch.randn(768)}, str(weights))
    return weights


def decoded(file: Path, place: Path, *words) -> Path:
    return place / lqa("decode", file, "-o", place, *words)["files"][0]["name"]


def of_names(weights: Path, inputs: dict) -> np.ndarray:
    """What diffusers' file says: B times A by name."""
    state = {key: value.double() for key, value in load_file(weights).items()}
    assert len(state) == 2 * len(inputs)
    return torch.cat([state[f"{name}.lora_B.weight"] @ (state[f"{name}.lora_A.weight"] @ value.double()) for name, value in inputs.items()]).numpy()


def whole_model(checks: Checks, folder: Path, lora, old: bool) -> None:
    said, program_name, diffusers = "before 0.15" if old else "of 0.42.1", version("videogen-hub"), version("diffusers")
    what = f"Stable Diffusion 1 in the order of diffusers {said}"
    pipeline = stable_diffusion(old)
    source = made(lora, pipeline, folder / "source.safetensors")
    inputs = {name: torch.randn(layer.linear.in_features) for name, layer in named(pipeline, lora.LoraInjectedLinear).items()}
    checks.that(len(inputs) == 192, f"{what}: {len(inputs)} layers")
    in_program = lambda weights: outputs(named(loaded(lora, stable_diffusion(old), weights), lora.LoraInjectedLinear), inputs)
    expected = in_program(source)
    nothing = np.zeros_like(expected)

    for words, label, precise in ((("--profile", "raw"), what, ()), (("--bits", "4"), f"{what}, 4 bits", ("--dtype", "f32"))):
        file = folder / f"{words[1]}.lqa"
        lqa("encode", source, "-o", file, *words)
        again = decoded(file, folder / f"{words[1]}-again", *precise)
        names = decoded(file, folder / f"{words[1]}-names", "--to", "diffusers", *precise)
        checks.same("cloneofsimo", program_name, label, found := in_program(again), of_names(names, inputs), nothing)
        lost = float(np.square(found - expected).sum() / np.square(expected).sum())
        checks.that(lost < 0.1, f"{label}: {lost:.2f} of the energy is lost")
        with safe_open(source, "pt") as before, safe_open(again, "pt") as after:
            checks.that(before.metadata() == after.metadata(), f"{label}: other metadata")
            checks.that(sorted(before.keys()) == sorted(after.keys()), f"{label}: other tensors")
        embeddings = [lora.load_safeloras_embeds(str(each)) for each in (source, again)]
        checks.that(all(torch.equal(each[TOKEN], load_file(source)[TOKEN]) for each in embeddings), f"{label}: another embedding")

    # The names that lqa gives the numbers, by what diffusers makes of them.
    file = folder / "raw.lqa"
    for to in ("diffusers", "kohya"):
        weights = decoded(file, folder / to, "--to", to)
        pipeline = stable_diffusion(old)
        pipeline.load_lora_weights(str(weights.parent), weight_name=weights.name)
        layers = named(pipeline, torch.nn.Module)
        checks.same(to, diffusers, f"from cloneofsimo, {what}", outputs(layers, inputs), expected, nothing)


def small_model(checks: Checks, folder: Path, lora) -> None:
    """Convolutions, too, in a pipeline of a few channels; its layers have no names in lqa, and stay as they are."""
    small = Pipeline(folder)
    source = made(lora, small.new(), folder / "extended.safetensors", extended=True)
    again = decoded(small.encoded(source), folder / "extended")
    with_adapter = lambda weights: output(loaded(lora, small.new(), weights))
    checks.same("cloneofsimo", version("videogen-hub"), "convolutions, a model of a few channels", with_adapter(again), with_adapter(source), small.plain)
    for to in ("diffusers", "kohya", "peft"):
        try:
            lqa("decode", small.encoded(source), "-o", folder / f"extended-{to}", "--to", to)
            checks.that(False, f"cloneofsimo: layers of an unknown model got names of {to}")
        except RuntimeError as error:
            checks.that("the layers of Stable Diffusion 1" in str(error), f"cloneofsimo: refused as something else: {error}")
    file = folder / "number-words.lqa"
    lqa("encode", ROOT / "examples" / "number-words" / "adapter", "-o", file)
    try:
        lqa("decode", file, "-o", folder / "numbered.safetensors", "--to", "cloneofsimo")
        checks.that(False, "cloneofsimo: written from names")
    except RuntimeError as error:
        checks.that("cloneofsimo's program" in str(error), f"cloneofsimo: refused as something else: {error}")


def real_files(checks: Checks, folder: Path, lora) -> None:
    for name in REAL:
        if not (ADAPTERS / name).is_dir():
            print(f"skipped: {name}: not in {ADAPTERS}")
            continue
        (source,) = (ADAPTERS / name).iterdir()
        file = folder / f"{name}.lqa"
        lqa("encode", source, "-o", file, "--profile", "raw")
        again, names = decoded(file, folder / f"{name}-again"), decoded(file, folder / f"{name}-names", "--to", "diffusers")
        found = named(loaded(lora, stable_diffusion(True), source), lora.LoraInjectedLinear)
        inputs = {key: torch.randn(layer.linear.in_features) for key, layer in found.items()}
        before = outputs(found, inputs)
        after = outputs(named(loaded(lora, stable_diffusion(True), again), lora.LoraInjectedLinear), inputs)
        checks.that(bool((before == after).all()) and before.any(), f"{name}: other outputs")
        checks.that(apart(before, of_names(names, inputs)) < 1e-5, f"{name}: other outputs under diffusers' names")
        one, other = lora.load_safeloras_embeds(str(source)), lora.load_safeloras_embeds(str(again))
        checks.that(one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), f"{name}: other embeddings")


def check(checks: Checks, folder: Path) -> None:
    prepare()
    torch.manual_seed(8)
    lora = program()
    for old in (True, False):
        (place := folder / f"{old}").mkdir()
        whole_model(checks, place, lora, old)
    small_model(checks, folder, lora)
    real_files(checks, folder, lora)
