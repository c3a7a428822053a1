# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""One company's run of the callbacks: its environment, its lock, its savepoints."""

import logging
from collections import Counter

import psycopg2
import pytz
from markupsafe import Markup
from psycopg2 import errors

from odoo import SUPERUSER_ID
from odoo.fields import Domain
from odoo.tools import format_date

_logger = logging.getLogger(__name__)

ACTIVITY_TYPE = "missed_call_crm.mail_activity_type_callback"
OPEN = ("todo", "overdue")

# First of the two numbers of the advisory lock; the second is the company.
_LOCK_SPACE = 1_346_523_981
# While a run lasts: do not wait for others for ever; and compiling the few large
# statements would take many times as long as running them.
_SETTINGS = {"lock_timeout": "10s", "jit": "off"}
# Somebody else was faster: what he did is seen by the next run.
OVERTAKEN = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.UniqueViolation,
)


class Run:
    """Context of one company's run.

    :ivar env: superuser, in the company's language, without notices to assignees.
    :ivar now: naive UTC.
    :ivar counts: what was done, by name of the deed.
    """

    def __init__(self, env, company_id, now):
        company = env["res.company"].sudo().browse(company_id)
        context = {
            "allowed_company_ids": [company_id],
            "tz": zone_of(company),
            # no "assigned to you" mails, and no log of what has a note of its own
            "mail_activity_quick_update": True,
            "tracking_disable": True,
            # a person's "done" has to be proved, ours is the proof
            "pbx_proved": True,
            "pbx_engine": True,
        }
        if company.partner_id.lang:
            context["lang"] = company.partner_id.lang
        self.env = env(user=SUPERUSER_ID, su=True, context=context)
        self.cr = self.env.cr
        self.company = company.with_env(self.env)
        self.now = now
        self.counts = Counter()
        self.callbacks = self.env["pbx.callback"]
        self.activity_type = self.env.ref(ACTIVITY_TYPE, raise_if_not_found=False)

    # -- one at a time ---------------------------------------------------------

    def lock(self):
        """Wait for other workers on this company; kept until the transaction ends.

        Whoever waited sees the database as it was before, so this alone does not keep
        two from doing one thing: :meth:`claim` and the unique index do.

        :return: settings of the transaction as they were, for :meth:`restore`
        """
        former = {}
        for name in _SETTINGS:
            self.cr.execute("SELECT current_setting(%s)", [name])
            former[name] = self.cr.fetchone()[0]
        self._set(_SETTINGS)
        self.cr.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)",
            [_LOCK_SPACE, self.company.id],
            log_exceptions=False,
        )
        return former

    def restore(self, former):
        """Leave the rest of the transaction as it was before :meth:`lock`."""
        self.env.flush_all()
        self._set(former)

    def _set(self, settings):
        for name, value in settings.items():
            self.cr.execute("SELECT set_config(%s, %s, true)", [name, value])

    def claim(self, callback_ids):
        """Take callbacks for writing; fails if anybody changed them meanwhile.

        The write counts for others just so: an activity made by one worker would
        otherwise not keep another, who cannot see it yet, from making a second one.
        """
        callback_ids = list(callback_ids)
        if callback_ids:
            self.cr.execute(
                """
                UPDATE pbx_callback SET write_date = %s
                 WHERE id IN (SELECT id FROM pbx_callback WHERE id = ANY(%s)
                               ORDER BY id FOR NO KEY UPDATE)
                """,
                [self.now, callback_ids],
                log_exceptions=False,
            )

    def reserve(self, numbers):
        """Fail, and quietly, if a client got an open callback we cannot see yet.

        Asks the unique index by an insert that is undone.
        """
        with self.cr.savepoint(flush=False) as savepoint:
            self.cr.execute(
                """
                INSERT INTO pbx_callback (company_id, client_number, state)
                SELECT %s, number, 'todo' FROM unnest(%s) AS n(number)
                """,
                [self.company.id, sorted(numbers)],
                log_exceptions=False,
            )
            savepoint.rollback()

    def link(self, name, call_ids_of):
        """Write a link of calls: ``{callback id: call ids}`` into column ``name``."""
        every = [call_id for ids in call_ids_of.values() for call_id in ids]
        self.cr.execute(
            "SELECT id FROM pbx_call WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            [every],
            log_exceptions=False,
        )
        for callback_id, call_ids in call_ids_of.items():
            # what the write needs to know is read once for all
            calls = self.env["pbx.call"].browse(call_ids)
            calls.with_prefetch(every).write({name: callback_id})

    def in_parts(self, items, act, size=100):
        """Run ``act(part)`` over ``items``, each part in a savepoint.

        A part that fails is halved until the one item at fault is left out, so one
        callback that cannot be written does not keep the others from being written.

        :param items: ids of callbacks or calls
        """
        items = list(items)
        overtaken = []
        for start in range(0, len(items), size):
            self._part(items[start : start + size], act, overtaken)
        if overtaken:
            self.counts["overtaken"] += len(overtaken)
            _logger.info(
                "Left to the next run, since others were faster: %s", overtaken
            )

    def _part(self, items, act, overtaken):
        try:
            with self.cr.savepoint():
                act(items)
            return
        except OVERTAKEN:
            if len(items) == 1:
                overtaken += items
                return
        except psycopg2.OperationalError:
            raise  # the connection is gone, halving would not help
        except Exception:
            if len(items) == 1:
                self.counts["failed"] += 1
                _logger.exception(
                    "Callbacks of company %s: %s failed in %s",
                    self.company.id,
                    items,
                    act.__qualname__,
                )
                return
        half = len(items) // 2
        self._part(items[:half], act, overtaken)
        self._part(items[half:], act, overtaken)

    # -- words -----------------------------------------------------------------

    def moment(self, value):
        """Date and time for people, in the company's zone and language."""
        if not value:
            return "–"
        local = in_zone(value, self.env.context["tz"])
        return f"{format_date(self.env, local.date())} {local:%H:%M}"

    def note(self, bodies, model="pbx.callback"):
        """Leave notes: ``{record id: text or list of texts}``, one message each."""
        bodies = {record_id: _lines(body) for record_id, body in bodies.items() if body}
        if bodies:
            records = self.env[model].browse(bodies).exists()
            records._message_log_batch(bodies)

    def open_domain(self):
        return Domain("company_id", "=", self.company.id) & Domain("state", "in", OPEN)


def zone_of(company, user=None):
    """Name of the zone of a person, else of the company."""
    return (
        (user and user.tz)
        or company.partner_id.tz
        or company.pbx_calendar_id.tz
        or company.resource_calendar_id.tz
        or "UTC"
    )


def in_zone(moment, zone):
    """A naive UTC moment in a zone."""
    # pytz, as the list people choose from is its list
    return pytz.utc.localize(moment).astimezone(pytz.timezone(zone))


def _lines(body):
    if isinstance(body, str):
        return body
    return Markup("<br/>").join(body)
