# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError


class PbxNumberRule(models.Model):
    """A number (or all numbers with a beginning) that owes no callback."""

    _name = "pbx.number.rule"
    _description = "Number Rule"
    _order = "kind, number"
    _rec_name = "number"

    active = fields.Boolean(default=True)
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    kind = fields.Selection(
        selection=[
            ("own", "Own number"),
            ("excluded", "Excluded (spam, fax, test line)"),
        ],
        required=True,
        default="excluded",
        help="Own numbers calling in are no clients. Misses of excluded numbers are "
        "counted as ignored and owe no callback.",
    )
    number = fields.Char(
        required=True,
        help="A number, or the beginning of numbers with * at the end.",
    )
    number_key = fields.Char(
        string="Compared as",
        compute="_compute_number_key",
        store=True,
        precompute=True,
        help="E.164 where possible, else the digits; without the * at the end.",
    )
    is_prefix = fields.Boolean(
        string="Beginning", compute="_compute_number_key", store=True, precompute=True
    )
    note = fields.Char()

    _company_number_uniq = models.Constraint(
        "UNIQUE(company_id, kind, number_key, is_prefix)",
        "There is already a rule for this number.",
    )

    @api.depends("number", "company_id")
    def _compute_number_key(self):
        for rule in self:
            number = (rule.number or "").strip()
            rule.is_prefix = number.endswith("*")
            number = number.rstrip("*")
            key = False
            if number and not rule.is_prefix:
                key = rule._phone_format(
                    number=number, country=rule.company_id.country_id
                )
            rule.number_key = key or re.sub(r"(?!^\+)\D", "", number)

    @api.constrains("number")
    def _check_number(self):
        for rule in self:
            if not re.search(r"\d", rule.number_key or ""):
                raise ValidationError(
                    self.env._("“%(number)s” holds no digits.", number=rule.number)
                )
