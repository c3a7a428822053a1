# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta
from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import file_open, mute_logger

from ..models import pbx_call
from ..models.pbx_backend import PASSWORD_MASK
from .callback_common import NOW
from .common import RoleCase

CONNECTION = (
    "db_host",
    "db_port",
    "db_name",
    "db_user",
    "db_password",
    "db_sslmode",
    "db_ca_certificate",
    "cursor",
)


@tagged("post_install", "-at_install")
class TestSecrets(RoleCase):
    def setUp(self):
        super().setUp()
        self.backend.write({"db_password": "s3cret", "db_user": "reader"})
        self.env.flush_all()
        self.env.invalidate_all()

    def test_password_is_kept_but_never_read_back(self):
        self.assertEqual(self.backend._db_password__(), "s3cret")
        self.assertEqual(self.backend.with_user(self.admin).db_password, PASSWORD_MASK)
        values = self.backend.with_user(self.admin).read()[0]
        self.assertNotIn("s3cret", str(values))
        self.assertNotIn("db_password_stored", values)
        exported = self.backend.with_user(self.admin).export_data(["db_password"])
        self.assertNotIn("s3cret", str(exported))

    def test_stored_column_is_for_nobody(self):
        for user in (self.admin, self.manager, self.env.ref("base.user_admin")):
            backend = self.backend.with_user(user).with_context(
                allowed_company_ids=self.company.ids
            )
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                backend.read(["db_password_stored"])
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                backend.search([("db_password_stored", "like", "s%")])

    def test_saving_the_form_keeps_the_password(self):
        self.backend.with_user(self.admin).write({"db_password": PASSWORD_MASK})
        self.assertEqual(self.backend._db_password__(), "s3cret")
        self.backend.with_user(self.admin).write({"db_password": False})
        self.assertEqual(self.backend._db_password__(), "")

    def test_password_given_at_creation(self):
        backend = self.env["pbx.backend"].create(
            {"name": "New", "db_host": "192.0.2.2", "db_password": "first"}
        )
        self.assertEqual(backend._db_password__(), "first")
        self.assertFalse(backend.copy({"db_host": "192.0.2.3"})._db_password__())

    def test_connection_is_for_system_administrators(self):
        for user in (self.manager, self.boss):
            for name in CONNECTION:
                with self.subTest(user=user.login, name=name):
                    with self.assertRaises(AccessError):
                        self.backend.with_user(user).read([name])
        with self.assertRaises(AccessError):
            self.backend.with_user(self.manager).write({"db_host": "evil.example"})
        self.assertEqual(
            self.backend.with_user(self.admin).db_host, self.backend.db_host
        )

    def test_managers_set_the_rest(self):
        backend = self.backend.with_user(self.manager)
        backend.write({"interval_minutes": 7, "closed_pattern": "^night"})
        self.assertEqual(backend.interval_minutes, 7)
        with self.assertRaises(AccessError):
            backend.unlink()
        with self.assertRaises(AccessError):
            self.env["pbx.backend"].with_user(self.manager).create({"name": "x"})
        with self.assertRaises(AccessError):
            self.backend.with_user(self.boss).write({"interval_minutes": 1})

    def test_nobody_below_a_manager_runs_a_pull(self):
        for user in (self.boss, self.olga, self.stranger):
            backend = self.backend.with_user(user)
            for name in ("action_pull", "action_test", "action_backfill"):
                with self.subTest(user=user.login, name=name):
                    with self.assertRaises(AccessError):
                        getattr(backend, name)()

    def test_neutralised_copy_forgets_the_connection(self):
        with file_open("missed_call_crm/data/neutralize.sql") as script:
            self.env.cr.execute(script.read())
        self.env.invalidate_all()
        self.assertFalse(self.backend.active)
        self.assertFalse(self.backend.db_host)
        self.assertEqual(self.backend._db_password__(), "")


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestRoles(RoleCase):
    def sees(self, user, record):
        model = record.with_user(user).with_context(
            allowed_company_ids=user.company_ids.ids
        )
        return bool(model.search([("id", "=", record.id)]))

    def test_who_sees_a_call(self):
        in_queue = self.miss()
        own = self.talk(NOW, user_id=self.ivan.id)
        foreign = self.talk(NOW, "+79120000005", user_id=self.boss.id)
        rung = self.miss(NOW, "+79120000006", queue_id=False)
        self.ring(rung, self.ivan)
        callback = self.make_callback("+79120000007", user_id=self.ivan.id)
        expected = {
            in_queue: {self.olga, self.boss, self.manager},
            own: {self.ivan, self.boss, self.manager},
            foreign: {self.boss, self.manager},
            rung: {self.ivan, self.boss, self.manager},
            callback.missed_call_ids: {self.olga, self.ivan, self.boss, self.manager},
        }
        roles = (self.olga, self.ivan, self.boss, self.manager, self.other_boss)
        for number, (call, users) in enumerate(expected.items()):
            for user in roles:
                with self.subTest(call=number, user=user.login):
                    self.assertEqual(self.sees(user, call), user in users)
                    for leg in call.leg_ids:
                        self.assertEqual(self.sees(user, leg), user in users)

    def test_who_sees_a_callback(self):
        callback = self.make_callback()
        for user, seen in (
            (self.olga, True),
            (self.ivan, False),
            (self.boss, True),
            (self.other_boss, False),
        ):
            self.assertEqual(self.sees(user, callback), seen, user.login)
        with self.assertRaises(AccessError):
            self.env["pbx.callback"].with_user(self.stranger).search([])

    def test_supervisors_of_a_group_see_what_is_of_it(self):
        self.queue.supervisor_ids = self.ivan  # an operator by his rights
        callback = self.make_callback()
        call = callback.missed_call_ids
        self.ring(call, self.olga)
        for record in (callback, call, call.leg_ids):
            with self.subTest(model=record._name):
                self.assertTrue(self.sees(self.ivan, record))
        self.queue.supervisor_ids = self.boss
        for record in (callback, call, call.leg_ids):
            with self.subTest(model=record._name):
                self.assertFalse(self.sees(self.ivan, record))

    def test_mine_is_the_same_for_many_calls(self):
        with patch.object(pbx_call, "FEW_CALLS", 0):
            self.test_who_sees_a_call()

    def test_mine_is_known_of_each_call(self):
        foreign = self.talk(NOW, "+79120000005", user_id=self.boss.id)
        rung = self.miss(NOW, "+79120000006", queue_id=False)
        self.ring(rung, self.ivan)
        attempt = self.attempt(NOW, "+79120000007", user_id=False)
        attempt.attempt_callback_id = self.make_callback(user_id=self.ivan.id)
        calls = (foreign | rung | attempt).with_user(self.ivan)
        self.assertEqual(calls.sudo().filtered("is_mine"), calls[1:].sudo())
        domain = [("id", "in", calls.ids)]
        self.assertEqual(calls.search(domain), calls[1:].search(domain))
        self.assertEqual(len(calls.search(domain)), 2)
        not_mine = calls.sudo().search([*domain, ("is_mine", "=", False)])
        self.assertEqual(not_mine.ids, foreign.ids)
        foreign.user_id = self.ivan
        self.assertEqual(len(calls.search(domain)), 3)

    def test_everything_that_may_be_read_can_be_read_whole(self):
        callback = self.make_callback()
        self.ring(callback.missed_call_ids, self.olga)
        self.env["pbx.number.rule"].create(
            {"company_id": self.company.id, "number": "+79129999999"}
        )
        self.env["pbx.record"].create(
            {
                "backend_id": self.backend.id,
                "company_id": self.company.id,
                "key": "k",
                "kind": "cdr",
            }
        )
        self.env["pbx.extension"].create(
            {"number": "101", "backend_id": self.backend.id}
        )
        self.env["pbx.pull.log"].create(
            {"backend_id": self.backend.id, "state": "done", "started_at": NOW}
        )
        partner = self.env["res.partner"].create({"name": "Client"})
        partner.pbx_number_ids = [Command.create({"number": "+79120000009"})]
        names = [name for name in self.env if name.startswith("pbx.")]
        seen = set()
        for user in (self.olga, self.boss, self.manager, self.admin, self.stranger):
            for name in names:
                model = self.env[name].with_user(user)
                if model._abstract or not model.has_access("read"):
                    continue
                with self.subTest(user=user.login, model=name):
                    rows = model.search_read([])
                    if rows:
                        seen.add((user.login, name))
                        model.browse(rows[0]["id"]).read()
        for name in ("pbx.call", "pbx.callback", "pbx.call.leg"):
            self.assertIn(("olga", name), seen)
            self.assertIn(("boss", name), seen)
        self.assertIn(("mona", "pbx.record"), seen)

    def test_numbers_of_contacts_go_with_the_contact(self):
        Number = self.env["pbx.partner.number"]
        partner = self.env["res.partner"].create({"name": "Client"})
        theirs = self.env["res.partner"].create(
            {"name": "Theirs", "company_id": self.other_company.id}
        )
        number, foreign = Number.create(
            [
                {"partner_id": partner.id, "number": "+79120000009"},
                {"partner_id": theirs.id, "number": "+79120000008"},
            ]
        )
        olga = Number.with_user(self.olga).with_context(
            allowed_company_ids=self.company.ids
        )
        both = [("id", "in", (number | foreign).ids)]
        self.assertEqual(olga.search(both), number.with_env(olga.env))
        clerk = self.operator("carl", "UTC", "base.group_partner_manager")
        clerks = Number.with_user(clerk).with_context(
            allowed_company_ids=self.company.ids
        )
        values = {"partner_id": partner.id, "number": "+79120000007"}
        made = clerks.create(values)
        made.number = "+79120000006"
        with self.assertRaises(AccessError):
            clerks.browse(foreign.id).number = "+79120000005"
        with self.assertRaises(AccessError):
            clerks.create(dict(values, partner_id=theirs.id))
        with self.assertRaises(AccessError):
            made.partner_id = theirs
        self.assertFalse(partner.with_user(self.olga).has_access("write"))
        for action in (
            lambda: olga.create(values),
            lambda: olga.browse(number.id).write({"label": "home"}),
            lambda: olga.browse(number.id).unlink(),
        ):
            with self.assertRaises(AccessError):
                action()
        made.unlink()

    def test_nobody_writes_what_the_intake_writes(self):
        callback = self.make_callback()
        call = callback.missed_call_ids
        self.ring(call, self.olga)
        record = self.env["pbx.record"].create(
            {
                "backend_id": self.backend.id,
                "company_id": self.company.id,
                "key": "k",
                "kind": "cdr",
            }
        )
        for user in (self.olga, self.boss, self.manager, self.admin):
            for target, vals in (
                (call, {"resolution": "fixed"}),
                (call.leg_ids, {"result": "answered"}),
                (record, {"state": "assembled"}),
            ):
                target = target.with_user(user)
                with self.subTest(user=user.login, model=target._name):
                    with self.assertRaises(AccessError):
                        target.write(vals)
                    with self.assertRaises(AccessError):
                        target.unlink()
                    with self.assertRaises(AccessError):
                        target.copy()
        for user in (self.olga, self.boss, self.manager):
            with self.assertRaises(AccessError):
                callback.with_user(user).unlink()
            with self.assertRaises(AccessError):
                self.env["pbx.call.thread"].with_user(user).search([])

    def test_nobody_clicks_a_callback_done(self):
        callback = self.make_callback()
        for user in (self.olga, self.boss, self.manager):
            for vals in (
                {"state": "done"},
                {"deadline_at": NOW + timedelta(days=9)},
                {"said_done_at": NOW},
                {"missed_call_ids": [Command.clear()]},
            ):
                with self.subTest(user=user.login, vals=vals):
                    with self.assertRaises(AccessError):
                        callback.with_user(user).write(vals)
        self.assertEqual(callback.state, "todo")

    def test_supervisors_reassign_operators_do_not(self):
        callback = self.make_callback()
        callback.with_user(self.boss).user_id = self.ivan
        self.assertEqual(callback.user_id, self.ivan)
        with self.assertRaises(AccessError):
            callback.with_user(self.olga).user_id = self.olga

    def test_operators_decide_about_their_own(self):
        callback = self.make_callback()
        with self.assertRaises(AccessError):
            callback.with_user(self.ivan).action_dismiss("spam")
        with self.assertRaises(AccessError):
            callback.with_user(self.stranger).action_dismiss("spam")
        callback.with_user(self.olga).action_dismiss("spam")
        with self.assertRaises(AccessError):
            callback.with_user(self.ivan).action_reopen()
        foreign = self.talk(NOW, "+79120000005", user_id=self.boss.id)
        with self.assertRaises(AccessError):
            foreign.with_user(self.olga).action_not_reached()

    def test_operators_write_notes(self):
        callback = self.make_callback()
        callback.with_user(self.olga).message_post(body="rang twice")
        self.assertIn("rang twice", self.bodies(callback)[0])
        with self.assertRaises(AccessError):
            callback.with_user(self.ivan).message_post(body="not mine")

    def test_replay_is_for_managers(self):
        record = self.env["pbx.record"].create(
            {
                "backend_id": self.backend.id,
                "company_id": self.company.id,
                "key": "bad",
                "kind": "cdr",
                "payload": {"uniqueid": ""},
                "state": "rejected",
                "error": "no id",
            }
        )
        with self.assertRaises(AccessError):
            record.with_user(self.boss).action_replay()
        with self.assertRaises(AccessError):
            record.with_user(self.boss).read(["payload"])
        self.assertEqual(record.with_user(self.manager).state, "rejected")

    def test_freshness_is_known_to_operators_of_the_company(self):
        self.backend.last_success_at = NOW - timedelta(hours=2)
        olga = self.env["pbx.backend"].with_user(self.olga)
        found = olga.with_context(allowed_company_ids=self.company.ids).get_freshness()
        self.assertEqual([source["id"] for source in found], self.backend.ids)
        self.assertTrue(found[0]["stale"])
        self.assertFalse(found[0]["can_open"])
        self.assertNotIn("192.0.2.1", str(found))
        otto = self.env["pbx.backend"].with_user(self.other_boss)
        self.assertFalse(
            otto.with_context(
                allowed_company_ids=self.other_company.ids
            ).get_freshness()
        )
        with self.assertRaises(AccessError):
            self.env["pbx.backend"].with_user(self.stranger).get_freshness()

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_configuration_is_for_managers(self):
        self.queue.with_user(self.manager).sla_seconds = 30
        for user in (self.olga, self.boss):
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                self.queue.with_user(user).sla_seconds = 10
        with self.assertRaises(AccessError):
            self.queue.with_user(self.stranger).read(["name"])
