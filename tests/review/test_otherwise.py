"""`rsi replay --policy`: each experiment judged by another policy, on what the run measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import PATCHES, Rsi, make_run

from rsi.history import History
from rsi.policies.fixed import Fixed
from rsi.policies.greedy import Greedy
from rsi.policies.threshold import Threshold
from rsi.records import Comparison, Decision, ExperimentStatus, Plan, Propose
from rsi.review.otherwise import compared, report


class Raising:
    name = "raising"

    def decide(self, comparison: Comparison, history: History) -> Decision:
        raise ZeroDivisionError("no")

    def plan(self, history: History) -> Plan:
        return Propose(rule=self.name, reason="")


def test_the_run_s_own_policy_decides_as_it_did(pristine: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path, PATCHES[:3], policy="fixed")
    for folder, policy in ((pristine, Greedy()), (other, Fixed())):
        found = list(compared(folder, {policy.name: policy}))
        assert found
        for item in found:
            assert item.others == (item.own,)


def test_one_that_asks_for_more_says_so_and_one_that_is_content_with_less_decides_earlier(tmp_path: Path) -> None:
    folder = make_run(tmp_path, PATCHES[:1], policy="fixed")
    (item,) = compared(folder, {"greedy": Greedy(), "fixed": Fixed(seeds=9)})
    assert (item.own.word, item.own.trials) == ("keep", 5)
    assert [(other.word, other.trials) for other in item.others] == [("keep", 1), ("measure", 5)]


def test_what_differs_is_listed_by_how_it_differs(pristine: Path) -> None:
    told = report(pristine, "threshold", Threshold(k=1e9))
    kept = tuple(item.experiment for item in told.experiments if item.own.word == "keep")
    assert kept
    assert told.kept_instead == ()
    assert set(told.discarded_instead) | set(told.measured_instead) >= set(kept)
    assert told.rejected == tuple(x.experiment for x in told.experiments if x.became is ExperimentStatus.REJECTED)
    assert told.rejected == (5,)


def test_a_policy_that_raises_is_an_error_and_no_decision(pristine: Path) -> None:
    told = report(pristine, "raising", Raising())
    assert {item.others[0].word for item in told.experiments} == {"error"}
    assert "ZeroDivisionError" in told.experiments[0].others[0].reason
    assert told.kept_instead == told.discarded_instead == ()


def test_the_command_tells_all_or_one_experiment(pristine: Path, rsi: Rsi) -> None:
    done = rsi("replay", pristine, "--policy", "fixed")
    assert done.code == 0
    assert "fixed would have measured more: experiments 1, 3" in done.out
    one = json.loads(rsi("replay", pristine, "--policy", "greedy", "--experiment", "1", "--json").out)
    assert [item["experiment"] for item in one["experiments"]] == [1]
    assert one["experiments"][0]["others"][0]["word"] == "keep"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policy", "gredy"), "did you mean 'greedy'?"),
        (("--policy", "fixed", "--policy-option", "seeds=1"), "2 to 64 seeds"),
        (("--policy", "greedy", "--experiment", "99"), "no experiment 99"),
        (("--experiment", "1"), "go with --policy"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(
    pristine: Path, rsi: Rsi, arguments: tuple[str, ...], words: str
) -> None:
    done = rsi("replay", pristine, *arguments)
    assert done.code == 2
    assert words in done.err
    assert done.out == ""
