# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models

from ..models.pbx_callback import DISMISS_REASONS


class PbxCallbackDismiss(models.TransientModel):
    """Why these clients need not be called back."""

    _name = "pbx.callback.dismiss"
    _description = "Dismiss Callbacks"

    callback_ids = fields.Many2many("pbx.callback", required=True)
    reason = fields.Selection(selection=DISMISS_REASONS, required=True)
    note = fields.Char()
    miss_count = fields.Integer(compute="_compute_miss_count")
    client_names = fields.Char(compute="_compute_miss_count")

    @api.depends("callback_ids")
    def _compute_miss_count(self):
        for wizard in self:
            wizard.miss_count = sum(wizard.callback_ids.mapped("missed_count"))
            wizard.client_names = ", ".join(
                name for name in wizard.callback_ids.mapped("client_display") if name
            )

    def action_confirm(self):
        self.ensure_one()
        self.callback_ids.action_dismiss(self.reason, self.note)
        return {
            "type": "ir.actions.act_window_close",
            "infos": {"dismissed": self.callback_ids.ids},
        }
