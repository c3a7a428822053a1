# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Calls that an integration pushes: one dict is one call, whole (DESIGN 2).

:func:`read` checks a pushed dict and brings it to one form, so that the same call
told in other words (another offset, keys in another order, blanks) is the same
record. :func:`facts_of` says what it proves. A later push with the same ``call_key``
replaces the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..telephony import call as c
from ..telephony.call import CallFacts, Leg, sorted_legs
from ..telephony.grouping import NO_THREAD
from ..telephony.outcome import REASONS
from .base import RAW_LIMIT, BadSettings, Record, Rejected, _lt, digest
from .provider import Provider
from .push_values import NotAccepted, Values, moment_of, plain, shown, text_of

KIND = "call"
DIRECTIONS = (c.INBOUND, c.OUTBOUND, c.INTERNAL)
PARTIES = (c.CLIENT, c.OPERATOR, c.SYSTEM)
#: Q.850 causes of a call that was cut by a fault (DESIGN 1.1).
FAULTS = frozenset({27, 38, 41, 42, 44, 47})
#: Characters of a call's key and of a queue's or operator's name.
KEY_LIMIT = 200
NAME_LIMIT = 128
MAX_LEGS = 500
#: Characters of one record as JSON.
MAX_RECORD = 262_144

_TIMES = ("started_at", "answered_at", "ended_at")
# Times rounded each on its own may stand in the wrong order by so much.
_GRAIN = timedelta(seconds=2)
# Reasons that say that somebody was offered the call.
_OFFERED = frozenset({"no_answer", "busy", "unreachable", "lost_in_transfer"})
# Reasons that say that nobody was, whatever operator is named.
_NOT_OFFERED = frozenset(
    {"no_operators", "queue_timeout", "queue_hangup", "menu_hangup"}
)
_RING_RESULTS = {"busy": "busy", "unreachable": "unreachable"}
_QUEUE_RESULTS = {"queue_timeout": "timeout", "no_operators": "empty"}


# -- reading ---------------------------------------------------------------------------


def read(pushed: Any) -> Record:
    """The record of one pushed value, its payload in the one form.

    :raises NotAccepted: with a text for who wrote the sender.
    """
    if not isinstance(pushed, Mapping):
        raise NotAccepted(
            _lt("A record must be an object with named values, not %(value)s."),
            value=shown(pushed),
        )
    values = Values(pushed)
    payload = {
        "call_key": _call_key(values),
        "direction": values.need("direction", values.word("direction", DIRECTIONS)),
        "client_number": values.text("client_number"),
        "client_name": values.text("client_name"),
        "our_number": values.text("our_number"),
        "queue": values.identity("queue", NAME_LIMIT),
        "operator": values.identity("operator", NAME_LIMIT),
        "reason": values.word("reason", REASONS),
        "hangup_by": values.word("hangup_by", PARTIES),
        "hangup_cause": values.number("hangup_cause"),
        "recording_url": values.address("recording_url"),
        "voicemail_url": values.address("voicemail_url"),
    }
    moments = _moments(values)
    payload["legs"] = _read_legs(values, pushed.get("legs"), moments["started_at"])
    payload = _complete(payload, moments, pushed, "")
    text = canonical(payload)
    if len(text) > MAX_RECORD:
        raise NotAccepted(
            _lt("The record is larger than %(limit)s characters."), limit=MAX_RECORD
        )
    return Record(
        kind=KIND,
        key=f"{KIND}:{digest(payload['call_key'])}",
        threads=(payload["call_key"],),
        occurred_at=moments["started_at"],
        payload=payload,
        content_hash=digest(text),
    )


def refused(pushed: Any, error: str) -> Rejected:
    """What is kept of a value that :func:`read` did not take."""
    raw = raw_text(pushed)
    payload = {}
    if isinstance(pushed, Mapping) and len(raw) < RAW_LIMIT:
        try:
            payload = plain(pushed, KIND)
        except NotAccepted:
            payload = {}  # it cannot be stored as it is: the text is
    # A line feed: no call's key, of which records' keys are made, holds one.
    key = f"{KIND}:{digest(chr(10) + raw)}"
    return Rejected(KIND, key, raw[:RAW_LIMIT], error, payload)


def raw_text(pushed: Any) -> str:
    """Any value as text, always the same for equal values."""
    try:
        text = canonical(pushed)
    except (TypeError, ValueError, RecursionError):
        text = shown(pushed)
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def canonical(value: Any) -> str:
    """JSON with sorted keys; what is no JSON by its name."""
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=shown
    )


def _call_key(values):
    key = values.need("call_key", values.identity("call_key", KEY_LIMIT))
    if key in NO_THREAD or key.lower() in ("none", "null", "undefined", "nan"):
        raise NotAccepted(
            _lt("call_key must be the call's own id, not %(value)s."), value=shown(key)
        )
    return key


def _moments(values):
    """The times of a call or leg, checked against each other."""
    found = {key: values.moment(key) for key in _TIMES}
    values.need("started_at", found["started_at"])
    for earlier, later in (
        ("started_at", "answered_at"),
        ("started_at", "ended_at"),
        ("answered_at", "ended_at"),
    ):
        if found[earlier] and found[later] and found[later] < found[earlier] - _GRAIN:
            raise NotAccepted(
                _lt("%(later)s is before %(earlier)s."),
                later=values.name(later),
                earlier=values.name(earlier),
            )
    return found


def _read_legs(values, legs, started_at):
    if legs is None:
        return None
    if not isinstance(legs, (list, tuple)):
        raise NotAccepted(_lt("legs must be a list, not %(value)s."), value=shown(legs))
    if len(legs) > MAX_LEGS:
        raise NotAccepted(_lt("legs must be at most %(limit)s steps."), limit=MAX_LEGS)
    return [_read_leg(leg, f"legs[{i}]", started_at) for i, leg in enumerate(legs)]


def _read_leg(leg, name, call_started_at):
    if not isinstance(leg, Mapping):
        raise NotAccepted(
            _lt("%(field)s must be an object with named values, not %(value)s."),
            field=name,
            value=shown(leg),
        )
    values = Values(leg, f"{name}.")
    moments = _moments(values)
    if moments["started_at"] < call_started_at - _GRAIN:
        raise NotAccepted(
            _lt("%(field)s is before the call's started_at."),
            field=values.name("started_at"),
        )
    found = {
        "kind": values.need("kind", values.word("kind", c.LEG_KINDS)),
        "queue": values.identity("queue", NAME_LIMIT),
        "operator": values.identity("operator", NAME_LIMIT),
        "agent": values.identity("agent", NAME_LIMIT),
        "result": values.word("result", c.LEG_RESULTS),
        "position_entry": values.number("position_entry"),
        "position_exit": values.number("position_exit"),
        "hangup_cause": values.number("hangup_cause"),
    }
    return _complete(found, moments, leg, f"{name}.")


def _complete(known, moments, pushed, path):
    """Payload of what was understood and of what nobody here knows."""
    known.update({key: moment and text_of(moment) for key, moment in moments.items()})
    payload = {key: value for key, value in known.items() if value not in (None, [])}
    for key, value in pushed.items():
        if key not in known:
            name = path + key if isinstance(key, str) else shown(key)
            payload.update(plain({key: value}, name))
    return {key: value for key, value in payload.items() if value is not None}


# -- what it proves --------------------------------------------------------------------


def facts_of(payload: Mapping[str, Any]) -> CallFacts:
    """Facts of a call from the payload of its record."""
    started_at, answered_at, ended_at = _times_of(payload)
    direction = payload["direction"]
    is_inbound = direction == c.INBOUND
    facts = CallFacts(
        started_at=started_at,
        direction=direction,
        our_number=payload.get("our_number"),
        operator=None if is_inbound else payload.get("operator"),
        ended_at=ended_at,
        is_ended=ended_at is not None,
        hangup_by=payload.get("hangup_by"),
        hangup_cause=payload.get("hangup_cause"),
        given_reason=payload.get("reason") if is_inbound else None,
        recording=payload.get("recording_url"),
        voicemail=payload.get("voicemail_url"),
        sources=(KIND,),
    )
    if direction != c.INTERNAL:
        facts.client_raw = payload.get("client_number")
        facts.client_name = payload.get("client_name")
    legs = [_leg_of(leg) for leg in payload.get("legs", ())]
    if legs:
        facts.legs = legs + _talks_of_answers(legs, payload)
    elif answered_at is not None:
        facts.legs = [_talk(answered_at, payload)]
    elif is_inbound:
        facts.legs = _legs_of_miss(facts, payload)
    _straighten(facts)
    facts.last_seen_at = _last_seen(facts, answered_at)
    facts.is_faulted = _is_faulted(facts, payload.get("reason"))
    facts.has_voicemail = _has_voicemail(facts, bool(legs))
    facts.given_up_after = _given_up_after(facts)
    return facts


def _times_of(payload):
    found = [payload.get(key) and moment_of(payload[key]) for key in _TIMES]
    started_at, answered_at, ended_at = found
    if ended_at is not None:
        ended_at = max(ended_at, started_at)
    if answered_at is not None:
        answered_at = max(answered_at, started_at)
        if ended_at is not None:
            answered_at = min(answered_at, ended_at)
    return started_at, answered_at, ended_at


def _leg_of(values):
    started_at, answered_at, ended_at = _times_of(values)
    kind, result = values["kind"], values.get("result")
    if kind == c.TALK:
        # Talk begins when the phone is picked up, whatever else the step includes.
        started_at = answered_at = answered_at or started_at
        result = result or "answered"
    elif answered_at is not None:
        result = result or "answered"
    return Leg(
        kind=kind,
        started_at=started_at,
        answered_at=answered_at,
        ended_at=ended_at,
        queue=values.get("queue"),
        operator=values.get("operator"),
        agent=values.get("agent"),
        result=result,
        position_entry=values.get("position_entry"),
        position_exit=values.get("position_exit"),
        hangup_cause=values.get("hangup_cause"),
    )


def _talk(answered_at, payload, leg=None):
    """The talk that an answer means where no step tells of it."""
    return Leg(
        c.TALK,
        started_at=answered_at,
        answered_at=answered_at,
        # A step that goes on after its answer is the talk as well.
        ended_at=leg.ended_at if leg and leg.ended_at != answered_at else None,
        queue=leg.queue if leg else payload.get("queue"),
        operator=(leg.operator if leg else None) or payload.get("operator"),
        agent=leg.agent if leg else None,
        result="answered",
    )


def _talks_of_answers(legs, payload):
    """Talks of senders who tell who picked up but have no steps of kind *talk*."""
    if any(leg.kind == c.TALK for leg in legs):
        return []
    for kind in (c.RING, c.QUEUE):
        answered = [
            leg
            for leg in legs
            if leg.kind == kind and leg.answered_at and leg.result == "answered"
        ]
        if answered:
            return [_talk(leg.answered_at, payload, leg) for leg in answered]
    return []


def _legs_of_miss(facts, payload):
    """The steps that queue, operator and reason mean where no steps were told."""
    queue, operator = payload.get("queue"), payload.get("operator")
    reason = facts.given_reason
    legs = []
    is_offered = reason in _OFFERED or (operator and reason not in _NOT_OFFERED)
    if queue:
        legs.append(
            Leg(
                c.QUEUE,
                facts.started_at,
                queue=queue,
                result=_QUEUE_RESULTS.get(reason, "abandoned")
                if facts.is_ended
                else None,
            )
        )
    if is_offered:
        legs.append(
            Leg(
                c.RING,
                facts.started_at,
                queue=queue,
                operator=operator,
                result=_RING_RESULTS.get(reason, "no_answer")
                if facts.is_ended
                else None,
            )
        )
    return legs


def _straighten(facts):
    """Steps in order, the open ones ended with the call."""
    starts = [leg.started_at for leg in facts.legs]
    facts.started_at = min([facts.started_at, *starts])
    for leg in facts.legs:
        if leg.ended_at is None and facts.ended_at and leg.kind != c.TRANSFER:
            leg.ended_at = max(facts.ended_at, leg.started_at)
        if leg.ended_at is not None:
            leg.ended_at = max(leg.ended_at, leg.started_at)
    facts.legs = sorted_legs(facts.legs)


def _last_seen(facts, answered_at):
    moments = [facts.started_at, facts.ended_at, answered_at]
    for leg in facts.legs:
        moments += [leg.started_at, leg.answered_at, leg.ended_at]
    return max(moment for moment in moments if moment is not None)


def _is_faulted(facts, reason):
    """By the cause of the client's line or of a talk, or by the sender's word."""
    if reason == "disconnected":
        return True
    causes = [facts.hangup_cause]
    causes += [leg.hangup_cause for leg in facts.legs if leg.kind == c.TALK]
    known = {cause for cause in causes if cause is not None}
    return bool(known & FAULTS) if known else None


def _has_voicemail(facts, has_legs):
    if facts.voicemail:
        return True
    if any(leg.kind == c.VOICEMAIL and leg.result == "answered" for leg in facts.legs):
        return True
    return False if has_legs else None


def _given_up_after(facts):
    if facts.hangup_by != c.CLIENT or facts.ended_at is None:
        return None
    entered = [leg.started_at for leg in facts.legs if leg.kind in (c.QUEUE, c.RING)]
    start = min(entered, default=facts.started_at)
    return max(0.0, (facts.ended_at - start).total_seconds())


# -- provider --------------------------------------------------------------------------


class PushProvider(Provider):
    """Calls an integration pushes with ``pbx.backend.ingest``; nothing is pulled."""

    def connect(self):
        raise BadSettings(
            _lt(
                "This phone system pushes its calls to Odoo: there is nothing to "
                "connect to and nothing to pull."
            )
        )

    def assemble(self, records, restarts=()):
        found = [record for record in records if record.kind == KIND]
        if not found:
            return None
        # A call is one record; should there be more, the choice is not by arrival.
        last = max(
            found, key=lambda record: (record.occurred_at, canonical(record.payload))
        )
        return facts_of(last.payload)

    def is_extension(self, number):
        """Whatever the sender calls an operator is one, but for outside numbers."""
        pattern = self.settings.get("extension_pattern")
        if pattern and re.search(pattern, number):
            return True
        return not re.fullmatch(r"[+0-9() \-]{7,}", number)

    def reread(self, kind, payload):
        if set(payload) <= {"raw"}:
            raise NotAccepted(
                _lt("It could not be kept as it came: let the sender push it again.")
            )
        return read(payload)
