"""A thousand trials through the docker sandbox and its pool, a third of them failing: what is left behind, as JSON.

Real containers, several at once: programs that end well, crash, run out of time or memory, print too much, leave what
may not come out, or are interrupted. Reports what this process and the engine hold before, meanwhile and after. A leak
is anything that is more after than before, and memory that goes on growing once everything has been used once.

    python benchmarks/soak.py [--trials 1000] [--parallel 2] [--pool 3]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker

from rsi.execution import MIB, ExitKind, Job, Limits, Shape
from sandboxes.docker import DockerSandbox, owner

WARM_UP = 0.2
"""Share of the trials after which memory must no longer grow."""
SHAPE = Shape(
    limits=Limits(
        wall_seconds=3.0,
        cpu_seconds=3.0,
        memory_bytes=64 * MIB,
        processes=16,
        disk_bytes=8 * MIB,
        inodes=64,
        output_bytes=65536,
        artifact_bytes=MIB,
        artifact_files=4,
    )
)
WELL = "import os\nopen(os.environ['RSI_OUT'] + '/model.bin', 'wb').write(bytes(100_000))\nprint('done')"
PROGRAMS: dict[str, tuple[ExitKind, str]] = {
    "well": (ExitKind.COMPLETED, WELL),
    "crash": (ExitKind.CRASHED, "print('before')\nraise ValueError('as it should')"),
    "time": (ExitKind.TIMED_OUT, "import time\ntime.sleep(20)"),
    "memory": (ExitKind.OUT_OF_MEMORY, "kept = [bytearray(b'x') * (8 << 20) for _ in range(40)]"),
    "output": (ExitKind.OUTPUT_EXCEEDED, "for _ in range(10_000):\n    print('x' * 100)"),
    "forbidden": (ExitKind.FORBIDDEN_OUTPUT, "import os\nos.symlink('/etc/passwd', os.environ['RSI_OUT'] + '/model')"),
    "orphans": (ExitKind.COMPLETED, "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(20)"),
}
PATTERN = ("well", "crash", "well", "well", "memory", "well", "forbidden", "well", "well", "output", "well", "orphans")
"""And every thirtieth runs out of time, which takes three seconds."""


def program_of(number: int) -> str:
    """Which of the programs a trial runs."""
    return "time" if number % 30 == 29 else PATTERN[number % len(PATTERN)]


def soak(trials: int, parallel: int, pool: int, say: bool = True) -> dict[str, Any]:
    """Run the trials; the report that `main` prints."""
    samples: list[dict[str, Any]] = []
    endings: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="rsi-soak-") as folder,
        _temporary_files_in(folder),
        contextlib.closing(docker.from_env()) as client,
    ):
        before = _measure(client.api, Path(folder))
        began = time.monotonic()
        unexpected = _run(client.api, Path(folder), trials, parallel, pool, samples, endings, say=say)
        seconds = time.monotonic() - began
        gc.collect()
        after = _measure(client.api, Path(folder))
    slope = _slope([sample for sample in samples if sample["trials"] >= WARM_UP * trials])
    leaks = {name: after[name] - before[name] for name in COUNTED if after[name] > before[name]}
    return {
        "ok": not leaks,
        "leaks": leaks,
        "trials": trials,
        "parallel": parallel,
        "pool": pool,
        "seconds": round(seconds, 1),
        "seconds_per_trial": round(seconds / trials, 3),
        "endings": dict(endings),
        "unexpected_endings": unexpected,
        "memory_growth_kib_per_100_trials": slope,
        "before": before,
        "after": after,
        "samples": samples,
    }


COUNTED = ("containers", "volumes", "threads", "descriptors", "temporary_files", "children")


def _run(
    api: Any,
    folder: Path,
    trials: int,
    parallel: int,
    pool: int,
    samples: list[dict[str, Any]],
    endings: Counter[str],
    *,
    say: bool,
) -> list[str]:
    unexpected: list[str] = []
    every = max(1, trials // 20)
    sandbox = DockerSandbox(pool=pool)
    try:
        with ThreadPoolExecutor(parallel) as executor:
            for start in range(0, trials, every):
                sandbox.warm([SHAPE] * pool)
                numbers = range(start, min(trials, start + every))
                for number, kind in zip(numbers, executor.map(lambda n: _trial(sandbox, n), numbers), strict=True):
                    endings[kind.value] += 1
                    expected = PROGRAMS[program_of(number)][0]
                    if kind is not expected:
                        unexpected.append(f"{number}: {kind.value} instead of {expected.value}")
                samples.append({"trials": numbers.stop, **_measure(api, folder)})
                if say:
                    print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
    finally:
        sandbox.close()
    return unexpected


def _trial(sandbox: DockerSandbox, number: int) -> ExitKind:
    code = PROGRAMS[program_of(number)][1]
    inputs: dict[str, bytes | Path] = {"code/program.py": code.encode(), "data/blob": bytes(200_000)}
    job = Job(purpose="train", argv=("code/program.py",), inputs=inputs, shape=SHAPE, labels={"run": "soak"})
    return sandbox.run(job).execution.kind


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Whatever this process leaves among temporary files is left in there."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


def _measure(api: Any, folder: Path) -> dict[str, Any]:
    mine = {"label": f"{owner.OWNER_LABEL}={owner.this_process()}"}
    process = Path("/proc/self")
    information = api.info()
    return {
        "containers": len(api.containers(all=True, filters=mine)),
        "volumes": len(api.volumes(filters=mine)["Volumes"] or []),
        "threads": threading.active_count(),
        "descriptors": len(list((process / "fd").iterdir())),
        "children": len((process / "task" / str(os.getpid()) / "children").read_text().split()),
        "temporary_files": sum(1 for _ in folder.rglob("*")),
        "memory_kib": _status(process, "VmRSS"),
        "engine": {
            **_engine_process(),
            "goroutines": information.get("NGoroutines"),
            "containers": information["Containers"],
        },
    }


def _engine_process() -> dict[str, int]:
    """The daemon at the other end of the local socket; empty where it runs elsewhere or may not be looked at."""
    address = (os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(address)
            found = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        process = Path("/proc", str(struct.unpack("3i", found)[0]))
        return {
            "descriptors": len(list((process / "fd").iterdir())),
            "threads": _status(process, "Threads"),
            "memory_kib": _status(process, "VmRSS"),
        }
    except OSError:
        return {}


def _status(process: Path, name: str) -> int:
    for line in (process / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _slope(samples: list[dict[str, Any]]) -> float | None:
    """KiB per hundred trials, by least squares."""
    if len(samples) < 3:
        return None
    xs, ys = [s["trials"] / 100 for s in samples], [s["memory_kib"] for s in samples]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return round(sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs), 1)


def main() -> int:
    """Soak and print; 1 where something leaked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--pool", type=int, default=3)
    asked = parser.parse_args()
    report = soak(asked.trials, asked.parallel, asked.pool)
    print(json.dumps(report, indent=2))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
