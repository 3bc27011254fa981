"""Loaders of PEFT, transformers and diffusers that take `.lqa` files where they take directories, if a program asks for it.

`install` puts a function in front of their public loaders. It gives sources of ours to `lqa.peft.load`, `lqa.transformers.load` and
`lqa.diffusers.load`, and everything else to the loader that was there. Importing `lqa` changes nothing.
"""
from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from . import diffusers, peft, transformers
from .source import is_lqa


def install() -> None:
    """Makes the loaders of PEFT, and of transformers and diffusers if they are installed, take `.lqa` files. A second call changes nothing.

    A path or address that ends with `.lqa`, a directory with `adapter_model.lqa`, or `hf://owner/name[@revision][/path]` then loads with
    `PeftModel.from_pretrained`, `PeftModel.load_adapter`, `model.load_adapter` of transformers and `pipe.load_lora_weights` of diffusers.
    Of their options the name of the adapter and `is_trainable` apply to such a source; any other one is a TypeError.

    Raises:
        ImportError: without PEFT.
    """
    from peft import PeftModel

    _route(PeftModel, "from_pretrained", 1, lambda _class, model, *words, **options: peft.load(model, *words, **options))
    _route(PeftModel, "load_adapter", 0, peft.load)
    try:
        from transformers.integrations.peft import PeftAdapterMixin
    except ImportError:
        pass
    else:
        _route(PeftAdapterMixin, "load_adapter", 0, transformers.load)
    try:
        pipelines = importlib.import_module("diffusers.loaders.lora_pipeline")
    except ImportError:
        return
    for owner in vars(pipelines).values():
        if isinstance(owner, type) and "load_lora_weights" in vars(owner):
            _route(owner, "load_lora_weights", 0, _into_pipeline)


def _into_pipeline(pipe: Any, source: Any, adapter_name: str | None = None) -> None:
    names = {name for each in pipe.get_list_adapters().values() for name in each}
    diffusers.load(pipe, source, adapter_name or f"default_{len(names)}")  # as diffusers names them


def _route(owner: type, method: str, at: int, ours: Callable[..., Any]) -> None:
    """Puts a function in front of a method.

    Args:
        at: which of its arguments is the source; of a method, `self` not counted.
        ours: takes the same arguments.
    """
    found = inspect.getattr_static(owner, method)
    there = found.__func__ if isinstance(found, classmethod) else found
    if getattr(there, "of_lqa", False):
        return
    name = list(inspect.signature(there).parameters)[at + 1]

    @functools.wraps(there)
    def loader(self: Any, *words: Any, **options: Any) -> Any:
        source = words[at] if len(words) > at else options.get(name)
        if not is_lqa(source):
            return there(self, *words, **options)
        if name in options:
            words = (*words, options.pop(name))
        if len(words) <= at + 1 and options.get("adapter_name", "") is None:
            del options["adapter_name"]
        return ours(self, *words[:at], source, *words[at + 1:], **options)

    loader.of_lqa = True  # type: ignore[attr-defined]
    setattr(owner, method, classmethod(loader) if isinstance(found, classmethod) else loader)
