"""The only module that imports litellm, and that only when a price is looked up or a call is made.

litellm's own retries, callbacks, telemetry and downloads are off: what is sent, when and how often is decided in
`rsi.calls`, and nothing goes anywhere but to the model.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from rsi.proposers.llm.wire import install

if TYPE_CHECKING:
    from types import ModuleType

_KEYS = ("_API_KEY", "_KEY", "_TOKEN", "_KEY_ID")


def load_litellm() -> ModuleType:
    """Import litellm (it takes seconds), with everything off that talks to anyone but the model."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it downloads the price list
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # else importing it reads keys from a .env file behind our back
    os.environ.setdefault("LITELLM_LOG", "CRITICAL")
    for name in [name for name, value in os.environ.items() if name.endswith(_KEYS) and not value.strip()]:
        del os.environ[name]  # a blank key is no key, but litellm takes it for one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm  # noqa: PLC0415 - seconds, and only when needed
    install()
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.num_retries = 0
    litellm.callbacks = []
    litellm.success_callback = []
    litellm.failure_callback = []
    return litellm
