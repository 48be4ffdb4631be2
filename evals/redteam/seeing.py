"""What was seen of one case's trial, read from the record that a run would have: verdicts, findings, scores."""

from __future__ import annotations

from collections.abc import Collection

from evals.redteam.alone import measured_alone
from evals.redteam.judging import LayerFinding, Rejection, Sight
from evals.redteam.layers import ATTEMPTS, SCORING, of_finding
from evals.reported import Reported
from rsi.derive import gather
from rsi.edits import Refusal
from rsi.records import Rejected, Scored, Verdict, VerifierError
from rsi.state import TrialState
from rsi.trial import TrialRunner
from rsi.verification import measuring, verdicts


def of_refusal(refusal: Refusal) -> Sight:
    """Nothing ran."""
    return Sight(refused=refusal.code, reason=refusal.reason)


def of_trial(runner: TrialRunner, trial: str, without: Collection[str], *, alone: bool) -> Sight:
    """A trial that was screened and, where it was scored, checked as before a keep.

    Args:
        runner: what ran it.
        trial: that is over.
        without: layers whose word does not count. Without `scoring`, what training printed is believed.
        alone: whether to score its first answers again by what measures alone.
    """
    state = runner.recorder.state.trials[trial]
    named: list[LayerFinding] = []
    if ATTEMPTS not in without:
        named += [LayerFinding(layer=ATTEMPTS, finding=finding) for finding in state.findings()]
    believed = _believed(runner, trial) if SCORING in without else None
    if state.failed is not None and not (believed and state.failed.stage == "predict"):
        # A verdict for screening may stand before what failed: a question that only a keep needs.
        found, _ = _verdicts(runner, state) if state.screened is not None else ([], [])
        return Sight(failed=state.failed.kind, reason=state.failed.reason, findings=(*named, *found))
    found, rejected = _verdicts(runner, state)
    judged = state.verdict.verdict if state.verdict is not None else None
    if SCORING in without:
        rejected = [rejection for rejection in rejected if rejection.layer != SCORING]
        found = [finding for finding in found if finding.layer != SCORING]
    measured = {m.name: m.value for m in judged.measurements} if isinstance(judged, Scored) else {}
    undecided = judged.message if isinstance(judged, VerifierError) else ""
    return Sight(
        rejected=tuple(rejected),
        undecided=undecided,
        findings=(*named, *found),
        measured=measured if rejected or undecided else {**measured, **(believed or {})},
        bare=measured_alone(runner, trial) if alone else None,
    )


def _verdicts(runner: TrialRunner, state: TrialState) -> tuple[list[LayerFinding], list[Rejection]]:
    """Who found what, and who rejected, by layer."""
    judged = state.verdict
    if judged is None:
        return [], []
    evidence = gather(runner.recorder.state, state.started.trial, judged.purpose, runner.recorder.blobs.get)
    each: dict[str, Verdict] = {}
    if not any(answered.malformed for answered in state.answered):
        each = verdicts(runner.verifier, evidence)
    first = measuring(runner.verifier).name
    found: list[LayerFinding] = []
    rejected: list[Rejection] = []
    for name, verdict in each.items():
        own = [(of_finding(name, f.code, measures=name == first), f) for f in verdict.findings]
        found += [LayerFinding(layer=layer, finding=finding) for layer, finding in own]
        if isinstance(verdict, Rejected):
            # What measures may reject for a layer within it: its last finding says which.
            layer = own[-1][0] if own else of_finding(name, "", measures=name == first)
            rejected.append(Rejection(layer=layer, reason=verdict.reason))
    if isinstance(judged.verdict, Rejected) and not rejected:
        rejected.append(Rejection(layer=SCORING, reason=judged.verdict.reason))
    return found, rejected


def _believed(runner: TrialRunner, trial: str) -> dict[str, float] | None:
    """What the code says about itself, as the ungrounded verifier reads it; None where it says nothing."""
    metric = runner.task.spec.objective.metric
    entry = runner.recorder.state.trials[trial]
    if entry.trained is None:
        return None
    evidence = gather(runner.recorder.state, trial, "screen", runner.recorder.blobs.get)
    verdict = Reported(metric).verify(evidence)
    return {metric: verdict.value(metric)} if isinstance(verdict, Scored) else None
