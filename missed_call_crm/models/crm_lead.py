# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields, models
from odoo.fields import Domain


class CrmLead(models.Model):
    _inherit = "crm.lead"

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
        for lead in self:
            lead.pbx_call_count = self.env["pbx.call"].search_count(
                lead._pbx_domain("client_key")
            )
            lead.pbx_open_callback_count = self.env["pbx.callback"].search_count(
                lead._pbx_domain("client_number") & Domain("is_open", "=", True)
            )

    def _pbx_domain(self, number_field):
        """Calls or callbacks of the lead, of its contact, or of its number."""
        self.ensure_one()
        domain = Domain("lead_id", "in", self._origin.ids)
        if partner := self.partner_id._origin:
            domain |= Domain("partner_id", "=", partner.id)
        if self.phone_sanitized:
            domain |= Domain(number_field, "=", self.phone_sanitized)
        return domain

    def action_view_pbx_calls(self):
        return self._pbx_view("missed_call_crm.pbx_call_action", "client_key")

    def action_view_pbx_callbacks(self):
        return self._pbx_view("missed_call_crm.pbx_callback_action", "client_number")

    def _pbx_view(self, xmlid, number_field):
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        return dict(action, domain=list(self._pbx_domain(number_field)), context={})
