"""What the records of a long run have in common, kept once: half the memory of a run of ten thousand experiments."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rsi.execution import Limits
from rsi.records import Record


class Lean:
    """Makes records share what is equal in them; one for each run that is read."""

    def __init__(self) -> None:
        self._fields: dict[tuple[type, int], set[str]] = {}
        self._limits: dict[tuple[Any, ...], Limits] = {}

    def share(self, record: Record) -> None:
        """Replace parts of a fresh record by equal ones that are there already."""
        # Pydantic gives every instance a set of its own of the fields it was made with, which for a record from a
        # ledger are all of them; the set is often larger than the values.
        fields = record.__pydantic_fields_set__
        known = self._fields.setdefault((type(record), len(fields)), fields)
        if known is not fields and known == fields:
            object.__setattr__(record, "__pydantic_fields_set__", known)
        values = record.__dict__
        for name, value in values.items():
            if isinstance(value, Limits):
                values[name] = self._limits.setdefault(tuple(value.__dict__.values()), value)
            elif isinstance(value, Record):
                self.share(value)
            elif type(value) is tuple and value and isinstance(value[0], BaseModel):
                for member in value:
                    self.share(member)
