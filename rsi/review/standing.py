"""How an experiment stands besides its status: tried by the loop itself, certified, provisional, taken back."""

from __future__ import annotations

from collections.abc import Sequence

from rsi.events import ExperimentProposed
from rsi.records import ExperimentStatus
from rsi.review.wording import one_line
from rsi.state import RunState


def by_itself(proposed: ExperimentProposed) -> str:
    """What the loop tried without asking the proposer, in half a sentence; empty for a proposal."""
    null = "null edit" if proposed.null else ""
    if proposed.again is not None:
        return f"{null + ' of ' if null else ''}{proposed.again} again"
    if proposed.removes:
        return f"takes back {listed(proposed.removes)}"
    return null


def tried(proposed: ExperimentProposed, width: int) -> str:
    """What an experiment tried, as one line: the proposer's words, after the loop's own where it had none asked."""
    own = "removal" if proposed.removes else by_itself(proposed)
    return one_line(f"{own}: {proposed.rationale}" if own else proposed.rationale, width)


def standings(state: RunState) -> dict[int, str]:
    """What may be said of the experiments that were kept, by number; empty where nothing is tested."""
    if not state.run.configuration.certify:
        return {}
    certified = lineage(state, state.certified)
    found: dict[int, list[str]] = {}
    for number, entry in state.experiments.items():
        if number == 0 or entry.status is not ExperimentStatus.KEPT:
            continue
        if number not in certified:
            found.setdefault(number, []).append("provisional")
        for edit in entry.proposed.removes:
            found[edit] = [f"taken back by {number}"]
    for milestone in state.milestones:
        if milestone.tested is not None:
            outcome = "certified by" if milestone.tested.passed else "failed"
            found.setdefault(milestone.begun.candidate, []).insert(
                0, f"{outcome} milestone {milestone.begun.milestone}"
            )
    return {number: "; ".join(words) for number, words in found.items()}


def lineage(state: RunState, experiment: int) -> frozenset[int]:
    """An experiment and those whose code it was made from, the baseline last."""
    found: set[int] = set()
    while experiment in state.experiments and experiment not in found:
        found.add(experiment)
        experiment = state.experiments[experiment].proposed.parent
    return frozenset(found)


def listed(numbers: Sequence[int]) -> str:
    """`7`, `7 and 9`, `7, 9 and 12`."""
    words = [str(number) for number in numbers]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
