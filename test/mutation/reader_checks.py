#!/usr/bin/env python3
"""Changes a reader in one place after the other, and asks the suite whether a case turns red.

    python3 test/mutation/reader_checks.py [python] [operators] [c] [rust] [misreadings] [--report conformance/reader-checks.md]

`python`, `c` and `rust` remove checks: in Python a call that raises an error, a `raise`, or one operand of a condition that is several (`a
and b`, `a <= b <= c`); what it is in C and Rust, `reader_sources.py` says. `operators` turns comparisons, sums and conditions of the Python
reader to their neighbours (`<` to `<=`, `==` to `!=`, `+` to `-`, `and` to `or`); misreadings, `misreadings.py`. With the package
`zstandard`, and with libzstd for the C reader (its `build` takes CFLAGS), the cases of compressed files are run, too. Needs Node for the
list of cases. The report keeps what it says of parts that are not run.
"""
from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import misreadings
from python_reader import READER, OperatorReader, PythonReader
from reader_sources import ENDLESS, Site, SourceReader

ROOT = Path(__file__).resolve().parents[2]
ZSTD = {"zstd", "text-zstd"}
REPORT = """# Checks of the readers

_Written by `python3 test/mutation/reader_checks.py --report conformance/reader-checks.md`. Do not edit._

Each check of a reader was removed, and each operand of one that has several; in the Python reader each comparison, sum and condition was
also turned to its neighbour. The suite was run on every changed reader. A section that names fewer cases than the suite has was written
when it had as many.
"""
SECTION = """
## {name}

{summary}. The others:

| line | changed | why no case shows it |
| --- | --- | --- |
{rows}"""
MISREADINGS = """
## Misreadings

The Python reader, misreading the specification ({count} cases):

| a reader that | first case that turns red |
| --- | --- |
{rows}"""
CASES = """
import { resolve } from "node:path";
import { loadCases } from "./conformance/runner/cases.mjs";
for (const { id, features, operation, runs } of loadCases(resolve("conformance/suite"), { mutations: "none" }))
  if (operation === "read" || operation === "apply")
    console.log(JSON.stringify({ id, features, runs: runs.map(({ path, parents, base, level, budget, expected, accept }) =>
      ({ operation, path, parents, base, level, budget, expected, accept })) }));
"""


def fits(expected: Any, actual: Any) -> bool:
    """Whether all that is expected is there (conformance/PROTOCOL.md, "What is compared")."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(fits(value, actual.get(key)) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(fits, expected, actual))
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)


def red(reader: Any, case: dict[str, Any], seconds: float) -> bool:
    for run in case["runs"]:
        try:
            document, code = reader.run(run, seconds)
        except Exception:  # what the removed check kept away, or no end
            return True
        name = "valid" if document["valid"] else document["error"]["name"]
        if name in (run.get("accept") or ()):
            continue
        if not fits({k: v for k, v in run["expected"].items() if k != "exit"}, document) or code != run["expected"]["exit"]:
            return True
    return False


class Suite:
    """The cases that a reader passes as it is, and the lines of the reader that run for each, if the reader says it."""

    def __init__(self, reader: Any, cases: list[dict[str, Any]], without_zstd: bool = False) -> None:
        self.reader, self.without_zstd, self.inside = reader, without_zstd, getattr(reader, "inside", set())
        self.errors = {case["id"]: {run["expected"].get("error", {}).get("name") for run in case["runs"]} for case in cases}
        self.cases = sorted((case for case in cases if not is_large(case)), key=lambda case: size_of(case))
        self.large, self.passes_large = [case for case in cases if is_large(case)], False
        self.reach = self.passed(self.cases)
        self.reached = frozenset().union(*self.reach.values())

    def passed(self, cases: list[dict[str, Any]], reach: bool = True) -> dict[str, frozenset[int]]:
        opened, lines = self.reader.open(None, self.without_zstd, reach=reach), dict[str, frozenset[int]]()
        for case in cases:
            if red(opened, case, 60.0):
                raise SystemExit(f"the {self.reader.name} reader as it is fails {case['id']}")
            lines[case["id"]] = opened.reached()
        opened.close()
        return lines

    def is_plain(self, case: dict[str, Any]) -> bool:
        """Whether a reader without zstd can read it, and looks at compressed chunks in it."""
        frames = getattr(self.reader, "frames", None)
        reach = self.reach.get(case["id"], frozenset())
        return not ZSTD & set(case["features"]) and (frames is None or any(line in frames for line in reach))

    def order(self, site: Site, recent: dict[str, int]) -> Iterator[dict[str, Any]]:
        """What was red before, then what expects an error that the change names, then the rest; only cases for which the changed
        line runs. Large files come last, and only if the change is one of a limit, or of a line that no other case reaches."""
        named, anywhere = names_in(site.text), site.line not in self.inside
        yield from sorted((case for case in self.cases if anywhere or site.line in self.reach[case["id"]]),
                          key=lambda case: (-recent.get(case["id"], -1), not named & self.errors[case["id"]]))
        elsewhere = not anywhere and site.line not in self.reached
        if elsewhere or "limit" in site.text.lower():
            if not self.passes_large:
                self.passed(self.large, reach=False)
                self.passes_large = True
            yield from self.large

    def first_red(self, open_reader: Callable[[], Any], site: Site, recent: dict[str, int]) -> str | None:
        try:
            reader = open_reader()
        except Exception:  # it does not even start
            return "any"
        try:
            return next((case["id"] for case in self.order(site, recent) if red(reader, case, 30.0 if is_large(case) else ENDLESS)), None)
        finally:
            reader.close()


def size_of(case: dict[str, Any]) -> int:
    return sum((ROOT / run["path"]).stat().st_size for run in case["runs"])


def is_large(case: dict[str, Any]) -> bool:
    """Those that take seconds, where others take milliseconds."""
    return case["id"].startswith("limits/") and size_of(case) > 100_000


def names_in(text: str) -> set[str]:
    """Names of errors: INDEX_TABLE, and IndexTable of the Rust reader."""
    camel = re.findall(r"Code::(\w+)", text)
    return {*re.findall(r"[A-Z]+(?:_[A-Z]+)+", text), *(re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in camel)}


def examine(reader: Any, wanted: list[int], cases: list[dict[str, Any]]) -> tuple[str, list[tuple[Site, str | None]]]:
    lacking = reader.lacking()
    cases = [case for case in cases if not lacking & set(case["features"])]
    suite = Suite(reader, cases)
    plain = Suite(reader, [case for case in cases if suite.is_plain(case)], True) if reader.has_plain else None
    begin, recent, unseen = time.time(), dict[str, int](), list[tuple[Site, str | None]]()
    for number in wanted:
        site = reader.sites[number]
        seen = suite.first_red(lambda: reader.open(number), site, recent)
        if seen is None and plain:  # what zstd refuses by itself, a reader without zstd has to find
            seen = plain.first_red(lambda: reader.open(number, without_zstd=True), site, recent)
        if seen is None:
            part = site.what if site.what != "whole" else site.text
            reason = next((why for text, why in reader.unseen.items() if text in part), None)
            unseen.append((site, reason))
            print(f"no case: {site.file} line {site.line}, {site.what} of {site.text}: {reason}", flush=True)
        else:
            recent[seen] = number
            recent = dict(sorted(recent.items(), key=lambda item: item[1])[-20:])
    summary = f"{len(wanted) - len(unseen)} of {len(wanted)} changes turn a case red ({len(cases)} cases)"
    print(f"{reader.name}: {summary}, {time.time() - begin:.0f} s", flush=True)
    return summary, unseen


def misread(cases: list[dict[str, Any]]) -> tuple[str, bool]:
    """The section of the report, and whether each misreading turns a case red."""
    suite, rows, known = Suite(PythonReader(), cases), "", True
    for what, source in misreadings.sources(READER.read_text(encoding="utf-8")):
        seen = suite.first_red(lambda: PythonReader(source).open(None), Site("", 0, what, what), {})
        rows += f"| {what} | {f'`{seen}`' if seen else 'none'} |\n"
        known = known and seen is not None
    print(rows, flush=True)
    return MISREADINGS.format(count=len(cases), rows=rows), known


READERS = {"python": PythonReader, "operators": OperatorReader, "c": lambda: SourceReader("C"), "rust": lambda: SourceReader("Rust")}


def report(path: Path, sections: dict[str, str]) -> str:
    """The report with these sections, and with those that it has of other parts."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    kept = {part.split("\n")[0]: f"\n## {part.rstrip()}\n" for part in old.split("\n## ")[1:]}
    return REPORT + "".join(text for _, text in sorted({**kept, **sections}.items()))


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
    sections, known = dict[str, str](), True
    for name in options.readers or [*READERS, "misreadings"]:
        if name == "misreadings":
            if not options.list:
                sections["Misreadings"], each = misread(cases)
                known = known and each
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
        sections[reader.name] = SECTION.format(name=reader.name, summary=summary, rows=rows)
        known = known and all(why is not None for _, why in unseen)
    if options.report:
        options.report.write_text(report(options.report, sections), encoding="utf-8")
    return 0 if known else 1


if __name__ == "__main__":
    sys.exit(main())
