"""What the records of a long run have in common, kept once: half the memory of a run of ten thousand experiments."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rsi.attempts import Coverage
from rsi.execution import Limits
from rsi.records import Arm, Objective, Observation, Provenance, Record

MOST_SHARED = 20_000
"""Strings and records that are looked for; what is equal mostly stands close together."""
_SHARED = (Limits, Coverage, Arm, Objective, Observation, Provenance)


class Lean:
    """Makes records share what is equal in them; one for each run that is read."""

    def __init__(self) -> None:
        self._fields: dict[tuple[type, int], set[str]] = {}
        self._known: dict[Any, Any] = {}

    def share(self, record: Record) -> None:
        """Replace parts of a fresh record by equal ones that are there already."""
        if len(self._known) > MOST_SHARED:
            self._known.clear()
        self._share(record)

    def _share(self, record: BaseModel) -> None:
        # Pydantic gives every instance a set of its own of the fields it was made with, which for a record from a
        # ledger are all of them; the set is often larger than the values.
        fields = record.__pydantic_fields_set__
        shared = self._fields.setdefault((type(record), len(fields)), fields)
        if shared is not fields and shared == fields:
            object.__setattr__(record, "__pydantic_fields_set__", shared)
        values = record.__dict__
        known = self._known
        for name, value in values.items():
            kind = type(value)
            if kind is str:
                values[name] = known.setdefault(value, value)
            elif isinstance(value, BaseModel):
                values[name] = self._one(value)
            elif kind is tuple and value:
                if isinstance(value[0], BaseModel):
                    values[name] = tuple([self._one(member) for member in value])
                elif type(value[0]) is str:
                    values[name] = known.setdefault(value, value)

    def _one(self, record: BaseModel) -> BaseModel:
        self._share(record)
        if not isinstance(record, _SHARED):
            return record
        try:
            key = (type(record), *map(_exactly, record.__dict__.values()))
            if isinstance(record, Observation):
                measured = ((name, _exactly(value)) for name, value in record.measurements.items())
                key = (Observation, record.trial, record.seed, *measured)
            return self._known.setdefault(key, record)  # type: ignore[no-any-return]
        except TypeError:  # something in it cannot be a key
            return record


def _exactly(value: Any) -> Any:
    """A value as a key: a zero with its sign, since 0.0 == -0.0, and what is shown must be what is recorded."""
    return repr(value) if type(value) is float and value == 0 else value
