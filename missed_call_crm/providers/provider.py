# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""The class a phone system of another kind has to bring.

A provider is made anew for every pull from plain values (no ORM, no environment) and
knows two things: how to read records from its phone system (:meth:`connect`) and what
the records of one call prove (:meth:`assemble`).
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..telephony.call import CallFacts
from .base import Record, Source


class Provider(abc.ABC):
    """One phone system, seen from the intake.

    :param settings: plain values of the ``pbx.backend`` record by field name, the
        password included; see ``pbx.backend._provider_settings__``.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    @abc.abstractmethod
    def connect(self) -> Source:
        """A source to read records from; nothing is contacted before it is used.

        :raises SourceError: if the settings are refused.
        """

    @abc.abstractmethod
    def assemble(
        self, records: Iterable, restarts: Sequence[datetime] = ()
    ) -> CallFacts | None:
        """Facts of the one call whose records these are; None if they tell nothing.

        Pure: the same records in any order give the same facts.

        :param records: objects with ``kind``, ``occurred_at`` (naive UTC), ``payload``.
        :param restarts: sorted moments at which the phone system started anew.
        """

    def is_restart(self, record) -> bool:
        """Whether a record of no call says that the phone system started anew."""
        return False

    def is_extension(self, number: str) -> bool:
        """Whether a number is one of the phone system's own phones."""
        return number.isdigit() and len(number) <= 6

    def describe(self, source: Source) -> dict[str, dict[str, str]]:
        """What the connected source can tell: question → source → yes, partly or no.

        Questions are those of ``pbx.backend._capability_questions``.
        """
        return {}

    def reread(self, kind: str, payload: Mapping[str, Any]) -> Record:
        """A quarantined record, read again with today's settings.

        :param payload: its columns as stored, cut where they were too long.
        :raises SourceError, ValueError: if it is still not understood.
        """
        raise ValueError("Records of this phone system cannot be read again.")
