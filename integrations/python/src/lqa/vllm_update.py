"""Updates of an adapter in a vLLM that runs, without a file: for a trainer that holds the engine.

    llm = vllm.LLM(..., enable_lora=True, worker_extension_cls="lqa.vllm_update.Updates")
    request = lqa.vllm_update.update(llm, "policy", 1, data)
    llm.generate(prompts, lora_request=request)

The bytes go to each worker by vLLM's `collective_rpc`, which a worker carries out between two steps of the model. A worker opens,
verifies and decodes the update before it changes anything; then it replaces the adapter and drops the old one.
"""
from __future__ import annotations

from typing import Any

from .errors import LqaError
from .file import open_whole as open_file
from .updates import log_update, next_file
from .vllm import unknown


def update(engine: Any, name: str, number: int, data: bytes) -> Any:
    """Gives an engine the next version of an adapter: a whole file, or a child of the one that it has.

    Args:
        engine: a `vllm.LLM` with `worker_extension_cls="lqa.vllm_update.Updates"`.
        name: of the adapter.
        number: its `lora_int_id`, which no other adapter has.
        data: the bytes of an `.lqa` file.

    Returns:
        The LoRARequest for requests from now on. Its path names the file, so that vLLM's cache of prefixes does not mix versions.
        Requests with an earlier one fail once vLLM has dropped their adapter.

    Raises:
        LqaError: what `lqa.updates.next_file` and loading the file refuse, if the workers run in this process; else vLLM's error with its
            text. The engine then serves the adapter that it has.
    """
    from vllm.lora.request import LoRARequest

    path = f"{name}.lqa#{open_file(data).file_id}"
    engine.collective_rpc("lqa_update", args=(name, number, path, data))
    return LoRARequest(name, number, path)


class Updates:
    """What a worker of vLLM gets: see `update`."""

    def lqa_update(self, name: str, number: int, path: str, data: bytes) -> int:
        """Replaces an adapter, or adds the first. Returns the number of modules that changed.

        Raises:
            LqaError: as `update`.
        """
        if differences := unknown():
            raise LqaError("MISSING_PACKAGE", where="vLLM", summary="The plugin does not know how this vLLM loads adapters.",
                           found="; ".join(differences), advice="Decode the adapter to a directory: lqa decode --portable.")
        from vllm.lora.request import LoRARequest

        from .vllm_lora import PackedWorkerLoRAManager, pack

        manager = self.model_runner.lora_manager  # type: ignore[attr-defined]
        if not isinstance(manager, PackedWorkerLoRAManager):
            pack(manager)
        file = next_file(manager.in_use(number), data)
        adapter = manager.adapter_of(file)
        manager.replace((number, path), adapter)
        manager._adapter_manager.remove_adapter(number)
        manager.add_adapter(LoRARequest(name, number, path))
        return log_update(name, file)
