# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.fields import Domain


class ResPartner(models.Model):
    _inherit = "res.partner"

    pbx_number_ids = fields.One2many(
        "pbx.partner.number",
        "partner_id",
        string="Further Numbers",
        help="Calls from and to these numbers count as calls with the contact.",
    )
    pbx_call_count = fields.Integer(
        string="Calls",
        compute="_compute_pbx_counts",
        groups="missed_call_crm.group_operator",
    )
    pbx_open_callback_count = fields.Integer(
        string="Open Callbacks",
        compute="_compute_pbx_counts",
        groups="missed_call_crm.group_operator",
    )

    def _compute_pbx_counts(self):
        calls = self._pbx_count("pbx.call", Domain.TRUE)
        callbacks = self._pbx_count("pbx.callback", Domain("is_open", "=", True))
        for partner in self:
            partner.pbx_call_count = calls.get(partner.id, 0)
            partner.pbx_open_callback_count = callbacks.get(partner.id, 0)

    def _pbx_count(self, model, domain):
        """``{partner id: count}`` of calls or callbacks, children's included."""
        children = self.with_context(active_test=False).search(
            [("id", "child_of", self.ids)]
        )
        groups = self.env[model]._read_group(
            domain & Domain("partner_id", "in", children.ids),
            ["partner_id"],
            ["__count"],
        )
        counts = dict.fromkeys(self.ids, 0)
        for owner, count in groups:
            parent = owner.sudo()
            while parent:
                if parent.id in counts:
                    counts[parent.id] += count
                parent = parent.parent_id
        return counts

    @api.model_create_multi
    def create(self, vals_list):
        partners = super().create(vals_list)
        partners.filtered("phone")._pbx_link_callbacks()
        return partners

    def write(self, vals):
        if "phone" not in vals:
            return super().write(vals)
        before = self._pbx_own_keys()
        result = super().write(vals)
        if before != (after := self._pbx_own_keys()):
            self._pbx_link_callbacks()
            self._pbx_resolve(before | after)
        return result

    # ------------------------------------------------------------------
    # Numbers
    # ------------------------------------------------------------------

    def _pbx_own_keys(self):
        """The numbers on the contacts themselves, as calls are matched by."""
        return {number for number in self.mapped("phone_sanitized") if number}

    def _pbx_client_keys(self):
        """Every number of these contacts, as calls are matched by."""
        numbers = self.sudo().pbx_number_ids.mapped("number_e164")
        return self._pbx_own_keys() | {number for number in numbers if number}

    def _pbx_link_callbacks(self):
        """Take over open callbacks of so far unknown clients with these numbers."""
        keys = self._pbx_own_keys()
        if not keys:
            return
        # the intake matches contacts when calls arrive; this is for those made after
        callbacks = (
            self.env["pbx.callback"]
            .sudo()
            .search(
                [
                    ("client_number", "in", sorted(keys)),
                    ("state", "in", ("todo", "overdue")),
                    ("partner_id", "=", False),
                ]
            )
        )
        for callback in callbacks:
            owners = self.sudo().search(
                [
                    ("phone_sanitized", "=", callback.client_number),
                    ("company_id", "in", [callback.company_id.id, False]),
                ],
                limit=2,
            )
            if len(owners) != 1:
                continue  # shared numbers are nobody's
            callback.partner_id = owners
            callback.missed_call_ids.filtered(
                lambda call: not call.partner_id
            ).partner_id = owners

    def _pbx_drop_double_numbers(self):
        """Forget further numbers that stand twice after a merge."""
        self.ensure_one()
        self.invalidate_recordset(["pbx_number_ids"])
        seen = self._pbx_own_keys()
        double = self.env["pbx.partner.number"].sudo()
        for line in self.sudo().pbx_number_ids:
            if line.number_e164 in seen:
                double |= line
            seen.add(line.number_e164)
        double.with_context(pbx_no_resolve=True).unlink()

    @api.model
    def _pbx_companies(self):
        """Ids of the companies with a phone system, archived ones included."""
        backends = self.env["pbx.backend"].sudo().with_context(active_test=False)
        return [company.id for (company,) in backends._read_group([], ["company_id"])]

    @api.model
    def _pbx_resolve(self, keys):
        """Resolve the misses of clients with these numbers again, in all companies."""
        if not keys:
            return
        calls = self.env["pbx.call"].sudo()
        keys = sorted(keys)
        # most contacts never rang: no engine without a call
        domain = [("client_key", "in", keys)]
        companies = [
            company
            for company in calls.env["res.company"].browse(self._pbx_companies())
            if calls.search_count([("company_id", "=", company.id), *domain], limit=1)
        ]
        if not companies:
            return
        from ..intake import resolve

        self.env.flush_all()
        for company in companies:
            resolve.recompute(calls.env, company, keys)
        self.env.invalidate_all()
        # callbacks follow: some are proved now, or of one client with others
        cron = self.env.ref(
            "missed_call_crm.ir_cron_follow_up", raise_if_not_found=False
        )
        if cron:
            cron.sudo()._trigger()

    # ------------------------------------------------------------------
    # Actions
    # ------------------------------------------------------------------

    def action_view_pbx_calls(self):
        return self._pbx_view("missed_call_crm.pbx_call_action")

    def action_view_pbx_callbacks(self):
        return self._pbx_view("missed_call_crm.pbx_callback_action")

    def _pbx_view(self, xmlid):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        return dict(action, domain=[("partner_id", "child_of", self.id)], context={})
