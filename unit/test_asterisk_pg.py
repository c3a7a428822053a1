# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Reading Asterisk's tables from a real PostgreSQL: every row once."""

import json
import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import combinations

import pytest
from asterisk_db import (
    KINDS,
    QUEUE_COLUMNS,
    ZONE,
    Schema,
    admin,
    drop_database,
    keys,
    make_database,
    open_source,
    records,
    rejected,
    utc_now,
)

from missed_call_crm.providers import asterisk_columns
from missed_call_crm.providers.base import (
    RAW_LIMIT,
    SourceError,
)
from missed_call_crm.telephony.clock import PbxClock

pytest_plugins = ["asterisk_fixtures"]

# ------------------------------------------------------------------ the laboratory


def test_lab_rows_and_records_are_the_same(server, lab):
    """Every row is a record with all of the row's values, none is made up."""
    with open_source(server, lab, zone=ZONE) as reading:
        found = list(reading.batches(None))
    assert not rejected(found)
    with admin(server, lab) as sql:
        for kind, time in zip(KINDS, ("calldate", "time", "eventtime"), strict=True):
            expected = Counter()
            for (row,) in sql(f"SELECT to_jsonb(t) FROM {kind} t"):
                row["start" if kind == "cdr" else time] = row.pop(time)
                expected[as_items(row)] += 1
            got = Counter(
                as_items(record.payload)
                for record in records(found)
                if record.kind == kind
            )
            assert got == expected
            assert set(got.values()) == {1}
    assert set(keys(found).values()) == {1}


def as_items(row):
    """Values as texts that compare, times without their spelling."""
    items = []
    for name, value in row.items():
        if value in (None, ""):
            continue
        text = str(value)
        if name in ("start", "time", "eventtime"):
            text = str(
                datetime.fromisoformat(
                    text.replace("T", " ").ljust(26, "0") if "." in text else text
                )
            )
        items.append((name, text))
    return tuple(sorted(items))


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 5000])
def test_pages_of_any_size_give_the_same(server, lab, size):
    with open_source(server, lab, zone=ZONE) as reading:
        expected = {r.key: r.content_hash for r in records(reading.batches(None))}
    with open_source(server, lab, zone=ZONE, page_size=size) as reading:
        found = list(reading.batches(None))
    assert {r.key: r.content_hash for r in records(found)} == expected
    assert len(records(found)) == len(expected)
    assert [batch.done for batch in found] == [False] * (len(found) - 1) + [True]


def test_slices_of_time_across_the_tables(server, lab):
    """What a batch says it has come to is what it has come to, in every table."""
    with open_source(server, lab, zone=ZONE, page_size=100) as reading:
        found = list(reading.batches(None))
    assert len(found) > 10
    for number, batch in enumerate(found[:-1]):
        assert all(r.occurred_at <= batch.upto for r in batch.records)
        for later in found[number + 1 :]:
            assert all(r.occurred_at >= batch.upto for r in later.records)
    # Most calls come whole: far fewer pieces than if the tables came one by one.
    pieces = Counter()
    for batch in found:
        pieces.update({thread for r in batch.records for thread in r.threads})
    assert sum(count == 1 for count in pieces.values()) > len(pieces) / 3
    assert {r.kind for r in found[3].records} == set(KINDS)


def test_times_are_utc(server, lab):
    """Within two seconds of the second in the channel's id."""
    with open_source(server, lab, zone=ZONE) as reading:
        for record in records(reading.batches(None)):
            if record.kind == "cdr":
                epoch = int(record.payload["uniqueid"].partition(".")[0])
                start = record.occurred_at.replace(tzinfo=timezone.utc).timestamp()
                assert 0 <= start - epoch + 2 < 600
        assert reading.zone_warning() is None


@pytest.mark.parametrize(
    "chosen", [c for n in (1, 2, 3) for c in combinations(KINDS, n)]
)
def test_any_tables_alone_or_together(server, lab, chosen):
    tables = {f"{kind}_table": kind if kind in chosen else "" for kind in KINDS}
    with open_source(server, lab, zone=ZONE, **tables) as reading:
        found = records(reading.batches(None))
        told = reading.capabilities()
    sizes = {"cdr": 164, "queue_log": 238, "cel": 1648}
    assert Counter(r.kind for r in found) == {kind: sizes[kind] for kind in chosen}
    assert told & set(KINDS) == set(chosen)
    assert ("positions" in told) == ("queue_log" in chosen)
    assert ("unlogged" in told) == ("cel" in chosen)


def test_roster_events_tie_nothing(server, lab):
    with open_source(server, lab, zone=ZONE, cdr_table="", cel_table="") as reading:
        found = records(reading.batches(None))
    loose = [r.payload["event"] for r in found if not r.threads]
    assert len(loose) == 7
    assert set(loose) <= asterisk_columns.ROSTER_EVENTS
    assert all(r.threads == (r.payload["callid"],) for r in found if r.threads)


def test_windows_side_by_side_are_the_whole(server, lab):
    with open_source(server, lab, zone=ZONE, page_size=50) as reading:
        everything = set(keys(reading.batches(None)))
        start = datetime(2026, 11, 21, 17, 49)
        step = timedelta(seconds=97)
        borders = [None, *(start + step * n for n in range(5)), None]
        found = set()
        for since, until in zip(borders, borders[1:], strict=False):
            part = records(reading.batches(None, since, until))
            found |= {record.key for record in part}
            # Bounds are whole seconds and a second wide.
            slack = timedelta(seconds=2)
            assert all(since is None or r.occurred_at >= since - slack for r in part)
            assert all(until is None or r.occurred_at <= until + slack for r in part)
    assert found == everything


# -------------------------------------------------------------------------- paging


@pytest.mark.parametrize("size", [1, 3, 10])
def test_many_rows_in_one_second(db, size):
    """More rows of one time than two pages hold; equal rows are one record."""
    db.cdr()
    for number in range(40):
        db.call(number)
    db.call(39)
    db.call(100, "2026-03-02 09:59:59")
    db.call(101, "2026-03-02 10:00:01")
    found = keys(db.read(page_size=size))
    assert len(found) == 42


def test_one_instant_longer_than_its_page(db):
    db.cdr()
    db(
        "INSERT INTO cdr (calldate, src, dst, uniqueid, sequence)"
        " SELECT '2026-03-02 10:00:00', '1', '2', '1772434800.' || g, g"
        " FROM generate_series(1, 1700) g"
    )
    assert len(keys(db.read(page_size=10))) == 1700


def test_rows_that_differ_in_no_identity(db):
    """One record, and the same one in whatever order they come."""
    db.cdr()
    db.call(1, billsec=3)
    db.call(1, billsec=4)
    (first,) = records(db.read())
    db("TRUNCATE cdr")
    db.call(1, billsec=4)
    db.call(1, billsec=3)
    assert records(db.read()) == [first]


@pytest.mark.parametrize("seed", range(12))
def test_random_rows_random_pages(db, seed):
    """Any mixture of equal and different times, any page size."""
    rng = random.Random(seed)
    db.cdr()
    db(f"CREATE TABLE queue_log (id serial, {QUEUE_COLUMNS}, data varchar)")
    start = datetime(2026, 3, 2, 10)
    for number in range(rng.randint(1, 60)):
        moment = start + timedelta(seconds=rng.choice((0, 0, 1, 2, 5, 60)) * number)
        db.call(number, str(moment))
    events = rng.randint(0, 60)
    for number in range(events):
        moment = start + timedelta(seconds=rng.randint(0, 30))
        db.add(
            "queue_log",
            time=str(moment),
            callid=f"1772434800.{number}",
            queuename="q",
            agent="NONE",
            event="ENTERQUEUE",
            data="",
        )
    (count,) = db("SELECT count(*) FROM cdr")[0]
    found = db.read(page_size=rng.choice((1, 2, 3, 5, 20)))
    assert Counter(r.kind for r in records(found)) == Counter(
        {"cdr": count, "queue_log": events}
    )
    assert len(keys(found)) == count + events


# -------------------------------------------------------------------------- cursor


def test_cursor_is_json_and_stays_behind_the_present(db):
    db.cdr()
    db.call(1)
    now = datetime(2026, 3, 2, 12)
    with db.source(now=lambda: now) as reading:
        (batch,) = reading.batches(None)
    assert json.loads(json.dumps(batch.cursor)) == batch.cursor
    # The database's clock is later, ours is the earlier: a minute before it.
    assert batch.cursor["since"] == "2026-03-02T11:59:00"
    with db.source(now=lambda: now + timedelta(days=40_000)) as reading:
        (batch,) = reading.batches(None)
    behind = utc_now() - datetime.fromisoformat(batch.cursor["since"])
    assert timedelta(seconds=55) < behind < timedelta(seconds=90)


def test_future_rows_come_and_move_nothing(db):
    db.cdr()
    db.call(1)
    ahead = str(utc_now() + timedelta(days=30))[:19]
    for number in range(10, 30):
        db.call(number, ahead)
    with db.source(page_size=4) as reading:
        found = list(reading.batches(None))
        codes = [finding.code for finding in reading.findings()]
    assert len(keys(found)) == 21
    assert "future" in codes
    for batch in found:
        if batch.cursor["since"]:
            assert datetime.fromisoformat(batch.cursor["since"]) < utc_now()
    # They come again, so that they are never forgotten.
    again = db.read(found[-1].cursor, utc_now() - timedelta(hours=1))
    assert len(keys(again)) == 20


def test_back_fill_leaves_the_cursor(db):
    db.cdr()
    db.call(1, "2026-01-05 10:00:00")
    db.call(2, "2026-03-02 10:00:00")
    cursor = db.read(None, datetime(2026, 3, 1))[-1].cursor
    old = db.read(cursor, datetime(2026, 1, 1), datetime(2026, 1, 10))
    assert [r.payload["sequence"] for r in records(old)] == ["1"]
    assert old[-1].cursor["since"] == cursor["since"]
    assert old[-1].cursor["from"] == "2026-01-01T00:00:00"


def test_window_behind_a_gap_does_not_move_the_cursor(db):
    db.cdr()
    db.call(1)
    cursor = db.read(None)[-1].cursor
    cursor["since"] = "2026-01-01T00:00:00"
    assert db.read(cursor, datetime(2026, 3, 1))[-1].cursor["since"] == cursor["since"]
    moved = db.read(cursor, datetime(2025, 12, 31))[-1].cursor
    assert moved["since"] > cursor["since"]


def test_foreign_cursor_is_refused(db):
    db.cdr()
    with pytest.raises(SourceError):
        db.read({"version": 99, "since": "2026-01-01T00:00:00"})


def test_every_batch_can_be_the_last(db):
    """Stop after any batch, go on from its cursor: nothing is missing."""
    db.cdr(", id serial PRIMARY KEY")
    start = datetime(2026, 3, 2, 10)
    for number in range(30):
        db.call(number, str(start + timedelta(seconds=7 * (number // 2))))
    everything = keys(db.read())
    for stop in range(1, 9):
        found, cursor, since = Counter(), None, None
        with db.source(page_size=4) as reading:
            for _ in range(30):
                taken = []
                for batch in reading.batches(cursor, since):
                    taken.append(batch)
                    if len(taken) == stop:
                        break
                found += keys(taken)
                cursor = json.loads(json.dumps(taken[-1].cursor))
                since = datetime.fromisoformat(cursor["since"])
                if taken[-1].done:
                    break
        assert set(found) == set(everything), stop


# ------------------------------------------------------------------- rows come late


def test_late_row_of_any_age_is_found_by_id(db):
    db.cdr(", id serial PRIMARY KEY")
    for number in range(5):
        db.call(number)
    cursor = db.read(None)[-1].cursor
    db.call(6, "2025-06-01 10:00:00")
    since = utc_now() - timedelta(hours=1)
    found = db.read(cursor, since)
    assert [r.payload["sequence"] for r in records(found)] == ["6"]
    # Once it has been seen it is not read any more.
    assert records(db.read(found[-1].cursor, since)) == []


def test_row_committed_after_a_later_one(server, db):
    """Number 6 is committed when number 7 has long been read."""
    db.cdr(", id serial PRIMARY KEY")
    db.call(1)
    cursor = db.read(None)[-1].cursor
    with admin(server, db.database, autocommit=False) as slow:
        slow(
            f"INSERT INTO {db.name}.cdr (calldate, src, dst, uniqueid, sequence)"
            " VALUES ('2026-03-01', '1', '2', '1772434800.6', 6)"
        )
        db.call(7)
        since = utc_now() - timedelta(hours=1)
        first = db.read(cursor, since)
        slow.conn.commit()
    assert {r.payload["sequence"] for r in records(first)} >= {"7"}
    second = db.read(first[-1].cursor, since)
    assert "6" in {r.payload["sequence"] for r in records(second)}


def test_row_added_while_reading_is_found_next_time(db):
    db.cdr(", id serial PRIMARY KEY")
    for number in range(20):
        db.call(number, f"2026-03-02 10:00:{number:02}")
    found = []
    with db.source(page_size=5) as reading:
        for batch in reading.batches(None):
            found.append(batch)
            if len(found) == 2:
                db.call(99, "2026-03-02 10:00:00")
    later = db.read(found[-1].cursor, utc_now() - timedelta(hours=1))
    assert len(set(keys(found)) | set(keys(later))) == 21


def test_history_that_is_not_wanted_stays_out(db):
    """Late rows are wanted at any age, but not from before the first window."""
    db.cdr(", id serial PRIMARY KEY")
    db.call(1, "2020-01-01 10:00:00")
    db.call(2, "2026-02-01 10:00:00")
    first = db.read(None, datetime(2026, 1, 1))
    assert [r.payload["sequence"] for r in records(first)] == ["2"]
    db.call(3, "2020-01-02 10:00:00")
    db.call(4, "2026-01-15 10:00:00")
    second = db.read(first[-1].cursor, utc_now() - timedelta(hours=1))
    assert "4" in {r.payload["sequence"] for r in records(second)}
    assert not {"1", "3"} & {r.payload["sequence"] for r in records(second)}


def test_many_late_rows_come_in_pages(db):
    db.cdr(", id serial PRIMARY KEY")
    db.call(1)
    cursor = db.read(None)[-1].cursor
    for number in range(10, 60):
        db.call(number, "2025-06-01 10:00:00")
    since = utc_now() - timedelta(hours=1)
    found = db.read(cursor, since, page_size=4)
    assert {r.payload["sequence"] for r in records(found)} >= set(
        map(str, range(10, 60))
    )
    assert max(len(batch.records) for batch in found) <= 12
    # Stopped in the middle, the rest comes with the next run.
    some = found[1]
    rest = db.read(some.cursor, since, page_size=4)
    assert len(set(keys(found[:2])) | set(keys(rest))) >= 50


def test_ids_that_go_back(db):
    db.cdr(", id serial PRIMARY KEY")
    db(
        "INSERT INTO cdr (calldate, src, dst, uniqueid, sequence)"
        " SELECT '2026-03-02', '1', '2', '1772434800.' || g, g"
        " FROM generate_series(1, 1500) g"
    )
    cursor = db.read(None)[-1].cursor
    assert cursor["ids"]["cdr"]["last"] == 1500
    db("TRUNCATE cdr RESTART IDENTITY")
    since = utc_now() - timedelta(hours=1)
    emptied = db.read(cursor, since)[-1].cursor
    assert emptied["ids"]["cdr"]["last"] == 1500
    db.call(1, "2026-03-05 10:00:00")
    db.call(2, "2026-03-06 10:00:00")
    with db.source() as reading:
        found = list(reading.batches(emptied, since))
        codes = [finding.code for finding in reading.findings()]
    assert {r.payload["sequence"] for r in records(found)} == {"1", "2"}
    assert "ids_reset" in codes
    assert found[-1].cursor["ids"]["cdr"]["last"] == 2


def test_without_ids_the_overlap_is_the_callers(db):
    """A late row outside the window is not seen, inside it is."""
    db.cdr()
    db.call(1)
    cursor = db.read(None)[-1].cursor
    db.call(2, "2026-03-02 09:00:00")
    assert not records(db.read(cursor, datetime(2026, 3, 3)))
    found = records(db.read(cursor, datetime(2026, 3, 2, 5)))
    assert {r.payload["sequence"] for r in found} == {"1", "2"}


# ------------------------------------------------------------------ bad rows


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    "bad", ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC", "1000-01-01"]
)
def test_impossible_time_rejects_one_row(db, bad, size):
    db.cdr()
    for number in range(4):
        db.call(number, f"2026-03-02 10:00:0{number}")
    db.call(50, bad)
    found = db.read(page_size=size)
    assert len(keys(found)) == 4
    (row,) = rejected(found)
    assert row.kind == "cdr"
    assert "50" in row.raw
    assert row.error
    assert rejected(db.read(page_size=7))[0].key == row.key
    if found[-1].cursor["since"]:
        assert datetime.fromisoformat(found[-1].cursor["since"]) < utc_now()


def test_pages_of_nothing_but_placeholders(db):
    """A table that begins with rows of no time says nothing about how far it is."""
    db.cdr()
    for number in range(9):
        db.call(number, "1000-01-01 00:00:00")
    db.call(10)
    found = db.read(page_size=3)
    assert len(keys(found)) == 1
    assert len(rejected(found)) == 9
    assert found[0].upto is None
    assert found[0].cursor["since"] is None


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_texts_that_are_no_times(db, size):
    """A queue_log's time is text: anything can stand in it."""
    db(f"CREATE TABLE queue_log ({QUEUE_COLUMNS}, data1 varchar)")
    event = {"queuename": "q", "agent": "NONE", "event": "ENTERQUEUE"}
    good = ["2026-03-02 10:00:00", "2026-03-02 10:00:01.5", "2026-03-02 10:00:02"]
    bad = ["", "0000-00-00 00:00:00", "2026-13-02 10:00:00", "2026-03-02 10:00", "z"]
    for number, time in enumerate(good + bad):
        db.add("queue_log", time=time, callid=f"1772434800.{number}", **event)
    db.add("queue_log", time=None, callid="1772434800.99", **event)
    found = db.read(page_size=size)
    assert len(keys(found)) == 3
    assert len({row.key for row in rejected(found)}) == len(bad) + 1
    # Rubbish that sorts behind every time does not hide how times are written.
    for number in range(8):
        db.add("queue_log", time=f"z{number}", callid="1", **event)
    window = datetime(2026, 3, 2, 7, 0, 1), datetime(2026, 3, 2, 7, 0, 2)
    assert len(keys(db.read(None, *window))) >= 2


@pytest.mark.parametrize("identity", ["", ", id serial PRIMARY KEY"])
def test_rows_without_a_time(db, identity):
    db.cdr(identity)
    db.call(1)
    db.call(2, None)
    found = db.read()
    assert len(keys(found)) == 1
    assert len(rejected(found)) == 1
    db.call(3, None)
    later = db.read(found[-1].cursor, utc_now() - timedelta(hours=1))
    assert any("1772434800.3" in row.raw for row in rejected(later))
    if identity:
        # Loaded anew the rows have other ids and are the same bad rows.
        before = {row.key for row in rejected(db.read())}
        db("UPDATE cdr SET id = id + 100")
        assert {row.key for row in rejected(db.read())} == before


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def old_database(server, reader, request):
    """A database of an encoding of yesterday."""
    name = make_database(
        server, request.param.lower(), f"ENCODING '{request.param}' LOCALE 'C'"
    )
    schema = Schema(server, name, "old", encoding="LATIN1")
    schema.encoding = request.param
    yield schema
    schema.admin.conn.close()
    drop_database(server, name)


@pytest.mark.parametrize("place", [0, 5, 9])
def test_bytes_that_are_no_text(old_database, place):
    """Only the row they stand in is set aside, wherever it is."""
    db = old_database
    db.cdr()
    for number in range(10):
        name = "Jos\xe9" if number == place else "Jose"
        db.call(number, f"2026-03-02 10:00:{number:02}", clid=name)
    for size in (1, 3, 1000):
        found = db.read(page_size=size)
        if db.encoding == "LATIN1":
            # The database knows what the bytes mean.
            assert len(keys(found)) == 10
            clids = Counter(r.payload["clid"] for r in records(found))
            assert clids["Jos\xe9"] == 1
            continue
        assert len(keys(found)) == 9
        (row,) = rejected(found)
        assert "Jos\\xe9" in row.raw
        assert "utf" in row.error.lower()
        # Told the right encoding, it is read.
        with db.source(connection={"encoding": "LATIN1"}, page_size=size) as reading:
            names = {r.payload["clid"] for r in records(reading.batches(None))}
        assert names == {"Jose", "Jos\xe9"}
        with db.source(connection={"encoding": "WIN1251"}) as reading:
            names = {r.payload["clid"] for r in records(reading.batches(None))}
        assert names == {"Jose", "Josй"}


def test_bytes_in_the_time_itself(server, reader):
    name = make_database(server, "time", "ENCODING 'SQL_ASCII' LOCALE 'C'")
    db = Schema(server, name, "old", encoding="LATIN1")
    try:
        db(f"CREATE TABLE queue_log ({QUEUE_COLUMNS}, data1 varchar)")
        event = {"queuename": "q", "agent": "NONE", "event": "ENTERQUEUE"}
        times = ["2026-03-02 10:00:00", "2026-03-02 10:00:01"]
        times += [f"2026-03-02 10:00:01\xe9{n}" for n in range(12)]
        times += ["2026-03-02 10:00:02"]
        for number, time in enumerate(times):
            db.add("queue_log", time=time, callid=f"1772434800.{number}", **event)
        for size in (1, 2, 5, 100):
            found = db.read(page_size=size)
            assert len(keys(found)) == 3
            assert len({row.key for row in rejected(found)}) == 12
    finally:
        db.admin.conn.close()
        drop_database(server, name)


def test_client_encoding_the_text_does_not_fit(db):
    """LATIN1 asked of a UTF8 database with Cyrillic in it: read all the same."""
    db.cdr()
    db.call(1, clid="Иван")
    db.call(2, clid="Jose")
    with db.source(connection={"encoding": "LATIN1"}) as reading:
        found = records(reading.batches(None))
    assert {r.payload["clid"] for r in found} == {"Иван", "Jose"}


def test_nul_and_long_rows_are_set_aside():
    """PostgreSQL cannot hold a NUL, other databases can."""
    layout = asterisk_columns.match("cdr", "cdr", _columns("cdr"))
    times = asterisk_columns.PbxTimes(PbxClock(ZONE))
    make = asterisk_columns.record_maker(layout, times)
    names = [name for name, _column in layout.columns]
    row = ["2026-03-02 10:00:00", None, *["x"] * len(names)]
    assert make(row).payload["src"] == "x"
    row[2 + names.index("clid")] = "a\x00b"
    with pytest.raises(ValueError, match="NUL"):
        make(row)
    long = asterisk_columns.reject(
        layout, [row[0], None, *["y" * 9000] * len(names)], ""
    )
    assert len(long.raw) == RAW_LIMIT
    short = asterisk_columns.reject(layout, row, "bad")
    assert "clid: a\\x00b" in short.raw
    assert short.error == "bad"


def _columns(kind):
    return [
        asterisk_columns.Column(names[0], "text")
        for names in asterisk_columns.ALIASES[kind].values()
    ]


def test_rejected_row_tried_again(db):
    db.cdr()
    db.call(1, "infinity")
    (row,) = rejected(db.read())
    times = asterisk_columns.PbxTimes(PbxClock(ZONE))
    with pytest.raises(ValueError):
        asterisk_columns.remake("cdr", row.payload, times)
    db("UPDATE cdr SET calldate = '2026-03-02 10:00:00'")
    (expected,) = records(db.read())
    again = asterisk_columns.remake(
        "cdr", row.payload | {"start": "2026-03-02 10:00:00"}, times
    )
    assert again == expected
