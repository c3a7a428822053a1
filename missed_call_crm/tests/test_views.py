# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from lxml import etree

from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, freeze_time, tagged
from odoo.tools.safe_eval import safe_eval

from .callback_common import NOW
from .common import RoleCase


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestViews(RoleCase):
    """Every menu opens for whom it is shown, and every filter finds something legal."""

    def test_menus_open_for_whom_they_are_shown(self):
        self.make_callback()
        root = self.env.ref("missed_call_crm.missed_call_menu")
        shown = {}
        for user in (self.olga, self.boss, self.manager):
            visible = self.env["ir.ui.menu"].with_user(user)._visible_menu_ids()
            menus = self.env["ir.ui.menu"].search([("id", "child_of", root.id)])
            menus = menus.filtered(lambda menu, seen=visible: menu.id in seen)
            shown[user] = menus
            self.assertIn(root, menus, user.login)
            for menu in menus.filtered("action"):
                with self.subTest(user=user.login, menu=menu.complete_name):
                    self._open(menu.action, user)
        self.assertLess(len(shown[self.olga]), len(shown[self.boss]))
        self.assertLess(len(shown[self.boss]), len(shown[self.manager]))
        visible = self.env["ir.ui.menu"].with_user(self.stranger)._visible_menu_ids()
        self.assertNotIn(root.id, visible)

    def _open(self, action, user):
        context = safe_eval(action.context or "{}", {"uid": user.id})
        model = self.env[action.res_model].with_user(user)
        model = model.with_context(**context, allowed_company_ids=user.company_ids.ids)
        views = [(view_id, kind) for view_id, kind in action.views]
        found = model.get_views([*views, (False, "search")])["views"]
        for kind in action.view_mode.split(","):
            self.assertIn(kind, found)
        records = model.search(safe_eval(action.domain or "[]", {"uid": user.id}))
        fields = set()
        for kind in ("list", "kanban"):
            if kind in found:
                fields |= set(self._field_names(found[kind]["arch"]))
        records.read([name for name in fields if name in model._fields])

    @staticmethod
    def _field_names(arch):
        tree = etree.fromstring(arch)
        return [node.get("name") for node in tree.iter("field")]

    def test_every_filter_and_grouping_works(self):
        self.make_callback()
        self.talk(NOW)
        for model in ("pbx.call", "pbx.callback", "pbx.record", "pbx.pull.log"):
            Model = self.env[model].with_user(self.manager)
            Model = Model.with_context(allowed_company_ids=self.company.ids)
            arch = Model.get_views([(False, "search")])["views"]["search"]["arch"]
            tried = 0
            for node in etree.fromstring(arch).iter("filter"):
                names = {"uid": self.manager.id}
                with self.subTest(model=model, filter=node.get("name")):
                    if node.get("domain"):
                        Model.search(safe_eval(node.get("domain"), names))
                    if node.get("context"):
                        group = safe_eval(node.get("context"), names)["group_by"]
                        Model.formatted_read_group([], [group], ["__count"])
                    if node.get("date"):
                        self.assertEqual(
                            Model._fields[node.get("date")].type, "datetime"
                        )
                    tried += 1
            self.assertGreater(tried, 3)

    def test_not_fixed_list_is_the_sum_of_its_filters(self):
        self.make_callback()
        self.miss(number="+79120000002", resolution="late")
        self.miss(number="+79120000003", resolution="fixed")
        self.miss(number="+79120000004", resolution="ignored")
        calls = self.env["pbx.call"].search(
            [("company_id", "=", self.company.id), ("is_not_fixed", "=", True)]
        )
        self.assertEqual(set(calls.mapped("resolution")), {"pending", "late"})

    def test_forms_open(self):
        callback = self.make_callback()
        call = callback.missed_call_ids
        Form(callback.with_user(self.olga))
        Form(callback.with_user(self.boss))
        Form(call.with_user(self.olga))
        Form(self.backend.with_user(self.boss))
        Form(self.backend.with_user(self.manager))
        Form(self.backend.with_user(self.admin))
        Form(self.queue.with_user(self.manager))
        Form(self.env["res.partner"])
        Form(self.env["crm.lead"])

    def test_connection_page_is_for_administrators(self):
        def names(user):
            view = self.env["pbx.backend"].with_user(user).get_view(view_type="form")
            return set(self._field_names(view["arch"]))

        self.assertIn("db_host", names(self.admin))
        self.assertNotIn("db_host", names(self.manager))
        self.assertNotIn("db_password", names(self.manager))
        self.assertIn("closed_pattern", names(self.manager))

    def test_capabilities_table(self):
        self.backend.capabilities = {
            "positions": {"cdr": "no", "queue_log": "yes"},
            "unreachable": {"cdr": "no", "queue_log": "no"},
            "new <question>": {"cdr": "partly"},
        }
        table = self.backend.capability_html
        self.assertIn("Position at entry and at hang-up", table)
        self.assertIn("not known: printed as", table)
        self.assertIn("new &lt;question&gt;", table)

    def test_extension_form_hands_over(self):
        with Form(self.env["pbx.extension"].with_user(self.manager)) as form:
            form.number = "209"
            form.backend_id = self.backend
            form.user_id = self.olga
        extension = form.record
        self.assertEqual(extension.holder_ids.user_id, self.olga)

    def test_buttons_of_a_callback(self):
        callback = self.make_callback()
        action = callback.with_user(self.olga).action_call_contact()
        self.assertEqual(action["url"], "tel:+79120000001")
        action = callback.with_user(self.olga).action_open_partner()
        self.assertEqual(action["context"]["default_phone"], "+79120000001")
        action = callback.action_create_lead()
        lead = Form(self.env["crm.lead"].with_context(**action["context"])).save()
        self.assertEqual(lead.phone_sanitized, "+79120000001")
        anonymous = self.miss(
            number=False, client_number_raw="anonymous", is_anonymous=True
        )
        with self.assertRaises(UserError):
            anonymous.action_call_client()

    def test_period_wizard(self):
        action = self.backend.with_user(self.manager).action_backfill()
        wizard = Form(
            self.env[action["res_model"]]
            .with_user(self.manager)
            .with_context(**action["context"])
        )
        self.assertEqual(wizard.backend_id, self.backend)
        self.assertEqual(wizard.mode, "backfill")
        wizard.date_from = NOW
        wizard.date_to = NOW
        with self.assertRaisesRegex(ValidationError, "end after its start"):
            wizard.save()
