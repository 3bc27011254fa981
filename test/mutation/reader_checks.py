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
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "conformance/readers/python/lqa_reader.py"
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
        try:
            document, code = reader["run"](run)
            document = json.loads(reader["to_json"](document))
        except Exception:  # what the removed check kept away
            return True
        name = "valid" if document["valid"] else document["error"]["name"]
        if name in (run.get("accept") or ()):
            continue
        if not fits({k: v for k, v in run["expected"].items() if k != "exit"}, document) or code != run["expected"]["exit"]:
            return True
    return False


def main() -> int:
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
        if seen is None:
            unseen.append((line, what, text))
            print(f"no case: line {line}, {what} of {text}", flush=True)
        else:
            recent.append(seen)
    total = len(wanted)
    summary = f"{total - len(unseen)} of {total} removals turn a case red ({len(cases)} cases, {time.time() - begin:.0f} s)"
    print(summary)
    if options.report:
        rows = "".join(f"- line {line}, `{what}` of `{text}`\n" for line, what, text in unseen)
        options.report.write_text(f"{summary}\n\n{rows}", encoding="utf-8")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
