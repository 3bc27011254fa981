"""A plugin of vLLM: `.lqa` files where vLLM takes the directory of an adapter. Adapters stay packed in memory.

vLLM calls `register` in each of its processes, by the entry point `vllm.general_plugins`. From then on `--lora-modules name=fr.lqa`,
`/v1/load_lora_adapter` and `LoRARequest` take a path or an `http(s)://` address that ends with `.lqa`, a directory with
`adapter_model.lqa`, or `hf://owner/name[@revision][/path]`. Each may have `#` and the file's id behind it, which the file must then have.
If LQA_VLLM_ADAPTERS is a directory or an address, a request for an unknown model `name` is answered with the adapter `name.lqa` there, if
vLLM allows that (VLLM_ALLOW_RUNTIME_LORA_UPDATING).

vLLM has no seam for adapters that are not directories, so `register` puts a function in front of the one method that loads an adapter.
It gives everything that is no `.lqa` file to vLLM's own. Only at the first `.lqa` file does the manager of that worker change
(`lqa.vllm_lora`), after a look at what the change uses; if this vLLM lacks some of it, loading that file fails and says so.
"""
from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import re
from collections.abc import Callable
from typing import Any

from .errors import LqaError
from .source import is_lqa

DIRECTORY = "LQA_VLLM_ADAPTERS"
MANAGER = "vllm.lora.worker_manager:LRUCacheWorkerLoRAManager"
# What lqa.vllm_lora overrides and calls, and the arguments that it gives or gets, in this order; there may be optional ones behind them.
USED = {
    f"{MANAGER}._load_adapter": ("self", "lora_request"),
    f"{MANAGER}._apply_adapters": ("self", "lora_requests"),
    "vllm.lora.model_manager:LRUCacheLoRAModelManager.activate_adapter": ("self", "lora_id"),
    "vllm.lora.model_manager:LRUCacheLoRAModelManager._create_merged_loras_inplace": ("self", "lora_model"),
    "vllm.lora.lora_model:LoRAModel": ("lora_model_id", "rank", "loras"),
    "vllm.lora.lora_weights:LoRALayerWeights": ("module_name", "rank", "lora_alpha", "lora_a", "lora_b", "scaling"),
    "vllm.lora.peft_helper:PEFTHelper.from_dict": ("config_dict",),
    "vllm.lora.peft_helper:PEFTHelper.validate_legal": ("self", "lora_config"),
    "vllm.lora.utils:parse_fine_tuned_lora_name": ("name", "weights_mapper"),
    "vllm.exceptions:LoRAAdapterNotFoundError": ("lora_name", "lora_path"),
}

logger = logging.getLogger("vllm.lqa")


def register() -> None:
    """Called by vLLM. Makes it take `.lqa` files; logs an error if this vLLM loads adapters in another way."""
    try:
        manager = lookup(MANAGER)
        there = manager._load_adapter
    except (ImportError, AttributeError) as error:
        logger.error("lqa: .lqa adapters are not served: this vLLM loads adapters in another way (%s). Decode them to directories: lqa decode "
                     "--portable.", error)
        return
    if not hasattr(there, "of_lqa"):
        manager._load_adapter = _in_front_of(there)
    place = os.environ.get(DIRECTORY)
    if place:
        from vllm.lora.resolver import LoRAResolverRegistry

        from .vllm_resolver import LqaResolver

        if "lqa" not in LoRAResolverRegistry.get_supported_resolvers():
            LoRAResolverRegistry.register_resolver("lqa", LqaResolver(place))


def _in_front_of(there: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(there)
    def load_adapter(self: Any, lora_request: Any, *rest: Any, **options: Any) -> Any:
        if split_path(lora_request.lora_path) is None:
            return there(self, lora_request, *rest, **options)
        if differences := [*unknown(), *_unknown_classes(self)]:
            import vllm

            raise LqaError("MISSING_PACKAGE", where=f"vLLM {vllm.__version__}", summary="The plugin does not know how this vLLM loads adapters.",
                           found="; ".join(differences), advice="Decode the adapter to a directory: lqa decode --portable.")
        from .vllm_lora import pack

        pack(self)
        return self._load_adapter(lora_request, *rest, **options)

    load_adapter.of_lqa = True  # type: ignore[attr-defined]
    return load_adapter


def unknown(used: dict[str, tuple[str, ...]] = USED) -> list[str]:
    """What of vLLM is not as the plugin uses it, in words; empty if all is."""
    found = []
    for name, arguments in used.items():
        try:
            signature = inspect.signature(lookup(name))
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            found.append(f"{name} is absent ({error})")
            continue
        parameters = list(signature.parameters.values())
        needed = [p.name for p in parameters[len(arguments):] if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if tuple(p.name for p in parameters[: len(arguments)]) != arguments or needed:
            found.append(f"{name} takes ({', '.join(signature.parameters)}), not ({', '.join(arguments)})")
    return found


def _unknown_classes(manager: Any) -> list[str]:
    """Another program may have put classes of its own in the place of vLLM's."""
    pairs = (manager, MANAGER), (manager._adapter_manager, "vllm.lora.model_manager:LRUCacheLoRAModelManager")
    return [f"the adapters are managed by {type(each).__module__}.{type(each).__name__}" for each, name in pairs if type(each) is not lookup(name)]


def lookup(name: str) -> Any:
    module, _, path = name.partition(":")
    thing = importlib.import_module(module)
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def split_path(lora_path: str) -> tuple[str, str | None] | None:
    """The source and the expected file id of a path that means an `.lqa` file; None of every other path."""
    source, _, pin = lora_path.partition("#") if re.search(r"#[0-9A-Fa-f]{64}$", lora_path) else (lora_path, "", "")
    return (source, pin or None) if is_lqa(source) else None
