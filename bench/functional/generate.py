"""Really generates answers, greedily: python generate.py --task NAME | --adapter NAME [--shots K] [--limit N]

Two questions that evaluate.py does not answer. Can the base model do the task when solved
examples in the prompt show what is asked for (--shots)? And do generated answers come out
as right as its `exact`, which never generates, says? An answer is what follows the prompt,
up to the end of its line; it is right letter for letter, however it is cut into tokens.
Appends one JSON line to results/generated.jsonl; skips what is there.
"""

import argparse
import json
import time

import lm
import references
import tasks
from evaluate import wilson

import torch
from peft import PeftModel

BATCH = 25


@torch.inference_mode()
def answers(model, tokenizer, prompts: list[str], longest: int) -> list[str]:
    found: list[str] = []
    pad = tokenizer.pad_token_id
    for at in range(0, len(prompts), BATCH):
        rows = [lm.ids(tokenizer, prompt) for prompt in prompts[at : at + BATCH]]
        width = max(map(len, rows))
        output = model.generate(
            input_ids=torch.tensor([[pad] * (width - len(row)) + row for row in rows]),
            attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=pad,
        )
        texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        found += [text.strip().split("\n")[0].strip() for text in texts]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate answers, greedily.")
    model_group = parser.add_mutually_exclusive_group(required=True)
    model_group.add_argument("--task", help="for the base model")
    model_group.add_argument("--adapter", metavar="NAME", help="for the base model with a kept adapter")
    parser.add_argument(
        "--shots", type=int, default=0, help="solved training items of the same kind before the prompt"
    )
    parser.add_argument("--limit", type=int, default=100, help="the first N held-out items")
    args = parser.parse_args()

    adapter = references.load(args.adapter) if args.adapter else None
    task = tasks.load(adapter.task if adapter else args.task)
    path = lm.RESULTS / "generated.jsonl"
    about = {
        "task": task.NAME,
        "model": args.adapter or "base",
        "shots": args.shots,
        "limit": args.limit,
    } | ({"adapter": adapter.digest} if adapter else {})
    if any(about.items() <= line.items() for line in lm.json_lines(path)):
        print(f"{about}: scored already")
        return

    started = time.monotonic()
    torch.manual_seed(0)  # nothing is sampled; PEFT draws weights that loading replaces
    split = task.build()
    items = split.heldout[: args.limit]

    def solved(kind: str) -> str:
        alike = [item for item in split.train if item.kind == kind][: args.shots]
        return "".join(f"{item.prompt} {item.answer}\n" for item in alike)

    model, tokenizer = lm.load_base(torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, str(adapter.folder)).merge_and_unload()
    given = answers(model, tokenizer, [solved(item.kind) + item.prompt for item in items], task.MAX_TOKENS)
    hits = sum(answer == item.answer for item, answer in zip(items, given))
    line = about | {
        "items": len(items),
        "exact": round(hits / len(items), 4),
        "exact_interval": wilson(hits, len(items)),
        "first": [{"prompt": i.prompt, "right": i.answer, "given": g} for i, g in zip(items[:3], given)],
        "seconds": round(time.monotonic() - started, 1),
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print({k: v for k, v in line.items() if k != "first"}, flush=True)


if __name__ == "__main__":
    main()
