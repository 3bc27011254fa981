"""Peers of the decoder on the same weights, one thread: what others make of an adapter per second, beside memcpy.

    python bench/peers.py WEIGHTS.safetensors [--ggml LIBGGML_BASE_SO]

WEIGHTS are the decoded factors of the 7B-shaped adapter in F16 (bench/decode-runtimes.mjs writes them). Needs numpy, safetensors
and gguf in the versions of test/interop/requirements.txt; llama.cpp's own dequantizers are those of the prebuilt library in
the npm package @node-llama-cpp/linux-x64. As in bench/decode.mjs, 4 MiB of output are timed at a time, each time is the
least of many, and where an array is given it is one of 64 MiB that was used before, or, for `hot`, 256 KiB of it again
and again. Prints JSON.
"""
import argparse
import ctypes
import json
import time
import zlib

import gguf
import numpy
import safetensors
import safetensors.numpy

BYTES = 2**26
PIECE = 2**22
HOT = 2**18


def least(run, pieces, rounds=8):
    best = float("inf")
    for _ in range(rounds):
        for piece in range(pieces):
            begun = time.perf_counter()
            run(piece)
            best = min(best, time.perf_counter() - begun)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--ggml")
    args = parser.parse_args()
    rows = []

    def add(name, output, seconds, note, size=PIECE):
        rows.append({"name": name, "output": output, "gbPerSecond": size / seconds / 1e9, "note": note})

    source = numpy.ones(BYTES, numpy.uint8)
    target = numpy.full(BYTES, 2, numpy.uint8)
    wide = target.view(numpy.float32)
    cut = lambda array, piece, size: array[piece * size : (piece + 1) * size]
    memcpy = least(lambda i: numpy.copyto(cut(target, i, PIECE), cut(source, i, PIECE)), BYTES // PIECE)

    # safetensors: the whole file into new arrays, and the conversion alone into an old one.
    tensors = safetensors.numpy.load_file(args.weights)
    bytes_out = 4 * sum(tensor.size for tensor in tensors.values())
    load = lambda _: [t.astype(numpy.float32) for t in safetensors.numpy.load_file(args.weights).values()]
    add("safetensors: load f16, convert", "f32", least(load, 1, 5), "new arrays, whole file", bytes_out)
    values = numpy.concatenate([t.reshape(-1) for t in tensors.values()])[: BYTES // 4]
    count = PIECE // 4
    convert = lambda i: numpy.copyto(cut(wide, i, count), cut(values, i, count))
    add("numpy: convert f16", "f32", least(convert, BYTES // PIECE), "into 64 MiB used before")

    packed = zlib.compress(values[: 2**21].tobytes(), 6)
    add("zlib: inflate f16", "f16", least(lambda _: zlib.decompress(packed), 1), "new arrays", PIECE)

    # One piece of weights in llama.cpp's formats.
    floats = values[:count].astype(numpy.float32)
    floats = numpy.where(numpy.isfinite(floats), floats, 0).astype(numpy.float32)
    ggml = ctypes.CDLL(args.ggml) if args.ggml else None
    for name in ["Q8_0", "Q4_0", "Q4_K", "Q3_K", "Q2_K", "TQ2_0", "IQ2_XXS", "IQ1_S"]:
        kind = gguf.GGMLQuantizationType[name]
        if ggml is None:
            break
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = numpy.zeros(count // block * size, numpy.uint8)
        importance = numpy.ones(4096, numpy.float32)
        pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
        ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
        ggml.ggml_quantize_chunk(
            ctypes.c_int(kind.value), pointer(floats), pointer(data), ctypes.c_int64(0),
            ctypes.c_int64(count // 4096), ctypes.c_int64(4096), pointer(importance),
        )
        dequantize = getattr(ggml, "dequantize_row_" + name.lower().replace("_k", "_K"))
        dequantize.restype = None

        def native(piece, at=0, weights=count):
            begin = data.ctypes.data
            dequantize(ctypes.c_void_p(begin), ctypes.c_void_p(wide.ctypes.data + at), ctypes.c_int64(weights))

        add(f"llama.cpp {name}", "f32", least(lambda i: native(i, i * PIECE), BYTES // PIECE), "into 64 MiB used before")
        # Both decode what was encoded: compared, so that no time is of something else.
        native(0)
        mine = wide[:count].copy()
        theirs = gguf.quants.dequantize(data.reshape(-1, 4096 // block * size), kind).reshape(-1)
        if not numpy.allclose(mine, theirs, rtol=1e-3, atol=1e-6):
            raise SystemExit(f"{name}: llama.cpp and gguf do not agree")
        part = HOT // 4

        def hot(_):
            for _ in range(PIECE // HOT):
                native(0, 0, part)

        add(f"llama.cpp {name}", "f32", least(hot, 1, 40), "hot: 256 KiB again and again")
        shape = data.reshape(-1, 4096 // block * size)
        add(f"gguf (Python) {name}", "f32", least(lambda _: gguf.quants.dequantize(shape, kind), 1, 5), "new arrays")

    for row in rows:
        row["ratio"] = row["gbPerSecond"] / (PIECE / memcpy / 1e9)
    versions = {"numpy": numpy.__version__, "safetensors": safetensors.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION}
    print(json.dumps({"memcpy": PIECE / memcpy / 1e9, "versions": versions, "rows": rows}, indent=2))


main()
