"""A line about an airport -> a JSON record of it.

`Kruger Airport [FAKN; MQP]. Nelspruit, ZA. 2829 ft.` ->
`{"iata": "MQP", "place": "Nelspruit", "ft": 2829}`

Facts from airportsdata 20260905 (MIT), four ways of writing the line. A key is an airport.
"""

import json
import random

import airportsdata

from tasks import Item, Split

NAME = "airports"
SEED = 20261127
MAX_TOKENS = 48
DEV, HELDOUT = 200, 200

LINES = (
    "{name} ({iata}/{icao}), {city}, {country}, elevation {ft} ft",
    "{city} ({country}): {name}, {ft} feet, ICAO {icao}, IATA {iata}",
    "{icao} {iata} {ft} {country} {city} - {name}",
    "{name} [{icao}; {iata}]. {city}, {country}. {ft} ft.",
)


def item(rng: random.Random, row: dict) -> Item:
    ft = round(row["elevation"])
    kind = rng.choice(LINES)
    line = kind.format(**row | {"ft": ft})
    record = {"iata": row["iata"], "place": row["city"], "ft": ft}
    return Item(row["iata"], kind, f"{line}\nJSON:", json.dumps(record, ensure_ascii=False))


def build() -> Split:
    rng = random.Random(SEED)
    rows = airportsdata.load("IATA")
    fit = [
        row
        for key, row in sorted(rows.items())
        if row["icao"] and row["city"] and len(row["name"] + row["city"]) <= 40
    ]
    rng.shuffle(fit)
    made = [item(rng, row) for row in fit]
    return Split(made[HELDOUT + DEV :], made[HELDOUT : HELDOUT + DEV], made[:HELDOUT])
