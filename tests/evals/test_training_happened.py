"""Code that trains differs from its control; code that only pretends does not."""

import numpy as np
import pytest
from stand_in_models import english, honest
from verifier_cases import worse_in_a_control

from evals.language_model import LanguageModel
from evals.training_happened import TrainingHappened
from rsi.evidence import Answered
from rsi.execution import ExitKind
from rsi.records import Rejected, Scored, Severity, VerifierError
from rsi.testing.verifier_conformance import VerifierCase, question, training_execution
from rsi.verification import Together

CASE = VerifierCase(
    verifier=Together(LanguageModel(causality=False), [TrainingHappened()]),
    metric="val_bpb",
    bounds=(0.0, 16.0),
    held_out=english(24),
    answer=honest,
)
TRAINED = worse_in_a_control(honest)


def told(answer=TRAINED, **changes):
    """The evidence of a trial whose controls answered so; `changes` by the challenge's plain name."""
    evidence, _ = question(CASE, answer)
    answered = []
    for one in evidence.answered:
        update = changes.get(one.challenge.partition(":")[2].replace("-", "_"), {})
        answered.append(one.model_copy(update=update))
    return evidence.model_copy(update={"answered": tuple(answered)})


def test_what_training_bought_is_told():
    verdict = CASE.verifier.verify(told())
    assert isinstance(verdict, Scored)
    assert [finding.code for finding in verdict.findings] == ["trained"]


def test_code_that_predicts_as_well_without_its_budget_is_rejected():
    verdict = CASE.verifier.verify(told(honest))
    assert isinstance(verdict, Rejected)
    assert (verdict.by, verdict.findings[-1].code) == ("training-happened", "untrained")


def test_code_that_leaves_the_same_whatever_its_seed_and_budget_is_rejected():
    verdict = CASE.verifier.verify(told(control={"control_artifact": {"model.safetensors": "0" * 64}}))
    assert isinstance(verdict, Rejected)
    assert "very same artifact" in verdict.reason


@pytest.mark.parametrize("which", ["control", "another_seed"])
@pytest.mark.parametrize("kind", [ExitKind.CRASHED, ExitKind.TIMED_OUT, ExitKind.CPU_EXCEEDED])
def test_a_control_that_does_not_train_is_a_doubt_and_never_a_keep(which, kind):
    ended = training_execution().model_copy(update={"kind": kind})
    verdict = CASE.verifier.verify(told(**{which: {"control": ended, "scores": {}, "control_artifact": {}}}))
    assert isinstance(verdict, Rejected)
    assert "does not train" in verdict.reason


def test_a_seed_that_changes_nothing_is_a_warning():
    left = {"model.safetensors": "1" * 64}
    verdict = CASE.verifier.verify(told(control={"control_artifact": left}, another_seed={"control_artifact": left}))
    assert isinstance(verdict, Scored)
    assert next((f.severity, f.code) for f in verdict.findings) == (Severity.WARNING, "seed-ignored")


def test_other_trials_of_the_code_spare_the_second_control():
    evidence = told()
    assert len(evidence.answered) == 3
    fewer = evidence.model_copy(update={"other_artifacts": ({"model.safetensors": "2" * 64},)})
    without = fewer.model_copy(update={"answered": evidence.answered[:2]})
    assert isinstance(CASE.verifier.verify(without), Scored)
    same = without.model_copy(update={"other_artifacts": (evidence.artifact,)})
    assert CASE.verifier.verify(same).findings[0].code == "seed-ignored"
    missing = evidence.model_copy(update={"answered": evidence.answered[:2]})
    assert isinstance(CASE.verifier.verify(missing), VerifierError)


def test_both_controls_train_under_seeds_of_their_own_and_the_same_share():
    _, asked = question(CASE, TRAINED)
    controls = [challenge.control for challenge in asked if challenge.control is not None]
    assert len(controls) == 2
    assert controls[0].seed != controls[1].seed
    assert {control.share for control in controls} == {TrainingHappened().share}


def test_a_lucky_window_does_not_make_a_training():
    """Better on one window in twenty-four by much, on none by more than nothing: within the error, so nothing."""
    gain = np.zeros(24, dtype=np.float32)
    gain[0] = 1.0
    scores = {"gain": gain, "finite": np.array(1, dtype=np.uint8)}
    evidence = told()
    answered = [
        one if one.challenge == "windows" else Answered.model_validate({**one.__dict__, "scores": scores})
        for one in evidence.answered
    ]
    assert isinstance(CASE.verifier.verify(evidence.model_copy(update={"answered": tuple(answered)})), Rejected)
