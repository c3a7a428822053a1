# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).

from datetime import timedelta
from unittest.mock import patch

from odoo.tests import freeze_time, tagged

from ..intake import callbacks, follow_up, pull
from .callback_common import NOW, CallbackCase

LOGGER = "odoo.addons.missed_call_crm.intake.follow_up"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestFollowUp(CallbackCase):
    def run_cron(self):
        self.env.flush_all()
        with self.enter_registry_test_mode():
            self.env.ref("missed_call_crm.ir_cron_follow_up").method_direct_trigger()
        self.env.invalidate_all()

    def test_the_scheduled_action(self):
        self.miss(NOW - timedelta(hours=30))
        self.miss(NOW - timedelta(hours=1), "+79120000002")
        with patch.object(pull, "judge_due") as judge_due:
            self.run_cron()
        self.assertEqual(judge_due.call_count, 1, "calls that settled come first")
        overdue, todo = self.callbacks()
        self.assertEqual(self.stored(overdue, "state"), "overdue")
        self.assertEqual(self.stored(todo, "state"), "todo")
        self.assertTrue(self.activity(overdue))
        self.assertTrue(self.activity(todo))

    def test_expired_windows_are_stored(self):
        """Screens read it so before; whoever reads the table sees it now."""
        over = self.miss(NOW - timedelta(hours=30))
        history = self.miss(NOW - timedelta(hours=40), from_history=True)
        at_deadline = self.miss(NOW - timedelta(hours=24, seconds=30))
        self.assertEqual(over.resolution, "unfixed")
        self.assertEqual(self.stored(over, "resolution"), "pending")
        counts = follow_up.follow_up(self.env, self.company.id, NOW)
        self.assertEqual(counts["expired"], 2)
        self.assertEqual(self.stored(over, "resolution"), "unfixed")
        self.assertEqual(self.stored(history, "resolution"), "unfixed")
        self.assertEqual(self.stored(at_deadline, "resolution"), "pending")
        self.assertFalse(follow_up.follow_up(self.env, self.company.id, NOW))

    def test_a_company_that_fails_stops_no_other(self):
        other = self.env["res.company"].create({"name": "Bad"})
        self.assertGreater(other.id, self.company.id)
        last = self.env["res.company"].create({"name": "Good"})
        backend = self.backend.copy(
            {"company_id": last.id, "db_host": "192.0.2.2", "active": True}
        )
        self.miss()
        self.miss(company_id=last.id, backend_id=backend.id, queue_id=False)
        genuine = callbacks._settle

        def settle(run):
            if run.company == other:
                run.cr.execute("SELECT 1/0", log_exceptions=False)
            return genuine(run)

        with (
            patch.object(callbacks, "_settle", settle),
            self.assertLogs(LOGGER, "ERROR") as log,
        ):
            self.run_cron()
        self.assertEqual(len(log.output), 1)
        self.assertIn(str(other.id), log.output[0])
        found = self.env["pbx.callback"].search(
            [("company_id", "in", [self.company.id, last.id])]
        )
        self.assertEqual(found.company_id, self.company | last)

    def test_calls_that_cannot_be_judged_stop_no_company(self):
        self.miss()
        with (
            patch.object(pull, "judge_due", side_effect=ValueError("bad call")),
            self.assertLogs(LOGGER, "ERROR"),
        ):
            self.run_cron()
        self.assertTrue(self.callbacks())

    def test_a_phone_system_that_cannot_be_judged_stops_no_other(self):
        other = self.backend.copy({"db_host": "192.0.2.3", "active": True})
        due = {
            "direction": "inbound",
            "is_open": True,
            "judge_at": NOW - timedelta(minutes=1),
        }
        self.create_call(NOW - timedelta(hours=1), **due)
        self.create_call(NOW - timedelta(hours=1), backend_id=other.id, **due)
        self.env.flush_all()
        judged = []

        def judge(batch):
            if batch.context.backend_id == self.backend.id:
                batch.cr.execute("SELECT 1/0", log_exceptions=False)
            judged.append(batch.context.backend_id)
            return 1

        with (
            patch.object(pull, "_judge_due", judge),
            self.assertLogs("odoo.addons.missed_call_crm.intake.pull", "ERROR") as log,
        ):
            count = pull.judge_due(self.env, NOW)
        self.assertEqual(len(log.output), 1, log.output)
        self.assertEqual(count, 1)
        self.assertEqual(judged, [other.id])
        self.assertIn(str(self.backend.id), log.output[0])

    def test_a_run_cut_short_is_completed(self):
        """Whatever a step left undone is seen from the data alone."""
        first = self.miss(NOW - timedelta(hours=1))
        self.miss(NOW - timedelta(hours=1), "+79120000002")
        self.sync()
        self.env.cr.execute(
            "UPDATE pbx_callback SET state = 'done', missed_count = 7,"
            " deadline_at = NULL, attempt_count = 3 WHERE id = %s",
            [first.callback_id.id],
        )
        self.env["mail.activity"].search([("res_model", "=", "pbx.callback")]).unlink()
        self.env.invalidate_all()
        self.sync()
        for callback in self.callbacks():
            self.assertEqual(callback.state, "todo")
            self.assertEqual(callback.missed_count, 1)
            self.assertEqual(callback.attempt_count, 0)
            self.assertEqual(callback.deadline_at, callback.missed_call_ids.deadline_at)
            self.assertEqual(len(self.activity(callback)), 1)
