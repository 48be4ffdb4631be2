"""A sandbox that runs nothing: it reads the code it is given and prints what the surface says it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsi.execution import Execution, ExitKind, Fault, Job, Outcome, SandboxDescription, Shape, Usage, Watch
from simulated.code import FILE
from simulated.surface import Surface, score, value


class SimulatedSandbox:
    """Training is reading; the machine's drift goes by the number of trials that this object ran.

    Args:
        surface: The truth.
        trials_before: Where the drift stands: the trials of an earlier session.
    """

    name = "simulated"
    isolates = True

    def __init__(self, surface: Surface, trials_before: int = 0) -> None:
        self.surface = surface
        self.trials = trials_before
        self._usage = Usage(wall_seconds=1.0, cpu_seconds=1.0)

    def describe(self) -> SandboxDescription:
        """Nothing runs here, so nothing gets out."""
        return SandboxDescription(name=self.name, isolates=True, options={"execution": "none: code is read"})

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Nothing to make ready."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:  # noqa: ARG002 - over before one could watch
        """Completed with a line a split on standard output, or crashed where the code holds a line that crashes."""
        content = job.inputs[f"code/{FILE}"]
        code = (content.read_bytes() if isinstance(content, Path) else content).decode()
        crashes = value(self.surface, code).crashes
        dev, holdout = score(self.surface, code, int(job.environment["RSI_SEED"]), self.trials)
        self.trials += 1
        execution = Execution(
            sandbox=self.name,
            purpose=job.purpose,
            argv=job.argv,
            environment_names=tuple(job.environment),
            limits=job.shape.limits,
            started="2000-01-01T00:00:00Z",
            kind=ExitKind.CRASHED if crashes else ExitKind.COMPLETED,
            exit_code=int(crashes),
            usage=self._usage,
            fault=Fault(error="RuntimeError", file=f"code/{FILE}", line=1) if crashes else None,
        )
        return Outcome(execution=execution, stdout=b"" if crashes else f"dev {dev!r}\nholdout {holdout!r}\n".encode())

    def interrupt(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Nothing is held."""
