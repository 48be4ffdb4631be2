"""A program that chooses the moves: what it is shown, what comes of its answers, and that a record derives again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranked_runs
from ranked_runs import (
    EVOLVED,
    HANGS,
    INFINITE,
    LEARNS,
    NEVER,
    RAISES,
    SHORT,
    UNIFORM,
    answers,
    configuration,
    go_on,
    program,
    run,
    said,
)

import rsi.proposers.evolved
from rsi.blobs import Blobs
from rsi.chain import Event
from rsi.configuration import Budget, Component, Retention
from rsi.errors import IntegrityError, UsageError
from rsi.execution import ExitKind, Job, Limits, Shape
from rsi.plugins import load
from rsi.programs.front import _judged
from rsi.programs.question import Answer, Question
from rsi.programs.recorded import failures_before
from rsi.programs.recorded import read as read_answer
from rsi.proposers import experience
from rsi.proposers.evolved import Evolved, asked_of
from rsi.proposers.mutation.proposing import discovered
from rsi.proposers.ranking import KINDS, OPTION, PAST
from rsi.protocols import AsksModels, AsksProgram, Exhausted
from rsi.records import Allowance, ExperimentStatus, HistoryEntry
from rsi.redaction import Redactor
from rsi.review import rederive_program
from rsi.review.experiment import experiment_json
from rsi.review.findings import Finder
from rsi.review.ranked import ranked_words
from rsi.review.replay import replay
from rsi.review.sequence import contradiction
from rsi.review.verify import verify
from rsi.runs import ReadRun, list_runs, read
from rsi.session import start
from rsi.state import RunState
from rsi.testing import proposer_conformance as conformance
from rsi.testing.altering import load as load_events
from rsi.testing.altering import store
from rsi.testing.fake_outcome import completed

SMALL = {"train.py": "VALUE = 8\nHEADS = 2\nprint(VALUE, HEADS)\n"}


class Says:
    """Answers without a sandbox."""

    def __init__(self, ranks: Callable[[Question], Any], in_a_row: int = 0) -> None:
        self.ranks = ranks
        self.in_a_row = in_a_row

    def answer(self, experiment: int, question: Question) -> Answer:
        preferences = self.ranks(question)
        problem = "it says nothing" if preferences is None else ""
        return Answer(preferences=preferences, problem=problem, in_a_row=self.in_a_row)


def dice(question: Question) -> Any:
    return question.inputs["options"][0, :, OPTION.index("dice")]


def by(ranks: Callable[[Question], Any], in_a_row: int = 0) -> Evolved:
    proposer = Evolved("nowhere")
    proposer.attach(Says(ranks, in_a_row))
    return proposer


# --- the proposer, whatever the program ------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [dice, lambda _: None, lambda q: dice(q) * np.float32("nan")])
def test_it_conforms_whatever_its_program_answers(ranks: Callable[[Question], Any]) -> None:
    conformance.check_proposer(lambda: by(ranks), SMALL)


def test_it_conforms_on_a_shipped_task() -> None:
    code = {"train.py": (Path(__file__).parents[2] / "tasks/digits/train.py").read_text()}
    conformance.check_proposer(lambda: by(dice), code, rounds=3)


def test_it_stops_when_every_move_was_made() -> None:
    assert conformance.check_exhaustion(lambda: by(dice), SMALL) == len(discovered(conformance.brief_of(SMALL)))


def test_a_program_is_not_asked_where_nothing_is_left_to_choose() -> None:
    brief = conformance.brief_of(SMALL)
    made = tuple(
        HistoryEntry(
            experiment=n, status=ExperimentStatus.DISCARDED, kind=move["kind"], detail=move["detail"], rationale="r"
        )
        for n, move in enumerate(discovered(brief), start=1)
    )

    def never(_: Question) -> Any:
        raise AssertionError("it was asked")

    with pytest.raises(Exhausted, match="every move of this code was made"):
        by(never).propose(brief.model_copy(update={"history": made}))


def test_it_is_registered_and_asks_a_program_but_no_models() -> None:
    proposer = Evolved("nowhere")
    assert isinstance(proposer, AsksProgram)
    assert not isinstance(proposer, AsksModels)
    assert load("proposers", EVOLVED).name == "evolved"


def test_the_move_that_it_prefers_most_is_made_and_dice_decide_among_equals() -> None:
    brief = conformance.brief_of(SMALL)
    moves = discovered(brief)
    favourite = next(
        i for i, move in enumerate(moves) if move["detail"] == {**move["detail"], "name": "VALUE", "to": 4}
    )
    only = by(lambda q: np.where(np.arange(len(moves)) == favourite, 1, 0).astype(np.float32)).propose(brief)
    assert only.detail["to"] == 4
    assert "preferred it among" in only.rationale
    chance = dice(asked_of(brief, moves))
    level = by(lambda q: np.zeros(len(moves), dtype=np.float32)).propose(brief)
    assert level.detail == moves[int(np.argmax(chance))]["detail"]


def test_without_an_answer_of_use_chance_decides_and_the_rationale_says_why() -> None:
    brief = conformance.brief_of(SMALL)
    moves = discovered(brief)
    proposal = by(lambda _: None).propose(brief)
    assert proposal.detail == moves[int(np.argmax(dice(asked_of(brief, moves))))]["detail"]
    assert "drawn by chance, because it says nothing" in proposal.rationale


def test_the_third_answer_of_no_use_in_a_row_ends_the_proposing() -> None:
    by(lambda _: None, in_a_row=2).propose(conformance.brief_of(SMALL))
    with pytest.raises(Exhausted, match="3 times in a row: it says nothing"):
        by(lambda _: None, in_a_row=3).propose(conformance.brief_of(SMALL))


def test_a_proposer_that_nothing_is_attached_to_says_where_it_works() -> None:
    with pytest.raises(UsageError, match="within a run"):
        Evolved("nowhere").propose(conformance.brief_of(SMALL))


# --- what a program is shown -----------------------------------------------------------------------------------


def test_a_program_sees_moves_history_and_situation_in_the_columns_of_the_contract() -> None:
    brief = conformance.brief_of(SMALL)
    moves = discovered(brief)
    first, second = moves[0], moves[1]
    told: dict[str, Any] = {"rationale": "r", "parent": 0}
    brief = brief.model_copy(
        update={
            "history": (
                HistoryEntry(experiment=1, status=ExperimentStatus.KEPT, gain=0.05, kind=first["kind"],
                             detail=first["detail"], **told),
                HistoryEntry(experiment=2, status=ExperimentStatus.CRASHED, kind=second["kind"],
                             detail=second["detail"], rationale="r", parent=1),
                HistoryEntry(experiment=3, status=ExperimentStatus.KEPT, kind="removal", **told),
                HistoryEntry(experiment=4, status=ExperimentStatus.UNDECIDED, kind=first["kind"],
                             detail=first["detail"], **told),
            ),
            "left": Allowance(experiments=6),
            "turn": 5,
        }
    )  # fmt: skip
    inputs = asked_of(brief, moves).inputs
    assert {name: array.dtype for name, array in inputs.items()} == dict.fromkeys(inputs, np.dtype(np.float32))
    history = inputs["history"][0]
    assert history[:, PAST.index("outcome")].tolist() == [1, 3, *[0] * 8]  # no removal, nothing undecided
    assert history[0, PAST.index("gain")] == pytest.approx(0.05 / brief.objective.noise)
    assert history[0, 0] == KINDS.index(first["kind"])
    assert inputs["situation"].tolist() == [[pytest.approx(0.4), 4, 2]]


def test_a_program_is_not_shown_more_than_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsi.proposers.evolved, "MOST_OPTIONS", 3)
    shown: list[dict[str, tuple[int, ...]]] = []

    def note(question: Question) -> Any:
        shown.append({name: array.shape for name, array in question.inputs.items()})
        return dice(question)

    brief = conformance.brief_of(SMALL).model_copy(update={"left": Allowance(experiments=10**6)})
    by(note).propose(brief)
    assert shown == [{"options": (1, 3, 8), "history": (1, 256, 9), "situation": (1, 3)}]


def test_a_move_is_unavailable_where_it_was_made_on_this_very_code_alone() -> None:
    brief = conformance.brief_of(SMALL)
    moves = discovered(brief)
    made = [
        HistoryEntry(experiment=n, status=ExperimentStatus.DISCARDED, kind=move["kind"], detail=move["detail"],
                     rationale="r", parent=parent)
        for n, (move, parent) in enumerate([(moves[0], 0), (moves[1], 3), (moves[2], 3)], start=1)
    ]  # fmt: skip
    kept = HistoryEntry(experiment=3, status=ExperimentStatus.KEPT, kind="choice", rationale="r")
    pending = made[2].model_copy(update={"experiment": 4, "status": ExperimentStatus.OPEN})
    on_code = asked_of(brief.model_copy(update={"history": (made[0], made[1], kept), "pending": (pending,)}), moves)
    assert on_code.available[:4].tolist() == [True, False, False, True]
    assert on_code.inputs["options"][0, :4, OPTION.index("available")].tolist() == [1, 0, 0, 1]


def test_what_was_made_on_a_kept_null_edit_is_known_though_that_is_in_no_history() -> None:
    brief = conformance.brief_of(SMALL)
    moves = discovered(brief)
    made = [
        HistoryEntry(
            experiment=n, status=status, kind=move["kind"], detail=move["detail"], rationale="r", parent=parent
        )
        for n, status, move, parent in [
            (1, ExperimentStatus.KEPT, moves[0], 0),
            (3, ExperimentStatus.DISCARDED, moves[1], 2),  # 2 was a null edit on 1, and was kept
        ]
    ]
    available = asked_of(brief.model_copy(update={"history": tuple(made)}), moves).available
    assert available[:3].tolist() == [True, False, True]


# --- in a run --------------------------------------------------------------------------------------------------


def test_a_program_learns_once_and_the_run_derives_again_when_its_source_is_gone(tmp_path: Path) -> None:
    episodes = np.zeros((1, 2, len(PAST)), dtype=np.float32)
    episodes[0, :, 0] = KINDS.index("constant"), KINDS.index("width")
    episodes[0, :, 6], episodes[0, :, 7] = 1, (0.5, 2.0)  # kept both, and widths paid more
    experience.write(tmp_path / "episodes.npy", episodes)
    source = program(tmp_path / "source", LEARNS)
    options = {"episodes": str(tmp_path / "episodes.npy")}
    code, record = run(tmp_path, configuration(tmp_path, source, options=options, budget=Budget(experiments=1)))
    assert code == 0
    shutil.rmtree(source)
    (tmp_path / "episodes.npy").unlink()
    code, record = go_on(record.folder, Budget(experiments=2))
    assert code == 0
    assert [x.proposed.kind for x in record.state.experiments.values()] == ["baseline", "width", "width"]
    assert [event.kind for event in record.events].count("program.learned") == 1
    found = replay(record.folder, trust_paths=True)
    assert found.ok, found.problems
    assert (found.proposals, found.calls) == (2, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (RAISES, "the program crashed: KeyError at proposer.py:2"),
        (SHORT, "the program crashed: ValueError"),
        (HANGS, "the program passed the wall-time cap of 1.5 s"),
        (NEVER, "the program proposes nothing: none of its preferences for an available option is a number"),
    ],
    ids=["raises", "short", "hangs", "never"],
)
def test_an_answer_of_no_use_costs_a_turn_and_not_the_night(tmp_path: Path, text: str, sentence: str) -> None:
    options = {"seconds": 1.5} if text == HANGS else {}
    config = configuration(tmp_path, program(tmp_path / "p", text), options=options, budget=Budget(experiments=1))
    code, record = run(tmp_path, config)
    assert code == 0
    assert record.state.finished is not None
    assert record.state.finished.reason == "the budget is spent"
    assert [body["problem"] for body in answers(record)] == [sentence]
    assert record.state.experiments[1].proposed.rationale.endswith(f"drawn by chance, because {sentence}")
    assert "secret words" not in json.dumps([event.body for event in record.events])
    finder = Finder()
    found = [item for event in record.events for item in finder.take(event, RunState.validated(event))]
    assert [(item.code, item.experiment) for item in found] == [("program.useless", 1)]
    assert ranked_words(record, 1) == f"the folder p: {sentence}"
    shown = experiment_json(record, 1)
    assert [answer["problem"] for answer in shown["program"]] == [sentence]
    assert shown["executions"][0]["trial"] == "program"
    assert replay(record.folder, trust_paths=True).ok


def test_a_program_that_fails_every_time_ends_the_run_and_nothing_is_lost(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", RAISES), budget=Budget(experiments=5)))
    assert code == 0
    assert record.state.finished is not None
    assert "no answer of use 3 times in a row: the program crashed: KeyError" in record.state.finished.reason
    assert len(record.state.experiments) == 3
    assert all(experiment.closed for experiment in record.state.experiments.values())
    code, record = go_on(record.folder, Budget(experiments=9))  # the answer is on record: nobody asks again
    assert (code, len(answers(record))) == (0, 3)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({}, "left no answer.bin"),
        ({"answer.bin": b"1234"}, "holds 4 bytes instead of the 12"),
        ({"answer.bin": bytes(12), "more.bin": b""}, "left 1 more file"),
        ({"answer.bin": b"\xff" * 12}, "proposes nothing"),
    ],
)
def test_what_a_program_leaves_is_numbers_of_that_length_or_no_answer(outputs: dict[str, bytes], words: str) -> None:
    question = Question(inputs={}, available=np.ones(3, dtype=np.bool_))
    job = Job(purpose="predict", argv=("-m", "guest.predict"), inputs={}, shape=Shape(limits=Limits()))
    assert words in _judged(completed(job, outputs, b""), question)[1]


def test_infinite_preferences_are_preferences(tmp_path: Path) -> None:
    config = configuration(tmp_path, program(tmp_path / "p", INFINITE), budget=Budget(experiments=1))
    _, record = run(tmp_path, config)
    assert "(above all)" in record.state.experiments[1].proposed.rationale


LEAVES_NO_WEIGHTS = """
    import os
    from pathlib import Path
    (Path(os.environ["RSI_OUT"]) / "model.safetensors").write_bytes(b"pickle")
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("\n    raise RuntimeError\n", "learning crashed: RuntimeError at proposer.py:5"),
        (LEAVES_NO_WEIGHTS, "not a valid safetensors file"),
    ],
)
def test_a_program_that_cannot_learn_is_told_before_anything_is_trained(
    tmp_path: Path, script: str, words: str
) -> None:
    breaks = f"{UNIFORM}\nif __name__ == '__main__':{script}"
    code, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", breaks)))
    assert code == 2
    assert record.state.paused is not None
    assert words in record.state.paused.reason
    assert not record.state.experiments
    assert verify(record.folder, trust_paths=True).ok


@pytest.mark.parametrize("purpose", ["train", "predict"])
def test_a_program_that_the_user_cut_off_is_asked_again_and_nothing_is_held_against_it(
    tmp_path: Path, purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSI_CUT_OFF", str(tmp_path / "cut"))
    (tmp_path / "cut").mkdir()
    sandbox = Component(name=f"{ranked_runs.__file__}:CutOff")
    config = configuration(tmp_path, program(tmp_path / "p", LEARNS), budget=Budget(experiments=1), sandbox=sandbox)
    _, whole = run(tmp_path, config)
    (tmp_path / "cut" / purpose).touch()
    code, record = run(tmp_path, config)
    assert code == 130
    assert record.state.paused is not None
    assert len(record.state.experiments) == (0 if purpose == "train" else 1)
    code, record = go_on(record.folder)
    assert code == 0
    assert record.state.experiments[1].proposed == whole.state.experiments[1].proposed
    kinds = [event.kind for event in record.events]
    assert (kinds.count("program.learned"), kinds.count("program.answered")) == (
        (2, 1) if purpose == "train" else (1, 2)
    )
    assert verify(record.folder, trust_paths=True).ok
    assert replay(record.folder, trust_paths=True).ok


def test_a_recorded_answer_of_another_length_is_none(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", UNIFORM), budget=Budget(experiments=1)))
    other = Question(inputs={}, available=np.ones(1, dtype=np.bool_))
    with pytest.raises(IntegrityError, match="is not one for its options"):
        read_answer(record.state, record.blobs.get, record.state.program_answers[1][0], other)


def test_what_was_cut_off_is_no_answer_of_no_use(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", RAISES), budget=Budget(experiments=5)))
    state = record.state
    assert failures_before(state, 4) == 3
    (last,) = state.program_answers[3]
    execution = last.execution.model_copy(update={"kind": ExitKind.INTERRUPTED})
    state.program_answers[3] = [last.model_copy(update={"execution": execution})]
    assert failures_before(state, 4) == 2
    useful = state.program_answers[2][0].model_copy(update={"problem": ""})
    state.program_answers[2] = [useful]
    assert failures_before(state, 4) == 0


@pytest.mark.parametrize("forged", [{}, {"model.safetensors": "0" * 64}, {"other.safetensors": ""}])
def test_something_else_than_what_the_program_learned_is_found(tmp_path: Path, forged: dict[str, str]) -> None:
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", LEARNS), budget=Budget(experiments=1)))
    assert verify(record.folder, verdicts=False, trust_paths=True).ok
    (digest,) = record.state.program_learned.artifact.values() if record.state.program_learned else ()
    artifact = {name: other or digest for name, other in forged.items()}
    seq = _altered(record.folder, "program.learned", lambda body: body.update(artifact=artifact))
    problems = verify(record.folder, verdicts=False, trust_paths=True).problems
    assert seq in {problem.seq for problem in problems if problem.kind == "artifact"}


def test_a_record_whose_proposer_cannot_be_made_is_a_finding(recorded: Path, tmp_path: Path) -> None:
    folder = tmp_path / recorded.name
    for options in ({"nonsense": 1}, {"source": "s", "seconds": "soon"}):
        shutil.copytree(recorded, folder)

        def forge(body: dict[str, Any], options: dict[str, Any] = options) -> None:
            body["configuration"]["proposer"]["options"] = options

        _altered(folder, "run.started", forge)
        assert 0 in {problem.seq for problem in replay(folder, trust_paths=True).problems}
        shutil.rmtree(folder)


def test_a_program_that_answers_very_often_is_folded_and_checked_in_no_time(recorded: Path) -> None:
    events, state = read(recorded).events, RunState()
    place = next(index for index, event in enumerate(events) if event.kind == "program.answered")
    for event in events[:place]:
        state.apply(event)
    body = RunState.validated(events[place])
    begin = time.process_time()
    for number in range(10_000):
        one = body.model_copy(update={"question": f"{number:064x}"})
        assert not contradiction(state, one)
        state.fold(one, events[place])
    assert time.process_time() - begin < 2
    assert contradiction(state, one) == "the same question was answered before"


def test_a_run_killed_around_its_program_asks_nothing_twice(tmp_path: Path) -> None:
    config = configuration(tmp_path, program(tmp_path / "p", LEARNS), budget=Budget(experiments=2))
    _, whole = run(tmp_path, config)
    told = [x.proposed for x in whole.state.experiments.values()]
    asked = [body["question"] for body in answers(whole)]
    events = [event.seq for event in whole.events if event.kind.startswith("program.")]
    assert len(events) == 4
    for event in (events[0] - 1, *events):
        shutil.rmtree(tmp_path / "runs")
        _killed_at(tmp_path, config, event)
        (folder,) = list_runs(tmp_path / "runs")
        code, record = go_on(folder)
        assert code == 0
        assert [x.proposed for x in record.state.experiments.values()] == told
        assert [body["question"] for body in answers(record)] == asked
        assert [entry.kind for entry in record.events].count("program.learned") == 1
    assert replay(folder, trust_paths=True).ok


def _killed_at(folder: Path, config: Any, seq: int) -> None:
    """In a child process: run, and die by SIGKILL as soon as that event is durable."""
    child = os.fork()
    if child == 0:
        try:

            def die(recorded: Event, _state: RunState) -> None:
                if recorded.seq >= seq:
                    os.kill(os.getpid(), signal.SIGKILL)

            with start(config, said, root=folder / "runs") as session:
                if session.run.recorder.state.events > seq:
                    os.kill(os.getpid(), signal.SIGKILL)
                session.go([die])
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run ended before the event at which it was to be killed"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(folder / "state"))
        config = configuration(folder, program(folder / "p", UNIFORM), budget=Budget(experiments=2))
        _, record = run(folder, config)
    return record.folder


def _altered(folder: Path, kind: str, change: Callable[[dict[str, Any]], None]) -> int:
    """Change the first event of a kind and hash the chain again; its place."""
    events = load_events(folder)
    place = next(index for index, event in enumerate(events) if event["kind"] == kind)
    change(events[place]["body"])
    store(folder, events)
    return place


def _other_answer(folder: Path, body: dict[str, Any], files: bool = True) -> None:
    raw = struct.pack(f"<{body['options']}f", *range(body["options"]))
    body["answer"] = Blobs(folder / "blobs", Redactor.none()).put(raw)
    if files:
        body["execution"]["files"][0]["sha256"] = body["answer"]


def test_an_answer_that_did_not_come_out_of_the_sandbox_is_found(recorded: Path, tmp_path: Path) -> None:
    folder = tmp_path / recorded.name
    shutil.copytree(recorded, folder)
    seq = _altered(folder, "program.answered", lambda body: _other_answer(folder, body, files=False))
    problems = verify(folder, verdicts=False, trust_paths=True).problems
    assert (seq, "its answer is not the file that came out of the sandbox") in {(p.seq, p.sentence) for p in problems}


def _bodies(record: ReadRun, kind: str) -> list[Any]:
    return [RunState.validated(event) for event in record.events if event.kind == kind]


def test_another_reason_than_that_of_the_execution_is_found(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", RAISES), budget=Budget(experiments=1)))
    (body,) = _bodies(record, "program.answered")
    assert not list(rederive_program.answered(body, record.blobs.get))
    other = body.model_copy(update={"problem": "it was a bad day"})
    assert list(rederive_program.answered(other, record.blobs.get)) == [
        ("program", "its problem is not that of its execution")
    ]
    breaks = f"{UNIFORM}\nif __name__ == '__main__':\n    raise RuntimeError\n"
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", breaks)))
    (body,) = _bodies(record, "program.learned")
    assert not list(rederive_program.learned(body, record.blobs.get))
    other = body.model_copy(update={"problem": "it was a bad day"})
    assert list(rederive_program.learned(other, record.blobs.get)) == [
        ("program", "its problem is not that of its execution")
    ]


def test_weights_that_are_none_are_found_though_they_came_out_of_the_sandbox(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", LEARNS), budget=Budget(experiments=1)))
    (body,) = _bodies(record, "program.learned")
    (file,) = body.execution.files
    digest = record.blobs.put(b"pickle")
    execution = body.execution.model_copy(update={"files": (file.model_copy(update={"sha256": digest}),)})
    forged = body.model_copy(update={"execution": execution, "artifact": {file.path: digest}})
    ((kind, sentence),) = rederive_program.learned(forged, record.blobs.get)
    assert kind == "artifact"
    assert "cannot be used" in sentence


def test_what_a_program_does_has_its_place_in_a_record(recorded: Path) -> None:
    record = read(recorded)
    (frozen,), (learned,) = _bodies(record, "program.frozen"), _bodies(record, "program.learned")
    first, *_ = _bodies(record, "program.answered")
    crashed = {"execution": first.execution.model_copy(update={"kind": ExitKind.CRASHED})}
    seen: dict[str, str] = {}

    def tell(state: RunState, **bodies: Any) -> None:
        seen.update({name: contradiction(state, body) for name, body in bodies.items()})

    state, late = RunState(), RunState()
    for event in record.events:
        if event.kind == "program.frozen":
            tell(state, learned_of_none=learned, asked_of_none=first)
        if event.kind == "program.learned":
            useless = learned.model_copy(update={"problem": "no", "artifact": {"a.safetensors": "0" * 64}})
            tell(state, frozen_twice=frozen, left_by_a_failure=useless)
        else:
            late.apply(event)
        if event.kind == "program.answered":
            tell(state, crashed=first.model_copy(update=crashed), learned_twice=learned, right=first)
            tell(late, learned_late=learned, frozen_late=frozen)
            break
        state.apply(event)
    assert seen == {
        "learned_of_none": "no program was to learn",
        "asked_of_none": "no program was frozen that could be asked",
        "frozen_twice": "a program is frozen once, before anything else",
        "left_by_a_failure": "an execution that is of no use leaves nothing",
        "crashed": "an execution that did not complete answers nothing",
        "learned_twice": "no program was to learn",
        "right": "",
        "learned_late": "a program learns before anything is proposed",
        "frozen_late": "a program is frozen once, before anything else",
    }


@pytest.mark.parametrize(
    ("kind", "change", "found_by"),
    [
        ("program.answered", lambda b: b.update(answer="0" * 64), "verify"),
        ("program.answered", lambda b: b.update(answer=None), "verify"),
        ("program.answered", lambda b: b.update(options=3), "verify"),
        ("program.answered", lambda b: b.update(experiment=2), "verify"),
        ("program.answered", lambda b: b.update(question="0" * 64), "replay"),
        ("program.answered", lambda b: b.update(problem="it was of no use"), "replay"),
        ("program.answered", None, "replay"),
        (
            "program.answered",
            lambda b: b.update(findings=[{"severity": "info", "code": "c", "message": "m"}]),
            "verify",
        ),
        ("program.learned", lambda b: b.update(artifact={"a.safetensors": "0" * 64}), "verify"),
        ("program.learned", lambda b: b["execution"].update(purpose="predict"), "verify"),
    ],
)
def test_another_answer_than_the_one_that_was_used_is_found(
    recorded: Path, tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], None] | None, found_by: str
) -> None:
    folder = tmp_path / recorded.name
    shutil.copytree(recorded, folder)
    seq = _altered(folder, kind, change or (lambda body: _other_answer(folder, body)))
    problems = verify(folder, verdicts=False, trust_paths=True).problems
    if found_by == "verify":
        assert seq in {problem.seq for problem in problems}
    else:
        assert "proposal" in {problem.kind for problem in replay(folder, trust_paths=True).problems}


def test_what_a_program_learned_stays_though_a_trial_that_left_the_same_is_dropped(tmp_path: Path) -> None:
    two = Budget(experiments=2)
    first, record = run(tmp_path, configuration(tmp_path, program(tmp_path / "p", UNIFORM), budget=two))
    discarded = next(x for x in record.state.experiments.values() if x.status is ExperimentStatus.DISCARDED)
    trained = record.state.trials[discarded.trials[0]].trained
    assert first == 0
    assert trained is not None
    ((name, digest),) = trained.artifact.items()
    (tmp_path / "p" / name).write_bytes(record.blobs.get(digest))
    config = configuration(tmp_path, tmp_path / "p", budget=two, retention=Retention(artifacts=0))
    _, again = run(tmp_path, config)
    assert again.state.dropped, "nothing was dropped, so nothing was shown"
    assert digest in again.state.program_blobs
    assert again.blobs.has(digest)
    assert verify(again.folder, trust_paths=True).ok


def test_a_sandbox_that_does_not_isolate_is_refused_unless_the_user_says_so(tmp_path: Path) -> None:
    config = configuration(tmp_path, program(tmp_path / "p", UNIFORM), sandbox=Component(name="process"))
    with pytest.raises(UsageError, match="does not isolate, and a proposer's program would run"):
        start(config, said, root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
