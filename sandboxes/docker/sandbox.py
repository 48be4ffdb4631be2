"""The sandbox that isolates: every job in a single-use container, watched and measured through the Docker engine."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from rsi.errors import EngineLost, EnvironmentFault, UsageError
from rsi.execution import Job, Outcome, SandboxDescription, Shape, Watch
from sandboxes.bell import Belfry, Bell, Interrupted
from sandboxes.docker import fit, owner, policy
from sandboxes.docker.cell import Cell
from sandboxes.docker.collect import size_of
from sandboxes.docker.engine import Engine
from sandboxes.docker.pool import Pool
from sandboxes.docker.sweep import sweep
from sandboxes.invocation import check_job
from sandboxes.outcome import Attempt
from sandboxes.place import Gone

RECENT_USERS = 1024
"""Only the living must differ, and of so many cells the oldest is long dead; remembering more would grow for ever."""


class DockerSandbox:
    """Runs jobs in hardened containers; keeps up to `pool` of them warm. Thread-safe; close it.

    Args:
        image: its name or digest; by default RSI_IMAGE, or the one that this version of the code wants.
        pool: how many containers wait ahead of their jobs.
        runtime: of the engine's, instead of its default.
        gpus: `all`, a number, or `device=0,1`.
    """

    name = "docker"
    isolates = True

    def __init__(self, image: str | None = None, pool: int = 4, runtime: str = "", gpus: str = "") -> None:
        self._engine = Engine(image or _default_image(), fit.hardware(runtime, gpus))
        self._pool_size = pool
        self._pool: Pool | None = None
        self._lock = threading.Lock()
        self._users: deque[int] = deque()
        self._belfry = Belfry()

    def describe(self) -> SandboxDescription:
        """The engine, the image and the protections; EnvironmentFault where nothing can run, EngineLost for now."""
        self._engine.check()
        options = dict(policy.PROTECTIONS)
        if not self._engine.swap_is_limited:
            options["swap"] = "not limited: this engine's machine cannot"
        options["runtime"] = self._engine.hardware.runtime or f"{self._engine.information.get('DefaultRuntime', '')}"
        options["gpus"] = self._engine.hardware.gpus or "none"
        return SandboxDescription(
            name=self.name,
            isolates=True,
            image=self._engine.image,
            image_digest=self._engine.image_digest,
            engine=f"Docker Engine {self._engine.version}",
            options=options,
            machine_cpus=self._engine.information.get("NCPU") or 0,
            machine_memory_bytes=self._engine.information.get("MemTotal") or 0,
        )

    @staticmethod
    def image_with(python: Sequence[str], debian: Sequence[str], say: Callable[[str], None]) -> str:
        """The image with a task's own packages on top; see `rsi.protocols.MakesImages`."""
        from sandboxes.image.extras import ensure_extras  # noqa: PLC0415 - only for a task that asks

        return os.environ.get("RSI_IMAGE") or ensure_extras(python, debian, say)

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Make cells of these shapes in the background, as far as the pool goes."""
        with self._belfry.execution():
            self._open_pool().warm(shapes)

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """Run one job in a cell of its own; see `rsi.protocols.Sandbox.run`."""
        check_job(job)
        if size_of(job.inputs) > policy.INPUT_BYTES:
            raise UsageError(f"The inputs hold more than {policy.INPUT_BYTES} bytes; give the job less data.")
        with self._belfry.execution() as bell:
            return self._run(Attempt(job, self.name, bell, watch), self._open_pool())

    def interrupt(self) -> None:
        """End every execution under way, those included that wait for their cell."""
        self._belfry.ring()

    def sweep(self) -> int:
        """Remove the cells of processes that no longer live; returns how many containers and volumes went."""
        self._engine.connect()
        return sweep(self._engine.api)

    def close(self) -> None:
        """Interrupt what runs, wait for it, and remove every container and volume of ours."""
        self._belfry.close()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        if self._engine.version:
            # At the end too: no job may have run here, and an engine goes on making what a killed process asked for.
            with contextlib.suppress(EnvironmentFault):
                self.sweep()
        self._engine.close()

    def _open_pool(self) -> Pool:
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self._make_ahead, self._pool_size)
                self._pool.in_background(self.sweep)
            return self._pool

    def _make(self, shape: Shape, bell: Bell, labels: Mapping[str, str] | None = None) -> Cell:
        self._engine.connect()
        pool = self._pool
        return Cell.make(self._engine, self._plan(shape, labels or {}), bell, pool.destroy if pool else None)

    def _make_ahead(self, shape: Shape, bell: Bell, needed: threading.Event) -> Cell:
        self._engine.connect()
        pool = self._pool
        return Cell.make(self._engine, self._plan(shape, {}), bell, pool.destroy if pool else None, needed)

    def _plan(self, shape: Shape, labels: Mapping[str, str]) -> policy.CellPlan:
        identity = secrets.token_hex(6)
        own = {f"rsi.{key}": value for key, value in labels.items()}
        return policy.CellPlan(
            name=f"rsi-{identity}",
            image=self._engine.image_digest,
            user=self._draw_user(),
            shape=shape,
            hardware=self._engine.hardware,
            labels={**own, owner.OWNER_LABEL: owner.this_process(), owner.CELL_LABEL: identity},
        )

    def _draw_user(self) -> int:
        users = self._engine.users
        with self._lock:
            while len(self._users) >= min(RECENT_USERS, len(users) // 2):
                self._users.popleft()
            while (user := secrets.choice(users)) in self._users:
                pass
            self._users.append(user)
            return user

    def _run(self, attempt: Attempt, pool: Pool) -> Outcome:
        job = attempt.job
        try:
            self._engine.connect()
            cell = self._filled_cell(job, attempt.bell, pool)
        except (Interrupted, EngineLost) as error:
            return attempt.without_place(error, self._engine.image_digest)
        try:
            name = _telling_name(job, cell.plan)
            return attempt.run_in(
                cell, self._engine.image_digest, started=lambda: pool.in_background(lambda: cell.rename(name))
            )
        finally:
            pool.bury(cell)

    def _filled_cell(self, job: Job, bell: Bell, pool: Pool) -> Cell:
        """A cell with the inputs in it: a warm one where one still lives, else a new one."""
        while (cell := pool.take(job.shape, bell)) is not None:
            if self._fill(cell, job, pool, or_fail=False):
                return cell
        cell = self._make(job.shape, bell, job.labels)
        self._fill(cell, job, pool, or_fail=True)
        return cell

    @staticmethod
    def _fill(cell: Cell, job: Job, pool: Pool, *, or_fail: bool) -> bool:
        try:
            cell.fill(job.inputs)
        except (Gone, EngineLost) as error:
            # A warm cell may have died with an engine that was started again since: a new one will tell.
            pool.bury(cell)
            if or_fail:
                raise EngineLost(str(error)) from None
            return False
        except BaseException:
            pool.bury(cell)
            raise
        return True


def _telling_name(job: Job, plan: policy.CellPlan) -> str:
    parts = (job.labels.get("run", ""), job.labels.get("trial", ""), job.purpose)
    middle = "-".join(re.sub(r"[^A-Za-z0-9_.-]", "_", part)[:40] for part in parts if part)
    return f"rsi-{middle}-{plan.name.removeprefix('rsi-')}"


def _default_image() -> str:
    if named := os.environ.get("RSI_IMAGE"):
        return named
    from sandboxes.image import wanted_tag  # noqa: PLC0415 - hashes files; not needed where an image is named

    return wanted_tag()
