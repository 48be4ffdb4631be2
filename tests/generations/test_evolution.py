"""A chain of ordinary runs: what each begins with, what is promoted, and that nothing is lost when it is cut off."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from evolving import REMEMBERING, begun, evolved, fake_programs, go, plan, rsi_command, said
from typer.main import get_command

from rsi.configuration import Budget, Component
from rsi.errors import IntegrityError, UsageError
from rsi.generations import promotion
from rsi.generations.beginning import begin
from rsi.generations.commands import evolve
from rsi.generations.evolution import Evolution, open_folder
from rsi.generations.outcome import digest_of
from rsi.generations.report import report_of
from rsi.generations.running import configured, run_generations
from rsi.ledger import Event, Ledger
from rsi.proposers.evolved_source import program_of
from rsi.proposers.ranking import PAST
from rsi.redaction import Redactor
from rsi.review.verify import verify
from rsi.runs import list_runs, read
from rsi.session import Session, resume
from rsi.state import RunState


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("state", "cache", "runs"):
        monkeypatch.setenv(f"RSI_{name.upper()}", str(tmp_path / name))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evolution of two generations that came to its end; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("state", "cache", "runs"):
            patch.setenv(f"RSI_{name.upper()}", str(folder / name))
        evolved(folder)
    return folder


def copied(whole: Path, to: Path) -> Evolution:
    shutil.copytree(whole / "evolution", to / "evolution", symlinks=True)
    return open_folder(to / "evolution")


def rewrite(run: Path, events: Sequence[Event]) -> None:
    """A record that was altered, and its chain hashed anew by whoever altered it."""
    (run / "ledger.jsonl").unlink()
    with Ledger.create(run / "ledger.jsonl", Redactor.none()) as ledger:
        for event in events:
            ledger.append(event.kind, event.body)


def decided(evolution: Evolution) -> list[tuple[object, ...]]:
    """What came of it, without what clocks add."""
    history = evolution.history()
    assert not history.damaged
    return [
        (one.outcome.promoted, one.outcome.gain, one.outcome.alpha, one.after.program, one.outcome.trials)
        for one in history.generations
    ]


def test_each_generation_is_an_ordinary_run_that_begins_with_what_the_last_one_promoted(whole: Path) -> None:
    evolution = open_folder(whole / "evolution")
    history = evolution.history()
    first, second = history.generations
    assert first.outcome.promoted
    assert second.before == first.after
    assert second.run.task().code == first.after.code
    assert first.after.code != history.first.code
    for generation in history.generations:
        assert verify(generation.run.folder, trust_paths=True).ok
    assert first.after.program.version == 1
    assert history.over


def test_all_levels_that_were_tested_at_sum_to_no_more_than_alpha(whole: Path) -> None:
    history = open_folder(whole / "evolution").history()
    first, second = history.outcomes
    assert first.alpha == promotion.level(history.plan.alpha, 2, ())
    assert second.alpha == promotion.level(history.plan.alpha, 2, (first.used,))


def test_what_is_told_and_drawn_follows_from_the_folder_alone(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path).folder
    done = rsi_command("generations", folder, "--json")
    assert done.code == 0, done.err
    assert done.json["schema"] == 1
    assert done.json["complete"]
    assert done.json["generations"][0]["outcome"]["promoted"] is True
    assert (folder / "generations.png").read_bytes().startswith(b"\x89PNG")
    told = rsi_command("generations", folder)
    assert "proposer@1" in told.out
    assert "promoted" in told.out
    changed = rsi_command("generations", folder, "--diff")
    assert "-VALUE = 40" in changed.out


def test_killed_at_any_of_some_events_it_goes_on_to_the_same_end(whole: Path, tmp_path: Path) -> None:
    expected = decided(open_folder(whole / "evolution"))
    events = len(read(open_folder(whole / "evolution").history().generations[0].run.folder).events)
    for number, event in enumerate((1, 2, events // 2, events - 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        evolution = begun(folder)
        _killed_at(evolution, event)
        assert not evolution.history().over
        assert run_generations(open_folder(evolution.folder), go, said) == 0
        assert decided(evolution) == expected
        assert len(list_runs(evolution.place(1))) == 1


def _killed_at(evolution: Evolution, event: int) -> None:
    """In a child process: run, and die by SIGKILL as soon as that event of the first generation is durable."""
    child = os.fork()
    if child == 0:
        try:

            def die(recorded: Event, _state: RunState) -> None:
                if recorded.seq >= event:
                    os.kill(os.getpid(), signal.SIGKILL)

            def dying(session: Session) -> int:
                return session.go([die])

            run_generations(evolution, dying, said)
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended before the event at which it was to be killed"


class Enough(Exception):
    """Said in place of beginning another generation."""


def until_the_second(sentence: str) -> None:
    if sentence.startswith("Generation 2"):
        raise Enough


def given_more(run: Path, **more: int) -> RunState:
    """A finished run goes on with a larger budget, as by `rsi resume`; what it then stands at."""
    with resume(run, said, Budget(**more), trusted=True) as session:
        assert session.go() == 0
    return read(run).state


def test_a_promoted_run_that_is_given_more_and_certifies_other_code_neither_stops_nor_changes_the_chain(
    tmp_path: Path,
) -> None:
    evolution = begun(tmp_path)
    with pytest.raises(Enough):
        run_generations(evolution, go, until_the_second)
    promoted = evolution.history().standing
    assert promoted.program.version == 1
    run = promoted.run
    assert run is not None
    assert given_more(run, experiments=8).certified not in {0, promoted.experiment}
    assert evolution.history().standing == promoted
    asked = Evolution(evolution.folder, evolution.plan.model_copy(update={"proposer": Component(name="evolved")}))
    options = configured(asked, evolution.history(), 2).proposer.options
    for program in (program_of(evolution.folder), program_of(Path(str(options["source"])), int(options["experiment"]))):
        assert digest_of(program.code) == promoted.program.sha256
    assert run_generations(open_folder(evolution.folder), go, said) == 0
    history = evolution.history()
    assert not history.damaged
    assert history.over
    assert history.generations[1].run.task().code == promoted.code
    assert any("generation 1 was given more after its end" in told for told in report_of(run, history).sentences)


def test_what_a_run_finds_after_its_end_changes_nothing_that_was_told(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    before, used = decided(evolution), [one.used for one in evolution.history().outcomes]
    for generation in evolution.history().generations:
        given_more(generation.run.folder, experiments=12)
    assert decided(evolution) == before
    history = evolution.history()
    assert [one.used for one in history.outcomes] == used
    assert all(one.status == "finished" for one in history.outcomes)
    assert all(one.went_on for one in history.outcomes)


def test_where_nothing_is_promoted_the_old_program_stays_and_the_guard_ends_it(tmp_path: Path) -> None:
    """The best value is there from the start."""
    task = fake_programs(tmp_path / "guess", value=3)
    sentences: list[str] = []
    evolution = begin(plan(task, generations=4), tmp_path / "evolution")[0]
    assert run_generations(evolution, go, sentences.append) == 0
    history = evolution.history()
    assert [outcome.promoted for outcome in history.outcomes] == [False, False]
    assert history.standing == history.first
    assert history.halt is not None
    assert history.halt.reason == "stalled"
    assert sum("proposer@0 stays" in sentence for sentence in sentences) == 2
    assert report_of(evolution.folder, history).complete
    assert run_generations(evolution, go, said) == 0, "asked again it begins nothing"
    assert len(evolution.history().generations) == 2


def test_a_program_that_raises_in_every_trial_stops_the_chain_with_its_run_kept(tmp_path: Path) -> None:
    fake_programs(tmp_path / "guess", code="VALUE = 40\n# fake: crash\n")
    evolution = begun(tmp_path)
    assert run_generations(evolution, go, said) != 0
    history = evolution.history()
    assert len(history.generations) == 1
    assert history.generations[0].outcome.promoted is not True
    assert any(
        "crash" in sentence or "not over" in sentence for sentence in report_of(evolution.folder, history).sentences
    )


def test_an_engine_that_is_gone_stops_the_chain_with_3_and_the_next_call_goes_on(tmp_path: Path) -> None:
    evolution = begun(tmp_path, generations=1)

    def lost(session: Session) -> int:
        session.loop.stop()
        session.go()
        return 3

    assert run_generations(evolution, lost, said) == 3
    assert evolution.history().outcomes[0].promoted is None
    assert run_generations(evolution, go, said) == 0
    assert evolution.history().over
    assert len(list_runs(evolution.place(1))) == 1


def test_a_damaged_generation_is_told_and_those_before_it_stand(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    ledger = list_runs(evolution.place(2))[0] / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"kept"', b'"lost"', 1).replace(b"VALUE", b"EULAV", 1))
    history = evolution.history()
    assert len(history.generations) == 1
    assert "Generation 2 cannot be read" in history.damaged
    with pytest.raises(IntegrityError, match="Generation 2"):
        run_generations(evolution, go, said)
    done = rsi_command("generations", evolution.folder)
    assert done.code == 0
    assert "Generation 2 cannot be read" in done.out


def test_a_run_of_another_evolution_is_not_counted(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    other = begin(plan(whole / "guess", seed=99, generations=1), tmp_path / "other")[0]
    assert run_generations(other, go, said) == 0
    shutil.rmtree(evolution.place(1))
    shutil.copytree(other.place(1), evolution.place(1))
    assert "did not begin with proposer@0" in evolution.history().damaged


def test_another_plan_does_not_go_into_an_evolution_that_has_begun(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    with pytest.raises(UsageError, match="Another evolution has begun"):
        begin(plan(whole / "guess", generations=5), evolution.folder)
    again, goes_on = begin(plan(whole / "guess"), evolution.folder)
    assert goes_on
    assert again.plan == evolution.plan


def test_a_beginning_that_was_cut_off_begins_anew_and_a_folder_with_something_else_does_not(tmp_path: Path) -> None:
    task, folder = fake_programs(tmp_path / "guess"), tmp_path / "evolution"
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "proposer.py").write_text("half a fi")
    assert not begin(plan(task), folder)[1]
    assert open_folder(folder).history().first.code == {"proposer.py": "VALUE = 40\n"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        begin(plan(task), tmp_path / "other")


def test_what_a_killed_process_was_writing_does_not_keep_an_evolution_from_beginning(tmp_path: Path) -> None:
    task, folder = fake_programs(tmp_path / "guess"), tmp_path / "evolution"
    (folder / "task").mkdir(parents=True)
    (folder / "tmp_obj_0123456789abcdef").write_text("half a pl")
    assert not begin(plan(task), folder)[1]


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "evolution").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        begin(plan(fake_programs(tmp_path / "guess")), tmp_path / "evolution")
    assert (tmp_path / "evolution").read_text() == "mine"


def test_a_picture_of_another_kind_than_is_drawn_is_refused(whole: Path, tmp_path: Path) -> None:
    done = rsi_command("generations", whole / "evolution", "--picture", tmp_path / "x.pdf")
    assert (done.code, done.out) == (2, "")
    assert "ends in .png" in done.err
    assert not (tmp_path / "x.pdf").exists()


def test_numbers_that_nothing_measures_are_a_record_that_cannot_be_read(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    run = evolution.history().generations[0].run
    events = list(run.events)
    closed = next(event for event in events if event.kind == "milestone.closed")
    closed.body["improvement"] |= {"estimate": 1.7e308, "high": 1.7e308}
    rewrite(run.folder, events)
    assert "Generation 1 cannot be read" in evolution.history().damaged
    done = rsi_command("generations", evolution.folder)
    assert done.code == 0, done.err
    assert "numbers that nothing measures" in done.out


def test_a_plan_or_a_task_that_was_changed_is_refused(tmp_path: Path) -> None:
    evolution = begun(tmp_path)
    task = evolution.folder / "task" / "proposer.py"
    task.write_text("VALUE = 4\n")
    with pytest.raises(IntegrityError, match="not the one that the evolution began with"):
        evolution.history()
    task.write_text("VALUE = 40\n")
    plan_file = evolution.folder / "evolution.toml"
    plan_file.write_text(plan_file.read_text().replace("generations = 2", "generations = 3"))
    with pytest.raises(UsageError, match="was changed"):
        open_folder(evolution.folder).require_ours(trusted=True)


def test_an_evolution_from_elsewhere_is_told_but_not_run(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    shutil.rmtree(evolution.place(2))
    with pytest.raises(UsageError, match="did not begin on this machine"):
        evolution.require_ours(trusted=False)
    done = rsi_command("evolve", "--resume", evolution.folder)
    assert done.code == 2
    assert "--trust" in done.err
    assert not evolution.place(2).exists()


def test_links_in_a_folder_from_elsewhere_are_not_followed(whole: Path, tmp_path: Path) -> None:
    evolution = copied(whole, tmp_path)
    run = list_runs(evolution.place(1))[0]
    moved = tmp_path / "moved"
    run.rename(moved)
    run.symlink_to(moved)
    assert evolution.history().generations == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--generations", 0), "give 1 or more"),
        (("--experiments", 0), "nothing to promote"),
        (("--trials", 10), "too few to certify"),
        (("--alpha", "0.000000001", "--trials", 36), "would suffice"),
        (("--task", "digits"), "makes no programs that propose"),
        (("--resume", "nowhere"), "is no evolution"),
        (("--resume", "nowhere", "--generations", 2), "leave --generations out"),
        (("--resume", "nowhere", "--alpha", "0.2"), "leave --alpha out"),
        (("--resume", "nowhere", "--policy", "greedy"), "leave --policy out"),
        (("--resume", "nowhere", "--unsafe-no-isolation"), "leave --unsafe-no-isolation out"),
        (("--resume", "nowhere", "--max-calls", 3), "leave --max-calls out"),
        (("--max-calls", 5), "nothing in this evolution asks one"),
        (("--proposer", "evolved(secs=5)"), "evolved has no option 'secs'"),
        (("--proposer", "mutat"), "did you mean 'mutate'"),
        (("--proposer", "llm", "--model", "openai/x", "--sandbox", "process"), "does not isolate"),
        (("--seed", "-1"), "give a whole number from 1"),
        (("--seed", "0"), "give a whole number from 1"),
        (("--seed", 2**70), "give a whole number from 1"),
        (("--hours", "-1"), "--hours must be a number more than 0"),
        (("--policy", "gredy"), "greedy"),
        (("--sandbox", "process"), "does not isolate"),
    ],
)
def test_what_cannot_evolve_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    command = typer.Typer(pretty_exceptions_enable=False)
    command.command()(evolve)
    own = ("--task", fake_programs(tmp_path / "guess")) if not {"--task", "--resume"} & set(words) else ()
    where = () if "--resume" in words else ("--out", tmp_path / "out")
    with pytest.raises(UsageError) as refused:
        get_command(command).main([str(word) for word in (*own, *words, *where)], standalone_mode=False)
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_generation_learns_from_the_inner_loops_of_earlier_ones_on_dev_and_never_from_the_holdouts(
    tmp_path: Path,
) -> None:
    fake_programs(tmp_path / "guess", verifier=REMEMBERING)
    evolution = evolved(tmp_path)
    first = evolution.history().generations[0]
    trials = [trial for trial in first.run.state.trials.values() if trial.observation() is not None]
    on_dev = [trial for trial in trials if trial.started.split == "dev"]
    assert len(on_dev) < len(trials), "its milestone was on the holdout"
    folder = evolution.place(2) / "data"
    assert sorted(path.name for path in folder.iterdir()) == ["a-data.txt", "c-999-generation-1.npy"]
    episodes = np.load(folder / "c-999-generation-1.npy")
    assert episodes.shape == (len(on_dev), 2, len(PAST))
    assert (episodes[:, 0, PAST.index("gain")] == 1).all()
    assert (episodes[:, 1] == 0).all()


def test_runs_to_learn_from_are_frozen_at_the_start_and_those_of_judged_tasks_left_out(
    whole: Path, tmp_path: Path
) -> None:
    source = list_runs(whole / "evolution" / "generation-1")[0]
    task = fake_programs(tmp_path / "guess")
    with pytest.raises(UsageError, match="left out"):
        begin(plan(task), tmp_path / "evolution", [source])
    assert not (tmp_path / "evolution").exists()


def test_a_task_that_is_not_to_be_learned_from_must_be_one_of_those_named(whole: Path, tmp_path: Path) -> None:
    """Mistyped, it would be learned from without a word."""
    source = list_runs(whole / "evolution" / "generation-1")[0]
    task = fake_programs(tmp_path / "guess")
    for without, runs in ((("fkae",), [source]), (("fake",), [])):
        with pytest.raises(UsageError, match="--without"):
            begin(plan(task, without=without), tmp_path / "evolution", runs)
    assert not (tmp_path / "evolution").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("verifier", {"name": "reported", "options": {}}), ("alpha", 0.04), ("budget", {"experiments": 30}), ("seed", 1)],
)
def test_a_run_under_other_rules_is_not_counted(whole: Path, tmp_path: Path, field: str, value: object) -> None:
    evolution = copied(whole, tmp_path)
    run = evolution.history().generations[0].run
    events = list(run.events)
    events[0].body["configuration"] |= {field: value}
    rewrite(run.folder, events)
    assert "did not begin with proposer@0" in evolution.history().damaged
