# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Reads Asterisk's cdr, queue_log and cel tables from a database, losing no row.

Three things keep rows from being lost:

* a table is read in the order of its own time column, page by page; a page gives up
  its last instant, which the next page reads again, so rows of one second never fall
  between two pages (:class:`TableReader`);
* rows that were written late, with a time long past, are found by their id where the
  table has one: all ids beyond the last one seen, and the last thousand again whenever
  one of those appeared late or went away;
* the cursor only says what batches already given have covered, and never reaches
  nearer to the present than :data:`SAFETY`.

Tables are read side by side and each batch is one slice of time across all of them,
so that most calls come whole.  Every statement is short and stands alone: no snapshot
is held open in somebody's production database.

What differs between databases is in :class:`Dialect`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..telephony.clock import PbxClock, ZoneFinding, zone_warning
from . import asterisk_columns as columns
from .asterisk_check import check
from .asterisk_columns import CDR, CEL, KINDS, QUEUE_LOG, Layout
from .asterisk_position import Position
from .asterisk_reader import IdScan, TableReader
from .base import (
    BadSettings,
    Batch,
    Finding,
    Record,
    Rejected,
    SchemaProblem,
    Source,
    _lt,
)
from .sql_dialect import Connection, Dialect, Table

#: The cursor stays this far from the present: rows may be on their way.
SAFETY = timedelta(seconds=60)
#: Rows whose time is compared with their channel's id, for the check of the zone.
_SAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class AsteriskSettings:
    """What is read and how; where from is the connection's matter.

    :ivar zone: IANA name of the zone the phone system writes its times in.
    :ivar cdr_table, queue_log_table, cel_table: ``table`` or ``schema.table``, also
        a view; empty: not read.  Of several, those that do not exist are left out
        with a warning if they have the default name, else they are an error.
    :ivar page_size: rows per statement.
    :ivar id_overlap: how many of the last ids are looked at again, because a row
        may be committed after one with a higher id.
    """

    zone: str
    cdr_table: str = "cdr"
    queue_log_table: str = "queue_log"
    cel_table: str = "cel"
    page_size: int = 2_000
    id_overlap: int = 1_000

    def table(self, kind: str) -> str:
        return {
            CDR: self.cdr_table,
            QUEUE_LOG: self.queue_log_table,
            CEL: self.cel_table,
        }[kind].strip()


class AsteriskSource(Source):
    """One reading of an Asterisk's tables.

    The cursor is ``{"version": 1, "since": iso, "from": iso or None, "tables":
    {kind: label}, "ids": {kind: {"last", "count", "sum"}}}``, all times naive UTC:
    everything before ``since`` has been read, nothing before ``from`` is wanted.
    """

    def __init__(
        self,
        settings: AsteriskSettings,
        connection: Connection,
        dialect: Dialect,
        now: Callable[[], datetime] | None = None,
    ):
        if settings.page_size < 1:
            raise BadSettings(_lt("The page size must be at least 1."))
        try:
            self.clock = PbxClock(settings.zone)
        except ValueError:
            raise BadSettings(
                _lt("There is no time zone called %(zone)s."), zone=settings.zone
            ) from None
        self.settings = settings
        self.connection = connection
        self.dialect = dialect
        self.now = now or (lambda: datetime.now(timezone.utc).replace(tzinfo=None))
        self.times = columns.PbxTimes(self.clock)
        self._tables: dict[str, tuple[Table, Layout]] | None = None
        self._findings: dict[tuple, Finding] = {}
        self._samples: deque[tuple[datetime, float]] = deque(maxlen=_SAMPLES)

    # ------------------------------------------------------------------- tables

    def tables(self) -> dict[str, tuple[Table, Layout]]:
        """The tables that are read, by kind; looked up once.

        :raises SourceError: none is there, or one cannot be used.
        """
        if self._tables is not None:
            return self._tables
        wanted = {kind: self.settings.table(kind) for kind in KINDS}
        wanted = {kind: name for kind, name in wanted.items() if name}
        if not wanted:
            raise BadSettings(_lt("No table is named that could be read."))
        found: dict[str, tuple[Table, Layout]] = {}
        missing = {}
        for kind, name in wanted.items():
            table = self.dialect.find_table(self.connection, name)
            if table is None:
                missing[kind] = name
            else:
                found[kind] = table, self._layout(kind, table)
        # A table somebody named on purpose must be there; the usual names are
        # only tried.
        amiss = {k: n for k, n in missing.items() if n.split(".")[-1] != k}
        if amiss or not found:
            raise SchemaProblem(
                _lt("There is no table %(tables)s, or this user may not see it."),
                tables=", ".join((amiss or missing).values()),
            )
        for name in missing.values():
            self._note(
                "warning",
                "table_missing",
                _lt("There is no table %(table)s; it is not read."),
                table=name,
            )
        self._tables = found
        return found

    def _layout(self, kind: str, table: Table) -> Layout:
        def is_empty(name: str) -> bool:
            return not self.connection.rows(
                f"SELECT 1 FROM {table.reference} t"
                f" WHERE t.{self.dialect.quote(name)} IS NOT NULL LIMIT 1"
            )

        return columns.match(
            kind,
            table.label,
            table.columns,
            id_name=table.id_name,
            indexed=table.indexed or (),
            empty=is_empty,
        )

    def capabilities(self) -> frozenset[str]:
        """What these tables can tell.

        The kinds of the tables themselves, and ``positions`` (places in the queue),
        ``hangup_by`` (who hung up), ``queue_wait`` (waits also after the phone system
        has answered), ``outbound`` (calls of the company), ``rang`` (which phones
        rang), ``did`` (the number called), ``unlogged`` (calls that never were
        answered and rang nobody), ``causes`` (why a channel ended).
        """
        tables = self.tables()
        found = set(tables)
        if QUEUE_LOG in tables:
            found |= {"positions", "hangup_by", "queue_wait"}
        if CDR in tables:
            found |= {"outbound", "rang"}
            if any(name == "did" for name, _column in tables[CDR][1].columns):
                found.add("did")
        if CEL in tables:
            found |= {"outbound", "rang", "did", "unlogged", "queue_wait"}
            if any(name == "extra" for name, _column in tables[CEL][1].columns):
                found |= {"hangup_by", "causes"}
        return frozenset(found)

    def server_now(self) -> datetime:
        return self.dialect.server_now(self.connection)

    def close(self) -> None:
        self.connection.close()

    # ----------------------------------------------------------------- findings

    def _note(self, level: str, code: str, template: str, **values: Any) -> None:
        finding = Finding(level, code, template, values)
        self._findings[code, values.get("table")] = finding

    def findings(self) -> list[Finding]:
        zone = self.zone_finding()
        return [*self._findings.values(), *([zone] if zone else [])]

    def zone_warning(self) -> ZoneFinding | None:
        """How the records contradict the zone in the settings, None: they do not."""
        return zone_warning(self._samples, self.settings.zone)

    def zone_finding(self) -> Finding | None:
        """The same as a line for people."""
        found = self.zone_warning()
        if found is None:
            return None
        values = {
            "zone": found.zone_name,
            "expected": _hours(found.expected),
            "found": _hours(found.found),
            "zones": ", ".join(found.zones),
        }
        if found.zones:
            text = _lt(
                "The times do not fit the time zone %(zone)s: they are %(found)s from "
                "UTC instead of %(expected)s. These would fit: %(zones)s."
            )
        else:
            text = _lt(
                "The times do not fit the time zone %(zone)s: they are %(found)s from "
                "UTC instead of %(expected)s."
            )
        return Finding("warning", "zone", text, values)

    # --------------------------------------------------------------------- read

    def batches(
        self,
        cursor: Mapping[str, Any] | None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Batch]:
        """See :meth:`Source.batches`; ``limit`` replaces the settings' page size.

        The position only moves on when the window begins at or before it, so a
        back-fill of an older period leaves it where it is.  Rows dated in the future
        are read in every window that has no end.  Late rows are looked for by id
        when the window has no end.
        """
        if since is not None and until is not None and since >= until:
            yield Batch([], [], dict(cursor or {}), done=True)
            return
        position = Position(
            cursor,
            since,
            until,
            min(self.now(), self.server_now()) - SAFETY,
            {kind: table.label for kind, (table, _) in self.tables().items()},
            {kind for kind in KINDS if self.settings.table(kind)},
        )
        for kind, known in position.changed_tables():
            self._note(
                "info" if known is None else "warning",
                "table_new",
                _lt(
                    "Table %(table)s is read from now on; what it holds of earlier "
                    "times takes a back-fill."
                ),
                table=self.tables()[kind][0].label,
            )
        readers = [
            TableReader(self, kind, since, until, limit or self.settings.page_size)
            for kind in self.tables()
        ]
        scans = self._id_scans(readers, position) if until is None else []
        yield from self._slices(readers, position)
        yield from self._rest(readers, scans, position)

    def _slices(self, readers, position: Position) -> Iterator[Batch]:
        """Batches of the window, as long as a table may have more to read."""
        for reader in readers:
            reader.fill()
        while open_readers := [r for r in readers if not r.exhausted]:
            # None: rows without a usable time are all that has come so far.
            border = min((r.newest or datetime.min) for r in open_readers)
            rows = [row for reader in readers for row in reader.take(border)]
            if not rows:
                # All that is there is of one instant: no slice can be cut off
                # before it, so it is given as far as it has been read.
                rows = [row for r in readers for row in r.take(border, at=True)]
            if border == datetime.min:
                yield _batch(rows, position.cursor(), None)
            else:
                yield _batch(rows, position.moved(border), border)
            for reader in open_readers:
                if (reader.newest or border) <= border:
                    reader.fill()

    def _rest(self, readers, scans, position: Position) -> Iterator[Batch]:
        """The last batches: what is left, late rows, rows without a time."""
        rows = [row for reader in readers for row in reader.take(None)]
        end = position.final()
        for reader in readers:
            rows += reader.timeless()
        for scan in scans:
            for page in scan.pages():
                if len(rows) + len(page) > 2 * scan.reader.page_size:
                    yield _batch(rows, position.cursor(), end)
                    rows = []
                rows += page
                position.ids[scan.reader.kind] = scan.reached()
            position.ids[scan.reader.kind] = scan.target
        yield _batch(rows, position.cursor(), end, done=True)

    def _id_scans(self, readers, position: Position) -> list[IdScan]:
        """Where rows by id begin and end in this run.

        Looked up before anything else is read: a row that comes while the window is
        being read has a higher id and is found by the next run.
        """
        scans = []
        for reader in readers:
            if not reader.has_ids:
                continue
            known = position.ids.get(reader.kind)
            scan = IdScan(reader, known, position.horizon, self.settings.id_overlap)
            if known is None:
                position.ids[reader.kind] = scan.target
                continue
            if scan.was_reset:
                self._note(
                    "warning",
                    "ids_reset",
                    _lt(
                        "The ids of table %(table)s have gone back from %(last)s to "
                        "%(now)s: it was emptied or loaded anew. It is read anew."
                    ),
                    table=reader.table.label,
                    last=known["last"],
                    now=scan.highest,
                )
            scans.append(scan)
        return scans

    def note_future(self, table: Table) -> None:
        self._note(
            "warning",
            "future",
            _lt("Table %(table)s holds rows of times that are yet to come."),
            table=table.label,
        )

    def sample(self, pairs: Sequence[tuple[datetime, float]]) -> None:
        """Keep pairs of local time and epoch for the check of the zone."""
        self._samples.extend(pairs)

    def test(self) -> list[Finding]:
        return check(self)


def _batch(rows, cursor, upto, done=False) -> Batch:
    """Rows as a batch in which every key stands once.

    Rows that only differ in what is no identity are one record.  Which of them it
    is must not depend on the order they came in, or every pull would see a change.
    """
    records: dict[str, Record] = {}
    rejected: dict[str, Rejected] = {}
    for row in rows:
        if isinstance(row, Rejected):
            rejected[row.key] = row
            continue
        other = records.setdefault(row.key, row)
        if other is not row and other.content_hash < row.content_hash:
            records[row.key] = row
    return Batch(list(records.values()), list(rejected.values()), cursor, upto, done)


def _hours(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60}:{abs(minutes) % 60:02}"
