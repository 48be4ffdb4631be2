"""Proposes edits of a simulated task's code, all alike before they are tried: what is studied is the policy."""

from __future__ import annotations

from rsi.records import Brief, Proposal, Provenance
from simulated.code import FILE, addition, lines_of, name_of, removal


class SimulatedProposer:
    """Adds a line that no experiment had before; now and then takes one out.

    Args:
        regions: Of the task's code.
        removals: Share of proposals that take a line out, where there is one.
    """

    name = "simulated"

    def __init__(self, regions: int = 128, removals: float = 0.0) -> None:
        self.regions = regions
        self.removals = removals

    def propose(self, brief: Brief) -> Proposal:
        """A function of the brief's seed, the experiment's number and the code alone."""
        lines = lines_of(brief.code[FILE]) if self.removals else []
        if lines and brief.seed / 2**31 < self.removals:
            line = lines[brief.seed % len(lines)]
            edit, told, kind = removal(line), f"without {line}", "removal"
        else:
            name = name_of(brief.seed, brief.experiment)
            edit, told, kind = addition(name, brief.seed, self.regions), f"add {name}", "addition"
        return Proposal(edit=edit, rationale=told, kind=kind, provenance=Provenance(proposer=self.name))
