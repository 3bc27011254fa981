"""Flux between kohya and diffusers: the layers of sd-scripts, in which queries, keys and values are one, as diffusers reads them.

Everything is compared layer by layer: each layer's own input through what it adds.
"""
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from common import Checks, hollow, lqa, outputs, version
from diffusion import prepare

# Inputs and outputs of Flux's layers, in block 0 and outside blocks. What diffusers reads in a kohya file has these sizes.
WIDTH, MLP = 3072, 12288
FLUX = {
    **{f"transformer_blocks.0.{name}": (WIDTH, WIDTH) for name in (
        "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_v_proj", "attn.to_add_out")},
    **{f"transformer_blocks.0.{name}": sizes for name, sizes in {
        "ff.net.0.proj": (WIDTH, MLP), "ff.net.2": (MLP, WIDTH), "ff_context.net.0.proj": (WIDTH, MLP),
        "ff_context.net.2": (MLP, WIDTH), "norm1.linear": (WIDTH, 6 * WIDTH), "norm1_context.linear": (WIDTH, 6 * WIDTH)}.items()},
    **{f"single_transformer_blocks.0.{name}": sizes for name, sizes in {
        "attn.to_q": (WIDTH, WIDTH), "attn.to_v": (WIDTH, WIDTH), "proj_mlp": (WIDTH, MLP), "proj_out": (WIDTH + MLP, WIDTH),
        "norm.linear": (WIDTH, 3 * WIDTH)}.items()},
}
# The same layers in the authors' code, as sd-scripts names them, and those outside blocks.
AUTHORS = {
    **{f"double_blocks_0_{name}": sizes for name, sizes in {
        "img_attn_qkv": (WIDTH, 3 * WIDTH), "img_attn_proj": (WIDTH, WIDTH), "img_mlp_0": (WIDTH, MLP), "img_mlp_2": (MLP, WIDTH),
        "img_mod_lin": (WIDTH, 6 * WIDTH), "txt_attn_qkv": (WIDTH, 3 * WIDTH), "txt_attn_proj": (WIDTH, WIDTH),
        "txt_mlp_0": (WIDTH, MLP), "txt_mlp_2": (MLP, WIDTH), "txt_mod_lin": (WIDTH, 6 * WIDTH)}.items()},
    **{f"single_blocks_0_{name}": sizes for name, sizes in {
        "linear1": (WIDTH, 3 * WIDTH + MLP), "linear2": (WIDTH + MLP, WIDTH), "modulation_lin": (WIDTH, 3 * WIDTH)}.items()},
    "img_in": (64, WIDTH), "txt_in": (4096, WIDTH), "time_in_in_layer": (256, WIDTH), "time_in_out_layer": (WIDTH, WIDTH),
    "guidance_in_in_layer": (256, WIDTH), "guidance_in_out_layer": (WIDTH, WIDTH), "vector_in_in_layer": (768, WIDTH),
    "vector_in_out_layer": (WIDTH, WIDTH), "final_layer_adaLN_modulation_1": (WIDTH, 2 * WIDTH), "final_layer_linear": (WIDTH, 64),
}
GENERATOR = torch.Generator()


def normal(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def converted(weights: Path) -> dict[str, torch.Tensor]:
    """A file as diffusers reads it: factors by diffusers' names. It leaves out the component of layers outside blocks."""
    from diffusers.loaders import FluxLoraLoaderMixin

    state = FluxLoraLoaderMixin.lora_state_dict(str(weights))
    return {key if key.startswith("transformer.") else f"transformer.{key}": value for key, value in state.items()}


def added(state: dict[str, torch.Tensor], inputs: dict[str, torch.Tensor]) -> np.ndarray:
    """What B and A make of each layer's input. Layers without an input must add nothing."""
    layers = {}
    for key in sorted(state):
        name, part = key.removeprefix("transformer.").removesuffix(".weight").rsplit(".lora_", 1)
        layers.setdefault(name, {})[part] = state[key].double()
    assert not any(pair["B"].any() for name, pair in layers.items() if name not in inputs), list(layers)
    return torch.cat([layers[name]["B"] @ (layers[name]["A"] @ value.double()) for name, value in inputs.items()]).numpy()


def to_kohya(checks: Checks, folder: Path) -> None:
    inputs = {name: normal(size) / size ** 0.5 for name, (size, _) in FLUX.items()}
    for what, rank_of in (("Flux from diffusers", lambda name: 4), ("Flux from diffusers, two ranks", lambda name: 2 if "to_q" in name else 3)):
        state = {}
        for name, (size, out) in FLUX.items():
            state[f"transformer.{name}.lora_A.weight"] = normal(rank_of(name), size)
            state[f"transformer.{name}.lora_B.weight"] = normal(out, rank_of(name))
        weights, file = folder / f"{what}.safetensors", folder / f"{what}.lqa"
        save_file(state, weights)
        lqa("encode", weights, "-o", file, "--profile", "raw")
        written = folder / f"{what}.kohya.safetensors"
        lqa("decode", file, "-o", written, "--to", "kohya")
        expected = added(state, inputs)
        checks.same("kohya", version("diffusers"), what, added(converted(written), inputs), expected, np.zeros_like(expected))
        # Back again each layer has the factors that it had, padded to the rank of its neighbours.
        lqa("encode", written, "-o", file, "--profile", "raw", "--force")
        back = folder / f"{what}.back.safetensors"
        lqa("decode", file, "-o", back, "--to", "diffusers")
        again = load_file(back)
        same = all(torch.equal(again[key][:len(value)] if "lora_A" in key else again[key][:, :value.shape[1]], value)
                   for key, value in state.items())
        checks.that(same, f"{what}, to kohya and back: other factors")


def diagonal(name: str, b: torch.Tensor) -> torch.Tensor:
    """B as convert_flux_lora.py of sd-scripts fuses it: 0 outside each part's rows of its share of the rank."""
    sizes = [WIDTH] * 3 + [MLP] * (name == "single_blocks_0_linear1")
    if not name.endswith(("_qkv", "_linear1")):
        return b
    share = b.shape[1] // len(sizes)
    return torch.block_diag(*(part[:, :share] for part in b.split(sizes)))


def from_kohya(checks: Checks, folder: Path) -> None:
    from diffusers import FluxPipeline, FluxTransformer2DModel

    program = version("diffusers")

    def new():
        transformer = hollow(lambda: FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True))
        return FluxPipeline(None, None, None, None, None, None, transformer)

    def loaded(weights: Path, inputs: dict) -> np.ndarray:
        """As the pipeline loads it, with the layers themselves."""
        pipeline = new()
        pipeline.load_lora_weights(str(weights.parent), weight_name=weights.name)
        return outputs(dict(pipeline.transformer.named_modules()), inputs)

    sizes = {name: module.in_features for name, module in new().transformer.named_modules() if isinstance(module, torch.nn.Linear)}
    inputs = {name: normal(size) / size ** 0.5 for name, size in sizes.items()}
    for what, rank, change in (("Flux from kohya, whole factors", 4, lambda name, b: b), ("Flux from kohya, fused factors", 12, diagonal)):
        state = {}
        for name, (size, out) in AUTHORS.items():
            state[f"lora_unet_{name}.lora_down.weight"] = normal(rank, size)
            state[f"lora_unet_{name}.lora_up.weight"] = change(name, normal(out, rank))
            # diffusers takes no notice of the alphas of the last layer.
            state[f"lora_unet_{name}.alpha"] = torch.tensor(float(rank if name.startswith("final_layer") else rank / 4))
        weights = folder / f"{what}.kohya.safetensors"
        save_file(state, weights)
        expected = added(converted(weights), inputs)
        for words, label in ((("--profile", "raw"), what), (("--bits", "3"), f"{what}, 3 bits"))[:1 + (change is diagonal)]:
            file, again, written = (folder / f"{label}{end}" for end in (".lqa", ".again.safetensors", ".safetensors"))
            lqa("encode", weights, "-o", file, *words)
            lqa("decode", file, "-o", again)
            lqa("decode", file, "-o", written, "--to", "diffusers")
            # What was lost in the .lqa file, both have lost.
            same = added(converted(again), inputs)
            checks.same("diffusers", program, label, loaded(written, inputs), same, np.zeros_like(same))
            checks.that(float(np.square(same - expected).sum() / np.square(expected).sum()) < 0.1, f"{label}: far from the source")
            if "fused" in label and "raw" in words:
                ranks = {value.shape[0] for key, value in load_file(written).items() if "attn.to_q.lora_A" in key}
                checks.that(ranks == {rank // 3, rank // 4}, f"{label}: ranks {ranks}")


def check(checks: Checks, folder: Path) -> None:
    prepare()
    GENERATOR.manual_seed(4)
    to_kohya(checks, folder)
    from_kohya(checks, folder)
