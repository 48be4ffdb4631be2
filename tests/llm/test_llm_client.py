"""What litellm's own HTTP path makes of every answer and fault, in both wire formats."""

from __future__ import annotations

import time

import pytest
from model_server import Drops, Fails, Garbles, Hangs, ModelServer, Reply, Says, prompt_text

from rsi.calls import (
    CallFault,
    ConnectionLost,
    ContextTooLong,
    KeyMissing,
    KeyRefused,
    Message,
    ModelUnknown,
    QuotaSpent,
    RateLimited,
    Request,
    RequestRefused,
    ServerFault,
    TimedOut,
    Unreachable,
    Unreadable,
)
from rsi.proposers.llm import catalogue
from rsi.proposers.llm.client import LiteLlm
from rsi.proposers.llm.settings import Settings

KEY = "sk-marked-41c9d2e7f0ab"
FORMATS = {
    "openai/gpt-4o": "/v1",
    "anthropic/claude-sonnet-4-5": "",
    "hosted_vllm/some-model": "/v1",
    "my-model": "/v1",
}
TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def request(model: str, *parts: str) -> Request:
    system = Message(role="system", parts=("the rules", ""))
    return Request(
        model=model, messages=(system, Message(role="user", parts=parts or ("hello",))), max_output_tokens=50
    )


def client(server: ModelServer, model: str) -> LiteLlm:
    return LiteLlm({model: server.address + FORMATS[model]}, timeout=0.5)


@pytest.mark.parametrize("model", FORMATS)
def test_an_answer_comes_back_with_what_it_used(model: str) -> None:
    with ModelServer([Says("the answer", input_tokens=100, output_tokens=7, cached_tokens=60)]) as server:
        answer = client(server, model).complete(request(model))
    assert (answer.text, answer.finish) == ("the answer", "stop")
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (100, 7, 60)
    rates = catalogue.price(model)
    if rates is None:
        assert answer.cost_usd is None
    else:
        assert answer.cost_usd is not None
        assert 0 < answer.cost_usd <= rates.worst(100, 7)
    assert len(server.asked) == 1
    assert "the rules" in prompt_text(server.asked[0])


@pytest.mark.parametrize("model", FORMATS)
@pytest.mark.parametrize(
    ("reply", "fault", "charged"),
    [
        (Fails(429, "slow down", headers={"Retry-After": "7"}), RateLimited, False),
        (Fails(429, "You exceeded your current quota", "insufficient_quota"), QuotaSpent, False),
        (Fails(402), QuotaSpent, False),
        (Fails(500), ServerFault, True),
        (Fails(502), ServerFault, True),
        (Fails(503), ServerFault, False),
        (Fails(529), ServerFault, False),
        (Fails(504), TimedOut, True),
        (Fails(401, f"Incorrect API key provided: {KEY}"), KeyRefused, False),
        (Fails(403, f"{KEY[:8]}...{KEY[-4:]} may not"), KeyRefused, False),
        (Fails(404, "no such model"), ModelUnknown, False),
        (Fails(400, TOO_LONG, "context_length_exceeded"), ContextTooLong, False),
        (Fails(413), ContextTooLong, False),
        (Fails(400, "temperature is wrong"), RequestRefused, False),
        (Drops(), ConnectionLost, True),
        (Drops(after_headers=True), ConnectionLost, True),
        (Hangs(5), TimedOut, True),
        (Garbles(), Unreadable, True),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, type) else value.__name__,
)
def test_every_fault_is_told_apart_and_asked_once(
    model: str, reply: Reply, fault: type[CallFault], charged: bool
) -> None:
    with ModelServer([reply]) as server, pytest.raises(CallFault) as raised:
        client(server, model).complete(request(model))
    assert type(raised.value) is fault
    assert raised.value.charged is charged
    assert KEY not in str(raised.value)
    assert KEY[-4:] not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert len(server.asked) == 1, "the library retried by itself"
    if fault is RateLimited:
        assert raised.value.retry_after == 7


def test_a_date_to_retry_after_is_understood() -> None:
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    with ModelServer([Fails(429, headers={"Retry-After": when})]) as server, pytest.raises(RateLimited) as raised:
        client(server, "my-model").complete(request("my-model"))
    assert raised.value.retry_after is not None
    assert 20 < raised.value.retry_after <= 30


@pytest.mark.parametrize(
    "reply",
    [
        Says("", finish="content_filter"),
        Fails(
            400, "The response was filtered due to the prompt triggering content management policy", "content_filter"
        ),
    ],
)
@pytest.mark.parametrize("model", FORMATS)
def test_what_a_filter_withholds_is_an_answer_and_no_fault(model: str, reply: Reply) -> None:
    with ModelServer([reply]) as server:
        answer = client(server, model).complete(request(model))
    assert (answer.text, answer.finish) == ("", "content_filter")


def test_a_refusal_in_a_field_of_its_own_is_seen() -> None:
    with ModelServer([Says("", refusal="I must decline.")]) as server:
        answer = client(server, "my-model").complete(request("my-model"))
    assert (answer.text, answer.finish) == ("I must decline.", "content_filter")


def test_a_cut_off_answer_says_so_in_both_formats() -> None:
    for model in FORMATS:
        with ModelServer([Says("half an ans", finish="length")]) as server:
            assert client(server, model).complete(request(model)).finish == "length"


def test_nothing_listening_is_told_by_its_address() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/v1"):
        LiteLlm({"my-model": "http://127.0.0.1:9/v1"}, 1).complete(request("my-model"))


def test_a_local_server_is_asked_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with ModelServer([Says("hello")]) as server:
        client(server, "my-model").complete(request("my-model"))
    assert server.keys == ["none"]


def test_a_missing_key_is_named_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(KeyMissing, match="OPENAI_API_KEY"):
        LiteLlm({}, 1).complete(request("gpt-4o"))


def test_parts_worth_caching_are_marked_for_anthropic_alone() -> None:
    with ModelServer([Says("ok")]) as server:
        client(server, "anthropic/claude-sonnet-4-5").complete(
            request("anthropic/claude-sonnet-4-5", "the code", "the table", "the question")
        )
        client(server, "my-model").complete(request("my-model", "the code", "the table", "the question"))
    anthropic, openai = server.asked
    blocks = anthropic["messages"][0]["content"]
    assert [("cache_control" in block) for block in blocks] == [True, True, False]
    assert anthropic["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert openai["messages"][1]["content"] == "the codethe tablethe question"


def test_prices_are_the_highest_of_all_tiers() -> None:
    entry = {
        "input_cost_per_token": 1.0,
        "input_cost_per_token_above_200k_tokens": 2.0,
        "cache_creation_input_token_cost": 1.25,
        "output_cost_per_token": 4.0,
        "output_cost_per_reasoning_token": 5.0,
        "input_cost_per_token_priority": 9.0,
        "litellm_provider": "openai",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue.load_litellm().model_cost, "priced", entry)
        rates = catalogue.price("priced")
    assert rates is not None
    assert (rates.input_usd, rates.output_usd) == (2.0, 5.0)


def test_a_model_of_unknown_price_has_none() -> None:
    assert catalogue.price("hosted_vllm/some-model") is None
    assert catalogue.price("hosted_vllm/gpt-4o") is None, "a server of one's own is not billed like the provider's"


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
def test_the_room_for_thinking_is_within_what_is_reserved(effort: str) -> None:
    settings = Settings.of("anthropic/claude-sonnet-4-5", "", effort=effort)
    asked = request("anthropic/claude-sonnet-4-5").model_copy(
        update={"effort": effort, "max_output_tokens": settings.longest_answer}
    )
    with ModelServer([Says("ok")]) as server:
        client(server, "anthropic/claude-sonnet-4-5").complete(asked)
    body = server.asked[0]
    assert body["max_tokens"] == settings.longest_answer, "the library must not raise the limit that was reserved"
    assert body["thinking"]["budget_tokens"] + settings.answer_tokens <= body["max_tokens"]
