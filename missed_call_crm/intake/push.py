# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Taking what an integration pushes: check, lock, store, answer by index.

A push is one transaction: what the answer says has been stored, and a sender without
an answer sends the same list again, which changes nothing more.
"""

import logging
from datetime import timedelta

from odoo import SUPERUSER_ID, fields
from odoo.exceptions import ConcurrencyError, UserError

from ..providers import push as calls_in
from ..providers.push_values import NotAccepted, moment_of
from . import callbacks, pull
from .calls import Batch, Counts
from .context import Context

_logger = logging.getLogger(__name__)

#: What one push may hold; a sender with more sends several lists.
MAX_RECORDS = 10_000
MAX_BYTES = 16 * 1024 * 1024
#: Callbacks of more calls than this are left to the follow-up, which starts at once: a
#: web request has a time limit, and the sender is waiting.
CALLS_FOLLOWED = 500
#: A sender's clock may be ahead by so much before anybody is told.
CLOCK_TOLERANCE = timedelta(minutes=5)


def ingest(backend, records):
    """Take pushed records of one phone system.

    The caller has checked the rights: everything happens as the system itself, so
    that notes and activities are not signed by the sender.

    :param backend: one ``pbx.backend`` of the provider ``push``.
    :param records: list of dicts, see ``providers.push``.
    :return: ``{"accepted": n, "unchanged": n, "rejected": [{"index", "error"}]}``.
    :raises UserError: the whole list is refused, nothing was taken.
    """
    _check_size(backend.env, records)
    reading = _Reading(backend.env, records)
    backend = _as_system(backend)
    now = fields.Datetime.now()
    _lock(backend, now)
    with pull._Lock(backend, is_session=False) as is_locked:
        if not is_locked:
            # Odoo tries again shortly, for a request of any kind.
            raise ConcurrencyError("The phone system's calls are being judged.")
        counts = _take(backend, reading, now)
        _tell(backend, reading, counts, now)
    if counts.new or counts.changed:
        _follow(backend, counts.calls)
    return {
        "accepted": counts.new + counts.changed,
        "unchanged": counts.unchanged,
        "rejected": [
            {"index": index, "error": item.error}
            for index, item in reading.rejected.items()
        ],
    }


class _Reading:
    """What a list holds.

    :ivar records: key → record; of two for one call the later.
    :ivar rejected: index → ``Rejected``.
    :ivar repeated: number of records that a later one of the same list replaces.
    """

    def __init__(self, env, records):
        self.records, self.rejected = {}, {}
        self.count = len(records)
        for index, pushed in enumerate(records):
            try:
                record = calls_in.read(pushed)
            except NotAccepted as error:
                text = pull._translated(env, error)
                self.rejected[index] = calls_in.refused(pushed, text)
            else:
                self.records[record.key] = record
        self.repeated = self.count - len(self.rejected) - len(self.records)

    def newest(self):
        """Latest start or end told, or None."""
        payloads = [record.payload for record in self.records.values()]
        return max(
            (moment_of(p.get("ended_at") or p["started_at"]) for p in payloads),
            default=None,
        )


def _check_size(env, records):
    if not isinstance(records, (list, tuple)):
        raise UserError(env._("“records” must be a list of calls."))
    if len(records) > MAX_RECORDS:
        raise UserError(
            env._(
                "%(count)s records at once are too many: send at most %(limit)s.",
                count=len(records),
                limit=MAX_RECORDS,
            )
        )
    size = 0
    for pushed in records:
        size += len(calls_in.raw_text(pushed).encode())
        if size > MAX_BYTES:
            raise UserError(
                env._(
                    "The records are larger than %(limit)s MiB together: send them in "
                    "several lists.",
                    limit=MAX_BYTES // 2**20,
                )
            )


def _as_system(backend):
    """The phone system in an environment that owes nothing to who is calling."""
    env = backend.env(user=SUPERUSER_ID, su=True, context={})
    context = dict(env["res.users"].context_get())
    env = env(context=context)
    backend = env["pbx.backend"].browse(backend.id)
    return backend.with_company(backend.company_id)


def _lock(backend, now):
    """Two pushes to one phone system follow each other.

    Who had to wait has an old view of the database: writing the row makes PostgreSQL
    say so, and Odoo repeats the request with a new one.
    """
    backend.env.flush_all()
    backend.env.cr.execute(
        "UPDATE pbx_backend SET last_pull_at = %s WHERE id = %s", [now, backend.id]
    )
    backend.env.invalidate_all()


def _take(backend, reading, now):
    """Store the records; their calls are judged at once if they have ended."""
    context = Context(backend)
    _forget_refused(backend, reading)
    old, new = [], []
    for record in reading.records.values():
        ended_at = record.payload.get("ended_at")
        # What ended before the phone system was entered here is history: figures, and
        # work only for clients who can still be called back in time.
        is_history = ended_at and moment_of(ended_at) < backend.create_date
        (old if is_history else new).append(record)
    counts = Counts(rows=reading.repeated, unchanged=reading.repeated)
    if old:
        counts.add(Batch(context, now, history=True).take(old))
    counts.add(Batch(context, now).take(new, list(reading.rejected.values())))
    backend.env.invalidate_all()
    return counts


def _forget_refused(backend, reading):
    """Refused records of earlier pushes whose calls are told rightly now."""
    if not reading.records:
        return
    known = [*reading.records, *(item.key for item in reading.rejected.values())]
    backend.env.cr.execute(
        """
        DELETE FROM pbx_record
         WHERE backend_id = %s AND state = 'rejected' AND kind = %s
           AND payload ->> 'call_key' = ANY(%s) AND key <> ALL(%s)
        """,
        [
            backend.id,
            calls_in.KIND,
            [record.threads[0] for record in reading.records.values()],
            known,
        ],
    )


# -- what people see -------------------------------------------------------------------


def _tell(backend, reading, counts, now):
    """Freshness, warning and log line of the phone system."""
    env = backend.env
    values = {"warning_message": _warning(env, reading, now)}
    if reading.records or not reading.rejected:
        values.update(
            last_success_at=now,
            error_date=False,
            error_message=False,
            error_count=0,
        )
    backend.write(values)
    if counts.new or counts.changed or reading.rejected:
        _log(backend, reading, counts, now)


def _warning(env, reading, now):
    if reading.rejected and not reading.records:
        return env._(
            "The last pushed records were all refused: %(error)s",
            error=next(iter(reading.rejected.values())).error,
        )
    newest = reading.newest()
    if newest and newest > now + CLOCK_TOLERANCE:
        return env._(
            "Pushed calls lie %(minutes)s minutes in the future: the sender's clock or "
            "its offset from UTC is wrong.",
            minutes=int((newest - now).total_seconds() // 60),
        )
    return False


def _log(backend, reading, counts, now):
    """One line per interval, not per push: many senders push every call by itself."""
    log = backend.env["pbx.pull.log"].search(
        [
            ("backend_id", "=", backend.id),
            ("kind", "=", "push"),
            ("started_at", ">", now - timedelta(minutes=backend.interval_minutes)),
            ("started_at", "<=", now),
        ],
        limit=1,
    )
    if not log:
        log = log.create({"backend_id": backend.id, "kind": "push", "started_at": now})
    errors = [f"[{index}] {item.error}" for index, item in reading.rejected.items()]
    log.write(
        {
            "state": "done",
            "finished_at": fields.Datetime.now(),
            "row_count": log.row_count + reading.count,
            "new_count": log.new_count + counts.new,
            "changed_count": log.changed_count + counts.changed,
            "unchanged_count": log.unchanged_count + counts.unchanged,
            "rejected_count": log.rejected_count + len(reading.rejected),
            "call_count": log.call_count + counts.calls,
            "error": "\n".join(errors[:10]) or log.error,
        }
    )


def _follow(backend, count):
    """Callbacks of what was pushed; their failure loses no call."""
    env = backend.env
    follow_up = env.ref("missed_call_crm.ir_cron_follow_up")
    if count > CALLS_FOLLOWED:
        follow_up._trigger()
        return
    try:
        with env.cr.savepoint():
            callbacks.sync(env, [backend.company_id.id])
    except pull._RETRIED:
        raise  # Odoo repeats the whole request
    except Exception:
        _logger.exception("Callbacks of company %s", backend.company_id.id)
        follow_up._trigger()
