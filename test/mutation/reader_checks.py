#!/usr/bin/env python3
"""Removes the checks of the Python reader one after the other, and asks the suite whether a case turns red.

    python3 test/mutation/reader_checks.py [--report conformance/reader-checks.md] [--list]

A check is a call that raises an error, a `raise`, or one operand of a condition that is several (`a and b`, `a <= b <= c`). With
the package `zstandard` the cases of compressed files are run, too. Needs Node for the list of cases.
"""
from __future__ import annotations

import argparse
import ast
import copy
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "conformance/readers/python/lqa_reader.py"
ZSTD = {"zstd", "text-zstd"}
UNSEEN = {  # checks, or parts of them, whose removal no file can show, and why
    "table >= 4": "a table at 0 has its vtable there, of size 0, which is an INDEX_TABLE, too",
    "place >= 4": "0 is a missing field, and 1 to 3 are no multiples of 4",
    "NAMES_TOTAL_BYTES": "as many names as Core allows, each as long as Hard allows, come to the Hard limit and not above it; "
                         "above Core a reader may refuse or accept",
    "limit('CHUNK_BYTES', max(s.raw_length": "32 bits cannot be above Hard; above Core a reader may refuse or accept",
    "width > 0": "without a field, the content size is taken for 0, which no frame has to have",
    "len(content) == size": "zstd compares what it makes with the size that the frame declares",
    "payload is not None": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "0 <= s * e.largest()": "what is negative is not above 0, and a comparison with NaN is false",
}
REPORT = """# Checks of the Python reader

_Written by `python3 test/mutation/reader_checks.py --report conformance/reader-checks.md`. Do not edit._

Each check of the reader was removed, and each operand of one that has several, and the suite run ({cases} cases):
{summary}. No file can show the others:

| line | removed | why no file can show it |
| --- | --- | --- |
{rows}"""
ENDLESS = 5.0  # seconds of processor time for one file
CHECKS = {"need", "check", "limit", "check_crc", "canonical", "distinct", "refer", "finish"}
CASES = """
import { loadCases } from "./conformance/runner/cases.mjs";
for (const { id, features, operation, runs } of loadCases("conformance/suite", { mutations: "none" }))
  if (operation === "read")
    console.log(JSON.stringify({ id, features, runs: runs.map(({ path, level, budget, expected, accept }) =>
      ({ path, level, budget, expected, accept })) }));
"""


def name_of(call: ast.AST) -> str:
    func = call.func if isinstance(call, ast.Call) else None
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


def without(condition: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The condition without one of its operands."""
    if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And):
        for i, value in enumerate(condition.values):
            rest = condition.values[:i] + condition.values[i + 1:]
            yield ast.unparse(value), rest[0] if len(rest) == 1 else ast.BoolOp(ast.And(), rest)
            for text, shorter in without(value):
                yield text, ast.BoolOp(ast.And(), condition.values[:i] + [shorter] + condition.values[i + 1:])
    elif isinstance(condition, ast.Compare) and len(condition.ops) > 1:
        terms = [condition.left, *condition.comparators]
        pairs = [ast.Compare(a, [op], [b]) for a, op, b in zip(terms, condition.ops, terms[1:])]
        yield from without(ast.BoolOp(ast.And(), pairs))  # type: ignore[arg-type]


class Removal(ast.NodeTransformer):
    """Finds the checks, or removes number `wanted`."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.found = wanted, list[tuple[int, str, str]]()

    def is_wanted(self, node: ast.stmt, what: str) -> bool:
        self.found.append((node.lineno, what, ast.unparse(node)))
        return self.wanted == len(self.found) - 1

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if self.is_wanted(node, "whole") else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        call = node.value
        if name_of(call) not in CHECKS or not isinstance(call, ast.Call):
            return node
        if self.is_wanted(node, "whole"):
            return ast.copy_location(ast.Pass(), node)
        if name_of(call) in ("need", "check") and call.args:
            for text, shorter in without(call.args[0]):
                if self.is_wanted(node, text):
                    call.args[0] = shorter
        return node


def load(tree: ast.Module) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "reader", "__file__": str(READER)}
    sys.modules["reader"] = type(sys)("reader")
    sys.modules["reader"].__dict__.update(space)
    exec(compile(ast.fix_missing_locations(tree), str(READER), "exec"), sys.modules["reader"].__dict__)
    return sys.modules["reader"].__dict__


def fits(expected: Any, actual: Any) -> bool:
    """Whether all that is expected is there (conformance/PROTOCOL.md, "What is compared")."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(fits(value, actual.get(key)) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(fits, expected, actual))
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)


def red(reader: dict[str, Any], case: dict[str, Any]) -> bool:
    for run in case["runs"]:
        signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
        try:
            document, code = reader["run"](run)
            document = json.loads(reader["to_json"](document))
        except Exception:  # what the removed check kept away, or no end
            return True
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        name = "valid" if document["valid"] else document["error"]["name"]
        if name in (run.get("accept") or ()):
            continue
        if not fits({k: v for k, v in run["expected"].items() if k != "exit"}, document) or code != run["expected"]["exit"]:
            return True
    return False


def give_up(*_: Any) -> None:
    raise TimeoutError


def main() -> int:
    signal.signal(signal.SIGVTALRM, give_up)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="also write the result there, as Markdown")
    parser.add_argument("--lines", default="1-", help="only checks that stand there, as 100-200")
    parser.add_argument("--list", action="store_true", help="only list the checks")
    options = parser.parse_args()
    tree = ast.parse(READER.read_text(encoding="utf-8"))
    finder = Removal()
    finder.visit(copy.deepcopy(tree))
    first, last = (int(line or sys.maxsize) for line in options.lines.split("-"))
    wanted = [(i, *check) for i, check in enumerate(finder.found) if first <= check[0] <= last]
    if options.list:
        for _, line, what, text in wanted:
            print(f"{line}: {what} of {text[:100]}")
        return 0
    lines = subprocess.run(["node", "--input-type=module", "-e", CASES], cwd=ROOT, check=True, capture_output=True, text=True)
    cases = [json.loads(line) for line in lines.stdout.splitlines()]
    whole = load(copy.deepcopy(tree))
    lacking = {name for name, text in (("zstd", False), ("text-zstd", True)) if whole["find_zstd"](text) is None}
    cases = [case for case in cases if not lacking & set(case["features"])]
    wrong = [case["id"] for case in cases if red(whole, case)]
    if wrong:
        print(f"the reader as it is fails {wrong[:5]}")
        return 2
    errors = {case["id"]: {run["expected"].get("error", {}).get("name") for run in case["runs"]} for case in cases}
    begin, recent, unseen = time.time(), list[str](), []
    for number, line, what, text in wanted:
        reader = load(Removal(number).visit(copy.deepcopy(tree)))
        named = set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", text))
        # What was red before, then what expects an error that the check names, then the rest.
        order = sorted(cases, key=lambda case: (case["id"] not in recent[-20:], not named & errors[case["id"]]))
        seen = next((case["id"] for case in order if red(reader, case)), None)
        if seen is None:  # what zstd refuses by itself, a reader without zstd has to find
            reader["find_zstd"] = lambda dictionary: None
            seen = next((case["id"] for case in cases if not ZSTD & set(case["features"]) and red(reader, case)), None)
        if seen is None:
            reason = next((why for part, why in UNSEEN.items() if part in (what if what != "whole" else text)), None)
            unseen.append((line, what, text, reason))
            print(f"no case: line {line}, {what} of {text}: {reason}", flush=True)
        else:
            recent.append(seen)
    total = len(wanted)
    summary = f"{total - len(unseen)} of {total} removals turn a case red"
    print(f"{summary} ({len(cases)} cases, {time.time() - begin:.0f} s)")
    if options.report:
        rows = "".join(f"| {line} | `{what}` of `{text}` | {why or 'nobody knows yet'} |\n" for line, what, text, why in unseen)
        options.report.write_text(REPORT.format(summary=summary, cases=len(cases), rows=rows), encoding="utf-8")
    return 1 if any(reason is None for *_, reason in unseen) else 0


if __name__ == "__main__":
    sys.exit(main())
