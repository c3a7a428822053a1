# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""A phone system's own database for tests: real PostgreSQL, beside Odoo's."""

import csv
import json
from contextlib import closing
from pathlib import Path

import psycopg2

from odoo.tools import config

LAB = Path(__file__).parent / "lab"

TABLES = {
    "cdr": """
        CREATE TABLE cdr (
            calldate timestamp, clid varchar(80), src varchar(80), dst varchar(80),
            dcontext varchar(80), channel varchar(80), dstchannel varchar(80),
            lastapp varchar(80), lastdata varchar(200), duration integer,
            billsec integer, disposition varchar(45), amaflags integer,
            accountcode varchar(20), uniqueid varchar(150), linkedid varchar(150),
            peeraccount varchar(80), sequence integer, userfield varchar(255))
    """,
    "cel": """
        CREATE TABLE cel (
            id bigserial PRIMARY KEY, eventtype varchar(30), eventtime timestamp,
            userdeftype varchar(255), cid_name varchar(80), cid_num varchar(80),
            cid_ani varchar(80), cid_rdnis varchar(80), cid_dnid varchar(80),
            exten varchar(80), context varchar(80), channame varchar(80),
            appname varchar(80), appdata varchar(255), amaflags integer,
            accountcode varchar(20), peeraccount varchar(20), uniqueid varchar(150),
            linkedid varchar(150), userfield varchar(255), peer varchar(80), extra text)
    """,
    "queue_log": """
        CREATE TABLE queue_log (
            id bigserial PRIMARY KEY, "time" varchar(32), callid varchar(80),
            queuename varchar(256), agent varchar(80), event varchar(32),
            data varchar(255), data1 varchar(100), data2 varchar(100),
            data3 varchar(100), data4 varchar(100), data5 varchar(100))
    """,
}


def lab_rows(kind):
    """The laboratory's rows of a table, as dicts of texts (empty: NULL)."""
    with open(LAB / f"{kind}.csv", encoding="utf-8", newline="") as lines:
        return [
            {name: value or None for name, value in row.items()}
            for row in csv.DictReader(lines)
        ]


def lab_expected():
    """What must come out of the laboratory's calls: call key → expectation."""
    with open(LAB / "expected.jsonl", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return {item["linkedid"]: item for item in found}


class PbxDatabase:
    """A database on the server Odoo uses, dropped by :meth:`drop`."""

    def __init__(self, name):
        self.name = name
        self.parameters = {
            "host": config["db_host"] or "127.0.0.1",
            "port": config["db_port"] or 5432,
            "user": config["db_user"] or None,
            "password": config["db_password"] or None,
        }
        self._admin(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
        self.connection = psycopg2.connect(dbname=name, **self.parameters)
        self.connection.autocommit = True
        for definition in TABLES.values():
            self.execute(definition)

    def _admin(self, *statements):
        with closing(psycopg2.connect(dbname="postgres", **self.parameters)) as admin:
            admin.autocommit = True
            for statement in statements:
                admin.cursor().execute(statement)

    def execute(self, query, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else None

    def insert(self, kind, *rows):
        """Insert rows given as dicts, in their order."""
        for row in rows:
            names = list(row)
            columns = ", ".join(f'"{name}"' for name in names)
            places = ", ".join(["%s"] * len(names))
            self.execute(
                f"INSERT INTO {kind} ({columns}) VALUES ({places})",
                [row[name] for name in names],
            )

    def clear(self):
        self.execute("TRUNCATE cdr, cel, queue_log")

    def drop(self):
        self.connection.close()
        self._admin(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
