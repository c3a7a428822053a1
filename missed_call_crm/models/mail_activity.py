# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import models


class MailActivity(models.Model):
    _inherit = "mail.activity"

    def _action_done(self, feedback=False, attachment_ids=None):
        """A hand-clicked "done" leaves the callback open until a record proves it.

        The intake, which has the proof, closes with context ``pbx_proved``.
        """
        callbacks = self.env["pbx.callback"]
        if not self.env.context.get("pbx_proved"):
            activity_type = self.env.ref(
                "missed_call_crm.mail_activity_type_callback", raise_if_not_found=False
            )
            done = self.filtered(
                lambda activity: activity.res_model == "pbx.callback"
                and activity.activity_type_id == activity_type
            )
            callbacks = callbacks.browse(done.mapped("res_id"))
        result = super()._action_done(feedback=feedback, attachment_ids=attachment_ids)
        callbacks.exists()._said_done(self.env.user)
        return result
