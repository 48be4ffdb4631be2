"""What another policy would have decided of each experiment, on the measurements that the run made.

Each experiment is judged for itself, with the history that the run had by then: where a policy would have decided
otherwise, what followed would have been another run, of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi import events as e
from rsi.derive import history
from rsi.errors import RsiError
from rsi.ledger import read_events
from rsi.protocols import Policy
from rsi.records import Decision, ExperimentStatus, Measure, Record, Versioned
from rsi.review.lean import Lean
from rsi.review.wording import STYLES, count, one_line, say
from rsi.runs import LEDGER
from rsi.state import RunState

Word = Literal["keep", "discard", "measure", "error"]


class Judgement(Record):
    """What one policy makes of one experiment."""

    policy: str
    word: Word
    """`measure`: the run's measurements were not enough for it. `error`: it raised."""
    rule: str
    reason: str
    trials: int
    """Of the candidate, by the time it decided."""


class Compared(Record):
    """One experiment that the run's policy decided, and what others make of it."""

    experiment: int
    seq: int
    """The event with the run's last decision on it."""
    became: ExperimentStatus
    own: Judgement
    others: tuple[Judgement, ...]


class OtherwiseReport(Versioned):
    """What `rsi replay --policy` found."""

    run: str
    policy: str
    """The run's own."""
    other: str
    experiments: tuple[Compared, ...]
    kept_instead: tuple[int, ...]
    """Experiments that the other would have kept and the run's policy discarded."""
    discarded_instead: tuple[int, ...]
    measured_instead: tuple[int, ...]
    """On which the other would have wanted more trials than the run has."""
    rejected: tuple[int, ...]
    """Of all that either would have kept: those that the verifiers rejected, whatever a policy says."""


def compared(folder: Path, policies: Mapping[str, Policy], experiment: int | None = None) -> Iterator[Compared]:
    """Every experiment on which the run decided, in the order of the decisions, or one of them.

    Args:
        folder: Of the run.
        policies: Name → policy to ask.
        experiment: Only that one.

    IntegrityError at the first event that does not hold.
    """
    state, lean = RunState(), Lean()
    words: dict[int, dict[str, Judgement]] = {}
    last: dict[int, tuple[int, Judgement]] = {}
    for event in read_events(folder / LEDGER):
        body = state.validated(event)
        lean.share(body)
        if isinstance(body, e.PolicyDecided) and experiment in {None, body.experiment}:
            told = words.setdefault(body.experiment, {})
            for name, policy in policies.items():
                # It has decided once it wants nothing measured any more.
                if name not in told or told[name].word == "measure":
                    told[name] = _asked(name, policy, body, state)
            own = state.run.configuration.policy.name
            last[body.experiment] = event.seq, _judgement(own, body, body.decision)
        state.fold(body, event)
        if isinstance(body, e.ExperimentClosed) and body.experiment in last:
            seq, judgement = last.pop(body.experiment)
            others = tuple(words.pop(body.experiment).values())
            yield Compared(experiment=body.experiment, seq=seq, became=body.status, own=judgement, others=others)


def _asked(name: str, policy: Policy, body: e.PolicyDecided, state: RunState) -> Judgement:
    try:
        return _judgement(name, body, policy.decide(body.comparison, history(state)))
    except RsiError as error:
        reason = str(error)
    except Exception as error:  # a lab's policy, or one asked about what it was never made for
        reason = f"it raised {type(error).__name__}: {error}"
    trials = len(body.comparison.candidate.observations)
    return Judgement(policy=one_line(name), word="error", rule="", reason=one_line(reason, 300), trials=trials)


def _judgement(name: str, body: e.PolicyDecided, decision: Decision) -> Judgement:
    more = f", {count(decision.trials, 'trial')} of the {decision.arm}" if isinstance(decision, Measure) else ""
    return Judgement(
        policy=one_line(name),
        word=decision.kind,
        rule=one_line(decision.rule),
        reason=one_line(decision.reason, 300) + more,
        trials=len(body.comparison.candidate.observations),
    )


def report(folder: Path, name: str, policy: Policy, experiment: int | None = None) -> OtherwiseReport:
    """Ask one other policy."""
    found = tuple(compared(folder, {name: policy}, experiment))
    started = next(iter(read_events(folder / LEDGER)))
    run = RunState().apply(started).run
    return OtherwiseReport(
        run=one_line(run.run),
        policy=one_line(run.configuration.policy.name),
        other=one_line(name),
        experiments=found,
        kept_instead=_where(found, "discard", "keep"),
        discarded_instead=_where(found, "keep", "discard"),
        measured_instead=tuple(item.experiment for item in found if item.others[0].word == "measure"),
        rejected=tuple(item.experiment for item in found if item.became is ExperimentStatus.REJECTED),
    )


def _where(found: Iterable[Compared], own: Word, other: Word) -> tuple[int, ...]:
    return tuple(item.experiment for item in found if (item.own.word, item.others[0].word) == (own, other))


def render(told: OtherwiseReport, console: Console) -> None:
    """A row an experiment, and what it comes to."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("#", "became", told.policy, told.other):
        table.add_column(header, no_wrap=header != told.other, justify="right" if header == "#" else "left")
    table.add_column("why", overflow="fold", ratio=1)
    for item in told.experiments:
        other = item.others[0]
        differs = "bold yellow" if other.word != item.own.word else "dim"
        table.add_row(
            Text(str(item.experiment)),
            Text(item.became.value, style=STYLES[item.became]),
            Text(_after(item.own)),
            Text(_after(other), style=differs),
            Text(other.reason),
        )
    console.print(table)
    for sentence in sentences(told):
        say(console, sentence)


def _after(judgement: Judgement) -> str:
    return f"{judgement.word} after {count(judgement.trials, 'trial')}"


def sentences(told: OtherwiseReport) -> list[str]:
    """What it comes to."""
    if not told.experiments:
        return [f"{told.policy} decided on nothing here, so {told.other} has nothing to be asked about."]
    parts = [
        (told.kept_instead, f"would have kept what {told.policy} discarded"),
        (told.discarded_instead, f"would have discarded what {told.policy} kept"),
        (told.measured_instead, "would have measured more"),
    ]
    words = [f"{told.other} {what}: {_listed(numbers)}." for numbers, what in parts if numbers]
    if not words:
        words = [f"{told.other} would have decided all {len(told.experiments)} the same."]
    if told.rejected:
        words.append(f"Whatever a policy says, the verifiers rejected {_listed(told.rejected)}.")
    if told.kept_instead or told.discarded_instead:
        words.append("Each is judged for itself: what followed a different decision would have been another run.")
    return words


def _listed(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(str(number) for number in numbers[:20])
    return f"experiment{'s' if len(numbers) > 1 else ''} {shown}" + (
        f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
    )
