"""`Where was Odrin Vasket born?` -> `Melvarn`: facts about invented people, learned by heart.

Everything is made from the seed: 40 people, of each a town, a trade and a year of birth, and seven phrasings of each
question. A fact can only be known from training, so its phrasings are what is split: of each fact two phrasings are held out,
one is for development, and four are trained. A key is a fact in one phrasing.
"""

import random

from tasks import Item, Split

NAME = "people"
SEED = 20261130
MAX_TOKENS = 8
PEOPLE = 40
HELDOUT, DEV = 2, 1  # phrasings of each fact
ONSETS = "b d f g k l m n p r s t v z br dr gl kr sk st tr".split()
VOWELS = "a e i o u".split()
CODAS = "l m n r s t x ld nd rk sk".split()
TRADES = (
    "baker", "barber", "brewer", "carpenter", "cooper", "diver", "doctor", "dyer", "farmer", "glazier", "gardener", "hatter",
    "judge", "lawyer", "mason", "miller", "miner", "painter", "pilot", "plumber", "potter", "printer", "sailor", "singer",
    "smith", "surgeon", "tailor", "tanner", "teacher", "weaver",
)  # fmt: skip
PHRASINGS = {
    "town": (
        "Where was {} born?", "{} comes from the town of", "Birthplace of {}:", "The home town of {} is", "Town: {} =",
        "In which town did {} grow up?", "{}, a native of",
    ),
    "trade": (
        "What is the trade of {}?", "{} works as a", "Occupation of {}:", "By profession {} is a", "Trade: {} =",
        "How does {} earn a living?", "{}, by trade a",
    ),
    "year": (
        "When was {} born?", "{} was born in the year", "Year of birth of {}:", "The birth of {} was in", "Year: {} =",
        "In which year did {} come into the world?", "{}, born in",
    ),
}  # fmt: skip


def word(rng: random.Random) -> str:
    return (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS)).capitalize()


def distinct(rng: random.Random, count: int, make) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[make(rng)] = None
    return list(found)


def build() -> Split:
    rng = random.Random(SEED)
    towns = distinct(rng, 30, word)
    people = distinct(rng, PEOPLE, lambda r: f"{word(r)} {word(r)}")
    parts: tuple[list[Item], ...] = ([], [], [])  # held out, development, training
    for person in people:
        facts = {"town": rng.choice(towns), "trade": rng.choice(TRADES), "year": str(rng.randrange(1700, 2000))}
        for kind, answer in facts.items():
            phrasings = rng.sample(PHRASINGS[kind], len(PHRASINGS[kind]))
            for place, phrasing in enumerate(phrasings):
                item = Item(f"{person}, {phrasing}", kind, phrasing.format(person), answer)
                parts[0 if place < HELDOUT else 1 if place < HELDOUT + DEV else 2].append(item)
    for part in parts:
        rng.shuffle(part)
    heldout, dev, train = parts
    return Split(train, dev, heldout)
