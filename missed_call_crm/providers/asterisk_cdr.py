# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Facts of a call from Asterisk's call detail records.

A row is one attempt to join two channels. Its disposition lies for our purpose: a
menu, a queue and a voicemail box answer calls too. A human answered where an ANSWERED
row names a phone as the other channel; the client was kept where no unanswered phone
row follows (PBX_FACTS 0.2, 6). Who hung up, and how long the client waited after an
early Answer(), the rows cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from ..telephony import call as c
from ..telephony.call import CallFacts, Leg
from ..telephony.number import split_caller_id
from .asterisk_cel import (
    GROUP_CONTEXTS,
    MAILBOX_APPS,
    MENU_APPS,
    MENU_CONTEXTS,
    MESSAGE_APPS,
    is_long_enough_for_message,
)
from .asterisk_channel import Channel, DialPlan, dial_targets, dialled_number

# cdr.h: what a numeric disposition column holds.
_NUMERIC = {
    "0": "NO ANSWER",
    "1": "NO ANSWER",
    "2": "FAILED",
    "4": "BUSY",
    "8": "ANSWERED",
    "16": "CONGESTION",
}
_RESULTS = {
    "NO ANSWER": "no_answer",
    "CANCEL": "cancelled",
    "BUSY": "busy",
    "FAILED": "failed",
    "CONGESTION": "failed",
}
#: Rows are cut to whole seconds: the end of one and the start of the next.
_SAME_MOMENT = timedelta(seconds=1)
#: Kinds of channels that are an end of a call and not a pipe.
_ENDS = ("trunk", "device")
#: What a dial plan does with a client whom a queue let go.
_APPS_AFTER_QUEUE = MAILBOX_APPS | {"Hangup", "Playback"}
_PARK_APPS = frozenset({"Park", "ParkAndAnnounce", "ParkedCall"})


class _Row:
    """One CDR row, parsed.

    :ivar is_talk: ANSWERED for a second at least: a pipe that was optimised away, or
        a phone whose owner did not take the call (a mobile's voicemail, asked to
        confirm), is ANSWERED without one.
    """

    __slots__ = (
        "raw", "start", "end", "duration", "billsec", "disposition", "app", "caller",
        "called", "from_kind", "to_kind", "is_answered", "is_talk",
    )  # fmt: skip

    def __init__(self, event, plan):
        self.raw = raw = event.payload
        self.start = event.occurred_at
        self.duration = _seconds(raw.get("duration"))
        self.billsec = min(_seconds(raw.get("billsec")), self.duration)
        self.end = self.start + timedelta(seconds=self.duration)
        self.disposition = _disposition(raw.get("disposition", ""))
        self.app = app = raw.get("lastapp", "")
        channel, called = raw.get("channel"), raw.get("dstchannel")
        context = raw.get("dcontext", "")
        self.caller = plan.caller(channel, _number(raw), context) if channel else None
        self.called = plan.called(called, app, raw.get("lastdata")) if called else None
        self.from_kind = self.caller.kind if self.caller else None
        self.to_kind = self.called.kind if self.called else None
        self.is_answered = self.disposition == "ANSWERED"
        self.is_talk = self.is_answered and self.billsec > 0


def read(
    events: Sequence,
    plan: DialPlan,
    first_id: str | None = None,
    left_queue_at: datetime | None = None,
) -> CallFacts | None:
    """Facts from the CDR rows of one call, in chronological order.

    :param first_id: unique id of the call's first channel, None if not known.
    :param left_queue_at: when the client last left a queue for the dial plan, if the
        queue log told it: one row may cover the queue and the voicemail box after it.
    """
    if not events:
        return None
    rows = [_Row(event, plan) for event in events]
    return _Reader(rows, plan, first_id, left_queue_at).facts()


#: No call lasts longer; such a number is rubbish.
_MAX_SECONDS = 30 * 24 * 3600


def _seconds(value):
    try:
        number = int(value)
    except (TypeError, ValueError):
        try:
            number = int(float(value))
        except (TypeError, ValueError, OverflowError):
            return 0
    return number if 0 <= number <= _MAX_SECONDS else 0


@lru_cache(maxsize=64)
def _disposition(text):
    text = text.strip().upper()
    return _NUMERIC.get(text, text).replace("NOANSWER", "NO ANSWER")


def _number(raw):
    """Number of the calling party; FreePBX's cnum survives rewritten caller ids."""
    return raw.get("cnum") or raw.get("src") or split_caller_id(raw.get("clid"))[1]


class _Reader:
    """Parties and legs of one call from its rows."""

    def __init__(self, rows, plan, first_id, left_queue_at):
        self.rows = rows
        self.plan = plan
        self.first_id = first_id
        self.left_queue_at = left_queue_at
        self.first = self._first_row()
        self.direction = self._direction()

    def _first_row(self):
        """A row of the call's first channel: its own id is the call's id."""
        if len(self.rows) == 1:
            return self.rows[0]
        own = self.rows
        if all(row.raw.get("uniqueid") for row in self.rows):
            own = [row for row in self.rows if self._is_of_first(row)] or own
        return next((row for row in own if row.from_kind in _ENDS), own[0])

    def _is_of_first(self, row):
        uniqueid = row.raw["uniqueid"]
        return uniqueid == (self.first_id or row.raw.get("linkedid", uniqueid))

    def _direction(self):
        first = self.first
        if first.raw.get("did"):
            return c.INBOUND
        if first.from_kind == "trunk":
            return c.OUTBOUND if first.app == "AppDial2" else c.INBOUND
        has_line = any(row.to_kind == "trunk" for row in self.rows)
        if not has_line and not any(row.from_kind in _ENDS for row in self.rows):
            return self._direction_by_numbers()
        if has_line or self._dials_outside():
            return c.OUTBOUND
        return c.INTERNAL

    def _direction_by_numbers(self):
        """Without channels only the numbers are left."""
        raw = self.first.raw
        if self.plan.is_extension(_number(raw)):
            inside = self.plan.is_extension(raw.get("dst"))
            return c.INTERNAL if inside else c.OUTBOUND
        return c.INBOUND

    def _dials_outside(self):
        """A number dialled by a phone for which no line could be had."""
        for row in self.rows:
            if row.called is None and row.app in ("Dial", "Congestion", "Busy"):
                if self.plan.is_outside(row.raw.get("dst")):
                    return True
        return False

    # -- facts -----------------------------------------------------------------

    def facts(self):
        first, rows = self.first, self.rows
        # Rows are in the order of their start.
        end = rows[0].end if len(rows) == 1 else max(row.end for row in rows)
        facts = CallFacts(
            started_at=rows[0].start,
            direction=self.direction,
            client_name=first.raw.get("cnam") or _name(first.raw),
            ended_at=end,
            is_ended=self._is_ended(),
            last_seen_at=end,
            sources=("cdr",),
        )
        for row in rows:
            raw = row.raw
            if self.plan.is_closed(raw.get("dcontext"), raw.get("dst")):
                facts.is_closed = True
            facts.recording = facts.recording or raw.get("recordingfile")
        if self.direction == c.INBOUND:
            facts.client_raw = _number(first.raw)
            facts.our_number = self._our_number()
            self._inbound(facts)
        else:
            self._our_call(facts)
        return facts

    def _is_ended(self):
        """The first channel's rows are written when it hangs up (DESIGN 3.4)."""
        if self.first.caller is None:
            return True
        if self.first.from_kind == "local":
            return False
        return self.first_id is None or self.first.raw.get("uniqueid") == self.first_id

    def _our_number(self):
        for row in self.rows:
            if row.raw.get("did"):
                return row.raw["did"]
        dst = self.first.raw.get("dst")
        return dst if self.plan.is_outside(dst) else None

    # -- inbound ---------------------------------------------------------------

    def _inbound(self, facts):
        legs = []
        for row in self.rows:
            if row.called is None:
                legs += self._alone(row)
            elif self._is_consultation(row):
                continue
            elif row.to_kind == "local":
                legs += self._member_pipe(row)
            else:
                legs += self._offer(row, row.called)
        legs += self._queues(legs)
        facts.legs = legs
        messages = [leg for leg in legs if leg.kind == c.VOICEMAIL]
        facts.has_voicemail = any(leg.result == "answered" for leg in messages)
        if self.rows[-1].app == "Hangup" and self.rows[-1].called is None:
            facts.hangup_by = c.SYSTEM

    def _is_consultation(self, row):
        """A row between two phones inside the client's call: one asks the other."""
        if row.from_kind == "device":
            return True
        if row.from_kind != "local":
            return False
        into = self._rows_into(row.caller)
        return bool(into) and all(other.from_kind == "device" for other in into)

    def _rows_into(self, pipe):
        """Rows that called the pipe whose other half is ``pipe``."""
        if pipe is None or pipe.kind != "local":
            return []
        return [
            row
            for row in self.rows
            if row.to_kind == "local" and row.called.base == pipe.base
        ]

    def _alone(self, row):
        """A row without another channel: a menu, a message, a box, a queue's wait."""
        if row.app in MAILBOX_APPS:
            yield self._mailbox(row)
        elif row.app in MENU_APPS or self._is_in_menu(row):
            yield Leg(c.MENU, row.start, row.end)
        elif row.app in MESSAGE_APPS:
            yield Leg(c.ANNOUNCEMENT, row.start, row.end)
        elif row.app in _PARK_APPS:
            is_last = row is self.rows[-1]
            yield Leg(c.TRANSFER, row.start, row.end,
                      result="abandoned" if is_last else "transferred")  # fmt: skip
        elif row.app == "Dial" and not row.is_answered:
            yield from self._not_reached(row)

    def _is_in_menu(self, row):
        return row.raw.get("dcontext", "").lower().startswith(MENU_CONTEXTS)

    def _mailbox(self, row):
        start = row.start
        if self.left_queue_at is not None:
            start = min(max(start, self.left_queue_at), row.end)
        is_left = is_long_enough_for_message(row.raw.get("lastdata"), row.end - start)
        result = "answered" if is_left else "no_answer"
        return Leg(c.VOICEMAIL, start, row.end, result=result)

    def _not_reached(self, row):
        """Dialled phones for which no channel could be made."""
        for target in dial_targets(row.raw.get("lastdata")):
            parsed = self.plan.called(target, "Dial", row.raw.get("lastdata"))
            if parsed is None or parsed.kind != "device":
                continue
            result = "busy" if row.disposition == "BUSY" else "unreachable"
            yield Leg(c.RING, row.start, row.end, operator=parsed.extension,
                      queue=self._group(row), result=result)  # fmt: skip

    def _member_pipe(self, row):
        """A queue member behind a pipe; the pipe's own row names the phone."""
        base = row.called.base
        if any(r.caller is not None and r.caller.base == base for r in self.rows):
            return []
        if not self.plan.is_extension(row.called.peer):
            return []
        phone = Channel(row.called.name, "device", row.called.peer, 0, base)
        return self._offer(row, phone)

    def _offer(self, row, phone):
        """The ring of one phone, and the talk if it was picked up."""
        operator = phone.extension
        if phone.kind == "trunk":
            targets = dial_targets(row.raw.get("lastdata"))
            operator = dialled_number(targets[0]) if targets else phone.peer
        queue = self._queue_of(row)
        ring = Leg(c.RING, row.start, row.end, queue=queue, operator=operator)
        if not row.is_answered:
            ring.result = _RESULTS.get(row.disposition, "no_answer")
            return [ring]
        if not row.is_talk:
            ring.result = "no_answer"
            if any(other.is_talk and other.called == phone for other in self.rows):
                ring.result, ring.answered_at = "answered", row.end
            return [ring]
        answer = self._answer(row)
        start = self._from_pipe(row, answer or row.start)
        ring.result = "answered"
        ring.answered_at = ring.ended_at = answer or row.start
        talk = Leg(c.TALK, start, row.end, answered_at=answer and start,
                   queue=queue, operator=operator, result="answered")  # fmt: skip
        return [ring, talk]

    def _from_pipe(self, row, answer):
        """A phone consulted through a pipe talks to the client once he is in it."""
        if row.from_kind != "local":
            return answer
        starts = [
            other.start
            for other in self._rows_into(row.caller)
            if other.from_kind != "device"
        ]
        return min(max([answer, *starts[:1]]), row.end)

    def _answer(self, row):
        """When the phone was picked up, or None where Answer() came before: billsec
        counts from then.
        """
        if row.from_kind == "trunk":
            if self._is_first_of_pipe(row):
                return row.start
            if row.duration - row.billsec <= 1 or self._was_up(row):
                return None
        return row.end - timedelta(seconds=row.billsec)

    def _was_up(self, row):
        """Whether the client's channel was up before this row's phone answered."""
        return any(
            other.start <= row.start
            and other.billsec > 0
            and other.caller == row.caller
            and (not other.is_answered or other.called is None)
            for other in self.rows
        )

    def _is_first_of_pipe(self, row):
        """The pipe to a phone was left the moment he talked to the client directly."""
        return any(
            other.from_kind == "local"
            and other.called == row.called
            and other.is_answered
            and not other.is_talk
            and abs(other.end - row.start) <= _SAME_MOMENT
            for other in self.rows
        )

    def _queue_of(self, row):
        """Queue or ring group a phone's row belongs to."""
        if row.app == "Queue":
            return (row.raw.get("lastdata") or "").split(",")[0] or None
        outer = row
        for _pipe in self.rows:  # a pipe may lead into another one
            if outer.from_kind != "local":
                break
            into = self._rows_into(outer.caller)
            if not into:
                break
            outer = into[0]
            if outer.app == "Queue":
                return (outer.raw.get("lastdata") or "").split(",")[0] or None
        return self._group(outer)

    def _group(self, row):
        """A ring group's number: several phones in one Dial, or its own context."""
        context = row.raw.get("dcontext", "").lower()
        targets = dial_targets(row.raw.get("lastdata"))
        if context.startswith(GROUP_CONTEXTS) or len(targets) > 1:
            return row.raw.get("dst") or None
        return None

    def _queues(self, legs):
        """Visits of queues, from the rows that ran Queue(): one for each stretch."""
        visits = []
        for row in self.rows:
            if row.app != "Queue" or row.from_kind != "trunk":
                continue
            name = self._queue_of(row)
            if visits and visits[-1].queue == name:
                visits[-1].ended_at = max(visits[-1].ended_at, row.end)
            else:
                visits.append(Leg(c.QUEUE, row.start, row.end, queue=name))
        talks = [leg for leg in legs if leg.kind == c.TALK]
        for index, visit in enumerate(visits):
            talk = next((t for t in talks if t.queue == visit.queue
                         and visit.started_at <= t.started_at <= visit.ended_at),
                        None)  # fmt: skip
            if talk is not None:
                visit.result = "answered"
                visit.answered_at, visit.ended_at = talk.answered_at, talk.started_at
            elif index + 1 < len(visits):
                visit.result = "timeout"
            else:
                visit.result = self._last_result(visit)
        return visits

    def _last_result(self, visit):
        """How the last visit ended, as far as rows after it say."""
        is_let_go = any(
            row.start >= visit.ended_at and row.app in _APPS_AFTER_QUEUE
            for row in self.rows
        )
        return "timeout" if is_let_go else "abandoned"

    # -- outbound and internal ---------------------------------------------------

    def _our_call(self, facts):
        rows = self.rows
        phones = [r.caller for r in rows if r.caller and r.caller.kind == "device"]
        if phones:
            facts.operator = phones[0].extension
        else:
            called = [r.called for r in rows if r.called and r.called.kind == "device"]
            facts.operator = called[0].extension if called else None
        if self.direction == c.OUTBOUND:
            facts.client_raw = self._number_called()
            talks = [r for r in rows if r.is_talk and self._joins_client(r)]
        else:
            talks = [r for r in rows if r.is_talk and r.to_kind == "device"]
        for row in talks:
            start = row.end - timedelta(seconds=row.billsec)
            other = facts.operator
            if self.direction == c.INTERNAL:
                other = row.called.extension
            facts.legs.append(
                Leg(c.TALK, start, row.end, answered_at=start, operator=other,
                    result="answered")
            )  # fmt: skip

    def _joins_client(self, row):
        """Operator and client on both ends; a line alone talks to nobody."""
        if row.to_kind == "trunk":
            return row.from_kind == "device" or any(
                r.is_answered and (r.from_kind == "device" or r.to_kind == "device")
                for r in self.rows
            )
        return row.to_kind == "device" and row.from_kind == "trunk"

    def _number_called(self):
        """The number sent to the line, else the one dialled (with its prefixes)."""
        for row in self.rows:
            if not row.to_kind == "trunk":
                continue
            targets = dial_targets(row.raw.get("lastdata"))
            for number in [*map(dialled_number, targets), row.raw.get("dst")]:
                if self.plan.is_outside(number):
                    return number
        if self.first.from_kind == "trunk":
            return _number(self.first.raw)
        return self.first.raw.get("dst") or None


def _name(raw):
    clid = raw.get("clid")
    if not clid or clid.startswith('"" <'):
        return None
    return split_caller_id(clid)[0] or None
