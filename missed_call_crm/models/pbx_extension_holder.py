# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.exceptions import ValidationError


class PbxExtensionHolder(models.Model):
    """Who had an extension from when to when: ``[date_from, date_to)``.

    An empty end is open. Calls go by the holder at their time, so re-assigning a phone
    does not rewrite the past.
    """

    _name = "pbx.extension.holder"
    _description = "Holder of an Extension"
    _order = "extension_id, date_from desc NULLS LAST, id desc"
    _rec_name = "user_id"

    extension_id = fields.Many2one(
        "pbx.extension", required=True, ondelete="cascade", index=True
    )
    company_id = fields.Many2one(
        related="extension_id.company_id", store=True, precompute=True
    )
    user_id = fields.Many2one(
        "res.users", string="Operator", required=True, ondelete="cascade"
    )
    date_from = fields.Datetime(string="From", help="Empty: since ever.")
    date_to = fields.Datetime(string="To", help="Empty: still has it.")

    _period = models.Constraint(
        "CHECK (date_to IS NULL OR date_from IS NULL OR date_from < date_to)",
        "An operator has an extension from an earlier to a later moment.",
    )

    @api.constrains("extension_id", "date_from", "date_to")
    def _check_overlap(self):
        for extension in self.extension_id:
            # since ever sorts first; then each has to end before the next one begins
            holders = extension.holder_ids.sorted(
                lambda holder: (bool(holder.date_from), holder.date_from or 0)
            )
            for holder, following in zip(holders, holders[1:], strict=False):
                if (
                    not following.date_from
                    or not holder.date_to
                    or holder.date_to > following.date_from
                ):
                    raise ValidationError(
                        self.env._(
                            "Extension %(number)s has two operators at one time.",
                            number=extension.number,
                        )
                    )

    def _holds_at(self, moment):
        """Whether the extension was (is) theirs at ``moment`` (naive UTC)."""
        self.ensure_one()
        return (not self.date_from or self.date_from <= moment) and (
            not self.date_to or moment < self.date_to
        )
