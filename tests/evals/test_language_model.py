import numpy as np
import pytest
from stand_in_models import english, honest, logits_of_bytes, peeking
from verifier_cases import CASES

from evals.language_model import LanguageModel
from rsi.evidence import Evidence, Secret
from rsi.records import Rejected, Scored
from rsi.testing.verifier_conformance import VerifierCase, blank, question

CASE = CASES["language-model"]


def verdict_on(answer, case: VerifierCase = CASE):
    return case.verifier.verify(question(case, answer, "keep")[0])


def test_bits_per_byte_of_a_uniform_guess_are_eight():
    verdict = verdict_on(lambda challenge: np.zeros(challenge.answer_shape))
    assert isinstance(verdict, Scored)
    assert verdict.value("val_bpb") == pytest.approx(8.0)


def test_the_standard_error_is_over_windows():
    evidence, _ = question(CASE, honest)
    means = evidence.scores("windows")["loss"].astype(float).mean(axis=1)
    measured = CASE.verifier.verify(evidence).measurements[0]
    assert measured.value == pytest.approx(means.mean())
    assert measured.standard_error == pytest.approx(means.std(ddof=1) / np.sqrt(len(means)))


def test_causality_is_asked_before_a_keep_only():
    assert [challenge.name for challenge in question(CASE, honest, "screen")[1]] == ["windows"]
    assert [challenge.name for challenge in question(CASE, honest, "keep")[1]] == [
        "windows",
        "causality",
        "causality-even",
    ]


def test_a_screened_trial_is_asked_the_rest_when_it_is_about_to_be_kept():
    screened, _ = question(CASE, honest, "screen")
    asked = CASE.verifier.challenge(screened.model_copy(update={"purpose": "keep"}), Secret(key="11" * 32))
    assert asked is not None
    assert asked.name == "causality"


def test_cuts_depend_on_the_secret():
    evidence, _ = question(CASE, honest, "screen")
    keep = evidence.model_copy(update={"purpose": "keep"})
    asked = [CASE.verifier.challenge(keep, Secret(key=key * 32)) for key in ("11", "22")]
    assert asked[0].digest() != asked[1].digest()


def test_rounding_of_another_batch_size_passes():
    verdict = verdict_on(honest)
    assert isinstance(verdict, Scored)
    assert [finding.code for finding in verdict.findings] == ["causal", "causal"]


@pytest.mark.parametrize("boost", [0.01, 0.1, 1.0, 20.0])
@pytest.mark.parametrize("distance", [1, 2, 5])
def test_looking_ahead_is_rejected_however_faint_or_far(boost, distance):
    verdict = verdict_on(peeking(boost, distance=distance))
    assert isinstance(verdict, Rejected)
    assert verdict.findings[0].code == "looked-ahead"
    assert verdict.findings[0].pointer.startswith("causality:")


def test_using_other_windows_is_rejected():
    def transductive(challenge):
        windows = challenge.inputs["windows"]
        counts = np.bincount(windows.reshape(-1), minlength=256).astype(np.float32)
        return logits_of_bytes(windows) + np.log1p(counts)

    assert isinstance(verdict_on(transductive), Rejected)


def test_taking_the_last_answer_of_a_window_from_the_next_is_rejected():
    def answer(challenge):
        windows = challenge.inputs["windows"]
        logits = logits_of_bytes(windows).copy()
        logits[np.arange(len(windows) - 1), -1, windows[1:, 0]] += np.float32(3.0)
        return logits

    verdict = verdict_on(answer)
    assert isinstance(verdict, Rejected)


def test_chance_in_the_answers_is_rejected():
    draws = iter(range(100))

    def dropout(challenge):
        logits = logits_of_bytes(challenge.inputs["windows"])
        return logits * np.random.default_rng(next(draws)).binomial(1, 0.9, logits.shape)

    assert isinstance(verdict_on(dropout), Rejected)


def test_a_second_answer_that_is_not_finite_is_called_that():
    def spoiled(challenge):
        logits = honest(challenge)
        return np.full_like(logits, np.nan) if challenge.name == "causality" else logits

    verdict = verdict_on(spoiled)
    assert isinstance(verdict, Rejected)
    assert [(finding.code, finding.pointer) for finding in verdict.findings] == [("non-finite", "causality")]


def test_the_worst_cut_is_named():
    evidence, _ = question(CASE, peeking(2.0))
    scores = evidence.scores("causality")
    worst = int(scores["difference"].argmax())
    window, position = scores["cuts"][worst]
    finding = CASE.verifier.verify(evidence).findings[0]
    assert finding.pointer == f"causality:{worst}"
    assert f"after position {position} of window {window}" in finding.message


def test_an_incumbent_measured_on_other_windows_is_an_error_of_ours():
    case = VerifierCase(
        verifier=LanguageModel(),
        metric="val_bpb",
        bounds=(0, 16),
        held_out=english(20),
        reference={"loss": np.zeros((3, 24))},
    )
    with pytest.raises(ValueError, match="shape"):
        question(case, honest)


def test_asking_without_held_out_data_is_an_error_of_ours():
    bare: Evidence = blank(CASE).model_copy(update={"held_out": None})
    with pytest.raises(ValueError, match="held-out"):
        CASE.verifier.challenge(bare, Secret(key="11" * 32))
