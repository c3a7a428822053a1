# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta

from odoo import api, fields, models

KEEP_DAYS = 30
KEEP_FAILED_DAYS = 90


class PbxPullLog(models.Model):
    """One reading of a phone system: which window, how many rows, what went wrong."""

    _name = "pbx.pull.log"
    _description = "Pull Log"
    _order = "started_at desc, id desc"
    _rec_name = "started_at"

    backend_id = fields.Many2one(
        "pbx.backend",
        string="Phone System",
        required=True,
        ondelete="cascade",
        index=True,
    )
    company_id = fields.Many2one(related="backend_id.company_id", store=True)
    kind = fields.Selection(
        selection=[
            ("scheduled", "Scheduled"),
            ("manual", "By hand"),
            ("first", "First pull"),
            ("backfill", "Back-fill"),
            ("rebuild", "Rebuild"),
            ("push", "Pushed"),
        ],
        required=True,
        default="scheduled",
    )
    state = fields.Selection(
        selection=[
            ("running", "Running"),
            ("done", "Done"),
            ("partial", "Stopped half-way"),
            ("failed", "Failed"),
        ],
        required=True,
        default="running",
    )
    started_at = fields.Datetime(required=True, default=fields.Datetime.now)
    finished_at = fields.Datetime()
    duration = fields.Integer(
        string="Seconds", compute="_compute_duration", help="How long the pull took."
    )
    window_from = fields.Datetime(string="Read from")
    window_to = fields.Datetime(string="Read to")
    row_count = fields.Integer(string="Rows", help="Rows the phone system gave.")
    new_count = fields.Integer(string="New")
    changed_count = fields.Integer(string="Changed")
    unchanged_count = fields.Integer(string="Unchanged")
    rejected_count = fields.Integer(string="Rejected")
    call_count = fields.Integer(string="Calls", help="Calls built again.")
    error = fields.Text()

    @api.depends("started_at", "finished_at")
    def _compute_duration(self):
        for log in self:
            if log.started_at and log.finished_at:
                log.duration = int((log.finished_at - log.started_at).total_seconds())
            else:
                log.duration = 0

    @api.autovacuum
    def _gc_old_logs(self):
        """Forget old pulls; failed ones stay longer, they are evidence."""
        now = fields.Datetime.now()
        limit = 10_000
        old = self.search(
            [
                "|",
                ("started_at", "<", now - timedelta(days=KEEP_FAILED_DAYS)),
                "&",
                ("started_at", "<", now - timedelta(days=KEEP_DAYS)),
                ("state", "!=", "failed"),
            ],
            limit=limit,
        )
        old.unlink()
        return len(old), len(old) == limit
