"""The clock of a phone system: its local times, its ids and what they tell of UTC.

Phone systems write the wall-clock time of the place they stand in, without a zone.
Once a year an hour of it does not exist and another comes twice; a wrong zone in the
settings moves every deadline.  Asterisk's ``uniqueid`` (``[systemname-]EPOCH.N``) helps
with both: it holds the second at which the channel was made, in UTC.

All datetimes without ``tzinfo`` that are called UTC here are naive UTC, as Odoo stores
them.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

UTC = timezone.utc  # datetime.UTC is newer than Python 3.10
_EPOCH = datetime(1970, 1, 1)
_DAY = timedelta(days=1)
_HOUR_KEYS_PER_DAY = 24
#: Hours remembered per clock, more than ten years of them.
_MAX_CACHED_HOURS = 100_000

#: An event may bear a time this much before the second in its call's uniqueid: the
#: one is rounded down, the other may be rounded or come from another process.
EPOCH_TOLERANCE = 2.0  # seconds

#: First and last year a uniqueid is believed in: Asterisk is younger than 2000.
_FIRST_EPOCH = 946_684_800  # 2000-01-01
_LAST_EPOCH = 4_102_444_799  # 2099-12-31 23:59:59
_MAX_EPOCH_DIGITS = 10
_MAX_SEQUENCE_DIGITS = 18  # more would not fit the database's bigint
#: First and last year of a record.
_FIRST_YEAR = 1990
_LAST_YEAR = 2100

#: Sorts after each epoch and sequence number that exists.
_NO_NUMBER = 1 << 62


class PbxClock:
    """Converts a phone system's wall-clock times to UTC and back.

    :param zone_name: IANA name of the zone the phone system writes its times in
    :raises ValueError: if there is no such zone
    """

    def __init__(self, zone_name: str):
        self.zone_name = zone_name
        self._zone = _zone_of(zone_name)
        self._offsets: dict[int, timedelta | None] = {}

    def to_utc(self, local: datetime, epoch: float | None = None) -> datetime:
        """The naive UTC time of a local time.

        In the hour that comes twice ``epoch`` decides: the second (UTC) at which a
        channel of the call was made, from its uniqueid.  Nothing is recorded of a
        channel before it exists, so of the two times the earlier one that is not
        before ``epoch`` is taken.  Without a hint it is the first of the two, or what
        ``local.fold`` says.  A time in the hour that does not exist was written by a
        clock not yet put forward: it is read with the offset before the change.

        A time with ``tzinfo`` needs no guess and is only converted.
        """
        if local.tzinfo is not None:
            return local.astimezone(UTC).replace(tzinfo=None)
        key = local.toordinal() * _HOUR_KEYS_PER_DAY + local.hour
        try:
            offset = self._offsets[key]
        except KeyError:
            offset = self._remember(key, local)
        if offset is None:
            offset = self._offset_near_change(local, epoch)
        return local - offset

    def from_utc(self, utc: datetime) -> datetime:
        """The naive local time of a naive UTC time.

        ``fold`` tells which of the two hours it is, so :meth:`to_utc` leads back.
        """
        return utc.replace(tzinfo=UTC).astimezone(self._zone).replace(tzinfo=None)

    def local_bounds(
        self, since_utc: datetime, until_utc: datetime
    ) -> tuple[datetime, datetime]:
        """Naive local bounds, both inclusive, for a query on local times.

        Each row whose time :meth:`to_utc` puts into ``[since_utc, until_utc]`` lies
        between them, also across a clock change.  Near a change they are wider than
        the interval, by as much as the clock is moved: filter again in UTC.
        """
        return (
            since_utc + min(self._offsets_around(since_utc)),
            until_utc + max(self._offsets_around(until_utc)),
        )

    def offset_at(self, utc: datetime) -> timedelta:
        """Local time minus UTC at a naive UTC time."""
        return self._zone.utcoffset(utc.replace(tzinfo=UTC).astimezone(self._zone))

    def _offsets_around(self, utc: datetime) -> list[timedelta]:
        # A clock is moved by less than a day, so a change further off than that cannot
        # bring a row's local time past the bound.
        return [self.offset_at(utc + shift) for shift in (-_DAY, _DAY * 0, _DAY)]

    def _remember(self, key: int, local: datetime) -> timedelta | None:
        """Store the offset of the local hour; None if the clock changes in it."""
        if len(self._offsets) >= _MAX_CACHED_HOURS:
            self._offsets.clear()
        first = local.replace(minute=0, second=0, microsecond=0)
        last = local.replace(minute=59, second=59, microsecond=999999)
        found = {
            self._offset(moment, fold) for moment in (first, last) for fold in (0, 1)
        }
        offset = found.pop() if len(found) == 1 else None
        self._offsets[key] = offset
        return offset

    def _offset(self, local: datetime, fold: int) -> timedelta:
        return self._zone.utcoffset(local.replace(tzinfo=self._zone, fold=fold))

    def _offset_near_change(self, local: datetime, epoch: float | None) -> timedelta:
        before = self._offset(local, 0)
        after = self._offset(local, 1)
        if after >= before:  # the usual case, or the hour that does not exist
            return before
        if epoch is None:
            return after if local.fold else before
        first = (local - before - _EPOCH).total_seconds()
        return before if first >= epoch - EPOCH_TOLERANCE else after


def _zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError, AttributeError) as error:
        # OSError: "Europe" is a folder; TypeError, AttributeError: not a string.
        raise ValueError(f"Unknown time zone: {name!r}") from error


def _parts_of(uniqueid: object) -> tuple[int, int] | None:
    """Epoch second and sequence number of a uniqueid, None if it is none."""
    if not isinstance(uniqueid, str) or not uniqueid.isascii():
        return None
    # A system name may hold dots and hyphens itself: what counts is the last part.
    second, _dot, sequence = uniqueid.strip().rpartition("-")[2].partition(".")
    if not (second.isdigit() and sequence.isdigit()):
        return None
    if len(second) > _MAX_EPOCH_DIGITS or len(sequence) > _MAX_SEQUENCE_DIGITS:
        return None
    epoch = int(second)
    if not _FIRST_EPOCH <= epoch <= _LAST_EPOCH:
        return None
    return epoch, int(sequence)


def epoch_of(uniqueid: str) -> int | None:
    """The UTC second at which a channel was made, from its Asterisk uniqueid.

    ``1795283330.0`` and ``pbx-msk-1795283330.17`` hold one; ``NONE``, ``REALTIME``,
    other phone systems' ids and years before 2000 or after 2099 give None.
    """
    parts = _parts_of(uniqueid)
    return parts[0] if parts else None


def sequence_of(uniqueid: str) -> int | None:
    """The number after the dot, which counts an Asterisk's channels since its start."""
    parts = _parts_of(uniqueid)
    return parts[1] if parts else None


def numeric_key(uniqueid: str) -> tuple[int, int, str]:
    """Sort key that puts the oldest channel first, so ``…330.9`` before ``…330.10``.

    Ids without an epoch come last, in the order of their text.
    """
    epoch, sequence = _parts_of(uniqueid) or (_NO_NUMBER, 0)
    return epoch, sequence, str(uniqueid)


_TIMESTAMP = re.compile(
    r"""(?P<moment>[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2})
    (?:[.,](?P<fraction>[0-9]{1,9}))?
    (?:\s*(?P<zulu>[Zz]|UTC|GMT)
      |\s*(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})?
    )?""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


def parse_timestamp(value: str | int | float | datetime) -> datetime | float:
    """Read a time as records hold it.

    ``YYYY-MM-DD HH:MM:SS[.ffffff]`` (or with ``T``) gives a naive datetime, local to
    whoever wrote it; the same with ``Z`` or an offset an aware one.  A number, also as
    text, is taken for seconds since 1970 UTC and returned as float.  A datetime is
    only checked.  Digits beyond microseconds are cut off.

    :raises ValueError: for zero dates (``0000-00-00``, ``1000-01-01``), ``infinity``,
        years before 1990 or after 2100 or BC, and everything else that is no time
    """
    if isinstance(value, datetime):
        return _in_range(value, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _epoch_in_range(value, value)
    if not isinstance(value, str):
        raise ValueError(f"Not a time: {value!r}")
    text = value.strip()
    if _looks_usual(text):
        # What is wrong with it gets its proper error below.
        with suppress(ValueError):
            return _in_range(datetime.fromisoformat(text), value)
    match = _TIMESTAMP.fullmatch(text)
    if match:
        return _in_range(_moment(match, value), value)
    if _NUMBER.fullmatch(text):
        return _epoch_in_range(float(text), value)
    raise ValueError(f"Not a time: {value!r}")


def _looks_usual(text: str) -> bool:
    """Whether it is in one of the two forms most databases write.

    They are left to the fast parser of the standard library, which alone would take
    much else (weeks, dates without hyphens), and not the same in all versions.
    """
    return (
        (len(text) == 19 or (len(text) == 26 and text[19] == "."))
        and text[4] == text[7] == "-"
        and text[10] in " T"
        and text[13] == text[16] == ":"
    )


def _moment(match: re.Match, value: str) -> datetime:
    """The datetime of a matched text."""
    try:
        moment = datetime.fromisoformat(match["moment"])
    except ValueError as error:  # a month 13, a zero date
        raise ValueError(f"No such date or time: {value!r}") from error
    if match["fraction"]:
        moment = moment.replace(microsecond=int(match["fraction"][:6].ljust(6, "0")))
    if match["zulu"]:
        return moment.replace(tzinfo=UTC)
    if not match["sign"]:
        return moment
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    if offset >= _DAY:
        raise ValueError(f"No such offset from UTC: {value!r}")
    return moment.replace(tzinfo=timezone(-offset if match["sign"] == "-" else offset))


def _in_range(moment: datetime, value: object) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"Not a time a call can have: {value!r}")
    return moment


def _epoch_in_range(seconds: float, value: object) -> float:
    # Compared as numbers: fromtimestamp() fails in its own ways for inf and nan.
    first = (datetime(_FIRST_YEAR, 1, 1) - _EPOCH).total_seconds()
    end = (datetime(_LAST_YEAR + 1, 1, 1) - _EPOCH).total_seconds()
    if not (math.isfinite(seconds) and first <= seconds < end):
        raise ValueError(f"Not a time a call can have: {value!r}")
    return float(seconds)


#: Offsets of zones are multiples of this.
_OFFSET_STEP = timedelta(minutes=15)
#: Below this share an error of the clock is not called the rule.
_MIN_SHARE = 0.4
#: A zone is proposed if it explains at least this share of the samples.
_EXPLAINED_SHARE = 0.8
_MAX_ZONES = 5
#: Samples, spread over all, on which zones are tried.
_MAX_EXPLAINED = 500
#: One zone per way of keeping time that is common among companies; not all of IANA's
#: 600, of which a person could not choose.
_USUAL_ZONES = (
    "UTC", "Europe/London", "Europe/Lisbon", "Europe/Berlin", "Europe/Kyiv",
    "Europe/Istanbul", "Europe/Moscow", "Europe/Samara", "Asia/Yekaterinburg",
    "Asia/Omsk", "Asia/Novosibirsk", "Asia/Irkutsk", "Asia/Yakutsk",
    "Asia/Vladivostok", "Asia/Magadan", "Asia/Kamchatka", "Asia/Almaty",
    "Asia/Tashkent", "Asia/Tbilisi", "Asia/Baku", "Asia/Jerusalem", "Asia/Tehran",
    "Asia/Dubai", "Asia/Kabul", "Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu",
    "Asia/Dhaka", "Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo", "Australia/Perth",
    "Australia/Adelaide", "Australia/Brisbane", "Australia/Sydney",
    "Pacific/Auckland", "Africa/Cairo", "Africa/Casablanca", "Africa/Johannesburg",
    "Africa/Lagos", "Africa/Nairobi", "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires", "America/Bogota", "America/Caracas",
    "America/Mexico_City", "America/Halifax", "America/St_Johns", "America/New_York",
    "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Anchorage", "Pacific/Honolulu",
)  # fmt: skip


@dataclass(frozen=True)
class ZoneFinding:
    """The configured zone of a phone system does not fit its records."""

    zone_name: str  #: as configured
    expected: timedelta  #: its offset from UTC at the newest sample of the error
    found: timedelta  #: the offset the records show at that time
    count: int  #: samples looked at
    share: float  #: part of them with this same error, 0 to 1
    #: What it could mean, most probable first.  ``utc``: the phone system writes UTC
    #: (``usegmtime=yes``, ``timezone=UTC``).  ``clock_change``: it is off by the hour
    #: (Lord Howe: half hour) of a clock change which it does not follow, or which the
    #: settings do not know.  ``other_zone``: it is set to another zone, see ``zones``.
    suggestions: tuple[str, ...]
    #: Zones which do explain the records, best first.
    zones: tuple[str, ...]


def zone_warning(
    samples: Iterable[tuple[datetime, float]], zone_name: str, min_samples: int = 20
) -> ZoneFinding | None:
    """Check the configured zone of a phone system against its own uniqueids.

    :param samples: pairs of a record's naive local start and the epoch second of its
        channel's uniqueid (see :func:`epoch_of`)
    :param min_samples: with fewer nothing is said
    :return: None if the zone fits, or nothing can be said

    Each sample is compared with the offset of the zone *at that time*, so samples may
    lie on both sides of a clock change.  Differences are rounded to quarters of an
    hour; a few per cent of the rows start long after their channel (forked and
    transferred calls), so only the most frequent difference counts.

    :raises ValueError: if there is no such zone
    """
    clock = PbxClock(zone_name)
    moments = [(local, _EPOCH + timedelta(seconds=epoch)) for local, epoch in samples]
    if len(moments) < max(min_samples, 1):
        return None
    errors = [_error(clock, local, utc) for local, utc in moments]
    error, times = max(Counter(errors).items(), key=lambda item: (item[1], not item[0]))
    if not error or times / len(errors) < _MIN_SHARE:
        return None
    at = max(
        utc for (_, utc), other in zip(moments, errors, strict=True) if other == error
    )
    expected = clock.offset_at(at)
    zones = _explaining_zones(moments)
    return ZoneFinding(
        zone_name=zone_name,
        expected=expected,
        found=expected + error,
        count=len(moments),
        share=times / len(errors),
        suggestions=_suggestions(clock, error, at, zones),
        zones=zones,
    )


def _error(clock: PbxClock, local: datetime, utc: datetime) -> timedelta:
    """How far a sample is off the clock, in whole steps (zero: not at all)."""
    return round((local - utc - clock.offset_at(utc)) / _OFFSET_STEP) * _OFFSET_STEP


def _explaining_zones(moments: list[tuple[datetime, datetime]]) -> tuple[str, ...]:
    """The usual zones that fit nearly all samples, best first."""
    moments = moments[:: len(moments) // _MAX_EXPLAINED + 1]
    fitting = []
    for name in _USUAL_ZONES:
        try:
            clock = PbxClock(name)
        except ValueError:  # not in this machine's data
            continue
        hits = sum(not _error(clock, local, utc) for local, utc in moments)
        if hits >= _EXPLAINED_SHARE * len(moments):
            fitting.append((-hits, name))
    # A stable sort: among equals the order of the list.
    fitting.sort(key=lambda pair: pair[0])
    return tuple(name for _, name in fitting[:_MAX_ZONES])


def _suggestions(
    clock: PbxClock, error: timedelta, at: datetime, zones: tuple[str, ...]
) -> tuple[str, ...]:
    """Codes of what an error can mean, see :attr:`ZoneFinding.suggestions`."""
    found = []
    if "UTC" in zones:
        found.append("utc")
    half_year = timedelta(days=183)
    steps = {clock.offset_at(at + half_year), clock.offset_at(at - half_year)}
    if clock.offset_at(at) + error in steps or abs(error) == timedelta(hours=1):
        found.append("clock_change")
    if any(name != "UTC" for name in zones) or not found:
        found.append("other_zone")
    return tuple(found)
