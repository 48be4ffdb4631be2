"""Policies at equal compute: what each truly gains, certifies and says, beside an oracle and the figures to reach.

Simulated runs, whose truth is known; the compute that certifying takes is in each run's trials. With `--real` also the
task `digits` in Docker, where gains are measured by training baseline and best again on fresh seeds. Fixed seeds: the
simulated part prints the same JSON on any machine.

    python benchmarks/acceptance.py [--quick] [--runs 200] [--trials 600] [--picture acceptance.svg] [--real]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rsi import plugins
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.runs import read
from rsi.session import start
from rsi.task import load_task
from simulated.picture import draw
from simulated.study import ORACLE, Estimate, Results, Study, compare

TARGETS = {0.5: 0.95, 1.0: 1.1, 2.0: 1.3, 4.0: 2.0}
"""Seed noise in mean helpful effects → the true gain to reach, in multiples of greedy's."""
CERTIFIED_SHARE = 0.70
"""Of the true gain, to be certified at least."""
REPORTED_WITHIN = 0.05
"""Of the true gain of what is certified: how far the reported one may be from it on average."""
ATTRIBUTED_SHARE = 0.70
"""Of the true gain, to be carried by the edits that attribution lists."""
IDLE_SHARE = 0.05
"""Of those, at most so many that do not matter."""
QUICK = {"levels": (1.0, 4.0), "runs": 4, "trials": 150, "attribution": 150}


def judged(results: Results, policy: str) -> list[dict[str, Any]]:
    """Each figure to reach at each noise: what was reached, with its interval, and whether that is enough."""
    found = []
    for level in results.study.levels:
        measured = results.row(policy, level).measured
        wanted = [
            ("of_greedy", "at least", TARGETS.get(level)),
            ("certified_of_true", "at least", CERTIFIED_SHARE),
            ("false_runs", "at most", results.study.alpha),
            ("reported_of_true", "within", REPORTED_WITHIN),
            ("attributed_of_true", "at least", ATTRIBUTED_SHARE),
            ("attributed_idle", "at most", IDLE_SHARE),
        ]
        found += [
            {
                "level": level,
                "figure": name,
                "wanted": f"{how} {bound:g}" + (" of 1" if how == "within" else ""),
                "reached": measured[name].model_dump(),
                "enough": _enough(measured[name], how, bound),
            }
            for name, how, bound in wanted
            if bound is not None and name in measured
        ]
    return found


def _enough(reached: Estimate, how: str, bound: float) -> bool | None:
    """None where there is nothing to judge by: nothing was certified, or greedy gained nothing."""
    if reached.value is None:
        return None
    match how:
        case "at least":
            return reached.value >= bound
        case "at most":
            return reached.value <= bound
        case _:
            return abs(reached.value - 1) <= bound


# --- in Docker ------------------------------------------------------------------------------------------------------


def on_digits(policies: list[str], trials: int, confirm: int, parallel: int, seed: int) -> list[dict[str, Any]]:
    """One run of each policy on real training code; nobody knows its truth, so it is measured on fresh seeds."""
    rows = []
    verifier = load_task("digits").spec.verifier
    for policy in policies:
        configuration = RunConfiguration(
            task="digits",
            proposer=Component(name="mutate"),
            policy=Component(name=policy),
            sandbox=Component(name="docker"),
            verifier=Component(name=verifier.name, options=verifier.options),
            budget=Budget(trials=trials),
            certify=True,
            shared_seeds=True,
            confirm=confirm,
            parallel=parallel,
            seed=seed,
        )
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            with start(configuration, _say, root=Path(folder)) as session:
                code = session.go()
                state = read(session.run.folder).state
            seconds = time.monotonic() - began
        claims = [m.closed.improvement for m in state.milestones if m.closed is not None and m.closed.improvement]
        confirmation = state.confirmation
        rows.append(
            {
                "policy": policy,
                "exit_code": code,
                "trials": sum(trial.started.role != "confirm" for trial in state.trials.values()),
                "experiments": state.proposals,
                "certified_gain": claims[-1].model_dump() if claims else None,
                "gain_on_fresh_seeds": confirmation.improvement.model_dump()
                if confirmation is not None and confirmation.improvement is not None
                else None,
                "seconds": round(seconds, 1),
            }
        )
        _say(f"{policy}: {seconds:.0f} s")
    return rows


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _progress(done: int, whole: int) -> None:
    if sys.stderr.isatty() or done == whole:
        print(f"\r{done} of {whole} runs", end="\n" if done == whole else "", file=sys.stderr, flush=True)


def main() -> None:
    """Print JSON; draw where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two noises, few and short runs: under 40 s")
    parser.add_argument("--policies", default="", help="by commas; by default all that are registered, and the oracle")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--attribution", type=int, default=600, help="trials more to find which edits matter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--real", action="store_true", help="also digits, in Docker")
    parser.add_argument("--real-trials", type=int, default=60)
    parser.add_argument("--real-confirm", type=int, default=8)
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    names = [name for name in options.policies.split(",") if name] or [*plugins.names("policies"), ORACLE]
    asked: dict[str, Any] = (
        QUICK
        if options.quick
        else {
            "runs": options.runs,
            "trials": options.trials,
            "attribution": options.attribution,
        }
    )
    study = Study(policies=tuple(Component(name=name) for name in names), seed=options.seed, **asked)
    results = compare(study, options.workers, _progress)
    told: dict[str, Any] = {"schema": 1, "results": results.model_dump(mode="json")}
    told["judged"] = {name: judged(results, name) for name in names if name != ORACLE}
    if options.real:
        real = [name for name in names if name != ORACLE]
        told["digits"] = on_digits(real, options.real_trials, options.real_confirm, options.parallel, options.seed)
    if options.picture is not None:
        draw(results, options.picture)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
