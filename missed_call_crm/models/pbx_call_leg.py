# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models

from .optional_integer import OptionalInteger


class PbxCallLeg(models.Model):
    """One step of a call: menu, queue, ringing an operator, talk, voicemail…

    Written by the intake only. Positions and causes a source cannot tell are empty,
    never 0.
    """

    _name = "pbx.call.leg"
    _description = "Step of a Call"
    _log_access = False
    _order = "call_id, sequence, id"

    call_id = fields.Many2one("pbx.call", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one("res.company", required=True)
    sequence = fields.Integer(required=True, default=1)
    kind = fields.Selection(
        selection=[
            ("menu", "Menu"),
            ("announcement", "Announcement"),
            ("queue", "Queue"),
            ("ring", "Ringing"),
            ("talk", "Talk"),
            ("voicemail", "Voicemail"),
            ("transfer", "Transfer"),
        ],
        required=True,
    )
    queue_id = fields.Many2one("pbx.queue", string="Queue Group", ondelete="set null")
    extension_id = fields.Many2one("pbx.extension", ondelete="set null")
    user_id = fields.Many2one(
        "res.users",
        string="Operator",
        ondelete="set null",
        index="btree_not_null",
        help="Who held the extension at that time.",
    )
    agent = fields.Char(
        string="Operator Name", help="As the phone system wrote it, if not known here."
    )
    started_at = fields.Datetime()
    answered_at = fields.Datetime()
    ended_at = fields.Datetime()
    result = fields.Selection(
        selection=[
            ("answered", "Answered"),
            ("no_answer", "No answer"),
            ("busy", "Busy"),
            ("rejected", "Rejected"),
            ("unreachable", "Unreachable"),
            ("cancelled", "Cancelled"),
            ("elsewhere", "Answered elsewhere"),
            ("timeout", "Time limit"),
            ("empty", "No operators"),
            ("full", "Queue full"),
            ("abandoned", "Client hung up"),
            ("transferred", "Transferred"),
            ("failed", "Cut by a fault"),
        ],
    )
    position_entry = OptionalInteger(
        aggregator="avg", help="Place in the queue when the client entered it."
    )
    position_exit = OptionalInteger(
        aggregator="avg", help="Place in the queue when the client left it."
    )
    hangup_cause = fields.Char()
    duration = fields.Integer(
        string="Lasted", compute="_compute_times", help="Seconds from start to end."
    )
    offset = fields.Integer(
        string="After",
        compute="_compute_times",
        help="Seconds from the arrival of the call to this step.",
    )
    party = fields.Char(string="Who", compute="_compute_party")
    positions = fields.Char(compute="_compute_positions")

    _queue_started_idx = models.Index(
        "(queue_id, started_at) WHERE queue_id IS NOT NULL"
    )
    _extension_started_idx = models.Index(
        "(extension_id, started_at) WHERE extension_id IS NOT NULL"
    )

    @api.depends("started_at", "ended_at", "call_id.started_at")
    def _compute_times(self):
        for leg in self:
            start, end = leg.started_at, leg.ended_at
            arrival = leg.call_id.started_at
            leg.duration = int((end - start).total_seconds()) if start and end else 0
            leg.offset = (
                int((start - arrival).total_seconds()) if start and arrival else 0
            )

    @api.depends("queue_id", "extension_id", "user_id", "agent")
    @api.depends_context("uid")
    def _compute_party(self):
        for leg in self:
            # names of colleagues and groups are no secret inside the call's story
            leg_sudo = leg.sudo()
            names = (
                leg_sudo.extension_id.number,
                leg_sudo.user_id.name or leg.agent or leg_sudo.extension_id.name,
            )
            leg.party = (
                " ".join(name for name in names if name)
                or leg_sudo.queue_id.name
                or False
            )

    @api.depends("position_entry", "position_exit")
    def _compute_positions(self):
        for leg in self:
            entry = str(leg.position_entry or "–")
            leave = str(leg.position_exit or "–")
            if leg.kind != "queue" or not (leg.position_entry or leg.position_exit):
                leg.positions = "–"
            else:
                leg.positions = self.env._(
                    "%(entry)s, then %(leave)s", entry=entry, leave=leave
                )
