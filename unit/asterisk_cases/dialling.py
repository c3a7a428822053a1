"""Phones dialled without a queue: rings, forwards, pick-ups, kinds of lines."""

from .case import case
from .pbx import CLIENT


def dialling(pbx, phones=("201",), exten=None, context="from-internal", seconds=25,
             at=0.0, is_answered=False, **client):  # fmt: skip
    """A client's call rings phones; returns the line and its ringing phones."""
    exten = exten or phones[0]
    line = pbx.client(at, **client).goto(exten, context)
    if is_answered:
        line.answer(at + 0.05)
    targets = "&".join(f"PJSIP/{phone}" for phone in phones)
    line.start("Dial", f"{targets},{seconds}", at + 0.1)
    return line, [pbx.phone(phone, at + 0.11, line, exten) for phone in phones]


def picked_up(pbx, line, phone, at, until, by=None):
    phone.answer(at)
    line.answer(at + 0.001, "Dial")
    pbx.talk(line, phone, at + 0.002, until, by=by)
    line.end(until + 0.01).hangup(until + 0.02, 16, by, "ANSWER")
    phone.hangup(until + 0.01, 16, by)
    pbx.over(line, until + 0.02)


def given_up(pbx, line, phones, at):
    line.end(at).hangup(at, 127, line, "CANCEL")
    for phone in phones:
        phone.hangup(at + 0.01, 127)
    pbx.over(phones[-1], at + 0.01)


def dial_row(pbx, line, phone, duration, disposition, phones=("201",), start=0,
             seconds=25, exten=None, context="from-internal", **more):  # fmt: skip
    data = "&".join(f"PJSIP/{one}" for one in phones) + f",{seconds}"
    pbx.row(line, start, duration, disposition, "Dial", data, to=phone,
            dst=exten or phones[0], context=context, **more)  # fmt: skip


_GROUP = ("201", "202", "203")


@case(
    {"outcome": "answered", "talked": ["202"], "offered": set(_GROUP),
     "queue": "600", "wait": 6, "talk": 20,
     "results": {"201": "elsewhere", "202": "answered", "203": "elsewhere"}},
    rows={"results": {"201": "cancelled", "202": "answered", "203": "cancelled"}},
)  # fmt: skip
def colleagues_of_the_one_who_answered(pbx):
    """canceldispositionenabled: phones that lost to a colleague are CANCEL too."""
    line, phones = dialling(pbx, _GROUP, "600", "ext-group")
    for loser in (phones[0], phones[2]):
        loser.hangup(6.01, 26)
    picked_up(pbx, line, phones[1], 6.0, 26.0, by=line)
    more = {"phones": _GROUP, "exten": "600", "context": "ext-group"}
    dial_row(pbx, line, phones[0], 6, "CANCEL", **more)
    dial_row(pbx, line, phones[1], 26, "ANSWERED", billsec=20, **more)
    dial_row(pbx, line, phones[2], 6, "CANCEL", **more)


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": set(_GROUP),
     "hangup_by": "client", "queue": "600"},
    rows={"hangup_by": None},
)  # fmt: skip
def client_cancels_a_ring_group(pbx):
    """CANCEL is what the client did, not what the operators were doing."""
    line, phones = dialling(pbx, _GROUP, "600", "ext-group")
    given_up(pbx, line, phones, 8.0)
    for phone in phones:
        dial_row(pbx, line, phone, 8, "CANCEL", phones=_GROUP, exten="600",
                 context="ext-group")  # fmt: skip


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201"},
     "results": {"201": "cancelled"}},
    rows={"results": {"201": "no_answer"}},
)  # fmt: skip
def rows_of_the_called_channels_too(pbx):
    """unanswered=yes: every channel that was called has a row of its own as well."""
    line, (phone,) = dialling(pbx)
    given_up(pbx, line, [phone], 8.0)
    dial_row(pbx, line, phone, 8, "NO ANSWER")
    pbx.row(phone, 0, 8, "NO ANSWER", "AppDial", "(Outgoing Line)", dst="201",
            context="from-internal")  # fmt: skip


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201"}, "short": False,
     "results": {"201": "failed"}},
)  # fmt: skip
def congestion_on_the_way_to_the_phone(pbx):
    """congestion=yes: not the same as a phone that is known to be switched off."""
    line, (phone,) = dialling(pbx)
    phone.hangup(0.4, 34)
    line.end(0.41).run("Playback", "all-circuits-busy", 0.5, 4.0)
    line.hangup(4.01, 34, "dialplan", "CONGESTION")
    pbx.over(line, 4.01)
    dial_row(pbx, line, phone, 0, "CONGESTION")


@case(
    {"outcome": "missed", "reason": "unreachable", "offered": {"202"},
     "results": {"202": "unreachable"}, "short": False, "hangup_by": "system"},
    rows=False,
)  # fmt: skip
def extension_that_is_not_registered(pbx):
    """CHANUNAVAIL: no channel could be made, so no row was begun either."""
    line = pbx.client().goto("202", "from-internal")
    line.run("Dial", "PJSIP/202,25", 0.1, 0.102)
    line.hangup(0.11, 3, "dialplan", "CHANUNAVAIL")
    pbx.over(line, 0.11)


@case(
    {
        "outcome": "missed",
        "reason": "busy",
        "offered": {"201"},
        "short": False,
        "results": {"201": "busy"},
    },
)
def engaged_tone_the_client_hangs_up_on(pbx):
    """He hears the engaged tone and hangs up after 2 s: refused, and never short."""
    line, (phone,) = dialling(pbx, is_answered=True)
    phone.hangup(0.2, 17, phone)
    line.end(0.21).hangup(2.2, 17, line, "BUSY")
    pbx.over(line, 2.2)
    dial_row(pbx, line, phone, 0, "BUSY")


@case(
    {"outcome": "missed", "reason": "busy", "offered": {"201"}, "short": False,
     "hangup_by": "system"},
    rows={"hangup_by": None},
)  # fmt: skip
def engaged_signal_before_any_answer(pbx):
    """Busy() sends 486; the client's own channel is named as the one that ended."""
    line, (phone,) = dialling(pbx)
    phone.hangup(0.2, 17, phone)
    line.end(0.21).hangup(0.22, 17, line, "BUSY")
    pbx.over(line, 0.22)
    dial_row(pbx, line, phone, 0, "BUSY")


_MOBILE = "89165550001"


def _forwarded(pbx):
    line = pbx.client().goto("201", "from-internal")
    line.start("Dial", "PJSIP/201,15", 0.1)
    desk = pbx.phone("201", 0.11, line, "201")
    desk.hangup(15.1)
    line.end(15.1).start("Dial", f"PJSIP/{_MOBILE}@trunk_msk,30", 15.2)
    mobile = pbx.line(_MOBILE, 15.21, line)
    dial_row(pbx, line, desk, 15, "NO ANSWER", seconds=15)
    return line, mobile


def _forward_row(pbx, line, mobile, duration, disposition, **more):
    pbx.row(line, 15, duration, disposition, "Dial", f"PJSIP/{_MOBILE}@trunk_msk,30",
            to=mobile, dst="201", context="from-internal", **more)  # fmt: skip


@case(
    {"direction": "inbound", "outcome": "answered", "talked": [_MOBILE],
     "offered": {"201", _MOBILE}, "client": CLIENT, "wait": 25, "talk": 30},
)  # fmt: skip
def forwarded_to_a_mobile_that_answers(pbx):
    """The operator's mobile, on a line of ours: inbound, and answered by him."""
    line, mobile = _forwarded(pbx)
    picked_up(pbx, line, mobile, 25.0, 55.0, by=line)
    _forward_row(pbx, line, mobile, 40, "ANSWERED", billsec=30)


@case(
    {"direction": "inbound", "outcome": "missed", "reason": "no_answer", "talked": [],
     "offered": {"201", _MOBILE}, "client": CLIENT},
)  # fmt: skip
def forwarded_to_a_mobile_that_does_not_answer(pbx):
    line, mobile = _forwarded(pbx)
    mobile.hangup(45.3)
    line.end(45.3).hangup(45.31, 16, "dialplan", "NOANSWER")
    pbx.over(line, 45.31)
    _forward_row(pbx, line, mobile, 30, "NO ANSWER")


@case(
    {"direction": "inbound", "outcome": "missed", "reason": "no_answer", "talked": [],
     "offered": {"201", _MOBILE},
     "results": {"201": "no_answer", _MOBILE: "no_answer"}},
    cel={"outcome": ..., "reason": ..., "talked": ..., "results": ...},
)  # fmt: skip
def mobile_whose_voicemail_was_asked_to_confirm(pbx):
    """Asked to press 1 to take the call, the mobile's box presses nothing.

    The row is ANSWERED with billsec 0. CEL alone would take the answer for a talk,
    since no channel of this call was ever in a bridge.
    """
    line, mobile = _forwarded(pbx)
    mobile.answer(22.0)
    mobile.hangup(32.0)
    line.end(32.0).hangup(32.01, 16, "dialplan", "NOANSWER")
    pbx.over(line, 32.01)
    _forward_row(pbx, line, mobile, 17, "ANSWERED", billsec=0)


@case(
    {"outcome": "answered", "talked": ["203"], "offered": {"201"}, "operator": "203"},
    rows={"offered": {"201", "203"}},
)
def picked_up_by_a_colleague(pbx):
    """*8: 203 takes a call that rings at 201. He was not rung, yet he answered.

    The rows show him like any phone that answered.
    """
    line, (phone,) = dialling(pbx)
    taker = pbx.channel("PJSIP/203", 5.0, "*8201", "from-internal", "203", "Clara")
    taker.answer(5.1)
    extra = {"pickup_channel": taker.name, "pickup_channel_uniqueid": taker.uniqueid}
    phone.event("PICKUP", 5.11, extra)
    phone.hangup(5.12, 26)
    own = taker.linkedid
    taker.linkedid = line.linkedid
    line.answer(5.13, "Dial")
    pbx.talk(line, taker, 5.14, 35.0, by=line)
    line.end(35.01).hangup(35.02, 16, line, "ANSWER")
    taker.hangup(35.03, 16, line)
    pbx.over(taker, 35.03)
    dial_row(pbx, line, phone, 5, "NO ANSWER")
    dial_row(pbx, line, taker, 30, "ANSWERED", start=5)
    taker.linkedid = own
    pbx.row(taker, 5, 0, "ANSWERED", "Pickup", "", dst="*8201",
            context="from-internal", linkedid=line.linkedid)  # fmt: skip
    return line


@case(
    {"direction": "inbound", "outcome": "answered", "talked": ["201"],
     "offered": {"201"}},
    rows={"talked": ["anna"], "offered": {"anna"}},
)  # fmt: skip
def phone_with_a_name(pbx):
    """PJSIP/anna: rows name the peer, events her caller id. Both are aliases of one
    extension; with both kinds of records the events win.
    """
    line = pbx.client().goto("201", "from-internal")
    line.start("Dial", "PJSIP/anna,25", 0.1)
    phone = pbx.channel("PJSIP/anna", 0.11, "s", "from-internal", "201", "Anna", line)
    phone.exten, phone.app_name, phone.app_data = "201", "AppDial", "(Outgoing Line)"
    picked_up(pbx, line, phone, 4.0, 24.0, by=phone)
    pbx.row(line, 0, 24, "ANSWERED", "Dial", "PJSIP/anna,25", to=phone, billsec=20,
            dst="201", context="from-internal")  # fmt: skip


@case(
    {
        "direction": "outbound",
        "outcome": "answered",
        "client": CLIENT,
        "operator": "201",
        "contact": True,
    },
)
def phone_with_a_name_calls_back(pbx):
    caller = pbx.channel("PJSIP/anna", 0, CLIENT, "from-internal", "201", "Anna")
    caller.dnid = CLIENT
    caller.start("Dial", f"PJSIP/{CLIENT}@trunk_msk,40", 0.1)
    line = pbx.line(CLIENT, 0.11, caller)
    line.answer(5.0)
    caller.answer(5.01)
    pbx.talk(caller, line, 5.02, 25.0, by=line)
    caller.end(25.01).hangup(25.02, 16, line, "ANSWER")
    line.hangup(25.01, 16, line)
    pbx.over(caller, 25.02)
    pbx.row(caller, 0, 25, "ANSWERED", "Dial", f"PJSIP/{CLIENT}@trunk_msk,40", to=line,
            billsec=20, dst=CLIENT, context="from-internal")  # fmt: skip


@case(
    {"direction": "inbound", "outcome": "missed", "reason": "no_answer",
     "client": "89161234567", "offered": {"201"}},
)  # fmt: skip
def line_of_a_card(pbx):
    """DAHDI spans are lines whatever they are numbered."""
    line, phones = dialling(pbx, trunk="DAHDI/i1/89161234567", number="89161234567")
    given_up(pbx, line, phones, 9.0)
    dial_row(pbx, line, phones[0], 9, "NO ANSWER")


@case(
    {"direction": "inbound", "outcome": "missed", "reason": "no_answer", "client": "",
     "offered": {"201"}, "name": None},
)  # fmt: skip
def client_without_a_number(pbx):
    """Nothing at all stands where the number would: no client, but a miss."""
    line, phones = dialling(pbx, number="")
    given_up(pbx, line, phones, 9.0)
    dial_row(pbx, line, phones[0], 9, "NO ANSWER")


@case(
    {"outcome": "missed", "client": "anonymous", "offered": {"201"}},
)
def client_who_withheld_his_number(pbx):
    line, phones = dialling(pbx, number="anonymous", name="Anonymous")
    given_up(pbx, line, phones, 9.0)
    dial_row(pbx, line, phones[0], 9, "NO ANSWER")


@case(
    {"outcome": "missed", "name": "Иван Петров"},
)
def name_encoded_twice(pbx):
    """cdr_pgsql without ``encoding`` takes UTF-8 for LATIN9 and encodes it again."""
    name = "Иван Петров".encode().decode("iso8859-15")
    line, phones = dialling(pbx, name=name)
    given_up(pbx, line, phones, 9.0)
    dial_row(pbx, line, phones[0], 9, "NO ANSWER")


@case(
    {"direction": "inbound", "outcome": "missed", "offered": {"201", "202"},
     "ended": True, "queue": None},
    pbx={"system": "pbx-msk-01"},
)  # fmt: skip
def system_name_with_dashes(pbx):
    """systemname prefixes every id; the call is still one, in the order of its ids."""
    line, phones = dialling(pbx)
    phones[0].hangup(8.0)
    line.end(8.0).start("Dial", "PJSIP/202,25", 8.1)
    second = pbx.phone("202", 8.11, line, "202")
    given_up(pbx, line, [second], 20.0)
    dial_row(pbx, line, phones[0], 8, "NO ANSWER")
    dial_row(pbx, line, second, 12, "NO ANSWER", phones=("202",), start=8)


@case(
    {"outcome": "answered", "talked": ["201"], "talk": 20, "wait": 4},
    cel=False,
)
def numeric_disposition(pbx):
    """A disposition column of an integer type holds 8 for ANSWERED, 4 for BUSY."""
    line, (phone,) = dialling(pbx)
    picked_up(pbx, line, phone, 4.0, 24.0, by=line)
    dial_row(pbx, line, phone, 24, "8", billsec=20)


@case(
    {"outcome": "missed", "reason": "busy", "offered": {"201"}},
    cel=False,
)
def numeric_disposition_of_a_busy_phone(pbx):
    line, (phone,) = dialling(pbx)
    phone.hangup(0.2, 17, phone)
    line.end(0.21).hangup(0.22, 17, "dialplan", "BUSY")
    pbx.over(line, 0.22)
    dial_row(pbx, line, phone, 0, "4")
