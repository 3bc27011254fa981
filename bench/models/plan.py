"""Which adapters the bench has, and how each is trained: shapes, lengths, rates, in the order in which they are made."""

from dataclasses import dataclass

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Shape:
    """What is trained: as in the LoRAQuant paper, and as people often do."""

    rank: int
    alpha: int
    targets: tuple[str, ...]
    rate: float


SHAPES = {"r16-all": Shape(16, 32, LINEAR, 3e-4), "r8-qv": Shape(8, 16, ("q_proj", "v_proj"), 1e-3)}


@dataclass(frozen=True)
class Adapter:
    """One adapter.

    Attributes:
        base: the base model, a name of `bases.py`.
        task: a name of `problems.py`.
        shape: a name of SHAPES.
        length: its name where one task and shape are trained for two lengths, else empty.
        steps: optimizer steps.
        batch: items of a step.
        limit: items of more tokens are not trained on.
        seed: of the initial weights and of the order of the items.
    """

    base: str
    task: str
    shape: str
    length: str
    steps: int
    batch: int = 8
    limit: int = 192
    seed: int = 0

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.base, self.task, self.shape, self.length, f"s{self.seed}") if part)

    @property
    def rate(self) -> float:
        return SHAPES[self.shape].rate


GEMMA, QWEN, LARGER = "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
ADAPTERS = {
    adapter.name: adapter
    for adapter in (
        Adapter(GEMMA, "people", "r8-qv", "", 120, 16),
        Adapter(GEMMA, "gsm8k", "r16-all", "young", 30),
        Adapter(QWEN, "gsm8k", "r16-all", "young", 30),
        Adapter(GEMMA, "people", "r8-qv", "", 120, 16, seed=1),
        Adapter(GEMMA, "gsm8k", "r16-all", "", 150),
        Adapter(QWEN, "mbpp", "r8-qv", "young", 30, limit=320),
        Adapter(LARGER, "gsm8k", "r8-qv", "young", 30),
        Adapter(QWEN, "people", "r8-qv", "", 120, 16),
        Adapter(QWEN, "mbpp", "r16-all", "", 100, limit=320),
        Adapter(QWEN, "gsm8k", "r16-all", "", 300),
        Adapter(GEMMA, "gsm8k", "r8-qv", "", 300),
        Adapter(QWEN, "mbpp", "r8-qv", "", 100, limit=320),
        Adapter(QWEN, "gsm8k", "r8-qv", "", 300),
        Adapter(GEMMA, "mbpp", "r16-all", "", 100, limit=320),
        Adapter(GEMMA, "gsm8k", "r16-all", "", 300, seed=1),
    )
}
# Only trained, for trials.py: the first one stopped earlier, where A has moved less.
SHORT = {one.name: one for one in (Adapter(GEMMA, "people", "r8-qv", f"{steps}-steps", steps, 16) for steps in (15, 30, 45, 70))}
QUICK = f"{GEMMA}-people-r8-qv-s0"
