"""The only module that imports litellm, and that only when a price is looked up or a call is made.

litellm's own retries, callbacks, telemetry and downloads are off: what is sent, when and how often is decided in
`rsi.calls`, and nothing goes anywhere but to the model.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def load_litellm() -> ModuleType:
    """Import litellm (it takes seconds), with everything off that talks to anyone but the model."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it downloads the price list
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # else importing it reads keys from a .env file behind our back
    os.environ.setdefault("LITELLM_LOG", "CRITICAL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm  # noqa: PLC0415 - seconds, and only when needed
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.num_retries = 0
    litellm.callbacks = []
    litellm.success_callback = []
    litellm.failure_callback = []
    return litellm
