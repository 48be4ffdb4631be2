"""Which seed a trial trains with: drawn from the run's secret, so that nobody can choose it and anyone can check it."""

from __future__ import annotations

from rsi.events import Role
from rsi.evidence import Secret
from rsi.state import RunState


def seed(state: RunState, role: Role, experiment: int, slot: int, part: int | None = None) -> int:
    """The seed of a place; `part` is the number of the milestone or ablation that it belongs to.

    The first trial of an experiment has a seed of its own, so that no code can be fitted to the seed it will meet.
    Later ones share theirs with every other experiment, slot by slot: pairs, from which the run sees whether sharing
    lowers the noise of a difference. Both arms of a milestone's pair or a confirmation, and the trials of an ablation
    in one slot, share a seed that is used nowhere else.
    """
    secret = Secret(key=state.run.randomness)
    if part is not None:
        return secret.derive(role, part, slot).seed()
    if role == "confirm":
        return secret.derive("confirm", slot).seed()
    if slot > 0 and state.run.configuration.shared_seeds:
        return secret.derive("pair", slot).seed()
    return secret.derive("seed", experiment, slot).seed()


def drawn(state: RunState, purpose: str, number: int) -> int:
    """A draw for something else than a training, by the number of what it is for."""
    return Secret(key=state.run.randomness).derive(purpose, number).seed()
