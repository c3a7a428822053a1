# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).

from datetime import datetime, timedelta

from odoo.fields import Command
from odoo.tests import TransactionCase, new_test_user
from odoo.tools import SQL

from ..intake import callbacks, resolve

#: A Tuesday noon; tests run at this moment unless they say otherwise.
NOW = datetime(2026, 3, 10, 12, 0)


class CallbackCase(TransactionCase):
    """A company with operators, a queue group and calls made by hand.

    Calls are created as the intake leaves them, resolved by the intake's own rules.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env = cls.env(context=dict(cls.env.context, tracking_disable=True))
        cls.company = cls.env["res.company"].create(
            {"name": "Call Centre", "country_id": cls.env.ref("base.ru").id}
        )
        cls.company.partner_id.tz = "Europe/Moscow"
        # the only ones who work there are those of the test
        cls.env["res.users"].search([]).company_ids -= cls.company
        cls.olga = cls.operator("olga", "Europe/Moscow")
        cls.ivan = cls.operator("ivan", "Europe/Moscow")
        cls.boss = cls.operator(
            "boss", "Europe/Berlin", "missed_call_crm.group_supervisor"
        )
        cls.backend = cls.env["pbx.backend"].create(
            {
                "name": "Exchange",
                "company_id": cls.company.id,
                "tz": "Europe/Moscow",
                "db_host": "192.0.2.1",
                "db_name": "asterisk",
            }
        )
        cls.queue = cls.env["pbx.queue"].create(
            {
                "name": "Sales",
                "code": "sales",
                "backend_id": cls.backend.id,
                "member_ids": [Command.set(cls.olga.ids)],
                "supervisor_ids": [Command.set(cls.boss.ids)],
            }
        )
        cls.activity_type = cls.env.ref("missed_call_crm.mail_activity_type_callback")
        cls.sequence = 0

    @classmethod
    def operator(cls, login, tz, groups="missed_call_crm.group_operator", **values):
        return new_test_user(
            cls.env,
            login=login,
            groups=f"base.group_user,{groups}",
            company_id=cls.company.id,
            company_ids=[Command.set(cls.company.ids)],
            tz=tz,
            **values,
        )

    # -- calls -----------------------------------------------------------------

    def create_call(self, at, number="+79120000001", **values):
        """A call as the intake stores it; ``at`` is its start."""
        cls = type(self)
        cls.sequence += 1
        return self.env["pbx.call"].create(
            {
                "company_id": self.company.id,
                "backend_id": self.backend.id,
                "call_key": f"call-{cls.sequence}",
                "client_number": number,
                "client_number_raw": number,
                "client_key": number,
                "started_at": at,
                **values,
            }
        )

    def miss(self, at=NOW, number="+79120000001", hours=24, **values):
        """A missed call that ended 30 s after its start, with ``hours`` to go."""
        ended = at + timedelta(seconds=30)
        return self.create_call(
            at,
            number,
            **{
                "direction": "inbound",
                "outcome": "missed",
                "reason": "no_answer",
                "ended_at": ended,
                "wait_seconds": 30,
                "queue_id": self.queue.id,
                "resolution": "pending",
                "deadline_at": ended + timedelta(hours=hours),
                **values,
            },
        )

    def talk(self, at, number="+79120000001", direction="outbound", **values):
        """A talk with the client, and the misses it resolves."""
        call = self.create_call(
            at,
            number,
            **{
                "direction": direction,
                "outcome": "answered",
                "answered_at": at,
                "contact_at": at,
                "ended_at": at + timedelta(minutes=2),
                "talk_seconds": 120,
                "user_id": self.olga.id,
                **values,
            },
        )
        self.resolve(number)
        return call

    def attempt(self, at, number="+79120000001", **values):
        """An outbound call nobody took."""
        return self.create_call(
            at,
            number,
            **{
                "direction": "outbound",
                "outcome": "unanswered",
                "ended_at": at + timedelta(seconds=20),
                "user_id": self.olga.id,
                **values,
            },
        )

    def ring(self, call, *users):
        """Rings of a call, one operator after the other."""
        self.env["pbx.call.leg"].create(
            [
                {
                    "call_id": call.id,
                    "company_id": self.company.id,
                    "sequence": sequence,
                    "kind": "ring",
                    "user_id": user.id,
                    "started_at": call.started_at,
                    "result": "no_answer",
                }
                for sequence, user in enumerate(users, start=1)
            ]
        )

    def resolve(self, *numbers):
        self.env.flush_all()
        resolve.recompute(self.env, self.company, list(numbers))
        self.env.invalidate_all()

    # -- callbacks -------------------------------------------------------------

    def sync(self, now=NOW):
        counts = callbacks.sync(self.env, [self.company.id], now)
        self.assertFalse(counts.get("failed"), "a step failed, see the log")
        return counts

    def callbacks(self, number=None):
        domain = [("company_id", "=", self.company.id)]
        if number:
            domain.append(("client_number", "=", number))
        return self.env["pbx.callback"].search(domain, order="id")

    def callback(self, number=None):
        return self.callbacks(number).ensure_one()

    def activity(self, callback):
        """Its open activities; at most one in all tests but those about more."""
        return callback._callback_activities()

    def stored(self, record, name):
        """The value as stored, whatever the clock says."""
        record.flush_recordset()
        self.env.cr.execute(
            SQL(
                "SELECT %s FROM %s WHERE id = %s",
                SQL.identifier(name),
                SQL.identifier(record._table),
                record.id,
            )
        )
        return self.env.cr.fetchone()[0]

    def bodies(self, record):
        return [str(message.body) for message in record.message_ids]
