"""Optuna's TPE over the constants that `mutate` moves: what the literature would try, to compare others with.

The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) as Optuna has it (Akiba et al., KDD 2019) chooses
the whole configuration at once: every number, switch and choice of a table that is named in capitals. The study is
rebuilt from the history for each proposal, with a seed from the brief, so that a record derives again; what is under
way counts as bad for the time being (constant liar), what failed as worse than all that was scored.
"""

from __future__ import annotations

import importlib.util
import random
import warnings
from typing import TYPE_CHECKING

from rsi.edits import render_diff
from rsi.errors import EnvironmentFault, UsageError
from rsi.proposers.knobs import (
    Configuration,
    Knob,
    Space,
    configurations,
    detail,
    fits,
    made,
    present,
    rounded,
    shown,
    space_of,
)
from rsi.protocols import Exhausted
from rsi.records import (
    Brief,
    CodeFiles,
    Direction,
    Edit,
    EditFormat,
    ExperimentStatus,
    HistoryEntry,
    Proposal,
    Provenance,
)

if TYPE_CHECKING:
    import optuna

_Result = tuple[Configuration, float | None, str]
"""Configuration, value where it was scored, and the state of Optuna's trial."""
ATTEMPTS = 64
"""Configurations that are asked for until one gives code that is new."""
_FAILED = frozenset({ExperimentStatus.CRASHED, ExperimentStatus.REJECTED})
_SCORED = frozenset({ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.REAPPLIED})


class Optuna:
    """The proposer `optuna`; needs the extra `rsi[optuna]`."""

    name = "optuna"

    def __init__(self, startup: int = 10) -> None:
        """Take the settings.

        Args:
            startup: Configurations that are drawn at random before anything is learned, the task's own among them.
        """
        if importlib.util.find_spec("optuna") is None:
            raise EnvironmentFault("Optuna is not installed here; install it with `pip install 'rsi[optuna]'`.")
        if startup < 1:
            raise UsageError("optuna draws at least one configuration at random; give startup=1 or more.")
        self._startup = startup

    def propose(self, brief: Brief) -> Proposal:
        """The configuration that TPE asks for next, as an edit of what differs from the incumbent."""
        space = space_of(brief)
        generator = random.Random(brief.seed)  # noqa: S311 - no secret is drawn
        results = _results(brief, space)
        for _ in range(ATTEMPTS):
            wanted = self._ask(brief, space, results, generator.randrange(2**31))
            candidate = made(brief.code, space, wanted)
            if candidate is not None and candidate["digest"] not in brief.tried:
                return self._proposal(brief, space, wanted, candidate["code"])
        raise Exhausted(f"{ATTEMPTS} configurations in a row were tried before, or break what must divide each other.")

    def _ask(self, brief: Brief, space: Space, results: list[_Result], seed: int) -> Configuration:
        import optuna  # noqa: PLC0415 - takes a second, and is there with the extra alone

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that parts of its interface may change
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._startup, constant_liar=True)
            minimise = brief.objective.direction is Direction.MINIMIZE
            study = optuna.create_study(sampler=sampler, direction="minimize" if minimise else "maximize")
            distributions = {name: _distribution(knob) for name, knob in space.knobs.items()}
            for configuration, value, state in results:
                study.add_trial(
                    optuna.trial.create_trial(
                        state=optuna.trial.TrialState[state],
                        value=value,
                        params=configuration,
                        distributions=distributions,
                    )
                )
            asked_for = study.ask(fixed_distributions=distributions).params
        return {name: rounded(space.knobs[name], value) for name, value in asked_for.items()}

    def _proposal(self, brief: Brief, space: Space, wanted: Configuration, code: CodeFiles) -> Proposal:
        now = present(brief, space)
        changed = [f"{name} = {shown(value)}" for name, value in wanted.items() if now.get(name) != value]
        known = sum(entry.value is not None for entry in brief.history)
        return Proposal(
            edit=Edit(format=EditFormat.UNIFIED_DIFF, text=render_diff(brief.code, code)),
            rationale=f"Set {', '.join(changed)}: what Optuna's TPE asks for after {known} results",
            kind="configuration",
            detail=detail(brief, space, wanted),
            provenance=Provenance(proposer=self.name),
        )


def _distribution(knob: Knob) -> optuna.distributions.BaseDistribution:
    from optuna import distributions  # noqa: PLC0415

    match knob.kind:
        case "choice":
            return distributions.CategoricalDistribution(knob.choices)
        case "int":
            return distributions.IntDistribution(int(knob.low), int(knob.high), log=knob.log, step=knob.step)
        case "float":
            return distributions.FloatDistribution(knob.low, knob.high, log=knob.log)


# --- what came of earlier ones ----------------------------------------------------------------------------------


def _results(brief: Brief, space: Space) -> list[_Result]:
    """The task's own configuration and every one since, in order; those without a known configuration are left out."""
    entries = sorted((*brief.history, *brief.pending), key=lambda entry: entry.experiment)
    known = configurations(entries, space)
    results: list[_Result] = []
    baseline = _baseline_value(brief, entries)
    if baseline is not None:
        results.append((known[0], baseline, "COMPLETE"))
    for entry in entries:
        configuration = known.get(entry.experiment)
        if configuration is None:
            continue
        if entry.status in _SCORED and entry.value is not None:
            results.append((configuration, entry.value, "COMPLETE"))
        elif entry.status in _FAILED:
            results.append((configuration, None, "PRUNED"))  # without a value on the way, TPE counts it as the worst
        elif entry.status is ExperimentStatus.OPEN:
            results.append((configuration, None, "RUNNING"))
    return [result for result in results if fits(result[0], space)]


def _baseline_value(brief: Brief, entries: list[HistoryEntry]) -> float | None:
    """What the task's own code measured: told while it is the incumbent, afterwards by what an edit of it gained."""
    if not any(entry.status is ExperimentStatus.KEPT for entry in entries):
        return brief.incumbent_value
    sign = 1.0 if brief.objective.direction is Direction.MINIMIZE else -1.0
    for entry in entries:
        if entry.parent == 0 and entry.value is not None and entry.gain is not None:
            return entry.value + sign * entry.gain
    return None
