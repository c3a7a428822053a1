#!/usr/bin/env python3
"""Move the SQL dump of a phone system in time.

The laboratory's calls were made on one evening. A demo needs them to be minutes old, so
that deadlines run and lists are alive. Everything that says when is moved alike: the
local times of the tables, and the second that Asterisk puts into its ids
(``[systemname-]EPOCH.N``) wherever one stands: uniqueid, linkedid, callid, the data
columns of the queue log, the JSON in CEL's ``extra``. Nothing else changes.

    lab_shift.py asterisk.sql --zone Europe/Moscow --ended-ago 180 > moved.sql
"""

import argparse
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

UTC = timezone.utc
#: A whole literal that is a local time. What follows the second stays as it is: times
#: are moved by whole seconds.
_TIME = re.compile(r"(?<=')\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?=(?:\.\d{1,6})?')")
#: The second in an id of a channel: neither a part of a longer number nor of a
#: dotted one (an address, a version).
_ID = re.compile(r"(?<![\d.])\d{10}(?=\.\d+(?!\d|\.\d))")
#: Ids are made at the start of a call, its records reach from there to its end.
_LONGEST_CALL = timedelta(hours=2)


def period(dump: str, zone: str) -> tuple[datetime, datetime]:
    """First and last moment in the records of a dump, to the second.

    :param dump: text of the dump
    :param zone: IANA name of the zone its times are in
    :return: aware datetimes in UTC
    :raises ValueError: if there is no time in it
    """
    clock = ZoneInfo(zone)
    times = [_to_utc(match.group(), clock) for match in _TIME.finditer(dump)]
    if not times:
        raise ValueError("there is no time in the dump")
    return min(times), max(times)


def shift(dump: str, delta: timedelta, zone: str) -> str:
    """The same dump with all its calls ``delta`` later (earlier, if negative).

    Ids are moved by ``delta`` as they are UTC; times so that they are ``delta`` later
    in UTC, which over a change of clocks is an hour more or less on the wall. In the
    hour that comes twice a time of the dump is taken for the first of the two.

    :param dump: text of the dump
    :param delta: whole seconds, else the times and the ids would come apart
    :param zone: IANA name of the zone its times are in
    :raises ValueError: if ``delta`` is not in whole seconds or no time is in the dump
    """
    if delta % timedelta(seconds=1):
        raise ValueError("a dump is moved by whole seconds")
    seconds = delta // timedelta(seconds=1)
    clock = ZoneInfo(zone)
    first, last = period(dump, zone)
    # Ten digits and a dot outside this period are not an id of these calls.
    oldest = (first - _LONGEST_CALL).timestamp()
    newest = (last + timedelta(seconds=1)).timestamp()

    def move_time(match):
        moved = (_to_utc(match.group(), clock) + delta).astimezone(clock)
        return moved.strftime("%Y-%m-%d %H:%M:%S")

    def move_id(match):
        epoch = int(match.group())
        return str(epoch + seconds) if oldest <= epoch <= newest else match.group()

    return _ID.sub(move_id, _TIME.sub(move_time, dump))


def _to_utc(text: str, clock: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock).astimezone(UTC)


def main(argv: list[str] | None = None) -> None:
    """Write the moved dump to the standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", type=Path)
    parser.add_argument("--zone", required=True, help="zone of the times in the dump")
    parser.add_argument(
        "--ended-ago",
        type=int,
        required=True,
        metavar="SECONDS",
        help="the last record is to be this old",
    )
    args = parser.parse_args(argv)
    dump = args.dump.read_text(encoding="utf-8")
    _first, last = period(dump, args.zone)
    now = datetime.now(UTC).replace(microsecond=0)
    delta = now - timedelta(seconds=args.ended_ago) - last
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    sys.stdout.write(shift(dump, delta, args.zone))


if __name__ == "__main__":
    main()
