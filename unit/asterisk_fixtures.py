# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Fixtures of the tests that read Asterisk's tables (a pytest plugin)."""

import os
import re
import shlex
import subprocess

import pytest
from asterisk_db import (
    LAB,
    PROJECT,
    READER_PASSWORD,
    Schema,
    admin,
    drop_database,
    make_database,
)


@pytest.fixture(scope="session")
def server():
    """Where the bench's PostgreSQL is: host, port, user, password."""
    found = os.environ
    if not found.get("PGHOST"):
        told = subprocess.run(
            [PROJECT / "scripts" / "pg", "--env"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = dict(
            word.split("=", 1) for word in shlex.split(told) if word != "export"
        )
    return {
        "host": found["PGHOST"],
        "port": int(found.get("PGPORT") or 5432),
        "user": found["PGUSER"],
        "password": found.get("PGPASSWORD", ""),
    }


@pytest.fixture(scope="session")
def reader(server):
    """A role that can sign in and has no rights of its own."""
    name = f"mcc_reader_{os.getpid()}"
    with admin(server, "postgres") as sql:
        sql(f"CREATE ROLE {name} LOGIN PASSWORD %s", [READER_PASSWORD])
    yield name
    with admin(server, "postgres") as sql:
        sql(f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def database(server, reader):
    """One database for all tests; each works in a schema of its own."""
    name = make_database(server, "work", "ENCODING 'UTF8'")
    yield name
    drop_database(server, name)


@pytest.fixture(scope="session")
def lab(server, reader):
    """The laboratory's calls as Asterisk wrote them."""
    name = make_database(server, "lab", "ENCODING 'UTF8'")
    lines = (LAB / "asterisk.sql").read_text("utf-8").splitlines()
    with admin(server, name) as sql:
        sql("\n".join(line for line in lines if not line.startswith("\\")))
        sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    yield name
    drop_database(server, name)


@pytest.fixture
def db(server, database, request):
    name = "t_" + re.sub(r"\W+", "_", request.node.name.lower())[:50].rstrip("_")
    schema = Schema(server, database, name)
    yield schema
    schema(f"DROP SCHEMA {name} CASCADE")
    schema.admin.conn.close()
