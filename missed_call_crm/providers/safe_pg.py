# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""A careful session on somebody else's PostgreSQL.

Where it goes is decided by the settings alone: every libpq parameter is given, so
that neither the environment nor files of this machine have a say, Unix sockets and
lists of hosts are refused, and the connection goes to the very address that was
checked.  The session is read-only and every statement has an end.  That is a seat
belt, not a wall: the wall is a role that has SELECT on these tables and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from .base import (
    AccessDenied,
    BadSettings,
    ConnectionFailed,
    ReadTimeout,
    SchemaProblem,
    SourceError,
    UndecodableText,
    _lt,
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

#: Names and addresses where clouds keep the secrets of a machine.
_METADATA_NAMES = {"metadata", "metadata.google.internal", "instance-data"}
_METADATA_ADDRESSES = {
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")
}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class PgSettings:
    """Where the phone system's database is and how to sign in.

    :ivar sslmode: one of :data:`SSL_MODES`; empty: encryption is required unless
        the host is this machine, and the certificate is checked in full when
        ``ca_certificate`` is given.
    :ivar ca_certificate: PEM text of the authority that signed the server's
        certificate; empty: the modes that check it trust what this machine trusts.
    :ivar encoding: what texts are decoded as, in PostgreSQL's spelling.  Matters
        only for databases that do not know their own encoding (SQL_ASCII).
    :ivar allow_loopback: whether this machine itself may be read.
    """

    host: str
    dbname: str
    user: str
    password: str = field(default="", repr=False)
    port: int = 5432
    sslmode: str = ""
    ca_certificate: str = field(default="", repr=False)
    encoding: str = "UTF8"
    allow_loopback: bool = True
    connect_timeout: int = 5
    statement_timeout_ms: int = 15_000
    lock_timeout_ms: int = 2_000
    idle_timeout_ms: int = 60_000
    application_name: str = "missed_call_crm"


def check_settings(settings: PgSettings) -> None:
    """Refuse settings that could lead elsewhere than they say.

    :raises BadSettings: with the reason, for people.
    """
    host = settings.host or ""
    if not host.strip():
        raise BadSettings(_lt("The host of the phone system's database is missing."))
    if host[0] in "/@" or "/" in host or "\\" in host:
        raise BadSettings(
            _lt("The host must be a name or an address, not a socket's path.")
        )
    if "," in host or re.search(r"\s", host) or _CONTROL.search(host):
        raise BadSettings(_lt("The host must be a single name or address."))
    if "=" in host or "://" in host or len(host) > 253:
        raise BadSettings(_lt("The host must be a name or an address and no more."))
    if host.rstrip(".").lower() in _METADATA_NAMES:
        raise BadSettings(_lt("The host %(host)s is refused."), host=host)
    port = settings.port
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise BadSettings(_lt("The port must be a number from 1 to 65535."))
    for value, what in (
        (settings.dbname, _lt("The name of the database is missing or not usable.")),
        (settings.user, _lt("The user of the database is missing or not usable.")),
    ):
        if not value or _CONTROL.search(value):
            raise BadSettings(what)
    if "\x00" in settings.password:
        raise BadSettings(_lt("The password holds a character that cannot be sent."))
    if settings.sslmode and settings.sslmode not in SSL_MODES:
        raise BadSettings(
            _lt("The TLS mode must be one of %(modes)s."), modes=", ".join(SSL_MODES)
        )
    if encoding_codec(settings.encoding) is None:
        raise BadSettings(
            _lt("The encoding %(encoding)s is not known."), encoding=settings.encoding
        )


def encoding_codec(name: str) -> str | None:
    """Python's name of a PostgreSQL encoding, None when there is none."""
    plain = re.sub(r"[^A-Z0-9]", "", (name or "").upper())
    for known, codec in psycopg2.extensions.encodings.items():
        if re.sub(r"[^A-Z0-9]", "", known.upper()) == plain:
            return codec
    return None


def resolve(
    host: str, port: int, *, allow_loopback: bool
) -> list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Addresses of a host that may be contacted, in the resolver's order.

    One forbidden address among them refuses the host as a whole: a name that leads
    both outside and to this machine is not to be trusted.

    :raises BadSettings: for a forbidden address.
    :raises ConnectionFailed: when the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConnectionFailed(
            _lt("The host %(host)s cannot be found."), host=host
        ) from None
    addresses = []
    for *_rest, sockaddr in found:
        text = str(sockaddr[0])
        address = ipaddress.ip_address(text.partition("%")[0])
        if not _allowed(address, allow_loopback):
            raise BadSettings(
                _lt("The host %(host)s leads to %(address)s, which is refused."),
                host=host,
                address=text,
            )
        if (text, address) not in addresses:
            addresses.append((text, address))
    return addresses


def _real(address):
    """The IPv4 address behind an IPv6 form of it."""
    if address.version == 6:
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.ip_address(int(address) & 0xFFFFFFFF)
    return address


def _allowed(address, allow_loopback: bool) -> bool:
    address = _real(address)
    if address in _METADATA_ADDRESSES or address.is_link_local:
        return False
    if address.is_multicast or address.is_unspecified:
        return False
    if address.version == 4 and int(address) >> 24 == 0:
        return False
    if address.is_loopback:
        return allow_loopback
    # Class E; unassigned IPv6 space is "reserved" for Python, loopback was first.
    return not (address.version == 4 and address.is_reserved)


def effective_sslmode(settings: PgSettings, address) -> str:
    """The TLS mode used for this address."""
    if settings.sslmode:
        return settings.sslmode
    if _real(address).is_loopback:
        return "prefer"
    return "verify-full" if settings.ca_certificate.strip() else "require"


def libpq_parameters(
    settings: PgSettings, hostaddr: str, sslmode: str, folder: Path
) -> dict[str, Any]:
    """Every parameter that libpq would otherwise take from environment or files.

    :param folder: private and empty but for the certificate; files named in it and
        not there are what stops libpq from looking into somebody's home.
    """
    nowhere = str(folder / "none")
    authority = folder / "ca.pem"
    root = str(authority) if authority.exists() else nowhere
    if root == nowhere and sslmode.startswith("verify"):
        root = _system_authorities() or nowhere
    parameters = {
        "host": settings.host,
        "hostaddr": hostaddr,
        "port": settings.port,
        "dbname": settings.dbname,
        "user": settings.user,
        "password": settings.password,
        "passfile": nowhere,
        "connect_timeout": max(2, settings.connect_timeout),
        "client_encoding": settings.encoding,
        "options": (
            "-c default_transaction_read_only=on"
            f" -c statement_timeout={int(settings.statement_timeout_ms)}"
        ),
        "application_name": settings.application_name,
        "fallback_application_name": settings.application_name,
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "sslmode": sslmode,
        "sslcompression": 0,
        "sslcert": nowhere,
        "sslkey": nowhere,
        "sslrootcert": root,
        "sslcrl": nowhere,
        "requirepeer": "",
        "krbsrvname": "postgres",
        "target_session_attrs": "any",
    }
    version = psycopg2.extensions.libpq_version()
    if version >= 120000:
        parameters |= {"gssencmode": "disable", "tcp_user_timeout": 30_000}
    if version >= 130000:
        parameters |= {
            "channel_binding": "prefer" if sslmode != "disable" else "disable",
            "ssl_min_protocol_version": "TLSv1.2",
            "ssl_max_protocol_version": "",
            "sslpassword": "",
        }
    if version >= 140000:
        parameters |= {"sslcrldir": "", "sslsni": 1}
    if version >= 160000:
        parameters |= {
            "require_auth": "scram-sha-256,md5,password,none",
            "sslcertmode": "disable",
            "load_balance_hosts": "disable",
            "gssdelegation": 0,
        }
    if version >= 170000:
        parameters["sslnegotiation"] = "postgres"
    return parameters


def _system_authorities() -> str | None:
    """File of the certificate authorities this machine trusts."""
    paths = ssl.get_default_verify_paths()
    for path in (
        paths.cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ):
        if path and Path(path).is_file():
            return path
    return None


class SafeConnection:
    """One read-only session; opened by the first question, never reopened.

    Every answer is a list of rows, every value text or None.
    """

    def __init__(self, settings: PgSettings):
        self.settings = settings
        self.sslmode = ""
        self.encrypted = False
        #: The server is another machine.
        self.is_remote = True
        self._conn = None
        self._closed = False

    # ------------------------------------------------------------------ session

    def open(self) -> None:
        """Connect if not connected yet.

        :raises BadSettings, ConnectionFailed, AccessDenied: with the reason.
        """
        if self._conn is not None:
            return
        if self._closed:
            raise ConnectionFailed(_lt("The connection has been closed."))
        settings = self.settings
        check_settings(settings)
        addresses = resolve(
            settings.host, settings.port, allow_loopback=settings.allow_loopback
        )
        folder = Path(tempfile.mkdtemp(prefix="missed_call_crm_"))
        try:
            if settings.ca_certificate.strip():
                (folder / "ca.pem").write_text(settings.ca_certificate, "utf-8")
            self._conn = self._connect_any(addresses, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            self._conn.autocommit = True
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _connect_any(self, addresses, folder: Path):
        error = None
        for text, address in addresses:
            self.sslmode = effective_sslmode(self.settings, address)
            self.is_remote = not _real(address).is_loopback
            parameters = libpq_parameters(self.settings, text, self.sslmode, folder)
            try:
                return self._connect(parameters)
            except ConnectionFailed as failure:
                error = failure
        raise error or ConnectionFailed(
            _lt("The host %(host)s cannot be found."), host=self.settings.host
        )

    def _connect(self, parameters: dict[str, Any]):
        try:
            return psycopg2.connect(**parameters)
        except psycopg2.Error as error:
            text = str(error)
            if parameters["options"] and "startup parameter" in text:
                # A connection pool in front that takes no options; the same
                # settings are made by a statement right after.
                return self._connect(parameters | {"options": ""})
            raise self._connect_error(text) from None
        except (ValueError, TypeError, UnicodeError) as error:
            raise BadSettings(
                _lt("The connection settings are not usable: %(reason)s"),
                reason=self._redact(str(error)),
            ) from None

    def _connect_error(self, text: str) -> SourceError:
        reason = self._redact(text)
        where = {"host": self.settings.host, "port": self.settings.port}
        low = text.lower()
        if re.search(
            r"authentication failed|no password supplied|pg_hba\.conf|"
            r"role .* (does not exist|is not permitted)|permission denied",
            low,
        ):
            return AccessDenied(
                _lt(
                    "The database at %(host)s:%(port)s does not let this user in: "
                    "%(reason)s"
                ),
                reason=reason,
                **where,
            )
        if re.search(r"database .* does not exist", low):
            return BadSettings(
                _lt("There is no such database at %(host)s:%(port)s: %(reason)s"),
                reason=reason,
                **where,
            )
        if "ssl" in low or "certificate" in low:
            return ConnectionFailed(
                _lt(
                    "No encrypted connection to %(host)s:%(port)s (TLS mode "
                    "%(mode)s): %(reason)s"
                ),
                reason=reason,
                mode=self.sslmode,
                **where,
            )
        return ConnectionFailed(
            _lt("No connection to %(host)s:%(port)s: %(reason)s"),
            reason=reason,
            **where,
        )

    def _prepare(self) -> None:
        """Make the session's settings, those that this server knows.

        The texts of dates and numbers are part of records' keys, so their form is
        set here and not left to server or role.
        """
        settings = self.settings
        wanted = {
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(settings.statement_timeout_ms)),
            "lock_timeout": str(int(settings.lock_timeout_ms)),
            "idle_in_transaction_session_timeout": str(int(settings.idle_timeout_ms)),
            "TimeZone": "UTC",
            "DateStyle": "ISO, YMD",
            "IntervalStyle": "postgres",
            "extra_float_digits": "3",
            "bytea_output": "hex",
            "standard_conforming_strings": "on",
        }
        values = ", ".join(["(%s, %s)"] * len(wanted))
        self.rows(
            "SELECT set_config(s.name, v.value, false) FROM pg_catalog.pg_settings s"
            f" JOIN (VALUES {values}) AS v (name, value) ON s.name = v.name",
            [part for pair in wanted.items() for part in pair],
        )
        try:
            self.encrypted = bool(self._conn.info.ssl_in_use)
        except (AttributeError, psycopg2.Error):
            self.encrypted = self.sslmode in ("require", "verify-ca", "verify-full")

    def close(self) -> None:
        """End the session; harmless when there is none."""
        self._closed = True
        if self._conn is not None:
            with suppress(psycopg2.Error):
                self._conn.close()

    @property
    def server_version(self) -> int:
        self.open()
        return self._conn.server_version

    def parameter(self, name: str) -> str:
        """A value the server reports by itself, e.g. ``server_encoding``."""
        self.open()
        return self._conn.get_parameter_status(name) or ""

    # ---------------------------------------------------------------- questions

    def rows(self, query: str, params: Sequence[Any] = ()) -> list[tuple]:
        """Rows of a query, texts decoded.

        :param query: with ``%s`` places; a literal percent sign is ``%%``.
        :raises UndecodableText: some text is not valid in the session's encoding.
        :raises SourceError: anything else.
        """
        self.open()
        try:
            with self._conn.cursor() as cursor:
                cursor.execute(*self._statement(query, params))
                return cursor.fetchall()
        except UnicodeDecodeError:
            raise UndecodableText from None
        except psycopg2.Error as error:
            raise self._error(error) from None

    def raw_rows(self, query: str, params: Sequence[Any] = ()) -> list[tuple]:
        """The same with every text as the bytes that are stored."""
        self.open()
        conn = self._conn
        server_codec = encoding_codec(self.parameter("server_encoding"))
        try:
            with conn.cursor() as cursor:
                statement = cursor.mogrify(*self._statement(query, params))
                if server_codec not in (None, "ascii"):
                    own = encoding_codec(conn.encoding) or "utf-8"
                    statement = statement.decode(own).encode(server_codec)
                # Without an encoding of its own the session gets what is stored.
                cursor.execute("SET client_encoding TO 'SQL_ASCII'")
                try:
                    psycopg2.extensions.register_type(psycopg2.extensions.BYTES, cursor)
                    cursor.execute(statement)
                    return cursor.fetchall()
                finally:
                    if not conn.closed:
                        cursor.execute(
                            "SET client_encoding TO %s", (self.settings.encoding,)
                        )
        except psycopg2.Error as error:
            raise self._error(error) from None

    @staticmethod
    def _statement(query: str, params: Sequence[Any]) -> tuple:
        # psycopg2 undoubles percent signs only when there are parameters.
        return (query, tuple(params)) if params else (query.replace("%%", "%"),)

    @property
    def stored_codec(self) -> str:
        """Python's name of the encoding that stored bytes are in."""
        server = self.parameter("server_encoding")
        if server == "SQL_ASCII":
            return encoding_codec(self.settings.encoding) or "utf-8"
        return encoding_codec(server) or "utf-8"

    def _error(self, error: psycopg2.Error) -> Exception:
        code = error.pgcode or ""
        reason = self._redact(str(error))
        if code in ("22021", "22P05"):
            return UndecodableText()
        if code in ("57014", "55P03"):
            return ReadTimeout(
                _lt("The phone system's database took too long: %(reason)s"),
                reason=reason,
            )
        if code == "42501" or code.startswith("28"):
            return AccessDenied(
                _lt("The phone system's database refuses: %(reason)s"), reason=reason
            )
        if code.startswith(("42", "22", "3F")):
            return SchemaProblem(
                _lt("The tables are not as expected: %(reason)s"), reason=reason
            )
        lost = code.startswith(("08", "53", "57P")) or code in ("25P03", "57P05")
        if lost or self._conn is None or self._conn.closed or not code:
            return ConnectionFailed(
                _lt("The connection to %(host)s:%(port)s was lost: %(reason)s"),
                host=self.settings.host,
                port=self.settings.port,
                reason=reason,
            )
        return SourceError(
            _lt("The phone system's database refuses: %(reason)s"), reason=reason
        )

    def _redact(self, text: str) -> str:
        """One line without the password."""
        if self.settings.password:
            text = text.replace(self.settings.password, "•••")
        return " ".join(text.split())[:500]
