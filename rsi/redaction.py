"""Secrets are taken out before anything is written: by the values that the environment holds, and by field names.

What this cannot do: find a secret that the environment does not hold, one that was encrypted, reversed or split
over several lines, or one short or plain enough to be an ordinary word of the record.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Characters; shorter values occur by chance."""

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTHORIZATION|COOKIE", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"(^|[-_.])(api[-_]?key|secret[-_]?key|access[-_]?key|private[-_]?key|authorization|password|passwd|passphrase"
    r"|secret|credentials?|token|cookie)$",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[A-Za-z]{1,11}|[0-9.+-]{1,11}")
"""A word or a number: redacting it would wreck the record wherever it occurs by chance."""
_PATH_OR_ADDRESS = re.compile(r"(/|~/|\./|[A-Za-z]:\\).*[/\\][^=+]*|unix:.*")


class Redactor:
    """Replaces known secrets by `[redacted NAME]`; holds them, so it is never written anywhere itself."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names: dict[str, str] = {}
        for name, value in sorted(secrets.items()):
            if is_secret_value(value.strip()):
                for form in _forms(value.strip()):
                    names.setdefault(form, name)
        # The longest form first: a regular expression takes the first alternative that fits.
        forms = sorted(names, key=lambda form: (-len(form), form))
        self._names = names
        self._forms = forms
        self._byte_names = {_encode(form): name for form, name in names.items()}
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._byte_pattern = re.compile(b"|".join(re.escape(f) for f in self._byte_names)) if forms else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Every variable whose name says that its value is a secret."""
        return cls({name: value for name, value in environ.items() if _SECRET_NAME.search(name)})

    @classmethod
    def none(cls) -> Self:
        """For readers, who write nothing."""
        return cls({})

    def text(self, text: str) -> str:
        """The text without secrets, whether plain, JSON-escaped, URL-quoted, in hexadecimal or in base64."""
        # `in` is many times faster than the pattern, and nearly every text holds no secret.
        if self._pattern is None or not any(form in text for form in self._forms):
            return text
        return self._pattern.sub(lambda match: f"[redacted {self._names[match[0]]}]", text)

    def data(self, data: bytes) -> bytes:
        """The same for bytes of any encoding that extends ASCII."""
        if self._byte_pattern is None or not any(form in data for form in self._byte_names):
            return data
        return self._byte_pattern.sub(lambda match: f"[redacted {self._byte_names[match[0]]}]".encode(), data)

    def value(self, value: Any) -> Any:
        """The same for every text in a JSON-like value, keys too; in a field that names a secret, all of it goes."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self._key(key): self._field(key, item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) else key

    def _field(self, key: Any, item: Any) -> Any:
        if isinstance(item, str) and item and isinstance(key, str) and _SECRET_FIELD.search(key):
            return item if item.startswith("[redacted ") else f"[redacted {self._key(key)}]"
        return self.value(item)


def is_secret_name(name: str) -> bool:
    """Whether the value of a variable or field of this name is taken for a secret."""
    return bool(_SECRET_NAME.search(name) or _SECRET_FIELD.search(name))


def is_secret_value(value: str) -> bool:
    """Whether a value can be replaced wherever it occurs without wrecking the record."""
    return (
        len(value) >= SHORTEST
        and len(set(value)) >= 4
        and not _PLAIN.fullmatch(value)
        and not _PATH_OR_ADDRESS.fullmatch(value)
    )


def _forms(value: str) -> Iterator[str]:
    """The ways in which a secret is commonly written down."""
    raw = _encode(value)
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(json.dumps(value)[1:-1])[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """What base64 makes of the secret at each of its three alignments, in both alphabets.

    Characters that also depend on the neighbouring bytes are left out, so that `user:secret` is found too.
    """
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode()
        core = encoded[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # how the environment spells bytes that are not UTF-8
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
