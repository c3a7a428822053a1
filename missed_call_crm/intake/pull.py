# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Pulling one phone system: lock, read, take batch by batch, log, and never escape.

The invariants of DESIGN 3 this module answers for:

* the cursor moves in the transaction of the rows it covers, and never because of a
  pull that failed (1);
* every pull reads an overlap again (2);
* two workers never pull one phone system at once, and the failure of one neither stops
  another nor leaves the scheduled action (6).
"""

import logging
import random
import time
from datetime import datetime, timedelta
from functools import partial

import psycopg2
from psycopg2 import errors as pg_errors

from odoo import fields
from odoo.exceptions import UserError

from ..providers.base import SourceError
from . import callbacks
from .calls import Batch, Counts
from .context import Context

_logger = logging.getLogger(__name__)

#: Every pull reads at least this far back, every hour ``overlap_hours``, every day
#: three days: records are written at hang-up, late and out of order.
OVERLAP = timedelta(minutes=30)
DAY_OVERLAP = timedelta(hours=72)
#: Rows a table and batch; a batch is one transaction.
BATCH_ROWS = 5_000
#: A pull by hand happens within a web request, which has a time limit.
MANUAL_SECONDS = 60
#: Back-off of a failing phone system, seconds: first retry and longest wait.
RETRY_BASE, RETRY_CAP = 30, 1800
#: What somebody has to mend (a password, a column) is not tried so often.
RETRY_BASE_BY_HAND = 120
#: Another worker changed the same rows: the batch is taken again.
_RETRIED = (pg_errors.SerializationFailure, pg_errors.DeadlockDetected)
_RETRIES = 5
_LOCK_CLASS = 1_886_545_240  # "pbx" and one more byte: our advisory locks


def cron(env):
    """Pull every phone system whose time has come; errors stay on their records."""
    now = fields.Datetime.now()
    backends = env["pbx.backend"].search(
        [
            ("provider", "!=", "push"),
            "|",
            ("next_pull_at", "=", False),
            ("next_pull_at", "<=", now),
        ],
        order="next_pull_at, id",
    )
    progress = env["ir.cron"]
    left = len(backends)
    progress._commit_progress(remaining=left)
    for backend in backends:
        # Every batch is progress, while this phone system is still to be done.
        commit = partial(progress._commit_progress, 1, remaining=left)
        is_partial = False
        try:
            log = run(backend, kind="scheduled", commit=commit)
            if log and log.state == "done" and (backend.cursor or {}).get("backfill"):
                # What is new comes first; a long back-fill goes on in between.
                log = run(backend, kind="backfill", commit=commit)
            is_partial = bool(log) and log.state == "partial"
        except Exception:
            # The scheduled action would be switched off for every phone system if
            # errors of one left it often enough.
            _logger.exception("Pull of phone system %s failed", backend.id)
            env.cr.rollback()
            _fail(backend, env._("Unexpected error; see the server's log."), True)
        left -= not is_partial
        if not progress._commit_progress(1, remaining=left):
            break
    if backends:
        env.ref("missed_call_crm.ir_cron_follow_up")._trigger()


def run(backend, since=None, until=None, kind="manual", commit=None):
    """Pull one phone system.

    :param backend: one ``pbx.backend``.
    :param since, until: window of a back-fill (naive UTC); None: what is new, or for
        a back-fill, what an earlier one has left.
    :param kind: ``manual``, ``scheduled`` or ``backfill``, for the log.
    :param commit: commits and returns the seconds left; None: everything happens in
        the caller's transaction (a button, a test).
    :return: the ``pbx.pull.log`` record, or None if another worker is at it.
    :raises UserError: by hand, if another worker is pulling it; always, if the phone
        system pushes.
    """
    backend.ensure_one()
    if backend.provider == "push":
        raise UserError(
            backend.env._(
                "%(name)s pushes its calls to Odoo: there is nothing to pull.",
                name=backend.name,
            )
        )
    backend = backend.sudo().with_company(backend.company_id)
    with _Lock(backend, commit is not None) as is_locked:
        if is_locked:
            return _Pull(backend, since, until, kind, commit).run()
    if kind != "scheduled":
        raise UserError(
            backend.env._("%(name)s is being pulled right now.", name=backend.name)
        )
    return None


def test(backend):
    """What a connection test finds: ``[(level, text)]`` for people."""
    backend = backend.sudo()
    env = backend.env
    try:
        context = Context(backend)
        with context.provider.connect() as source:
            findings = source.test()
            if not any(finding.level == "error" for finding in findings):
                backend.capabilities = context.provider.describe(source)
    except SourceError as error:
        return [("error", _translated(env, error))]
    lines = [(finding.level, _translated(env, finding)) for finding in findings]
    if not context.plan.countries:
        lines.append(("warning", env._("Without a country only numbers with + match.")))
    return lines


def judge_due(env, now=None):
    """Judge open calls whose time has come, of every phone system.

    A phone system whose first pull is under way is left alone: its calls may still
    lack records that are there to be read.

    :return: number of calls judged.
    """
    now = now or fields.Datetime.now()
    env.cr.execute(
        "SELECT DISTINCT backend_id FROM pbx_call WHERE is_open AND judge_at <= %s",
        [now],
    )
    backends = env["pbx.backend"].browse(row[0] for row in env.cr.fetchall())
    count = 0
    for backend in backends.with_context(active_test=False).sudo():
        state = backend.cursor or {}
        if state.get("source") and not backend.first_pull_done_at:
            continue
        try:
            with env.cr.savepoint(), _Lock(backend, is_session=False) as is_locked:
                if is_locked:
                    # While the source cannot be read, its silence says nothing.
                    upto = _time(state.get("upto"))
                    count += _judge_due(Batch(Context(backend), now, upto=upto))
        except _RETRIED:
            raise
        except Exception:
            _logger.exception("Calls of phone system %s were not judged", backend.id)
    env.invalidate_all()
    return count


def _judge_due(batch):
    total = 0
    while ids := batch.due():
        if not batch.judge(ids):
            break
        total += len(ids)
    return total


def rebuild(backend, since, until):
    """Build the calls of a period again from their records, by today's rules.

    :return: number of calls.
    """
    backend = backend.sudo()
    with _Lock(backend, is_session=False) as is_locked:
        if not is_locked:
            raise UserError(
                backend.env._("%(name)s is being pulled right now.", name=backend.name)
            )
        started = fields.Datetime.now()
        backend.env.cr.execute(
            "SELECT id FROM pbx_call WHERE backend_id = %s"
            " AND started_at >= %s AND started_at < %s ORDER BY started_at",
            [backend.id, since, until],
        )
        ids = [row[0] for row in backend.env.cr.fetchall()]
        batch = Batch(Context(backend), started, todays_rules=True)
        for start in range(0, len(ids), BATCH_ROWS):
            batch.judge(ids[start : start + BATCH_ROWS])
        backend.env.invalidate_all()
        _log(backend, "rebuild", started, since, until, batch.counts)
        callbacks.sync(backend.env, [backend.company_id.id])
    return len(ids)


def replay(backend, records):
    """Take rejected records again; what is wrong with them still is told anew."""
    backend = backend.sudo()
    now = fields.Datetime.now()
    context = Context(backend)
    good, bad = [], []
    for record in records.sudo():
        try:
            good.append(context.provider.reread(record.kind, record.payload or {}))
        except SourceError as error:
            bad.append((record, str(error)))
        except (ValueError, KeyError, TypeError) as error:
            bad.append((record, f"{type(error).__name__}: {error}"))
    for record, error in bad:
        record.write({"state": "rejected", "error": error})
    failed = {record.id for record, _error in bad}
    records.sudo().filtered(lambda record: record.id not in failed).unlink()
    backend.env.flush_all()
    Batch(context, now, history=True).take(good)
    backend.env.invalidate_all()
    callbacks.sync(backend.env, [backend.company_id.id])


class _Lock:
    """One worker a phone system.

    ``is_session``: the lock outlives the commits of a scheduled pull, and is let go of
    at its end or by the end of the process; else it ends with the transaction. It
    only saves work: what keeps two workers from taking the same rows is the row of
    the phone system, which every batch writes.
    """

    def __init__(self, backend, is_session):
        self.cr = backend.env.cr
        self.key = [_LOCK_CLASS, backend.id]
        self.is_session = is_session

    def __enter__(self):
        self.cr.execute(
            "SELECT pg_try_advisory_lock(%s, %s)"
            if self.is_session
            else "SELECT pg_try_advisory_xact_lock(%s, %s)",
            self.key,
        )
        self.is_locked = self.cr.fetchone()[0]
        if self.is_locked and self.is_session:
            # The snapshot may be older than the last worker's commit; nothing is lost,
            # a scheduled pull comes with everything committed.
            self.cr.rollback()
        return self.is_locked

    def __exit__(self, kind, _error, _traceback):
        if self.is_locked and self.is_session:
            if kind is not None:
                self.cr.rollback()
            self.cr.execute("SELECT pg_advisory_unlock(%s, %s)", self.key)


class _Pull:
    """One run over one phone system."""

    def __init__(self, backend, since, until, kind, commit):
        self.backend = backend
        self.env = backend.env
        self.commit = commit
        self.started = fields.Datetime.now()
        self.stop_at = time.monotonic() + MANUAL_SECONDS
        self.state = dict(backend.cursor or {})
        pending = self.state.get("backfill")
        if kind == "backfill" and (since or not pending):
            pending = [_iso(since), _iso(until)]
        self.is_first = kind != "backfill" and not backend.first_pull_done_at
        self.kind = "first" if self.is_first else kind
        self.history = self.is_first or kind == "backfill"
        self.until = None
        self.is_hourly = self.is_deep = False
        if kind == "backfill":
            self.since, self.until = (_time(text) for text in pending)
            self.state["backfill"] = pending
        else:
            self.since = since or self._since()
        self.counts = Counts()
        self.context = self.log = self.capabilities = None
        self.findings = []

    # -- window ------------------------------------------

    def _since(self):
        """Where this pull begins to read: the overlap, and the oldest open call."""
        upto = _time(self.state.get("upto"))
        if upto is None:
            return None
        backend, now = self.backend, self.started
        # Rows of a call are dated by its start and written at its end.
        overlap = max(OVERLAP, timedelta(minutes=backend.max_call_minutes))
        self.is_hourly = _is_older(backend.last_hourly_at, now, timedelta(hours=1))
        self.is_deep = _is_older(backend.last_deep_at, now, timedelta(days=1))
        if self.is_hourly:
            overlap = max(overlap, timedelta(hours=backend.overlap_hours))
        if self.is_deep:
            overlap = max(overlap, DAY_OVERLAP)
        since = min(upto, now) - overlap
        self.env.cr.execute(
            "SELECT min(started_at) FROM pbx_call WHERE backend_id = %s AND is_open",
            [backend.id],
        )
        oldest = self.env.cr.fetchone()[0]
        if oldest:
            # Calls nobody ends are let go of after a day: they must not make every
            # pull read for ever.
            since = min(since, max(oldest, now - DAY_OVERLAP) - timedelta(minutes=1))
        return since

    # -- running ------------------------------------------

    def run(self):
        self._open_log()
        try:
            is_done = self._read()
            self._retry(lambda: self._succeed(is_done))
        except _RETRIED:
            if self.commit is None:
                raise  # the request is tried again as a whole
            return self._failed(self.env._("Other work on the same rows."), retry=True)
        except SourceError as error:
            return self._failed(_translated(self.env, error), error.retry)
        except psycopg2.Error as error:
            _logger.exception("Batch of phone system %s", self.backend.id)
            reason = error.diag.message_primary or type(error).__name__
            return self._failed(
                self.env._("Odoo's own database refused: %(reason)s", reason=reason),
                retry=True,
            )
        self._follow()
        return self.log

    def _failed(self, message, retry):
        """What was committed stands, the batch at hand does not; nothing escapes."""
        self._rollback()

        def note():
            self._close_log("failed", message)
            _fail(self.backend, message, retry)

        self._retry(note)
        return self.log

    def _retry(self, work):
        """Do ``work`` and commit; again if another worker changed the same rows."""
        for attempt in range(_RETRIES + 1):
            try:
                with self.env.cr.savepoint():
                    result = work()
                self._commit()
            except _RETRIED:
                if self.commit is None or attempt == _RETRIES:
                    raise
                self._rollback()
                self.context = None
            else:
                return result

    def _read(self):
        """Take batch after batch; True if everything there was has been taken."""
        provider = self._context().provider
        with provider.connect() as source:
            batches = source.batches(
                self.state.get("source"), self.since, self.until, BATCH_ROWS
            )
            is_done = False
            for batch in batches:
                self.counts.add(self._retry(partial(self._take, batch)))
                is_done = batch.done
                if not is_done and self._is_out_of_time():
                    break
            self.findings = source.findings()
            self.capabilities = provider.describe(source)
        if is_done:
            self.counts.calls += self._retry(self._judge)
        return is_done

    def _context(self):
        """Settings and directory; read anew after work that was undone."""
        if self.context is None:
            self.context = Context(self.backend)
        return self.context

    def _take(self, batch):
        """Rows, calls and cursor of one batch in one transaction."""
        upto = batch.upto or datetime.min
        taken = Batch(self._context(), self.started, self.history, upto)
        counts = taken.take(batch.records, batch.rejected)
        self._move(batch)
        return counts

    def _judge(self):
        """All records of calls up to now are here: judge what has settled."""
        batch = Batch(self._context(), self.started, self.history)
        _judge_due(batch)
        return batch.counts.calls

    def _move(self, batch):
        """Store how far we have come; the row's lock keeps a second worker out."""
        self.state["source"] = batch.cursor
        if batch.upto is not None and self.kind != "backfill":
            upto = _time(self.state.get("upto"))
            reached = min(batch.upto, self.started)
            self.state["upto"] = _iso(reached if upto is None else max(upto, reached))
        elif batch.upto is not None:
            self.state["backfill"] = [_iso(max(batch.upto, self.since)),
                                      _iso(self.until)]  # fmt: skip
            if batch.done:
                self.state.pop("backfill", None)
        self.backend.cursor = dict(self.state)
        self.backend.flush_recordset(["cursor"])

    def _is_out_of_time(self):
        if self.commit is None:
            return time.monotonic() > self.stop_at
        return not self.seconds_left

    def _commit(self):
        self.seconds_left = self.commit() if self.commit else None
        self.env.invalidate_all()

    def _rollback(self):
        if self.commit is not None:
            self.env.cr.rollback()
        self.env.invalidate_all()

    # -- what is left to say ------------------------------------------

    def _open_log(self):
        if self.commit is not None:
            # A killed process leaves its line behind: say so.
            self.env["pbx.pull.log"].search(
                [("backend_id", "=", self.backend.id), ("state", "=", "running")]
            ).write({"state": "failed", "error": self.env._("Interrupted.")})
        self.log = self.env["pbx.pull.log"].create(
            {
                "backend_id": self.backend.id,
                "kind": self.kind,
                "state": "running",
                "started_at": self.started,
                "window_from": self.since,
                "window_to": self.until,
            }
        )
        self.backend.last_pull_at = self.started
        self._commit()

    def _close_log(self, state, error=None):
        counts = self.counts
        self.log.write(
            {
                "state": state,
                "finished_at": fields.Datetime.now(),
                "row_count": counts.rows,
                "new_count": counts.new,
                "changed_count": counts.changed,
                "unchanged_count": counts.unchanged,
                "rejected_count": counts.rejected,
                "call_count": counts.calls,
                "error": error,
            }
        )

    def _succeed(self, is_done):
        backend, now = self.backend, self.started
        warnings = [
            _translated(self.env, finding)
            for finding in self.findings
            if finding.level in ("warning", "error")
        ]
        values = {
            "error_date": False,
            "error_message": False,
            "error_count": 0,
            "warning_message": "\n".join(warnings) or False,
            "capabilities": self.capabilities or backend.capabilities,
        }
        if is_done and self.kind != "backfill":
            values["last_success_at"] = now
            if self.is_first:
                values["first_pull_done_at"] = now
            if self.is_first or self.is_hourly:
                values["last_hourly_at"] = now
            if self.is_first or self.is_deep:
                values["last_deep_at"] = now
        pause = timedelta(minutes=backend.interval_minutes)
        values["next_pull_at"] = now + pause if is_done else now
        backend.write(values)
        self._close_log("done" if is_done else "partial")
        if not is_done and self.commit is None:
            self.env.ref("missed_call_crm.ir_cron_pull")._trigger()

    def _follow(self):
        """Callbacks and activities of what was pulled; their failure loses no call."""
        try:
            with self.env.cr.savepoint():
                callbacks.sync(self.env, [self.backend.company_id.id])
        except _RETRIED:
            if self.commit is None:
                raise
            self._rollback()  # the follow-up does it
        except Exception:
            if self.commit is None:
                raise
            _logger.exception("Callbacks of company %s", self.backend.company_id.id)
        self._commit()


def _fail(backend, message, retry):
    """Keep an error on the phone system and put its next pull off, with jitter."""
    now = fields.Datetime.now()
    count = (backend.error_count or 0) + 1
    base = RETRY_BASE if retry else RETRY_BASE_BY_HAND
    pause = min(RETRY_CAP, base * 2 ** min(count - 1, 10))
    backend.write(
        {
            "error_date": backend.error_date or now,
            "error_message": message,
            "error_count": count,
            "next_pull_at": now + timedelta(seconds=random.uniform(pause / 2, pause)),
        }
    )


def _log(backend, kind, started, since, until, counts):
    return backend.env["pbx.pull.log"].create(
        {
            "backend_id": backend.id,
            "kind": kind,
            "state": "done",
            "started_at": started,
            "finished_at": fields.Datetime.now(),
            "window_from": since,
            "window_to": until,
            "call_count": counts.calls,
        }
    )


def _translated(env, message):
    """Text of a provider's finding or error in the user's language."""
    # The templates are marked where they are written (providers/base.py:_lt).
    template = env._(message.template)  # pylint: disable=gettext-variable
    return template % message.values


def _is_older(moment, now, age):
    return not moment or now - moment >= age


def _iso(moment):
    return moment.isoformat() if moment else None


def _time(text):
    return datetime.fromisoformat(text) if text else None
