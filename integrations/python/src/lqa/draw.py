"""Texts that a model with an adapter writes itself, for those who calibrate without texts of the task.

What the adapter has learned shows in what the model writes, so errors of the adapter are measured where they matter.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .errors import LqaError
from .texts import Text

# How many texts, of how many tokens, and the temperature that they are drawn with: those of the one trial that there was, of 64 texts to
# measure with and as many again to keep apart as `lqa.encodings.kept_apart` takes.
COUNT = 80
LENGTH = 44
TEMPERATURE = 1.0
# Texts that are drawn at once: they share the reading of the weights.
AT_ONCE = 32


def draw_texts(model: Any, tokenizer: Any, *, count: int = COUNT, length: int = LENGTH, temperature: float = TEMPERATURE, seed: int = 0,
               progress: Callable[[int, int], None] | None = None) -> list[Text]:
    """Lets a model write texts. Always the same ones with the same model and seed.

    Args:
        model: a PeftModel with the adapter active.
        tokenizer: its tokenizer.
        count: how many.
        length: tokens of a text, without the one that it begins with. After one that ends a text or a turn the model goes on, so that
            an answer follows a question.
        temperature: of the distribution that tokens are drawn from.
        seed: of the draws.
        progress: called with the number of texts done and their total.

    Returns:
        Texts in which every drawn token counts.

    Raises:
        LqaError: SOURCE_IMPORTANCE if the tokenizer knows no token to begin with; SOURCE_NONFINITE if the model predicts infinity or NaN.
    """
    begin = next((one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None), None)
    if begin is None:
        raise LqaError("SOURCE_IMPORTANCE", where="the tokenizer", summary="The model has no token that begins or ends a text, so it cannot write texts itself.",
                       advice="Give texts of the task with --texts.")
    generator = torch.Generator().manual_seed(seed)
    texts: list[Text] = []
    while len(texts) < count:
        begun = [[begin]] * min(AT_ONCE, count - len(texts))
        texts += [Text((begin, *row)) for row in draw_tokens(model, begun, length, temperature, generator)]
        if progress:
            progress(len(texts), count)
    return texts


@torch.inference_mode()
def draw_tokens(model: Any, begun: Sequence[Sequence[int]], length: int, temperature: float, generator: torch.Generator) -> list[list[int]]:
    """So many tokens for each of the texts begun, which are equally long."""
    from transformers import DynamicCache

    # Newer versions of transformers have another name for it.
    names = inspect.signature(model.get_base_model().forward).parameters
    cached = {"cache" if "cache" in names else "past_key_values": DynamicCache()}
    device = next(model.parameters()).device
    tokens = torch.tensor(begun, device=device)
    drawn: list[torch.Tensor] = []
    for _ in range(length):
        logits = model(input_ids=tokens, use_cache=True, logits_to_keep=1, **cached).logits[:, -1]
        scores = torch.softmax(logits.float() / temperature, -1).cpu()
        if not bool(scores.isfinite().all()):
            raise LqaError("SOURCE_NONFINITE", where="what the model predicts with the adapter", advice="Check the base model and the adapter.")
        drawn.append(torch.multinomial(scores, 1, generator=generator))
        tokens = drawn[-1].to(device)
    return torch.cat(drawn, 1).tolist()
