"""Which calls are short, and from when the seconds count (DESIGN 1.1)."""

import pytest
from asterisk_cases.case import Case, call_of, told
from asterisk_cases.dialling import dial_row, dialling, given_up
from asterisk_cases.pbx import Pbx
from asterisk_cases.queues import gives_up, lets_go, rings, waiting
from asterisk_cases.transfers import answered_by, passed_on

from missed_call_crm.providers.asterisk_channel import DialPlan
from missed_call_crm.telephony.call import Rules

CEL = ("cel",)
ROWS = ("cdr", "queue_log")
ALL = ("cel", "cdr", "queue_log")


def is_short(pbx, tables, threshold=5):
    case = Case("", None, {}, Rules(short_seconds=threshold), DialPlan())
    _calls, records = call_of(pbx.records, None, tables)
    found = told(records, case)
    assert found["outcome"] in ("missed", "abandoned")
    return found["short"]


def queue_left_after(seconds, menu=0.0, with_ring=True):
    """A client who enters a queue ``menu + 0.6`` s after arriving, and hangs up."""
    pbx = Pbx()
    line = pbx.client()
    line.answer(0.1)
    start = menu + 0.6
    line.goto("601", "ext-queues").start("Queue", "sales,t,,,60", start)
    pbx.entered(line, start, "sales")
    end = start + seconds
    phone = None
    if with_ring:
        phone = rings(pbx, line, "201", start + 0.1, end)
        pbx.log(line, end, "sales", "PJSIP/201", "RINGCANCELED", 1)
    pbx.log(line, end, "sales", "NONE", "ABANDON", 1, 1, int(seconds))
    gives_up(pbx, line, end)
    duration = int(end)
    disposition = "NO ANSWER" if with_ring else "ANSWERED"
    pbx.row(line, 0, duration, disposition, "Queue", "sales,t,,,60", to=phone,
            billsec=duration)  # fmt: skip
    return pbx


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL, ("queue_log",)], ids="+".join)
@pytest.mark.parametrize("with_ring", [True, False])
@pytest.mark.parametrize(
    ("seconds", "threshold", "expected"),
    [(4.9, 5, True), (5.0, 5, False), (5.1, 5, False), (4.9, 0, False), (2.9, 3, True)],
)
def test_threshold(seconds, threshold, expected, with_ring, tables):
    """Exactly the threshold is not short; 0 switches it off."""
    pbx = queue_left_after(seconds, with_ring=with_ring)
    assert is_short(pbx, tables, threshold) is expected


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL], ids="+".join)
def test_counts_from_the_queue_after_a_menu(tables):
    """30 s of menu do not make 3 s in the queue a long call."""
    assert is_short(queue_left_after(3.0, menu=30.0), tables)


@pytest.mark.parametrize("tables", [ALL, CEL], ids="+".join)
@pytest.mark.parametrize(("seconds", "expected"), [(4.9, True), (5.0, False)])
def test_counts_from_arrival_without_queue_or_ring(seconds, expected, tables):
    pbx = Pbx()
    line = pbx.client().goto("s", "greeting").answer(0.1)
    line.run("Playback", "welcome", 0.2, seconds)
    line.hangup(seconds, 16, line)
    pbx.over(line, seconds)
    pbx.row(line, 0, int(seconds), "ANSWERED", "Playback", "welcome")
    assert is_short(pbx, tables) is expected


@pytest.mark.parametrize(("tables", "expected"), [(CEL, True), (("cdr",), False)])
def test_rows_alone_never_tell_who_hung_up(tables, expected):
    pbx = Pbx()
    line, phones = dialling(pbx)
    given_up(pbx, line, phones, 3.0)
    dial_row(pbx, line, phones[0], 3, "NO ANSWER")
    assert is_short(pbx, tables) is expected


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL], ids="+".join)
def test_a_queue_that_lets_go_at_once_is_not_short(tables):
    """The company ended it (limit of 2 s), not the client."""
    pbx = Pbx()
    line = waiting(pbx, limit=2)
    pbx.log(line, 2.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 1, 2)
    lets_go(pbx, line, 2.7, 3.5)
    pbx.row(line, 0, 3, "ANSWERED", "Hangup")
    assert not is_short(pbx, tables)


@pytest.mark.parametrize("tables", [ALL, ROWS, CEL], ids="+".join)
def test_lost_in_a_transfer_is_never_short(tables):
    """2 s in the second queue, after he had been talked to."""
    pbx = Pbx()
    line = waiting(pbx)
    phone, bridge = answered_by(pbx, line, at=1.2)
    passed_on(pbx, line, phone, bridge, 2.5, "602")
    line.start("Queue", "support,t,,,40", 2.6)
    pbx.entered(line, 2.6, "support")
    pbx.log(line, 4.4, "support", "NONE", "ABANDON", 1, 1, 2)
    gives_up(pbx, line, 4.4)
    pbx.row(line, 0, 2, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(line, 2, 2, "ANSWERED", "Queue", "support,t,,,40", dst="602")
    assert not is_short(pbx, tables)


@pytest.mark.parametrize("tables", [ALL, CEL], ids="+".join)
def test_a_ring_before_the_queue_counts(tables):
    """6 s at an extension and 2 s in the queue are 8 s of waiting for somebody."""
    pbx = Pbx()
    line, (phone,) = dialling(pbx, is_answered=True)
    phone.hangup(6.1)
    line.end(6.1).goto("601", "ext-queues").start("Queue", "sales,t,,,60", 6.2)
    pbx.entered(line, 6.2, "sales")
    pbx.log(line, 8.2, "sales", "NONE", "ABANDON", 1, 1, 2)
    gives_up(pbx, line, 8.2)
    dial_row(pbx, line, phone, 6, "NO ANSWER")
    pbx.row(line, 6, 2, "ANSWERED", "Queue", "sales,t,,,60")
    assert not is_short(pbx, tables)


def test_a_ring_before_the_queue_counts_by_rows_too():
    pbx = Pbx()
    line, (phone,) = dialling(pbx, is_answered=True)
    pbx.entered(line, 6.2, "sales")
    pbx.log(line, 8.2, "sales", "NONE", "ABANDON", 1, 1, 2)
    dial_row(pbx, line, phone, 6, "NO ANSWER", billsec=6)
    pbx.row(line, 6, 2, "ANSWERED", "Queue", "sales,t,,,60")
    assert not is_short(pbx, ROWS)
