"""Trains adapters with PEFT: python train.py [--list] [NAME ...]

Without names, all of `plan.py` in their order. A checkpoint is written every CHECKPOINT steps: the same command continues a run that was
killed, and skips an adapter that is trained. Everything is seeded, the order of the items included; floating-point results still
vary with the processor and its threads, which is why trained adapters are kept (`keep.py`).
"""

import argparse
import hashlib
import json
import math
import os
import random
import time

import bases
import place
import plan
import problems
from place import BenchError

import torch

WARMUP, CHECKPOINT = 10, 5
# Rows of the output layer computed at once: 262,144 tokens × 128 places are 134 MB.
PLACES = 128


def texts(tokenizer, adapter: plan.Adapter, items: list[problems.Item]) -> list[tuple[list[int], int]]:
    """Items as tokens, with the end token, and the place where the completion starts. Longer ones are left out."""
    found = []
    for item in items:
        words = problems.wrapped(adapter.base, item)
        prompt, answer = (tokenizer(words[part], add_special_tokens=False)["input_ids"] for part in ("prompt", "completion"))
        found.append(([*prompt, *answer, tokenizer.eos_token_id], len(prompt)))
    return [one for one in found if len(one[0]) <= adapter.limit]


def batches(examples: list, adapter: plan.Adapter):
    """The batches of all steps, epoch after epoch, of items of like length."""
    done = epoch = 0
    while True:
        rng = random.Random(1000 * adapter.seed + epoch)
        order = rng.sample(examples, len(examples))
        ready = []
        for start in range(0, len(order), 16 * adapter.batch):
            pool = sorted(order[start : start + 16 * adapter.batch], key=lambda one: len(one[0]))
            ready += [pool[at : at + adapter.batch] for at in range(0, len(pool), adapter.batch)]
        rng.shuffle(ready)
        for chosen in ready:
            if done == adapter.steps:
                return
            yield chosen
            done += 1
        epoch += 1


def share_of_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


def backward(model, chosen: list) -> float:
    """Adds the gradients of the mean loss of the completions' tokens, and returns that loss.

    The logits are the largest thing there is, so they are made for a few places at a time, and their gradient stops at the hidden states.
    """
    width = max(len(tokens) for tokens, _ in chosen) - 1
    inputs = torch.zeros(len(chosen), width, dtype=torch.long)
    scored = torch.zeros(len(chosen), width, dtype=torch.bool)
    for row, (tokens, start) in enumerate(chosen):
        inputs[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        scored[row, start - 1 : len(tokens) - 1] = True
    targets = torch.tensor([token for tokens, start in chosen for token in tokens[start:]])
    core = model.get_base_model()
    # Padded on the right, where causal attention never looks.
    hidden = core.model(input_ids=inputs, use_cache=False).last_hidden_state[scored]
    states = hidden.detach().requires_grad_()
    total = 0.0
    for part, wanted in zip(states.split(PLACES), targets.split(PLACES), strict=True):
        loss = torch.nn.functional.cross_entropy(core.lm_head(part), wanted, reduction="sum") / len(targets)
        loss.backward()
        total += loss.item()
    hidden.backward(states.grad)
    return total


def prepared(adapter: plan.Adapter):
    """The base model in float32 with an untrained adapter, and its tokenizer."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = bases.find(adapter.base)
    folder = bases.directory(base)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.name_or_path = base.upstream  # what PEFT writes into adapter_config.json
    torch.manual_seed(adapter.seed)
    shape = plan.SHAPES[adapter.shape]
    lora = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, lora_dropout=0.0, target_modules=list(shape.targets), task_type="CAUSAL_LM")
    return get_peft_model(model, lora).train(), tokenizer


def train(adapter: plan.Adapter) -> None:
    """Trains an adapter into the work folder, `trained/<name>`."""
    out = place.STATE / "trained" / adapter.name
    if out.is_dir():
        print(f"{adapter.name}: trained already", flush=True)
        return
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    split = problems.load(adapter.task)
    model, tokenizer = prepared(adapter)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=adapter.rate, weight_decay=0.0, fused=True)
    examples = texts(tokenizer, adapter, split.train)
    run = vars(adapter) | {"rate": adapter.rate, "items": len(examples), "tokens": digest(examples)}
    checkpoint = place.STATE / "checkpoints" / f"{adapter.name}.pt"
    first, seconds, history = 0, 0.0, []
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if state["run"] != run:
            raise BenchError(f"{checkpoint} belongs to another run ({state['run']}); delete it to train again")
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds, history = state["step"], state["seconds"], state["losses"]

    started = time.process_time() - seconds
    for step, chosen in enumerate(batches(examples, adapter)):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = adapter.rate * share_of_rate(step, adapter.steps)
        history.append(round(backward(model, chosen), 4))
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done, seconds = step + 1, time.process_time() - started
        if done % CHECKPOINT == 0:
            state = {"run": run, "step": done, "seconds": seconds, "losses": history}
            with place.whole(checkpoint) as partial:
                torch.save(state | {"adapter": get_peft_model_state_dict(model), "optimizer": optimizer.state_dict()}, partial)
            mean = sum(history[-CHECKPOINT:]) / CHECKPOINT
            print(f"{adapter.name}: step {done}/{adapter.steps} loss {mean:.4f} {seconds:.0f} s of CPU", flush=True)

    with place.whole(out) as partial:
        model.save_pretrained(partial, save_embedding_layers=False)
        (partial / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        record = run | {"losses": history, "cpu_seconds": round(seconds), "threads": torch.get_num_threads(), "versions": versions()}
        (partial / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)


def digest(examples: list) -> str:
    """Of the tokens that are trained on."""
    return hashlib.sha256(json.dumps(examples).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "peft", "safetensors", "gguf")}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train adapters; rerun to resume.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, or some of those of --list")
    parser.add_argument("--list", action="store_true", help="only list the adapters and how far each is")
    args = parser.parse_args()
    known = plan.ADAPTERS | plan.SHORT
    for name in args.names:
        if name not in known:
            raise BenchError(f"no adapter {name}; see --list")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for name in args.names or known:
        if args.list:
            print(f"{name}\t{progress(name)}")
        else:
            train(known[name])


def progress(name: str) -> str:
    if (place.STATE / "trained" / name).is_dir():
        return "trained"
    checkpoint = place.STATE / "checkpoints" / f"{name}.pt"
    if not checkpoint.is_file():
        return "not started"
    return f"step {torch.load(checkpoint, weights_only=True)['step']} of {(plan.ADAPTERS | plan.SHORT)[name].steps}"


if __name__ == "__main__":
    place.main(main)
