# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Set-based writing: one COPY or one statement for a whole batch.

The ORM is passed by on purpose for tables that hold millions of rows and have no
hooks (records, calls, legs, threads): one ``create()`` per row would cost an order of
magnitude more. Callers invalidate the environment's cache afterwards.
"""

import io
import json
from datetime import datetime

from odoo.tools import SQL

_ALWAYS = SQL("true")
#: Types of columns that :func:`update` writes.
_TYPES = {
    "bigint": SQL("bigint"),
    "boolean": SQL("boolean"),
    "double precision": SQL("double precision"),
    "integer": SQL("integer"),
    "jsonb": SQL("jsonb"),
    "text": SQL("text"),
    "timestamp": SQL("timestamp"),
}
_CONTROLS = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def text(value):
    """One value in PostgreSQL's COPY text format; empty text is NULL."""
    kind = type(value)
    if kind is str:
        if not value:
            return "\\N"
        if "\\" in value:
            value = value.replace("\\", "\\\\")
        if "\t" in value or "\n" in value or "\r" in value:
            value = value.translate(_CONTROLS)
        return value
    if value is None:
        return "\\N"
    if kind is bool:
        return "t" if value else "f"
    return str(value)


def to_json(payload):
    """JSON text of a record's payload; PostgreSQL stores it as jsonb."""
    return _encode(payload)


def copy(cr, table, columns, rows):
    """COPY ``rows`` (sequences in the order of ``columns``) into ``table``.

    Empty strings are stored as NULL, as the ORM does. Table and column names come
    from code, never from data.
    """
    buffer = io.StringIO()
    write = buffer.write
    for row in rows:
        write("\t".join(map(text, row)))
        write("\n")
    if not buffer.tell():
        return
    buffer.seek(0)
    names = ", ".join(map('"{}"'.format, columns))
    cr.copy_expert(f'COPY "{table}" ({names}) FROM STDIN', buffer)


def update(cr, table, types, rows, key="id", condition=_ALWAYS):
    """UPDATE many rows by one statement.

    :param types: column → PostgreSQL type, ``key`` included.
    :param rows: dicts with these columns; all rows have the same columns.
    :param condition: further ``SQL`` condition on the row ``t``.
    """
    if not rows:
        return
    cr.execute(
        SQL(
            "UPDATE %s AS t SET %s FROM jsonb_to_recordset(%s::jsonb) AS d(%s)"
            " WHERE %s = %s AND %s",
            SQL.identifier(table),
            SQL(", ").join(
                SQL("%s = %s", SQL.identifier(name), SQL.identifier("d", name))
                for name in types
                if name != key
            ),
            json.dumps(rows, default=_json_default),
            SQL(", ").join(
                SQL("%s %s", SQL.identifier(name), _TYPES[kind])
                for name, kind in types.items()
            ),
            SQL.identifier("t", key),
            SQL.identifier("d", key),
            condition,
        )
    )


def _json_default(value):
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    raise TypeError(f"{value!r} cannot be written")


def next_ids(cr, table, count):
    """``count`` fresh ids of ``table``, so that rows can name each other."""
    if not count:
        return []
    cr.execute(
        "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
        [table, count],
    )
    return [row[0] for row in cr.fetchall()]
