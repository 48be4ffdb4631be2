"""Which move to make: Thompson sampling over arms, learned from the run's own history.

An arm is a kind of move, the name of what it moves, and a direction. Its chance to pay has a Beta posterior: a prior
that says what usually pays when a small model is trained for a short time, and the history's successes and failures.
Within an arm a value next to one that failed, or beyond it, is unlikely. All of it is a pure function of the brief.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rsi.records import Brief, ExperimentStatus, HistoryEntry

Named = dict[str, Any]
Order = list[Named]
"""Moves to make one after another; mostly one."""

STRENGTH = 5.0
"""How many experiments' worth of evidence the prior is."""
COMBINE = 0.15
"""The share of proposals that make two moves, once `COMBINE_AFTER` experiments are known."""
COMBINE_AFTER = 5
_PAIRS = 200

# How often such a move pays, by kind, or by kind and direction.
_PRIORS: dict[tuple[str, str] | str, float] = {
    "schedule": 0.5, "decay": 0.4, "warmup": 0.3, "tying": 0.35, "shape": 0.25, "output_initialisation": 0.3,
    "activation": 0.3, "choice": 0.3, "optimizer": 0.2, "switch": 0.2, "clip": 0.15, "normalisation": 0.15,
    "initialisation": 0.15, "bias": 0.15, "heads": 0.15, "mlp_ratio": 0.15, "weight_decay": 0.12, "constant": 0.1,
    "regularisation": 0.08, "dropout": 0.04, "eps": 0.04, "norm_placement": 0.04,
    ("learning_rate", "up"): 0.5, ("learning_rate", "down"): 0.12,
    ("batch_size", "down"): 0.4, ("batch_size", "up"): 0.06,
    ("width", "down"): 0.3, ("width", "up"): 0.12, ("depth", "down"): 0.35, ("depth", "up"): 0.1,
    ("betas", "down"): 0.25, ("betas", "up"): 0.06, "betas": 0.2,
}  # fmt: skip

# How likely a value is within its arm, next to the others there.
_LEANINGS: dict[str, float] = {"SGD": 0.15, "Adamax": 0.3, "Tanh": 0.15, "F.tanh": 0.15, "small": 0.3, "constant": 0.2}

_STEPS = {"learning_rate": 3.0, "weight_decay": 5.0}
"""The factor by which a first move of such a number is best; others double or halve."""


@dataclass
class Evidence:
    """Successes and failures of one arm, in experiments."""

    paid: float = 0.0
    failed: float = 0.0


# --- the two ways to draw ---------------------------------------------------------------------------------------


def learned(moves: Sequence[Named], brief: Brief, generator: random.Random) -> Iterator[Order]:
    """Orders to try, best first; the caller takes the first one whose code is new."""
    evidence = _evidence(brief)
    chances = {
        arm: generator.betavariate(STRENGTH * prior + known.paid, STRENGTH * (1 - prior) + known.failed)
        for arm, (prior, known) in sorted(_arms(moves, evidence).items())
    }
    weights = [_weight(move, brief.history) for move in moves]
    top: dict[tuple[str, str, str], float] = {}
    for move, weight in zip(moves, weights, strict=True):
        top[_arm(move)] = max(top.get(_arm(move), 0.0), weight)
    # A value's weight counts against the best of its arm, so that an arm whose every value is spoilt falls behind.
    scores = [
        chances[_arm(move)] * math.sqrt(top[_arm(move)]) * (weight / top[_arm(move)]) * generator.uniform(0.5, 1.0)
        for move, weight in zip(moves, weights, strict=True)
    ]
    ranked = [moves[index] for index in sorted(range(len(moves)), key=lambda index: -scores[index])]
    yield from _with_pairs(ranked, brief, generator)


def uniform(moves: Sequence[Named], brief: Brief, generator: random.Random) -> Iterator[Order]:
    """The same orders without learning: a kind drawn uniformly, then one of its moves."""
    groups: dict[str, list[Named]] = {}
    for move in moves:
        groups.setdefault(move["kind"], []).append(move)
    ranked = []
    for group in groups.values():
        generator.shuffle(group)
    while groups:
        kind = generator.choice(sorted(groups))
        ranked.append(groups[kind].pop())
        if not groups[kind]:
            del groups[kind]
    yield from _with_pairs(ranked, brief, generator)


def _with_pairs(ranked: Sequence[Named], brief: Brief, generator: random.Random) -> Iterator[Order]:
    if len(brief.history) >= COMBINE_AFTER and generator.random() < COMBINE and len(ranked) > 1:
        partner = next((move for move in ranked[1:] if _arm(move)[:2] != _arm(ranked[0])[:2]), None)
        if partner is not None:
            yield [ranked[0], partner]
    yield from ([move] for move in ranked)
    for _ in range(_PAIRS if len(ranked) > 1 else 0):
        first, second = generator.sample(ranked, 2)
        if _arm(first)[:2] != _arm(second)[:2]:
            yield [first, second]


# --- what the history says --------------------------------------------------------------------------------------


def _arm(move: Named) -> tuple[str, str, str]:
    detail = move["detail"]
    return str(move["kind"]), str(detail.get("name", "")), str(detail.get("direction", ""))


def _arms(
    moves: Sequence[Named], evidence: dict[tuple[str, str, str], Evidence]
) -> dict[tuple[str, str, str], tuple[float, Evidence]]:
    """Arm → (prior mean, evidence); what happened to the opposite direction counts the other way round, for less."""
    arms: dict[tuple[str, str, str], tuple[float, Evidence]] = {}
    for move in moves:
        arm = _arm(move)
        own = evidence.get(arm, Evidence())
        known = Evidence(own.paid, own.failed)
        opposite = {"up": "down", "down": "up"}.get(arm[2])
        if opposite and (other := evidence.get((arm[0], arm[1], opposite))):
            known.paid += 0.2 * other.failed
            known.failed += 2.0 * other.paid
        for (kind, name, _), other in evidence.items():
            if kind == arm[0] and name != arm[1]:
                known.paid += 0.25 * other.paid
                known.failed += 0.25 * other.failed
        arms[arm] = prior(move), known
    return arms


def _evidence(brief: Brief) -> dict[tuple[str, str, str], Evidence]:
    found: dict[tuple[str, str, str], Evidence] = {}
    for entry in brief.history:
        paid, failed = _success(entry, brief.objective.noise)
        parts = components(entry)
        for move in parts:
            known = found.setdefault(_arm(move), Evidence())
            # A move that paid is worth more than the prior's pessimism: follow it.
            known.paid += 2.0 * paid / len(parts)
            known.failed += failed / len(parts)
    return found


def _success(entry: HistoryEntry, noise: float) -> tuple[float, float]:
    match entry.status:
        case ExperimentStatus.KEPT:
            # A gain below twice the noise may be luck.
            sure = 1.0 if entry.gain is None else min(1.0, max(0.25, entry.gain / (2 * noise)))
            return sure, 1.0 - sure
        case ExperimentStatus.DISCARDED:
            return (0.25, 1.0) if entry.gain is not None and entry.gain > 0 else (0.0, 1.5)
        case ExperimentStatus.CRASHED | ExperimentStatus.REJECTED:
            return 0.0, 2.0
        case _:
            return 0.0, 0.0


def components(entry: HistoryEntry) -> list[Named]:
    """The moves of a past experiment: one, or for a combined one those in `1.kind`, `1.name`, `2.kind` and so on."""
    if entry.kind != "combined":
        return [{"kind": entry.kind, "detail": entry.detail}]
    parts: dict[str, Named] = {}
    for key, value in sorted(entry.detail.items()):
        number, dot, name = key.partition(".")
        if dot:
            part = parts.setdefault(number, {"kind": "", "detail": {}})
            if name == "kind":
                part["kind"] = value
            else:
                part["detail"][name] = value
    return list(parts.values())


# --- values -----------------------------------------------------------------------------------------------------


def prior(move: Named) -> float:
    """How often such a move pays before anything is known; a learning rate that is high already need not rise."""
    kind, name, direction = _arm(move)
    if kind == "learning_rate" and direction:
        value = abs(float(move["detail"]["from"])) or 1e-3
        up = (
            1 / (1 + math.exp(2.0 * math.log(value / 4e-3)))
            if value < 0.02
            else 1 / (1 + math.exp(math.log(value / 0.1)))
        )
        return 0.05 + 0.55 * (up if direction == "up" else 1 - up)
    if kind == "clip" and name.isupper():
        return 0.05
    return _PRIORS.get((kind, direction), _PRIORS.get(kind, 0.1))


def _weight(move: Named, history: Sequence[HistoryEntry]) -> float:
    """How likely this value is among those of its arm."""
    detail = move["detail"]
    value, now = detail.get("to"), detail.get("from")
    if not _is_number(value) or not _is_number(now):
        weight = _LEANINGS.get(str(value), 1.0)
        return weight * math.prod(0.1 for entry in history if _failed_at(entry, move, value))
    step = abs(_log(value) - _log(now))
    best = math.log(_STEPS.get(move["kind"], 2.0))
    weight = math.exp(-(((min(step, 4.0) - best) / 0.8) ** 2)) + 0.02
    for entry in history:
        if entry.status in (ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED, ExperimentStatus.REJECTED):
            for part in components(entry):
                there = part["detail"].get("to")
                if _arm(part)[:2] == _arm(move)[:2] and _is_number(there):
                    weight *= _spoilt(_log(value), _log(now), _log(there))
    return weight


def _spoilt(value: float, now: float, failed: float) -> float:
    """What a failure leaves of a value's weight: little next to it, little beyond it, all on the other side."""
    if abs(value - failed) < math.log(1.35):
        return 0.1
    beyond = (failed - now) * (value - failed) > 0
    return 0.2 if beyond else 1.0


def _failed_at(entry: HistoryEntry, move: Named, value: object) -> bool:
    failed = (ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED, ExperimentStatus.REJECTED)
    return entry.status in failed and any(
        _arm(part)[:2] == _arm(move)[:2] and part["detail"].get("to") == value for part in components(entry)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _log(value: float) -> float:
    return math.copysign(math.log1p(abs(value) / 1e-9), value)
