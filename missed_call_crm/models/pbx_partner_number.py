# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

import re

from odoo import api, fields, models


class PbxPartnerNumber(models.Model):
    """A further phone number of a contact: contacts of Odoo itself have but one.

    No unique or check constraint here on purpose: merging contacts deletes rows that
    break one.
    """

    _name = "pbx.partner.number"
    _description = "Further Phone Number"
    _order = "partner_id, id"
    _rec_name = "number"
    _rec_names_search = ["number", "number_e164", "label"]

    partner_id = fields.Many2one(
        "res.partner",
        string="Contact",
        required=True,
        ondelete="cascade",
        index=True,
    )
    number = fields.Char(required=True)
    number_e164 = fields.Char(
        string="Compared as",
        compute="_compute_number_e164",
        store=True,
        precompute=True,
        index=True,
        help="E.164 where the number can be read so, else its digits.",
    )
    label = fields.Char(help="What the number is: mobile, home, second line…")

    @api.depends("number", "partner_id.country_id")
    def _compute_number_e164(self):
        for line in self:
            line.number_e164 = (
                line._phone_format(
                    number=line.number,
                    country=line.partner_id.country_id
                    or line.partner_id.company_id.country_id,
                )
                or re.sub(r"\D", "", line.number or "")
                or False
            )

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._check_partner_access()
        lines._resolve_again(lines._client_keys())
        return lines

    def write(self, vals):
        self._check_partner_access()
        before = self._client_keys()
        result = super().write(vals)
        if "partner_id" in vals:
            self._check_partner_access()
        if before != (after := self._client_keys()):
            self._resolve_again(before | after)
        return result

    def unlink(self):
        self._check_partner_access()
        keys = self._client_keys()
        result = super().unlink()
        self._resolve_again(keys)
        return result

    def _check_partner_access(self):
        """A number is part of its contact: who may not write that, not this either."""
        self.partner_id.check_access("write")

    def _client_keys(self):
        """Every number of the contacts whose set of numbers is about to change."""
        return self.partner_id._pbx_client_keys() | {
            line.number_e164 for line in self if line.number_e164
        }

    def _resolve_again(self, keys):
        if self.env.context.get("pbx_no_resolve"):
            return  # the caller does it once, at the end
        self.env["res.partner"]._pbx_resolve(keys)
