# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields


class OptionalInteger(fields.Integer):
    """Integer that knows "not known": an empty column reads as ``False``, not 0.

    What a phone system cannot tell (a position, a wait) must not look like a
    measured zero, neither on a screen nor over the API.
    """

    falsy_value = None

    def convert_to_column(self, value, record, values=None, validate=True):
        return None if value is None or value is False else int(value)

    def convert_to_cache(self, value, record, validate=True):
        return None if value is None or value is False else int(value)

    def convert_to_record(self, value, record):
        return False if value is None else value

    def convert_to_export(self, value, record):
        return "" if value is False else value
