"""How long `rsi verify` takes for a ledger of 100,000 events: chain, order, state and decisions, in one process.

The ledger is a run on the fake sandbox, one experiment of it repeated under new numbers. Prints JSON.

    python benchmarks/verifying.py [--events 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.chain import check_chain, read_events, seal
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.review.verify import verify
from rsi.session import start
from rsi.testing.fake_sandbox import write_fake_task


def make_run(folder: Path) -> Path:
    """A short run on the fake sandbox; one of its experiments is what the long ledger repeats."""
    verifier = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
    write_fake_task(folder / "task", value=40, verifier=verifier)
    configuration = RunConfiguration(
        task=str(folder / "task"),
        proposer=Component(name=f"{rsi.testing.fake_proposer.__file__}:FakeProposer"),
        policy=Component(name="greedy"),
        sandbox=Component(name=f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"),
        verifier=Component(name=verifier),
        budget=Budget(experiments=8),
        seed=1,
    )
    with start(configuration, lambda _: None, root=folder / "runs") as session:
        session.go()
        return session.run.folder


def lengthen(folder: Path, wanted: int) -> None:
    """Repeat the first discarded experiment under new numbers, and hash the chain anew.

    The chain and the fold hold; decisions and seeds do not follow from the record any more, which costs the same.
    """
    events = [event.model_dump(mode="json", by_alias=True) for event in read_events(folder / "ledger.jsonl")]
    closed = next(e for e in events if e["kind"] == "experiment.closed" and e["body"]["status"] == "discarded")
    number = closed["body"]["experiment"]
    begin = next(i for i, e in enumerate(events) if e["body"].get("experiment") == number)
    end = events.index(closed) + 1
    pattern, fields = json.dumps([{k: e[k] for k in ("kind", "body")} for e in events[begin:end]]), events[:begin]
    while len(fields) < wanted:
        text = pattern.replace(f'"{number}.1"', f'"{len(fields)}.1"')
        entries = json.loads(text)
        for entry in entries:
            if "experiment" in entry["body"]:
                entry["body"]["experiment"] = number + (len(fields) - begin) // len(entries)
        fields += [{**entry, "time": closed["time"], "schema": 1} for entry in entries]
    previous = "0" * 64
    with (folder / "ledger.jsonl").open("w", encoding="utf-8") as file:
        for seq, entry in enumerate(fields):
            line, previous = seal({**entry, "seq": seq, "previous": previous})
            file.write(line + "\n")


def main() -> None:
    """Make the run, then time both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    shared = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
        os.environ |= {"RSI_STATE": f"{scratch}/state", "RSI_CACHE": f"{scratch}/cache"}
        folder = make_run(Path(scratch))
        lengthen(folder, asked.events)
        began = time.monotonic()
        chain = check_chain(folder / "ledger.jsonl")
        chained = time.monotonic()
        report = verify(folder, verdicts=False, trust_paths=True)
        ended = time.monotonic()
        size = (folder / "ledger.jsonl").stat().st_size
    result = {
        "events": chain.events,
        "ledger_bytes": size,
        "chain_seconds": chained - began,
        "verify_seconds": ended - chained,
        "chain_holds": not any(problem.kind == "chain" for problem in report.problems),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
