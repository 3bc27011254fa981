"""Seconds and memory to load a LoRA of SDXL's size from an .lqa file and from safetensors, as ComfyUI's nodes do it.

    measure.py [--rank 38]

Needs Linux, the Python package, torch, safetensors and a built library. Makes factors of random numbers in F16 under kohya's names for the attention and
feed-forward layers of SDXL's UNet, encodes them with the profile `rtn` at 2 bits, and loads each file in a process of its own: CPU seconds, and
by how much the most resident memory grew beyond what the imports take.
"""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Blocks of SDXL's UNet with transformers: name, channels, transformer layers.
BLOCKS = [(f"input_blocks_{i}_1", width, depth) for i, width, depth in ((4, 640, 2), (5, 640, 2), (7, 1280, 10), (8, 1280, 10))]
BLOCKS += [("middle_block_1", 1280, 10)]
BLOCKS += [(f"output_blocks_{i}_1", width, depth) for i, width, depth in ((0, 1280, 10), (1, 1280, 10), (2, 1280, 10), (3, 640, 2), (4, 640, 2), (5, 640, 2))]
LOAD = """
import json, sys, time
import torch, safetensors.torch, lqa.comfyui
torch.set_num_threads(1)
most = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before, begun = most(), time.process_time()
state = lqa.comfyui.state_dict(sys.argv[1]) if sys.argv[1].endswith(".lqa") else safetensors.torch.load_file(sys.argv[1])
total = sum(float(each.float().abs().sum()) for each in state.values())  # every byte is touched
print(json.dumps({"seconds": time.process_time() - begun, "MB": (most() - before) * 1.024e-3, "sum": total}))
"""


def make(path: Path, rank: int) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = {}
    for block, width, depth in BLOCKS:
        for layer in range(depth):
            parts = {f"attn{n}_to_{part}": (width, 2048 if n == 2 and part in "kv" else width) for n in (1, 2) for part in ("q", "k", "v", "out_0")}
            parts |= {"ff_net_0_proj": (8 * width, width), "ff_net_2": (width, 4 * width)}
            for part, (out, inputs) in parts.items():
                name = f"lora_unet_{block}_transformer_blocks_{layer}_{part}"
                state[f"{name}.lora_down.weight"] = torch.randn(rank, inputs).half()
                state[f"{name}.lora_up.weight"] = (0.01 * torch.randn(out, rank)).half()
                state[f"{name}.alpha"] = torch.tensor(float(rank)).half()
    save_file(state, path)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, default=38)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        plain, packed = Path(name) / "x.safetensors", Path(name) / "x.lqa"
        make(plain, options.rank)
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(["node", ROOT / "dist" / "cli" / "main.js", "encode", plain, "-o", packed, "--profile", "rtn", "--code-bits", "2", "--quiet"], check=True)
        print(f"encoded in {resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun:.0f} s of CPU")
        for path in (plain, packed):
            out = subprocess.run([sys.executable, "-W", "ignore", "-c", LOAD, path], check=True, capture_output=True, text=True).stdout
            found = json.loads(out.splitlines()[-1])
            print(f"{path.suffix}: {path.stat().st_size / 1e6:.0f} MB on disk, {found['seconds']:.2f} s of CPU, {found['MB']:.0f} MB more memory, "
                  f"sum {found['sum']:.6g}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
