"""What holds for the assembly of every call, also of one that makes no sense."""

import json
import os
from collections import Counter
from datetime import timedelta
from itertools import chain, combinations

import lab
import pytest
from asterisk_cases.pbx import START, Pbx, Record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_asterisk_cases import CASES, records_of

from missed_call_crm.providers.asterisk_calls import assemble
from missed_call_crm.providers.asterisk_channel import DialPlan
from missed_call_crm.telephony import outcome
from missed_call_crm.telephony.call import LEG_KINDS, LEG_RESULTS, Rules, sorted_legs
from missed_call_crm.telephony.grouping import group

PLAN = DialPlan()
RULES = Rules()
CALLS = {**lab.calls()}
for _case in CASES:
    CALLS[_case.name] = records_of(_case)[0]
#: A search of some hours: ``EXAMPLES=20000``.
LARGE = settings(
    max_examples=int(os.environ.get("EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def seen(records, restarts=()):
    """Everything that is told of a call, in a form that can be compared."""
    facts = assemble(records, PLAN, restarts)
    if facts is None:
        return None
    verdict = outcome.judge(facts, RULES)
    return repr(facts), repr(verdict)


def check(records, restarts=()):
    """What must hold for facts and verdict of any records."""
    facts = assemble(records, PLAN, restarts)
    if facts is None:
        return None
    verdict = outcome.judge(facts, RULES)
    assert facts.direction in ("inbound", "outbound", "internal")
    if facts.direction == "inbound":
        assert verdict.outcome in ("answered", "missed", "abandoned")
        assert (verdict.reason is None) == (verdict.outcome == "answered")
        assert verdict.reason is None or verdict.reason in outcome.REASONS
    else:
        assert verdict.outcome in ("answered", "unanswered")
        assert verdict.reason is None and not verdict.is_short
    if verdict.outcome == "answered":
        assert verdict.answered_at is not None and not verdict.is_short
        assert not verdict.has_voicemail
    if verdict.contact_at is not None:
        assert any(leg.kind == "talk" for leg in facts.legs)
    if verdict.outcome == "missed":
        assert any(leg.kind == "ring" for leg in facts.legs)
    if verdict.is_short:
        assert facts.hangup_by == "client"
    check_times(facts, verdict)
    return facts


def check_times(facts, verdict):
    for seconds in (
        verdict.wait_seconds,
        verdict.queue_wait_seconds,
        verdict.talk_seconds,
        facts.given_up_after,
    ):
        assert seconds is None or 0 <= seconds < 2**31
    assert facts.ended_at is None or facts.ended_at >= facts.started_at
    assert facts.last_seen_at is not None
    if facts.is_ended:
        assert facts.ended_at is not None
    for leg in facts.legs:
        assert leg.kind in LEG_KINDS
        assert leg.result is None or leg.result in LEG_RESULTS
        assert facts.started_at <= leg.started_at
        assert leg.ended_at is None or leg.started_at <= leg.ended_at
        assert leg.answered_at is None or leg.started_at <= leg.answered_at
        for number in (leg.position_entry, leg.position_exit, leg.hangup_cause):
            assert number is None or abs(number) < 2**31
    assert facts.legs == sorted_legs(facts.legs)
    assert facts.hangup_cause is None or abs(facts.hangup_cause) < 2**31


# -- real calls and cases --------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_holds_for_each_call_and_each_set_of_tables(name):
    for size in (1, 2, 3):
        for kinds in combinations(lab.KINDS, size):
            part = [one for one in CALLS[name] if one.kind in kinds]
            for records in group((one, one.threads) for one in part).values():
                check(records)


@LARGE
@given(st.data())
def test_order_of_arrival_does_not_matter(data):
    records = CALLS[data.draw(st.sampled_from(sorted(CALLS)))]
    kinds = data.draw(st.sets(st.sampled_from(lab.KINDS), min_size=1))
    records = [one for one in records if one.kind in kinds]
    shuffled = data.draw(st.permutations(records))
    assert seen(shuffled) == seen(records)


@LARGE
@given(st.data())
def test_any_part_of_a_call_makes_sense(data):
    """Records come late and out of order: every part of a call must be bearable."""
    records = CALLS[data.draw(st.sampled_from(sorted(CALLS)))]
    chosen = data.draw(st.lists(st.booleans(), min_size=len(records),
                                max_size=len(records)))  # fmt: skip
    part = [one for one, is_in in zip(records, chosen, strict=True) if is_in]
    check(part)
    check(part, [START, START + timedelta(hours=1)])


@LARGE
@given(st.data())
def test_the_same_record_twice_changes_nothing(data):
    records = CALLS[data.draw(st.sampled_from(sorted(CALLS)))]
    again = data.draw(st.lists(st.sampled_from(records), max_size=8))
    assert seen([*records, *again]) == seen(records)


def test_assembly_leaves_the_records_as_they_are():
    for records in CALLS.values():
        before = json.dumps([one.payload for one in records])
        assemble(records, PLAN)
        assert json.dumps([one.payload for one in records]) == before


# -- events that were never written by a phone system ----------------------------------

CHANNELS = (
    "PJSIP/trunk_msk-00000001", "PJSIP/trunk_ber-00000002", "PJSIP/201-00000003",
    "PJSIP/202-00000004", "Local/203@from-queue-00000005;1", "SIP/line/8916-00000008",
    "Local/9@x-0000000b;1", "Local/9@x-0000000b;2", "Local/203@from-queue-00000005;2",
    "PJSIP/203-00000006", "DAHDI/i1/8916123-7",
    "PJSIP/201-00000003<ZOMBIE>", "PJSIP/anna-0000000a", "Message/ast_msg_queue",
)  # fmt: skip
MOMENTS = st.integers(0, 600).map(lambda tenth: START + timedelta(seconds=tenth / 10))
IDS = st.sampled_from(("1772442000.1", "1772442001.2", "1772442002.3"))
EXTRAS = st.sampled_from(
    (
        "", "{", "[]", "null", '{"bridge_id":"a"}', '{"bridge_id":"b"}',
        '{"bridge_id":["a"]}', '{"bridge_id":null}', '{"reason":"ParkedCallUnparked"}',
        '{"hangupcause":16,"hangupsource":"PJSIP/201-00000003","dialstatus":"ANSWER"}',
        '{"hangupcause":38,"hangupsource":"","dialstatus":""}',
        '{"hangupcause":"x","hangupsource":7,"dialstatus":["BUSY"]}',
        '{"hangupcause":1e400}', '{"hangupcause":99999999999999999999}',
        '{"hangupcause":17,"hangupsource":"dialplan/builtin","dialstatus":"BUSY"}',
        '{"sound":"beep"}', '{"sound":{"a":1}}', "[" * 5000,
    )
)  # fmt: skip
QUEUE_DATA = st.sampled_from(
    ("", "1", "0", "-5", "600", "6000", "x", "LINK", "BRIDGE", "1|2|3", "9" * 40, "²",
     "1e9", "+79161234567", "201", "\U0001f4de")
)  # fmt: skip
TEXT = st.sampled_from(
    ("", "s", "601", "201", "+79161234567", "ooh", "ext-group", "ivr-3", "from-trunk",
     "from-internal", "x" * 5000, "‮", "0", "(Outgoing Line)", "PJSIP/201&PJSIP/202,20",
     "sales,t,,,14", "sales,t,,,x", ",,,,", "Local/203@from-queue/n", "PJSIP/", "/",
     "PJSIP/8916@trunk_msk", "PJSIP/201/sip:201@h", "PJSIP/trunk_msk/sip:8916@h:5060")
)  # fmt: skip
APPS = st.sampled_from(
    ("Dial", "Queue", "VoiceMail", "Playback", "BackGround", "AppDial", "AppDial2",
     "AppQueue", "Hangup", "Park", "")
)  # fmt: skip
CEL_TYPES = st.sampled_from(
    ("CHAN_START", "ANSWER", "APP_START", "APP_END", "BRIDGE_ENTER", "BRIDGE_EXIT",
     "HANGUP", "CHAN_END", "LINKEDID_END", "STREAM_BEGIN", "BLINDTRANSFER",
     "ATTENDEDTRANSFER", "PARK_START", "PARK_END", "PICKUP", "USER_DEFINED", "")
)  # fmt: skip
QUEUE_EVENTS = st.sampled_from(
    ("DID", "ENTERQUEUE", "RINGNOANSWER", "RINGCANCELED", "CONNECT", "COMPLETEAGENT",
     "COMPLETECALLER", "ABANDON", "EXITWITHTIMEOUT", "EXITEMPTY", "EXITWITHKEY",
     "AGENTDUMP", "SYSCOMPAT", "BLINDTRANSFER", "ATTENDEDTRANSFER", "TRANSFER", "FULL",
     "JOINEMPTY", "WITHDRAW", "OUTCALL", "SOMETHINGNEW")
)  # fmt: skip
NUMBERS = st.sampled_from(
    ("", "0", "1", "20", "-20", "3.7", "1e400", "nan", "x", "9" * 30, "99999999")
)
DISPOSITIONS = st.sampled_from(
    ("ANSWERED", "NO ANSWER", "NOANSWER", "BUSY", "FAILED", "CONGESTION", "CANCEL", "8",
     "1", "", "answered", "???")
)  # fmt: skip


def _record(kind, moment, payload, *threads):
    payload = {name: value for name, value in payload.items() if value}
    return Record(kind, moment, payload, tuple(filter(None, threads)))


@st.composite
def cel_events(draw):
    uniqueid, linkedid = draw(IDS), draw(IDS)
    payload = {
        "eventtype": draw(CEL_TYPES), "channame": draw(st.sampled_from(CHANNELS)),
        "exten": draw(TEXT), "context": draw(TEXT), "cid_num": draw(TEXT),
        "cid_name": draw(TEXT), "cid_dnid": draw(TEXT), "appname": draw(APPS),
        "appdata": draw(TEXT), "uniqueid": uniqueid, "linkedid": linkedid,
        "extra": draw(EXTRAS),
    }  # fmt: skip
    return _record("cel", draw(MOMENTS), payload, uniqueid, linkedid)


@st.composite
def cdr_rows(draw):
    uniqueid, linkedid = draw(st.just("") | IDS), draw(st.just("") | IDS)
    channel = st.sampled_from(("", *CHANNELS))
    payload = {
        "channel": draw(channel), "dstchannel": draw(channel), "src": draw(TEXT),
        "clid": draw(TEXT), "dst": draw(TEXT), "dcontext": draw(TEXT),
        "lastapp": draw(APPS), "lastdata": draw(TEXT), "duration": draw(NUMBERS),
        "billsec": draw(NUMBERS), "disposition": draw(DISPOSITIONS),
        "sequence": draw(NUMBERS), "uniqueid": uniqueid, "linkedid": linkedid,
        "did": draw(st.just("") | TEXT),
    }  # fmt: skip
    return _record("cdr", draw(MOMENTS), payload, uniqueid, linkedid)


@st.composite
def queue_events(draw):
    payload = {
        "event": draw(QUEUE_EVENTS), "agent": draw(TEXT), "callid": draw(IDS),
        "queuename": draw(st.sampled_from(("", "sales", "support", "x" * 400))),
    }  # fmt: skip
    for number in range(1, 7):
        payload[f"data{number}"] = draw(QUEUE_DATA)
    return _record("queue_log", draw(MOMENTS), payload, payload["callid"])


EVENTS = cel_events() | cdr_rows() | queue_events()


@LARGE
@given(st.lists(EVENTS, max_size=25), st.randoms(use_true_random=False))
def test_a_soup_of_events_makes_sense_in_any_order(records, random):
    restarts = [START + timedelta(seconds=30)]
    check(records, restarts)
    told = seen(records, restarts)
    for _time in range(3):
        random.shuffle(records)
        assert seen(records, restarts) == told
    assert seen(records + records[:3], restarts) == told


@LARGE
@given(st.lists(cel_events(), max_size=30))
def test_a_soup_of_cel_events(records):
    check(records)


@LARGE
@given(st.lists(cdr_rows(), max_size=12))
def test_a_soup_of_rows(records):
    facts = check(records)
    if facts is not None:
        assert facts.sources == ("cdr",)


@LARGE
@given(st.lists(queue_events(), max_size=15))
def test_a_soup_of_queue_events(records):
    check(records)


COLUMNS = sorted(
    {name for records in CALLS.values() for one in records for name in one.payload}
)
RUBBISH = st.dictionaries(
    st.sampled_from(COLUMNS) | st.text(max_size=10), st.text(max_size=40), max_size=12
)


@LARGE
@given(st.lists(st.tuples(st.sampled_from(lab.KINDS), MOMENTS, RUBBISH), max_size=6))
def test_rubbish_never_raises(found):
    check([_record(kind, moment, payload) for kind, moment, payload in found])


@LARGE
@given(st.data())
def test_one_spoilt_record_in_a_call_never_raises(data):
    """A column is missing, or holds something else, in one record of a real call."""
    records = list(CALLS[data.draw(st.sampled_from(sorted(CALLS)))])
    place = data.draw(st.integers(0, len(records) - 1))
    spoilt = dict(records[place].payload)
    for name in data.draw(st.lists(st.sampled_from(sorted(spoilt)), max_size=3)):
        spoilt.pop(name, None)
        if data.draw(st.booleans()):
            spoilt[name] = data.draw(TEXT | QUEUE_DATA | EXTRAS | NUMBERS)
    one = records[place]
    records[place] = _record(one.kind, one.occurred_at, spoilt, *one.threads)
    check(records)


def test_the_first_and_last_moments_of_time():
    """Records near the ends of the calendar: nothing overflows."""
    for year in (1990, 2100):
        moment = START.replace(year=year)
        pbx = Pbx()
        line = pbx.client()
        pbx.row(line, 0, 10**9, "ANSWERED", "Queue", "sales,t,,,60")
        pbx.log(line, 0, "sales", "PJSIP/201", "RINGNOANSWER", 10**9)
        pbx.log(line, 0, "sales", "PJSIP/201", "CONNECT", 10**9, "", 10**9)
        pbx.log(line, 0, "sales", "PJSIP/201", "COMPLETEAGENT", 10**9, 10**9, 1)
        records = [
            Record(one.kind, moment, one.payload, one.threads) for one in pbx.records
        ]
        for size in (1, 2, 3):
            for kinds in combinations(lab.KINDS, size):
                check([one for one in records if one.kind in kinds])


def test_the_laboratory_holds_every_kind_of_outcome():
    """The properties above are checked on calls of all kinds."""
    found = Counter()
    for records in CALLS.values():
        verdict = outcome.judge(assemble(records, PLAN), RULES)
        found[verdict.outcome] += 1
        found[verdict.reason] += 1
    reasons = set(outcome.REASONS) - {"unknown"}
    wanted = chain(reasons, ("answered", "missed", "abandoned", "unanswered"))
    assert all(found[one] for one in wanted)
