"""Verdicts on answers."""

import sys
import unittest
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import grade
import sandbox
from problems import Item, wrapped


class Grades(unittest.TestCase):
    def test_final_numbers(self) -> None:
        for answer, expected in (
            ("48+24 = 72 clips.\n#### 72", "72"), ("#### 1,080", "1080"), ("#### $18", "18"), ("#### -5", "-5"), ("It costs $3.50.", "3.50"),
            ("#### 10\n#### 11", "10"), ("so 2 + 2 is 4.", "4"), ("no number", None), ("", None), ("#### none, but 7", "7"), ("####.5", ".5"),
        ):  # fmt: skip
            self.assertEqual(grade.number(answer), expected and Decimal(expected), answer)
        item = Item("1", "How many?", "3 * 6 = 18\n#### 18")
        self.assertTrue(grade.right(item, "#### 18.0"))
        for wrong in ("#### 19", "18 or 19", "", "#### 18 19"[:6]):
            self.assertFalse(grade.right(item, wrong), wrong)

    def test_facts(self) -> None:
        item = Item("1", "Where was Odrin Vasket born?", "Melvarn")
        self.assertTrue(grade.right(item, " Melvarn\n"))
        self.assertFalse(grade.right(item, "Melvarno"))

    @unittest.skipIf(sandbox.missing(), "programs cannot be run safely")
    def test_programs(self) -> None:
        item = Item("2", "Write a function.", "", "assert f(2) == 4\nassert f(-1) == 1\n")
        self.assertTrue(grade.right(item, "def f(x):\n    return x * x"))
        self.assertTrue(grade.right(item, "Here it is:\n```python\ndef f(x):\n    return x * x\n```\nIt squares."))
        for wrong in ("def f(x):\n    return x + 3", "", "import os\nos._exit(0)", "def f(x):\n    return f(x)", "I cannot."):
            self.assertFalse(grade.right(item, wrong), wrong)

    @unittest.skipIf(sandbox.missing(), "programs cannot be run safely")
    def test_a_function_that_is_completed(self) -> None:
        head = "import math\n\ndef f(x):\n    \"\"\"Its root.\"\"\"\n"
        item = Item("3", "Complete this function.", "", "def check(g):\n    assert g(4) == 2\ncheck(f)\n", head)
        self.assertTrue(grade.right(item, f"```python\n{head}    return math.sqrt(x)\n```"))
        # Only the body; without its imports.
        self.assertTrue(grade.right(item, "    return math.sqrt(x)\n"))
        self.assertTrue(grade.right(item, "def f(x):\n    return math.sqrt(x)"))
        for wrong in ("", "def f(x):\n    return x", "def check(g):\n    pass"):
            self.assertFalse(grade.right(item, wrong), wrong)

    def test_words_of_each_model(self) -> None:
        item = Item("1", "Why?", "So.")
        self.assertEqual(wrapped("gemma3-270m", item), {"prompt": "<bos>Why?\n\n", "completion": "So."})
        self.assertTrue(wrapped("qwen2.5-coder-0.5b", item)["prompt"].endswith("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"))


if __name__ == "__main__":
    unittest.main()
