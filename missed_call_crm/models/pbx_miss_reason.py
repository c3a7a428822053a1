# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields, models


class PbxMissReason(models.Model):
    """A reason why a client was not answered, as the settings choose among them.

    ``code`` is a value of ``pbx.call.reason``; the group says what helps against it.
    """

    _name = "pbx.miss.reason"
    _description = "Reason of a Missed Call"
    _order = "sequence, id"

    name = fields.Char(required=True, translate=True)
    code = fields.Char(required=True)
    sequence = fields.Integer(default=10)
    remedy = fields.Selection(
        selection=[
            ("nobody_picked_up", "Nobody picked up"),
            ("nobody_free", "Nobody was free"),
            ("closed_or_cut", "Closed or cut"),
        ],
        required=True,
        help="What helps: training and ring time, people at the peak, "
        "or hours, menu and line.",
    )

    _code_uniq = models.Constraint(
        "UNIQUE(code)", "There is already a reason with this code."
    )
