"""The score that a trial's answers get where only the verifier that measures is asked: honest code must get that one.

Nothing of what the other verifiers left on record is used: the questions are derived anew, and the sealed answers are
scored again.
"""

from __future__ import annotations

from collections.abc import Iterator

from rsi.derive import gather
from rsi.errors import EnvironmentFault
from rsi.evidence import Answered, Array, Evidence
from rsi.prediction import read_answer
from rsi.records import Scored
from rsi.trial import TrialRunner
from rsi.verification import measuring


def measured_alone(runner: TrialRunner, trial: str) -> dict[str, float]:
    """By name; empty where what measures gives no score. Raw answers must still be there."""
    evidence = _blank(runner, trial)
    try:
        for answered in _answers(runner, trial, evidence):
            evidence = evidence.model_copy(update={"answered": (*evidence.answered, answered)})
        verdict = measuring(runner.verifier).verify(evidence.model_copy(update={"held_out": None}))
    except EnvironmentFault:
        raise
    except Exception:  # a lab's own verifier may raise anything; what it raised in the run is on record
        return {}
    return {m.name: m.value for m in verdict.measurements} if isinstance(verdict, Scored) else {}


def _blank(runner: TrialRunner, trial: str) -> Evidence:
    recorder = runner.recorder
    held_out = runner.held_out(recorder.state.trials[trial].started.split) if runner.data else None
    evidence = gather(recorder.state, trial, "screen", recorder.blobs.get, held_out)
    return evidence.model_copy(update={"answered": (), "inspected": {}})


def _answers(runner: TrialRunner, trial: str, evidence: Evidence) -> Iterator[Answered]:
    """The sealed answers to what is asked for screening, in that order, each scored again."""
    verifier, secret = measuring(runner.verifier), runner.secret.derive("challenge", trial)
    given = {answered.challenge: answered for answered in runner.recorder.state.trials[trial].answered}
    sealed: dict[str, Array] = {}
    while (challenge := verifier.challenge(evidence, secret)) is not None:
        digest = given[challenge.name].answer
        if digest is None or challenge.name in sealed:
            return
        answer = read_answer({"answer.bin": runner.recorder.blobs.get(digest)}, challenge)
        answered = Answered(challenge=challenge.name, scores=dict(verifier.score(challenge, answer, sealed)))
        sealed[challenge.name] = answer
        evidence = evidence.model_copy(update={"answered": (*evidence.answered, answered)})
        yield answered
