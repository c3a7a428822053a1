# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What a call is, before anybody judges it: plain values, no database.

A provider turns the records of one call into :class:`CallFacts`; the judge in
``outcome`` turns facts and rules into a :class:`Verdict`. All times are naive UTC
datetimes, all durations seconds. ``None`` means *the source cannot tell*; it is never
a way to say 0 or no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

# Directions, seen from the company.
INBOUND = "inbound"
OUTBOUND = "outbound"
INTERNAL = "internal"

# Kinds of legs.
MENU = "menu"
ANNOUNCEMENT = "announcement"
QUEUE = "queue"
RING = "ring"
TALK = "talk"
VOICEMAIL = "voicemail"
TRANSFER = "transfer"
LEG_KINDS = (MENU, ANNOUNCEMENT, QUEUE, RING, TALK, VOICEMAIL, TRANSFER)

# Results of legs.
LEG_RESULTS = (
    "answered",
    "no_answer",
    "busy",
    "rejected",
    "unreachable",
    "cancelled",
    "elsewhere",
    "timeout",
    "empty",
    "full",
    "abandoned",
    "transferred",
    "failed",
)

# Who ended a call.
CLIENT = "client"
OPERATOR = "operator"
SYSTEM = "system"


@dataclass(slots=True)
class Leg:
    """One step of a call.

    ``operator`` is the extension as the phone system numbers it, ``agent`` the name
    a queue log writes where no extension could be derived. ``queue`` is the code of
    the queue or ring group the step belongs to. A queue leg's ``answered_at`` is when
    an operator took the client out of it; a ring leg's when the phone was picked up.
    """

    kind: str
    started_at: datetime
    ended_at: datetime | None = None
    answered_at: datetime | None = None
    queue: str | None = None
    operator: str | None = None
    agent: str | None = None
    result: str | None = None
    position_entry: int | None = None
    position_exit: int | None = None
    hangup_cause: int | None = None

    def order(self) -> tuple:
        """Chronological order that does not depend on the order of the records."""
        return (
            self.started_at,
            LEG_KINDS.index(self.kind),
            self.ended_at or datetime.max,
            self.queue or "",
            self.operator or self.agent or "",
            self.result or "",
        )


@dataclass(slots=True)
class CallFacts:
    """What the records of one call prove, with nothing judged yet.

    :ivar direction: ``inbound``, ``outbound``, ``internal`` or None while unknown.
    :ivar client_raw: number of the outside party as the source gave it.
    :ivar operator: extension that placed an outbound or internal call.
    :ivar started_at: arrival of the call (its first sign in the records).
    :ivar ended_at: end of the client's part, or of the call; None if not seen.
    :ivar is_ended: the records prove that the call is over. DESIGN 3.4.
    :ivar hangup_by: ``client``, ``operator``, ``system`` or None.
    :ivar is_closed: the closed branch of the dial plan was taken.
    :ivar is_faulted: the call was cut by a fault; None if the source cannot tell.
    :ivar has_voicemail: a message was left; None if the source cannot tell.
    :ivar given_up_after: seconds from entering the first queue or ringing (or from
        arrival) to the client's own hang-up, both ends from one source; None if the
        client did not hang up himself or no single source saw both ends.
    :ivar is_wait_known: False where the first answer's instant is only a bound.
    :ivar is_talk_known: False where a talk's start is only a bound.
    :ivar given_reason: the provider's own reason for a miss, already in our words.
    :ivar sources: kinds of records the facts came from, sorted.
    """

    started_at: datetime
    direction: str | None = None
    client_raw: str | None = None
    client_name: str | None = None
    our_number: str | None = None
    operator: str | None = None
    ended_at: datetime | None = None
    is_ended: bool = False
    hangup_by: str | None = None
    hangup_cause: int | None = None
    is_closed: bool = False
    is_faulted: bool | None = None
    has_voicemail: bool | None = None
    given_up_after: float | None = None
    is_wait_known: bool = True
    is_talk_known: bool = True
    given_reason: str | None = None
    recording: str | None = None
    voicemail: str | None = None
    last_seen_at: datetime | None = None
    legs: list[Leg] = field(default_factory=list)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings a call is judged by. They are stored on the call.

    :ivar short_seconds: a client who hangs up himself in less is *short*; 0 = off.
    :ivar min_talk_seconds: a talk of at least this long is a contact.
    """

    short_seconds: int = 5
    min_talk_seconds: int = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one call in the words of DESIGN 1.1.

    ``contact_at`` is the answer of the talk by which the client was reached, or None
    if there was no talk of ``min_talk_seconds``; it exists for missed calls too (a
    client lost in a transfer had been talked to).
    """

    outcome: str
    reason: str | None = None
    answered_at: datetime | None = None
    contact_at: datetime | None = None
    wait_seconds: int | None = None
    queue_wait_seconds: int | None = None
    talk_seconds: int | None = None
    queue: str | None = None
    operator: str | None = None
    agent: str | None = None
    position_entry: int | None = None
    position_exit: int | None = None
    is_short: bool = False
    is_out_of_hours: bool = False
    is_disconnected: bool = False
    has_voicemail: bool = False


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from ``start`` to ``end``, rounded, never negative."""
    return max(0, round((end - start).total_seconds()))


def sorted_legs(legs: Sequence[Leg]) -> list[Leg]:
    """The legs in the one order every rebuild of the call gives them."""
    return sorted(legs, key=Leg.order)
