"""A loop in ten lines for blame and attribution: edits with known effects, seed noise, conflicts and crashes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rsi.claims.ablation import Answer, Ask, Asks, Removal, Trained, TryRemoval

Rule = Callable[[frozenset[int]], bool]


def _never(_: frozenset[int]) -> bool:
    return False


class World:
    """Answers from a truth: the value is the sum of the effects that are in, plus noise that slots share by ρ."""

    def __init__(
        self,
        effects: Mapping[int, float],
        noise: float,
        seed: int = 0,
        correlation: float = 0.0,
        conflicts: Rule = _never,
        crashes: Rule = _never,
    ) -> None:
        self.effects, self.noise, self.correlation = effects, noise, correlation
        self.conflicts, self.crashes = conflicts, crashes
        self.draws = random.Random(seed)
        self.slots: dict[int, float] = {}
        self.asked: list[Ask] = []

    def answer(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        out = frozenset(ask.edits)
        everything = out == frozenset(self.effects)
        if isinstance(ask, TryRemoval):
            return Removal(ask=ask, applies=everything or not self.conflicts(out))
        assert everything or not self.conflicts(out), "only what comes out may be trained"
        shared = self.slots.setdefault(ask.slot, self.draws.gauss(0, 1))
        own = self.draws.gauss(0, 1)
        if self.crashes(out):
            return Trained(ask=ask, value=None)
        luck = math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own
        return Trained(ask=ask, value=sum(v for e, v in self.effects.items() if e not in out) + self.noise * luck)

    @property
    def trials(self) -> int:
        return sum(ask.kind == "train_without" for ask in self.asked)


def finish(step: Callable[[Any, Sequence[Answer]], Any], plan: Any, world: World) -> Any:
    """Answer until the procedure ends."""
    answers: list[Answer] = []
    while isinstance(asked := step(plan, answers), Asks):
        assert asked.asks
        answers += [world.answer(ask) for ask in asked.asks]
        assert len(answers) < 5000
    return asked
