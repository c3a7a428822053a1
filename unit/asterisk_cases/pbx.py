"""Writes records as Asterisk writes them: the shapes are those of the laboratory.

Times are seconds from :data:`START`. Channels write their own events (``cel``), rows
(``cdr``) and queue events (``queue_log``) are written one by one, because what
Asterisk puts into them follows no rule short enough to be repeated here.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

#: A Monday, noon in Moscow.
START = datetime(2026, 3, 2, 9, 0, 0)
_EPOCH = int(START.replace(tzinfo=timezone.utc).timestamp())
_LOCAL = timedelta(hours=3)

CLIENT = "+79161234567"
DID = "74955550001"
_NAMES = {"201": "Anna", "202": "Boris", "203": "Clara", "204": "Dmitri"}


@dataclass(frozen=True)
class Record:
    kind: str
    occurred_at: datetime
    payload: dict
    threads: tuple[str, ...]


class Channel:
    """One channel; every method writes the event of its name at second ``at``."""

    def __init__(self, pbx, name, at, exten, context, number, caller_name, linked):
        self.pbx = pbx
        self.name = name
        self.uniqueid = pbx.uniqueid(at)
        self.linkedid = linked.linkedid if linked else self.uniqueid
        self.exten, self.context = exten, context
        self.number, self.caller_name = number, caller_name
        self.dnid = self.app_name = self.app_data = ""
        self.event("CHAN_START", at)

    def event(self, kind, at, extra=None, peer=""):
        self.pbx.write(
            "cel",
            at,
            {
                "eventtype": kind,
                "cid_name": self.caller_name,
                "cid_num": self.number,
                "cid_dnid": self.dnid,
                "exten": self.exten,
                "context": self.context,
                "channame": self.name,
                "appname": self.app_name,
                "appdata": self.app_data,
                "amaflags": "3",
                "uniqueid": self.uniqueid,
                "linkedid": self.linkedid,
                "peer": peer,
                "extra": json.dumps(extra, separators=(",", ":")) if extra else "",
            },
            (self.uniqueid, self.linkedid),
        )
        return self

    def goto(self, exten, context, dnid=None):
        """Enter another place of the dial plan; nothing is written of it."""
        self.exten, self.context = exten, context
        if dnid is not None:
            self.dnid = dnid
        return self

    def answer(self, at, app="Answer"):
        self.app_name = self.app_name or app
        self.event("ANSWER", at)
        if self.app_name == "Answer":
            self.app_name = ""
        return self

    def start(self, app, data, at):
        self.app_name, self.app_data = app, data
        return self.event("APP_START", at)

    def end(self, at):
        self.event("APP_END", at)
        self.app_name = self.app_data = ""
        return self

    def run(self, app, data, start, end):
        return self.start(app, data, start).end(end)

    def join(self, bridge, at, peer=""):
        extra = {"bridge_id": bridge, "bridge_technology": "simple_bridge"}
        return self.event("BRIDGE_ENTER", at, extra, peer)

    def leave(self, bridge, at, peer=""):
        extra = {"bridge_id": bridge, "bridge_technology": "simple_bridge"}
        return self.event("BRIDGE_EXIT", at, extra, peer)

    def hangup(self, at, cause=16, by=None, status=""):
        """``by``: the channel whose party hung up, ``"dialplan"`` or None."""
        source = getattr(by, "name", "dialplan/builtin" if by else "")
        self.event(
            "HANGUP",
            at,
            {"hangupcause": cause, "hangupsource": source, "dialstatus": status},
        )
        return self.event("CHAN_END", at)


class Pbx:
    """The records of one phone system.

    :param system: ``systemname``, the prefix of every uniqueid.
    """

    def __init__(self, system=""):
        self.system = f"{system}-" if system else ""
        self.records = []
        self._channels = 0
        self._rows = 0
        self._ids = 0
        self._bridges = 0

    # -- ids -------------------------------------------------------------------

    def uniqueid(self, at):
        self._ids += 1
        return f"{self.system}{_EPOCH + int(at)}.{self._ids}"

    def serial(self):
        self._channels += 1
        return f"{self._channels:08x}"

    def bridge(self):
        self._bridges += 1
        return f"1f31ce93-f67e-4d74-8ab2-{self._bridges:012x}"

    def write(self, kind, at, payload, threads):
        threads = tuple(dict.fromkeys(one for one in threads if one))
        payload = {name: value for name, value in payload.items() if value != ""}
        moment = START + timedelta(seconds=at)
        self.records.append(Record(kind, moment, payload, threads))

    @staticmethod
    def local(at, timespec="microseconds"):
        """The phone system's own clock, as its tables hold it."""
        return (START + _LOCAL + timedelta(seconds=at)).isoformat(" ", timespec)

    # -- channels --------------------------------------------------------------

    def channel(self, peer, at, exten="s", context="from-internal", number="",
                name="", linked=None):  # fmt: skip
        return Channel(
            self, f"{peer}-{self.serial()}", at, exten, context, number, name, linked
        )

    def client(self, at=0, number=CLIENT, did=DID, trunk="PJSIP/trunk_msk",
               context="from-trunk", name=""):  # fmt: skip
        """A client's call arrives at a line."""
        return self.channel(trunk, at, did, context, number, name).goto(
            did, context, did
        )

    def phone(self, number, at, linked, exten="601", app="AppDial", tech="PJSIP"):
        """A phone is rung by another channel."""
        phone = self.channel(
            f"{tech}/{number}", at, "s", "from-internal", number,
            _NAMES.get(number, ""), linked,
        )  # fmt: skip
        phone.exten, phone.app_name, phone.app_data = exten, app, "(Outgoing Line)"
        return phone

    def line(self, number, at, linked, trunk="PJSIP/trunk_msk"):
        """A number outside is called on a line."""
        line = self.channel(trunk, at, "s", "from-trunk", "", "", linked)
        line.number, line.exten = number, number
        line.app_name, line.app_data = "AppDial", "(Outgoing Line)"
        return line

    def pipe(self, exten, context, at, linked=None, number=""):
        """The two halves of a local channel."""
        serial = self.serial()
        return [
            Channel(
                self, f"Local/{exten}@{context}-{serial};{half}", at + half / 1e6,
                exten, context, number, "", linked,
            )
            for half in (1, 2)
        ]  # fmt: skip

    def talk(self, caller, called, at, until, by=None):
        """Both in one bridge; ``by`` is the one who hung up first."""
        bridge = self.bridge()
        called.join(bridge, at)
        caller.join(bridge, at + 0.0001, called.name)
        first, second = (caller, called) if by is caller else (called, caller)
        first.leave(bridge, until, second.name)
        second.leave(bridge, until + 0.0002)

    def over(self, channel, at):
        """The last channel of the call is gone."""
        channel.event("LINKEDID_END", at)

    # -- rows ------------------------------------------------------------------

    def row(self, channel, start, duration, disposition, app="", data="", *,
            to=None, billsec=None, dst="601", context="ext-queues", number=None,
            name=None, **more):  # fmt: skip
        """A detail record. ``billsec``: the duration if answered, else 0."""
        if billsec is None:
            billsec = duration if disposition == "ANSWERED" else 0
        self._rows += 1
        number = channel.number if number is None else number
        name = channel.caller_name if name is None else name
        payload = {
            "start": self.local(int(start), "seconds"),
            "clid": f'"{name}" <{number}>',
            "src": number,
            "dst": dst,
            "dcontext": context,
            "channel": channel.name,
            "dstchannel": getattr(to, "name", to or ""),
            "lastapp": app,
            "lastdata": data[:79],
            "duration": str(duration),
            "billsec": str(billsec),
            "disposition": disposition,
            "amaflags": "3",
            "uniqueid": channel.uniqueid,
            "linkedid": channel.linkedid,
            "sequence": str(self._rows),
            **more,
        }
        self.write(
            "cdr", int(start), payload, (payload["uniqueid"], payload["linkedid"])
        )

    def log(self, channel, at, queue, agent, event, *data):
        """A queue log event; ``channel`` is the waiting client's."""
        callid = getattr(channel, "uniqueid", channel)
        payload = {
            "time": self.local(at),
            "callid": callid,
            "queuename": queue,
            "agent": agent,
            "event": event,
        }
        for number, value in enumerate(data, 1):
            payload[f"data{number}"] = str(value)
        self.write("queue_log", at, payload, (callid,))

    def entered(self, channel, at, queue, position=1):
        number = channel.number
        self.log(channel, at, queue, "NONE", "ENTERQUEUE", "", number, position)
