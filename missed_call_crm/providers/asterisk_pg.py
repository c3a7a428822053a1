# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Asterisk's tables in PostgreSQL (cdr_pgsql, adaptive ODBC, cel_pgsql, realtime)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .asterisk_columns import Column
from .asterisk_provider import AsteriskProvider
from .asterisk_sql import AsteriskSettings, AsteriskSource
from .base import AccessDenied, Finding, SchemaProblem, _lt
from .safe_pg import PgSettings, SafeConnection
from .sql_dialect import Connection, Dialect, Table

#: Texts are cut to this many characters; what phones and dialplans write is shorter.
TEXT_LIMIT = 100_000

_TYPES = {
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "numeric": "number",
    "float4": "number",
    "float8": "number",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "citext": "text",
    "name": "text",
}


def source(
    connection: PgSettings,
    settings: AsteriskSettings,
    now: Callable[[], datetime] | None = None,
) -> AsteriskSource:
    """A source that reads Asterisk's tables from PostgreSQL.

    :param now: this server's clock, naive UTC; for tests.
    """
    return AsteriskSource(settings, SafeConnection(connection), PgDialect(), now)


class AsteriskPgProvider(AsteriskProvider):
    """An Asterisk that writes its records into PostgreSQL."""

    def connect(self) -> AsteriskSource:
        """A source made of the settings of a ``pbx.backend``, by field name."""
        given = self.settings
        return source(
            PgSettings(
                host=given.get("db_host") or "",
                port=given.get("db_port") or 5432,
                dbname=given.get("db_name") or "",
                user=given.get("db_user") or "",
                password=given.get("db_password") or "",
                sslmode=given.get("db_sslmode") or "",
                ca_certificate=given.get("db_ca_certificate") or "",
                encoding=given.get("client_encoding") or "UTF8",
            ),
            AsteriskSettings(
                zone=given.get("tz") or "UTC",
                cdr_table=given.get("cdr_table") or "",
                queue_log_table=given.get("queue_log_table") or "",
                cel_table=given.get("cel_table") or "",
            ),
        )


class PgDialect(Dialect):
    """What PostgreSQL is asked, in words that version 9.0 already knew."""

    def quote(self, name: str) -> str:
        return '"' + name.replace('"', '""').replace("%", "%%") + '"'

    def text(self, column: Column) -> str:
        value = f"t.{self.quote(column.name)}::text"
        return f"left({value}, {TEXT_LIMIT})" if column.long else value

    def row_digest(self, table: Table) -> str:
        # By column: a row as a whole may only be named by who may read all of it.
        names = ", ".join(f"t.{self.quote(column.name)}" for column in table.columns)
        return f"md5(ROW({names})::text)"

    def create_index(self, table: Table, column: Column) -> str:
        name = self.quote(column.name).replace("%%", "%")
        return f"CREATE INDEX CONCURRENTLY ON {table.label} ({name})"

    def server_now(self, connection: Connection) -> datetime:
        ((text,),) = connection.rows(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',"
            " 'YYYY-MM-DD HH24:MI:SS')"
        )
        return datetime.fromisoformat(text)

    def find_table(self, connection: Connection, name: str) -> Table | None:
        schema, relation = split_name(name)
        found = self._find(connection, schema, relation)
        if not found and relation != relation.lower():
            found = self._find(connection, schema, relation.lower())
        if not found:
            return None
        if len(found) > 1:
            raise SchemaProblem(
                _lt("There are several tables %(table)s: %(schemas)s. Name one."),
                table=name,
                schemas=", ".join(f"{row[1]}.{row[2]}" for row in found),
            )
        oid, schema, relation, relkind, estimate, usage, writable = found[0]
        reference = f"{self.quote(schema)}.{self.quote(relation)}"
        if usage != "true":
            raise self._denied(name)
        described = connection.rows(
            "SELECT a.attname::text, b.typname::text,"
            " (a.atttypmod = -1 AND b.typname NOT IN ('name'))::text,"
            " has_column_privilege(%s::oid, a.attnum, 'SELECT')::text,"
            " (pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%'"
            "  AND NOT a.attisdropped)::text"
            " FROM pg_catalog.pg_attribute a"
            " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
            " JOIN pg_catalog.pg_type b ON b.oid ="
            "  CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
            " LEFT JOIN pg_catalog.pg_attrdef d"
            "  ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            " WHERE a.attrelid = %s::oid AND a.attnum > 0 AND NOT a.attisdropped"
            " ORDER BY a.attnum",
            (oid, oid),
        )
        readable = [row for row in described if row[3] == "true"]
        if not readable:
            raise self._denied(name)
        columns = []
        counted = None
        for column, type_name, unlimited, _allowed, serial in readable:
            kind = _TYPES.get(type_name, "other")
            long = kind in ("text", "other") and unlimited == "true"
            columns.append(Column(column, kind, long))
            if serial == "true" and kind == "integer":
                counted = column
        return Table(
            reference=reference,
            label=f"{schema}.{relation}",
            columns=tuple(columns),
            indexed=(None if relkind in "vf" else self._indexed(connection, oid)),
            rows=None if estimate == "-1" else int(float(estimate)),
            writable=writable == "true",
            id_name=counted,
        )

    def _find(self, connection: Connection, schema: str | None, relation: str):
        return connection.rows(
            "SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text,"
            # A table that was never analysed has no estimate but a size.
            " (CASE WHEN c.reltuples > 0 THEN c.reltuples"
            "  WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) / 150"
            "  ELSE -1 END)::text,"
            " (has_schema_privilege(n.oid, 'USAGE') AND"
            "  has_any_column_privilege(c.oid, 'SELECT'))::text,"
            " (has_table_privilege(c.oid, 'INSERT')"
            "  OR has_table_privilege(c.oid, 'UPDATE')"
            "  OR has_table_privilege(c.oid, 'DELETE'))::text"
            " FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = %s"
            + (
                " AND n.nspname = %s"
                if schema
                else " AND pg_catalog.pg_table_is_visible(c.oid)"
            ),
            (relation, schema) if schema else (relation,),
        )

    def _indexed(self, connection: Connection, oid: str) -> frozenset[str]:
        rows = connection.rows(
            "SELECT a.attname::text FROM pg_catalog.pg_index i"
            " JOIN pg_catalog.pg_attribute a"
            "  ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = %s::oid AND i.indpred IS NULL AND i.indisvalid",
            (oid,),
        )
        return frozenset(name for (name,) in rows)

    @staticmethod
    def _denied(name: str) -> AccessDenied:
        return AccessDenied(
            _lt("This user may not read table %(table)s: GRANT SELECT is needed."),
            table=name,
        )

    def describe(self, connection: SafeConnection) -> list[Finding]:
        ((version, database, user, superuser),) = connection.rows(
            "SELECT current_setting('server_version'), current_database()::text,"
            " current_user::text, current_setting('is_superuser')"
        )
        found = [
            Finding(
                "ok",
                "connected",
                _lt("Connected to PostgreSQL %(version)s, database %(database)s."),
                {"version": version, "database": database},
            )
        ]
        if superuser == "on":
            found.append(
                Finding(
                    "warning",
                    "superuser",
                    _lt(
                        "%(user)s is a superuser; use a role that has no right but "
                        "SELECT on these tables."
                    ),
                    {"user": user},
                )
            )
        if not connection.encrypted and connection.is_remote:
            found.append(
                Finding("warning", "tls", _lt("The connection is not encrypted (TLS)."))
            )
        encoding = connection.parameter("server_encoding")
        if encoding == "SQL_ASCII":
            found.append(
                Finding(
                    "warning",
                    "encoding",
                    _lt(
                        "The database does not know its encoding; texts are read as "
                        "%(encoding)s."
                    ),
                    {"encoding": connection.settings.encoding},
                )
            )
        else:
            found.append(
                Finding(
                    "ok",
                    "encoding",
                    _lt("The encoding of the database is %(encoding)s."),
                    {"encoding": encoding},
                )
            )
        return found


def split_name(name: str) -> tuple[str | None, str]:
    """Schema and table of a name as people write it; quotes keep dots and case.

    :raises SchemaProblem: if it is none.
    """
    parts, rest = [], name.strip()
    while rest:
        if rest[0] == '"':
            end = rest.find('"', 1)
            while end != -1 and rest[end + 1 : end + 2] == '"':
                end = rest.find('"', end + 2)
            if end == -1:
                break
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :]
        else:
            part, dot, after = rest.partition(".")
            parts.append(part.strip())
            rest = dot + after
        if not rest:
            break
        if rest[0] != "." or len(rest) == 1:
            parts = []
            break
        rest = rest[1:]
    usable = all(part and "\x00" not in part and len(part) < 64 for part in parts)
    if not usable or len(parts) not in (1, 2):
        raise SchemaProblem(
            _lt("%(table)s is not the name of a table; write table or schema.table."),
            table=name,
        )
    return (parts[0] if len(parts) == 2 else None), parts[-1]
