# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""The laboratory's real calls through a real PostgreSQL into calls and resolutions."""

import random
from datetime import datetime, timedelta

from odoo.tests import freeze_time

from .pbx_common import JUDGED_AT, LAB_END, PbxCase
from .pbx_database import lab_expected, lab_rows


@freeze_time(JUDGED_AT)
class TestPullLab(PbxCase):
    def disagreements(self, kinds):
        """Calls whose stored result differs from what the phones saw."""
        found = []
        for key, expected in lab_expected().items():
            call = self.calls(("call_key", "=", key))
            if not call:
                found.append((expected["id"], "no call"))
                continue
            skip = set(expected["unjudged"])
            if "cel" not in kinds:
                skip |= set(expected["unjudged_without_cel"])
            wanted = {
                name: expected[name] or False
                for name in ("direction", "outcome", "reason")
                if name not in skip
            }
            wanted["has_voicemail"] = expected["has_voicemail"]
            wanted["is_anonymous"] = expected["anonymous"]
            if not expected["ambiguous"]:
                wanted["client_number"] = expected["client"] or False
                wanted["resolution"] = expected["resolution"] or False
                wanted["fixed_by"] = expected["fixed_by"] or False
            for name, value in wanted.items():
                if call[name] != value:
                    found.append((expected["id"], name, call[name], value))
            found += self._people(call, expected, skip)
        return found

    def _people(self, call, expected, skip):
        found = []
        rings = call.leg_ids.filtered(lambda leg: leg.kind == "ring")
        talks = call.leg_ids.filtered(lambda leg: leg.kind == "talk")
        if call.direction == "inbound":
            rung = sorted(set(rings.extension_id.mapped("number")))
            if "offered" not in skip and rung != sorted(expected["offered"]):
                found.append((expected["id"], "offered", rung, expected["offered"]))
            answered = list(dict.fromkeys(talks.extension_id.mapped("number")))
            if answered != expected["answered_by"]:
                found.append((expected["id"], "answered_by", answered))
            wait = expected["seconds_to_answer"]
            wait = expected["seconds"] if wait is None else wait
            if call.wait_seconds is False or abs(call.wait_seconds - wait) > 2:
                found.append((expected["id"], "wait", call.wait_seconds, wait))
        elif call.extension_id.number != expected["operator"]:
            found.append((expected["id"], "operator", call.extension_id.number))
        return found

    def test_all_three_tables(self):
        self.load_lab("cdr", "queue_log", "cel")
        log = self.pull()
        self.assertEqual(log.kind, "first")
        self.assertEqual(log.row_count, 164 + 238 + 1648)
        self.assertEqual(log.rejected_count, 0)
        self.assertEqual(len(self.calls()), 101)
        self.assertEqual(self.disagreements(("cdr", "queue_log", "cel")), [])

    def test_cdr_and_queue_log(self):
        self.load_lab("cdr", "queue_log")
        self.backend.cel_table = False
        self.pull()
        missing = {
            item["id"]
            for item in lab_expected().values()
            if not item["rows"]["cdr"] and not item["rows"]["queue_log"]
        }
        found = [
            line
            for line in self.disagreements(("cdr", "queue_log"))
            if line[0] not in missing
        ]
        self.assertEqual(found, [])
        self.assertEqual(len(self.calls()), 101 - len(missing))

    def test_second_pull_changes_nothing(self):
        self.load_lab("cdr", "queue_log", "cel")
        self.pull()
        before = self.state()
        ids = self.calls().ids
        log = self.pull(since=datetime(2026, 11, 21), kind="backfill",
                        until=datetime(2026, 11, 22))  # fmt: skip
        self.assertEqual(log.new_count, 0)
        self.assertEqual(log.changed_count, 0)
        self.assertEqual(log.unchanged_count, 2050)
        self.assertEqual(log.call_count, 0)
        self.assertEqual(self.state(), before)
        self.assertEqual(self.calls().ids, ids)

    def test_any_order_with_pulls_between(self):
        """Row by row in random orders ends in the state of one pull."""
        rows = self._sample()
        for kind, row in rows:
            self.pbx.insert(kind, row)
        self.pull()
        wanted = self.state()
        self.assertGreater(len(wanted), 8)
        for seed in range(2):
            self.pbx.clear()
            self.company = self.create_company(f"Seed {seed}")
            self.backend = self.create_backend()
            self._row_by_row(rows, random.Random(seed))
            self.maxDiff = None
            found = self.state()
            for key, values in wanted.items():
                self.assertEqual(found[key], values, f"seed {seed}")
            self.assertEqual(found, wanted)

    def _row_by_row(self, rows, rng):
        rows = list(rows)
        rng.shuffle(rows)
        with freeze_time(JUDGED_AT - timedelta(minutes=10)) as clock:
            self.pull()  # the first pull finds nothing: no history
            for number, (kind, row) in enumerate(rows):
                self.pbx.insert(kind, row)
                if number % 6 == 0:
                    self.pull()
                    # Nothing settles within these seconds: nothing is judged.
                    self.assertFalse(self.calls(("is_open", "=", False)))
                    self.assertFalse(
                        self.env["pbx.callback"].search(
                            [("missed_call_ids.backend_id", "=", self.backend.id)]
                        )
                    )
            clock.tick(timedelta(seconds=61))
            self.pull()
            clock.tick(timedelta(seconds=61))
            self.pull()

    def _sample(self):
        """Rows of some calls of every kind: answered, transfer, missed, fixed."""
        wanted = {
            item["linkedid"]
            for item in lab_expected().values()
            if item["scenario"] in ("01", "06", "09", "12", "14", "18")
        }
        rows = []
        for kind in ("cdr", "queue_log", "cel"):
            for row in lab_rows(kind):
                if row.get("eventtype", "").startswith("STREAM"):
                    continue
                if (row.get("linkedid") or row.get("callid")) in wanted:
                    row.pop("id", None)
                    rows.append((kind, row))
        return rows

    def test_as_it_happened(self):
        """Rows appear when Asterisk writes them: no call in progress is judged."""
        expected = lab_expected()
        timeline = self._timeline()
        ends = {
            key: datetime.fromisoformat(item["ended_at"][:-1])
            for key, item in expected.items()
        }
        start = timeline[0][0] - timedelta(seconds=5)
        with freeze_time(start) as clock:
            self.pull()
            index, now = 0, start
            while now < LAB_END + timedelta(minutes=3):
                while index < len(timeline) and timeline[index][0] <= now:
                    self.pbx.insert(timeline[index][1], timeline[index][2])
                    index += 1
                self.pull()
                judged = self.calls(("is_open", "=", False))
                early = [c.call_key for c in judged if ends[c.call_key] > now]
                self.assertEqual(early, [])
                clock.tick(timedelta(seconds=20))
                now += timedelta(seconds=20)
        self.assertEqual(index, len(timeline))
        self.assertFalse(self.calls(("is_open", "=", True)))
        self.assertEqual(self.disagreements(("cdr", "queue_log", "cel")), [])

    def _timeline(self):
        """(when written, kind, row): events live, CDR rows at their channel's end."""
        zone = timedelta(hours=3)
        found = []
        for kind, column in (("queue_log", "time"), ("cel", "eventtime")):
            for row in lab_rows(kind):
                row.pop("id")
                at = datetime.fromisoformat(row[column].ljust(26, "0")) - zone
                found.append((at, kind, row))
        rows = lab_rows("cdr")
        ends = {}
        for row in rows:
            start = datetime.fromisoformat(row["calldate"]) - zone
            end = start + timedelta(seconds=int(row["duration"]) + 1)
            ends[row["uniqueid"]] = max(end, ends.get(row["uniqueid"], end))
        found += [(ends[row["uniqueid"]], "cdr", row) for row in rows]
        return sorted(found, key=lambda item: (item[0], item[1]))
