"""Rules about what decides: not the time, not the machine, not whether the file is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_DAY_CLOCKS = frozenset(
    [
        "time.time",
        "time.time_ns",
        "time.localtime",
        "time.gmtime",
        "time.ctime",
        "time.asctime",
        "time.strftime",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "time.clock_gettime",
    ]
)
_CLOCKS = frozenset(
    [
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.monotonic",
        "time.monotonic_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.thread_time",
        "time.thread_time_ns",
        "timeit.default_timer",
        "os.times",
        "resource.getrusage",
    ]
)
_PLACE = frozenset(["os.cpu_count", "os.sched_getaffinity", "multiprocessing.cpu_count", "os.getloadavg"])
_FILE_AGES = frozenset(["os.path.getmtime", "os.path.getctime", "os.stat"])


def rules(reader: Reader) -> Iterator[Seen]:
    """All of them."""
    yield from _conditions(reader)


def _conditions(reader: Reader) -> Iterator[Seen]:
    """What the time or the machine decides."""
    for node in reader.module.nodes:
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            test: ast.AST = node.test
        elif isinstance(node, ast.Match):
            test = node.subject
        elif isinstance(node, ast.comprehension) and node.ifs:
            test = node.ifs[0]
        else:
            continue
        told = {
            name.removesuffix("()")
            for source in reader.sources(test)
            if isinstance(source, (ast.Attribute, ast.Name, ast.Call))
            for name in reader.names.of(source)
        }
        if any(
            name in _DAY_CLOCKS or name.startswith(("datetime.datetime.now().", "time.localtime().")) for name in told
        ):
            message = "lets the time of day decide what it does"
            yield reader.seen("clock-condition", WARNING, "time of day", node, message)
        elif told & _CLOCKS:
            endless = isinstance(node, ast.While)
            message = "lets a clock decide " + ("how long it goes on" if endless else "what it does")
            yield reader.seen("clock-condition", WARNING if endless else NOTICE, "clock", node, message)
        if told & (_PLACE | _FILE_AGES):
            message = "lets the machine it runs on decide what it does"
            yield reader.seen("probing", WARNING, "machine decides", node, message)
        yield from _by_own_name(reader, test)


def _by_own_name(reader: Reader, test: ast.AST) -> Iterator[Seen]:
    for part in ast.walk(test):
        if isinstance(part, ast.Compare) and any(
            isinstance(side, ast.Name) and side.id == "__name__" for side in (part.left, *part.comparators)
        ):
            values = [text for side in (part.left, *part.comparators) for text in reader.fold.strings(side)]
            if values != ["__main__"] or not isinstance(part.ops[0], ast.Eq):
                message = "behaves otherwise when it is imported, which is how it is asked to predict"
                yield reader.seen("probing", WARNING, "imported or not", part, message)
