"""A plugin of vLLM: `.lqa` files where vLLM takes the directory of an adapter. Adapters stay packed in memory.

vLLM calls `register` in each of its processes, by the entry point `vllm.general_plugins`. From then on `--lora-modules name=fr.lqa`,
`/v1/load_lora_adapter` and `LoRARequest` take a path or an `http(s)://` address that ends with `.lqa`, and may have `#` and the file's
id behind it, which the file must then have. If LQA_VLLM_ADAPTERS is a directory or an address, a request for an unknown model `name` is
answered with the adapter `name.lqa` there, if vLLM allows that (VLLM_ALLOW_RUNTIME_LORA_UPDATING).

vLLM 0.32 has no seam for adapters that are not directories, so one name of one of its modules gets a subclass of the class that it had
(`lqa.vllm_lora`). `register` first compares what the subclass uses with what it was written for; if that differs, it changes nothing
and logs what differs.
"""
from __future__ import annotations

import importlib
import inspect
import logging
import os
import re
from typing import Any
from urllib.parse import urlsplit

from .source import is_address

DIRECTORY = "LQA_VLLM_ADAPTERS"
WRITTEN_FOR = "0.32"
# What lqa.vllm_lora overrides and calls: the parameters of each.
USED = {
    "vllm.lora.worker_manager:LRUCacheWorkerLoRAManager._load_adapter": "self, lora_request",
    "vllm.lora.worker_manager:LRUCacheWorkerLoRAManager._apply_adapters": "self, lora_requests",
    "vllm.lora.worker_manager:LRUCacheWorkerLoRAManager.create_lora_manager": "self, model, vllm_config",
    "vllm.lora.model_manager:LRUCacheLoRAModelManager.activate_adapter": "self, lora_id",
    "vllm.lora.model_manager:LRUCacheLoRAModelManager._create_merged_loras_inplace": "self, lora_model",
    "vllm.lora.lora_model:LoRAModel": "lora_model_id, rank, loras, is_3d_lora_weight, modules_to_save",
    "vllm.lora.lora_weights:LoRALayerWeights": "module_name, rank, lora_alpha, lora_a, lora_b, scaling",
    "vllm.lora.peft_helper:PEFTHelper.from_dict": "config_dict",
    "vllm.lora.peft_helper:PEFTHelper.validate_legal": "self, lora_config",
    "vllm.lora.utils:parse_fine_tuned_lora_name": "name, weights_mapper",
    "vllm.exceptions:LoRAAdapterNotFoundError": "lora_name, lora_path",
}
# The module that makes the manager of adapters, and the class of it that becomes ours.
MAKER, CLASS = "vllm.v1.worker.lora_model_runner_mixin", "LRUCacheWorkerLoRAManager"

logger = logging.getLogger("vllm.lqa")


def register() -> None:
    """Called by vLLM. Makes it take `.lqa` files; logs an error, and changes nothing, if this vLLM is not one that it knows."""
    differences = unknown()
    if differences:
        import vllm

        logger.error("lqa: .lqa adapters are not served: the plugin was written for vLLM %s, and vLLM %s differs: %s. Install the lqa for "
                     "this vLLM, or decode the adapters to directories (lqa decode --portable).", WRITTEN_FOR, vllm.__version__,
                     "; ".join(differences))
        return
    from .vllm_lora import PackedWorkerLoRAManager

    setattr(importlib.import_module(MAKER), CLASS, PackedWorkerLoRAManager)
    place = os.environ.get(DIRECTORY)
    if place:
        from vllm.lora.resolver import LoRAResolverRegistry

        from .vllm_resolver import LqaResolver

        if "lqa" not in LoRAResolverRegistry.get_supported_resolvers():
            LoRAResolverRegistry.register_resolver("lqa", LqaResolver(place))


def unknown(used: dict[str, str] = USED) -> list[str]:
    """What of vLLM is not as the plugin knows it, in words; empty if all is."""
    found = []
    for name, expected in used.items():
        try:
            thing = lookup(name)
            parameters = ", ".join(inspect.signature(thing).parameters)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            found.append(f"{name} is absent ({error})")
            continue
        if parameters != expected:
            found.append(f"{name} takes ({parameters}), not ({expected})")
    if not found:
        known = lookup(f"vllm.lora.worker_manager:{CLASS}")
        made = getattr(importlib.import_module(MAKER), CLASS, None)
        if made is None or not issubclass(made, known):
            found.append(f"{MAKER} does not make {CLASS}")
    return found


def lookup(name: str) -> Any:
    module, _, path = name.partition(":")
    thing = importlib.import_module(module)
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def split_path(lora_path: str) -> tuple[str, str | None] | None:
    """The source and the expected file id of a path that means an `.lqa` file; None of every other path."""
    source, _, pin = lora_path.partition("#") if re.search(r"#[0-9A-Fa-f]{64}$", lora_path) else (lora_path, "", "")
    address = is_address(source)
    path = urlsplit(source).path if address else source
    return (source, pin or None) if path.lower().endswith(".lqa") else None
