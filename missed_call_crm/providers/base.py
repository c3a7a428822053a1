# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What every phone system gives: records, batches, findings and errors.

Pure Python: nothing here knows Odoo or a database.  A provider from another
addon needs a :class:`Source` and, if its errors are to be told to people,
the exceptions below.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

#: Longest raw text kept of a rejected row, in characters.
RAW_LIMIT = 10_000


def _lt(text: str) -> str:
    """Mark an English text as a term to translate; the caller translates.

    The name is the one Odoo's export of terms looks for.
    """
    return text


@dataclass(slots=True)
class Record:
    """One row or event as the phone system gave it.

    :ivar kind: ``cdr``, ``queue_log`` or ``cel`` (other providers add theirs).
    :ivar key: identity within the backend, ``kind:`` and 32 hex digits.  Built
        only from values that never change once the row is written, so the same
        row or event always has the same key, however often and from whichever
        layout of the table it is read.
    :ivar threads: ids that tie the record to a call; two records with an id in
        common belong to one call.  ``()``: belongs to no call (roster events).
    :ivar occurred_at: naive UTC.
    :ivar payload: the whole row by canonical column name; text, no empty
        values.  Times in it are as the phone system wrote them: digits are
        epoch seconds, a text with offset is absolute, any other is the phone
        system's local time (see ``telephony.clock``).
    :ivar content_hash: 32 hex digits over payload and ``occurred_at``; differs
        when a row was changed or is understood differently (time zone).
    """

    kind: str
    key: str
    threads: tuple[str, ...]
    occurred_at: datetime
    payload: dict[str, str]
    content_hash: str


@dataclass(slots=True)
class Rejected:
    """One row that could not be understood; nothing else is lost with it.

    :ivar key: ``kind:`` and 32 hex digits of the raw row: reading the same bad
        row again gives the same key.
    :ivar raw: the row as text, ``column: value`` lines; NUL and bytes that are
        not valid text are escaped, cut at :data:`RAW_LIMIT`.
    :ivar error: why, for people.
    :ivar payload: the same row by canonical column name, to try it again.
    """

    kind: str
    key: str
    raw: str
    error: str
    payload: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """Rows to commit together, and the position that commit reaches.

    A key stands at most once among the records of a batch, and among the rejected.

    :ivar cursor: JSON-able; store it in the transaction that stores the rows.
    :ivar upto: naive UTC; every row of the window older than this has been
        delivered, in this batch or an earlier one.  None: not known yet.
    :ivar done: the last batch of this read.
    """

    records: list[Record]
    rejected: list[Rejected]
    cursor: dict[str, Any]
    upto: datetime | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a connection test or of a read.

    :ivar level: ``ok``, ``info``, ``warning`` or ``error``.
    :ivar template: English text with ``%(name)s`` places, to be translated.
    :ivar code: stable word for programs and tests.
    """

    level: str
    code: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The line in English."""
        return self.template % self.values


class SourceError(Exception):
    """A phone system could not be read; the text is for people.

    It never contains a password.  ``retry`` tells whether the same attempt can
    succeed later without anybody changing anything.

    :ivar template: English text with ``%(name)s`` places, to be translated.
    :ivar values: what goes into the places.
    """

    retry = False

    def __init__(self, template: str, **values: Any):
        self.template = template
        self.values = values
        super().__init__(template % values)


class BadSettings(SourceError):
    """The connection settings themselves are refused; nothing was contacted."""


class ConnectionFailed(SourceError):
    """No connection, or it was lost while reading."""

    retry = True


class AccessDenied(SourceError):
    """Wrong user or password, or no right to read a table."""


class SchemaProblem(SourceError):
    """A table or column that is needed is missing or of an unusable type."""


class ReadTimeout(SourceError):
    """The phone system's database needed too long for a statement."""

    retry = True


class UndecodableText(Exception):
    """Inside a provider: a page holds text that is not valid in its encoding."""


def digest(text: str) -> str:
    """128-bit hex digest that keys and content hashes are made of."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Source(abc.ABC):
    """A connection to one phone system; use once, then :meth:`close`."""

    @abc.abstractmethod
    def test(self) -> list[Finding]:
        """Connect, look around, and tell what an administrator should know.

        Problems that keep the source from being read become findings of level
        ``error``; this method raises nothing but programming errors.
        """

    @abc.abstractmethod
    def batches(
        self,
        cursor: Mapping[str, Any] | None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Batch]:
        """Read the window ``[since, until)`` (naive UTC, None = open).

        :param cursor: what the last committed batch gave, or None.
        :param since: the caller has taken the overlap off already.
        :param limit: rows per table and batch, about.
        :raises SourceError: batches given before stay valid.
        """

    @abc.abstractmethod
    def capabilities(self) -> frozenset[str]:
        """What the source can tell; words documented by the provider."""

    @abc.abstractmethod
    def server_now(self) -> datetime:
        """The phone system's clock, naive UTC."""

    @abc.abstractmethod
    def findings(self) -> list[Finding]:
        """What the reads of this source have noticed so far."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the connection; harmless when there is none."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
