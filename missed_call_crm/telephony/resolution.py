# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What became of a miss: the one place where *fixed*, *late* and *unfixed* are defined.

Pure and decided by time alone (DESIGN 1.2): the same misses and contacts give the same
answer in whatever order their records arrived.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

PENDING = "pending"
UNFIXED = "unfixed"
LATE = "late"
FIXED = "fixed"
DISMISSED = "dismissed"
IGNORED = "ignored"

#: Resolutions that count as *not fixed*.
NOT_FIXED = frozenset({PENDING, UNFIXED, LATE})
#: Resolutions of misses somebody still has to call back.
OWED = frozenset({PENDING, UNFIXED})

CALLBACK = "callback"
CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Miss:
    """A missed or abandoned inbound call.

    :ivar call: identity of the call; its own talk never fixes it.
    :ivar numbers: every number the client may be reached by; empty if anonymous.
    :ivar started_at: a contact counts from here on (a client with two lines who is
        answered on one while the other still waits got through).
    :ivar deadline_at: last instant of the window, inclusive.
    :ivar is_ignored: nothing is owed (short, anonymous, excluded number, reason off).
    :ivar is_dismissed: closed by a person; nothing but a person changes it.
    """

    call: Hashable
    numbers: Collection[str]
    started_at: datetime
    deadline_at: datetime
    is_ignored: bool = False
    is_dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """A talk of at least the shortest length between an operator and a client.

    :ivar number: the client's number in that call.
    :ivar at: when it was answered. Ties are broken by ``order``.
    :ivar is_outbound: the company called (else the client did).
    """

    call: Hashable
    number: str
    at: datetime
    is_outbound: bool
    order: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Resolution of one miss and the contact that proves it, if any."""

    state: str
    contact: Contact | None = None

    @property
    def fixed_by(self) -> str | None:
        """``callback`` or ``client`` for fixed misses, else None."""
        if self.state != FIXED:
            return None
        return CALLBACK if self.contact.is_outbound else CLIENT


class Contacts:
    """Contacts by number, in the order of time."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        self._by_number: dict[str, list[Contact]] = {}
        for contact in contacts:
            self._by_number.setdefault(contact.number, []).append(contact)
        self._times: dict[str, list[datetime]] = {}
        for number, found in self._by_number.items():
            found.sort(key=lambda contact: (contact.at, contact.order))
            self._times[number] = [contact.at for contact in found]

    def first_after(self, miss: Miss) -> Contact | None:
        """Earliest contact of the client in another call, from the miss's start on."""
        best = None
        for number in miss.numbers:
            found = self._by_number.get(number)
            if not found:
                continue
            for contact in found[bisect_left(self._times[number], miss.started_at) :]:
                if contact.call == miss.call:
                    continue
                if best is None or (contact.at, contact.order) < (best.at, best.order):
                    best = contact
                break
        return best


def resolve(miss: Miss, contacts: Contacts, now: datetime) -> Resolution:
    """Resolution of a miss as of ``now``.

    Fixed: a contact not later than the deadline. Late: the first contact came after
    it. Without a contact: pending up to and including the deadline, then unfixed.
    """
    if miss.is_dismissed:
        return Resolution(DISMISSED)
    if miss.is_ignored:
        return Resolution(IGNORED)
    contact = contacts.first_after(miss)
    if contact is None:
        return Resolution(PENDING if now <= miss.deadline_at else UNFIXED)
    return Resolution(FIXED if contact.at <= miss.deadline_at else LATE, contact)


def client_numbers(
    number: str,
    scope: str,
    contacts_of: Mapping[str, Collection[int]],
    companies_of: Mapping[int, int],
    numbers_of_contact: Mapping[int, Collection[str]],
    numbers_of_company: Mapping[int, Collection[str]],
) -> frozenset[str]:
    """All numbers by which the client behind ``number`` counts as reached.

    :param scope: ``number``, ``contact`` or ``company`` (DESIGN 1.2).
    :param contacts_of: number → contacts that have it.
    :param companies_of: contact → its company (commercial partner).

    A number of several contacts proves nothing about which of them called, so through
    contacts only an unambiguous number spreads; several contacts of one company are
    still one company.
    """
    own = frozenset({number})
    found = contacts_of.get(number, ())
    if scope == "number" or not found:
        return own
    if scope == "contact":
        if len(found) != 1:
            return own
        return own | frozenset(numbers_of_contact.get(next(iter(found)), ()))
    companies = {companies_of[contact] for contact in found}
    if len(companies) != 1:
        return own
    return own | frozenset(numbers_of_company.get(companies.pop(), ()))
