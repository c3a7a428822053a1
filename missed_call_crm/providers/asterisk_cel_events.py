# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Channels of a call as channel event logging (CEL) tells their lives.

Nothing is concluded here: events become channels with the applications they ran, the
bridges they stayed in, their answer and their end. ``asterisk_cel`` reads facts of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..telephony.clock import numeric_key
from .asterisk_channel import Channel, DialPlan, as_int

#: What stands in the place of an application's arguments on a channel that was called.
_OUTGOING = "(Outgoing Line)"


@dataclass(slots=True, eq=False)
class App:
    """An application a channel ran, and where in the dial plan."""

    name: str
    data: str
    start: datetime
    context: str
    exten: str
    end: datetime | None = None


@dataclass(slots=True, eq=False)
class Stay:
    """A channel's presence in a bridge."""

    bridge: str
    start: datetime
    end: datetime | None = None


@dataclass(slots=True, eq=False)
class Chan:
    """One channel's life as its events tell it."""

    name: str
    parsed: Channel
    start: datetime
    uniqueid: str = ""
    exten: str = ""
    context: str = ""
    number: str = ""
    caller_name: str = ""
    dialled: str = ""
    answered: datetime | None = None
    ended: datetime | None = None
    cause: int | None = None
    hangup_source: str = ""
    dial_status: str = ""
    last_context: str = ""
    is_called: bool = False
    is_originated: bool = False
    apps: list[App] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    parks: list[list] = field(default_factory=list)  # [start, end, reason]
    tones: list[datetime] = field(default_factory=list)  # voicemail beeps
    has_streams: bool = False


class Story:
    """What the events of one call say, before anything is concluded."""

    def __init__(self, plan: DialPlan) -> None:
        self.plan = plan
        self.channels: dict[str, Chan] = {}
        self.linked: set[str] = set()
        self.over: set[str] = set()  # linked ids of which no channel is left
        self.is_closed = False
        self.transfers: list[datetime] = []

    def take(self, row: dict, at: datetime) -> None:
        get = row.get
        kind = get("eventtype", "")
        context = get("context", "")
        self.linked.add(get("linkedid", ""))
        if not self.is_closed and self.plan.is_closed(context, get("exten", "")):
            self.is_closed = True
        if kind == "LINKEDID_END":
            self.over.add(get("linkedid", ""))
            return
        chan = self.channels.get(get("channame", ""))
        if chan is None:
            chan = self._new(row, at, context)
            if chan is None:
                return
        if not chan.dialled:
            chan.dialled = get("cid_dnid", "")
        if not chan.number:
            chan.number = get("cid_num", "")
        if get("appdata") == _OUTGOING:
            chan.is_called = True
            if get("appname") == "AppDial2":
                chan.is_originated = True
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, chan, row, at)

    def _new(self, row, at, context):
        name, number = row.get("channame", ""), row.get("cid_num", "")
        parsed = self.plan.caller(name, number, context)
        if parsed is None:
            return None
        chan = Chan(name, parsed, at, row.get("uniqueid", ""))
        chan.exten, chan.context = row.get("exten", ""), context
        chan.number, chan.caller_name = number, row.get("cid_name", "")
        self.channels[name] = chan
        return chan

    # One method per type of event.

    def _answer(self, chan, row, at):
        chan.answered = chan.answered or at

    def _app_start(self, chan, row, at):
        get = row.get
        chan.apps.append(
            App(
                get("appname", ""),
                get("appdata", ""),
                at,
                get("context", ""),
                get("exten", ""),
            )
        )

    def _app_end(self, chan, row, at):
        name = row.get("appname", "")
        for app in reversed(chan.apps):
            if app.name == name and app.end is None:
                app.end = at
                return

    def _bridge_enter(self, chan, row, at):
        chan.stays.append(Stay(_extra(row).get("bridge_id", ""), at))

    def _bridge_exit(self, chan, row, at):
        bridge = _extra(row).get("bridge_id", "")
        for stay in reversed(chan.stays):
            if stay.end is None and (not bridge or stay.bridge == bridge):
                stay.end = at
                return

    def _stream_begin(self, chan, row, at):
        chan.has_streams = True
        if "beep" in str(_extra(row).get("sound", "")):
            chan.tones.append(at)

    def _hangup(self, chan, row, at):
        extra = _extra(row)
        chan.ended = at
        chan.cause = as_int(extra.get("hangupcause"))
        chan.hangup_source = str(extra.get("hangupsource") or "")
        chan.dial_status = str(extra.get("dialstatus") or "")
        chan.last_context = row.get("context", "")

    def _chan_end(self, chan, row, at):
        chan.ended = chan.ended or at

    def _transfer(self, chan, row, at):
        self.transfers.append(at)

    def _park_start(self, chan, row, at):
        chan.parks.append([at, None, ""])

    def _park_end(self, chan, row, at):
        if chan.parks and chan.parks[-1][1] is None:
            chan.parks[-1][1:] = [at, str(_extra(row).get("reason", ""))]

    @property
    def is_over(self) -> bool:
        """The oldest of the linked ids has ended: it is the one that spreads.

        A consultation on a line of its own has one too, which ends when the calls
        are joined. Where LINKEDID_END is not logged, a call of which no channel is
        left has ended: a new one would need an old one to belong to.
        """
        if min(self.linked, key=numeric_key) in self.over:
            return True
        return all(chan.ended is not None for chan in self.channels.values())

    def close(self) -> list[Chan]:
        """The channels by age, with what the events left open closed."""
        for chan in self.channels.values():
            _close(chan)
        return sorted(
            self.channels.values(), key=lambda ch: (ch.start, ch.uniqueid, ch.name)
        )


_HANDLERS = {
    "ANSWER": Story._answer,
    "APP_START": Story._app_start,
    "APP_END": Story._app_end,
    "BRIDGE_ENTER": Story._bridge_enter,
    "BRIDGE_EXIT": Story._bridge_exit,
    "STREAM_BEGIN": Story._stream_begin,
    "HANGUP": Story._hangup,
    "CHAN_END": Story._chan_end,
    "BLINDTRANSFER": Story._transfer,
    "ATTENDEDTRANSFER": Story._transfer,
    "PARK_START": Story._park_start,
    "PARK_END": Story._park_end,
}


def read_story(events: Sequence, plan: DialPlan) -> Story:
    """The story of one call from its events in chronological order."""
    story = Story(plan)
    for event in events:
        story.take(event.payload, event.occurred_at)
    return story


def has_bridges(events: Sequence) -> bool:
    """Whether any channel of the call was seen to enter a bridge."""
    return any(event.payload.get("eventtype") == "BRIDGE_ENTER" for event in events)


def _extra(row):
    """The ``extra`` column: JSON, or nothing where it is cut or empty."""
    text = row.get("extra")
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _close(chan):
    """A transferred channel's application ends without an event: the next one's start
    or the channel's end closes it.
    """
    later = chan.ended
    for app in reversed(chan.apps):
        if app.end is None:
            app.end = later
        later = app.start
    for stay in chan.stays:
        if stay.end is None:
            stay.end = chan.ended
    for park in chan.parks:
        if park[1] is None:
            park[1] = chan.ended
