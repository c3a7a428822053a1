# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Calls that integrations push: replays, changes, refusals, rights, and the README."""

import json
import os
import re
import subprocess
import sys
import xmlrpc.client
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta
from unittest.mock import patch

from odoo.exceptions import AccessError, ConcurrencyError, UserError
from odoo.fields import Command
from odoo.tests import (
    HttpCase,
    TransactionCase,
    freeze_time,
    get_db_name,
    new_test_user,
    tagged,
)
from odoo.tools import file_open, mute_logger

from ..intake import pull
from ..intake import push as intake
from ..intake.context import Context
from .common import RoleCase
from .pbx_common import CALL_FIELDS, JUDGED_AT, PbxCase

NOW = datetime(2026, 3, 10, 9, 30)
START = datetime(2026, 3, 10, 9, 0)


def at(seconds):
    return (START + timedelta(hours=3, seconds=seconds)).isoformat() + "+03:00"


def inbound(key="c-1", **values):
    """An inbound call of 30 s: 201 rang and nobody took it."""
    return {
        "call_key": key,
        "direction": "inbound",
        "client_number": "+79161234567",
        "our_number": "+74951234567",
        "started_at": at(0),
        "ended_at": at(30),
        "queue": "sales",
        "operator": "201",
        **values,
    }


def outbound(key="o-1", start=600, **values):
    """An outbound call of 60 s that was answered."""
    return {
        "call_key": key,
        "direction": "outbound",
        "client_number": "+79161234567",
        "operator": "201",
        "started_at": at(start),
        "answered_at": at(start + 10),
        "ended_at": at(start + 70),
        **values,
    }


class PushMixin:
    @classmethod
    def create_backend(cls, company, **values):
        backend = cls.env["pbx.backend"].create(
            {
                "name": "Cloud",
                "company_id": company.id,
                "provider": "push",
                "country_id": cls.env.ref("base.ru").id,
                **values,
            }
        )
        # Entered before the calls of these tests were made.
        cls.env.flush_all()
        cls.env.cr.execute(
            "UPDATE pbx_backend SET create_date = %s WHERE id = %s",
            [START - timedelta(days=1), backend.id],
        )
        cls.env.invalidate_all()
        return backend

    @classmethod
    def create_pusher(cls, backend, login="robot"):
        """A user with the right to push, and no other group at all."""
        user = new_test_user(
            cls.env, login=login, groups="missed_call_crm.group_push",
            company_id=backend.company_id.id,
            company_ids=[Command.set(backend.company_id.ids)],
        )  # fmt: skip
        backend.pusher_ids |= user
        return user

    def calls(self, *domain):
        return self.env["pbx.call"].search(
            [("backend_id", "=", self.backend.id), *domain]
        )

    def call(self, key="c-1"):
        return self.calls(("call_key", "=", key)).ensure_one()

    def records(self, *domain):
        return self.env["pbx.record"].search(
            [("backend_id", "=", self.backend.id), *domain]
        )

    def state(self):
        """All that pushes have made, with ids: to see that nothing changed."""
        self.env.invalidate_all()
        return (
            self.calls().read([*CALL_FIELDS, "queue_id", "extension_id", "leg_ids"]),
            self.records().read(["key", "payload", "state", "error", "received_at"]),
            self.env["pbx.callback"]
            .search([("company_id", "=", self.backend.company_id.id)])
            .read(["state", "missed_count", "deadline_at", "message_ids"]),
        )


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestPush(PushMixin, TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env["res.company"].create(
            {"name": "Call Centre", "country_id": cls.env.ref("base.ru").id}
        )
        cls.backend = cls.create_backend(cls.company)

    def ingest(self, *records):
        answer = self.backend.ingest(list(records))
        self.env.invalidate_all()
        return answer

    # -- backend ----------------------------------------------------------------

    def test_needs_no_connection(self):
        self.assertEqual(self.backend.settle_seconds, 0)
        self.assertTrue(self.backend.create_callbacks)
        self.assertFalse(self.backend.db_host)
        self.backend.write({"cdr_table": False, "cel_table": False})
        self.assertTrue(self.backend.sees_outbound)
        self.backend.queue_log_table = False
        other = self.env["pbx.backend"].create({"name": "DB", "db_host": "192.0.2.1"})
        self.assertEqual(other.settle_seconds, 60)

    def test_nothing_is_pulled(self):
        for kind in ("manual", "backfill"):
            with self.assertRaisesRegex(UserError, "nothing to pull"):
                pull.run(self.backend, since=START, until=NOW, kind=kind)
        with self.assertRaisesRegex(UserError, "nothing to pull"):
            self.backend.action_pull()
        self.assertIn("nothing to pull", str(self.backend.action_test()))
        (self.env["pbx.backend"].search([]) - self.backend).active = False
        with patch.object(pull, "run") as run, self.enter_registry_test_mode():
            self.env.ref("missed_call_crm.ir_cron_pull").method_direct_trigger()
        run.assert_not_called()
        self.assertFalse(self.backend.error_date)
        self.assertFalse(self.backend.log_ids)

    def test_does_not_take_pushes_of_a_pulled_phone_system(self):
        other = self.env["pbx.backend"].create({"name": "DB", "db_host": "192.0.2.1"})
        with self.assertRaisesRegex(UserError, "does not take pushed calls"):
            other.ingest([inbound()])
        self.backend.active = False
        with self.assertRaisesRegex(UserError, "is archived"):
            self.backend.ingest([inbound()])
        with self.assertRaisesRegex(UserError, "Name one phone system"):
            (self.backend | other).ingest([])

    # -- calls ------------------------------------------------------------------

    def test_miss_and_its_callback(self):
        answer = self.ingest(inbound())
        self.assertEqual(answer, {"accepted": 1, "unchanged": 0, "rejected": []})
        call = self.call()
        self.assertEqual((call.outcome, call.reason), ("missed", "no_answer"))
        self.assertEqual(call.resolution, "pending")
        self.assertEqual(call.started_at, START)
        self.assertEqual(call.queue_id.code, "sales")
        self.assertEqual(call.extension_id.number, "201")
        self.assertEqual(call.client_number, "+79161234567")
        self.assertFalse(call.from_history)
        self.assertEqual(call.callback_id.state, "todo")
        self.assertEqual(call.callback_id.create_uid, self.env.ref("base.user_root"))
        self.ingest(outbound())
        self.assertEqual(call.resolution, "fixed")
        self.assertEqual(call.fix_call_id, self.call("o-1"))
        self.assertEqual(call.callback_id.state, "done")

    def test_again_changes_nothing(self):
        records = [inbound(), outbound(), {"call_key": "bad"}, inbound("c-2")]
        answer = self.ingest(*records)
        self.assertEqual(answer["accepted"], 3)
        before = self.state()
        again = self.ingest(*json.loads(json.dumps(records)))
        self.assertEqual((again["accepted"], again["unchanged"]), (0, 3))
        self.assertEqual(again["rejected"], answer["rejected"])
        self.assertEqual(self.state(), before)
        self.assertEqual(len(self.records()), 4)

    def test_twice_in_one_list(self):
        answer = self.ingest(inbound(), inbound(operator="202"), inbound())
        self.assertEqual((answer["accepted"], answer["unchanged"]), (1, 2))
        self.assertEqual(self.call().extension_id.number, "201")
        self.assertEqual(len(self.records()), 1)

    def test_changed_call_is_replaced(self):
        self.ingest(inbound(legs=[{"kind": "menu", "started_at": at(1)}], queue=None))
        call = self.call()
        self.assertEqual((call.outcome, call.reason), ("abandoned", "menu_hangup"))
        callback = call.callback_id
        self.assertEqual(callback.state, "todo")
        answer = self.ingest(inbound(answered_at=at(5)))
        self.assertEqual(answer["accepted"], 1)
        self.assertEqual(call.outcome, "answered")
        self.assertEqual(call.leg_ids.mapped("kind"), ["talk"])
        self.assertFalse(call.callback_id)
        self.assertEqual(callback.state, "cancelled")
        self.assertEqual(len(self.records()), 1)

    def test_in_progress_is_not_judged(self):
        self.ingest(inbound(ended_at=None))
        call = self.call()
        self.assertTrue(call.is_open)
        self.assertFalse(call.resolution or call.callback_id)
        self.ingest(inbound(answered_at=at(20), ended_at=None))
        self.assertTrue(call.is_open)
        self.ingest(inbound())
        self.assertFalse(call.is_open)
        self.assertEqual(call.outcome, "missed")
        self.assertTrue(call.callback_id)

    def test_in_progress_ends_by_silence(self):
        self.ingest(inbound(ended_at=None))
        call = self.call()
        with freeze_time(START + timedelta(minutes=119)):
            pull.judge_due(self.env)
            self.assertTrue(call.is_open)
        with freeze_time(START + timedelta(minutes=121)):
            pull.judge_due(self.env)
            self.assertFalse(call.is_open)
            self.assertEqual(call.outcome, "missed")

    def test_long_address_is_not_cut(self):
        url = "https://pbx.example.com/" + "a" * 1500
        self.ingest(inbound(recording_url=url, voicemail_url=url))
        self.assertEqual(self.call().recording_url, url)
        self.assertTrue(self.call().has_voicemail)

    def test_anonymous(self):
        self.ingest(inbound(client_number=None))
        self.assertTrue(self.call().is_anonymous)
        self.assertEqual(self.call().resolution, "ignored")

    def test_history(self):
        """What ended before the phone system was entered is not work of today."""
        values = {"started_at": "2026-03-08T12:00:00Z"}
        old = inbound("old", ended_at="2026-03-08T12:00:30Z", **values)
        answer = self.ingest(old, inbound("new", client_number="+79160000002"))
        self.assertEqual(answer["accepted"], 2)
        self.assertTrue(self.call("old").from_history)
        self.assertFalse(self.call("old").callback_id)
        self.assertTrue(self.call("new").callback_id)

    def test_rebuilt_by_todays_rules(self):
        self.ingest(inbound(hangup_by="client", ended_at=at(7)))
        self.assertFalse(self.call().is_short)
        self.company.pbx_short_seconds = 10
        pull.rebuild(self.backend, START, NOW)
        self.assertTrue(self.call().is_short)

    # -- refused ----------------------------------------------------------------

    def test_rejected_are_told_by_index_and_kept(self):
        naive = inbound("c-2", started_at="2026-03-10T12:00:00")
        answer = self.ingest(
            inbound(), naive, 7, inbound("c-3", note="\0"), inbound("c-4")
        )
        self.assertEqual(answer["accepted"], 2)
        errors = {item["index"]: item["error"] for item in answer["rejected"]}
        self.assertEqual(sorted(errors), [1, 2, 3])
        self.assertIn("no offset from UTC", errors[1])
        self.assertEqual(len(self.calls()), 2)
        kept = self.records(("state", "=", "rejected"))
        self.assertEqual(sorted(kept.mapped("error")), sorted(errors.values()))
        self.assertIn(naive, kept.mapped("payload"))
        self.assertEqual(self.backend.rejected_count, 3)
        # The right one takes the place of the refused.
        self.ingest(inbound("c-2"))
        self.assertEqual(self.backend.rejected_count, 2)
        self.assertEqual(len(self.calls()), 3)

    def test_rejected_can_be_replayed(self):
        self.ingest(inbound("c-2", direction="in"), {"note": "\0"})
        kept = self.records(("state", "=", "rejected"))
        # As if a later version understood it.
        fixed = kept.filtered(lambda record: "direction" in record.payload)
        fixed.payload = dict(fixed.payload, direction="inbound")
        self.env.flush_all()
        kept.action_replay()
        self.assertEqual(self.call("c-2").outcome, "missed")
        left = self.records(("state", "=", "rejected"))
        self.assertIn("push it again", left.error)

    def test_whole_list_refused(self):
        for records, text in (
            ({"call_key": "c"}, "must be a list"),
            ("calls", "must be a list"),
            ([{}] * 10_001, "10001 records at once"),
            ([inbound(note="x" * 9_000_000), inbound("c-2", note="y" * 9_000_000)],
             "larger than 16 MiB"),
        ):  # fmt: skip
            with self.assertRaisesRegex(UserError, text):
                self.backend.ingest(records)
        self.assertFalse(self.records())

    def test_many_at_once(self):
        records = [inbound(f"m-{number}") for number in range(2_000)]
        self.assertEqual(self.ingest(*records)["accepted"], 2_000)
        self.assertEqual(len(self.calls()), 2_000)
        # The sender does not wait for that many callbacks.
        follow_up = self.env.ref("missed_call_crm.ir_cron_follow_up")
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", follow_up.id)])
        self.assertTrue(triggers)
        self.assertFalse(self.call("m-7").callback_id)
        self.assertEqual(self.ingest(*records)["unchanged"], 2_000)

    # -- state of the phone system ----------------------------------------------

    def test_fresh_while_something_is_pushed(self):
        self.assertTrue(self.backend.is_stale)
        self.ingest(inbound())
        self.assertEqual(self.backend.last_success_at, NOW)
        self.assertFalse(self.backend.is_stale)
        with freeze_time(NOW + timedelta(minutes=16)):
            self.env.invalidate_all()
            self.assertTrue(self.backend.is_stale)
            self.ingest({"call_key": "bad"})
            self.assertTrue(self.backend.is_stale, "nothing came that can be used")
            self.assertIn("direction", self.backend.warning_message)
            self.assertEqual(self.ingest()["accepted"], 0)  # a sign of life
            self.assertFalse(self.backend.is_stale)
            self.assertFalse(self.backend.warning_message)

    def test_times_in_the_future_are_told(self):
        self.ingest(inbound(started_at="2026-03-10T12:30:00Z",
                            ended_at="2026-03-10T12:30:10Z"))  # fmt: skip
        self.assertIn("180 minutes in the future", self.backend.warning_message)

    def test_one_log_line_an_interval(self):
        self.ingest(inbound())
        self.ingest(inbound(), inbound("c-2"), {})
        self.ingest(inbound())  # nothing new: nothing to log
        log = self.backend.log_ids
        self.assertEqual((log.kind, log.state), ("push", "done"))
        self.assertEqual(
            (log.row_count, log.new_count, log.unchanged_count, log.rejected_count),
            (4, 2, 1, 1),
        )
        self.assertIn("[2] call_key is missing", log.error)
        with freeze_time(NOW + timedelta(minutes=6)):
            self.ingest(inbound("c-3"))
        self.assertEqual(len(self.backend.log_ids), 2)

    def test_waits_for_who_is_judging(self):
        """Another worker has the phone system: Odoo is asked to try again."""
        key = [pull._LOCK_CLASS, self.backend.id]
        with closing(self.registry._db.cursor()) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s, %s)", key)
            with self.assertRaises(ConcurrencyError):
                self.backend.ingest([inbound()])
        self.assertEqual(self.ingest(inbound())["accepted"], 1)

    def test_call_survives_a_failing_callback(self):
        with (
            patch.object(intake.callbacks, "sync", side_effect=ValueError("x")),
            mute_logger("odoo.addons.missed_call_crm.intake.push"),
        ):
            self.assertEqual(self.ingest(inbound())["accepted"], 1)
        self.assertEqual(self.call().resolution, "pending")


@freeze_time(JUDGED_AT)
class TestPushLab(PbxCase):
    """The laboratory's calls, told by an integration that knows all three tables."""

    def told(self):
        """What it would push of each call that was pulled."""
        provider = Context(self.backend).provider
        for call in self.calls():
            facts = provider.assemble(call.record_ids)
            values = asdict(facts)
            reason = "out_of_hours" if facts.is_closed else facts.given_reason
            yield {
                **{name: values[name] for name in (
                    "direction", "client_name", "our_number", "operator", "hangup_by",
                    "hangup_cause", "started_at", "ended_at")},
                "call_key": call.call_key,
                "client_number": facts.client_raw,
                "reason": "disconnected" if facts.is_faulted else reason,
                "voicemail_url": facts.has_voicemail and "https://pbx.example.com/1",
                "legs": values["legs"],
            }  # fmt: skip

    def as_json(self, values):
        """JSON of a pushed record; times with an offset, whatever it is."""
        return json.loads(json.dumps(values, default=lambda t: t.isoformat() + "Z"))

    def test_pushed_gives_what_three_tables_give(self):
        self.load_lab("cdr", "queue_log", "cel")
        self.pull()
        wanted = self.state()
        self.assertEqual(len(wanted), 101)
        pushed = [
            self.as_json(
                {k: v for k, v in values.items() if v is not None and v is not False}
            )
            for values in self.told()
        ]
        self.company = self.create_company("Pushed")
        self.backend = self.create_backend(
            provider="push", db_host=False, min_talk_seconds=2
        )
        self.assertEqual(self.backend.ingest(pushed)["accepted"], 101)
        found = self.state()
        self.assertEqual(sorted(found), sorted(wanted))
        self.maxDiff = None
        for key, values in wanted.items():
            self.assertEqual({**found[key], "records": values["records"]}, values)
        again = self.backend.ingest(pushed)
        self.assertEqual((again["accepted"], again["unchanged"]), (0, 101))
        self.assertEqual(self.state(), found)


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestPushRights(PushMixin, RoleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pulled = cls.backend
        cls.backend = cls.create_backend(cls.company)
        cls.foreign = cls.create_backend(cls.other_company)
        cls.robot = cls.create_pusher(cls.backend)

    def push(self, user, backend, **context):
        target = self.env["pbx.backend"].browse(backend.id).with_user(user)
        target.env.invalidate_all()
        return target.with_context(**context).ingest([inbound()])

    def test_who_may_push(self):
        for user in (self.robot, self.manager, self.admin):
            answer = self.push(user, self.backend)
            self.assertFalse(answer["rejected"], user.login)
        for user in (self.boss, self.olga, self.stranger, self.other_boss):
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                self.push(user, self.backend)

    def test_only_there(self):
        for backend in (self.foreign, self.pulled):
            for context in ({}, {"allowed_company_ids": self.other_company.ids}):
                with self.assertRaises(AccessError):
                    self.push(self.robot, backend, **context)
        with self.assertRaises(AccessError):
            self.push(self.manager, self.foreign)

    def test_right_and_name_are_both_needed(self):
        self.backend.pusher_ids = self.olga
        for user in (self.olga, self.robot):
            with self.assertRaises(AccessError):
                self.push(user, self.backend)

    def test_strange_ids(self):
        model = self.env["pbx.backend"].with_user(self.robot)
        for wrong in (0, -1, 2**40, 10**9, "1", True, None, "x", [1]):
            with self.subTest(wrong=wrong), self.assertRaises(AccessError):
                model.browse([wrong]).ingest([])

    def test_context_of_the_sender_changes_nothing(self):
        self.push(
            self.robot, self.backend,
            allowed_company_ids=self.other_company.ids, active_test=False,
            default_company_id=self.other_company.id, default_state="done", lang="xx",
        )  # fmt: skip
        call = self.call()
        self.assertEqual(call.company_id, self.company)
        self.assertEqual(call.callback_id.company_id, self.company)
        self.assertEqual(call.callback_id.state, "todo")
        self.assertEqual(call.queue_id.company_id, self.company)

    def test_reads_nothing_of_ours(self):
        self.push(self.robot, self.backend)
        models = self.env["ir.model"].search([("model", "=like", "pbx.%")])
        self.assertGreater(len(models), 12)
        for name in models.mapped("model"):
            model = self.env[name].with_user(self.robot)
            if model._abstract:
                continue
            for operation in ("read", "write", "create", "unlink"):
                with self.subTest(model=name, operation=operation):
                    self.assertFalse(model.has_access(operation))
        for name in ("res.partner", "crm.lead", "mail.activity"):
            self.assertFalse(self.env[name].with_user(self.robot).has_access("read"))
        backend = self.backend.with_user(self.robot)
        for method in ("action_pull", "action_test", "action_view_calls"):
            with self.assertRaises(AccessError):
                getattr(backend, method)()
        with self.assertRaises(AccessError):
            backend.get_freshness()

    def test_pushers_are_named_by_system_administrators(self):
        with self.assertRaises(AccessError):
            self.backend.with_user(self.manager).pusher_ids = self.olga
        with self.assertRaises(AccessError):
            self.backend.with_user(self.manager).read(["pusher_ids"])
        self.backend.with_user(self.admin).pusher_ids = self.olga
        self.assertEqual(self.backend.pusher_ids, self.olga)


@tagged("post_install", "-at_install")
class TestPushHttp(PushMixin, HttpCase):
    """The same over the wire, with a key as integrations have it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env["res.company"].create(
            {"name": "Call Centre", "country_id": cls.env.ref("base.ru").id}
        )
        cls.backend = cls.create_backend(cls.company)

    def setUp(self):
        super().setUp()
        self.robot = self.backend._get_push_user()
        self.key = self.new_key(self.robot)

    def new_key(self, user):
        keys = self.env["res.users.apikeys"].with_user(user).sudo()
        key = keys._generate("rpc", "test", None)
        self.env.flush_all()
        return key

    def post(self, model="pbx.backend", method="ingest", key=None, **body):
        key = self.key if key is None else key
        headers = {"Authorization": f"bearer {key}"} if key else {}
        return self.url_open(
            f"/json/2/{model}/{method}", json=body, headers=headers, method="POST"
        )

    def push(self, *records, **values):
        return self.post(**{"ids": self.backend.ids, "records": records, **values})

    def test_json2(self):
        answer = self.push(inbound(), {"call_key": "x"})
        self.assertEqual(answer.status_code, 200, answer.text)
        told = answer.json()
        self.assertEqual((told["accepted"], told["unchanged"]), (1, 0))
        self.assertEqual(told["rejected"][0]["index"], 1)
        self.assertIn("missing", told["rejected"][0]["error"])
        told = self.push(inbound()).json()
        self.assertEqual(told, {"accepted": 0, "unchanged": 1, "rejected": []})
        self.env.invalidate_all()
        self.assertEqual(self.call().outcome, "missed")

    def test_json2_without_right(self):
        other = self.create_backend(self.company, name="Other")
        self.assertEqual(self.push(key="").status_code, 401)
        self.assertEqual(self.push(key="0" * 40).status_code, 401)
        with mute_logger("odoo.http"):
            answer = self.push(inbound(), ids=other.ids)
            self.assertEqual(answer.status_code, 403, answer.text)
            self.assertEqual(self.push(inbound(), ids=["x"]).status_code, 403)
            for model in ("pbx.call", "pbx.backend", "pbx.record", "res.partner"):
                answer = self.post(model, "search_read", domain=[])
                self.assertEqual(answer.status_code, 403, model)
            answer = self.post(method="read", ids=self.backend.ids, fields=["name"])
            self.assertEqual(answer.status_code, 403)
        self.env.invalidate_all()
        self.assertFalse(self.env["pbx.call"].search([("backend_id", "=", other.id)]))

    @mute_logger("odoo.http")
    def test_json2_refused(self):
        for values in ({"ids": []}, {"records": {}}):
            answer = self.push(**values)
            self.assertEqual(answer.status_code, 422, answer.text)
        answer = self.url_open(
            "/json/2/pbx.backend/ingest",
            data=b'{"ids": [%d], "records": [NaN, {"a": "\\ud800"}]}' % self.backend.id,
            headers={
                "Authorization": f"bearer {self.key}",
                "Content-Type": "application/json",
            },
        )
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual([item["index"] for item in answer.json()["rejected"]], [0, 1])

    @mute_logger("odoo.addons.rpc.controllers.xmlrpc", "odoo.http")
    def test_xmlrpc(self):
        login = self.robot.login
        uid = self.xmlrpc_common.authenticate(get_db_name(), login, self.key, {})
        self.assertEqual(uid, self.robot.id)

        def push(ids, records):
            return self.xmlrpc_object.execute_kw(
                get_db_name(), uid, self.key, "pbx.backend", "ingest", [ids, records]
            )

        records = [inbound(), inbound("c-2", started_at=datetime(2026, 3, 10, 12))]
        told = push(self.backend.ids, records)
        self.assertEqual(told["accepted"], 1)
        self.assertEqual(told["rejected"][0]["index"], 1)
        self.assertIn("no offset from UTC", told["rejected"][0]["error"])
        self.assertEqual(push(self.backend.ids, [inbound()])["unchanged"], 1)
        other = self.create_backend(self.company, name="Other")
        with self.assertRaisesRegex(xmlrpc.client.Fault, "may not push"):
            push(other.ids, [inbound()])

    def test_new_key(self):
        """The button's key pushes; its user cannot sign in."""
        admin = self.env.ref("base.user_admin")
        backend = self.backend.with_user(admin).with_context(
            allowed_company_ids=self.company.ids
        )
        admin.company_ids |= self.company
        make = type(backend).action_new_push_key
        with self.assertRaises(UserError):
            backend.action_new_push_key()  # asks for the password, over HTTP only
        action = make.__wrapped__(backend)
        key = action["context"]["default_key"]
        self.env.flush_all()
        self.assertEqual(self.push(inbound(), key=key).json()["accepted"], 1)
        self.assertEqual(self.backend.pusher_ids, self.robot)
        self.assertEqual(
            self.robot.all_group_ids, self.env.ref("missed_call_crm.group_push")
        )
        manager = new_test_user(
            self.env, login="mona", groups="missed_call_crm.group_manager",
            company_id=self.company.id, company_ids=[Command.set(self.company.ids)],
        )  # fmt: skip
        with self.assertRaises(AccessError):
            make.__wrapped__(self.backend.with_user(manager))

    # -- the README's examples ---------------------------------------------------

    def example(self, language):
        """The one code block of that language in the README's chapter on pushing."""
        with file_open("missed_call_crm/README.rst") as readme:
            text = readme.read()
        chapter = text.split("\nPush\n----\n")[1].split("\nNumbers\n----")[0]
        pattern = rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)"
        (block,) = re.findall(pattern, chapter)
        return "".join(line[3:] for line in block.splitlines(keepends=True))

    def run_example(self, *command):
        environ = dict(
            os.environ,
            ODOO_URL=self.base_url(),
            ODOO_KEY=self.key,
            PHONE_SYSTEM_ID=str(self.backend.id),
        )
        self.env.flush_all()
        with self.allow_requests(all_requests=True):
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.env.invalidate_all()
        return json.loads(done.stdout.replace("'", '"'))

    def test_examples(self):
        new = {"accepted": 1, "unchanged": 0, "rejected": []}
        old = {"accepted": 0, "unchanged": 1, "rejected": []}
        curl = ("bash", "-c", self.example("bash"))
        python = (sys.executable, "-c", self.example("python"))
        self.assertEqual(self.run_example(*curl), new)
        call = self.call("20260310-0001")
        self.assertEqual((call.outcome, call.reason), ("missed", "no_answer"))
        self.assertEqual(call.queue_wait_seconds, 27)
        self.assertEqual(self.run_example(*python), new)
        self.assertEqual((call.resolution, call.fixed_by), ("fixed", "callback"))
        self.assertEqual(self.run_example(*curl), old)
        self.assertEqual(self.run_example(*python), old)
