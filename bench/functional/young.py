"""Does a known start cost behaviour? python young.py train [NAME ...] | score [NAME ...] [--label LABEL] | show

Trains adapters for few steps, as most starts are found in such, and scores encodings with and without a start at equal bytes: the
Kullback-Leibler divergence from the adapter at the answers' places of development items, and its mean over them. `train` writes a
checkpoint every ten steps and continues from it; `score` appends a JSON line for each encoding to results/young.jsonl and makes none
twice. `--label` keeps the results of another `lqa` command apart (LQA_CLI, table.py). `--kinds tuned,tuned-seed` tunes with 512 training
items (`lqa tune`, of the Python package). `show` prints KL with the start over KL without.
"""

import argparse
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import lm
import table as encodings
import tasks
from train import batches, losses

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
EVERY = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Young:
    """An adapter: its shape as PEFT's configuration has it, and its training."""

    rank: int
    targets: tuple[str, ...]
    rate: float
    steps: int
    alpha: int = 16
    rslora: bool = False
    dora: bool = False


# Learning rates of PEFT's examples (1e-4 to 1e-3).
ADAPTERS = {
    "rslora-r8": Young(8, ATTENTION, 3e-4, 30, rslora=True),
    "all-r16": Young(16, EVERY, 5e-4, 36, alpha=32),
    "qv-r8": Young(8, ("q_proj", "v_proj"), 3e-4, 60, alpha=32),
    "dora-r8": Young(8, ("q_proj", "v_proj"), 2e-4, 30, dora=True),
    "v-r64": Young(64, ("v_proj",), 2e-4, 40, alpha=64),
    "qv-r4": Young(4, ("q_proj", "v_proj"), 1e-3, 100),
    "qv-r8-long": Young(8, ("q_proj", "v_proj"), 3e-4, 300, alpha=32),
}
TASK, SEED, ITEMS, WARMUP = "number-words", 42, 4, 5
BITS = ("0.5", "1.0", "1.5")
SCORED, TEXTS = 24, 512
FOLDER, PATH = lm.WORK / "young", lm.RESULTS / "young.jsonl"


def begun(name: str):
    """The base model with the adapter as it begins; the seed is set before, as most programs do it."""
    own = ADAPTERS[name]
    base, tokenizer = lm.load_base(torch.float32)
    torch.manual_seed(SEED)
    shape = {"r": own.rank, "lora_alpha": own.alpha, "target_modules": list(own.targets)}
    config = LoraConfig(**shape, use_rslora=own.rslora, use_dora=own.dora, task_type="CAUSAL_LM")
    return get_peft_model(base, config), tokenizer


def factors(model) -> torch.Tensor:
    return torch.cat([v.flatten() for k, v in sorted(get_peft_model_state_dict(model).items()) if "lora_A" in k])


def train(name: str) -> None:
    own, folder = ADAPTERS[name], FOLDER / name
    if (folder / "training.json").is_file():
        return
    model, tokenizer = begun(name)
    start = factors(model).clone()
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=own.rate, weight_decay=0.0)
    examples = lm.examples(tokenizer, tasks.load(TASK).build().train)
    folder.mkdir(parents=True, exist_ok=True)
    state, first = folder / "state.pt", 0
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        set_peft_model_state_dict(model, kept["adapter"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["step"]
    for step, chosen in enumerate(batches(examples, SEED, own.steps)):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = own.rate * min(1, (step + 1) / WARMUP)
        loss = losses(model, tokenizer, chosen[:ITEMS]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 10 == 0:
            print(f"{name}: step {step + 1} loss {loss.item():.3f}", flush=True)
            partial = state.with_suffix(".partial")
            torch.save({"step": step + 1, "adapter": get_peft_model_state_dict(model), "optimizer": optimizer.state_dict()}, partial)
            partial.replace(state)
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)
    moved = ((factors(model) - start).square().sum() / start.square().sum()).item()
    record = asdict(own) | {"moved": moved, "versions": lm.versions()}
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    state.unlink(missing_ok=True)
    print(f"{name}: A moved by {moved:.2%} of its energy", flush=True)


class Scorer:
    """Divergence from an adapter, at the answers of development items."""

    def __init__(self, name: str) -> None:
        self.model, tokenizer = begun(name)
        self.model.eval()
        split = tasks.load(TASK).build()
        chosen = random.Random(SEED).sample(lm.examples(tokenizer, split.dev), SCORED)
        chosen.sort(key=len)
        self.parts = [lm.batch(tokenizer, chosen[at : at + 16]) for at in range(0, SCORED, 16)]
        self.base = self.likelihoods()
        self.load(FOLDER / name / "adapter")
        self.own = self.likelihoods()

    def load(self, folder: Path) -> None:
        set_peft_model_state_dict(self.model, load_peft_weights(str(folder), device="cpu"))

    @torch.inference_mode()
    def likelihoods(self) -> list[torch.Tensor]:
        return [torch.log_softmax(lm.output_layer(self.model)(lm.answer_states(self.model, part)), -1) for part in self.parts]

    def score(self, folder: Path) -> dict:
        self.load(folder)
        kl, nll = [], []
        found = self.likelihoods()
        for part, own, got in zip(self.parts, self.own, found, strict=True):
            each = (own.exp() * (own - got)).sum(-1)
            counts = torch.bincount(part.rows)
            kl += (torch.bincount(part.rows, weights=each) / counts).tolist()
            nll.append(-got.gather(1, part.targets[:, None]).squeeze(1))
        return {"kl": sum(kl) / len(kl), "items": [float(f"{one:.4g}") for one in kl], "nll": torch.cat(nll).mean().item()}

    def gain(self) -> dict:
        def nll(found: list[torch.Tensor]) -> float:
            each = [-got.gather(1, part.targets[:, None]).squeeze(1) for part, got in zip(self.parts, found, strict=True)]
            return torch.cat(each).mean().item()

        return {"base": nll(self.base), "adapter": nll(self.own)}


def score(name: str, label: str, kinds: list[str], bits: list[str]) -> None:
    done = {(line["label"], line["name"], line["bits"], line["start"]) for line in lm.json_lines(PATH)}
    wanted = [(b, kind) for b in bits for kind in kinds if (label, name, b, kind) not in done]
    folder = FOLDER / name
    if not wanted or not (folder / "training.json").is_file():
        return
    record = json.loads((folder / "training.json").read_text())
    scorer = Scorer(name)
    for b, kind in wanted:
        asked = ["--bits", b, "--start", "none" if kind in ("none", "tuned") else str(SEED)]
        scratch = lm.WORK / "scratch" / f"young-{label}-{name}"
        if kind.startswith("tuned"):
            asked += ["--calibration", str(calibration(folder / "adapter", asked, scratch))]
        restored, report = encodings.round_trip(folder / "adapter", asked, scratch)
        line = {"label": label, "name": name, "bits": b, "start": kind, "moved": record["moved"]} | scorer.gain()
        line |= {"bytes": report["outputBytes"], "error": report["relativeError"], "content": report["contentId"]}
        line |= scorer.score(restored)
        PATH.parent.mkdir(parents=True, exist_ok=True)
        with PATH.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        print(f"{label} {name} {b} {kind}: {line['bytes']} bytes, error {line['error']:.2%}, KL {line['kl']:.3g}", flush=True)


def calibration(adapter: Path, options: list[str], scratch: Path) -> Path:
    """A calibration file with what `lqa tune` trained."""
    from lqa.tune import main as tune

    base, texts, kept = FOLDER / "base", scratch / "texts.jsonl", scratch / "kept.safetensors"
    if not base.is_dir():
        model, tokenizer = lm.load_base(torch.float32)
        tokenizer.save_pretrained(base)
        # Dequantized from GGUF, which transformers does not write; so as a model of the same shape.
        del model.config.quantization_config
        whole = type(model)(model.config)
        whole.load_state_dict(model.state_dict())
        whole.save_pretrained(base)
    scratch.mkdir(parents=True, exist_ok=True)
    items = tasks.load(TASK).build().train[:TEXTS]
    texts.write_text("".join(json.dumps({"prompt": one.prompt, "completion": " " + one.answer}) + "\n" for one in items), encoding="utf-8")
    tune([str(adapter), f"--model={base}", f"--texts={texts}", f"--output={scratch / 'tuned.lqa'}", f"--keep={kept}", "--force", *options])
    return kept


def interval(x: list[float], y: list[float]) -> tuple[float, float]:
    """95 % of the ratio of sums, by bootstrap over pairs."""
    draw, ratios = random.Random(0), []
    for _ in range(1000):
        chosen = draw.choices(range(len(x)), k=len(x))
        ratios.append(sum(x[i] for i in chosen) / sum(y[i] for i in chosen))
    ratios.sort()
    return ratios[25], ratios[974]


def show() -> None:
    lines = lm.json_lines(PATH)
    without = {(line["name"], line["bits"]): line for line in lines if line["start"] == "none" and line["label"] == "main"}
    print("| adapter | A moved | encoder | bits | bytes without, with | KL without | with / without | 95 % |\n|---|---|---|---|---|---|---|---|")
    for line in lines:
        none = without.get((line["name"], line["bits"]))
        if none is None or line is none:
            continue
        low, high = interval(line["items"], none["items"])
        figures = f"{none['bytes']}, {line['bytes']} | {none['kl']:.3g} | {line['kl'] / none['kl']:.2f} | {low:.2f}–{high:.2f}"
        moved = "" if line["moved"] is None else f"{line['moved']:.1%}"
        print(f"| {line['name']} | {moved} | {line['label']}, {line['start']} | {line['bits']} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train young adapters, and score encodings with and without their start.")
    parser.add_argument("what", choices=("train", "score", "show"))
    parser.add_argument("names", nargs="*", choices=[*ADAPTERS, []], metavar="NAME", help="adapters [all]")
    parser.add_argument("--label", default="main", help="name of the lqa command in the results [main]")
    parser.add_argument("--kinds", default="none,seed", help="none, seed, tuned and tuned-seed [none,seed]")
    parser.add_argument("--bits", default=",".join(BITS))
    given = parser.parse_args()
    if given.what == "show":
        show()
    for name in given.names or ADAPTERS:
        if given.what == "train":
            train(name)
        elif given.what == "score":
            score(name, given.label, given.kinds.split(","), given.bits.split(","))


if __name__ == "__main__":
    main()
