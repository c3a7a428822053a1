"""A case: the records of one situation, and what a supervisor must read of it."""

from dataclasses import dataclass, field

from missed_call_crm.providers.asterisk_calls import assemble
from missed_call_crm.providers.asterisk_channel import DialPlan
from missed_call_crm.telephony.call import Rules
from missed_call_crm.telephony.grouping import group
from missed_call_crm.telephony.outcome import judge

from .pbx import Pbx

ALL = ("cel", "cdr", "queue_log")
ROWS = ("cdr", "queue_log")
CEL = ("cel",)

CASES = []


@dataclass(frozen=True)
class Case:
    """One situation.

    :ivar write: writes the records; returns nothing, or the channel of the call that
        is judged where it is not the oldest.
    :ivar expected: field → value, by the set of tables read.
    """

    name: str
    write: object
    expected: dict
    rules: Rules
    plan: DialPlan
    pbx: dict = field(default_factory=dict)
    calls: dict | None = None


def case(expected, rows=None, cel=None, *, rules=None, plan=None, pbx=None, calls=None):
    """Declare a case.

    :param expected: what all three tables, cdr+queue_log, and cel alone must give.
    :param rows, cel: what differs with cdr+queue_log and with cel alone; the value
        ``...`` is not judged, ``False`` for the whole: these tables hold nothing.
    :param calls: tables → number of calls the records make; one by default.
    """

    def declare(write):
        by_tables = {ALL: expected}
        for tables, differing in ((ROWS, rows), (CEL, cel)):
            if differing is not False:
                by_tables[tables] = expected | (differing or {})
        CASES.append(
            Case(
                write.__name__, write, by_tables, rules or Rules(),
                plan or DialPlan(), pbx or {}, calls,
            )
        )  # fmt: skip
        return write

    return declare


def records_of(found: Case):
    """The case's records and the id of the call that is judged."""
    pbx = Pbx(**found.pbx)
    judged = found.write(pbx)
    first = judged.uniqueid if judged else None
    return pbx.records, first


def call_of(records, key, tables):
    """Number of calls, and the records of the judged one (the oldest if no key)."""
    calls = group((one, one.threads) for one in records if one.kind in tables)
    if not calls:
        return 0, []
    for found in calls.values():
        if key is not None and any(key in one.threads for one in found):
            return len(calls), found
    return len(calls), next(iter(calls.values())) if key is None else []


def told(records, found: Case, is_open=True) -> dict:
    """What the product tells of a call, in the words of DESIGN 1."""
    facts = assemble(records, found.plan)
    verdict = judge(facts, found.rules, is_open)
    talked = dict.fromkeys(
        leg.operator or leg.agent for leg in facts.legs if leg.kind == "talk"
    )
    rings = [leg for leg in facts.legs if leg.kind == "ring"]
    return {
        "direction": facts.direction,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "client": facts.client_raw,
        "name": facts.client_name,
        "our_number": facts.our_number,
        "offered": {leg.operator or leg.agent for leg in rings},
        "results": {(leg.operator or leg.agent): leg.result for leg in rings},
        "talked": list(talked),
        "operator": verdict.operator or verdict.agent,
        "queue": verdict.queue,
        "queues": [leg.queue for leg in facts.legs if leg.kind == "queue"],
        "kinds": [leg.kind for leg in facts.legs],
        "ended": facts.is_ended,
        "hangup_by": facts.hangup_by,
        "hangup_cause": facts.hangup_cause,
        "short": verdict.is_short,
        "voicemail": verdict.has_voicemail,
        "disconnected": verdict.is_disconnected,
        "out_of_hours": verdict.is_out_of_hours,
        "contact": verdict.contact_at is not None,
        "wait": verdict.wait_seconds,
        "queue_wait": verdict.queue_wait_seconds,
        "talk": verdict.talk_seconds,
        "positions": (verdict.position_entry, verdict.position_exit),
        "recording": facts.recording,
    }
