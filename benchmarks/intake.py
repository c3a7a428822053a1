"""Rows per second of a first pull, and of PostgreSQL alone: `intake.py DB SOURCE ROWS`.

Run by `benchmarks/run`. The rows are the laboratory's cdr and queue_log, copied back in
time with client numbers of their own.
"""

import io
import os
import resource
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg2

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "missed_call_crm" / "tests" / "lab"
ROWS_A_COPY = 164 + 238
SHIFT = 600


def fill(source, rows):
    """The phone system's tables; returns how many rows they hold."""
    copies = max(1, round(rows / ROWS_A_COPY))
    with closing(psycopg2.connect(dbname=source)) as connection:
        cursor = connection.cursor()
        cursor.execute((ROOT / "faults" / "tables.sql").read_text())
        for kind in ("cdr", "queue_log"):
            with open(LAB / f"{kind}.csv", encoding="utf-8") as lines:
                names = lines.readline().strip()
                cursor.copy_expert(
                    f"COPY lab_{kind} ({names}) FROM STDIN (FORMAT csv)", lines
                )
        cursor.execute(
            (ROOT / "faults" / "multiply.sql").read_text(),
            {"copies": copies, "shift": SHIFT},
        )
        connection.commit()
        cursor.execute("SELECT (SELECT count(*) FROM cdr) + count(*) FROM queue_log")
        return cursor.fetchone()[0]


def backend_of(env, source):
    company = env.company
    company.pbx_short_seconds = 0
    return env["pbx.backend"].create(
        {
            "name": "Benchmark",
            "provider": "asterisk_pg",
            "tz": "Europe/Moscow",
            "country_id": env.ref("base.ru").id,
            "other_country_ids": env.ref("base.de").ids,
            "min_talk_seconds": 2,
            "cel_table": False,
            "create_callbacks": False,  # timed apart: their number is the clients'
            "db_host": os.environ["PGHOST"],
            "db_port": int(os.environ["PGPORT"]),
            "db_name": source,
            "db_user": os.environ["PGUSER"],
            "db_password": os.environ.get("PGPASSWORD", ""),
        }
    )


class Clock:
    """Wall and CPU seconds of this process, wall being the machine's mood."""

    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_error):
        self.wall = time.perf_counter() - self.wall
        self.cpu = time.process_time() - self.cpu


def postgres_alone(env):
    """COPY the same records into a table with the same indexes, in one go."""
    cr = env.cr
    buffer = io.StringIO()
    columns = (
        "backend_id, company_id, key, kind, call_key, occurred_at, received_at,"
        " seen_count, payload, content_hash, state, call_id"
    )
    cr.execute("CREATE TABLE bench_record (LIKE pbx_record INCLUDING ALL)")
    cr.copy_expert(f"COPY (SELECT {columns} FROM pbx_record) TO STDOUT", buffer)
    buffer.seek(0)
    with Clock() as clock:
        cr.execute(
            f"CREATE TEMP TABLE staging AS SELECT {columns} FROM pbx_record LIMIT 0"
        )
        cr.copy_expert(f"COPY staging ({columns}) FROM STDIN", buffer)
        cr.execute(
            f"INSERT INTO bench_record (id, {columns})"
            f" SELECT nextval('pbx_record_id_seq'), {columns} FROM staging"
            " ON CONFLICT (backend_id, key) DO NOTHING"
        )
        cr.commit()
    cr.execute("DROP TABLE bench_record")
    return clock


def main(database, source, rows):
    odoo.tools.config.parse_config(
        ["-c", os.environ["ODOO_RC"], "-d", database, "--log-level", "error"],
        setup_logging=True,
    )
    rows = fill(source, rows)
    with Registry(database).cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        from odoo.addons.missed_call_crm.intake import callbacks, pull

        pull.MANUAL_SECONDS = 24 * 3600
        backend = backend_of(env, source)
        cr.commit()
        commit = env["ir.cron"]._commit_progress
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Clock() as first:
            log = pull.run(backend, kind="scheduled", commit=commit)
        assert log.state == "done", log.error
        assert log.new_count == rows, (log.new_count, rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        with Clock() as again:
            log2 = pull.run(
                backend,
                since=backend.create_date.replace(year=2000),
                until=backend.create_date.replace(year=2100),
                kind="backfill",
                commit=commit,
            )
        assert log2.unchanged_count == rows, log2.unchanged_count
        limit = postgres_alone(env)
        backend.create_callbacks = True
        with Clock() as debts:
            callbacks.sync(env)
            cr.commit()
        made = env["pbx.callback"].search_count([])
        calls = env["pbx.call"].search_count([])
    print(f"{rows} rows of cdr and queue_log, {calls} calls, {os.cpu_count()} cores")
    print(f"{'':34}{'rows/s':>9}{'µs/row':>9}{'CPU µs/row':>12}")
    for name, clock in (
        ("PostgreSQL: COPY, INSERT", limit),
        ("first pull", first),
        ("the same rows read again", again),
    ):
        print(
            f"{name:34}{rows / clock.wall:9.0f}{clock.wall / rows * 1e6:9.1f}"
            f"{clock.cpu / rows * 1e6:12.1f}"
        )
    print(f"first pull against PostgreSQL alone: {limit.wall / first.wall:.3f}")
    print(f"reading again against taking: {again.wall / first.wall:.3f}")
    print(
        f"callbacks of the last 24 hours: {made} in {debts.wall:.1f} s,"
        f" {debts.wall / max(made, 1) * 1e3:.1f} ms each"
    )
    print(f"memory above the idle process: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
