# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from ..telephony.number import NumberPlan
from ..telephony.outcome import ABANDONED, MISSED
from ..telephony.resolution import IGNORED, NOT_FIXED, PENDING


class PbxNumberRule(models.Model):
    """A number (or all numbers with a beginning) that owes no callback.

    A number is read as the company's phone systems write numbers; where they differ,
    every reading counts. Rules act at once, on the misses there are already.
    """

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
        for company, rules in self.grouped("company_id").items():
            plans = self._number_plans(company)
            for rule in rules:
                rule.is_prefix = (rule.number or "").strip().endswith("*")
                readings = rule._readings(plans)
                rule.number_key = readings[0] if readings else False

    @api.constrains("number")
    def _check_number(self):
        for rule in self:
            if not re.search(r"\d", rule.number_key or ""):
                raise ValidationError(
                    self.env._("“%(number)s” holds no digits.", number=rule.number)
                )

    # ------------------------------------------------------------------
    # Numbers
    # ------------------------------------------------------------------

    @api.model
    def _number_plans(self, company):
        """How the company's phone systems write numbers, else its country."""
        # managers of rules need not see phone systems to have their numbers read
        backends = self.env["pbx.backend"].sudo().with_context(active_test=False)
        found = backends.search(
            [("company_id", "=", company.id)], order="active desc, id"
        )
        if found:
            return [backend._number_plan() for backend in found]
        return [NumberPlan(country=company.country_id.code or "")]

    def _readings(self, plans):
        """The number as calls are matched by, each way it is read; without the *."""
        self.ensure_one()
        number = (self.number or "").strip()
        if number.endswith("*"):
            number = number.rstrip("*")
            found = [key for plan in plans for key in plan.beginnings(number)]
        else:
            found = [plan.normalise(number).key for plan in plans]
            found = [key for key in found if key] or [re.sub(r"\D", "", number)]
        return list(dict.fromkeys(found))

    def _keys(self):
        """``(set of numbers, tuple of beginnings)`` these rules cover."""
        numbers, beginnings = set(), set()
        for company, rules in self.grouped("company_id").items():
            plans = self._number_plans(company)
            for rule in rules:
                found = beginnings if rule.is_prefix else numbers
                found.update(rule._readings(plans))
        return numbers, tuple(sorted(beginnings))

    # ------------------------------------------------------------------
    # Acting on the misses there are
    # ------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        rules = super().create(vals_list)
        self._act({}, rules._keys_by_company())
        return rules

    def write(self, vals):
        before = self._keys_by_company()
        result = super().write(vals)
        if {"active", "company_id", "number"} & vals.keys():
            self._act(before, self._keys_by_company())
        return result

    def unlink(self):
        before = self._keys_by_company()
        result = super().unlink()
        self._act(before, {})
        return result

    def _keys_by_company(self):
        return {
            company: rules._keys()
            for company, rules in self.grouped("company_id").items()
        }

    @api.model
    def _act(self, *touched):
        """Judge the misses again that these numbers concern, and their callbacks.

        :param touched: ``{company: (numbers, beginnings)}``, before and after
        """
        from ..intake import callbacks, resolve

        # Calls are written by nobody; a rule is one of the decisions people may make.
        env = self.sudo().env
        companies = env["res.company"].union(*(c.sudo() for t in touched for c in t))
        changed = []
        env.flush_all()
        for company in companies:
            found = [keys for t in touched for c, keys in t.items() if c == company]
            concerned = self._covers(
                {number for numbers, _beginnings in found for number in numbers},
                {start for _numbers, beginnings in found for start in beginnings},
            )
            rules = env["pbx.number.rule"].search([("company_id", "=", company.id)])
            excluded = self._covers(*rules._keys())
            ignored = env.execute_query(self._ignore_sql(company, concerned, excluded))
            owed = env.execute_query(self._owe_sql(company, concerned, excluded))
            if owed:
                resolve.recompute(env, company, sorted({key for (key,) in owed}))
            if ignored or owed:
                changed.append(company.id)
        env.invalidate_all()
        if changed:
            callbacks.sync(env, changed)

    @api.model
    def _covers(self, numbers, beginnings):
        """Condition: the client of call ``c`` has one of the numbers."""
        return SQL(
            "(c.client_key = ANY(%s) OR EXISTS (SELECT FROM unnest(%s::text[]) AS b(s)"
            " WHERE starts_with(c.client_key, b.s)))",
            sorted(numbers),
            sorted(beginnings),
        )

    @api.model
    def _ignore_sql(self, company, concerned, excluded):
        """Misses that count as not fixed and are now excluded owe nothing."""
        return SQL(
            """
            UPDATE pbx_call AS c
               SET resolution = %s, fixed_by = NULL, fix_call_id = NULL,
                   fixed_at = NULL, fix_is_shared = FALSE
             WHERE c.company_id = %s AND c.resolution IN %s AND %s AND %s
            RETURNING c.client_key
            """,
            IGNORED,
            company.id,
            tuple(sorted(NOT_FIXED)),
            concerned,
            excluded,
        )

    @api.model
    def _owe_sql(self, company, concerned, excluded):
        """Misses that were ignored because of a rule alone, and no rule does any more.

        The other reasons are those of ``CallRow._is_ignored``.
        """
        return SQL(
            """
            UPDATE pbx_call AS c
               SET resolution = %s
             WHERE c.company_id = %s AND c.resolution = %s
               AND c.outcome IN %s
               AND c.client_key IS NOT NULL
               AND c.is_short IS NOT TRUE
               AND NOT COALESCE(c.reason = ANY(%s), FALSE)
               AND NOT (c.number_type = 'fixed' AND EXISTS (
                   SELECT FROM pbx_queue q
                    WHERE q.id = c.queue_id AND q.callback_for = 'mobile'))
               AND %s AND NOT %s
            RETURNING c.client_key
            """,
            PENDING,
            company.id,
            IGNORED,
            (ABANDONED, MISSED),
            company.pbx_ignored_reason_ids.mapped("code"),
            concerned,
            excluded,
        )
