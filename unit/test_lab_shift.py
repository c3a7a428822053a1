"""The laboratory's dump moved in time: all of it alike, and nothing else."""

import importlib.util
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parent.parent
DUMP = PROJECT / "missed_call_crm" / "tests" / "lab" / "asterisk.sql"
ZONE = "Europe/Moscow"
TIMES = {"cdr": ("calldate",), "cel": ("eventtime",), "queue_log": ("time",)}
IDS = {"cdr": ("uniqueid", "linkedid"), "cel": ("uniqueid", "linkedid")} | {
    "queue_log": ("callid",)
}
#: Columns in which ids stand among other things.
MIXED = {"cel": ("extra",), "queue_log": ("data", "data1", "data2", "data3")}


def _load():
    spec = importlib.util.spec_from_file_location(
        "lab_shift", PROJECT / "scripts" / "lab_shift.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lab_shift = _load()


def rows(dump):
    """``(table, {column: literal})`` per INSERT, by other means than the script's."""
    found = []
    insert = re.compile(r"INSERT INTO public\.(\w+) \((.*?)\) VALUES \((.*)\);")
    for line in dump.splitlines():
        match = insert.fullmatch(line)
        if not match:
            continue
        table, columns, values = match.groups()
        names = [name.strip('"') for name in columns.split(", ")]
        literals = re.findall(r"(NULL|-?\d+|'(?:[^']|'')*')(?:, |$)", values)
        assert len(names) == len(literals), line
        found.append((table, dict(zip(names, literals, strict=True))))
    return found


def moment(literal, zone):
    """Naive local time of a literal as UTC."""
    local = datetime.fromisoformat(literal.strip("'").split(".")[0])
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)


def row(table, **values):
    names = ", ".join(f'"{name}"' if name == "time" else name for name in values)
    literals = ", ".join(f"'{value}'" for value in values.values())
    return f"INSERT INTO public.{table} ({names}) VALUES ({literals});\n"


@pytest.fixture(scope="module")
def dump():
    return DUMP.read_text(encoding="utf-8")


def test_every_column_of_the_dump_moves_alike_or_stays(dump):
    delta = timedelta(days=-200, hours=7, minutes=3, seconds=11)
    seconds = int(delta.total_seconds())
    moved = lab_shift.shift(dump, delta, ZONE)
    before, after = rows(dump), rows(moved)
    assert [table for table, _ in after] == [table for table, _ in before]
    assert len(before) == 164 + 1648 + 238
    moved_within = 0
    for (table, old), (_table, new) in zip(before, after, strict=True):
        assert list(new) == list(old)
        for name, value in old.items():
            if name in TIMES[table]:
                assert moment(new[name], ZONE) - moment(value, ZONE) == delta
                assert new[name].partition(".")[2] == value.partition(".")[2]
            elif name in IDS[table] and "." in value:
                (epoch, number), (now, same) = (
                    literal.strip("'").split(".") for literal in (value, new[name])
                )
                assert int(now) - int(epoch) == seconds and same == number
            elif name in MIXED.get(table, ()) and new[name] != value:
                moved_within += 1
                assert re.sub(r"\d{10}\.", "", new[name]) == re.sub(
                    r"\d{10}\.", "", value
                )
            else:
                assert new[name] == value
    # the channels of members in CONNECT, of transfers and pick-ups
    assert moved_within == 32


def test_ids_within_data_still_name_channels_of_the_dump(dump):
    moved = lab_shift.shift(dump, timedelta(days=100, seconds=5), ZONE)
    for text in (dump, moved):
        channels, named = set(), set()
        for table, values in rows(text):
            if "uniqueid" in values:
                channels.add(values["uniqueid"].strip("'"))
            for name in MIXED.get(table, ()):
                named |= set(re.findall(r"\d{10}\.\d+", values[name]))
        assert named and named <= channels


def test_only_the_records_change(dump):
    moved = lab_shift.shift(dump, timedelta(seconds=1), ZONE)
    before, after = dump.splitlines(), moved.splitlines()
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert (old == new) is not old.startswith("INSERT INTO")


@settings(max_examples=10, deadline=None)
@given(st.integers(min_value=-40_000_000, max_value=40_000_000))
@example(0)
def test_there_and_back_is_the_same_dump(seconds):
    dump = DUMP.read_text(encoding="utf-8")
    delta = timedelta(seconds=seconds)
    there = lab_shift.shift(dump, delta, ZONE)
    assert lab_shift.shift(there, -delta, ZONE) == dump
    first, last = lab_shift.period(dump, ZONE)
    assert lab_shift.period(there, ZONE) == (first + delta, last + delta)


# In Berlin clocks go from 3:00 back to 2:00 on 2026-10-25.
BERLIN = "Europe/Berlin"
OCTOBER = row(
    "cdr",
    calldate="2026-10-20 12:00:00",  # 10:00 UTC
    uniqueid="pbx1-1792490400.7",
    userfield="rec-1792490400.7.wav",
)


def test_over_a_change_of_clocks_ids_and_times_stay_together():
    moved = lab_shift.shift(OCTOBER, timedelta(days=10), BERLIN)
    assert moved == row(
        "cdr",
        calldate="2026-10-30 11:00:00",  # 10:00 UTC
        uniqueid="pbx1-1793354400.7",
        userfield="rec-1793354400.7.wav",
    )
    assert lab_shift.shift(moved, timedelta(days=-10), BERLIN) == OCTOBER


def test_the_zone_matters():
    moved = lab_shift.shift(OCTOBER, timedelta(days=10), ZONE)
    assert "'2026-10-30 12:00:00'" in moved


@pytest.mark.parametrize(
    "value",
    [
        "1111111111.5",  # ten digits and a dot, but not of these days
        "79995551111",
        "1792490400",  # no id: may well be a number somebody has
        "11792490400.7",
        "10.1792490400.7",
        "1792490400.7.4",
        "2026-10-20",
        "at 2026-10-20 12:00:00",
    ],
)
def test_what_only_looks_like_a_time_stays(value):
    dump = OCTOBER + row("cel", eventtime="2026-10-20 12:00:03.5", extra=value)
    moved = lab_shift.shift(dump, timedelta(days=1), BERLIN)
    assert f"'{value}'" in moved
    assert "'2026-10-21 12:00:03.5'" in moved


def test_fractions_of_a_second_are_refused():
    with pytest.raises(ValueError, match="whole seconds"):
        lab_shift.shift(OCTOBER, timedelta(milliseconds=1), BERLIN)


def test_a_dump_without_records_is_refused():
    with pytest.raises(ValueError, match="no time"):
        lab_shift.period("CREATE TABLE public.cdr (calldate timestamp);", ZONE)


def test_the_command_makes_the_last_record_as_old_as_asked(capsys):
    began = datetime.now(timezone.utc).replace(microsecond=0)
    lab_shift.main([str(DUMP), "--zone", ZONE, "--ended-ago", "180"])
    _first, last = lab_shift.period(capsys.readouterr().out, ZONE)
    age = began - last
    assert timedelta(seconds=120) < age <= timedelta(seconds=180)
