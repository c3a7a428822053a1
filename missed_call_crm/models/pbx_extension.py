# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.fields import Command, Domain


class PbxExtension(models.Model):
    """A phone inside the company, and the operators who had it over time.

    Extensions seen in the records and not known yet are created by the intake with
    ``to_complete`` set.
    """

    _name = "pbx.extension"
    _description = "Extension"
    _order = "company_id, number, id"
    _rec_names_search = ["number", "name", "aliases"]

    number = fields.Char(required=True)
    name = fields.Char(help="Name of the phone, or of a person without an account.")
    aliases = fields.Text(
        help="Other names of this phone in the records, one a line: member names and "
        "interfaces as the queue log writes them, for example PJSIP/201.",
    )
    active = fields.Boolean(default=True)
    backend_id = fields.Many2one(
        "pbx.backend", string="Phone System", required=True, ondelete="cascade"
    )
    company_id = fields.Many2one(
        related="backend_id.company_id", store=True, precompute=True, index=True
    )
    to_complete = fields.Boolean(
        string="To Be Completed",
        help="Seen in the records and created by itself: say who sits there.",
    )
    holder_ids = fields.One2many("pbx.extension.holder", "extension_id")
    user_id = fields.Many2one(
        "res.users",
        string="Operator",
        compute="_compute_user_id",
        inverse="_inverse_user_id",
        search="_search_user_id",
        domain=[("share", "=", False)],
        help="Who has the phone now. Another operator takes it over from now on; "
        "earlier calls stay with the one who had it then.",
    )

    _backend_number_uniq = models.UniqueIndex(
        "(backend_id, number)", "The phone system already has this extension."
    )

    @api.depends("number", "name", "holder_ids.user_id")
    def _compute_display_name(self):
        for extension in self:
            name = extension.user_id.sudo().name or extension.name
            extension.display_name = " ".join(filter(None, [extension.number, name]))

    @api.depends("holder_ids.user_id", "holder_ids.date_from", "holder_ids.date_to")
    def _compute_user_id(self):
        now = fields.Datetime.now()
        for extension in self:
            extension.user_id = extension._holder_at(now).user_id

    def _inverse_user_id(self):
        now = fields.Datetime.now()
        for extension in self:
            user = extension.user_id
            if extension._holder_at(now).user_id == user:
                continue
            commands = []
            for holder in extension.holder_ids.filtered(
                lambda holder: not holder.date_to or holder.date_to > now
            ):
                if holder.date_from and holder.date_from >= now:
                    commands.append(Command.delete(holder.id))
                else:
                    commands.append(Command.update(holder.id, {"date_to": now}))
            if user:
                # the first one known is taken for the one who always had it
                commands.append(
                    Command.create(
                        {
                            "user_id": user.id,
                            "date_from": now if extension.holder_ids else False,
                        }
                    )
                )
            extension.write({"holder_ids": commands, "to_complete": False})

    def _search_user_id(self, operator, value):
        if operator not in ("in", "any"):
            return NotImplemented
        now = fields.Datetime.now()
        current = (Domain("date_from", "=", False) | Domain("date_from", "<=", now)) & (
            Domain("date_to", "=", False) | Domain("date_to", ">", now)
        )
        if operator == "any":
            return Domain(
                "holder_ids", "any", current & Domain("user_id", "any", value)
            )
        users = [item for item in value if item]
        domain = Domain("holder_ids", "any", current & Domain("user_id", "in", users))
        if len(users) < len(list(value)):
            domain |= Domain("holder_ids", "not any", current)
        return domain

    def _holder_at(self, moment):
        """The holder (at most one) at ``moment`` (naive UTC)."""
        self.ensure_one()
        return self.holder_ids.filtered(lambda holder: holder._holds_at(moment))[:1]

    def action_view_calls(self):
        """Calls these extensions had to do with."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "missed_call_crm.pbx_call_action"
        )
        return dict(
            action, domain=[("leg_ids.extension_id", "in", self.ids)], context={}
        )
