"""A model's server that lies, floods, drips, redirects and repeats keys: what it costs, and what is written of it."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_runs import configuration, experiment_in, open_run, question, run, steps
from model_server import Fails, Garbles, ModelServer, Reply, Says, openai_answer
from rich.console import Console

from rsi.calls import Answer, BudgetSpent, CallFault, Calls, RateLimited, Redirected, Request, TimedOut, worst_case
from rsi.calls.settling import final, told
from rsi.configuration import Budget
from rsi.errors import EnvironmentFault, UsageError
from rsi.events import CallFailed
from rsi.proposers.llm import catalogue
from rsi.proposers.llm.client import LiteLlm
from rsi.proposers.llm.quoting import clean
from rsi.proposers.llm.settings import Settings
from rsi.redaction import Redactor
from rsi.review.approval import Approval
from rsi.review.closing import closing
from rsi.review.summary import summarise
from rsi.runs import OpenRun
from rsi.spending import Price
from rsi.state import CallState
from rsi.testing.fake_client import FakeClient

KEY = "sk-marked-41c9d2e7f0ab-5Hq"
MODELS = {"openai/gpt-4o": "/v1", "anthropic/claude-sonnet-4-5": "", "claude-sonnet-4-5": "/v1"}
PRICE = Price(input_usd=3e-6, output_usd=15e-6)
ABSENT = object()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def body(text: object = "fine", model: str = "m", **usage: object) -> Garbles:
    """An OpenAI answer with any usage; ABSENT leaves all of it out."""
    answer = openai_answer(Says("x", input_tokens=10, output_tokens=5), {"model": model, "messages": []})
    answer["choices"][0]["message"]["content"] = text
    answer["usage"] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **usage}
    if ABSENT in usage.values():
        del answer["usage"]
    return Garbles(json.dumps(answer).encode())


def asked(folder: Path, reply: Reply, model: str = "openai/gpt-4o", timeout: float = 5.0) -> tuple[OpenRun, Any]:
    """One question to a server that replies so: the run, and the answer or what was raised."""
    run = open_run(folder, Budget())
    path = MODELS.get(model, "/v1")
    with ModelServer([reply]) as server:
        calls = Calls(run.recorder, LiteLlm({model: server.address + path}, timeout), retries=0)
        try:
            return run, calls.begin(1).complete("propose", question(model=model))[0]
        except EnvironmentFault as fault:
            return run, fault


def only(run: OpenRun) -> CallState:
    (call,) = run.recorder.state.calls.values()
    return call


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# --- money --------------------------------------------------------------------------------------------------------


def test_a_priced_name_at_an_address_of_ones_own_is_priced_when_settled_too(tmp_path: Path) -> None:
    run, answer = asked(tmp_path, body(prompt_tokens=100, completion_tokens=50), "claude-sonnet-4-5")
    rates = catalogue.price("claude-sonnet-4-5")
    assert rates is not None
    assert 0 < answer.cost_usd <= rates.worst(100, 50)
    assert run.recorder.state.spending().cost_usd == answer.cost_usd
    assert run.recorder.state.spending().unpriced_calls == 0


def test_an_answer_without_a_cost_counts_the_reserved_dollars(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    reply = Answer(text="a", finish="stop", input_tokens=3, output_tokens=2)
    Calls(run.recorder, FakeClient([reply], PRICE)).begin(1).complete("propose", question())
    worst = worst_case([question().messages[0].text], 100, PRICE)
    assert run.recorder.state.spending().cost_usd == worst.cost_usd


@pytest.mark.parametrize(
    "usage",
    [
        {"all": ABSENT},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 0},
        {"prompt_tokens": -5_000_000, "completion_tokens": -5},
        {"completion_tokens": -500_000},
        {"completion_tokens": 10**30},
    ],
    ids="-".join,
)
def test_usage_that_is_not_credible_counts_as_reserved(tmp_path: Path, usage: dict[str, Any]) -> None:
    run, _ = asked(tmp_path, body(**usage))
    call = only(run)
    assert call.settled is not None
    assert call.spent.tokens == call.reserved.worst.tokens
    assert call.spent.cost_usd == call.reserved.worst.cost_usd > 0


def test_a_limit_is_reached_by_a_server_that_tells_no_usage(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget(tokens=2000))
    with ModelServer([body(all=ABSENT)]) as server:
        calls = Calls(run.recorder, LiteLlm({"openai/gpt-4o": f"{server.address}/v1"}, 5))

        def go_on_asking() -> None:
            for number in range(1, 100):
                calls.begin(number).complete("propose", question(model="openai/gpt-4o"))

        with pytest.raises(BudgetSpent):
            go_on_asking()
        assert len(server.asked) < 12


def test_more_cached_than_asked_makes_nothing_cheaper(tmp_path: Path) -> None:
    details = {"cached_tokens": 10**8}
    _, answer = asked(tmp_path, body(prompt_tokens=1000, completion_tokens=1000, prompt_tokens_details=details))
    rates = catalogue.price("openai/gpt-4o")
    assert rates is not None
    assert answer.cost_usd == rates.worst(1000, 1000)


def test_a_sentence_about_filters_is_no_filter_and_may_be_billed(tmp_path: Path) -> None:
    run, fault = asked(tmp_path, Fails(400, "invalid temperature. Request was: {content filter}"))
    assert isinstance(fault, EnvironmentFault)
    call = only(run)
    assert call.failed is not None
    assert (call.failed.kind, call.failed.charged) == ("request_refused", True)
    assert call.spent == call.reserved.worst


def test_what_a_filter_withholds_counts_as_reserved(tmp_path: Path) -> None:
    run, answer = asked(tmp_path, Fails(400, "it was filtered", "content_filter"))
    assert answer.finish == "content_filter"
    assert only(run).spent.tokens == only(run).reserved.worst.tokens


# --- where keys and prompts go ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("model", [*MODELS, "gemini/gemini-2.5-pro"])
def test_no_redirect_is_followed(model: str, status: int) -> None:
    with ModelServer([Says("caught")]) as other:
        elsewhere = {"Location": f"{other.address}/v1/messages"}
        with ModelServer([Fails(status, headers=elsewhere)]) as server:
            client = LiteLlm({model: server.address + MODELS.get(model, "")}, 5)
            with pytest.raises(Redirected) as raised:
                client.complete(question("the prompt", model=model))
        assert len(server.asked) == 1
        assert not raised.value.retryable
        assert (other.asked, other.keys, other.paths) == ([], [], [])


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [body("a\ud800b"), body("a", model="\udfff")], ids=["content", "model"])
def test_a_lone_surrogate_is_recorded_and_paid_once(tmp_path: Path, reply: Reply) -> None:
    run, answer = asked(tmp_path, reply)
    assert isinstance(answer, Answer)
    assert "\ufffd" in answer.text + answer.model
    assert only(run).settled is not None


def test_a_client_that_breaks_on_an_answer_is_a_charged_fault(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())

    def breaks(_request: object) -> str:
        raise OverflowError("int too large to convert to float")

    with pytest.raises(EnvironmentFault, match="OverflowError"):
        Calls(run.recorder, FakeClient(breaks, PRICE), retries=0).begin(1).complete("propose", question())
    call = only(run)
    assert call.failed is not None
    assert (call.failed.kind, call.failed.charged) == ("unreadable", True)


def straddling(room: int) -> str:
    return "y" * (room - len(KEY) + 1) + KEY


@pytest.mark.parametrize(
    "reply",
    [
        Fails(400, straddling(299)),
        Fails(500, straddling(300)),
        body(model=straddling(200)),
        Garbles(f'{{"error":{{"message":"bad \\u0073{KEY[1:]} x"}}}}'.encode(), 400),
        Garbles(f'broken " \\u0073{KEY[1:]} x'.encode(), 400),
        Garbles(b" " * 65_500 + KEY.encode() * 4, 400),
        body("z" * (4096 - 10) + KEY),
    ],
    ids=["400", "500", "model", "escaped", "escaped outside of JSON", "behind blanks", "answer"],
)
def test_no_part_of_a_key_is_written(tmp_path: Path, reply: Reply) -> None:
    run, _ = asked(tmp_path, reply)
    run.close()
    assert KEY[:9].encode() not in written(tmp_path)
    assert KEY[-14:].encode() not in written(tmp_path)


def test_what_a_server_says_cannot_steer_a_terminal(tmp_path: Path) -> None:
    run, fault = asked(tmp_path, Garbles(b"\x1b]0;pwned\x07\x1b[2Jhi\xe2\x80\xaeabc\r\nx", 500))
    call = only(run)
    assert call.failed is not None
    for sentence in (str(fault), call.failed.reason):
        assert not set(sentence) & {"\x1b", "\x07", "\n", "\u202e"}
        assert "hi" in sentence
    assert "hi" not in str(CallFault("ours", said="hi")), "what a server says is never in our own sentence"


def test_a_pause_ends_with_one_full_stop(tmp_path: Path) -> None:
    with ModelServer([Fails(401)]) as server:
        code, record = run(tmp_path, configuration(tmp_path, server))
    assert code == 3
    shown = io.StringIO()
    closing(summarise(record), Console(file=shown, width=500))
    assert "`rsi resume` the run." in shown.getvalue()
    assert ".." not in shown.getvalue().split("Everything")[0]
    assert told(CallFault("It broke.", said="really.."), Redactor.none()) == "It broke: really.."
    assert told(CallFault("It broke."), Redactor.none()) == "It broke"


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400", "NaN", "-Infinity", '"lots"', "[]", "5.5", "true"])
def test_no_number_in_usage_breaks_a_run(tmp_path: Path, number: str) -> None:
    data = body(completion_tokens=7777).body.replace(b"7777", number.encode())
    run, _ = asked(tmp_path, Garbles(data))
    call = only(run)
    assert call.settled is not None or call.failed is not None
    assert 0 < run.recorder.state.spending().tokens <= call.reserved.worst.tokens


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "inf"},
        {"Retry-After": "nan"},
        {"retry-after-ms": "1e999"},
        {"Retry-After": "1e300"},
        {"Retry-After": "Mon, 01 Jan 99999 00:00:00 GMT"},
    ],
    ids=str,
)
def test_no_wait_that_a_server_asks_for_breaks_a_run(tmp_path: Path, headers: dict[str, str]) -> None:
    run, fault = asked(tmp_path, Fails(429, "wait", headers=headers))
    assert isinstance(fault, EnvironmentFault)
    assert isinstance(run.recorder.state.calls["1.1.1"].failed, CallFailed)


def test_a_wait_of_a_client_is_bounded_too(tmp_path: Path) -> None:
    run = open_run(tmp_path, Budget())
    client = FakeClient([RateLimited("wait", retry_after=float("inf")), "fine"])
    Calls(run.recorder, client, retries=1, retry_seconds=0.001).begin(1).complete("propose", question())
    assert run.recorder.state.calls["1.1.1"].failed is not None


def test_a_fault_of_the_first_check_pauses_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsi.proposers.llm.proposer import Llm  # noqa: PLC0415 - to be patched

    def ready(_self: Llm) -> None:
        raise OverflowError("a surprise")

    with ModelServer(steps) as server, monkeypatch.context() as patch:
        patch.setattr(Llm, "ready", ready)
        code, record = run(tmp_path, configuration(tmp_path, server))
    assert code == 1
    assert record.state.paused is not None
    assert "OverflowError: a surprise" in record.state.paused.reason


# --- time and size ------------------------------------------------------------------------------------------------


def test_an_answer_that_drips_ends_with_the_time_out(tmp_path: Path) -> None:
    held = threading.Event()

    def drips(_request: object) -> str:
        held.wait(20)
        return "late"

    run = open_run(tmp_path, Budget())
    began = time.monotonic()
    with pytest.raises(EnvironmentFault, match="in time"):
        Calls(run.recorder, FakeClient(drips, timeout=0.1), retries=0).begin(1).complete("propose", question())
    held.set()
    assert time.monotonic() - began < 15
    failed = only(run).failed
    assert failed is not None
    assert (failed.kind, failed.charged) == ("timed_out", True)


def test_the_client_itself_stops_an_answer_that_drips() -> None:
    import socket  # noqa: PLC0415 - a server by hand

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            try:
                for _ in range(100):
                    time.sleep(0.1)
                    connection.sendall(b" ")
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(TimedOut) as raised:
        LiteLlm({"openai/gpt-4o": f"http://127.0.0.1:{listener.getsockname()[1]}/v1"}, 0.5).complete(
            question(model="openai/gpt-4o")
        )
    assert raised.value.charged
    assert time.monotonic() - began < 4
    listener.close()


@pytest.mark.parametrize("size", [50_000, 5_000_000])
def test_an_answer_past_all_bounds_is_cut_and_never_echoed(tmp_path: Path, size: int) -> None:
    sizes: list[int] = []

    def script(asked: dict[str, Any]) -> Says:
        sizes.append(len(json.dumps(asked)))
        return Says("ready") if experiment_in(asked) == 0 else Says("plain words " * (size // 12), output_tokens=5)

    with ModelServer(script) as server:
        _, record = run(tmp_path, configuration(tmp_path, server, budget=Budget(experiments=1, tokens=10**9)))
    assert max(sizes) < 40_000
    assert record.state.experiments[1].proposed.detail["outcome"] == "too_long"


def test_a_run_goes_on_after_a_lone_surrogate(tmp_path: Path) -> None:
    def script(asked: dict[str, Any]) -> Reply:
        return Says("ready") if experiment_in(asked) == 0 else body("a\ud800b")

    with ModelServer(script) as server:
        code, record = run(tmp_path, configuration(tmp_path, server, budget=Budget(experiments=1, tokens=10**7)))
    assert code == 0
    assert all(call.settled is not None for call in record.state.calls.values())
    assert record.state.experiments[1].proposed.detail["outcome"] == "no_edit"


def test_an_answer_is_redacted_before_it_is_cut() -> None:
    redactor = Redactor({"SOME_API_KEY": KEY})
    asked: Request = question(answer_tokens=1)
    answer = Answer(text="z" * 4090 + KEY, finish="stop", input_tokens=1, output_tokens=1, model="m" * 190 + KEY)
    bounded = final(answer, asked, worst_case(["x"], 1, None), redactor)
    assert bounded.finish == "too_long"
    assert KEY[:4] not in bounded.text + bounded.model


# --- people and settings ------------------------------------------------------------------------------------------


def test_two_answers_in_one_read_are_two_answers() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"y\nnot that one\nn")
    began = time.monotonic()
    with os.fdopen(reading) as answers:
        ask = Approval(Console(file=io.StringIO()), lambda: time.monotonic() - began > 5, answers)
        lines: list[Callable[[], str]] = [ask._line] * 2
        assert [line() for line in lines] == ["y", "not that one"]
        os.close(writing)
        assert ask._line() == "n"
        with pytest.raises(EnvironmentFault, match="Nobody"):
            ask._line()


TURNS = ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>"]


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|>", "<\uff5cUser\uff5c>", *TURNS])
def test_no_mark_of_a_chat_template_gets_through(mark: str) -> None:
    cleaned = clean(f"a{mark}b{mark.upper()}c\u200b{mark}")
    assert mark not in cleaned
    assert not any(sign in cleaned for sign in ("<|", "|>", "<\uff5c", "\uff5c>"))
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_key_is_a_missing_key(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", blank)
    assert catalogue.missing_keys("gpt-4o") == ["OPENAI_API_KEY"]
    assert not catalogue.key_in_environment("gpt-4o")


@pytest.mark.parametrize(
    "base",
    [
        f"https://user:{KEY}@host/v1",
        f"ftp://user:{KEY}@host/v1",
        f"https://host/v1#key={KEY}",
        f"https://host/v1?key={KEY}",
        f"user:{KEY}@host",
        f"https://user:{KEY}@host:99999999/v1",
        KEY,
    ],
)
def test_an_address_with_a_key_is_refused_and_not_repeated(base: str) -> None:
    with pytest.raises(UsageError) as raised:
        Settings.of("a-model", base)
    assert KEY not in str(raised.value)
