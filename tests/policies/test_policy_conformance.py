"""Every shipped policy runs the suite that a lab's own would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rsi import plugins
from rsi.configuration import Component
from rsi.errors import UsageError
from rsi.policies.expected_gain import ExpectedGain
from rsi.policies.fixed import Fixed
from rsi.policies.greedy import Greedy
from rsi.policies.sequential import Sequential
from rsi.policies.threshold import Threshold
from rsi.protocols import Policy
from rsi.session import build
from rsi.testing.policy_conformance import CHECKS

POLICIES: dict[str, type] = {policy.name: policy for policy in (ExpectedGain, Fixed, Greedy, Sequential, Threshold)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", POLICIES)
def test_keeps_the_contract(name: str, check: Callable[[Callable[[], Policy]], None]) -> None:
    check(POLICIES[name])


@pytest.mark.parametrize("name", POLICIES)
def test_is_registered_under_its_own_name(name: str) -> None:
    assert plugins.load("policies", name) is POLICIES[name]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fixed(seeds=1), "2 to 64 seeds"),
        (lambda: Fixed(seeds=2.5), "2 to 64 seeds"),
        (lambda: Threshold(k="much"), "k of 0 or more"),
        (lambda: Fixed(alpha=0), "alpha"),
        (lambda: Fixed(alpha=1), "alpha"),
        (lambda: Sequential(alpha=0), "alpha"),
        (lambda: Sequential(alpha=1), "alpha"),
        (lambda: Sequential(alpha=float("nan")), "alpha"),
        (lambda: Sequential(most=1), "2 to 64 pairs"),
        (lambda: Threshold(k=-1), "k of 0 or more"),
        (lambda: Threshold(k=float("nan")), "k of 0 or more"),
        (lambda: Threshold(seeds=0), "1 to 64 seeds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "made",
)
def test_options_that_mean_nothing_are_refused_in_words(make: Callable[[], Policy], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_a_policy_and_its_options_are_told_apart_from_what_it_does_not_take() -> None:
    assert build("policies", Component(name="fixed", options={"seeds": 3})).seeds == 3
    with pytest.raises(UsageError, match="'seed'"):
        build("policies", Component(name="fixed", options={"seed": 3}))
