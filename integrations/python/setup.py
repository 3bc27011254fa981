"""Gathers what the package takes from the rest of the repository, then builds it.

- `gathered/native/`: the C library, which setuptools compiles;
- `gathered/data/`: the catalogue of errors;
- `gathered/repository`: the address of the repository, from `package.json`, if it has one;
- `gathered/command/`: the command line in JavaScript, with the packages it needs, if `npm ci && npm run build` was run. Without
  it everything except `lqa.encode` and the command works, and those say how to get it.

A source distribution contains all of them, so that it builds without the repository.
"""
import json
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # cffi runs build_core.py by its path, which setuptools resolves here
REPOSITORY = HERE.parents[1]
GATHERED = HERE / "gathered"
COMMAND = GATHERED / "command"
# Parts of dist/ and of spec/ that programs read; declarations are for compilers.
SKIP = shutil.ignore_patterns("*.d.ts", "*.d.mts", "*.d.cts", "*.map", "*.ts", "*.md", "umd", "src", "mjs", "dist.es5+umd")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)


def gather_command() -> None:
    shutil.rmtree(COMMAND, ignore_errors=True)
    COMMAND.mkdir(parents=True)
    package = json.loads((REPOSITORY / "package.json").read_text())
    modules = REPOSITORY / "node_modules"
    if not (REPOSITORY / "dist" / "cli" / "main.js").is_file() or not all((modules / n).is_dir() for n in package["dependencies"]):
        print("lqa: built without the encoder and the lqa command; for them run npm ci && npm run build first", file=sys.stderr)
        return
    shutil.copytree(REPOSITORY / "dist", COMMAND / "dist", ignore=SKIP)
    for path in (REPOSITORY / "spec").glob("*"):
        if path.suffix in (".json", ".md", ".txt") or path.name == "example.lqa":
            copy(path, COMMAND / "spec" / path.name)
    kept = ("name", "version", "license", "type", "dependencies")
    (COMMAND / "package.json").write_text(json.dumps({key: package[key] for key in kept}, indent=2))
    for name in package["dependencies"]:
        shutil.copytree(modules / name, COMMAND / "node_modules" / name, ignore=SKIP)


def gather() -> None:
    if not (HERE.parent / "c" / "lqa.h").is_file():
        return  # an unpacked source distribution, which has everything
    for path in (*(HERE.parent / "c").glob("*.c"), *(HERE.parent / "c").glob("*.h")):
        copy(path, GATHERED / "native" / path.name)
    copy(REPOSITORY / "spec" / "errors.json", GATHERED / "data" / "errors.json")
    for name in ("LICENSE", "THIRD-PARTY-NOTICES.txt"):
        copy(REPOSITORY / name, GATHERED / name)
    address = json.loads((REPOSITORY / "package.json").read_text()).get("repository", {}).get("url", "")
    (GATHERED / "repository").write_text(address.removeprefix("git+").removesuffix(".git"))
    gather_command()


def addresses() -> dict[str, str]:
    """Links of the package's page on PyPI."""
    repository = (GATHERED / "repository").read_text()
    if not repository:
        return {}
    return {"Source": repository, "Changes": f"{repository}/blob/main/CHANGELOG.md", "Issues": f"{repository}/issues"}


def description() -> str:
    """The README, with links that work on the package's page on PyPI."""
    repository = (GATHERED / "repository").read_text()
    text = (HERE / "README.md").read_text(encoding="utf-8")
    if not repository:
        return text
    return re.sub(r"\]\((\.\.?/[^)]+)\)",
                  lambda link: f"]({repository}/blob/main/{posixpath.normpath('integrations/python/' + link[1])})", text)


class BuildExt(build_ext):
    def build_extension(self, extension) -> None:
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args = ["/O2"]
        super().build_extension(extension)


os.chdir(HERE)
gather()
setup(cffi_modules=["build_core.py:ffi"], cmdclass={"build_ext": BuildExt}, project_urls=addresses(),
      long_description=description(), long_description_content_type="text/markdown",
      options={"bdist_wheel": {"py_limited_api": "cp311"}})
