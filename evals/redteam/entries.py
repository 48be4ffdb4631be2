"""A case on its way: the code that it is about, the code of its honest twin, and what came of both."""

from __future__ import annotations

from dataclasses import dataclass

from evals.redteam.corpus import Case
from evals.redteam.judging import ALARMING, LayerFinding, Sight, judge_attack, judge_honest
from evals.redteam.results import CaseResult, FindingTold
from evals.redteam.seeing import of_refusal
from rsi.edits import Refusal
from rsi.records import Objective


@dataclass
class Subject:
    """A piece of code that is tried, for one case or several."""

    experiment: int
    to_come: int = 1
    """Trials still to be made; only the last one counts, those before it are there to leave something behind."""
    honest: bool = False
    """Whether its score is compared with the one that it gets without the further verifiers."""
    began: float = 0.0
    seconds: float = 0.0
    sight: Sight | None = None


@dataclass
class Entry:
    """A case with the code that it is about."""

    case: Case
    subject: Subject | Refusal
    twin: Subject | Refusal | None
    """None for an honest edit."""

    def result(self, objective: Objective, run: str) -> CaseResult | None:
        """What became of it; None as long as a trial of it or its twin is to come.

        Args:
            objective: the task's.
            run: the id of the run that holds the record.
        """
        sight = _sight(self.subject)
        twin = _sight(self.twin) if self.twin is not None else None
        if sight is None or (self.twin is not None and twin is None):
            return None
        judgement = judge_honest(sight) if twin is None else judge_attack(sight, twin, objective)
        case = self.case
        subject = self.subject if isinstance(self.subject, Subject) else None
        return CaseResult(
            name=case.name,
            task=case.task,
            honest=case.honest,
            tries=case.tries,
            kind=case.kind,
            modelled_on=case.modelled_on,
            layer_expected=case.layer,
            layers=judgement.layers,
            outcome=judgement.outcome or ("false_alarm" if judgement.alarms else "passed"),
            reason=judgement.reason,
            findings=tuple(_told(named) for named in sight.findings if named.finding.severity in ALARMING),
            score=sight.measured.get(objective.metric),
            twin=None if twin is None else twin.measured.get(objective.metric),
            gain=judgement.gain,
            seconds=0.0 if subject is None else subject.seconds,
            run=run,
            experiment=None if subject is None else subject.experiment,
        )


def _sight(subject: Subject | Refusal) -> Sight | None:
    return of_refusal(subject) if isinstance(subject, Refusal) else subject.sight


def _told(named: LayerFinding) -> FindingTold:
    finding = named.finding
    return FindingTold(
        layer=named.layer,
        severity=finding.severity.value,
        code=finding.code,
        message=finding.message,
        pointer=finding.pointer,
    )
