"""Real processes, a real PostgreSQL: killed workers and workers side by side.

What is compared with an undisturbed run: the set of records, every call with its
resolution, callbacks and activities. Environment: `MCC_TEMPLATE`, a database with the
addon installed; `ODOO_RC`, `PYTHONPATH` and PG* as `scripts/odoo` sets them.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

HERE = Path(__file__).parent
LAB = HERE.parent / "missed_call_crm" / "tests" / "lab"
COPIES = 8  # of the laboratory's calls: about 3,200 rows of cdr and queue_log
SHIFT = 600  # seconds between two copies

STATE = """
    SELECT c.call_key, c.direction, c.outcome, c.reason, c.resolution, c.fixed_by,
           f.call_key, c.client_key, c.started_at, c.ended_at, c.wait_seconds,
           c.deadline_at, c.callback_id IS NOT NULL,
           (SELECT count(*) FROM pbx_call_leg l WHERE l.call_id = c.id),
           (SELECT count(*) FROM pbx_record r WHERE r.call_id = c.id)
      FROM pbx_call c LEFT JOIN pbx_call f ON f.id = c.fix_call_id
     ORDER BY c.call_key
"""
RECORDS = "SELECT key, state, content_hash FROM pbx_record ORDER BY key"
CALLBACKS = """
    SELECT b.client_number, b.state, b.missed_count, b.deadline_at,
           (SELECT count(*) FROM mail_activity a WHERE a.active
             AND a.res_model = 'pbx.callback' AND a.res_id = b.id)
      FROM pbx_callback b ORDER BY 1, 2
"""


def query(database, text, *values):
    with closing(psycopg2.connect(dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return cursor.fetchall() if cursor.description else None


def result(database):
    """Everything that must come out the same."""
    asked = {"calls": STATE, "records": RECORDS, "callbacks": CALLBACKS}
    return {name: query(database, text) for name, text in asked.items()}


@pytest.fixture(scope="module")
def source():
    """The laboratory's cdr and queue_log, copied back in time, ending just now."""
    name = f"mcc_faults_pbx_{os.getpid()}"
    query("postgres", f"CREATE DATABASE {name}")
    with closing(psycopg2.connect(dbname=name)) as connection:
        cursor = connection.cursor()
        cursor.execute((HERE / "tables.sql").read_text())
        for kind in ("cdr", "queue_log"):
            with open(LAB / f"{kind}.csv", encoding="utf-8") as rows:
                names = rows.readline().strip()
                cursor.copy_expert(
                    f"COPY lab_{kind} ({names}) FROM STDIN (FORMAT csv)", rows
                )
        cursor.execute(
            (HERE / "multiply.sql").read_text(), {"copies": COPIES, "shift": SHIFT}
        )
        connection.commit()
    yield name
    query("postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def databases():
    """Makes Odoo databases from the template; drops them afterwards."""
    made = []

    def make(label, source_name):
        name = f"mcc_faults_{label}_{os.getpid()}"
        query("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        template = os.environ["MCC_TEMPLATE"]
        query("postgres", f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        query(
            name,
            """
            UPDATE res_company SET pbx_short_seconds = 0, pbx_match_scope = 'number';
            INSERT INTO pbx_backend (name, company_id, provider, tz, active, country_id,
                interval_minutes, overlap_hours, settle_seconds, max_call_minutes,
                min_talk_seconds, db_host, db_port, db_name, db_user,
                db_password_stored, cdr_table, queue_log_table, callback_mode,
                create_callbacks)
            SELECT 'Faults', c.id, 'asterisk_pg', 'Europe/Moscow', true,
                   (SELECT id FROM res_country WHERE code = 'RU'),
                   1, 6, 0, 120, 2, %s, %s, %s, %s, %s, 'cdr', 'queue_log', 'yes', true
              FROM res_company c ORDER BY c.id LIMIT 1
            """,
            os.environ["PGHOST"],
            int(os.environ["PGPORT"]),
            source_name,
            os.environ["PGUSER"],
            os.environ.get("PGPASSWORD", ""),
        )
        return name

    yield make
    for name in made:
        query("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class Worker:
    def __init__(self, database, rows=200):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), database, str(rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self):
        assert self.process.stdout.readline().strip() == "ready"

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self):
        self.process.communicate(timeout=300)
        assert self.process.returncode == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def run_to_the_end(database, workers=1):
    """Workers side by side until nothing is left to pull."""
    for _round in range(5):
        query(database, "UPDATE pbx_backend SET next_pull_at = NULL")
        crew = [Worker(database) for _number in range(workers)]
        for worker in crew:
            worker.wait_ready()
        for worker in crew:
            worker.go()
        for worker in crew:
            worker.finish()
        (done,) = query(
            database,
            "SELECT first_pull_done_at IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM pbx_call WHERE is_open) FROM pbx_backend",
        )[0]
        if done:
            return
    raise AssertionError("the pull did not come to an end")


@pytest.fixture(scope="module")
def undisturbed(source):
    """What one run without any trouble gives."""
    maker = databases.__wrapped__()
    database = next(maker)("plain", source)
    run_to_the_end(database)
    found = result(database)
    yield found
    maker.close()


def test_undisturbed_run_is_no_triviality(undisturbed):
    assert len(undisturbed["records"]) > 3000
    assert len(undisturbed["calls"]) > 700
    assert {row[4] for row in undisturbed["calls"]} >= {"pending", "fixed", "ignored"}
    assert len(undisturbed["callbacks"]) > 100
    assert all(
        row[4] == (row[1] in ("todo", "overdue")) for row in undisturbed["callbacks"]
    )


def test_killed_workers_lose_and_double_nothing(source, undisturbed, databases):
    database = databases("killed", source)
    rng = random.Random(int(os.environ.get("MCC_SEED", "1")))
    kills = []
    for _kill in range(int(os.environ.get("MCC_KILLS", "4"))):
        query(database, "UPDATE pbx_backend SET next_pull_at = NULL")
        worker = Worker(database)
        worker.wait_ready()
        worker.go()
        pause = rng.uniform(0.05, 2.5)
        time.sleep(pause)
        worker.kill()
        taken = query(database, "SELECT count(*) FROM pbx_record")[0][0]
        kills.append((round(pause, 2), taken))
    print("killed after (s, records stored):", kills)
    run_to_the_end(database)
    assert result(database) == undisturbed


def test_workers_side_by_side(source, undisturbed, databases):
    database = databases("pair", source)
    run_to_the_end(database, workers=2)
    assert result(database) == undisturbed


def test_second_run_changes_nothing(source, undisturbed, databases):
    database = databases("again", source)
    run_to_the_end(database)
    query(database, "UPDATE pbx_backend SET last_deep_at = NULL")
    run_to_the_end(database)
    assert result(database) == undisturbed
