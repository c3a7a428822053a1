# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..models.helpers import DISMISS_REASONS
from ..telephony.resolution import OWED


class PbxCallbackDismiss(models.TransientModel):
    """Why these clients need not be called back."""

    _name = "pbx.callback.dismiss"
    _description = "Dismiss Callbacks"

    callback_ids = fields.Many2many("pbx.callback")
    call_ids = fields.Many2many("pbx.call", string="Misses without Callback")
    reason = fields.Selection(selection=DISMISS_REASONS, required=True)
    note = fields.Char()
    miss_count = fields.Integer(compute="_compute_miss_count")
    client_names = fields.Char(compute="_compute_miss_count")

    @api.depends("callback_ids", "call_ids")
    def _compute_miss_count(self):
        for wizard in self:
            wizard.miss_count = sum(wizard.callback_ids.mapped("missed_count"))
            wizard.miss_count += len(wizard.call_ids)
            names = wizard.callback_ids.mapped("client_display")
            names += wizard.call_ids.mapped("client_display")
            wizard.client_names = ", ".join(dict.fromkeys(filter(None, names)))

    def action_confirm(self):
        self.ensure_one()
        if not self.callback_ids and not self.call_ids:
            raise UserError(self.env._("There is nothing to dismiss."))
        if self.callback_ids:
            self.callback_ids.action_dismiss(self.reason, self.note)
        # the client of a callback may have been the client of these as well
        if calls := self.call_ids.filtered(lambda call: call.resolution in OWED):
            calls.action_dismiss(self.reason, self.note)
        return {
            "type": "ir.actions.act_window_close",
            "infos": {"dismissed": self.callback_ids.ids},
        }
