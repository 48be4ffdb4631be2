"""The choice among several models."""

from __future__ import annotations

from collections import Counter

import pytest
from test_llm_prompt import entry

from rsi.errors import UsageError
from rsi.proposers.llm.models import choose
from rsi.proposers.llm.settings import Settings
from rsi.records import ExperimentStatus, HistoryEntry, Objective

OBJECTIVE = Objective(metric="loss", noise=0.01)


def asked(number: int, model: str, kept: bool, cost: float, tokens: int = 1000) -> HistoryEntry:
    status = ExperimentStatus.KEPT if kept else ExperimentStatus.DISCARDED
    return entry(number, status, model=model, cost_usd=cost, tokens=tokens, gain=0.02 if kept else -0.01)


def shares(history: list[HistoryEntry], priced: bool = True) -> Counter[str]:
    return Counter(choose(["a", "b"], history, OBJECTIVE, priced, seed).model for seed in range(200))


def test_every_model_is_asked_once_first() -> None:
    assert choose(["a", "b"], [], OBJECTIVE, True, 1) == ("a", "not asked yet")
    assert choose(["a", "b"], [asked(1, "a", True, 1.0)], OBJECTIVE, True, 1).model == "b"


def test_the_same_history_and_seed_choose_the_same() -> None:
    history = [asked(1, "a", True, 1.0), asked(2, "b", False, 1.0)]
    assert choose(["a", "b"], history, OBJECTIVE, True, 5) == choose(["a", "b"], history, OBJECTIVE, True, 5)


def test_of_equal_gain_the_cheaper_is_chosen_more() -> None:
    history = [asked(n, "ab"[n % 2], n % 4 < 2, (1.0, 0.1)[n % 2]) for n in range(20)]
    assert shares(history)["b"] > 180


def test_of_equal_price_the_better_is_chosen_more_but_not_always() -> None:
    history = [asked(n, "ab"[n % 2], n % 2 == 1, 1.0) for n in range(2)]
    found = shares(history)
    assert found["b"] > 120
    assert found["a"] > 0


def test_without_prices_tokens_count_and_the_reason_says_so() -> None:
    history = [asked(n, "ab"[n % 2], n % 4 < 2, 0.0, tokens=(10_000, 1_000)[n % 2]) for n in range(20)]
    assert shares(history, priced=False)["b"] > 180
    assert "gain a token" in choose(["a", "b"], history, OBJECTIVE, False, 1).why


@pytest.mark.parametrize(
    ("model", "base", "others", "words"),
    [
        ("", "", {}, "give --model"),
        ("a", "nonsense", {}, "no address"),
        ("a", "http://user:word@127.0.0.1", {}, "no key"),
        ("a", "http://127.0.0.1:99999", {}, "no address"),
        ("a,b,c", "http://127.0.0.1:1,http://127.0.0.1:2", {}, "one for each"),
        ("a", "", {"effort": "hihg"}, "did you mean 'high'"),
        ("a", "", {"edit_format": "search_replace"}, "did you mean 'search-replace'"),
        ("a", "", {"repairs": -1}, "--repairs -1"),
        ("a", "", {"prompt_tokens": 3}, "--prompt-tokens 3"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_a_sentence(
    model: str, base: str, others: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.of(model, base, **others)


def test_addresses_go_with_models() -> None:
    assert Settings.of("a,b", "http://x:1/v1/").bases == {"a": "http://x:1/v1", "b": "http://x:1/v1"}
    assert Settings.of("a,b", "http://x:1,http://y:2").bases == {"a": "http://x:1", "b": "http://y:2"}
    assert Settings.of("a", "").bases == {}
