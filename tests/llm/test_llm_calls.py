"""Calls that a run pays for: reserved before, recorded after, never past a limit, never paid twice."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import open_run, question

from rsi.calls import (
    Answer,
    BudgetSpent,
    CallFault,
    Calls,
    Interrupted,
    KeyRefused,
    RateLimited,
    RecordedCalls,
    ReplayDiffers,
    ServerFault,
    TimedOut,
    worst_case,
)
from rsi.configuration import Budget
from rsi.errors import EnvironmentFault
from rsi.redaction import Redactor
from rsi.runs import OpenRun, open_to_write, read
from rsi.spending import Price, Spending
from rsi.testing.fake_client import FakeClient, Reply

PRICE = Price(input_usd=3e-6, output_usd=15e-6)


def calls(run: OpenRun, client: FakeClient, retries: int = 2) -> Calls:
    return Calls(run.recorder, client, retries=retries, retry_seconds=0.001)


def kinds(run: OpenRun) -> list[str]:
    return [event.kind for event in run.recorder.ledger.events if event.kind.startswith("call")]


def test_the_worst_case_is_on_disk_before_anything_is_sent(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    seen: list[list[str]] = []

    def look(_request: object) -> str:
        seen.append([event.kind for event in read(run.folder).events])
        return "fine"

    calls(run, FakeClient(look, PRICE)).begin(1).complete("propose", question())
    assert seen == [["run.started", "call.reserved"]]
    assert kinds(run) == ["call.reserved", "call.settled"]


def test_an_answer_on_record_is_never_asked_for_again(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient(["one", "two"], PRICE)
    first = calls(run, client).begin(1)
    told = [first.complete("propose", question("a")), first.complete("repair", question("b"))]
    run.close()
    again, _ = open_to_write(run.folder, Redactor.none())
    second = calls(again, client).begin(1)
    assert [second.complete("propose", question("a")), second.complete("repair", question("b"))] == told
    assert len(client.requests) == 2
    recorded = RecordedCalls(again.recorder.state, again.recorder.blobs.get).begin(1)
    assert recorded.complete("propose", question("a")) == told[0]
    with pytest.raises(ReplayDiffers, match="Call 2 of experiment 1"):
        recorded.complete("repair", question("another"))


def test_another_question_than_the_recorded_one_is_asked_anew(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient(["one", "two"])
    calls(run, client).begin(1).complete("propose", question("a"))
    answer, _ = calls(run, client).begin(1).complete("propose", question("changed"))
    assert answer.text == "two"


def test_a_fault_that_may_pass_is_retried_each_time_with_a_reservation_of_its_own(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient([RateLimited("wait"), ServerFault("broke", charged=True), "fine"], PRICE)
    answer, _ = calls(run, client).begin(1).complete("propose", question())
    assert answer.text == "fine"
    assert kinds(run) == ["call.reserved", "call.failed"] * 2 + ["call.reserved", "call.settled"]
    worst = worst_case([question().messages[0].text], 100, PRICE)
    spent = run.recorder.state.spending()
    assert spent.calls == 3
    assert spent.tokens == worst.tokens + answer.tokens, "what may have been billed counts in full"


def test_what_the_server_asks_to_wait_is_waited(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    began = time.monotonic()
    calls(run, FakeClient([RateLimited("wait", retry_after=0.3), "fine"])).begin(1).complete("propose", question())
    assert time.monotonic() - began >= 0.3


def test_a_wait_that_is_too_long_and_a_wrong_key_go_to_the_next_model_at_once(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient([RateLimited("come back tomorrow", retry_after=86400), KeyRefused("no"), "fine"])
    _, model = calls(run, client).begin(1).complete("propose", question(), ["second", "third"])
    assert model == "third"
    assert [request.model for request in client.requests] == ["a-model", "second", "third"]
    again = RecordedCalls(run.recorder.state, run.recorder.blobs.get).begin(1)
    assert again.complete("propose", question(), ["second", "third"])[1] == "third"


def test_when_no_model_answers_the_run_is_told_to_pause_with_every_reason(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient([*[ServerFault("it broke")] * 3, KeyRefused("the key is refused")])
    with pytest.raises(EnvironmentFault, match=r"a-model: it broke; second: the key is refused.*resume"):
        calls(run, client).begin(1).complete("propose", question(), ["second"])
    assert len(client.requests) == 4


def test_a_reservation_that_a_crash_left_open_counts_as_spent(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget(calls=2))

    class Killed(BaseException):
        pass

    def die(_request: object) -> str:
        raise Killed

    with pytest.raises(Killed):
        calls(run, FakeClient(die, PRICE)).begin(1).complete("propose", question())
    run.close()
    again, _ = open_to_write(run.folder, Redactor.none())
    spent = again.recorder.state.spending()
    assert spent == worst_case([question().messages[0].text], 100, PRICE)
    conversation = calls(again, FakeClient(["fine"], PRICE)).begin(1)
    assert conversation.complete("propose", question())[0].text == "fine"
    with pytest.raises(BudgetSpent, match="all 2 calls"):
        conversation.complete("repair", question("more"))


def test_a_declined_call_derives_again_as_declined(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget(tokens=400))
    conversation = calls(run, FakeClient(["fine"])).begin(1)
    conversation.complete("propose", question())
    with pytest.raises(BudgetSpent):
        conversation.complete("repair", question("x" * 400))
    recorded = RecordedCalls(run.recorder.state, run.recorder.blobs.get).begin(1)
    recorded.complete("propose", question())
    with pytest.raises(BudgetSpent):
        recorded.complete("repair", question("x" * 400))


def test_stopping_the_run_does_not_wait_for_a_slow_model(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    stop, release = threading.Event(), threading.Event()

    def slow(_request: object) -> str:
        stop.set()
        release.wait(20)
        return "too late"

    asked = Calls(run.recorder, FakeClient(slow), stopped=stop.is_set).begin(1)
    began = time.monotonic()
    with pytest.raises(Interrupted):
        asked.complete("propose", question())
    release.set()
    assert time.monotonic() - began < 5
    assert kinds(run) == ["call.reserved"]


def test_secrets_in_prompts_answers_and_faults_are_gone_before_they_are_written_or_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-planted-9f8e7d6c5b4a"
    monkeypatch.setenv("SOME_API_KEY", secret)
    run = open_run(tmp_path, Budget())
    client = FakeClient([ServerFault(f"broke with {secret}"), f"here it is: {secret}"])
    answer, _ = calls(run, client).begin(1).complete("propose", question(f"the key is {secret}"))
    assert answer.text == "here it is: [redacted SOME_API_KEY]"
    assert all(secret not in request.model_dump_json() for request in client.requests)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in written
    with pytest.raises(EnvironmentFault) as raised:
        calls(run, FakeClient([KeyRefused(f"bad {secret}")])).begin(2).complete("propose", question())
    assert secret not in str(raised.value)


# --- the law of the budget --------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


FAULTS = st.sampled_from(
    [RateLimited("wait"), ServerFault("broke", charged=True), TimedOut("late", charged=True), KeyRefused("no"), Crash()]
)
ANSWERS = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=40, deadline=None)
@given(
    script=st.lists(st.one_of(FAULTS, ANSWERS), min_size=1, max_size=25),
    sizes=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200)), min_size=1, max_size=6),
    cost=st.none() | st.floats(1e-6, 0.05),
    tokens=st.none() | st.integers(1, 5000),
    most=st.none() | st.integers(1, 12),
)
def test_no_sequence_of_answers_faults_and_crashes_passes_a_limit(
    script: list[CallFault | Crash | tuple[float, float]],
    sizes: list[tuple[int, int]],
    cost: float | None,
    tokens: int | None,
    most: int | None,
) -> None:
    limits = Budget(cost_usd=cost, tokens=tokens, calls=most)
    true: list[Spending] = []

    def reply(request: object) -> Reply:
        """Whatever the script says; what a provider may have billed is noted."""
        step = script[len(true) % len(script)]
        worst = worst_case([m.text for m in request.messages], request.max_output_tokens, PRICE)  # type: ignore[attr-defined]
        if isinstance(step, tuple):
            used = round(step[0] * worst.input_tokens), round(step[1] * worst.output_tokens)
            price = PRICE.worst(*used)
            true.append(Spending(calls=1, tokens=sum(used), cost_usd=price))
            return Answer(text="a", finish="stop", input_tokens=used[0], output_tokens=used[1], cost_usd=price)
        billed = isinstance(step, Crash) or step.charged
        true.append(worst if billed else Spending(calls=1))
        if isinstance(step, Crash):
            raise step
        return step

    folder = Path(tempfile.mkdtemp())
    run = open_run(folder, limits)
    try:
        for number, (size, answer_tokens) in enumerate(sizes * 3, start=1):
            try:
                calls(run, FakeClient(reply, PRICE), retries=1).begin(number).complete(
                    "propose", question("x" * size, answer_tokens), ["another"]
                )
            except (BudgetSpent, EnvironmentFault):
                continue
            except Crash:
                run.close()
                run, _ = open_to_write(run.folder, Redactor.none())
            spent = run.recorder.state.spending()
            for billed, limit in (
                (sum(item.cost_usd for item in true), cost),
                (sum(item.tokens for item in true), tokens),
                (len(true), most),
            ):
                assert limit is None or billed <= limit * (1 + 1e-9)
            assert spent.tokens >= sum(item.tokens for item in true), "the record never tells less than the truth"
    finally:
        run.close()
        shutil.rmtree(folder)
