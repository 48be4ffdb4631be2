"""How long a reviewer waits for a run of 10,000 experiments and 100,000 events, and how much memory each command takes.

The run is one of the real loop, with everything on record, over fake sandbox and fake verifier; its proposer and
the check of its edits are quick ones of this benchmark. Every command is a process of its own. `first` is the first
reading of a run that this machine has never seen, which makes the index that all later ones use. Prints JSON; `--keep
FOLDER` leaves the run there, and takes the one that is there.

    python benchmarks/review.py [--experiments 10000] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.edits import unified
from rsi.records import Brief, CodeFiles, Edit, EditFormat, Proposal, Provenance
from rsi.session import start
from rsi.testing.fake_sandbox import write_fake_task
from simulated.checking import Trusting

TARGETS = {"seconds": 1.0, "verify_seconds": 10.0, "megabytes": 300.0}


class Wandering:
    """Proposes a number near the present one, never one that it has proposed before."""

    name = "wandering"

    def __init__(self) -> None:
        self.proposed: set[str] = set()

    def propose(self, brief: Brief) -> Proposal:
        """Another number for `VALUE`."""
        ((path, text),) = brief.code.items()
        line = next(line for line in text.splitlines() if line.startswith("VALUE = "))
        value = f"{float(line.split()[2]) + (brief.seed % 2001 - 1000) / 1e3:.6f}"
        while value in self.proposed:
            value = f"{float(value) + 1e-6:.6f}"
        self.proposed.add(value)
        block = f"{path}\n<<<<<<< SEARCH\n{line}\n=======\nVALUE = {value}\n>>>>>>> REPLACE\n"
        return Proposal(
            edit=Edit(format=EditFormat.SEARCH_REPLACE, text=block),
            rationale=f"Set VALUE to {value}: perhaps it is nearer",
            kind="value",
            provenance=Provenance(proposer=self.name),
        )


class Here(Trusting):
    """Checks edits in this process, since they are this file's own, and draws diffs as real runs have them."""

    def diff(self, old: CodeFiles, new: CodeFiles) -> str:
        """As the confined child draws it."""
        return unified.render(old, new)


def make_run(folder: Path, experiments: int) -> Path:
    """A run of that many experiments on the fakes; its folder."""
    verifier = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
    write_fake_task(folder / "task", value=40, verifier=verifier)
    configuration = RunConfiguration(
        task=str(folder / "task"),
        proposer=Component(name=f"{Path(__file__).resolve()}:Wandering"),
        policy=Component(name="greedy"),
        sandbox=Component(name=f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox", options={"noise": 0.01}),
        verifier=Component(name=verifier),
        budget=Budget(experiments=experiments),
        seed=1,
    )
    with start(configuration, lambda _sentence: None, root=folder / "runs") as session:
        session.loop.candidates.checker = Here()
        session.go()
        return session.run.folder


def timed(*words: str, code: int = 0) -> dict[str, float]:
    """Wall seconds and peak memory of a command, in megabytes of 10^6 bytes; its output goes nowhere."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "cli", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise SystemExit(f"`rsi {' '.join(words)}` ended with {process.returncode}, not {code}.")
    return {"seconds": round(time.monotonic() - began, 2), "megabytes": round(usage.ru_maxrss * 1024 / 1e6)}


def viewed(folder: Path, run: str) -> dict[str, float]:
    """The first page of `rsi view`, and that of the run."""
    server = subprocess.Popen(
        [sys.executable, "-m", "cli", "view", str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        result = {}
        for name, page in (("list", address), ("run", address.partition("?")[0].rstrip("/") + f"/runs/{run}")):
            began = time.monotonic()
            opener.open(page, timeout=60).read()
            result[name] = round(time.monotonic() - began, 2)
        return result
    finally:
        server.terminate()
        server.wait()


def measure(folder: Path, run: Path) -> dict[str, Any]:
    """Every command once; the first one reads the run for the first time."""
    name = str(run)
    where = Path(tempfile.mkdtemp(dir=folder)) / "report.html"
    return {
        "first": timed("list", str(run.parent)),
        "list": timed("list", str(run.parent)),
        "show": timed("show", name),
        "show experiment": timed("show", name, "5000"),
        "log kind": timed("log", name, "--kind", "experiment.closed"),
        "log text": timed("log", name, "--text", "nearer"),
        "log experiment": timed("log", name, "--experiment", "5000"),
        "findings": timed("findings", name),
        "verify": timed("verify", name, "--trust-plugins"),
        "report": {**timed("report", name, "-o", str(where)), "file_megabytes": round(where.stat().st_size / 1e6, 1)},
        "view": viewed(run.parent, run.name),
    }


def main() -> None:
    """Make the run, or take the one that is kept, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=11_100)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    shared = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one
    scratch = asked.keep or Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    scratch.mkdir(exist_ok=True)
    os.environ |= {"RSI_STATE": f"{scratch}/state", "RSI_CACHE": f"{scratch}/cache"}
    try:
        found = sorted((scratch / "runs").glob("*/ledger.jsonl"))
        began = time.monotonic()
        run = found[0].parent if found else make_run(scratch, asked.experiments)
        made = time.monotonic() - began
        shutil.rmtree(scratch / "cache" / "review", ignore_errors=True)
        size = (run / "ledger.jsonl").stat().st_size
        with (run / "ledger.jsonl").open("rb") as file:
            events = sum(1 for _ in file)
        head = {"events": events, "ledger_megabytes": round(size / 1e6), "made_in_seconds": round(made)}
        print(json.dumps({**head, **measure(scratch, run), "targets": TARGETS}, indent=2))
    finally:
        if asked.keep is None:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
