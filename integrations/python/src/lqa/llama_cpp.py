"""Adapters for llama.cpp, from .lqa files: llama.cpp loads GGUF files by their paths, and gets the path of one in memory."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

from .encoder import IN_MEMORY
from .errors import LqaError
from .file import open_whole
from .gguf_file import GgufType, read_base, write_gguf


def convert(source: str | PathLike[str], base: str | PathLike[str], target: str | PathLike[str], *, dtype: GgufType = "f16",
            timeout: float | None = None) -> None:
    """Writes a GGUF adapter. Needs the package `gguf`.

    Args:
        source: a path, an address, or `hf://owner/name[@revision][/path]`.
        base: the base model's GGUF file, or its `config.json`.
        target: the file to write; it must not exist.
        dtype: `f16`, `f32`, or `q8_0`, in which A takes half the bytes of F16; rows that are no multiple of 32 stay F16.
        timeout: seconds that reading from a server may take.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE for another base model; UNSUPPORTED_DIALECT for what GGUF
            adapters have no place for; SOURCE_RANGE if F16 cannot hold a weight; OUTPUT_EXISTS; MISSING_PACKAGE without `gguf`. Then
            there is no file.
    """
    if os.path.lexists(target):
        raise LqaError("OUTPUT_EXISTS", where=f'"{target}"', advice="Choose another name.")
    file = open_whole(source, timeout=timeout)
    file.verify()
    model = read_base(base)
    try:
        handle, part = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(target)), suffix=".part")
    except OSError as error:
        raise LqaError("IO", where=f'"{target}"', found=error.strerror or str(error)) from error
    os.close(handle)
    try:
        write_gguf(file, model, part, dtype)
        os.replace(part, target)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


@contextmanager
def adapter(source: str | PathLike[str], base: str | PathLike[str], *, dtype: GgufType = "f16", timeout: float | None = None) -> Iterator[str]:
    """A GGUF adapter as a file that exists inside the `with` block: in memory (`/dev/shm`) on Linux, elsewhere a temporary file.

    llama.cpp has the adapter in its own memory once it has loaded it; leave the block then. Each call gives another path, since programs may
    know adapters by their paths.

    Args:
        source, base, dtype, timeout: as of `convert`.

    Yields:
        The path, for `xllamacpp.CommonAdapterLoraInfo(path)`, `llama_cpp.Llama(lora_path=path)` and others.

    Raises:
        LqaError: as `convert`.
    """
    with tempfile.TemporaryDirectory(prefix="lqa-", dir=IN_MEMORY if os.path.isdir(IN_MEMORY) else None) as folder:
        path = os.path.join(folder, "adapter.gguf")
        convert(source, base, path, dtype=dtype, timeout=timeout)
        yield path
