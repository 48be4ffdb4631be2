"""The verifier with a known error: what it adds, that the record alone gives it again, and that its favour is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verifier_cases import CASES

import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
from evals.classification import Classification
from evals.language_model import LanguageModel
from evals.noisy import Noisy
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import UsageError
from rsi.evidence import Inspection, Material, Secret
from rsi.records import Rejected, Scored, VerifierError
from rsi.review.verify import verify
from rsi.runs import ReadRun, read
from rsi.session import start
from rsi.task import load_task
from rsi.testing.altering import load, store
from rsi.testing.fake_sandbox import write_fake_task
from rsi.testing.verifier_conformance import question, training_execution
from rsi.verification import chosen

MADE = f"{Path(__file__).with_name('made_noisy.py')}:noisy_fake"
PROPOSER = f"{rsi.testing.fake_proposer.__file__}:FakeProposer"
SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"


def values(verifier, count: int = 400) -> np.ndarray:
    """The measurement of the same answers in so many trials."""
    case = CASES["classification"]
    found = []
    for trial in range(count):
        evidence, _ = question(case, case.answer, "screen")
        held = evidence.model_copy(update={"answered": ()})
        challenge = verifier.challenge(held, Secret(key="5a" * 32).derive("challenge", str(trial)))
        answer = np.asarray(case.answer(challenge), dtype=np.float32)
        answered = evidence.answered[0].model_copy(update={"scores": dict(verifier.score(challenge, answer, {}))})
        verdict = verifier.verify(evidence.model_copy(update={"answered": (answered,)}))
        assert isinstance(verdict, Scored)
        found.append((verdict.value("val_nll"), verdict.value("exact_val_nll")))
    return np.array(found)


def test_the_error_has_the_mean_and_the_spread_that_were_asked_for():
    given = values(Noisy(Classification(classes=10), noise=0.2, bias=0.1))
    error = given[:, 0] - given[:, 1]
    assert np.ptp(given[:, 1]) == 0.0
    assert abs(error.mean() - 0.1) < 4 * 0.2 / np.sqrt(len(error))
    assert abs(error.std() - 0.2) < 4 * 0.2 / np.sqrt(2 * len(error))


def test_the_same_trial_of_the_same_secret_draws_the_same_whatever_the_dials_say():
    small = values(Noisy(Classification(classes=10), noise=0.1), 5)
    large = values(Noisy(Classification(classes=10), noise=0.2), 5)
    np.testing.assert_allclose(2 * (small[:, 0] - small[:, 1]), large[:, 0] - large[:, 1])


def test_with_all_dials_at_rest_the_number_is_exact_and_nothing_is_said():
    case = CASES["classification"]
    plain = case.verifier.verify(question(case, case.answer)[0])
    noisy = Noisy(Classification(classes=10))
    verdict = noisy.verify(question(replace(case, verifier=noisy), case.answer)[0])
    assert verdict.value("val_nll") == verdict.value("exact_val_nll") == plain.value("val_nll")
    assert verdict.findings == plain.findings


def test_every_score_with_an_error_says_so():
    case = CASES["noisy"]
    verdict = case.verifier.verify(question(case, case.answer)[0])
    (said,) = [finding for finding in verdict.findings if finding.code == "noisy.error"]
    assert "standard deviation 0.1, mean 0.5" in said.message


def test_what_the_wrapped_verifier_rejects_stays_rejected():
    case = CASES["noisy"]
    evidence, _ = question(case, lambda challenge: np.full(challenge.answer_shape, np.nan))
    assert isinstance(case.verifier.verify(evidence), Rejected)


def test_a_trial_without_its_draw_is_undecided():
    case = CASES["noisy"]
    evidence, _ = question(case, case.answer)
    scores = {name: array for name, array in evidence.answered[0].scores.items() if name != "noisy.draw"}
    first = evidence.answered[0].model_copy(update={"scores": scores})
    lacking = evidence.model_copy(update={"answered": (first, *evidence.answered[1:])})
    assert isinstance(case.verifier.verify(lacking), VerifierError)


# --- a verifier that can be gamed --------------------------------------------------------------------------------


def material(text: str) -> Material:
    nothing = {"parent": None, "protected": {}, "diff": "", "artifact": {}, "training_data": {}, "held_out": None}
    return Material(code={"train.py": text}, training=training_execution(), **nothing)


def test_a_favour_is_read_in_the_code_moves_the_number_and_is_named():
    case = CASES["noisy-with-a-favour"]
    verifier = case.verifier
    assert not verifier.grounded
    for text, moved in (("x = 1  # please\n", -0.25), ("x = 1\n", 0.0)):
        evidence, _ = question(case, case.answer)
        seen = evidence.model_copy(update={"inspected": {"noisy": verifier.inspect(material(text))}})
        verdict = verifier.verify(seen)
        drawn = float(evidence.answered[0].scores["noisy.draw"][0])
        assert verdict.value("val_nll") - verdict.value("exact_val_nll") == pytest.approx(moved + 0.1 * drawn)
        (said,) = [finding for finding in verdict.findings if finding.code == "noisy.favour"]
        assert said.severity == ("warning" if moved else "notice")


def test_a_favour_that_was_not_read_for_is_undecided():
    case = CASES["noisy-with-a-favour"]
    evidence, _ = question(case, case.answer)
    for inspected in ({}, {"noisy": Inspection()}):
        verdict = case.verifier.verify(evidence.model_copy(update={"inspected": inspected}))
        assert isinstance(verdict, VerifierError)


# --- how it is asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dials", "word"),
    [
        ({"of": "classification", "classes": 10, "noise": -1.0}, "not negative"),
        ({"of": "classification", "classes": 10, "noise": float("nan")}, "give a number"),
        ({"of": "classification", "classes": 10, "bias": "much"}, "give a number"),
        ({"of": "classification", "classes": 10, "favour": "please"}, "go together"),
        ({"of": "classification", "classes": 10, "favour_gain": 0.1}, "go together"),
        ({"of": "classification", "klasses": 10}, "mend its options"),
        ({"of": "clasification"}, "did you mean 'classification'"),
        ({"of": "reported", "metric": "val_nll"}, "asks, grounded, and measures"),
        ({"of": "floor"}, "asks, grounded, and measures"),
        ({"of": Noisy(LanguageModel())}, "asks, grounded, and measures"),
    ],
)
def test_dials_that_make_no_sense_are_refused_in_a_sentence(dials, word):
    with pytest.raises(UsageError, match=word):
        Noisy(**dials)


def test_a_file_that_somebody_elses_run_names_is_not_loaded(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Planted: pass\n")
    with pytest.raises(UsageError, match="registered"):
        Noisy(of=f"{planted}:Planted")
    assert not (tmp_path / "ran").exists()


def test_asked_for_by_name_it_wraps_what_measures_in_the_task():
    options = Noisy.options_for(load_task("digits").spec)
    assert options["of"] == "classification"
    assert isinstance(Noisy(**options, noise=0.1).of, Classification)


def test_what_replaces_the_task_s_verifier_gets_the_options_that_fit_the_task(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("from evals.noisy import Noisy\nclass Own(Noisy):\n    pass\n")
    first, _ = chosen(load_task("digits").spec, [f"{path}:Own"], options={f"{path}:Own": {"noise": 0.5}})
    assert first.options["of"] == "classification"
    assert first.options["noise"] == 0.5
    Noisy(**first.options)


# --- in a run ----------------------------------------------------------------------------------------------------


def ran(folder: Path, **dials) -> ReadRun:
    """A run that walks towards the target, with a noisy verifier."""
    task = folder / "task"
    if not task.exists():
        write_fake_task(task, value=8, verifier=MADE)
    configuration = RunConfiguration(
        task=str(task),
        proposer=Component(name=PROPOSER, options={"values": 9}),
        policy=Component(name="greedy"),
        sandbox=Component(name=SANDBOX),
        verifier=Component(name=MADE, options=dials),
        budget=Budget(experiments=4),
        seed=3,
    )
    with start(configuration, lambda _: None, root=folder / "runs") as session:
        assert session.go() == 0
        where = session.run.folder
    return read(where)


def measured(run: ReadRun, name: str) -> list[float]:
    trials = (trial.observation() for trial in run.state.trials.values())
    return [seen.measurements[name] for seen in trials if seen is not None]


def test_a_run_is_decided_by_the_error_and_derives_again(tmp_path):
    run = ran(tmp_path, noise=0.5, bias=1.0)
    errors = np.subtract(measured(run, "val_loss"), measured(run, "exact_val_loss"))
    assert len(set(errors.round(9))) == len(errors) >= 2
    report = verify(run.folder, trust_paths=True)
    assert report.ok, report.problems
    assert report.counts.verdicts > 0
    assert run.state.run.grounded


def test_another_error_than_the_one_that_was_drawn_is_found(tmp_path):
    run = ran(tmp_path, noise=0.5)
    events = load(run.folder)
    judged = next(event for event in events if event["kind"] == "trial.judged")
    judged["body"]["verdict"]["measurements"][0]["value"] -= 0.25
    store(run.folder, events)
    problems = verify(run.folder, trust_paths=True).problems
    assert (judged["seq"], "verdict") in {(problem.seq, problem.kind) for problem in problems}


def test_a_run_with_a_favour_is_marked_ungrounded_and_what_was_read_derives_again(tmp_path):
    run = ran(tmp_path, favour="VALUE = 8", favour_gain=2.0)
    first, *_ = run.state.trials.values()
    seen = first.observation().measurements
    assert seen["val_loss"] == pytest.approx(seen["exact_val_loss"] - 2.0)
    assert not run.state.run.grounded
    report = verify(run.folder, trust_paths=True)
    assert report.ok, report.problems
    assert report.counts.inspections > 0
