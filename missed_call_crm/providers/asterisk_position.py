# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""How far a reading of Asterisk's tables has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .base import BadSettings, SchemaProblem, _lt

_VERSION = 1


class Position:
    """How far the batches given so far have come; makes the cursors.

    :param tables: kind → label of the tables that are there.
    :param wanted: kinds that are to be read; one that was read before, is still
        wanted and not there is an error, one no longer wanted is forgotten.
    """

    def __init__(self, cursor, since, until, cap, tables, wanted):
        cursor = cursor or {}
        if cursor and cursor.get("version") != _VERSION:
            raise BadSettings(
                _lt("The stored position is not one of this provider; start anew.")
            )
        self._known_tables = cursor.get("tables") or {}
        gone = [k for k in self._known_tables if k in wanted and k not in tables]
        if gone:
            # Going on would move the position past rows that are not there to see.
            raise SchemaProblem(
                _lt("Table %(tables)s was read before and is not there any more."),
                tables=", ".join(self._known_tables[kind] for kind in gone),
            )
        self._tables = tables
        self._until = until
        self._cap = cap
        self._since = _time(cursor.get("since"))
        # A window that begins after the position would leave a hole behind it.
        self._moves = self._since is None or since is None or since <= self._since
        first = not cursor
        earlier = _time(cursor.get("from"))
        if first or since is None:
            self.horizon = since
        else:
            self.horizon = None if earlier is None else min(earlier, since)
        self.ids = {
            kind: dict(value)
            for kind, value in (cursor.get("ids") or {}).items()
            if self._known_tables.get(kind) == tables.get(kind)
        }

    def changed_tables(self):
        """Kinds that a later run reads from another or a new table."""
        if self._since is not None:
            for kind, label in self._tables.items():
                known = self._known_tables.get(kind)
                if known != label:
                    yield kind, known

    def moved(self, border: datetime) -> dict[str, Any]:
        """The cursor once everything before ``border`` has been given."""
        if self._moves:
            border = min(border, self._cap)
            if self._since is None or border > self._since:
                self._since = border
        return self.cursor()

    def final(self) -> datetime:
        """Everything of the window has been given."""
        end = self._cap if self._until is None else min(self._until, self._cap)
        self.moved(end)
        return end

    def cursor(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "since": None if self._since is None else self._since.isoformat(),
            "from": None if self.horizon is None else self.horizon.isoformat(),
            "tables": dict(self._tables),
            "ids": {kind: dict(value) for kind, value in self.ids.items()},
        }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
