# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Databases for the tests that read Asterisk's tables, and what they ask of them."""

import os
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import psycopg2

from missed_call_crm.providers.asterisk_pg import (
    AsteriskSettings,
    PgSettings,
    source,
)

PROJECT = Path(__file__).resolve().parent.parent
LAB = Path(__file__).resolve().parent.parent / "missed_call_crm" / "tests" / "lab"
KINDS = ("cdr", "queue_log", "cel")
ZONE = "Europe/Moscow"
READER_PASSWORD = "s3cret=of 'the' reader"

CDR_COLUMNS = """calldate timestamp, clid varchar(80), src varchar(80),
    dst varchar(80), dcontext varchar(80), channel varchar(80), dstchannel varchar(80),
    lastapp varchar(80), lastdata varchar(80), duration int, billsec int,
    disposition varchar(45), uniqueid varchar(150), linkedid varchar(150),
    sequence int, userfield varchar(255)"""
QUEUE_COLUMNS = """time varchar(32), callid varchar(80), queuename varchar(80),
    agent varchar(80), event varchar(32)"""
CEL_COLUMNS = """eventtype varchar(30), eventtime timestamp, cid_name varchar(80),
    cid_num varchar(80), exten varchar(80), context varchar(80), channame varchar(80),
    uniqueid varchar(150), linkedid varchar(150), extra text"""


def utc_now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


# ---------------------------------------------------------------------- databases


class admin:
    """``with admin(server, dbname) as sql: rows = sql(query, params)``."""

    def __init__(self, server, dbname, encoding="UTF8", autocommit=True):
        self.conn = psycopg2.connect(
            **server, dbname=dbname, client_encoding=encoding, sslmode="disable"
        )
        self.conn.autocommit = autocommit

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.conn.close()

    def __call__(self, query, params=None):
        with self.conn.cursor() as cursor:
            cursor.execute(query, params)
            return cursor.fetchall() if cursor.description else None


def make_database(server, suffix, options=""):
    name = f"mcc_fetch_{os.getpid()}_{suffix}"
    with admin(server, "postgres") as sql:
        sql(f"DROP DATABASE IF EXISTS {name}")
        sql(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
    return name


def drop_database(server, name):
    with admin(server, "postgres") as sql:
        sql(f"DROP DATABASE {name} WITH (FORCE)")


class Schema:
    """Tables of one test and the ways to read them."""

    def __init__(self, server, database, name, encoding="UTF8"):
        self.server, self.database, self.name = server, database, name
        self.admin = admin(server, database, encoding)
        self.admin(f"CREATE SCHEMA {name}")
        self.admin(f"SET search_path TO {name}")
        self.sources = []

    def __call__(self, query, params=None):
        return self.admin(query, params)

    def cdr(self, extra=""):
        self(f"CREATE TABLE cdr ({CDR_COLUMNS}{extra})")

    def add(self, table, **values):
        names = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(["%s"] * len(values))
        self(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values.values()))

    def call(self, number, start="2026-03-02 10:00:00", **values):
        """A cdr row; the number makes it different from others."""
        row = {
            "calldate": start,
            "src": "+79995550000",
            "dst": "601",
            "uniqueid": f"1772434800.{number}",
            "linkedid": f"1772434800.{number}",
            "sequence": number,
            "disposition": "ANSWERED",
            "duration": 5,
            "billsec": 3,
        } | values
        self.add("cdr", **{name: v for name, v in row.items() if v is not None})

    def source(self, connection=None, now=None, **settings):
        tables = {"cdr_table": "", "queue_log_table": "", "cel_table": ""}
        rows = self(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
            [self.name],
        )
        for (table,) in rows:
            if table in KINDS:
                tables[f"{table}_table"] = f"{self.name}.{table}"
        return open_source(
            self.server,
            self.database,
            connection,
            now,
            **({"zone": ZONE} | tables | settings),
        )

    def read(self, cursor=None, since=None, until=None, **settings):
        with self.source(**settings) as reading:
            return list(reading.batches(cursor, since, until))


def open_source(server, database, connection=None, now=None, **settings):
    given = server | {"dbname": database} | (connection or {})
    return source(PgSettings(**given), AsteriskSettings(**settings), now)


def records(batches):
    return [record for batch in batches for record in batch.records]


def keys(batches):
    return Counter(record.key for record in records(batches))


def rejected(batches):
    return [row for batch in batches for row in batch.rejected]
