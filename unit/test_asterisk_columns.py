# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Asterisk's tables in all the shapes they come in."""

from datetime import datetime, timedelta, timezone

import pytest
from asterisk_db import (
    CDR_COLUMNS,
    CEL_COLUMNS,
    QUEUE_COLUMNS,
    READER_PASSWORD,
    ZONE,
    keys,
    records,
    utc_now,
)

from missed_call_crm.providers import asterisk_columns
from missed_call_crm.providers.asterisk_pg import (
    split_name,
)
from missed_call_crm.providers.base import (
    AccessDenied,
    BadSettings,
    SchemaProblem,
)
from missed_call_crm.telephony.clock import PbxClock

pytest_plugins = ["asterisk_fixtures"]

# ----------------------------------------------------------------------- identity


def test_values_that_change_are_no_identity(db):
    db.cdr()
    db.call(1)
    (before,) = records(db.read())
    db("UPDATE cdr SET billsec = 99, disposition = 'FAILED', userfield = 'x'")
    (after,) = records(db.read())
    assert before.key == after.key
    assert before.content_hash != after.content_hash


def test_another_zone_is_the_same_record_understood_otherwise(db):
    db.cdr()
    db.call(1)
    (moscow,) = records(db.read())
    (berlin,) = records(db.read(zone="Europe/Berlin"))
    assert moscow.key == berlin.key
    assert moscow.content_hash != berlin.content_hash
    assert berlin.occurred_at - moscow.occurred_at == timedelta(hours=2)


def test_separators_in_values_do_not_mix_rows_up():
    times = asterisk_columns.PbxTimes(PbxClock(ZONE))
    row = {"start": "2026-03-02 10:00:00", "src": "1", "uniqueid": "1772434800.1"}
    made = {
        asterisk_columns.remake("cdr", row | extra, times).key
        for extra in (
            {"dst": "a\x1fb", "dstchannel": "c"},
            {"dst": "a", "dstchannel": "b\x1fc"},
            {"dst": "a", "dstchannel": "b", "lastapp": "c"},
        )
    }
    assert len(made) == 3


@pytest.mark.parametrize(
    ("ids", "threads"),
    [
        (("1.1", "1.1"), ("1.1",)),
        (("1.2", "1.1"), ("1.2", "1.1")),
        (("", "1.1"), ("1.1",)),
        (("1.1", None), ("1.1",)),
        (("NONE", "  "), ()),
        (("0", "REALTIME"), ()),
    ],
)
def test_threads_of_a_cdr(ids, threads):
    times = asterisk_columns.PbxTimes(PbxClock(ZONE))
    row = {"start": "2026-03-02 10:00:00", "uniqueid": ids[0]}
    if ids[1] is not None:
        row["linkedid"] = ids[1]
    assert asterisk_columns.remake("cdr", row, times).threads == threads


@pytest.mark.parametrize("callid", ["NONE", "REALTIME", "MANAGER", "CLI", ""])
def test_queue_log_without_a_call(callid):
    times = asterisk_columns.PbxTimes(PbxClock(ZONE))
    row = {"time": "2026-03-02 10:00:00", "callid": callid, "event": "PAUSE"}
    assert asterisk_columns.remake("queue_log", row, times).threads == ()
    row |= {"callid": "1772434800.5", "event": "ADDMEMBER"}
    assert asterisk_columns.remake("queue_log", row, times).threads == ()
    row |= {"event": "SOMETHING_NEW"}
    assert asterisk_columns.remake("queue_log", row, times).threads == ("1772434800.5",)


# ---------------------------------------------------------------------- layouts


def three_calls(db):
    for number in range(3):
        db.call(number, f"2026-03-02 10:00:0{number}")


def test_same_records_whatever_the_columns_are_called(db):
    db.cdr()
    three_calls(db)
    expected = {r.key: r.content_hash for r in records(db.read())}
    for change in (
        "ALTER TABLE cdr RENAME calldate TO start",
        'ALTER TABLE cdr RENAME start TO "CallDate"',
        'ALTER TABLE cdr RENAME src TO "SRC"',
        'ALTER TABLE cdr ALTER "CallDate" TYPE varchar(26)',
        'ALTER TABLE cdr ALTER "CallDate" TYPE char(40)',
        "ALTER TABLE cdr ALTER sequence TYPE text",
        "ALTER TABLE cdr ADD recordingfile text",
        "ALTER TABLE cdr DROP lastdata",
        "ALTER TABLE cdr ADD id serial PRIMARY KEY",
    ):
        db(change)
        found = {r.key: r.content_hash for r in records(db.read())}
        assert found == expected, change


def test_absolute_times_need_no_zone(db):
    db.cdr()
    three_calls(db)
    expected = [r.occurred_at for r in records(db.read())]
    db(
        "ALTER TABLE cdr ALTER calldate TYPE timestamptz"
        " USING calldate AT TIME ZONE 'Europe/Moscow'"
    )
    aware = records(db.read(zone="Asia/Tokyo"))
    assert [r.occurred_at for r in aware] == expected
    db(
        "ALTER TABLE cdr ALTER calldate TYPE bigint"
        " USING extract(epoch FROM calldate)::bigint"
    )
    epoch = records(db.read(zone="Asia/Tokyo"))
    assert [r.occurred_at for r in epoch] == expected
    assert [r.key for r in epoch] == [r.key for r in aware]
    since = expected[1]
    assert len(records(db.read(None, since))) == 2
    db("ALTER TABLE cdr ALTER calldate TYPE numeric USING calldate * 1000 + 250")
    milli = records(db.read(zone="Asia/Tokyo"))
    assert [r.occurred_at.replace(microsecond=0) for r in milli] == expected
    assert len(records(db.read(None, since, since + timedelta(seconds=1)))) == 1


def test_numbers_instead_of_words(db):
    """What cdr_pgsql writes into columns of a numeric type."""
    db(
        'CREATE TABLE cdr (start int, answer int, "end" int, src text, dst text,'
        " uniqueid text, disposition int, amaflags int)"
    )
    for number, disposition in enumerate((0, 2, 4, 8, 16)):
        db.add(
            "cdr",
            start=1772434800 + number,
            answer=0,
            end=1772434900,
            src="1",
            dst="2",
            uniqueid=f"1772434800.{number}",
            disposition=disposition,
        )
    found = records(db.read())
    assert [r.payload["disposition"] for r in found] == [
        "NO ANSWER", "FAILED", "BUSY", "ANSWERED", "CONGESTION",
    ]  # fmt: skip
    assert found[0].occurred_at == datetime(2026, 3, 2, 7)
    assert "answer" not in found[0].payload
    assert found[0].payload["end"] == "1772434900"


def test_two_time_columns(db):
    """The filled one, and of two filled ones that with an index, leads."""
    db.cdr(", start timestamp")
    db("CREATE INDEX ON cdr (start)")
    db.call(1)
    with db.source() as reading:
        assert reading.tables()["cdr"][1].time.name == "calldate"
    db("UPDATE cdr SET start = calldate")
    with db.source() as reading:
        assert reading.tables()["cdr"][1].time.name == "start"
        (record,) = records(reading.batches(None))
    assert record.payload["start"] == "2026-03-02 10:00:00"
    assert record.payload["calldate"] == "2026-03-02 10:00:00"


@pytest.mark.parametrize(
    ("table", "column"),
    [("cdr", "calldate"), ("cdr", "uniqueid"), ("cdr", "dst"), ("queue_log", "callid"),
     ("queue_log", "event"), ("cel", "eventtime"), ("cel", "linkedid")],
)  # fmt: skip
def test_missing_column_is_named(db, table, column):
    every = {"cdr": CDR_COLUMNS, "queue_log": QUEUE_COLUMNS, "cel": CEL_COLUMNS}
    db(f"CREATE TABLE {table} ({every[table]})")
    db(f"ALTER TABLE {table} DROP {column}")
    with pytest.raises(SchemaProblem, match=column):
        db.read()


def test_column_lost_while_reading(db):
    db.cdr()
    for number in range(10):
        db.call(number, f"2026-03-02 10:00:0{number}")
    found = []
    with db.source(page_size=3) as reading, pytest.raises(SchemaProblem):
        for batch in reading.batches(None):
            found.append(batch)
            if len(found) == 1:
                db("ALTER TABLE cdr DROP src")
    assert records(found)


def queue_rows(times="2026-03-02 10:00:00"):
    """Events as the log file has them: callid, queue, agent, event, data."""
    return [
        ("1772434800.1", "q", "NONE", "ENTERQUEUE", "|+79995550000|1"),
        ("1772434800.1", "q", "SIP/1", "CONNECT", "4|1772434800.2|3"),
        ("1772434800.1", "q", "SIP/1", "ATTENDEDTRANSFER", "LINK|a|b|4|10|1"),
        ("1772434800.1", "q", "SIP/1", "ATTENDEDTRANSFER", "BRIDGE|x|4|10|1"),
        ("NONE", "NONE", "NONE", "QUEUESTART", ""),
    ]


def fill_queue(db, table, make):
    for number, row in enumerate(queue_rows()):
        values = dict(zip(("callid", "queuename", "agent", "event"), row, strict=False))
        db.add(table, **values, **make(number, row[4]))


def test_queue_log_layouts_give_the_same_records(db):
    db(
        f"CREATE TABLE queue_log ({QUEUE_COLUMNS}, data1 varchar, data2 varchar,"
        " data3 varchar, data4 varchar, data5 varchar)"
    )

    def five(number, data):
        # With five columns the last one takes what is left.
        parts = data.split("|", 4)
        return {"time": f"2026-03-02 10:00:0{number}.500000"} | {
            f"data{n}": value for n, value in enumerate(parts, 1)
        }

    fill_queue(db, "queue_log", five)
    new = {r.key: r for r in records(db.read())}
    assert len(new) == 5
    (link,) = [r for r in new.values() if r.payload.get("data1") == "LINK"]
    assert link.payload["data5"] == "10"
    assert link.payload["data6"] == "1"
    db("DROP TABLE queue_log")

    db(
        'CREATE TABLE queue_log (id serial, callid text, "time" timestamp,'
        " event text, agent text, queuename text, serverid text, data text)"
    )
    fill_queue(
        db,
        "queue_log",
        lambda n, data: {"time": f"2026-03-02 10:00:0{n}.5", "data": data},
    )
    old = {r.key: r for r in records(db.read())}
    assert old.keys() == new.keys()
    for key, record in old.items():
        assert {n: v for n, v in record.payload.items() if n not in ("id", "time")} == {
            n: v for n, v in new[key].payload.items() if n != "time"
        }


def test_queue_log_with_other_names(db):
    db(
        "CREATE TABLE queue_log (date_time int, callid text, qname text, agent text,"
        " event text, param1 text, param2 text, param3 text, entpos int)"
    )
    db.add(
        "queue_log",
        date_time=1772434800,
        callid="1772434800.1",
        qname="q",
        agent="NONE",
        event="ABANDON",
        param1="1",
        param2="2",
        param3="30",
        entpos=4,
    )
    (record,) = records(db.read())
    assert record.occurred_at == datetime(2026, 3, 2, 7)
    assert record.payload == {
        "time": "1772434800", "callid": "1772434800.1", "queuename": "q",
        "agent": "NONE", "event": "ABANDON", "data1": "1", "data2": "2",
        "data3": "30", "entpos": "4",
    }  # fmt: skip


@pytest.mark.parametrize("style", ["1772434800", "2026-03-02T10:00:00"])
def test_text_times_of_other_styles(db, style):
    db(f"CREATE TABLE queue_log ({QUEUE_COLUMNS}, data varchar)")
    later = {"1772434800": "1772434860", "2026-03-02T10:00:00": "2026-03-02T10:01:00"}
    for time in (style, later[style]):
        db.add(
            "queue_log",
            time=time,
            callid="1772434800.1",
            queuename="q",
            agent="NONE",
            event="ENTERQUEUE",
            data="",
        )
    assert [r.occurred_at for r in records(db.read())] == [
        datetime(2026, 3, 2, 7), datetime(2026, 3, 2, 7, 1),
    ]  # fmt: skip
    window = db.read(None, datetime(2026, 3, 2, 7, 0, 30), datetime(2026, 3, 2, 8))
    assert len(records(window)) == 1


def test_times_nobody_can_read(db):
    db(f"CREATE TABLE queue_log ({QUEUE_COLUMNS}, data varchar)")
    db.add(
        "queue_log",
        time="02.03.2026 10:00",
        callid="1",
        queuename="q",
        agent="NONE",
        event="ENTERQUEUE",
        data="",
    )
    with pytest.raises(SchemaProblem, match="02.03.2026"):
        db.read(None, datetime(2026, 1, 1))


def test_cel_types(db):
    db(f"CREATE TABLE cel ({CEL_COLUMNS})")
    db.add(
        "cel",
        eventtype="LINKEDID_END",
        eventtime="2026-03-02 10:00:00.25",
        channame="SIP/1",
        uniqueid="1772434800.1",
        linkedid="1772434800.1",
    )
    (expected,) = records(db.read())
    db("ALTER TABLE cel ADD id serial, ADD call_log_id int DEFAULT 7")
    db("ALTER TABLE cel ALTER eventtype TYPE int USING 14")
    (same,) = records(db.read())
    assert same.key == expected.key
    assert same.payload["eventtype"] == "LINKEDID_END"
    assert same.payload["call_log_id"] == "7"
    db("ALTER TABLE cel ALTER eventtime TYPE varchar")
    (text,) = records(db.read())
    assert (text.key, text.occurred_at) == (expected.key, expected.occurred_at)
    db("ALTER TABLE cel ALTER eventtime TYPE double precision USING 1772434800.25")
    (epoch,) = records(db.read())
    assert epoch.occurred_at == expected.occurred_at


# ----------------------------------------------------------------- changes of clocks


def test_hour_that_comes_twice(db):
    """25 October 2026 in Berlin: 02:30 is 00:30 and 01:30 UTC."""
    db.cdr()
    db("CREATE INDEX ON cdr (calldate)")
    first = datetime(2026, 10, 24, 22)
    utc = [first + timedelta(minutes=10 * n) for n in range(40)]
    clock = PbxClock("Europe/Berlin")
    for number, moment in enumerate(utc):
        epoch = int(moment.replace(tzinfo=timezone.utc).timestamp())
        local = clock.from_utc(moment).replace(fold=0)
        db.call(number, str(local), uniqueid=f"{epoch}.{number}")
    for size in (1, 3, 1000):
        found = records(db.read(zone="Europe/Berlin", page_size=size))
        times = {int(r.payload["sequence"]): r.occurred_at for r in found}
        assert [times[n] for n in range(40)] == utc
    for number, moment in enumerate(utc):
        # Every window holds at least what lies in it.
        found = records(
            db.read(None, moment, moment + timedelta(minutes=25), zone="Europe/Berlin")
        )
        numbers = {int(r.payload["sequence"]) for r in found}
        assert numbers >= set(range(number, min(number + 3, 40)))


def test_wrong_zone_is_noticed(db):
    db.cdr()
    for number in range(40):
        start = 1772434800 + 100 * number
        db.call(
            number,
            str(datetime(2026, 3, 2, 10) + timedelta(seconds=100 * number)),
            uniqueid=f"{start}.{number}",
        )
    with db.source(zone="Europe/Berlin") as reading:
        list(reading.batches(None))
        finding = reading.zone_finding()
        assert "Europe/Moscow" in finding.text
        assert finding in reading.findings()
    with db.source() as reading:
        list(reading.batches(None))
        assert reading.zone_finding() is None


def test_unknown_zone(db):
    db.cdr()
    with pytest.raises(BadSettings, match="Mars"):
        db.source(zone="Mars/Olympus")


# ------------------------------------------------------------------------- tables


def test_tables_that_are_not_there(db):
    db.cdr()
    db.call(1)
    one = {"cdr_table": f"{db.name}.cdr"}
    with db.source(**one, cel_table=f"{db.name}.cel") as reading:
        assert len(records(reading.batches(None))) == 1
        (missing,) = [f for f in reading.findings() if f.code == "table_missing"]
        assert f"{db.name}.cel" in missing.text
    with db.source(**one, cel_table=f"{db.name}.my_cel") as reading:
        with pytest.raises(SchemaProblem, match="my_cel"):
            list(reading.batches(None))
    with db.source(cdr_table="nowhere.cdr") as reading:
        with pytest.raises(SchemaProblem, match="nowhere.cdr"):
            list(reading.batches(None))
    with db.source(cdr_table="") as reading, pytest.raises(BadSettings):
        list(reading.batches(None))


def test_table_that_went_away(db):
    db.cdr()
    db(f"CREATE TABLE cel ({CEL_COLUMNS})")
    cursor = db.read()[-1].cursor
    db("DROP TABLE cel")
    with pytest.raises(SchemaProblem, match="cel"):
        db.read(cursor, cel_table=f"{db.name}.cel")


def test_table_that_joined(db):
    db.cdr()
    cursor = db.read()[-1].cursor
    db(f"CREATE TABLE cel ({CEL_COLUMNS})")
    with db.source() as reading:
        last = list(reading.batches(cursor, utc_now() - timedelta(hours=1)))[-1]
        assert [f.code for f in reading.findings()] == ["table_new"]
    assert set(last.cursor["tables"]) == {"cdr", "cel"}


def test_views_and_odd_names(db):
    db.cdr(", id serial")
    db.call(1)
    expected = keys(db.read())
    db('CREATE VIEW "Calls of 100%%s. ""all""" AS SELECT * FROM cdr'.replace("%%", "%"))
    odd = f'{db.name}."Calls of 100%s. ""all"""'
    found = db.read(cdr_table=odd)
    assert keys(found) == expected
    db.call(2, "2025-01-01 10:00:00")
    late = db.read(found[-1].cursor, utc_now() - timedelta(hours=1), cdr_table=odd)
    assert {r.payload["sequence"] for r in records(late)} >= {"2"}
    assert keys(db.read(cdr_table=f"{db.name}.CDR")) == keys(db.read())


@pytest.mark.parametrize(
    "name", ["a.b.c", "a.", ".a", '"a', '""', '"a"b', "a\x00", "."]
)
def test_names_that_are_none(name):
    with pytest.raises(SchemaProblem):
        split_name(name)


def test_table_name_is_never_sql(db):
    db.cdr()
    with db.source(cdr_table="cdr; DROP TABLE cdr") as reading:
        with pytest.raises(SchemaProblem):
            list(reading.batches(None))
    assert db("SELECT count(*) FROM cdr") == [(0,)]


def test_columns_not_granted(server, db, reader):
    db.cdr(", secret text")
    db.call(1, secret="hidden")
    db(f"GRANT USAGE ON SCHEMA {db.name} TO {reader}")
    login = {"user": reader, "password": READER_PASSWORD}
    with (
        db.source(connection=login) as reading,
        pytest.raises(AccessDenied, match="cdr"),
    ):
        list(reading.batches(None))
    db(f"GRANT SELECT (calldate, src, dst, uniqueid) ON cdr TO {reader}")
    with db.source(connection=login) as reading:
        (record,) = records(reading.batches(None))
    assert set(record.payload) == {"start", "src", "dst", "uniqueid"}
    for number in range(2, 9):
        db.call(number)
    with db.source(connection=login, page_size=3) as reading:
        assert len(records(reading.batches(None))) == 8
    db(f"REVOKE ALL ON cdr FROM {reader}")
