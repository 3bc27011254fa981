"""Writes data/train.tsv and data/heldout.tsv. Same seed, same bytes.

Held-out numbers are drawn first, and no held-out number occurs in training in
any language. One- and two-digit numbers are the words that everything else is
built from, so all of them are in training and none is held out.
"""

import random
import re
from pathlib import Path

from num2words import num2words

from task import HELDOUT_FILE, LANGUAGES, TRAIN_FILE, Item

SEED = 20261125

# Numbers per language, by count of digits. Training has every number below
# 1000 that is not held out, so 3 digits need no count there.
HELDOUT_PER_LANGUAGE = {3: 30, 4: 40, 5: 40, 6: 40}
TRAIN_PER_LANGUAGE = {4: 1500, 5: 1800, 6: 2200}


def words(language: str, number: int) -> str:
    """The number in words, with two slips of num2words 0.5.14 put right.

    German: 101000 is "einhunderteintausend", not "einhunderteinstausend".
    Spanish: "uno" loses its end before "mil" (21000 is "veintiún mil").
    """
    text = num2words(number, lang=language)
    if language == "de":
        text = text.replace("einstausend", "eintausend")
    elif language == "es":
        text = text.replace("veintiuno mil", "veintiún mil")
        text = re.sub(r"\buno mil\b", "un mil", text)
    return text


def with_digits(digits: int) -> range:
    return range(10 ** (digits - 1), 10**digits)


def write(path: Path, items: list[Item]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("language\tnumber\twords\n")
        for item in items:
            file.write(f"{item.language}\t{item.number}\t{item.words}\n")
    print(f"{path.name}: {len(items)} items")


def main() -> None:
    rng = random.Random(SEED)

    heldout: list[Item] = []
    for digits, count in HELDOUT_PER_LANGUAGE.items():
        numbers = rng.sample(with_digits(digits), count * len(LANGUAGES))
        for index, number in enumerate(numbers):
            language = LANGUAGES[index % len(LANGUAGES)]
            heldout.append(Item(language, number, words(language, number)))
    rng.shuffle(heldout)
    unseen = {item.number for item in heldout}

    train: list[Item] = []
    for language in LANGUAGES:
        numbers = [number for number in range(1000) if number not in unseen]
        for digits, count in TRAIN_PER_LANGUAGE.items():
            free = [number for number in with_digits(digits) if number not in unseen]
            numbers += rng.sample(free, count)
        train += [Item(language, number, words(language, number)) for number in numbers]
    rng.shuffle(train)

    write(HELDOUT_FILE, heldout)
    write(TRAIN_FILE, train)


if __name__ == "__main__":
    main()
