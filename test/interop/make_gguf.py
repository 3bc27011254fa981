"""Writes GGUF files with the reference package, and says what is in them.

Usage: make_gguf.py DIRECTORY

imatrix.gguf is an importance matrix as llama.cpp's tools/imatrix/imatrix.cpp writes it. types.gguf has a tensor of every
element type and a value of every type. facts.json says what readers must find, and which names stand for which layers.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, MODEL_TENSOR, TENSOR_NAMES
from gguf.tensor_mapping import TensorNameMap

directory = Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(1)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


writer = gguf.GGUFWriter(directory / "imatrix.gguf", "")
# The writer always names an architecture; importance matrices have none, and readers do not care.
writer.add_type("imatrix")
writer.add_array("imatrix.datasets", ["calibration.txt", "naïve.txt"])
writer.add_uint32("imatrix.chunk_count", 12)
writer.add_uint32("imatrix.chunk_size", 512)
moments = {}
for name, experts, channels in [("blk.0.attn_q", 1, 48), ("blk.11.ffn_down", 1, 7), ("blk.3.ffn_up_exps", 4, 16)]:
    sums = (random.random((experts, channels)) * 1000).astype(np.float32)
    counts = random.integers(1, 6144, (experts, 1)).astype(np.float32)
    writer.add_tensor(f"{name}.weight.in_sum2", sums)
    writer.add_tensor(f"{name}.weight.counts", counts)
    writer.add_tensor(f"{name}.weight.in_sum", sums)
    moments[f"{name}.weight"] = (sums.astype(np.float64) / counts).tolist()
finish(writer)

writer = gguf.GGUFWriter(directory / "types.gguf", "llama")
writer.add_custom_alignment(64)
writer.add_uint8("u8", 200)
writer.add_int8("i8", -100)
writer.add_uint16("u16", 60000)
writer.add_int16("i16", -30000)
writer.add_uint32("u32", 4_000_000_000)
writer.add_int32("i32", -2_000_000_000)
writer.add_uint64("u64", 2**64 - 1)
writer.add_int64("i64", -(2**63))
writer.add_float32("f32", 0.5)
writer.add_float64("f64", 0.1)
writer.add_bool("bool", True)
writer.add_array("floats", [0.25, 0.5])
writer.add_array("bools", [True, False])
types = {}
for kind, (weights, size) in GGML_QUANT_SIZES.items():
    data = random.integers(0, 256, (3, size), dtype=np.uint8)
    writer.add_tensor(f"t{kind.value}", data, raw_dtype=kind)
    types[kind.value] = {"name": kind.name, "weights": weights, "bytes": size, "data": data.tobytes().hex()}
finish(writer)

layers = {}
for tensor in MODEL_TENSOR:
    name = TENSOR_NAMES[tensor]
    if name.startswith("blk.{bid}."):
        paths = TensorNameMap.block_mappings_cfg.get(tensor, ())
        layers[name.removeprefix("blk.{bid}.")] = sorted({path.partition("{bid}.")[2] for path in paths})
output = list(TensorNameMap.mappings_cfg[MODEL_TENSOR.OUTPUT])
facts = {"moments": moments, "types": types, "layers": layers, "output": output}
(directory / "facts.json").write_text(json.dumps(facts))
print(f"gguf with {len(types)} element types")
