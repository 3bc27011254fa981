"""Many adapters of one model in memory, packed: about a tenth of their 16-bit size. A layer decodes its factors when it is used.

The model is not changed: hooks on its layers add `multiplier · B(A(x))`, in the operations and the order of PEFT's linear layer, so
that the outputs are those of the decoded adapter to the last bit.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .config import lora_config
from .core import Core
from .errors import LqaError
from .file import LqaFile, decode_modules, shapes_of, views
from .file import open_whole as open_file
from .source import Source


class PackedLora:
    """Packed adapters on a model, of which at most one is active.

        packed = lqa.peft.PackedLora(model, dtype=torch.float16)
        packed.add("fr", "fr.lqa")
        with packed.active("fr"):
            model.generate(...)

    While an adapter is active, the factors of the layers that were used stay decoded; the others are packed. Not for use from several
    threads at once.
    """

    def __init__(self, model: Any, *, dtype: Any = None) -> None:
        """
        Args:
            model: a model of torch, on any device.
            dtype: of the decoded factors and of what is computed with them: torch.float32 (default), float16 or bfloat16.
        """
        import torch

        self._model = model
        self._dtype = dtype or torch.float32
        self._layers = dict(model.named_modules())
        self._adapters: dict[str, _Adapter] = {}
        self._decoded: dict[int, tuple[Any, Any, float]] = {}
        self._hooks: list[Any] = []
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}  # most adapters of a model have the same layers
        self._name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the adapters, in the order they were added."""
        return tuple(self._adapters)

    @property
    def active_adapter(self) -> str | None:
        return self._name

    @property
    def packed_bytes(self) -> int:
        """Bytes of the files that are held."""
        return sum(len(adapter.core.data) for adapter in self._adapters.values())

    def add(self, name: str, source: Source | LqaFile) -> None:
        """Takes an adapter in, verified and packed.

        Raises:
            LqaError: whatever is wrong with the file; BASE_MODULE_MISSING, BASE_SHAPE; UNSUPPORTED_ROLE of adapters that do more than add
                to the output of linear layers.
            ValueError: if there is an adapter of this name.
        """
        from .peft import check_model

        if name in self._adapters:
            raise ValueError(f'there is an adapter "{name}"')
        file = source if isinstance(source, LqaFile) else open_file(source)
        file.verify()
        for record in (*file.modules, *file.tensors):
            if record.role not in ("linear", "carried") or getattr(record, "experts", 1) > 1:
                raise LqaError("UNSUPPORTED_ROLE", where=f'"{record.name}"', expected="linear layers", found=record.role,
                               advice="Load this adapter decoded, with lqa.peft.load.")
        lora_config(file)  # refuses a configuration that gives the factors another meaning
        check_model(file, self._model)
        layers = tuple(m.name for m in file.modules)
        self._adapters[name] = _Adapter(file._core, file._packed, self._names.setdefault(layers, layers))

    def remove(self, name: str) -> None:
        """Drops an adapter. If it is active, the model is without one afterwards.

        Raises:
            KeyError: if there is none of this name.
        """
        if self._name == name:
            self.set_adapter(None)
        del self._adapters[name]

    def set_adapter(self, name: str | None) -> None:
        """Makes an adapter the active one; None: the model alone.

        Raises:
            KeyError: if there is none of this name.
        """
        adapter = None if name is None else self._adapters[name]
        for hook in self._hooks:
            hook.remove()
        self._decoded.clear()
        self._name, self._hooks = name, []
        if adapter is not None:
            self._hooks = [self._layers[layer].register_forward_hook(self._hook(adapter, i)) for i, layer in enumerate(adapter.layers)]

    @contextmanager
    def active(self, name: str | None) -> Iterator[None]:
        """Makes an adapter the active one for a block, and then the one before it again."""
        before = self._name
        self.set_adapter(name)
        try:
            yield
        finally:
            self.set_adapter(before if before in self._adapters else None)

    def _hook(self, adapter: _Adapter, number: int) -> Any:
        import torch.nn.functional as functional

        def add(_layer: Any, args: tuple[Any, ...], output: Any) -> Any:
            x = args[0]
            if number not in self._decoded:
                record = adapter.records[number:number + 1]
                b, a = views(decode_modules(adapter.core, record, self._dtype, False), shapes_of(record))
                self._decoded[number] = b.to(x.device), a.to(x.device), record[0].multiplier
            b, a, multiplier = self._decoded[number]
            return (output + functional.linear(functional.linear(x.to(a.dtype), a), b) * multiplier).to(output.dtype)

        return add


class _Adapter(NamedTuple):
    """What is kept of an adapter: the file, verified, and where its modules are in it."""

    core: Core
    records: Any
    layers: tuple[str, ...]
