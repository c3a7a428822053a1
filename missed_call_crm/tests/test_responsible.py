# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).

from datetime import timedelta

from odoo.fields import Command
from odoo.tests import freeze_time, tagged

from ..intake import responsible
from .callback_common import NOW, CallbackCase

CLIENT = "+79120000001"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestResponsible(CallbackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.petr = cls.operator("petr", "UTC")
        cls.queue.member_ids = cls.olga | cls.ivan | cls.petr
        cls.anna = cls.env["res.partner"].create({"name": "Anna"})

    def find(self, *requests):
        return responsible.find(self.env, self.company, requests, NOW)

    def find_one(self, **values):
        request = responsible.Request(key="it", numbers=[CLIENT], **values)
        return self.find(request)["it"]

    def request(self, key, **values):
        return responsible.Request(key=key, **{"queue_id": self.queue.id, **values})

    # -- the chain -----------------------------------------------------------------

    def test_the_chain_from_first_to_last(self):
        """Whoever is first is taken away, and the next one has it."""
        rung, talker, salesman, lead_owner = (
            self.operator(login, "UTC")
            for login in ("rung", "talker", "salesman", "lead_owner")
        )
        last_resort = self.operator("last_resort", "UTC")
        supervisor = self.operator("supervisor", "UTC")
        self.company.pbx_callback_user_id = last_resort
        self.company.pbx_callback_supervisor_ids = supervisor
        self.queue.write({"assign_policy": "fixed", "assign_user_id": self.petr.id})
        self.anna.user_id = salesman
        lead = self.env["crm.lead"].create(
            {
                "name": "Deal",
                "type": "opportunity",
                "partner_id": self.anna.id,
                "company_id": self.company.id,
                "team_id": False,
                "user_id": lead_owner.id,
            }
        )
        self.talk(NOW - timedelta(days=9), user_id=rung.id)
        self.talk(NOW - timedelta(days=3), user_id=talker.id)
        miss = self.miss()
        self.ring(miss, rung)
        chain = [
            ("the contact's salesperson", salesman),
            ("the open lead's", lead_owner),
            ("who last talked to the client", talker),
            ("who was rung", rung),
            ("the group's person", self.petr),
            ("the group's supervisor", self.boss),
            ("the company's last resort", last_resort),
            ("the company's supervisor", supervisor),
        ]
        for what, user in chain:
            with self.subTest(what):
                found = self.find_one(
                    partner_id=self.anna.id,
                    lead_id=lead.id,
                    queue_id=self.queue.id,
                    call_ids=miss.ids,
                )
                self.assertEqual(found, user)
            user.active = False
        other_boss = self.operator(
            "other_boss", "UTC", "missed_call_crm.group_supervisor"
        )
        self.assertEqual(self.find_one(queue_id=self.queue.id), other_boss)

    def test_nobody_is_an_answer_neither(self):
        for user in self.company.user_ids:
            user.active = False
        choice = responsible.choose(
            self.env,
            self.company,
            [self.request("it", backend_id=self.backend.id)],
            NOW,
        )["it"]
        self.assertTrue(choice.is_fallback)
        user = self.env["res.users"].browse(choice.user_id)
        self.assertTrue(user.active)
        self.assertTrue(user.has_group("base.group_system"))

    def test_salesperson_of_the_company_of_the_contact(self):
        firm = self.env["res.partner"].create(
            {"name": "Firm", "is_company": True, "user_id": self.ivan.id}
        )
        self.anna.write({"parent_id": firm.id, "user_id": False})
        self.assertEqual(self.find_one(partner_id=self.anna.id), self.ivan)

    def test_leads_that_are_over_have_no_say(self):
        lead = self.env["crm.lead"].create(
            {
                "name": "Deal",
                "type": "opportunity",
                "phone": CLIENT,
                "company_id": self.company.id,
                "team_id": False,
                "user_id": self.ivan.id,
            }
        )
        self.assertEqual(lead.phone_sanitized, CLIENT)
        self.assertEqual(self.find_one(), self.ivan, "by the number alone")
        lead.action_set_lost()
        self.assertNotEqual(self.find_one(lead_id=lead.id), self.ivan)

    def test_talks_that_were_none_have_no_say(self):
        self.talk(NOW - timedelta(days=3), user_id=self.ivan.id)
        self.talk(NOW - timedelta(days=2), user_id=self.petr.id, not_reached=True)
        self.talk(NOW - timedelta(days=1), user_id=self.petr.id, contact_at=False)
        self.talk(NOW, "+79120000002", user_id=self.petr.id)
        self.assertEqual(self.find_one(), self.ivan)

    def test_a_talk_through_another_number_of_the_contact(self):
        self.talk(NOW, "+79120000002", user_id=self.petr.id, partner_id=self.anna.id)
        self.assertEqual(self.find_one(partner_id=self.anna.id), self.petr)

    def test_the_latest_miss_says_who_was_rung(self):
        first, second = self.miss(NOW - timedelta(hours=2)), self.miss()
        self.ring(first, self.olga)
        self.ring(second, self.petr)
        calls = (second | first).ids
        self.assertEqual(self.find_one(call_ids=calls), self.petr)
        self.petr.active = False
        self.assertEqual(self.find_one(call_ids=calls), self.olga)

    def test_of_several_rung_the_one_with_the_least_to_do(self):
        miss = self.miss()
        self.ring(miss, self.olga, self.ivan)
        self.assertEqual(self.find_one(call_ids=miss.ids), self.ivan, "the last rung")
        self.load(self.ivan, 1)
        self.assertEqual(self.find_one(call_ids=miss.ids), self.olga)

    # -- who is available -------------------------------------------------------------

    def test_not_available(self):
        """Each makes the only member unfit; the supervisor gets it."""
        self.queue.member_ids = self.ivan
        self.assertEqual(self.find(self.request(1))[1], self.ivan)
        resource = self.env["resource.resource"].create(
            {"name": "Ivan", "user_id": self.ivan.id, "company_id": self.company.id}
        )
        leaves = self.env["resource.calendar.leaves"]
        day = timedelta(days=1)
        group = self.env.ref("missed_call_crm.group_operator")
        other_company = self.env["res.company"].create({"name": "Other"})
        cases = {
            "archived": lambda: self.ivan.write({"active": False}),
            "not in the addon's groups": lambda: self.ivan.write(
                {"group_ids": [Command.unlink(group.id)]}
            ),
            "of another company": lambda: self.ivan.write(
                {
                    "company_ids": [Command.set(other_company.ids)],
                    "company_id": other_company.id,
                }
            ),
            "on leave": lambda: leaves.create(
                {
                    "resource_id": resource.id,
                    "date_from": NOW - day,
                    "date_to": NOW + day,
                }
            ),
            "out of office": lambda: self.ivan.write(
                {"out_of_office_from": NOW - day, "out_of_office_to": NOW + day}
            ),
            "out of office without end": lambda: self.ivan.write(
                {"out_of_office_from": NOW - day}
            ),
        }
        for what, make in cases.items():
            with self.subTest(what), self.env.cr.savepoint() as savepoint:
                make()
                self.assertEqual(self.find(self.request(1))[1], self.boss)
                savepoint.rollback()
                self.env.invalidate_all()
                self.env.registry.clear_cache("groups")
        with self.subTest("leave and office that are over or to come"):
            leaves.create(
                {
                    "resource_id": resource.id,
                    "date_from": NOW + day,
                    "date_to": NOW + 2 * day,
                }
            )
            self.ivan.write(
                {"out_of_office_from": NOW - 2 * day, "out_of_office_to": NOW - day}
            )
            self.assertEqual(self.find(self.request(1))[1], self.ivan)
        with self.subTest("training counts as work"):
            leaves.create(
                {
                    "resource_id": resource.id,
                    "date_from": NOW - day,
                    "date_to": NOW + day,
                    "time_type": "other",
                }
            )
            self.assertEqual(self.find(self.request(1))[1], self.ivan)

    # -- policies of the group -----------------------------------------------------

    def load(self, user, count):
        self.env["pbx.callback"].create(
            [
                {
                    "company_id": self.company.id,
                    "client_number": f"{user.login}-{index}",
                    "user_id": user.id,
                }
                for index in range(count)
            ]
        )

    def test_least_loaded(self):
        self.load(self.olga, 2)
        self.load(self.ivan, 1)
        found = self.find(*(self.request(key) for key in range(4)))
        self.assertEqual(
            [found[key] for key in range(4)],
            [self.petr, self.ivan, self.petr, self.olga],
            "fewest open callbacks, those given out in the batch counted; ties by id",
        )

    def test_closed_callbacks_are_no_load(self):
        self.load(self.olga, 2)
        self.env["pbx.callback"].search([("user_id", "=", self.olga.id)]).write(
            {"state": "done"}
        )
        self.load(self.ivan, 1)
        self.load(self.petr, 1)
        self.assertEqual(self.find(self.request(1))[1], self.olga)

    def test_round_robin(self):
        self.queue.assign_policy = "round_robin"
        found = self.find(*(self.request(key) for key in range(4)))
        self.assertEqual(
            [found[key] for key in range(4)],
            [self.olga, self.ivan, self.petr, self.olga],
        )
        self.assertEqual(self.queue.last_assigned_user_id, self.olga)
        self.ivan.active = False
        self.assertEqual(
            self.find(self.request(1))[1], self.petr, "he goes on, ivan out"
        )
        self.assertEqual(self.queue.last_assigned_user_id, self.petr)

    def test_fixed_person(self):
        self.queue.write({"assign_policy": "fixed", "assign_user_id": self.boss.id})
        self.assertEqual(self.find(self.request(1))[1], self.boss)

    # -- cost --------------------------------------------------------------------------

    def test_queries_do_not_grow_with_the_batch(self):
        def count(size):
            requests = [
                self.request(
                    index,
                    numbers=[f"+791200001{index:02}"],
                    partner_id=partners[index].id,
                    call_ids=misses[index].ids,
                )
                for index in range(size)
            ]
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.find(*requests)
            return self.env.cr.sql_log_count - before

        partners = self.env["res.partner"].create(
            [{"name": f"Client {index}"} for index in range(30)]
        )
        misses = [self.miss(number=f"+791200001{index:02}") for index in range(30)]
        for miss in misses:
            self.ring(miss, self.olga, self.ivan)
        count(2)
        self.assertEqual(count(30), count(2))
