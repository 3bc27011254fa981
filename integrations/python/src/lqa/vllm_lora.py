"""Adapters of a vLLM worker that stay packed until they are activated.

vLLM keeps `max_cpu_loras` adapters in main memory, decoded, and copies those that a batch needs into the slots of the model. Here an
adapter in main memory is its verified file; when it is activated, its factors are decoded in one call, multiplied by the multipliers of
the file, and handed to vLLM's own code that merges and copies them. So vLLM never has a tensor that it could scale twice, which happens
to adapters whose tensors are kept and given again after an eviction. On processors the memory of the factors, and what vLLM merged
of them, serves the next adapter with the same layers and shapes; on other devices copies may still be under way. A slot that held such an
adapter is not filled with zeros first.

Files that were accepted are kept, up to LQA_VLLM_BYTES, even if vLLM evicts their adapters: what is read once is read again only if
vLLM asks to load it again, so that a file that changes or disappears meanwhile harms nobody.
"""
from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from vllm.exceptions import LoRAAdapterNotFoundError
from vllm.lora.lora_model import LoRAModel
from vllm.lora.lora_weights import LoRALayerWeights
from vllm.lora.model_manager import LRUCacheLoRAModelManager
from vllm.lora.peft_helper import PEFTHelper
from vllm.lora.request import LoRARequest
from vllm.lora.utils import parse_fine_tuned_lora_name
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.models.utils import PPMissingLayer

from .config import lora_config
from .core import Core
from .errors import LqaError
from .file import LqaFile, decode_modules, shapes_of, views
from .file import open_whole as open_file
from .state import PREFIX
from .updates import log_update, next_file, parents_of
from .vllm import split_path

KEPT_BYTES = "LQA_VLLM_BYTES"
DEFAULT_KEPT_BYTES = 4 << 30
TIMEOUT_SECONDS = 300.0


class PackedAdapter:
    """The verified file of an adapter, and where its factors are for. Decodes them."""

    __slots__ = ("_core", "_records", "form", "rank", "file_id", "byte_length")

    def __init__(self, file: LqaFile, layers: tuple[str | None, ...]) -> None:
        """
        Args:
            layers: for each module of the file the layer of the model as vLLM names it; None of a layer that another worker has.
        """
        self._core: Core = file._core
        self._records: Any = file._packed
        if None in layers:
            self._records = self._core.only(self._records, [layer is not None for layer in layers])
            layers = tuple(layer for layer in layers if layer is not None)
        # Adapters of one form have their factors at the same places of memory.
        self.form: tuple[tuple[Any, ...], tuple[tuple[int, ...], ...]] = layers, shapes_of(self._records)
        self.rank = max((m.rank for m in file.modules), default=0)
        self.file_id = file.file_id
        self.byte_length = sum(len(core.data) for core in (self._core, *parents_of(file)))  # with the parents

    def file(self) -> LqaFile:
        """The file, without the lists of its records, which take more memory than it does."""
        return LqaFile(self._core)

    def decode(self, dtype: torch.dtype, into: torch.Tensor | None = None) -> torch.Tensor:
        """All factors in one tensor, B times the multiplier, as lqa decode --portable writes them, rounded to `dtype`.

        Args:
            into: what this method returned for an adapter of this form and this type, to be written again.
        """
        return decode_modules(self._core, self._records, dtype, True, into)

    def layers(self, factors: torch.Tensor) -> dict[str, LoRALayerWeights]:
        """A [rank, in] and B [out, rank] of each layer, in the memory of `factors`."""
        names, shapes = self.form
        parts = views(factors, shapes)
        return {layer: LoRALayerWeights(layer, a.shape[0], a.shape[0], a, b, 1.0) for layer, b, a in zip(names, parts[::2], parts[1::2])}


class PackedLoRAModel(LoRAModel):
    """What vLLM's caches hold of an adapter. It has weights only while it is activated."""

    def __init__(self, lora_int_id: int, adapter: PackedAdapter) -> None:
        super().__init__(lora_int_id, adapter.rank, {})
        self.adapter = adapter


class PackedLoRAModelManager(LRUCacheLoRAModelManager):
    """Decodes adapters when they are activated.

    Attributes:
        last: form, type and memory of the factors that were decoded last, and what vLLM merged of them; None if nothing must be
            written there.
        filled: of each slot that holds zeros but for an adapter of ours, the form of that adapter.
    """

    last: tuple[Any, torch.dtype, torch.Tensor, dict[str, Any]] | None = None
    filled: dict[int | None, Any]

    def _create_merged_loras_inplace(self, lora_model: LoRAModel) -> None:
        if lora_model.loras or not isinstance(lora_model, PackedLoRAModel):
            super()._create_merged_loras_inplace(lora_model)

    def activate_adapter(self, lora_id: int, *rest: Any, **options: Any) -> bool:
        model = self._registered_adapters.get(lora_id)
        if lora_id in self._active_adapters:
            return super().activate_adapter(lora_id, *rest, **options)
        if not isinstance(model, PackedLoRAModel):
            self.filled.clear()
            return super().activate_adapter(lora_id, *rest, **options)
        try:
            self._decode(model)
            slot = self._next_slot()
            same = self.filled.pop(slot, None) == model.adapter.form
            with _as_it_is(self.modules.values()) if same else nullcontext():
                activated = super().activate_adapter(lora_id, *rest, **options)
            if slot is not None:
                self.filled[slot] = model.adapter.form
            return activated
        finally:
            model.loras = {}

    def _next_slot(self) -> int | None:
        """The slot that vLLM will take: a free one, or that of the adapter used least recently, which it empties. None if this vLLM keeps
        slots in another way."""
        held, active = getattr(self, "lora_index_to_id", None), self._active_adapters
        if not isinstance(held, list) or not hasattr(active, "remove_oldest") or not hasattr(self, "lora_slots"):
            return None
        if len(active) >= self.lora_slots:
            active.remove_oldest()
        return held.index(None) if None in held else None

    def _decode(self, model: PackedLoRAModel) -> None:
        adapter, dtype = model.adapter, self.lora_config.lora_dtype
        last, self.last = self.last, None
        if last is not None and last[:2] == (adapter.form, dtype):
            adapter.decode(dtype, last[2])
            model.loras = dict(last[3])
            self.last = last
            return
        factors = adapter.decode(dtype)
        model.loras = adapter.layers(factors)
        if not model.loras:
            return
        self._create_merged_loras_inplace(model)
        if torch.device(getattr(self, "device", "meta")).type == "cpu" and _within(factors, model.loras):
            self.last = adapter.form, dtype, factors, dict(model.loras)


class PackedWorkerLoRAManager(LRUCacheWorkerLoRAManager):
    """Loads `.lqa` files; leaves directories to vLLM."""

    def prepare(self) -> None:
        """Of a manager that vLLM has made; see `pack`."""
        self._kept: OrderedDict[tuple[int, str], PackedAdapter] = OrderedDict()
        self._most = int(os.environ.get(KEPT_BYTES) or DEFAULT_KEPT_BYTES)
        self._names: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}  # most adapters have the same layers
        self._sizes: dict[str, tuple[int, int]] | None = None
        self._elsewhere: tuple[str, ...] = ()

    def _apply_adapters(self, lora_requests: set[LoRARequest], *rest: Any, **options: Any) -> None:
        # vLLM leaves load_inplace in the request that stands for the name, and would load again at each step.
        requests = {copy.copy(each) for each in lora_requests if each}
        for each in requests:
            each.load_inplace = each.load_inplace and split_path(each.lora_path) is None
        super()._apply_adapters(requests, *rest, **options)

    def _load_adapter(self, lora_request: LoRARequest, *rest: Any, **options: Any) -> LoRAModel:
        parts = split_path(lora_request.lora_path)
        if parts is None:
            return super()._load_adapter(lora_request, *rest, **options)
        key = lora_request.lora_int_id, lora_request.lora_path
        adapter = None if lora_request.load_inplace else self._kept.get(key)
        if adapter is None:
            try:
                adapter = self._read(lora_request, *parts)
            except LqaError as error:
                if error.kind == "NOT_FOUND":
                    raise LoRAAdapterNotFoundError(lora_request.lora_name, lora_request.lora_path) from error
                raise
            if lora_request.load_inplace:
                self.replace(key, adapter)
            else:
                self._keep(key, adapter)
        self._kept.move_to_end(key)
        return PackedLoRAModel(lora_request.lora_int_id, adapter)

    def _keep(self, key: tuple[int, str], adapter: PackedAdapter) -> None:
        """Keeps an adapter, and drops those used least recently until all are within the limit. Equal files are kept once."""
        same = next((each for each in self._kept.values() if each.file_id == adapter.file_id), adapter)
        self._kept[key] = same
        while len(self._kept) > 1 and self.packed_bytes > self._most:
            self._kept.popitem(last=False)

    def replace(self, key: tuple[int, str], adapter: PackedAdapter) -> None:
        """Keeps an adapter in place of all versions with its number. What can fail later fails here, and they stay."""
        adapter.decode(self._adapter_manager.lora_config.lora_dtype)
        for other in [each for each in self._kept if each[0] == key[0]]:
            del self._kept[other]
        self._keep(key, adapter)

    def in_use(self, number: int) -> LqaFile | None:
        """The file of the adapter that has this number now."""
        model = self._adapter_manager._registered_adapters.get(number)
        if model is not None:
            return model.adapter.file() if isinstance(model, PackedLoRAModel) else None
        return next((each.file() for key, each in reversed(self._kept.items()) if key[0] == number), None)

    @property
    def packed_bytes(self) -> int:
        """Bytes of the files that are kept."""
        return sum(each.byte_length for each in {id(each): each for each in self._kept.values()}.values())

    def _read(self, request: LoRARequest, source: str, file_id: str | None) -> PackedAdapter:
        """Reads, verifies and compares a file with the model. A child must be one of the adapter that it replaces.

        Raises:
            LqaError: whatever is wrong with the file; WRONG_FILE; UNSUPPORTED_ROLE, BASE_MODULE_MISSING, BASE_SHAPE; of a child what
                `lqa.updates.next_file` refuses.
            ValueError: of vLLM, if it does not support such an adapter, for example because of its rank.
        """
        file = open_file(os.path.expanduser(source), max_bytes=self._most, file_id=file_id, timeout=TIMEOUT_SECONDS)
        if file.parent_id is None:
            file.verify()
            return self.adapter_of(file)
        file = next_file(self.in_use(request.lora_int_id) if request.load_inplace else None, file)
        adapter = self.adapter_of(file)
        log_update(request.lora_name, file)
        return adapter

    def adapter_of(self, file: LqaFile) -> PackedAdapter:
        """Compares a verified file with the model. Raises as `_read`."""
        for record in (*file.modules, *file.tensors):
            if record.role not in ("linear", "embedding", "carried") or getattr(record, "experts", 1) > 1:
                raise LqaError("UNSUPPORTED_ROLE", where=f'"{record.name}"', expected="linear layers and embeddings",
                               found="experts" if record.role == "linear" else record.role,
                               summary="The adapter changes what this plugin gives vLLM no weights for.",
                               advice="Decode it to a directory with lqa decode --portable.")
        PEFTHelper.from_dict(lora_config(file)).validate_legal(self.lora_config)
        layers = self._layers(file)
        return PackedAdapter(file, self._names.setdefault(layers, layers))

    def _layers(self, file: LqaFile) -> tuple[str | None, ...]:
        """The layers of the model that the modules of a file are for.

        Raises:
            LqaError: BASE_MODULE_MISSING, BASE_SHAPE. vLLM leaves out layers that a model does not have, and copies small factors into
                a corner of larger ones.
        """
        manager = self._adapter_manager
        mapper = getattr(manager.model, "hf_to_vllm_mapper", None)
        # vLLM 0.28 calls it otherwise.
        mapper = mapper and (mapper.get_rename_mapper() if hasattr(mapper, "get_rename_mapper") else mapper.get_unstacked_mapper())
        if self._sizes is None:
            self._sizes = layer_sizes(manager)
            self._elsewhere = tuple(f"{name}." for name, layer in manager.model.named_modules() if isinstance(layer, PPMissingLayer))
        found: list[str | None] = []
        for module in file.modules:
            layer, _ = parse_fine_tuned_lora_name(f"{PREFIX}{module.name}.lora_A.weight", mapper)
            if f"{layer}.".startswith(self._elsewhere):
                found.append(None)
                continue
            where = f'module "{module.name}"'
            if layer not in self._sizes:
                raise LqaError("BASE_MODULE_MISSING", where=where, expected="a layer that this vLLM serves adapters of")
            if self._sizes[layer] != (module.out, module.in_):
                raise LqaError("BASE_SHAPE", where=where, expected=str([module.out, module.in_]), found=str(list(self._sizes[layer])))
            found.append(layer)
        return tuple(found)


@contextmanager
def _as_it_is(layers: Iterable[Any]) -> Iterator[None]:
    """vLLM writes zeros into a slot before it copies factors there, which takes longer than the copies. Not inside this."""
    layers = list(layers)
    for layer in layers:
        layer.reset_lora = _nothing
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("reset_lora", None)


def _nothing(_slot: int) -> None:
    pass


def _within(factors: torch.Tensor, loras: dict[str, Any]) -> bool:
    """Whether what vLLM merged is still in the memory of the factors, of which it could have made copies."""
    found = (each for lora in loras.values() for side in (lora.lora_a, lora.lora_b) for each in (side if isinstance(side, list) else (side,)))
    return all(each is None or each.untyped_storage().data_ptr() == factors.untyped_storage().data_ptr() for each in found)


def pack(manager: LRUCacheWorkerLoRAManager) -> None:
    """Makes the manager of a worker one that also takes `.lqa` files. The adapters that it has stay as they are."""
    manager._adapter_manager.__class__ = PackedLoRAModelManager
    manager._adapter_manager.filled = {}
    manager.__class__ = PackedWorkerLoRAManager
    manager.prepare()


def layer_sizes(manager: LRUCacheLoRAModelManager) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of each layer that adapters can have, on all workers together; layers that vLLM has merged one by one."""
    sizes: dict[str, tuple[int, int]] = {}
    for name, wrapper in manager.modules.items():
        layer = getattr(wrapper, "base_layer", None)
        if hasattr(layer, "org_vocab_size") and hasattr(layer, "embedding_dim"):
            sizes[name] = layer.embedding_dim, layer.org_vocab_size
        elif hasattr(layer, "input_size"):
            parts = manager.packed_modules.get(name)
            if parts is None:
                sizes[name] = layer.output_size, layer.input_size
                continue
            outputs = getattr(layer, "output_sizes", ())
            if hasattr(layer, "total_num_kv_heads"):  # keys and values that several workers hold count once
                heads = layer.total_num_heads, layer.total_num_kv_heads, layer.total_num_kv_heads
                widths = layer.head_size, layer.head_size, getattr(layer, "v_head_size", layer.head_size)
                outputs = [number * width for number, width in zip(heads, widths)]
            if len(parts) == len(outputs):
                sizes.update({part: (out, layer.input_size) for part, out in zip(parts, outputs)})
    return sizes
