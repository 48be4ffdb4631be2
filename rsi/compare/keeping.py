"""The policy under which final code is measured again: whatever gets a score is kept, for it was chosen elsewhere."""

from __future__ import annotations

from rsi.history import History
from rsi.policies.trials import unusable
from rsi.records import Comparison, Decision, Discard, Keep, Plan, Propose


class KeepScored:
    """Decides nothing; the confirmation that follows says what the code is worth."""

    name = "keep-scored"

    def decide(self, comparison: Comparison, history: History) -> Decision:  # noqa: ARG002
        """Keep what has a score, better or worse."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        return Keep(rule=self.name, reason="to be measured, whatever it is worth")

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """There is one proposal."""
        return Propose(rule=self.name, reason="the code to be measured")
