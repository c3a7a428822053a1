# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Reads one table, page by page and by id, so that no row falls between two pages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..telephony.clock import epoch_of, parse_timestamp
from . import asterisk_columns as columns
from .asterisk_columns import QUEUE_LOG
from .base import Record, Rejected, SchemaProblem, UndecodableText, _lt

if TYPE_CHECKING:
    from .asterisk_sql import AsteriskSource

#: A row dated this far ahead of our own clock is worth a word.
FUTURE = timedelta(minutes=5)
#: Tables below this many rows need no index to be read quickly.
SMALL_TABLE = 50_000


class TableReader:
    """Reads one table's part of a window in the order of its time column.

    Every row comes out as a Record or a Rejected.
    """

    def __init__(self, source: AsteriskSource, kind: str, since, until, page_size):
        self.kind = kind
        self.page_size = page_size
        self.table, self.layout = source.tables()[kind]
        self.exhausted = False
        #: Time up to which the rows read so far reach, naive UTC; None: no time yet.
        self.newest: datetime | None = None
        self._source = source
        self._connection = source.connection
        self._make = columns.record_maker(self.layout, source.times)
        self._ready: list[Record | Rejected] = []
        #: For each of them the latest time read so far: never falls.
        self._reach: list[datetime] = []
        self._whole = since is None
        self._last = None
        self._instant: str | None = None

        dialect = source.dialect
        self._time = f"t.{dialect.quote(self.layout.time.name)}"
        identity = self.layout.id
        self._id = f"t.{dialect.quote(identity.name)}" if identity else None
        self._digest = dialect.row_digest(self.table)
        values = [dialect.text(self.layout.time)]
        values.append(dialect.text(identity) if identity else "NULL")
        values += [dialect.text(column) for _name, column in self.layout.columns]
        self._columns = ", ".join(values)
        self._from = f" FROM {self.table.reference} t"
        #: Conditions of the window and their parameters.
        self.low, self.high = self._bounds(since, until)
        self._position: str | None = self.low
        self._inclusive = True

    # ------------------------------------------------------------------- window

    @property
    def has_ids(self) -> bool:
        """Late rows can be found by id at a bearable price."""
        identity = self.layout.id
        if identity is None:
            return False
        small = (self.table.rows or 0) <= SMALL_TABLE
        return small or self.table.has_index(identity.name)

    def _bounds(self, since, until) -> tuple[str | None, str | None]:
        """The window in the table's own terms, as texts its column understands."""
        if since is None and until is None:
            return None, None
        form = self.layout.time.type
        unit, style = 1, " "
        if form in ("text", "integer", "number"):
            form, unit, style = self._written_form()
        if form == "epoch":
            return _epoch_text(since, unit), _epoch_text(until, unit)
        if form == "timestamptz":
            return _iso(since, "+00"), _iso(until, "+00")
        low, high = self._source.clock.local_bounds(since or until, until or since)
        return (
            None if since is None else _iso(low, separator=style),
            # One second more: bounds are whole seconds and inclusive.
            None
            if until is None
            else _iso(high + timedelta(seconds=1), separator=style),
        )

    def _written_form(self) -> tuple[str, int, str]:
        """How a column of texts or numbers writes a time: form, unit, separator."""
        query = (
            f"SELECT {self._source.dialect.text(self.layout.time)}{self._from}"
            f" WHERE {self._time} IS NOT NULL"
        )
        # What sorts last is what is newest, or else rubbish: then look elsewhere.
        rows = self._fetch(f"{query} ORDER BY {self._time} DESC LIMIT 5", [])
        rows += self._fetch(f"{query} LIMIT 500", [])
        for (text,) in rows:
            if isinstance(text, bytes):
                continue
            with suppress(ValueError):
                number = float(text)
                unit = columns.epoch_unit(number)
                parse_timestamp(number / unit)
                return "epoch", unit, " "
            with suppress(ValueError):
                parse_timestamp(text)
                return "timestamp", 1, text[10:11]
        if self.layout.time.type != "text":
            return "epoch", 1, " "
        examples = [text for (text,) in rows if text.strip()]
        if examples:
            raise SchemaProblem(
                _lt(
                    "Column %(column)s of table %(table)s holds %(example)s, which "
                    "cannot be read as a time."
                ),
                column=self.layout.time.name,
                table=self.table.label,
                example=str(examples[0])[:60],
            )
        return "timestamp", 1, " "

    def fill(self) -> None:
        """Read one page more."""
        if self.exhausted:
            return
        if self._instant is not None:
            self._fill_instant()
        else:
            self._fill_page()

    def _where(self) -> tuple[str, list]:
        conditions, params = [f"{self._time} IS NOT NULL"], []
        if self._position is not None:
            conditions.append(f"{self._time} {'>=' if self._inclusive else '>'} %s")
            params.append(self._position)
        if self.high is not None:
            conditions.append(f"{self._time} < %s")
            params.append(self.high)
        return " AND ".join(conditions), params

    def _fill_page(self, limit: int | None = None) -> None:
        limit = limit or self.page_size + 1
        where, params = self._where()
        rows = self._fetch(
            f"SELECT {self._columns}{self._from} WHERE {where}"
            f" ORDER BY {self._time} LIMIT {int(limit)}",
            params,
        )
        if len(rows) < limit:
            self.exhausted = True
            self._accept(rows)
            return
        last = next((t for row in reversed(rows) if (t := _time_text(row))), None)
        if last is None:
            # Not one time of the page can be named to go on from.
            self._fill_page(limit * 4)
            return
        # The last instant may go on behind the page's end: the next page reads it
        # again, all of it.
        first = next(i for i, row in enumerate(rows) if _time_text(row) == last)
        if first:
            self._accept(rows[:first])
            self._position, self._inclusive = last, True
        else:
            # The page is one instant: go through that by itself.
            self._position, self._inclusive = last, False
            self._instant = ""
            self._fill_instant()

    def _fill_instant(self) -> None:
        """A page of rows that share one time, ordered by what they hold."""
        limit = max(self.page_size, 500)
        rows = self._fetch(
            f"SELECT {self._digest}, {self._columns}{self._from}"
            f" WHERE {self._time} = %s AND {self._digest} > %s"
            f" ORDER BY 1 LIMIT {limit}",
            [self._position, self._instant],
        )
        self._accept([row[1:] for row in rows])
        if len(rows) == limit:
            digest = rows[-1][0]
            self._instant = digest if isinstance(digest, str) else digest.decode()
        else:
            self._instant = None

    def take(
        self, border: datetime | None, at: bool = False
    ) -> list[Record | Rejected]:
        """Rows read and not given yet, before ``border`` (``at``: or at it)."""
        if border is None:
            count = len(self._ready)
        else:
            count = (bisect_right if at else bisect_left)(self._reach, border)
        rows = self._ready[:count]
        del self._ready[:count], self._reach[:count]
        return rows

    # --------------------------------------------------------------- other rows

    def timeless(self) -> list[Record | Rejected]:
        """Rows without any time; nothing else would ever find them.

        Where the table has ids and only part of it is read, the ids find them.
        """
        if self.has_ids and not self._whole:
            return []
        if not self.table.has_index(self.layout.time.name) and not (
            self._whole or (self.table.rows or 0) <= SMALL_TABLE
        ):
            return []
        return self._rows(
            self._fetch(
                f"SELECT {self._columns}{self._from} WHERE {self._time} IS NULL"
                f" LIMIT {self.page_size}",
                [],
            )
        )

    def newest_rows(self) -> list[Record | Rejected]:
        """The rows that come last in the table's order."""
        return self._rows(
            self._fetch(
                f"SELECT {self._columns}{self._from} WHERE {self._time} IS NOT NULL"
                f" ORDER BY {self._time} DESC LIMIT {self.page_size}",
                [],
            )
        )

    def id_state(self, above: int, upto: int | None) -> tuple[int, str, int | None]:
        """Number, sum and highest of the ids above one (and up to another)."""
        where, params = f"{self._id} > %s", [above]
        if upto is not None:
            where += f" AND {self._id} <= %s"
            params.append(upto)
        ((count, total, highest),) = self._connection.rows(
            f"SELECT count(*), sum({self._id}), max({self._id}){self._from}"
            f" WHERE {where}",
            params,
        )
        return int(count), str(int(total or 0)), None if count == 0 else int(highest)

    def highest_id(self) -> int | None:
        ((highest,),) = self._connection.rows(f"SELECT max({self._id}){self._from}")
        return None if highest is None else int(highest)

    def late_page(self, above: int, upto: int, horizon) -> tuple[list, int | None]:
        """Rows by id that the window does not hold, and the last id among them."""
        where = [f"{self._id} > %s", f"{self._id} <= %s"]
        params: list = [above, upto]
        outside = [f"{self._time} IS NULL"]
        if self.low is not None:
            earliest, _ = self._bounds(horizon, None)
            if earliest is None:
                outside.append(f"{self._time} < %s")
                params.append(self.low)
            else:
                outside.append(f"({self._time} >= %s AND {self._time} < %s)")
                params += [earliest, self.low]
        where.append(f"({' OR '.join(outside)})")
        rows = self._fetch(
            f"SELECT {self._columns}{self._from} WHERE {' AND '.join(where)}"
            f" ORDER BY {self._id} LIMIT {self.page_size}",
            params,
        )
        last = int(rows[-1][1]) if len(rows) == self.page_size else None
        return self._rows(rows), last

    # --------------------------------------------------------------------- rows

    def _fetch(self, query: str, params: list) -> list:
        """Rows of texts; a row that is not valid text comes as bytes."""
        with suppress(UndecodableText):
            return self._connection.rows(query, params)
        codec = self._connection.stored_codec
        rows = []
        for raw in self._connection.raw_rows(query, params):
            try:
                rows.append(tuple(v if v is None else v.decode(codec) for v in raw))
            except UnicodeDecodeError:
                rows.append(raw)
        return rows

    def _rows(self, rows: list) -> list[Record | Rejected]:
        """Rows as they come, made into records."""
        make, result = self._make, []
        append = result.append
        for row in rows:
            try:
                append(make(row))
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                append(self._rejected(row, error))
        self._sample(rows)
        return result

    def _rejected(self, row, error: Exception) -> Rejected:
        if any(isinstance(value, bytes) for value in row):
            reason = _lt("a text is not valid in encoding %s")
            reason %= self._connection.stored_codec
        elif isinstance(error, ValueError) and not isinstance(error, UnicodeError):
            reason = str(error)
        else:
            reason = f"{type(error).__name__}: {error}"
        return columns.reject(self.layout, row, reason)

    def _accept(self, rows: list) -> None:
        """Make records of a page's rows, in the table's order."""
        newest, reach = self.newest or datetime.min, self._reach.append
        items = self._rows(rows)
        for item in items:
            # Of the hour that comes twice local times tell less than the order does:
            # never backwards.
            if isinstance(item, Record) and item.occurred_at > newest:
                newest = item.occurred_at
            reach(newest)
        self._ready += items
        self.newest = None if newest == datetime.min else newest
        if newest > self._source.now() + FUTURE:
            self._source.note_future(self.table)

    def _sample(self, rows: list) -> None:
        """Some rows' local times beside the second of their channel's id."""
        if self.layout.time.type != "timestamp" and self.layout.time.type != "text":
            return
        names = [name for name, _column in self.layout.columns]
        name = "callid" if self.kind == QUEUE_LOG else "uniqueid"
        place = names.index(name) + 2
        pairs = []
        for row in rows[:: max(1, len(rows) // 50)]:
            if not isinstance(row[0], str) or not isinstance(row[place], str):
                continue
            epoch = epoch_of(row[place])
            if epoch is None:
                continue
            try:
                local = parse_timestamp(row[0])
            except ValueError:
                continue
            if isinstance(local, datetime) and local.tzinfo is None:
                pairs.append((local, epoch))
        self._source.sample(pairs)


class IdScan:
    """The ids of one table that this run has to look at.

    :ivar target: what the cursor holds of this table once the run is over.
    """

    def __init__(self, reader: TableReader, known, horizon, overlap: int):
        self.reader = reader
        self._horizon = horizon
        self._overlap = overlap
        self.highest = reader.highest_id() or 0
        self.was_reset = False
        last = known["last"] if known else 0
        if known is None:
            self._above = self.highest
        elif self.highest == 0:
            # Emptied; its ids may go on or start anew, which the next row shows.
            self._above = self.highest = last
        elif self.highest < last:
            self.was_reset = True
            below = self.highest - overlap
            self._above = max(0, below) if self.highest >= last - overlap else 0
        else:
            count, total, _ = reader.id_state(last - overlap, last)
            same = (count, total) == (known["count"], known["sum"])
            self._above = last if same else max(0, last - overlap)
        self.target = self._state(self.highest)
        self._reached = self._above

    def _state(self, last: int) -> dict[str, Any]:
        count, total, _ = self.reader.id_state(last - self._overlap, last)
        return {"last": last, "count": count, "sum": total}

    def pages(self) -> Iterator[list[Record | Rejected]]:
        above: int | None = self._above
        while above is not None and above < self.highest:
            rows, above = self.reader.late_page(above, self.highest, self._horizon)
            self._reached = self.highest if above is None else above
            if rows:
                yield rows

    def reached(self) -> dict[str, Any]:
        """The same for the page given last."""
        if self._reached == self.highest:
            return self.target
        # Less than nothing can be counted: the next run looks at them all again.
        return {"last": self._reached, "count": -1, "sum": "0"}


def _time_text(row) -> str | None:
    """The time of a row as the next page can begin with it."""
    value = row[0]
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isascii() else None
    return value


def _iso(moment: datetime | None, suffix="", separator=" ") -> str | None:
    if moment is None:
        return None
    return moment.replace(microsecond=0).isoformat(separator) + suffix


def _epoch_text(utc: datetime | None, unit: int) -> str | None:
    if utc is None:
        return None
    return str(int((utc - datetime(1970, 1, 1)).total_seconds()) * unit)
