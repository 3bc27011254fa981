"""The tasks: what the base model cannot do and an adapter learns.

A task is a module here with
  NAME          as it stands in results and folder names
  SEED          of its split, fixed before anything was trained
  MAX_TOKENS    no answer is longer, in tokens, its end token included
  EXACT         False where other answers are as good, so that only likelihood counts (if absent, True)
  build()       -> Split: the items for training, development and the final score

Every module draws the held-out keys first; no held-out or development key occurs in
training. The development items are for choosing steps and learning rates, and only
`evaluate.py` ever looks at the held-out ones.
"""

import importlib
from dataclasses import dataclass

# Presets, floors and the estimate of `lqa encode` were chosen with these.
FIRST = ("airports", "localized", "number_words")
# Split and trained after all that was fixed: they test it.
LATER = ("countries", "people", "verses")
NAMES = (*FIRST, *LATER)


@dataclass(frozen=True)
class Item:
    """A prompt, and its only right answer (which follows after one space).

    Items of one kind are alike: they are what a few solved examples are taken from.
    """

    key: str
    kind: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Split:
    train: list[Item]
    dev: list[Item]
    heldout: list[Item]

    def __post_init__(self) -> None:
        seen = {item.key for item in self.train}
        unseen = {item.key for item in self.dev} | {item.key for item in self.heldout}
        if seen & unseen or {i.key for i in self.dev} & {i.key for i in self.heldout}:
            raise ValueError("a key is in two parts of the split")


def load(name: str):
    """The module of a task, by its NAME (with dashes) or its file's name."""
    return importlib.import_module(f"tasks.{name.replace('-', '_')}")
