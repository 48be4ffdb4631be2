"""What single kept edits are worth, in words: which are to blame after a failed milestone, which matter in the end."""

from __future__ import annotations

from rsi.claims.attribution import Attribution
from rsi.claims.blame import BlamePlan, TakeBack
from rsi.events import AblationBegun
from rsi.review.standing import listed
from rsi.review.wording import count
from rsi.state import RunState


def attribution_of(state: RunState) -> Attribution | None:
    """The last word on which edits matter; None where nobody asked."""
    results = (ablation.closed.result for ablation in reversed(state.ablations) if ablation.closed is not None)
    return next((result for result in results if isinstance(result, Attribution)), None)


def looking(begun: AblationBegun) -> str:
    """What an ablation is for."""
    plan = begun.plan
    if isinstance(plan, BlamePlan):
        edits = tuple(kept.edit for kept in plan.edits)
        one = len(edits) == 1
        suspects = f"whether {edits_of(edits)} is" if one else f"which of {edits_of(edits)} are"
        return f"milestone {begun.milestone} failed: looking {suspects} to blame"
    return f"looking how much {edits_of(plan.edits)} matter{'s' if len(plan.edits) == 1 else ''}"


def ablation_under_way(state: RunState) -> str:
    """What the ablation under way is at; empty where there is none."""
    current = state.open_ablation()
    if current is None:
        return ""
    over = sum(1 for trial in current.trials if state.trials[trial].over)
    return f"{looking(current.begun)}, {over} of at most {count(current.begun.plan.trials, 'trial')}"


def found(result: TakeBack | Attribution) -> str:
    """What an ablation came to."""
    trials = count(result.trials, "trial")
    if isinstance(result, TakeBack):
        taken = f"{edits_of(result.edits)} to be taken back" if result.edits else "none is to be taken back"
        return f"after {trials} without some of them: {taken}{_entangled(result.entangled)}"
    return f"{attribution_words(result)} (after {trials} without some of them)"


def attribution_words(result: Attribution) -> str:
    """Which edits matter, which do not, which nobody can tell."""
    matter, needed = result.having("matters"), result.having("needed")
    words = [f"{edits_of(matter)} matter{'s' if len(matter) == 1 else ''}" if matter else "no edit is shown to matter"]
    if needed:
        words.append(f"without {edits_of(needed)} the code does not run")
    idle = result.having("idle")
    if idle:
        words.append(f"{edits_of(idle)} {'seems' if len(idle) == 1 else 'seem'} to do nothing")
    undecided = result.having("undecided")
    if undecided:
        words.append(f"of {edits_of(undecided)} it is not known")
    return "; ".join(words) + _entangled(result.entangled)


def edits_of(numbers: tuple[int, ...]) -> str:
    """`the edit of 7`, `the edits of 7 and 9`."""
    return f"the edit{'' if len(numbers) == 1 else 's'} of {listed(numbers)}"


def _entangled(groups: tuple[tuple[int, ...], ...]) -> str:
    """Groups that were judged as one, because none comes out alone."""
    return "".join(f"; {listed(group)} come out only together" for group in groups)
