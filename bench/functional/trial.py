"""What the programs share that encode kept adapters with the model at hand: their items and their model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm
import references
import tasks
from evaluate import Scorer, start, summary

from lqa.texts import Text
from peft import PeftModel


@dataclass
class Trial:
    """An adapter in its model, with training items to measure with and items to score."""

    folder: Path
    scratch: Path
    model: Any
    texts: list[Text]
    scorer: Scorer
    begun: Any
    exact: bool  # whether the task has right answers

    def score(self, folder: Path) -> dict:
        """What an encoding of the adapter, decoded to a directory, scores."""
        return summary(self.scorer.score(folder), self.begun.base, self.begun.reference, self.scorer.tokens, self.exact)


def read_texts(scorer: Scorer, items: list[tasks.Item]) -> list[Text]:
    return [Text(tuple(one.prompt + one.answer), len(one.prompt)) for one in lm.examples(scorer.tokenizer, items)]


def begin(name: str, items: str, texts: int, program: str) -> Trial:
    """
    Args:
        items: `dev` or `heldout`: which items are scored.
        texts: how many training items there are to measure with.
        program: of whom the scratch folder is.
    """
    adapter = references.load(name)
    task = tasks.load(adapter.task)
    split = task.build()
    scorer = Scorer(getattr(split, items), split.train)
    scratch = lm.WORK / "scratch" / f"{program}-{name}"
    begun = start(scorer, adapter.folder, scratch, moments=False)
    base, _ = lm.load_base(scorer.model.dtype)
    model = PeftModel.from_pretrained(base, str(adapter.folder)).eval()
    return Trial(adapter.folder, scratch, model, read_texts(scorer, split.train[:texts]), scorer, begun, getattr(task, "EXACT", True))
