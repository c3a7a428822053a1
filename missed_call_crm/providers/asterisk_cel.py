# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Facts of a call from channel event logging, Asterisk's surest source.

CEL sees every channel from its creation to its end, so it alone knows the number
called, calls that nobody's phone rang for, who hung up, and that another phone
answered (hang-up cause 26). It knows nothing of positions in a queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..telephony import call as c
from ..telephony.call import CallFacts, Leg
from .asterisk_cel_events import read_story
from .asterisk_channel import DialPlan, as_int, dial_targets, dialled_number

# Q.850 causes that mean a fault, not a decision of a party (DESIGN 1.1).
FAULTS = frozenset({27, 38, 41, 42, 44, 47})
#: Causes of a dialling that never came to a ring: faults, and congestion.
_FAILURES = FAULTS | {34}
_BUSY, _REJECTED, _ELSEWHERE, _UNREGISTERED = 17, 21, 26, frozenset({3, 20})
#: A queue that lets go of the client within this time never took him in.
_REFUSED_WITHIN = timedelta(seconds=1)
#: A message shorter than this is a hang-up after the tone.
_MIN_MESSAGE = timedelta(seconds=1)
#: Without the tone in the records, a shorter stay in the box heard the greeting only.
MIN_VOICEMAIL = timedelta(seconds=10)
MENU_APPS = frozenset({"BackGround", "Background", "Read", "WaitExten"})
MESSAGE_APPS = frozenset({"Playback", "ControlPlayback", "SayDigits"})
MAILBOX_APPS = frozenset({"VoiceMail", "MiniVM"})
#: Contexts of ring groups, and of voice menus.
GROUP_CONTEXTS = ("ext-group", "ring-group", "ringgroup", "hunt-group")
MENU_CONTEXTS = ("ivr", "menu")
_REFUSALS = frozenset({"BUSY", "CONGESTION", "CHANUNAVAIL", "INVALIDARGS"})
_REFUSING_APPS = frozenset({"Dial", "Busy", "Congestion", "Hangup"})
#: Two events of the same cause are no further apart.
_AT_ONCE = timedelta(seconds=0.5)


def read(events: Sequence, plan: DialPlan, is_alone: bool = True) -> CallFacts | None:
    """Facts from the CEL events of one call.

    :param events: records of kind ``cel`` in chronological order.
    :param is_alone: no other kind of records tells of the call. Then an answered
        phone is taken to talk where the phone system logs no bridges.
    :return: None if no event names a channel.
    """
    story = read_story(events, plan)
    chans = story.close()
    if not chans:
        return None
    reader = _Reader(chans, plan, story.transfers, is_alone)
    facts = CallFacts(
        started_at=chans[0].start,
        direction=reader.direction,
        is_ended=story.is_over,
        is_closed=story.is_closed,
        last_seen_at=events[-1].occurred_at,
        sources=("cel",),
    )
    reader.parties(facts)
    facts.legs = reader.legs()
    reader.ending(facts)
    return facts


def _direction(chans, plan):
    """Direction from the first channel that is an end and not a pipe."""
    lead = chans[0]
    ends = [ch for ch in chans if ch.parsed.kind != "local"]
    if not ends:
        is_inside = plan.is_extension(lead.exten) and plan.is_extension(lead.number)
        return c.INTERNAL if is_inside else None
    has_trunk = any(ch.parsed.kind == "trunk" for ch in ends)
    if lead.parsed.kind == "trunk" and not lead.is_originated:
        return c.INBOUND
    if has_trunk:
        return c.OUTBOUND
    return c.OUTBOUND if _dials_outside(chans, plan) else c.INTERNAL


def _dials_outside(chans, plan):
    """A phone that dialled a number for which no line could be had called out."""
    return any(
        plan.is_outside(dialled_number(target))
        for chan in chans
        if chan.parsed.kind == "device"
        for app in chan.apps
        if app.name == "Dial"
        for target in dial_targets(app.data)
        if not target.startswith("Local/")
    )


class _Reader:
    """Legs and parties of one call from its channels."""

    def __init__(self, chans, plan, transfers, is_alone):
        self.chans = chans
        self.plan = plan
        self.transfers = transfers
        self.is_alone = is_alone
        ends = [ch for ch in chans if ch.parsed.kind != "local"]
        self.first = ends[0] if ends else chans[0]
        self.direction = _direction(chans, plan)
        self.clients = [ch for ch in ends if self._is_client(ch)]
        self.phones = [ch for ch in ends if ch not in self.clients]
        self.pipes = [ch for ch in chans if ch.parsed.kind == "local"]
        self.has_bridges = any(ch.stays for ch in chans)

    def _is_client(self, chan):
        """A line; for a call from outside only one that itself called us."""
        if chan.parsed.kind != "trunk":
            return False
        if self.direction != c.INBOUND or chan is self.first:
            return True
        return bool(chan.apps) and not chan.is_called

    # -- parties ---------------------------------------------------------------

    def parties(self, facts):
        """Client, number called and operator."""
        first = self.first
        if self.direction == c.INBOUND:
            facts.client_raw = first.number
            facts.client_name = first.caller_name
            facts.our_number = first.dialled or (
                first.exten if len(first.exten) > 1 else ""
            )
            return
        device = next((ch for ch in self.phones if ch.parsed.kind == "device"), None)
        if device is not None:
            facts.operator = device.parsed.extension
        if self.direction == c.OUTBOUND:
            facts.client_raw = self._number_called()

    def _number_called(self):
        for chan in self.chans:
            for app in chan.apps:
                if app.name != "Dial":
                    continue
                for target in dial_targets(app.data):
                    number = dialled_number(target)
                    if self.plan.is_outside(number):
                        return number
        candidates = [ch.number for ch in self.clients]
        candidates += [ch.dialled or ch.exten for ch in self.chans]
        usable = (n for n in candidates if n and not self.plan.is_extension(n))
        return next(usable, None)

    # -- legs ------------------------------------------------------------------

    def legs(self):
        legs = self._talks()
        if self.direction == c.INBOUND:
            legs += self._applications()
            legs += self._rings(legs)
            legs += self._parks()
        legs += [Leg(c.TRANSFER, at, at) for at in self.transfers]
        return legs

    def _applications(self):
        """Queues, menus, messages and voicemail the client's channel went through."""
        for chan in self.clients:
            is_in_menu = chan.last_context.lower().startswith(MENU_CONTEXTS)
            for app in chan.apps:
                if app.name == "Queue":
                    yield self._queue(chan, app)
                elif app.name in MAILBOX_APPS:
                    yield Leg(c.VOICEMAIL, app.start, app.end)
                elif app.name in MENU_APPS:
                    is_in_menu = False
                    yield Leg(c.MENU, app.start, app.end)
                elif app.name in MESSAGE_APPS:
                    yield Leg(c.ANNOUNCEMENT, app.start, app.end)
            if is_in_menu:
                # The menu's own application is seldom among those logged.
                ends = [app.end for app in chan.apps if app.end is not None]
                yield Leg(c.MENU, max(ends, default=chan.start), chan.ended)

    def _queue(self, chan, app):
        parts = app.data.split(",")
        leg = Leg(c.QUEUE, app.start, app.end, queue=parts[0] or None)
        talk = self._first_talk_in(chan, app)
        if talk is not None:
            leg.answered_at, leg.result = talk, "answered"
        elif app.end is None:
            leg.result = None
        elif chan.ended is not None and self._gave_up(chan, app.end):
            leg.result = "abandoned"
        elif app.end - app.start < _REFUSED_WITHIN:
            leg.result = "empty"
        else:
            limit = as_int(parts[4]) if len(parts) > 4 else None
            waited = (app.end - app.start).total_seconds()
            leg.result = "timeout" if limit and waited > limit - 2 else "empty"
        return leg

    def _gave_up(self, chan, end):
        """The channel ended with this application, and not by the dial plan."""
        is_last = chan.ended - end < _AT_ONCE
        return is_last and not chan.hangup_source.startswith("dialplan")

    def _first_talk_in(self, chan, app):
        for stay in chan.stays:
            if stay.start >= app.start and (app.end is None or stay.start <= app.end):
                return stay.start
        return None

    def _parks(self):
        """The client waiting in the car park; lost unless somebody took him out."""
        for chan in self.clients:
            for start, end, reason in chan.parks:
                result = "transferred" if "Unparked" in reason else "abandoned"
                if "TimeOut" in reason:
                    result = "timeout"
                yield Leg(c.TRANSFER, start, end, result=result)

    # -- rings -----------------------------------------------------------------

    def _rings(self, talks):
        """One leg for each time a phone was called."""
        offered = [ch for ch in self.phones if not self._is_own_caller(ch)]
        talked = {leg.operator for leg in talks}
        for chan in offered:
            yield self._ring(chan, talked)
        seen = {ch.parsed.extension for ch in offered}
        for chan in self.pipes:
            if chan.parsed.half == 1:
                yield from self._silent_member(chan, offered)
        for chan in self.clients:
            yield from self._not_reached(chan, offered, seen)

    def _is_own_caller(self, chan):
        """A phone that itself called within the call (a consultation)."""
        if chan.is_called:
            return False
        return bool(chan.apps) or (
            chan.exten not in ("", "s") and chan.parsed.kind == "device"
        )

    def _operator(self, chan):
        if chan.parsed.kind == "trunk":
            return chan.number or chan.parsed.peer
        return chan.parsed.extension

    def _ring(self, chan, talked):
        operator = self._operator(chan)
        leg = Leg(c.RING, chan.start, chan.ended, operator=operator)
        leg.queue = self._queue_at(chan.start)
        leg.hangup_cause = chan.cause
        if chan.answered is not None:
            leg.ended_at = chan.answered
            if operator not in talked and self.has_bridges:
                # A mobile's voicemail, an announcement nobody waited for.
                leg.result = "no_answer"
            else:
                leg.answered_at, leg.result = chan.answered, "answered"
            return leg
        leg.result = _ring_result(chan.cause, chan.ended)
        ends = [ch.ended for ch in self.clients if ch.ended is not None]
        if leg.result == "no_answer" and ends and chan.ended is not None:
            if abs(max(ends) - chan.ended) < timedelta(milliseconds=300):
                leg.result = "cancelled"
        return leg

    def _silent_member(self, half, offered):
        """A member's pipe whose phone never rang: busy, or not registered."""
        if not self.plan.is_extension(half.parsed.peer) or self._is_answered(half):
            return
        if any(
            ch.parsed.extension == half.parsed.peer
            and half.start <= ch.start
            and (half.ended is None or ch.start <= half.ended)
            for ch in offered
        ):
            return
        other = next(
            (ch for ch in self.pipes if ch.parsed.base == half.parsed.base
             and ch.parsed.half == 2),
            half,
        )  # fmt: skip
        if half.ended is None or not other.dial_status:
            return
        leg = Leg(c.RING, half.start, half.ended, operator=half.parsed.peer)
        leg.queue = self._queue_at(half.start)
        leg.result = _status_result(other.dial_status, other.cause)
        leg.hangup_cause = other.cause
        yield leg

    def _is_answered(self, half):
        return half.answered is not None or bool(half.stays)

    def _not_reached(self, chan, offered, seen):
        """Extensions dialled for which Asterisk could not even make a channel."""
        for app in chan.apps:
            if app.name != "Dial" or app.end is None:
                continue
            if any(app.start <= ch.start <= app.end for ch in offered):
                continue
            for target in dial_targets(app.data):
                parsed = self.plan.called(target, "Dial", app.data)
                if parsed.kind != "device" or parsed.extension in seen:
                    continue
                leg = Leg(c.RING, app.start, app.end, operator=parsed.extension)
                leg.queue = _group_of(app)
                leg.result = _status_result(chan.dial_status or "CHANUNAVAIL", None)
                leg.hangup_cause = chan.cause
                yield leg

    def _queue_at(self, at):
        """Queue in which the client waited at that instant, else the ring group."""
        for chan in self.clients:
            for app in chan.apps:
                if app.start <= at and (app.end is None or at <= app.end):
                    if app.name == "Queue":
                        return app.data.split(",")[0] or None
                    if app.name == "Dial":
                        return _group_of(app)
        return None

    # -- talks -----------------------------------------------------------------

    def _talks(self):
        """When an operator and the client were joined, through pipes as well."""
        if self.direction == c.INTERNAL:
            return self._internal_talks()
        if not self.has_bridges:
            return self._talks_by_answer()
        return [
            Leg(
                c.TALK,
                start,
                end,
                answered_at=start,
                queue=self._queue_at(start),
                operator=self._operator(phone),
                result="answered",
                hangup_cause=phone.cause,
            )
            for phone in self._operators()
            for start, end in self._joined(phone)
        ]

    def _operators(self):
        return [ch for ch in self.phones if ch.stays]

    def _joined(self, phone):
        """Intervals in which ``phone`` shared a bridge with a client's channel."""
        return _merge(
            found
            for stay in phone.stays
            for found in self._client_times(
                stay.bridge, stay.start, stay.end, {phone.name}
            )
        )

    def _client_times(self, bridge, enter, leave, seen):
        """Client's presence in a bridge, or in one behind the pipes that lead on."""
        for other in self.chans:
            if other.name in seen:
                continue
            for stay in other.stays:
                if stay.bridge != bridge:
                    continue
                start, end = max(enter, stay.start), _earlier(leave, stay.end)
                if end is not None and end < start:
                    continue
                if other in self.clients:
                    yield start, end
                elif other.parsed.kind == "local":
                    yield from self._through(other, start, end, seen | {other.name})

    def _through(self, half, start, end, seen):
        for other in self.pipes:
            if other.parsed.base != half.parsed.base or other.name in seen:
                continue
            for stay in other.stays:
                begin, until = max(start, stay.start), _earlier(end, stay.end)
                if until is None or begin <= until:
                    inner = seen | {other.name}
                    yield from self._client_times(stay.bridge, begin, until, inner)

    def _internal_talks(self):
        caller = self.first
        for stay in caller.stays[:1]:
            other = self._other_end(caller)
            leg = Leg(c.TALK, stay.start, stay.end, operator=other, result="answered")
            leg.answered_at = stay.start
            return [leg]
        return [] if self.has_bridges else self._talks_by_answer()

    def _other_end(self, caller):
        others = [ch for ch in self.phones if ch is not caller and ch.answered]
        return others[0].parsed.extension if others else None

    def _talks_by_answer(self):
        """Without bridge events an answered phone is taken to talk until it hangs up,
        unless other records know better.
        """
        if not self.is_alone:
            return []
        if self.direction == c.OUTBOUND:
            return self._own_talks_by_answer()
        return [
            Leg(c.TALK, ch.answered, ch.ended, answered_at=ch.answered,
                queue=self._queue_at(ch.answered), result="answered",
                operator=self._operator(ch), hangup_cause=ch.cause)
            for ch in self.phones
            if ch.answered and not self._is_own_caller(ch)
        ]  # fmt: skip

    def _own_talks_by_answer(self):
        """Client and operator must both have answered: a dialler calls the client
        before it has an operator for him.
        """
        operators = [ch for ch in self.phones if ch.answered]
        legs = []
        for client in self.clients:
            if not client.answered or not operators:
                continue
            operator = min(operators, key=lambda ch: (ch.answered, ch.name))
            start = max(client.answered, operator.answered)
            legs.append(
                Leg(c.TALK, start, client.ended, answered_at=start, result="answered",
                    operator=self._operator(operator), hangup_cause=client.cause)
            )  # fmt: skip
        return legs

    # -- ending ----------------------------------------------------------------

    def ending(self, facts):
        """When, by whom and how the call ended, and what the client left behind."""
        chan = self.clients[-1] if self.clients else self.first
        ends = [ch.ended for ch in self.clients or [self.first]]
        facts.ended_at = max(ends) if all(ends) else None
        if facts.ended_at is None and facts.is_ended:
            facts.ended_at = max(
                [ch.ended for ch in self.chans if ch.ended] or [facts.last_seen_at]
            )
        facts.hangup_cause = chan.cause
        facts.hangup_by = self._hangup_by(chan, facts.legs)
        facts.is_faulted = self._is_faulted(facts.legs)
        if self.direction == c.INBOUND:
            facts.has_voicemail = self._has_voicemail()
            facts.given_up_after = self._given_up_after(chan, facts)

    def _hangup_by(self, chan, legs):
        if chan.ended is None:
            return None
        if self.direction == c.INBOUND and _is_refused(chan):
            return c.SYSTEM
        sources = {chan.hangup_source}
        if any(leg.kind == c.TALK for leg in legs):
            # With pipes between them only the phone's own channel names the source.
            sources |= {ch.hangup_source for ch in self._operators()}
        for source in sorted(sources):
            if any(source == ch.name for ch in self.clients):
                return c.CLIENT
            if any(source == ch.name for ch in self.phones):
                return c.OPERATOR
        if any(source.startswith("dialplan") for source in sources):
            return c.SYSTEM
        return None

    def _is_faulted(self, legs):
        """Whether a talking channel ended with a fault's cause (DESIGN 1.1).

        The client's channel keeps the cause of the phone it last failed to reach:
        such a cause is no fault of his line.
        """
        talks = [leg.ended_at or leg.started_at for leg in legs if leg.kind == c.TALK]
        if not talks:
            stale = {ch.cause for ch in self.phones}
            return any(
                ch.cause in FAULTS and ch.cause not in stale
                for ch in self.clients
                if ch.answered or ch.stays
            )
        last = max(talks)
        return any(
            ch.cause in FAULTS
            and ch.stays
            and (ch.ended is None or abs(ch.ended - last) <= timedelta(seconds=1))
            for ch in self.clients + self._operators()
        )

    def _has_voicemail(self):
        return any(
            _is_message_left(chan, app)
            for chan in self.clients
            for app in chan.apps
            if app.name in MAILBOX_APPS and app.end is not None
        )

    def _given_up_after(self, chan, facts):
        if facts.hangup_by != c.CLIENT or chan.ended is None:
            return None
        starts = [leg.started_at for leg in facts.legs if leg.kind in (c.QUEUE, c.RING)]
        since = min(starts) if starts else facts.started_at
        return max(0.0, (chan.ended - since).total_seconds())


def _is_refused(chan):
    """The dial plan ended with a dialling that failed: the caller got that signal,
    and it is his channel that names itself as the one that hung up.
    """
    return (
        chan.answered is None
        and chan.dial_status in _REFUSALS
        and bool(chan.apps)
        and chan.apps[-1].name in _REFUSING_APPS
        and chan.apps[-1].end is not None
        and chan.ended - chan.apps[-1].end < _AT_ONCE
    )


def _is_message_left(chan, app):
    """A message begins with the tone; Asterisk 16 does not log the tones."""
    tones = [tone for tone in chan.tones if app.start <= tone <= app.end]
    if tones:
        return app.end - tones[-1] >= _MIN_MESSAGE
    if chan.has_streams:
        return False
    return is_long_enough_for_message(app.data, app.end - app.start)


def _group_of(app):
    """A ring group's number: several phones in one Dial, or its own context."""
    if app.exten in ("", "s"):
        return None
    if app.context.lower().startswith(GROUP_CONTEXTS):
        return app.exten
    return app.exten if len(dial_targets(app.data)) > 1 else None


def _ring_result(cause, ended):
    if ended is None:
        return None
    if cause == _BUSY:
        return "busy"
    if cause == _REJECTED:
        return "rejected"
    if cause == _ELSEWHERE:
        return "elsewhere"
    if cause in _FAILURES:
        return "failed"
    return "unreachable" if cause in _UNREGISTERED else "no_answer"


def _status_result(status, cause):
    """Result of a dialling whose phone has no channel, by DIALSTATUS."""
    if status == "BUSY" or cause == _BUSY:
        return "busy"
    if status in ("CHANUNAVAIL", "INVALIDARGS") or cause in _UNREGISTERED:
        return "unreachable"
    return "failed" if status == "CONGESTION" else "no_answer"


def is_long_enough_for_message(data: str | None, stay: timedelta) -> bool:
    """Whether a stay in ``VoiceMail(box,options)`` outlasts the greeting.

    Option ``s`` skips the instructions, so the tone comes after a moment.
    """
    options = (data or "").split(",")[1:2]
    if options and "s" in options[0]:
        return stay >= timedelta(seconds=3)
    return stay >= MIN_VOICEMAIL


def _earlier(one, other):
    if one is None or other is None:
        return one or other
    return min(one, other)


def _merge(intervals):
    """Union of intervals; None as an end means open."""
    merged = []
    for start, end in sorted(intervals, key=lambda pair: pair[0]):
        if merged and (merged[-1][1] is None or start <= merged[-1][1]):
            if merged[-1][1] is not None:
                last = merged[-1][1]
                merged[-1] = (merged[-1][0], None if end is None else max(last, end))
        else:
            merged.append((start, end))
    return merged
