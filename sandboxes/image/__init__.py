"""The sandbox image: what it is made of, and having it.

`wanted_tag()` is a pure function of this code; `ensure()` builds it where it is missing.
"""

from sandboxes.image.engine import EngineForbidden, connect
from sandboxes.image.recipe import extras_tag, wanted_tag
from sandboxes.image.store import ImageFacts, build, cache_folder, digest, ensure, list_images, remove

__all__ = [
    "EngineForbidden",
    "ImageFacts",
    "build",
    "cache_folder",
    "connect",
    "digest",
    "ensure",
    "extras_tag",
    "list_images",
    "remove",
    "wanted_tag",
]
