"""Evidence and verdicts from the record alone: what the loop scores by and what a reviewer derives again.

Nothing here writes, runs code of a candidate's, or needs held-out data.
"""

from __future__ import annotations

from collections.abc import Callable

from rsi.evidence import Answered, Array, Evidence, HeldOut, Purpose
from rsi.execution import Execution
from rsi.prediction import decode_array
from rsi.protocols import Verifier
from rsi.records import Comparison, Finding, Rejected, Verdict
from rsi.scrutiny import findings
from rsi.state import RunState, TrialState

GetBlob = Callable[[str], bytes]


def gather(
    state: RunState,
    trial: str,
    purpose: Purpose,
    get_blob: GetBlob,
    held_out: HeldOut | None = None,
    before: str = "",
) -> Evidence:
    """What a verifier may see of a trial; up to, not including, the challenge named by `before`.

    Only answers given for `screen` are in the evidence of a screening, so that its verdict derives again later.
    """
    entry = state.trials[trial]
    assert entry.trained is not None
    answered: list[Answered] = []
    for answer in entry.answered:
        if answer.challenge == before:
            break
        if purpose == "screen" and answer.purpose == "keep":
            continue
        scores = {name: decode_array(get_blob(digest)) for name, digest in answer.scores.items()}
        answered.append(Answered(challenge=answer.challenge, scores=scores))
    return Evidence(
        split=entry.started.split,
        purpose=purpose,
        training=entry.trained.execution,
        training_stdout=get_blob(entry.trained.stdout),
        answered=tuple(answered),
        reference=_reference_scores(state, trial, get_blob),
        held_out=held_out,
    )


def reference_trial(state: RunState, trial: str) -> str | None:
    """The trial whose scores a trial's challenges are weighed against: the first scored one of its parent's code.

    None for the baseline, and on the holdout, where there is no incumbent to compare with.
    """
    started = state.trials[trial].started
    if started.split == "holdout" or started.experiment == 0:
        return None
    parent = state.experiments[started.experiment].proposed.parent
    return next((name for name in state.experiments[parent].trials if state.trials[name].observation()), None)


def _reference_scores(state: RunState, trial: str, get_blob: GetBlob) -> dict[str, Array] | None:
    reference = reference_trial(state, trial)
    if reference is None or not state.trials[reference].answered:
        return None
    scores = state.trials[reference].answered[0].scores
    return {name: decode_array(get_blob(digest)) for name, digest in scores.items()}


def derive_verdict(entry: TrialState, verifier: Verifier, evidence: Evidence) -> Verdict:
    """The verdict on recorded evidence; an answer that was none is a rejection without asking the verifier."""
    malformed = [a for a in entry.answered if a.malformed and (evidence.purpose == "keep" or a.purpose == "screen")]
    if malformed:
        return Rejected(reason=f"the answer to {malformed[0].challenge!r} is malformed: {malformed[0].malformed}")
    return verifier.verify(evidence)


def execution_findings(state: RunState, trial: str, execution: Execution, get_blob: GetBlob) -> tuple[Finding, ...]:
    """What an execution's attempts amount to, pointing into the diff of the trial's experiment."""
    committed = state.experiments[state.trials[trial].started.experiment].committed
    digest = committed.diff if committed is not None else None
    return findings(execution, get_blob(digest).decode("utf-8", "replace") if digest else "")


def compare(state: RunState, experiment: int) -> Comparison:
    """What the policy sees of an experiment now."""
    limit = state.budget.experiments
    return Comparison(
        objective=state.run.objective,
        candidate=state.arm(experiment),
        incumbent=state.arm(state.incumbent),
        experiments_left=None if limit is None else max(0, limit - experiment),
    )
