"""`python -m sandboxes.image`: have the sandbox image, saying how far it is; for set-up, which has no `rsi` yet."""

import sys
import time

from rsi.errors import RsiError
from sandboxes.image import ensure


def main() -> int:
    """Build what is missing; the exit code of the command line."""
    begin = time.monotonic()
    try:
        ensure(lambda sentence: print(f"  {time.monotonic() - begin:5.0f} s  {sentence}", flush=True))
    except RsiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
