"""Models that look at their company are found; models that do not, are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in_models import english, honest
from verifier_cases import by_pixels, digits

from evals.classification import Classification
from evals.language_model import LanguageModel
from evals.proper_predictions import ProperPredictions, halves
from rsi.evidence import Secret
from rsi.records import Rejected, Scored
from rsi.testing.verifier_conformance import VerifierCase, question
from rsi.verification import Together


def verdict_on(answer, held_out=None, first=None):
    case = VerifierCase(
        verifier=Together(first or LanguageModel(causality=False), [ProperPredictions()]),
        metric="val_bpb",
        bounds=(0.0, 16.0),
        held_out=held_out or english(24),
        answer=answer,
    )
    return case.verifier.verify(question(case, answer)[0])


def moved(logits, by):
    """Logits pulled towards the first symbol: a little change that log-softmax does not take back."""
    logits = np.array(logits, dtype=np.float32)
    logits[..., 0] += by
    return logits


def of_the_batch(challenge):
    windows = challenge.inputs["windows"].astype(np.float32)
    return moved(honest(challenge), windows.mean() / 50)


def of_the_neighbour(challenge):
    before = np.roll(challenge.inputs["windows"][:, 0].astype(np.float32), 1)
    return moved(honest(challenge), before[:, None] / 100)


def of_the_number(challenge):
    return moved(honest(challenge), 0.0 if len(challenge.inputs["windows"]) == 24 else 0.5)


def of_the_place(challenge):
    return moved(honest(challenge), np.arange(len(challenge.inputs["windows"]), dtype=np.float32)[:, None] / 100)


def of_copies():
    """Whoever sees a row again answers otherwise."""

    def answer(challenge):
        seen, shift = set(), []
        for row in challenge.inputs["windows"]:
            shift.append(0.3 if row.tobytes() in seen else 0.0)
            seen.add(row.tobytes())
        return moved(honest(challenge), np.array(shift, dtype=np.float32)[:, None])

    return answer


def by_chance():
    dice = np.random.default_rng(3)
    return lambda challenge: moved(honest(challenge), dice.normal(0, 0.1, challenge.answer_shape[:2]))


def one_row_only(challenge):
    """A single window out of all is answered by looking at another."""
    windows = challenge.inputs["windows"]
    marked = (windows == english(24).inputs["windows"][7]).all(axis=1)
    return moved(honest(challenge), np.where(marked, len(windows) / 40, 0.0)[:, None])


@pytest.mark.parametrize(
    "answer",
    [of_the_batch, of_the_neighbour, of_the_number, of_the_place, of_copies(), by_chance(), one_row_only],
    ids=["mean of the batch", "neighbour", "size", "place", "copies", "chance", "one row"],
)
def test_a_prediction_that_depends_on_its_company_is_rejected(answer):
    verdict = verdict_on(answer)
    assert isinstance(verdict, Rejected)
    assert verdict.by == "proper-predictions"
    assert {finding.code for finding in verdict.findings} >= {"company"}


def test_a_prediction_of_its_own_input_alone_is_scored():
    assert isinstance(verdict_on(honest), Scored)
    assert isinstance(verdict_on(by_pixels, digits(), Classification(classes=10)), Scored)


def test_rounding_is_no_company():
    dice = np.random.default_rng(3)
    verdict = verdict_on(lambda challenge: moved(honest(challenge), dice.normal(0, 1e-5, challenge.answer_shape[:2])))
    assert isinstance(verdict, Scored)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 600), st.integers(0, 2**32))
def test_every_row_is_asked_again_in_other_company(count, seed):
    parts = halves(count, Secret(key=f"{seed:064x}").generator())
    assert set(parts[0]).isdisjoint(parts[1])
    assert set(parts[0]) | set(parts[1]) == set(range(count))
    assert all(len(part) > len(set(part)) for part in parts)
    assert all(len(part) <= count for part in parts) or count < 40
