"""Finds the adapter of a model name that vLLM does not know: `name.lqa` in a directory or below an address."""
from __future__ import annotations

import asyncio
import os
import re
from urllib.parse import quote

from vllm.lora.request import LoRARequest
from vllm.lora.resolver import LoRAResolver

from .errors import LqaError
from .file import open_whole as open_file
from .source import is_address

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.@-]*)*")
TIMEOUT_SECONDS = 60.0


class LqaResolver(LoRAResolver):
    """Answers with the path of the file and its id, so that every worker, at every time, serves the file that was found."""

    def __init__(self, place: str) -> None:
        """
        Args:
            place: a directory, or an `http(s)://` address.

        Raises:
            LqaError: NOT_FOUND, if there is no such directory.
        """
        self.address = is_address(place)
        self.place = place.rstrip("/") if self.address else os.path.realpath(place)
        if not self.address and not os.path.isdir(self.place):
            raise LqaError("NOT_FOUND", where=f'"{place}"', found=f"{'this is no directory' if os.path.exists(place) else 'no such directory'}",
                           advice="Set LQA_VLLM_ADAPTERS to a directory or an address.")

    def source(self, lora_name: str) -> str | None:
        """Where the adapter of a name is; None of a name that none can have. Links must not lead out of the directory."""
        if len(lora_name) > 200 or not NAME.fullmatch(lora_name):
            return None
        if self.address:
            return f"{self.place}/{quote(lora_name)}.lqa"
        path = os.path.realpath(os.path.join(self.place, f"{lora_name}.lqa"))
        return path if path.startswith(os.path.join(self.place, "")) and path.lower().endswith(".lqa") and os.path.isfile(path) else None

    async def resolve_lora(self, base_model_name: str, lora_name: str) -> LoRARequest | None:
        source = self.source(lora_name)
        if source is None:
            return None
        try:
            file = await asyncio.to_thread(open_file, source, timeout=TIMEOUT_SECONDS)
            pin = await asyncio.to_thread(lambda: file.file_id)
        except LqaError as error:
            if error.kind == "NOT_FOUND":
                return None
            # The worker finds the same fault, and vLLM then says that the adapter cannot be loaded.
            return LoRARequest(lora_name, 1, source)
        return LoRARequest(lora_name, 1, f"{source}#{pin}")
