# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""The connection test of an Asterisk's tables."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .asterisk_columns import Layout
from .asterisk_reader import SMALL_TABLE, TableReader
from .base import (
    Finding,
    ReadTimeout,
    Record,
    Rejected,
    SourceError,
    UndecodableText,
    _lt,
)
from .sql_dialect import Table

if TYPE_CHECKING:
    from .asterisk_sql import AsteriskSource

#: Clocks that differ by more than this are worth a word.
SKEW = timedelta(seconds=60)


def check(source: AsteriskSource) -> list[Finding]:
    """Everything an administrator should know before he relies on the source."""
    findings: list[Finding] = []
    try:
        before = source.now()
        server = source.server_now()
        after = source.now()
        findings += source.dialect.describe(source.connection)
        middle = before + (after - before) / 2
        if abs(server - middle) > SKEW:
            findings.append(
                Finding(
                    "warning",
                    "clock",
                    _lt(
                        "The clock of the phone system's database is "
                        "%(seconds)s s off this server's."
                    ),
                    {"seconds": round((server - middle).total_seconds())},
                )
            )
        for kind, (table, layout) in source.tables().items():
            findings += _check_table(source, kind, table, layout)
    except SourceError as error:
        findings.append(Finding("error", "failed", error.template, dict(error.values)))
    except UndecodableText:
        findings.append(
            Finding(
                "error",
                "failed",
                _lt("Names of tables or columns are not valid in the encoding."),
            )
        )
    return findings + source.findings()


def _check_table(source, kind: str, table: Table, layout: Layout) -> list[Finding]:
    values = {
        "table": table.label,
        "columns": ", ".join(
            column.name for column in (layout.time, *dict(layout.columns).values())
        ),
        "rows": "?" if table.rows is None else table.rows,
    }
    found = [
        Finding(
            "ok",
            "table",
            _lt("%(table)s: about %(rows)s rows; columns %(columns)s."),
            values,
        )
    ]
    if (table.rows or 0) > SMALL_TABLE:
        found += _check_indexes(source, table, layout)
    if table.writable:
        found.append(
            Finding(
                "warning",
                "writable",
                _lt(
                    "This user may change table %(table)s; use one that has no "
                    "right but SELECT."
                ),
                {"table": table.label},
            )
        )
    found.append(_check_newest(source, kind, table))
    return found


def _check_indexes(source, table: Table, layout: Layout) -> list[Finding]:
    needed = [
        (
            layout.time,
            _lt(
                "Table %(table)s has no index on %(column)s, so every pull reads all "
                "of it. Make one: %(statement)s"
            ),
        )
    ]
    if layout.id:
        needed.append(
            (
                layout.id,
                _lt(
                    "Table %(table)s has no index on %(column)s, so rows written late "
                    "are only found within the overlap. Make one: %(statement)s"
                ),
            )
        )
    return [
        Finding(
            "warning",
            "index",
            template,
            {
                "table": table.label,
                "column": column.name,
                "statement": source.dialect.create_index(table, column),
            },
        )
        for column, template in needed
        if not table.has_index(column.name)
    ]


def _check_newest(source, kind: str, table: Table) -> Finding:
    reader = TableReader(source, kind, None, None, 200)
    try:
        rows = reader.newest_rows()
    except ReadTimeout:
        return Finding(
            "warning",
            "slow",
            _lt("Table %(table)s takes too long to read; it needs an index."),
            {"table": table.label},
        )
    times = [row.occurred_at for row in rows if isinstance(row, Record)]
    rejected = [row for row in rows if isinstance(row, Rejected)]
    if rejected and not times:
        return Finding(
            "error",
            "unreadable",
            _lt("Rows of table %(table)s cannot be read: %(error)s"),
            {"table": table.label, "error": rejected[0].error},
        )
    if not times:
        return Finding(
            "warning",
            "empty",
            _lt("Table %(table)s has no rows yet."),
            {"table": table.label},
        )
    return Finding(
        "ok",
        "newest",
        _lt("The newest row of table %(table)s is of %(time)s UTC."),
        {"table": table.label, "time": f"{max(times):%Y-%m-%d %H:%M:%S}"},
    )
