"""Loads safetensors files that LQA wrote with the reference library.

Usage: check_safetensors.py PATH...

A directory stands for the safetensors files in it. Each file must load, and writing the same tensors with the library
must give the same bytes. Where X.json lies beside X.safetensors (make_safetensors.mjs writes such pairs), it says what
the file holds, {"metadata": {...} or null, "tensors": [{"name", "dtype", "shape", "hex"}]}, and that must be what the
library loads. Prints the counts and exits with 1 if anything failed.
"""

import json
import sys
from pathlib import Path

import numpy as np
import safetensors

NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


def differences(path):
    """What differs, in words."""
    raw = path.read_bytes()
    try:
        loaded = {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in safetensors.deserialize(raw)}
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata()
    except safetensors.SafetensorError as error:
        return [f"the library refuses it: {error}"]
    found = []
    twin_path = path.with_suffix(".json")
    if twin_path.exists():
        twin = json.loads(twin_path.read_text())
        expected = {t["name"]: (t["dtype"], t["shape"], bytes.fromhex(t["hex"])) for t in twin["tensors"]}
        if loaded != expected:
            found.append("tensors differ from the twin")
        if metadata != twin["metadata"]:
            found.append(f"metadata is {metadata}")
    # The library takes addresses: the arrays must live until it is done.
    arrays = {name: np.frombuffer(data, np.uint8) for name, (_, _, data) in loaded.items()}
    tensors = {
        name: safetensors.TensorSpec(
            dtype=NAMES[dtype], shape=shape, data_ptr=arrays[name].ctypes.data, data_len=arrays[name].nbytes
        )
        for name, (dtype, shape, _) in loaded.items()
    }
    if bytes(safetensors.serialize(tensors, metadata)) != raw:
        found.append("the library writes other bytes")
    return found


def main():
    paths = []
    for argument in map(Path, sys.argv[1:]):
        paths += sorted(argument.glob("*.safetensors")) if argument.is_dir() else [argument]
    failed = 0
    for path in paths:
        found = differences(path)
        failed += bool(found)
        if found:
            print(f"FAILED {path}: {'; '.join(found)}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()
