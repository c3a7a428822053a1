# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""The session on a foreign PostgreSQL, and the connection test."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asterisk_db import (
    READER_PASSWORD,
    ZONE,
    admin,
    keys,
    open_source,
    records,
    utc_now,
)

from missed_call_crm.providers import safe_pg
from missed_call_crm.providers.asterisk_pg import (
    AsteriskPgProvider,
    PgSettings,
)
from missed_call_crm.providers.base import (
    AccessDenied,
    BadSettings,
    ConnectionFailed,
    ReadTimeout,
    Record,
    SourceError,
)

pytest_plugins = ["asterisk_fixtures"]

# --------------------------------------------------------------------- the session


def test_writing_is_refused(db):
    db.cdr()
    with db.source() as reading:
        reading.tables()
        for statement in (
            f"INSERT INTO {db.name}.cdr (src) VALUES ('1') RETURNING src",
            f"CREATE TABLE {db.name}.x (a int)",
        ):
            with pytest.raises(SourceError):
                reading.connection.rows(statement)
        assert reading.connection.rows("SHOW transaction_read_only") == [("on",)]
        assert reading.connection.rows("SHOW lock_timeout") == [("2s",)]
        assert reading.connection.rows("SHOW statement_timeout") == [("15s",)]
    assert db("SELECT count(*) FROM cdr") == [(0,)]


def test_slow_statement_ends(db):
    db.cdr()
    with db.source(connection={"statement_timeout_ms": 100}) as reading:
        with pytest.raises(ReadTimeout) as caught:
            reading.connection.rows("SELECT pg_sleep(10)::text")
        assert caught.value.retry
        assert list(reading.batches(None))[-1].done


def test_locked_table_does_not_hold_us_up(server, db):
    db.cdr()
    with admin(server, db.database, autocommit=False) as other:
        other(f"LOCK TABLE {db.name}.cdr")
        with db.source(connection={"lock_timeout_ms": 100}) as reading:
            with pytest.raises(ReadTimeout):
                list(reading.batches(None))


def test_connection_lost_while_reading(server, db):
    db.cdr()
    for number in range(30):
        db.call(number, f"2026-03-02 10:00:{number:02}")
    taken = []
    with db.source(page_size=5) as reading, pytest.raises(ConnectionFailed) as caught:
        for batch in reading.batches(None):
            taken.append(batch)
            if len(taken) == 2:
                ((pid,),) = reading.connection.rows("SELECT pg_backend_pid()")
                db("SELECT pg_terminate_backend(%s)", [pid])
    assert caught.value.retry
    assert len(taken) == 2
    cursor = taken[-1].cursor
    rest = db.read(cursor, datetime.fromisoformat(cursor["since"]))
    assert len(set(keys(taken)) | set(keys(rest))) == 30


@pytest.mark.parametrize(
    "host",
    ["", " ", "/tmp", "@socket", "a,b", "127.0.0.1,10.0.0.1", "a b", "host=x",
     "postgres://x", "\\\\pipe", "a\n", "169.254.169.254", "169.254.1.1", "0.0.0.0",
     "::", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "224.0.0.1",
     "ff02::1", "100.100.100.200", "fd00:ec2::254", "metadata.google.internal",
     "Metadata.", "240.0.0.1", "0.1.2.3", "0x7f.1/"],
)  # fmt: skip
def test_hosts_that_are_refused(host):
    reading = open_source({}, "x", {"host": host, "user": "u"}, zone=ZONE)
    with pytest.raises(BadSettings):
        reading.server_now()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"])
def test_this_machine_can_be_refused(host):
    given = {"host": host, "user": "u", "allow_loopback": False}
    with pytest.raises(BadSettings):
        open_source({}, "x", given, zone=ZONE).server_now()


@pytest.mark.parametrize(
    "wrong",
    [{"port": 0}, {"port": 70000}, {"port": "5432"}, {"dbname": ""}, {"user": ""},
     {"user": "a\x00"}, {"sslmode": "maybe"}, {"encoding": "KLINGON"},
     {"password": "a\x00b"}],
)  # fmt: skip
def test_settings_that_are_refused(server, lab, wrong):
    with pytest.raises(BadSettings):
        open_source(server, lab, wrong, zone=ZONE).server_now()


def test_tls_is_asked_for_outside():
    given = PgSettings(host="pbx", dbname="d", user="u")
    (outside,) = [safe_pg.ipaddress.ip_address("10.1.2.3")]
    inside = safe_pg.ipaddress.ip_address("127.0.0.1")
    assert safe_pg.effective_sslmode(given, outside) == "require"
    assert safe_pg.effective_sslmode(given, inside) == "prefer"
    checked = PgSettings(host="pbx", dbname="d", user="u", ca_certificate="PEM")
    assert safe_pg.effective_sslmode(checked, outside) == "verify-full"


@pytest.mark.parametrize("mode", safe_pg.SSL_MODES)
def test_every_parameter_is_given(mode, tmp_path):
    """What is not given libpq takes from the environment or somebody's home."""
    settings = PgSettings(host="pbx", dbname="d", user="u")
    given = safe_pg.libpq_parameters(settings, "10.1.2.3", mode, tmp_path)
    wanted = """host hostaddr port dbname user password passfile options sslmode
        sslcert sslkey sslrootcert sslcrl application_name client_encoding
        connect_timeout requirepeer krbsrvname target_session_attrs gssencmode
        channel_binding ssl_min_protocol_version ssl_max_protocol_version""".split()
    assert set(wanted) <= given.keys()
    assert None not in given.values()
    for name in ("passfile", "sslcert", "sslkey", "sslcrl"):
        assert not Path(given[name]).exists()
        assert Path(given[name]).parent == tmp_path
    if not mode.startswith("verify"):
        assert not Path(given["sslrootcert"]).exists()
    (tmp_path / "ca.pem").write_text("PEM")
    given = safe_pg.libpq_parameters(settings, "10.1.2.3", mode, tmp_path)
    assert given["sslrootcert"] == str(tmp_path / "ca.pem")


def test_tls_asked_for_and_not_there(server, lab):
    with pytest.raises(ConnectionFailed, match="TLS"):
        open_source(server, lab, {"sslmode": "require"}, zone=ZONE).server_now()


def test_the_address_checked_is_the_one_used(server, lab, monkeypatch):
    """A name is looked up once; a second answer could be another machine."""
    asked = []
    look_up = safe_pg.socket.getaddrinfo

    def once(host, *rest, **named):
        asked.append(host)
        assert len(asked) == 1
        return look_up("127.0.0.1", *rest, **named)

    monkeypatch.setattr(safe_pg.socket, "getaddrinfo", once)
    given = {"host": "pbx.invalid"}
    with open_source(server, lab, given, zone=ZONE) as reading:
        reading.server_now()
        assert reading.connection._conn.info.dsn_parameters["hostaddr"] == "127.0.0.1"
    assert asked == ["pbx.invalid"]


def test_nothing_comes_from_the_environment(server, lab, reader, monkeypatch, tmp_path):
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{READER_PASSWORD}")
    passfile.chmod(0o600)
    home = tmp_path / "home" / ".postgresql"
    home.mkdir(parents=True)
    (home / "root.crt").write_text("no certificate")
    for name, value in {
        "PGHOST": "/nowhere", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1",
        "PGDATABASE": "nowhere", "PGUSER": "nobody", "PGPASSWORD": READER_PASSWORD,
        "PGPASSFILE": str(passfile), "PGAPPNAME": "other",
        "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere", "PGSERVICEFILE": "/no",
        "PGCLIENTENCODING": "LATIN1", "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German",
        "PGTARGETSESSIONATTRS": "standby", "PGREQUIREAUTH": "none",
        "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require",
        "PGOPTIONS": "-c default_transaction_read_only=off -c lock_timeout=1",
        "HOME": str(home.parent), "PGCONNECT_TIMEOUT": "nonsense",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    login = {"user": reader, "password": READER_PASSWORD, "sslmode": ""}
    with open_source(server, lab, login, zone=ZONE) as reading:
        assert len(records(reading.batches(None))) == 2050
        for name, value in (
            ("default_transaction_read_only", "on"), ("TimeZone", "UTC"),
            ("DateStyle", "ISO, YMD"), ("client_encoding", "UTF8"),
            ("application_name", "missed_call_crm"),
        ):  # fmt: skip
            assert reading.connection.rows(f"SHOW {name}") == [(value,)]
    # Without a password of its own it does not borrow one.
    with pytest.raises(AccessDenied):
        open_source(server, lab, login | {"password": ""}, zone=ZONE).server_now()


@pytest.mark.parametrize(
    "wrong",
    [{"password": "Pa$$w0rd-wrong"}, {"dbname": "no_such_database"},
     {"user": "no_such_role"}, {"port": 1}, {"host": "no-such-host.invalid"},
     {"host": "::1"}, {"sslmode": "require"}, {"encoding": "no"}],
)  # fmt: skip
def test_errors_never_tell_the_password(server, lab, reader, wrong):
    login = {"user": reader, "password": READER_PASSWORD} | wrong
    reading = open_source(server, lab, login, zone=ZONE)
    with pytest.raises(SourceError) as caught:
        reading.server_now()
    told = f"{caught.value} {caught.value!r} {caught.value.values}"
    told += "".join(finding.text for finding in reading.test())
    assert login["password"] not in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    settings = PgSettings(**server | {"dbname": lab} | login)
    assert login["password"] not in repr(settings)


def test_a_password_in_a_server_message_is_struck_out(server, lab):
    reading = open_source(server, lab, zone=ZONE)
    with reading, pytest.raises(SourceError) as caught:
        word = reading.connection.settings.password
        reading.connection.rows("SELECT %s::int::text", [word or "no-password"])
    assert (server["password"] or "•") not in str(caught.value)


# -------------------------------------------------------------------------- test()


def test_the_test_of_a_good_connection(server, lab, reader):
    login = {"user": reader, "password": READER_PASSWORD}
    with open_source(server, lab, login, zone=ZONE) as reading:
        findings = reading.test()
    assert {finding.level for finding in findings} == {"ok"}
    told = "\n".join(finding.text for finding in findings)
    assert "public.cdr" in told
    assert "linkedid" in told
    assert "2026-11-21 17:56:24" in told


def test_the_test_tells_what_is_wrong(server, db):
    db.cdr(", id int")
    for number in range(40):
        start = 1772434800 + number
        db.call(
            number,
            str(datetime(2026, 3, 2, 10) + timedelta(seconds=number)),
            uniqueid=f"{start}.{number}",
            id=number,
        )
    db("UPDATE pg_class SET reltuples = 9e6 WHERE oid = 'cdr'::regclass")

    def later():
        return utc_now() + timedelta(minutes=10)

    with db.source(now=later, zone="Asia/Tokyo") as reading:
        found = {finding.code: finding for finding in reading.test()}
    assert f'CREATE INDEX CONCURRENTLY ON {db.name}.cdr ("id")' in found["index"].text
    assert {"writable", "clock", "zone", "superuser", "newest"} <= found.keys()
    assert -605 < found["clock"].values["seconds"] < -595
    db("CREATE INDEX ON cdr (calldate); CREATE INDEX ON cdr (id)")
    with db.source() as reading:
        assert "index" not in {finding.code for finding in reading.test()}


def test_the_test_survives_anything(server, db):
    db.cdr()
    for connection in ({"port": 1}, {"host": "/tmp"}, {"dbname": "none"}):
        with db.source(connection=connection) as reading:
            assert [finding.level for finding in reading.test()] == ["error"]
    db("ALTER TABLE cdr DROP src")
    with db.source() as reading:
        assert reading.test()[-1].level == "error"


def test_large_table_without_index_on_its_ids_is_not_searched_by_id(db):
    db.cdr(", id int")
    db.call(1, id=1)
    db("UPDATE pg_class SET reltuples = 9e6 WHERE oid = 'cdr'::regclass")
    assert db.read()[-1].cursor["ids"] == {}
    db("CREATE INDEX ON cdr (id)")
    assert db.read()[-1].cursor["ids"]["cdr"]["last"] == 1


def test_provider_reads_with_a_backends_settings(server, lab):
    provider = AsteriskPgProvider(
        {
            "db_host": server["host"],
            "db_port": server["port"],
            "db_name": lab,
            "db_user": server["user"],
            "db_password": server["password"],
            "db_sslmode": False,
            "tz": ZONE,
            "cdr_table": "cdr",
            "queue_log_table": False,
            "cel_table": "cel",
            "client_encoding": False,
        }
    )
    with provider.connect() as reading:
        found = records(reading.batches(None))
    assert Counter(record.kind for record in found) == {"cdr": 164, "cel": 1648}
    assert all(isinstance(record, Record) for record in found)
