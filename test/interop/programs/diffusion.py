"""Exported adapters of diffusers and kohya in the programs that load them: diffusers' pipelines and LyCORIS.

The pipelines are Stable Diffusion 1 and XL of a few channels with random weights, without tokenizers and autoencoder.
"""
import itertools
import json
import logging
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from common import Checks, applied, lqa, version

# What differs between versions is the loader, not the models: random ones are made anew in each run.
TEXT = dict(hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=3, vocab_size=100,
            max_position_embeddings=24, layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=2, pad_token_id=1)
NUMBERS = itertools.count()
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def small_pipeline(xl: bool):
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(5)
    text = CLIPTextModel(CLIPTextConfig(**TEXT, hidden_act="gelu", projection_dim=32)).eval()
    common = dict(layers_per_block=2, sample_size=16, in_channels=4, out_channels=4, norm_num_groups=8)
    if not xl:
        unet = UNet2DConditionModel(block_out_channels=(16, 32), cross_attention_dim=32, attention_head_dim=4,
                                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **common).eval()
        return StableDiffusionPipeline(vae=None, text_encoder=text, tokenizer=None, unet=unet, scheduler=None, safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)
    unet = UNet2DConditionModel(block_out_channels=(16, 16, 32), cross_attention_dim=64, attention_head_dim=(2, 2, 4),
                                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                                use_linear_projection=True, transformer_layers_per_block=(1, 2, 2), addition_embed_type="text_time",
                                addition_time_embed_dim=8, projection_class_embeddings_input_dim=80, **common).eval()
    second = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, hidden_act="gelu", projection_dim=32)).eval()
    return StableDiffusionXLPipeline(vae=None, text_encoder=text, text_encoder_2=second, tokenizer=None, tokenizer_2=None, unet=unet,
                                     scheduler=None)


def components(pipeline) -> dict:
    names = ("unet", "text_encoder", "text_encoder_2")
    return {name: getattr(pipeline, name) for name in names if getattr(pipeline, name, None) is not None}


def output(pipeline) -> np.ndarray:
    """What the UNet makes of noise and the text encoders' outputs: all layers have a part in it."""
    generator = torch.Generator().manual_seed(9)
    noise, ids = torch.randn(2, 4, 16, 16, generator=generator), torch.tensor([[0, 5, 9, 33, 2], [0, 71, 12, 8, 2]])
    with torch.no_grad():
        hidden = pipeline.text_encoder(ids).last_hidden_state
        extra = {}
        if getattr(pipeline, "text_encoder_2", None) is not None:
            second = pipeline.text_encoder_2(ids, output_hidden_states=True)
            hidden = torch.cat([hidden, second.hidden_states[-2]], -1)
            extra = {"added_cond_kwargs": {"text_embeds": second.text_embeds, "time_ids": torch.ones(2, 6)}}
        return pipeline.unet(noise, torch.tensor([3, 500]), hidden, **extra).sample.double().numpy()


class Pipeline:
    """A pipeline, as often as it is needed."""

    def __init__(self, folder: Path, xl: bool = False) -> None:
        self.folder, self.xl = folder, xl
        pipeline = self.new()
        self.plain = output(pipeline)

    def new(self):
        return small_pipeline(self.xl)

    def fresh(self, ending: str = "") -> Path:
        """A path that is not there yet."""
        return self.folder / f"{next(NUMBERS)}{ending}"

    def encoded(self, adapter: Path) -> Path:
        file = self.fresh(".lqa")
        lqa("encode", adapter, "-o", file, "--profile", "raw")
        return file

    def written(self, file: Path, to: str | None) -> Path:
        """The adapter of an .lqa file, in the dialect it came from or in another."""
        place = self.fresh()
        names = lqa("decode", file, "-o", place, *(["--to", to] if to else []))["files"]
        return place / next(each["name"] for each in names if each["name"].endswith(".safetensors"))

    def merged(self, file: Path) -> np.ndarray:
        """Output with the weights that the specification makes of the file."""
        pipeline = self.new()
        models = components(pipeline)
        base = {f"{name}.{key}": value.numpy() for name, model in models.items() for key, value in model.state_dict().items()
                if value.is_floating_point()}
        made = applied(file, base)
        for name, model in models.items():
            own = {key[len(name) + 1:]: torch.from_numpy(value) for key, value in made.items() if key.startswith(f"{name}.")}
            model.load_state_dict(own, strict=False)
        return output(pipeline)

    def loaded(self, weights: Path) -> np.ndarray:
        """Output with the file as diffusers loads it."""
        pipeline = self.new()
        pipeline.load_lora_weights(str(weights.parent), weight_name=weights.name)
        return output(pipeline)

    def in_lycoris(self, weights: Path) -> np.ndarray:
        """Output with the file as LyCORIS' module for sd-scripts loads it."""
        from lycoris.kohya import create_network_from_weights

        lycoris_preset()
        pipeline = self.new()
        encoders = [model for name, model in components(pipeline).items() if name != "unet"]
        network, state = create_network_from_weights(1.0, str(weights), None, encoders if self.xl else encoders[0], pipeline.unet)
        count = len({key.split(".")[0] for key in state})
        assert len(network.unet_loras) + len(network.text_encoder_loras) == count, "LyCORIS left layers out"
        network.apply_to(encoders if self.xl else encoders[0], pipeline.unet, True, True)
        network.load_state_dict(state, strict=False)
        return output(pipeline)


def lycoris_preset() -> None:
    """LyCORIS 4.1 makes a network of all layers first, and meets those of the time embedding twice: by name and by class."""
    from lycoris.kohya import LycorisNetworkKohya as network

    network.apply_preset({"unet_target_module": ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"]})


def random_adapter(pipeline, unet: dict, text: dict | None) -> None:
    """Adapters of PEFT in the models of a pipeline, with random weights."""
    from peft import LoraConfig

    for name, model in components(pipeline).items():
        config = unet if name == "unet" else text
        if config is None:
            continue
        model.add_adapter(LoraConfig(init_lora_weights="gaussian", **config))
        randomize(model)


def randomize(model) -> None:
    for key, parameter in model.named_parameters():
        if "magnitude" in key:
            parameter.data = parameter.data * (0.8 + 0.4 * torch.rand_like(parameter))
        elif "lora_" in key:
            parameter.data = 0.25 * torch.randn_like(parameter)


def save(pipeline, place: Path) -> Path:
    """As diffusers' training scripts save it."""
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict

    adapted = {name: model for name, model in components(pipeline).items() if hasattr(model, "peft_config")}
    layers = {f"{name}_lora_layers": get_peft_model_state_dict(model) for name, model in adapted.items()}
    metadata = _collate_lora_metadata({name: model for name, model in adapted.items()})
    type(pipeline).save_lora_weights(place, **layers, **metadata)
    return place / "pytorch_lora_weights.safetensors"


def renamed(weights: Path, place: Path, change) -> Path:
    """The same tensors under other keys, without metadata that speaks of the old ones."""
    place.mkdir(parents=True)
    save_file({change(key): value for key, value in load_file(weights).items()}, place / weights.name, metadata={"format": "pt"})
    return place / weights.name


FACTORS = {"lora_A": "down", "lora_B": "up"}


def processors(key: str) -> str:
    """Attention processors, as diffusers wrote them before 0.20; other layers of the text encoder are `lora_linear_layer`."""
    if key.startswith("text_encoder."):
        key = re.sub(r"\.(q|k|v|out)_proj\.(lora_[AB])\.", lambda m: f".to_{m[1]}_lora.{FACTORS[m[2]]}.", key)
        return re.sub(r"\.(lora_[AB])\.", lambda m: f".lora_linear_layer.{FACTORS[m[1]]}.", key)
    return re.sub(r"\.(to_[qkv]|to_out)(?:\.0)?\.(lora_[AB])\.", lambda m: f".processor.{m[1]}_lora.{FACTORS[m[2]]}.", key)


def layers(key: str) -> str:
    """What followed: `lora.down` in UNets, `lora_linear_layer.down` in text encoders."""
    style = "lora_linear_layer" if key.startswith("text_encoder.") else "lora"
    return re.sub(r"\.(lora_[AB])\.", lambda m: f".{style}.{FACTORS[m[1]]}.", key)


def stability(key: str) -> str:
    """kohya's names of an SDXL file: Stability's own blocks in the UNet."""
    for start, block, layers in (("down_blocks", 0, 3), ("up_blocks", 1, 3)):
        found = re.match(rf"lora_unet_{start}_(\d)_attentions_(\d)_(.*)", key)
        if found:
            number = layers * int(found[1]) + int(found[2]) + 1 - block
            return f"lora_unet_{'input' if block == 0 else 'output'}_blocks_{number}_1_{found[3]}"
    return key.replace("lora_unet_mid_block_attentions_0", "lora_unet_middle_block_1")


def trip(checks: Checks, pipeline: Pipeline, dialect: str, what: str, weights: Path, load, words=("--profile", "raw")) -> Path:
    """Into an .lqa file and back: the same file, which its program loads as what the merged weights are."""
    program = version("diffusers") if load == pipeline.loaded else version("lycoris-lora")
    file = pipeline.fresh(".lqa")
    lqa("encode", weights, "-o", file, *words)
    again = pipeline.written(file, None)
    merged = pipeline.merged(file)
    if words == ("--profile", "raw"):
        checks.that(again.read_bytes() == weights.read_bytes(), f"{dialect}, {what}: other bytes come back")
    checks.same(dialect, program, what, load(again), merged, pipeline.plain)
    return file


def stable_diffusion(checks: Checks, folder: Path) -> None:
    diffusers, lycoris = version("diffusers"), version("lycoris-lora")
    sd = Pipeline(folder)
    attention = dict(r=4, lora_alpha=6, target_modules=ATTENTION)
    text = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "out_proj", "fc1"])

    made = sd.new()
    random_adapter(made, attention | dict(target_modules=[*ATTENTION, "proj_in", "conv1", "time_emb_proj", "conv"],
                                          rank_pattern={"to_v": 2}, alpha_pattern={"to_k": 3}), text)
    weights = save(made, sd.fresh())
    what = "two components, convolutions, rank and alpha patterns"
    file = trip(checks, sd, "diffusers", f"{what}, lora_adapter_metadata", weights, sd.loaded)
    trip(checks, sd, "diffusers", f"{what}, 2 bits", weights, sd.loaded, ("--bits", "2"))
    # diffusers has no place for a multiplier without metadata, kohya has an alpha for each layer.
    bare = renamed(sd.written(file, "kohya"), sd.fresh(), lambda key: key)
    trip(checks, sd, "kohya", f"{what} as alphas", bare, sd.in_lycoris)
    merged = sd.merged(sd.encoded(bare))
    checks.same("diffusers", diffusers, f"{what}, from kohya", sd.loaded(sd.written(sd.encoded(bare), "diffusers")), merged, sd.plain)

    made = sd.new()
    random_adapter(made, attention, text | dict(lora_alpha=3))
    weights = save(made, sd.fresh())
    file = trip(checks, sd, "diffusers", "one rank and alpha", weights, sd.loaded)
    # diffusers 0.42 takes the commonest alpha of a kohya file for attention layers, and knows text encoders by their out_proj.
    made = sd.new()
    random_adapter(made, attention, dict(r=4, lora_alpha=6, target_modules=["q_proj", "out_proj"]))
    file = sd.encoded(save(made, sd.fresh()))
    merged = sd.merged(file)
    checks.same("kohya", diffusers, "from diffusers, one alpha", sd.loaded(sd.written(file, "kohya")), merged, sd.plain)
    checks.same("kohya", lycoris, "from diffusers, one alpha", sd.in_lycoris(sd.written(file, "kohya")), merged, sd.plain)

    # The styles of keys that came before.
    for what, change in (("lora.down and lora_linear_layer.down", layers), ("attention processors", processors)):
        trip(checks, sd, "diffusers", what, renamed(weights, sd.fresh(), change), sd.loaded)

    made = sd.new()
    random_adapter(made, attention | dict(use_dora=True), None)
    trip(checks, sd, "diffusers", "DoRA", save(made, sd.fresh()), sd.loaded)

    # An adapter of PEFT on the UNet alone.
    import peft

    unet = peft.get_peft_model(sd.new().unet, peft.LoraConfig(**attention))
    randomize(unet)
    unet.save_pretrained(place := sd.fresh())
    file = sd.encoded(place)
    written = sd.written(file, "diffusers")
    checks.same("diffusers", diffusers, "from PEFT on a UNet", sd.loaded(written), sd.merged(sd.encoded(written)), sd.plain)


def locon(checks: Checks, folder: Path) -> None:
    """Files that LyCORIS writes."""
    from lycoris.kohya import LycorisNetworkKohya

    lycoris_preset()
    sd = Pipeline(folder)
    for what, options in (("LoCon, another rank and alpha for convolutions", {}), ("rsLoRA", dict(rs_lora=True)),
                          ("DoRA by output", dict(weight_decompose=True, wd_on_out=True)),
                          ("DoRA by input", dict(weight_decompose=True, wd_on_out=False))):
        def network_of(pipeline):
            network = LycorisNetworkKohya(pipeline.text_encoder, pipeline.unet, lora_dim=4, alpha=2, conv_lora_dim=2, conv_alpha=1,
                                          warn_on_unmatched=False, **options)
            network.apply_to(pipeline.text_encoder, pipeline.unet, True, True)
            return network

        def in_network(weights: Path) -> np.ndarray:
            """Loaded into a network that was told the options: from the file alone LyCORIS 4.1 takes each DoRA to be by output."""
            pipeline = sd.new()
            network_of(pipeline).load_weights(str(weights))
            return output(pipeline)

        network = network_of(sd.new())
        for name, parameter in network.named_parameters():
            parameter.data = parameter.data * 1.1 if "dora_scale" in name else 0.25 * torch.randn_like(parameter)
        weights = sd.fresh(".safetensors")
        network.save_weights(str(weights), torch.float32, {"ss_network_module": "lycoris.kohya"})
        trip(checks, sd, "kohya", what, weights, in_network if what == "DoRA by input" else sd.in_lycoris)


def xl(checks: Checks, folder: Path) -> None:
    diffusers, lycoris = version("diffusers"), version("lycoris-lora")
    sdxl = Pipeline(folder, xl=True)
    made = sdxl.new()
    random_adapter(made, dict(r=4, lora_alpha=6, target_modules=[*ATTENTION, "proj_in"]),
                   dict(r=4, lora_alpha=6, target_modules=["q_proj", "out_proj", "fc2"]))
    file = trip(checks, sdxl, "diffusers", "SDXL, three components", save(made, sdxl.fresh()), sdxl.loaded)
    merged = sdxl.merged(file)
    kohya = sdxl.written(file, "kohya")
    checks.same("kohya", diffusers, "SDXL from diffusers", sdxl.loaded(kohya), merged, sdxl.plain)
    checks.same("kohya", lycoris, "SDXL from diffusers", sdxl.in_lycoris(kohya), merged, sdxl.plain)
    named = renamed(kohya, sdxl.fresh(), stability)
    file = trip(checks, sdxl, "kohya", "SDXL with Stability's names", named, sdxl.loaded)
    checks.same("diffusers", diffusers, "SDXL from kohya with Stability's names", sdxl.loaded(sdxl.written(file, "diffusers")), merged,
                sdxl.plain)


def transformer_models(checks: Checks, folder: Path) -> None:
    """Transformers instead of a UNet."""
    from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, WanTransformer3DModel

    generator = torch.Generator()
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    half = torch.tensor([0.5])
    flux = lambda: FluxTransformer2DModel(patch_size=1, in_channels=4, num_layers=1, num_single_layers=2, attention_head_dim=16,
                                          num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8))
    transformer(checks, folder, "Flux, two ranks without alpha", flux,
                lambda: dict(hidden_states=normal(1, 16, 4), encoder_hidden_states=normal(1, 7, 32), pooled_projections=normal(1, 32),
                             timestep=half, img_ids=torch.rand(16, 3, generator=generator), txt_ids=torch.zeros(7, 3)),
                generator, ["to_q", "to_k", "add_v_proj", "to_out.0", "proj_mlp", "proj_out", "x_embedder"], {"proj_mlp": 2})
    sd3 = lambda: SD3Transformer2DModel(sample_size=8, patch_size=1, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=4,
                                        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64, out_channels=4)
    transformer(checks, folder, "Stable Diffusion 3, two ranks without alpha", sd3,
                lambda: dict(hidden_states=normal(1, 4, 8, 8), encoder_hidden_states=normal(1, 7, 32), pooled_projections=normal(1, 64),
                             timestep=half),
                generator, ["to_q", "to_v", "add_k_proj", "to_out.0", "ff.net.2", "norm1_context.linear"], {"to_v": 2})
    wan = lambda: WanTransformer3DModel(patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
                                        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2, cross_attn_norm=True, rope_max_seq_len=32)
    transformer(checks, folder, "Wan, two ranks without alpha", wan,
                lambda: dict(hidden_states=normal(1, 4, 2, 8, 8), encoder_hidden_states=normal(1, 7, 16), timestep=half),
                generator, ["to_q", "to_k", "to_out.0", "ffn.net.2"], {"to_q": 2})


def transformer(checks: Checks, folder: Path, what: str, made, inputs, generator, names: list[str], ranks: dict[str, int]) -> None:
    """Through an .lqa file: what the transformer computes with the file that comes back, and with the merged weights."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    def new():
        torch.manual_seed(3)
        return made().eval()

    def run(model) -> np.ndarray:
        generator.manual_seed(9)
        with torch.no_grad():
            return model(**inputs()).sample.double().numpy()

    model = new()
    model.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=names, rank_pattern=ranks))
    randomize(model)
    place = folder / what.split(",")[0].replace(" ", "-")
    place.mkdir()
    weights, file, again = (place / name for name in ("lora.safetensors", "lora.lqa", "again"))
    state = get_peft_model_state_dict(model)
    # No alpha in the file: the multiplier is 1 then.
    save_file({f"transformer.{key}": value.contiguous() for key, value in state.items()}, weights)
    lqa("encode", weights, "-o", file, "--profile", "raw")
    lqa("decode", file, "-o", again)
    with_adapter, with_weights = new(), new()
    with_adapter.load_lora_adapter(str(again), prefix="transformer", weight_name=weights.name)
    adapted = applied(file, {f"transformer.{key}": value.numpy() for key, value in with_weights.state_dict().items()})
    with_weights.load_state_dict({key.removeprefix("transformer."): torch.from_numpy(value) for key, value in adapted.items()})
    checks.same("diffusers", version("diffusers"), what, run(with_adapter), run(with_weights), run(new()))


def prepare() -> None:
    """Makes the installed versions work together, and quiet."""
    import diffusers
    import transformers
    import transformers.integrations.peft as integration

    # transformers 5.24 asks for a PEFT that is not released yet; what pipelines use of it is in 0.21.
    integration.MIN_PEFT_VERSION = "0.21.0"
    diffusers.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)


def check(checks: Checks, folder: Path) -> None:
    prepare()
    stable_diffusion(checks, folder)
    locon(checks, folder)
    xl(checks, folder)
    transformer_models(checks, folder)
