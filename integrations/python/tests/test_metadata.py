"""What the page on PyPI shows: the README, with links that work there."""
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import REPOSITORY

PACKAGE = REPOSITORY / "integrations" / "python"
ADDRESS = "https://github.com/owner/name"


@unittest.skipIf(importlib.util.find_spec("setuptools") is None, "needs setuptools")
class Description(unittest.TestCase):
    def described(self, address: str) -> str:
        """The description that setup.py makes in an unpacked source distribution of a repository with this address."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in ("setup.py", "build_core.py", "pyproject.toml", "README.md"):
                shutil.copy(PACKAGE / file, folder)
            (folder / "gathered").mkdir()
            (folder / "gathered" / "repository").write_text(address)
            program = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "--long-description"]
            return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True).stdout

    def test_links_are_absolute(self) -> None:
        text = self.described(ADDRESS)
        links = re.findall(r"\]\(([^)]+)\)", text)
        self.assertGreater(len(links), 5)
        for link in links:
            self.assertRegex(link, r"^https://")
            if link.startswith(ADDRESS):
                path = link.removeprefix(f"{ADDRESS}/blob/main/").split("#")[0]
                self.assertTrue((REPOSITORY / path).exists(), link)
        self.assertIn(f"]({ADDRESS}/blob/main/integrations/vllm)", text)

    def test_without_an_address_it_is_the_readme(self) -> None:
        self.assertEqual(self.described("").strip(), (PACKAGE / "README.md").read_text().strip())


if __name__ == "__main__":
    unittest.main()
