"""LoRAs with the names that programs give the layers of Stable Diffusion 1.5 and XL, Flux, Wan and Qwen-Image, for tests of the ComfyUI node:
the layers of the models as ComfyUI names them, and the files."""
from typing import Any

# For each case: (key in the file, without the end; the weight in ComfyUI; outputs; inputs; kernel).
SD = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1"
CLIP = "transformer.text_model.encoder.layers.0.self_attn"
CASES: dict[str, dict[str, Any]] = {
    "SD 1.5, kohya": {
        "layers": [("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", f"{SD}.to_q", 24, 16, ()),
                   ("lora_unet_down_blocks_0_resnets_0_conv1", "diffusion_model.input_blocks.1.0.in_layers.2", 24, 16, (3, 3)),
                   ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", f"clip_l.{CLIP}.q_proj", 16, 16, ())],
        "ends": ("lora_up.weight", "lora_down.weight"), "alpha": 3.0},
    "SDXL, kohya with the names of Stability": {
        "layers": [("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q", 32, 16, ()),
                   ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", f"clip_l.{CLIP}.q_proj", 16, 16, ()),
                   ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", f"clip_g.{CLIP}.q_proj", 20, 20, ())],
        "ends": ("lora_up.weight", "lora_down.weight"), "alpha": 1.0},
    "Flux, kohya": {
        "layers": [("lora_unet_double_blocks_0_img_attn_proj", "diffusion_model.double_blocks.0.img_attn.proj", 24, 24, ()),
                   ("lora_unet_single_blocks_0_linear1", "diffusion_model.single_blocks.0.linear1", 48, 24, ())],
        "ends": ("lora_up.weight", "lora_down.weight"), "alpha": 7.0},
    "Flux, ai-toolkit": {
        "layers": [("diffusion_model.double_blocks.0.img_attn.proj", "diffusion_model.double_blocks.0.img_attn.proj", 24, 24, ())],
        "ends": ("lora_B.weight", "lora_A.weight"), "alpha": None},
    "Wan": {
        "layers": [("diffusion_model.blocks.0.self_attn.q", "diffusion_model.blocks.0.self_attn.q", 24, 24, ()),
                   ("diffusion_model.blocks.0.ffn.0", "diffusion_model.blocks.0.ffn.0", 48, 24, ())],
        "ends": ("lora_B.weight", "lora_A.weight"), "alpha": None},
    "Wan, musubi-tuner": {
        "layers": [("lora_unet_blocks_0_self_attn_q", "diffusion_model.blocks.0.self_attn.q", 24, 24, ())],
        "ends": ("lora_up.weight", "lora_down.weight"), "alpha": 2.0},
    "Qwen-Image": {
        "layers": [("transformer_blocks.0.attn.to_q", "diffusion_model.transformer_blocks.0.attn.to_q", 24, 24, ()),
                   ("transformer_blocks.0.img_mlp.net.2", "diffusion_model.transformer_blocks.0.img_mlp.net.2", 24, 48, ())],
        "ends": ("lora_B.default.weight", "lora_A.default.weight"), "alpha": None},
}
RANK = 4


def adapter_of(case: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a file."""
    import torch

    torch.manual_seed(5)
    state = {}
    for key, _, out, inputs, kernel in case["layers"]:
        up, down = case["ends"]
        state[f"{key}.{up}"] = (torch.randn(out, RANK, *(1 for _ in kernel)) * 0.2).half()
        state[f"{key}.{down}"] = (torch.randn(RANK, inputs, *kernel) * 0.2).half()
        if case["alpha"] is not None:
            state[f"{key}.alpha"] = torch.tensor(case["alpha"]).half()
    return state


def weights_of(case: dict[str, Any]) -> dict[str, Any]:
    """The weights of a random model, by ComfyUI's names."""
    import torch

    torch.manual_seed(6)
    return {f"{weight}.weight": torch.randn(out, inputs, *kernel) for _, weight, out, inputs, kernel in case["layers"]}
