# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).

from datetime import date, datetime, timedelta
from itertools import product
from unittest.mock import patch

from psycopg2.errors import SerializationFailure

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from ..intake import callback_debts
from .callback_common import NOW, CallbackCase

NUMBER = "+79120000001"
OTHER = "+79120000002"
THIRD = "+79120000003"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestCallbacks(CallbackCase, CronMixinCase):
    def client(self, name, number, *further, **values):
        """A contact with these numbers."""
        return self.env["res.partner"].create(
            {
                "name": name,
                "phone": number,
                "country_id": self.env.ref("base.ru").id,
                "pbx_number_ids": [Command.create({"number": key}) for key in further],
                **values,
            }
        )

    # -- new debts ---------------------------------------------------------------

    def test_a_miss_makes_one_callback_with_one_activity(self):
        miss = self.miss(NOW - timedelta(hours=1))
        counts = self.sync()
        self.assertEqual(counts, {"created": 1, "activities": 1})
        callback = self.callback()
        self.assertRecordValues(
            callback,
            [
                {
                    "client_number": "+79120000001",
                    "state": "todo",
                    "user_id": self.olga.id,
                    "queue_id": self.queue.id,
                    "missed_count": 1,
                    "attempt_count": 0,
                    "deadline_at": miss.deadline_at,
                    "first_missed_at": miss.started_at,
                    "last_missed_at": miss.ended_at,
                }
            ],
        )
        self.assertEqual(callback.missed_call_ids, miss)
        activity = self.activity(callback)
        self.assertEqual(len(activity), 1)
        self.assertEqual(activity.user_id, self.olga)
        self.assertTrue(activity.automated)
        self.assertEqual(activity.activity_category, "phonecall")

    def test_a_second_run_changes_nothing(self):
        self.miss()
        self.sync()
        messages = self.callback().message_ids
        self.assertEqual(self.sync(), {})
        self.assertEqual(self.callback().message_ids, messages)
        self.assertEqual(len(self.activity(self.callback())), 1)

    def test_the_activity_has_the_day_and_hour_of_the_responsible(self):
        """21:30 UTC is the next day in Moscow, and not in Berlin."""
        self.miss(datetime(2026, 3, 10, 21, 29, 30))
        self.queue.member_ids = self.ivan
        self.sync()
        activity = self.activity(self.callback())
        self.assertEqual(activity.date_deadline, date(2026, 3, 12))
        self.assertIn("00:30", activity.summary)
        self.assertIn("+79120000001", activity.summary)
        self.callback().user_id = self.boss
        self.assertEqual(activity.user_id, self.boss)
        self.assertEqual(activity.date_deadline, date(2026, 3, 11))
        self.assertIn("22:30", activity.summary)

    def test_nobody_gets_a_mail_by_the_activity(self):
        mails = self.env["mail.mail"].search_count([])
        notices = self.env["mail.notification"].search_count([])
        self.miss()
        self.miss(number=OTHER)
        self.sync()
        self.assertEqual(self.env["mail.mail"].search_count([]), mails)
        self.assertEqual(self.env["mail.notification"].search_count([]), notices)

    def test_further_misses_join(self):
        first = self.miss(NOW - timedelta(hours=3))
        self.sync()
        callback = self.callback()
        activity = self.activity(callback)
        second = self.miss(NOW - timedelta(hours=1))
        self.assertEqual(self.sync(), {"joined": 1})
        self.assertEqual(self.callback(), callback)
        self.assertEqual(callback.missed_call_ids, first | second)
        self.assertEqual(callback.missed_count, 2)
        self.assertEqual(callback.deadline_at, first.deadline_at)
        self.assertEqual(callback.last_missed_at, second.ended_at)
        self.assertEqual(self.activity(callback), activity, "the same one, updated")
        self.assertIn("2 times", activity.summary)
        self.assertEqual(activity.note.count("<li>"), 2)

    def test_a_day_chosen_by_hand_stays_until_the_deadline_moves(self):
        self.miss(NOW - timedelta(hours=3))
        self.sync()
        activity = self.activity(self.callback())
        activity.date_deadline = date(2026, 3, 20)
        self.sync()
        self.assertEqual(activity.date_deadline, date(2026, 3, 20))
        self.miss(NOW - timedelta(hours=4), hours=2)
        self.sync()
        self.assertEqual(
            self.callback().deadline_at, NOW - timedelta(minutes=119, seconds=30)
        )
        self.assertEqual(activity.date_deadline, date(2026, 3, 10))

    def test_the_callers_words_are_text(self):
        self.miss(client_name="<img src=x onerror=alert(1)>")
        self.sync()
        callback = self.callback()
        self.assertNotIn("<img", self.activity(callback).note)
        self.assertIn("&lt;img", self.activity(callback).note)

    def test_who_is_owed_nothing(self):
        self.miss(number=False, is_anonymous=True, resolution="ignored")
        self.miss(number="+79120000010", resolution="ignored")
        self.miss(number="+79120000011", resolution="fixed", fixed_at=NOW)
        self.miss(number="+79120000012", resolution="dismissed")
        self.miss(number="+79120000013", is_open=True)
        self.attempt(NOW, "+79120000014")
        self.sync()
        self.assertFalse(self.callbacks())

    def test_no_callbacks_where_outbound_calls_are_not_seen(self):
        self.backend.create_callbacks = False
        self.miss()
        self.sync()
        self.assertFalse(self.callbacks())
        self.backend.create_callbacks = True
        self.sync()
        self.assertTrue(self.callbacks())

    def test_history_is_not_work(self):
        self.miss(NOW - timedelta(hours=30), from_history=True)
        self.miss(NOW - timedelta(hours=1), OTHER, from_history=True)
        self.company.pbx_history_callbacks = False
        self.sync()
        self.assertFalse(self.callbacks())
        self.company.pbx_history_callbacks = True
        self.sync()
        self.assertEqual(self.callback().client_number, OTHER)

    def test_a_miss_read_late_is_work_and_overdue(self):
        self.miss(NOW - timedelta(hours=30))
        self.sync()
        self.assertEqual(self.stored(self.callback(), "state"), "overdue")

    def test_old_misses_are_no_new_work(self):
        """Callbacks switched on later begin with what is still worth calling back."""
        self.backend.create_callbacks = False
        window = timedelta(hours=24, seconds=30)
        limit = NOW - timedelta(hours=72) - window
        self.miss(limit - timedelta(seconds=1))
        self.miss(limit, OTHER)
        self.miss(NOW - timedelta(days=300), "+79120000004")
        self.backend.create_callbacks = True
        self.sync()
        self.assertEqual(self.callback().client_number, OTHER)
        self.assertEqual(self.stored(self.callback(), "state"), "overdue")

    def test_old_misses_join_the_work_there_is(self):
        """Read together with a new one of the client, and after it."""
        old = self.miss(NOW - timedelta(days=9))
        new = self.miss(NOW - timedelta(hours=1))
        self.sync()
        self.assertEqual(self.callback().missed_call_ids, old | new)
        oldest = self.miss(NOW - timedelta(days=30))
        self.miss(NOW - timedelta(days=30), from_history=True)
        self.assertEqual(self.sync()["joined"], 1)
        self.assertEqual(self.callback().missed_call_ids, oldest | old | new)

    def test_companies_are_apart(self):
        other = self.env["res.company"].create({"name": "Other"})
        backend = self.backend.copy(
            {"company_id": other.id, "db_host": "192.0.2.2", "active": True}
        )
        self.miss()
        self.miss(company_id=other.id, backend_id=backend.id, queue_id=False)
        self.sync()
        self.assertEqual(len(self.callbacks()), 1)
        self.assertFalse(
            self.env["pbx.callback"].search([("company_id", "=", other.id)])
        )

    # -- the same client through other numbers ------------------------------------

    def test_other_number_of_the_contact_joins_by_setting(self):
        partner = self.client("Anna", NUMBER, OTHER, THIRD)
        self.company.pbx_match_scope = "number"
        self.miss(partner_id=partner.id)
        self.sync()
        self.miss(number=THIRD, partner_id=partner.id)
        self.sync()
        self.assertEqual(len(self.callbacks()), 2)
        self.callbacks()[1].action_dismiss("duplicate")
        self.company.pbx_match_scope = "contact"
        third = self.miss(number=OTHER, partner_id=partner.id)
        self.sync()
        self.assertEqual(third.callback_id, self.callbacks()[0])

    def test_numbers_of_one_contact_are_one_client(self):
        """By the same rule as misses are fixed by, though never seen before."""
        partner = self.client("Anna", NUMBER, OTHER)
        self.miss(partner_id=partner.id)
        self.miss(number=OTHER, partner_id=partner.id)
        self.sync()
        self.assertEqual(self.callback().missed_count, 2)

    def test_colleagues_are_one_client_by_setting_only(self):
        firm = self.env["res.partner"].create({"name": "Firm", "is_company": True})
        anna = self.client("Anna", NUMBER, parent_id=firm.id)
        boris = self.client("Boris", OTHER, THIRD, parent_id=firm.id)
        self.miss(partner_id=anna.id)
        self.sync()
        self.miss(number=OTHER, partner_id=boris.id)
        self.company.pbx_match_scope = "company"
        self.sync()
        self.assertEqual(self.callback().missed_count, 2)
        self.company.pbx_match_scope = "contact"
        self.miss(number=THIRD, partner_id=boris.id)
        self.sync()
        self.assertEqual(len(self.callbacks()), 2)

    def test_numbers_shared_by_the_people_of_a_firm_are_two_clients(self):
        """The calls are the firm's, but a talk with one number fixes none of the other.

        In one callback, the second number would never be called.
        """
        self.company.pbx_match_scope = "contact"
        firm = self.env["res.partner"].create({"name": "Firm", "is_company": True})
        for name in ("Anna", "Boris"):
            self.client(name, NUMBER, OTHER, parent_id=firm.id)
        self.miss(NOW - timedelta(hours=3), partner_id=firm.id)
        self.sync()
        self.miss(NOW - timedelta(hours=2), OTHER, partner_id=firm.id)
        self.sync()
        self.assertEqual(self.callbacks().mapped("client_number"), [NUMBER, OTHER])
        self.talk(NOW - timedelta(hours=1), partner_id=firm.id)
        self.sync()
        self.assertEqual(self.callback(NUMBER).state, "done")
        self.assertEqual(self.callback(OTHER).state, "todo")

    def test_the_number_to_call_is_one_that_is_owed(self):
        partner = self.client("Anna", NUMBER, OTHER)
        self.miss(NOW - timedelta(hours=3), partner_id=partner.id)
        other = self.miss(NOW - timedelta(hours=2), OTHER, partner_id=partner.id)
        self.sync()
        callback = self.callback()
        partner.pbx_number_ids.unlink()
        self.talk(NOW - timedelta(hours=1))
        self.assertEqual(self.sync(), {"renumbered": 1})
        self.assertEqual(callback.state, "todo")
        self.assertEqual(callback.client_number, OTHER)
        self.assertEqual(callback.deadline_at, other.deadline_at)
        self.assertIn(OTHER, self.activity(callback).summary)
        self.assertNotIn(NUMBER, self.activity(callback).summary)
        self.assertIn(OTHER, self.bodies(callback)[0])
        self.assertEqual(self.sync(), {})
        self.talk(NOW, OTHER)
        self.assertEqual(self.sync(), {"done": 1})

    def test_what_is_owed_goes_to_the_open_callback_of_that_number(self):
        partner = self.client("Anna", NUMBER, OTHER)
        self.miss(NOW - timedelta(hours=3), partner_id=partner.id)
        moving = self.miss(NOW - timedelta(hours=2), OTHER, partner_id=partner.id)
        self.sync()
        first = self.callback()
        partner.pbx_number_ids.unlink()
        self.miss(NOW - timedelta(minutes=90), OTHER)
        self.sync()
        second = self.callbacks() - first
        self.talk(NOW - timedelta(hours=1))
        self.sync()
        self.assertEqual(first.state, "done")
        self.assertEqual(first.client_number, NUMBER)
        self.assertEqual(moving.callback_id, second)
        self.assertEqual(second.state, "todo")
        self.assertEqual(second.missed_count, 2)
        self.assertEqual(second.deadline_at, moving.deadline_at)
        self.assertEqual(self.sync(), {})

    # -- clients who turn out to be one --------------------------------------------

    def test_a_further_number_makes_two_callbacks_one(self):
        partner = self.client("Anna", NUMBER)
        self.miss(NOW - timedelta(hours=1), partner_id=partner.id)
        earlier = self.miss(NOW - timedelta(hours=3), OTHER)
        tried = self.attempt(NOW - timedelta(minutes=20))
        self.sync()
        gone, stays = self.callback(NUMBER), self.callback(OTHER)
        activity, dropped = self.activity(stays), self.activity(gone)
        with self.capture_triggers("missed_call_crm.ir_cron_follow_up") as captured:
            partner.pbx_number_ids = [Command.create({"number": OTHER})]
        self.assertEqual(len(captured.records), 1)
        self.assertEqual(self.sync(), {"united": 1})
        self.assertEqual(stays.state, "todo")
        self.assertEqual(stays.missed_count, 2)
        self.assertEqual(stays.deadline_at, earlier.deadline_at)
        self.assertEqual(stays.partner_id, partner)
        self.assertEqual(stays.attempt_call_ids, tried)
        self.assertEqual(stays.attempt_count, 1)
        self.assertEqual(self.activity(stays), activity)
        self.assertIn("2 times", activity.summary)
        self.assertIn(NUMBER, self.bodies(stays)[0])
        self.assertEqual(gone.state, "cancelled")
        self.assertFalse(gone.missed_call_ids)
        self.assertEqual(gone.missed_count, 0)
        self.assertFalse(dropped.exists())
        self.assertIn(OTHER, self.bodies(gone)[0])
        self.assertEqual(self.sync(), {})

    def test_merged_contacts_have_one_callback(self):
        first, second = self.client("Anna", NUMBER), self.client("Boris", OTHER)
        self.miss(NOW - timedelta(hours=3), partner_id=first.id)
        self.miss(NOW - timedelta(hours=1), OTHER, partner_id=second.id)
        self.sync()
        stays, gone = self.callbacks()
        # said to be done before the other one's miss, which nobody answered
        stays.said_done_at = NOW - timedelta(hours=2)
        with self.capture_triggers("missed_call_crm.ir_cron_follow_up") as captured:
            self.env["base.partner.merge.automatic.wizard"]._merge(
                (first | second).ids, first
            )
        self.assertTrue(captured.records)
        self.assertEqual(self.sync(), {"united": 1})
        self.assertEqual(stays.missed_count, 2)
        self.assertFalse(stays.said_done_at)
        self.assertEqual(gone.state, "cancelled")
        self.assertEqual(self.sync(), {})

    def test_a_firms_callbacks_become_one_by_setting(self):
        firm = self.env["res.partner"].create({"name": "Firm", "is_company": True})
        for index, number in enumerate((NUMBER, OTHER, THIRD)):
            person = self.client(f"Person {index}", number, parent_id=firm.id)
            self.miss(NOW - timedelta(hours=index), number, partner_id=person.id)
        self.company.pbx_match_scope = "contact"
        self.sync()
        self.assertEqual(len(self.callbacks()), 3)
        self.company.pbx_match_scope = "company"
        self.assertEqual(self.sync(), {"united": 2})
        self.assertEqual(self.callback(THIRD).missed_count, 3)
        self.assertEqual(
            self.callbacks().mapped("state"), ["todo", "cancelled", "cancelled"]
        )

    def test_a_shared_number_makes_nobody_one(self):
        self.company.pbx_match_scope = "contact"
        self.client("Anna", NUMBER, OTHER)
        self.client("Boris", OTHER)
        self.miss()
        self.miss(number=OTHER)
        self.sync()
        self.sync()
        self.assertEqual(len(self.callbacks()), 2)
        self.assertEqual(self.callbacks().mapped("state"), ["todo", "todo"])

    # -- attempts ------------------------------------------------------------------

    def test_attempts_are_counted_once_and_never_fix(self):
        before = self.attempt(NOW - timedelta(hours=2))
        miss = self.miss(NOW - timedelta(hours=1))
        first = self.attempt(NOW - timedelta(minutes=30))
        running = self.attempt(NOW - timedelta(minutes=1), is_open=True)
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.attempt_call_ids, first)
        self.assertEqual(callback.attempt_count, 1)
        self.assertEqual(callback.last_attempt_at, first.started_at)
        self.assertEqual(callback.state, "todo")
        self.assertEqual(miss.resolution, "pending")
        running.is_open = False
        self.assertEqual(self.sync(), {"attempts": 1})
        self.assertEqual(callback.attempt_count, 2)
        self.assertFalse(before.attempt_callback_id)

    def test_what_an_attempt_is_stands_the_same_in_sql_and_python(self):
        self.miss(NOW - timedelta(hours=1))
        calls = self.env["pbx.call"]
        for direction, is_open, contact_at, not_reached in product(
            ("inbound", "outbound", "internal"),
            (False, True),
            (False, NOW),
            (False, True),
        ):
            calls += self.create_call(
                NOW - timedelta(minutes=30),
                direction=direction,
                is_open=is_open,
                contact_at=contact_at,
                not_reached=not_reached,
            )
        self.sync()
        attempts = self.callback().attempt_call_ids
        self.assertEqual(len(attempts), 3)
        self.assertEqual(attempts, calls.filtered("attempt"))

    def test_attempts_to_another_number_of_the_contact(self):
        partner = self.env["res.partner"].create({"name": "Anna"})
        self.miss(NOW - timedelta(hours=1), partner_id=partner.id)
        call = self.attempt(NOW, OTHER, partner_id=partner.id)
        self.company.pbx_match_scope = "number"
        self.sync()
        self.assertEqual(self.callback().attempt_count, 0)
        self.company.pbx_match_scope = "contact"
        self.sync()
        self.assertEqual(self.callback().attempt_call_ids, call)

    def test_attempts_seen_together_with_the_contact(self):
        self.miss(NOW - timedelta(hours=2))
        self.sync()
        attempt = self.attempt(NOW - timedelta(hours=1))
        self.talk(NOW - timedelta(minutes=30))
        later = self.attempt(NOW - timedelta(minutes=10))
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.state, "done")
        self.assertEqual(callback.attempt_call_ids, attempt)
        self.assertEqual(callback.attempt_count, 1)
        self.assertFalse(later.attempt_callback_id)
        self.assertEqual(self.sync(), {})

    # -- closing -------------------------------------------------------------------

    def test_called_back_in_time(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        activity = self.activity(callback)
        call = self.talk(NOW - timedelta(minutes=5))
        self.assertEqual(self.sync(), {"done": 1})
        self.assertEqual(callback.state, "done")
        self.assertEqual(callback.done_at, call.contact_at)
        self.assertEqual(callback.done_call_id, call)
        self.assertFalse(callback.said_done_at, "nobody said so, it is proved")
        self.assertFalse(activity.active)
        self.assertIn("olga", activity.feedback)
        self.assertIn("14:55", activity.feedback)
        self.assertIn(call.call_key, activity.feedback)
        self.assertTrue(any(call.call_key in body for body in self.bodies(callback)))
        self.assertEqual(self.sync(), {})

    def test_the_chatter_line_is_that_of_a_finished_activity(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        activity = self.activity(callback)
        summary = activity.summary
        call = self.talk(NOW - timedelta(minutes=5))
        self.sync()
        message = callback.message_ids[0]
        self.assertEqual(message.subtype_id, self.env.ref("mail.mt_activities"))
        self.assertEqual(message.mail_activity_type_id, self.activity_type)
        self.assertEqual(message.author_id, self.env.ref("base.partner_root"))
        self.assertIn(summary, message.body)
        self.assertIn(call.call_key, message.body)
        self.assertEqual(activity.date_done, NOW.date())

    def test_what_people_attached_goes_to_the_chatter(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        activity = self.activity(callback)
        attachment = self.env["ir.attachment"].create(
            {"name": "a", "res_model": "mail.activity", "res_id": activity.id}
        )
        self.talk(NOW)
        self.sync()
        self.assertFalse(activity.active)
        self.assertEqual(callback.message_ids[0].attachment_ids, attachment)

    def test_a_next_activity_of_the_type_is_scheduled(self):
        """An administrator may have chained one to ours."""
        self.activity_type.write(
            {
                "chaining_type": "trigger",
                "triggered_next_type_id": self.env.ref("mail.mail_activity_data_todo"),
            }
        )
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.talk(NOW)
        self.sync()
        self.assertEqual(
            callback.activity_ids.activity_type_id,
            self.env.ref("mail.mail_activity_data_todo"),
        )

    def test_closing_many_costs_little_more_than_closing_one(self):
        def close(count):
            numbers = [f"+7912000{count:02}{index:02}" for index in range(count)]
            for number in numbers:
                self.miss(NOW - timedelta(hours=1), number)
            self.sync()
            for number in numbers:
                self.talk(NOW, number)
            self.env.flush_all()
            before = self.env.cr.sql_log_count
            self.assertEqual(self.sync(), {"done": count})
            return self.env.cr.sql_log_count - before

        close(1)
        self.assertLess(close(40), close(1) + 80)

    def test_the_client_rang_again(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        call = self.talk(NOW, direction="inbound", user_id=self.ivan.id)
        self.sync()
        self.assertEqual(self.callback().state, "done")
        self.assertEqual(self.callback().done_call_id, call)

    def test_reached_late(self):
        self.miss(NOW - timedelta(hours=30))
        self.sync()
        self.talk(NOW - timedelta(hours=1))
        self.assertEqual(self.sync(), {"late": 1})
        self.assertEqual(self.callback().state, "late")

    def test_one_late_miss_makes_it_late(self):
        self.miss(NOW - timedelta(hours=30))
        self.miss(NOW - timedelta(hours=2))
        self.sync()
        self.talk(NOW - timedelta(hours=1))
        self.sync()
        self.assertEqual(
            self.callback().missed_call_ids.mapped("resolution"), ["fixed", "late"]
        )
        self.assertEqual(self.callback().state, "late")

    def test_contact_and_new_miss_in_one_pull_are_two_callbacks(self):
        self.miss(NOW - timedelta(hours=3))
        self.sync()
        first = self.callback()
        self.talk(NOW - timedelta(hours=2))
        attempt = self.attempt(NOW - timedelta(minutes=30))
        self.miss(NOW - timedelta(hours=1))
        counts = self.sync()
        self.assertEqual(counts["done"], 1)
        self.assertEqual(counts["created"], 1)
        second = self.callbacks() - first
        self.assertEqual(first.state, "done")
        self.assertEqual(second.state, "todo")
        self.assertEqual(attempt.attempt_callback_id, second)

    def test_closing_without_activity_leaves_a_note(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.activity(callback).with_user(self.olga).action_feedback(feedback="Done")
        self.assertEqual(callback.said_done_by, self.olga)
        call = self.talk(NOW)
        self.sync()
        self.assertEqual(callback.state, "done")
        self.assertIn(call.call_key, self.bodies(callback)[0])

    def test_all_activities_of_the_type_close(self):
        """Also one somebody added by hand."""
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        callback.activity_schedule(
            "missed_call_crm.mail_activity_type_callback",
            user_id=self.ivan.id,
            automated=False,
        )
        self.assertEqual(len(self.activity(callback)), 2)
        self.talk(NOW)
        self.sync()
        self.assertFalse(self.activity(callback))

    def test_withdrawn_by_a_late_record(self):
        miss = self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        activity = self.activity(callback)
        miss.write({"outcome": "answered", "reason": False, "resolution": False})
        self.assertEqual(self.sync(), {"withdrawn": 1, "cancelled": 1})
        self.assertEqual(callback.state, "cancelled")
        self.assertFalse(miss.callback_id)
        self.assertEqual(callback.missed_count, 0)
        self.assertFalse(activity.exists())
        self.assertTrue(any("no miss" in body for body in self.bodies(callback)))

    def test_one_of_two_withdrawn(self):
        first = self.miss(NOW - timedelta(hours=3))
        second = self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        first.write({"outcome": "answered", "reason": False, "resolution": False})
        self.sync()
        self.assertEqual(callback.state, "todo")
        self.assertEqual(callback.missed_call_ids, second)
        self.assertEqual(callback.missed_count, 1)
        self.assertEqual(callback.deadline_at, second.deadline_at)
        self.assertNotIn("times", self.activity(callback).summary)

    def test_only_ignored_misses_left(self):
        miss = self.miss()
        self.sync()
        miss.resolution = "ignored"
        self.sync()
        self.assertEqual(self.callback().state, "cancelled")

    def test_a_deleted_call_leaves_no_debt(self):
        """Two calls that a late record joined are one; the younger is deleted."""
        miss = self.miss()
        self.sync()
        miss.unlink()
        self.sync()
        self.assertEqual(self.callback().state, "cancelled")

    def test_contact_and_lead_get_a_line_per_event(self):
        partner = self.env["res.partner"].create({"name": "Anna"})
        lead = self.env["crm.lead"].create(
            {"name": "Deal", "company_id": self.company.id, "team_id": False}
        )
        links = {"partner_id": partner.id, "lead_id": lead.id}
        before = {record: len(record.message_ids) for record in (partner, lead)}
        self.miss(NOW - timedelta(hours=1), **links)
        self.sync()
        self.sync()
        call = self.talk(NOW, **links)
        self.sync()
        self.sync()
        for record in (partner, lead):
            bodies = self.bodies(record)
            self.assertEqual(len(bodies) - before[record], 2)
            self.assertIn("Missed call", bodies[1])
            self.assertIn(call.call_key, bodies[0])

    def test_links_into_other_companies_are_left_out(self):
        other = self.env["res.company"].create({"name": "Other"})
        partner = self.env["res.partner"].create(
            {"name": "Anna", "company_id": other.id}
        )
        self.miss(partner_id=partner.id)
        self.sync()
        self.assertFalse(self.callback().partner_id)

    # -- opened again by evidence -----------------------------------------------------

    def test_not_reached_opens_again(self):
        self.miss(NOW - timedelta(hours=2))
        self.sync()
        call = self.talk(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.state, "done")
        call.action_not_reached()
        self.sync()
        self.assertEqual(callback.state, "todo")
        self.assertFalse(callback.done_at)
        self.assertFalse(callback.done_call_id)
        self.assertEqual(len(self.activity(callback)), 1)
        self.assertEqual(callback.not_reached_call_ids, call)
        self.assertEqual(callback.attempt_count, 1)
        callback.action_reopen()  # the button was still on the screen
        call.action_reached()
        self.sync()
        self.assertEqual(callback.state, "done")
        self.assertEqual(callback.attempt_count, 0)

    def test_owed_again_while_the_client_has_an_open_callback(self):
        miss = self.miss(NOW - timedelta(hours=5))
        self.sync()
        old = self.callback()
        call = self.talk(NOW - timedelta(hours=4))
        self.sync()
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        new = self.callbacks() - old
        call.action_not_reached()
        self.sync()
        self.assertEqual(miss.callback_id, new)
        self.assertEqual(new.missed_count, 2)
        self.assertEqual(new.deadline_at, miss.deadline_at)
        self.assertEqual(self.stored(old, "state"), "cancelled")
        self.assertEqual(self.sync(), {})

    def test_two_closed_callbacks_owed_again_become_one(self):
        self.miss(NOW - timedelta(hours=8))
        self.sync()
        first = self.talk(NOW - timedelta(hours=7))
        self.sync()
        self.miss(NOW - timedelta(hours=6))
        self.sync()
        second = self.talk(NOW - timedelta(hours=5))
        self.sync()
        (first | second).action_not_reached()
        self.sync()
        older, newer = self.callbacks()
        self.assertEqual(older.state, "cancelled")
        self.assertEqual(newer.state, "todo")
        self.assertEqual(newer.missed_count, 2)

    def test_a_dismissal_stands_and_a_new_miss_is_a_new_debt(self):
        miss = self.miss(NOW - timedelta(hours=2))
        self.sync()
        callback = self.callback()
        callback.with_user(self.olga).action_dismiss("spam")
        self.talk(NOW - timedelta(hours=1))
        self.sync()
        self.assertEqual(callback.state, "dismissed")
        self.assertEqual(miss.resolution, "dismissed")
        self.assertFalse(self.activity(callback))
        self.miss(NOW)
        self.sync()
        self.assertEqual(len(self.callbacks()), 2)
        self.assertEqual(callback.state, "dismissed")

    def test_what_a_dismissal_did_not_cover_is_owed(self):
        fixed = self.miss(NOW - timedelta(hours=5))
        self.sync()
        call = self.talk(NOW - timedelta(hours=4))
        callback = self.callback()
        callback.missed_call_ids |= self.miss(NOW - timedelta(hours=1))
        self.assertEqual(fixed.resolution, "fixed")
        callback.action_dismiss("duplicate")
        call.action_not_reached()
        self.sync()
        self.assertEqual(callback.state, "dismissed")
        self.assertNotEqual(fixed.callback_id, callback)
        self.assertEqual(fixed.callback_id.state, "todo")

    def test_reopen_by_hand_brings_the_activity_back(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        callback.action_dismiss("spam")
        self.assertFalse(self.activity(callback))
        callback.with_user(self.boss).action_reopen()
        self.assertEqual(callback.state, "todo")
        self.assertEqual(len(self.activity(callback)), 1)
        callback.action_dismiss("spam")
        call = self.talk(NOW)
        callback.action_reopen()
        self.assertEqual(callback.state, "done", "the calls say so")
        self.assertEqual(callback.done_call_id, call)
        with self.assertRaises(UserError):
            callback.action_reopen()

    def test_an_earlier_contact_that_arrives_late_corrects(self):
        """Resolution goes by time, never by the order of arrival."""
        self.miss(NOW - timedelta(hours=30))
        self.sync()
        self.talk(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.state, "late")
        early = self.talk(NOW - timedelta(hours=20))
        self.sync()
        self.assertEqual(callback.state, "done")
        self.assertEqual(callback.done_call_id, early)
        self.assertEqual(callback.done_at, early.contact_at)
        self.assertEqual(self.sync(), {})

    # -- time ----------------------------------------------------------------------

    def test_the_deadline_passes(self):
        miss = self.miss(NOW - timedelta(hours=1), hours=2)
        self.sync()
        callback = self.callback()
        self.sync(now=miss.deadline_at)
        self.assertEqual(self.stored(callback, "state"), "todo", "inclusive")
        counts = self.sync(now=miss.deadline_at + timedelta(seconds=1))
        self.assertEqual(counts, {"overdue": 1})
        self.assertEqual(self.stored(callback, "state"), "overdue")
        self.assertEqual(len(self.activity(callback)), 1)

    # -- people's doings -------------------------------------------------------------

    def test_a_deleted_activity_comes_back(self):
        self.miss()
        self.sync()
        callback = self.callback()
        self.activity(callback).unlink()
        self.assertEqual(self.sync(), {"activities": 1})
        self.assertEqual(len(self.activity(callback)), 1)

    def test_said_done_without_proof_comes_back(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.activity(callback).with_user(self.olga).action_done()
        self.assertEqual(callback.said_done_at, NOW)
        self.assertEqual(callback.state, "todo", "only a record closes it")
        self.sync(now=NOW + timedelta(minutes=59))
        self.assertFalse(self.activity(callback))
        counts = self.sync(now=NOW + timedelta(minutes=60))
        self.assertEqual(counts, {"activities": 1, "unproved": 1})
        activity = self.activity(callback)
        self.assertEqual(len(activity), 1)
        self.assertIn("olga", activity.note)
        self.assertIn("no call", self.bodies(callback)[0])
        self.assertFalse(callback.said_done_at)
        self.assertEqual(self.sync(now=NOW + timedelta(hours=2)), {})

    def test_missed_again_after_it_was_said_done(self):
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        callback = self.callback()
        self.activity(callback).action_done()
        self.miss(NOW + timedelta(minutes=1))
        self.sync(now=NOW + timedelta(minutes=2))
        self.assertEqual(len(self.activity(callback)), 1)
        self.assertFalse(callback.said_done_at)

    def test_an_activity_given_to_another_makes_him_responsible(self):
        self.miss()
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.user_id, self.olga)
        self.activity(callback).user_id = self.boss
        self.sync()
        self.assertEqual(callback.user_id, self.boss)
        self.assertIn("13:00", self.activity(callback).summary)
        stranger = self.env.ref("base.user_admin")
        self.activity(callback).user_id = stranger
        self.sync()
        self.assertEqual(callback.user_id, self.boss, "he does not work here")
        self.assertEqual(self.activity(callback).user_id, self.boss)

    def test_the_responsible_is_gone(self):
        self.miss()
        self.sync()
        callback = self.callback()
        self.olga.active = False
        self.assertEqual(self.sync(), {"reassigned": 1})
        self.assertEqual(callback.user_id, self.boss)
        self.assertEqual(self.activity(callback).user_id, self.boss)
        self.assertEqual(len(self.activity(callback)), 1)
        self.assertIn("olga", self.bodies(callback)[0])

    def test_nobody_at_all(self):
        self.boss.active = self.ivan.active = False
        self.miss()
        self.sync()
        callback = self.callback()
        self.assertEqual(callback.user_id, self.olga)
        self.olga.active = False
        self.assertEqual(self.sync(), {"reassigned": 1})
        self.assertTrue(callback.user_id.active)
        self.assertIn("Nobody", self.bodies(callback)[0])
        self.assertEqual(self.sync(), {}, "once is enough")

    def test_absent_but_nobody_better(self):
        self.miss()
        self.sync()
        self.boss.active = self.ivan.active = False
        self.olga.out_of_office_from = NOW - timedelta(hours=1)
        self.assertEqual(self.sync(), {})
        self.assertEqual(self.callback().user_id, self.olga)

    # -- several workers ---------------------------------------------------------------

    def test_one_that_cannot_be_written_keeps_no_other(self):
        for index in range(5):
            self.miss(number=f"+7912000001{index}")
        genuine = callback_debts._prepare

        def prepare(run, rows):
            if rows[0]["client_key"] == "+79120000012":
                raise ValueError("bad callback")
            return genuine(run, rows)

        with (
            patch.object(callback_debts, "_prepare", prepare),
            mute_logger("odoo.addons.missed_call_crm.intake.callback_run"),
        ):
            from ..intake import callbacks

            counts = callbacks.sync(self.env, [self.company.id], NOW)
        self.assertEqual(counts["failed"], 1)
        self.assertEqual(counts["created"], 4)
        self.assertEqual(len(self.callbacks()), 4)
        self.assertEqual(self.sync(), {"created": 1, "activities": 1})

    def test_what_another_worker_did_is_left_to_the_next_run(self):
        self.miss()
        with (
            patch.object(
                callback_debts, "_prepare", side_effect=SerializationFailure("busy")
            ),
            self.capture_triggers("missed_call_crm.ir_cron_follow_up") as captured,
        ):
            self.assertEqual(self.sync(), {"overtaken": 1})
        self.assertEqual(len(captured.records), 1)
        self.assertFalse(self.callbacks())
        self.sync()
        self.assertTrue(self.callbacks())

    # -- cost -------------------------------------------------------------------

    def test_queries_when_nothing_changes(self):
        """Looking costs the same for one callback and for forty."""
        self.miss(NOW - timedelta(hours=1))
        self.sync()
        self.sync()

        def count():
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.assertEqual(self.sync(), {})
            return self.env.cr.sql_log_count - before

        alone = count()
        for index in range(40):
            number = f"+791200001{index:02}"
            self.miss(NOW - timedelta(hours=1), number)
            self.attempt(NOW - timedelta(minutes=5), number)
        self.sync()
        self.assertEqual(count(), alone)
        self.assertLess(alone, 30)
