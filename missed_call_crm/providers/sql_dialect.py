# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What a reader of tables asks of a database, and how each database says it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from .asterisk_columns import Column
from .base import Finding


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database describes it.

    :ivar label: its name for people and for the cursor.
    :ivar indexed: columns an index begins with; None where it cannot be known (view).
    :ivar rows: how many rows there are, about; None: not known.
    :ivar writable: the role may change rows.
    :ivar id_name: the column the database counts up by itself.
    """

    reference: str
    label: str
    columns: tuple[Column, ...]
    indexed: frozenset[str] | None
    rows: int | None
    writable: bool
    id_name: str | None = None

    def has_index(self, name: str) -> bool:
        return self.indexed is None or name in self.indexed


class Connection(Protocol):
    """What :class:`AsteriskSource` asks of a database session."""

    def rows(self, query: str, params: Sequence[Any] = ()) -> list[tuple]:
        """Rows, every value text or None; raises UndecodableText, SourceError."""

    def raw_rows(self, query: str, params: Sequence[Any] = ()) -> list[tuple]:
        """The same, texts as stored bytes."""

    @property
    def stored_codec(self) -> str:
        """Python's name of the encoding stored bytes are in."""

    def close(self) -> None: ...


class Dialect(abc.ABC):
    """One database's way of saying the few things that are asked."""

    @abc.abstractmethod
    def quote(self, name: str) -> str:
        """An identifier; percent signs are doubled."""

    @abc.abstractmethod
    def text(self, column: Column) -> str:
        """The value of a column as text, cut to a sane length."""

    @abc.abstractmethod
    def row_digest(self, table: Table) -> str:
        """A text over a row's readable columns; equal only for equal rows."""

    @abc.abstractmethod
    def find_table(self, connection: Connection, name: str) -> Table | None:
        """Look a table up.

        :raises AccessDenied: it is there and may not be read.
        :raises SchemaProblem: the name is none, or means several tables.
        """

    @abc.abstractmethod
    def server_now(self, connection: Connection) -> datetime:
        """The server's clock, naive UTC."""

    @abc.abstractmethod
    def describe(self, connection: Connection) -> list[Finding]:
        """Findings about session and server for a connection test."""

    @abc.abstractmethod
    def create_index(self, table: Table, column: Column) -> str:
        """The statement that makes an index on a column."""
