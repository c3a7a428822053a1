"""Calls in which an operator passes the client on."""

from .case import ROWS, case
from .queues import lets_go, rings, waiting


def answered_by(pbx, line, phone="201", at=4.0, queue="sales"):
    """A member takes the client out of the queue; returns phone and bridge."""
    ringing = pbx.phone(phone, 1.0, line, "601", "AppQueue").answer(at)
    bridge = pbx.bridge()
    ringing.join(bridge, at + 0.01)
    line.join(bridge, at + 0.02, ringing.name)
    pbx.log(line, at, queue, f"PJSIP/{phone}", "CONNECT", 3, ringing.uniqueid, 3)
    return ringing, bridge


def passed_on(pbx, line, phone, bridge, at, exten, context="from-internal"):
    """Blind transfer by REFER: both leave the bridge, the client goes on alone."""
    extra = {
        "extension": exten, "context": context, "bridge_id": bridge,
        "transferee_channel_name": line.name,
        "transferee_channel_uniqueid": line.uniqueid,
    }  # fmt: skip
    phone.event("BLINDTRANSFER", at, extra)
    line.goto(exten, context).leave(bridge, at + 0.01)
    phone.leave(bridge, at + 0.02).hangup(at + 0.03)
    pbx.log(line, at, "sales", f"PJSIP/{phone.number}", "BLINDTRANSFER", exten,
            context, 3, int(at - 4), 1)  # fmt: skip


def _blind(pbx, end):
    """Sales answers after 4 s, talks for 16 s, passes on to 203; ``end`` goes on."""
    line = waiting(pbx)
    phone, bridge = answered_by(pbx, line)
    passed_on(pbx, line, phone, bridge, 20.0, "203")
    line.start("Dial", "PJSIP/203,25", 20.05)
    target = pbx.phone("203", 20.06, line, "203")
    pbx.row(line, 0, 20, "ANSWERED", "Queue", "sales,t,,,60", to=phone,
            dst="203", context="from-internal")  # fmt: skip
    end(line, target)


def _dialled_row(pbx, line, target, start, duration, disposition, **more):
    pbx.row(line, start, duration, disposition, "Dial", f"PJSIP/{target.number},25",
            to=target, dst=target.number, context="from-internal", **more)  # fmt: skip


_LOST = {
    "direction": "inbound", "outcome": "missed", "reason": "lost_in_transfer",
    "offered": {"201", "203"}, "talked": ["201"], "operator": "201", "contact": True,
    "short": False, "disconnected": False,
}  # fmt: skip


@case(_LOST | {"hangup_by": "client"}, rows={"hangup_by": None})
def passed_to_an_extension_that_does_not_answer(pbx):
    """An operator talked with him, so he was reached and the call is hers; but it is a
    miss, lost with the one he was passed on to.
    """

    def end(line, target):
        line.end(33.0).hangup(33.0, 0, line, "ANSWER")
        target.hangup(33.01, 0)
        pbx.over(line, 33.01)
        _dialled_row(pbx, line, target, 20, 13, "NO ANSWER", billsec=13)

    _blind(pbx, end)


@case(_LOST | {"hangup_by": "system"}, rows={"hangup_by": ...})
def passed_to_an_extension_until_the_pbx_gives_up(pbx):
    def end(line, target):
        line.end(45.1)
        target.hangup(45.11)
        line.hangup(45.2, 16, "dialplan", "NOANSWER")
        pbx.over(line, 45.2)
        _dialled_row(pbx, line, target, 20, 25, "NO ANSWER", billsec=25)

    _blind(pbx, end)


@case(
    _LOST | {"outcome": "answered", "reason": None, "talked": ["201", "203"],
             "operator": "203", "wait": 4, "talk": 46},
    rows={"talk": ...},
)  # fmt: skip
def passed_to_an_extension_that_answers(pbx):
    def end(line, target):
        target.answer(26.0)
        pbx.talk(line, target, 26.0, 56.0, by=line)
        line.end(56.0).hangup(56.01, 16, line, "ANSWER")
        target.hangup(56.02, 16, line)
        pbx.over(target, 56.02)
        _dialled_row(pbx, line, target, 20, 36, "ANSWERED", billsec=36)

    _blind(pbx, end)


@case(
    _LOST | {"offered": {"201"}, "operator": "201", "voicemail": True},
)
def passed_to_a_voicemail_box(pbx):
    """The operator sent him to a box: a message, but nobody kept him."""
    line = waiting(pbx)
    phone, bridge = answered_by(pbx, line)
    passed_on(pbx, line, phone, bridge, 20.0, "*202")
    line.run("VoiceMail", "202@default,u", 20.1, 45.0)
    line.hangup(45.0, 16, line, "ANSWER")
    pbx.over(line, 45.0)
    pbx.row(line, 0, 20, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(line, 20, 25, "ANSWERED", "VoiceMail", "202@default,u", dst="*202",
            context="from-internal")  # fmt: skip


def _consulting(pbx, until_answer):
    """Asterisk's own attended transfer: 201 asks 202 through a pipe (DTMF *2)."""
    line = waiting(pbx)
    phone, first = answered_by(pbx, line)
    one, two = pbx.pipe("202", "from-internal", 20.0, line)
    phone.leave(first, 20.1)
    consult = pbx.bridge()
    one.join(consult, 20.11)
    phone.join(consult, 20.12, one.name)
    two.start("Dial", "PJSIP/202,25", 20.2)
    asked = pbx.phone("202", 20.21, two, "202")
    if until_answer is not None:
        asked.answer(until_answer)
        two.answer(until_answer + 0.001)
        one.answer(until_answer + 0.002)
        inner = pbx.bridge()
        asked.join(inner, until_answer + 0.01)
        two.join(inner, until_answer + 0.02, asked.name)
        return line, phone, first, consult, one, two, asked, inner
    return line, phone, first, consult, one, two, asked, None


def _attended_event(phone, line, at, first, consult):
    phone.event("ATTENDEDTRANSFER", at, {
        "bridge1_id": first, "channel2_name": phone.name,
        "channel2_uniqueid": phone.uniqueid, "bridge2_id": consult,
        "transferee_channel_name": line.name,
        "transferee_channel_uniqueid": line.uniqueid,
        "transfer_target_channel_name": "N/A",
        "transfer_target_channel_uniqueid": "N/A",
    })  # fmt: skip


_PIPED = {"context": "from-internal", "number": "201", "name": "Anna", "dst": "202"}


@case(
    {"outcome": "answered", "talked": ["201", "202"], "operator": "202",
     "offered": {"201", "202"}, "queue": "sales", "hangup_by": "client", "talk": 46},
    rows={"hangup_by": ..., "queue": ..., "talk": ...},
    cel={"talk": 46},
)  # fmt: skip
def attended_transfer(pbx):
    """A–B, B asks C, A–C: rows of A, of the pipe, and of B with A's linked id.

    16 s with 201 and 30 s with 202; while they consulted the client waited. The queue
    log's event names the bridge the two were merged into.
    """
    line, phone, first, consult, one, two, asked, inner = _consulting(pbx, 24.0)
    phone.leave(consult, 30.0, one.name)
    one.leave(consult, 30.01).join(first, 30.02, line.name)
    _attended_event(phone, line, 30.03, first, consult)
    phone.hangup(30.04)
    pbx.log(line, 30.03, "sales", "PJSIP/201", "ATTENDEDTRANSFER", "BRIDGE", first, 3,
            26, 1)  # fmt: skip
    line.leave(first, 60.0).end(60.01).hangup(60.02, 16, line, "ANSWER")
    one.leave(first, 60.03).hangup(60.04, 16, line)
    asked.leave(inner, 60.04)
    two.leave(inner, 60.04).hangup(60.05, 16, line, "ANSWER")
    asked.hangup(60.06, 16, line)
    pbx.over(asked, 60.06)
    pbx.row(line, 0, 20, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(two, 20, 40, "ANSWERED", "Dial", "PJSIP/202,25", to=asked, billsec=36,
            **_PIPED)  # fmt: skip
    pbx.row(phone, 20, 10, "ANSWERED", "AppQueue", "(Outgoing Line)", to=one,
            dst="202", context="from-internal")  # fmt: skip
    pbx.row(line, 30, 30, "ANSWERED", "Queue", "sales,t,,,60", to=one)


@case(
    _LOST | {"offered": {"201", "202"}, "operator": "201", "hangup_by": "client"},
    rows={"hangup_by": ...},
)
def attended_transfer_completed_while_it_rings(pbx):
    """Blonde transfer: 201 lets go while 202 rings, nobody picks up, he gives up."""
    line, phone, first, consult, one, two, asked, _inner = _consulting(pbx, None)
    phone.leave(consult, 24.0, one.name)
    one.leave(consult, 24.01).join(first, 24.02, line.name)
    _attended_event(phone, line, 24.03, first, consult)
    phone.hangup(24.04)
    pbx.log(line, 24.03, "sales", "PJSIP/201", "ATTENDEDTRANSFER", "APP", "Dial", 3,
            20, 1)  # fmt: skip
    line.leave(first, 40.0).end(40.01).hangup(40.02, 0, line, "ANSWER")
    one.leave(first, 40.03).hangup(40.04, 0, line)
    two.end(40.04).hangup(40.05, 0, None, "CANCEL")
    asked.hangup(40.06, 0)
    pbx.over(asked, 40.06)
    pbx.row(line, 0, 24, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(two, 20, 20, "NO ANSWER", "Dial", "PJSIP/202,25", to=asked, **_PIPED)
    pbx.row(phone, 20, 4, "ANSWERED", "AppQueue", "(Outgoing Line)", to=one,
            dst="202", context="from-internal")  # fmt: skip
    pbx.row(line, 24, 16, "ANSWERED", "Queue", "sales,t,,,60", to=one)


@case(
    {"outcome": "answered", "talked": ["201"], "operator": "201", "reason": None},
)
def consultation_that_nobody_takes(pbx):
    """202 does not answer; 201 comes back to the client: nothing was lost."""
    line, phone, first, consult, one, two, asked, _inner = _consulting(pbx, None)
    phone.leave(consult, 35.0, one.name)
    one.leave(consult, 35.01).hangup(35.02)
    two.end(35.03).hangup(35.04, 0, None, "CANCEL")
    asked.hangup(35.05, 0)
    phone.join(first, 35.06, line.name)
    phone.leave(first, 65.0, line.name)
    line.leave(first, 65.01)
    pbx.log(line, 65.0, "sales", "PJSIP/201", "COMPLETEAGENT", 3, 61, 1)
    line.end(65.02).hangup(65.04, 16, phone, "ANSWER")
    phone.hangup(65.03, 16, phone)
    pbx.over(line, 65.04)
    pbx.row(line, 0, 65, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(two, 20, 15, "NO ANSWER", "Dial", "PJSIP/202,25", to=asked, **_PIPED)
    pbx.row(phone, 20, 15, "ANSWERED", "AppQueue", "(Outgoing Line)", to=one,
            dst="202", context="from-internal")  # fmt: skip


def _phone_transfer(pbx, link):
    """The phone's own attended transfer: REFER with Replaces, two calls become one."""
    line = waiting(pbx)
    phone, first = answered_by(pbx, line)
    second = pbx.channel("PJSIP/201", 15.0, "202", "from-internal", "201", "Anna")
    second.dnid = "202"
    second.start("Dial", "PJSIP/202,25", 15.01)
    asked = pbx.phone("202", 15.02, second, "202").answer(18.0)
    second.answer(18.01)
    consult = pbx.bridge()
    asked.join(consult, 18.02)
    second.join(consult, 18.03, asked.name)
    second.event("ATTENDEDTRANSFER", 25.0, {
        "bridge1_id": consult, "channel2_name": phone.name,
        "channel2_uniqueid": phone.uniqueid, "bridge2_id": first,
        "transferee_channel_name": asked.name,
        "transferee_channel_uniqueid": asked.uniqueid,
        "transfer_target_channel_name": line.name,
        "transfer_target_channel_uniqueid": line.uniqueid,
    })  # fmt: skip
    asked.leave(consult, 25.01)
    asked.linkedid = line.linkedid  # the oldest spreads
    asked.join(first, 25.02, line.name)
    phone.leave(first, 25.03).hangup(25.04)
    second.leave(consult, 25.04).end(25.05).hangup(25.06, 16, None, "ANSWER")
    pbx.over(second, 25.06)
    pbx.log(line, 25.0, "sales", "PJSIP/201", "ATTENDEDTRANSFER", *link, 3, 21, 1)
    line.leave(first, 55.0).end(55.01).hangup(55.02, 16, line, "ANSWER")
    asked.leave(first, 55.03).hangup(55.04, 16, line)
    pbx.over(asked, 55.04)
    pbx.row(line, 0, 25, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(second, 15, 10, "ANSWERED", "Dial", "PJSIP/202,25", to=asked, billsec=7,
            dst="202", context="from-internal")  # fmt: skip
    pbx.row(line, 25, 30, "ANSWERED", "Queue", "sales,t,,,60", to=asked)
    return line


_BY_PHONE = {
    "outcome": "answered", "talked": ["201", "202"], "operator": "202",
    "offered": {"201", "202"}, "client": "+79161234567", "talk": 51,
}  # fmt: skip


@case(_BY_PHONE, rows={"talk": ...}, calls={ROWS: 2})
def attended_transfer_by_the_phone(pbx):
    """The consultation has its own linked id: by the rows it is a call of its own,
    and an internal one; the events join the two, and the end of the consultation's
    linked id is no end of the call.
    """
    return _phone_transfer(pbx, ("BRIDGE", "1f31ce93"))


@case(_BY_PHONE, rows={"talk": ..., "positions": (1, None)}, calls={ROWS: 2})
def attended_transfer_by_a_link(pbx):
    """LINK has six values; the entry position is the last, not the talk time."""
    link = ("LINK", "Local/x@default-00000001;1", "Local/x@default-00000001;2")
    return _phone_transfer(pbx, link)


def _glued(pbx):
    """A table of five data columns glues what does not fit into the last."""
    for number, record in enumerate(pbx.records):
        payload = record.payload
        if "data6" in payload:
            payload = dict(payload)
            payload["data5"] += "|" + payload.pop("data6")
            pbx.records[number] = type(record)(
                record.kind, record.occurred_at, payload, record.threads
            )


@case(_BY_PHONE, rows={"talk": ..., "positions": (1, None)}, calls={ROWS: 2})
def attended_transfer_by_a_link_in_five_columns(pbx):
    link = ("LINK", "Local/x@default-00000001;1", "Local/x@default-00000001;2")
    line = _phone_transfer(pbx, link)
    _glued(pbx)
    return line


def _parked(pbx):
    line = waiting(pbx)
    phone, bridge = answered_by(pbx, line)
    passed_on(pbx, line, phone, bridge, 20.0, "700", "parkedcalls")
    line.app_name = "Park"
    line.event("PARK_START", 20.1, {"parker_dial_string": "PJSIP/201",
                                    "parking_lot": "default"})  # fmt: skip
    lot = pbx.bridge()
    line.join(lot, 20.11)
    pbx.row(line, 0, 20, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    return line, lot


@case(_LOST | {"offered": {"201"}, "operator": "201"})
def parked_and_given_up(pbx):
    """Left in the car park until he hung up: lost on the way."""
    line, lot = _parked(pbx)
    line.event("PARK_END", 70.0, {"reason": "ParkedCallGiveUp"})
    line.leave(lot, 70.01).hangup(70.02, 16, line, "ANSWER")
    pbx.over(line, 70.02)
    pbx.row(line, 20, 50, "ANSWERED", "Park", "", dst="700", context="parkedcalls")


@case(
    {"outcome": "answered", "talked": ["201", "202"], "operator": "202",
     "reason": None, "talk": 46},
    rows={"talk": ...},
)  # fmt: skip
def parked_and_taken_out(pbx):
    line, lot = _parked(pbx)
    taker = pbx.channel("PJSIP/202", 39.0, "701", "from-internal", "202", "Boris")
    taker.answer(39.1)
    line.event("PARK_END", 40.0, {"reason": "ParkedCallUnparked",
                                  "retriever": taker.name})  # fmt: skip
    line.leave(lot, 40.01)
    taker.linkedid = line.linkedid
    pbx.talk(line, taker, 40.0, 70.0, by=taker)
    taker.hangup(70.01, 16, taker)
    line.hangup(70.02, 16, taker, "ANSWER")
    pbx.over(line, 70.02)
    pbx.row(line, 20, 20, "ANSWERED", "Park", "", dst="700", context="parkedcalls")
    pbx.row(line, 40, 30, "ANSWERED", "Park", "", to=taker, dst="700",
            context="parkedcalls")  # fmt: skip


@case(_LOST | {"offered": {"201"}, "operator": "201", "queue": "support"})
def passed_to_a_queue_that_lets_go(pbx):
    """No phone rang in the second queue: he was lost in the transfer all the same."""
    line = waiting(pbx)
    phone, bridge = answered_by(pbx, line)
    passed_on(pbx, line, phone, bridge, 20.0, "602")
    line.start("Queue", "support,t,,,10", 20.05)
    pbx.entered(line, 20.05, "support")
    pbx.log(line, 30.1, "support", "NONE", "EXITWITHTIMEOUT", 1, 1, 10)
    lets_go(pbx, line, 30.1, 33.0, "ANSWER")
    pbx.row(line, 0, 20, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(line, 20, 13, "ANSWERED", "Hangup", "", dst="602")


@case(
    {
        "outcome": "missed",
        "reason": "no_answer",
        "offered": {"201", "202"},
        "talked": [],
        "contact": False,
    },
)
def forwarded_phone_rings_elsewhere(pbx):
    """A phone that forwards without a talk before it is no transfer."""
    line = waiting(pbx)
    first = rings(pbx, line, "201", 0.7, 6.0)
    second = rings(pbx, line, "202", 6.1, 16.0)
    pbx.log(line, 6.0, "sales", "PJSIP/201", "RINGNOANSWER", 5000)
    pbx.log(line, 16.0, "sales", "PJSIP/202", "RINGCANCELED", 9900)
    pbx.log(line, 16.001, "sales", "NONE", "ABANDON", 1, 1, 15)
    line.end(16.002).hangup(16.002, 0, line, "CANCEL")
    pbx.over(line, 16.002)
    pbx.row(line, 0, 6, "NO ANSWER", "Queue", "sales,t,,,60", to=first, billsec=6)
    pbx.row(line, 6, 10, "NO ANSWER", "Queue", "sales,t,,,60", to=second, billsec=10)
