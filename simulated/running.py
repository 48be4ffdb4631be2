"""A simulated run: the real loop, candidates and trials over stores in memory, composed here as `rsi.session` does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple, ParamSpec, TypeVar

from rsi.candidates import Candidates
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.events import RunResumed, RunStarted
from rsi.evidence import Secret
from rsi.loop import Loop
from rsi.memory import MemoryBlobs, MemoryLedger, MemoryRecorder, MemoryWorkspace
from rsi.protocols import Policy
from rsi.recorder import Listener
from rsi.redaction import Redactor
from rsi.state import RunState
from rsi.task import Task
from rsi.trial import TrialRunner
from simulated import code
from simulated.checking import Trusting
from simulated.oracle import Oracle
from simulated.proposer import SimulatedProposer
from simulated.sandbox import SimulatedSandbox
from simulated.surface import Surface, Value, value
from simulated.verifier import SimulatedVerifier

EPOCH = "2000-01-01T00:00:00.000000Z"
"""Nothing takes time here; so equal runs have equal records."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AtOnce(Executor):
    """Runs what is submitted before it returns."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """A future that is done."""
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Stores(NamedTuple):
    """A run's record, in memory."""

    ledger: MemoryLedger
    blobs: MemoryBlobs
    workspace: MemoryWorkspace

    @classmethod
    def empty(cls) -> Stores:
        """Before the first event."""
        return cls(MemoryLedger(Redactor.none(), clock=lambda: EPOCH), MemoryBlobs(), MemoryWorkspace())


class SimulatedRun(NamedTuple):
    """A run and the truth about it."""

    surface: Surface
    state: RunState
    stores: Stores

    def worth(self, experiment: int) -> Value:
        """What an experiment's code is truly worth over the baseline."""
        return _worth(self.surface, self.stores.workspace, self.state.commit_of(experiment))


class Plan(NamedTuple):
    """What to simulate."""

    surface: Surface
    policy: Policy
    budget: Budget
    seed: int = 0
    regions: int = 128
    removals: float = 0.0
    parallel: int = 1
    certify: bool = False
    alpha: float = 0.05
    certify_share: float = 0.15
    believed_noise: float | None = None
    """What `task.toml` says about the seed noise; None says the truth."""


def simulate(
    plan: Plan, listeners: Sequence[Listener] = (), executor: Executor | None = None, stores: Stores | None = None
) -> SimulatedRun:
    """A whole run, from its first event to its last; into `stores`, empty ones, where someone wants to keep them."""
    task, state = _task(plan), RunState()
    stores = stores or Stores.empty()
    recorder = MemoryRecorder(stores.ledger, stores.blobs, state)
    recorder.record(_started(plan, stores.blobs.put(task.model_dump_json(by_alias=True).encode())))
    recorder.listeners.extend(listeners)
    return _run(plan, recorder, stores, executor or AtOnce())


def go_on(
    plan: Plan, stores: Stores, listeners: Sequence[Listener] = (), executor: Executor | None = None
) -> SimulatedRun:
    """Resume what the stores hold of a run, as after a crash: the state is folded from the events again."""
    state = RunState()
    for event in stores.ledger.events:
        state.apply(event)
    recorder = MemoryRecorder(stores.ledger, stores.blobs, state)
    recorder.record(RunResumed(sandbox=SimulatedSandbox(plan.surface).describe(), versions={}))
    recorder.listeners.extend(listeners)
    return _run(plan, recorder, stores, executor or AtOnce())


def _run(plan: Plan, recorder: MemoryRecorder, stores: Stores, executor: Executor) -> SimulatedRun:
    state, task = recorder.state, _task(plan)
    if isinstance(plan.policy, Oracle):
        plan.policy.worth = lambda commit: _worth(plan.surface, stores.workspace, commit).true
    trials = TrialRunner(
        recorder=recorder,
        task=task,
        verifier=SimulatedVerifier(),
        secret=Secret(key=state.run.randomness),
        data=None,
        budget=task.spec.train.budget,
        run=state.run.run,
    )
    loop = Loop(
        recorder=recorder,
        candidates=Candidates(recorder, stores.workspace, task, Trusting()),
        task=task,
        trials=trials,
        proposer=SimulatedProposer(plan.regions, plan.removals),
        policy=plan.policy,
        sandbox=SimulatedSandbox(plan.surface, len(state.trials)),
        executor=executor,
    )
    exit_code = loop.run()
    if exit_code != 0:
        assert state.paused is not None
        raise RuntimeError(f"the simulated run stopped: {state.paused.reason}")
    return SimulatedRun(plan.surface, state, stores)


def _worth(surface: Surface, workspace: MemoryWorkspace, commit: str) -> Value:
    return value(surface, workspace.commits[commit].code[code.FILE])


def _task(plan: Plan) -> Task:
    noise = plan.surface.noise if plan.believed_noise is None else plan.believed_noise
    return code.task(plan.regions, max(noise, 1e-9))


def _started(plan: Plan, task_blob: str) -> RunStarted:
    task = _task(plan)
    configuration = RunConfiguration(
        task="simulated",
        proposer=Component(name="simulated"),
        policy=Component(name=plan.policy.name),
        sandbox=Component(name="simulated"),
        verifier=Component(name="simulated"),
        budget=plan.budget,
        parallel=plan.parallel,
        certify=plan.certify,
        alpha=plan.alpha,
        certify_share=plan.certify_share,
        shared_seeds=True,
        seed=plan.seed,
    )
    return RunStarted(
        run=f"simulated-{plan.seed}",
        configuration=configuration,
        objective=task.objective,
        grounded=False,
        sandbox=SimulatedSandbox(plan.surface).describe(),
        task=task_blob,
        task_digest=task.digest(),
        randomness=hashlib.sha256(f"simulated {plan.seed}".encode()).hexdigest(),
        versions={},
    )
