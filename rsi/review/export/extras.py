"""The libraries that a format needs and that this program does without otherwise."""

from __future__ import annotations

import importlib.util

from rsi.errors import EnvironmentFault


def require(extra: str, *modules: str) -> None:
    """EnvironmentFault with the command that installs them, where one of these modules is not there."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise EnvironmentFault(f"{module} is not installed: `pip install 'rsi[{extra}]'`, then run this again.")
