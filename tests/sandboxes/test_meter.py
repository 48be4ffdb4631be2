"""Readings become totals and a series of bounded length that says the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandboxes.meter import MOST_ROWS, Meter
from sandboxes.place import Reading

AMOUNT = st.none() | st.integers(0, 2**40)
READINGS = st.lists(
    st.builds(
        Reading,
        cpu_seconds=st.none() | st.floats(0, 1e6),
        memory_bytes=AMOUNT,
        peak_memory_bytes=AMOUNT,
        processes=st.none() | st.integers(1, 99),
        read_bytes=AMOUNT,
        written_bytes=AMOUNT,
        stored_bytes=AMOUNT,
    ),
    max_size=40,
)


def metered(readings: list[Reading], baseline: Reading | None = None) -> Meter:
    meter = Meter(baseline or Reading())
    for number, reading in enumerate(readings):
        meter.read(number / 8, reading)
    return meter


@given(READINGS, st.integers(0, 2**40))
def test_totals_are_the_most_that_was_read_less_what_was_there_before(readings: list[Reading], before: int) -> None:
    usage = metered(readings, Reading(written_bytes=before)).usage(1.0)
    written = [reading.written_bytes for reading in readings if reading.written_bytes is not None]
    stored = [reading.stored_bytes for reading in readings if reading.stored_bytes is not None]
    assert usage.written_bytes == (max(0, max(written) - before) if written else None)
    assert usage.peak_stored_bytes == (max(stored) if stored else None)


def test_what_was_never_read_is_none_and_not_zero() -> None:
    meter = metered([])
    usage = meter.usage(1.0)
    assert {name for name, value in usage if value is not None} == {"wall_seconds"}
    assert meter.cpu_seconds == 0.0  # of which the watch over the limit makes use
    series = metered([Reading(cpu_seconds=1.0)]).series()
    assert (series.written_bytes, series.memory_bytes, series.cpu_seconds) == (None, None, (1.0,))


@given(READINGS, st.integers(1, 60))
def test_however_many_the_readings_the_series_is_short_and_ends_at_the_totals(
    readings: list[Reading], repeated: int
) -> None:
    meter = metered(readings * repeated)
    series, usage = meter.series(), meter.usage(1.0)
    assert len(series.seconds) <= MOST_ROWS
    assert list(series.seconds) == sorted(set(series.seconds))
    assert not readings or series.seconds[-1] == round((len(readings) * repeated - 1) / 8, 4)
    for name in ("read_bytes", "written_bytes"):
        column = [value for value in getattr(series, name) or () if value is not None]
        assert column == sorted(column)
        assert (column[-1] if column else None) == getattr(usage, name)
    stored = [value for value in series.stored_bytes or () if value is not None]
    assert (max(stored) if stored else None) == usage.peak_stored_bytes


def test_thinned_out_rows_are_even_and_lose_no_peak() -> None:
    count = 8 * MOST_ROWS
    peak = 5
    readings = [Reading(cpu_seconds=float(n), memory_bytes=9**9 if n == peak else 1) for n in range(count)]
    series = metered(readings).series()
    assert MOST_ROWS / 2 <= len(series.seconds) <= MOST_ROWS
    steps = {later - earlier for earlier, later in zip(series.seconds[:-2], series.seconds[1:-1], strict=True)}
    assert len(steps) == 1
    assert max(value or 0 for value in series.memory_bytes or ()) == 9**9
    assert series.cpu_seconds[-1] == count - 1


def test_the_waiting_worker_is_not_counted_and_a_program_never_seen_was_one_process() -> None:
    assert metered([Reading(processes=1), Reading(processes=4), Reading(processes=1)]).usage(1.0).peak_processes == 3
    assert metered([Reading(processes=1)]).usage(1.0).peak_processes == 1
