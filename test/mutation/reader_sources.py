"""Removes checks from the C and the Rust reader: each in a build of its own would take hours, so one build has a switch for
each check, `LQA_REMOVED=number` in its environment.

A check is the condition of `MUST` or `.must()`, the value that `LIMIT` or `.limit()` looks at, the condition of an early
`return 0` or `return None` in a function that says whether bytes are good, or one of the expressions of EXTRA. Of a condition
that is several, each operand is removed, too.
"""
from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
READERS = ROOT / "conformance/readers"
ENDLESS = 5.0  # seconds of processor time for one file


class Site(NamedTuple):
    file: str
    line: int
    what: str  # "whole" or the operand
    text: str


class Gone(Exception):
    """The reader died, or found no end: what the removed check kept away."""


# Functions of lqa.c that answer whether bytes are good: `if (bad) return 0;`
C_JUDGES = {"valid_utf8", "refer", "shape_is", "frame_size", "lqa_mp_token", "valid_key", "lqa_mp_check"}
# Conditions elsewhere: the file, the expression (in brackets ⟦ ⟧, with what stands around it; … is anything), whether it must hold.
C_EXTRA = [
    ("lqa.c", "case 0: return ⟦m->multiplier == 1.0f && m->alpha == 0.0f⟧;", True),
    ("lqa.c", "case 1: return ⟦m->multiplier == (float)((double)m->alpha / (double)m->rank)⟧;", True),
    ("lqa.c", "case 2: return ⟦m->multiplier == (float)((double)m->alpha / square_root(m->rank))⟧;", True),
    ("lqa.c", "return ⟦!last->bytes || compare_bytes(last->bytes, (size_t)last->value, key->bytes, (size_t)key->value) < 0⟧;", True),
    ("lqa.c", "return ⟦at == size⟧;", True),
    ("lqa.c", "have_rows = lqa_next_tensor(f, &other) && ⟦other.role == LQA_TOKEN_INDICES && same_name(&t.name, &other.name)⟧;", True),
    ("lqa.c", "return ⟦next == 2⟧;", True),
    ("apply.c", "if (⟦rows[i] >= target->shape[0]⟧) code =", False),
]
RUST_EXTRA = [
    ("name.rs", "if ⟦!text.chars().any(char::is_control)⟧ =>", True),
    ("name.rs", "if ⟦same != shared⟧ && self.noncanonical", False),
    ("messagepack.rs", "let good = ⟦matches!(first, 0x80..=0x8F | 0xDE | 0xDF)⟧;", True),
    ("messagepack.rs", "if ⟦reader.at == data.len()⟧ {", True),
    ("messagepack.rs", ".filter(|&n| ⟦n >= least⟧)", True),
    ("messagepack.rs", "(⟦number < 1 << 53⟧).then_some", True),
    ("messagepack.rs", "(⟦shortest && number > -(1 << 53)⟧).then_some", True),
    ("chunk.rs", "(⟦filled == size && frame.is_empty()⟧).then_some", True),
    ("check.rs", "if compression == 0 { ⟦stored == raw + 4⟧ } else", True),
    ("check.rs", "else { ⟦stored >= 5 && stored < raw + 4⟧ };", True),
    ("check.rs", "let good = ⟦number < count && number <= *used⟧;", True),
    ("check.rs", "BIAS => ⟦float && other(REPLACE).is_none()⟧,", True),
    ("check.rs", "⟦float && longer(&t.shape) == longer(&[m.kind.experts.into(), size])⟧\n", True),
    ("check.rs", "⟦float && module.is_none() && t.shape.len() == 2 && t.shape.first() == rows⟧\n", True),
    ("check.rs", "TOKEN_INDICES => ⟦t.shape.len() == 1 && t.element == U32 && other(TOKEN_ROWS).is_some()⟧,", True),
    ("records.rs", "let good = ⟦(if self.codec == … || self.table == 0)⟧;", True),
    ("index.rs", ".filter(|_| ⟦offset >= 4⟧)", True),
    ("index.rs", "(⟦same < layout.len() || same < index.len()⟧).then_some", False),
    ("file.rs", "(32, ⟦u64_at(t, 32) == p.file_length⟧)", True),
    ("file.rs", "(40, ⟦u32_at(t, 40) as usize == list.len()⟧)", True),
    ("file.rs", "(44, ⟦u32_at(t, 44) as usize == p.index_length⟧)", True),
    ("file.rs", "(48, ⟦u32_at(t, 48) == 0⟧)", True),
    ("file.rs", "(56, ⟦t[56..].iter().eq(MAGIC.iter().rev())⟧)", True),
    ("file.rs", "position(|&b| ⟦b > 1⟧)", False),
    ("file.rs", "position(|pair| ⟦pair[0] >= pair[1]⟧)", False),
    ("records.rs", "0 => ⟦self.multiplier == 1.0 && self.alpha == 0.0⟧,", True),
    ("records.rs", "1 => ⟦self.multiplier == (alpha / rank) as f32⟧,", True),
    ("records.rs", "2 => ⟦self.multiplier == (alpha / rank.sqrt()) as f32⟧,", True),
]


def top_level(text: str, operators: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Where operators stand outside of brackets, strings and comments."""
    depth = i = 0
    while i < len(text):
        literal = re.compile(r'b?"(?:\\.|[^"\\])*"|b?\'(?:\\.[^\']*|[^\'\\])\'|/\*.*?\*/|//[^\n]*', re.S).match(text, i)
        if literal:
            i = literal.end()
            continue
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth < 0:
            return
        found = next((o for o in operators if depth == 0 and text.startswith(o, i)), None)
        if found:
            yield i, found
        i += len(found) if found else 1


def split(text: str, *operators: str) -> list[str]:
    parts, begin = [], 0
    for at, operator in top_level(text, operators):
        parts.append(text[begin:at])
        begin = at + len(operator)
    return [*parts, text[begin:]]


def argument_end(text: str, begin: int) -> int:
    """Where the first argument of a call ends, whose bracket is open before `begin`."""
    comma = next((at for at, _ in top_level(text[begin:], (",",))), None)
    close = closing(text, begin)
    return close if comma is None else min(close, begin + comma)


def closing(text: str, begin: int) -> int:
    rest = text[begin:]
    depth = 0
    for at, bracket in ((m.start(), m.group()) for m in re.finditer(r'"(?:\\.|[^"\\])*"|\'(?:\\.[^\']*|[^\'\\])\'|[(){}\[\]]', rest)):
        if len(bracket) > 1:
            continue
        depth += (bracket in "([{") - (bracket in ")]}")
        if depth < 0:
            return begin + at
    raise ValueError(f"no end: {rest[:60]}")


class Switches:
    """Source with a switch for each check."""

    def __init__(self, switch: str) -> None:
        self.switch, self.sites = switch, list[Site]()
        self.at = ("", 0, "")  # file, line and the whole text of the check that is being rewritten

    def off(self, what: str) -> str:
        self.sites.append(Site(*self.at[:2], " ".join(what.split()), self.at[2]))
        return f"{self.switch}({len(self.sites) - 1})"

    def hold(self, text: str, what: str = "whole") -> str:
        """A condition that must hold."""
        return f"({self.off(what)} || ({self.parts(text, '||', self.hold)}))"

    def held(self, text: str) -> str:
        """The same, of which only operands can be removed."""
        return self.parts(text, "||", self.hold)

    def fail(self, text: str, what: str = "whole") -> str:
        """A condition that must not hold."""
        return f"(!{self.off(what)} && ({self.parts(text, '&&', self.fail)}))"

    def parts(self, text: str, through: str, remove: Callable[[str, str], str]) -> str:
        """The condition, in which operands can be removed, one by one; through operators `through` it goes on into theirs."""
        conditional = split(text, "?", ":")
        if len(conditional) == 3 and "::" not in text:
            return f"{conditional[0]} ? " + " : ".join(self.parts(part, through, remove) for part in conditional[1:])
        for operator in ("||", "&&"):
            operands = split(text, operator)
            if len(operands) > 1 and operator == through:
                return f" {operator} ".join(self.parts(operand, through, remove) for operand in operands)
            if len(operands) > 1:
                return f" {operator} ".join(remove(operand, operand.strip()) for operand in operands)
        inner = text.strip()
        if inner.startswith("(") and closing(inner, 1) == len(inner) - 1:
            return f"({self.parts(inner[1:-1], through, remove)})"
        return text

    def rewrite(self, name: str, text: str, found: list[tuple[int, int, str, Callable[[str], str]]]) -> str:
        """Replaces the spans; `found` has the begin, the end, the text for the report and what makes the new text."""
        pieces, done = [], 0
        for begin, end, shown, change in sorted(found, key=lambda f: f[0]):
            if begin < done:
                raise ValueError(f"{name}: two checks in one: {shown}")
            self.at = (name, text.count("\n", 0, begin) + 1, " ".join(shown.split()))
            pieces += [text[done:begin], change(text[begin:end])]
            done = end
        return "".join([*pieces, text[done:]])

    def extra(self, name: str, text: str, expressions: list[tuple[str, str, bool]]) -> list[tuple[int, int, str, Callable[[str], str]]]:
        found = []
        for file, pattern, must in expressions:
            if file != name:
                continue
            before, expression, after = map(re.escape, re.split("[⟦⟧]", pattern))
            places = list(re.finditer(f"{before}({expression.replace('…', '[^;]*')}){after}", text))
            if len(places) != 1:
                raise ValueError(f"{name}: not once there: {pattern}")
            shown = re.sub(r"\s+", " ", re.sub("[⟦⟧]", "", pattern)).strip()
            found.append((*places[0].span(1), shown, self.hold if must else self.fail))
        return found


def instrument_c(switches: Switches, name: str, text: str) -> str:
    found = switches.extra(name, text, C_EXTRA)
    for match in re.finditer(r"\bif \((.*)\) return LQA_BASE_\w+;", text):
        found.append((*match.span(1), match.group(), switches.fail))
    for match in re.finditer(r"^(?!#define)(.*?)\b(MUST|MUST_AT|LIMIT|LIMIT_AT)\(", text, re.M):
        # The macros' own definitions go on over several lines.
        begin, call = match.end(), match.group(2)
        if text[:begin].rsplit("\n", 2)[-2].endswith("\\"):
            continue
        end = argument_end(text, begin)
        shown = text[match.start(2):closing(text, begin) + 1]
        change = switches.hold if call.startswith("MUST") else lambda value: f"{switches.off('whole')} ? 0 : ({value})"
        found.append((begin, end, shown, change))
    for match in re.finditer(r"\bif \(", text):
        begin = match.end()
        end = closing(text, begin)
        function = re.findall(r"^[a-z].*?(\w+)\([^;]*\{", text[:begin], re.M)
        if re.match(r"\)\s*return 0;", text[end:]) and function and function[-1] in C_JUDGES:
            found.append((begin, end, f"if ({text[begin:end]}) return 0", switches.fail))
    return switches.rewrite(name, text, found)


def instrument_rust(switches: Switches, name: str, text: str) -> str:
    found = switches.extra(name, text, RUST_EXTRA)
    for match in re.finditer(r"\.(must|limit)\(", text):
        begin = match.end()
        end = argument_end(text, begin)
        shown = text[match.start():closing(text, begin) + 1]
        if match.group(1) == "must":
            found.append((begin, end, shown, switches.hold))
        else:
            found.append((begin, end, shown, lambda value: f"if {switches.off('whole')} {{ 0 }} else {{ {value} }}"))
    for match in re.finditer(r"\bif ([^{};]*) \{\s*return None;", text):
        found.append((match.start(1), match.end(1), f"if {match.group(1)} return None", switches.fail))
    for match in re.finditer(r"let (good|fits|nonzero|inside|ascending|printable) =\s*([^;{]*);", text):
        if len(split(match.group(2), "&&")) > 1 and not any(begin <= match.start(2) < end for begin, end, *_ in found):
            found.append((match.start(2), match.end(2), match.group(), switches.held))
    return switches.rewrite(name, text, found)


class Reader:
    """A program that speaks protocol B (conformance/PROTOCOL.md)."""

    def __init__(self, command: list[str], removed: int | None) -> None:
        env = {**os.environ, "LQA_REMOVED": str(-1 if removed is None else removed), "ASAN_OPTIONS": "detect_leaks=0:hard_rss_limit_mb=2048"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        self.buffer = b""
        self.ask({"cmd": "start", "protocol": 1})

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, command: dict[str, Any], seconds: float = ENDLESS) -> Any:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Gone from None
        begin = self.cpu()
        while b"\n" not in self.buffer:
            if select.select([self.process.stdout], [], [], 1)[0]:
                more = os.read(self.process.stdout.fileno(), 1 << 20)
                if not more:
                    raise Gone
                self.buffer += more
            elif self.cpu() - begin > seconds:
                raise Gone
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def run(self, run: dict[str, Any], seconds: float) -> tuple[Any, int]:
        command = {key: value for key, value in run.items() if key in ("operation", "path", "parents", "base", "level", "budget")}
        answer = self.ask({"cmd": "run", "seq": 1, "case": "check", **command}, seconds)
        return answer["document"], answer["exit"]

    def reached(self) -> frozenset[int]:
        return frozenset()  # of C and Rust nobody knows

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


SWITCH_C = """#include <stdlib.h>
static int REMOVED(int number) {
  static int removed = -2;
  if (removed == -2) removed = getenv("LQA_REMOVED") ? atoi(getenv("LQA_REMOVED")) : -1;
  return removed == number;
}
"""
SWITCH_RUST = """
pub(crate) fn removed(number: i32) -> bool {
    static REMOVED: std::sync::OnceLock<i32> = std::sync::OnceLock::new();
    *REMOVED.get_or_init(|| std::env::var("LQA_REMOVED").ok().and_then(|n| n.parse().ok()).unwrap_or(-1)) == number
}
"""


def built(build: list[Any], env: dict[str, str]) -> list[str]:
    program = subprocess.run(build, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return [program.stdout.strip().splitlines()[-1], "--lines"]


def build_c(folder: Path) -> tuple[list[list[str]], list[Site]]:
    switches = Switches("REMOVED")
    shutil.copytree(READERS / "c", folder, ignore=shutil.ignore_patterns("out"))
    library = folder / "library"
    shutil.copytree(ROOT / "integrations/c", library, ignore=shutil.ignore_patterns("out", "test", "examples"))
    for file in (library / "lqa.c", folder / "apply.c"):
        source = instrument_c(switches, file.name, file.read_text(encoding="utf-8"))
        file.write_text(SWITCH_C + source, encoding="utf-8")
    warnings = "-Wno-parentheses -Wno-error"
    env = {**os.environ, "LQA_LIBRARY": str(library), "CFLAGS": f"{warnings} {os.environ.get('CFLAGS', '')}"}
    return [built([folder / "build", "--sanitize", *zstd], env) for zstd in (["--zstd"], [])], switches.sites


def build_rust(folder: Path) -> tuple[list[list[str]], list[Site]]:
    switches = Switches("crate::removed")
    shutil.copytree(READERS / "rust", folder, ignore=shutil.ignore_patterns("target"))
    for file in sorted((folder / "src").glob("*.rs")):
        text = file.read_text(encoding="utf-8")
        if file.name not in ("main.rs", "error.rs", "lib.rs", "tables.rs"):
            file.write_text(instrument_rust(switches, file.name, text), encoding="utf-8")
        elif file.name == "error.rs":  # the two checks inside of `limit`
            begin = text.index("pub(crate) fn limit")
            end = text.index("\n    }\n", begin)
            file.write_text(text[:begin] + instrument_rust(switches, file.name, text[begin:end]) + text[end:], encoding="utf-8")
        elif file.name == "lib.rs":
            file.write_text("#![allow(unused_parens)]\n" + text + SWITCH_RUST, encoding="utf-8")
    return [built([folder / "build"], dict(os.environ))], switches.sites


ABOVE_CORE = "above Core a reader may refuse or accept, and "
END = "what is read behind the chunk ends behind it, and where it ends is compared afterwards, with the same code"
GIVEN_BY_ID = "the program of the reader gives a file only the parent that has this content id"
C_UNSEEN = {
    "table >= 4": "a table at 0 has its vtable there, of size 0, which is an INDEX_TABLE, too",
    "field >= 4": "0 is a missing field, and 1 to 3 are no multiples of 4",
    "LIMIT(*total += shared + suffix, LIMIT_NAMES)": ABOVE_CORE + "as many names as Core allows, each as long as Hard allows, "
                                                     "come to the Hard limit and not above it",
    "LIMIT(c->length, LIMIT_CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    "LIMIT(m.chunk.length, LIMIT_CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    "LIMIT(s.chunk.raw_length, LIMIT_CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    "LIMIT(s.chunk.length, LIMIT_CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    "LIMIT_EXPERT_BANDS": ABOVE_CORE + "the only file above Hard has a plan above Core, where a reader may stop",
    "LIMIT_BANDS": ABOVE_CORE + "the least file above Hard has 32 MiB; the suite has only small files",
    "f->types.count, LIMIT_SHARED": "the least such file has 2 MiB; the suite has only small files",
    "other.dimensions > 0": "the record of the indices is refused for its dimensions, with the same code",
    "m.positions <= f->positions.count": "the number of positions is compared afterwards, with the same code",
    "f->parent.count": GIVEN_BY_ID,
    "memcmp(f->parent.at": GIVEN_BY_ID,
    "have_module": "without a module left, the last one's name is another, and refused with the same code",
    "work_size": "the program hands over as much memory as lqa_work_size asks for",
    "scratch_size >=": "the program hands over as much memory as the file needs",
    "!shuffled": "the program hands over as much memory as the file needs",
    "*at < f->index_length": "what is behind the index is compared like the index, and its length afterwards, with the same code",
    "n < 6": END,
    "bytes == 0": "a frame that does not declare its content size is taken for one of 0 bytes, which no frame has to have",
    "n - at < bytes": END,
    "n - at < 3": END,
    "n - at < (type == 1 ? 1 : size)": END,
    "return at <= n ? at : 0": "it is about a frame's own checksum, and whether frames end where the chunk does is compared afterwards",
    "size > 0, ZSTD_FRAME": "the bad frame is then as if it was not there, and where frames end is compared afterwards",
    "f->options.inflate": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "size - 1 < width": END,
    "size - at < t->value": END,
    "if (!target) return LQA_BASE_MODULE_MISSING": "a base layer without a bias: a consumer that can add one may do so (9.6)",
}
RUST_UNSEEN = {
    ".limit(length.into(), limits::CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    ".limit(raw, limits::CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    ".limit(u32_at(r, 4).into(), limits::CHUNK)": ABOVE_CORE + "32 bits cannot be above Hard",
    "kind == 3": "the zstd decoder refuses such a block",
    "size > 1 << 17": "the zstd decoder refuses such a block",
    "frame.is_empty()": "the frame was cut at its end before, and a decoder that has not read all of it is not finished",
    "sum": "the specification lets a reader ignore a frame's own checksum",
    "value <= core": "above Core a reader may refuse or accept",
    "table >= 4": "a table at 0 has its vtable there, of size 0, which is an INDEX_TABLE, too",
    "self.parent_id() == ids.content_id": GIVEN_BY_ID,
    "vtable % 2 == 0": "the official verifier refuses it, with the same code",
    "place >= 4": "0 is a missing field, and 1 to 3 are no multiples of 4",
    ".limit(self.total, limits::NAMES)": ABOVE_CORE + "as many names as Core allows, each as long as Hard allows, "
                                         "come to the Hard limit and not above it",
}
BUILDS = {"C": (build_c, C_UNSEEN), "Rust": (build_rust, RUST_UNSEEN)}


class SourceReader:
    """The C or the Rust reader, built with a switch for each check; the C reader also without libzstd."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix="lqa-checks-")
        build, self.unseen = BUILDS[name]
        self.commands, self.sites = build(Path(self.folder.name) / name)
        self.has_plain = len(self.commands) > 1

    def open(self, removed: int | None, without_zstd: bool = False, reach: bool = False) -> Reader:
        return Reader(self.commands[without_zstd], removed)

    def lacking(self) -> set[str]:
        reader = self.open(None)
        try:
            return set(reader.ask({"cmd": "caps"})["without"])
        finally:
            reader.close()
