# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .helpers import check_limits

COMPANY_DEFAULT = -1
# As those of the company.
LIMITS = {"fix_window_hours": 8784, "short_seconds": 3600, "sla_seconds": 86_400}


class PbxQueue(models.Model):
    """A queue, ring group or hunt group of a phone system, with hours and rules.

    Groups seen in the records and not known yet are created by the intake with
    ``to_complete`` set.
    """

    _name = "pbx.queue"
    _description = "Queue Group"
    _order = "company_id, name, id"
    _check_company_auto = True
    _rec_names_search = ["name", "code"]

    name = fields.Char(required=True)
    code = fields.Char(
        required=True, help="Name or number of the group in the phone system."
    )
    active = fields.Boolean(default=True)
    backend_id = fields.Many2one(
        "pbx.backend", string="Phone System", required=True, ondelete="cascade"
    )
    company_id = fields.Many2one(
        related="backend_id.company_id", store=True, precompute=True, index=True
    )
    kind = fields.Selection(
        selection=[
            ("queue", "Queue"),
            ("ring_group", "Ring group"),
            ("hunt", "Hunt group"),
            ("direct", "Direct line"),
        ],
        required=True,
        default="queue",
    )
    to_complete = fields.Boolean(
        string="To Be Completed",
        help="Seen in the records and created by itself: members and rules are still "
        "to be filled in.",
    )
    team_id = fields.Many2one("crm.team", string="Sales Team", check_company=True)
    member_ids = fields.Many2many(
        "res.users",
        relation="pbx_queue_member_rel",
        string="Members",
        domain=[("share", "=", False)],
        help="They see the calls and callbacks of the group.",
    )
    supervisor_ids = fields.Many2many(
        "res.users",
        relation="pbx_queue_supervisor_rel",
        string="Supervisors",
        domain=[("share", "=", False)],
    )
    resource_calendar_id = fields.Many2one(
        "resource.calendar",
        string="Telephone Hours",
        help="Empty: the telephone hours of the company.",
    )
    fix_window_hours = fields.Float(
        string="Call Back Within", help="Hours. 0 takes the company's value."
    )
    window_start = fields.Selection(
        selection=[
            ("company", "As the company"),
            ("miss", "The end of the missed call"),
            ("opening", "The next opening"),
            ("working", "Working hours only"),
        ],
        string="Counted From",
        required=True,
        default="company",
    )
    short_seconds = fields.Integer(
        string="Short Call Threshold",
        default=COMPANY_DEFAULT,
        help="Seconds. -1 takes the company's value, 0 switches the rule off.",
    )
    sla_seconds = fields.Integer(
        string="Answer Within", help="Seconds. 0 takes the company's value."
    )
    sla_target = fields.Float(
        string="Service Level Target", help="Percentage. 0 takes the company's value."
    )
    assign_policy = fields.Selection(
        selection=[
            ("least_loaded", "Member with the fewest open callbacks"),
            ("round_robin", "Members in turn"),
            ("fixed", "One person"),
        ],
        string="Callbacks Go to",
        required=True,
        default="least_loaded",
        help="Used when neither the client's salesperson nor an operator who had to do "
        "with the call can take it.",
    )
    assign_user_id = fields.Many2one(
        "res.users", string="Person", domain=[("share", "=", False)]
    )
    last_assigned_user_id = fields.Many2one("res.users", readonly=True, copy=False)
    callback_for = fields.Selection(
        selection=[
            ("all", "All numbers"),
            ("mobile", "Mobile numbers only"),
        ],
        string="Callbacks for",
        required=True,
        default="all",
    )

    _backend_code_uniq = models.UniqueIndex(
        "(backend_id, code)", "The phone system already has a group with this code."
    )

    @api.constrains("fix_window_hours", "short_seconds", "sla_seconds", "sla_target")
    def _check_values(self):
        check_limits(self, LIMITS)
        for queue in self:
            if queue.fix_window_hours < 0 or queue.sla_seconds < 0:
                raise ValidationError(
                    self.env._("Times of a queue group cannot be negative.")
                )
            if queue.short_seconds < COMPANY_DEFAULT:
                raise ValidationError(
                    self.env._("The short call threshold is -1, 0 or some seconds.")
                )
            if not 0 <= queue.sla_target <= 100:
                raise ValidationError(
                    self.env._("The service level target is a percentage, 0 to 100.")
                )

    @api.constrains("assign_policy", "assign_user_id")
    def _check_assign_user(self):
        for queue in self:
            if queue.assign_policy == "fixed" and not queue.assign_user_id:
                raise ValidationError(
                    self.env._("Name the person callbacks of the group go to.")
                )

    def action_view_calls(self):
        """Calls that were answered or lost in these groups."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "missed_call_crm.pbx_call_action"
        )
        return dict(action, domain=[("queue_id", "in", self.ids)], context={})
