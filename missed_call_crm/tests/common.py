# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo.fields import Command

from .callback_common import NOW, CallbackCase


class RoleCase(CallbackCase):
    """One user per role, and a second company with a phone system of its own.

    ``olga`` and ``ivan`` are operators (olga is a member of the queue group), ``boss``
    is a supervisor, ``manager`` sets things up, ``admin`` is a system administrator
    without any role in telephony, ``stranger`` an employee without one.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls.operator("mona", "UTC", "missed_call_crm.group_manager")
        cls.admin = cls.operator("adam", "UTC", "base.group_system")
        cls.stranger = cls.operator("stan", "UTC", "base.group_user")
        cls.other_company = cls.env["res.company"].create({"name": "Elsewhere"})
        cls.other_boss = cls.operator("otto", "UTC", "missed_call_crm.group_supervisor")
        cls.other_boss.write(
            {
                "company_ids": [Command.set(cls.other_company.ids)],
                "company_id": cls.other_company.id,
            }
        )

    def make_callback(self, number="+79120000001", at=NOW, **values):
        """An open callback with one miss, as the intake would have made it."""
        call = self.miss(at, number)
        callback = self.env["pbx.callback"].create(
            {
                "company_id": self.company.id,
                "client_number": number,
                "queue_id": self.queue.id,
                "user_id": self.olga.id,
                "deadline_at": call.deadline_at,
                "missed_count": 1,
                "last_missed_at": call.ended_at,
                **values,
            }
        )
        call.callback_id = callback
        return callback
