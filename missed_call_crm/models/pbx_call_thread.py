# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields, models


class PbxCallThread(models.Model):
    """Which call an id of the phone system belongs to.

    A call is a connected set of records that may carry several ids (transfers, joined
    calls). Internal to the intake: nobody reads it over the API.
    """

    _name = "pbx.call.thread"
    _description = "Call Thread"
    _log_access = False
    _rec_name = "thread"

    backend_id = fields.Many2one("pbx.backend", required=True, ondelete="cascade")
    thread = fields.Char(required=True)
    call_id = fields.Many2one("pbx.call", required=True, ondelete="cascade", index=True)

    _backend_thread_uniq = models.UniqueIndex("(backend_id, thread)")
