"""What varies, as a user writes it: `greedy`, `fixed(trials=3)`, `own+floor`; and the component that it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rsi import flags
from rsi.configuration import Component, RunConfiguration
from rsi.errors import UsageError
from rsi.task import TaskSpec
from rsi.verification import chosen

OWN = "own"
"""The verifier that a task itself names."""

_PLUS = re.compile(r"\+(?![^()]*\))")
_WORD = re.compile(r"(?P<name>[^()]+?)\s*(?:\((?P<options>[^()]*)\))?")


def split(text: str, what: str) -> tuple[str, ...]:
    """Arms divided by commas, those inside parentheses left alone; UsageError for an empty one."""
    return tuple(whole(part, what) for part in re.split(r",(?![^()]*\))", text))


def whole(text: str, what: str) -> str:
    """One arm as it is written everywhere; UsageError where nothing stands there."""
    arm = " ".join(text.split())
    if not arm:
        raise UsageError(f"--{what} has an empty cell; name what to compare there, or take the comma away.")
    return arm


def component(arm: str, what: str) -> Component:
    """The component that an arm names, a path made absolute; UsageError for words that are none."""
    found = _WORD.fullmatch(arm)
    if found is None:
        raise UsageError(f"--{what} {arm!r} is not of the form name, name(key=value, ...) or path.py:Class.")
    name, options = found["name"], {}
    for text in (found["options"] or "").split(","):
        if text.strip():
            key, value = flags.option(text.strip(), f"--{what} {name}:")
            options[key] = value
    if ".py:" in name:
        file, _, attribute = name.rpartition(":")
        name = f"{Path(file).resolve()}:{attribute}"
    return Component(name=name, options=options)


def verifiers(arm: str, spec: TaskSpec) -> dict[str, Any]:
    """What a run's configuration says of its verifiers: of the task's own, with those that are named besides."""
    named = _named(arm)
    further = [part for part in named if part.name != OWN]
    if any(part.options for part in named if part.name == OWN):
        raise UsageError(f"--verifier {arm!r}: the options of a task's own verifier are in its task.toml.")
    options = {part.name: part.options for part in further if part.options}
    first, beside = chosen(spec, [part.name for part in further], (), options)
    return {"verifier": first, "verifiers": beside}


def verified_by(arm: str, spec: TaskSpec, configuration: RunConfiguration) -> bool:
    """Whether a run's verifiers can be those of an arm; nothing is loaded, for the run may be anybody's."""
    further = [part for part in _named(arm) if part.name != OWN]
    there = {one.name: one.options for one in (configuration.verifier, *configuration.verifiers)}
    if any(part.name not in there or part.options.items() - there[part.name].items() for part in further):
        return False
    of_the_task = {spec.verifier.name, *(one.name for one in spec.verifiers)}
    return there.keys() - of_the_task == {part.name for part in further} - of_the_task


def absolute(arm: str) -> str:
    """The arm with the path in it made absolute, so that it means the same wherever the comparison goes on."""
    return "+".join(_absolute(part.strip()) for part in _PLUS.split(arm))


def short(arm: str) -> str:
    """As it is shown: of a path, the class."""
    return re.sub(r"[^+()]*\.py:(\w+)", r"\1", arm)


def _named(arm: str) -> list[Component]:
    return [component(whole(part, "verifier"), "verifier") for part in _PLUS.split(arm)]


def _absolute(part: str) -> str:
    found = re.fullmatch(r"(?P<file>[^()]*\.py):(?P<rest>.*)", part)
    return f"{Path(found['file']).resolve()}:{found['rest']}" if found else part
