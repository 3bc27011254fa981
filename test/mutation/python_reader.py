"""The Python reader (conformance/readers/python) in this process, with one change: without a check or an operand of one
(`PythonReader`), or with another operator (`OperatorReader`).

What the suite does not compare is left alone: offsets and texts of errors, and the functions that speak its protocol.
"""
from __future__ import annotations

import __future__
import ast
import copy
import json
import signal
import sys
import types
from pathlib import Path
from typing import Any, Iterator

import equivalent_in_python
from reader_sources import Site

READER = Path(__file__).resolve().parents[2] / "conformance/readers/python/lqa_reader.py"
CHECKS = {"need", "check", "limit", "check_crc", "canonical", "distinct", "refer", "finish"}
PROTOCOL = {"main", "lines", "run", "answer", "to_json", "print_json", "read_base", "Pieces", "companion", "Place", "LqaError"}
UNCOMPARED = {"offset", "expected", "actual"}  # arguments and attributes that say where an error is
OFFSETS = {"check": 2, "check_crc": 4}  # the same by position


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


NEIGHBOURS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}


def other_operators(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in NEIGHBOURS:
        changed = copy.copy(node)
        changed.op = NEIGHBOURS[type(node.op)]()  # type: ignore[assignment]
        yield changed
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in NEIGHBOURS:
                changed = copy.copy(node)
                changed.ops = [*node.ops[:i], NEIGHBOURS[type(op)](), *node.ops[i + 1:]]  # type: ignore[list-item]
                yield changed


class Operators(ast.NodeTransformer):
    """Finds comparisons, sums and conditions, or turns number `wanted` to its neighbour."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.found = wanted, list[tuple[int, str, str]]()
        self.statement, self.around = (0, ""), list[ast.AST]()

    def visit(self, node: ast.AST) -> Any:
        text = isinstance(node, ast.JoinedStr) and name_of(self.around[-1]) in (*CHECKS, "LqaError")
        offset = isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") in UNCOMPARED
        if getattr(node, "name", "") in PROTOCOL or name_of(node) in ("Place", "place") or text or offset:
            return node
        outer = self.statement
        if isinstance(node, ast.stmt):
            self.statement = node.lineno, ast.unparse(node).splitlines()[0]
        result = node
        for changed in other_operators(node):
            self.found.append((self.statement[0], " → ".join(ast.unparse(each).splitlines()[0] for each in (node, changed)), self.statement[1]))
            result = ast.copy_location(changed, node) if self.wanted == len(self.found) - 1 else result
        self.around.append(node)
        self.generic_visit(result)
        self.around.pop()
        self.statement = outer
        return result

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_comment"):
                continue
            if isinstance(value, list):
                uncompared = OFFSETS.get(name_of(node)) if name == "args" else None
                value[:] = [self.visit(v) if isinstance(v, ast.AST) and getattr(v, "arg", "") not in UNCOMPARED and i != uncompared
                            else v for i, v in enumerate(value)]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node


class Reach(ast.NodeTransformer):
    """Notes which statements of functions run, by their lines."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self.within(node)

    def within(self, node: Any) -> Any:
        for name in ("body", "orelse", "finalbody"):
            body = []
            for statement in getattr(node, name, ()):
                note = ast.parse(f"_reached.add({statement.lineno})").body[0]
                body += [ast.copy_location(note, statement), self.within(statement)]
            if body:
                setattr(node, name, body)
        for handler in getattr(node, "handlers", ()):
            self.within(handler)
        return node


Code = types.CodeType


def compiled(statement: ast.stmt) -> Code:
    module = ast.fix_missing_locations(ast.Module([statement], []))
    return compile(module, str(READER), "exec", __future__.annotations.compiler_flag)


def give_up(*_: Any) -> None:
    raise TimeoutError


class PythonRun:
    """The changed reader, from the code of its statements."""

    def __init__(self, codes: list[Code]) -> None:
        module = sys.modules["reader"] = types.ModuleType("reader")
        self.space: dict[str, Any] = module.__dict__
        self.space.update(__file__=str(READER), _reached=set())
        for code in codes:
            exec(code, self.space)

    def run(self, run: dict[str, Any], seconds: float) -> tuple[Any, int]:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            document, code = self.space["run"](run)
            return json.loads(self.space["to_json"](document)), code
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def reached(self) -> frozenset[int]:
        """The lines of statements that ran since the last call."""
        lines = frozenset(self.space["_reached"])
        self.space["_reached"].clear()
        return lines

    def close(self) -> None:
        pass


class PythonReader:
    name, unseen, has_plain, change = "Python", equivalent_in_python.CHECKS, True, Removal

    def __init__(self, source: str | None = None) -> None:
        signal.signal(signal.SIGVTALRM, give_up)
        # Without `if __name__ == "__main__"`, which would run the command.
        self.body = [one for one in ast.parse(source or READER.read_text(encoding="utf-8")).body if not isinstance(one, ast.If)]
        self.codes = [compiled(statement) for statement in self.body]
        self.sites, self.places = list[Site](), list[tuple[int, int]]()
        for i, statement in enumerate(self.body):
            finder = self.change()
            finder.visit(copy.deepcopy(statement))
            self.sites += [Site(READER.name, *found) for found in finder.found]
            self.places += [(i, number) for number in range(len(finder.found))]
        functions = [node for node in ast.walk(ast.Module(self.body, [])) if isinstance(node, ast.FunctionDef)]
        self.inside = {node.lineno for f in functions for part in f.body for node in ast.walk(part) if isinstance(node, ast.stmt)}
        (frames,) = (f for f in functions if f.name == "split_frames")
        self.frames = range(frames.lineno, frames.end_lineno or 0)

    def open(self, changed: int | None, without_zstd: bool = False, reach: bool = False) -> PythonRun:
        codes = [compiled(Reach().visit(copy.deepcopy(statement))) for statement in self.body] if reach else self.codes.copy()
        if changed is not None:
            i, number = self.places[changed]
            codes[i] = compiled(self.change(number).visit(copy.deepcopy(self.body[i])))
        reader = PythonRun(codes)
        if without_zstd:
            reader.space["find_zstd"] = lambda dictionary: None
        return reader

    def lacking(self) -> set[str]:
        reader = self.open(None)
        return {name for name, text in (("zstd", False), ("text-zstd", True)) if reader.space["find_zstd"](text) is None}


class OperatorReader(PythonReader):
    name, unseen, change = "Python, operators", equivalent_in_python.OPERATORS, Operators  # type: ignore[assignment]
