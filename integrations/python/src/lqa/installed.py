"""Which package the module `lqa` belongs to: this one, whose distribution is called `lqa-format`.

A package called `lqa` on PyPI, a learning-rate optimizer, installs a module `lqa` too. In one environment each overwrites files of the
other, and to uninstall one removes files of both. So neither order of installation may go unnoticed: this module is imported first by
`lqa` and by every other module of the package, and refuses.
"""
import sys
from importlib.metadata import distributions
from pathlib import Path

DISTRIBUTION = "lqa-format"


def _refuse_another() -> None:
    folder = Path(__file__).resolve().parent.parent
    others = [each.version for each in distributions(name="lqa", path=[str(folder)])]
    if others or getattr(sys.modules[__package__], "DISTRIBUTION", None) != DISTRIBUTION:
        raise ImportError(
            f'Another package that is called "lqa"{"".join(f" (version {each})" for each in others)} is installed in {folder}, and has '
            "overwritten files of lqa-format, or lqa-format has overwritten its files: both install a module named lqa. "
            "Run pip uninstall lqa lqa-format, then install lqa-format again. To use both packages, give each an environment.")


_refuse_another()
