"""Every call of the laboratory, by each set of tables, against what the phones saw.

With cel or with cdr and queue_log together every call must come out right. A poorer
set of tables cannot tell everything; for each thing it gets wrong or leaves open there
must be an explanation here, and the table printed (``pytest -s``) says how often.
"""

from collections import Counter
from datetime import datetime, timedelta, timezone

import lab
import pytest

from missed_call_crm.providers.asterisk_calls import assemble
from missed_call_crm.telephony import resolution
from missed_call_crm.telephony.outcome import ANSWERED, judge

#: Tables read → calls of which they hold a record.
CALLS_SEEN = {
    ("cel", "cdr", "queue_log"): 101,
    ("cdr", "queue_log"): 99,
    ("cel", "queue_log"): 101,
    ("cel", "cdr"): 101,
    ("cel",): 101,
    ("cdr",): 98,
    ("queue_log",): 71,
}
#: Sets of tables with which every call must come out right.
SURE = [kinds for kinds in CALLS_SEEN if "cel" in kinds or len(kinds) == 2]
POOR = [kinds for kinds in CALLS_SEEN if kinds not in SURE]

#: (tables, field, what came out) → why the records cannot tell. ``unknown`` is a value
#: the assembly leaves open, ``wrong`` one it gives that is not the truth, ``less`` a
#: list that lacks something, ``name`` a member's name in the place of his extension.
WHY = {
    ("cdr", "wait", "unknown"): (
        "the line was up before the queue (Answer), so billsec counts from there and"
        " no column holds when the operator picked up"
    ),
    ("cdr", "reason", "wrong"): (
        "a queue that nobody is in and the PBX's message after it leave one row whose"
        " last application is Hangup: no sign of the queue"
    ),
    ("queue_log", "wait", "unknown"): (
        "EXITWITHTIMEOUT and EXITEMPTY only end the stay in the queue: what came after"
        " them, and when the call ended, stands elsewhere"
    ),
    ("queue_log", "ended", "wrong"): (
        "EXITWITHTIMEOUT and EXITEMPTY are no end of the call (DESIGN 3.4): it counts"
        " as ended when nothing more is heard of it"
    ),
    ("queue_log", "offered", "name"): (
        "the member is written by name; which phone is his stands in cdr and cel"
    ),
    ("queue_log", "answered_by", "name"): (
        "the member is written by name; which phone is his stands in cdr and cel"
    ),
    ("queue_log", "offered", "less"): (
        "phones rung before the queue, and members whose ringing another member's"
        " answer ended, leave no event"
    ),
}
WAIT_TOLERANCE = 2  # seconds: rows hold whole seconds, at both ends of the interval


def _wait(facts, verdict, truth):
    if truth["direction"] != "inbound":
        return None
    true = truth["seconds_to_answer"]
    true = truth["seconds"] if true is None else true
    if verdict.wait_seconds is None:
        return "unknown"
    return None if abs(verdict.wait_seconds - true) <= WAIT_TOLERANCE else "wrong"


def _listed(found, true):
    """What is wrong with a list of operators; several things may be."""
    found, true = set(found), set(true)
    kinds = set()
    if {one for one in found if not one.isdigit()}:
        kinds.add("name")
    if {one for one in found if one.isdigit()} - true:
        kinds.add("wrong")
    if len(found) < len(true):
        kinds.add("less")
    return kinds


def _who(legs, kind):
    return list(
        dict.fromkeys(leg.operator or leg.agent for leg in legs if leg.kind == kind)
    )


def disagreements(facts, verdict, truth, is_cel):
    """Fields in which a call differs from the truth: pairs of field and kind."""
    number = lab.numbers().normalise(facts.client_raw)
    client = number.e164 or None
    if facts.direction == "internal":
        client = None
    is_anonymous = facts.direction == "inbound" and not client
    plain = {
        "direction": facts.direction == truth["direction"],
        "outcome": verdict.outcome == truth["outcome"],
        "reason": verdict.reason == truth["reason"],
        "client": truth["ambiguous"] or client == truth["client"],
        "anonymous": is_anonymous == truth["anonymous"],
        "voicemail": verdict.has_voicemail == truth["has_voicemail"],
        "ended": facts.is_ended,
        "operator": truth["operator"] in (None, facts.operator),
    }
    found = {(name, "wrong") for name, is_right in plain.items() if not is_right}
    if kind := _wait(facts, verdict, truth):
        found.add(("wait", kind))
    offered, answered_by = _who(facts.legs, "ring"), _who(facts.legs, "talk")
    found |= {("offered", kind) for kind in _listed(offered, truth["offered"])}
    if truth["direction"] == "inbound":
        kinds = _listed(answered_by, truth["answered_by"])
        if not kinds and answered_by != truth["answered_by"]:
            kinds = {"order"}
        found |= {("answered_by", kind) for kind in kinds}
    unjudged = set(truth["unjudged"])
    if not is_cel:
        unjudged.update(truth["unjudged_without_cel"])
    return {pair for pair in found if pair[0] not in unjudged}


def compare(kinds):
    """Calls seen by these tables, and id of the call → its disagreements."""
    plan, rules = lab.plan(), lab.rules()
    found = {}
    calls = lab.calls(kinds)
    for key, records in calls.items():
        truth = lab.expected()[key]
        facts = assemble(records, plan)
        verdict = judge(facts, rules)
        wrong = disagreements(facts, verdict, truth, "cel" in kinds)
        if wrong:
            found[truth["id"]] = wrong
    return calls, found


@pytest.mark.parametrize("kinds", SURE, ids="+".join)
def test_every_call_comes_out_right(kinds):
    calls, wrong = compare(kinds)
    assert len(calls) == CALLS_SEEN[kinds]
    assert wrong == {}


@pytest.mark.parametrize("kinds", POOR, ids="+".join)
def test_each_disagreement_of_a_poorer_source_is_explained(kinds):
    """Nothing but what the records cannot tell, and each explanation is needed."""
    calls, wrong = compare(kinds)
    assert len(calls) == CALLS_SEEN[kinds]
    (kind,) = kinds
    explained = {(name, what) for source, name, what in WHY if source == kind}
    met = {pair for found in wrong.values() for pair in found}
    assert met <= explained, "not explained"
    assert explained <= met, "an explanation nothing needs"


def test_table_of_agreement():
    """The table for the documentation; printed with ``pytest -s``."""
    lines = ["", f"{'tables':<22}{'calls':>6}{'right':>7}  what they cannot tell"]
    for kinds in CALLS_SEEN:
        calls, wrong = compare(kinds)
        lines.append(
            f"{'+'.join(kinds):<22}{len(calls):>6}{len(calls) - len(wrong):>7}"
        )
        counts = Counter(pair for found in wrong.values() for pair in found)
        for (name, kind), times in sorted(counts.items()):
            why = WHY[(*kinds, name, kind)]
            lines.append(f"{'':<22}{'':>6}{times:>7}  {name} {kind}: {why}")
    missing = len(lab.expected()) - CALLS_SEEN["cdr",]
    lines.append(f"{missing} calls left no cdr row: never answered, no phone dialled.")
    print("\n".join(lines))
    assert len(lab.expected()) == CALLS_SEEN["cel",]


def test_missing_calls_are_those_the_laboratory_names():
    """A call without cdr and queue_log rows can only be seen through cel."""
    for kinds, column in ((("cdr",), "cdr"), (("queue_log",), "queue_log")):
        without = {
            k for k, truth in lab.expected().items() if not truth["rows"][column]
        }
        assert set(lab.expected()) - set(lab.calls(kinds)) == without


# -- resolution --------------------------------------------------------------------


def _resolved(kinds):
    """Call key → resolution of each miss, from the calls these tables show."""
    plan, rules, found = lab.plan(), lab.rules(), lab.settings()
    misses, contacts = [], []
    window = timedelta(hours=found["fix_window_hours"])
    for key, records in lab.calls(kinds).items():
        facts = assemble(records, plan)
        verdict = judge(facts, rules)
        number = lab.numbers().normalise(facts.client_raw).e164
        if facts.direction == "internal":
            continue
        if verdict.contact_at is not None and number:
            contacts.append(
                resolution.Contact(
                    call=key,
                    number=number,
                    at=verdict.contact_at,
                    is_outbound=facts.direction == "outbound",
                    order=key,
                )
            )
        if facts.direction == "inbound" and verdict.outcome != ANSWERED:
            misses.append(
                resolution.Miss(
                    call=key,
                    numbers=[number] if number else [],
                    started_at=facts.started_at,
                    deadline_at=(facts.ended_at or facts.last_seen_at) + window,
                    is_ignored=not number,
                )
            )
    now = datetime.fromisoformat(found["judged_at"]).astimezone(timezone.utc)
    known = resolution.Contacts(contacts)
    return {
        miss.call: resolution.resolve(miss, known, now.replace(tzinfo=None))
        for miss in misses
    }


@pytest.mark.parametrize("kinds", SURE, ids="+".join)
def test_what_became_of_every_miss(kinds):
    """Calls back and further calls of the client fix what they should, nothing else."""
    resolved = _resolved(kinds)
    seen = lab.calls(kinds)
    judged = {
        key: (truth["resolution"], truth["fixed_by"])
        for key, truth in lab.expected().items()
        if truth["resolution"] and not truth["ambiguous"] and key in seen
    }
    got = {key: (one.state, one.fixed_by) for key, one in resolved.items()}
    assert {key: got[key] for key in judged} == judged
    assert len([one for one in judged.values() if one[0] == "fixed"]) > 5
