"""Scores the base model and PEFT adapter folders on data/heldout.tsv.

Usage: python evaluate.py --adapter DIR [--adapter DIR2 ...] [--limit N]
                          [--nll-only] [--shots K] [--skip-base] [--json out.json]

Two scores, both deterministic:
  exact  the share of items whose greedy answer is the right one, letter for letter
  nll    the mean negative log-likelihood per token of the right answers, in nats
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import task  # first: it sets the environment that the libraries read

import torch
from peft import PeftModel

BATCH = 50


def interval(hits: int, total: int) -> list[float]:
    """The 95 % Wilson interval of a share."""
    z = 1.959964
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


@torch.inference_mode()
def nll(model, tokenizer, items: list[task.Item]) -> dict:
    total, tokens = 0.0, 0
    for start in range(0, len(items), BATCH):
        losses = task.answer_losses(model, tokenizer, items[start : start + BATCH])
        total += losses.double().sum().item()
        tokens += losses.numel()
    return {"nll_per_token": round(total / tokens, 6), "answer_tokens": tokens}


@torch.inference_mode()
def answers(model, tokenizer, items: list[task.Item], examples: dict[str, str]) -> list[str]:
    """Greedy answers: what follows the prompt, up to the end of its line."""
    found: list[str] = []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        prompts = [
            task.prompt_ids(tokenizer, examples.get(item.language, "") + item.prompt) for item in batch
        ]
        width = max(len(prompt) for prompt in prompts)
        pad = tokenizer.pad_token_id
        inputs = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        output = model.generate(
            input_ids=inputs,
            attention_mask=mask,
            max_new_tokens=task.MAX_ANSWER_TOKENS,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=pad,
        )
        for text in tokenizer.batch_decode(output[:, width:], skip_special_tokens=True):
            found.append(text.strip().split("\n")[0].strip())
    return found


def shares(items: list[task.Item], given: list[str], key) -> dict[str, float]:
    """The exact-match share within each group of items."""
    groups: dict[str, list[bool]] = {}
    for item, answer in zip(items, given):
        groups.setdefault(str(key(item)), []).append(answer == item.words)
    return {name: round(sum(hits) / len(hits), 4) for name, hits in sorted(groups.items())}


def score(name: str, model, tokenizer, items, *, with_nll=True, with_exact=True, examples={}) -> tuple[dict, list[str]]:
    started = time.monotonic()
    result: dict = {"name": name, "items": len(items)}
    given: list[str] = []
    if with_nll:
        result |= nll(model, tokenizer, items)
    if with_exact:
        given = answers(model, tokenizer, items, examples)
        hits = sum(answer == item.words for item, answer in zip(items, given))
        result |= {
            "exact": round(hits / len(items), 4),
            "exact_interval_95": interval(hits, len(items)),
            "exact_by_language": shares(items, given, lambda item: item.language),
            "exact_by_digits": shares(items, given, lambda item: len(str(item.number))),
        }
    result["seconds"] = round(time.monotonic() - started, 1)

    line = f"{name}: {len(items)} items"
    if with_exact:
        low, high = result["exact_interval_95"]
        line += f", exact {100 * result['exact']:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})"
    if with_nll:
        line += f", nll {result['nll_per_token']:.6f} per token"
    print(line, flush=True)
    return result, given


def few_shot_text(shots: int) -> dict[str, str]:
    """For each language, the first `shots` training items, one solved prompt a line."""
    train = task.read_items(task.TRAIN_FILE)
    return {
        language: "".join(
            f"{item.prompt} {item.words}\n"
            for item in [item for item in train if item.language == language][:shots]
        )
        for language in task.LANGUAGES
    }


def save(results: list[dict], path: Path | None) -> None:
    """Writes what has been scored so far, so that stopping loses nothing."""
    if path is None:
        return
    report = {
        "task": "number-words",
        "command": "python evaluate.py " + " ".join(sys.argv[1:]),
        "seed": "none needed: greedy, nothing is sampled",
        "threads": torch.get_num_threads(),
        "versions": task.versions(),
        "results": results,
    }
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score PEFT adapters on the held-out number words.")
    parser.add_argument("--adapter", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--limit", type=int, help="score the first N held-out items only (they are shuffled)")
    parser.add_argument("--nll-only", action="store_true", help="skip the slow greedy answers")
    parser.add_argument("--shots", type=int, default=0, help="also score the base with K solved examples")
    parser.add_argument("--skip-base", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores here too")
    args = parser.parse_args()

    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")
    if args.shots < 0 or (args.shots and args.nll_only):
        parser.error("--shots must be positive and does not go with --nll-only")
    if args.skip_base and not args.adapter:
        parser.error("nothing to score: --skip-base without --adapter")
    for folder in args.adapter:
        if not (folder / "adapter_config.json").is_file():
            sys.exit(f"error: {folder} is no PEFT adapter: it has no adapter_config.json")

    torch.manual_seed(0)  # nothing is sampled; PEFT draws weights that loading replaces
    items = task.read_items(task.HELDOUT_FILE)[: args.limit]
    base, tokenizer = task.load_base(torch.float32, "eager")

    exact = not args.nll_only
    results = []
    if not args.skip_base:
        results.append(score("base", base, tokenizer, items, with_exact=exact)[0])
        save(results, args.json)

    first: list[str] = []
    for index, folder in enumerate(args.adapter):
        model = PeftModel.from_pretrained(base, str(folder)).eval()
        result, given = score(str(folder), model, tokenizer, items, with_exact=exact)
        if index == 0:
            first = given
        elif exact:
            # How often this adapter gives the very answer that the first one gives.
            same = sum(a == b for a, b in zip(first, given))
            result["same_answers_as_first"] = round(same / len(items), 4)
            print(f"  same answers as {args.adapter[0]}: {same} of {len(items)}")
        results.append(result)
        save(results, args.json)
        base = model.unload()

    if args.shots:
        name = f"base, {args.shots} solved examples in the prompt"
        text = few_shot_text(args.shots)
        results.append(score(name, base, tokenizer, items, with_nll=False, examples=text)[0])
        save(results, args.json)


if __name__ == "__main__":
    main()
