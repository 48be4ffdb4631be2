"""What processes have read and written, from the kernel's account of each, as the host sees it. Linux only.

The kernel adds the account of a process to its parent's when the parent waits for it. So once all that a worker
started has ended, the worker's own account holds every byte of it, were it of a process of a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Account(NamedTuple):
    """Bytes through calls, and what of them a disk had to move."""

    read_bytes: int
    written_bytes: int
    device_read_bytes: int
    device_written_bytes: int

    def plus(self, other: Account) -> Account:
        """Both together."""
        return Account(*(one + another for one, another in zip(self, other, strict=True)))


def read_account(process: int) -> Account | None:
    """Of one process with those it has waited for; None where it is gone.

    PermissionError where it is another user's, or one that does not let itself be looked at, and we are not root.
    """
    try:
        with open(f"/proc/{process}/io", "rb") as file:  # noqa: PTH123 - many times a second
            fields = dict(line.split(b": ") for line in file.read().splitlines())
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    names = (b"rchar", b"wchar", b"read_bytes", b"write_bytes")
    return Account(*(int(fields[name]) for name in names)) if fields.keys() >= set(names) else None


def accounts_together(worker: int, others: Iterable[int]) -> dict[str, Any]:
    """The sum over a worker and those below it, as fields of a `Reading`; empty where we may not look.

    The worker first: what ends between two of these looks is then missed until the next, never counted twice.
    """
    try:
        total = read_account(worker)
        if total is None:
            return {}
        for process in others:
            account = read_account(process)
            total = total if account is None else total.plus(account)
    except PermissionError:
        return {}
    return total._asdict()
