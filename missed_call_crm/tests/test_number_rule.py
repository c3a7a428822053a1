# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta

from odoo.tests import freeze_time, tagged

from ..intake.context import Context
from .callback_common import NOW
from .common import RoleCase

NUMBER = "+79120000001"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestNumberRule(RoleCase):
    """Rules act on the misses there are already, and back."""

    def rule(self, number, **values):
        return (
            self.env["pbx.number.rule"]
            .with_user(self.manager)
            .create({"company_id": self.company.id, "number": number, **values})
        )

    def test_a_new_rule_ignores_what_is_owed(self):
        miss = self.miss()
        late = self.miss(
            NOW - timedelta(days=3), resolution="late", fixed_at=NOW, fixed_by=False
        )
        other = self.miss(number="+79120000002")
        self.sync()
        callback = self.callback(NUMBER)
        self.rule("8 912 000-00-01")
        self.assertEqual(miss.resolution, "ignored")
        self.assertEqual(late.resolution, "ignored")
        self.assertFalse(late.fixed_at)
        self.assertEqual(other.resolution, "pending")
        self.assertEqual(callback.state, "cancelled")
        self.assertFalse(self.activity(callback))
        self.assertEqual(self.callback("+79120000002").state, "todo")

    def test_a_beginning_covers_all_of_them(self):
        inside, outside = self.miss(), self.miss(number="+79130000001")
        self.rule("+7 912*")
        self.assertEqual(inside.resolution, "ignored")
        self.assertEqual(outside.resolution, "pending")

    def test_a_beginning_may_be_national(self):
        miss = self.miss(number="+78001234567")
        rule = self.rule("8 800*")
        self.assertEqual((rule.number_key, rule.is_prefix), ("+7800", True))
        self.assertEqual(miss.resolution, "ignored")
        self.assertTrue(Context(self.backend).is_excluded("+78005550000"))

    def test_without_the_rule_it_is_owed_again(self):
        rule = self.rule(NUMBER)
        miss = self.miss(resolution="ignored")
        reached = self.miss(NOW - timedelta(hours=5), resolution="ignored")
        self.talk(NOW - timedelta(hours=4))
        self.assertEqual(reached.resolution, "ignored")
        rule.unlink()
        self.assertEqual(miss.resolution, "pending")
        self.assertEqual(reached.resolution, "fixed")
        self.assertEqual(self.callback(NUMBER).missed_call_ids, miss)

    def test_other_reasons_stay(self):
        rule = self.rule("+7912*")
        self.rule("+79120000002")
        self.company.pbx_ignored_reason_ids = self.env["pbx.miss.reason"].search(
            [("code", "=", "menu_hangup")]
        )
        mobile = self.queue.copy({"code": "mobile", "callback_for": "mobile"})
        values = {"resolution": "ignored"}
        kept = (
            self.miss(is_short=True, **values)
            | self.miss(reason="menu_hangup", **values)
            | self.miss(number_type="fixed", queue_id=mobile.id, **values)
            | self.miss(number="+79120000002", **values)
            | self.miss(number="+79130000001", **values)
        )
        freed = self.miss(number_type="mobile", queue_id=mobile.id, **values)
        unknown = self.miss(reason=False, **values)
        rule.active = False
        self.assertEqual(set(kept.mapped("resolution")), {"ignored"})
        self.assertEqual(freed.resolution, "pending")
        self.assertEqual(unknown.resolution, "pending")

    def test_changing_the_number_moves_the_rule(self):
        first, second = self.miss(), self.miss(number="+79120000002")
        rule = self.rule(NUMBER)
        rule.number = "+79120000002"
        self.assertEqual(first.resolution, "pending")
        self.assertEqual(second.resolution, "ignored")

    def test_of_this_company_only(self):
        miss = self.miss()
        self.env["pbx.number.rule"].create(
            {"company_id": self.other_company.id, "number": NUMBER}
        )
        self.assertEqual(miss.resolution, "pending")

    def test_numbers_are_read_as_the_phone_systems_write_them(self):
        self.backend.country_id = self.env.ref("base.de")
        self.backend.copy(
            {
                "name": "Second",
                "db_host": "192.0.2.9",
                "country_id": self.env.ref("base.fr").id,
            }
        )
        german = self.miss(number="+49170123456")
        french = self.miss(number="+33170123456")
        russian = self.miss(number="+70170123456")
        rule = self.rule("0170 123456")
        self.assertEqual(rule.number_key, "+49170123456")
        # nobody can tell which of the two is meant
        self.assertEqual(german.resolution, "ignored")
        self.assertEqual(french.resolution, "ignored")
        self.assertEqual(russian.resolution, "pending")
        context = Context(self.backend)
        self.assertTrue(context.is_excluded("+33170123456"))
        rule.number = "+49 170 123456"
        self.assertEqual(german.resolution, "ignored")
        self.assertEqual(french.resolution, "pending")

    def test_without_phone_system_by_the_country(self):
        self.other_company.country_id = self.env.ref("base.de")
        rule = self.env["pbx.number.rule"].create(
            {"company_id": self.other_company.id, "number": "0170 1234567"}
        )
        self.assertEqual(rule.number_key, "+491701234567")
