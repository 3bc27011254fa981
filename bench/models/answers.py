"""Greedy answers to held-out problems, by llama.cpp: python answers.py [--task TASK] [--items N] [--only NAME] [--base] NAME ...

The base model runs as its GGUF file, and what an encoding decodes to as a GGUF adapter in float32, with SLOTS problems at a time. For
each answer `results/answers/<base>.<task>.jsonl` gets a line: its text, its tokens, whether it is right. Lines that are there are not
made again: rerun to resume. Which problems share a batch changes sums of floats in their last bits, so a run from nothing may differ where
two tokens are about as likely.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import bases
import grade
import keep
import methods
import place
import plan
import problems
from place import BenchError

SLOTS = 8
PROMPT = 512  # tokens of the longest prompt
LONGEST = {"people": 16, "gsm8k": 256, "mbpp": 256, "humaneval": 256}  # tokens of an answer
Ask = Callable[[list[int]], tuple[str, int]]


def server(model: Path, adapter: Path | None, length: int) -> Ask:
    """A base model in llama.cpp: a function that answers a prompt given as tokens, from any of SLOTS threads.

    Raises:
        BenchError: if xllamacpp is not installed, or llama.cpp cannot load the model or the adapter.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise BenchError(f"xllamacpp is not installed ({error}); see requirements.txt") from error
    given = xllamacpp.CommonParams()
    given.model.path, given.verbosity, given.warmup, given.n_gpu_layers = str(model), -1, False, 0
    given.n_parallel, given.n_ctx = SLOTS, SLOTS * (PROMPT + length)
    # llama.cpp's threads spin while they wait: on a busy machine two are slower than one.
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    given.cache_ram_mib = 0
    if adapter:
        given.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    try:
        made = xllamacpp.Server(given)
    except RuntimeError as error:
        raise BenchError(f"llama.cpp cannot load {model.name} with {adapter}: {error}") from error

    def ask(prompt: list[int]) -> tuple[str, int]:
        said = made.handle_completions({"prompt": prompt, "max_tokens": length, "temperature": 0.0, "cache_prompt": False})
        if "choices" not in said:
            raise BenchError(f"llama.cpp gives no answer: {said}")
        return said["choices"][0]["text"], said["usage"]["completion_tokens"]

    return ask


def adapter(folder: Path, base: Path) -> Path:
    """A PEFT directory as a GGUF adapter next to it."""
    target = folder.with_name(f"{folder.name}.f32.gguf")
    keep.lqa("convert", str(folder), str(target), "--to", "gguf", "--base", str(base), "--force")
    return target


def answered(ask: Ask, prompts: list[tuple[problems.Item, list[int]]]) -> Iterator[tuple[problems.Item, str, int]]:
    """Items, answers and their tokens, as they come."""
    with ThreadPoolExecutor(SLOTS) as pool:
        jobs = {pool.submit(ask, tokens): item for item, tokens in prompts}
        for job in as_completed(jobs):
            yield jobs[job], *job.result()


def tokens(base: str, items: list[problems.Item]) -> list[tuple[problems.Item, list[int]]]:
    """Items with their prompts, those that are not too long."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bases.directory(bases.find(base)) / "tokenizer.json"))
    found = [(item, tokenizer.encode(problems.wrapped(base, item)["prompt"], add_special_tokens=False).ids) for item in items]
    return [(item, prompt) for item, prompt in found if len(prompt) <= PROMPT]


def run(name: str, task: str, count: int, wanted: list[str]) -> None:
    """Answers with the reference adapter, with the encodings, and without an adapter."""
    base = plan.ADAPTERS[name].base
    path, model = place.RESULTS / "answers" / f"{base}.{task}.jsonl", bases.gguf(bases.find(base))
    prompts = tokens(base, problems.load(task).heldout[:count])
    folders: dict[str, tuple[str, Path | None]] = {}
    if wanted:
        reference = keep.load(name)
        folders["reference"] = (reference.weights, reference.folder)
        folders |= {one.name: (one.weights, one.folder) for one in methods.recorded(wanted, reference)}
    # The longest answers, since a model that learned no end of an answer goes on; so they come last.
    folders["base"] = ("base", None)
    done = {(line["item"], line["weights"]) for line in place.json_lines(path)}
    for encoding, (weights, folder) in folders.items():
        left = [(item, prompt) for item, prompt in prompts if (item.key, weights) not in done]
        if not left:
            continue
        ask = server(model, folder and adapter(folder, model), LONGEST[task])
        started, length, right = time.monotonic(), 0, 0
        for item, answer, found in answered(ask, left):
            line = {"item": item.key, "weights": weights, "right": grade.right(item, answer), "tokens": found, "answer": answer}
            place.append(path, line)
            length, right = length + found, right + line["right"]
        seconds = time.monotonic() - started
        print(f"{name} {task} {encoding}: {right} of {len(left)} right, {length} tokens, {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer held-out problems with llama.cpp; rerun to resume.")
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"adapters: {', '.join(keep.names())}")
    parser.add_argument("--task", choices=LONGEST, help="instead of the task that the adapter was trained for")
    parser.add_argument("--items", type=int, default=500, help="the first N held-out items (default 500)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="an encoding, or a pattern like 'lqa *'; may be repeated")
    parser.add_argument("--base", action="store_true", help="only without an adapter")
    args = parser.parse_args()
    for name in args.names:
        run(name, args.task or plan.ADAPTERS[name].task, args.items, [] if args.base else methods.chosen(args.only))


if __name__ == "__main__":
    place.main(main)
