"""What a person watches while a run goes: a live screen on a terminal, one plain line an experiment in a pipe.

Events are turned into a frozen view in the thread that folds them; a slow timer draws it. Nothing here may cost the
time that the training needs: at most two pictures a second, of which one takes a few milliseconds.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rsi.execution import Watch
from rsi.ledger import Event
from rsi.review.claims import certified_of, milestones_of
from rsi.review.improvement import certified_words, milestone_words
from rsi.review.staircase import renderable
from rsi.review.underway import Underway, in_words
from rsi.review.view import Line, View, experiment_line, milestone_under_way, view_of
from rsi.review.wording import STYLES, better, duration, marks, number, one_line, say
from rsi.review.worth import found, looking
from rsi.state import RunState

PICTURES_PER_SECOND = 2
_REDRAWN = frozenset(
    {
        "data.prepared",
        "experiment.proposed",
        "trial.judged",
        "trial.failed",
        "experiment.closed",
        "milestone.begun",
        "milestone.tested",
        "milestone.closed",
        "ablation.begun",
        "ablation.closed",
        "confirmation.finished",
        "run.paused",
        "run.resumed",
        "run.finished",
    }
)
"""Kinds of event after which the view is another one."""
_ENDINGS = {
    "confirmation.finished": "compared: both trained again on fresh seeds and measured on the holdout",
    "run.paused": "paused: {}",
    "run.finished": "finished: {}",
}


def for_console(console: Console) -> Screen | PlainLines:
    """The live screen where there is a terminal that can show one, plain lines anywhere else."""
    return Screen(console) if console.is_terminal and not console.is_dumb_terminal else PlainLines(console)


class Screen:
    """A live screen; leaves its last picture behind when it ends."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.underway = Underway()
        self._view: View | None = None
        self._live = Live(
            console=console, get_renderable=self.picture, refresh_per_second=PICTURES_PER_SECOND, auto_refresh=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        # Whoever presses Ctrl-C twice leaves at once; the cursor must not stay hidden then.
        self.console.show_cursor(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def listener(self, event: Event, state: RunState) -> None:
        """Take in one event (`rsi.recorder.Listener`)."""
        self.underway.listener(event, state)
        if self._view is None or event.kind in _REDRAWN:
            self._view = view_of(state)

    def watch(self, trial: str) -> Watch:
        """Take in what a training prints."""
        return self.underway.watch(trial)

    def picture(self) -> RenderableType:
        """The screen as it is now, made to fit the terminal's height."""
        view = self._view
        if view is None:
            return Text("starting …", style="dim")
        parts: list[RenderableType] = [*_head(view)]
        tail = [*self._trials(), *_foot(view)]
        room = self.console.height - len(parts) - len(tail) - 2
        if room >= 14 and len(view.plotted) > 1:
            parts.append(renderable(view.plotted, self.console, view.direction, height=6))
            room -= 8
        rows = view.lines[-max(1, min(len(view.lines), room - 1)) :]
        return Group(*parts, _experiments(view, rows), *tail)

    def _trials(self) -> list[Text]:
        going = self.underway.now()
        shown = [progress for progress in going if progress.stage != "waiting"][:4]
        lines = [Text(f"  {in_words(progress)}  {duration(progress.seconds)}", style="cyan") for progress in shown]
        waiting = len(going) - len(shown)
        return lines + ([Text(f"  and {waiting} more to come", style="dim")] if waiting else [])


def _head(view: View) -> list[Text]:
    title = Text(f"{view.task}", style="bold", no_wrap=True, overflow="ellipsis")
    title.append(f"  {view.run} in {view.sandbox}", style="dim")
    warnings = [Text(mark, style="bold red", no_wrap=True, overflow="ellipsis") for mark in view.marks]
    best = Text(no_wrap=True, overflow="ellipsis")
    best.append(f"{view.metric}  baseline {number(view.baseline, view.noise)}  ")
    if view.headline:
        best.append(view.headline, style="bold green" if view.certified else "bold")
    elif view.incumbent and view.best is not None and view.baseline is not None:
        low, high = sorted((view.best, view.baseline))
        gain = high - low
        best.append(f"best {number(view.best, view.noise)}", style="bold green")
        best.append(f" (experiment {view.incumbent}, {better(gain, view.noise)})")
    return [title, *warnings, best]


def _foot(view: View) -> list[Text]:
    left = "" if not view.left_seconds else f", about {duration(view.left_seconds)} left"
    foot = [Text(f"{view.counted}; {view.spent}{left}", style="dim", no_wrap=True, overflow="ellipsis")]
    claiming = [words for words in (view.milestone, view.confirming) if words]
    return [Text(words, style="bold", no_wrap=True, overflow="ellipsis") for words in claiming] + foot


def _experiments(view: View, lines: tuple[Line, ...]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for line in lines:
        became = "baseline" if line.experiment == 0 else line.status.value
        table.add_row(
            Text(str(line.experiment), style="dim"),
            Text(became, style=STYLES[line.status]),
            Text(number(line.value, view.noise)),
            Text(line.words),
        )
    return table


class PlainLines:
    """One plain line an experiment, and one for each thing that happens to the run as a whole."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def watch(self, _trial: str) -> Watch:
        """Take no notice of what a training prints."""
        return lambda _stream, _data: None

    def listener(self, event: Event, state: RunState) -> None:
        """Take in one event (`rsi.recorder.Listener`)."""
        if not self._begun:
            self._begun = True
            self._beginning(state)
        line = self._line(event, state)
        if line:
            say(self.console, line)

    def _beginning(self, state: RunState) -> None:
        started = state.run
        for mark in marks(started.grounded, started.sandbox.isolates):
            say(self.console, mark)
        configuration = started.configuration
        say(
            self.console,
            f"{one_line(started.run)}: task {one_line(configuration.task)}, proposer {configuration.proposer.name}, "
            f"sandbox {one_line(started.sandbox.name)}",
        )

    def _line(self, event: Event, state: RunState) -> str:
        match event.kind:
            case "experiment.closed":
                return experiment_line(state, state.experiments[int(event.body["experiment"])])
            case "trial.judged" | "trial.failed":
                trial = state.trials[str(event.body["trial"])]
                return view_of(state).confirming if trial.started.role == "confirm" else ""
            case "milestone.begun":
                return milestone_under_way(state)
            case "ablation.begun" | "ablation.closed":
                current = state.ablations[int(event.body["ablation"]) - 1]
                return looking(current.begun) if current.closed is None else found(current.closed.result)
            case "milestone.tested" | "milestone.closed":
                return _outcome(event, state)
            case _:
                return _ENDINGS.get(event.kind, "").format(one_line(str(event.body.get("reason", ""))))


def _outcome(event: Event, state: RunState) -> str:
    """What a milestone let the run claim: told once, when it failed or when the gain has been measured."""
    milestone = milestones_of(state)[int(event.body["milestone"]) - 1]
    if event.kind == "milestone.tested":
        return milestone_words(milestone) if milestone.passed else ""
    certified = certified_of(state)
    if certified is None or not milestone.passed:
        return f"{milestone_words(milestone)} Nothing {'more ' if certified else ''}is claimed."
    objective = state.run.objective
    return certified_words(certified, one_line(objective.metric, 40), objective.direction)
