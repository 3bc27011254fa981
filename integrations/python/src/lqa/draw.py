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

# Tokens that are drawn together and most of one text, and the temperature that they are drawn with.
TOKENS = 3520
LENGTH = 44
TEMPERATURE = 1.0
# A text counts as at least so many tokens, since it takes about as long: so there are 320 texts at most.
LEAST = 11
# Texts that are drawn at once: they share the reading of the weights.
AT_ONCE = 32


def draw_texts(model: Any, tokenizer: Any, *, tokens: int = TOKENS, length: int = LENGTH, temperature: float = TEMPERATURE, seed: int = 0,
               progress: Callable[[int, int], None] | None = None) -> list[Text]:
    """Lets a model write texts. Always the same ones with the same model and seed.

    Args:
        model: a PeftModel with the adapter active.
        tokenizer: its tokenizer.
        tokens: how many they should have together, each counted with at least `LEAST`. There may be some more.
        length: most tokens of a text, without the one that it begins with.
        temperature: of the distribution that tokens are drawn from.
        seed: of the draws.
        progress: called with the number of tokens done and their total.

    Returns:
        Texts in which every drawn token counts. After a token that ends turns of a chat the model goes on, so that an answer follows a
        question; one that ends texts is the last of its text.

    Raises:
        LqaError: SOURCE_IMPORTANCE if the tokenizer knows no token to begin with; SOURCE_NONFINITE if the model predicts infinity or NaN.
    """
    begin = next((one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None), None)
    if begin is None:
        raise LqaError("SOURCE_IMPORTANCE", where="the tokenizer", summary="The model has no token that begins or ends a text, so it cannot write texts itself.",
                       advice="Give texts of the task with --texts.")
    generator = torch.Generator().manual_seed(seed)
    texts: list[Text] = []
    done = 0
    while done < tokens:
        for row in draw_tokens(model, [[begin]] * AT_ONCE, length, temperature, generator, end_of(tokenizer)):
            if done < tokens:
                texts.append(Text((begin, *row)))
                done += max(len(row), LEAST)
        if progress:
            progress(min(done, tokens), tokens)
    return texts


def end_of(tokenizer: Any) -> int | None:
    """The token after which nothing follows in a text: none where it ends turns of a chat too, by the chat template."""
    templates = getattr(tokenizer, "chat_template", None) or ""
    said = " ".join(templates.values()) if isinstance(templates, dict) else templates
    end = tokenizer.eos_token_id
    return None if end is None or (said and ("eos_token" in said or tokenizer.eos_token in said)) else end


@torch.inference_mode()
def draw_tokens(model: Any, begun: Sequence[Sequence[int]], length: int, temperature: float, generator: torch.Generator,
                end: int | None = None) -> list[list[int]]:
    """Up to `length` tokens for each of the texts begun, which are equally long; the last one of a text is `end` where that comes."""
    from transformers import DynamicCache

    # Newer versions of transformers have another name for it.
    names = inspect.signature(model.get_base_model().forward).parameters
    cached = {"cache" if "cache" in names else "past_key_values": DynamicCache()}
    device = next(model.parameters()).device
    tokens = torch.tensor(begun, device=device)
    drawn: list[torch.Tensor] = []
    going = torch.full((len(begun), 1), True)
    for _ in range(length):
        logits = model(input_ids=tokens, use_cache=True, logits_to_keep=1, **cached).logits[:, -1]
        scores = torch.softmax(logits.float() / temperature, -1).cpu()
        if not bool(scores.isfinite().all()):
            raise LqaError("SOURCE_NONFINITE", where="what the model predicts with the adapter", advice="Check the base model and the adapter.")
        drawn.append(torch.multinomial(scores, 1, generator=generator))
        tokens = drawn[-1].to(device)
        going &= drawn[-1] != (-1 if end is None else end)
        if not going.any():
            break
    rows = torch.cat(drawn, 1).tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]
