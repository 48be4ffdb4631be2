"""Several verifiers in one run: what each asks, reads and has trained is on record, and none can be outvoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from composing import HERE, VERIFIER, configuration, run

from evals.redteam.alone import measured_alone
from rsi import plugins
from rsi.configuration import Component
from rsi.errors import UsageError
from rsi.events import TrialControlled, TrialInspected
from rsi.execution import ExitKind
from rsi.records import Rejected, Scored, VerifierError
from rsi.review.verify import verify
from rsi.session import start
from rsi.task import load_task
from rsi.testing.altering import Events, alter, find
from rsi.testing.fake_sandbox import write_fake_task
from rsi.verification import Together, chosen

BESIDE = f"{HERE / 'scripted.py'}:Beside"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))


def with_another(folder: Path, script: str, wrong: str = ""):
    beside = Component(name=BESIDE, options={"wrong": wrong} if wrong else {})
    return run(folder, configuration(folder, script, verifiers=(beside,)))[1]


def statuses(record) -> list[str]:
    return [str(x.status) for n, x in record.state.experiments.items() if n > 0]


def holds(record) -> None:
    report = verify(record.folder, trust_paths=True)
    assert report.problems == (), report.problems


def test_what_a_verifier_read_and_had_trained_is_on_record_and_derives_again(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30")
    assert statuses(record) == ["kept"]
    trial = record.state.trials["1.1"]
    (inspected,) = trial.inspected
    assert isinstance(inspected, TrialInspected)
    assert inspected.inspection.measured["characters"] > 0
    (controlled,) = trial.controlled
    assert isinstance(controlled, TrialControlled)
    assert controlled.challenge == "beside:half"
    assert controlled.control.share == 0.5
    assert controlled.control.seed != trial.started.seed
    assert controlled.left
    assert controlled.left != trial.trained.artifact
    assert [answered.challenge for answered in trial.answered] == ["points", "recheck", "beside:half"]
    assert "beside.read" in {finding.code for finding in trial.checked.verdict.findings}
    assert [body.execution.purpose for body in trial.runs()] == ["train", "predict", "predict", "train", "predict"]
    holds(record)


def test_who_reads_may_reject_whatever_was_measured(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30:beside-reject 20")
    assert statuses(record) == ["rejected", "kept"]
    verdict = record.state.trials["1.1"].screened.verdict
    assert isinstance(verdict, Rejected)
    assert (verdict.by, verdict.reason) == ("beside", "its code says so")
    holds(record)


def test_what_rejects_first_is_not_asked_further_questions(tmp_path: Path) -> None:
    record = with_another(tmp_path, "39:peek")
    trial = record.state.trials["1.1"]
    assert statuses(record) == ["rejected"]
    assert trial.controlled == ()
    assert trial.checked.verdict.by == "fake"


def test_a_control_that_crashes_is_its_verifiers_to_judge(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30:crash-short")
    assert statuses(record) == ["rejected"]
    trial = record.state.trials["1.1"]
    assert trial.failed is None
    assert trial.controlled[0].execution.kind is ExitKind.CRASHED
    assert trial.controlled[0].left == {}
    holds(record)


def test_a_control_that_was_lost_says_nothing_and_the_trial_is_made_again(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30:lost-short")
    assert statuses(record) == ["kept"]
    assert record.state.trials["1.1"].failed.stage == "control"
    assert record.state.trials["1.1"].failed.kind is ExitKind.LOST
    holds(record)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("inspection", "instead of an inspection"),
        ("challenge", "instead of a challenge"),
        ("objects", "TypeError"),
        ("verdict", "instead of a verdict"),
        ("nan", "valid number"),
    ],
)
def test_a_verifier_that_gives_something_else_is_an_error_and_never_a_score(
    tmp_path: Path, wrong: str, word: str
) -> None:
    record = with_another(tmp_path, "30", wrong)
    trials = record.state.trials
    verdicts = [t.verdict.verdict for t in trials.values() if t.verdict is not None]
    errors = [verdict for verdict in verdicts if isinstance(verdict, VerifierError)]
    assert errors
    assert word in errors[0].message
    assert "beside" in errors[0].message
    assert "kept" not in statuses(record)


def test_a_verifier_that_raises_while_it_reads_leaves_the_trial_undecided(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30:beside-raise")
    assert statuses(record) == ["undecided"]
    assert "ZeroDivisionError" in record.state.trials["1.1"].screened.verdict.message


def test_a_verifier_that_hangs_is_waited_for_no_longer_than_it_may_take(tmp_path: Path) -> None:
    beside = Component(name=BESIDE, options={"wrong": "hang"})
    config = configuration(tmp_path, "30", verifiers=(beside,))
    with start(config, lambda _: None, root=tmp_path / "runs") as session:
        session.loop.trials.verifier_seconds = 0.2
        session.go()
        state = session.run.recorder.state
    verdict = state.trials["0.1"].screened.verdict
    assert isinstance(verdict, VerifierError)
    assert "no answer within 0.2 seconds" in verdict.message


def test_the_holdout_is_asked_by_what_measures_alone(tmp_path: Path) -> None:
    beside = Component(name=BESIDE)
    record = run(tmp_path, configuration(tmp_path, "30", verifiers=(beside,), confirm=2))[1]
    confirming = [t for t in record.state.trials.values() if t.started.split == "holdout"]
    assert confirming
    assert all(isinstance(t.verdict.verdict, Scored) and not t.inspected for t in confirming)


# --- which verifiers ----------------------------------------------------------------------------------------------


def test_a_verifier_named_twice_is_refused() -> None:
    verifier = plugins.load("verifiers", VERIFIER)()
    with pytest.raises(UsageError, match="twice"):
        Together(verifier, [verifier])


def test_what_measures_is_replaced_and_what_stands_beside_is_added(tmp_path: Path) -> None:
    spec = load_task("charlm").spec
    first, beside = chosen(spec)
    assert first.name == "language-model"
    assert [c.name for c in beside] == [further.name for further in spec.verifiers]
    first, beside = chosen(spec, [BESIDE, "reported"], ["floor"], {"proper-predictions": {"tolerance": 0.5}})
    assert first.name == "reported"
    names = {c.name: c for c in beside}
    assert BESIDE in names
    assert "floor" not in names
    assert names["proper-predictions"].options["tolerance"] == 0.5


def test_naming_what_the_task_has_keeps_the_tasks_options() -> None:
    spec = load_task("charlm").spec
    assert chosen(spec, ["language-model", "floor"]) == chosen(spec)


@pytest.mark.parametrize(("without", "options"), [(["flor"], {}), ([], {"flor": {"bound": 1}})])
def test_a_name_that_takes_no_part_is_told(without, options) -> None:
    with pytest.raises(UsageError, match="floor"):
        chosen(load_task("charlm").spec, [], without, options)


def test_the_digest_of_a_task_without_further_verifiers_is_what_it_was(tmp_path: Path) -> None:
    task = load_task(str(write_fake_task(tmp_path / "task", verifier=VERIFIER)))
    assert "verifiers" in task.spec.model_dump_json()
    more = task.model_copy(update={"spec": task.spec.model_copy(update={"verifiers": (task.spec.verifier,)})})
    assert task.digest() != more.digest()


def test_a_reading_that_was_altered_does_not_derive_again(tmp_path: Path) -> None:
    record = with_another(tmp_path, "30")

    def silenced(events: Events) -> None:
        events[find(events, "trial.inspected")]["body"]["inspection"]["findings"] = []

    alter(record.folder, silenced)
    kinds = {problem.kind for problem in verify(record.folder, trust_paths=True).problems}
    assert "inspection" in kinds


def test_weights_that_are_lost_before_the_keep_stop_the_run_with_a_sentence(tmp_path: Path) -> None:
    config = configuration(tmp_path, "30")
    with start(config, lambda _: None, root=tmp_path / "runs") as session:

        def lose(event, state) -> None:
            if event.kind == "policy.decided":
                for digest in state.trials["1.1"].trained.artifact.values():
                    (session.run.folder / "blobs" / digest[:2] / digest[2:]).unlink()

        code = session.go([lose])
        paused = session.run.recorder.state.paused
    assert code == 1
    assert "The weights of trial 1.1 are lost" in paused.reason


def test_a_trial_whose_control_is_lost_each_time_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    """Its training goes well every time, so that nothing is lost in a row."""
    config = configuration(tmp_path, "30:lost-once", verifiers=(Component(name=BESIDE),))
    code, record = run(tmp_path, config)
    assert code == 3
    assert "the same trial of experiment 1 was lost 3 times" in record.state.paused.reason


def test_what_measures_may_name_its_challenges_as_it_likes(tmp_path: Path) -> None:
    verifier = Component(name=f"{HERE / 'scripted.py'}:WithColons")
    record = run(tmp_path, configuration(tmp_path, "30", verifier=verifier, verifiers=(Component(name=BESIDE),)))[1]
    assert statuses(record) == ["kept"]
    assert "my:points" in [answered.challenge for answered in record.state.trials["1.1"].answered]
    holds(record)


def test_the_score_alone_is_had_whatever_stands_beside(tmp_path: Path) -> None:
    config = configuration(tmp_path, "30", verifiers=(Component(name=BESIDE),))
    alone: dict[str, dict[str, float]] = {}
    with start(config, lambda _: None, root=tmp_path / "runs") as session:

        def measure(event, state) -> None:
            if event.kind == "trial.judged":  # while the raw answers are still there
                alone[event.body["trial"]] = measured_alone(session.loop.trials, event.body["trial"])

        session.go([measure])
        verdict = session.run.recorder.state.trials["1.1"].screened.verdict
    assert alone["1.1"] == {m.name: m.value for m in verdict.measurements}
    assert alone["1.1"]
