# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, models


class BasePartnerMerge(models.TransientModel):
    _inherit = "base.partner.merge.automatic.wizard"

    def _merge(self, partner_ids, dst_partner=None, extra_checks=True):
        """Resolve the misses of the merged contacts again.

        A miss from one number and a callback to another belong together as soon as
        both numbers are of one contact, and only once the others are gone.
        """
        partners = self.env["res.partner"].browse(partner_ids).exists()
        keys = partners._pbx_client_keys()
        result = super()._merge(partner_ids, dst_partner, extra_checks)
        for survivor in partners.exists():
            survivor._pbx_drop_double_numbers()
        self.env["res.partner"]._pbx_resolve(keys)
        return result

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        """Keep the main numbers of the merged contacts, which would be lost.

        They become further numbers and move to the survivor with the others.
        """
        numbers = self.env["pbx.partner.number"].with_context(pbx_no_resolve=True)
        # whoever may merge contacts may keep their numbers
        numbers.sudo().create(
            [
                {
                    "partner_id": partner.id,
                    "number": partner.phone_sanitized or partner.phone,
                }
                for partner in src_partners
                if partner.phone
            ]
        )
        return super()._update_foreign_keys(src_partners, dst_partner)
