"""`--format inspect`: a log of inspect_ai whose samples are the experiments; `.eval` streams, `.json` is one piece.

Everything in the log is an object of inspect_ai's own classes, and its own writer writes the header and all of a
`.json`. It offers no way to write samples one at a time, so a `.eval`, which is a zip with a member a sample, is filled
here: a run of ten thousand experiments would not fit into memory otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

from rsi.errors import UsageError
from rsi.review.export.extras import require as require_extra
from rsi.review.export.gather import Gathering
from rsi.review.export.outcome import Outcome
from rsi.review.target import new_file

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalSampleSummary

SUFFIXES = (".eval", ".json")


def require(target: Path) -> None:
    """EnvironmentFault where inspect_ai is missing, UsageError for a file that it would not know as a log."""
    if target.suffix not in SUFFIXES:
        raise UsageError(
            f"inspect_ai knows its logs by their ending: name {target}.eval, or a file that ends in .json."
        )
    require_extra("inspect", "inspect_ai")


def export(gathering: Gathering, target: Path, *, force: bool) -> Outcome:
    """Write the log; UsageError where the target exists, EnvironmentFault where it cannot be written."""
    from inspect_ai.log import write_eval_log  # noqa: PLC0415 - an extra

    from rsi.review.export.inspect_run import Run  # noqa: PLC0415

    with new_file(target, force=force) as path:
        run = Run(gathering)
        samples = (run.sample(line.experiment) for line in gathering.reading.lines)
        if target.suffix == ".json":
            told = list(samples)
            log = run.log()
            log.samples = told
            write_eval_log(log, path, "json")
        else:
            _write_archive(path, samples, run.log)
    return gathering.outcome("inspect", str(target), renamed=run.renamed)


def _write_archive(path: Path, samples: Iterator[EvalSample], log: Callable[[], EvalLog]) -> None:
    """Samples first, one at a time, then what can be said only after them."""
    from inspect_ai.log import condense_sample, write_eval_log  # noqa: PLC0415

    header = path.with_name(f"{path.stem}-header.eval")
    try:
        with ZipFile(path, "x", ZIP_DEFLATED, compresslevel=6) as archive, TemporaryFile(dir=path.parent) as summaries:
            for sample in samples:
                condensed = condense_sample(sample)
                archive.writestr(f"samples/{sample.id}_epoch_{sample.epoch}.json", _json(condensed))
                summaries.write(b"," if summaries.tell() else b"[")
                summaries.write(_json(condensed.summary()))
            write_eval_log(log(), header, "eval")
            with ZipFile(header) as written:
                for name in written.namelist():
                    if name != "summaries.json":
                        archive.writestr(name, written.read(name))
            summaries.write(b"]" if summaries.tell() else b"[]")
            summaries.seek(0)
            with archive.open("summaries.json", "w", force_zip64=True) as member:
                copyfileobj(summaries, member)
    finally:
        header.unlink(missing_ok=True)


def _json(model: EvalSample | EvalSampleSummary) -> bytes:
    return str(model.model_dump_json(exclude_none=True)).encode()
