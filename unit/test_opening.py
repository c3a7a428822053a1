"""Deadlines over nights, weekends, lunch breaks and calendars that never open."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missed_call_crm.telephony.opening import (
    HORIZON,
    deadline,
    is_open,
    next_opening,
)

DAY = timedelta(days=1)
FRIDAY = datetime(2026, 11, 20)
MONDAY = datetime(2026, 11, 23)


def office(since, until):
    """Monday to Friday, 9 to 13 and 14 to 18, not cut at the window."""
    day = datetime(since.year, since.month, since.day) - DAY
    found = []
    while day < until:
        if day.weekday() < 5:
            for first, last in ((9, 13), (14, 18)):
                start, end = day.replace(hour=first), day.replace(hour=last)
                if end > since and start < until:
                    found.append((start, end))
        day += DAY
    return found


def never(since, until):
    return []


def always(since, until):
    return [(since, until)]


def fixed(*intervals):
    return lambda since, until: [
        (start, end) for start, end in intervals if end > since and start < until
    ]


def test_elapsed_from_the_miss():
    at = FRIDAY.replace(hour=23)
    assert deadline(at, 24, "miss", never) == at + DAY
    assert deadline(at, 0.5, "miss", never) == at + timedelta(minutes=30)


def test_elapsed_from_the_opening():
    night = FRIDAY.replace(hour=23)
    assert deadline(night, 24, "opening", office) == MONDAY.replace(hour=9) + DAY
    open_then = FRIDAY.replace(hour=17)
    assert deadline(open_then, 24, "opening", office) == open_then + DAY
    closing = FRIDAY.replace(hour=18)
    assert deadline(closing, 1, "opening", office) == MONDAY.replace(hour=10)


def test_working_hours():
    saturday = FRIDAY.replace(hour=23) + DAY
    # Eight working hours fit exactly into Monday: its end, not Tuesday's opening.
    assert deadline(saturday, 8, "working", office) == MONDAY.replace(hour=18)
    assert deadline(saturday, 9, "working", office) == MONDAY.replace(hour=10) + DAY
    before_lunch = MONDAY.replace(hour=12)
    assert deadline(before_lunch, 1, "working", office) == MONDAY.replace(hour=13)
    assert deadline(before_lunch, 2, "working", office) == MONDAY.replace(hour=15)
    assert deadline(saturday, 0, "working", office) == saturday


def test_working_hours_over_many_windows():
    # 50 weeks of 40 hours.
    assert deadline(MONDAY, 2000, "working", office) == MONDAY.replace(
        hour=18
    ) + timedelta(weeks=49, days=4)
    assert deadline(MONDAY, 5000, "working", always) == MONDAY + timedelta(hours=5000)


def test_windows_grow_and_stay_small():
    asked = []

    def calendar(since, until):
        asked.append(until - since)
        return []

    assert next_opening(MONDAY, calendar) is None
    assert asked == sorted(asked)
    assert max(asked) <= timedelta(days=60)
    assert sum(asked, timedelta()) >= HORIZON


@pytest.mark.parametrize("start", ["opening", "working"])
def test_calendar_that_never_opens(start):
    assert deadline(MONDAY, 24, start, never) == MONDAY + DAY
    far = fixed((MONDAY + HORIZON + DAY, MONDAY + HORIZON + 2 * DAY))
    assert deadline(MONDAY, 24, start, far) == MONDAY + DAY


def test_calendar_that_closes_for_good():
    last = fixed((MONDAY.replace(hour=9), MONDAY.replace(hour=18)))
    end = MONDAY.replace(hour=18)
    assert deadline(MONDAY, 9, "working", last) == end
    assert deadline(MONDAY, 10, "working", last) == end + timedelta(hours=1)


def test_is_open():
    assert is_open(MONDAY.replace(hour=9), office)
    assert is_open(MONDAY.replace(hour=12, minute=59), office)
    assert not is_open(MONDAY.replace(hour=13), office)
    assert not is_open(MONDAY, office)
    assert is_open(MONDAY, always)


def test_next_opening():
    assert next_opening(FRIDAY.replace(hour=18), office) == MONDAY.replace(hour=9)
    assert next_opening(MONDAY.replace(hour=13), office) == MONDAY.replace(hour=14)
    now = MONDAY.replace(hour=10)
    assert next_opening(now, office) == now
    holidays = fixed((MONDAY + 40 * DAY, MONDAY + 41 * DAY))
    assert next_opening(MONDAY, holidays) == MONDAY + 40 * DAY


@pytest.mark.parametrize("hours", [-1, float("nan"), float("inf")])
def test_hours_that_are_none(hours):
    with pytest.raises(ValueError, match="hours"):
        deadline(MONDAY, hours, "miss", never)


def test_unknown_start():
    with pytest.raises(ValueError, match="start"):
        deadline(MONDAY, 1, "tomorrow", always)


# Properties

seconds = st.integers(0, 100 * 86400)


@st.composite
def calendars(draw):
    """Any disjoint intervals, with gaps longer than the horizon now and then."""
    at, found = MONDAY, []
    for gap, length in draw(
        st.lists(
            st.tuples(st.integers(0, 40) | st.integers(0, 2000), st.integers(1, 60)),
            max_size=12,
        )
    ):
        start = at + timedelta(hours=gap)
        at = start + timedelta(hours=length)
        found.append((start, at))
    return fixed(*found)


starts = st.sampled_from(["miss", "opening", "working"])
hours = st.integers(0, 400) | st.floats(0, 400)


@settings(max_examples=400, deadline=None)
@given(calendars(), starts, seconds, hours, st.integers(0, 86400), st.floats(0, 50))
def test_deadline_is_monotone_and_never_early(calendar, start, at, length, later, more):
    ended = MONDAY + timedelta(seconds=at)
    found = deadline(ended, length, start, calendar)
    assert found >= ended
    assert deadline(ended + timedelta(seconds=later), length, start, calendar) >= found
    assert deadline(ended, length + more, start, calendar) >= found
    if start == "working":
        # At least the hours themselves pass.
        assert found >= ended + timedelta(hours=length)


@settings(deadline=None)
@given(calendars(), seconds)
def test_next_opening_is_the_first_open_instant(calendar, at):
    moment = MONDAY + timedelta(seconds=at)
    found = next_opening(moment, calendar)
    if found is None:
        assert not is_open(moment, calendar)
    else:
        assert found >= moment
        assert is_open(found, calendar)
        assert (found == moment) == is_open(moment, calendar)
        earlier = found - timedelta(seconds=1)
        assert earlier < moment or not is_open(earlier, calendar)
