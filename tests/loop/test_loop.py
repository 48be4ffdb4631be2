"""What the loop does with every end that an experiment can come to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from composing import HERE, SANDBOX, configuration, go_on, run, said

from rsi.configuration import Budget, Component, Retention
from rsi.derive import history
from rsi.errors import UsageError
from rsi.execution import ExitKind
from rsi.records import ExperimentStatus, Keep, Measure, Propose, Rejected, VerifierError
from rsi.review.improvement import statement
from rsi.review.summary import summarise
from rsi.session import resume, start
from rsi.state import RunState, fold


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))


def statuses(run_) -> list[str]:
    return [str(x.status) for n, x in run_.state.experiments.items() if n > 0]


def test_better_code_is_kept_and_worse_discarded(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "30 35 20"))
    assert code == 0
    assert statuses(record) == ["kept", "discarded", "kept"]
    assert record.state.incumbent == 3
    assert record.state.finished is not None
    first, last = record.state.mean(0), record.state.mean(3)
    assert last < first


@pytest.mark.parametrize(
    ("marker", "status", "kind"),
    [
        ("crash", "crashed", ExitKind.CRASHED),
        ("oom", "crashed", ExitKind.OUT_OF_MEMORY),
        ("disk", "crashed", ExitKind.DISK_FULL),
        ("timeout", "rejected", ExitKind.TIMED_OUT),
        ("cpu", "rejected", ExitKind.CPU_EXCEEDED),
        ("output", "rejected", ExitKind.OUTPUT_EXCEEDED),
        ("forbidden", "rejected", ExitKind.FORBIDDEN_OUTPUT),
        ("predict-crash", "crashed", ExitKind.CRASHED),
    ],
)
def test_a_failed_trial_is_recorded_as_what_it_is_and_never_scored(
    tmp_path: Path, marker: str, status: str, kind: ExitKind
) -> None:
    code, record = run(tmp_path, configuration(tmp_path, f"1:{marker} 30"))
    assert code == 0
    assert statuses(record) == [status, "kept"]
    trial = record.state.trials["1.1"]
    assert trial.failed.kind is kind
    assert trial.observation() is None
    assert record.state.experiments[1].closed.gain is None


def test_answers_that_are_no_numbers_are_rejected(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "1:nan"))
    assert statuses(record) == ["rejected"]
    assert isinstance(record.state.trials["1.1"].screened.verdict, Rejected)


def test_a_cheat_that_screens_well_is_rejected_before_the_keep(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "39:peek"))
    assert isinstance(record.state.experiments[1].decision, Keep)
    assert isinstance(record.state.trials["1.1"].checked.verdict, Rejected)
    assert statuses(record) == ["rejected"]
    assert record.state.incumbent == 0


def test_a_verifier_that_raises_leaves_the_experiment_undecided(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "30", verifier=Component(name=f"{HERE / 'scripted.py'}:Raising")))
    assert statuses(record) == ["undecided"]
    verdict = record.state.trials["1.1"].screened.verdict
    assert isinstance(verdict, VerifierError)
    assert "ZeroDivisionError" in verdict.message


@pytest.mark.parametrize(
    ("word", "reason"), [("same", "no change"), ("outside", "editable"), ("40", "no change"), ("(((", "syntax")]
)
def test_an_edit_that_cannot_be_used_is_refused_and_nothing_runs(tmp_path: Path, word: str, reason: str) -> None:
    _, record = run(tmp_path, configuration(tmp_path, f"{word} 30"))
    assert statuses(record) == ["refused", "kept"]
    assert record.state.experiments[1].trials == ()


def test_code_tried_before_is_refused(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "50 50"))
    assert statuses(record) == ["discarded", "refused"]
    assert "tried before" in record.state.experiments[2].closed.reason


def test_a_policy_that_asks_for_more_trials_gets_them_on_either_side(tmp_path: Path) -> None:
    policy = Component(name=f"{HERE / 'scripted.py'}:Careful")
    _, record = run(tmp_path, configuration(tmp_path, "30 10", policy=policy))
    assert statuses(record) == ["kept", "kept"]
    assert len(record.state.observations(0)) == 2
    assert len(record.state.observations(1)) == 2
    kinds = [d.decision.kind for d in record.state.experiments[1].decisions]
    assert kinds == ["measure", "measure", "keep"]
    seeds = [t.started.seed for t in record.state.trials.values()]
    assert len(set(seeds)) == len(seeds)


def test_more_trials_of_a_candidate_that_then_crash_close_it_without_a_score(tmp_path: Path) -> None:
    class AlwaysMore:
        name = "more"

        def decide(self, comparison, history):
            return Measure(rule="more", reason="never enough", arm="incumbent")

        def plan(self, history):
            return Propose(rule="more", reason="always")

    config = configuration(tmp_path, "30")
    with start(config, said, root=tmp_path / "runs") as session:
        session.loop.policy = AlwaysMore()
        stopper = threading.Timer(1.0, session.loop.stop)
        stopper.start()
        code = session.go()
        stopper.join()
    assert code == 130


def test_a_lost_trial_is_tried_again_with_the_same_seed(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "30:lost-once"))
    assert code == 0
    lost, again = record.state.trials["1.1"], record.state.trials["1.2"]
    assert lost.failed.kind is ExitKind.LOST
    assert again.observation() is not None
    assert lost.started.seed == again.started.seed
    assert statuses(record) == ["kept"]


def test_a_check_before_a_keep_that_is_lost_is_made_again_on_a_new_trial_of_the_same_seed(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "30:lost-recheck"))
    assert code == 0
    assert statuses(record) == ["kept"]
    assert record.state.trials["1.1"].failed.kind is ExitKind.LOST
    assert record.state.trials["1.2"].started.seed == record.state.trials["1.1"].started.seed
    assert [o.trial for o in record.state.observations(1)] == ["1.2"]


def test_an_engine_that_stays_lost_pauses_the_run_with_a_sentence(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "30:lost"))
    assert code == 3
    assert "lost" in record.state.paused.reason
    assert record.state.experiments[1].status is ExperimentStatus.OPEN


def test_an_interrupt_ends_the_trial_under_way_and_the_run_goes_on_later(tmp_path: Path) -> None:
    with start(configuration(tmp_path, "30:hang 20"), said, root=tmp_path / "runs") as session:

        def stop_when_training(event, state) -> None:
            if event.kind == "trial.started" and state.trials.keys() >= {"1.1"}:
                threading.Timer(0.3, session.loop.stop).start()

        began = time.monotonic()
        code = session.go([stop_when_training])
        where = session.run.folder
    assert code == 130
    assert time.monotonic() - began < 10
    with resume(where, said) as session:
        assert session.run.recorder.state.trials["1.1"].failed.kind is ExitKind.INTERRUPTED
        threading.Timer(0.5, session.loop.stop).start()
        assert session.go() == 130
    record = fold(session.run.recorder.ledger.events)
    assert record.trials["1.2"].started.seed == record.trials["1.1"].started.seed


def test_a_proposer_that_raises_pauses_the_run(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "30 raise"))
    assert code == 1
    assert "ValueError" in record.state.paused.reason


def test_a_baseline_that_fails_pauses_the_run(tmp_path: Path) -> None:
    config = configuration(tmp_path, "30")
    (tmp_path / "task" / "train.py").write_text("VALUE = 40\n# fake: crash\n")
    code, record = run(tmp_path, config)
    assert code == 1
    assert "baseline" in record.state.paused.reason


def test_the_confirmation_uses_fresh_seeds_the_holdout_and_both_arms(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "20 10", confirm=4, parallel=2))
    assert code == 0
    confirmation = record.state.confirmation
    assert len(confirmation.baseline_values) == len(confirmation.best_values) == 4
    assert confirmation.improvement.low > 0
    confirming = [record.state.trials[t].started for t in record.state.confirming]
    assert {t.split for t in confirming} == {"holdout"}
    measuring = [t.started for t in record.state.trials.values() if t.started.role == "measure"]
    assert not {t.seed for t in confirming} & {t.seed for t in measuring}


def test_nothing_kept_means_nothing_to_confirm(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "50", confirm=3))
    assert record.state.confirmation is None
    assert record.state.confirming == []


def test_a_finished_run_wants_more_budget_before_it_goes_on(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "30 20", budget=Budget(experiments=1), confirm=2))
    with pytest.raises(UsageError, match="finished"):
        resume(record.folder, said)
    code, record = go_on(record.folder, Budget(experiments=2))
    assert code == 0
    assert record.state.incumbent == 2
    assert record.state.confirmation.best == 2


def test_raw_answers_go_and_evidence_and_kept_artifacts_stay(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "50 30 60", retention=Retention(artifacts=0)))
    state, blobs = record.state, record.blobs
    for name, trial in state.trials.items():
        kept = state.experiments[trial.started.experiment].status is ExperimentStatus.KEPT
        assert all(blobs.has(digest) is kept for digest in trial.trained.artifact.values()), name
        assert blobs.has(trial.trained.stdout)
        for answered in trial.answered:
            assert not blobs.has(answered.answer)
            assert all(blobs.has(digest) for digest in answered.scores.values())


def test_two_runs_with_one_seed_are_alike(tmp_path: Path) -> None:
    def told(record) -> list[object]:
        hidden = {"execution", "scoring_seconds", "verifying_seconds", "session_seconds", "run", "commit", "comparison"}
        return [(e.kind, {k: v for k, v in e.body.items() if k not in hidden}) for e in record.events[2:]]

    _, one = run(tmp_path, configuration(tmp_path, "30 20 25", confirm=2))
    _, two = run(tmp_path, configuration(tmp_path, "30 20 25", confirm=2))
    assert told(one) == told(two)


def test_code_that_fails_on_some_seeds_is_not_confirmed_by_the_others(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "20:crash-odd", confirm=6, seed=2))
    confirmation = record.state.confirmation
    assert record.state.incumbent == 1, "the search's own seed must be an even one for this test"
    assert 0 < len(confirmation.unscored) < 6
    assert confirmation.improvement is None
    assert "gave no score" in statement(summarise(record))


def test_code_that_ignores_its_seed_is_not_confirmed(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "20:no-noise", confirm=4))
    confirmation = record.state.confirmation
    assert len(set(confirmation.best_values)) == 1
    assert confirmation.improvement.low is None
    assert not summarise(record).confirmation.established
    assert "same result under every seed" in statement(summarise(record))


def test_a_run_that_outgrows_its_disk_quota_pauses_and_says_so(tmp_path: Path) -> None:
    sandbox = Component(name=SANDBOX, options={"points": 600_000})
    quota = Retention(artifacts=0, quota_bytes=16 * 2**20)
    code, record = run(tmp_path, configuration(tmp_path, "50 60 70 80 90", sandbox=sandbox, retention=quota))
    assert code == 3
    assert "--disk-quota" in record.state.paused.reason
    assert record.blobs.size() > quota.quota_bytes
    dropped = [d for t in record.state.trials.values() for a in t.answered for d in (a.answer,)]
    assert not any(record.blobs.has(digest) for digest in dropped)


def test_what_a_policy_is_told_does_not_depend_on_when_it_first_asked(tmp_path: Path) -> None:
    """A resumed run folds its record at once and asks late; a run that was never stopped asked all along."""
    careful = Component(name=f"{HERE / 'scripted.py'}:Careful")
    _, record = run(tmp_path, configuration(tmp_path, "30 50 20", policy=careful))
    asked, late = RunState(), RunState()
    for event in record.events:
        history(asked.apply(event))
        late.apply(event)
    assert len(record.state.observations(0)) > 1, "the baseline was measured once only, so nothing was shown"
    assert list(history(asked).past) == list(history(late).past)
