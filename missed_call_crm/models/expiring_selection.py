# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

"""A selection whose value depends on the clock.

The resolution of a miss and the state of a callback change at a deadline, whether
or not a scheduled action has run since. Storing the change would make every figure
wrong between the deadline and the next run, so the two values (before and after the
deadline) are one stored state, and time decides which of them is read.
"""

from odoo import fields
from odoo.tools import SQL


class ExpiringSelection(fields.Selection):
    """Selection with two values that turn into each other at a deadline.

    :param expires: pair ``(before, after)`` of values of the selection. Whichever of
        the two is stored, the record reads as ``after`` once the deadline is in the
        past, and as ``before`` up to and including the deadline (or without one).
    :param deadline: name of the stored datetime field that holds the deadline.

    Reading, searching, grouping and ordering all see the value of the moment.
    The model has to route ``_field_to_sql`` through :meth:`to_sql_at`, see there.
    """

    expires = ()
    deadline = ""

    def convert_to_record(self, value, record):
        value = super().convert_to_record(value, record)
        if value not in self.expires:
            return value
        before, after = self.expires
        deadline = record[self.deadline]
        return after if deadline and deadline < fields.Datetime.now() else before

    def to_sql(self, model, alias):
        return self.to_sql_at(model, alias, None)

    def to_sql_at(self, model, alias, query):
        """SQL expression of the value as of now.

        One query may ask for the expression several times (SELECT, GROUP BY, ORDER
        BY) and PostgreSQL needs the very same text each time, hence the moment is
        kept with the query.
        """
        before, after = self.expires
        # no comma in here: _read_group_orderby may split the expression at commas
        return SQL(
            "CASE WHEN %(column)s = %(before)s OR %(column)s = %(after)s"
            " THEN CASE WHEN %(deadline)s < %(now)s THEN %(after)s ELSE %(before)s END"
            " ELSE %(column)s END",
            column=super().to_sql(model, alias),
            deadline=model._field_to_sql(alias, self.deadline, query),
            before=before,
            after=after,
            now=self._now(query),
        )

    @staticmethod
    def _now(query):
        if query is None:
            return fields.Datetime.now()
        return query.__dict__.setdefault("_expiring_now", fields.Datetime.now())

    def _condition_to_sql(self, field_expr, operator, value, model, alias, query):
        """Compare the stored column and the deadline, so that indexes serve."""
        if operator not in ("in", "not in"):
            return super()._condition_to_sql(
                field_expr, operator, value, model, alias, query
            )
        model._check_field_access(self, "read")
        column = super().to_sql(model, alias)
        deadline = model._field_to_sql(alias, self.deadline, query)
        now = self._now(query)
        before, after = self.expires
        wanted = {item or None for item in value}
        terms = []
        if None in wanted:
            terms.append(SQL("%s IS NULL", column))
        fixed = wanted - {None, before, after}
        if before in wanted and after in wanted:
            fixed |= {before, after}
        elif after in wanted:
            terms.append(
                SQL("(%s IN %s AND %s < %s)", column, self.expires, deadline, now)
            )
        elif before in wanted:
            terms.append(
                SQL(
                    "(%s IN %s AND (%s >= %s OR %s IS NULL))",
                    column,
                    self.expires,
                    deadline,
                    now,
                    deadline,
                )
            )
        if fixed:
            terms.append(SQL("%s IN %s", column, tuple(sorted(fixed))))
        condition = SQL("(%s)", SQL(" OR ").join(terms)) if terms else SQL("FALSE")
        if operator == "not in":
            return SQL("%s IS NOT TRUE", condition)
        return condition
