# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Outcome and reason of a call: the one place where *missed* is defined.

Pure: the same facts and rules give the same verdict, whatever the phone system.
Derived from the legs, never from a call-level disposition, because a voice menu, a
queue and a voicemail box answer calls as well (DESIGN 1.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from . import call as c
from .call import CallFacts, Leg, Rules, Verdict, seconds_between, sorted_legs

ANSWERED = "answered"
MISSED = "missed"
ABANDONED = "abandoned"
UNANSWERED = "unanswered"

#: Reasons of a miss in the order in which they are tried.
REASONS = (
    "out_of_hours",
    "disconnected",
    "lost_in_transfer",
    "no_answer",
    "busy",
    "unreachable",
    "no_operators",
    "queue_timeout",
    "queue_hangup",
    "menu_hangup",
    "unknown",
)

# A phone that rang for less did not ring if another phone was busy beside it: it
# was refused in the same instant, and second-grained records show 0 s (DESIGN 1.1).
_NO_RING = timedelta(seconds=0.5)
# Whole-second records may begin the step after a transfer a second before the talk's
# own end.
_GRAIN = timedelta(seconds=1)

_REFUSED = frozenset({"busy", "rejected"})
_NO_OPERATORS = frozenset({"empty", "full"})


def judge(facts: CallFacts, rules: Rules, is_calendar_open: bool = True) -> Verdict:
    """Judge a call that has ended.

    :param is_calendar_open: what the queue's (else the company's) calendar says of
        the call's start; True where there is no calendar.
    """
    legs = sorted_legs(facts.legs)
    talks = [leg for leg in legs if leg.kind == c.TALK]
    if facts.direction != c.INBOUND:
        return _judge_own_call(facts, legs, talks, rules)
    rings = settle_rings(legs)
    is_lost = bool(talks) and is_lost_after_talk(legs, talks)
    if talks and not is_lost:
        return _verdict(facts, legs, talks, rules, outcome=ANSWERED)
    reason, is_out_of_hours = _reason(facts, legs, rings, is_lost, is_calendar_open)
    return _verdict(
        facts,
        legs,
        talks,
        rules,
        outcome=MISSED if rings else ABANDONED,
        reason=reason,
        is_out_of_hours=is_out_of_hours,
    )


def settle_rings(legs: Iterable[Leg]) -> list[Leg]:
    """The offers to operators, with rings of no length beside a busy phone corrected.

    Returns the ring legs; those corrected have ``result`` *busy*.
    """
    rings = [leg for leg in legs if leg.kind == c.RING]
    if any(leg.result in _REFUSED for leg in rings):
        for leg in rings:
            if (
                leg.result in ("no_answer", "cancelled")
                and leg.ended_at is not None
                and leg.ended_at - leg.started_at < _NO_RING
            ):
                leg.result = "busy"
    return rings


def is_lost_after_talk(legs: list[Leg], talks: list[Leg]) -> bool:
    """Whether the client, after his last talk, was offered to others and lost.

    A queue, a ring or a voicemail box after the talk means that he was passed on and
    nobody took him. Announcements after a talk (a survey) are no loss.
    """
    last = max(talks, key=lambda leg: (leg.ended_at or leg.started_at, leg.started_at))
    if last.ended_at is None:
        return False
    return any(
        _is_step_towards_others(leg)
        and leg.started_at > last.started_at
        and (
            leg.started_at >= last.ended_at - _GRAIN
            # Rung before the operator let go, and on after that.
            or (leg.ended_at or datetime.max) > last.ended_at + _GRAIN
        )
        for leg in legs
    )


def _is_step_towards_others(leg):
    """A step after a talk in which the client waited for somebody, in vain."""
    if leg.kind == c.TRANSFER:
        return leg.result in ("abandoned", "timeout")  # left in the car park
    if leg.kind not in (c.QUEUE, c.RING, c.VOICEMAIL):
        return False
    return leg.result not in (ANSWERED, "elsewhere") or leg.kind == c.VOICEMAIL


def _reason(facts, legs, rings, is_lost, is_calendar_open):
    """First reason of DESIGN 1.1 that applies, and the out-of-hours flag."""
    is_out_of_hours = facts.is_closed or (not rings and not is_calendar_open)
    if facts.given_reason:
        return facts.given_reason, (
            is_out_of_hours or facts.given_reason == "out_of_hours"
        )
    if is_out_of_hours:
        return "out_of_hours", True
    if facts.is_faulted:
        return "disconnected", False
    if is_lost:
        return "lost_in_transfer", False
    if rings:
        return _reason_of_offer(rings), False
    return _reason_without_offer(facts, legs), False


def _reason_of_offer(rings):
    results = {leg.result for leg in rings}
    if any(leg.result == "rejected" and _did_ring(leg) for leg in rings):
        # Pushed away after it had rung: nobody answered a phone that rang.
        return "no_answer"
    if results <= _REFUSED:
        return "busy"
    if results <= _REFUSED | {"unreachable"}:
        return "busy" if results & _REFUSED else "unreachable"
    return "no_answer"


def _did_ring(leg):
    end = leg.ended_at or leg.started_at
    return leg.answered_at is not None or end - leg.started_at >= _NO_RING


def _reason_without_offer(facts, legs):
    visits = [leg for leg in legs if leg.kind == c.QUEUE]
    if visits:
        result = visits[-1].result
        if result in _NO_OPERATORS:
            return "no_operators"
        return "queue_timeout" if result == "timeout" else "queue_hangup"
    if facts.hangup_by != c.SYSTEM or any(leg.kind == c.MENU for leg in legs):
        return "menu_hangup"
    return "unknown"


def _judge_own_call(facts, legs, talks, rules):
    """Outbound and internal calls: answered, or an attempt."""
    outcome = ANSWERED if talks else UNANSWERED
    return _verdict(facts, legs, talks, rules, outcome=outcome)


def _verdict(facts, legs, talks, rules, outcome, reason=None, is_out_of_hours=False):
    first = talks[0] if talks else None
    answered_at = first.started_at if first else None
    talk_seconds = _talk_seconds(talks)
    visits = [leg for leg in legs if leg.kind == c.QUEUE]
    place = _place(legs, talks)
    entry = next(
        (v.position_entry for v in visits if v.position_entry is not None), None
    )
    is_inbound = facts.direction == c.INBOUND
    return Verdict(
        outcome=outcome,
        reason=reason,
        answered_at=answered_at,
        contact_at=_contact_at(talks, talk_seconds, rules),
        wait_seconds=_wait_seconds(facts, answered_at),
        queue_wait_seconds=_queue_wait(visits, facts.ended_at) if visits else None,
        talk_seconds=talk_seconds if facts.is_talk_known else None,
        queue=_queue_of(place, legs, is_lost=reason is not None),
        operator=_operator_of(facts, place, is_inbound),
        agent=place.agent if place and is_inbound else None,
        position_entry=entry,
        position_exit=visits[-1].position_exit if visits else None,
        is_short=reason is not None and _is_short(facts, legs, rules, reason),
        is_out_of_hours=is_out_of_hours,
        is_disconnected=outcome == ANSWERED and bool(facts.is_faulted),
        has_voicemail=bool(facts.has_voicemail) and outcome != ANSWERED,
    )


def _is_short(facts, legs, rules, reason):
    if rules.short_seconds <= 0 or facts.given_up_after is None:
        return False
    if facts.hangup_by != c.CLIENT:
        return False
    if reason in ("out_of_hours", "lost_in_transfer", "no_operators", "disconnected"):
        return False
    if reason in ("busy", "unreachable") and not any(
        leg.kind == c.QUEUE and leg.result == ABANDONED for leg in legs
    ):
        return False  # he hung up on the engaged tone: the company refused him
    return facts.given_up_after < rules.short_seconds


def _talk_seconds(talks):
    if not talks:
        return 0
    if any(leg.ended_at is None for leg in talks):
        return None
    # Operators in a conference talk at the same time: count the union once.
    total, upto = 0.0, None
    for leg in talks:
        start = leg.started_at if upto is None else max(leg.started_at, upto)
        if leg.ended_at > start:
            total += (leg.ended_at - start).total_seconds()
            upto = leg.ended_at
        elif upto is None:
            upto = leg.ended_at
    return round(total)


def _contact_at(talks, talk_seconds, rules):
    """Answer of the client's talk if it lasted long enough to be a contact."""
    if not talks:
        return None
    if talk_seconds is None or talk_seconds >= rules.min_talk_seconds:
        return talks[0].started_at
    return None


def _wait_seconds(facts, answered_at):
    if answered_at is not None:
        if not facts.is_wait_known:
            return None
        return seconds_between(facts.started_at, answered_at)
    if facts.ended_at is None:
        return None
    return seconds_between(facts.started_at, facts.ended_at)


def _queue_wait(visits, ended_at):
    total = 0
    for leg in visits:
        end = leg.answered_at or leg.ended_at or ended_at
        if end is None:
            return None
        total += max(0.0, (end - leg.started_at).total_seconds())
    return round(total)


def _place(legs, talks):
    """The leg that names the operator: who talked last, else who was rung last."""
    if talks:
        return talks[-1]
    rings = [leg for leg in legs if leg.kind == c.RING]
    return rings[-1] if rings else None


def _operator_of(facts, place, is_inbound):
    """Who answered or was rung last; for calls of ours, who called."""
    if not is_inbound and facts.operator:
        return facts.operator
    return place.operator if place else None


def _queue_of(place, legs, is_lost):
    """Where the call was answered or lost."""
    if not is_lost and place is not None and place.kind == c.TALK and place.queue:
        return place.queue
    return last_queue(legs)


def last_queue(legs: Iterable[Leg]) -> str | None:
    """Code of the queue or ring group in which the call was last (legs in order)."""
    queued = [leg.queue for leg in legs if leg.queue and leg.kind != c.TRANSFER]
    return queued[-1] if queued else None
