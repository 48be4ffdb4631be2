"""`--format mlflow`: the run in a tracking store, its kept experiments as runs nested in it.

A second export of the same run, known by the hash of its first event, brings what is there up to date: figures that
are new or have changed are added, tags are set again. One that was cut off is completed by the next.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from rsi.errors import EnvironmentFault, UsageError
from rsi.review.export.extras import require as require_extra
from rsi.review.export.gather import Gathering
from rsi.review.export.mlflow_run import Telling
from rsi.review.export.outcome import Outcome

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DATABASE = "mlflow.db"
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")


def require() -> None:
    """EnvironmentFault where the client or what it keeps a local store with is missing."""
    require_extra("mlflow", "mlflow", "sqlalchemy", "alembic")


def export(gathering: Gathering, target: str) -> Outcome:
    """Put the run into the store; UsageError for a target that is none, EnvironmentFault where it does not answer."""
    uri, artifacts = _store(target)
    _keep_quiet()
    with _faults(target), TemporaryDirectory(prefix="rsi-export-") as scratch:
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 - an extra

        client = MlflowClient(tracking_uri=uri)
        telling = Telling(gathering, client, Path(scratch))
        did = telling.tell(_experiment(client, f"rsi {gathering.reading.summary.task}", artifacts))
    return gathering.outcome("mlflow", without_password(target), renamed=telling.renamed, did=did)


def without_password(target: str) -> str:
    """The target as it may be shown."""
    parts = urlsplit(target)
    if "@" not in parts.netloc:
        return target
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


def _store(target: str) -> tuple[str, str | None]:
    """The tracking URI, and where artifacts of a new experiment go; None where the server says."""
    scheme = target.partition("://")[0].partition("+")[0] if "://" in target else ""
    if scheme and scheme not in SCHEMES:
        raise UsageError(f"MLflow keeps no runs at {scheme}://…; give a folder, sqlite:///FILE or http://SERVER.")
    if scheme == "sqlite":
        database = Path(target.partition(":///")[2]).absolute()
        if not database.parent.is_dir():
            raise UsageError(f"{database.parent} is no folder; make it, or name another file.")
        return f"sqlite:///{database}", (database.parent / f"{database.stem}-artifacts").as_uri()
    if scheme:
        return target, None
    if target.startswith("file:"):
        raise UsageError("MLflow's store of plain files is no longer kept up; give the folder's path, without file:.")
    folder = Path(target).absolute()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DATABASE).is_file():
        raise UsageError(f"{target} holds other things and no {DATABASE}; name an empty or a new folder.")
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{target} exists and is no folder; name a folder, sqlite:///FILE or http://SERVER.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target} cannot be made: {error.strerror}; name another folder.") from None
    return f"sqlite:///{folder / DATABASE}", (folder / "artifacts").as_uri()


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if known.lifecycle_stage == "deleted":
        raise UsageError(f"{name!r} was deleted in that store; restore it there, or name another store.")
    return str(known.experiment_id)


def _keep_quiet() -> None:
    """Before mlflow is imported: nothing is told to anyone but the store, and no progress but ours is printed."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # A server that does not answer is said after seconds, not after the minutes that seven attempts take.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for logger in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(logger).setLevel(logging.ERROR)


@contextmanager
def _faults(target: str) -> Iterator[None]:
    """What the store refuses, as a sentence; what was written before stays, and the next export completes it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        reason = "nothing answers there" if "Max retries exceeded" in reason else reason
        shown = without_password(target)
        raise EnvironmentFault(
            f"The store at {shown} does not take the run: {reason.replace(target, shown)}; mend it and export again."
        ) from error
