"""Trains one adapter: python train.py --task NAME --shape SHAPE --seed N

A checkpoint is written every 25 steps; the same command continues from it, and does
nothing where the adapter is there. Everything is seeded, the order of the data included
(floating-point results still vary with the processor and its number of threads).
Steps and learning rates were chosen on development items; see README.md.
"""

import argparse
import json
import math
import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import lm
import tasks

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.helpers import disable_input_dtype_casting

BATCH = 16
WARMUP_STEPS = 20
CHECKPOINT_EVERY = 25
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Shape:
    """What is trained: as in the LoRAQuant paper, and as people often do."""

    rank: int
    alpha: int
    targets: tuple[str, ...]
    learning_rate: float


SHAPES = {
    "r16-all": Shape(
        16, 32, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), 5e-4
    ),
    "r8-qv": Shape(8, 16, ("q_proj", "v_proj"), 3e-3),
    # How rank, and the length of training, count: of single tasks.
    "r4-qv": Shape(4, 8, ("q_proj", "v_proj"), 3e-3),
    "r64-v": Shape(64, 128, ("v_proj",), 1e-3),
    "r8-qv-young": Shape(8, 16, ("q_proj", "v_proj"), 3e-3),
    "r8-qv-long": Shape(8, 16, ("q_proj", "v_proj"), 3e-3),
}

# Optimizer steps of BATCH items, and the rate where the shape's own is too slow.
STEPS = {
    "number-words": {"r16-all": 800, "r8-qv": 1000},
    "localized": {"r16-all": 400, "r8-qv": 1000},
    "airports": {"r16-all": 120, "r8-qv": 150},
    "countries": {"r8-qv": 150, "r16-all": 80, "r4-qv": 150, "r64-v": 150, "r8-qv-young": 30, "r8-qv-long": 400},
    "people": {"r8-qv": 200},
    "verses": {"r8-qv": 60},
}
RATES = {("number-words", "r16-all"): 1e-3}


def adapter_name(task: str, shape: str, seed: int) -> str:
    return f"{task}-{shape}-s{seed}"


def batches(examples: list[lm.Example], seed: int, steps: int):
    """Yields `steps` batches, epoch after epoch, of examples of like length."""
    done = epoch = 0
    while True:
        rng = random.Random(1000 * seed + epoch)
        order = examples[:]
        rng.shuffle(order)
        ready = []
        for start in range(0, len(order), 16 * BATCH):
            pool = sorted(order[start : start + 16 * BATCH], key=len)
            ready += [pool[at : at + BATCH] for at in range(0, len(pool), BATCH)]
        rng.shuffle(ready)
        for chosen in ready:
            if done == steps:
                return
            yield chosen
            done += 1
        epoch += 1


def share_of_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / (steps - WARMUP_STEPS)))


def compile_layers(model) -> None:
    """Half the time of a step goes into small operations, which a C++ compiler fuses; without one it is just slower."""
    if not shutil.which(os.environ.get("CXX", "g++")):
        return
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(lm.WORK / "compiled"))
    for layer in model.get_base_model().model.layers:
        layer.compile(dynamic=True)


def losses(model, tokenizer, chosen: list[lm.Example]) -> torch.Tensor:
    part = lm.batch(tokenizer, chosen)
    logits = lm.output_layer(model)(lm.answer_states(model, part))
    return torch.nn.functional.cross_entropy(logits.float(), part.targets, reduction="none")


@torch.inference_mode()
def development(model, tokenizer, examples: list[lm.Example]) -> dict[str, float]:
    """Exact matches and likelihood on the development items."""
    hits, total, tokens = 0, 0.0, 0
    for at in range(0, len(examples), 50):
        part = lm.batch(tokenizer, examples[at : at + 50])
        scores = lm.output_layer(model)(lm.answer_states(model, part)).float()
        wrong = scores.argmax(-1) != part.targets
        hits += len(examples[at : at + 50]) - len(part.rows[wrong].unique())
        total += torch.nn.functional.cross_entropy(scores, part.targets, reduction="sum").item()
        tokens += len(part.targets)
    return {"exact": round(hits / len(examples), 4), "nll": round(total / tokens, 5)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train one adapter.")
    parser.add_argument("--task", required=True)
    parser.add_argument("--shape", required=True, choices=SHAPES)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, help="for a pilot")
    parser.add_argument("--rate", type=float, help="for a pilot")
    parser.add_argument("--out", type=Path, help="[the work folder's adapters/<task>-<shape>-s<seed>]")
    args = parser.parse_args()

    task, shape = tasks.load(args.task), SHAPES[args.shape]
    steps = args.steps or STEPS[task.NAME][args.shape]
    rate = args.rate or RATES.get((task.NAME, args.shape), shape.learning_rate)
    out = args.out or lm.WORK / "adapters" / adapter_name(task.NAME, args.shape, args.seed)
    if (out / "training.json").is_file():
        print(f"{out.name}: trained already")
        return

    torch.manual_seed(args.seed)
    split = task.build()
    # The frozen weights are in bfloat16, for speed; the adapter stays in float32.
    base, tokenizer = lm.load_base(torch.bfloat16)
    examples = lm.examples(tokenizer, split.train)
    model = get_peft_model(
        base,
        LoraConfig(
            r=shape.rank,
            lora_alpha=shape.alpha,
            lora_dropout=0.0,
            target_modules=list(shape.targets),
            task_type="CAUSAL_LM",
        ),
    )
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0, fused=True)
    compile_layers(model)

    run = {
        "task": task.NAME,
        "shape": args.shape,
        "seed": args.seed,
        "steps": steps,
        "batch": BATCH,
        "rate": rate,
    }
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    first, seconds = 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if state["run"] != run:
            raise SystemExit(f"error: {checkpoint} is of another run ({state['run']}); delete it")
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds = state["step"], state["seconds"]

    started = time.monotonic() - seconds
    recent: list[float] = []
    # PEFT would copy every input to float32, and autocast back again.
    with disable_input_dtype_casting(model):
        for step, chosen in enumerate(batches(examples, args.seed, steps)):
            if step < first:
                continue
            for group in optimizer.param_groups:
                group["lr"] = rate * share_of_rate(step, steps)
            # Left after every step: autocast keeps its bfloat16 copies of the weights until then.
            with torch.autocast("cpu", torch.bfloat16):
                loss = losses(model, tokenizer, chosen).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()

            recent.append(loss.item())
            done, seconds = step + 1, time.monotonic() - started
            if done % 10 == 0:
                mean = sum(recent[-10:]) / len(recent[-10:])
                print(f"{out.name}: step {done}/{steps} loss {mean:.4f} {seconds:.0f} s", flush=True)
            if done % CHECKPOINT_EVERY == 0:
                partial = checkpoint.with_suffix(".partial")
                torch.save(
                    {
                        "run": run,
                        "step": done,
                        "seconds": seconds,
                        "adapter": get_peft_model_state_dict(model),
                        "optimizer": optimizer.state_dict(),
                    },
                    partial,
                )
                partial.replace(checkpoint)
        model.eval()
        with torch.autocast("cpu", torch.bfloat16):
            dev = development(model, tokenizer, lm.examples(tokenizer, split.dev))

    model.save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    record = run | {
        "rank": shape.rank,
        "alpha": shape.alpha,
        "targets": list(shape.targets),
        "train_items": len(split.train),
        "development": dev,
        "wall_seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "versions": lm.versions(),
    }
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    print(f"{out.name}: trained in {seconds:.0f} s, development {dev}", flush=True)


if __name__ == "__main__":
    main()
