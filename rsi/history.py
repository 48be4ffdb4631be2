"""What a policy may know of the run so far: closed experiments, arms, budgets, milestones. Nothing of the holdout.

Folded from the ledger, never recorded: `rsi verify` folds the same events and gets the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rsi.records import Arm, Objective, Record


class Past(Record):
    """One closed experiment, with the objective's values that its last decision saw."""

    experiment: int
    parent: int
    """The experiment whose code it changed; its own number for the baseline."""
    again: int | None = None
    """The earlier experiment whose same edit it tried anew."""
    kept: bool
    taken_back: bool = False
    """Kept first, and taken back after a milestone that failed."""
    scored: bool
    """False where it was refused, crashed, was rejected or stayed undecided: its values then say nothing."""
    added_tokens: int = 0
    candidate: tuple[float, ...] = ()
    """Raw values in the objective's own direction, in the order of the trials."""
    reference: tuple[float, ...] = ()
    """Of the parent, likewise; empty for the baseline."""


class MilestoneSummary(Record):
    """A comparison on the holdout, of which nothing else than its outcome may leave."""

    passed: bool
    at_trials_spent: int
    incumbent: int
    """The experiment that was to be certified."""
    certified_before: int
    """The experiment that it was compared with."""


@dataclass(frozen=True, slots=True)
class History:
    """A read-only view. `past` only grows (`taken_back` apart), so a policy may keep what it computed for a prefix.

    A policy that does so checks that the prefix is still the same: one object may be asked about several runs.
    """

    objective: Objective
    past: Sequence[Past]
    """Closed experiments in the order of their closing, the baseline first."""
    arms: Callable[[int], Arm]
    incumbent: int = 0
    certified: int = 0
    """The last certified incumbent; 0 is the baseline."""
    trials_spent: int = 0
    """Of every role: search, milestones, calibration."""
    trials_left: int | None = None
    """That the search may still spend; None without a limit."""
    milestones: Sequence[MilestoneSummary] = ()

    def arm(self, experiment: int) -> Arm:
        """All scored trials of an experiment on dev by now; KeyError for one that is not known."""
        return self.arms(experiment)
