"""A run that a language model drives, end to end, with every answer and fault a server can give."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from model_runs import MODEL, at, configuration, edit, experiment_in, go_on, kinds, run, said, steps, value_in
from model_server import Drops, Fails, Hangs, ModelServer, Says, prompt_text
from rich.console import Console

from rsi.configuration import Budget, Component
from rsi.errors import EnvironmentFault, UsageError
from rsi.records import ExperimentStatus
from rsi.review.approval import Approval
from rsi.review.replay import replay
from rsi.review.summary import summarise
from rsi.review.verify import verify
from rsi.runs import ReadRun
from rsi.session import start

TOKENS = 10_000_000


def outcome(record: ReadRun, number: int) -> tuple[ExperimentStatus, str]:
    entry = record.state.experiments[number]
    assert entry.closed is not None
    return entry.closed.status, entry.closed.reason


def holds(record: ReadRun) -> None:
    """The run verifies, and every proposal derives again without the server."""
    report = verify(record.folder, trust_paths=True)
    assert report.ok, report.problems
    again = replay(record.folder, trust_paths=True)
    assert again.ok, again.problems
    assert again.proposals == len(record.state.experiments) - 1


def test_a_model_improves_a_task_and_every_call_is_on_record(tmp_path: Path) -> None:
    with ModelServer(steps) as server:
        code, record = run(tmp_path, configuration(tmp_path, server))
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 3
    assert kinds(record, "call") == ["call.reserved", "call.settled"] * 4  # the check and three proposals
    assert record.state.experiments[1].proposed.provenance.model == MODEL
    summary = summarise(record)
    assert summary.tokens == record.state.spending().tokens > 0
    assert summary.calls.made == 4
    assert summary.calls.tokens_left == TOKENS - summary.tokens
    holds(record)


def test_anthropic_s_format_drives_a_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-a-test-key-123")
    model = "anthropic/claude-sonnet-4-5"
    with ModelServer(steps, key="sk-ant-a-test-key-123") as server:
        options = {"model": model, "api_base": server.address}
        code, record = run(tmp_path, configuration(tmp_path, server, options=options, budget=Budget(experiments=2)))
    assert code == 0
    assert set(server.paths) == {"/v1/messages"}
    assert summarise(record).cost_usd > 0
    holds(record)


# --- answers that are no good edit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (lambda _: Says(""), "empty"),
        (lambda _: Says("I cannot help."), "refusal"),
        (lambda _: Says("", finish="content_filter"), "refusal"),
        (lambda body: Says(edit(3, value_in(body))[:60], finish="length"), "truncated"),
        (lambda _: Says("Try a lower value."), "no_edit"),
        (lambda _: Says(edit(3, 999)), "not_applicable"),
        (lambda body: Says(edit("((", value_in(body))), "not_applicable"),
        (
            lambda body: Says(edit(40, value_in(body)) if value_in(body) != "40" else edit("40 ", "40")),
            "not_applicable",
        ),
    ],
    ids=["empty", "refusal", "withheld", "truncated", "no edit", "not there", "syntax", "no change"],
)
def test_an_answer_that_cannot_be_used_is_repaired_with_the_precise_reason(
    tmp_path: Path, first: Any, name: str
) -> None:
    with ModelServer(at(1, first)) as server:
        code, record = run(tmp_path, configuration(tmp_path, server, budget=Budget(experiments=1, tokens=TOKENS)))
    assert code == 0
    assert outcome(record, 1)[0] is ExperimentStatus.KEPT
    repair = server.asked[2]
    assert f"cannot be used ({name})" in repair["messages"][-1]["content"]
    assert [message["role"] for message in repair["messages"]] == ["system", "user", "assistant", "user"]
    assert [call.reserved.purpose for call in record.state.calls.values()] == ["check", "propose", "repair"]
    holds(record)


def test_an_answer_that_stays_useless_is_an_experiment_refused_by_name_and_feeds_back(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Says:
        return Says("No idea.") if experiment_in(body) == 1 else steps(body)

    with ModelServer(script) as server:
        config = configuration(tmp_path, server, budget=Budget(experiments=2, tokens=TOKENS))
        code, record = run(tmp_path, config)
    assert code == 0
    assert outcome(record, 1) == (
        ExperimentStatus.REFUSED,
        "no_edit: there is no edit in it; write one in the asked form.",
    )
    assert len(record.state.calls) == 1 + 3 + 1
    assert "\n1 R " in prompt_text(server.asked[-1])
    assert "no_edit" in prompt_text(server.asked[-1])
    holds(record)


def test_code_that_was_tried_is_refused_before_it_is_trained_and_the_model_is_told(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Says:
        now, text = value_in(body), prompt_text(body)
        if experiment_in(body) == 1:
            return Says(edit(50, now))  # away from the target: discarded
        if experiment_in(body) == 2 and "(duplicate)" not in text:
            return Says(edit("50  # the same, dressed up", now))
        return steps(body)

    with ModelServer(script) as server:
        _, record = run(tmp_path, configuration(tmp_path, server, budget=Budget(experiments=2, tokens=TOKENS)))
    assert outcome(record, 1)[0] is ExperimentStatus.DISCARDED
    assert outcome(record, 2)[0] is ExperimentStatus.KEPT
    assert "was tried before" in server.asked[-1]["messages"][-1]["content"]
    assert len(record.state.trials) == 3
    holds(record)


def test_a_crash_is_repaired_as_a_new_experiment_that_names_its_parent(tmp_path: Path) -> None:
    crash = at(1, lambda body: Says(edit("39  # fake: crash", value_in(body))))
    with ModelServer(crash) as server:
        _, record = run(tmp_path, configuration(tmp_path, server, budget=Budget(experiments=2, tokens=TOKENS)))
    assert outcome(record, 1)[0] is ExperimentStatus.CRASHED
    assert record.state.experiments[2].proposed.provenance.parent == 1
    assert "Experiment 1 crashed." in prompt_text(server.asked[2])
    holds(record)


def test_a_critique_may_revise_the_edit_or_keep_it(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Says:
        if "criticise it" not in prompt_text(body):
            return steps(body)
        return Says(edit(20, value_in(body), "bolder") if experiment_in(body) == 1 else "KEEP")

    with ModelServer(script) as server:
        config = configuration(tmp_path, server, options={"critique": 1}, budget=Budget(experiments=2, tokens=TOKENS))
        _, record = run(tmp_path, config)
    proposed = record.state.experiments
    assert (proposed[1].proposed.rationale, proposed[2].proposed.rationale) == ("bolder.", "closer to the target.")
    assert [c.reserved.purpose for c in record.state.calls.values()] == ["check", *["propose", "critique"] * 2]
    holds(record)


@pytest.mark.parametrize("form", ["unified-diff", "whole-file"])
def test_other_edit_formats_drive_a_run(tmp_path: Path, form: str) -> None:
    def script(body: dict[str, Any]) -> Says:
        now, value = value_in(body), 40 - experiment_in(body)
        if form == "whole-file":
            return Says(f"Why: closer.\n\ntrain.py\n```python\nVALUE = {value}\n```\n")
        return Says(f"Why: closer.\n\n--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-VALUE = {now}\n+VALUE = {value}\n")

    with ModelServer(script) as server:
        config = configuration(
            tmp_path, server, options={"edit_format": form}, budget=Budget(experiments=2, tokens=TOKENS)
        )
        _, record = run(tmp_path, config)
    assert record.state.count(ExperimentStatus.KEPT) == 2
    holds(record)


# --- faults ------------------------------------------------------------------------------------------------------


def test_faults_sprinkled_in_change_nothing_but_the_bill(tmp_path: Path) -> None:
    faults = [
        Fails(429, headers={"Retry-After": "0"}),
        Fails(500),
        Fails(503),
        Drops(),
        Drops(after_headers=True),
        Hangs(3),
    ]
    numbers = iter(range(10_000))

    def script(body: dict[str, Any]) -> Any:
        number = next(numbers)
        return faults[number // 2 % len(faults)] if number % 2 == 0 else steps(body)

    with ModelServer(script) as server:
        config = configuration(tmp_path, server, options={"timeout": 0.3}, budget=Budget(experiments=5, tokens=TOKENS))
        code, record = run(tmp_path, config)
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 5
    assert kinds(record, "call.failed") == ["call.failed"] * 6
    holds(record)


def test_a_model_that_stays_away_is_followed_by_the_next_and_the_record_says_who_answered(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        return Fails(503) if body["model"] == "first" and experiment_in(body) > 0 else steps(body)

    with ModelServer(script) as server:
        options = {"model": "openai/first,openai/second", "retries": 1}
        _, record = run(tmp_path, configuration(tmp_path, server, options=options))
    assert {x.proposed.provenance.model for n, x in record.state.experiments.items() if n} == {"openai/second"}
    holds(record)


def test_a_server_that_stays_away_pauses_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    away = [True]

    def script(body: dict[str, Any]) -> Any:
        return Fails(503, "maintenance") if away and experiment_in(body) == 2 else steps(body)

    with ModelServer(script) as server:
        code, record = run(tmp_path, configuration(tmp_path, server, options={"retries": 1}))
        assert code == 3
        assert record.state.paused is not None
        assert "maintenance" in record.state.paused.reason
        away.clear()
        code, record = go_on(record.folder)
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 3
    asked = [experiment_in(body) for body in server.asked]
    assert asked == [0, 1, 2, 2, 2, 3], "what was answered is not asked again"
    holds(record)


def test_a_wrong_key_is_told_at_the_start_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-wrong-key-000")
    with ModelServer(steps, key="sk-the-right-key-111") as server:
        code, record = run(tmp_path, configuration(tmp_path, server))
    assert code == 3
    assert record.state.paused is not None
    assert "OPENAI_API_KEY" in record.state.paused.reason
    assert not record.state.experiments, "nothing was trained"
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_told_before_there_is_a_run(tmp_path: Path) -> None:
    config = configuration(tmp_path, options={"api_base": "http://127.0.0.1:9/v1"})
    with pytest.raises(EnvironmentFault, match="Nothing answers at --api-base"):
        run(tmp_path, config)
    assert not (tmp_path / "runs").exists()


# --- budgets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"calls": 3}, {"tokens": 10_000}])
def test_a_spent_budget_ends_the_run_and_more_of_it_goes_on(tmp_path: Path, limit: dict[str, int]) -> None:
    budget = Budget.model_validate({"experiments": 10, "tokens": TOKENS} | limit)
    with ModelServer(steps) as server:
        code, record = run(tmp_path, configuration(tmp_path, server, budget=budget))
        assert code == 0
        assert record.state.finished is not None
        assert "budget for calls is spent" in record.state.finished.reason
        reached = len(record.state.experiments) - 1
        assert 1 <= reached < 10
        spent = record.state.spending()
        assert all(getattr(spent, name) <= value for name, value in limit.items())
        code, record = go_on(record.folder, Budget(experiments=reached + 1, **dict.fromkeys(limit, TOKENS)))
    assert code == 0
    assert len(record.state.experiments) - 1 == reached + 1
    assert record.state.budget.tokens == TOKENS
    holds(record)


def test_a_budget_that_ends_between_answer_and_repair_keeps_the_record_replayable(tmp_path: Path) -> None:
    with ModelServer(at(1, lambda _: Says("no edit"))) as server:
        budget = Budget(experiments=3, tokens=TOKENS, calls=2)
        _, record = run(tmp_path, configuration(tmp_path, server, budget=budget))
    assert outcome(record, 1)[1].startswith("no_edit")
    assert kinds(record, "call.declined")
    holds(record)


def test_dollars_are_counted_and_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-test-key-123")
    with ModelServer(steps) as server:
        config = configuration(
            tmp_path, server, options={"model": "gpt-4o"}, budget=Budget(experiments=50, cost_usd=0.07)
        )
        _, record = run(tmp_path, config)
    spent = record.state.spending()
    assert 0 < spent.cost_usd <= 0.07
    assert "budget for calls is spent: $" in (record.state.finished.reason if record.state.finished else "")
    holds(record)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": Budget(experiments=1)}, "price of openai/local-model is not known.*--max-tokens"),
        ({"options": {"model": ""}}, "give --model"),
        ({"options": {"model": "gpt-4oo", "api_base": ""}}, "did you mean 'gpt-4o'"),
        ({"options": {"model": "openia/gpt-4o", "api_base": ""}}, "did you mean 'openai/gpt-4o'"),
    ],
)
def test_what_cannot_work_is_told_before_there_is_a_run(tmp_path: Path, changes: Any, words: str) -> None:
    with ModelServer(steps) as server, pytest.raises(UsageError, match=words):
        run(tmp_path, configuration(tmp_path, server, **changes))
    assert not server.asked
    assert not (tmp_path / "runs").exists()


def test_a_missing_key_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EnvironmentFault, match="OPENAI_API_KEY"):
        run(tmp_path, configuration(tmp_path, options={"model": "gpt-4o"}))


@pytest.mark.parametrize(("program", "words"), [(b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_program_that_says_nothing_is_told(tmp_path: Path, program: bytes, words: str) -> None:
    with ModelServer(steps) as server:
        config = configuration(tmp_path, server)
        (tmp_path / "task" / "program.md").write_bytes(program)
        with pytest.raises(UsageError, match=words):
            run(tmp_path, config)
    assert not server.asked


# --- safety and people -------------------------------------------------------------------------------------------


def test_a_sandbox_that_does_not_isolate_needs_the_flag_and_marks_the_run(tmp_path: Path) -> None:
    open_sandbox = tmp_path / "open.py"
    open_sandbox.write_text(
        "from rsi.testing.fake_sandbox import FakeSandbox\n\n\nclass Open(FakeSandbox):\n    isolates = False\n"
    )
    sandbox = Component(name=f"{open_sandbox}:Open")
    with ModelServer(steps) as server:
        with pytest.raises(UsageError, match="--unsafe-no-isolation"):
            run(tmp_path, configuration(tmp_path, server, sandbox=sandbox))
        assert not server.asked
        config = configuration(tmp_path, server, sandbox=sandbox, unsafe_no_isolation=True)
        _, record = run(tmp_path, config)
    assert record.state.run.configuration.unsafe_no_isolation
    assert not summarise(record).isolated


def test_a_person_is_asked_before_each_training_and_their_word_is_an_event(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.write_text("y\ntoo bold\ny\n")
    shown = Console(file=io.StringIO(), width=100)
    with ModelServer(steps) as server:
        config = configuration(tmp_path, server, approve=True)
        with answers.open() as lines:
            code, record = run(tmp_path, config, approve=Approval(shown, lambda: False, lines))
    assert code == 0
    assert outcome(record, 2) == (ExperimentStatus.REFUSED, "a person said no: too bold")
    assert record.state.count(ExperimentStatus.KEPT) == 2
    assert "too bold" in prompt_text(server.asked[-1])
    assert not record.state.experiments[2].trials
    assert "+VALUE = 39" in shown.file.getvalue()  # type: ignore[attr-defined]
    holds(record)


def test_a_run_that_asks_a_person_pauses_where_nobody_is(tmp_path: Path) -> None:
    with ModelServer(steps) as server:
        code, record = run(tmp_path, configuration(tmp_path, server, approve=True))
    assert code == 3
    assert record.state.paused is not None
    assert "resume" in record.state.paused.reason


def test_a_marked_key_is_nowhere_in_what_a_run_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-MARKED-77aa55cc33ee11"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    for name in ("RSI_CACHE", "RSI_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME", "HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    plans: dict[int, Any] = {
        1: Says(f"Kind: {key}\nWhy: the key is {key}.\n\n" + edit(f"39  # {key}", "40")),
        2: Fails(500, f"broke with {key}"),
        3: Fails(401, f"Incorrect API key provided: {key}"),
    }

    def script(body: dict[str, Any]) -> Any:
        planned = plans.pop(experiment_in(body), None)
        return planned or steps(body)

    monkeypatch.chdir(tmp_path)
    with ModelServer(script) as server:
        code, record = run(tmp_path, configuration(tmp_path, server))
        assert code == 3  # the refused key
        code, record = go_on(record.folder)
        for command in (summarise, lambda r: verify(r.folder, trust_paths=True), lambda r: replay(r.folder, True)):
            assert key not in command(record).model_dump_json()  # type: ignore[no-untyped-call]
    assert code == 0
    assert set(server.keys) == {key}, "the server did get it"
    assert key not in json.dumps(server.asked), "no prompt holds it"
    planted = [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert planted == []
    out, err = capfd.readouterr()
    assert key not in out + err


def test_the_library_is_imported_only_when_a_model_is_asked() -> None:
    source = "import sys, cli, rsi.session, rsi.proposers.llm.proposer; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_starting_a_run_asks_nothing_until_it_goes(tmp_path: Path) -> None:
    with ModelServer(steps) as server:
        start(configuration(tmp_path, server), said, root=tmp_path / "runs").close()
        assert not server.asked
