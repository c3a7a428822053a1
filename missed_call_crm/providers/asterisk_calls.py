# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""One Asterisk call from its records of all kinds.

Each kind is read on its own (``asterisk_cel``, ``asterisk_cdr``,
``asterisk_queue_log``); here their facts are joined. The surest source gives the
frame, the others add what only they know: CEL the parties, rings and causes; the
queue log positions and how a queue was left; CDR the recording, and everything where
there is no CEL.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import chain, pairwise
from operator import itemgetter

from ..telephony import call as c
from ..telephony.call import CallFacts, Leg, sorted_legs
from ..telephony.clock import epoch_of, numeric_key
from ..telephony.number import repair_text
from . import asterisk_cdr, asterisk_cel, asterisk_queue_log
from .asterisk_cel_events import has_bridges
from .asterisk_channel import DialPlan

# The same step in two sources: CDR cuts to whole seconds, the queue log rounds rings.
_SAME_STEP = timedelta(seconds=3)
_AT_ONCE = timedelta(seconds=0.5)
#: A call that was silent for longer had ended before (DESIGN 3.4).
_LONGEST_SILENCE = timedelta(minutes=120)
#: Ways to leave a queue after which the dial plan goes on.
_LET_GO = frozenset({"timeout", "empty", "full", "cancelled"})
_FIRST = itemgetter(0)
#: A channel id older than this before the first record is not this call's arrival.
_LONGEST_MENU = timedelta(minutes=30)


def assemble(
    records: Iterable, plan: DialPlan, restarts: Sequence[datetime] = ()
) -> CallFacts | None:
    """Facts of one call.

    :param records: its records (``kind``, ``occurred_at``, ``payload``) in any order.
    :param restarts: when the phone system started anew (QUEUESTART), sorted: a call
        of which nothing is heard after a restart was cut by it.
    :return: None if no record tells anything of a call.
    """
    cel, cdr, log = _split(records)
    frame_log = asterisk_queue_log.read(log, plan) if log else None
    left_at = _left_queue_at(frame_log)
    frame_cel = asterisk_cel.read(cel, plan, not cdr and not log) if cel else None
    frame_cdr = None
    if cdr:
        frame_cdr = asterisk_cdr.read(cdr, plan, _oldest_id(cel, cdr), left_at)
    facts = frame_cel or frame_cdr or frame_log
    if facts is None:
        return None
    is_proved = frame_cel is not None and has_bridges(cel)
    if facts is frame_cel and frame_cdr is not None:
        _add_cdr_to_cel(facts, frame_cdr, is_proved)
    if frame_log is not None and facts is not frame_log:
        _add_log(facts, frame_log, facts is frame_cel, is_proved)
    if facts is frame_log:
        _arrival_by_id(facts, log)
    frames = [frame for frame in (frame_cel, frame_cdr, frame_log) if frame]
    facts.last_seen_at = max(frame.last_seen_at for frame in frames)
    facts.sources = tuple(sorted(frame.sources[0] for frame in frames))
    _cut_by_restart(facts, frame_cel, frame_log, restarts)
    _complete(facts)
    return facts


def _oldest_id(cel, cdr):
    """Id of the call's first channel; None if no record has linked ids.

    Ids of a consultation joined to the call are younger.
    """
    linked = {record.payload.get("linkedid") for record in chain(cel, cdr)} - {None}
    return min(linked, key=numeric_key) if len(linked) > 1 else next(iter(linked), None)


# -- order ---------------------------------------------------------------------------

# Events of one queue in one second, where no id tells their order.
_ORDER_IN_QUEUE = {
    "DID": 0,
    "ENTERQUEUE": 1,
    "RINGNOANSWER": 2,
    "RINGCANCELED": 2,
    "CONNECT": 3,
}


def _split(records):
    """Records by kind, in the one order that does not depend on arrival."""
    kinds = {"cel": [], "cdr": [], "queue_log": []}
    for record in records:
        found = kinds.get(record.kind)
        if found is not None:
            found.append(record)
    return (
        _in_order(kinds["cel"], _order_of_event),
        _in_order(kinds["cdr"], _order_of_row),
        _in_order(kinds["queue_log"], _order_in_queue),
    )


def _in_order(records, key):
    """Sorted by ``key``, equals by content; the same record twice counts once."""
    if len(records) < 2:
        return records
    keyed = sorted(((key(record), record) for record in records), key=_FIRST)
    if all(one[0] != other[0] for one, other in pairwise(keyed)):
        return [record for _key, record in keyed]
    whole = {
        (place, repr(sorted(record.payload.items()))): record for place, record in keyed
    }
    return [whole[place] for place in sorted(whole)]


def _serial(payload, column):
    text = payload.get(column) or ""
    return int(text) if len(text) < 20 and text.isdecimal() else 0


def _order_of_event(record):
    row = record.payload
    return (
        record.occurred_at,
        _serial(row, "id"),
        row.get("eventtype", ""),
        row.get("channame", ""),
    )


def _order_in_queue(record):
    row = record.payload
    return (
        record.occurred_at,
        _serial(row, "id"),
        _ORDER_IN_QUEUE.get(row.get("event"), 4),
        row.get("event", ""),
        row.get("agent", ""),
    )


def _order_of_row(record):
    return record.occurred_at, _serial(record.payload, "sequence")


# -- detail records -----------------------------------------------------------------


def _add_cdr_to_cel(facts, cdr, is_proved):
    """What only the detail records hold when events tell the story.

    :param is_proved: the events show who was joined with whom.
    """
    facts.recording = cdr.recording
    facts.is_ended = facts.is_ended or cdr.is_ended
    facts.is_closed = facts.is_closed or cdr.is_closed
    facts.direction = facts.direction or cdr.direction
    facts.client_raw = facts.client_raw or cdr.client_raw
    facts.client_name = facts.client_name or cdr.client_name
    facts.our_number = facts.our_number or cdr.our_number
    facts.operator = facts.operator or cdr.operator
    if facts.ended_at is None and cdr.is_ended:
        facts.ended_at = cdr.ended_at
    if not is_proved:
        _add_talks_of_rows(facts, cdr)
    if not _has(facts, c.QUEUE):
        # Queue() is not among the applications that are logged.
        facts.legs += [leg for leg in cdr.legs if leg.kind == c.QUEUE]
    _add_groups_of_rows(facts, cdr)


def _add_talks_of_rows(facts, cdr):
    """Talks of rows, where the phone system logs no bridges; events still know best
    when a phone was picked up.
    """
    if not _has(facts, c.RING):
        facts.legs += [leg for leg in cdr.legs if leg.kind == c.RING]
    answered = [leg for leg in facts.legs if leg.kind == c.RING and leg.answered_at]
    for talk in cdr.legs:
        if talk.kind != c.TALK:
            continue
        facts.legs.append(talk)
        if talk.answered_at is not None:
            continue
        for ring in answered:
            is_within = talk.started_at <= ring.answered_at <= talk.ended_at
            if ring.operator == talk.operator and is_within:
                talk.started_at = talk.answered_at = ring.answered_at
                break


def _add_groups_of_rows(facts, cdr):
    """FreePBX dials a group's phones from one place: only the row names the group."""
    for leg in _without_queue(facts):
        for other in cdr.legs:
            if (
                other.queue
                and other.kind in (c.RING, c.TALK)
                and other.operator == leg.operator
                and other.started_at - _SAME_STEP <= leg.started_at <= other.ended_at
            ):
                leg.queue = other.queue
                break


def _without_queue(facts):
    return [leg for leg in facts.legs if leg.kind in (c.RING, c.TALK) and not leg.queue]


def _has(facts, kind):
    return any(leg.kind == kind for leg in facts.legs)


# -- queue log ---------------------------------------------------------------------


def _left_queue_at(log):
    """When the client last left a queue for the dial plan."""
    if log is None:
        return None
    ends = [
        leg.ended_at
        for leg in log.legs
        if leg.kind == c.QUEUE and leg.ended_at and leg.result in _LET_GO
    ]
    return max(ends, default=None)


def _add_log(facts, log, is_cel, is_proved):
    """Join the queue log's view into a frame from CEL or CDR."""
    facts.direction = facts.direction or log.direction
    facts.client_raw = facts.client_raw or log.client_raw
    facts.client_name = facts.client_name or log.client_name
    facts.our_number = facts.our_number or log.our_number
    if not facts.is_faulted:
        # The log takes a broken line for the client's own hang-up.
        facts.hangup_by = facts.hangup_by or log.hangup_by
    facts.is_faulted = facts.is_faulted or log.is_faulted
    if log.is_ended and not (is_cel and facts.ended_at is None):
        # A completed queue talk may be followed by a survey: with events at hand the
        # client's channel must have ended as well.
        facts.is_ended = True
    if facts.given_up_after is None:
        facts.given_up_after = _given_up_in_log(facts, log)
    if not is_cel:
        _join_ends(facts, log)
        _join_rings(facts, log)
    elif not _has(facts, c.RING):
        facts.legs += [leg for leg in log.legs if leg.kind == c.RING]
    _add_queues_of_log(facts, log)
    _join_talks(facts, log, is_proved)
    _join_visits(facts, log)


def _add_queues_of_log(facts, log):
    """Phones that rang while the client was in a queue were rung by it."""
    visits = [leg for leg in log.legs if leg.kind == c.QUEUE and leg.ended_at]
    for leg in _without_queue(facts):
        for visit in visits:
            if visit.started_at <= leg.started_at <= visit.ended_at + _AT_ONCE:
                leg.queue = visit.queue
                break


def _given_up_in_log(facts, log):
    """The log's own interval, unless the client was rung or queued before it."""
    if log.given_up_after is None:
        return None
    visits = [leg for leg in log.legs if leg.kind == c.QUEUE]
    names = {leg.queue for leg in visits}
    entered = min(leg.started_at for leg in visits)
    # The row of the queue's own first ring begins with the call, before the queue.
    is_late = any(
        leg.kind in (c.QUEUE, c.RING)
        and leg.queue not in names
        and leg.started_at < entered - timedelta(seconds=1.5)
        for leg in facts.legs
    )
    return None if is_late else log.given_up_after


def _join_ends(facts, log):
    """The log's end is exact to the fraction where the row is cut to seconds."""
    if log.ended_at is None:
        return
    if facts.ended_at is None or abs(log.ended_at - facts.ended_at) <= _SAME_STEP:
        facts.ended_at = log.ended_at


def _join_rings(facts, log):
    """Exact times and refusals for the rows' rings; members only the log names."""
    rings = [leg for leg in facts.legs if leg.kind == c.RING]
    free = list(rings)
    for leg in log.legs:
        if leg.kind != c.RING:
            continue
        match = _nearest(leg, free)
        if match is not None:
            free.remove(match)
            match.started_at, match.ended_at = leg.started_at, leg.ended_at
            match.answered_at, match.result = leg.answered_at, leg.result
        elif leg.operator and all(r.operator != leg.operator for r in rings):
            facts.legs.append(leg)
        elif leg.agent and all(r.queue != leg.queue for r in rings):
            facts.legs.append(leg)


def _nearest(leg, candidates):
    """The candidate that is the same step as ``leg`` seen by another source."""
    return min(
        (other for other in candidates if _is_same_ring(leg, other)),
        key=lambda other: (abs(other.started_at - leg.started_at), other.order()),
        default=None,
    )


def _is_same_ring(leg, row):
    """Both ends tell: the call's first row begins with the call, not with the ring."""
    if row.queue != leg.queue or leg.operator not in (None, row.operator):
        return False
    if (leg.result == "answered") != (row.result == "answered"):
        return False
    if abs(row.started_at - leg.started_at) <= _SAME_STEP:
        return True
    is_within = row.started_at <= leg.started_at
    return is_within and abs(row.ended_at - leg.ended_at) <= _SAME_STEP


def _join_talks(facts, log, is_proved):
    """Talks of the queue: the frame knows the phone, the log when it was picked up."""
    talks = [leg for leg in facts.legs if leg.kind == c.TALK]
    for leg in log.legs:
        if leg.kind != c.TALK:
            continue
        match = _overlapping(leg, talks)
        if match is None:
            facts.legs.append(leg)
            continue
        talks.remove(match)
        match.agent = match.agent or leg.agent
        match.queue = match.queue or leg.queue
        if not is_proved:
            match.started_at = match.answered_at = leg.answered_at
            match.ended_at = leg.ended_at or match.ended_at
            match.result = leg.result
    if not is_proved:
        _withdraw_talks(facts, log, talks)


def _withdraw_talks(facts, log, talks):
    """Answered phones of a queue whose operator never got the client: he heard the
    announcement, and one of the two hung up. The log writes CONNECT for every talk.
    """
    visits = [leg for leg in log.legs if leg.kind == c.QUEUE and leg.ended_at]
    for talk in talks:
        if any(
            talk.queue == visit.queue
            and visit.started_at - _SAME_STEP <= talk.started_at <= visit.ended_at
            for visit in visits
        ):
            facts.legs.remove(talk)


def _overlapping(leg, candidates):
    end = leg.ended_at or datetime.max
    for other in sorted(candidates, key=Leg.order):
        if leg.operator and other.operator and leg.operator != other.operator:
            continue
        until = other.ended_at or datetime.max
        starts = other.started_at - _SAME_STEP
        if starts <= end and leg.started_at <= _plus(until, _SAME_STEP):
            return other
    return None


def _plus(moment, delta):
    return moment if moment == datetime.max else moment + delta


def _join_visits(facts, log):
    """The log knows best how a queue was entered and left."""
    visits = [leg for leg in facts.legs if leg.kind == c.QUEUE]
    for leg in log.legs:
        if leg.kind == c.TRANSFER:
            if not _has(facts, c.TRANSFER):
                facts.legs.append(leg)
            continue
        if leg.kind != c.QUEUE:
            continue
        match = next(
            (
                other
                for other in visits
                if other.queue == leg.queue
                and other.started_at - _SAME_STEP <= leg.started_at
                and leg.started_at
                <= _plus(other.ended_at or datetime.max, timedelta(seconds=1))
            ),
            None,
        )
        if match is not None:
            visits.remove(match)
            facts.legs.remove(match)
            leg.ended_at = leg.ended_at or match.ended_at
            leg.result = leg.result or match.result
        facts.legs.append(leg)


# -- finishing ---------------------------------------------------------------------


def _arrival_by_id(facts, log):
    """The id of the client's channel holds the second he arrived."""
    epoch = epoch_of(log[0].payload.get("callid") or "")
    if epoch is None:
        return
    arrived = datetime.fromtimestamp(epoch, timezone.utc).replace(tzinfo=None)
    if timedelta(0) <= facts.started_at - arrived <= _LONGEST_MENU:
        facts.started_at = arrived


def _cut_by_restart(facts, cel, log, restarts):
    """A call of which nothing is heard after a restart was cut by it, if its records
    show the client still in it.
    """
    if facts.is_ended or not restarts:
        return
    is_open = cel is not None or any(
        leg.ended_at is None and leg.kind in (c.QUEUE, c.TALK)
        for leg in (log.legs if log is not None else ())
    )
    index = bisect_right(restarts, facts.last_seen_at)
    if not is_open or index == len(restarts):
        return
    if restarts[index] - facts.last_seen_at <= _LONGEST_SILENCE:
        facts.ended_at = restarts[index]
        facts.is_ended = facts.is_faulted = True
        facts.hangup_by = c.SYSTEM


def _complete(facts):
    """Sort the legs, close the open ones, clean the caller's name."""
    if facts.direction is None:
        facts.direction = c.INBOUND if facts.client_raw else c.INTERNAL
    if facts.direction == c.INTERNAL:
        facts.client_raw = facts.client_name = None
    _settle_answers(facts)
    facts.started_at = min([facts.started_at] + [leg.started_at for leg in facts.legs])
    if facts.is_ended and facts.ended_at is None:
        facts.ended_at = facts.last_seen_at
    if facts.ended_at is not None:
        facts.ended_at = max(facts.ended_at, facts.started_at)
    for leg in facts.legs:
        _straighten(leg, facts.ended_at)
    facts.client_name = repair_text(facts.client_name) if facts.client_name else None
    facts.legs = sorted_legs(facts.legs)
    talks = [leg for leg in facts.legs if leg.kind == c.TALK]
    facts.is_wait_known = not talks or talks[0].answered_at is not None
    facts.is_talk_known = all(leg.answered_at is not None for leg in talks)


def _straighten(leg, end):
    """Close an open leg; times of records that contradict each other never run back."""
    start = leg.started_at
    if leg.ended_at is not None:
        leg.ended_at = max(leg.ended_at, start)
    elif end is not None and leg.kind != c.TRANSFER:
        leg.ended_at = max(end, start)
    if leg.answered_at is not None:
        leg.answered_at = max(leg.answered_at, start)


def _settle_answers(facts):
    """A phone that was picked up without a talk was not answered by an operator."""
    talked = {leg.operator for leg in facts.legs if leg.kind == c.TALK}
    talked |= {leg.agent for leg in facts.legs if leg.kind == c.TALK}
    for leg in facts.legs:
        if leg.kind == c.RING and leg.result == "answered":
            if (leg.operator or leg.agent) not in talked:
                leg.result, leg.answered_at = "no_answer", None
