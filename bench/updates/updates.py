"""What updates of an adapter in training cost: python updates.py train | sizes | kl | speed | show

`train` trains an adapter of SmolLM2-135M for 200 steps on number-words, and keeps it every ten steps. `sizes` encodes each of these as a
chain (each file a child of the one before it, at a fixed error of ΔW), and beside it what people send today: 16-bit safetensors, the
same with zstd, differences in bf16 with zstd, and whole `.lqa` files. `kl` scores chain and whole files at 1.5 bits against the exact
adapter (24 development items). Each appends a JSON line for each step to results.jsonl and makes none twice; `show` prints the table.

It needs what ../functional needs, and the Python package.
"""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import lqa
import lqa.node
import numpy as np
import zstandard
from lqa.updates import GENERATIONS, generations
from safetensors.numpy import load_file, save

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "functional"))
RESULTS = HERE / "results.jsonl"
STEPS, EVERY, RATE, WARMUP, SEED, ITEMS, SCORED = 200, 10, 5e-4, 10, 42, 4, 24
ERRORS = (0.02, 0.05)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def run_folder() -> Path:
    import lm

    return lm.WORK / "updates"


def begun():
    import lm
    import torch
    from peft import LoraConfig, get_peft_model

    base, tokenizer = lm.load_base(torch.float32)
    torch.manual_seed(SEED)
    return get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")), tokenizer


def train() -> None:
    import lm
    import tasks
    import torch
    from train import batches, losses

    model, tokenizer = begun()
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    examples = lm.examples(tokenizer, tasks.load("number-words").build().train)
    for step, chosen in enumerate(batches(examples, SEED, STEPS)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * max(0.02, (STEPS - step) / STEPS)
        loss = losses(model, tokenizer, chosen[:ITEMS]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % EVERY == 0:
            model.save_pretrained(run_folder() / f"step-{step + 1:03d}", save_embedding_layers=False)
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)


def saves() -> dict[int, Path]:
    """The adapters of the run that are there, by step."""
    return {int(path.name.removeprefix("step-")): path for path in sorted(run_folder().glob("step-*"))}


def bf16(array: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, as float32."""
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def packed(state: dict[str, np.ndarray]) -> bytes:
    """safetensors of 16-bit weights; the type does not matter to the size."""
    return save({key: (bf16(array).view(np.uint32) >> 16).astype(np.uint16) for key, array in state.items()})


def chains(folder: Path):
    """The files of each chain, as a reader opens them, step after step."""
    last: dict[float, lqa.LqaFile | None] = dict.fromkeys(ERRORS)
    for step, path in saves().items():
        state, config = load_file(path / "adapter_model.safetensors"), json.loads((path / "adapter_config.json").read_text())
        found = {}
        for error in ERRORS:
            kept = folder / f"{error}-{step:03d}.lqa"
            before = last[error]
            parent = before if before is not None and generations(before) < GENERATIONS else None
            if not kept.is_file():
                kept.write_bytes(lqa.encode(state, config=config, max_error=error, parent=parent, workers=1))
            last[error] = found[error] = lqa.open(kept, parents=[] if parent is None else [parent])
        yield step, state, config, found


def lines(kind: str) -> dict[int, dict]:
    text = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else []
    return {line["step"]: line for line in map(json.loads, text) if line["kind"] == kind}


def record(line: dict) -> None:
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def made() -> Path:
    folder = run_folder() / "chains"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sizes() -> None:
    done, before = lines("sizes"), None
    zstd = zstandard.ZstdCompressor(level=3)
    for step, state, config, found in chains(made()):
        plain = {key: bf16(array) for key, array in state.items()}
        if step not in done:
            weights = sum(array.size for array in state.values())
            line = {"kind": "sizes", "step": step, "weights": weights, "safetensors": len(packed(state))}
            line["zstd"] = len(zstd.compress(packed(state)))
            if before is not None:
                line["differences"] = len(zstd.compress(packed({key: plain[key] - before[key] for key in plain})))
            line["whole"] = len(lqa.encode(state, config=config, bits=1.5, workers=1))
            line["chain"] = {str(error): [file.byte_length, file.parent_id is not None, file.meta["relative_error"]] for error, file in found.items()}
            record(line)
        before = plain


def kl() -> None:
    import lm
    import tasks
    import torch
    from peft import set_peft_model_state_dict

    done = lines("kl")
    model, tokenizer = begun()
    model.eval()
    chosen = random.Random(SEED).sample(lm.examples(tokenizer, tasks.load("number-words").build().dev), SCORED)
    parts = [lm.batch(tokenizer, sorted(chosen, key=len))]

    @torch.inference_mode()
    def said(state: dict) -> list:
        set_peft_model_state_dict(model, {key: torch.as_tensor(value) for key, value in state.items()})
        return [torch.log_softmax(lm.output_layer(model)(lm.answer_states(model, part)), -1) for part in parts]

    for step, state, config, found in chains(made()):
        if step in done:
            continue
        own = said(state)
        files = {"whole": lqa.open(lqa.encode(state, config=config, bits=1.5, workers=1)), **{str(error): file for error, file in found.items()}}
        line = {"kind": "kl", "step": step}
        for name, file in files.items():
            got = said(file.state_dict())
            line[name] = torch.cat([(p.exp() * (p - q)).sum(-1) for p, q in zip(own, got, strict=True)]).mean().item()
        record(line)


def moved(state: dict, size: float, random_: np.random.Generator) -> dict:
    """The adapter after a step: B moves more than A."""
    return {key: (array + size * (1 if "lora_B" in key else 0.3) * array.std() * random_.standard_normal(array.shape)).astype(np.float32)
            for key, array in state.items()}


def speed() -> None:
    rank, size, modules, random_ = 16, 1024, 120, np.random.default_rng(0)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"]}
    state = {}
    for i in range(modules):
        key = f"base_model.model.model.layers.{i}.self_attn.q_proj.lora"
        state[f"{key}_A.weight"] = (random_.standard_normal((rank, size)) / 32).astype(np.float32)
        state[f"{key}_B.weight"] = (random_.standard_normal((size, rank)) * 0.7 ** np.arange(rank) * 0.01).astype(np.float32)

    def node_seconds() -> float:
        fields = Path(f"/proc/{lqa.node.shared()._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def decoding(file: lqa.LqaFile) -> float:
        before = time.process_time()
        for _ in file.decode_all("f16"):
            pass
        return time.process_time() - before

    root = lqa.open(lqa.encode(state, config=config, workers=1))
    for error in (0.05, 0.02):
        for _ in range(3):
            after = moved(state, 0.1, random_)
            before = node_seconds(), time.process_time()
            data = lqa.encode(after, config=config, max_error=error, parent=root, workers=1)
            seconds = node_seconds() - before[0] + time.process_time() - before[1]
            weights = sum(array.size for array in state.values())
            print(f"at {error:.0%}: {len(data)} bytes, {8 * len(data) / weights:.3f} bits per weight, {seconds:.2f} s", flush=True)
    whole, child = lqa.open(lqa.encode(after, config=config, max_error=0.02, workers=1)), lqa.open(data, parents=[root])
    times = []
    for file in (whole, child):
        file.verify()
        times.append(min(decoding(file) for _ in range(5)))
    print(f"decoding to f16: {1000 * times[0]:.1f} ms whole, {1000 * times[1]:.1f} ms the child with its parent")


def show() -> None:
    scores = lines("kl")
    titles = ["step", "safetensors, 16 bit", "with zstd", "differences bf16, zstd", "whole .lqa, 1.5 bits"]
    titles += [f"chain at {error:.0%} (bits per weight)" for error in ERRORS]
    titles += ["KL whole", *(f"KL at {error:.0%}" for error in ERRORS)]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for step, line in lines("sizes").items():
        cells = [str(step), *(f"{line[key]:,}" if key in line else "" for key in ("safetensors", "zstd", "differences", "whole"))]
        for error in ERRORS:
            size, child, _ = line["chain"][str(error)]
            cells.append(f"{size:,} ({8 * size / line['weights']:.2f}{'' if child else ', whole'})")
        score = scores.get(step, {})
        cells += [f"{score[key]:.2g}" if key in score else "" for key in ("whole", *map(str, ERRORS))]
        print(f"| {' | '.join(cells)} |")
    for error in ERRORS:
        found = [(8 * line["chain"][str(error)][0] / line["weights"], line["chain"][str(error)][1]) for line in list(lines("sizes").values())[1:]]
        children = [bits for bits, child in found if child]
        print(f"\nAt {error:.0%}: {sum(bits for bits, _ in found) / len(found):.3f} bits per weight and update in the mean, "
              f"{sum(children) / len(children):.3f} of children alone.")


def main() -> None:
    parser = argparse.ArgumentParser(description="What updates of an adapter in training cost.")
    parser.add_argument("what", choices=("train", "sizes", "kl", "speed", "show"))
    {"train": train, "sizes": sizes, "kl": kl, "speed": speed, "show": show}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
