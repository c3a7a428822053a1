"""How calls end: voicemail boxes, menus, closed hours, faults."""

from .case import case
from .dialling import dial_row, dialling, given_up
from .queues import gives_up, rings, waiting
from .transfers import answered_by


def _box(pbx, seconds, options="u", sounds=()):
    """A phone rings for 20 s, then the client is in its box for ``seconds``."""
    line, (phone,) = dialling(pbx, seconds=20)
    phone.hangup(20.1)
    line.end(20.1).answer(20.2)
    line.start("VoiceMail", f"201@default,{options}", 20.3)
    for at, sound in sounds:
        line.event("STREAM_BEGIN", at, {"sound": sound, "format": "gsm"})
    line.end(20.3 + seconds).hangup(20.3 + seconds, 16, line, "NOANSWER")
    pbx.over(line, 20.3 + seconds)
    dial_row(pbx, line, phone, 20, "NO ANSWER", seconds=20)
    pbx.row(line, 20, seconds, "ANSWERED", "VoiceMail", f"201@default,{options}",
            dst="201", context="from-internal")  # fmt: skip


_TO_BOX = {"outcome": "missed", "reason": "no_answer", "offered": {"201"},
           "direction": "inbound", "talked": [], "contact": False}  # fmt: skip


@case(_TO_BOX | {"voicemail": True})
def message_left(pbx):
    _box(pbx, 30)


@case(_TO_BOX | {"voicemail": False})
def greeting_hung_up_on(pbx):
    _box(pbx, 6)


@case(_TO_BOX | {"voicemail": True})
def message_left_in_a_box_without_instructions(pbx):
    """Option s: the tone comes at once, 5 s are a message."""
    _box(pbx, 5, "su")


@case(_TO_BOX | {"voicemail": True}, rows={"voicemail": False})
def message_after_the_tone(pbx):
    """The tone at 4 s, 5 s of message: only events with streams can tell."""
    _box(pbx, 9, sounds=((20.4, "vm-theperson"), (24.3, "beep")))


@case(_TO_BOX | {"voicemail": False}, rows={"voicemail": True})
def long_greeting_without_the_tone(pbx):
    """The greeting lasts longer than most: the tone never came, so no message.

    The rows only know that he stayed for 15 s.
    """
    _box(pbx, 15, sounds=((20.4, "custom-greeting"),))


@case(
    {
        "outcome": "abandoned",
        "reason": "queue_timeout",
        "voicemail": False,
        "queue": "sales",
    },
)
def box_after_a_long_queue(pbx):
    """One row covers 30 s in the queue and 4 s in the box: no message in 4 s."""
    line = waiting(pbx, limit=30)
    pbx.log(line, 30.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 1, 30)
    line.end(30.7).start("VoiceMail", "600@default,u", 30.8)
    line.end(34.8).hangup(34.8, 16, line)
    pbx.over(line, 34.8)
    pbx.row(line, 0, 34, "ANSWERED", "VoiceMail", "600@default,u")


def _cut(cause, who):
    def write(pbx):
        line = waiting(pbx)
        phone, bridge = answered_by(pbx, line)
        phone.leave(bridge, 30.0)
        line.leave(bridge, 30.01).end(30.02)
        ended, other = (line, phone) if who == "client" else (phone, line)
        pbx.log(
            line,
            30.0,
            "sales",
            "PJSIP/201",
            "COMPLETECALLER" if who == "client" else "COMPLETEAGENT",
            3,
            26,
            1,
        )
        ended.hangup(30.03, cause, ended if cause == 16 else None, "ANSWER")
        other.hangup(30.04, 16, None)
        pbx.over(line, 30.05)
        pbx.row(line, 0, 30, "ANSWERED", "Queue", "sales,t,,,60", to=phone)

    write.__name__ = f"talk_cut_by_cause_{cause}_of_the_{who}"
    write.__doc__ = f"Hang-up cause {cause}: answered, and cut if it is a fault's."
    return write


for _cause in (27, 38, 41, 42, 44, 47):
    for _who in ("client", "operator"):
        case(
            {"outcome": "answered", "reason": None, "disconnected": True,
             "talked": ["201"], "contact": True},
            rows={"disconnected": False},
        )(_cut(_cause, _who))  # fmt: skip
for _cause in (16, 18, 31, 127):
    case({"outcome": "answered", "disconnected": False})(_cut(_cause, "client"))


@case(
    {"outcome": "missed", "reason": "disconnected", "offered": {"201"}, "short": False,
     "disconnected": False},
    cel={"outcome": ..., "reason": ..., "offered": {"201"}},
)  # fmt: skip
def codecs_that_do_not_fit(pbx):
    """SYSCOMPAT: he picked up, nothing could be heard, the queue dropped the client.

    A miss by a fault; ``is_disconnected`` is for talks that were cut.
    """
    line = waiting(pbx)
    phone = pbx.phone("201", 0.7, line, "601", "AppQueue").answer(3.0)
    pbx.log(line, 3.01, "sales", "PJSIP/201", "SYSCOMPAT")
    phone.hangup(3.02, 16)
    line.end(3.03).hangup(3.04, 16, "dialplan", "CANCEL")
    pbx.over(line, 3.04)
    pbx.row(line, 0, 3, "NO ANSWER", "Queue", "sales,t,,,60", to=phone, billsec=3)


@case(
    {"outcome": "abandoned", "reason": "disconnected", "hangup_by": None,
     "offered": set(), "short": False},
    rows={"reason": "queue_hangup", "hangup_by": "client", "short": True},
)  # fmt: skip
def line_that_breaks_in_the_queue(pbx):
    """Cause 38 on the client's answered channel. The queue log takes it for his own
    hang-up, and cannot tell.
    """
    line = waiting(pbx)
    pbx.log(line, 4.0, "sales", "NONE", "ABANDON", 1, 1, 4)
    line.end(4.0).hangup(4.01, 38, None)
    pbx.over(line, 4.01)
    pbx.row(line, 0, 4, "ANSWERED", "Queue", "sales,t,,,60")


@case(
    {
        "outcome": "missed",
        "reason": "no_answer",
        "disconnected": False,
        "hangup_by": "client",
    },
)
def cause_left_over_from_a_phone(pbx):
    """The client's channel keeps the cause of the phone that failed (27): he waited
    on in the queue and hung up himself, so his line was not cut.
    """
    line, (phone,) = dialling(pbx, is_answered=True)
    phone.hangup(0.2, 27)
    line.end(0.21).goto("601", "ext-queues").start("Queue", "sales,t,,,60", 1.0)
    pbx.entered(line, 1.0, "sales")
    second = rings(pbx, line, "202", 1.1, 14.0)
    pbx.log(line, 14.0, "sales", "PJSIP/202", "RINGCANCELED", 12900)
    pbx.log(line, 14.0, "sales", "NONE", "ABANDON", 1, 1, 13)
    line.end(14.0).hangup(14.0, 27, line, "CONGESTION")
    pbx.over(line, 14.0)
    dial_row(pbx, line, phone, 0, "FAILED")
    pbx.row(line, 1, 13, "NO ANSWER", "Queue", "sales,t,,,60", to=second, billsec=13)


# -- closed hours ------------------------------------------------------------------


def _closed(context, exten="s"):
    def write(pbx):
        line = pbx.client().goto(exten, context).answer(0.1)
        line.run("Playback", "we-are-closed", 0.6, 2.0)
        line.hangup(2.0, 16, line)
        pbx.over(line, 2.0)
        pbx.row(line, 0, 2, "ANSWERED", "Playback", "we-are-closed", dst=exten,
                context=context)  # fmt: skip

    write.__name__ = f"closed_{context}_{exten}".replace("-", "_")
    write.__doc__ = f"{exten}@{context} is a branch for closed hours."
    return write


for _place in (
    ("ooh", "msg"), ("night", "s"), ("app-announcement-closed", "s"), ("holiday", "s"),
    ("holidays-2026", "s"), ("after-hours", "s"), ("nonworking", "s"),
    ("night-mode", "s"), ("ext-local", "closed"), ("out_of_office_hours", "s"),
):  # fmt: skip
    case(
        {"outcome": "abandoned", "reason": "out_of_hours", "out_of_hours": True,
         "short": False, "offered": set()},
    )(_closed(*_place))  # fmt: skip


def _open(context, exten="s"):
    def write(pbx):
        line = pbx.client().goto(exten, context).answer(0.1)
        line.goto("601", "ext-queues").start("Queue", "sales,t,,,60", 0.6)
        pbx.entered(line, 0.6, "sales")
        phone = rings(pbx, line, "201", 0.7, 12.0)
        pbx.log(line, 12.0, "sales", "PJSIP/201", "RINGCANCELED", 11300)
        pbx.log(line, 12.0, "sales", "NONE", "ABANDON", 1, 1, 11)
        gives_up(pbx, line, 12.0)
        pbx.row(line, 0, 12, "NO ANSWER", "Queue", "sales,t,,,60", to=phone, billsec=12)

    write.__name__ = f"open_after_{context}_{exten}".replace("-", "_")
    write.__doc__ = f"Passing {exten}@{context} does not mean closed."
    return write


for _place in (
    ("timeconditions", "1"), ("app-daynight", "0"), ("check-night", "s"),
    ("timecondition-holidays", "s"), ("gotoiftime-closed", "s"),
    ("tonight-show", "s"), ("enclosed", "s"), ("knightsbridge", "s"),
):  # fmt: skip
    case(
        {"outcome": "missed", "reason": "no_answer", "out_of_hours": False},
    )(_open(*_place))


@case(
    {
        "outcome": "missed",
        "reason": "out_of_hours",
        "out_of_hours": True,
        "offered": {"201"},
    },
    cel=False,
)
def night_watchman_who_does_not_answer(pbx):
    """The closed branch was taken, though it rings a phone: the first reason holds."""
    line, phones = dialling(pbx, context="night")
    given_up(pbx, line, phones, 3.0)
    dial_row(pbx, line, phones[0], 3, "NO ANSWER", context="night")
