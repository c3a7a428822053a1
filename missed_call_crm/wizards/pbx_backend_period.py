# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError


class PbxBackendPeriod(models.TransientModel):
    """A period of a phone system to read, or whose calls to build again."""

    _name = "pbx.backend.period"
    _description = "Period of a Phone System"

    backend_id = fields.Many2one(
        "pbx.backend", string="Phone System", required=True, ondelete="cascade"
    )
    mode = fields.Selection(
        selection=[
            ("backfill", "Read older records"),
            ("rebuild", "Build calls again"),
        ],
        required=True,
        default="backfill",
    )
    date_from = fields.Datetime(
        string="From",
        required=True,
        default=lambda self: fields.Datetime.now() - timedelta(days=7),
    )
    date_to = fields.Datetime(string="To", required=True, default=fields.Datetime.now)
    call_count = fields.Integer(
        string="Calls Known", compute="_compute_call_count", help="Of that period."
    )

    @api.depends("backend_id", "date_from", "date_to")
    def _compute_call_count(self):
        for wizard in self:
            if not (wizard.date_from and wizard.date_to and wizard.backend_id):
                wizard.call_count = 0
                continue
            wizard.call_count = (
                self.env["pbx.call"]
                .sudo()
                .search_count(
                    [
                        ("backend_id", "=", wizard.backend_id.id),
                        ("started_at", ">=", wizard.date_from),
                        ("started_at", "<", wizard.date_to),
                    ]
                )
            )

    @api.constrains("date_from", "date_to")
    def _check_dates(self):
        for wizard in self:
            if wizard.date_from >= wizard.date_to:
                raise ValidationError(
                    self.env._("The period must end after its start.")
                )

    def action_confirm(self):
        """Read, or build again, the chosen period: half-open, up to ``date_to``."""
        self.ensure_one()
        self.backend_id._check_may_run()
        from ..intake import pull

        # managers may run a connection they may not see
        backend = self.backend_id.sudo()
        if self.mode == "rebuild":
            pull.rebuild(backend, self.date_from, self.date_to)
        else:
            pull.run(backend, since=self.date_from, until=self.date_to, kind="backfill")
        return self.backend_id._pull_notification()
