"""The name of the package: no advice installs somebody else's, and the module refuses to be mixed with the other package called lqa."""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib import metadata
from pathlib import Path

import lqa

BY_NAME = re.compile(r"""\b(?:pip3?|pipx|uv|poetry|npm)(?: pip| tool)? (?:install|add|i)\b[^`#;|&\n]*?[\s"'=]lqa(?:-format)?(?:[\s"'`\\\[=@<>~,;)]|\.?$)""")
PACKAGE = Path(lqa.__file__).parent


class Names(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.site = Path(folder.name)

    def run_in(self, code: str, *path: Path) -> str:
        """What Python says of a program, with these folders in front of what it finds packages in."""
        program = f"import sys; sys.path[:0] = {[str(p) for p in path]}\n{code}"
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr

    def copy(self) -> None:
        shutil.copytree(PACKAGE, self.site / "lqa", ignore=shutil.ignore_patterns("command", "__pycache__"))

    def other(self, site: Path) -> None:
        (site / "lqa").mkdir(parents=True, exist_ok=True)
        (site / "lqa" / "__init__.py").write_text("name = 'lqa'\n")

    def register(self, site: Path) -> None:
        (site / "lqa-0.0.4.dist-info").mkdir(parents=True)
        (site / "lqa-0.0.4.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lqa\nVersion: 0.0.4\n")

    def test_of_the_distribution(self) -> None:
        self.assertEqual(metadata.version("lqa-format"), lqa.__version__)

    def test_nothing_installs_another_package(self) -> None:
        texts = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".js", ".json", ".md", ".txt", ".1") and "node_modules" not in p.parts]
        texts += [Path(str(p.locate())) for p in metadata.files("lqa-format") or () if p.name in ("METADATA", "PKG-INFO")]
        self.assertGreater(len(texts), 20)
        for path in texts:
            self.assertEqual([line for line in path.read_text("utf-8").splitlines() if BY_NAME.search(line)], [], path)

    def test_installed_over_the_other_package(self) -> None:
        self.copy()
        self.assertEqual(self.run_in("import lqa; lqa.open", self.site), "")
        self.register(self.site)
        self.assertRegex(self.run_in("import lqa", self.site), r"ImportError: Another package .*\(version 0\.0\.4\).*pip uninstall lqa lqa-format")

    def test_overwritten_by_the_other_package(self) -> None:
        self.copy()
        self.other(self.site)
        for registered in (False, True):
            if registered:
                self.register(self.site)
            for module in ("node", "vllm", "peft", "errors"):
                self.assertIn("ImportError: Another package", self.run_in(f"import lqa.{module}", self.site), module)

    def test_the_other_package_elsewhere_is_no_reason(self) -> None:
        self.copy()
        elsewhere = self.site / "elsewhere"
        self.other(elsewhere)
        self.register(elsewhere)
        self.assertEqual(self.run_in("import lqa; lqa.open", self.site, elsewhere), "")


if __name__ == "__main__":
    unittest.main()
