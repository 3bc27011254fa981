"""Adapters for llama.cpp, from .lqa files: llama.cpp loads GGUF files by their paths, and gets the path of one in memory."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

from .encoder import IN_MEMORY, place_of
from .node import run


@contextmanager
def adapter(source: str | PathLike[str], base: str | PathLike[str], *, timeout: float | None = None) -> Iterator[str]:
    """A GGUF adapter as a file that exists inside the `with` block: in memory (`/dev/shm`) on Linux, elsewhere a temporary file.

    llama.cpp has the adapter in its own memory once it has loaded it; leave the block then. Each call gives another path, since programs may
    know adapters by their paths. Needs the encoder and Node (extra `encode`).

    Args:
        source: a path, an address, or `hf://owner/name[@revision][/path]`.
        base: the base model's GGUF file, or its `config.json`; a place of the same kinds.
        timeout: seconds the conversion may take.

    Yields:
        The path, for `xllamacpp.CommonAdapterLoraInfo(path)`, `llama_cpp.Llama(lora_path=path)` and others.

    Raises:
        LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE for another base model; UNSUPPORTED_DIALECT for what GGUF
            adapters have no place for; MISSING_PACKAGE without Node; ABORTED after `timeout`.
    """
    with tempfile.TemporaryDirectory(prefix="lqa-", dir=IN_MEMORY if os.path.isdir(IN_MEMORY) else None) as folder:
        path = os.path.join(folder, "adapter.gguf")
        run("decode", place_of(source), f"--output={path}", "--to=gguf", f"--base={place_of(base)}",
            timeout=timeout)
        yield path
