"""Two references for `recursion.py`, on the same inner tasks and budgets: what `mutate` learns within a run, and TPE.

`mutate`: its own choice of moves (`rsi.proposers.mutation.choice`), told a loop's history as a run tells it; where it
would make two moves at once, the first counts. TPE: Optuna's (Bergstra et al., 2011; Akiba et al., 2019) over the same
knobs, each number a factor of 100 up and down from the baseline's where its moves are factors, told every result; what
it asks for is kept by the same ratchet and certified in the same way. It chooses whole configurations and is not bound
to single moves.
"""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evals.inner import loops
from evals.inner.certifying import certify, measure_baselines, results
from evals.inner.families import WIDTH, Instance, cost, generator, instances, trained
from evals.inner.knobs import KNOBS, MOVES, Floats
from rsi.proposers import ranking
from rsi.proposers.mutation import choice
from rsi.records import Brief, Direction, ExperimentStatus, HistoryEntry, Objective

REACH = 100.0
STARTUP = 8


def mutate(plan: loops.Plan, slots: NDArray[np.float64], key: bytes) -> Floats:
    """Certified gain per 100 units of compute, by loop, where `mutate` chooses."""
    made = instances(slots, key)
    rounds: list[dict[str, Any]] = []
    histories: list[list[HistoryEntry]] = [[] for _ in made]
    for number in range(plan.rounds):
        now = loops.after(rounds[-1]) if rounds else loops.begin(made)
        shown = loops.question(plan, made, now, [one["past"] for one in rounds], key)
        answer = np.full(shown["options"].shape[:2], np.nan, dtype=np.float32)
        details: list[dict[int, dict[str, Any]]] = []
        for loop in range(len(made)):
            named = _named(now.settings[loop], shown["options"][loop, :, loops.AVAILABLE])
            details.append(named)
            draw = random.Random(int(generator(key, "mutate", number, loop).integers(2**62)))  # noqa: S311
            for place, option in enumerate(_chosen(named, histories[loop], draw, plan.at_once)):
                answer[loop, option] = plan.at_once - place
        rounds.append(loops.play(plan, made, now, shown["options"], answer, key, number))
        _remember(histories, details, rounds[-1])
    return _rate(plan, rounds)


def _named(settings: Floats, available: NDArray[np.float32]) -> dict[int, dict[str, Any]]:
    """Option → the move as `mutate` names it."""
    found: dict[int, dict[str, Any]] = {}
    for option, (knob, target) in enumerate(MOVES):
        to = KNOBS[knob].target(target, float(settings[knob]))
        if to is not None and available[option] > 0:
            found[option] = {"kind": KNOBS[knob].kind, "detail": KNOBS[knob].detail(float(settings[knob]), to)}
    return found


def _chosen(named: dict[int, dict[str, Any]], history: list[HistoryEntry], draw: random.Random, most: int) -> list[int]:
    if not named:
        return []
    moves = list(named.values())
    objective = Objective(metric="loss", direction=Direction.MINIMIZE, noise=1.0)
    brief = cast("Brief", Brief.model_construct(history=tuple(history), objective=objective))
    found: list[int] = []
    for order in choice.learned(moves, brief, draw):
        option = next(number for number, move in named.items() if move is order[0])
        if option not in found:
            found.append(option)
        if len(found) == most:
            break
    return found


def _remember(
    histories: list[list[HistoryEntry]], details: list[dict[int, dict[str, Any]]], record: dict[str, Any]
) -> None:
    statuses = {
        "kept": ExperimentStatus.KEPT,
        "discarded": ExperimentStatus.DISCARDED,
        "failed": ExperimentStatus.CRASHED,
    }
    for loop, history in enumerate(histories):
        for slot, option in enumerate(record["option"][loop].tolist()):
            if option < 0:
                continue
            row = record["past"][loop, slot]
            move = details[loop][option]
            history.append(
                HistoryEntry(
                    experiment=len(history) + 1,
                    status=statuses[ranking.OUTCOMES[int(row[loops.OUTCOME])]],
                    kind=move["kind"],
                    detail=move["detail"],
                    rationale="",
                    gain=float(row[loops.OUTCOME + 1]),
                )
            )


def has_optuna() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("optuna") is not None


def tpe(plan: loops.Plan, slots: NDArray[np.float64], key: bytes) -> Floats:
    """Certified gain per 100 units of compute, by loop, where Optuna's TPE asks for configurations."""
    import optuna  # noqa: PLC0415 - optional

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    made = instances(slots, key)
    value, noise = measure_baselines(made, key)
    settings = np.stack([one.start for one in made])
    spent, began = np.zeros(len(made)), value.copy()
    studies = [_study(optuna, one, key, loop, float(value[loop])) for loop, one in enumerate(made)]
    for number in range(plan.rounds):
        asked: list[tuple[int, Any, Floats, float]] = []
        idle = np.zeros(len(made))
        for loop, one in enumerate(made):
            left = plan.budget - spent[loop]
            for _ in range(plan.at_once):
                trial = studies[loop].ask(_distributions(optuna, one))
                wanted = _settings(trial.params)
                price = cost(one, float(wanted[WIDTH]))
                left -= price
                if left < 0:
                    studies[loop].tell(trial, state=optuna.trial.TrialState.FAIL)
                    idle[loop] += 1
                    continue
                asked.append((loop, trial, wanted, price))
        _train_and_tell(optuna, made, studies, asked, (settings, value, noise, spent), key, number)
        # A place that was not used is paid for while the budget lasts, as in the loops.
        spent = np.maximum(spent, np.minimum(plan.budget, spent + idle))
    last = {
        "value": value,
        "spent": spent,
        "past": np.zeros((len(made), 1, loops.COLUMNS)),
        **certify(made, settings, key),
    }
    return _rate(plan, [{**last, "began": began}])


def _train_and_tell(
    optuna: Any,
    made: Sequence[Instance],
    studies: Sequence[Any],
    asked: Sequence[tuple[int, Any, Floats, float]],
    standing: tuple[Floats, Floats, Floats, Floats],
    key: bytes,
    number: int,
) -> None:
    """Train what was asked for, by the same ratchet as the loops."""
    settings, value, noise, spent = standing
    which, rows = [one[0] for one in asked], [one[2] for one in asked]
    if not asked:
        return
    seeds = [int(generator(key, "tpe", number, place).integers(2**31)) for place in range(len(asked))]
    first = trained(made, which, rows, seeds)
    ahead = [place for place, loop in enumerate(which) if value[loop] - first[place] > loops.MARGIN * noise[loop]]
    second = np.full(len(asked), np.nan)
    if ahead:
        again = [int(generator(key, "tpe again", number, place).integers(2**31)) for place in ahead]
        second[ahead] = trained(made, [which[place] for place in ahead], [rows[place] for place in ahead], again)
    for place, (loop, trial, wanted, price) in enumerate(asked):
        repeated = place in ahead
        mean = (first[place] + second[place]) / 2 if repeated else first[place]
        spent[loop] += price * (2 if repeated else 1)
        if np.isnan(mean):
            studies[loop].tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        studies[loop].tell(trial, float(mean))
        if repeated and value[loop] - mean > loops.MARGIN * noise[loop]:
            value[loop], settings[loop] = mean, wanted


def _study(optuna: Any, one: Instance, key: bytes, loop: int, value: float) -> Any:
    seed = int(generator(key, "tpe seed", loop).integers(2**31))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    distributions = _distributions(optuna, one)
    params = {knob.name: _within(distributions[knob.name], float(one.start[n])) for n, knob in enumerate(KNOBS)}
    study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=distributions))
    return study


def _distributions(optuna: Any, one: Instance) -> dict[str, Any]:
    found: dict[str, Any] = {}
    make = optuna.distributions
    for number, knob in enumerate(KNOBS):
        start = float(one.start[number])
        if knob.choices:
            found[knob.name] = make.CategoricalDistribution(list(range(len(knob.choices))))
        elif knob.values:
            found[knob.name] = make.CategoricalDistribution([float(value) for value in knob.values])
        elif knob.kind == "betas":
            found[knob.name] = make.FloatDistribution(knob.low, knob.high)
        elif knob.whole:
            low, high = max(knob.low, knob.whole), min(knob.high, start * REACH)
            found[knob.name] = make.IntDistribution(int(low), int(high), step=knob.whole)
        else:
            low, high = max(knob.low, start / REACH), min(knob.high, start * REACH)
            found[knob.name] = make.FloatDistribution(low, high, log=True)
    return found


def _within(distribution: Any, value: float) -> Any:
    if hasattr(distribution, "choices"):
        return min(distribution.choices, key=lambda choice: abs(choice - value))
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if isinstance(distribution.low, int) else value


def _settings(params: dict[str, Any]) -> Floats:
    return np.array([float(params[knob.name]) for knob in KNOBS])


def _rate(plan: loops.Plan, rounds: Sequence[dict[str, Any]]) -> Floats:
    found = results(plan.budget, rounds)
    return 100 * found.gain / found.compute
