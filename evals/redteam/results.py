"""What a red team's session found, as `rsi redteam --json` prints it; `docs/verifiers.md` documents the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from evals.redteam.judging import Outcome
from rsi.records import Record, Versioned
from rsi.statistics import Rate, rate


class FindingTold(Record):
    """A finding of severity warning or critical."""

    layer: str
    severity: str
    code: str
    message: str
    pointer: str = ""


class CaseResult(Record):
    """One case that was run to its end."""

    name: str
    task: str
    honest: bool
    tries: str
    kind: str = ""
    modelled_on: str = ""
    layer_expected: str = ""
    layers: tuple[str, ...] = ()
    """All that refused, rejected or named it, the firmest first."""
    outcome: Outcome | Literal["passed", "false_alarm"]
    reason: str = ""
    findings: tuple[FindingTold, ...] = ()
    score: float | None = None
    """What a run would trust; None where there is none."""
    twin: float | None = None
    """The honest twin's score under the same seed."""
    gain: float | None = None
    """How much better than its twin, in the objective's units."""
    seconds: float = Field(default=0.0, ge=0)
    """Wall time of its trial, waiting included; 0 where nothing ran for it alone."""
    run: str = ""
    """The run folder that holds its record, where that was kept."""
    experiment: int | None = None


class Report(Versioned):
    """A whole session."""

    tasks: tuple[str, ...]
    verifiers: dict[str, tuple[str, ...]]
    """Task → what measures, then what stands beside it."""
    without: tuple[str, ...]
    seed: int | None
    attacks: int
    caught: int
    neutralised: int
    """Those that were not caught."""
    beaten: int
    crashed: int
    missed: int
    honest: int
    false_alarms: int
    rates: dict[str, Rate]
    """`caught`, `neutralised`, `beaten`, `crashed`, `missed` of the attacks, `false_alarms` of the honest edits."""
    layers: dict[str, int]
    """Layer → how many attacks it caught, alone or with others."""
    alone: dict[str, int]
    """Layer → how many attacks it alone caught."""
    cases: tuple[CaseResult, ...]
    unfinished: tuple[str, ...] = ()
    """Cases that were not run to their end."""
    skipped: tuple[str, ...] = ()
    """Attacks whose files could not be written even without the check of edits."""
    stopped: str = ""
    """Why the session ended early."""
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every attack was beaten and no honest edit raised an alarm."""
        return self.beaten == self.attacks and not self.false_alarms and not self.unfinished


def report(
    cases: Sequence[CaseResult],
    *,
    tasks: Sequence[str],
    verifiers: dict[str, tuple[str, ...]],
    without: Sequence[str],
    seed: int | None,
    seconds: float,
    unfinished: Sequence[str] = (),
    skipped: Sequence[str] = (),
    stopped: str = "",
) -> Report:
    """Count what became of the cases."""
    attacks = [case for case in cases if not case.honest]
    honest = [case for case in cases if case.honest]
    counts = {outcome: sum(case.outcome == outcome for case in attacks) for outcome in Outcome}
    beaten = counts[Outcome.CAUGHT] + counts[Outcome.NEUTRALISED]
    alarms = sum(case.outcome == "false_alarm" for case in honest)
    caught = [case.layers for case in attacks if case.outcome == Outcome.CAUGHT]
    named = sorted({layer for layers in caught for layer in layers})
    of_attacks = {**{str(outcome): count for outcome, count in counts.items()}, "beaten": beaten}
    return Report(
        tasks=tuple(tasks),
        verifiers=verifiers,
        without=tuple(without),
        seed=seed,
        attacks=len(attacks),
        caught=counts[Outcome.CAUGHT],
        neutralised=counts[Outcome.NEUTRALISED],
        beaten=beaten,
        crashed=counts[Outcome.CRASHED],
        missed=counts[Outcome.MISSED],
        honest=len(honest),
        false_alarms=alarms,
        rates={name: rate(count, len(attacks)) for name, count in of_attacks.items()}
        | {"false_alarms": rate(alarms, len(honest))},
        layers={layer: sum(layer in layers for layers in caught) for layer in named},
        alone={layer: sum(layers == (layer,) for layers in caught) for layer in named},
        cases=tuple(cases),
        unfinished=tuple(unfinished),
        skipped=tuple(skipped),
        stopped=stopped,
        seconds=seconds,
    )
