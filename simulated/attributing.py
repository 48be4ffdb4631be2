"""Attribution of a simulated run's gain: the procedure of `rsi.claims.attribution`, answered by the surface."""

from __future__ import annotations

from typing import NamedTuple

from rsi import ablations
from rsi.claims.ablation import Answer, Ask, Edits, Removal, Trained, TrainWithout
from rsi.claims.attribution import Attribution, AttributionPlan, least_trials, procedure
from rsi.edits.outcome import NotAnEdit
from rsi.evidence import Secret
from rsi.records import CodeFiles
from simulated.code import FILE
from simulated.merging import merged
from simulated.running import SimulatedRun
from simulated.surface import score, value


class Attributed(NamedTuple):
    """What attribution listed, and the truth about that; entangled edits are judged, and counted, as one."""

    listed: int
    """Said to matter."""
    idle: int
    """Of those, how many truly do nothing or harm where they stand."""
    gain: float
    """The listed ones' true effects together."""


def attribute(run: SimulatedRun, trials: int, false_discovery: float = 0.05) -> Attributed | None:
    """Judge every kept edit; None where there is none, or where the trials are too few for so many."""
    edits = kept_edits(run)
    if not edits or trials < least_trials(len(edits)):
        return None
    places = Removals(run)
    questions = procedure(
        AttributionPlan(edits=edits, trials=trials, false_discovery=false_discovery, seed=run.surface.seed)
    )
    asks = next(questions)
    try:
        while True:
            asks = questions.send(tuple(_answer(run, places, ask) for ask in asks))
    except StopIteration as end:
        found: Attribution = end.value
    effects = [_effect(run, places, unit.edits) for unit in found.units if unit.verdict == "matters"]
    return Attributed(listed=len(effects), idle=sum(effect <= 1e-12 for effect in effects), gain=sum(effects))


def kept_edits(run: SimulatedRun) -> Edits:
    """The kept experiments whose edits the final incumbent is made of, the first one first."""
    return ablations.kept_edits(run.state, 0)


class Removals:
    """The incumbent's code without some of its edits, each taken out by a merge, the latest first; made once."""

    def __init__(self, run: SimulatedRun) -> None:
        self._run = run
        self._made: dict[Edits, CodeFiles | None] = {(): self._code(run.state.incumbent)}

    def without(self, edits: Edits) -> CodeFiles | None:
        """None where a merge does not apply."""
        if edits not in self._made:
            self._made[edits] = self._take_out(edits[0], self.without(edits[1:]))
        return self._made[edits]

    def _take_out(self, edit: int, code: CodeFiles | None) -> CodeFiles | None:
        if code is None:
            return None
        parent = self._run.state.experiments[edit].proposed.parent
        try:
            return merged(self._code(edit), self._code(parent), code)
        except NotAnEdit:
            return None

    def _code(self, experiment: int) -> CodeFiles:
        return self._run.stores.workspace.commits[self._run.state.commit_of(experiment)].code


def _answer(run: SimulatedRun, places: Removals, ask: Ask) -> Answer:
    if isinstance(ask, TrainWithout):
        code = places.without(ask.edits)
        assert code is not None, "only what comes out is trained"
        seed = Secret(key=run.state.run.randomness).derive("attribution", ask.slot).seed()
        crashes = value(run.surface, code[FILE]).crashes
        return Trained(ask=ask, value=None if crashes else -score(run.surface, code[FILE], seed)[0])
    return Removal(ask=ask, applies=places.without(ask.edits) is not None)


def _effect(run: SimulatedRun, places: Removals, unit: Edits) -> float:
    """What the incumbent truly loses without them."""
    code = places.without(unit)
    assert code is not None, "units come out"
    return run.worth(run.state.incumbent).true - value(run.surface, code[FILE]).true
