#!/usr/bin/env python3
"""Removes the checks of a reader one after the other, and asks the suite whether a case turns red.

    python3 test/mutation/reader_checks.py [python] [c] [rust] [misreadings] [--report conformance/reader-checks.md] [--list]

In the Python reader a check is a call that raises an error, a `raise`, or one operand of a condition that is several
(`a and b`, `a <= b <= c`); what it is in C and Rust, `reader_sources.py` says; misreadings, `misreadings.py`. With the package `zstandard`, and with libzstd for
the C reader (its `build` takes CFLAGS), the cases of compressed files are run, too. Needs Node for the list of cases.
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

import misreadings
from reader_sources import Site, SourceReader

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "conformance/readers/python/lqa_reader.py"
ZSTD = {"zstd", "text-zstd"}
PYTHON_UNSEEN = {  # checks, or parts of them, whose removal no case shows, and why
    "index[4:8] != b'LQA1'": "the next check refuses it, with the same code and less advice",
    "table >= 4": "a table at 0 has its vtable there, of size 0, which is an INDEX_TABLE, too",
    "place >= 4": "0 is a missing field, and 1 to 3 are no multiples of 4",
    "NAMES_TOTAL_BYTES": "as many names as Core allows, each as long as Hard allows, come to the Hard limit and not above it; "
                         "above Core a reader may refuse or accept",
    "limit('CHUNK_BYTES', max(s.raw_length": "32 bits cannot be above Hard; above Core a reader may refuse or accept",
    "width > 0": "without a field, the content size is taken for 0, which no frame has to have",
    "len(content) == size": "zstd compares what it makes with the size that the frame declares",
    "payload is not None": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "0 <= s * p.encoding.largest()": "what is negative is not above 0, and a comparison with NaN is false",
    "raise what was caught": "the parents of the suite are within all limits",
    "ancestors != []": "modules whose parents are not given are left out before",
}
REPORT = """# Checks of the readers

_Written by `python3 test/mutation/reader_checks.py --report conformance/reader-checks.md`. Do not edit._

Each check of a reader was removed, and each operand of one that has several, and the suite run on it.
{readers}"""
SECTION = """
## {name}

{summary}. The others:

| line | removed | why no case shows it |
| --- | --- | --- |
{rows}"""
MISREADINGS = """
## Misreadings

The Python reader, misreading the specification ({count} cases):

| a reader that | first case that turns red |
| --- | --- |
{rows}"""
ENDLESS = 5.0  # seconds of processor time for one file
CHECKS = {"need", "check", "limit", "check_crc", "canonical", "distinct", "refer", "finish"}
CASES = """
import { resolve } from "node:path";
import { loadCases } from "./conformance/runner/cases.mjs";
for (const { id, features, operation, runs } of loadCases(resolve("conformance/suite"), { mutations: "none" }))
  if (operation === "read" || operation === "apply")
    console.log(JSON.stringify({ id, features, runs: runs.map(({ path, parents, base, level, budget, expected, accept }) =>
      ({ operation, path, parents, base, level, budget, expected, accept })) }));
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
        self.found.append((node.lineno, what, "raise what was caught" if ast.unparse(node) == "raise" else ast.unparse(node)))
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


def give_up(*_: Any) -> None:
    raise TimeoutError


class PythonRun:
    """The Python reader in this process, without one of its checks."""

    def __init__(self, tree: ast.Module) -> None:
        self.space = load(tree)

    def run(self, run: dict[str, Any]) -> tuple[Any, int]:
        signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
        try:
            document, code = self.space["run"](run)
            return json.loads(self.space["to_json"](document)), code
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def close(self) -> None:
        pass


class PythonReader:
    name, unseen, has_plain = "Python", PYTHON_UNSEEN, True

    def __init__(self) -> None:
        signal.signal(signal.SIGVTALRM, give_up)
        self.tree = ast.parse(READER.read_text(encoding="utf-8"))
        finder = Removal()
        finder.visit(copy.deepcopy(self.tree))
        self.sites = [Site(READER.name, *check) for check in finder.found]

    def open(self, removed: int | None, without_zstd: bool = False) -> PythonRun:
        reader = PythonRun(Removal(removed).visit(copy.deepcopy(self.tree)))
        if without_zstd:
            reader.space["find_zstd"] = lambda dictionary: None
        return reader

    def lacking(self) -> set[str]:
        reader = self.open(None)
        return {name for name, text in (("zstd", False), ("text-zstd", True)) if reader.space["find_zstd"](text) is None}


def red(reader: Any, case: dict[str, Any]) -> bool:
    for run in case["runs"]:
        try:
            document, code = reader.run(run)
        except Exception:  # what the removed check kept away, or no end
            return True
        name = "valid" if document["valid"] else document["error"]["name"]
        if name in (run.get("accept") or ()):
            continue
        if not fits({k: v for k, v in run["expected"].items() if k != "exit"}, document) or code != run["expected"]["exit"]:
            return True
    return False


def first_red(reader: Any, cases: list[dict[str, Any]]) -> str | None:
    try:
        return next((case["id"] for case in cases if red(reader, case)), None)
    finally:
        reader.close()


def names_in(text: str) -> set[str]:
    """Names of errors: INDEX_TABLE, and IndexTable of the Rust reader."""
    camel = re.findall(r"Code::(\w+)", text)
    return {*re.findall(r"[A-Z]+(?:_[A-Z]+)+", text), *(re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in camel)}


def examine(reader: Any, wanted: list[int], cases: list[dict[str, Any]]) -> tuple[str, list[tuple[Site, str | None]]]:
    lacking = reader.lacking()
    cases = [case for case in cases if not lacking & set(case["features"])]
    wrong = first_red(reader.open(None), cases)
    if wrong:
        raise SystemExit(f"the {reader.name} reader as it is fails {wrong}")
    errors = {case["id"]: {run["expected"].get("error", {}).get("name") for run in case["runs"]} for case in cases}
    begin, recent, unseen = time.time(), list[str](), list[tuple[Site, str | None]]()
    for number in wanted:
        site = reader.sites[number]
        named = names_in(site.text)
        # What was red before, then what expects an error that the check names, then the rest.
        order = sorted(cases, key=lambda case: (case["id"] not in recent[-20:], not named & errors[case["id"]]))
        seen = first_red(reader.open(number), order)
        if seen is None and reader.has_plain:  # what zstd refuses by itself, a reader without zstd has to find
            seen = first_red(reader.open(number, without_zstd=True), [case for case in cases if not ZSTD & set(case["features"])])
        if seen is None:
            part = site.what if site.what != "whole" else site.text
            reason = next((why for text, why in reader.unseen.items() if text in part), None)
            unseen.append((site, reason))
            print(f"no case: {site.file} line {site.line}, {site.what} of {site.text}: {reason}", flush=True)
        else:
            recent.append(seen)
    summary = f"{len(wanted) - len(unseen)} of {len(wanted)} removals turn a case red ({len(cases)} cases)"
    print(f"{reader.name}: {summary}, {time.time() - begin:.0f} s", flush=True)
    return summary, unseen


def misread(cases: list[dict[str, Any]]) -> tuple[str, bool]:
    """The section of the report, and whether each misreading turns a case red."""
    wrong = first_red(PythonReader().open(None), cases)
    if wrong:
        raise SystemExit(f"the Python reader as it is fails {wrong}")
    rows, known = "", True
    for what, tree in misreadings.trees(READER.read_text(encoding="utf-8")):
        seen = first_red(PythonRun(tree), cases)
        rows += f"| {what} | {f'`{seen}`' if seen else 'none'} |\n"
        known = known and seen is not None
    print(rows, flush=True)
    return MISREADINGS.format(count=len(cases), rows=rows), known


READERS = {"python": PythonReader, "c": lambda: SourceReader("C"), "rust": lambda: SourceReader("Rust")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", choices=[*READERS, "misreadings", []], help="all of them if none is named")
    parser.add_argument("--report", type=Path, help="also write the result there, as Markdown")
    parser.add_argument("--lines", default="1-", help="only checks that stand there, as 100-200")
    parser.add_argument("--list", action="store_true", help="only list the checks")
    options = parser.parse_args()
    first, last = (int(line or sys.maxsize) for line in options.lines.split("-"))
    lines = subprocess.run(["node", "--input-type=module", "-e", CASES], cwd=ROOT, check=True, capture_output=True, text=True)
    cases = [json.loads(line) for line in lines.stdout.splitlines()]
    sections, known = "", True
    for name in options.readers or [*READERS, "misreadings"]:
        if name == "misreadings":
            if not options.list:
                section, each = misread(cases)
                sections, known = sections + section, known and each
            continue
        reader = READERS[name]()
        wanted = [i for i, site in enumerate(reader.sites) if first <= site.line <= last]
        if options.list:
            for i in wanted:
                site = reader.sites[i]
                print(f"{site.file}:{site.line}: {site.what} of {site.text[:100]}")
            continue
        summary, unseen = examine(reader, wanted, cases)
        rows = "".join(
            f"| {site.file}:{site.line} | `{site.what}` of `{site.text}` | {why or 'nobody knows yet'} |\n".replace("||", "\\|\\|")
            for site, why in unseen)
        sections += SECTION.format(name=reader.name, summary=summary, rows=rows)
        known = known and all(why is not None for _, why in unseen)
    if options.report:
        options.report.write_text(REPORT.format(readers=sections), encoding="utf-8")
    return 0 if known else 1


if __name__ == "__main__":
    sys.exit(main())
