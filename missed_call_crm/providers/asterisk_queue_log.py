# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Facts of a call from Asterisk's queue log.

The queue log alone knows positions and, together with the phones' names, when an
operator took the client out of the queue. It knows nothing of ring groups, direct
calls, closed hours and queues that refused the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..telephony import call as c
from ..telephony.call import CallFacts, Leg
from .asterisk_channel import DialPlan, as_int

_COMPLETED = frozenset({"COMPLETECALLER", "COMPLETEAGENT"})
_TRANSFERRED = frozenset({"BLINDTRANSFER", "ATTENDEDTRANSFER", "TRANSFER"})
#: Events that close a queue visit without an answer: event → (result, offset of the
#: position in the data columns).
_EXITS = {
    "ABANDON": ("abandoned", 0),
    "EXITWITHTIMEOUT": ("timeout", 0),
    "EXITEMPTY": ("empty", 0),
    "EXITWITHKEY": ("cancelled", 1),
    "WITHDRAW": ("cancelled", 0),
}
_REFUSALS = {"FULL": "full", "JOINEMPTY": "empty", "JOINUNAVAIL": "empty"}


def read(events: Sequence, plan: DialPlan) -> CallFacts | None:
    """Facts from the queue log events of one call, in chronological order."""
    if not events:
        return None
    reader = _Reader(plan)
    for event in events:
        reader.take(event.payload, event.occurred_at)
    return reader.facts(events)


def _data(row):
    """The six values an event may have; a table of five columns glues the last two."""
    get = row.get
    data = [
        get("data1", ""), get("data2", ""), get("data3", ""),
        get("data4", ""), get("data5", ""), get("data6", ""),
    ]  # fmt: skip
    if "|" in data[4]:
        data[4:] = data[4].split("|", 1)
    return data


def _numbers_of_transfer(event, data):
    """Hold time, talk time and position at entry, after what the transfer went to."""
    start = 3 if event == "ATTENDEDTRANSFER" and data[0] == "LINK" else 2
    return [as_int(value) for value in data[start : start + 3]]


class _Reader:
    """Walks the events; at any moment at most one visit a queue is open."""

    def __init__(self, plan):
        self.plan = plan
        self.legs: list[Leg] = []
        self.visits: dict[str, Leg] = {}
        self.talks: dict[str, Leg] = {}
        self.client = self.name = self.our_number = None
        self.hangup_by = None
        self.is_faulted = False
        self.first_visit = None
        self.given_up_at = None

    def take(self, row, at):
        event = row.get("event", "")
        queue = row.get("queuename") or None
        data = _data(row)
        agent = row.get("agent") or "NONE"
        if event == "DID":
            self.our_number = data[0]
        elif event == "ENTERQUEUE":
            self._enter(queue, data, at)
        elif event in _EXITS:
            self._exit(queue, event, data, at)
        elif event in _REFUSALS:
            self._visit(queue, at).result = _REFUSALS[event]
        elif event in ("RINGNOANSWER", "RINGCANCELED"):
            self._rang(queue, agent, event, data, at)
        elif event == "CONNECT":
            self._connect(queue, agent, data, at)
        elif event in _COMPLETED or event in _TRANSFERRED:
            self._complete(queue, agent, event, data, at)
        elif event == "AGENTDUMP":
            self._dump(queue, agent, at)
        elif event == "SYSCOMPAT":
            self.is_faulted = True
            self._offer(queue, agent, at, at, "failed")

    def _visit(self, queue, at):
        visit = self.visits.get(queue)
        if visit is None:
            visit = Leg(c.QUEUE, at, queue=queue)
            self.visits[queue] = visit
            self.legs.append(visit)
            self.first_visit = self.first_visit or visit
        return visit

    def _enter(self, queue, data, at):
        self.visits.pop(queue, None)
        visit = self._visit(queue, at)
        visit.position_entry = as_int(data[2])
        if data[1] and not self.client:
            self.client = data[1]
        if data[3] and not self.name:
            # With log-caller-id-name the name follows the position (Asterisk 18+).
            self.name = data[3]

    def _exit(self, queue, event, data, at):
        visit = self._visit(queue, at)
        result, offset = _EXITS[event]
        visit.result, visit.ended_at = result, at
        visit.position_exit = as_int(data[offset])
        if visit.position_entry is None:
            visit.position_entry = as_int(data[offset + 1])
        self.visits.pop(queue, None)
        self.talks.pop(queue, None)
        if event == "ABANDON":
            self.hangup_by, self.given_up_at = c.CLIENT, at

    def _offer(self, queue, agent, start, end, result):
        leg = Leg(c.RING, start, end, queue=queue, result=result)
        leg.operator, leg.agent = self._who(agent)
        self.legs.append(leg)
        return leg

    def _who(self, agent):
        """Extension and name of a member; the name only where it is no extension."""
        operator = self.plan.agent_extension(agent)
        return operator, agent if operator is None and agent != "NONE" else None

    def _rang(self, queue, agent, event, data, at):
        rang_ms = as_int(data[0])
        start = at - timedelta(milliseconds=max(0, rang_ms or 0))
        if event == "RINGCANCELED":
            result = "cancelled"
        else:
            # A phone that refused at once is written with a ring of 0 ms.
            result = "busy" if rang_ms == 0 else "no_answer"
        self._offer(queue, agent, start, at, result)

    def _connect(self, queue, agent, data, at):
        visit = self._visit(queue, at)
        hold, ring = as_int(data[0]), as_int(data[2])
        if hold is not None and visit.started_at == at and hold > 0:
            visit.started_at = at - timedelta(seconds=hold)
        visit.answered_at = visit.ended_at = at
        visit.result = "answered"
        start = at - timedelta(seconds=max(0, ring or 0))
        ring_leg = self._offer(queue, agent, start, at, "answered")
        ring_leg.answered_at = at
        talk = Leg(c.TALK, at, answered_at=at, queue=queue, result="answered")
        talk.operator, talk.agent = ring_leg.operator, ring_leg.agent
        self.talks[queue] = talk
        self.legs.append(talk)

    def _complete(self, queue, agent, event, data, at):
        talk = self.talks.pop(queue, None)
        visit = self.visits.pop(queue, None)
        if event in _COMPLETED:
            hold, talked, entry = (as_int(value) for value in data[:3])
            self.hangup_by = c.CLIENT if event == "COMPLETECALLER" else c.OPERATOR
        else:
            hold, talked, entry = _numbers_of_transfer(event, data)
            self.hangup_by = None
            self.legs.append(Leg(c.TRANSFER, at, at, queue=queue))
        if talk is None:
            # The row of the answer is missing: the end still proves a talk.
            start = at - timedelta(seconds=max(0, talked or 0))
            talk = Leg(c.TALK, start, answered_at=start, queue=queue, result="answered")
            talk.operator, talk.agent = self._who(agent)
            self.legs.append(talk)
            if visit is None:
                visit = Leg(c.QUEUE, start - timedelta(seconds=max(0, hold or 0)))
                visit.queue = queue
                self.legs.append(visit)
            visit.answered_at = visit.ended_at = start
            visit.result = "answered"
        talk.ended_at = at
        if event in _TRANSFERRED:
            talk.result = "transferred"
        if visit is not None and visit.position_entry is None:
            visit.position_entry = entry

    def _dump(self, queue, agent, at):
        """The operator hung up on the announcement: no talk, the client waits on."""
        talk = self.talks.pop(queue, None)
        if talk is None:
            # He had picked up before he put down again: his phone did ring.
            self._offer(queue, agent, at, at, "rejected").answered_at = at
            return
        self.legs.remove(talk)
        visit = self.visits.get(queue)
        if visit is not None:
            visit.answered_at = visit.ended_at = visit.result = None

    def facts(self, events):
        last = events[-1]
        last_event = last.payload.get("event", "")
        is_ended = last_event == "ABANDON" or last_event in _COMPLETED
        facts = CallFacts(
            started_at=min([leg.started_at for leg in self.legs]
                           + [events[0].occurred_at]),
            direction=c.INBOUND,
            client_raw=self.client,
            client_name=self.name,
            our_number=self.our_number,
            ended_at=last.occurred_at if is_ended else None,
            is_ended=is_ended,
            hangup_by=self.hangup_by if is_ended else None,
            is_faulted=True if self.is_faulted else None,
            last_seen_at=last.occurred_at,
            legs=self.legs,
            sources=("queue_log",),
        )  # fmt: skip
        if is_ended and self.given_up_at and self.first_visit is not None:
            waited = self.given_up_at - self.first_visit.started_at
            facts.given_up_after = max(0.0, waited.total_seconds())
        if self.client and self.plan.is_extension(self.client):
            facts.direction, facts.operator = c.INTERNAL, self.client
            facts.client_raw = None
        return facts
