"""Situations the laboratory does not hold, by cel, cdr and queue_log and parts of them.

The cases are in ``asterisk_cases``: each writes the records of one situation and says
what a supervisor must read of it, and why, where DESIGN leaves it open.
"""

import importlib
import pkgutil
from datetime import timedelta

import asterisk_cases
import pytest
from asterisk_cases.case import ALL, CASES, CEL, ROWS, call_of, records_of, told
from asterisk_cases.pbx import START, Pbx
from asterisk_cases.queues import rings, waiting

from missed_call_crm.providers.asterisk_calls import assemble
from missed_call_crm.providers.asterisk_channel import DialPlan
from missed_call_crm.telephony.call import Rules
from missed_call_crm.telephony.outcome import judge

for _module in pkgutil.iter_modules(asterisk_cases.__path__):
    importlib.import_module(f"asterisk_cases.{_module.name}")

SECONDS = {"wait", "queue_wait", "talk"}
EACH = [(case, tables) for case in CASES for tables in case.expected]


@pytest.mark.parametrize(
    ("case", "tables"), EACH, ids=[f"{c.name}-{'+'.join(t)}" for c, t in EACH]
)
def test_case(case, tables):
    records, judged = records_of(case)
    calls, call = call_of(records, judged, tables)
    assert calls == (case.calls or {}).get(tables, 1)
    found = told(call, case)
    wanted = case.expected[tables]
    checked = {name: value for name, value in wanted.items() if value is not ...}
    for name in SECONDS & checked.keys():
        # Rows hold whole seconds: one more or less at either end.
        if found[name] is not None and abs(found[name] - checked[name]) <= 1:
            del checked[name]
    assert {name: found[name] for name in checked} == checked


def test_names_are_unique():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) > 50


# -- calls in progress ---------------------------------------------------------------

WITH_EVENTS = [case for case in CASES if CEL in case.expected]


def _in_time(records):
    """As they are written: all rows of a channel when it hangs up."""
    ends = {
        one.payload["uniqueid"]: one.occurred_at
        for one in records
        if one.payload.get("eventtype") == "CHAN_END"
    }

    def written_at(one):
        if one.kind != "cdr":
            return one.occurred_at, 0
        return ends.get(one.payload["uniqueid"], one.occurred_at), 1

    return sorted(records, key=written_at)


def _is_ended(case, records, key, tables):
    _calls, call = call_of(records, key, tables)
    if not call:
        return False
    facts = assemble(call, case.plan)
    return facts is not None and facts.is_ended


@pytest.mark.parametrize("case", WITH_EVENTS, ids=[case.name for case in WITH_EVENTS])
def test_a_call_in_progress_has_not_ended(case):
    """Whatever was written so far, the call goes on until its channels are gone.

    Without LINKEDID_END it has ended when the last channel has; that a queue's talk is
    completed ends the call only when the client's channel has ended as well.
    """
    records, key = records_of(case)
    written = _in_time(records)
    key = key or next(one.threads[0] for one in written if one.kind == "cel")
    ends = [
        place
        for place, one in enumerate(written)
        if one.payload.get("eventtype") == "CHAN_END"
    ]
    client = [place for place in ends if written[place].threads[0] == key]
    for place in range(1, ends[-1]):
        assert not _is_ended(case, written[:place], key, CEL)
        if place < client[-1]:
            assert not _is_ended(case, written[:place], key, ALL)
    assert _is_ended(case, written, key, CEL)
    events = [one for one in written if one.payload.get("eventtype") != "LINKEDID_END"]
    assert _is_ended(case, events, key, CEL)


LASTING = frozenset({"ABANDON", "COMPLETECALLER", "COMPLETEAGENT"})


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_queue_log_ends_with_few_events(case):
    """RINGNOANSWER, EXIT*, AGENTDUMP and transfers are no end (DESIGN 3.4)."""
    records, key = records_of(case)
    events = [one for one in _in_time(records) if one.kind == "queue_log"]
    for place in range(1, len(events) + 1):
        is_last = events[place - 1].payload["event"] in LASTING
        assert _is_ended(case, events[:place], key, ("queue_log",)) is is_last


def test_rows_of_pipes_do_not_end_a_call():
    """Rows of members appear while the client's own channel is still up."""
    case = next(case for case in CASES if case.name == "member_behind_a_pipe")
    records, _key = records_of(case)
    rows = [one for one in records if one.kind == "cdr"]
    pipes = [one for one in rows if one.payload["channel"].startswith("Local/")]
    assert pipes and not _is_ended(case, pipes, None, ("cdr",))
    assert _is_ended(case, rows, None, ("cdr",))


# -- restarts ------------------------------------------------------------------------


def _waiting_when_restarted(tables, restart):
    """A client waits in a queue, a phone rings, and nothing more is heard."""
    pbx = Pbx()
    line = waiting(pbx)
    rings(pbx, line, "201", 1.0, 7.0)
    pbx.log(line, 7.0, "sales", "PJSIP/201", "RINGNOANSWER", 6000)
    _calls, call = call_of(pbx.records, None, tables)
    facts = assemble(call, DialPlan(), [START + timedelta(seconds=restart)])
    return facts, judge(facts, Rules())


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL], ids="+".join)
def test_a_restart_cuts_a_waiting_call(tables):
    """QUEUESTART inside the call: it ended then, by a fault."""
    facts, verdict = _waiting_when_restarted(tables, 60)
    assert facts.is_ended and facts.ended_at == START + timedelta(seconds=60)
    assert (verdict.outcome, verdict.reason) == ("missed", "disconnected")
    assert facts.hangup_by == "system" and not verdict.is_short


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL], ids="+".join)
@pytest.mark.parametrize("restart", [-60, 3 * 3600])
def test_a_restart_at_another_time_cuts_nothing(tables, restart):
    """One before the call, and one long after it had fallen silent."""
    facts, _verdict = _waiting_when_restarted(tables, restart)
    assert not facts.is_ended


def test_a_restart_does_not_cut_a_call_that_left_the_queue():
    """The log last heard of the client when the queue let him go: he may be gone."""
    case = next(one for one in CASES if one.name == "queue_limit_without_a_ring")
    records, _key = records_of(case)
    _calls, call = call_of(records, None, ("queue_log",))
    facts = assemble(call, DialPlan(), [START + timedelta(seconds=90)])
    assert not facts.is_ended
    assert judge(facts, Rules()).reason == "queue_timeout"


def test_a_restart_after_the_end_cuts_nothing():
    case = next(one for one in CASES if one.name == "survey_after_the_talk")
    records, _key = records_of(case)
    for tables in (ALL, ROWS, CEL):
        _calls, call = call_of(records, None, tables)
        facts = assemble(call, DialPlan(), [START + timedelta(seconds=90)])
        assert not facts.is_faulted
        assert judge(facts, Rules()).outcome == "answered"


# -- phone systems that log fewer events ---------------------------------------------


def _told_without(name, kinds, apps=(), tables=ALL):
    """What is told of a case without its events of these kinds (or applications)."""
    case = next(one for one in CASES if one.name == name)
    records, key = records_of(case)
    left = [
        one
        for one in records
        if one.payload.get("eventtype") not in kinds
        or (apps and one.payload.get("appname") not in apps)
    ]
    assert len(left) < len(records)
    _calls, call = call_of(left, key, tables)
    return told(call, case), case.expected[ALL]


BRIDGES = ("BRIDGE_ENTER", "BRIDGE_EXIT")
WHOLE = {"outcome", "reason", "talked", "offered", "operator", "queue", "wait"}


@pytest.mark.parametrize("tables", [ALL, ("cel", "cdr")], ids="+".join)
@pytest.mark.parametrize(
    "name",
    [
        "two_queues_answered_in_the_second",
        "survey_after_the_talk",
        "colleagues_of_the_one_who_answered",
        "forwarded_to_a_mobile_that_answers",
        "follow_me_taken_at_the_mobile",
        "passed_to_an_extension_that_does_not_answer",
        "passed_to_an_extension_that_answers",
        "ring_group",
        "freepbx_callback_with_a_dial_prefix",
        "callback_that_was_too_short",
        "colleague_called",
    ],
)
def test_without_bridge_events_the_rows_tell_who_talked(name, tables):
    """cel.conf may leave them out; the phones' answers still come from events."""
    found, wanted = _told_without(name, BRIDGES, tables=tables)
    for field in WHOLE & wanted.keys():
        assert found[field] == wanted[field], field


@pytest.mark.parametrize("tables", [ALL, ("cel", "cdr")], ids="+".join)
@pytest.mark.parametrize(
    "name",
    ["two_queues_answered_in_the_second", "two_queues_given_up_in_the_second",
     "survey_after_the_talk", "queue_becomes_empty_after_a_ring"],
)  # fmt: skip
def test_without_the_queue_application_rows_and_log_tell_of_queues(name, tables):
    """apps=dial,park in cel.conf, as in Asterisk's own sample."""
    kinds = ("APP_START", "APP_END")
    found, wanted = _told_without(name, kinds, ("Queue",), tables)
    for field in WHOLE & wanted.keys():
        assert found[field] == wanted[field], field
