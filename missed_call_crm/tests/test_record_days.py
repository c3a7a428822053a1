# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta
from unittest.mock import patch

from odoo.tests import freeze_time, tagged

from ..intake import pull
from ..models import pbx_record
from .callback_common import NOW
from .common import RoleCase
from .pbx_common import JUDGED_AT, LAB_END, PbxCase


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestRecordDays(RoleCase):
    """Raw records go after the days the company set; calls stay."""

    def record(self, key, days, **values):
        return self.env["pbx.record"].create(
            {
                "backend_id": self.backend.id,
                "company_id": self.company.id,
                "key": key,
                "kind": "cdr",
                "occurred_at": NOW - timedelta(days=days),
                "received_at": NOW,
                **values,
            }
        )

    def vacuum(self):
        result = self.env["pbx.record"]._gc_old_records()
        self.env.invalidate_all()
        return result

    def test_old_records_go(self):
        self.company.pbx_record_days = 10
        old_call = self.miss(NOW - timedelta(days=12))
        open_call = self.create_call(
            NOW - timedelta(days=12), direction="inbound", is_open=True
        )
        long_call = self.miss(
            NOW - timedelta(days=12), ended_at=NOW - timedelta(days=9)
        )
        gone = (
            self.record("old", 11)
            | self.record("of a call", 12, call_id=old_call.id, state="assembled")
            | self.record("rejected", 11, state="rejected")
            | self.record(
                "undated",
                0,
                occurred_at=False,
                received_at=NOW - timedelta(days=11),
                state="rejected",
            )
        )
        kept = (
            self.record("young", 9)
            | self.record("open", 12, call_id=open_call.id)
            | self.record("long", 12, call_id=long_call.id)
            | self.record("undated and young", 0, occurred_at=False)
        )
        self.assertEqual(self.vacuum(), (4, False))
        self.assertFalse(gone.exists())
        self.assertEqual(kept.exists(), kept)
        self.assertTrue(old_call.exists())

    def test_zero_keeps_for_ever(self):
        self.company.pbx_record_days = 0
        record = self.record("old", 4000)
        self.vacuum()
        self.assertTrue(record.exists())

    def test_what_pulls_read_again_stays(self):
        self.company.pbx_record_days = 1
        records = self.record("young", 3) | self.record("old", 5)
        self.vacuum()
        self.assertEqual(records.exists(), records[0])

    def test_in_batches(self):
        self.company.pbx_record_days = 10
        records = self.env["pbx.record"]
        for number in range(5):
            records |= self.record(f"old {number}", 20)
        with patch.object(pbx_record, "GC_BATCH", 3):
            self.assertEqual(self.vacuum(), (3, True))
            self.assertEqual(len(records.exists()), 2)
            self.assertEqual(self.vacuum(), (2, False))

    def test_each_company_its_own_days(self):
        self.company.pbx_record_days = 10
        other = self.env["pbx.backend"].create(
            {
                "name": "Elsewhere",
                "company_id": self.other_company.id,
                "db_host": "192.0.2.7",
            }
        )
        record = self.record(
            "theirs", 20, backend_id=other.id, company_id=self.other_company.id
        )
        self.vacuum()
        self.assertTrue(record.exists())


class TestPurgedPeriod(PbxCase):
    """What is read again after its records were deleted is the same calls."""

    def test_backfill_of_a_purged_period_doubles_nothing(self):
        self.load_lab("cdr", "cel", "queue_log")
        with freeze_time(JUDGED_AT):
            self.pull()
            before = self.state()
            ids = set(self.calls().ids)
        self.assertTrue(before)
        self.company.pbx_record_days = 10
        with freeze_time(JUDGED_AT + timedelta(days=30)):
            self.env["pbx.record"]._gc_old_records()
            self.env.invalidate_all()
            self.assertFalse(self.calls().record_ids)
            # nothing to build them from: they stay as they were
            pull.rebuild(self.backend, LAB_END - timedelta(days=9), JUDGED_AT)
            self.assertEqual(set(self.calls().ids), ids)
            self.pull(
                since=LAB_END - timedelta(days=9), until=JUDGED_AT, kind="backfill"
            )
            self.assertEqual(set(self.calls().ids), ids)
            after = self.state()
        self.assertEqual(set(after), set(before))
        for key, call in before.items():
            with self.subTest(call=key):
                self.assertEqual(
                    {**after[key], "resolution": None},
                    {**call, "resolution": None},
                )
