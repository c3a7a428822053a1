"""Calls that the company places: callbacks, click-to-call, diallers."""

from .case import case
from .pbx import CLIENT

_TO_CLIENT = f"PJSIP/{CLIENT}@trunk_msk,40"
_OUT = {"dst": CLIENT, "context": "from-internal"}


def _originated(pbx, peer="PJSIP/201", number="201", at=0.0):
    """Originate calls a phone before anybody else."""
    phone = pbx.channel(peer, at, "s", "from-internal", number)
    phone.app_name, phone.app_data = "AppDial2", "(Outgoing Line)"
    return phone


@case(
    {"direction": "outbound", "outcome": "answered", "client": CLIENT,
     "operator": "201", "contact": True, "reason": None, "short": False},
)  # fmt: skip
def click_to_call(pbx):
    """The operator's phone is called first, then the client on a line."""
    phone = _originated(pbx).answer(3.0)
    phone.app_name = phone.app_data = ""
    phone.goto(CLIENT, "from-internal", CLIENT).start("Dial", _TO_CLIENT, 3.1)
    line = pbx.line(CLIENT, 3.11, phone).answer(10.0)
    pbx.talk(phone, line, 10.01, 40.0, by=line)
    phone.end(40.01).hangup(40.02, 16, line, "ANSWER")
    line.hangup(40.01, 16, line)
    pbx.over(phone, 40.02)
    pbx.row(phone, 3, 37, "ANSWERED", "Dial", _TO_CLIENT, to=line, **_OUT)


@case(
    {"direction": "outbound", "outcome": "unanswered", "client": CLIENT,
     "operator": "201", "contact": False, "talked": []},
)  # fmt: skip
def click_to_call_the_client_does_not_answer(pbx):
    """The phone was up, so billsec runs; the disposition is the client's."""
    phone = _originated(pbx).answer(3.0)
    phone.app_name = phone.app_data = ""
    phone.goto(CLIENT, "from-internal", CLIENT).start("Dial", _TO_CLIENT, 3.1)
    line = pbx.line(CLIENT, 3.11, phone)
    line.hangup(43.1)
    phone.end(43.1).hangup(43.12, 16, "dialplan", "NOANSWER")
    pbx.over(phone, 43.12)
    pbx.row(phone, 3, 40, "NO ANSWER", "Dial", _TO_CLIENT, to=line, billsec=40, **_OUT)


@case(
    {"direction": "internal", "outcome": "unanswered", "contact": False},
    rows={"direction": ...},
)
def click_to_call_the_operator_does_not_answer(pbx):
    """His own phone rang out: the client was never called, nothing reached a line."""
    phone = _originated(pbx)
    phone.hangup(25.0, 0)
    pbx.over(phone, 25.0)
    pbx.row(phone, 0, 25, "NO ANSWER", "AppDial2", "(Outgoing Line)", dst="s",
            context="from-internal")  # fmt: skip


@case(
    {"direction": "outbound", "outcome": "answered", "client": CLIENT,
     "operator": "201", "contact": True, "ended": True},
    rows={"ended": False},
)  # fmt: skip
def click_to_call_through_pipes(pbx):
    """Local/201@from-internal: one half calls the phone, the other the client.

    The rows of pipes are no end of a call (DESIGN 3.4): without events it ends by
    silence.
    """
    one, two = pbx.pipe("201", "from-internal", 0.0, None, "201")
    two.linkedid = one.linkedid
    two.start("Dial", "PJSIP/201,25", 0.1)
    phone = pbx.phone("201", 0.11, two, "201").answer(3.0)
    two.answer(3.01)
    one.answer(3.02)
    inner, outer = pbx.bridge(), pbx.bridge()
    phone.join(inner, 3.03)
    two.join(inner, 3.04)
    one.goto(CLIENT, "from-internal", CLIENT).start("Dial", _TO_CLIENT, 3.1)
    line = pbx.line(CLIENT, 3.11, one).answer(10.0)
    line.join(outer, 10.01)
    one.join(outer, 10.02)
    line.leave(outer, 40.0).hangup(40.01, 16, line)
    one.leave(outer, 40.01).end(40.02).hangup(40.02, 16, line, "ANSWER")
    two.leave(inner, 40.03).end(40.03).hangup(40.04, 16, None, "ANSWER")
    phone.leave(inner, 40.03).hangup(40.05)
    pbx.over(phone, 40.05)
    pbx.row(two, 0, 40, "ANSWERED", "Dial", "PJSIP/201,25", to=phone, billsec=37,
            dst="201", context="from-internal", number="74955550001")  # fmt: skip
    pbx.row(one, 3, 37, "ANSWERED", "Dial", _TO_CLIENT, to=line, number="74955550001",
            **_OUT)  # fmt: skip


@case(
    {
        "direction": "outbound",
        "outcome": "unanswered",
        "client": CLIENT,
        "contact": False,
        "reason": None,
        "talked": [],
    },
    rows=False,
)
def dialler_whose_client_met_nobody(pbx):
    """The client is called first and put into a queue; no operator is connected.

    An attempt, not a contact and not a miss (FEATURES D1.9). Rows and queue log look
    like those of a client who called: only events tell.
    """
    line = _originated(pbx, "PJSIP/trunk_msk", CLIENT).answer(4.0)
    line.app_name = line.app_data = ""
    line.goto("601", "ext-queues").start("Queue", "sales,t,,,60", 4.1)
    phone = pbx.phone("201", 4.2, line, "601", "AppQueue")
    phone.hangup(12.0, 0)
    line.end(12.0).hangup(12.0, 0, line)
    pbx.over(line, 12.0)
    pbx.row(line, 4, 8, "NO ANSWER", "Queue", "sales,t,,,60", to=phone, billsec=8)


@case(
    {
        "direction": "outbound",
        "outcome": "answered",
        "client": CLIENT,
        "operator": "201",
        "contact": True,
    },
    rows=False,
)
def dialler_whose_client_was_connected(pbx):
    line = _originated(pbx, "PJSIP/trunk_msk", CLIENT).answer(4.0)
    line.app_name = line.app_data = ""
    line.goto("601", "ext-queues").start("Queue", "sales,t,,,60", 4.1)
    phone = pbx.phone("201", 4.2, line, "601", "AppQueue").answer(8.0)
    pbx.talk(line, phone, 8.0, 40.0, by=line)
    line.end(40.0).hangup(40.01, 16, line)
    phone.hangup(40.02, 16, line)
    pbx.over(phone, 40.02)
    pbx.row(line, 4, 36, "ANSWERED", "Queue", "sales,t,,,60", to=phone)


@case(
    {
        "direction": "outbound",
        "outcome": "unanswered",
        "client": CLIENT,
        "operator": "202",
        "reason": None,
    },
)
def no_line_could_be_had(pbx):
    """All lines busy: no channel to a line, but a number of the public network."""
    phone = pbx.channel("PJSIP/202", 0, CLIENT, "from-internal", "202", "Boris")
    phone.dnid = CLIENT
    phone.run("Dial", _TO_CLIENT, 0.1, 0.102)
    phone.run("Playback", "all-circuits-busy,noanswer", 0.2, 3.0)
    phone.hangup(3.01, 34, "dialplan", "CHANUNAVAIL")
    pbx.over(phone, 3.01)
    pbx.row(phone, 0, 3, "FAILED", "Congestion", "20", **_OUT)


@case(
    {
        "direction": "outbound",
        "outcome": "unanswered",
        "client": CLIENT,
        "operator": "202",
        "contact": False,
        "disconnected": False,
    },
)
def callback_that_fails_on_the_way(pbx):
    """Cause 38 without a talk is an attempt; nothing was cut."""
    phone = pbx.channel("PJSIP/202", 0, CLIENT, "from-internal", "202", "Boris")
    phone.dnid = CLIENT
    phone.start("Dial", _TO_CLIENT, 0.1)
    line = pbx.line(CLIENT, 0.11, phone)
    line.hangup(5.0, 38)
    phone.end(5.01).hangup(5.02, 38, "dialplan", "CONGESTION")
    pbx.over(phone, 5.02)
    pbx.row(phone, 0, 5, "FAILED", "Dial", _TO_CLIENT, to=line, **_OUT)


@case(
    {
        "direction": "outbound",
        "outcome": "answered",
        "client": CLIENT,
        "operator": "204",
        "contact": False,
        "talk": 3,
    },
)
def callback_that_was_too_short(pbx):
    """3 s are answered, but no contact: an attempt."""
    phone = pbx.channel("PJSIP/204", 0, CLIENT, "from-internal", "204", "Dmitri")
    phone.dnid = CLIENT
    phone.start("Dial", _TO_CLIENT, 0.1)
    line = pbx.line(CLIENT, 0.11, phone).answer(6.0)
    phone.answer(6.01)
    pbx.talk(phone, line, 6.02, 9.0, by=line)
    phone.end(9.01).hangup(9.02, 16, line, "ANSWER")
    line.hangup(9.01, 16, line)
    pbx.over(phone, 9.02)
    pbx.row(phone, 0, 9, "ANSWERED", "Dial", _TO_CLIENT, to=line, billsec=3, **_OUT)


@case(
    {
        "direction": "internal",
        "outcome": "answered",
        "client": None,
        "operator": "201",
        "talked": ["202"],
    },
)
def colleague_called(pbx):
    """FreePBX names the contact of the phone: an extension, not a number outside."""
    data = "PJSIP/202/sip:202@10.0.0.12:5060,25,HhTtrM(auto-blkvm)b(func-apply^s^1)"
    phone = pbx.channel("PJSIP/201", 0, "202", "from-internal", "201", "Anna")
    phone.dnid = "202"
    phone.start("Dial", data, 0.1)
    other = pbx.phone("202", 0.11, phone, "202").answer(4.0)
    phone.answer(4.01)
    pbx.talk(phone, other, 4.02, 24.0, by=other)
    phone.end(24.01).hangup(24.02, 16, other, "ANSWER")
    other.hangup(24.01, 16, other)
    pbx.over(phone, 24.02)
    pbx.row(phone, 0, 24, "ANSWERED", "Dial", data, to=other, billsec=20, dst="202",
            context="ext-local")  # fmt: skip


@case(
    {"direction": "outbound", "outcome": "answered", "client": "89161234567",
     "operator": "201", "contact": True, "recording": "out-8916-201.wav"},
    cel={"recording": None},
)  # fmt: skip
def freepbx_callback_with_a_dial_prefix(pbx):
    """9 89161234567 was dialled; the line got the number without the prefix."""
    data = "PJSIP/89161234567@trunk_msk,300,Tb(func-apply-sipheaders^s^1,(1))"
    phone = pbx.channel("PJSIP/201", 0, "989161234567", "from-internal", "201", "Anna")
    phone.dnid = "989161234567"
    phone.goto("s", "macro-dialout-trunk").start("Dial", data, 0.3)
    line = pbx.line("89161234567", 0.31, phone).answer(6.0)
    phone.answer(6.01)
    pbx.talk(phone, line, 6.02, 36.0, by=line)
    phone.end(36.01).hangup(36.02, 16, line, "ANSWER")
    line.hangup(36.01, 16, line)
    pbx.over(phone, 36.02)
    pbx.row(phone, 0, 36, "ANSWERED", "Dial", data, to=line, billsec=30,
            dst="989161234567", context="from-internal", cnum="201", cnam="Anna",
            outbound_cnum="74955550001", recordingfile="out-8916-201.wav")  # fmt: skip
