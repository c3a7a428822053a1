# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Whose number is it: contacts and open leads of the clients of a batch.

Numbers are compared as stored in E.164 (``phone_sanitized``, ``number_e164``), exactly:
a guess by the last digits would close misses of other clients.
"""

from collections import defaultdict

from ..telephony.resolution import client_numbers


class Clients:
    """Contacts, leads and further numbers of the clients of one company.

    Built by four queries however many numbers there are.
    """

    def __init__(self, env, company, numbers):
        self.cr = env.cr
        self.company_id = company.id
        self.scope = company.pbx_match_scope
        self.contacts_of = defaultdict(set)
        self.company_of = {}
        self.numbers_of_contact = defaultdict(set)
        self.numbers_of_company = defaultdict(set)
        self.lead_of = {}
        self._lead_of_partner = {}
        wanted = sorted({number for number in numbers if number})
        if wanted:
            self._load_contacts(wanted)
            self._load_further_numbers()
            self._load_leads(wanted)

    def _load_contacts(self, numbers):
        self.cr.execute(
            """
            SELECT found.number, p.id, COALESCE(p.commercial_partner_id, p.id)
              FROM (
                    SELECT phone_sanitized AS number, id AS partner_id
                      FROM res_partner WHERE phone_sanitized = ANY(%(numbers)s)
                     UNION
                    SELECT number_e164, partner_id
                      FROM pbx_partner_number WHERE number_e164 = ANY(%(numbers)s)
                   ) AS found
              JOIN res_partner p ON p.id = found.partner_id
             WHERE p.active AND (p.company_id IS NULL OR p.company_id = %(company)s)
            """,
            {"numbers": numbers, "company": self.company_id},
        )
        for number, partner_id, commercial_id in self.cr.fetchall():
            self.contacts_of[number].add(partner_id)
            self.company_of[partner_id] = commercial_id

    def _load_further_numbers(self):
        """The other numbers through which these contacts may be reached."""
        if self.scope == "number" or not self.company_of:
            return
        if self.scope == "contact":
            # A person's further lines may be kept in child contacts; a company's
            # children are its people, who are other clients.
            condition = """
                p.id = ANY(%(ids)s)
                OR (p.parent_id = ANY(%(ids)s)
                    AND NOT COALESCE(parent.is_company, false))
            """
            owner = "CASE WHEN p.id = ANY(%(ids)s) THEN p.id ELSE p.parent_id END"
            ids = sorted(self.company_of)
        else:
            condition = "p.commercial_partner_id = ANY(%(ids)s)"
            owner = "p.commercial_partner_id"
            ids = sorted(set(self.company_of.values()))
        self.cr.execute(
            f"""
            WITH people AS (
                SELECT p.id, {owner} AS owner, p.phone_sanitized
                  FROM res_partner p
                  LEFT JOIN res_partner parent ON parent.id = p.parent_id
                 WHERE p.active AND ({condition})
            )
            SELECT owner, phone_sanitized FROM people WHERE phone_sanitized IS NOT NULL
             UNION
            SELECT people.owner, n.number_e164
              FROM people JOIN pbx_partner_number n ON n.partner_id = people.id
             WHERE n.number_e164 IS NOT NULL
            """,
            {"ids": ids},
        )
        target = (
            self.numbers_of_contact
            if self.scope == "contact"
            else self.numbers_of_company
        )
        for owner_id, number in self.cr.fetchall():
            target[owner_id].add(number)

    def _load_leads(self, numbers):
        """The newest open lead of each number or contact."""
        self.cr.execute(
            """
            SELECT l.id, l.phone_sanitized, l.partner_id
              FROM crm_lead l LEFT JOIN crm_stage s ON s.id = l.stage_id
             WHERE l.active AND NOT COALESCE(s.is_won, false)
               AND (l.company_id IS NULL OR l.company_id = %(company)s)
               AND (l.phone_sanitized = ANY(%(numbers)s)
                    OR l.partner_id = ANY(%(partners)s))
             ORDER BY l.id
            """,
            {
                "numbers": numbers,
                "partners": sorted(self.company_of),
                "company": self.company_id,
            },
        )
        for lead_id, number, partner_id in self.cr.fetchall():
            if number:
                self.lead_of[number] = lead_id
            if partner_id:
                self._lead_of_partner[partner_id] = lead_id

    # -- answers ------------------------------------------

    def partner(self, number):
        """``(contact id or None, whether several clients share the number)``.

        Several contacts of one company stand for the company; contacts of different
        companies for nobody: a guess would tell the wrong client's story.
        """
        found = self.contacts_of.get(number)
        if not found:
            return None, False
        if len(found) == 1:
            return next(iter(found)), False
        companies = {self.company_of[partner_id] for partner_id in found}
        if len(companies) == 1:
            return companies.pop(), False
        return None, True

    def lead(self, number, partner_id):
        """The open lead of a number, else of its contact."""
        return self.lead_of.get(number) or self._lead_of_partner.get(partner_id)

    def is_shared(self, number):
        """Whether several contacts have this number."""
        return len(self.contacts_of.get(number, ())) > 1

    def numbers(self, number):
        """Every number through which the client behind ``number`` is reached."""
        return client_numbers(
            number,
            self.scope,
            self.contacts_of,
            self.company_of,
            self.numbers_of_contact,
            self.numbers_of_company,
        )
