"""The offline proposer: transforms the training code's syntax tree and learns within the run what pays."""

from __future__ import annotations

from rsi.proposers.mutation.choice import learned
from rsi.proposers.mutation.proposing import propose
from rsi.records import Brief, Proposal


class Mutate:
    """Moves drawn by Thompson sampling from the run's history; needs no model and no network."""

    name = "mutate"

    def propose(self, brief: Brief) -> Proposal:
        """The most promising new transformation of `brief.code`; Exhausted where there is none."""
        return propose(brief, learned, self.name)
