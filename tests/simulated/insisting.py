"""A policy that wants the same edit tried again and again; `rsi verify` loads it by this file's path."""

from __future__ import annotations

from rsi.history import History
from rsi.policies.greedy import Greedy
from rsi.records import Certify, Plan, Propose, TryAgain


class Insisting(Greedy):
    """Greedy, and wants the first experiment that was not kept tried again, whatever came of that before.

    It has each new incumbent certified first: after a milestone the whole window is filled
    at one length of the history.
    """

    name = f"{__file__}:Insisting"

    def plan(self, history: History) -> Plan:
        if history.incumbent not in {history.certified, *(seen.incumbent for seen in history.milestones)}:
            return Certify(rule="insisting", reason="it is ahead")
        lost = next((past.experiment for past in history.past if past.scored and not past.kept), None)
        if lost is None:
            return Propose(rule="insisting", reason="nothing was lost yet")
        return TryAgain(rule="insisting", experiment=lost, reason="it deserves another chance")
