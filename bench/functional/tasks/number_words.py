"""`de 3482 =` -> `dreitausendvierhundertzweiundachtzig`, in German, French and Spanish.

The data of `examples/number-words`, as committed there: 19,230 training and 450 held-out
items; held-out numbers occur in training in no language. The development items are taken
from the training file, with every training item of the same number.
Words from num2words 0.5.14 (a program's output: facts), CC0.
"""

import csv
import random
from pathlib import Path

from tasks import Item, Split

NAME = "number-words"
SEED = 20261125
MAX_TOKENS = 40
DEV_NUMBERS = 150

DATA = Path(__file__).resolve().parents[3] / "examples" / "number-words" / "data"


def read(name: str) -> list[Item]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [Item(number, language, f"{language} {number} =", words) for language, number, words in rows]


def build() -> Split:
    train, heldout = read("train.tsv"), read("heldout.tsv")
    # Numbers below 100 are what all others are built from; they stay in training.
    numbers = sorted({item.key for item in train if int(item.key) >= 100})
    chosen = set(random.Random(SEED).sample(numbers, DEV_NUMBERS))
    dev = [item for item in train if item.key in chosen]
    return Split([item for item in train if item.key not in chosen], dev, heldout)
