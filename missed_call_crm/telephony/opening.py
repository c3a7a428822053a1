"""Working-time arithmetic on plain intervals.

An interval is a pair of naive UTC datetimes, half-open: its start is open, its end is
closed.  A calendar is a function which returns the open intervals of a window, sorted
and disjoint; they may reach beyond the window, and two may touch at midnight.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

Interval = tuple[datetime, datetime]
Calendar = Callable[[datetime, datetime], Sequence[Interval]]
Start = Literal["miss", "opening", "working"]

#: A calendar that stays closed for longer than this never opens.
HORIZON = timedelta(days=60)
#: The first window is a week, for most deadlines are within it; the next are doubled,
#: for a calendar costs a query each time.
_FIRST_WINDOW = timedelta(days=7)
_LARGEST_WINDOW = timedelta(days=56)


def deadline(
    ended_at: datetime, hours: float, start: Start, intervals: Calendar
) -> datetime:
    """When a client who was missed must have been reached.

    :param ended_at: end of the missed call, naive UTC
    :param hours: length of the window in hours, 0 or more
    :param start: ``miss``: ``hours`` elapse from ``ended_at``; ``opening``: they elapse
        from the next opening (from ``ended_at`` if it is open then); ``working``: only
        the open time counts, and hours which end exactly with an interval end there,
        not at the next opening
    :param intervals: calendar of the queue; not asked for ``miss``
    :return: naive UTC, never before ``ended_at``; a contact at this instant is in time

    A calendar which is closed for more than :data:`HORIZON` counts as never opening:
    what is left of the hours then elapses from where it closed for good, or from
    ``ended_at``.

    :raises ValueError: for hours that are negative or no number, or another ``start``
    """
    if not (math.isfinite(hours) and hours >= 0):
        raise ValueError(f"Not a number of hours: {hours!r}")
    left = timedelta(hours=hours)
    if start == "miss":
        return ended_at + left
    if start == "opening":
        return (next_opening(ended_at, intervals) or ended_at) + left
    if start != "working":
        raise ValueError(f"Not a start of the window: {start!r}")
    reached = ended_at
    if not left:
        return reached
    for opened, closed in _open_from(ended_at, intervals):
        if left <= closed - opened:
            return opened + left
        left -= closed - opened
        reached = closed
    return reached + left


def is_open(at: datetime, intervals: Calendar) -> bool:
    """Whether the calendar is open at an instant; the end of an interval is closed."""
    window = intervals(at, at + timedelta(seconds=1))
    return any(opened <= at < closed for opened, closed in window)


def next_opening(at: datetime, intervals: Calendar) -> datetime | None:
    """The first open instant from ``at`` on: ``at`` itself if it is open then.

    None if it does not open within :data:`HORIZON`.
    """
    for opened, _closed in _open_from(at, intervals):
        return opened
    return None


def _open_from(at: datetime, intervals: Calendar) -> Iterator[Interval]:
    """The open time from ``at`` on, until it stays closed for longer than the horizon.

    Intervals are cut at ``at`` and at the borders of the windows asked for.
    """
    reached = at  # until where it was open
    since, window = at, _FIRST_WINDOW
    while since - reached <= HORIZON:
        until = since + window
        for opened, closed in intervals(since, until):
            opened, closed = max(opened, since), min(closed, until)
            if closed <= opened:
                continue
            if opened - reached > HORIZON:
                return
            yield opened, closed
            reached = closed
        since, window = until, min(2 * window, _LARGEST_WINDOW)
