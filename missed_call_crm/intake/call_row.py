# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""A call as a row: what its facts, its verdict and people's decisions make of it."""

from ..telephony import call as c
from ..telephony.call import Rules
from ..telephony.grouping import call_key
from ..telephony.outcome import ABANDONED, MISSED, last_queue
from ..telephony.resolution import DISMISSED, Contact, Miss

#: Column → PostgreSQL type of everything the intake writes on a call.
UPDATE_TYPES = {
    "id": "bigint",
    "company_id": "integer",
    "backend_id": "integer",
    "call_key": "text",
    "direction": "text",
    "outcome": "text",
    "reason": "text",
    "started_at": "timestamp",
    "answered_at": "timestamp",
    "ended_at": "timestamp",
    "wait_seconds": "integer",
    "queue_wait_seconds": "integer",
    "talk_seconds": "integer",
    "is_open": "boolean",
    "end_seen_at": "timestamp",
    "judge_at": "timestamp",
    "hangup_by": "text",
    "hangup_cause": "text",
    "is_short": "boolean",
    "is_anonymous": "boolean",
    "is_out_of_hours": "boolean",
    "has_voicemail": "boolean",
    "is_disconnected": "boolean",
    "not_reached": "boolean",
    "from_history": "boolean",
    "client_number": "text",
    "client_number_raw": "text",
    "client_key": "text",
    "client_name": "text",
    "number_type": "text",
    "our_number": "text",
    "partner_id": "integer",
    "partner_is_ambiguous": "boolean",
    "lead_id": "integer",
    "queue_id": "integer",
    "user_id": "integer",
    "extension_id": "integer",
    "agent": "text",
    "position_entry": "integer",
    "position_exit": "integer",
    "recording_url": "text",
    "voicemail_url": "text",
    "fix_window_hours": "double precision",
    "window_start": "text",
    "short_seconds": "integer",
    "min_talk_seconds": "integer",
    "deadline_at": "timestamp",
    "resolution": "text",
    "contact_at": "timestamp",
    "fixed_by": "text",
    "fix_call_id": "integer",
    "fix_is_shared": "boolean",
    "fixed_at": "timestamp",
    "callback_id": "integer",
}
COLUMNS = tuple(UPDATE_TYPES)
LEG_COLUMNS = (
    "call_id",
    "company_id",
    "sequence",
    "kind",
    "queue_id",
    "extension_id",
    "user_id",
    "agent",
    "started_at",
    "answered_at",
    "ended_at",
    "result",
    "position_entry",
    "position_exit",
    "hangup_cause",
)
# Names and numbers of callers are third-party text of any length.
_TEXT_LIMIT = 256
# A part of an address leads nowhere.
_URL_LIMIT = 2048


class CallRow:
    """One call of the batch on its way into the database.

    :param before: the row the database holds of this call (column → value), or None.
    :param others: rows of calls that turned out to be part of this one.
    """

    __slots__ = (
        "before",
        "context",
        "facts",
        "group",
        "is_new",
        "is_todays",
        "rules",
        "rule",
        "verdict",
        "_values",
    )

    def __init__(self, context, group, facts, before=None, others=()):
        self.context = context
        self.group = group
        self.facts = facts
        self.before = before
        self.is_new = before is None
        self.rule = self.rules = self.verdict = None
        values = dict.fromkeys(COLUMNS)
        values["id"] = before["id"] if before else None
        values["company_id"] = context.company_id
        values["backend_id"] = context.backend_id
        values["call_key"] = call_key(group.threads)
        values["direction"] = facts.direction
        values["started_at"] = facts.started_at
        values["is_open"] = True
        for flag in (
            "is_short",
            "is_anonymous",
            "is_out_of_hours",
            "has_voicemail",
            "is_disconnected",
            "partner_is_ambiguous",
            "fix_is_shared",
            "from_history",
        ):
            values[flag] = False
        values["recording_url"] = _cut(facts.recording, _URL_LIMIT)
        values["voicemail_url"] = _cut(facts.voicemail, _URL_LIMIT)
        self._values = values
        self._keep_decisions(before, others)
        self._set_number()

    def _keep_decisions(self, before, others):
        """What people and later stages decided survives every rebuild."""
        known = [row for row in (before, *others) if row]
        values = self._values
        values["not_reached"] = any(row["not_reached"] for row in known)
        for column in ("callback_id", "lead_id"):
            values[column] = next((row[column] for row in known if row[column]), None)
        if any(row["resolution"] == DISMISSED for row in known):
            values["resolution"] = DISMISSED

    def _set_number(self):
        facts, values = self.facts, self._values
        values["client_number_raw"] = _cut(facts.client_raw)
        values["client_name"] = _cut(facts.client_name)
        values["our_number"] = _cut(facts.our_number)
        if facts.direction == c.INTERNAL:
            return
        number, is_hidden = self.context.client(facts.client_raw)
        if is_hidden:
            values["is_anonymous"] = facts.direction == c.INBOUND
            values["number_type"] = "unknown"
            return
        values["client_key"] = _cut(number.key)
        values["client_number"] = _cut(number.key)
        values["number_type"] = number.number_type
        if facts.our_number:
            ours = self.context.plan.normalise(facts.our_number)
            values["our_number"] = _cut(ours.e164 or facts.our_number)

    # -- columns other parts ask for ------------------------------------------

    def _column(name):
        return property(
            lambda self: self._values[name],
            lambda self, value: self._values.__setitem__(name, value),
        )

    id = _column("id")
    started_at = _column("started_at")
    client_key = _column("client_key")
    contact_at = _column("contact_at")
    is_open = _column("is_open")
    from_history = _column("from_history")
    end_seen_at = _column("end_seen_at")
    del _column

    # -- judging ------------------------------------------

    def queue_code(self):
        """Queue by whose rules the call is judged: where it last waited or rang."""
        return last_queue(self.facts.legs)

    def choose_rule(self, rule, todays=False):
        """Rules of the call: those stored when it was first judged, else ``rule``."""
        before = self.before
        self.rule, self.rules = rule, rule.rules
        self.is_todays = todays
        values = self._values
        values["fix_window_hours"] = rule.fix_window_hours
        values["window_start"] = rule.window_start
        if (
            not todays
            and before
            and not before["is_open"]
            and before["short_seconds"] is not None
            and rule.id in (before["queue_id"], None)
        ):
            self.rules = Rules(before["short_seconds"], before["min_talk_seconds"])
            if before["fix_window_hours"]:
                values["fix_window_hours"] = before["fix_window_hours"]
                values["window_start"] = before["window_start"]
        values["short_seconds"] = self.rules.short_seconds
        values["min_talk_seconds"] = self.rules.min_talk_seconds
        return rule

    def leave_open(self, judge_at):
        """The call has not ended or settled: no judgement, look again at that time."""
        values = self._values
        values["is_open"] = True
        values["judge_at"] = judge_at
        values["resolution"] = None
        values["ended_at"] = self.facts.ended_at

    def set_verdict(self, verdict):
        """Take over the judge's verdict; compute the deadline of a miss."""
        self.verdict = verdict
        facts, values, context = self.facts, self._values, self.context
        values.update(
            is_open=False,
            judge_at=None,
            outcome=verdict.outcome,
            reason=verdict.reason,
            answered_at=verdict.answered_at,
            ended_at=facts.ended_at,
            wait_seconds=verdict.wait_seconds,
            queue_wait_seconds=verdict.queue_wait_seconds,
            talk_seconds=verdict.talk_seconds,
            hangup_by=facts.hangup_by,
            hangup_cause=_text(facts.hangup_cause),
            is_short=verdict.is_short,
            is_out_of_hours=verdict.is_out_of_hours,
            has_voicemail=verdict.has_voicemail,
            is_disconnected=verdict.is_disconnected,
            contact_at=verdict.contact_at if facts.direction != c.INTERNAL else None,
            position_entry=verdict.position_entry,
            position_exit=verdict.position_exit,
        )
        queue = context.queue_rule(verdict.queue)
        values["queue_id"] = queue.id
        entry, agent = self._person(verdict.operator, verdict.agent)
        values["extension_id"] = entry.id if entry else None
        values["user_id"] = entry.user_at(facts.started_at) if entry else None
        values["agent"] = agent
        if not self.is_miss:
            values["resolution"] = None
            values["fix_window_hours"] = values["window_start"] = None
            return
        values["deadline_at"] = self._deadline()

    @property
    def is_miss(self):
        """An inbound call in which the client did not get to talk to an operator."""
        values = self._values
        return not values["is_open"] and values["outcome"] in (MISSED, ABANDONED)

    def _deadline(self):
        """Stored deadlines stay where they are unless the miss itself changed."""
        before, values = self.before, self._values
        same = ("ended_at", "fix_window_hours", "window_start")
        if (
            before
            and not self.is_todays
            and before["deadline_at"]
            and all(before[name] == values[name] for name in same)
        ):
            return before["deadline_at"]
        return self.context.hours.deadline(
            self.rule.calendar_id,
            values["ended_at"],
            values["fix_window_hours"],
            values["window_start"],
        )

    # -- clients and resolution ------------------------------------------

    def set_client(self, clients):
        """Contact and lead of the client's number."""
        values, key = self._values, self._values["client_key"]
        if not key:
            values["lead_id"] = None
            return
        values["partner_id"], values["partner_is_ambiguous"] = clients.partner(key)
        if not values["lead_id"] and not values["partner_is_ambiguous"]:
            values["lead_id"] = clients.lead(key, values["partner_id"])

    def miss(self, numbers):
        """This miss as the resolution wants it."""
        values = self._values
        return Miss(
            call=values["id"],
            numbers=numbers,
            started_at=values["started_at"],
            deadline_at=values["deadline_at"],
            is_ignored=self._is_ignored(),
            is_dismissed=values["resolution"] == DISMISSED,
        )

    def _is_ignored(self):
        values, context = self._values, self.context
        return bool(
            values["is_short"]
            or not values["client_key"]
            or values["reason"] in context.ignored_reasons
            or context.is_excluded(values["client_key"])
            or (self.rule.is_mobile_only and values["number_type"] == "fixed")
        )

    def contact(self):
        """This call's talk as the contact that may fix misses."""
        values = self._values
        return Contact(
            call=values["id"],
            number=values["client_key"],
            at=values["contact_at"],
            is_outbound=values["direction"] == c.OUTBOUND,
            order=values["call_key"],
        )

    @property
    def is_contact(self):
        """Whether client and operator talked, and nobody said it was not the client."""
        values = self._values
        return bool(
            values["contact_at"] and values["client_key"] and not values["not_reached"]
        )

    def set_resolution(self, state, fixed_by, fix_call_id, fixed_at, is_shared):
        """What became of this miss."""
        self._values.update(
            resolution=state,
            fixed_by=fixed_by,
            fix_call_id=fix_call_id,
            fixed_at=fixed_at,
            fix_is_shared=is_shared,
        )

    # -- writing ------------------------------------------

    def values(self):
        """Values in the order of ``COLUMNS``."""
        return self._values.values()

    def changes(self):
        """All columns as a dict, or None if the database holds the same already."""
        before, values = self.before, self._values
        if all(_same(values[name], before[name]) for name in COLUMNS):
            return None
        return dict(values)

    def leg_rows(self):
        """Rows of the steps, in the order of ``LEG_COLUMNS``."""
        call_id, company_id = self._values["id"], self._values["company_id"]
        context = self.context
        for sequence, leg in enumerate(self.facts.legs, start=1):
            entry, agent = self._person(leg.operator, leg.agent)
            yield (
                call_id,
                company_id,
                sequence,
                leg.kind,
                context.queue_rule(leg.queue).id,
                entry.id if entry else None,
                entry.user_at(leg.started_at) if entry else None,
                agent,
                leg.started_at,
                leg.answered_at,
                leg.ended_at,
                leg.result,
                leg.position_entry,
                leg.position_exit,
                leg.hangup_cause,
            )

    def _person(self, operator, agent):
        """Directory entry of an operator, and his name where there is no entry."""
        if not operator and not agent:
            return None, None
        entry = self.context.extension(operator, agent)
        if entry is not None:
            return entry, _cut(agent)
        return None, _cut(agent or operator)


def _text(value):
    """A number as text; None stays None, 0 is a value."""
    return None if value is None else str(value)


def _cut(value, limit=_TEXT_LIMIT):
    """Text of a record, cut to what a screen can show; None for nothing."""
    if not value:
        return None
    return value[:limit]


def _same(new, old):
    """Whether a computed value is what the database holds (NULL reads as False)."""
    return new == old or (not new and not old and type(new) is not int)
