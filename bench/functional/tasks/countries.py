"""`Kruger Airport, Nelspruit =` -> `South Africa`: a line is put into one of twenty classes.

Airports and their places from airportsdata 20260905 (MIT), names of countries in English from Babel 2.18.0 (BSD-3). The
classes are the twenty countries with the most airports, of each as many as the smallest has. A key is a place: an airport of
a held-out place occurs in training under no name.
"""

import random
from collections import defaultdict

import airportsdata
from babel import Locale

from tasks import Item, Split

NAME = "countries"
SEED = 20261129
MAX_TOKENS = 8
CLASSES, DEV, HELDOUT = 20, 300, 320


def build() -> Split:
    rng = random.Random(SEED)
    names = Locale("en").territories
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for _, row in sorted(airportsdata.load("ICAO").items()):
        if row["city"] and len(row["name"] + row["city"]) <= 40:
            places[row["country"]][row["city"]].append(row["name"])
    largest = sorted(places, key=lambda country: (-len(places[country]), country))[:CLASSES]
    count = len(places[largest[-1]])
    made = []
    for country in sorted(largest):
        for city in rng.sample(sorted(places[country]), count):
            name = rng.choice(places[country][city])
            made.append(Item(f"{country} {city}", "country", f"{name}, {city} =", names[country]))
    rng.shuffle(made)
    return Split(made[HELDOUT + DEV :], made[HELDOUT : HELDOUT + DEV], made[:HELDOUT])
