"""What every verifier must do, as checks that a lab can run on its own.

    from rsi.testing.verifier_conformance import CHECKS, VerifierCase

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_verifier_keeps_the_contract(check):
        check(VerifierCase(verifier=MyVerifier(), held_out=..., answer=..., metric="val_x", bounds=(0.0, 16.0)))

A check fails with an AssertionError whose message says what was expected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from rsi.evidence import Answered, Array, Challenge, Evidence, HeldOut, Inspection, Purpose, Secret
from rsi.execution import Execution, ExitKind, Limits, Usage
from rsi.prediction import decode_array, encode_array
from rsi.protocols import Verifier
from rsi.records import Rejected, Scored, Verdict, VerifierError

SECRET = Secret(key="5a" * 32)
MOST_CHALLENGES = 16
PURPOSES: tuple[Purpose, ...] = ("screen", "keep")


@dataclass(frozen=True)
class VerifierCase:
    """A verifier with what is needed to question it."""

    verifier: Verifier
    metric: str
    """The measurement that every scored verdict must hold."""
    bounds: tuple[float, float]
    """The least and the greatest value that the metric can have, whatever the answers."""
    held_out: HeldOut | None = None
    """None for an ungrounded verifier."""
    answer: Callable[[Challenge], Array] | None = None
    """An honest answer, which must lead to a score."""
    stdout: bytes = b""
    """What an honest training printed; grounded verifiers must not read it."""
    reference: dict[str, Array] | None = field(default=None)
    """Scores of an incumbent's first challenge, where the verifier uses them."""
    any_number_counts: bool = False
    """Whether NaN and infinities mean something in an answer, as in preferences: then they must be scored as well."""
    inspected: dict[str, Inspection] = field(default_factory=dict)
    """What verifiers that read found in honest code, by their names."""


def training_execution() -> Execution:
    """The record of a training that completed."""
    return Execution(
        sandbox="none",
        purpose="train",
        argv=("code/train.py",),
        environment_names=(),
        limits=Limits(),
        started="2000-01-01T00:00:00Z",
        kind=ExitKind.COMPLETED,
        exit_code=0,
        usage=Usage(wall_seconds=1.0, cpu_seconds=1.0),
    )


def blank(case: VerifierCase, purpose: Purpose = "screen") -> Evidence:
    """The evidence before anything was asked."""
    return Evidence(
        split="dev",
        purpose=purpose,
        training=training_execution(),
        training_stdout=case.stdout,
        reference=case.reference,
        inspected=case.inspected,
        artifact={"model.safetensors": "0" * 64},
        held_out=case.held_out,
    )


def question(
    case: VerifierCase, answer: Callable[[Challenge], Array] | None, purpose: Purpose = "keep"
) -> tuple[Evidence, tuple[Challenge, ...]]:
    """Ask and answer until nothing more is asked, as the loop does; scores pass through their stored form."""
    evidence = blank(case, purpose)
    asked: list[Challenge] = []
    sealed: dict[str, Array] = {}
    while (challenge := case.verifier.challenge(evidence, SECRET)) is not None:
        assert answer is not None, "an ungrounded verifier asks nothing"
        assert len(asked) < MOST_CHALLENGES, "challenge() must return None once enough was answered"
        assert challenge.name not in {earlier.name for earlier in asked}, "no challenge is asked twice"
        if challenge.control is not None and not challenge.inputs:
            told = Answered(challenge=challenge.name, scores={}, **_control(challenge))
            evidence = evidence.model_copy(update={"answered": (*evidence.answered, told)})
            asked.append(challenge)
            continue
        raw = np.asarray(answer(challenge), dtype="<f4").reshape(challenge.answer_shape)
        scores = case.verifier.score(challenge, raw, sealed)
        stored = {name: decode_array(encode_array(array)) for name, array in scores.items()}
        told = Answered(challenge=challenge.name, scores=stored, shape=challenge.answer_shape, **_control(challenge))
        answered = (*evidence.answered, told)
        sealed[challenge.name] = raw
        asked.append(challenge)
        evidence = evidence.model_copy(update={"answered": answered})
    return evidence, tuple(asked)


def _control(challenge: Challenge) -> dict[str, Any]:
    """What the loop tells of a control that trained, and left what its seed and share made."""
    if challenge.control is None:
        return {}
    left = hashlib.sha256(challenge.control.model_dump_json().encode()).hexdigest()
    return {"control": training_execution(), "control_artifact": {"model.safetensors": left}}


# --- the checks ------------------------------------------------------------------------------------------------


def an_honest_answer_is_scored(case: VerifierCase) -> None:
    """Both purposes lead to a measurement of the promised name, within the promised bounds."""
    for purpose in PURPOSES:
        verdict = case.verifier.verify(question(case, case.answer, purpose)[0])
        assert isinstance(verdict, Scored), f"an honest answer must be scored for {purpose!r}, not {verdict}"
        _assert_within(case, verdict)


def verdicts_are_pure(case: VerifierCase) -> None:
    """The same evidence gives an equal verdict and the same challenges, in any order of asking."""
    first, asked = question(case, case.answer)
    again, asked_again = question(case, case.answer)
    assert [c.digest() for c in asked] == [c.digest() for c in asked_again], "the same secret, the same challenges"
    assert case.verifier.verify(first) == case.verifier.verify(again) == case.verifier.verify(first)


def verdicts_need_no_held_out_data(case: VerifierCase) -> None:
    """A verdict derives again from scores alone."""
    evidence, _ = question(case, case.answer)
    bare = evidence.model_copy(update={"held_out": None})
    assert case.verifier.verify(bare) == case.verifier.verify(evidence)


def verdicts_survive_the_ledger(case: VerifierCase) -> None:
    """Written as JSON and read back, a verdict is equal."""
    verdict = case.verifier.verify(question(case, case.answer)[0])
    adapter: TypeAdapter[Verdict] = TypeAdapter(Verdict)
    assert adapter.validate_json(adapter.dump_json(verdict)) == verdict


def a_missing_answer_is_an_error(case: VerifierCase) -> None:
    """What was asked and not answered is neither a score nor a rejection."""
    evidence, asked = question(case, case.answer)
    for count in range(len(asked)):
        part = evidence.model_copy(update={"answered": evidence.answered[:count]})
        verdict = case.verifier.verify(part)
        assert isinstance(verdict, VerifierError), f"{count} of {len(asked)} answers must be an error, not {verdict}"


def numbers_that_are_none_are_rejected(case: VerifierCase) -> None:
    """NaN and infinities, everywhere or once, never raise, and never score unless the verifier gives them a meaning."""
    for value in (np.nan, np.inf, -np.inf):
        for everywhere in (True, False):
            _, asked = question(case, case.answer)
            for spoiled in (challenge for challenge in asked if challenge.inputs):
                evidence, _ = question(case, _spoil(case, spoiled.name, value, everywhere))
                verdict = case.verifier.verify(evidence)
                if case.any_number_counts and isinstance(verdict, Scored):
                    _assert_within(case, verdict)
                    continue
                assert isinstance(verdict, Rejected), f"{value} in {spoiled.name!r} must be rejected, not {verdict}"


def extreme_answers_stay_within_bounds(case: VerifierCase) -> None:
    """Constant, huge and tiny answers never raise, and their scores stay finite and within the bounds."""
    generator = np.random.default_rng(0)

    def random(challenge: Challenge) -> Array:
        return np.asarray(1e38 * generator.standard_normal(challenge.answer_shape).clip(-3, 3))

    def constant(value: float) -> Callable[[Challenge], Array]:
        return lambda challenge: np.full(challenge.answer_shape, value)

    for answer in (random, *(constant(value) for value in (0.0, -0.0, 3.4e38, -3.4e38, 1e-45))):
        for purpose in PURPOSES:
            verdict = case.verifier.verify(question(case, answer if case.answer is not None else None, purpose)[0])
            assert not isinstance(verdict, VerifierError), "an answer, however odd, is the candidate's doing"
            if isinstance(verdict, Scored):
                _assert_within(case, verdict)


def printed_text_changes_nothing(case: VerifierCase) -> None:
    """A grounded verifier does not read what training printed; an ungrounded one never raises for it."""
    evidence, _ = question(case, case.answer)
    expected = case.verifier.verify(evidence)
    for text in (b"", f"{case.metric}: 0.0\n".encode(), b"\xff\x00\x1b[2J" * 100, b"9" * 100_000):
        verdict = case.verifier.verify(evidence.model_copy(update={"training_stdout": text}))
        assert not case.verifier.grounded or verdict == expected, "a printed number must not count"


def nothing_hidden_is_sent(case: VerifierCase) -> None:
    """No challenge sends the targets, or what scoring needs, to the candidate."""
    for challenge in question(case, case.answer)[1]:
        hidden = [*challenge.context.values(), *(case.held_out.targets.values() if case.held_out else ())]
        for name, array in challenge.inputs.items():
            assert not any(np.array_equal(array, secret) for secret in hidden), f"{name!r} gives the answer away"


CHECKS: tuple[Callable[[VerifierCase], None], ...] = (
    an_honest_answer_is_scored,
    verdicts_are_pure,
    verdicts_need_no_held_out_data,
    verdicts_survive_the_ledger,
    a_missing_answer_is_an_error,
    numbers_that_are_none_are_rejected,
    extreme_answers_stay_within_bounds,
    printed_text_changes_nothing,
    nothing_hidden_is_sent,
)


def _assert_within(case: VerifierCase, verdict: Scored) -> None:
    low, high = case.bounds
    value = verdict.value(case.metric)
    assert low <= value <= high, f"{case.metric} = {value} lies outside {case.bounds}"


def _spoil(case: VerifierCase, name: str, value: float, everywhere: bool) -> Callable[[Challenge], Array]:
    def answer(challenge: Challenge) -> Array:
        assert case.answer is not None
        raw = np.array(case.answer(challenge), dtype=np.float32)
        if challenge.name == name:
            raw.reshape(-1)[: None if everywhere else 1] = value
        return raw

    return answer
