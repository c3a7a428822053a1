# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    pbx_fix_window_hours = fields.Float(
        related="company_id.pbx_fix_window_hours", readonly=False
    )
    pbx_window_start = fields.Selection(
        related="company_id.pbx_window_start", readonly=False, required=True
    )
    pbx_calendar_id = fields.Many2one(
        related="company_id.pbx_calendar_id", readonly=False
    )
    pbx_short_seconds = fields.Integer(
        related="company_id.pbx_short_seconds", readonly=False
    )
    pbx_sla_seconds = fields.Integer(
        related="company_id.pbx_sla_seconds", readonly=False
    )
    pbx_sla_target = fields.Float(related="company_id.pbx_sla_target", readonly=False)
    pbx_match_scope = fields.Selection(
        related="company_id.pbx_match_scope", readonly=False, required=True
    )
    pbx_ignored_reason_ids = fields.Many2many(
        related="company_id.pbx_ignored_reason_ids", readonly=False
    )
    pbx_callback_user_id = fields.Many2one(
        related="company_id.pbx_callback_user_id", readonly=False
    )
    pbx_callback_supervisor_ids = fields.Many2many(
        related="company_id.pbx_callback_supervisor_ids", readonly=False
    )
    pbx_proof_hours = fields.Float(related="company_id.pbx_proof_hours", readonly=False)
    pbx_record_days = fields.Integer(
        related="company_id.pbx_record_days", readonly=False
    )
    pbx_history_callbacks = fields.Boolean(
        related="company_id.pbx_history_callbacks", readonly=False
    )
