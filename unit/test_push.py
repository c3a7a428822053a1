# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Pushed records: what is understood, what is refused and how, and what it proves."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import lab
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missed_call_crm.providers import asterisk_calls
from missed_call_crm.providers.push import (
    FAULTS,
    MAX_LEGS,
    PushProvider,
    facts_of,
    read,
    refused,
)
from missed_call_crm.providers.push_values import NotAccepted
from missed_call_crm.telephony.call import LEG_KINDS, LEG_RESULTS, Rules
from missed_call_crm.telephony.outcome import REASONS, judge

START = datetime(2026, 3, 10, 9, 0)


def at(seconds):
    """A moment of the call as a sender three hours east writes it."""
    return (START + timedelta(hours=3, seconds=seconds)).isoformat() + "+03:00"


def pushed(**values):
    """An inbound call of 30 s that nobody took."""
    return {
        "call_key": "c-1",
        "direction": "inbound",
        "client_number": "+79161234567",
        "our_number": "+74950000000",
        "started_at": at(0),
        "ended_at": at(30),
        **values,
    }


def leg(kind, start, end=None, **values):
    times = {"started_at": at(start)}
    if end is not None:
        times["ended_at"] = at(end)
    return {"kind": kind, **times, **values}


def facts(**values):
    return facts_of(read(pushed(**values)).payload)


def verdict(rules=None, **values):
    return judge(facts(**values), rules or Rules())


def error_of(record):
    with pytest.raises(NotAccepted) as caught:
        read(record)
    return str(caught.value)


# -- one form ------------------------------------------------------------------------


def test_record():
    found = read(pushed())
    assert found.kind == "call"
    assert found.threads == ("c-1",)
    assert found.occurred_at == START
    assert found.key == read(pushed(direction="outbound")).key
    assert found.content_hash != read(pushed(direction="outbound")).content_hash


@pytest.mark.parametrize(
    "same",
    [
        pushed(started_at="2026-03-10T09:00:00Z"),
        pushed(started_at="2026-03-10 09:00:00.000+0000"),
        pushed(queue="", operator=None, legs=[], reason="  "),
        pushed(client_number=" +79161234567 "),
        dict(reversed(list(pushed().items()))),
    ],
)
def test_same_call_in_other_words_is_the_same_record(same):
    assert read(same).content_hash == read(pushed()).content_hash


def test_what_nobody_knows_is_kept():
    record = read(
        pushed(crm={"id": 7, "tags": ["a", None]}, legs=[leg("menu", 0, 5, key="2")])
    )
    assert record.payload["crm"] == {"id": 7, "tags": ["a", None]}
    assert record.payload["legs"][0]["key"] == "2"


def test_numbers_are_ids_as_well():
    record = read(pushed(call_key=4711, operator=201, client_number=79161234567))
    assert record.threads == ("4711",)
    assert record.payload["operator"] == "201"
    assert record.payload["client_number"] == "79161234567"


def test_long_names_of_callers_are_cut():
    assert len(read(pushed(client_number="9" * 1000)).payload["client_number"]) == 256


# -- refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (None, "must be an object"),
        ("x", "must be an object"),
        ([], "must be an object"),
        ({}, "call_key is missing"),
        (pushed(call_key=" "), "call_key is missing"),
        (pushed(call_key="NONE"), "call's own id"),
        (pushed(call_key="null"), "call's own id"),
        (pushed(call_key="k" * 201), "call_key is longer than 200"),
        (pushed(call_key="a\nb"), "call_key holds a control character"),
        (pushed(call_key=True), "call_key must be text"),
        (pushed(call_key=1.5), "call_key must be text"),
        (pushed(direction=None), "direction is missing"),
        (pushed(direction="in"), "direction must be one of inbound, outbound"),
        (pushed(direction=["inbound"]), "direction must be one of"),
        (pushed(started_at=None), "started_at is missing"),
        (pushed(started_at="2026-03-10T12:00:00"), "no offset from UTC"),
        (pushed(started_at=datetime(2026, 3, 10)), "no offset from UTC"),
        (pushed(started_at=1772442000), "ISO 8601"),
        (pushed(started_at="1772442000"), "ISO 8601"),
        (pushed(started_at="0000-00-00 00:00:00+00:00"), "ISO 8601"),
        (pushed(started_at="yesterday"), "ISO 8601"),
        (pushed(ended_at="2026-03-10T12:00:00"), "ended_at has no offset"),
        (pushed(ended_at=at(-3)), "ended_at is before started_at"),
        (pushed(answered_at=at(-3)), "answered_at is before started_at"),
        (pushed(answered_at=at(33)), "ended_at is before answered_at"),
        (pushed(reason="gone"), "reason must be one of out_of_hours, disconnected"),
        (pushed(hangup_by="caller"), "hangup_by must be one of client, operator"),
        (pushed(hangup_cause="normal"), "hangup_cause must be a whole number"),
        (pushed(hangup_cause=-1), "hangup_cause must be a whole number from 0, not -1"),
        (pushed(hangup_cause=True), "hangup_cause must be a whole number"),
        (pushed(queue="q" * 129), "queue is longer"),
        (pushed(queue={}), "queue must be text, not 'dict'"),
        (pushed(client_number="\0"), "client_number holds a character"),
        (pushed(client_number="\ud800"), "client_number holds a character"),
        (pushed(note="a\0b"), "note holds a character"),
        (pushed(note={"x": ["\0"]}), "note holds a character"),
        (pushed(note=float("nan")), "note holds a value that cannot be kept"),
        (pushed(recording_url="ftp://x/y"), "recording_url must be an http or https"),
        (pushed(recording_url="javascript:alert(1)"), "recording_url must be an http"),
        (pushed(recording_url="https://"), "recording_url must be an http"),
        (pushed(recording_url="http://[x"), "recording_url must be an http"),
        (pushed(voicemail_url="https://a/b c"), "voicemail_url must be an http"),
        (pushed(voicemail_url="https://a/" + "b" * 2048), "voicemail_url must be"),
        (pushed(legs={}), "legs must be a list"),
        (pushed(legs="ring"), "legs must be a list"),
        (pushed(legs=[leg("menu", 0)] * (MAX_LEGS + 1)), "legs must be at most"),
        (pushed(legs=[1]), "legs[0] must be an object"),
        (pushed(legs=[leg("menu", 0), {}]), "legs[1].started_at is missing"),
        (pushed(legs=[{"started_at": at(1)}]), "legs[0].kind is missing"),
        (pushed(legs=[leg("hold", 0)]), "legs[0].kind must be one of menu"),
        (pushed(legs=[leg("ring", 0, result="x")]), "legs[0].result must be one of"),
        (pushed(legs=[leg("ring", -9)]), "legs[0].started_at is before the call's"),
        (pushed(legs=[leg("ring", 9, 3)]), "legs[0].ended_at is before legs[0].start"),
        (
            pushed(legs=[leg("queue", 0, position_entry=-1)]),
            "legs[0].position_entry must be a whole number",
        ),
        (
            pushed(legs=[leg("queue", 0, position_exit=1.5)]),
            "legs[0].position_exit must be a whole number",
        ),
        (pushed(legs=[leg("ring", 0, queue="\0")]), "legs[0].queue holds a character"),
        (pushed(note="x" * 300_000), "larger than"),
    ],
)
def test_refused_with_a_text_that_says_why(record, text):
    assert text in error_of(record)
    kept = refused(record, "why")
    assert kept.key == refused(record, "other").key
    check_storable([kept.raw, kept.payload])


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [20, 100_000])
def test_nesting_has_an_end(depth):
    record = pushed(note=nested(depth))
    assert "nested too deep" in error_of(record)
    assert refused(record, "why").raw


def test_refused_is_kept_whole_where_it_can_be():
    assert refused(pushed(direction="in"), "why").payload == pushed(direction="in")
    assert "a\\u0000b" in refused(pushed(note="a\0b"), "why").raw


def test_refused_once_can_be_read_again():
    with pytest.raises(NotAccepted, match="push it again"):
        PushProvider({}).reread("call", {"raw": "{"})
    kept = refused(pushed(direction="in"), "why").payload
    again = PushProvider({}).reread("call", dict(kept, direction="inbound"))
    assert again.content_hash == read(pushed()).content_hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MOMENTS = st.integers(-10, 60).map(at)


def nearly(*good):
    """Mostly values of the kind, now and then anything at all."""
    return st.one_of(*good, *good, *good, st.none(), JSON)


NAMES = st.sampled_from(["", "sales", "201", "anna", "+79161234567"])
NUMBERS = st.integers(0, 60) | st.sampled_from(["16", "x", -1, 2**31, 27])
LEGS = st.fixed_dictionaries(
    {"kind": nearly(st.sampled_from(LEG_KINDS)), "started_at": nearly(MOMENTS)},
    optional={
        "answered_at": nearly(MOMENTS),
        "ended_at": nearly(MOMENTS),
        "queue": nearly(NAMES),
        "operator": nearly(NAMES),
        "agent": nearly(NAMES),
        "result": nearly(st.sampled_from(LEG_RESULTS)),
        "position_entry": nearly(NUMBERS),
        "position_exit": nearly(NUMBERS),
        "hangup_cause": nearly(NUMBERS),
        "other": JSON,
    },
)
RECORDS = st.fixed_dictionaries(
    {
        "call_key": nearly(st.text(max_size=5)),
        "direction": nearly(st.sampled_from(["inbound", "outbound", "internal"])),
        "started_at": nearly(MOMENTS),
    },
    optional={
        "client_number": nearly(NAMES),
        "our_number": nearly(NAMES),
        "answered_at": nearly(MOMENTS),
        "ended_at": nearly(MOMENTS),
        "queue": nearly(NAMES),
        "operator": nearly(NAMES),
        "reason": nearly(st.sampled_from(REASONS)),
        "hangup_by": nearly(st.sampled_from(["client", "operator", "system"])),
        "hangup_cause": nearly(NUMBERS),
        "voicemail_url": nearly(st.just("https://pbx.example.com/vm/1")),
        "legs": nearly(st.lists(LEGS, max_size=4)),
        "other": JSON,
    },
)


@settings(max_examples=400, deadline=None)
@given(JSON | RECORDS)
def test_anything_is_taken_or_refused(record):
    """Nothing raises, what is kept can be stored, what is taken makes sense."""
    try:
        found = read(record)
    except NotAccepted as refusal:
        assert 8 < len(str(refusal)) < 400
        kept = refused(record, str(refusal))
        check_storable([kept.raw, kept.payload])
        return
    text = check_storable(found.payload)
    # What the database gives back is the same call, and pushing it again too.
    stored = json.loads(text)
    assert stored == found.payload
    assert read(stored).content_hash == found.content_hash
    told = facts_of(stored)
    check(told, judge(told, Rules()))


def check_storable(value):
    """PostgreSQL's jsonb takes neither NUL nor half a pair nor NaN."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert not re.search(r"(?<!\\)(\\\\)*\\u0000", text)
    return text


def check(told, found):
    assert (found.reason is None) == (
        told.direction != "inbound" or found.outcome == "answered"
    )
    assert found.reason is None or found.reason in REASONS
    if found.is_short:
        assert told.hangup_by == "client"
    assert told.ended_at is None or told.ended_at >= told.started_at
    assert told.is_ended == (told.ended_at is not None)
    for one in told.legs:
        assert one.started_at >= told.started_at
        assert one.ended_at is None or one.ended_at >= one.started_at
        assert told.last_seen_at >= one.started_at
    for seconds in (found.wait_seconds, found.queue_wait_seconds, found.talk_seconds):
        assert seconds is None or 0 <= seconds < 2**31


# -- meaning -------------------------------------------------------------------------


def test_without_legs_an_answer_is_a_human():
    found = verdict(answered_at=at(10), operator="201", queue="sales")
    assert (found.outcome, found.reason) == ("answered", None)
    assert (found.wait_seconds, found.talk_seconds) == (10, 20)
    assert (found.operator, found.queue) == ("201", "sales")
    assert found.contact_at == START + timedelta(seconds=10)
    assert found.queue_wait_seconds is None


def test_with_legs_an_answer_is_not_yet_a_human():
    found = verdict(answered_at=at(1), legs=[leg("menu", 1, 30, answered_at=at(1))])
    assert (found.outcome, found.reason) == ("abandoned", "menu_hangup")


@pytest.mark.parametrize(
    ("values", "outcome", "reason"),
    [
        ({}, "abandoned", "menu_hangup"),
        ({"hangup_by": "system"}, "abandoned", "unknown"),
        ({"queue": "sales"}, "abandoned", "queue_hangup"),
        ({"operator": "201"}, "missed", "no_answer"),
        ({"operator": "201", "queue": "sales"}, "missed", "no_answer"),
        ({"reason": "no_answer"}, "missed", "no_answer"),
        ({"reason": "busy", "operator": "201"}, "missed", "busy"),
        ({"reason": "unreachable"}, "missed", "unreachable"),
        ({"reason": "lost_in_transfer"}, "missed", "lost_in_transfer"),
        ({"reason": "queue_timeout", "queue": "s"}, "abandoned", "queue_timeout"),
        ({"reason": "queue_hangup", "operator": "1"}, "abandoned", "queue_hangup"),
        ({"reason": "no_operators"}, "abandoned", "no_operators"),
        ({"reason": "out_of_hours"}, "abandoned", "out_of_hours"),
        ({"reason": "disconnected"}, "abandoned", "disconnected"),
        ({"hangup_cause": 38}, "abandoned", "disconnected"),
        ({"hangup_cause": 16}, "abandoned", "menu_hangup"),
        ({"reason": "unknown"}, "abandoned", "unknown"),
    ],
)
def test_miss_without_legs(values, outcome, reason):
    found = verdict(**values)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert found.queue == values.get("queue")


@pytest.mark.parametrize("reason", REASONS)
def test_given_reason_is_used_for_unanswered_inbound_calls_only(reason):
    assert verdict(reason=reason).reason == reason
    assert verdict(reason=reason, legs=[leg("ring", 0, 9)]).reason == reason
    assert verdict(reason=reason, answered_at=at(5)).reason is None
    assert verdict(reason=reason, direction="outbound").reason is None
    assert verdict(reason=reason).is_out_of_hours is (reason == "out_of_hours")


@pytest.mark.parametrize("cause", sorted(FAULTS))
def test_cut_talk_stays_answered(cause):
    found = verdict(answered_at=at(5), hangup_cause=cause)
    assert found.outcome == "answered" and found.is_disconnected
    talk = leg("talk", 5, 30, operator="201", hangup_cause=cause)
    assert verdict(legs=[talk]).is_disconnected
    ring = leg("ring", 5, 30, operator="201", hangup_cause=cause)
    assert facts(legs=[ring]).is_faulted is None


def test_outbound_and_internal():
    found = verdict(direction="outbound", operator="201", answered_at=at(9))
    assert (found.outcome, found.operator) == ("answered", "201")
    found = verdict(direction="outbound", operator="201")
    assert (found.outcome, found.operator) == ("unanswered", "201")
    assert facts(direction="internal").client_raw is None


def test_call_in_progress():
    told = facts(ended_at=None, legs=[leg("queue", 1), leg("ring", 7)])
    assert not told.is_ended and told.ended_at is None
    assert told.last_seen_at == START + timedelta(seconds=7)


def test_story_of_legs():
    found = verdict(
        hangup_by="client",
        legs=[
            leg("ring", 8, 20, queue="sales", operator="201", result="no_answer"),
            leg("menu", 0, 5),
            leg("queue", 5, 30, queue="sales", result="abandoned",
                position_entry=3, position_exit="1"),
        ],
    )  # fmt: skip
    assert (found.outcome, found.reason) == ("missed", "no_answer")
    assert (found.queue, found.operator) == ("sales", "201")
    assert (found.position_entry, found.position_exit) == (3, 1)
    assert (found.wait_seconds, found.queue_wait_seconds) == (30, 25)


@pytest.mark.parametrize("kind", ["ring", "queue"])
@pytest.mark.parametrize("end", [12, 30, None])
def test_answered_step_without_talk_means_a_talk(kind, end):
    step = leg(kind, 2, end, operator="201", queue="s", answered_at=at(12),
               result="answered")  # fmt: skip
    found = verdict(legs=[leg("menu", 0, 2), step])
    assert (found.outcome, found.operator) == ("answered", "201")
    assert (found.wait_seconds, found.talk_seconds) == (12, 18)


def test_lost_after_a_talk():
    found = verdict(
        legs=[
            leg("talk", 5, 15, operator="201"),
            leg("ring", 15, 30, operator="202", result="no_answer"),
        ]
    )
    assert (found.outcome, found.reason) == ("missed", "lost_in_transfer")
    assert found.contact_at == START + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ended_at": at(4.9)}, True),
        ({"ended_at": at(5)}, False),
        ({"ended_at": at(4.9), "hangup_by": "system"}, False),
        ({"ended_at": at(4.9), "hangup_by": None}, False),
        ({"legs": [leg("menu", 0, 26), leg("queue", 26, 30, queue="s")]}, True),
        ({"legs": [leg("menu", 0, 25), leg("queue", 25, 30, queue="s")]}, False),
        ({"ended_at": at(3), "reason": "out_of_hours"}, False),
    ],
)
def test_short(values, expected):
    assert verdict(**{"hangup_by": "client", **values}).is_short is expected


def test_voicemail():
    url = "https://pbx.example.com/voicemail/1.wav"
    assert verdict(voicemail_url=url).has_voicemail
    assert verdict(legs=[leg("voicemail", 9, 30, result="answered")]).has_voicemail
    assert not verdict(legs=[leg("voicemail", 9, 30)]).has_voicemail
    assert facts().has_voicemail is None


def test_operators_are_extensions_unless_they_are_outside_numbers():
    provider = PushProvider({"extension_pattern": ""})
    for name in ("1", "201", "000201", "anna2", "sip:201@pbx"):
        assert provider.is_extension(name), name
    for number in ("+79161234567", "84951234567", "8 (495) 123-45-67"):
        assert not provider.is_extension(number), number
    assert PushProvider({"extension_pattern": r"^7\d{7}$"}).is_extension("71234567")


# -- the laboratory ------------------------------------------------------------------

LAB = lab.calls()


def as_pushed(key, told):
    """What an integration would send of a call whose facts it knows."""

    def moment(value):
        return value and value.isoformat() + "+00:00"

    reason = "out_of_hours" if told.is_closed else told.given_reason
    if told.is_faulted:
        reason = "disconnected"
    return {
        "call_key": key,
        "direction": told.direction,
        "client_number": told.client_raw,
        "client_name": told.client_name,
        "our_number": told.our_number,
        "started_at": moment(told.started_at),
        "ended_at": moment(told.ended_at),
        "operator": told.operator,
        "reason": reason,
        "hangup_by": told.hangup_by,
        "hangup_cause": told.hangup_cause,
        "voicemail_url": "https://pbx.example.com/1.wav" if told.has_voicemail else "",
        "legs": [
            {
                "kind": one.kind,
                "queue": one.queue,
                "operator": one.operator,
                "agent": one.agent,
                "started_at": moment(one.started_at),
                "answered_at": moment(one.answered_at),
                "ended_at": moment(one.ended_at),
                "result": one.result,
                "position_entry": one.position_entry,
                "position_exit": one.position_exit,
                "hangup_cause": one.hangup_cause,
            }
            for one in told.legs
        ],
    }


@pytest.mark.parametrize("key", LAB)
def test_laboratory_pushed_means_the_same_as_with_all_three_tables(key):
    told = asterisk_calls.assemble(LAB[key], lab.plan())
    record = read(json.loads(json.dumps(as_pushed(key, told))))
    again = PushProvider({}).assemble([record])
    for short in (0, 3, 5):
        rules = Rules(short, lab.settings()["min_talk_seconds"])
        assert judge(again, rules) == judge(told, rules)
    assert again.legs == told.legs
    same = ("given_up_after", "given_reason", "is_closed", "is_faulted", "recording",
            "voicemail", "has_voicemail", "last_seen_at", "sources")  # fmt: skip
    ours = {name: getattr(told, name) for name in same}
    assert replace(again, **ours) == told
