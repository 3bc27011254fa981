"""Tables, goals and the picture, of a few raw lines."""

import json
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
REASON = "" if all(find_spec(name) for name in ("lqa", "torch")) else "lqa or torch is not installed"
if REASON:
    print(f"skipped: tests of tables: {REASON}")
else:
    import goals
    import picture
    import place
    import plan
    import summary
    import tables

MARKS = "# Page\n\n<!-- first -->\nold\n<!-- /first -->\n\nwords\n\n<!-- goals -->\nold\n<!-- /goals -->\n"


def score(item: int, weights: str, loss: float, kl: float) -> dict:
    return {"item": str(item), "of": "ref", "weights": weights, "tokens": 2, "loss": loss, "exact": 1, "kl": kl, "reverse_kl": kl, "top1": 2, "top5": 1}


def lines() -> list[dict]:
    found = [{"encoding": "lqa 0.5", "of": "older", "weights": "old", "bytes": 1, "bits": 0.5},
             {"encoding": "lqa 1.0", "of": "ref", "weights": "one", "bytes": 1234, "bits": 1.01},
             {"encoding": "nf4", "of": "ref", "weights": "two", "bytes": 5000, "bits": 4.5},
             {"encoding": "q4_0", "of": "ref", "weights": "three", "bytes": 9000, "bits": 10}]  # fmt: skip
    for item in range(4):
        found += [score(item, "ref", 2, 0), score(item, "base", 8, 9), score(item, "one", 3, 0.2), score(item, "three", 2, 0.5)]
    return [*found, score(0, "two", 3, 0.1)]


def answers() -> list[dict]:
    right = {"base": (), "ref": range(8), "one": range(1, 9)}
    found = [{"item": str(item), "weights": whose, "right": item in those} for whose, those in right.items() for item in range(10)]
    return [*found, *({"item": str(item), "weights": "two", "right": True} for item in range(4))]


@unittest.skipIf(REASON, REASON)
class Tables(unittest.TestCase):
    def setUp(self) -> None:
        self.found = summary.summarized("x", lines(), answers())

    def test_every_figure_of_an_adapter(self) -> None:
        text = "\n".join(tables.table(self.found))
        self.assertIn("4 held-out items, 8 tokens. Loss without the adapter 4.0000, with it 1.0000 nats a token.", text)
        self.assertIn("Greedy answers right: 0 of 10 without the adapter, 8 with it.", text)
        start = "| lqa 1.0 | 1,234 | 1.01 | 0.1 (0.1–0.1) | 0.1 (0.1–0.1) | 100.0 % (100.0–100.0) | 50.0 % (50.0–50.0) | 83.3 % (83.3–83.3) | 8 of 10 | 100.0 % ("
        self.assertIn(start, text)
        # Not every item is scored, and less than half are answered.
        self.assertIn("| nf4 | 5,000 | 4.50 | – | – | – | – | – | – | – |", text)
        # Of another adapter.
        self.assertIsNone(self.found.row("lqa 0.5"))

    def test_an_interval_is_of_pairs(self) -> None:
        kept = self.found.row("lqa 1.0").answers.kept
        self.assertEqual(kept.value, 1)
        self.assertLess(kept.low, 1)
        same = summary.summarized("x", lines(), [{**line, "weights": {"one": "other", "ref": "one"}.get(line["weights"], line["weights"])} for line in answers()])
        self.assertIsNone(same.row("lqa 1.0").answers)

    def test_the_goals(self) -> None:
        text = "\n".join(goals.table([self.found]))
        self.assertIn("| x | lqa 1.0: KL below that of nf4 | not measured |", text)
        self.assertIn("| x | lqa 1.0: KL below that of q4_0 | 0.1 at 1.01 bits, 0.25 at 10.00 | met |", text)
        self.assertIn("| x | lqa 0.5 tuned: 99 % of the right answers | not measured | |", text)
        for value, low, high, expected in ((1, 0.995, 1, "met"), (0.99, 0.9, 1, "met, within the interval"), (0.98, 0.97, 1, "missed, within the interval"),
                                           (0.9, 0.8, 0.98, "missed")):  # fmt: skip
            self.assertEqual(goals.verdict(summary.Estimate(value, low, high), 0.99), expected)

    def test_the_picture_has_what_is_answered(self) -> None:
        every = [name for _, names, *_ in picture.METHODS for name in names]
        some = summary.Answers(10, 9, 10, summary.Estimate(0.9, 0.8, 1))
        rows = [summary.Row(name, 100, 1 + number, None, some) for number, name in enumerate(every)]
        whole = summary.Summary("x", 0, 0, (0, 0), None, rows)
        # One of two adapters has no answers of one encoding: it is left out, and so changes nothing.
        text = picture.svg([whole, summary.Summary("y", 0, 0, (0, 0), None, rows[1:])])
        self.assertEqual(text, picture.svg([whole]))
        self.assertEqual(text.count("<circle"), len(every))

    def test_pages_are_checked(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "results" / "answers").mkdir(parents=True)
        adapter = plan.ADAPTERS[plan.QUICK]
        for path, found in ((f"{adapter.name}.jsonl", lines()), (f"answers/{adapter.base}.{adapter.task}.jsonl", answers())):
            (folder / "results" / path).write_text("".join(json.dumps(line) + "\n" for line in found))
        load = {"adapter": "x", "weights": 8, "date": "2026-12-01", "machine": "m", "torch": "t", "encodings": {"lqa 1.0": {"bytes": 1, "ms": 20.4}}}
        (folder / "results" / "load.json").write_text(json.dumps(load))
        (folder / "page.md").write_text(MARKS)
        (folder / "comparison.md").write_text("<!-- formats -->\n\n<!-- /formats -->\n")
        for module, name, value in ((place, "RESULTS", folder / "results"), (place, "TABLES", folder / "tables.md"),
                                    (tables, "PAGE", folder / "page.md"), (tables, "PICTURE", folder / "x.svg"), (tables, "FORMATS_OF", adapter.name),
                                    (tables, "COMPARISON", folder / "comparison.md"), (tables, "FORMATS", (("lqa 1.0", "one bit", "us"),))):  # fmt: skip
            self.enterContext(mock.patch.object(module, name, value))

        def run(*words: str) -> int | None:
            with mock.patch.object(sys, "argv", ["tables.py", *words]), mock.patch("builtins.print"):
                try:
                    return tables.main()
                except SystemExit as end:
                    return end.code

        self.assertEqual(run("--check"), 1)
        self.assertEqual((folder / "page.md").read_text(), MARKS)
        self.assertIsNone(run())
        self.assertEqual(run("--check"), 0)
        self.assertIn("| lqa 1.0 | 1.01 | 0.1 (100 %) |\n", (folder / "page.md").read_text())
        self.assertIn("| one bit | 1,234 | 1.01 | 100 % | 0.1 | 20 | us |\n", (folder / "comparison.md").read_text())
        self.assertIn("| lqa 1.0 | 1 | 20 |\n", (folder / "tables.md").read_text())
        (folder / "x.svg").write_text("other")
        self.assertEqual(run("--check"), 1)


if __name__ == "__main__":
    unittest.main()
