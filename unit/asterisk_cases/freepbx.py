"""Calls through FreePBX's dial plan: its contexts, columns and pipes."""

from .case import case
from .pbx import CLIENT, DID

_HOST = "10.0.0.12:5060"
_DID = {"did": DID, "cnum": CLIENT, "cnam": "Ivan"}
_OPTIONS = "20,HhtrM(auto-blkvm)Ib(func-apply-sipheaders^s^1)"


def arrives(pbx, **client):
    return pbx.client(context="from-trunk", **client).goto("s", "macro-user-callerid")


def dials(line, phones, at, options=_OPTIONS):
    """FreePBX dials from one place, whatever the call is for."""
    targets = "&".join(f"PJSIP/{one}/sip:{one}@{_HOST}" for one in phones)
    data = f"{targets},{options}"
    line.goto("s", "macro-dial").start("Dial", data, at)
    return data


@case(
    {"direction": "inbound", "outcome": "answered", "talked": ["202"], "wait": 8,
     "offered": {"201", "202"}, "queue": "600", "our_number": DID, "client": CLIENT},
    cel={"queue": None},
)  # fmt: skip
def ring_group(pbx):
    """Only the row's dst names the group: the events show macro-dial, s."""
    line = arrives(pbx)
    data = dials(line, ("201", "202"), 1.0)
    phones = [pbx.phone(one, 1.1, line, "s") for one in ("201", "202")]
    phones[0].hangup(8.01, 26)
    phones[1].answer(8.0)
    line.answer(8.0, "Dial")
    pbx.talk(line, phones[1], 8.0, 40.0, by=line)
    line.end(40.0).hangup(40.01, 16, line, "ANSWER")
    phones[1].hangup(40.02, 16, line)
    pbx.over(phones[1], 40.02)
    group = {"dst": "600", "context": "ext-group", **_DID}
    pbx.row(line, 0, 8, "NO ANSWER", "Dial", data, to=phones[0], **group)
    pbx.row(line, 0, 40, "ANSWERED", "Dial", data, to=phones[1], billsec=32, **group)


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201"}, "client": CLIENT,
     "our_number": DID, "voicemail": True, "queue": None, "recording": None},
)  # fmt: skip
def extension_then_its_box(pbx):
    """from-did-direct; nobody answers, the client leaves a message: still a miss."""
    line = arrives(pbx)
    data = dials(line, ("201",), 1.0)
    phone = pbx.phone("201", 1.1, line, "s")
    phone.hangup(21.1)
    line.end(21.1).goto("s-NOANSWER", "macro-vm").answer(21.2)
    line.run("VoiceMail", "201@default,u", 22.0, 45.0)
    line.hangup(45.0, 16, line, "NOANSWER")
    pbx.over(line, 45.0)
    pbx.row(line, 0, 21, "NO ANSWER", "Dial", data, to=phone, dst="201",
            context="from-did-direct", **_DID)  # fmt: skip
    pbx.row(line, 21, 24, "ANSWERED", "VoiceMail", "201@default,u", dst="vmu201",
            context="ext-local", **_DID)  # fmt: skip


_MENU = {"direction": "inbound", "outcome": "abandoned", "reason": "menu_hangup",
         "offered": set(), "our_number": DID, "short": False}  # fmt: skip


@case(_MENU | {"hangup_by": "client"}, rows={"hangup_by": None})
def menu_hung_up_on(pbx):
    """dcontext ivr-3, dst s: he listened for 20 s and hung up before any choice."""
    line = arrives(pbx).answer(0.5).goto("s", "ivr-3")
    line.hangup(20.0, 16, line)
    pbx.over(line, 20.0)
    pbx.row(line, 0, 20, "ANSWERED", "BackGround", "custom/welcome", dst="s",
            context="ivr-3", **_DID)  # fmt: skip


@case(_MENU | {"hangup_by": "system"}, rows={"hangup_by": "system"})
def menu_that_let_him_go(pbx):
    """No key, three times: the menu says goodbye. He never asked for anybody."""
    line = arrives(pbx).answer(0.5).goto("hang", "ivr-3")
    line.hangup(50.0, 16, "dialplan")
    pbx.over(line, 50.0)
    pbx.row(line, 0, 50, "ANSWERED", "Hangup", "", dst="t", context="ivr-3", **_DID)


@case(
    {"outcome": "answered", "talked": ["201"], "offered": {"201"}, "queue": "401",
     "wait": 22, "queue_wait": 6, "our_number": DID, "hangup_by": "operator"},
)  # fmt: skip
def menu_key_queue_answer(pbx):
    """The wait counts from the arrival, the queue's from the queue."""
    line = arrives(pbx).answer(0.5)
    line.goto("s", "ivr-3")
    line.goto("401", "ext-queues").start("Queue", "401,t,,,300,,,,,", 16.0)
    pbx.log(line, 15.9, "401", "NONE", "DID", DID)
    pbx.entered(line, 16.0, "401")
    one, two = pbx.pipe("201", "from-queue", 16.1, line)
    data = dials(two, ("201",), 16.2)
    phone = pbx.phone("201", 16.3, two, "s").answer(22.0)
    two.answer(22.001)
    one.answer(22.002)
    pbx.log(line, 22.0, "401", "Local/201@from-queue/n", "CONNECT", 6, one.uniqueid, 5)
    inner, outer = pbx.bridge(), pbx.bridge()
    phone.join(inner, 22.01)
    two.join(inner, 22.02, phone.name)
    one.join(outer, 22.03)
    line.join(outer, 22.04, one.name)
    phone.leave(inner, 80.0).hangup(80.01, 16, phone)
    two.leave(inner, 80.01).end(80.01).hangup(80.02, 16, phone, "ANSWER")
    one.leave(outer, 80.02).hangup(80.03)
    pbx.log(line, 80.03, "401", "Local/201@from-queue/n", "COMPLETEAGENT", 6, 58, 1)
    line.leave(outer, 80.03).end(80.04).hangup(80.05, 16, None, "ANSWER")
    pbx.over(line, 80.05)
    pbx.row(line, 0, 16, "ANSWERED", "BackGround", "custom/welcome", dst="1",
            context="ivr-3", **_DID)  # fmt: skip
    pbx.row(two, 16, 64, "ANSWERED", "Dial", data, to=phone, billsec=58, dst="201",
            context="from-queue", number=CLIENT)  # fmt: skip
    pbx.row(line, 16, 64, "ANSWERED", "Queue", "401,t,,,300,,,,,", to=one, dst="401",
            **_DID)  # fmt: skip


_MOBILE = "89165550001"


def _follow_me(pbx, is_taken):
    line = arrives(pbx)
    data = f"Local/FMPR-201@from-internal&Local/FMGL-{_MOBILE}#@from-internal,20,HhtrI"
    line.goto("FM201", "from-internal").start("Dial", data, 1.0)
    desk_one, desk_two = pbx.pipe("FMPR-201", "from-internal", 1.01, line)
    own_one, own_two = pbx.pipe(f"FMGL-{_MOBILE}#", "from-internal", 1.02, line)
    desk_data = dials(desk_two, ("201",), 1.1)
    desk = pbx.phone("201", 1.11, desk_two, "s")
    own_data = f"PJSIP/{_MOBILE}@trunk_msk,300,M(confirm)T"
    own_two.start("Dial", own_data, 1.2)
    mobile = pbx.line(_MOBILE, 1.21, own_two).answer(9.0)
    end = 9.5 if is_taken else 21.0
    if is_taken:
        own_two.answer(9.3)
        own_one.answer(9.31)
        line.answer(9.32, "Dial")
        inner, outer = pbx.bridge(), pbx.bridge()
        mobile.join(inner, 9.33)
        own_two.join(inner, 9.34)
        own_one.join(outer, 9.35)
        line.join(outer, 9.36)
    cause = 26 if is_taken else 0
    for ended in (desk_one, desk_two, desk):
        ended.hangup(end, cause, None, "CANCEL")
    if is_taken:
        end = 60.0
        line.leave(outer, end)
        own_one.leave(outer, end)
        mobile.leave(inner, end)
        own_two.leave(inner, end)
    mobile.hangup(end + 0.01)
    own_two.end(end + 0.01).hangup(end + 0.02, 16, None, "ANSWER")
    own_one.hangup(end + 0.02)
    line.end(end + 0.03)
    line.hangup(end + 0.04, 16, line, "ANSWER" if is_taken else "NOANSWER")
    pbx.over(line, end + 0.04)
    seconds = 59 if is_taken else 20
    disposition = "ANSWERED" if is_taken else "NO ANSWER"
    ring = 8 if is_taken else 20
    pbx.row(desk_two, 1, ring, "NO ANSWER", "Dial", desk_data, to=desk, dst="201",
            context="macro-dial", number=CLIENT)  # fmt: skip
    pbx.row(own_two, 1, seconds, "ANSWERED", "Dial", own_data, to=mobile,
            billsec=50 if is_taken else 0, dst=_MOBILE, context="from-internal",
            number=CLIENT)  # fmt: skip
    group = {"dst": "201", "context": "from-did-direct", **_DID}
    pbx.row(line, 0, ring, "NO ANSWER", "Dial", data, to=desk_one, **group)
    pbx.row(line, 0, seconds, disposition, "Dial", data, to=own_one,
            billsec=50 if is_taken else 0, **group)  # fmt: skip


_FOLLOWED = {"direction": "inbound", "client": CLIENT, "offered": {"201", _MOBILE},
             "our_number": DID}  # fmt: skip


@case(_FOLLOWED | {"outcome": "answered", "talked": [_MOBILE], "talk": 50})
def follow_me_taken_at_the_mobile(pbx):
    """He pressed 1 on his mobile: an operator talked, outside the house."""
    _follow_me(pbx, is_taken=True)


@case(
    _FOLLOWED | {"outcome": "missed", "reason": "no_answer", "talked": []},
    cel={"outcome": ..., "reason": ..., "talked": ...},
)
def follow_me_taken_by_the_mobiles_box(pbx):
    """The mobile's own voicemail answered and never confirmed: billsec 0."""
    _follow_me(pbx, is_taken=False)


@case(
    {"direction": "inbound", "outcome": "missed", "reason": "lost_in_transfer",
     "talked": ["201"], "offered": {"201", "203"}, "client": CLIENT},
    cel=False,
)  # fmt: skip
def transfer_in_its_own_context(pbx):
    """from-internal-xfer, and a dial string cut in its middle at 79 characters."""
    line = arrives(pbx)
    first, target = pbx.phone("201", 1.1, line), pbx.phone("203", 31.1, line)
    data = f"PJSIP/201/sip:201@{_HOST},{_OPTIONS}"
    pbx.row(line, 0, 31, "ANSWERED", "Dial", data, to=first, billsec=25, dst="201",
            context="from-did-direct", **_DID)  # fmt: skip
    data = f"PJSIP/203/sip:203@{_HOST}&PJSIP/203-mobile/sip:203-mobile@{_HOST},20"
    pbx.row(line, 31, 20, "NO ANSWER", "Dial", data, to=target, billsec=20, dst="203",
            context="from-internal-xfer", **_DID)  # fmt: skip


@case(
    {
        "direction": "inbound",
        "outcome": "missed",
        "reason": "no_answer",
        "offered": {"201"},
    },
    cel=False,
)
def two_devices_of_one_extension(pbx):
    """201 and 201-mobile are one operator, offered once."""
    line = arrives(pbx)
    desk = pbx.phone("201", 1.1, line, "s")
    app = pbx.phone("201-mobile", 1.1, line, "s")
    data = f"PJSIP/201/sip:201@{_HOST}&PJSIP/201-mobile/sip:201@{_HOST},20"
    for phone in (desk, app):
        pbx.row(line, 0, 20, "NO ANSWER", "Dial", data, to=phone, dst="201",
                context="from-did-direct", **_DID)  # fmt: skip
