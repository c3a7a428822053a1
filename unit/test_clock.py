"""Local times of a phone system: clock changes, ids, text forms, a wrong zone."""

import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missed_call_crm.telephony.clock import (
    PbxClock,
    epoch_of,
    numeric_key,
    parse_timestamp,
    sequence_of,
    zone_warning,
)

UTC = timezone.utc  # datetime.UTC is newer than Python 3.10
HOUR = timedelta(hours=1)
ZONES = [
    "Europe/Moscow",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tehran",
    "Australia/Lord_Howe",
]
clocks = st.sampled_from([PbxClock(name) for name in ZONES])
moments = st.datetimes(datetime(1995, 1, 1), datetime(2099, 1, 1))
#: Within a few hours of a clock change of one of the zones.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1)),
    ("America/New_York", datetime(2026, 11, 1, 6)),
    ("America/New_York", datetime(2026, 3, 8, 7)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    ("Europe/Moscow", datetime(2014, 10, 25, 22)),
    ("Asia/Tehran", datetime(2021, 9, 21, 19, 30)),
]
near_changes = st.builds(
    lambda change, seconds: (
        PbxClock(change[0]),
        change[1] + timedelta(seconds=seconds),
    ),
    st.sampled_from(CHANGES),
    st.integers(-3 * 3600, 3 * 3600),
)
anywhere = st.one_of(st.tuples(clocks, moments), near_changes)


def epoch(utc):
    return utc.replace(tzinfo=UTC).timestamp()


@settings(max_examples=400, deadline=None)
@given(anywhere)
def test_round_trip(clock_and_utc):
    clock, utc = clock_and_utc
    local = clock.from_utc(utc)
    assert clock.to_utc(local) == utc
    plain = local.replace(fold=0)
    zone = ZoneInfo(clock.zone_name)
    ambiguous = (
        plain.replace(tzinfo=zone).utcoffset()
        != plain.replace(tzinfo=zone, fold=1).utcoffset()
    )
    if not ambiguous:
        assert clock.to_utc(plain) == utc
    assert clock.to_utc(plain, epoch(utc)) == utc


@settings(max_examples=400, deadline=None)
@given(anywhere, st.integers(0, 25 * 60))
def test_epoch_of_the_channel_resolves_both_hours(clock_and_utc, age):
    # A row is at most `age` seconds younger than its channel; less than the half hour
    # by which Lord Howe's clock is moved, else both would be possible.
    clock, utc = clock_and_utc
    local = clock.from_utc(utc).replace(fold=0)
    assert clock.to_utc(local, epoch(utc) - age) == utc
    assert clock.to_utc(local, int(epoch(utc)) + 1) == utc


def test_hour_that_comes_twice():
    clock = PbxClock("Europe/Berlin")
    local = datetime(2026, 10, 25, 2, 30)
    first, second = datetime(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 1, 30)
    assert clock.to_utc(local) == first
    assert clock.to_utc(local.replace(fold=1)) == second
    assert clock.to_utc(local, epoch(first) - 5 * 3600) == first
    assert clock.to_utc(local, epoch(first) + 2) == first
    assert clock.to_utc(local, epoch(first) + 3) == second
    assert clock.to_utc(local, epoch(second) + 9999) == second


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([0, 1800, 3599]), st.integers(-7200, 7200), st.integers(0, 7200))
def test_a_later_hint_never_gives_an_earlier_time(second, hint, later):
    clock = PbxClock("Europe/Berlin")
    local = datetime(2026, 10, 25, 2) + timedelta(seconds=second)
    base = epoch(datetime(2026, 10, 25, 1))
    assert clock.to_utc(local, base + hint) <= clock.to_utc(local, base + hint + later)


def test_hour_that_does_not_exist_is_shifted_forward():
    clock = PbxClock("Europe/Berlin")
    for hint in (None, epoch(datetime(2026, 3, 29, 1, 20))):
        for fold in (0, 1):
            local = datetime(2026, 3, 29, 2, 30, fold=fold)
            assert clock.to_utc(local, hint) == datetime(2026, 3, 29, 1, 30)
    assert clock.from_utc(datetime(2026, 3, 29, 1, 30)) == datetime(2026, 3, 29, 3, 30)


def test_half_hour_change():
    clock = PbxClock("Australia/Lord_Howe")
    assert clock.to_utc(datetime(2026, 4, 5, 1, 20)) == datetime(2026, 4, 4, 14, 20)
    local = datetime(2026, 4, 5, 1, 45)
    assert clock.to_utc(local) == datetime(2026, 4, 4, 14, 45)
    assert clock.to_utc(local.replace(fold=1)) == datetime(2026, 4, 4, 15, 15)


def test_microseconds_and_aware_times():
    clock = PbxClock("Europe/Moscow")
    assert clock.to_utc(datetime(2026, 11, 21, 20, 48, 50, 971204)) == datetime(
        2026, 11, 21, 17, 48, 50, 971204
    )
    aware = datetime(2026, 11, 21, 20, tzinfo=timezone(5 * HOUR))
    assert clock.to_utc(aware) == datetime(2026, 11, 21, 15)
    assert clock.to_utc(aware).tzinfo is None


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../etc/passwd", None])
def test_unknown_zone(name):
    with pytest.raises(ValueError, match="time zone"):
        PbxClock(name)


@settings(max_examples=400, deadline=None)
@given(anywhere, st.integers(0, 400 * 86400), st.floats(0, 1), st.integers(-7200, 7200))
def test_local_bounds_cover(clock_and_since, length, part, nudge):
    clock, since = clock_and_since
    until = since + timedelta(seconds=length)
    low, high = clock.local_bounds(since, until)
    inside = since + timedelta(seconds=int(length * part))
    assert low <= clock.from_utc(inside) <= high
    # Also rows whose local time is ambiguous or does not exist.
    for edge in (since, until):
        local = clock.from_utc(edge) + timedelta(seconds=nudge)
        for fold in (0, 1):
            if since <= clock.to_utc(local.replace(fold=fold)) <= until:
                assert low <= local <= high
    assert high - low <= until - since + 2 * HOUR


def test_local_bounds_over_the_hour_that_comes_twice():
    clock = PbxClock("Europe/Berlin")
    low, high = clock.local_bounds(
        datetime(2026, 10, 25, 0, 50), datetime(2026, 10, 25, 1, 10)
    )
    assert low <= datetime(2026, 10, 25, 2)
    assert high >= datetime(2026, 10, 25, 2, 59, 59)


# Ids


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1795283330.0", (1795283330, 0)),
        ("pbx-msk-1795283330.17", (1795283330, 17)),
        ("a.b-1795283330.9", (1795283330, 9)),
        (" 1795283330.5 ", (1795283330, 5)),
        ("999999999.1", (999999999, 1)),
        ("NONE", None),
        ("REALTIME", None),
        ("", None),
        (None, None),
        (1795283330.5, None),
        ("1795283330", None),
        ("1795283330.", None),
        ("946684799.1", None),
        ("4102444800.1", None),
        ("9999999999.1", None),
        ("x1795283330.1", None),
        ("1795283330.1.2", None),
        ("1" * 5000 + ".1", None),
        ("1795283330." + "1" * 5000, None),
        ("1795283330.1;2", None),
        ("١٧٩٥٢٨٣٣٣٠.1", None),
        ("5f0c1d9e-8a3e-4d", None),
    ],
)
def test_ids(text, expected):
    epoch_and_sequence = expected or (None, None)
    assert (epoch_of(text), sequence_of(text)) == epoch_and_sequence


@settings(deadline=None)
@given(st.text(max_size=30))
def test_ids_never_fail(text):
    assert epoch_of(text) is None or sequence_of(text) is not None
    assert isinstance(numeric_key(text), tuple)


def test_numeric_key_orders_oldest_first():
    ordered = [
        "1795283330.9",
        "pbx-1795283330.10",
        "1795283331.1",
        "4000000000.1",
        "NONE",
        "abc",
    ]
    mixed = random.Random(1).sample(ordered, len(ordered))
    assert sorted(mixed, key=numeric_key) == ordered


# Text forms


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2026-11-21 20:48:50", datetime(2026, 11, 21, 20, 48, 50)),
        ("2026-11-21T20:48:50", datetime(2026, 11, 21, 20, 48, 50)),
        (" 2026-11-21 20:48:50.5 ", datetime(2026, 11, 21, 20, 48, 50, 500000)),
        ("2026-11-21 20:48:50.971204", datetime(2026, 11, 21, 20, 48, 50, 971204)),
        ("2026-11-21 20:48:50.971204999", datetime(2026, 11, 21, 20, 48, 50, 971204)),
        ("2026-11-21T20:48:50Z", datetime(2026, 11, 21, 20, 48, 50, tzinfo=UTC)),
        ("2026-11-21 20:48:50 UTC", datetime(2026, 11, 21, 20, 48, 50, tzinfo=UTC)),
        ("2026-11-21 20:48:50.25+03", datetime(2026, 11, 21, 17, 48, 50, 250000, UTC)),
        ("2026-11-21T20:48:50.5+0300", datetime(2026, 11, 21, 17, 48, 50, 500000, UTC)),
        ("2026-11-21T20:48:50-0330", datetime(2026, 11, 22, 0, 18, 50, tzinfo=UTC)),
        ("2026-11-21T20:48:50+05:30", datetime(2026, 11, 21, 15, 18, 50, tzinfo=UTC)),
        ("1795283330", 1795283330.0),
        ("1795283330.25", 1795283330.25),
        (1795283330, 1795283330.0),
        (1795283330.25, 1795283330.25),
        (datetime(2026, 11, 21), datetime(2026, 11, 21)),
    ],
)
def test_parse_timestamp(text, expected):
    found = parse_timestamp(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "0000-00-00 00:00:00",
        "1000-01-01 00:00:00",
        "1989-12-31 23:59:59",
        "2101-01-01 00:00:00",
        "0044-03-15 12:00:00 BC",
        "2026-11-21 20:48:50 BC",
        "infinity",
        "-infinity",
        "9999-12-31 00:00:00",
        "2026-13-01 00:00:00",
        "2026-02-30 00:00:00",
        "2026-11-21 24:00:00",
        "2026-11-21 20:48:50+24:00",
        "21.11.2026 20:48:50",
        "2026-11-21",
        "2026-W47-6T12:00:00",
        "",
        "0",
        "-1795283330",
        "1795283330000",
        "nan",
        "1e9",
        "20261121204850",
        float("nan"),
        float("inf"),
        0,
        True,
        None,
        [],
        datetime(1970, 1, 1),
    ],
)
def test_parse_timestamp_refuses(text):
    with pytest.raises(ValueError):
        parse_timestamp(text)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.none()))
def test_parse_timestamp_raises_nothing_else(value):
    try:
        found = parse_timestamp(value)
    except ValueError:
        return
    assert isinstance(found, (datetime, float))


@settings(deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31)))
def test_parse_timestamp_reads_what_databases_write(moment):
    assert parse_timestamp(str(moment)) == moment
    assert parse_timestamp(moment.isoformat()) == moment


# A wrong zone


def samples(zone_name, count=60, since=datetime(2026, 1, 10), step=HOUR * 7):
    """Rows of a phone system in a zone, one in twenty of a forked call."""
    clock = PbxClock(zone_name)
    for index in range(count):
        utc = since + index * step
        late = timedelta(hours=3) if index % 20 == 7 else timedelta(seconds=index % 40)
        yield clock.from_utc(utc) + late, int(epoch(utc))


@pytest.mark.parametrize("zone_name", ZONES)
def test_right_zone_is_not_reported(zone_name):
    year = samples(zone_name, 300, step=timedelta(days=1, hours=5))
    assert zone_warning(year, zone_name) is None


def test_phone_system_that_writes_utc():
    found = zone_warning(samples("UTC"), "Europe/Moscow")
    assert (found.expected, found.found) == (3 * HOUR, 0 * HOUR)
    assert (found.count, found.zone_name) == (60, "Europe/Moscow")
    assert found.share == pytest.approx(0.95)
    assert found.suggestions[0] == "utc"
    assert "UTC" in found.zones


def test_another_zone():
    found = zone_warning(samples("Asia/Tehran"), "Europe/Moscow")
    assert found.found == timedelta(hours=3, minutes=30)
    assert found.suggestions == ("other_zone",)
    assert found.zones == ("Asia/Tehran",)


def test_wrong_zone_over_a_clock_change():
    year = list(samples("Europe/Berlin", 300, step=timedelta(days=1, hours=5)))
    found = zone_warning(year, "Europe/London")
    assert found.found - found.expected == HOUR
    assert found.zones == ("Europe/Berlin",)
    assert found.share > 0.9
    assert zone_warning(year, "UTC").zones == ("Europe/Berlin",)


def test_phone_system_that_does_not_change_its_clock():
    summer = samples("Etc/GMT-1", since=datetime(2026, 6, 1))
    found = zone_warning(summer, "Europe/Berlin")
    assert (found.expected, found.found) == (2 * HOUR, HOUR)
    assert "clock_change" in found.suggestions


def test_too_few_samples_or_no_rule():
    assert zone_warning(samples("UTC", 19), "Europe/Moscow") is None
    assert zone_warning(samples("UTC", 19), "Europe/Moscow", min_samples=5)
    assert zone_warning([], "Europe/Moscow", min_samples=0) is None
    chance = random.Random(1)
    noise = [
        (local + timedelta(minutes=chance.randrange(-9999, 9999)), second)
        for local, second in samples("Europe/Moscow")
    ]
    assert zone_warning(noise, "Europe/Moscow") is None
    with pytest.raises(ValueError, match="time zone"):
        zone_warning([], "Nowhere")
