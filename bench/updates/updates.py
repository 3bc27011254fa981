"""What updates of an adapter in training cost: python updates.py RUN train | sizes | kl [--every N], and python updates.py speed | callback | show | draw

Four runs, each kept at every step. Three are of SmolLM2-135M and number-words: `supervised` trains a new adapter; `continued` trains its
last save on, at a fifth of the rate; `policy` does so by policy optimization, with TRL's GRPOTrainer and a reward for right words and
for exact answers. `gsm8k` trains a new adapter of Gemma 3 270M. `sizes` encodes every tenth save (with `--every 1` all) as a chain (each file a child of an
earlier one, as LqaCallback chooses it, at a fixed error of ΔW), and in addition what people send today: 16-bit safetensors, the same with zstd, differences in bf16 with zstd, and whole `.lqa` files. `kl` scores chain and whole
files at 1.5 bits against the exact adapter (24 held-out items) at some of the steps. Each appends a JSON line for each step to results.jsonl and makes
none twice; `show` prints the tables, `draw` draws docs/images/updates.svg. `speed` times encoding updates of 4 and of 40 million weights,
`callback` what LqaCallback adds to a step of a trainer.

It needs what ../functional needs (`gsm8k`: what ../models needs), and the Python package; `policy train` needs trl 1.16.0.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

import lqa
import lqa.node
import numpy as np
import zstandard
from lqa.chain import Chain
from lqa.texts import Text
from safetensors.numpy import load_file
from safetensors.numpy import save as serialized

HERE = Path(__file__).resolve().parent
# Both have a module named train.
sys.path.insert(0, str(HERE.parent / ("models" if sys.argv[1:2] == ["gsm8k"] else "functional")))
RESULTS, WEIGHTS = HERE / "results.jsonl", "adapter_model.safetensors"
EVERY, WARMUP, SEED, ITEMS, SCORED = 10, 10, 42, 4, 24
STEPS = {"supervised": 200, "continued": 100, "policy": 100, "gsm8k": 200}
RATES = {"supervised": 5e-4, "continued": 1e-4, "policy": 2e-5}
FOLDERS = {"supervised": "updates", "continued": "updates-continued", "policy": "updates-policy", "gsm8k": "updates-gsm8k"}
# Saves of every so many steps are scored.
APART = {"supervised": 2 * EVERY, "continued": 2 * EVERY, "policy": EVERY, "gsm8k": 4 * EVERY}
ERRORS = (0.01, 0.02, 0.05)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def run_folder(run: str) -> Path:
    if run == "gsm8k":
        import place

        return place.WORK / FOLDERS[run]
    import lm

    return lm.WORK / FOLDERS[run]


def begun(run: str = "supervised"):
    """Base model and tokenizer, with a new adapter or, for the runs that go on, the last save of the supervised one."""
    import lm
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    base, tokenizer = lm.load_base(torch.float32)
    torch.manual_seed(SEED)
    if run == "supervised":
        return get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")), tokenizer
    finished = saves("supervised")
    return PeftModel.from_pretrained(base, finished[max(finished)], is_trainable=True), tokenizer


def save(run: str, model, step: int) -> None:
    model.save_pretrained(run_folder(run) / f"step-{step:03d}", save_embedding_layers=False)


def train(run: str) -> None:
    if run == "policy":
        return optimize_policy()
    if run == "gsm8k":
        return train_gemma()
    import lm
    import tasks
    import torch
    from train import batches, losses

    model, tokenizer = begun(run)
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATES[run], weight_decay=0.0)
    examples = lm.examples(tokenizer, tasks.load("number-words").build().train)
    if run != "supervised":
        save(run, model, 0)
    for step, chosen in enumerate(batches(examples, SEED + (run != "supervised"), STEPS[run])):
        for group in optimizer.param_groups:
            group["lr"] = RATES[run] * min(1, (step + 1) / WARMUP) * max(0.02, (STEPS[run] - step) / STEPS[run])
        loss = losses(model, tokenizer, chosen[:ITEMS]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        save(run, model, step + 1)
        if (step + 1) % EVERY == 0:
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)


def gemma():
    """What bench/models trains, with fewer items a step."""
    import plan

    return plan.Adapter(plan.GEMMA, "gsm8k", "r16-all", "", STEPS["gsm8k"], 2)


def train_gemma() -> None:
    """Resumes from the last step of which the optimizer is kept."""
    import problems
    import torch
    from peft import set_peft_model_state_dict
    from train import backward, batches, prepared, share_of_rate, texts

    adapter = gemma()
    model, tokenizer = prepared(adapter)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer, kept, done = torch.optim.AdamW(weights, lr=adapter.rate, weight_decay=0.0), run_folder("gsm8k") / "optimizer.pt", 0
    if kept.is_file():
        done, state = torch.load(kept)
        set_peft_model_state_dict(model, {key: torch.as_tensor(value) for key, value in load_file(saves("gsm8k")[done] / WEIGHTS).items()})
        optimizer.load_state_dict(state)
    for step, chosen in enumerate(batches(texts(tokenizer, adapter, problems.load(adapter.task).train), adapter)):
        if step < done:
            continue
        for group in optimizer.param_groups:
            group["lr"] = adapter.rate * share_of_rate(step, adapter.steps)
        loss = backward(model, chosen)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        save("gsm8k", model, step + 1)
        if (step + 1) % EVERY == 0:
            part = kept.with_suffix(".part")
            torch.save((step + 1, optimizer.state_dict()), part)
            part.replace(kept)
            print(f"step {step + 1} loss {loss:.3f}", flush=True)


def optimize_policy() -> None:
    """GRPO: two prompts and eight sampled answers for each in a step. An answer is worth the share of its words that are right, and one more if it is exact."""
    import tasks
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = begun("policy")
    model.get_base_model().is_quantized = False  # it was dequantized when it was loaded
    run = run_folder("policy")
    items = tasks.load("number-words").build().train
    random.Random(SEED).shuffle(items)

    class Saves(TrainerCallback):
        def on_step_end(self, _, state, __, **more):
            save("policy", model, state.global_step)

    def reward(completions, answer, **_):
        return [float(said.split() == right.split()) + sum(a == b for a, b in zip(said.split(), right.split())) / len(right.split())
                for said, right in zip(completions, answer, strict=True)]

    arguments = GRPOConfig(str(run / "trainer"), max_steps=STEPS["policy"], save_steps=EVERY, save_total_limit=1, learning_rate=RATES["policy"],
                           lr_scheduler_type="constant", per_device_train_batch_size=16, num_generations=8, max_completion_length=24,
                           temperature=1.0, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, logging_steps=EVERY, seed=SEED)
    trainer = GRPOTrainer(model, reward, arguments, Dataset.from_list([{"prompt": item.prompt, "answer": item.answer} for item in items]),
                          processing_class=tokenizer, callbacks=[Saves()])
    begun_before = any((run / "trainer").glob("checkpoint-*"))
    if not begun_before:
        save("policy", model, 0)
    trainer.train(resume_from_checkpoint=begun_before)


def saves(run: str) -> dict[int, Path]:
    """The adapters of a run that are there, by step."""
    return {int(path.name.removeprefix("step-")): path for path in sorted(run_folder(run).glob("step-*"))}


def bf16(array: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, as float32."""
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def packed(state: dict[str, np.ndarray]) -> bytes:
    """safetensors of 16-bit weights; the type does not matter to the size."""
    return serialized({key: (bf16(array).view(np.uint32) >> 16).astype(np.uint16) for key, array in state.items()})


def chains(run: str, every: int):
    """The files of each chain, as a reader opens them, step after step."""
    made = {error: Chain() for error in ERRORS}
    for step, path in saves(run).items():
        if step % every:
            continue
        state, config = load_file(path / WEIGHTS), json.loads((path / "adapter_config.json").read_text())
        found = {}
        for error in ERRORS:
            following = made[error].encode(state, config, {"max_error": error, "step": step, "workers": 1})
            made[error].add(following)
            found[error] = following.file
        yield step, state, config, found


def lines(run: str, kind: str, every: int) -> dict[int, dict]:
    text = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else []
    return {line["step"]: line for line in map(json.loads, text) if (line["run"], line["kind"], line["every"]) == (run, kind, every)}


def record(line: dict) -> None:
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def sizes(run: str, every: int) -> None:
    done, before = lines(run, "sizes", every), None
    zstd = zstandard.ZstdCompressor(level=3)
    for step, state, config, found in chains(run, every):
        plain = {key: bf16(array) for key, array in state.items()}
        if step not in done:
            weights = sum(array.size for array in state.values())
            line = {"run": run, "kind": "sizes", "every": every, "step": step, "weights": weights, "safetensors": len(packed(state))}
            line["zstd"] = len(zstd.compress(packed(state)))
            if before is not None:
                line["differences"] = len(zstd.compress(packed({key: plain[key] - before[key] for key in plain})))
            line["whole"] = len(lqa.encode(state, config=config, bits=1.5, workers=1))
            line["chain"] = {str(error): [file.byte_length, file.parent_id is not None, file.meta["relative_error"]] for error, file in found.items()}
            record(line)
        before = plain


def scored(run: str):
    """The model with an untrained adapter, and its tokens of held-out items with the place where each answer starts."""
    if run == "gsm8k":
        import problems
        from train import prepared, texts

        adapter = gemma()
        model, tokenizer = prepared(adapter)
        found = texts(tokenizer, adapter, problems.load(adapter.task).heldout)
    else:
        import lm
        import tasks

        model, tokenizer = begun()
        found = [(each.prompt + each.answer, len(each.prompt)) for each in lm.examples(tokenizer, tasks.load("number-words").build().dev)]
    return model.eval(), [Text(*each) for each in random.Random(SEED).sample(found, SCORED)]


def kl(run: str, every: int) -> None:
    import torch
    from lqa.calibrate import log_likelihoods
    from peft import set_peft_model_state_dict

    done = lines(run, "kl", every)
    model, chosen = scored(run)

    @torch.inference_mode()
    def said(state: dict, text: Text) -> torch.Tensor:
        set_peft_model_state_dict(model, {key: torch.as_tensor(value) for key, value in state.items()})
        return log_likelihoods(model, text)

    for step, state, config, found in chains(run, every):
        if step in done or step % APART[run]:
            continue
        files = {"whole": lqa.open(lqa.encode(state, config=config, bits=1.5, workers=1)), **{str(error): file for error, file in found.items()}}
        states, lost, places = {name: file.state_dict() for name, file in files.items()}, dict.fromkeys(files, 0.0), 0
        for text in chosen:  # one at a time: a token has 262,144 likelihoods
            own = said(state, text)
            places += len(own)
            for name, decoded in states.items():
                lost[name] += (own.exp() * (own - said(decoded, text))).sum().item()
        record({"run": run, "kind": "kl", "every": every, "step": step, **{name: total / places for name, total in lost.items()}})


def moved(state: dict, size: float, random_: np.random.Generator) -> dict:
    """The adapter after a step: B moves more than A."""
    return {key: (array + size * (1 if "lora_B" in key else 0.3) * array.std() * random_.standard_normal(array.shape)).astype(np.float32)
            for key, array in state.items()}


def speed() -> None:
    for modules, updates in ((120, 5), (1220, 3)):
        speed_of(modules, updates)


def speed_of(modules: int, updates: int) -> None:
    """Of an adapter of random weights, rank 16 on matrices of 1024 × 1024."""
    rank, size, random_ = 16, 1024, np.random.default_rng(0)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"]}
    state = {}
    for i in range(modules):
        key = f"base_model.model.model.layers.{i}.self_attn.q_proj.lora"
        state[f"{key}_A.weight"] = (random_.standard_normal((rank, size)) / 32).astype(np.float32)
        state[f"{key}_B.weight"] = (random_.standard_normal((size, rank)) * 0.7 ** np.arange(rank) * 0.01).astype(np.float32)
    weights = sum(array.size for array in state.values())
    print(f"{weights:,} weights", flush=True)

    def node_seconds() -> float:
        fields = Path(f"/proc/{lqa.node.shared()._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def decoding(file: lqa.LqaFile) -> float:
        before = time.process_time()
        for _ in file.decode_all("f16"):
            pass
        return time.process_time() - before

    def encoding(after: dict, **options) -> tuple[bytes, float]:
        before = node_seconds(), time.process_time()
        data = lqa.encode(after, config=config, workers=1, **options)
        return data, node_seconds() - before[0] + time.process_time() - before[1]

    for error in reversed(ERRORS):
        root, wholes, children = lqa.open(encoding(state, max_error=error)[0]), [], []
        for _ in range(updates):
            after = moved(state, 0.1, random_)
            wholes.append(encoding(after, max_error=error)[1])
            data, seconds = encoding(after, max_error=error, parent=root)
            children.append(seconds)
            print(f"at {error:.0%}: {len(data)} bytes, {8 * len(data) / weights:.3f} bits per weight, {seconds:.2f} s, whole {wholes[-1]:.2f} s", flush=True)
        middle, whole = statistics.median(children), statistics.median(wholes)
        print(f"at {error:.0%}: medians {middle:.2f} s, whole {whole:.2f} s, ratio {middle / whole:.2f}", flush=True)
    whole, child = lqa.open(lqa.encode(after, config=config, max_error=ERRORS[0], workers=1)), lqa.open(data, parents=[root])
    times = []
    for file in (whole, child):
        file.verify()
        times.append(min(decoding(file) for _ in range(5)))
    print(f"decoding to f16: {1000 * times[0]:.1f} ms whole, {1000 * times[1]:.1f} ms the child with its parent")


def callback() -> None:
    """CPU time of a transformers Trainer with and without LqaCallback, in turns: a random model of 31 million weights, a save every ten steps."""
    import resource
    import tempfile

    import torch
    from lqa.training import LqaCallback
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    torch.set_num_threads(1)
    shape = LlamaConfig(vocab_size=8192, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8, max_position_embeddings=256)
    rows = np.random.default_rng(0).integers(0, shape.vocab_size, (64, 128)).tolist()

    def cpu_of(who: int) -> float:
        usage = resource.getrusage(who)
        return usage.ru_utime + usage.ru_stime

    def train_once(called: list) -> tuple[float, float]:
        """Seconds of CPU a step: of this process, and of those that it started."""
        torch.manual_seed(SEED)
        model = get_peft_model(LlamaForCausalLM(shape), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(folder, max_steps=20, save_steps=EVERY, per_device_train_batch_size=2, learning_rate=1e-3, use_cpu=True,
                                          report_to=[], disable_tqdm=True, logging_strategy="no", seed=SEED)
            trainer = Trainer(model, arguments, train_dataset=[{"input_ids": row, "labels": row} for row in rows], callbacks=called)
            before = cpu_of(resource.RUSAGE_SELF), cpu_of(resource.RUSAGE_CHILDREN)
            trainer.train()
            after = cpu_of(resource.RUSAGE_SELF), cpu_of(resource.RUSAGE_CHILDREN)
        for each in called:
            if each.errors:
                raise RuntimeError(each.errors)
            print(f"newest {each.newest.name}, skipped {each.skipped}", flush=True)
        return tuple((y - x) / arguments.max_steps for x, y in zip(before, after))

    train_once([LqaCallback()])
    for kind, given in (("a chain", {}), ("whole files of 1.5 bits", {"bits": 1.5})):
        pairs = []
        for _ in range(3):
            pairs.append((train_once([]), train_once([LqaCallback(**given)])))
            (without, _), (used, beside) = pairs[-1]
            print(f"{kind}: a step takes {1000 * without:.0f} ms of CPU, {1000 * used:.0f} ms with the callback ({used / without - 1:+.1%}), "
                  f"and {1000 * beside:.0f} ms in the process that encodes", flush=True)
        print(f"in the middle {statistics.median(used / without - 1 for (without, _), (used, _) in pairs):+.1%}")


def show() -> None:
    runs = [(run, every) for run in STEPS for every in (EVERY, 1) if lines(run, "sizes", every)]
    for run, every in runs:
        if every == EVERY:
            print(f"\n## {run}\n")
            show_run(run)
    titles = ["run", "steps between updates", "updates", "safetensors, 16 bit", "with zstd", "differences bf16, zstd", "whole .lqa, 1.5 bits"]
    titles += [f"update at {error:.0%} (child)" for error in ERRORS] + ["KL whole", *(f"KL at {error:.0%}" for error in ERRORS)]
    print(f"\n## Means of the updates, in bits per weight\n\n| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for run, every in runs:
        print(f"| {' | '.join(means(run, every))} |")


def draw() -> None:
    """The picture of the supervised run."""
    from picture import svg

    text = svg(list(lines("supervised", "sizes", EVERY).values()), list(lines("supervised", "kl", EVERY).values()))
    (HERE.parents[1] / "docs" / "images" / "updates.svg").write_text(text, encoding="utf-8")


def means(run: str, every: int) -> list[str]:
    """Of all saves of a run but the first, which is whole in each chain."""
    updates, scores = list(lines(run, "sizes", every).values())[1:], list(lines(run, "kl", every).values())

    def bits(values: list[int]) -> str:
        return f"{8 * sum(values) / len(values) / updates[0]['weights']:.2f}"

    cells = [run, str(every), str(len(updates)), *(bits([line[key] for line in updates]) for key in ("safetensors", "zstd", "differences", "whole"))]
    for error in ERRORS:
        found = [line["chain"][str(error)] for line in updates if str(error) in line["chain"]]
        if not found:
            cells.append("")
            continue
        cells.append(f"{bits([size for size, *_ in found])} ({bits([size for size, child, _ in found if child])})")
    scored = {line["step"] for line in updates}
    for key in ("whole", *map(str, ERRORS)):
        values = [line[key] for line in scores if line["step"] in scored and key in line]
        cells.append(f"{sum(values) / len(values):.2g}" if values else "")
    return cells


def show_run(run: str) -> None:
    scores = lines(run, "kl", EVERY)
    titles = ["step", "safetensors, 16 bit", "with zstd", "differences bf16, zstd", "whole .lqa, 1.5 bits"]
    titles += [f"chain at {error:.0%} (bits per weight)" for error in ERRORS]
    titles += ["KL whole", *(f"KL at {error:.0%}" for error in ERRORS)]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for step, line in lines(run, "sizes", EVERY).items():
        cells = [str(step), *(f"{line[key]:,}" if key in line else "" for key in ("safetensors", "zstd", "differences", "whole"))]
        for error in ERRORS:
            if str(error) not in line["chain"]:
                cells.append("")
                continue
            size, child, _ = line["chain"][str(error)]
            cells.append(f"{size:,} ({8 * size / line['weights']:.2f}{'' if child else ', whole'})")
        score = scores.get(step, {})
        cells += [f"{score[key]:.2g}" if key in score else "" for key in ("whole", *map(str, ERRORS))]
        print(f"| {' | '.join(cells)} |")
    for error in ERRORS:
        found = [(8 * line["chain"][str(error)][0] / line["weights"], line["chain"][str(error)][1])
                 for line in list(lines(run, "sizes", EVERY).values())[1:] if str(error) in line["chain"]]
        if not found:
            continue
        children = [bits for bits, child in found if child]
        print(f"\nAt {error:.0%}: {sum(bits for bits, _ in found) / len(found):.3f} bits per weight and update in the mean, "
              f"{sum(children) / len(children):.3f} of children alone.")


def main() -> None:
    parser = argparse.ArgumentParser(description="What updates of an adapter in training cost.")
    commands = parser.add_subparsers(required=True)
    for run in STEPS:
        command = commands.add_parser(run)
        command.add_argument("what", choices=("train", "sizes", "kl"))
        command.add_argument("--every", type=int, choices=(1, EVERY), default=EVERY, help="of sizes and kl: steps between two updates (default %(default)s)")
        command.set_defaults(call=lambda options, run=run: train(run) if options.what == "train" else {"sizes": sizes, "kl": kl}[options.what](run, options.every))
    commands.add_parser("speed").set_defaults(call=lambda _: speed())
    commands.add_parser("callback").set_defaults(call=lambda _: callback())
    commands.add_parser("show").set_defaults(call=lambda _: show())
    commands.add_parser("draw").set_defaults(call=lambda _: draw())
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
