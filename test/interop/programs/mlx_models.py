"""Exported adapters of MLX in mlx-lm, which has a CPU backend for Linux: small random Llama and Mixtral models."""
import json
from pathlib import Path

import numpy as np

from common import Checks, applied, lqa, version

LLAMA = dict(model_type="llama", hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             rms_norm_eps=1e-5, vocab_size=100, tie_word_embeddings=False, rope_theta=10000.0, architectures=["LlamaForCausalLM"])
MIXTRAL = dict(model_type="mixtral", hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=100, num_local_experts=4, num_experts_per_tok=2, rope_theta=10000.0,
               architectures=["MixtralForCausalLM"])


def save_model(config: dict, place: Path) -> None:
    """A random model, as mlx-lm saves one."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map
    from mlx_lm.utils import _get_classes

    mx.random.seed(4)
    model_class, arguments = _get_classes(config)
    model = model_class(arguments.from_dict(config))
    model.update(tree_map(lambda x: x if x.ndim < 2 else 0.2 * mx.random.normal(x.shape), model.parameters()))
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    mx.save_safetensors(str(place / "model.safetensors"), dict(tree_flatten(model.parameters())), metadata={"format": "mlx"})


def output(place: Path, adapter: Path | None = None, fused: bool = False) -> np.ndarray:
    """Logits, with an adapter as mlx-lm loads it."""
    import mlx.core as mx
    from mlx.utils import tree_unflatten
    from mlx_lm.tuner.utils import load_adapters
    from mlx_lm.utils import load_model

    model, _ = load_model(place, lazy=False)
    if adapter is not None:
        model = load_adapters(model, str(adapter))
    if fused:
        layers = [(name, module.fuse()) for name, module in model.named_modules() if hasattr(module, "fuse")]
        model.update_modules(tree_unflatten(layers))
    model.eval()
    return np.array(model(mx.array([[3, 14, 15, 92, 65], [35, 89, 79, 32, 38]])).astype(mx.float32), np.float64)


def trained(place: Path, base: Path, keys: list[str] | None, dora: bool = False) -> None:
    """An adapter as mlx-lm's trainer saves it, with random weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    mx.random.seed(8)
    model, _ = load_model(base, lazy=False)
    model.freeze()
    parameters = {"rank": 4, "scale": 7.5, "dropout": 0.0, **({"keys": keys} if keys else {})}
    linear_to_lora_layers(model, 2, parameters, use_dora=dora)
    weights = {key: value * (0.8 + 0.4 * mx.random.uniform(shape=value.shape)) if key.endswith(".m") else 0.08 * mx.random.normal(value.shape)
               for key, value in tree_flatten(model.trainable_parameters())}
    place.mkdir()
    config = {"fine_tune_type": "dora" if dora else "lora", "num_layers": 2, "lora_parameters": parameters, "model": str(base)}
    (place / "adapter_config.json").write_text(json.dumps(config, indent=4))
    mx.save_safetensors(str(place / "adapters.safetensors"), weights)


def write_merged(place: Path, file: Path, base: Path) -> None:
    """A model with the adapter of a file added."""
    from safetensors.numpy import load_file, save_file

    place.mkdir()
    save_file(applied(file, load_file(base / "model.safetensors")), place / "model.safetensors")
    (place / "config.json").write_bytes((base / "config.json").read_bytes())


def trip(checks: Checks, folder: Path, name: str, what: str, base: Path, merge: bool, **options) -> None:
    """An adapter of mlx-lm into an .lqa file and back."""
    program = version("mlx-lm")
    made, file, again = folder / f"{name}-made", folder / f"{name}.lqa", folder / f"{name}-again"
    trained(made, base, **options)
    lqa("encode", made, "-o", file, "--profile", "raw")
    lqa("decode", file, "-o", again)
    for each in ("adapter_config.json", "adapters.safetensors"):
        same = (made / each).read_bytes() == (again / each).read_bytes()
        checks.that(same or (each != "adapter_config.json" and tensors(made / each) == tensors(again / each)), f"mlx, {what}: another {each}")
    plain = output(base)
    if merge:
        write_merged(folder / f"{name}-merged", file, base)
        checks.same("mlx", program, what, output(base, again), output(folder / f"{name}-merged"), plain)
    else:
        # How a model stores its experts is its own affair: here mlx-lm merges.
        checks.same("mlx", program, f"{what}, merged by mlx-lm", output(base, again), output(base, again, fused=True), plain)


def tensors(path: Path) -> list:
    from safetensors.numpy import load_file

    return [(key, value.dtype, value.shape, value.tobytes()) for key, value in sorted(load_file(path).items())]


def check(checks: Checks, folder: Path) -> None:
    program = version("mlx-lm")
    llama, mixtral = folder / "llama", folder / "mixtral"
    save_model(LLAMA, llama)
    save_model(MIXTRAL, mixtral)
    attention = ["self_attn.q_proj", "self_attn.v_proj"]
    trip(checks, folder, "usual", "LoRA of all linear layers", llama, True, keys=None)
    trip(checks, folder, "keys", "LoRA of some layers, by name", llama, True, keys=attention)
    trip(checks, folder, "dora", "DoRA", llama, True, keys=attention, dora=True)
    trip(checks, folder, "embedding", "an embedding", llama, True, keys=["model.embed_tokens", *attention])
    trip(checks, folder, "experts", "experts", mixtral, False, keys=None)

    # From PEFT, by way of an .lqa file: different ranks and alphas, quantized.
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(6)
    fields = {key: value for key, value in LLAMA.items() if key not in ("model_type", "architectures", "rope_theta")}
    config = LoraConfig(r=8, lora_alpha=12, target_modules=["q_proj", "k_proj", "o_proj", "down_proj"], rank_pattern={"k_proj": 4},
                        alpha_pattern={"down_proj": 3})
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**fields)), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder / "peft")
    lqa("encode", folder / "peft", "-o", folder / "peft.lqa", "--bits", "3")
    lqa("decode", folder / "peft.lqa", "-o", folder / "from-peft", "--to", "mlx")
    write_merged(folder / "peft-merged", folder / "peft.lqa", llama)
    checks.same("mlx", program, "from PEFT, two ranks and alphas, 3 bits", output(llama, folder / "from-peft"), output(folder / "peft-merged"),
                output(llama))
