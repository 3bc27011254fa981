"""Makes the tables and the picture of the raw results: python tables.py [--check]

`tables.md` has every figure; the first table of `docs/results.md` and the one of the goals, the first table of `docs/comparison.md` and the
picture `docs/images/answers.svg` are made of the same lines. With LQA_MODELS_OUTPUT only `tables.md` is made, in that folder.
"""

import argparse
import json
import sys

import goals
import picture
import place
import summary
from summary import Answers, Summary

from lqa.scores import Estimate

HEAD = "| encoding | bytes | bits per weight | KL(adapter ‖ it) | KL(it ‖ adapter) | top 1 | top 5 | gain kept | right answers | of them kept |"
PAGE, COMPARISON = place.ROOT / "docs" / "results.md", place.ROOT / "docs" / "comparison.md"
PICTURE = place.ROOT / "docs" / "images" / "answers.svg"
# Of the first table: what people would choose between.
SHOWN = ("lqa 0.5", "lqa 0.5 calibrated", "lqa 0.5 tuned", "lqa 1.0", "lqa 1.0 calibrated", "lqa 1.5", "lqa 2.5", "lqa 4.0", "loraquant 2@0.9", "loraquant 3@0.9",
         "rtn 2", "rtn 3", "nf4", "q4_0", "fp8", "int8", "q8_0")  # fmt: skip

SAID = {"gemma3-270m": "Gemma", "qwen2.5-coder-0.5b": "Qwen 0.5B", "qwen2.5-coder-1.5b": "Qwen 1.5B"}

# The table of docs/comparison.md: encoding, how a user writes it, what loads it.
FORMATS_OF = "gemma3-270m-people-r8-qv-s0"
FORMATS = (
    ("lqa 0.5", "**`.lqa`, `--bits 0.5`**", "this library; PEFT, transformers, diffusers, vLLM with our Python package; ComfyUI with our nodes"),
    ("lqa 0.5 calibrated", "**`.lqa`, `--bits 0.5` calibrated**", "the same"),
    ("lqa 1.0", "**`.lqa`, `--bits 1`**", "the same"),
    ("loraquant 3@0.9", "LoRAQuant 3@0.9", "its authors' code"),
    ("lqa 1.5", "**`.lqa`, default**", "as above"),
    ("lqa 2.5", "**`.lqa`, `--quality high`**", "as above"),
    ("lqa 4.0", "**`.lqa`, `--quality near-lossless`**", "as above"),
    ("nf4", "NF4", "code of your own with bitsandbytes, which quantizes base models"),
    ("fp8", "FP8 (E4M3) safetensors", "vLLM, TensorRT-LLM"),
    ("int8", "int8 safetensors", "none known: ExecuTorch reads floats and rounds them when it exports"),
    ("q4_0", "Q4_0 GGUF", "llama.cpp. B stays F16: its rows are shorter than a block"),
    ("q8_0", "Q8_0 GGUF", "llama.cpp"),
)


def nats(one: Estimate | None) -> str:
    return "–" if one is None else f"{one.value:.3g} ({one.low:.3g}–{one.high:.3g})"


def share(one: Estimate | None) -> str:
    return "–" if one is None else f"{100 * one.value:.1f} % ({100 * one.low:.1f}–{100 * one.high:.1f})"


def right(answers: Answers | None) -> str:
    return "–" if answers is None else f"{answers.right} of {answers.count}"


def table(found: Summary) -> list[str]:
    """Every figure of an adapter."""
    base = found.base
    said = f" Greedy answers right: {base.right} of {base.count} without the adapter, {base.reference} with it." if base else ""
    scored = f"{found.items} held-out items, {found.tokens} tokens. Loss without the adapter {found.loss[0]:.4f}, with it {found.loss[1]:.4f} nats a token."
    rows = [f"## {found.name}", "", (scored if found.items else "") + said, "", HEAD, f"|---|{'--:|' * 9}"]
    for row in found.rows:
        figures = row.figures or {}
        cells = [nats(figures.get("kl")), nats(figures.get("reverseKl")), *(share(figures.get(key)) for key in ("top1", "top5", "gainKept"))]
        kept = row.answers.kept if row.answers else None
        rows.append(f"| {' | '.join([row.encoding, f'{row.size:,}', f'{row.bits:.2f}', *cells, right(row.answers), share(kept)])} |")
    return [*rows, ""]


def label(name: str) -> str:
    """The name of an adapter as the pages say it."""
    for base, said in SAID.items():
        name = name.replace(base, said)
    return name.replace("-", " ")


def first(found: list[Summary]) -> list[str]:
    """The table of the first screen: for each adapter the divergence, and in brackets the right answers kept."""
    rows = [f"| encoding | bits | {' | '.join(label(one.name) for one in found)} |", f"|---|{'--:|' * (1 + len(found))}"]
    for encoding in SHOWN:
        cells, bits = [], []
        for one in found:
            row = one.row(encoding)
            bits += [f"{row.bits:.2f}"] if row else []
            kept = row.answers.kept if row and row.answers else None
            kl = row.figures["kl"] if row and row.figures else None
            cells.append((plain(kl.value) if kl else "–") + (f" ({100 * kept.value:.0f} %)" if kept else ""))
        if bits:
            least, most = min(bits, key=float), max(bits, key=float)
            rows.append(f"| {encoding} | {least if least == most else f'{least} to {most}'} | {' | '.join(cells)} |")
    return rows


def loading() -> list[str]:
    """How long the formats take to load (`load.py`); nothing without its result."""
    path = place.RESULTS / "load.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    said = f"{found['adapter']}, {found['weights']:,} weights: CPU time of one thread from a file in the cache of the system to bfloat16 tensors."
    note = f"GGUF: to blocks as they are. {found['date']}, {found['machine']}, torch {found['torch']}."
    rows = [f"| {one} | {line['bytes']:,} | {line['ms']:.0f} |" for one, line in found["encodings"].items()]
    return ["## Loading", "", f"{said} {note}", "", "| encoding | bytes | ms |", "|---|--:|--:|", *rows, ""]


def plain(value: float) -> str:
    """Two digits, without an exponent."""
    return f"{float(f'{value:.2g}'):.10f}".rstrip("0")


def formats(found: list[Summary]) -> list[str]:
    """The table of the comparison: the adapter of FORMATS_OF, and how long the formats take to load."""
    one = next(each for each in found if each.name == FORMATS_OF)
    loads = json.loads((place.RESULTS / "load.json").read_text(encoding="utf-8"))["encodings"]
    rows = ["| format | bytes | bits per weight | right answers kept | KL to the adapter in bfloat16 | ms to load | loads it as it is |",
            f"|---|{'--:|' * 5}---|"]  # fmt: skip
    for encoding, label, by in FORMATS:
        row = one.row(encoding)
        ms = loads.get(encoding.removesuffix(" calibrated"))
        cells = [f"{row.size:,}", f"{row.bits:.2f}", f"{100 * row.answers.kept.value:.0f} %", plain(row.figures["kl"].value), f"{ms['ms']:.0f}" if ms else "–"]
        rows.append(f"| {' | '.join([label, *cells, by])} |")
    return rows


def made(found: list[Summary]) -> str:
    """All tables, as Markdown."""
    parts = [
        "# Encodings of adapters of real models",
        "",
        "Generated by `tables.py` from `results/`; not edited. KL in nats per token, agreement for each token, in brackets 95 % intervals.",
        "",
    ]
    return "\n".join([*parts, *(line for one in found for line in table(one)), *loading()])


def page(text: str, tables: dict[str, list[str]]) -> str:
    """A page with its tables replaced, each between its two marks."""
    for name, rows in tables.items():
        before, rest = text.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"\n<!-- /{name} -->")
        text = "\n".join([f"{before}<!-- {name} -->", "", *rows, "", f"<!-- /{name} -->{after}"])
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the tables and the picture of the raw results.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is not that of results/")
    args = parser.parse_args()
    found = [summary.load(name) for name in summary.names()]
    files = {place.TABLES: made(found)}
    if place.OUTPUT == place.HERE:
        pages = {PAGE: {"first": first(found), "goals": goals.table(found)}, COMPARISON: {"formats": formats(found)}}
        files |= {path: page(path.read_text(encoding="utf-8"), tables) for path, tables in pages.items()}
        files[PICTURE] = picture.svg(found)
    wrong = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if args.check:
        print("".join(f"{path} is not that of results/; run tables.py\n" for path in wrong), end="")
        sys.exit(int(bool(wrong)))
    for path in wrong:
        with place.whole(path) as partial:
            partial.write_text(files[path], encoding="utf-8")


if __name__ == "__main__":
    place.main(main)
