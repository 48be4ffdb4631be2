"""`--format parquet`: a folder with one file a table, typed, compressed, written a row group at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from rsi.review.export.extras import require as require_extra
from rsi.review.export.gather import Gathering
from rsi.review.export.outcome import Outcome
from rsi.review.export.records import EndLine, Exported, moment
from rsi.review.export.tables import TABLES, Column, Table, Type
from rsi.review.target import MANIFEST, new_folder

GROUP_ROWS = 5_000
GROUP_BYTES = 8 * 1024 * 1024
"""Of text and bytes: a row group is written once it holds that much, so that streams do not fill the memory."""


def require() -> None:
    """EnvironmentFault where pyarrow is missing."""
    require_extra("parquet", "pyarrow")


def export(gathering: Gathering, target: Path, *, force: bool) -> Outcome:
    """Write the tables; UsageError where the target exists, EnvironmentFault where it cannot be written."""
    with new_folder(target, force=force) as folder:
        with ExitStack() as stack:
            files = [stack.enter_context(_File(folder, table, gathering.contents.add)) for table in TABLES]
            by_line = {file.table.line: file for file in files}
            for record in gathering.lines():
                if not isinstance(record, EndLine):
                    by_line[type(record)].add(record)
        outcome = gathering.outcome("parquet", str(target))
        manifest = outcome.model_copy(update={"target": target.name})
        (folder / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
    return outcome


class _File:
    """One table being written."""

    def __init__(self, folder: Path, table: Table, problem: Callable[[str], object]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415

        self.table = table
        self._problem = problem
        self._pyarrow = pa
        fields = [pa.field(column.name, _type(pa, column.type)) for column in table.columns]
        self._schema = pa.schema(fields, metadata={"rsi.export.schema": "1", "rsi.export.table": table.name})
        self._writer = parquet.ParquetWriter(folder / f"{table.name}.parquet", self._schema, compression="zstd")
        self._rows: list[list[Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._flush()
        finally:
            self._writer.close()

    def add(self, record: Exported) -> None:
        """One row; what does not fit its column's type is left empty, and named."""
        row = [self._fitting(column, column.value(record)) for column in self.table.columns]
        self._rows.append(row)
        self._bytes += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _fitting(self, column: Column, value: Any) -> Any:
        # Numbers and times of a hostile record are of any size and form.
        if column.type == "int" and value is not None and not -(2**63) <= value < 2**63:
            self._problem(f"{self.table.name}: {column.name} holds a number beyond 64 bits, which is left out")
            return None
        if column.type == "time":
            time = moment(value or "")
            if value and time is None:
                self._problem(f"{self.table.name}: {column.name} holds something that is no time, which is left out")
            return time
        return value

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                self._pyarrow.array(values, type=field.type)
                for values, field in zip(columns, self._schema, strict=True)
            ]
            self._writer.write_table(self._pyarrow.Table.from_arrays(arrays, schema=self._schema))
            self._rows, self._bytes = [], 0


def _type(pyarrow: Any, type_: Type) -> Any:
    return {
        "text": pyarrow.large_string(),
        "json": pyarrow.large_string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "bytes": pyarrow.large_binary(),
    }[type_]
