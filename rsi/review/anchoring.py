"""`rsi anchor`: a ledger's head to be kept elsewhere, and whether the ledger still bears out one that was.

An anchor is one line of text. `ssh-keygen -Y`, which most machines have, signs it and checks signatures; nobody needs
to trust this program, or the run folder, for that.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field
from rich.console import Console

from rsi import anchors
from rsi.chain import Event, check_chain, read_events
from rsi.durable import read_regular
from rsi.errors import EnvironmentFault, IntegrityError, RsiError, UsageError
from rsi.output import print_json
from rsi.records import Record, Versioned
from rsi.review.wording import count, one_line, say
from rsi.runs import LEDGER

NAMESPACE = "rsi"
"""Of signatures, so that none made for something else passes for one of these."""
_LONGEST = 4 * 1024 * 1024
_SECONDS = 120.0
_LINE = re.compile(
    r"rsi-anchor run=([A-Za-z0-9][A-Za-z0-9._-]{0,127}) events=(\d{1,12}) head=([0-9a-f]{64})"
    r"(?: time=([0-9TZ:.-]{1,40}))?"
)
_SIGNATURE = re.compile(r"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]{1,20000}-----END SSH SIGNATURE-----\n?")


class Head(Record):
    """A run's ledger had so many events, and the last of them this hash."""

    run: str
    events: int = Field(ge=1)
    head: str
    time: str = ""
    """When it was written down, UTC."""

    def line(self) -> str:
        """As text, one line without its end: what is signed, line feed included."""
        return f"rsi-anchor run={self.run} events={self.events} head={self.head}" + (
            f" time={self.time}" if self.time else ""
        )


class Kept(Record):
    """A head that was kept elsewhere, with the signature that stood behind it."""

    head: Head
    signature: str = ""


class Checked(Record):
    """Whether the ledger bears out one head."""

    events: int
    head: str
    holds: bool
    sentence: str
    signed_by: str = ""
    """Who signed it, as the file of allowed signers calls them; empty where that was not asked or is not so."""


class AnchorReport(Versioned):
    """What checking heads that were kept elsewhere came to."""

    run: str
    ok: bool
    events: int
    """In the ledger now."""
    checked: tuple[Checked, ...]


def head_of(folder: Path) -> Head:
    """The head of a run as it stands; IntegrityError where its chain does not hold, or it is no run."""
    report = check_chain(folder / LEDGER)
    if report.problem is not None:
        raise IntegrityError(f"{report.problem.sentence} A head of what does not hold proves nothing.")
    for first in read_events(folder / LEDGER):
        head = Head(run=_run_of(first), events=report.events, head=report.head, time=_now())
        if not _LINE.fullmatch(head.line()):
            raise IntegrityError(f"The ledger calls its run {one_line(head.run, 60)!r}, which no run of rsi is called.")
        return head
    raise IntegrityError(f"{folder / LEDGER} holds no event, so it has no head.")


def keep(head: Head) -> None:
    """Write it down in this machine's state folder, as the run does; EnvironmentFault where that cannot be done."""
    if not anchors.record(head.run, head.events - 1, head.head):
        raise EnvironmentFault(f"Nothing can be written in {anchors.heads_folder()}; set RSI_STATE to another folder.")


def load(given: str) -> list[Kept]:
    """Every head in a file that `rsi anchor` wrote, or in one line of it; UsageError where there is none."""
    text = given
    with suppress(OSError, ValueError):
        if Path(given).is_file():
            text = Path(given).read_bytes()[: _LONGEST + 1].decode("utf-8", "replace")
    if len(text) > _LONGEST:
        raise UsageError(f"{one_line(given, 200)} is too long for a file of anchors.")
    found = _from_json(text) or _from_lines(text)
    if not found:
        raise UsageError(
            f"{one_line(given, 200)!r} is neither a file nor a line that `rsi anchor` printed; give one of these."
        )
    return found


def _from_json(text: str) -> list[Kept]:
    try:
        value = json.loads(text)
        head = Head.model_validate({name: value[name] for name in ("run", "events", "head", "time")})
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    known = _LINE.fullmatch(head.line()) is not None
    return [Kept(head=head, signature=str(value.get("signature") or ""))] if known else []


def _from_lines(text: str) -> list[Kept]:
    found, text = [], text.replace("\r\n", "\n")
    for line in _LINE.finditer(text):
        run, events, head, time = line.groups()
        behind = _SIGNATURE.match(text[line.end() :].lstrip("\n"))
        if int(events):
            made = Head(run=run, events=int(events), head=head, time=time or "")
            found.append(Kept(head=made, signature=behind[0] if behind else ""))
    return found


def check(folder: Path, given: str, signers: Path | None = None) -> AnchorReport:
    """Whether a run's ledger bears out heads that were kept elsewhere, and whether they are signed by who may.

    Args:
        folder: Of the run.
        given: A file or a line, as `load` takes it.
        signers: Of the form of ssh-keygen's ALLOWED SIGNERS; without, signatures are not looked at.
    """
    kept = load(given)
    wanted = {one.head.events - 1 for one in kept}
    hashes: dict[int, str] = {}
    run, events, problem = "", 0, ""
    try:
        for event in read_events(folder / LEDGER):
            run = run or _run_of(event)
            events = event.seq + 1
            if event.seq in wanted:
                hashes[event.seq] = event.hash
    except IntegrityError as error:
        problem = str(error)
    checked = judged(kept, run, hashes, events, signers)
    if problem:
        broken = Checked(events=events, head="", holds=False, sentence=one_line(problem, 600))
        checked = (broken, *checked)
    return AnchorReport(run=one_line(run), ok=all(c.holds for c in checked), events=events, checked=tuple(checked))


def judged(
    kept: Sequence[Kept], run: str, hashes: Mapping[int, str], events: int, signers: Path | None
) -> tuple[Checked, ...]:
    """Each head against the hashes of a ledger that has so many events."""
    borne_out = [one.head.events - 1 for one in kept if hashes.get(one.head.events - 1) == one.head.head]
    found = []
    for one in kept:
        sentence, signed_by = _contradiction(one.head, run, hashes, events, borne_out), ""
        if not sentence and signers is not None:
            signed_by = signer(one, signers)
            sentence = "" if signed_by else "it is borne out, but not signed by anyone who may"
        said = sentence or _borne_out(one, signed_by, signers)
        found.append(
            Checked(events=one.head.events, head=one.head.head, holds=not sentence, sentence=said, signed_by=signed_by)
        )
    return tuple(found)


def _contradiction(head: Head, run: str, hashes: Mapping[int, str], events: int, borne_out: Sequence[int]) -> str:
    if head.run != run:
        return f"it is of the run {head.run}, and this folder holds {one_line(run, 80) or 'none'}"
    if head.events > events:
        return f"it saw {count(head.events, 'event')}, and the ledger ends with event {events - 1}: its end was cut off"
    if hashes.get(head.events - 1) == head.head:
        return ""
    before = [seq for seq in borne_out if seq < head.events - 1]
    since = f"between events {max(before) + 1} and {head.events - 1}" if before else f"up to event {head.events - 1}"
    return f"event {head.events - 1} has another hash than it had: the record was written anew somewhere {since}"


def _borne_out(one: Kept, signed_by: str, signers: Path | None) -> str:
    words = f"borne out: event {one.head.events - 1} still has this hash, so nothing up to it was changed"
    if signed_by:
        return f"{words}; signed by {one_line(signed_by, 80)}"
    return words + ("; it is signed, and --allowed-signers checks by whom" if one.signature and signers is None else "")


def render(report: AnchorReport, console: Console, *, as_json: bool = False) -> None:
    """Tell whether each holds."""
    if as_json:
        print_json(report)
        return
    for one in report.checked:
        say(
            console,
            f"{report.run}, {count(one.events, 'event')}: {one.sentence}.",
            "green" if one.holds else "bold red",
        )


def signed(head: Head, key: Path) -> str:
    """An SSH signature over the line; EnvironmentFault where there is no ssh-keygen, UsageError where it refuses."""
    done = _ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], head.line() + "\n")
    if done.returncode != 0 or not _SIGNATURE.fullmatch(done.stdout):
        raise UsageError(f"{key} does not sign: {one_line(done.stderr, 200) or 'ssh-keygen says nothing'}.")
    return done.stdout


def signer(kept: Kept, signers: Path) -> str:
    """Who signed a head, as the file of allowed signers calls them; empty where nobody in it did."""
    try:
        allowed = read_regular(signers.resolve(), _LONGEST)
    except (OSError, RsiError) as error:
        raise UsageError(f"{signers} cannot be read: {error}; it lists who may sign, see ssh-keygen(1).") from None
    if not kept.signature:
        return ""
    with tempfile.TemporaryDirectory(prefix="rsi-anchor-") as scratch:
        signature, list_ = Path(scratch) / "anchor.sig", Path(scratch) / "allowed"
        signature.write_text(kept.signature, encoding="ascii", errors="replace")
        list_.write_bytes(allowed)
        found = _ssh_keygen(["-Y", "find-principals", "-s", str(signature), "-f", str(list_)], "")
        for name in found.stdout.splitlines() if found.returncode == 0 else ():
            arguments = ["-Y", "verify", "-f", str(list_), "-I", name, "-n", NAMESPACE, "-s", str(signature)]
            if _ssh_keygen(arguments, kept.head.line() + "\n").returncode == 0:
                return name
    return ""


def _ssh_keygen(arguments: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (FileNotFoundError, PermissionError):
        raise EnvironmentFault("Signatures need ssh-keygen, and it is not here; install openssh-client.") from None
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"ssh-keygen did not answer within {_SECONDS:.0f} s; try again.") from None


def _run_of(first: Event) -> str:
    return str(first.body.get("run", ""))


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
