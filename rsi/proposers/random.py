"""The control of `mutate`: the same transformations, drawn uniformly, nothing learned."""

from __future__ import annotations

from rsi.proposers.mutation.choice import uniform
from rsi.proposers.mutation.proposing import propose
from rsi.records import Brief, Proposal


class Random:
    """Says by how much learning within the run helps, when it is run beside `mutate`."""

    name = "random"

    def propose(self, brief: Brief) -> Proposal:
        """Any new transformation of `brief.code`; Exhausted where there is none."""
        return propose(brief, uniform, self.name)
