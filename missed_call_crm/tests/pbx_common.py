# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).

from datetime import datetime

from odoo.tests import TransactionCase, tagged

from ..intake import pull
from .pbx_database import PbxDatabase, lab_rows

#: Shortly after the last call of the laboratory.
LAB_END = datetime(2026, 11, 21, 17, 58)
#: The instant for which the laboratory's expectations were computed.
JUDGED_AT = datetime(2026, 11, 21, 18, 56, 24)


@tagged("post_install", "-at_install")
class PbxCase(TransactionCase):
    """A phone system with a real database, and a backend that reads it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pbx = PbxDatabase(f"{cls.env.cr.dbname}_pbx")
        cls.addClassCleanup(cls.pbx.drop)
        cls.company = cls.create_company("Call Centre")

    @classmethod
    def create_company(cls, name):
        return cls.env["res.company"].create(
            {
                "name": name,
                "country_id": cls.env.ref("base.ru").id,
                "pbx_short_seconds": 0,
                "pbx_match_scope": "number",
            }
        )

    def setUp(self):
        super().setUp()
        self.pbx.clear()
        self.backend = self.create_backend()

    def create_backend(self, **values):
        parameters = self.pbx.parameters
        return self.env["pbx.backend"].create(
            {
                "name": "Laboratory",
                "company_id": self.company.id,
                "provider": "asterisk_pg",
                "tz": "Europe/Moscow",
                "country_id": self.env.ref("base.ru").id,
                "other_country_ids": self.env.ref("base.de").ids,
                "min_talk_seconds": 2,
                "db_host": parameters["host"],
                "db_port": int(parameters["port"]),
                "db_name": self.pbx.name,
                "db_user": parameters["user"],
                "db_password": parameters["password"],
                **values,
            }
        )

    def load_lab(self, *kinds):
        """Copy the laboratory's rows of these kinds into the phone system."""
        for kind in kinds:
            rows = lab_rows(kind)
            self.pbx.insert(kind, *rows)

    def pull(self, **values):
        """One pull; fails the test if it did not succeed."""
        log = pull.run(self.backend, **values)
        self.env.invalidate_all()
        self.assertEqual(log.state, "done", log.error)
        return log

    def calls(self, *domain):
        return self.env["pbx.call"].search(
            [("backend_id", "=", self.backend.id), *domain]
        )

    def call(self, key):
        return self.calls(("call_key", "=", key)).ensure_one()

    def state(self):
        """Everything the records of this phone system mean, in a comparable form."""
        self.env.invalidate_all()
        links = {call.id: call.call_key for call in self.calls()}
        found = {}
        for call in self.calls():
            values = {name: call[name] for name in CALL_FIELDS}
            values["fixed by"] = links.get(call.fix_call_id.id)
            values["queue"] = call.queue_id.code
            values["extension"] = call.extension_id.number
            values["legs"] = [
                (
                    *(leg[name] for name in LEG_FIELDS),
                    leg.queue_id.code,
                    leg.extension_id.number,
                )
                for leg in call.leg_ids
            ]
            values["records"] = len(call.record_ids)
            found[call.call_key] = values
        return found


CALL_FIELDS = [
    "direction",
    "outcome",
    "reason",
    "started_at",
    "answered_at",
    "ended_at",
    "wait_seconds",
    "queue_wait_seconds",
    "talk_seconds",
    "is_open",
    "hangup_by",
    "hangup_cause",
    "is_short",
    "is_anonymous",
    "is_out_of_hours",
    "has_voicemail",
    "is_disconnected",
    "client_number",
    "client_key",
    "client_name",
    "number_type",
    "our_number",
    "position_entry",
    "position_exit",
    "deadline_at",
    "resolution",
    "contact_at",
    "fixed_by",
    "fixed_at",
]
LEG_FIELDS = [
    "sequence",
    "kind",
    "agent",
    "started_at",
    "answered_at",
    "ended_at",
    "result",
    "position_entry",
    "position_exit",
    "hangup_cause",
]
