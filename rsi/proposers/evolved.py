"""A program that was itself improved decides which move comes next: candidate code, asked in a sandbox.

The moves are those of `mutate`; the program sees them, what came of earlier ones and where the run stands as arrays
(`rsi.proposers.ranking`), and answers a preference for each. It was shaped on inner loops (the task `proposer`) and
sees the same columns here. Where an answer is of no use, chance decides that once, and the run says so; after three in
a row the run ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsi.errors import UsageError
from rsi.programs.question import MOST_IN_A_ROW, Answer, Program, Question, Ranks
from rsi.proposers import experience
from rsi.proposers.evolved_source import program_of
from rsi.proposers.mutation.choice import Named, Order
from rsi.proposers.mutation.proposing import discovered, first_new, proposal
from rsi.proposers.mutation.rationale import what
from rsi.proposers.ranking import OPTION, PAST, SITUATION, Arms, Floats, dice, move_row, padded
from rsi.protocols import Exhausted
from rsi.records import Brief, ExperimentStatus, Proposal

MOST_OPTIONS = 1024
"""Moves that a program is shown; code with more has them in the order of its text, and the rest are left out."""
MOST_HISTORY = 256
"""Of the latest experiments."""


class Evolved:
    """The proposer `evolved`."""

    name = "evolved"

    def __init__(self, source: str, episodes: str = "", experiment: int = -1, seconds: float = 30.0) -> None:
        """Take the settings; the source is read when a run begins, and only then.

        Args:
            source: A run of the task `proposer`, of which the last certified code is taken, or a folder with
                `proposer.py`, what it imports and, where it has learned, its `*.safetensors`.
            episodes: A `.npy` file that a program without weights learns from at the run's start.
            experiment: Of the source run, instead of what was certified.
            seconds: Of wall and CPU time that one answer may take.
        """
        if not 0.1 <= seconds <= 3600:
            raise UsageError("evolved waits between 0.1 and 3600 seconds for an answer; give seconds in that range.")
        self._source = source
        self._episodes = episodes
        self._experiment = experiment if experiment >= 0 else None
        self._seconds = seconds
        self._asked: Ranks | None = None

    def program(self) -> Program:
        """The program at its source, and what it shall learn from."""
        found = program_of(Path(self._source), self._experiment)
        none = np.zeros((0, 1, len(PAST)), dtype=np.float32)
        given = experience.read_episodes(Path(self._episodes)) if self._episodes else experience.encoded(none)
        limits = found.limits.model_copy(update={"wall_seconds": self._seconds, "cpu_seconds": self._seconds})
        return found.model_copy(update={"limits": limits, "episodes": b"" if found.artifact else given})

    def attach(self, asked: Ranks) -> None:
        """Where the program's answers come from."""
        self._asked = asked

    def propose(self, brief: Brief) -> Proposal:
        """The move that the program prefers among those that are new; Exhausted where none is, or it fails for good."""
        if self._asked is None:
            raise UsageError("The proposer evolved works within a run, or from its record; start one with `rsi run`.")
        moves = discovered(brief)[:MOST_OPTIONS]
        question = asked_of(brief, moves)
        if not question.available.any():  # no answer could be of use, and it would be held against the program
            raise Exhausted("every move of this code was made on it.")
        answer = self._asked.answer(brief.experiment, question)
        if answer.in_a_row >= MOST_IN_A_ROW:
            raise Exhausted(f"its program gave no answer of use {answer.in_a_row} times in a row: {answer.problem}")
        order, code = first_new(brief, _orders(moves, question, answer.preferences))
        return proposal(brief, order, code, self.name, _rationale(moves, order[0], answer))


# --- what the program is shown ----------------------------------------------------------------------------------


def asked_of(brief: Brief, moves: Sequence[Named]) -> Question:
    """The brief and the moves as arrays, of one loop: options (1, O, 8), history (1, H, 9), situation (1, 3).

    H is how many experiments the run may make in all, as in inner loops, where it has a limit and that is not too many.
    """
    arms = Arms()
    noise = brief.objective.noise
    past = [experience.row(e.kind, e.detail, e.status, e.gain, noise, arms) for e in brief.history]
    rows = [row for row in past if row is not None]
    available = _available(brief, moves)
    chance = dice(brief.seed, len(moves))
    options = np.zeros((1, len(moves), len(OPTION)), dtype=np.float32)
    for index, move in enumerate(moves):
        options[0, index] = [*move_row(move["kind"], move["detail"], arms), float(available[index]), chance[index]]
    length = min(max(1, len(rows), brief.turn - 1 + (brief.left.experiments or 0)), MOST_HISTORY)
    inputs = {
        "options": options,
        "history": padded(rows, length, len(PAST))[np.newaxis],
        "situation": _situation(brief)[np.newaxis],
    }
    return Question(inputs=inputs, available=available)


def _available(brief: Brief, moves: Sequence[Named]) -> NDArray[np.bool_]:
    """Which moves were not made on this very code; what gives code that was tried by other ways is found later."""
    told = (*brief.history, *brief.pending)
    # A kept null edit is in no history, but the parent of what came after it.
    stood = [entry.experiment for entry in brief.history if entry.status is ExperimentStatus.KEPT]
    incumbent = max((*stood, *(entry.parent for entry in told)), default=0)
    made = [(entry.kind, entry.detail) for entry in told if entry.parent == incumbent]
    return np.array([(move["kind"], move["detail"]) not in made for move in moves], dtype=np.bool_)


def _situation(brief: Brief) -> Floats:
    left = brief.left.experiments
    made = brief.turn - 1
    spent = 0.0 if left is None or made + left == 0 else made / (made + left)
    kept = sum(entry.status is ExperimentStatus.KEPT for entry in brief.history)
    values = {"spent": min(max(spent, 0.0), 1.0), "experiments": len(brief.history), "kept": kept}
    return np.array([values[column] for column in SITUATION], dtype=np.float32)


# --- what comes of its answer -----------------------------------------------------------------------------------


def _orders(moves: Sequence[Named], question: Question, preferences: NDArray[np.float32] | None) -> Iterator[Order]:
    """One move each: the highest preference first, dice among equals; then by dice what has none."""
    chance = question.inputs["options"][0, :, OPTION.index("dice")].astype(np.float64)
    wanted = (
        question.available & ~np.isnan(preferences) if preferences is not None else np.zeros_like(question.available)
    )
    ranked = [] if preferences is None else sorted(np.flatnonzero(wanted), key=lambda i: (-preferences[i], -chance[i]))
    rest = sorted(np.flatnonzero(question.available & ~wanted), key=lambda i: -chance[i])
    yield from ([moves[int(index)]] for index in (*ranked, *rest))


def _rationale(moves: Sequence[Named], move: Named, answer: Answer) -> str:
    if answer.preferences is None:
        return f"{what(move)}: drawn by chance, because {answer.problem}"
    preference = float(answer.preferences[moves.index(move)])
    if math.isnan(preference):
        return f"{what(move)}: drawn by chance, because nothing that the program would make is new"
    shown = f"{preference:.3g}" if math.isfinite(preference) else ("above all" if preference > 0 else "below all")
    return f"{what(move)}: the program preferred it among {len(moves)} moves ({shown})"
