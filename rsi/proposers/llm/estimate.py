"""What a run would take, before anything is spent: calls, tokens, dollars, hours; likely, and at the very most.

Likely figures come from the prompt that the task gives now, and from earlier runs of the same task where there are any;
the most is what the budget would reserve.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from rsi.briefing import first_brief
from rsi.proposers.llm.catalogue import price
from rsi.proposers.llm.prompt import ROW_WIDTH, build
from rsi.proposers.llm.quoting import tokens
from rsi.proposers.llm.settings import Settings
from rsi.protocols import TrialQuestions
from rsi.records import Allowance, Record, Versioned
from rsi.spending import worst_case
from rsi.state import RunState
from rsi.task import Task

ANSWER_TOKENS = 500
"""Of a search/replace edit with its reason, where no earlier run tells; reasoning comes on top."""
REASONING_TOKENS = {"": 0, "none": 0, "minimal": 200, "low": 1000, "medium": 4000, "high": 8000, "xhigh": 16000}
REPAIRED_SHARE = 0.2
"""Of proposals that need a second call, where no earlier run tells."""
TRIAL_OVERHEAD_SECONDS = 2.0


class Earlier(Record):
    """Means over earlier runs of the same task."""

    calls_per_experiment: float
    """Of the proposer."""
    trials_per_experiment: float
    output_tokens: float
    seconds_per_experiment: float


class Estimate(Versioned):
    """What `rsi estimate` tells."""

    task: str
    model: str
    experiments: int
    trials: int
    """That the verifiers' calls are counted for: as in earlier runs, else one an experiment and the baseline's."""
    trial_calls: int
    """That verifiers make in one trial, at most."""
    calls: int
    """Of the proposer and the verifiers together, as are tokens and dollars."""
    most_calls: int
    input_tokens: int
    output_tokens: int
    most_tokens: int
    """By the count of bytes, which no tokenizer passes."""
    cost_usd: float | None
    """At list prices, no cache counted; None where the price is not known."""
    most_cost_usd: float | None
    hours: float
    most_hours: float
    """If every trial reached its limits."""
    earlier_runs: int


def estimate(
    task: Task,
    settings: Settings,
    experiments: int,
    earlier: Sequence[RunState] = (),
    asked: Sequence[TrialQuestions] = (),
    trials: int | None = None,
) -> list[Estimate]:
    """One a model, as if it were asked alone.

    Args:
        task: To be run.
        settings: Of the proposer.
        experiments: How many.
        earlier: Runs of the same task to go by.
        asked: What verifiers ask of each trial.
        trials: How many trials there are, where that is known.
    """
    known = summarise(earlier)
    count = trials or round((experiments + 1) * (known.trials_per_experiment if known else 1))
    alone = [_of(model, task, settings, experiments, known, len(earlier)) for model in settings.models]
    return [_with_verifiers(entry, asked, count) for entry in alone]


def _with_verifiers(told: Estimate, asked: Sequence[TrialQuestions], trials: int) -> Estimate:
    """With what verifiers ask of so many trials, of whichever model they ask it."""
    rates = [price(one.model) for one in asked]
    calls = [trials * one.calls for one in asked]
    pairs = list(zip(asked, calls, rates, strict=True))
    likely = [rate.worst(n * one.input_tokens, n * one.output_tokens) if rate else None for one, n, rate in pairs]
    most = [rate.worst(n * one.most_input_tokens, n * one.output_tokens) if rate else None for one, n, rate in pairs]
    checks = len({one.model for one in asked} - {told.model})  # each model is asked for a word at the start
    return told.model_copy(
        update={
            "trials": trials,
            "trial_calls": sum(one.calls for one in asked),
            "calls": told.calls + sum(calls) + checks,
            "most_calls": told.most_calls + sum(calls) + checks,
            "input_tokens": told.input_tokens + sum(n * one.input_tokens for one, n, _ in pairs),
            "output_tokens": told.output_tokens + sum(n * one.output_tokens for one, n, _ in pairs),
            "most_tokens": told.most_tokens
            + sum(n * (one.most_input_tokens + one.output_tokens) for one, n, _ in pairs),
            "cost_usd": _sum(told.cost_usd, likely),
            "most_cost_usd": _sum(told.most_cost_usd, most),
        }
    )


def _sum(first: float | None, others: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [cost for cost in (first, *others) if cost is not None]
    return sum(known) if len(known) == 1 + len(others) else None


def _of(model: str, task: Task, settings: Settings, experiments: int, known: Earlier | None, runs: int) -> Estimate:
    messages = build(first_brief(task, Allowance(experiments=experiments)), settings)
    first = sum(tokens(message.text) for message in messages)
    # Each experiment adds a row to the table, until the prompt is as long as it may be.
    row = tokens("x" * (ROW_WIDTH + 30))
    prompts = [max(first, min(settings.prompt_tokens, first + row * number)) for number in range(experiments)]
    calls_each = (
        known.calls_per_experiment if known else 1 + REPAIRED_SHARE * bool(settings.repairs) + settings.critique
    )
    answer = (
        known.output_tokens
        if known
        else min(settings.longest_answer, ANSWER_TOKENS + REASONING_TOKENS[settings.effort])
    )
    most_each = 1 + settings.repairs + settings.critique
    rates = price(model)
    input_tokens, output_tokens = round(calls_each * sum(prompts)), round(calls_each * experiments * answer)
    # A repair repeats the conversation so far: prompt, answers, and a few lines about each.
    room = max(settings.prompt_tokens, first) * 4 + most_each * (settings.answer_tokens + 500) * 4
    worst = worst_case(["x" * room], settings.longest_answer, rates)
    limits = task.spec.limits
    most_seconds = limits.train.wall_seconds + 2 * limits.predict.wall_seconds
    seconds = known.seconds_per_experiment if known else limits.train.cpu_seconds / 2 + TRIAL_OVERHEAD_SECONDS
    return Estimate(
        task=task.spec.name,
        model=model,
        experiments=experiments,
        trials=experiments + 1,
        trial_calls=0,
        calls=round(calls_each * experiments) + 1,
        most_calls=most_each * experiments + 1,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        most_tokens=most_each * experiments * worst.tokens,
        cost_usd=rates.worst(input_tokens, output_tokens) if rates else None,
        most_cost_usd=most_each * experiments * worst.cost_usd if rates else None,
        hours=(experiments + 1) * seconds / 3600,
        most_hours=(experiments + 1) * most_seconds / 3600,
        earlier_runs=runs,
    )


def summarise(earlier: Sequence[RunState]) -> Earlier | None:
    """Means over runs in which models answered; None where there is none."""
    # Calls about a trial are a verifier's, and counted for themselves.
    made = {id(state): [call for call in state.calls.values() if not call.reserved.trial] for state in earlier}
    asked = [state for state in earlier if made[id(state)] and len(state.experiments) > 1]
    settled = [call.settled for state in asked for call in made[id(state)] if call.settled]
    if not settled:
        return None
    return Earlier(
        calls_per_experiment=mean(len(made[id(state)]) / (len(state.experiments) - 1) for state in asked),
        trials_per_experiment=mean(len(state.trials) / len(state.experiments) for state in asked),
        output_tokens=mean(call.output_tokens for call in settled),
        seconds_per_experiment=mean(state.session_seconds() / len(state.experiments) for state in asked),
    )


def in_words(told: Estimate) -> str:
    """A few lines for a person."""
    cost = "of unknown price" if told.cost_usd is None else f"about ${told.cost_usd:.2f}"
    most = "" if told.most_cost_usd is None else f", ${told.most_cost_usd:.2f}"
    basis = f"as in {told.earlier_runs} earlier runs" if told.earlier_runs else "no earlier run of this task to go by"
    verifying = (
        f"  verifiers make up to {told.trial_calls} calls a trial, counted here for {told.trials} trials\n"
        if told.trial_calls
        else ""
    )
    return (
        f"{told.model}, {told.experiments} experiments on {told.task} ({basis}):\n"
        f"{verifying}"
        f"  likely   {told.calls} calls, {told.input_tokens:,} tokens in, {told.output_tokens:,} out, {cost}, "
        f"{told.hours:.2f} hours\n"
        f"  at most  {told.most_calls} calls without faults, {told.most_tokens:,} tokens{most}, "
        f"{told.most_hours:.1f} hours"
    )
