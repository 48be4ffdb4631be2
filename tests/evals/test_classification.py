import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss
from verifier_cases import CASES

from evals.classification import Classification
from rsi.records import Scored
from rsi.testing.verifier_conformance import question


def test_agrees_with_scikit_learn_where_nothing_is_clipped():
    case = CASES["classification"]
    logits = np.random.default_rng(3).normal(size=(40, 10)).astype(np.float32)
    verdict = case.verifier.verify(question(case, lambda _: logits)[0])
    labels = case.held_out.targets["labels"]
    probabilities = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    assert isinstance(verdict, Scored)
    assert verdict.value("val_nll") == pytest.approx(log_loss(labels, probabilities, labels=range(10)), abs=1e-6)
    assert verdict.value("accuracy") == pytest.approx(accuracy_score(labels, logits.argmax(axis=1)))


def test_one_challenge_is_all_there_is_even_before_a_keep():
    case = CASES["classification"]
    assert [challenge.name for challenge in question(case, case.answer, "keep")[1]] == ["examples"]


def test_names_of_measurements_are_options():
    case = CASES["classification"]
    verifier = Classification(classes=10, metric="nll", accuracy="right")
    verdict = verifier.verify(question(case, case.answer)[0])
    assert isinstance(verdict, Scored)
    assert [measurement.name for measurement in verdict.measurements] == ["nll", "right"]
