"""The policy that no run can have: it looks each edit's true effect up after one trial. What others are measured by."""

from __future__ import annotations

from collections.abc import Callable

from rsi.history import History
from rsi.records import Comparison, Decision, Discard, Keep, Plan, Propose


class Oracle:
    """Keeps exactly what truly helps. `worth` gives a commit's true gain over the baseline."""

    name = "oracle"

    def __init__(self) -> None:
        self.worth: Callable[[str], float] | None = None

    def decide(self, comparison: Comparison, history: History) -> Decision:  # noqa: ARG002 - it knows better
        """Asks the truth alone."""
        assert self.worth is not None, "an oracle decides in simulated runs alone"
        gain = self.worth(comparison.candidate.commit) - self.worth(comparison.incumbent.commit)
        kind = Keep if gain > 0 else Discard
        return kind(rule=self.name, reason=f"its true effect is {gain:.3g}")

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """Nothing is worth a second look."""
        return Propose(rule=self.name, reason="every edit is known after one trial")
