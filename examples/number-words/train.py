"""Trains the LoRA adapter on data/train.tsv and saves it with PEFT.

Usage: python train.py [--out DIR] [--work DIR] [--steps N] [--stop-after N]

A checkpoint is written to the work folder every 100 steps; the same command
continues from it. Everything is seeded, the order of the data included.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import task  # first: it sets the environment that the libraries read

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

SEED = 20261125
BATCH = 32
LEARNING_RATE = 2e-3
WARMUP_STEPS = 40
COSINE_STEPS = 1100
COOLDOWN_STEPS = 100
RANK = 8
ALPHA = 16
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
CHECKPOINT_EVERY = 100


def batches(items: list[task.Item], seed: int, steps: int):
    """Yields `steps` batches, epoch after epoch, of items of like length."""
    done = 0
    epoch = 0
    while True:
        rng = random.Random(seed + epoch)
        order = items[:]
        rng.shuffle(order)
        pool = BATCH * 16
        epoch_batches = []
        for start in range(0, len(order), pool):
            chunk = sorted(order[start : start + pool], key=lambda item: len(item.words))
            epoch_batches += [chunk[at : at + BATCH] for at in range(0, len(chunk), BATCH)]
        rng.shuffle(epoch_batches)
        for batch in epoch_batches:
            if done == steps:
                return
            yield batch
            done += 1
        epoch += 1


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, a slow cosine, and a linear way down to zero at the end."""
    warm_up = min(1.0, (step + 1) / WARMUP_STEPS)
    progress = max(0, step - WARMUP_STEPS) / (COSINE_STEPS - WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    cooldown = min(1.0, (steps - step) / COOLDOWN_STEPS)
    return LEARNING_RATE * warm_up * cosine * cooldown


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the number-words LoRA adapter.")
    parser.add_argument("--out", type=Path, default=task.HERE / "adapter")
    parser.add_argument("--work", type=Path, default=task.HERE / ".work")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--stop-after", type=int, help="stop at this step (a trial; saves no adapter)")
    args = parser.parse_args()

    torch.manual_seed(SEED)
    items = task.read_items(task.TRAIN_FILE)
    # The frozen weights are in bfloat16, for speed; the adapter stays in float32.
    base, tokenizer = task.load_base(torch.bfloat16, "eager")
    model = get_peft_model(
        base,
        LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            lora_dropout=0.0,
            target_modules=TARGETS,
            task_type="CAUSAL_LM",
        ),
    )
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in weights)
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.0)
    print(f"{len(items)} items, {sum(p.numel() for p in weights)} weights to train", flush=True)

    # Continue from a checkpoint of the same run, if there is one.
    run = {"seed": SEED, "steps": args.steps, "batch": BATCH, "lr": LEARNING_RATE, "rank": RANK}
    args.work.mkdir(parents=True, exist_ok=True)
    checkpoint = args.work / "checkpoint.pt"
    first, seconds = 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if state["run"] != run:
            raise SystemExit(f"error: {checkpoint} is of another run ({state['run']}); delete it")
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds = state["step"], state["seconds"]
        print(f"continuing at step {first}", flush=True)

    started = time.monotonic() - seconds
    recent: list[float] = []
    for step, batch in enumerate(batches(items, SEED, args.steps)):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps)
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.answer_losses(model, tokenizer, batch).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

        recent.append(loss.item())
        done = step + 1
        if done % 10 == 0:
            seconds = time.monotonic() - started
            mean = sum(recent[-10:]) / len(recent[-10:])
            left = (args.steps - done) * seconds / done
            print(f"step {done}/{args.steps} loss {mean:.4f} {seconds:.0f}s, {left:.0f}s left", flush=True)
        if done % CHECKPOINT_EVERY == 0 or done == args.steps:
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {
                    "run": run,
                    "step": done,
                    "seconds": time.monotonic() - started,
                    "adapter": get_peft_model_state_dict(model),
                    "optimizer": optimizer.state_dict(),
                },
                partial,
            )
            partial.replace(checkpoint)
        if done == args.stop_after:
            print("stopped early, as asked; no adapter saved")
            return

    seconds = time.monotonic() - started
    model.save_pretrained(args.out, save_embedding_layers=False)
    (args.out / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    summary = {
        "base_model": task.BASE_MODEL,
        "train_items": len(items),
        **run,
        "alpha": ALPHA,
        "target_modules": TARGETS,
        "warmup_steps": WARMUP_STEPS,
        "schedule": f"cosine over {COSINE_STEPS} steps, linear to zero in the last {COOLDOWN_STEPS}",
        "final_loss": round(sum(recent[-50:]) / len(recent[-50:]), 5) if recent else None,
        "wall_seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "versions": task.versions(),
    }
    (args.out.parent / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"saved {args.out} after {seconds:.0f}s of training")


if __name__ == "__main__":
    main()
