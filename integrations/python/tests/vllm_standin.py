"""What the plugin of vLLM touches of vLLM 0.32, as small as it can be: names, parameters, and the order in which things are called.

The real vLLM is too big to be installed for each run of the tests; integrations/vllm/check runs the plugin in it.
"""
import sys
import types
from abc import ABC
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str
    load_inplace: bool = False


class LoRAAdapterNotFoundError(Exception):
    def __init__(self, lora_name, lora_path) -> None:
        super().__init__(f"Loading lora {lora_name} failed: No adapter found for {lora_path}")


class LoRALayerWeights:
    def __init__(self, module_name, rank, lora_alpha, lora_a, lora_b, scaling=None) -> None:
        self.module_name, self.rank, self.lora_a, self.lora_b, self.scaling = module_name, rank, lora_a, lora_b, scaling

    def optimize(self) -> None:
        self.lora_b *= self.scaling
        self.scaling = 1


class LoRAModel:
    def __init__(self, lora_model_id, rank, loras, is_3d_lora_weight=False, *, modules_to_save=None) -> None:
        self.id, self.rank, self.loras = lora_model_id, rank, loras


class PEFTHelper:
    @classmethod
    def from_dict(cls, config_dict):
        helper = cls()
        helper.config = config_dict
        return helper

    def validate_legal(self, lora_config) -> None:
        rank = max([self.config["r"], *self.config.get("rank_pattern", {}).values()])
        if rank > lora_config.max_lora_rank:
            raise ValueError(f"LoRA rank {rank} is greater than max_lora_rank {lora_config.max_lora_rank}.")


class Active(dict):
    """The adapters in slots, that used least recently first."""

    def __init__(self, slots: list) -> None:
        self._slots = slots

    def remove_oldest(self) -> None:
        oldest = next(iter(self))
        del self[oldest]
        self._slots[self._slots.index(oldest)] = None


class Layer:
    """A layer with room for adapters of its parts: a tensor for A and one for B in each slot, larger than most factors."""

    def __init__(self, base_layer) -> None:
        self.base_layer, self.resets, self.stacked = base_layer, 0, {}

    def reset_lora(self, index) -> None:
        self.resets += 1
        for pair in self.stacked.get(index, {}).values():
            for tensor in pair:
                tensor.zero_()

    def set_lora(self, index, parts) -> None:
        import torch

        self.reset_lora(index)
        for name, (a, b) in parts.items():
            held = self.stacked.setdefault(index, {}).setdefault(name, (torch.zeros(8, a.shape[1], dtype=a.dtype), torch.zeros(b.shape[0], 8, dtype=b.dtype)))
            held[0][:a.shape[0]].copy_(a)
            held[1][:, :b.shape[1]].copy_(b)


class LRUCacheLoRAModelManager:
    """Two slots; q and v are one merged layer."""

    lora_slots = 2

    def __init__(self, model, lora_config) -> None:
        self.model, self.lora_config, self.device = model, lora_config, "cpu"
        self.lora_index_to_id = [None, None]
        self._registered_adapters, self._active_adapters = {}, Active(self.lora_index_to_id)
        self.modules, self.packed_modules = {}, {}
        for name, layer in model.named_modules():
            if hasattr(layer, "output_sizes"):
                self.packed_modules[name] = [f"{name.rpartition('.')[0]}.{part}" for part in ("q_proj", "v_proj")]
            if hasattr(layer, "input_size"):
                self.modules[name] = Layer(layer)

    def __len__(self) -> int:
        return len(self._registered_adapters)

    def add_adapter(self, lora) -> bool:
        self._create_merged_loras_inplace(lora)
        self._registered_adapters[lora.id] = lora
        return True

    def remove_adapter(self, adapter_id) -> None:
        if self._active_adapters.pop(adapter_id, self) is None:
            self.lora_index_to_id[self.lora_index_to_id.index(adapter_id)] = None
        self._registered_adapters.pop(adapter_id, None)

    def _create_merged_loras_inplace(self, lora_model) -> None:
        for lora in lora_model.loras.values():
            lora.optimize()

    def activate_adapter(self, lora_id) -> bool:
        if lora_id in self._active_adapters:
            return False
        if len(self._active_adapters) >= self.lora_slots:
            self._active_adapters.remove_oldest()
        index = self.lora_index_to_id.index(None)
        self._active_adapters[lora_id] = None
        self.lora_index_to_id[index] = lora_id
        loras = self._registered_adapters[lora_id].loras
        for name, module in self.modules.items():
            parts = {part: (loras[part].lora_a, loras[part].lora_b) for part in self.packed_modules.get(name, [name]) if part in loras}
            if parts:
                module.set_lora(index, parts)
            else:
                module.reset_lora(index)
        return True

    @property
    def slots(self) -> dict:
        """By adapter and layer: the factors in its slot, without zeros behind them."""
        found = {}
        for index, lora_id in enumerate(self.lora_index_to_id):
            parts = {name: pair for module in self.modules.values() for name, pair in module.stacked.get(index, {}).items()}
            ranks = {name: max((i + 1 for i in range(8) if a[i].any() or b[:, i].any()), default=0) for name, (a, b) in parts.items()}
            found[lora_id] = {name: (a[:ranks[name]], b[:, :ranks[name]]) for name, (a, b) in parts.items() if ranks[name]}
        return found


class LRUCacheWorkerLoRAManager:
    _manager_cls = LRUCacheLoRAModelManager
    capacity = 4

    def __init__(self, lora_config) -> None:
        self.lora_config = lora_config

    def create_lora_manager(self, model, vllm_config):
        self._adapter_manager = self._manager_cls(model, self.lora_config)

    def list_adapters(self) -> set:
        return set(self._adapter_manager._registered_adapters)

    def _load_adapter(self, lora_request):
        return f"directory {lora_request.lora_path}"

    def _apply_adapters(self, lora_requests) -> None:
        for request in lora_requests:
            self.add_adapter(request)

    def add_adapter(self, lora_request) -> None:
        if lora_request.lora_int_id not in self.list_adapters() or lora_request.load_inplace:
            lora = self._load_adapter(lora_request)
            self._adapter_manager.remove_adapter(lora.id)
            if len(self._adapter_manager) + 1 > self.capacity:
                self._adapter_manager.remove_adapter(next(iter(self._adapter_manager._registered_adapters)))
            self._adapter_manager.add_adapter(lora)
        self._adapter_manager.activate_adapter(lora_request.lora_int_id)


class LoRAResolver(ABC):
    pass


@dataclass
class Registry:
    resolvers: dict = field(default_factory=dict)

    def get_supported_resolvers(self):
        return self.resolvers.keys()

    def register_resolver(self, resolver_name, resolver) -> None:
        self.resolvers[resolver_name] = resolver


def parse_fine_tuned_lora_name(name, weights_mapper=None):
    return name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"), True


class PPMissingLayer:
    pass


def _module(name: str, contents: dict) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(contents, __path__=[])
    return module


MODULES = {f"vllm{name}": _module(f"vllm{name}", contents) for name, contents in {
    "": {"__version__": "0.32.0"}, ".exceptions": {"LoRAAdapterNotFoundError": LoRAAdapterNotFoundError}, ".lora": {},
    ".lora.lora_model": {"LoRAModel": LoRAModel}, ".lora.lora_weights": {"LoRALayerWeights": LoRALayerWeights},
    ".lora.model_manager": {"LRUCacheLoRAModelManager": LRUCacheLoRAModelManager}, ".lora.peft_helper": {"PEFTHelper": PEFTHelper},
    ".lora.request": {"LoRARequest": LoRARequest}, ".lora.resolver": {"LoRAResolver": LoRAResolver, "LoRAResolverRegistry": Registry()},
    ".lora.utils": {"parse_fine_tuned_lora_name": parse_fine_tuned_lora_name},
    ".lora.worker_manager": {"LRUCacheWorkerLoRAManager": LRUCacheWorkerLoRAManager}, ".model_executor": {}, ".model_executor.models": {},
    ".model_executor.models.utils": {"PPMissingLayer": PPMissingLayer}, ".v1": {}, ".v1.worker": {},
    ".v1.worker.lora_model_runner_mixin": {"LRUCacheWorkerLoRAManager": LRUCacheWorkerLoRAManager},
}.items()}


@contextmanager
def installed():
    """`import vllm` finds these, and afterwards nothing again: other packages ask for vLLM, too."""
    sys.modules.update(MODULES)
    try:
        yield
    finally:
        for name in MODULES:
            del sys.modules[name]
