"""The watch over one running program: deadlines, CPU time, output cap, interruption; all from outside."""

from __future__ import annotations

import contextlib
import time

from rsi.course import Listing, Series
from rsi.errors import EngineLost, EnvironmentFault
from rsi.execution import ExitKind, Limits, Usage
from rsi.records import Record
from sandboxes.bell import Bell
from sandboxes.meter import Meter
from sandboxes.place import Gone, Place, PlaceEnd
from sandboxes.streams import Streams

FAILURES_UNTIL_LOST = 3
DRAIN_SECONDS = 10.0


class Watched(Record):
    """What the watch saw, once the place is dead or out of reach."""

    stopped: ExitKind | None = None
    """Why we ended it ourselves, where we did."""
    reason: str = ""
    """Our sentence that goes with it."""
    usage: Usage
    series: Series = Series()
    scratch: Listing | None = None
    memory_at_limit: bool = False
    end: PlaceEnd = PlaceEnd()
    ended: float
    """On the monotonic clock: when the program's last process was gone."""


class Supervisor:
    """Follows one place, whose program is about to be started, to its end."""

    def __init__(self, place: Place, limits: Limits, streams: Streams, bell: Bell) -> None:
        self._place = place
        self._limits = limits
        self._streams = streams
        self._bell = bell
        self._started = time.monotonic()
        self._meter = Meter(place.baseline)
        self._scratch: Listing | None = None
        self._failures = 0
        self._stopped: ExitKind | None = None
        self._reason = ""

    def start(self, line: bytes) -> None:
        """Tell the worker what to run; the clock starts."""
        self._started = time.monotonic()
        self._streams.begin(self._started)
        self._place.send(line)

    def follow(self) -> Watched:
        """Until the worker's last line, the end of the place, or a limit; then kill whatever is left."""
        next_poll = self._started + self._pause()
        while self._stopped is None and self._streams.trailer is None and not self._place.ended:
            now = time.monotonic()
            if now >= next_poll:
                self._poll()
                next_poll = time.monotonic() + self._pause()
            self._check(time.monotonic())
            if self._stopped is None:
                self._receive(min(next_poll, self._deadline) - time.monotonic())
        by_itself = time.monotonic()
        if not self._place.ended and self._stopped is not ExitKind.LOST:
            self._poll()  # the worker still waits, so its control group can still be asked
            self._check(by_itself)
            self._look_at_scratch()
        return self._end(by_itself)

    @property
    def _deadline(self) -> float:
        return self._started + self._limits.wall_seconds

    def _pause(self) -> float:
        """Until the next look: ever longer, up to what is usual in this kind of place."""
        place = self._place
        return min(place.poll_seconds, max(place.first_look_seconds, time.monotonic() - self._started))

    def _receive(self, seconds: float) -> None:
        for stream, data in self._place.receive(seconds, self._bell):
            self._streams.feed(stream, data)

    def _poll(self) -> None:
        try:
            reading = self._place.read_usage()
        except Gone:
            return  # the attached streams end as well, and that is what ends the watch
        except EnvironmentFault as error:
            self._failures += 1
            if self._failures >= FAILURES_UNTIL_LOST:
                self._stop(ExitKind.LOST, str(error))
            return
        self._failures = 0
        self._meter.read(time.monotonic() - self._started, reading)
        passed = self._place.overstepped()
        if passed is not None:
            self._stop(*passed)

    def _look_at_scratch(self) -> None:
        with contextlib.suppress(Gone, EnvironmentFault):
            self._scratch = self._place.list_scratch()

    def _check(self, now: float) -> None:
        limits = self._limits
        if self._bell.rung:
            self._stop(ExitKind.INTERRUPTED, "The execution was ended because the user asked.")
        elif self._streams.discarded:
            self._stop(ExitKind.OUTPUT_EXCEEDED, f"The program printed more than {limits.output_bytes} bytes.")
        elif self._meter.cpu_seconds >= limits.cpu_seconds:
            self._stop(ExitKind.CPU_EXCEEDED, f"The program used its {limits.cpu_seconds:g} seconds of CPU time.")
        elif now >= self._deadline:
            self._stop(ExitKind.TIMED_OUT, f"The program did not end within {limits.wall_seconds:g} seconds.")

    def _stop(self, kind: ExitKind, reason: str) -> None:
        if self._stopped is None:
            self._stopped, self._reason = kind, reason

    def _end(self, by_itself: float) -> Watched:
        end = PlaceEnd(from_outside=True) if self._stopped is ExitKind.LOST else self._kill_and_drain()
        self._streams.finish()
        if self._stopped is None and self._streams.discarded:
            self._check(by_itself)
        ended = by_itself if self._streams.trailer is not None and self._stopped is None else time.monotonic()
        return Watched(
            stopped=self._stopped,
            reason=self._reason,
            usage=self._meter.usage(ended - self._started),
            series=self._meter.series(),
            scratch=self._scratch,
            memory_at_limit=self._meter.peak_memory_bytes >= 0.98 * self._limits.memory_bytes,
            end=end,
            ended=ended,
        )

    def _kill_and_drain(self) -> PlaceEnd:
        """End the place, read what its program still printed, and learn how it ended."""
        try:
            self._place.kill()
            self._drain()
            self._require_end()
            return self._place.how_it_ended()
        except EngineLost as error:
            if self._stopped in (None, ExitKind.TIMED_OUT):
                # Who hears nothing of an engine does not know whether the program ended in time.
                self._stopped, self._reason = ExitKind.LOST, str(error)
        except Gone:
            pass
        return PlaceEnd(from_outside=True)

    def _require_end(self) -> None:
        """A deadline seen from here is none where the engine may hold back what the worker had said before it."""
        if self._stopped is ExitKind.TIMED_OUT and self._streams.trailer is None and not self._place.ended:
            raise EngineLost("The engine tells no more of a program that was killed at its deadline; look at its log.")

    def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while not self._streams.complete and not self._place.ended and time.monotonic() < until:
            for stream, data in self._place.receive(until - time.monotonic()):
                self._streams.feed(stream, data)
