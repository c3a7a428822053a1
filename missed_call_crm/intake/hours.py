# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Opening hours from Odoo's resource calendars as plain intervals."""

from datetime import datetime, timedelta

import pytz

from ..telephony import opening

# Calendars are asked for so much at a time; a batch of calls needs few of them.
_CHUNK = timedelta(days=28)
_EPOCH = datetime(2000, 1, 3)


class Hours:
    """Working time of calendars, public holidays taken off, cached by chunk.

    Intervals are naive UTC, sorted and half-open, as ``telephony.opening`` wants.
    """

    def __init__(self, env, company):
        self.env = env
        # Public holidays have no calendar of their own: another company's are not ours.
        self._leaves = [
            ("time_type", "=", "leave"),
            ("company_id", "in", [False, company.id]),
        ]
        self._chunks = {}

    def intervals(self, calendar_id, start, end):
        """Open intervals that overlap ``[start, end)``."""
        found = []
        index = (start - _EPOCH) // _CHUNK
        while _EPOCH + index * _CHUNK < end:
            found += self._chunk(calendar_id, index)
            index += 1
        return [(a, b) for a, b in _joined(found) if b > start and a < end]

    def _chunk(self, calendar_id, index):
        key = (calendar_id, index)
        if key not in self._chunks:
            calendar = self.env["resource.calendar"].sudo().browse(calendar_id)
            start = pytz.utc.localize(_EPOCH + index * _CHUNK)
            found = calendar._work_intervals_batch(
                start, start + _CHUNK, domain=self._leaves
            )[False]
            self._chunks[key] = [
                (_naive_utc(begin), _naive_utc(until)) for begin, until, _meta in found
            ]
        return self._chunks[key]

    def is_open(self, calendar_id, moment):
        """Whether the calendar says open at ``moment``; always without calendar."""
        if not calendar_id:
            return True
        return opening.is_open(moment, lambda a, b: self.intervals(calendar_id, a, b))

    def deadline(self, calendar_id, ended_at, hours, start):
        """Last instant of a miss's window (``telephony.opening.deadline``)."""
        if not calendar_id or start == "miss":
            return ended_at + timedelta(hours=hours)
        return opening.deadline(
            ended_at, hours, start, lambda a, b: self.intervals(calendar_id, a, b)
        )


def _naive_utc(moment):
    return moment.astimezone(pytz.utc).replace(tzinfo=None)


def _joined(intervals):
    """Touching intervals made one (a shift over the end of a chunk is cut in two)."""
    joined = []
    for begin, until in intervals:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((begin, until))
    return joined
