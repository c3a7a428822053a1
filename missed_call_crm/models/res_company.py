# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .helpers import check_limits

# More is a slip of the pen, and would upset the reckoning of dates.
LIMITS = {
    "pbx_fix_window_hours": 8784,
    "pbx_short_seconds": 3600,
    "pbx_sla_seconds": 86_400,
    "pbx_proof_hours": 8784,
    "pbx_record_days": 36_500,
}


class ResCompany(models.Model):
    """Defaults for calls, used where the queue group says nothing else."""

    _inherit = "res.company"

    pbx_fix_window_hours = fields.Float(
        string="Call Back Within",
        default=24.0,
        help="Hours after which a miss that nobody called back counts as unfixed. "
        "The rule is stored on each miss: a change acts on later misses only.",
    )
    pbx_window_start = fields.Selection(
        selection=[
            ("miss", "The end of the missed call"),
            ("opening", "The next opening"),
            ("working", "Working hours only"),
        ],
        string="Counted From",
        required=True,
        default="miss",
        help="From where the hours are counted. The last two need working hours.",
    )
    pbx_calendar_id = fields.Many2one(
        comodel_name="resource.calendar",
        string="Telephone Hours",
        help="When calls are answered. Empty: always. "
        "A queue group may have hours of its own.",
    )
    pbx_short_seconds = fields.Integer(
        string="Short Call Threshold",
        default=5,
        help="A client who hangs up himself in less than this many seconds is counted "
        "apart as a short call: no miss, no callback. 0 switches the rule off.",
    )
    pbx_sla_seconds = fields.Integer(
        string="Answer Within",
        default=20,
        help="Seconds from the arrival of a call to an operator's answer.",
    )
    pbx_sla_target = fields.Float(
        string="Service Level Target",
        default=80.0,
        help="Percentage of calls that should be answered in that time.",
    )
    pbx_match_scope = fields.Selection(
        selection=[
            ("number", "Only through the same number"),
            ("contact", "Through any number of the same contact"),
            ("company", "Through any number of the same company"),
        ],
        string="A Miss Is Fixed",
        required=True,
        default="contact",
        help="Whose calls count as a contact with the client who was missed.",
    )
    pbx_ignored_reason_ids = fields.Many2many(
        comodel_name="pbx.miss.reason",
        relation="pbx_miss_reason_res_company_rel",
        string="No Callback for",
        help="Misses with one of these reasons are counted but owe no callback.",
    )
    pbx_callback_user_id = fields.Many2one(
        comodel_name="res.users",
        string="Responsible of Last Resort",
        domain=[("share", "=", False)],
        help="Calls back the clients nobody else is responsible for.",
    )
    pbx_callback_supervisor_ids = fields.Many2many(
        comodel_name="res.users",
        relation="pbx_supervisor_res_company_rel",
        string="Supervisors",
        domain=[("share", "=", False)],
        help="Supervisors of calls that reached no queue group.",
    )
    pbx_proof_hours = fields.Float(
        string="Proof Within",
        default=1.0,
        help="A callback marked done by hand comes back after this many hours unless "
        "a call with the client was found.",
    )
    pbx_record_days = fields.Integer(
        string="Keep Raw Records",
        default=400,
        help="Days after which the records of the phone system are deleted. "
        "Calls and their figures stay. 0 keeps them for ever. What pulls still read "
        "again, the last days, stays in any case.",
    )
    pbx_history_callbacks = fields.Boolean(
        string="Callbacks for Recent History",
        default=True,
        help="When a phone system is read for the first time, clients whose window "
        "is still open get a callback. Older misses are figures only.",
    )

    @api.constrains(
        "pbx_fix_window_hours",
        "pbx_short_seconds",
        "pbx_sla_seconds",
        "pbx_sla_target",
        "pbx_proof_hours",
        "pbx_record_days",
    )
    def _check_pbx_values(self):
        check_limits(self, LIMITS)
        for company in self:
            if company.pbx_fix_window_hours <= 0:
                raise ValidationError(
                    self.env._("The time to call back must be more than zero hours.")
                )
            if not 0 <= company.pbx_sla_target <= 100:
                raise ValidationError(
                    self.env._("The service level target is a percentage, 0 to 100.")
                )
            if (
                company.pbx_short_seconds < 0
                or company.pbx_sla_seconds < 0
                or company.pbx_proof_hours < 0
                or company.pbx_record_days < 0
            ):
                raise ValidationError(
                    self.env._("Telephone settings cannot be negative.")
                )
