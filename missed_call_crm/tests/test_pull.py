# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""One pull: windows, history, settling, time, faults, quarantine, late records."""

from datetime import datetime, timedelta
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import freeze_time
from odoo.tools import mute_logger

from ..intake import callbacks, pull
from ..intake import calls as intake_calls
from .pbx_common import PbxCase

NOW = datetime(2026, 11, 20, 12, 0, 0)
MOSCOW = timedelta(hours=3)


class PbxRows(PbxCase):
    """Writes rows as Asterisk writes them. Times are naive UTC."""

    serial = 0

    def epoch(self, moment):
        return int((moment - datetime(1970, 1, 1)).total_seconds())

    def new_id(self, moment):
        type(self).serial += 1
        return f"{self.epoch(moment)}.{self.serial}"

    def cdr(self, start, uniqueid, **values):
        row = {
            "calldate": start + MOSCOW,
            "clid": '"" <+79161234567>',
            "src": "+79161234567",
            "dst": "601",
            "dcontext": "ext-queues",
            "channel": "PJSIP/trunk_msk-00000001",
            "dstchannel": "PJSIP/201-00000002",
            "lastapp": "Queue",
            "lastdata": "sales,t,,,60",
            "duration": 10,
            "billsec": 10,
            "disposition": "NO ANSWER",
            "amaflags": 3,
            "uniqueid": uniqueid,
            "linkedid": uniqueid,
            "sequence": 1,
            **values,
        }
        self.pbx.insert("cdr", row)

    def event(self, at, callid, event, agent="NONE", data=(), queue="sales"):
        row = {
            "time": (at + MOSCOW).strftime("%Y-%m-%d %H:%M:%S.%f"),
            "callid": callid,
            "queuename": queue,
            "agent": agent,
            "event": event,
        }
        row.update({f"data{n}": value for n, value in enumerate(data, start=1)})
        self.pbx.insert("queue_log", row)

    def missed(self, start, number="+79161234567", ring=True, seconds=20):
        """A client who waited in the queue and gave up; returns the call's key."""
        key = self.new_id(start)
        end = start + timedelta(seconds=seconds)
        self.event(start, key, "ENTERQUEUE", data=["", number, "1"])
        if ring:
            self.event(end, key, "RINGNOANSWER", "PJSIP/201", ["6000"])
        self.event(end, key, "ABANDON", data=["1", "1", str(seconds)])
        self.cdr(
            start,
            key,
            src=number,
            clid=f'"" <{number}>',
            duration=seconds,
            billsec=seconds,
            dstchannel="PJSIP/201-00000002" if ring else None,
            disposition="NO ANSWER" if ring else "ANSWERED",
        )
        return key

    def called_back(self, start, number="+79161234567", talk=30, answered=True):
        """An operator calls out; returns the call's key."""
        key = self.new_id(start)
        self.cdr(
            start,
            key,
            src="201",
            clid='"Anna" <201>',
            dst=number,
            dcontext="from-internal",
            channel="PJSIP/201-00000005",
            dstchannel="PJSIP/trunk_msk-00000006",
            lastapp="Dial",
            lastdata=f"PJSIP/{number}@trunk_msk,40",
            duration=talk + 3 if answered else 12,
            billsec=talk if answered else 0,
            disposition="ANSWERED" if answered else "NO ANSWER",
        )
        return key

    def answered(self, start, number="+79161234567", wait=4, talk=30):
        """A client who is answered in the queue; returns the call's key."""
        key = self.new_id(start)
        answer = start + timedelta(seconds=wait)
        end = answer + timedelta(seconds=talk)
        self.event(start, key, "ENTERQUEUE", data=["", number, "1"])
        self.event(answer, key, "CONNECT", "PJSIP/202", [str(wait), "x", "2"])
        self.event(end, key, "COMPLETEAGENT", "PJSIP/202", [str(wait), str(talk), "1"])
        self.cdr(
            start,
            key,
            src=number,
            duration=wait + talk,
            billsec=wait + talk,
            dstchannel="PJSIP/202-00000002",
            disposition="ANSWERED",
        )
        return key


@freeze_time(NOW)
class TestPull(PbxRows):
    def first(self):
        """A first pull of an empty phone system: later records are no history."""
        return self.pull()

    def settle(self, clock, seconds=61):
        """Pull, let the calls settle, pull again."""
        self.pull()
        clock.tick(timedelta(seconds=seconds))
        self.pull()

    # -- window and resolution ------------------------------------------

    def test_resolution_by_time(self):
        day = timedelta(hours=24)
        numbers = [f"+7916000000{n}" for n in range(6)]
        start = NOW - timedelta(hours=30)
        end = start + timedelta(seconds=20)
        cases = {
            # number: (offset of the talk's answer from the end of the miss, outcome)
            numbers[0]: (day, "fixed"),
            numbers[1]: (day + timedelta(seconds=1), "late"),
            numbers[2]: (timedelta(hours=25), "late"),
            numbers[3]: (timedelta(minutes=5), "fixed"),
            numbers[4]: (None, "unfixed"),
        }
        keys = {}
        for number, (offset, _state) in cases.items():
            keys[number] = self.missed(start, number)
            if offset is not None:
                self.called_back(end + offset - timedelta(seconds=3), number)
        recent = self.missed(NOW - timedelta(hours=2), numbers[5])
        self.pull()
        for number, (_offset, state) in cases.items():
            call = self.call(keys[number])
            self.assertEqual(call.deadline_at, end + day)
            self.assertEqual(call.resolution, state, number)
            self.assertEqual(call.fixed_by, "callback" if state == "fixed" else False)
            self.assertEqual(call.is_not_fixed, state != "fixed")
        self.assertEqual(self.call(recent).resolution, "pending")
        with freeze_time(NOW + timedelta(hours=23)):
            self.env.invalidate_all()
            # read as unfixed from the deadline on, with no run in between
            self.assertEqual(self.call(recent).resolution, "unfixed")
            self.assertIn(self.call(recent), self.calls(("resolution", "=", "unfixed")))

    def test_own_talk_fixes_earlier_misses_only(self):
        """A talk inside a call that was then lost fixes earlier misses, not itself."""
        start = NOW - timedelta(hours=2)
        earlier = self.missed(start - timedelta(hours=1))
        key = self.new_id(start)
        self.event(start, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
        at = start + timedelta(seconds=3)
        self.event(at, key, "CONNECT", "PJSIP/202", ["3", "x", "2"])
        moved = at + timedelta(seconds=30)
        self.event(moved, key, "BLINDTRANSFER", "PJSIP/202", ["602", "x", "3", "30"])
        self.event(moved, key, "ENTERQUEUE", data=["", "+79161234567", "1"],
                   queue="support")  # fmt: skip
        gone = moved + timedelta(seconds=15)
        self.event(gone, key, "ABANDON", data=["1", "1", "15"], queue="support")
        self.cdr(start, key, dstchannel="PJSIP/202-00000003", disposition="ANSWERED",
                 duration=33, billsec=33)  # fmt: skip
        self.cdr(moved, key, dstchannel=None, disposition="ANSWERED", duration=15,
                 billsec=15, lastdata="support,t", sequence=2)  # fmt: skip
        self.pull()
        lost = self.call(key)
        self.assertEqual((lost.outcome, lost.reason), ("missed", "lost_in_transfer"))
        self.assertEqual(lost.resolution, "pending")
        self.assertEqual(lost.queue_id.code, "support")
        self.assertEqual(self.call(earlier).resolution, "fixed")
        self.assertEqual(self.call(earlier).fix_call_id, lost)
        self.assertEqual(self.call(earlier).fixed_by, "client")

    def test_attempt_and_short_talk_do_not_fix(self):
        self.backend.min_talk_seconds = 5
        miss = self.missed(NOW - timedelta(hours=3))
        self.called_back(NOW - timedelta(hours=2), answered=False)
        self.called_back(NOW - timedelta(hours=1), talk=4)
        self.pull()
        self.assertEqual(self.call(miss).resolution, "pending")
        self.called_back(NOW - timedelta(minutes=20), talk=5)
        with freeze_time(NOW + timedelta(minutes=2)) as clock:
            self.settle(clock)
        self.assertEqual(self.call(miss).resolution, "fixed")

    def test_contact_before_the_miss_does_not_fix(self):
        self.answered(NOW - timedelta(hours=3))
        miss = self.missed(NOW - timedelta(hours=2))
        self.pull()
        self.assertEqual(self.call(miss).resolution, "pending")

    def test_two_lines_of_one_client(self):
        """Answered on one line while the other still waits: he got through."""
        start = NOW - timedelta(hours=1)
        miss = self.missed(start, seconds=40)
        self.answered(start + timedelta(seconds=10))
        self.pull()
        self.assertEqual(self.call(miss).resolution, "fixed")

    def test_rule_is_stored_on_the_miss(self):
        miss = self.missed(NOW - timedelta(hours=2))
        self.pull()
        deadline = self.call(miss).deadline_at
        self.company.pbx_fix_window_hours = 1
        self.event(NOW - timedelta(hours=2), miss, "RINGNOANSWER", "PJSIP/203", ["5"])
        self.pull(since=NOW - timedelta(hours=4), until=NOW, kind="backfill")
        self.assertEqual(self.call(miss).deadline_at, deadline)
        pull.rebuild(self.backend, NOW - timedelta(days=1), NOW)
        self.env.invalidate_all()
        self.assertEqual(
            self.call(miss).deadline_at, self.call(miss).ended_at + timedelta(hours=1)
        )

    def test_anonymous_and_excluded_are_ignored(self):
        self.env["pbx.number.rule"].create(
            {"company_id": self.company.id, "number": "+79990001122"}
        )
        hidden = self.missed(NOW - timedelta(hours=1), "anonymous")
        spam = self.missed(NOW - timedelta(hours=1), "+79990001122")
        self.pull()
        self.assertTrue(self.call(hidden).is_anonymous)
        self.assertFalse(self.call(hidden).client_number)
        self.assertEqual(self.call(hidden).resolution, "ignored")
        self.assertEqual(self.call(spam).resolution, "ignored")

    def test_short_by_the_queue_s_threshold(self):
        self.company.pbx_short_seconds = 5
        key = self.missed(NOW - timedelta(hours=1), ring=False, seconds=4)
        edge = self.missed(NOW - timedelta(hours=1), ring=False, seconds=5)
        self.pull()
        self.assertTrue(self.call(key).is_short)
        self.assertEqual(self.call(key).resolution, "ignored")
        self.assertFalse(self.call(edge).is_short)
        self.assertEqual(self.call(edge).resolution, "pending")

    def test_calendar_says_closed(self):
        calendar = self.env["resource.calendar"].create(
            {"name": "Weekdays", "tz": "Europe/Moscow", "company_id": self.company.id}
        )
        self.company.pbx_calendar_id = calendar
        night = datetime(2026, 11, 20, 2, 0)  # Friday, 5 in the morning there
        key = self.missed(night, ring=False)
        rung = self.missed(night, ring=True)
        self.pull()
        self.assertEqual(self.call(key).reason, "out_of_hours")
        self.assertTrue(self.call(key).is_out_of_hours)
        self.assertEqual(self.call(rung).reason, "no_answer")

    # -- settling and late records ------------------------------------------

    def test_not_judged_before_settled(self):
        self.first()
        key = self.missed(NOW - timedelta(seconds=30))
        with freeze_time(NOW) as clock:
            self.pull()
            self.assertTrue(self.call(key).is_open)
            self.assertFalse(self.call(key).outcome)
            clock.tick(timedelta(seconds=59))
            self.pull()
            self.assertTrue(self.call(key).is_open)
            clock.tick(timedelta(seconds=1))
            self.pull()
        self.assertFalse(self.call(key).is_open)
        self.assertEqual(self.call(key).outcome, "missed")

    def test_call_without_end_is_let_go(self):
        self.first()
        key = self.new_id(NOW)
        self.event(NOW, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
        with freeze_time(NOW + timedelta(minutes=119)):
            self.pull()
            self.assertTrue(self.call(key).is_open)
        with freeze_time(NOW + timedelta(minutes=122)):
            self.pull()
        self.assertFalse(self.call(key).is_open)
        self.assertEqual(self.call(key).outcome, "abandoned")

    def test_late_record_withdraws_the_miss(self):
        self.first()
        start = NOW - timedelta(seconds=40)
        key = self.missed(start)
        with freeze_time(NOW) as clock:
            self.settle(clock)
            callback = self.call(key).callback_id
            self.assertEqual(callback.state, "todo")
            self.assertTrue(callback.activity_ids)
            # the row of the phone that did answer comes late
            self.cdr(
                start + timedelta(seconds=21),
                key,
                dstchannel="PJSIP/203-00000009",
                lastapp="Dial",
                lastdata="PJSIP/203,20",
                disposition="ANSWERED",
                duration=40,
                billsec=35,
                sequence=7,
            )
            self.pull()
        call = self.call(key)
        self.assertEqual(call.outcome, "answered")
        self.assertFalse(call.resolution)
        self.assertEqual(callback.state, "cancelled")
        self.assertFalse(callback.activity_ids)

    def test_calls_are_joined_by_a_late_record(self):
        self.first()
        start = NOW - timedelta(minutes=5)
        one, two = self.new_id(start), self.new_id(start + timedelta(seconds=9))
        self.cdr(start, one, duration=8, billsec=8)
        self.cdr(start + timedelta(seconds=9), two, duration=8, billsec=8)
        with freeze_time(NOW) as clock:
            self.settle(clock)
            self.assertEqual(len(self.calls()), 2)
            older = self.call(one)
            self.cdr(start + timedelta(seconds=20), two, linkedid=one, sequence=3)
            self.pull()
        self.assertEqual(self.calls(), older)
        self.assertEqual(len(older.record_ids), 3)
        self.assertEqual(older.callback_id.missed_call_ids, older)

    def test_restart_cuts_waiting_calls(self):
        self.first()
        key = self.new_id(NOW)
        self.event(NOW, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
        restart = NOW + timedelta(seconds=50)
        self.event(restart, "NONE", "QUEUESTART", queue="NONE")
        with freeze_time(NOW + timedelta(seconds=60)) as clock:
            self.settle(clock)
        call = self.call(key)
        self.assertEqual((call.outcome, call.reason), ("abandoned", "disconnected"))
        self.assertEqual(call.ended_at, restart)

    def test_history_makes_callbacks_inside_the_window_only(self):
        old = self.missed(NOW - timedelta(hours=40), "+79160000001")
        new = self.missed(NOW - timedelta(hours=4), "+79160000002")
        self.pull()
        self.assertFalse(self.call(old).callback_id)
        self.assertEqual(self.call(old).resolution, "unfixed")
        self.assertTrue(self.call(old).from_history)
        self.assertEqual(self.call(new).callback_id.state, "todo")

    def test_four_misses_one_callback(self):
        self.first()
        for minutes in (50, 40, 30, 20):
            self.missed(NOW - timedelta(minutes=minutes))
        self.missed(NOW - timedelta(minutes=10), "anonymous")
        with freeze_time(NOW) as clock:
            self.settle(clock)
            found = self.env["pbx.callback"].search(
                [("company_id", "=", self.company.id)]
            )
            self.assertEqual(len(found), 1)
            self.assertEqual(found.missed_count, 4)
            self.assertEqual(len(found.activity_ids), 1)
            self.called_back(NOW - timedelta(seconds=30))
            self.settle(clock)
        self.assertEqual(found.state, "done")
        self.assertFalse(found.activity_ids)

    # -- clocks ------------------------------------------

    def test_hour_that_comes_twice(self):
        self.backend.tz = "Europe/Berlin"
        first = datetime(2026, 10, 25, 0, 30)  # 02:30 summer time
        second = datetime(2026, 10, 25, 1, 30)  # 02:30 winter time
        keys = [self.new_id(first), self.new_id(second)]
        for key in keys:
            self.cdr(datetime(2026, 10, 25, 2, 30) - MOSCOW, key)
        self.pull()
        self.assertEqual(self.call(keys[0]).started_at, first)
        self.assertEqual(self.call(keys[1]).started_at, second)

    def test_hour_that_is_left_out(self):
        self.backend.tz = "Europe/Berlin"
        before, after = datetime(2026, 3, 29, 0, 59, 50), datetime(2026, 3, 29, 1, 0, 5)
        keys = [self.new_id(before), self.new_id(after)]
        self.cdr(datetime(2026, 3, 29, 1, 59, 50) - MOSCOW, keys[0])
        self.cdr(datetime(2026, 3, 29, 3, 0, 5) - MOSCOW, keys[1])
        self.pull()
        for key, moment in zip(keys, (before, after), strict=True):
            self.assertEqual(self.call(key).started_at, moment)
            self.assertEqual(self.call(key).wait_seconds, 10)

    def test_wrong_zone_is_noticed(self):
        for n in range(30):
            self.missed(NOW - timedelta(minutes=10 + n), f"+791600001{n:02}")
        self.backend.tz = "Asia/Tehran"
        self.pull()
        self.assertIn("Asia/Tehran", self.backend.warning_message)

    # -- faults ------------------------------------------

    def test_bad_rows_stop_nothing(self):
        good = [self.missed(NOW - timedelta(minutes=m)) for m in (50, 30, 10)]
        for text in ("garbage", "0000-00-00 00:00:00", "20266-01-01 00:00:00"):
            self.pbx.insert(
                "queue_log",
                {"time": text, "callid": good[1], "event": "ABANDON"},
            )
        self.pbx.execute(
            "INSERT INTO cdr (calldate, uniqueid, channel) VALUES"
            " ('infinity', '1.1', 'PJSIP/a-1'), ('4000-01-01 BC', '1.2', 'PJSIP/b-1')"
        )
        log = self.pull()
        self.assertEqual(log.rejected_count, 5)
        self.assertEqual(len(self.calls()), 3)
        rejected = self.env["pbx.record"].search(
            [("backend_id", "=", self.backend.id), ("state", "=", "rejected")]
        )
        self.assertEqual(len(rejected), 5)
        self.assertTrue(all(record.error for record in rejected))
        self.assertEqual(self.backend.rejected_count, 5)
        self.pull(since=NOW - timedelta(hours=2), until=NOW, kind="backfill")
        self.assertEqual(self.backend.rejected_count, 5)

    @mute_logger("odoo.addons.missed_call_crm.intake.calls")
    def test_records_nobody_understands_are_quarantined_and_replayed(self):
        bad = self.missed(NOW - timedelta(minutes=50))
        good = self.missed(NOW - timedelta(minutes=20))
        provider = self.backend._get_provider_class()
        assemble = provider.assemble

        def fail(this, records, restarts=()):
            records = list(records)
            if any(bad in record.payload.values() for record in records):
                raise ArithmeticError("cannot be")
            return assemble(this, records, restarts)

        with patch.object(provider, "assemble", fail):
            self.pull()
        self.assertEqual(self.calls().mapped("call_key"), [good])
        rejected = self.env["pbx.record"].search(
            [("backend_id", "=", self.backend.id), ("state", "=", "rejected")]
        )
        self.assertEqual(len(rejected), 4)
        self.assertIn("cannot be", rejected[0].error)
        rejected.action_replay()
        self.env.invalidate_all()
        self.assertEqual(self.call(bad).outcome, "missed")
        self.assertEqual(self.backend.rejected_count, 0)

    def test_errors_stay_on_the_backend(self):
        good = self.create_backend(name="Good")
        self.missed(NOW - timedelta(minutes=5))
        self.backend.db_password = "wrong"
        self.backend.db_user = "nobody_here"
        log = pull.run(self.backend)
        self.assertEqual(log.state, "failed")
        self.assertTrue(self.backend.error_message)
        self.assertNotIn("wrong", self.backend.error_message)
        self.assertEqual(self.backend.error_count, 1)
        self.assertFalse(self.backend.cursor)
        self.assertGreater(self.backend.next_pull_at, NOW)
        self.assertEqual(pull.run(good).state, "done")
        self.assertEqual(len(good.log_ids), 1)

    def test_dropped_column_is_an_error_and_nothing_is_lost(self):
        self.first()
        position = self.backend.cursor
        self.pbx.execute("ALTER TABLE cdr RENAME COLUMN calldate TO nonsense")
        try:
            log = pull.run(self.backend)
            self.assertEqual(log.state, "failed")
            self.assertIn("cdr", self.backend.error_message)
            self.assertEqual(self.backend.cursor, position)
        finally:
            self.pbx.execute("ALTER TABLE cdr RENAME COLUMN nonsense TO calldate")
        key = self.missed(NOW - timedelta(seconds=20))
        with freeze_time(NOW + timedelta(minutes=5)) as clock:
            self.settle(clock)
        self.assertEqual(self.call(key).outcome, "missed")
        self.assertFalse(self.backend.error_message)

    def test_one_worker_a_backend(self):
        with self.registry.cursor() as other:
            other.execute(
                "SELECT pg_advisory_lock(%s, %s)", [pull._LOCK_CLASS, self.backend.id]
            )
            if other._obj.connection is self.env.cr._obj.connection:
                self.skipTest("the same connection")
            with self.assertRaises(UserError):
                pull.run(self.backend)
            self.assertIsNone(pull.run(self.backend, kind="scheduled"))
            other.execute("SELECT pg_advisory_unlock_all()")
        self.assertEqual(pull.run(self.backend).state, "done")

    def test_cron_pulls_all_and_never_raises(self):
        other = self.create_backend(name="Broken", db_user="nobody_here")
        self.missed(NOW - timedelta(minutes=5))
        (self.env["pbx.backend"].search([]) - other - self.backend).active = False
        cron = self.env.ref("missed_call_crm.ir_cron_pull")
        with self.enter_registry_test_mode(), mute_logger("odoo.addons.base.models"):
            cron.method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(len(self.calls()), 1)
        self.assertTrue(self.backend.last_success_at)
        self.assertTrue(other.error_message)
        self.assertFalse(other.last_success_at)

    def test_failing_callbacks_lose_no_call(self):
        self.missed(NOW - timedelta(minutes=5))
        (self.env["pbx.backend"].search([]) - self.backend).active = False
        with (
            patch.object(callbacks, "sync", side_effect=ArithmeticError("no")),
            self.enter_registry_test_mode(),
            self.assertLogs("odoo.addons.missed_call_crm.intake.pull", "ERROR"),
        ):
            self.env.ref("missed_call_crm.ir_cron_pull").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(len(self.calls()), 1)

    def test_batches_are_taken_whole_or_not_at_all(self):
        for minutes in range(10):
            self.missed(NOW - timedelta(minutes=5 + minutes), f"+7916000000{minutes}")
        with patch.object(
            intake_calls.Batch, "_write_records", side_effect=ArithmeticError("full")
        ):
            with self.assertRaises(ArithmeticError), self.env.cr.savepoint():
                pull.run(self.backend)
        self.env.invalidate_all()
        self.assertFalse(self.calls())
        self.assertFalse(self.backend.cursor)
        with patch.object(pull, "BATCH_ROWS", 3):
            self.pull()
        self.assertEqual(len(self.calls()), 10)
        self.assertEqual(set(self.calls().mapped("outcome")), {"missed"})

    def test_number_of_queries_does_not_grow_with_rows(self):
        counts = []
        for total in (5, 50):
            self.pbx.clear()
            for n in range(total):
                start = NOW - timedelta(minutes=total + n)
                self.missed(start, f"+79{total:02}0000{n:03}")
            self.company = self.create_company(f"{total} calls")
            self.backend = self.create_backend(create_callbacks=False)
            self.env.flush_all()
            before = self.env.cr.sql_log_count
            self.pull()
            counts.append(self.env.cr.sql_log_count - before)
            self.assertEqual(len(self.calls()), total)
        self.assertLessEqual(counts[1], counts[0] + 3, counts)

    # -- what a review found ------------------------------------------

    def test_silence_of_the_source_is_no_silence_of_the_call(self):
        self.first()
        key = self.new_id(NOW)
        self.event(NOW, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
        with freeze_time(NOW + timedelta(minutes=1)):
            self.pull()
        with freeze_time(NOW + timedelta(minutes=150)):
            pull.judge_due(self.env)  # nothing was read since
            self.assertTrue(self.call(key).is_open)
        with freeze_time(NOW + timedelta(minutes=152)):
            self.pull()
        self.assertFalse(self.call(key).is_open)

    def test_restart_is_remembered_by_later_rebuilds(self):
        self.first()
        key = self.new_id(NOW)
        restart = NOW + timedelta(seconds=50)
        # the restart is read before the call it cut
        self.event(restart, "NONE", "QUEUESTART", queue="NONE")
        with freeze_time(NOW + timedelta(seconds=60)) as clock:
            self.pull()
            self.event(NOW, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
            self.settle(clock)
            call = self.call(key)
            self.assertEqual((call.reason, call.ended_at), ("disconnected", restart))
            callback = call.callback_id
            self.assertEqual(callback.state, "todo")
            late = NOW + timedelta(seconds=20)
            self.event(late, key, "RINGNOANSWER", "PJSIP/201", ["6000"])
            self.pull()
            self.assertEqual(self.call(key).reason, "disconnected")
            self.assertEqual(callback.state, "todo")
            pull.rebuild(
                self.backend, NOW - timedelta(hours=1), NOW + timedelta(hours=1)
            )
        self.env.invalidate_all()
        self.assertEqual(self.call(key).reason, "disconnected")

    def test_another_company_s_holiday_closes_nothing(self):
        calendar = self.env["resource.calendar"].create(
            {"name": "Weekdays", "tz": "Europe/Moscow", "company_id": self.company.id}
        )
        self.company.pbx_calendar_id = calendar
        holiday = self.env["resource.calendar.leaves"].create(
            {
                "name": "Holiday",
                "date_from": datetime(2026, 11, 19, 21),
                "date_to": datetime(2026, 11, 20, 21),
                "calendar_id": False,
            }
        )
        holiday.company_id = self.create_company("Elsewhere")
        key = self.missed(NOW - timedelta(hours=1), ring=False)
        self.pull()
        self.assertEqual(self.call(key).reason, "queue_hangup")
        holiday.company_id = self.company
        pull.rebuild(self.backend, NOW - timedelta(days=1), NOW)
        self.env.invalidate_all()
        self.assertEqual(self.call(key).reason, "out_of_hours")

    def test_queue_log_alone_makes_no_callbacks(self):
        self.pbx.execute("ALTER TABLE cdr RENAME TO gone_cdr")
        self.pbx.execute("ALTER TABLE cel RENAME TO gone_cel")
        try:
            key = self.new_id(NOW - timedelta(minutes=9))
            at = NOW - timedelta(minutes=9)
            self.event(at, key, "ENTERQUEUE", data=["", "+79161234567", "1"])
            at += timedelta(seconds=30)
            self.event(at, key, "ABANDON", data=["1", "1", "30"])
            self.pull()
            self.assertEqual(self.call(key).outcome, "abandoned")
            self.assertFalse(self.backend.create_callbacks)
            self.assertFalse(self.call(key).callback_id)
            self.backend.create_callbacks = True
            self.pull()
            self.assertTrue(self.backend.create_callbacks)
        finally:
            self.pbx.execute("ALTER TABLE gone_cdr RENAME TO cdr")
            self.pbx.execute("ALTER TABLE gone_cel RENAME TO cel")

    def test_table_that_is_no_longer_wanted(self):
        self.first()
        self.backend.cel_table = False
        self.pull()
        self.assertFalse(self.backend.error_message)

    def test_same_bad_row_is_no_news(self):
        self.missed(NOW - timedelta(minutes=5))
        self.pbx.insert("queue_log", {"time": "garbage", "callid": "1.1", "event": "X"})
        self.assertEqual(self.pull().rejected_count, 1)
        log = self.pull()
        self.assertEqual(log.rejected_count, 0)
        record = self.env["pbx.record"].search(
            [("backend_id", "=", self.backend.id), ("state", "=", "rejected")]
        )
        self.assertEqual(record.seen_count, 1)

    def test_numbers_nobody_can_dial(self):
        keys = [
            self.missed(NOW - timedelta(minutes=9), number)
            for number in ("8", "12345678901234567890")
        ]
        self.pull()
        for key in keys:
            self.assertTrue(self.call(key).is_anonymous)
            self.assertEqual(self.call(key).resolution, "ignored")

    def test_back_fill_that_was_cut_short_goes_on(self):
        self.first()
        old = self.missed(NOW - timedelta(days=40))
        state = dict(self.backend.cursor)
        since, until = NOW - timedelta(days=41), NOW - timedelta(days=39)
        state["backfill"] = [since.isoformat(), until.isoformat()]
        self.backend.cursor = state
        new = self.missed(NOW - timedelta(minutes=5), "+79160000009")
        (self.env["pbx.backend"].search([]) - self.backend).active = False
        self.backend.next_pull_at = False
        with self.enter_registry_test_mode():
            self.env.ref("missed_call_crm.ir_cron_pull").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(self.call(old).outcome, "missed")
        self.assertTrue(self.call(old).from_history)
        self.assertTrue(self.call(new))
        self.assertNotIn("backfill", self.backend.cursor)
