"""Loads an .onnx_adapter with ONNX Runtime's own loader: load_adapter.py FOLDER ADAPTER (made by check.mjs)."""
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

folder, name = Path(sys.argv[1]), sys.argv[2]
x = np.fromfile(folder / "x.bin", "<f4").reshape(5, 24)
adapter = ort.LoraAdapter()
adapter.Load(str(folder / name))
options = ort.RunOptions()
options.add_active_adapter(adapter)
session = ort.InferenceSession(str(folder / "model.onnx"))
merged = ort.InferenceSession(str(folder / "merged.onnx")).run(None, {"x": x})[0]
adapted = session.run(None, {"x": x}, options)[0]
base = session.run(None, {"x": x})[0]
far = float(np.abs(adapted - merged).max())
print(f"ONNX Runtime {ort.__version__} with LoraAdapter, and merged weights: largest difference {far:.2e}")
assert far < 1e-3 and np.abs(adapted - base).max() > 1
