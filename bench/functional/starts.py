"""Where a known start pays: python starts.py RATE ... | --adapter FOLDER | --kept, or without either the tables of what is there

Trains PEFT's default (rank 8 on the projections of q and v) at each learning rate, and encodes the adapter after 100, 300, 1,000 and
3,000 steps with and without its start, both for an error of at most 5 %. For each encoding pair one JSON line is appended to
results/starts.jsonl; what is there is not made again, and training continues at its last checkpoint (`--steps` ends it earlier).

With `--adapter` an adapter of the base model that has a start is encoded with and without it at some bits per weight, and both are
scored on development items: results/starts-scored.jsonl. With `--kept` it says of each kept adapter whether a start changes its file.
"""

import argparse
import json
from pathlib import Path

import lm
import references
import table as encodings
import tasks
from evaluate import Scorer, start, summary
from train import batches, losses

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

STEPS = (100, 300, 1000, 3000)
TASK, SEED, WARMUP, ITEMS = "number-words", 0, 20, 4
PATH, SCORED = lm.RESULTS / "starts.jsonl", lm.RESULTS / "starts-scored.jsonl"
BITS = ("0.25", "0.5", "1.0")


def a_of(model) -> torch.Tensor:
    return torch.cat([v.flatten() for k, v in sorted(get_peft_model_state_dict(model).items()) if "lora_A" in k])


def encode(folder: Path, file: Path, kind: str) -> dict:
    return encodings.lqa("encode", str(folder), "-o", str(file), "--max-error", "0.05", "--start", kind, "--force")


def run(rate: float, most: int) -> None:
    done = {line["steps"] for line in lm.json_lines(PATH) if line["rate"] == rate}
    wanted = [steps for steps in STEPS if steps <= most and steps not in done]
    if not wanted:
        print(f"{rate:g}: nothing to do")
        return
    # The seed before the adapter is made, as most programs do it.
    base, tokenizer = lm.load_base(torch.float32)
    torch.manual_seed(SEED)
    model = get_peft_model(base, LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")).train()
    begun = a_of(model).clone()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0, fused=True)
    examples = lm.examples(tokenizer, tasks.load(TASK).build().train)
    folder = lm.WORK / "starts" / f"{rate:g}"
    state = folder / "state.pt"
    first = 0
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        set_peft_model_state_dict(model, kept["adapter"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["step"]
    for step, chosen in enumerate(batches(examples, SEED, max(wanted))):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARMUP)
        loss = losses(model, tokenizer, chosen[:ITEMS]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 100 == 0:
            print(f"{rate:g}: step {step + 1} loss {loss.item():.3f}", flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            adapter = get_peft_model_state_dict(model)
            torch.save({"step": step + 1, "adapter": adapter, "optimizer": optimizer.state_dict()}, state)
        if step + 1 in wanted:
            at = folder / str(step + 1)
            model.save_pretrained(at, save_embedding_layers=False)
            none, auto = (encode(at, folder / f"{step + 1}-{start}.lqa", start) for start in ("none", "auto"))
            moved = ((a_of(model) - begun).norm() / begun.norm()).item()
            line = {"rate": rate, "steps": step + 1, "moved": round(moved, 4), "none": none["outputBytes"], "auto": auto["outputBytes"]}
            line |= {"versions": lm.versions()}
            print(json.dumps(line), flush=True)
            with PATH.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")


def score(folder: Path) -> None:
    done = {(line["name"], line["bits"], line["start"]) for line in lm.json_lines(SCORED)}
    split = tasks.load(TASK).build()
    scorer = Scorer(split.dev, split.train)
    scratch = lm.WORK / "scratch" / f"starts-{folder.name}"
    begun = start(scorer, folder, scratch)
    for bits in BITS:
        for kind in ("none", "auto"):
            if (folder.name, bits, kind) in done:
                continue
            restored, report = encodings.round_trip(folder, ["--bits", bits, "--start", kind], scratch)
            got = summary(scorer.score(restored), begun.base, begun.reference, scorer.tokens)
            line = {"name": folder.name, "bits": bits, "start": kind, "bytes": report["outputBytes"]}
            line |= {"error": report["relativeError"], "kl": got["kl"], "items": got["items"], "content": report["contentId"]}
            print(json.dumps(line), flush=True)
            with SCORED.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")


def kept() -> None:
    for name in references.names():
        folder = references.load(name).folder
        none, auto = (encode(folder, lm.WORK / f"starts-{kind}.lqa", kind)["contentId"] for kind in ("none", "auto"))
        print(f"{name}: {'no start' if none == auto else 'a start'}", flush=True)


def show() -> None:
    found = {(line["rate"], line["steps"]): line for line in lm.json_lines(PATH)}
    rates = sorted({rate for rate, _ in found})
    print(f"| steps | {' | '.join(f'{rate:g}' for rate in rates)} |\n|---|{'---|' * len(rates)}")
    for steps in STEPS:
        lines = [found.get((rate, steps)) for rate in rates]
        cells = [f"{one['auto'] / one['none']:.2f} ({100 * one['moved']:.0f} %)" if one else "" for one in lines]
        print(f"| {steps:,} | {' | '.join(cells)} |")
    print("\n| adapter | bits per weight | error without | error with | KL without, nats · 10⁻⁶ | KL with |\n|---|---|---|---|---|---|")
    scored = {(line["name"], line["bits"], line["start"]): line for line in lm.json_lines(SCORED)}
    for name, bits in sorted({key[:2] for key in scored}):
        none, auto = (scored[name, bits, kind] for kind in ("none", "auto"))
        figures = f"{none['error']:.2%} | {auto['error']:.2%} | {1e6 * none['kl']:.0f} | {1e6 * auto['kl']:.0f}"
        print(f"| {name} | {bits} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train adapters, and encode them with and without their start.")
    parser.add_argument("rates", metavar="RATE", nargs="*", type=float)
    parser.add_argument("--steps", type=int, default=max(STEPS), help="train no longer than this")
    parser.add_argument("--adapter", type=Path, help="score this adapter with and without its start")
    parser.add_argument("--kept", action="store_true", help="look for starts of all kept adapters")
    given = parser.parse_args()
    if given.kept:
        kept()
    if given.adapter:
        score(given.adapter.resolve())
    for rate in given.rates:
        run(rate, given.steps)
    if not (given.rates or given.adapter or given.kept):
        show()


if __name__ == "__main__":
    main()
