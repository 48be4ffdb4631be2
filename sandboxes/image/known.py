"""What this machine knows of images: the digest that a tag had when it was made here, or loaded on someone's word.

Kept in the user's state folder, apart from the engine, so that an image swapped under its tag shows.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from rsi.anchors import heads_folder
from rsi.durable import make_folder, read_regular
from rsi.errors import RsiError
from rsi.records import Record
from sandboxes.image.manifest import Manifest

_LONGEST = 4 * 1024 * 1024


class Known(Record):
    """An image as it was when it came to this machine."""

    tag: str
    digest: str
    how: Literal["built", "loaded"]
    when: str
    """UTC."""
    manifest: Manifest


def folder() -> Path:
    """`images` in the user's state folder."""
    return heads_folder().parent / "images"


def remember(digest: str, manifest: Manifest, how: Literal["built", "loaded"]) -> None:
    """Write it down; where that cannot be done, the image is merely not known."""
    when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    entry = Known(tag=manifest.tag, digest=digest, how=how, when=when, manifest=manifest)
    with suppress(OSError, RuntimeError, RsiError):  # RuntimeError: there is no home folder
        make_folder(folder())
        path = _path(manifest.tag)
        staging = path.with_suffix(".new")
        staging.write_text(entry.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
        staging.replace(path)


def recall(tag: str) -> Known | None:
    """What was written down about that tag; None where nothing was, or it is unreadable."""
    try:
        return Known.model_validate_json(read_regular(_path(tag), _LONGEST))
    except (OSError, RuntimeError, RsiError, ValidationError):
        return None


def _path(tag: str) -> Path:
    return folder() / f"{tag.replace(':', '-').replace('/', '-')}.json"
