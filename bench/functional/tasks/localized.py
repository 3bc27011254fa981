"""`date de 1987-03-21 =` -> `21. März 1987`, `money fr 1234567.50 =` -> `1 234 567,50 €`.

Dates and amounts of euros as 16 European locales write them, by Babel 2.18.0 (BSD-3) from
Unicode's CLDR (Unicode-3.0). A key is a day or an amount: the held-out ones occur in
training in no locale. Non-breaking spaces are written as plain ones.
"""

import datetime
import random

from babel.dates import format_date
from babel.numbers import format_currency

from tasks import Item, Split

NAME = "localized"
SEED = 20261126
MAX_TOKENS = 32
LOCALES = ("cs", "da", "de", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "lv", "nl", "pl", "pt", "sv")
FIRST_DAY, LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
TRAIN, DEV, HELDOUT = 20_000, 300, 320


def date(locale: str, day: str) -> Item:
    words = format_date(datetime.date.fromisoformat(day), "long", locale=locale)
    return Item(day, f"date {locale}", f"date {locale} {day} =", plain(words))


def money(locale: str, amount: str) -> Item:
    words = format_currency(amount, "EUR", locale=locale)
    return Item(amount, f"money {locale}", f"money {locale} {amount} =", plain(words))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def build() -> Split:
    rng = random.Random(SEED)

    def day() -> str:
        return str(FIRST_DAY + datetime.timedelta(rng.randrange((LAST_DAY - FIRST_DAY).days + 1)))

    def amount() -> str:
        # As many of every length: evenly drawn, most would have seven digits.
        whole = rng.randrange(10 ** (digits := rng.randint(1, 7)) // 10, 10**digits)
        return f"{whole}.{rng.randrange(100):02}"

    def items(count: int, forbidden: set[str]) -> list[Item]:
        made = []
        while len(made) < count:
            make, key = (date, day()) if len(made) % 2 else (money, amount())
            if key not in forbidden:
                made.append(make(LOCALES[len(made) // 2 % len(LOCALES)], key))
        rng.shuffle(made)
        return made

    heldout = items(HELDOUT, set())
    dev = items(DEV, {item.key for item in heldout})
    return Split(items(TRAIN, {item.key for item in heldout + dev}), dev, heldout)
