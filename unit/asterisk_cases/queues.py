"""Calls that wait in a queue."""

from .case import case


def waiting(pbx, queue="sales", limit=60, exten="601", at=0.0, **client):
    """A client is answered by the PBX and enters a queue half a second later."""
    line = pbx.client(at, **client).goto(exten, "ext-queues")
    line.answer(at + 0.1)
    line.start("Queue", f"{queue},t,,,{limit}", at + 0.6)
    pbx.entered(line, at + 0.6, queue)
    return line


def rings(pbx, line, phone, at, until, cause=0, exten="601", by=None):
    """A member's phone rings and is not answered."""
    ringing = pbx.phone(phone, at, line, exten, "AppQueue")
    ringing.hangup(until, cause, ringing if by == "phone" else None)
    return ringing


def gives_up(pbx, line, at, status="CANCEL"):
    line.end(at)
    line.hangup(at, 0, line, status)
    pbx.over(line, at)


def lets_go(pbx, line, at, until, status=""):
    """The queue is left; a message is played and the PBX hangs up."""
    line.end(at)
    line.run("Playback", "vm-nobodyavail", at + 0.01, until)
    line.hangup(until + 0.01, 16, "dialplan", status)
    pbx.over(line, until + 0.01)


@case(
    {
        "direction": "inbound", "outcome": "abandoned", "reason": "queue_timeout",
        "offered": set(), "queue": "sales", "hangup_by": "system", "short": False,
        "wait": 18, "queue_wait": 14, "positions": (2, 1), "ended": True,
    },
    cel={"positions": (None, None)},
)  # fmt: skip
def queue_limit_without_a_ring(pbx):
    """All operators talk: no phone rings until the queue's own limit."""
    line = waiting(pbx, limit=14)
    pbx.records.pop()
    pbx.entered(line, 0.6, "sales", 2)
    pbx.log(line, 14.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 2, 14)
    lets_go(pbx, line, 14.7, 17.6)
    pbx.row(line, 0, 17, "ANSWERED", "Hangup")


@case(
    {
        "outcome": "missed", "reason": "no_answer", "offered": {"201", "202"},
        "queues": ["sales", "support"], "queue": "support", "hangup_by": "client",
        "positions": (1, 1), "queue_wait": 32, "operator": "202",
    },
    cel={"positions": (None, None)},
)  # fmt: skip
def two_queues_given_up_in_the_second(pbx):
    """The first queue lets go at its limit; the client gives up in the second.

    One call and one miss, of the queue in which the client was lost.
    """
    line = waiting(pbx, limit=10)
    first = rings(pbx, line, "201", 0.7, 6.7)
    pbx.log(line, 6.7, "sales", "PJSIP/201", "RINGNOANSWER", 6000)
    pbx.log(line, 10.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 1, 10)
    line.end(10.7).start("Queue", "support,t,,,40", 10.71)
    pbx.entered(line, 10.71, "support")
    second = rings(pbx, line, "202", 10.8, 32.6)
    pbx.log(line, 32.6, "support", "PJSIP/202", "RINGCANCELED", 21800)
    pbx.log(line, 32.6, "support", "NONE", "ABANDON", 1, 1, 22)
    gives_up(pbx, line, 32.6, "NOANSWER")
    pbx.row(line, 0, 6, "NO ANSWER", "Queue", "sales,t,,,10", to=first, billsec=6)
    pbx.row(line, 10, 22, "NO ANSWER", "Queue", "support,t,,,40", to=second, billsec=22)


@case(
    {
        "outcome": "answered", "reason": None, "offered": {"201", "202"},
        "talked": ["202"], "queues": ["sales", "support"], "queue": "support",
        "wait": 15, "talk": 25, "contact": True, "operator": "202",
    },
)  # fmt: skip
def two_queues_answered_in_the_second(pbx):
    """Answered after the overflow: no miss, whatever the first queue says."""
    line = waiting(pbx, limit=10)
    first = rings(pbx, line, "201", 0.7, 6.7)
    pbx.log(line, 6.7, "sales", "PJSIP/201", "RINGNOANSWER", 6000)
    pbx.log(line, 10.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 1, 10)
    line.end(10.7).start("Queue", "support,t,,,40", 10.71)
    pbx.entered(line, 10.71, "support")
    second = pbx.phone("202", 10.8, line, "601", "AppQueue").answer(14.9)
    pbx.log(line, 14.9, "support", "PJSIP/202", "CONNECT", 4, second.uniqueid, 4)
    pbx.talk(line, second, 14.9, 39.9, by=line)
    pbx.log(line, 39.9, "support", "PJSIP/202", "COMPLETECALLER", 4, 25, 1)
    line.end(39.9).hangup(39.9, 16, line, "ANSWER")
    second.hangup(39.91, 16, line)
    pbx.over(second, 39.91)
    pbx.row(line, 0, 6, "NO ANSWER", "Queue", "sales,t,,,10", to=first, billsec=6)
    pbx.row(line, 10, 29, "ANSWERED", "Queue", "support,t,,,40", to=second)


@case(
    {
        "outcome": "abandoned", "reason": "queue_hangup", "queue": "support",
        "queues": ["sales", "support"], "offered": set(), "short": False,
    },
)  # fmt: skip
def two_queues_without_a_ring(pbx):
    """A limit of the first queue is not why he was lost: he gave up in the second.

    It is not short either, though he spent 3 s in the last queue: the interval runs
    from the first one.
    """
    line = waiting(pbx, limit=10)
    pbx.log(line, 10.7, "sales", "NONE", "EXITWITHTIMEOUT", 1, 1, 10)
    line.end(10.7).start("Queue", "support,t,,,40", 10.71)
    pbx.entered(line, 10.71, "support")
    pbx.log(line, 13.7, "support", "NONE", "ABANDON", 1, 1, 3)
    gives_up(pbx, line, 13.7)
    pbx.row(line, 0, 13, "ANSWERED", "Queue", "support,t,,,40")


@case(
    {"outcome": "abandoned", "reason": "no_operators", "offered": set(),
     "hangup_by": "system", "short": False},
    rows=False,
)  # fmt: skip
def queue_refuses_an_unanswered_caller(pbx):
    """JOINEMPTY before any Answer(): neither cdr nor queue_log hold the call."""
    line = pbx.client().goto("604", "ext-queues")
    line.run("Queue", "deskno,t,,,40", 0.1, 0.101)
    line.run("Playback", "vm-goodbye,noanswer", 0.102, 1.0)
    line.hangup(1.01, 16, "dialplan")
    pbx.over(line, 1.01)


@case(
    {"outcome": "abandoned", "reason": "no_operators", "queue": "sales",
     "short": False},
    rows={"reason": "unknown", "queue": None},
)  # fmt: skip
def queue_refuses_an_answered_caller(pbx):
    """FULL, JOINEMPTY and JOINUNAVAIL leave no queue event.

    The row's last application is the message after it, so the rows alone only show a
    call that the PBX ended: the reason is unknown and never the client's own.
    """
    line = pbx.client().goto("601", "ext-queues").answer(0.1)
    line.run("Queue", "sales,t,,,60", 0.6, 0.602)
    line.run("Playback", "vm-goodbye", 0.61, 1.5)
    line.hangup(1.51, 16, "dialplan")
    pbx.over(line, 1.51)
    pbx.row(line, 0, 1, "ANSWERED", "Hangup")


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"210"},
     "results": {"210": "no_answer"}, "queue": "sales", "hangup_by": "system"},
)  # fmt: skip
def queue_becomes_empty_after_a_ring(pbx):
    """EXITEMPTY: somebody was rung before he logged off, so it is a missed call."""
    line = waiting(pbx)
    phone = rings(pbx, line, "210", 0.7, 5.7)
    pbx.log(line, 5.7, "sales", "PJSIP/210", "RINGNOANSWER", 5000)
    pbx.log(line, 6.8, "sales", "NONE", "EXITEMPTY", 1, 1, 6)
    lets_go(pbx, line, 6.8, 8.0, "NOANSWER")
    pbx.row(line, 0, 5, "NO ANSWER", "Queue", "sales,t,,,60", to=phone, billsec=5)
    pbx.row(line, 6, 2, "ANSWERED", "Hangup")


@case(
    {"outcome": "abandoned", "reason": "queue_hangup", "offered": set(),
     "queue": "sales", "short": False},
    cel={"reason": "no_operators"},
)  # fmt: skip
def client_leaves_the_queue_by_a_key(pbx):
    """EXITWITHKEY: he gave the queue up himself, though not by hanging up.

    CEL does not see the key: a queue that ends early, before its limit and without
    the client's hang-up, has let him go for want of operators.
    """
    line = waiting(pbx)
    pbx.log(line, 9.6, "sales", "NONE", "EXITWITHKEY", "1", 3, 3, 9)
    line.end(9.6).goto("1", "queue-exit")
    line.run("Playback", "vm-goodbye", 9.61, 10.5)
    line.hangup(10.51, 16, "dialplan")
    pbx.over(line, 10.51)
    pbx.row(line, 0, 10, "ANSWERED", "Hangup", dst="1", context="queue-exit")


@case(
    {"outcome": "missed", "reason": "busy", "offered": {"201"}, "short": False,
     "results": {"201": "rejected"}, "hangup_by": "client"},
    rows={"results": {"201": "busy"}},
)  # fmt: skip
def operator_declines(pbx):
    """RINGNOANSWER of 0 ms: declined or busy, nobody's phone rang."""
    line = waiting(pbx)
    phones = []
    for at in (0.7, 1.8, 2.9, 4.0, 5.1):
        phones.append(rings(pbx, line, "201", at, at + 0.01, 21, by="phone"))
        pbx.log(line, at + 0.01, "sales", "PJSIP/201", "RINGNOANSWER", 0)
    pbx.log(line, 6.6, "sales", "NONE", "ABANDON", 1, 1, 6)
    gives_up(pbx, line, 6.6, "BUSY")
    for number, phone in enumerate(phones):
        pbx.row(line, number, 0, "BUSY", "Queue", "sales,t,,,60", to=phone)


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201"},
     "results": {"201": "rejected"}},
    rows={"results": {"201": "no_answer"}},
)  # fmt: skip
def operator_declines_after_ringing(pbx):
    """His phone rang for 4 s before he pushed the button: it did ring."""
    line = waiting(pbx)
    phone = rings(pbx, line, "201", 0.7, 4.7, 21, by="phone")
    pbx.log(line, 4.7, "sales", "PJSIP/201", "RINGNOANSWER", 4000)
    pbx.log(line, 8.6, "sales", "NONE", "ABANDON", 1, 1, 8)
    gives_up(pbx, line, 8.6, "BUSY")
    pbx.row(line, 0, 4, "BUSY", "Queue", "sales,t,,,60", to=phone)


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201"}, "talked": [],
     "contact": False, "hangup_by": "client", "queue_wait": 11},
    cel={"outcome": ..., "reason": ..., "talked": ..., "contact": ...,
         "queue_wait": ...},
)  # fmt: skip
def client_gone_while_the_operator_is_announced(pbx):
    """ABANDON with the member's name: he picked up, but heard the announcement only.

    CEL alone would need the bridge events that are missing here to know it.
    """
    line = waiting(pbx)
    phone = pbx.phone("201", 0.7, line, "601", "AppQueue").answer(6.0)
    pbx.log(line, 11.6, "sales", "PJSIP/201", "ABANDON", 1, 1, 11)
    phone.hangup(11.6, 16, line)
    gives_up(pbx, line, 11.61, "ANSWER")
    pbx.row(line, 0, 11, "ANSWERED", "Queue", "sales,t,,,60", to=phone)


@case(
    {"outcome": "missed", "reason": "no_answer", "offered": {"201", "202"},
     "talked": [], "hangup_by": "client"},
    cel={"outcome": ..., "reason": ..., "talked": ...},
)  # fmt: skip
def operator_hangs_up_on_the_announcement(pbx):
    """AGENTDUMP is no talk; the client goes on waiting and gives up."""
    line = waiting(pbx)
    first = pbx.phone("201", 0.7, line, "601", "AppQueue").answer(3.0)
    pbx.log(line, 4.5, "sales", "PJSIP/201", "AGENTDUMP")
    first.hangup(4.5, 16, first)
    second = rings(pbx, line, "202", 5.0, 10.0)
    pbx.log(line, 10.0, "sales", "PJSIP/202", "RINGCANCELED", 5000)
    pbx.log(line, 10.0, "sales", "NONE", "ABANDON", 1, 1, 9)
    gives_up(pbx, line, 10.0, "ANSWER")
    pbx.row(line, 0, 4, "ANSWERED", "Queue", "sales,t,,,60", to=first)
    pbx.row(line, 5, 5, "NO ANSWER", "Queue", "sales,t,,,60", to=second, billsec=5)


@case(
    {"direction": "internal", "outcome": "unanswered", "reason": None,
     "client": None, "operator": "204", "short": False},
)  # fmt: skip
def colleague_gives_up_in_a_queue(pbx):
    """A call from one of our own phones to a queue is nobody's miss."""
    caller = pbx.channel("PJSIP/204", 0, "601", "from-internal", "204", "Dmitri")
    caller.answer(0.1).start("Queue", "sales,t,,,60", 0.6)
    pbx.entered(caller, 0.6, "sales")
    phone = rings(pbx, caller, "201", 0.7, 4.0)
    pbx.log(caller, 4.0, "sales", "PJSIP/201", "RINGCANCELED", 3300)
    pbx.log(caller, 4.0, "sales", "NONE", "ABANDON", 1, 1, 4)
    gives_up(pbx, caller, 4.0)
    pbx.row(caller, 0, 4, "NO ANSWER", "Queue", "sales,t,,,60", to=phone, billsec=4)


@case(
    {"direction": "internal", "outcome": "answered", "operator": "204",
     "client": None, "talked": ["201"]},
)  # fmt: skip
def colleague_is_answered_in_a_queue(pbx):
    caller = pbx.channel("PJSIP/204", 0, "601", "from-internal", "204", "Dmitri")
    caller.answer(0.1).start("Queue", "sales,t,,,60", 0.6)
    pbx.entered(caller, 0.6, "sales")
    phone = pbx.phone("201", 0.7, caller, "601", "AppQueue").answer(4.0)
    pbx.log(caller, 4.0, "sales", "PJSIP/201", "CONNECT", 3, phone.uniqueid, 3)
    pbx.talk(caller, phone, 4.0, 14.0, by=phone)
    pbx.log(caller, 14.0, "sales", "PJSIP/201", "COMPLETEAGENT", 3, 10, 1)
    caller.end(14.0).hangup(14.01, 16, phone, "ANSWER")
    phone.hangup(14.0, 16, phone)
    pbx.over(caller, 14.01)
    pbx.row(caller, 0, 14, "ANSWERED", "Queue", "sales,t,,,60", to=phone)


def _answered_by_name(pbx, optimised):
    line = waiting(pbx, queue="support")
    pipes, phones = [], []
    for number, serial in (("204", 0.7), ("205", 0.71)):
        one, two = pbx.pipe(number, "from-queue", serial, line)
        two.start("Dial", f"PJSIP/{number},30", serial + 0.01)
        pipes.append((one, two))
        phones.append(pbx.phone(number, serial + 0.02, two, number))
    (one, two), (other, other_two) = pipes
    phone, silent = phones
    phone.answer(5.0)
    two.answer(5.001)
    one.answer(5.002)
    pbx.log(line, 5.0, "support", "Dmitri", "CONNECT", 4, one.uniqueid, 4)
    for ended in (other, other_two, silent):
        ended.hangup(5.01, 26)
    inner, outer = pbx.bridge(), pbx.bridge()
    phone.join(inner, 5.003)
    two.join(inner, 5.004)
    one.join(outer, 5.005)
    line.join(outer, 5.006)
    if optimised:
        two.leave(inner, 5.2).hangup(5.22)
        one.leave(outer, 5.21).hangup(5.23)
        phone.leave(inner, 5.2).join(outer, 5.21)
    phone.leave(outer if optimised else inner, 35.0)
    line.leave(outer, 35.001)
    pbx.log(line, 35.0, "support", "Dmitri", "COMPLETEAGENT", 4, 30, 1)
    phone.hangup(35.002, 16, phone)
    if not optimised:
        two.leave(inner, 35.002).hangup(35.004, 16, phone, "ANSWER")
        one.leave(outer, 35.002).hangup(35.005)
    line.end(35.006).hangup(35.01, 16, None, "ANSWER")
    pbx.over(line, 35.01)
    rest, half = ("PJSIP/204,30", "PJSIP/205,30"), {"context": "from-queue"}
    long, short = (34, 30), (4, 0)
    duration, talk = short if optimised else long
    pbx.row(two, 0, duration, "ANSWERED", "Dial", rest[0], to=phone, billsec=talk,
            dst="204", number=line.number, **half)  # fmt: skip
    pbx.row(line, 0, duration, "ANSWERED", "Queue", "support,t,,,60", to=one,
            billsec=duration if not optimised else 0)  # fmt: skip
    pbx.row(other_two, 0, 4, "NO ANSWER", "Dial", rest[1], to=silent, dst="205",
            number=line.number, **half)  # fmt: skip
    pbx.row(line, 0, 4, "NO ANSWER", "Queue", "support,t,,,60", to=other, billsec=4)
    if optimised:
        pbx.row(line, 5, 30, "ANSWERED", "Queue", "support,t,,,60", to=phone)


_BY_NAME = {
    "outcome": "answered", "talked": ["204"], "offered": {"204", "205"},
    "operator": "204", "queue": "support", "wait": 5, "talk": 30, "contact": True,
    "hangup_by": "operator",
}  # fmt: skip


@case(_BY_NAME)
def member_behind_a_pipe(pbx):
    """Local members: the log writes a person's name, the pipe's row names his phone."""
    _answered_by_name(pbx, optimised=False)


@case(_BY_NAME)
def member_behind_a_pipe_optimised_away(pbx):
    """Without /n the pipe leaves the call: its rows are ANSWERED with billsec 0.

    They are one talk with the row that goes on, not further ones.
    """
    _answered_by_name(pbx, optimised=True)


@case(
    {"outcome": "answered", "talked": ["201"], "disconnected": False, "talk": 60,
     "operator": "201", "wait": 3},
)  # fmt: skip
def survey_after_the_talk(pbx):
    """The operator hangs up, the client hears a survey: he was not lost."""
    line = waiting(pbx)
    phone = pbx.phone("201", 0.7, line, "601", "AppQueue").answer(3.0)
    pbx.log(line, 3.0, "sales", "PJSIP/201", "CONNECT", 3, phone.uniqueid, 3)
    pbx.talk(line, phone, 3.0, 63.0, by=phone)
    pbx.log(line, 63.0, "sales", "PJSIP/201", "COMPLETEAGENT", 3, 60, 1)
    phone.hangup(63.0, 16, phone)
    line.end(63.01).run("Playback", "how-was-it", 63.1, 69.0)
    line.hangup(69.0, 16, line, "ANSWER")
    pbx.over(line, 69.0)
    pbx.row(line, 0, 63, "ANSWERED", "Queue", "sales,t,,,60", to=phone)
    pbx.row(line, 63, 6, "ANSWERED", "Playback", "how-was-it")
