"""Whether an answer is right: GSM8K by its final number, programs by the tests of their problem, in the sandbox."""

import re
from decimal import Decimal, InvalidOperation

import problems
import sandbox

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)(?:```|\Z)", re.DOTALL)


def number(answer: str) -> Decimal | None:
    """The number after the first `####`; without it the last number, as the GSM8K harnesses take it. None if there is no number."""
    marked = re.search(r"####\s*\$?\s*(-?[\d,]*\.?\d+)", answer)
    found = marked.group(1) if marked else (NUMBER.findall(answer) or [None])[-1]
    if found is None:
        return None
    try:
        return Decimal(found.replace(",", ""))
    except InvalidOperation:
        return None


def code(answer: str) -> str:
    """The first fenced block, or the answer as it is."""
    fenced = FENCE.search(answer)
    return fenced.group(1) if fenced else answer


def right(item: problems.Item, answer: str) -> bool:
    """Whether an answer to a problem is right.

    Raises:
        BenchError: where programs cannot be run safely.
    """
    if item.tests:
        sandbox.require()
        return sandbox.run(f"{item.before}{code(answer)}\n\n{item.tests}").passed
    if "####" in item.completion:
        return number(answer) is not None and number(answer) == number(item.completion)
    return answer.strip() == item.completion
