# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, freeze_time, tagged
from odoo.tools import SQL, mute_logger

from .callback_common import NOW
from .common import RoleCase


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestExpiring(RoleCase):
    """What is pending turns unfixed at the deadline, with no action having run."""

    def setUp(self):
        super().setUp()
        self.early = self.miss(NOW - timedelta(hours=30), "+79120000001")
        self.young = self.miss(NOW - timedelta(hours=1), "+79120000002")
        self.late = self.miss(
            NOW - timedelta(hours=50), "+79120000003", resolution="late"
        )
        self.none = self.talk(NOW - timedelta(hours=2), "+79120000004")
        self.calls = self.early | self.young | self.late | self.none
        self.env.flush_all()
        self.env.invalidate_all()

    def find(self, operator, value):
        domain = [("id", "in", self.calls.ids), ("resolution", operator, value)]
        return self.env["pbx.call"].search(domain)

    def test_read_goes_by_the_clock(self):
        self.assertEqual(self.early.resolution, "unfixed")
        self.assertEqual(self.young.resolution, "pending")
        self.assertEqual(self.stored(self.early, "resolution"), "pending")
        self.assertEqual(self.early.read(["resolution"])[0]["resolution"], "unfixed")

    def test_deadline_itself_is_inside(self):
        with freeze_time(self.young.deadline_at):
            self.env.invalidate_all()
            self.assertEqual(self.young.resolution, "pending")
            self.assertIn(self.young, self.find("=", "pending"))
        with freeze_time(self.young.deadline_at + timedelta(seconds=1)):
            self.env.invalidate_all()
            self.assertEqual(self.young.resolution, "unfixed")
            self.assertIn(self.young, self.find("=", "unfixed"))

    def test_cached_value_expires_too(self):
        self.assertEqual(self.young.resolution, "pending")
        with freeze_time(NOW + timedelta(days=2)):
            self.assertEqual(self.young.resolution, "unfixed")

    def test_a_later_deadline_makes_it_pending_again(self):
        self.early.resolution = "unfixed"
        self.early.deadline_at = NOW + timedelta(hours=1)
        self.env.flush_all()
        self.env.invalidate_all()
        self.assertEqual(self.early.resolution, "pending")
        self.assertIn(self.early, self.find("=", "pending"))

    def test_search_agrees_with_reading(self):
        values = (
            "pending",
            "unfixed",
            "late",
            "fixed",
            False,
            ["pending", "unfixed"],
            ["unfixed", "late"],
            ["pending", False],
            ["pending", "unfixed", "late", "fixed", "dismissed", "ignored"],
        )
        for value in values:
            wanted = value if isinstance(value, list) else [value]
            expected = self.calls.filtered(lambda call, w=wanted: call.resolution in w)
            with self.subTest(value=value):
                self.assertEqual(self.find("in", wanted), expected)
                self.assertEqual(self.find("not in", wanted), self.calls - expected)
                self.assertEqual(
                    self.calls.filtered_domain([("resolution", "in", wanted)]),
                    expected,
                )
        self.assertEqual(self.find("ilike", "unfix"), self.early)

    def test_group_and_order_by_the_clock(self):
        groups = self.env["pbx.call"]._read_group(
            [("id", "in", self.calls.ids)], ["resolution"], ["__count"]
        )
        self.assertEqual(
            dict(groups), {"pending": 1, "unfixed": 1, "late": 1, False: 1}
        )
        ordered = self.env["pbx.call"].search(
            [("id", "in", (self.early | self.young).ids)], order="resolution desc"
        )
        self.assertEqual(ordered, self.early | self.young)
        self.assertEqual(ordered[0], self.early)

    def test_not_fixed_is_pending_unfixed_and_late(self):
        owed = self.early | self.young | self.late
        domain = [("id", "in", self.calls.ids)]
        Call = self.env["pbx.call"]
        self.assertEqual(Call.search([*domain, ("is_not_fixed", "=", True)]), owed)
        self.assertEqual(
            Call.search([*domain, ("is_not_fixed", "=", False)]), self.none
        )
        self.assertEqual(
            Call.search([*domain, ("is_not_fixed", "!=", True)]), self.none
        )
        self.assertEqual(self.calls.filtered("is_not_fixed"), owed)

    def test_list_groups_stand_in_order_of_urgency(self):
        groups = (
            self.env["pbx.call"]
            .with_context(read_group_expand=True)
            .web_read_group(
                [("id", "in", (self.early | self.young | self.late).ids)],
                ["resolution"],
                ["__count"],
            )["groups"]
        )
        self.assertEqual(
            [(group["resolution"], group["__count"]) for group in groups],
            [("unfixed", 1), ("pending", 1), ("late", 1)],
        )

    def test_state_of_a_callback_goes_by_the_clock(self):
        callback = self.make_callback(at=NOW - timedelta(hours=30))
        self.env.flush_all()
        self.env.invalidate_all()
        Callback = self.env["pbx.callback"]
        self.assertEqual(callback.state, "overdue")
        self.assertEqual(self.stored(callback, "state"), "todo")
        domain = [("id", "=", callback.id)]
        self.assertTrue(Callback.search([*domain, ("state", "=", "overdue")]))
        self.assertFalse(Callback.search([*domain, ("state", "=", "todo")]))
        self.assertTrue(Callback.search([*domain, ("is_open", "=", True)]))
        self.assertEqual(callback.time_left, -6 * 60)
        self.assertEqual(
            Callback._read_group(domain, ["state"], ["__count"]), [("overdue", 1)]
        )

    def test_search_can_use_the_partial_index(self):
        query = self.env["pbx.call"]._search(
            [("company_id", "=", self.company.id), ("resolution", "=", "unfixed")]
        )
        self.env.cr.execute("SET LOCAL enable_seqscan = off")
        self.env.cr.execute("SET LOCAL enable_sort = off")
        plan = "\n".join(
            row[0]
            for row in self.env.execute_query(
                SQL("EXPLAIN %s", query.select('"pbx_call"."id"'))
            )
        )
        self.assertRegex(plan, "pbx_call_(deadline|not_fixed)_idx")


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestUnknown(RoleCase):
    def test_what_is_not_known_is_not_zero(self):
        call = self.miss(position_entry=3)
        self.env.flush_all()
        self.env.invalidate_all()
        self.assertEqual(call.position_entry, 3)
        self.assertIs(call.position_exit, False)
        self.assertIs(call.talk_seconds, False)
        values = call.read(["position_exit", "position_entry"])[0]
        self.assertIs(values["position_exit"], False)
        call.position_entry = 0
        self.env.flush_all()
        self.env.invalidate_all()
        self.assertEqual(call.position_entry, 0)
        self.assertIsNot(call.position_entry, False)
        self.assertFalse(
            self.env["pbx.call"].search(
                [("id", "=", call.id), ("position_entry", "=", False)]
            )
        )
        self.assertTrue(
            self.env["pbx.call"].search(
                [("id", "=", call.id), ("position_exit", "=", False)]
            )
        )


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestDismiss(RoleCase):
    def test_dismissing_closes_and_counts_apart(self):
        callback = self.make_callback()
        callback.activity_schedule(
            "missed_call_crm.mail_activity_type_callback", user_id=self.olga.id
        )
        callback.with_user(self.olga).action_dismiss("wrong_number", "a fax")
        self.assertEqual(callback.state, "dismissed")
        self.assertEqual(callback.dismissed_by, self.olga)
        self.assertEqual(callback.dismissed_at, NOW)
        self.assertEqual(callback.missed_call_ids.resolution, "dismissed")
        self.assertFalse(self.activity(callback))
        note = self.bodies(callback)[0]
        self.assertIn("Wrong number", note)
        self.assertIn("a fax", note)

    def test_note_is_text_not_html(self):
        callback = self.make_callback()
        callback.action_dismiss("other", "<img src=x onerror=alert(1)>")
        self.assertNotIn("<img", self.bodies(callback)[0])

    def test_reason_is_one_of_the_list(self):
        callback = self.make_callback()
        for reason in (None, "", "because", "Spam"):
            with self.subTest(reason=reason), self.assertRaises(UserError):
                callback.action_dismiss(reason)
        self.assertEqual(callback.state, "todo")

    def test_other_needs_a_note(self):
        callback = self.make_callback()
        with self.assertRaises(UserError):
            callback.action_dismiss("other", "  ")
        callback.action_dismiss("other", note="moved away")
        self.assertEqual(callback.dismiss_note, "moved away")

    def test_only_open_ones(self):
        callback = self.make_callback(state="done")
        with self.assertRaises(UserError):
            callback.action_dismiss("spam")

    def test_wizard(self):
        callbacks = self.make_callback() | self.make_callback("+79120000002")
        action = callbacks.with_user(self.olga).action_open_dismiss()
        wizard = Form(
            self.env[action["res_model"]]
            .with_user(self.olga)
            .with_context(**action["context"])
        )
        self.assertEqual(wizard.miss_count, 2)
        wizard.reason = "duplicate"
        wizard.save().action_confirm()
        self.assertEqual(set(callbacks.mapped("state")), {"dismissed"})

    def test_reopening_owes_the_call_again(self):
        callback = self.make_callback()
        callback.action_dismiss("spam")
        callback.with_user(self.olga).action_reopen()
        self.assertEqual(callback.state, "todo")
        self.assertFalse(callback.dismiss_reason)
        self.assertEqual(callback.missed_call_ids.resolution, "pending")

    def test_reopening_after_the_deadline_is_overdue(self):
        callback = self.make_callback()
        callback.action_dismiss("spam")
        with freeze_time(NOW + timedelta(days=3)):
            callback.action_reopen()
            self.assertEqual(callback.state, "overdue")
            self.assertEqual(callback.missed_call_ids.resolution, "unfixed")

    def test_reopening_not_beside_another_open_one(self):
        callback = self.make_callback()
        callback.action_dismiss("spam")
        self.make_callback()
        with self.assertRaises(UserError):
            callback.action_reopen()

    def test_dismissing_covers_all_misses_of_the_client(self):
        callback = self.make_callback()
        history = self.miss(NOW - timedelta(days=90), from_history=True)
        stranger = self.miss(NOW, "+79120000002", from_history=True)
        callback.with_user(self.olga).action_dismiss("wrong_number", "a fax")
        self.assertEqual(history.resolution, "dismissed")
        self.assertEqual(history.dismiss_reason, "wrong_number")
        self.assertFalse(history.callback_id)
        self.assertEqual(stranger.resolution, "pending")
        callback.with_user(self.olga).action_reopen()
        self.assertEqual(history.resolution, "unfixed")
        self.assertFalse(history.dismiss_reason)
        self.assertEqual(callback.state, "todo")

    def test_reopening_leaves_other_dismissals(self):
        history = self.miss(NOW - timedelta(days=90), from_history=True)
        history.with_user(self.olga).action_dismiss("spam")
        callback = self.make_callback()
        with freeze_time(NOW + timedelta(minutes=1)):
            callback.action_dismiss("duplicate")
            callback.action_reopen()
        self.assertEqual(history.resolution, "dismissed")

    def test_a_miss_without_callback_can_be_dismissed(self):
        history = self.miss(NOW - timedelta(days=90), from_history=True)
        self.sync()
        self.assertFalse(history.callback_id)
        history.with_user(self.olga).action_dismiss("other", "moved away")
        self.assertEqual(history.resolution, "dismissed")
        self.assertFalse(history.is_not_fixed)
        self.assertEqual(history.dismiss_reason, "other")
        self.assertEqual(history.dismiss_note, "moved away")
        self.assertEqual(history.dismissed_by_id, self.olga)
        self.assertEqual(history.dismissed_at, NOW)
        self.assertIn("moved away", history.story_html)
        self.sync()
        self.assertEqual(history.resolution, "dismissed")
        history.with_user(self.olga).action_reopen()
        self.assertEqual(history.resolution, "unfixed")
        self.assertFalse(history.dismissed_by_id)

    def test_wizard_for_misses_with_and_without_callback(self):
        callback = self.make_callback()
        history = self.miss(NOW - timedelta(days=90), "+79120000002", from_history=True)
        calls = history | callback.missed_call_ids
        action = calls.with_user(self.olga).action_dismiss()
        wizard = Form(
            self.env[action["res_model"]]
            .with_user(self.olga)
            .with_context(**action["context"])
        )
        self.assertEqual(wizard.miss_count, 2)
        wizard.reason = "spam"
        wizard.save().action_confirm()
        self.assertEqual(callback.state, "dismissed")
        self.assertEqual(set(calls.mapped("resolution")), {"dismissed"})
        calls.with_user(self.olga).action_reopen()
        self.assertEqual(callback.state, "todo")
        self.assertEqual(callback.missed_call_ids.resolution, "pending")
        self.assertEqual(history.resolution, "unfixed")

    def test_only_owed_misses_and_by_those_who_may(self):
        fixed = self.miss(resolution="fixed")
        with self.assertRaises(UserError):
            fixed.action_dismiss("spam")
        with self.assertRaises(UserError):
            fixed.action_reopen()
        miss = self.miss()
        for reason, note in (("because", None), ("other", " ")):
            with self.subTest(reason=reason), self.assertRaises(UserError):
                miss.action_dismiss(reason, note)
        for user in (self.ivan, self.stranger):
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                miss.with_user(user).action_dismiss("spam")
        self.assertEqual(miss.resolution, "pending")

    def test_reached_ones_do_not_reopen(self):
        callback = self.make_callback(state="done")
        with self.assertRaises(UserError):
            callback.action_reopen()

    def test_one_open_callback_per_client(self):
        self.make_callback()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError):
            with self.env.cr.savepoint():
                self.make_callback()

    def test_marking_done_proves_nothing(self):
        callback = self.make_callback()
        activity = callback.activity_schedule(
            "missed_call_crm.mail_activity_type_callback", user_id=self.olga.id
        )
        activity.with_user(self.olga).action_feedback(feedback="done!")
        self.assertEqual(callback.state, "todo")
        self.assertEqual(callback.said_done_at, NOW)
        self.assertEqual(callback.said_done_by, self.olga)
        self.assertEqual(callback.comes_back_at, NOW + timedelta(hours=1))
        self.assertEqual(callback.missed_call_ids.resolution, "pending")

    def test_other_activities_say_nothing(self):
        callback = self.make_callback()
        activity = callback.activity_schedule(
            "mail.mail_activity_data_todo", user_id=self.olga.id
        )
        activity.action_feedback()
        self.assertFalse(callback.said_done_at)

    def test_not_reached_is_for_answered_outbound_calls(self):
        with self.assertRaises(UserError):
            self.miss().action_not_reached()
        miss = self.miss()
        call = self.talk(NOW + timedelta(minutes=10))
        self.assertEqual(miss.resolution, "fixed")
        call.action_not_reached()
        self.assertEqual(call.not_reached_by_id, self.env.user)
        self.assertEqual(miss.resolution, "pending")
        call.action_reached()
        self.assertFalse(call.not_reached)
        self.assertEqual(miss.resolution, "fixed")

    def test_activity_goes_with_the_responsible(self):
        callback = self.make_callback()
        activity = callback.activity_schedule(
            "missed_call_crm.mail_activity_type_callback", user_id=self.olga.id
        )
        callback.with_user(self.boss).user_id = self.ivan
        self.assertEqual(activity.user_id, self.ivan)


@tagged("post_install", "-at_install")
class TestExtension(RoleCase):
    def setUp(self):
        super().setUp()
        self.phone = self.env["pbx.extension"].create(
            {"number": "201", "backend_id": self.backend.id, "to_complete": True}
        )

    def test_first_operator_had_it_since_ever(self):
        self.phone.user_id = self.olga
        self.assertFalse(self.phone.holder_ids.date_from)
        self.assertFalse(self.phone.to_complete)
        self.assertEqual(
            self.phone._holder_at(NOW - timedelta(days=4000)).user_id, self.olga
        )

    def test_handing_over_keeps_the_past(self):
        self.phone.user_id = self.olga
        with freeze_time(NOW):
            self.phone.user_id = self.ivan
            self.assertEqual(self.phone.user_id, self.ivan)
            before = self.phone._holder_at(NOW - timedelta(seconds=1))
            self.assertEqual(before.user_id, self.olga)
            self.assertEqual(self.phone._holder_at(NOW).user_id, self.ivan)
        with freeze_time(NOW + timedelta(days=1)):
            self.phone.user_id = False
            self.env.invalidate_all()
            self.assertFalse(self.phone.user_id)
            self.assertEqual(self.phone._holder_at(NOW).user_id, self.ivan)

    def test_same_operator_again_changes_nothing(self):
        self.phone.user_id = self.olga
        holders = self.phone.holder_ids
        self.phone.user_id = self.olga
        self.assertEqual(self.phone.holder_ids, holders)

    def test_search_by_present_operator(self):
        self.phone.user_id = self.olga
        self.phone.user_id = self.ivan
        Extension = self.env["pbx.extension"]
        mine = [("id", "=", self.phone.id)]
        self.assertTrue(Extension.search([*mine, ("user_id", "=", self.ivan.id)]))
        self.assertFalse(Extension.search([*mine, ("user_id", "=", self.olga.id)]))
        self.assertFalse(Extension.search([*mine, ("user_id", "=", False)]))
        self.assertTrue(Extension.search([*mine, ("user_id", "!=", self.olga.id)]))
        self.phone.user_id = False
        self.assertTrue(Extension.search([*mine, ("user_id", "=", False)]))

    def test_two_at_one_time_is_refused(self):
        create = self.env["pbx.extension.holder"].create
        base = {"extension_id": self.phone.id}
        create({**base, "user_id": self.olga.id, "date_to": NOW})
        create({**base, "user_id": self.ivan.id, "date_from": NOW})
        for values in (
            {"date_from": NOW - timedelta(days=1), "date_to": NOW},
            {"date_from": NOW + timedelta(days=1)},
            {},
        ):
            with self.subTest(values=values), self.assertRaises(ValidationError):
                create({**base, "user_id": self.boss.id, **values})


@tagged("post_install", "-at_install")
class TestConstraints(RoleCase):
    def test_host_is_a_host(self):
        for host in (
            "",
            "/var/run/postgresql",
            "a,b",
            "user@host",
            "a b",
            "host=evil",
            "pbx.example.com\\x",
        ):
            with self.subTest(host=host), self.assertRaises(ValidationError):
                self.backend.db_host = host
                self.backend.flush_recordset()
        for host in ("pbx.example.com", "192.0.2.7", "2001:db8::7", "localhost"):
            self.backend.db_host = host

    def test_archived_backend_needs_no_host(self):
        self.backend.write({"active": False, "db_host": False})
        with self.assertRaises(ValidationError):
            self.backend.active = True

    def test_patterns_compile(self):
        for name in ("trunk_pattern", "extension_pattern", "closed_pattern"):
            with self.subTest(name=name), self.assertRaises(ValidationError):
                self.backend[name] = "(unclosed"
        self.backend.closed_pattern = "^(night|ooh)-"

    def test_database_refuses_nonsense(self):
        for values in (
            {"db_port": 70000},
            {"db_port": -1},
            {"interval_minutes": 0},
            {"settle_seconds": -1},
            {"max_call_minutes": 0},
        ):
            with (
                self.subTest(values=values),
                mute_logger("odoo.sql_db"),
                self.assertRaises(IntegrityError),
                self.env.cr.savepoint(),
            ):
                self.backend.write(values)
                self.backend.flush_recordset()

    def test_times_have_an_upper_bound(self):
        for record, values in (
            (self.company, {"pbx_fix_window_hours": 8785}),
            (self.company, {"pbx_short_seconds": 3601}),
            (self.company, {"pbx_sla_seconds": 86_401}),
            (self.company, {"pbx_proof_hours": 8785}),
            (self.company, {"pbx_record_days": 36_501}),
            (self.queue, {"fix_window_hours": 1e9}),
            (self.queue, {"short_seconds": 3601}),
            (self.queue, {"sla_seconds": 86_401}),
            (self.backend, {"settle_seconds": 86_401}),
            (self.backend, {"interval_minutes": 10_081}),
            (self.backend, {"overlap_hours": 8785}),
            (self.backend, {"max_call_minutes": 10_081}),
            (self.backend, {"min_talk_seconds": 3601}),
        ):
            with self.subTest(values=values), self.assertRaises(ValidationError):
                record.write(values)
        self.company.pbx_fix_window_hours = 8784
        self.queue.fix_window_hours = 8784

    def test_a_phone_system_with_data_keeps_its_company(self):
        values = {"company_id": self.other_company.id}
        spare = self.env["pbx.backend"].create(
            {"name": "Spare", "company_id": self.company.id, "db_host": "192.0.2.3"}
        )
        spare.write(values)
        self.miss()
        with self.assertRaises(ValidationError):
            self.backend.write(values)
        self.env["pbx.record"].create(
            {
                "backend_id": spare.id,
                "company_id": self.other_company.id,
                "key": "k",
                "kind": "cdr",
            }
        )
        with self.assertRaises(ValidationError):
            spare.company_id = self.company

    def test_counts_of_records_and_calls(self):
        spare = self.env["pbx.backend"].create(
            {"name": "Spare", "company_id": self.company.id, "db_host": "192.0.2.3"}
        )
        self.env["pbx.record"].create(
            [
                {
                    "backend_id": self.backend.id,
                    "company_id": self.company.id,
                    "key": str(number),
                    "kind": "cdr",
                    "occurred_at": moment,
                    "state": state,
                }
                for number, (moment, state) in enumerate(
                    (
                        (NOW, "assembled"),
                        (NOW - timedelta(days=1), "new"),
                        (False, "rejected"),
                    )
                )
            ]
        )
        self.miss()
        self.create_call(NOW, direction="inbound", is_open=True)
        backends = self.backend | spare
        self.assertEqual(backends.mapped("record_count"), [3, 0])
        self.assertEqual(backends.mapped("rejected_count"), [1, 0])
        self.assertEqual(backends.mapped("newest_record_at"), [NOW, False])
        self.assertEqual(backends.mapped("call_count"), [2, 0])
        self.assertEqual(backends.mapped("open_call_count"), [1, 0])

    def test_the_rejected_are_not_looked_for_among_all(self):
        self.env.invalidate_all()
        with patch.object(
            self.env.registry["pbx.backend"], "_compute_record_count"
        ) as compute:
            self.assertEqual(self.backend.rejected_count, 0)
            self.assertFalse(self.backend.newest_record_at)
        compute.assert_not_called()

    def test_some_table_is_read(self):
        with self.assertRaises(ValidationError):
            self.backend.write(
                {"cdr_table": False, "queue_log_table": False, "cel_table": False}
            )

    def test_queue_log_alone_makes_no_callbacks(self):
        self.backend.write({"cdr_table": False, "cel_table": False})
        self.assertFalse(self.backend.create_callbacks)
        self.backend.create_callbacks = True
        self.assertTrue(self.backend.create_callbacks)
        self.backend.cdr_table = "cdr"
        self.assertTrue(self.backend.create_callbacks)

    def test_stale_after_three_pulls_or_ten_minutes(self):
        self.backend.interval_minutes = 2
        with freeze_time(NOW):
            for minutes, stale in ((0, False), (10, False), (11, True)):
                self.backend.last_success_at = NOW - timedelta(minutes=minutes)
                self.assertEqual(self.backend.is_stale, stale, minutes)
            self.backend.last_success_at = NOW
            self.backend.error_date = NOW
            self.assertTrue(self.backend.is_stale)
            self.backend.write({"error_date": False, "interval_minutes": 10})
            self.backend.last_success_at = NOW - timedelta(minutes=29)
            self.assertFalse(self.backend.is_stale)

    def test_queue_values(self):
        for values in (
            {"short_seconds": -2},
            {"sla_target": 101},
            {"fix_window_hours": -1},
            {"assign_policy": "fixed"},
        ):
            with self.subTest(values=values), self.assertRaises(ValidationError):
                self.queue.write(values)

    def test_company_values(self):
        for values in (
            {"pbx_fix_window_hours": 0},
            {"pbx_sla_target": 120},
            {"pbx_short_seconds": -1},
        ):
            with self.subTest(values=values), self.assertRaises(ValidationError):
                self.company.write(values)

    def test_number_rules_compare_as_calls_do(self):
        create = self.env["pbx.number.rule"].create
        rule = create({"company_id": self.company.id, "number": "8 (912) 000-00-01"})
        self.assertEqual((rule.number_key, rule.is_prefix), ("+79120000001", False))
        rule = create({"company_id": self.company.id, "number": "+7 800*"})
        self.assertEqual((rule.number_key, rule.is_prefix), ("+7800", True))
        with self.assertRaises(ValidationError):
            create({"company_id": self.company.id, "number": "anonymous"})
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError):
            create({"company_id": self.company.id, "number": "+79120000001"})

    def test_reasons_are_those_of_calls(self):
        codes = self.env["pbx.miss.reason"].search([]).mapped("code")
        reasons = [
            value for value, _label in self.env["pbx.call"]._fields["reason"].selection
        ]
        self.assertEqual(codes, reasons)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestNumbers(RoleCase):
    def partner(self, **values):
        return self.env["res.partner"].create(
            {"name": "Client", "country_id": self.env.ref("base.ru").id, **values}
        )

    def test_further_number_proves_a_callback(self):
        partner = self.partner(phone="+7 912 000-00-01")
        miss = self.miss(partner_id=partner.id)
        self.talk(NOW + timedelta(minutes=5), "+79120000009")
        self.assertEqual(miss.resolution, "pending")
        line = self.env["pbx.partner.number"].create(
            {"partner_id": partner.id, "number": "8 912 000-00-09"}
        )
        self.assertEqual(line.number_e164, "+79120000009")
        self.assertEqual(miss.resolution, "fixed")
        line.unlink()
        self.assertEqual(miss.resolution, "pending")

    def test_merge_keeps_numbers_and_resolves_again(self):
        first = self.partner(phone="+79120000001")
        second = self.partner(phone="+79120000009")
        miss = self.miss()
        self.talk(NOW + timedelta(minutes=5), "+79120000009")
        self.assertEqual(miss.resolution, "pending")
        self.env["base.partner.merge.automatic.wizard"]._merge(
            (first | second).ids, first
        )
        self.assertEqual(first.phone, "+79120000001")
        self.assertEqual(first.pbx_number_ids.mapped("number_e164"), ["+79120000009"])
        self.assertEqual(miss.resolution, "fixed")

    def test_merge_leaves_no_number_twice(self):
        first = self.partner(phone="+79120000001")
        second = self.partner(phone="+79120000001")
        self.env["pbx.partner.number"].create(
            [
                {"partner_id": first.id, "number": "+79120000009"},
                {"partner_id": second.id, "number": "+79120000009"},
            ]
        )
        self.env["base.partner.merge.automatic.wizard"]._merge(
            (first | second).ids, first
        )
        self.assertEqual(first.pbx_number_ids.mapped("number_e164"), ["+79120000009"])

    def test_new_contact_takes_over_the_callback(self):
        callback = self.make_callback()
        partner = self.partner(phone="+7 912 000-00-01")
        self.assertEqual(callback.partner_id, partner)
        self.assertEqual(callback.missed_call_ids.partner_id, partner)

    def test_shared_number_is_nobodys(self):
        self.partner(phone="+79120000001", name="Other")
        callback = self.make_callback()
        self.partner(phone="+79120000001")
        self.assertFalse(callback.partner_id)

    def test_smart_buttons_count_what_their_list_shows(self):
        company = self.partner(is_company=True)
        child = self.partner(parent_id=company.id, phone="+79120000001")
        self.make_callback(partner_id=child.id)
        self.env["pbx.call"].search(
            [("client_key", "=", "+79120000001"), ("company_id", "=", self.company.id)]
        ).partner_id = child
        for partner in (company, child):
            for count, action in (
                (partner.pbx_call_count, partner.action_view_pbx_calls()),
                (
                    partner.pbx_open_callback_count,
                    partner.action_view_pbx_callbacks(),
                ),
            ):
                found = self.env[action["res_model"]].search_count(action["domain"])
                self.assertEqual(count, 1)
                self.assertEqual(found, count)

    def test_lead_counts(self):
        lead = self.env["crm.lead"].create(
            {
                "name": "Lead",
                "phone": "+79120000001",
                "company_id": self.company.id,
                "country_id": self.env.ref("base.ru").id,
            }
        )
        self.make_callback()
        self.assertEqual(lead.pbx_call_count, 1)
        self.assertEqual(lead.pbx_open_callback_count, 1)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestStory(RoleCase):
    def leg(self, call, kind, start, end, **values):
        return self.env["pbx.call.leg"].create(
            {
                "call_id": call.id,
                "company_id": self.company.id,
                "kind": kind,
                "started_at": call.started_at + timedelta(seconds=start),
                "ended_at": call.started_at + timedelta(seconds=end),
                **values,
            }
        )

    def extension(self, number, user):
        return self.env["pbx.extension"].create(
            {"number": number, "backend_id": self.backend.id, "user_id": user.id}
        )

    def test_why_nobody_answered(self):
        one, two, three = (
            self.extension("201", self.olga),
            self.extension("202", self.ivan),
            self.extension("203", self.boss),
        )
        call = self.miss(wait_seconds=22, ended_at=NOW + timedelta(seconds=22))
        other = self.talk(NOW - timedelta(minutes=5), "+79120000007")
        self.leg(other, "talk", 0, 900, extension_id=two.id, result="answered")
        self.leg(call, "ring", 0, 0, extension_id=two.id, result="busy")
        self.leg(call, "queue", 1, 22, queue_id=self.queue.id, position_entry=3)
        self.leg(call, "ring", 2, 8, extension_id=one.id, result="no_answer")
        self.leg(call, "ring", 12, 18, extension_id=three.id, result="no_answer")
        story = call.with_user(self.boss).with_context(tz="UTC").story_html
        self.assertIn("202 (on another call since 11:55:00) was busy.", story)
        self.assertIn("201 and 203 rang 6 s each and did not pick up.", story)
        self.assertIn("For 9 of the 21 s in the queue no phone rang.", story)
        self.assertIn("entered at position 3", story)
        self.assertNotIn("left at position", story)

    def test_names_of_callers_and_sources_are_text(self):
        call = self.miss()
        self.leg(call, "ring", 1, 5, agent="<script>x</script>", result="no_answer")
        self.leg(call, "ring", 6, 9, agent="b", result="no_answer")
        self.assertNotIn("<script>", call.story_html)
        self.assertIn("&lt;script&gt;", call.story_html)

    def test_a_call_without_steps_has_a_story(self):
        call = self.talk(NOW)
        self.assertIn("told nothing about the steps", call.story_html)


@tagged("post_install", "-at_install")
class TestSettings(RoleCase):
    def test_settings_are_those_of_the_company(self):
        settings = Form(self.env["res.config.settings"].with_company(self.company))
        settings.pbx_fix_window_hours = 8
        settings.pbx_short_seconds = 0
        reasons = self.env["pbx.miss.reason"].search([("code", "=", "menu_hangup")])
        settings.pbx_ignored_reason_ids.add(reasons)
        settings.save().execute()
        self.assertEqual(self.company.pbx_fix_window_hours, 8)
        self.assertEqual(self.company.pbx_short_seconds, 0)
        self.assertEqual(self.company.pbx_ignored_reason_ids, reasons)
        self.assertEqual(self.other_company.pbx_fix_window_hours, 24)
        self.assertFalse(self.other_company.pbx_calendar_id)

    def test_old_logs_go_failures_stay_longer(self):
        Log = self.env["pbx.pull.log"]
        with freeze_time(NOW):
            logs = Log.create(
                [
                    {
                        "backend_id": self.backend.id,
                        "state": state,
                        "started_at": NOW - timedelta(days=days),
                    }
                    for state, days in (
                        ("done", 29),
                        ("done", 31),
                        ("failed", 31),
                        ("failed", 91),
                    )
                ]
            )
            Log._gc_old_logs()
        self.assertEqual(logs.exists(), logs[0] | logs[2])
