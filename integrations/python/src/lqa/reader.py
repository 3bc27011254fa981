"""The reader that checks files: `lqa_reader` of the conformance suite, in the wheel beside this file, in a clone of the
repository where it is kept."""
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
PLACES = (HERE, HERE.parents[3] / "conformance" / "readers" / "python")


def _load() -> ModuleType:
    path = next((p / "lqa_reader.py" for p in PLACES if (p / "lqa_reader.py").is_file()), None)
    if path is None:
        raise ImportError("lqa_reader.py is not there: install the package with pip, or use a whole clone of the repository")
    spec = importlib.util.spec_from_file_location("lqa._lqa_reader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


lqa_reader = _load()
LqaError = lqa_reader.LqaError
