# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What time alone changes, and the safety net under everything the pulls do.

Deadlines pass, calls settle, people go on leave, a worker dies half-way: the follow-up
looks at every company and puts right what it finds.
"""

import logging

from odoo import fields
from odoo.tools import SQL

from . import callbacks

_logger = logging.getLogger(__name__)


def cron(env):
    """The scheduled action: one company after the other, each on its own.

    The failure of one is logged and stops no other; the scheduled action itself never
    fails, for Odoo would switch it off for all of them.
    """
    _judge(env)
    progress = env["ir.cron"]
    found = env.execute_query(SQL("SELECT id FROM res_company ORDER BY id"))
    company_ids = [row[0] for row in found]
    progress._commit_progress(remaining=len(company_ids))
    for done, company_id in enumerate(company_ids, start=1):
        try:
            with env.cr.savepoint():
                follow_up(env, company_id)
        except Exception:
            _logger.exception("The follow-up of company %s failed", company_id)
        if not progress._commit_progress(1, remaining=len(company_ids) - done):
            break  # out of time: Odoo runs the rest soon


def follow_up(env, company_id, now=None):
    """One company: expired windows are stored, callbacks brought in line.

    :return: what was done, see :func:`callbacks.sync`, and ``expired``
    """
    now = now or fields.Datetime.now()
    counts = callbacks.sync(env, [company_id], now)
    if expired := _store_expired(env, company_id, now):
        counts["expired"] = expired
    if counts:
        _logger.info("Follow-up of company %s: %s", company_id, counts)
    return counts


def _store_expired(env, company_id, now):
    """Store "unfixed" for misses whose window is over; they read so already.

    Rows somebody else has locked wait for the next time.
    """
    env.flush_all()
    env.cr.execute(
        """
        UPDATE pbx_call SET resolution = 'unfixed'
         WHERE id IN (SELECT id FROM pbx_call
                       WHERE company_id = %s
                         AND resolution IN ('pending', 'unfixed')
                         AND resolution = 'pending'
                         AND deadline_at < %s
                       ORDER BY id
                         FOR NO KEY UPDATE SKIP LOCKED)
        """,
        [company_id, now],
    )
    count = env.cr.rowcount
    if count:
        env["pbx.call"].invalidate_model(["resolution"])
    return count


def _judge(env):
    """Calls that ended and settled since the last pull are judged now."""
    from . import pull

    try:
        with env.cr.savepoint():
            pull.judge_due(env)
    except Exception:
        _logger.exception("Settled calls could not be judged")
