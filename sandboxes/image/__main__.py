"""`python -m sandboxes.image`: have the sandbox image, saying how far it is; for set-up, which has no `rsi` yet.

With `--pin-debian` (as `make lock` asks) it writes down instead which Debian packages a base made today would hold.
"""

import sys
import tempfile
import time
from pathlib import Path

from rsi.errors import RsiError
from sandboxes.image import base, cache_folder, ensure, recipe
from sandboxes.image.manifest import debian_packages, to_lock

PINNED = "# The Debian packages of the base image when it was last pinned; `make lock` writes it.\n"


def main(arguments: list[str]) -> int:
    """Build what is missing; the exit code of the command line."""
    begin = time.monotonic()

    def say(sentence: str) -> None:
        print(f"  {time.monotonic() - begin:5.0f} s  {sentence}", flush=True)

    try:
        if arguments == ["--pin-debian"]:
            pin_debian()
        else:
            ensure(say)
    except RsiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def pin_debian() -> None:
    """Unpack Debian's packages as a build does, and write the lock that a build compares with."""
    log = cache_folder() / "image.log"
    base.install_debootstrap(log, print)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="debian-") as folder:
        base.debootstrap(Path(folder) / "tree", log)
        status = (Path(folder) / "tree" / base.STATUS).read_text(encoding="utf-8", errors="replace")
    recipe.debian_lock().write_text(PINNED + to_lock(debian_packages(status)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
