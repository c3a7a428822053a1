# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Rows of Asterisk's tables, in whatever columns they come, as records.

The tables differ between installations: names of columns, types, single columns that
hold several values.  Here a table's columns are matched to canonical names once
(:func:`match`), and a function is made for that layout which turns a row of texts
into a :class:`~.base.Record` (:func:`record_maker`); it runs once per row of the
phone system's whole history, so it does nothing that could be done beforehand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from operator import itemgetter

from ..telephony.clock import PbxClock, epoch_of, parse_timestamp
from .base import RAW_LIMIT, Record, Rejected, SchemaProblem, _lt, digest

CDR = "cdr"
QUEUE_LOG = "queue_log"
CEL = "cel"
KINDS = (CDR, QUEUE_LOG, CEL)

#: Canonical name -> names in the wild, the likelier first.
ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    CDR: {
        "start": (
            "calldate",
            "start",
            "date_time",
            "datetime",
            "start_time",
            "starttime",
            "call_date",
        ),
        "answer": ("answer", "answerdate", "answer_time", "answered_at"),
        "end": ("end", "enddate", "end_time", "endtime", "hangupdate"),
        "clid": ("clid", "callerid"),
        "src": ("src", "source"),
        "dst": ("dst", "destination"),
        "dcontext": ("dcontext", "context"),
        "channel": ("channel", "src_channel"),
        "dstchannel": ("dstchannel", "dst_channel", "destchannel"),
        "lastapp": ("lastapp", "last_app"),
        "lastdata": ("lastdata", "last_data"),
        "duration": ("duration",),
        "billsec": ("billsec", "billable", "billsecs"),
        "disposition": ("disposition",),
        "amaflags": ("amaflags", "ama_flags"),
        "accountcode": ("accountcode", "account_code"),
        "uniqueid": ("uniqueid", "unique_id"),
        "linkedid": ("linkedid", "linked_id"),
        "peeraccount": ("peeraccount", "peer_account"),
        "sequence": ("sequence", "seq"),
        "userfield": ("userfield", "user_field"),
    },
    QUEUE_LOG: {
        "time": ("time", "date_time", "datetime", "event_time", "eventtime", "created"),
        "callid": ("callid", "call_id", "uniqueid"),
        "queuename": ("queuename", "queue_name", "queue", "qname"),
        "agent": ("agent", "agent_name", "qagent"),
        "event": ("event", "qevent", "event_name", "verb"),
        "data": ("data", "info"),
        **{
            f"data{n}": (f"data{n}", f"param{n}", f"info{n}", f"arg{n}")
            for n in range(1, 10)
        },
    },
    CEL: {
        "eventtime": ("eventtime", "event_time", "time"),
        "eventtype": ("eventtype", "event_type", "event_name"),
        "userdeftype": ("userdeftype", "user_defined_type", "userdefinedtype"),
        "cid_name": ("cid_name", "callerid_name"),
        "cid_num": ("cid_num", "callerid_num"),
        "cid_ani": ("cid_ani", "callerid_ani"),
        "cid_rdnis": ("cid_rdnis", "callerid_rdnis"),
        "cid_dnid": ("cid_dnid", "callerid_dnid"),
        "exten": ("exten", "extension"),
        "context": ("context",),
        "channame": ("channame", "channel_name", "chan_name", "channel"),
        "appname": ("appname", "app_name", "application"),
        "appdata": ("appdata", "app_data", "application_data"),
        "amaflags": ("amaflags", "ama_flags"),
        "accountcode": ("accountcode", "account_code"),
        "peeraccount": ("peeraccount", "peer_account"),
        "uniqueid": ("uniqueid", "unique_id"),
        "linkedid": ("linkedid", "linked_id"),
        "userfield": ("userfield", "user_field"),
        "peer": ("peer", "bridgepeer"),
        "extra": ("extra", "eventextra", "event_extra"),
    },
}

#: Without these nothing can be made of a table.
REQUIRED = {
    CDR: ("start", "src", "dst", "uniqueid"),
    QUEUE_LOG: ("time", "callid", "queuename", "agent", "event"),
    CEL: ("eventtime", "eventtype", "channame", "uniqueid", "linkedid"),
}
TIME = {CDR: "start", QUEUE_LOG: "time", CEL: "eventtime"}

# Values that say who a row is and do not change while a call goes on.  The type of
# amaflags differs between tables that hold the same events, so it says nothing.
_CDR_IDENTITY = ("linkedid", "uniqueid", "sequence", "dst", "dstchannel", "lastapp")
_CEL_IDENTITY = frozenset(ALIASES[CEL]) - {"eventtime", "amaflags"}

#: What stands where an id would, and ties nothing together.
NO_ID = frozenset({"", "0", "NONE", "REALTIME", "MANAGER", "CLI", "none", "NULL"})
#: queue_log events of the roster; the call in them is at most a log-in by telephone.
ROSTER_EVENTS = frozenset(
    {
        "ADDMEMBER",
        "AGENTCALLBACKLOGIN",
        "AGENTCALLBACKLOGOFF",
        "AGENTLOGIN",
        "AGENTLOGOFF",
        "CONFIGRELOAD",
        "PAUSE",
        "PAUSEALL",
        "PENALTY",
        "QUEUESTART",
        "REMOVEMEMBER",
        "RINGINUSE",
        "UNPAUSE",
        "UNPAUSEALL",
    }
)

# What Asterisk writes into columns of a numeric type.
DISPOSITIONS = {
    "0": "NO ANSWER",
    "1": "NO ANSWER",
    "2": "FAILED",
    "4": "BUSY",
    "8": "ANSWERED",
    "16": "CONGESTION",
}
CEL_EVENTS = {
    "1": "CHAN_START",
    "2": "CHAN_END",
    "3": "HANGUP",
    "4": "ANSWER",
    "5": "APP_START",
    "6": "APP_END",
    "7": "BRIDGE_ENTER",
    "8": "BRIDGE_EXIT",
    "9": "PARK_START",
    "10": "PARK_END",
    "11": "BLINDTRANSFER",
    "12": "ATTENDEDTRANSFER",
    "13": "USER_DEFINED",
    "14": "LINKEDID_END",
    "15": "PICKUP",
    "16": "FORWARD",
    "17": "LOCAL_OPTIMIZE",
    "18": "LOCAL_OPTIMIZE_BEGIN",
}
_NO_TIME = frozenset({"0", "0000-00-00 00:00:00", "0001-01-01 00:00:00"})

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database describes it.

    :ivar type: ``timestamp`` (without zone), ``timestamptz``, ``integer``,
        ``number``, ``text`` or ``other``.
    :ivar long: may hold texts of any length.
    """

    name: str
    type: str
    long: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a table is what.

    :ivar columns: canonical name and column as :func:`in_order` has them; without
        time and id.
    :ivar time: the column that orders the table.
    :ivar id: an integer column that grows with every row, or None.
    """

    kind: str
    time: Column
    id: Column | None
    columns: tuple[tuple[str, Column], ...]


def match(
    kind: str,
    label: str,
    columns: Sequence[Column],
    *,
    id_name: str | None = None,
    indexed: Iterable[str] = (),
    empty: Callable[[str], bool] = lambda name: False,
) -> Layout:
    """Find the canonical names of a table's columns.

    :param label: the table's name, for errors.
    :param id_name: the column the database itself counts up, if it has one.
    :param indexed: names of columns an index begins with.
    :param empty: whether a column holds no value at all; asked only where two
        columns could be the time.
    :raises SchemaProblem: a needed column is missing or cannot be a time.
    """
    by_name: dict[str, Column] = {}
    for column in columns:
        # The lower-case spelling wins where two differ by case alone.
        if column.name.lower() not in by_name or column.name.islower():
            by_name[column.name.lower()] = column
    found: dict[str, Column] = {}
    for canonical, names in ALIASES[kind].items():
        present = [by_name[name] for name in names if name in by_name]
        if canonical == TIME[kind] and len(present) > 1:
            present = [c for c in present if not empty(c.name)] or present
            present.sort(key=lambda column: column.name not in set(indexed))
        if present:
            found[canonical] = present[0]
    missing = [name for name in REQUIRED[kind] if name not in found]
    if missing:
        raise SchemaProblem(
            _lt("Table %(table)s has no column %(columns)s, which is needed."),
            table=label,
            columns=", ".join(ALIASES[kind][name][0] for name in missing),
        )
    time = found.pop(TIME[kind])
    if time.type == "other":
        raise SchemaProblem(
            _lt("Column %(column)s of table %(table)s cannot be read as a time."),
            table=label,
            column=time.name,
        )
    identity = _id_column(by_name, id_name)
    used = {time.name, *(column.name for column in found.values())}
    if identity:
        used.add(identity.name)
    rest = {}
    for column in columns:
        if column.name not in used:
            name = column.name
            while name in found or name in rest or name in (TIME[kind], "id"):
                name += "_column"
            rest[name] = column
    all_of_them = found | rest
    ordered = tuple((name, all_of_them[name]) for name in in_order(kind, all_of_them))
    return Layout(kind, time, identity, ordered)


def in_order(kind: str, names: Iterable[str]) -> list[str]:
    """The order of columns that hashes depend on, whatever a table's own is."""
    first = _CEL_IDENTITY if kind == CEL else ()
    return sorted(names, key=lambda name: (name not in first, name))


def _id_column(by_name: dict[str, Column], id_name: str | None) -> Column | None:
    for name in ("id", (id_name or "").lower()):
        column = by_name.get(name)
        if column is not None and column.type == "integer":
            return column
    return None


# ------------------------------------------------------------------------- times


class PbxTimes:
    """Times as a table holds them, to naive UTC.

    Almost every local hour has one offset from start to end, which is remembered by
    the text of the hour; only in the hours around a change of clocks each time is
    worked out by itself, with the second a channel was made in as the hint.
    """

    def __init__(self, clock: PbxClock):
        self._clock = clock
        #: Text of the hour -> offset and its text; False: look at each time.
        self._hours: dict[str, tuple[timedelta, str] | bool] = {}

    def convert(self, text: str, hint: str | None) -> tuple[datetime, str, str]:
        """Naive UTC, the form that goes into keys, and the offset as text.

        The form of an absolute time is UTC and ends in ``Z``; that of a local time
        is local, so that a wrong zone put right does not make new records.

        :param hint: a channel's unique id, whose epoch tells which of the two hours
            is meant when one comes twice.
        :raises ValueError: no time, or none a call can have.
        """
        known = self._hours.get(text[:13])
        if known and len(text) >= 19:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                moment = parse_timestamp(text)
            if moment.tzinfo is None:
                return moment - known[0], _local_form(text), known[1]
        elif text[4:5] == "-":
            moment = parse_timestamp(text)
        else:
            moment = _from_epoch(text)
        if moment.tzinfo is not None:
            utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
            return utc, _local_form(utc.isoformat(" ")) + "Z", ""
        utc = self._clock.to_utc(moment, epoch_of(hint) if hint else None)
        if known is None:
            self._learn(text[:13], moment)
        return utc, _local_form(text), _offset_text(moment - utc)

    def _learn(self, hour: str, moment: datetime) -> None:
        if len(self._hours) > _MAX_HOURS:
            self._hours.clear()
        offsets = set()
        for minute, second, micro in ((0, 0, 0), (59, 59, 999_999)):
            for fold in (0, 1):
                probe = moment.replace(
                    minute=minute, second=second, microsecond=micro, fold=fold
                )
                offsets.add(probe - self._clock.to_utc(probe))
        offset = offsets.pop()
        self._hours[hour] = False if offsets else (offset, _offset_text(offset))


#: Hours remembered, more than two years of them.
_MAX_HOURS = 20_000


def _from_epoch(text: str) -> datetime:
    """Seconds since 1970; also milli- or microseconds, told by their size."""
    try:
        number = float(text)
    except ValueError:
        number = parse_timestamp(text)
    seconds = parse_timestamp(number / epoch_unit(number))
    return datetime.fromtimestamp(seconds, timezone.utc)


def epoch_unit(number: float) -> int:
    """How many units of an epoch number make a second."""
    if number > 1e14:
        return 1_000_000
    return 1_000 if number > 1e11 else 1


def _local_form(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text[10:11] == " " else f"{text[:10]} {text[11:]}"


def _offset_text(offset: timedelta) -> str:
    return str(int(offset.total_seconds()))


# ----------------------------------------------------------------------- records

#: A row of a table: time, id (None without one), then the layout's columns.
Row = Sequence["str | None"]


def record_maker(layout: Layout, times: PbxTimes) -> Callable[[Row], Record]:
    """The function that makes a record of one row of this layout.

    It raises ValueError, worded for people, for a row that makes no sense.
    """
    return _MAKERS[layout.kind](layout, times)


def _joined(parts: Sequence[str]) -> str:
    """The parts as one text that no other parts make."""
    text = _SEPARATOR.join(parts)
    if text.count(_SEPARATOR) != len(parts) - 1:
        text = json.dumps(parts)
    return text


def _content(payload: Mapping[str, str], offset: str) -> str:
    """Names and values as one text; only ever compared with that of the same row."""
    names, values = _SEPARATOR.join(payload), _SEPARATOR.join(payload.values())
    return f"{offset}\x1e{names}\x1e{values}"


def _hashes(kind: str, identity: str, content: str) -> tuple[str, str]:
    if "\x00" in content or "\x00" in identity:
        raise ValueError(_lt("a value holds a NUL character"))
    state = blake2b(identity.encode(), digest_size=16)
    key = f"{kind}:{state.hexdigest()}"
    state.update(content.encode())
    return key, state.hexdigest()


def _threads(one: str | None, other: str | None = None) -> tuple[str, ...]:
    if one is None or one in NO_ID or one.isspace():
        return () if other is None else _threads(other)
    if other is None or other == one or other in NO_ID or other.isspace():
        return (one,)
    return (one, other)


def _picker(names: Sequence[str], wanted: Sequence[str]) -> Callable[[Row], Row]:
    """Takes the wanted values out of a row, None for columns that are not there."""
    places = [names.index(name) + 2 if name in names else -1 for name in wanted]
    if all(place >= 0 for place in places) and len(places) > 1:
        return itemgetter(*places)
    return lambda row: [row[place] if place >= 0 else None for place in places]


def _cdr_maker(layout: Layout, times: PbxTimes) -> Callable[[Row], Record]:
    names = [name for name, _column in layout.columns]
    identity_of = _picker(names, _CDR_IDENTITY)
    convert = times.convert
    has_other_times = any(name in ("answer", "end") for name in names)

    def make(row: Row) -> Record:
        time = row[0]
        if not time:
            raise ValueError(_lt("the row has no time"))
        linkedid, uniqueid, sequence, dst, dstchannel, lastapp = identity_of(row)
        utc, form, offset = convert(time, uniqueid)
        payload = {n: value for n, value in zip(names, row[2:], strict=True) if value}
        if has_other_times:
            for name in ("answer", "end"):
                if payload.get(name) in _NO_TIME:
                    del payload[name]
        disposition = payload.get("disposition")
        if disposition in DISPOSITIONS:
            payload["disposition"] = DISPOSITIONS[disposition]
        if len(form) > 19:
            # Whole seconds: the column may be widened or narrowed one day.
            form = form[:19] + ("Z" if form[-1] == "Z" else "")
        identity = _joined(
            (
                form,
                linkedid or "",
                uniqueid or "",
                sequence or "",
                dst or "",
                dstchannel or "",
                lastapp or "",
            )
        )
        key, content = _hashes(CDR, identity, _content(payload, offset))
        payload["start"] = time
        if row[1]:
            payload["id"] = row[1]
        return Record(CDR, key, _threads(uniqueid, linkedid), utc, payload, content)

    return make


def _queue_log_maker(layout: Layout, times: PbxTimes) -> Callable[[Row], Record]:
    names = [name for name, _column in layout.columns]
    identity_of = _picker(names, ("callid", "queuename", "agent", "event"))
    split = sorted(name for name in names if re.fullmatch(r"data\d", name))
    data_of = _picker(names, split)
    single = names.index("data") + 2 if "data" in names else None
    others = [
        (name, place)
        for place, name in enumerate(names, 2)
        if name != "data" and name not in split
    ]
    unknown = [name for name, _place in others if name not in ALIASES[QUEUE_LOG]]
    convert = times.convert

    def make(row: Row) -> Record:
        time = row[0]
        if not time:
            raise ValueError(_lt("the row has no time"))
        callid, queue, agent, event = identity_of(row)
        utc, form, offset = convert(time, callid)
        payload = {name: row[place] for name, place in others if row[place]}
        # Written as the log file writes it, the old column, the new columns and a
        # last column that took the overflow are all the same.
        data = "|".join([value or "" for value in data_of(row)]).rstrip("|")
        if single is not None and row[single] and row[single] != data:
            if data:
                payload["data"] = row[single]
            else:
                data = row[single].rstrip("|")
        if data:
            for number, value in enumerate(data.split("|"), 1):
                if value:
                    payload[f"data{number}"] = value
        rest = {name: payload[name] for name in unknown if name in payload}
        key, content = _hashes(
            QUEUE_LOG,
            _joined((form, callid or "", queue or "", agent or "", event or "", data)),
            _content(rest, offset),
        )
        payload["time"] = time
        if row[1]:
            payload["id"] = row[1]
        threads = () if event in ROSTER_EVENTS else _threads(callid)
        return Record(QUEUE_LOG, key, threads, utc, payload, content)

    return make


def _cel_maker(layout: Layout, times: PbxTimes) -> Callable[[Row], Record]:
    names = [name for name, _column in layout.columns]
    # The columns come with those of the identity first, see in_order().
    border = sum(name in _CEL_IDENTITY for name in names)
    known, rest_names = names[:border], names[border:]
    main_of = _picker(names, ("eventtype", "uniqueid", "linkedid"))
    first_rest = border + 2
    convert = times.convert

    def make(row: Row) -> Record:
        time = row[0]
        if not time:
            raise ValueError(_lt("the row has no time"))
        event, uniqueid, linkedid = main_of(row)
        utc, form, offset = convert(time, uniqueid)
        payload = {
            n: value for n, value in zip(known, row[2:first_rest], strict=True) if value
        }
        if event in CEL_EVENTS:
            payload["eventtype"] = CEL_EVENTS[event]
        rest = {
            n: value
            for n, value in zip(rest_names, row[first_rest:], strict=True)
            if value
        }
        identity = _joined((form, *payload, *payload.values()))
        key, content = _hashes(CEL, identity, _content(rest, offset))
        payload |= rest
        payload["eventtime"] = time
        if row[1]:
            payload["id"] = row[1]
        return Record(CEL, key, _threads(uniqueid, linkedid), utc, payload, content)

    return make


_MAKERS = {CDR: _cdr_maker, QUEUE_LOG: _queue_log_maker, CEL: _cel_maker}


def reject(layout: Layout, row: Sequence[str | bytes | None], error: str) -> Rejected:
    """What is kept of a row that cannot be used."""
    names = [TIME[layout.kind], "id", *(name for name, _column in layout.columns)]
    payload = {}
    for name, value in zip(names, row, strict=True):
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if value:
            payload[name] = _UNPRINTABLE.sub(_escape, value)
    # The id is left out: the same row in a table loaded anew is the same row.
    same = digest(json.dumps({k: v for k, v in payload.items() if k != "id"}))
    raw = "\n".join(f"{name}: {value}" for name, value in payload.items())
    if len(raw) > RAW_LIMIT:
        raw = raw[:RAW_LIMIT]
        longest = RAW_LIMIT // len(payload)
        payload = {name: value[:longest] for name, value in payload.items()}
    return Rejected(layout.kind, f"{layout.kind}:{same}", raw, error, payload)


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _escape(found: re.Match) -> str:
    return f"\\x{ord(found[0]):02x}"


def remake(kind: str, payload: Mapping[str, str], times: PbxTimes) -> Record:
    """A record of a payload: a rejected row tried again.

    :raises ValueError: it still makes no sense.
    """
    time = TIME[kind]
    names = in_order(kind, (name for name in payload if name not in (time, "id")))
    layout = Layout(
        kind,
        Column(time, "text"),
        Column("id", "integer"),
        tuple((name, Column(name, "text")) for name in names),
    )
    row = (payload.get(time), payload.get("id"), *(payload[name] for name in names))
    return record_maker(layout, times)(row)
