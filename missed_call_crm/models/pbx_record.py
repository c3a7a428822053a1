# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import SQL

# Records deleted in one go; the vacuum comes back for more.
GC_BATCH = 20_000
# Pulls read so many hours again: what is deleted earlier would only come back.
REREAD_HOURS = 96


class PbxRecord(models.Model):
    """One row or event exactly as the phone system gave it: the evidence.

    Written by the intake only, in bulk, hence without author and dates of Odoo's own.
    """

    _name = "pbx.record"
    _description = "Phone System Record"
    _log_access = False
    _order = "occurred_at desc, id desc"
    _rec_name = "key"

    backend_id = fields.Many2one(
        "pbx.backend", string="Phone System", required=True, ondelete="cascade"
    )
    company_id = fields.Many2one("res.company", required=True)
    key = fields.Char(
        required=True, help="What makes the record unique in its phone system."
    )
    kind = fields.Char(required=True, help="Table or type of event it came from.")
    call_key = fields.Char(
        string="Call of the Source",
        help="The call id the source itself gave; the call it became part of may "
        "have another key.",
    )
    occurred_at = fields.Datetime(help="When it happened, as the record says.")
    received_at = fields.Datetime(help="When it was read for the first time.")
    seen_count = fields.Integer(
        default=1, help="How many times the record was read with new content."
    )
    payload = fields.Json()
    content_hash = fields.Char()
    state = fields.Selection(
        selection=[
            ("new", "New"),
            ("assembled", "Part of a Call"),
            ("rejected", "Rejected"),
        ],
        required=True,
        default="new",
    )
    error = fields.Text()
    call_id = fields.Many2one(
        "pbx.call", string="Call", ondelete="set null", index="btree_not_null"
    )
    payload_text = fields.Text(
        string="As Received", compute="_compute_payload_text", compute_sudo=False
    )

    _backend_key_uniq = models.UniqueIndex(
        "(backend_id, key)", "This record was already received."
    )
    _backend_occurred_idx = models.Index("(backend_id, occurred_at)")
    _loose_idx = models.Index("(backend_id, occurred_at) WHERE call_key IS NULL")
    _rejected_idx = models.Index("(backend_id) WHERE state = 'rejected'")
    _new_idx = models.Index("(backend_id) WHERE state = 'new'")

    def _compute_payload_text(self):
        for record in self:
            payload = record.payload
            if isinstance(payload, dict):
                record.payload_text = "\n".join(
                    f"{name}: {value}" for name, value in payload.items()
                )
            else:
                record.payload_text = str(payload) if payload else False

    def action_replay(self):
        """Try rejected records again with today's rules; others are left alone."""
        if not self.env.user.has_group("missed_call_crm.group_manager"):
            raise AccessError(
                self.env._("Only managers of missed calls may replay records.")
            )
        self.check_access("read")
        rejected = self.filtered(lambda record: record.state == "rejected")
        # Records are evidence: nobody may write them, only ask to read them again.
        rejected_sudo = rejected.sudo()
        rejected_sudo.write({"state": "new", "error": False})
        from ..intake import pull

        for backend, records in rejected_sudo.grouped("backend_id").items():
            pull.replay(backend, records)
        return rejected._replay_notification()

    def _replay_notification(self):
        """Tell how many of the replayed records were accepted this time."""
        self.env.invalidate_all()
        # a record that was understood is stored anew, under its own key
        failed = len(self.exists().filtered(lambda record: record.state == "rejected"))
        if failed:
            message = self.env._(
                "%(good)s accepted, %(bad)s rejected again.",
                good=len(self) - failed,
                bad=failed,
            )
        else:
            message = self.env._("%(good)s accepted.", good=len(self))
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._("Records replayed"),
                "message": message,
                "type": "warning" if failed else "success",
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    @api.autovacuum
    def _gc_old_records(self):
        """Delete records older than their company keeps them; calls stay.

        Old is what happened, or if that is not known was received, more than
        ``pbx_record_days`` ago. The records of a call go together, once it ended so
        long ago: a call is never built again from a part of them.
        """
        env = self.sudo().env
        env.flush_all()
        done, limit = 0, GC_BATCH
        backends = env["pbx.backend"].with_context(active_test=False)
        for backend in backends.search([("company_id.pbx_record_days", ">", 0)]):
            days = backend.company_id.pbx_record_days
            if done >= limit:
                break
            hours = max(days * 24, backend.overlap_hours + 24, REREAD_HOURS)
            before = fields.Datetime.now() - timedelta(hours=hours)
            for moment in (
                SQL("r.occurred_at < %s", before),
                SQL("r.occurred_at IS NULL AND r.received_at < %s", before),
            ):
                env.cr.execute(self._gc_sql(backend, moment, before, limit - done))
                done += env.cr.rowcount
        self.invalidate_model()
        # how many are left is not worth a count
        return done, done >= limit

    @api.model
    def _gc_sql(self, backend, moment, before, limit):
        return SQL(
            """
            WITH old AS MATERIALIZED (
                SELECT r.id FROM pbx_record r
                 WHERE r.backend_id = %s AND %s
                   AND NOT EXISTS (
                       SELECT FROM pbx_call c
                        WHERE c.id = r.call_id
                          AND (c.is_open OR COALESCE(c.ended_at, c.started_at) >= %s))
                 LIMIT %s
                   FOR UPDATE SKIP LOCKED)
            DELETE FROM pbx_record USING old WHERE pbx_record.id = old.id
            """,
            backend.id,
            moment,
            before,
            limit,
        )
