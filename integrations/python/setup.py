"""Puts the reader of the conformance suite, and what it needs, into the wheel: this repository has one copy of it."""
from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
SHARED = ("conformance/readers/python/lqa_reader.py", "spec/text-dictionary.txt", "spec/trellis-tables.json")


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        for path in SHARED:
            copyfile(HERE.parents[1] / path, Path(self.build_lib) / "lqa" / Path(path).name)


setup(cmdclass={"build_py": BuildPy})
