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

# Tokens that are drawn together, and the temperature that they are drawn with.
TOKENS = 3520
TEMPERATURE = 1.0
# Most of one text, and of one that begins a chat, where an answer should follow the question.
LENGTH, CHAT_LENGTH = 44, 96
# Stands for what a user says; no chat template has it.
SAID = "\u0001"
# A text counts as at least so many tokens, since it takes about as long: so there are 320 texts at most.
LEAST = 11
# Texts that are drawn at once: they share the reading of the weights.
AT_ONCE = 32


def draw_texts(model: Any, tokenizer: Any, *, tokens: int = TOKENS, length: int | None = None, limit: int | None = None,
               temperature: float = TEMPERATURE, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> list[Text]:
    """Lets a model write texts. Always the same ones with the same model and seed.

    Args:
        model: a PeftModel with the adapter active.
        tokenizer: its tokenizer.
        tokens: how many they should have together, each counted with at least `LEAST`. There may be some more.
        length: most tokens of a text, without those that it begins with: `LENGTH`, or `CHAT_LENGTH` in a model for chats.
        limit: most tokens of a text, with those that it begins with.
        temperature: of the distribution that tokens are drawn from.
        seed: of the draws.
        progress: called with the number of tokens done and their total.

    Returns:
        Texts in which every drawn token counts. Those of a model for chats begin a turn of the user, and after a token that ends turns the
        model goes on, so that an answer follows a question. A token that ends texts is the last of its text.

    Raises:
        LqaError: SOURCE_IMPORTANCE if the tokenizer knows no token to begin with, or the limit leaves none to draw; SOURCE_NONFINITE if the
            model predicts infinity or NaN.
    """
    begin = beginning_of(tokenizer)
    if not begin:
        raise LqaError("SOURCE_IMPORTANCE", where="the tokenizer", summary="The model has no token that begins or ends a text, so it cannot write texts itself.",
                       advice="Give texts of the task with --texts.")
    most = (LENGTH if len(begin) == 1 else CHAT_LENGTH) if length is None else length
    if limit is not None:
        most = min(most, limit - len(begin))
    if most < 1:
        raise LqaError("SOURCE_IMPORTANCE", where="the limit of tokens", summary="The beginning of a chat is as long as a text may be.",
                       expected=f"more than {len(begin)} tokens", found=limit, advice="Set a larger --limit, or give texts of the task with --texts.")
    generator = torch.Generator().manual_seed(seed)
    texts: list[Text] = []
    done = 0
    while done < tokens:
        for row in draw_tokens(model, [begin] * AT_ONCE, most, temperature, generator, end_of(tokenizer)):
            if done < tokens:
                texts.append(Text((*begin, *row), len(begin)))
                done += max(len(row), LEAST)
        if progress:
            progress(min(done, tokens), tokens)
    return texts


def beginning_of(tokenizer: Any) -> list[int]:
    """The tokens before what is drawn: by its chat template the beginning of a turn of the user, or else one that begins or ends texts."""
    try:
        begin, said, _ = tokenizer.apply_chat_template([{"role": "user", "content": SAID}], tokenize=False).partition(SAID)
    except Exception:  # there is no template, or it raises what it wants
        begin = said = ""
    if begin and said:
        return list(tokenizer(begin, add_special_tokens=False)["input_ids"])
    return [one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None][:1]


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
