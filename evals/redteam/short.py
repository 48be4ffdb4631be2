"""The short form: a few of the shipped cases that together touch every layer, for `make test`."""

from __future__ import annotations

SHORT = frozenset[str]()
"""Ids of cases, as in `charlm/attacks/NAME`."""
