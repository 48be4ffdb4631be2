"""Templates, style, script and the policy that lets nothing else act: what every page is made with.

Three fences stand between hostile text and the browser: every string that a template puts out passes `for_page` (so it
hides and reorders nothing), then autoescape; and the page's policy allows no style and no script but ours, by hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rsi import attempts
from rsi.review.executions import short_size
from rsi.review.findings import RANK
from rsi.review.sameness import verdict_words
from rsi.review.wording import count, duration, mean, size
from rsi.sanitize import LONGEST_LINE, for_page


def environment() -> Environment:
    """The templates of this package; an undefined name in one is an error."""
    made = Environment(
        loader=PackageLoader("rsi.review.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "at": lambda time: str(time)[:19].replace("T", " "),
        "count": count,
        "cut": cut,
        "duration": duration,
        "figure": figure,
        "fixed": fixed,
        "fixed_gain": lambda value, places: "" if value is None else fixed(value, places, sign=True),
        "gravity": attempts.severity,
        "json": data,
        "mean": lambda values: figure(mean(values) if values else None),
        "rank": RANK.__getitem__,
        "short_size": short_size,
        "shell": shlex.quote,
        "signed": lambda value: figure(value, sign=True),
        "size": size,
        "verdict": verdict_words,
    }
    made.globals |= {"style": Markup(_static("style.css")), "script": Markup(_static("page.js"))}  # noqa: S704 - ours
    return made


def _shown(value: Any) -> Any:
    """What a template puts out: hostile text made visible. Escaping comes after it."""
    if isinstance(value, Markup):
        return value
    return for_page(value) if isinstance(value, str) else value


def cut(text: Any, most: int) -> Markup:
    """Hostile text, visible and escaped, at most so many characters of it."""
    return escape(for_page(str(text), min(most, LONGEST_LINE), most))


def figure(value: float | None, sign: bool = False) -> str:
    """A number with four figures; a dash where there is none."""
    if value is None:
        return "\u2013"
    text = f"{value:+.4g}" if sign else f"{value:.4g}"
    return text.replace("-", "\u2212")


def fixed(value: float | None, places: int, sign: bool = False) -> str:
    """A number with so many digits after the point; a dash where there is none."""
    if value is None:
        return "\u2013"
    return (f"{value:+.{places}f}" if sign else f"{value:.{places}f}").replace("-", "\u2212")


def data(value: Any) -> Markup:
    """Plain values as the text of a `<script type="application/json">`: no character in it can end that element."""
    text = json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text.encode("utf-8", "replace").decode())  # noqa: S704 - escaped for where it stands


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if abs(value) < 1e300 else None  # a NaN is not smaller either
    if isinstance(value, str):
        return for_page(value)
    if isinstance(value, dict):
        return {for_page(str(key)): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def policy(*, served: bool) -> str:
    """The content security policy: nothing is loaded from anywhere, only our own style and script act.

    A served page may besides ask its own server for what is new; as a header it may also forbid being framed.
    """
    parts = [
        "default-src 'none'",
        f"style-src '{_hash('style.css')}'",
        f"script-src '{_hash('page.js')}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action " + ("'self'" if served else "'none'"),
    ]
    if served:
        parts += ["connect-src 'self'", "frame-ancestors 'none'"]
    return "; ".join(parts)


@cache
def _static(name: str) -> str:
    return files("rsi.review.web").joinpath("static", name).read_text(encoding="utf-8")


@cache
def _hash(name: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(_static(name).encode()).digest()).decode()
