"""The command: a comparison from beginning to end, gone on with after a kill or Ctrl-C, and told again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
from conftest import HERE, PROPOSER, ROOT, SANDBOX, VERIFIER, WORD, Rsi, command, few

import rsi.proposers.evolved
from rsi.compare import folder, one_loop
from rsi.compare.arms import verified_by
from rsi.compare.matrix import of_values
from rsi.compare.report import report_of
from rsi.compare.running import in_words
from rsi.configuration import Budget
from rsi.errors import IntegrityError, UsageError
from rsi.recorder import Recorder
from rsi.review.reading import read
from rsi.review.verify import verify
from rsi.runs import LEDGER, list_runs
from rsi.session import resume
from rsi.task import load_task
from rsi.testing.fake_sandbox import write_fake_task

EVOLVED = f"{rsi.proposers.evolved.__file__}:Evolved"
HANGING = f"{HERE / 'hanging.py'}:Hanging"


def ledgers(to: Path) -> dict[str, int]:
    """Of each run, how long its ledger is."""
    return {run.parent.name: (run / LEDGER).stat().st_size for root in to.glob("*/*/") for run in list_runs(root)}


def test_every_loop_is_an_ordinary_run_and_the_report_tells_the_same_when_read_again(
    tmp_path: Path, task: Path, rsi: Rsi
) -> None:
    to = tmp_path / "c"
    done = rsi(*few(task, to, "--seeds", 1, "--loops", 2, "--json"))
    assert done.code == 0, done.err
    found = report_of(folder.open_folder(to))
    assert found.model_dump_json(indent=2) == done.out.strip()
    assert found.complete
    assert found.schema_version == 1
    assert found.compared.basis == "confirmed"
    assert [arm.arm for arm in found.compared.arms] == ["greedy", "fixed"]
    assert (to / "comparison.png").read_bytes().startswith(b"\x89PNG")
    secrets = set()
    for loop in found.loops:
        run = next(iter(list_runs(to / "loops" / loop.loop)))
        assert verify(run, trust_paths=True).ok
        summary, started = read(run).summary, read(run).started
        assert (summary.policy, summary.trials) == (loop.arms["policy"], loop.trials)
        secrets.add(started.randomness)
    assert len(secrets) == 1, "matched loops have one secret"
    before = ledgers(to)
    again = rsi(to)
    assert again.code == 0
    assert "confirmed gain" in again.out
    assert "Loop" not in again.err, "finished loops are not run again"
    assert ledgers(to) == before


def test_killed_in_the_middle_it_goes_on_with_what_is_left(tmp_path: Path, task: Path, rsi: Rsi) -> None:
    values = _values(task) | {"policies": ["greedy", "fixed", "threshold(k=1)"], "seeds": 1}
    whole = of_values(values, "")
    left_alone = folder.begin(whole, tmp_path / "alone")
    for loop in left_alone.loops:
        assert one_loop.run_loop(left_alone, loop.name, one_loop.Stop()) == 0
    killed = folder.begin(whole, tmp_path / "killed")
    first, second, third = killed.loops
    assert one_loop.run_loop(killed, first.name, one_loop.Stop()) == 0
    _killed_at(killed, second.name, event=12)
    _killed_at(killed, third.name, event=0)
    before = ledgers(killed.folder)
    done = rsi(killed.folder)
    assert done.code == 0, done.err
    assert "1 of 3 are done" in done.err
    after = ledgers(killed.folder)
    assert after[first.name] == before[first.name], "a finished loop is not touched"
    assert len(after) == 3
    resumed = read(list_runs(killed.loop_folder(second))[0])
    assert [event.kind for event in resumed.events(kinds=["run.resumed"])] == ["run.resumed"]
    ours, theirs = (report_of(folder.open_folder(c.folder)) for c in (killed, left_alone))
    assert [(x.loop, x.gain, x.kept, x.trials) for x in ours.loops] == [
        (x.loop, x.gain, x.kept, x.trials) for x in theirs.loops
    ]


def _values(task: Path) -> dict[str, object]:
    return {
        "tasks": [str(task)],
        "policies": ["greedy", "fixed"],
        "proposers": [f"{PROPOSER}(values=60)"],
        "sandbox": SANDBOX,
        "seeds": 2,
        "seed": 7,
        "budget": {"experiments": 3},
        "certify": False,
        "confirm": 1,
    }


def _killed_at(comparison: folder.Comparison, name: str, event: int) -> None:
    """In a child process: run a loop, and die by SIGKILL as soon as that event is durable."""
    child = os.fork()
    if child == 0:
        try:
            record = Recorder.record

            def dying(self: Recorder, body: object) -> None:
                record(self, body)
                if self.state.events > event:
                    os.kill(os.getpid(), signal.SIGKILL)

            Recorder.record = dying
            one_loop.run_loop(comparison, name, one_loop.Stop())
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the loop ended before the event at which it was to be killed"


@contextmanager
def _hanging(tmp_path: Path, task: Path, how: str, **parts: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A comparison whose first loop hangs in its training, and what that tells through a pipe.

    Whatever becomes of the test, no process of it goes on.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = few(task, tmp_path / "c", "--seeds", 1, sandbox=f'{HANGING}(pipe="{pipe}", how={how})', **parts)
    running = subprocess.Popen(
        command(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    # Whoever opens a pipe waits for its other end: where the command dies before that, this is the other end.
    other_end = threading.Thread(target=lambda: (running.wait(), os.close(os.open(pipe, os.O_RDWR))))
    other_end.start()
    try:
        with pipe.open() as told:
            assert told.readline() == "hangs\n", running.communicate()
            yield running, told
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        other_end.join()


def test_ctrl_c_pauses_the_loop_under_way_and_prints_what_was_found(tmp_path: Path, task: Path) -> None:
    with _hanging(tmp_path, task, "heeding") as (running, told):
        running.send_signal(signal.SIGINT)
        assert told.readline() == "interrupted\n"
        assert told.read() == "", "the loop's process has ended"
        out, err = running.communicate()
    assert running.returncode == 130, err
    assert "Two loops of 2 are not at the end and left out: t1-s01-" in out
    assert "goes on with what is left" in err


@pytest.mark.long
def test_ctrl_c_twice_ends_a_loop_that_heeds_nothing(tmp_path: Path, task: Path) -> None:
    with _hanging(tmp_path, task, "heedless") as (running, told):
        running.send_signal(signal.SIGINT)
        assert told.readline() == "was asked to end\n"
        running.send_signal(signal.SIGINT)
        assert told.read() == "", "the loop's process has ended"
        running.communicate()
    assert running.returncode == 130


def test_a_command_that_is_killed_leaves_no_loop_running_and_can_go_on(tmp_path: Path, task: Path, rsi: Rsi) -> None:
    with _hanging(tmp_path, task, "heeding", policy="greedy") as (running, told):
        running.kill()
        assert told.readline() == "interrupted\n"
        assert told.read() == "", "the loop's process has ended"
    (tmp_path / "pipe").unlink()  # without it, nothing hangs
    done = rsi(tmp_path / "c")
    assert done.code == 0, done.err
    assert report_of(folder.open_folder(tmp_path / "c")).complete


@pytest.mark.long
def test_a_loop_that_is_stuck_ends_soon_after_its_command_was_killed(tmp_path: Path, task: Path) -> None:
    with _hanging(tmp_path, task, "heedless") as (running, told):
        running.kill()
        assert set(told.read().splitlines()) == {"was asked to end"}, "and then the loop's process has ended"


def test_what_an_ungrounded_verifier_kept_is_measured_again_by_the_tasks_own(
    tmp_path: Path, task: Path, rsi: Rsi
) -> None:
    asked = _values(task) | {"verifiers": ["own", WORD], "policies": ["greedy"], "seeds": 1, "truth": 2}
    comparison = folder.begin(of_values(asked, ""), tmp_path / "c")
    for loop in comparison.loops:
        assert one_loop.run_loop(comparison, loop.name, one_loop.Stop()) == 0
    before = ledgers(tmp_path / "c")
    done = rsi(tmp_path / "c")
    assert (done.code, done.err) == (0, ""), "nothing is left to run"
    assert ledgers(tmp_path / "c") == before
    found = report_of(folder.open_folder(tmp_path / "c"))
    own, word = found.compared.arms
    assert (own.grounded, word.grounded) == (True, False)
    assert word.claimed > 0 > word.means["gain"], "it took worse for better"
    assert own.means["gain"] > 0
    for loop in found.loops:
        for run in list_runs(tmp_path / "c" / "truth" / loop.loop):
            assert read(run).summary.grounded
            assert verify(run, trust_paths=True).ok
    assert "Word [UNGROUNDED]" in done.out
    assert "grounded gain" in done.out
    assert "Word [UNGROUNDED]" in found.sentences[0]


def test_limits_for_models_hold_for_the_arms_that_ask_one_and_hinder_no_other(tmp_path: Path, task: Path) -> None:
    limited = _values(task) | {"budget": {"experiments": 1, "calls": 5}, "policies": ["greedy"], "seeds": 1}
    comparison = folder.begin(of_values(limited, ""), tmp_path / "c")
    (loop,) = comparison.loops
    assert one_loop.run_loop(comparison, loop.name, one_loop.Stop()) == 0


def test_what_a_busy_machine_did_not_measure_again_is_not_known(tmp_path: Path, task: Path) -> None:
    values = _values(task) | {"verifiers": [WORD], "policies": ["greedy"], "seeds": 1}
    comparison = folder.begin(of_values(values | {"sandbox": f"{HERE / 'tired.py'}:Tired"}, ""), tmp_path / "c")
    (loop,) = comparison.loops
    assert one_loop.run_loop(comparison, loop.name, one_loop.Stop()) == 0
    (result,) = report_of(comparison).loops
    assert result.kept > 0
    assert (result.truth, result.refused) == (None, ""), "0 would be said of the code"


def test_a_verifier_that_fails_says_nothing_of_final_code(tmp_path: Path) -> None:
    own = write_fake_task(tmp_path / "guess", value=40, verifier=f"{HERE / 'failing.py'}:Failing")
    values = _values(own) | {"verifiers": [WORD], "policies": ["greedy"], "seeds": 1}
    comparison = folder.begin(of_values(values, ""), tmp_path / "c")
    (loop,) = comparison.loops
    assert one_loop.run_loop(comparison, loop.name, one_loop.Stop()) == 0
    (result,) = report_of(comparison).loops
    assert result.kept > 0
    assert (result.truth, result.refused) == (None, ""), "an error is never a score"


def test_a_loop_that_is_given_more_after_its_end_is_compared_as_it_was(begun: folder.Comparison) -> None:
    loop = begun.loops[0]
    reading = begun.run_of(loop)
    assert reading is not None
    before = report_of(begun).loops[0]
    with resume(reading.folder, lambda _: None, Budget(experiments=9)) as session:
        assert session.go() == 0
    assert read(reading.folder).summary.experiments > before.experiments
    assert report_of(begun).loops[0] == before
    assert one_loop.run_loop(begun, loop.name, one_loop.Stop()) == 0, "nothing is left to run of it"


def test_a_loop_that_is_given_more_before_its_end_is_not_compared(begun: folder.Comparison) -> None:
    loop = begun.loops[1]
    _killed_at(begun, loop.name, event=12)
    run = list_runs(begun.loop_folder(loop))[0]
    with resume(run, lambda _: None, Budget(experiments=5)) as session:
        assert session.go() == 0
    with pytest.raises(IntegrityError, match="another budget than the other loops"):
        report_of(begun)
    shutil.rmtree(begun.loop_folder(loop))
    assert one_loop.run_loop(begun, loop.name, one_loop.Stop()) == 0
    assert report_of(begun).loops[1].status == "finished"


def test_two_tasks_of_one_name_are_two(tmp_path: Path) -> None:
    tasks = [str(write_fake_task(tmp_path / place / "guess", value=40, verifier=VERIFIER)) for place in ("a", "b")]
    (Path(tasks[1]) / "program.md").write_text("Guess another one.\n")
    comparison = folder.begin(of_values(_values(Path()) | {"tasks": tasks, "seeds": 1}, ""), tmp_path / "c")
    assert [loop.task for loop in report_of(comparison).loops] == [tasks[0], tasks[0], tasks[1], tasks[1]]
    assert report_of(comparison).compared.tasks == 2
    told = [in_words(loop, comparison.matrix) for loop in comparison.loops]
    assert len(set(told)) == len(told)


def test_a_loop_of_another_verifier_is_not_counted_as_it(tmp_path: Path, task: Path) -> None:
    values = _values(task) | {"verifiers": ["own", WORD, f"{WORD}+floor"], "policies": ["greedy"], "seeds": 1}
    comparison = folder.begin(of_values(values, ""), tmp_path / "c")
    first, *others = comparison.loops
    assert one_loop.run_loop(comparison, first.name, one_loop.Stop()) == 0
    for other in others:
        shutil.copytree(comparison.loop_folder(first), comparison.loop_folder(other))
        with pytest.raises(IntegrityError, match="is not the loop that its place says"):
            comparison.run_of(other)
    assert comparison.run_of(first) is not None


def test_each_loop_is_known_again_by_its_verifiers() -> None:
    verifiers = ["own", "noisy(noise=0.1)", "noisy(noise=0.3)", "own+causality", "noisy(noise=0.1)+causality", WORD]
    matrix = of_values({"tasks": ["digits"], "verifiers": verifiers, "seeds": 1, "budget": {"trials": 50}}, "")
    spec = load_task("digits").spec
    for loop in matrix.loops():
        found = matrix.configuration(loop)
        assert [arm for arm in matrix.verifiers if verified_by(arm, spec, found)] == [loop.cell.verifier]


def test_a_link_in_the_place_of_the_final_code_is_replaced_and_not_followed(tmp_path: Path, task: Path) -> None:
    values = _values(task) | {"verifiers": [WORD], "policies": ["greedy"], "seeds": 1}
    comparison = folder.begin(of_values(values, ""), tmp_path / "c")
    (loop,) = comparison.loops
    mine, place = tmp_path / "mine", comparison.truth_folder(loop)
    mine.write_text("mine")
    place.mkdir(parents=True)
    (place / one_loop.PATCH).symlink_to(mine)
    assert one_loop.run_loop(comparison, loop.name, one_loop.Stop()) == 0
    assert mine.read_text() == "mine"
    assert report_of(comparison).loops[0].truth is not None


def test_a_loop_that_cannot_go_on_does_not_stop_the_others(tmp_path: Path, task: Path, rsi: Rsi) -> None:
    (tmp_path / "raising.py").write_text(
        "class Raising:\n    name = 'raising'\n    def propose(self, brief):\n        raise ValueError('no')\n"
    )
    proposers = f"{tmp_path / 'raising.py'}:Raising,{PROPOSER}(values=60)"
    words = few(task, tmp_path / "c", "--seeds", 1, "--truth", 0, policy="greedy", proposer=proposers, verifier=WORD)
    done = rsi(*words)
    assert done.code == 1
    assert "seed 1 [UNGROUNDED]" in done.err
    assert "did not come to its end" in done.err
    assert "One loop of 2 is not at the end and left out" in done.out
    assert "raised ValueError: no" in done.out
    assert sorted(loop.status for loop in report_of(folder.open_folder(tmp_path / "c")).loops) == ["finished", "paused"]


BAD = [
    (["TASK", "--policy", "greedy,,fixed", "--trials", "50"], "--policy has an empty cell"),
    (["TASK", "--policy", "greedy,", "--trials", "50"], "--policy has an empty cell"),
    (["TASK", "--policy", "greddy", "--trials", "50"], "did you mean 'greedy'?"),
    (["TASK", "--policy", "greedy(trails=2)", "--trials", "50"], "greedy has no option 'trails'"),
    (["TASK", "--policy", "greedy(", "--trials", "50"], "is not of the form name"),
    (["TASK", "--policy", "greedy,greedy", "--trials", "50"], "policies names greedy twice"),
    (["TASK", "--verifier", "own,flor", "--trials", "50"], "did you mean 'floor'?"),
    (["TASK", "--proposer", "mutte", "--trials", "50"], "did you mean 'mutate'?"),
    (["TASK", "--sandbox", "dokcer", "--trials", "50"], "did you mean 'docker'?"),
    (["digts", "--trials", "50"], "did you mean 'digits'?"),
    (["TASK"], "Nothing ends the loops"),
    (["TASK", "--max-calls", "5"], "Nothing ends the loops"),
    (["TASK", "--trials", "20"], "36 trials suffice"),
    (["TASK", "--trials", "20", "--no-certify"], "give --confirm 8"),
    (["TASK", "--trials", "50", "--seeds", "0"], "seeds: Input should be greater than or equal to 1"),
    (["TASK", "--trials", "50", "--policy", "greedy,greedy()"], "greedy and greedy() are the same"),
    (["TASK", "--trials", "50", "--verifier", "own,VERIFIER"], "are the same; leave one of these verifiers out"),
    (["TASK", "--experiments", "0"], "measures its baseline alone"),
    (["TASK", "--trials", "1", "--no-certify", "--confirm", "2"], "measures its baseline alone"),
    (["TASK", "--trials", "50", "--policy", ",".join(f"p{n}" for n in range(1000))], "at most 50 items"),
    (["TASK", "--trials", "50", "--seeds", "1000", "--policy", "a,b,c,d,e", "--proposer", "f,g,h"], "15,000 loops"),
    (["TASK", "--trials", "50", "--proposer", 'evolved(source="EMPTY")'], "holds no proposer.py"),
    (["TASK", "--trials", "50", "--proposer", 'evolved(source="EMPTY/none")'], "is not a folder"),
    (["TASK", "--trials", "50", "--sandbox", "process", "--proposer", 'evolved(source="EMPTY")'], "does not isolate"),
    (["EMPTY", "--trials", "50"], "is no comparison"),
    (["", "--trials", "50"], "has no name"),
    (["TASK", "--trials", "50", "--seed", "0"], "give a whole number from 1"),
    (["TASK", "--trials", "50", "--seed", "-1"], "give a whole number from 1"),
    (["TASK", "--trials", "50", "--to", "EMPTY/good.toml"], "is a file"),
    (["TASK", "--trials", "50", "--max-calls", "5"], "nothing in this matrix asks one"),
    (["TASK", "--trials", "50", "--proposer", "mutate,llm"], "--model"),
    (["TASK", "--trials", "50", "--verifier", "own,judge"], "judge needs a model"),
    (["EMPTY"], "is no comparison"),
    (["EMPTY/odd.toml"], "seeds: Input should be a valid integer"),
    (["EMPTY/nan.toml"], "not finite"),
    (["EMPTY/date.toml"], "tasks: Input should be a valid"),
    (["EMPTY/link.toml"], "is a link or no plain file"),
    (["EMPTY/none.toml"], "cannot be read"),
    (["EMPTY/bad.toml"], "is no matrix"),
    (["EMPTY/deep.toml"], "is no matrix"),
    (["EMPTY/cell.toml"], "policies is an empty cell"),
    (["EMPTY/field.toml"], "policys: Extra inputs"),
    (["EMPTY/good.toml", "--seeds", "3"], "says what is compared"),
]


@pytest.mark.parametrize(("words", "told"), BAD, ids=[" ".join(words)[:60] for words, _ in BAD])
def test_what_cannot_be_compared_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, task: Path, rsi: Rsi, words: list[str], told: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "bad.toml").write_text("tasks = [")
    (empty / "deep.toml").write_text(f"tasks = {'[' * 100_000}")
    (empty / "cell.toml").write_text("tasks = ['digits']\npolicies = []\n")
    (empty / "field.toml").write_text("tasks = ['digits']\npolicys = ['greedy']\n")
    (empty / "good.toml").write_text("tasks = ['digits']\n")
    (empty / "odd.toml").write_text("tasks = ['digits']\nseeds = true\n")
    (empty / "nan.toml").write_text("tasks = ['digits']\nalpha = nan\n")
    (empty / "date.toml").write_text("tasks = 1979-05-27\n")
    (empty / "link.toml").symlink_to(empty / "good.toml")
    before = sorted(tmp_path.rglob("*"))
    meant = {"EMPTY": str(empty), "TASK": str(task), "VERIFIER": VERIFIER}
    done = rsi(*(re.sub("EMPTY|TASK|VERIFIER", lambda found: meant[found[0]], word) for word in words))
    assert (done.code, done.out) == (2, ""), done.err
    assert len(done.err.splitlines()) == 1
    assert told in done.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def begun(tmp_path: Path, task: Path) -> folder.Comparison:
    """With one of its loops at its end."""
    comparison = folder.begin(of_values(_values(task), ""), tmp_path / "c")
    assert one_loop.run_loop(comparison, comparison.loops[0].name, one_loop.Stop()) == 0
    return comparison


def test_another_matrix_does_not_go_into_a_comparison_that_has_begun(
    begun: folder.Comparison, task: Path, rsi: Rsi
) -> None:
    before = ledgers(begun.folder)
    done = rsi(task, "--trials", 50, "--policy", "greedy", "--sandbox", SANDBOX, "--to", begun.folder)
    assert done.code == 2
    assert "Another comparison has begun" in done.err
    assert ledgers(begun.folder) == before


def test_a_matrix_that_was_changed_is_refused_and_nothing_is_lost(begun: folder.Comparison, rsi: Rsi) -> None:
    path = begun.folder / "matrix.toml"
    frozen, before = path.read_text(), ledgers(begun.folder)
    path.write_text(frozen.replace("seeds = 2", "seeds = 3"))
    done = rsi(begun.folder)
    assert done.code == 2
    assert "was changed after its loops had begun" in done.err
    assert ledgers(begun.folder) == before
    path.write_text(frozen)
    folder.open_folder(begun.folder).require_ours(trusted=False)


def test_a_task_that_was_changed_is_refused(begun: folder.Comparison, task: Path, rsi: Rsi) -> None:
    (task / "train.py").write_text("VALUE = 41\n")
    done = rsi(begun.folder)
    assert done.code == 2
    assert "has changed since the comparison began" in done.err


def test_a_program_that_changes_while_it_is_compared_ends_the_comparison(tmp_path: Path, task: Path) -> None:
    """As the one that stands in an evolution which goes on."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "proposer.py").write_text("def predict(artifact, inputs):\n    return inputs['options'][:, :, 7]\n")
    arm = f'{EVOLVED}(source="{source}")'
    comparison = folder.begin(of_values(_values(task) | {"proposers": [arm]}, ""), tmp_path / "c")
    assert set(comparison.matrix.programs) == {arm}
    folder.open_folder(comparison.folder).require_ours(trusted=False)
    (source / "proposer.py").write_text("def predict(artifact, inputs):\n    return -inputs['options'][:, :, 7]\n")
    with pytest.raises(UsageError, match="has changed since the comparison began"):
        folder.open_folder(comparison.folder).require_ours(trusted=False)
    with pytest.raises(UsageError, match="has changed since the comparison began"):
        one_loop.run_loop(comparison, comparison.loops[0].name, one_loop.Stop())
    assert ledgers(comparison.folder) == {}


def test_a_comparison_from_elsewhere_is_told_but_not_run(
    begun: folder.Comparison, tmp_path: Path, rsi: Rsi, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(begun.folder, tmp_path / "other")
    done = rsi(tmp_path / "other")
    assert done.code == 2
    assert "Three loops of 4 are not at the end" in done.out
    assert "did not begin on this machine" in done.err


def test_a_run_in_the_place_of_another_loop_is_not_counted_as_it(begun: folder.Comparison, rsi: Rsi) -> None:
    first, *_ = begun.loops
    other = next(loop for loop in begun.loops if loop.cell != first.cell and loop.seed == first.seed)
    shutil.copytree(begun.loop_folder(first), begun.loop_folder(other))
    done = rsi(begun.folder)
    assert done.code == 1
    assert "is not the loop that its place says" in done.err


def test_two_processes_do_not_run_one_comparison(begun: folder.Comparison) -> None:
    other = folder.open_folder(begun.folder)
    with begun.alone(), pytest.raises(UsageError, match="Another process"), other.alone():
        pass
    with other.alone():
        pass


def test_of_two_processes_that_begin_in_one_folder_one_does(
    tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, to = of_values(_values(task) | {"seed": 0}, ""), tmp_path / "c"
    known = folder.load_task

    def meanwhile(name: str) -> object:
        with pytest.raises(UsageError, match="try again"):
            folder.begin(asked, to)
        return known(name)

    monkeypatch.setattr(folder, "load_task", meanwhile)
    begun = folder.begin(asked, to)
    assert folder.open_folder(to).matrix == begun.matrix
