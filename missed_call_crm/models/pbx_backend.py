# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL

from odoo.addons.base.models.res_partner import _tz_get

from ..telephony.number import NumberPlan
from .helpers import check_limits

SYSTEM = "base.group_system"
MANAGER = "missed_call_crm.group_manager"
# What the form shows in place of a stored password; the real one is never read back.
PASSWORD_MASK = "●●●●●●●●"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
PATTERN_MAX_LENGTH = 500
CONNECTION_FIELDS = {
    "db_host",
    "db_port",
    "db_name",
    "db_user",
    "db_password",
    "db_sslmode",
    "db_ca_certificate",
    "cdr_table",
    "queue_log_table",
    "cel_table",
    "tz",
}
# More is a slip of the pen, and would upset the reckoning of dates.
LIMITS = {
    "interval_minutes": 10_080,
    "overlap_hours": 8784,
    "settle_seconds": 86_400,
    "max_call_minutes": 10_080,
    "min_talk_seconds": 3600,
}
# A source counts as stale after this many missed pulls, but not before STALE_MINUTES.
STALE_PULLS = 3
STALE_MINUTES = 10


class PbxBackend(models.Model):
    """A phone system whose records are pulled: where it is and how to read it.

    The connection is for system administrators; managers see and set the rest. A
    provider of another addon needs a value in ``provider`` (``selection_add``) and a
    branch in :meth:`_get_provider_class`.
    """

    _name = "pbx.backend"
    _description = "Phone System"
    _order = "company_id, name, id"
    _check_company_auto = True

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    provider = fields.Selection(
        selection=[
            ("asterisk_pg", "Asterisk (PostgreSQL)"),
            ("push", "Push (integrations)"),
        ],
        string="Kind",
        required=True,
        default="asterisk_pg",
    )
    tz = fields.Selection(
        selection=_tz_get,
        string="Time Zone",
        required=True,
        default=lambda self: self.env.user.tz or "UTC",
        help="Zone of the times in the records that carry none. "
        "Usually the zone of the phone system's own clock.",
    )

    # Reading
    interval_minutes = fields.Integer(
        string="Pull Every",
        required=True,
        default=5,
        help="Minutes between two pulls. Of a phone system that pushes: minutes in "
        "which something is expected; after three of them in silence it is stale.",
    )
    overlap_hours = fields.Float(
        string="Read Again",
        default=6.0,
        help="Hours read again once an hour, since records may be written late.",
    )
    settle_seconds = fields.Integer(
        string="Wait After the End",
        compute="_compute_settle_seconds",
        store=True,
        readonly=False,
        precompute=True,
        help="Seconds after the end of a call before it is judged: its last records "
        "may come later than its end. A pushed call is complete: 0.",
    )
    max_call_minutes = fields.Integer(
        string="Longest Silence",
        default=120,
        help="A call whose end is not recorded counts as ended after this many "
        "minutes without a record.",
    )
    min_talk_seconds = fields.Integer(
        string="Shortest Talk",
        default=5,
        help="A talk of fewer seconds does not count as a contact with the client.",
    )

    # Connection: for system administrators only
    db_host = fields.Char(string="Host", groups=SYSTEM, copy=False)
    db_port = fields.Integer(
        string="Port", groups=SYSTEM, help="0 takes the usual port of the database."
    )
    db_name = fields.Char(string="Database", groups=SYSTEM)
    db_user = fields.Char(string="User", groups=SYSTEM, copy=False)
    db_password = fields.Char(
        string="Password",
        compute="_compute_db_password",
        inverse="_inverse_db_password",
        groups=SYSTEM,
        copy=False,
        exportable=False,
        help="Can be set but not read back.",
    )
    db_password_stored = fields.Char(
        groups=fields.NO_ACCESS, copy=False, exportable=False
    )
    db_sslmode = fields.Selection(
        selection=[
            ("disable", "No encryption"),
            ("require", "Encrypted"),
            ("verify-ca", "Encrypted, certificate checked"),
            ("verify-full", "Encrypted, certificate and host name checked"),
        ],
        string="TLS",
        groups=SYSTEM,
        help="Empty: encrypted, unless the host is this machine; checked in full if "
        "there is a CA certificate.",
    )
    db_ca_certificate = fields.Text(
        string="CA Certificate",
        groups=SYSTEM,
        help="PEM text of the authority that signed the server's certificate, for the "
        "modes that check it. Empty: the authorities this server trusts.",
    )
    connection_summary = fields.Char(
        compute="_compute_connection_summary", groups=SYSTEM
    )
    connection_note = fields.Char(compute="_compute_connection_note", groups=SYSTEM)
    cdr_table = fields.Char(
        string="Call Records",
        default="cdr",
        help="Name of the table, with its schema if it is not on the search path. "
        "Empty: not used.",
    )
    queue_log_table = fields.Char(
        string="Queue Log",
        default="queue_log",
        help="Waits, positions and rings of queues. Empty: not used.",
    )
    cel_table = fields.Char(
        string="Channel Events",
        default="cel",
        help="Who hung up, causes, calls nobody answered. Empty: not used.",
    )
    client_encoding = fields.Char(
        string="Encoding",
        help="PostgreSQL's name of the encoding to read with, for databases whose own "
        "is SQL_ASCII, for example WIN1251. Empty: UTF8.",
    )

    # Numbers
    country_id = fields.Many2one(
        "res.country",
        help="Numbers without country code are read as numbers of this country. "
        "Empty: the company's country.",
    )
    other_country_ids = fields.Many2many(
        "res.country",
        relation="pbx_backend_country_rel",
        string="Other Countries",
        help="Tried, in the order of their names, for numbers that are none there.",
    )
    area_code = fields.Char(
        help="Put before local numbers too short to be national ones."
    )
    dial_prefixes = fields.Char(
        string="Outside Line Prefixes",
        help="Digits dialled for an outside line, separated by commas. They are taken "
        "off the numbers operators dialled.",
    )
    e164_without_plus = fields.Boolean(
        string="Country Code without +",
        help="The line delivers numbers with country code but without +.",
    )

    # Which is what
    trunk_pattern = fields.Char(
        help="Regular expression for channels of outside lines. "
        "Empty: channels that are no extension.",
    )
    extension_pattern = fields.Char(
        help="Regular expression for numbers of extensions. Empty: 2 to 6 digits.",
    )
    closed_pattern = fields.Char(
        help="Regular expression for the contexts and extensions of the dial plan a "
        "call passes when the company is closed. Empty: names like ooh, night, closed, "
        "holiday.",
    )

    # What comes of it
    callback_mode = fields.Selection(
        selection=[
            ("auto", "If outbound calls can be seen"),
            ("yes", "Always"),
            ("no", "Never"),
        ],
        string="Callbacks",
        required=True,
        default="auto",
        help="The queue log alone shows no outbound calls: a callback could never be "
        "seen done, so none are made unless you say so.",
    )
    create_callbacks = fields.Boolean(
        string="Make Callbacks",
        compute="_compute_create_callbacks",
        inverse="_inverse_create_callbacks",
        store=True,
    )
    sees_outbound = fields.Boolean(compute="_compute_sees_outbound")

    # State of the reading, kept by the intake
    cursor = fields.Json(groups=SYSTEM, copy=False, readonly=True)
    capabilities = fields.Json(copy=False, readonly=True)
    capability_html = fields.Html(
        string="What It Can Tell", compute="_compute_capability_html"
    )
    test_ok_at = fields.Datetime(string="Tested", copy=False, readonly=True)
    first_pull_done_at = fields.Datetime(copy=False, readonly=True)
    next_pull_at = fields.Datetime(string="Next Pull", copy=False)
    last_pull_at = fields.Datetime(string="Last Pull", copy=False, readonly=True)
    last_success_at = fields.Datetime(string="Data up to", copy=False, readonly=True)
    last_hourly_at = fields.Datetime(copy=False, readonly=True)
    last_deep_at = fields.Datetime(copy=False, readonly=True)
    error_date = fields.Datetime(string="Failing Since", copy=False, readonly=True)
    error_message = fields.Text(string="Error", copy=False, readonly=True)
    error_count = fields.Integer(string="Failures in a Row", copy=False, readonly=True)
    warning_message = fields.Text(string="Warning", copy=False, readonly=True)
    is_stale = fields.Boolean(
        string="Stale",
        compute="_compute_is_stale",
        help="No success for three pulls (at least ten minutes), or the last failed: "
        "figures end at the last success.",
    )
    # Each asked for on its own: most are cheap, the exact count of millions is not.
    newest_record_at = fields.Datetime(
        string="Newest Record", compute="_compute_newest_record_at"
    )
    record_count = fields.Integer(string="Records", compute="_compute_record_count")
    rejected_count = fields.Integer(
        string="Rejected", compute="_compute_rejected_count"
    )
    call_count = fields.Integer(string="Calls", compute="_compute_call_count")
    open_call_count = fields.Integer(
        string="Calls in Progress", compute="_compute_open_call_count"
    )
    recent_pull_count = fields.Integer(
        string="Pulls in 60 Minutes", compute="_compute_recent_pulls"
    )
    recent_failed_count = fields.Integer(
        string="Failed in 60 Minutes", compute="_compute_recent_pulls"
    )
    log_ids = fields.One2many("pbx.pull.log", "backend_id", string="Pull Log")

    _next_pull_idx = models.Index("(next_pull_at) WHERE active")
    _interval_positive = models.Constraint(
        "CHECK (interval_minutes >= 1)", "Pull every minute at the most."
    )
    _port_range = models.Constraint(
        "CHECK (db_port IS NULL OR db_port BETWEEN 0 AND 65535)",
        "A port is a number from 1 to 65535; 0 takes the usual one.",
    )
    _times_not_negative = models.Constraint(
        "CHECK (overlap_hours >= 0 AND settle_seconds >= 0 AND min_talk_seconds >= 0"
        " AND max_call_minutes >= 1)",
        "Times of a phone system cannot be negative.",
    )

    # ------------------------------------------------------------------
    # Computes
    # ------------------------------------------------------------------

    @api.depends("db_password_stored")
    def _compute_db_password(self):
        for backend in self:
            stored = backend.sudo().db_password_stored
            backend.db_password = PASSWORD_MASK if stored else False

    def _inverse_db_password(self):
        for backend in self:
            if backend.db_password != PASSWORD_MASK:
                backend.sudo().db_password_stored = backend.db_password or False

    @api.depends("provider", "db_host", "db_name", "db_sslmode")
    def _compute_connection_summary(self):
        kinds = dict(self._fields["provider"]._description_selection(self.env))
        modes = dict(self._fields["db_sslmode"]._description_selection(self.env))
        for backend in self:
            if not backend._uses_database():
                backend.connection_summary = kinds.get(backend.provider)
                continue
            place = "/".join(filter(None, [backend.db_host, backend.db_name]))
            backend.connection_summary = " · ".join(
                filter(
                    None,
                    [
                        kinds.get(backend.provider),
                        place,
                        self.env._("read only"),
                        modes.get(backend.db_sslmode)
                        or self.env._("encryption automatic"),
                    ],
                )
            )

    @api.depends("db_host", "db_sslmode")
    def _compute_connection_note(self):
        for backend in self:
            backend.connection_note = False
            if not backend.db_host or backend.db_host.lower() in LOOPBACK_HOSTS:
                continue
            if backend.db_sslmode == "disable":
                backend.connection_note = self.env._(
                    "Without encryption the password and the numbers of your clients "
                    "can be read on the way."
                )
            elif backend.db_sslmode in (False, "require"):
                backend.connection_note = self.env._(
                    "The connection is encrypted, but the server is not checked: "
                    "choose a mode that checks its certificate where you can."
                )

    @api.depends("provider")
    def _compute_settle_seconds(self):
        for backend in self:
            backend.settle_seconds = 0 if backend.provider == "push" else 60

    @api.depends("provider", "cdr_table", "cel_table", "capabilities")
    def _compute_sees_outbound(self):
        for backend in self:
            if backend.capabilities and "outbound" in backend.capabilities:
                # What the last reading found, whatever tables are named.
                answers = backend.capabilities["outbound"].values()
                backend.sees_outbound = any(answer != "no" for answer in answers)
            else:
                backend.sees_outbound = bool(
                    backend.provider == "push" or backend.cdr_table or backend.cel_table
                )

    @api.depends("callback_mode", "sees_outbound")
    def _compute_create_callbacks(self):
        for backend in self:
            backend.create_callbacks = backend.callback_mode == "yes" or (
                backend.callback_mode == "auto" and backend.sees_outbound
            )

    def _inverse_create_callbacks(self):
        for backend in self:
            wanted = backend.create_callbacks
            if wanted != (backend.callback_mode != "no" and backend.sees_outbound):
                backend.callback_mode = "yes" if wanted else "no"

    @api.depends(
        "last_success_at", "error_date", "interval_minutes", "active", "last_pull_at"
    )
    def _compute_is_stale(self):
        now = fields.Datetime.now()
        for backend in self:
            allowed = timedelta(
                minutes=max(STALE_PULLS * backend.interval_minutes, STALE_MINUTES)
            )
            success = backend.last_success_at
            backend.is_stale = backend.active and (
                bool(backend.error_date) or not success or success < now - allowed
            )

    def _count_by_backend(self, model, domain=()):
        """How many rows of ``model`` each of these phone systems has."""
        groups = (
            self.env[model]
            .sudo()
            ._read_group(
                [("backend_id", "in", self.ids), *domain], ["backend_id"], ["__count"]
            )
        )
        return {backend.id: count for backend, count in groups}

    def _compute_newest_record_at(self):
        self.env["pbx.record"].flush_model(["backend_id", "occurred_at"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT b.id, (SELECT max(r.occurred_at) FROM pbx_record r
                               WHERE r.backend_id = b.id)
                  FROM unnest(%s) AS b(id)
                """,
                self.ids,
            )
        )
        newest = dict(rows)
        for backend in self:
            backend.newest_record_at = newest.get(backend.id) or False

    def _compute_record_count(self):
        counts = self._count_by_backend("pbx.record")
        for backend in self:
            backend.record_count = counts.get(backend.id, 0)

    def _compute_rejected_count(self):
        domain = [("state", "=", "rejected")]
        counts = self._count_by_backend("pbx.record", domain)
        for backend in self:
            backend.rejected_count = counts.get(backend.id, 0)

    def _compute_call_count(self):
        counts = self._count_by_backend("pbx.call")
        for backend in self:
            backend.call_count = counts.get(backend.id, 0)

    def _compute_open_call_count(self):
        counts = self._count_by_backend("pbx.call", [("is_open", "=", True)])
        for backend in self:
            backend.open_call_count = counts.get(backend.id, 0)

    def _compute_recent_pulls(self):
        since = fields.Datetime.now() - timedelta(minutes=60)
        groups = (
            self.env["pbx.pull.log"]
            .sudo()
            ._read_group(
                [("backend_id", "in", self.ids), ("started_at", ">=", since)],
                ["backend_id", "state"],
                ["__count"],
            )
        )
        for backend in self:
            rows = [
                (state, count) for owner, state, count in groups if owner == backend
            ]
            backend.recent_pull_count = sum(count for _state, count in rows)
            backend.recent_failed_count = sum(
                count for state, count in rows if state == "failed"
            )

    @api.depends("capabilities")
    @api.depends_context("lang")
    def _compute_capability_html(self):
        for backend in self:
            capabilities = backend.capabilities
            if not isinstance(capabilities, dict) or not capabilities:
                backend.capability_html = False
                continue
            backend.capability_html = self.env["ir.qweb"]._render(
                "missed_call_crm.backend_capabilities",
                backend._prepare_capability_values(capabilities),
            )

    def _capability_questions(self):
        """What a source may be able to tell: ``{code: (question, what you see)}``.

        Order is the order of the table on the form.
        """
        _ = self.env._
        return {
            "unanswered": (_("Calls nobody answered"), _("in every list and figure")),
            "ring_seconds": (_("Seconds each phone rang"), _("on the call")),
            "positions": (_("Position at entry and at hang-up"), _("on the call")),
            "hangup_by": (_("Who hung up"), _("short calls can be told")),
            "menu_wait": (_("Wait before the queue"), _("in wait, not in queue wait")),
            "outbound": (
                _("Outbound calls (proof of a callback)"),
                _("callbacks close by themselves"),
            ),
            "fault": (_("Cut by a fault"), _("report Disconnected")),
            "voicemail": (_("Voicemail left"), _("flag on the call")),
            "logged_in": (_("Operators logged in now"), _("live figures")),
            "unreachable": (
                _("Phone switched off"),
                _("reason unreachable, else no answer"),
            ),
        }

    def _prepare_capability_values(self, capabilities):
        """Rows of the table "what it can tell".

        :param dict capabilities: ``{question code: {source: "yes"/"partly"/"no"}}``
            as the provider found them at the last test.
        """
        questions = self._capability_questions()
        sources = []
        for answers in capabilities.values():
            sources += [source for source in answers if source not in sources]
        codes = [code for code in questions if code in capabilities]
        codes += [code for code in capabilities if code not in questions]
        rows = []
        for code in codes:
            question, effect = questions.get(code, (code, ""))
            answers = [capabilities[code].get(source, "no") for source in sources]
            rows.append(
                {
                    "question": question,
                    "answers": answers,
                    "effect": effect,
                    "known": any(answer != "no" for answer in answers),
                }
            )
        words = {
            "yes": self.env._("yes"),
            "partly": self.env._("partly"),
            "no": self.env._("no"),
        }
        return {"sources": sources, "rows": rows, "words": words}

    # ------------------------------------------------------------------
    # Constraints
    # ------------------------------------------------------------------

    @api.constrains("db_host", "active", "provider")
    def _check_db_host(self):
        for backend in self.sudo():
            if not backend.active or not backend._uses_database():
                continue
            host = backend.db_host or ""
            if not host.strip():
                raise ValidationError(
                    self.env._("Name the host of the phone system's database.")
                )
            # A path would be a Unix socket; commas, @ and = would let one field
            # smuggle in several hosts or other connection parameters.
            if re.search(r"[\s/\\@,=]", host):
                raise ValidationError(
                    self.env._(
                        "“%(host)s” is not a host name or an IP address.", host=host
                    )
                )

    @api.constrains("trunk_pattern", "extension_pattern", "closed_pattern")
    def _check_patterns(self):
        for backend in self:
            for name in ("trunk_pattern", "extension_pattern", "closed_pattern"):
                pattern = backend[name]
                if not pattern:
                    continue
                label = self._fields[name]._description_string(self.env)
                if len(pattern) > PATTERN_MAX_LENGTH:
                    raise ValidationError(
                        self.env._("%(label)s is too long.", label=label)
                    )
                try:
                    re.compile(pattern)
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValidationError(
                        self.env._(
                            "%(label)s is not a regular expression: %(error)s",
                            label=label,
                            error=error,
                        )
                    ) from error

    @api.constrains(*LIMITS)
    def _check_limits(self):
        check_limits(self, LIMITS)

    @api.constrains("company_id")
    def _check_company_stays(self):
        """What came of a phone system belongs to its company for ever."""
        for model in ("pbx.record", "pbx.call"):
            strays = (
                self.env[model]
                .sudo()
                .search(
                    Domain.OR(
                        Domain("backend_id", "=", backend.id)
                        & Domain("company_id", "!=", backend.company_id.id)
                        for backend in self
                    ),
                    limit=1,
                )
            )
            if strays:
                raise ValidationError(
                    self.env._(
                        "“%(name)s” has records or calls of another company: add a "
                        "phone system there instead of moving this one.",
                        name=strays.backend_id.name,
                    )
                )

    @api.constrains("tz")
    def _check_tz(self):
        for backend in self:
            try:
                ZoneInfo(backend.tz)
            except (KeyError, ValueError, OSError) as error:
                raise ValidationError(
                    self.env._("There is no time zone “%(tz)s”.", tz=backend.tz)
                ) from error

    @api.constrains("cdr_table", "queue_log_table", "cel_table")
    def _check_tables(self):
        for backend in self:
            tables = (backend.cdr_table, backend.queue_log_table, backend.cel_table)
            if backend._uses_database() and not any(tables):
                raise ValidationError(
                    self.env._("Name at least one table of the phone system.")
                )

    @api.constrains("dial_prefixes", "area_code")
    def _check_digits(self):
        for backend in self:
            if backend.dial_prefixes and not re.fullmatch(
                r"\s*[\d*#+]+(\s*,\s*[\d*#+]+)*\s*", backend.dial_prefixes
            ):
                raise ValidationError(
                    self.env._("Outside line prefixes are digits with commas between.")
                )
            if backend.area_code and not re.fullmatch(r"\d{1,6}", backend.area_code):
                raise ValidationError(self.env._("An area code is some digits."))

    def write(self, vals):
        if CONNECTION_FIELDS & vals.keys() and "next_pull_at" not in vals:
            # Somebody mended something: see at once whether it helped.
            vals = dict(vals, next_pull_at=False)
        return super().write(vals)

    # ------------------------------------------------------------------
    # Numbers
    # ------------------------------------------------------------------

    def _number_plan(self):
        """How this phone system writes numbers."""
        self.ensure_one()
        country = self.country_id or self.company_id.country_id
        return NumberPlan(
            country=country.code or "",
            other_countries=self.other_country_ids.mapped("code"),
            dial_prefixes=[
                prefix.strip()
                for prefix in (self.dial_prefixes or "").split(",")
                if prefix.strip()
            ],
            e164_without_plus=self.e164_without_plus,
            area_code=self.area_code or "",
        )

    # ------------------------------------------------------------------
    # Provider
    # ------------------------------------------------------------------

    def _uses_database(self):
        """Whether the provider reads a database over the connection fields."""
        self.ensure_one()
        return self.provider == "asterisk_pg"

    def _get_provider_class(self):
        """The class that reads this phone system, see ``providers``.

        Addons extend it: ``if self.provider == "mine": return Mine``, else super.
        """
        self.ensure_one()
        if self.provider == "asterisk_pg":
            from ..providers.asterisk_pg import AsteriskPgProvider

            return AsteriskPgProvider
        if self.provider == "push":
            from ..providers.push import PushProvider

            return PushProvider
        raise UserError(
            self.env._("There is no reader for phone systems of this kind.")
        )

    # Two underscores at the end: server actions and templates cannot call it.
    def _provider_settings__(self):
        """Plain values for the provider, by field name; the password is among them.

        Addons with fields of their own extend it. Never log or return it to people.
        """
        self.ensure_one()
        names = (
            "provider",
            "tz",
            "db_host",
            "db_port",
            "db_name",
            "db_user",
            "db_sslmode",
            "db_ca_certificate",
            "client_encoding",
            "cdr_table",
            "queue_log_table",
            "cel_table",
            "trunk_pattern",
            "extension_pattern",
            "closed_pattern",
        )
        values = {name: self[name] for name in names}
        return dict(values, db_password=self._db_password__())

    def _db_password__(self):
        """The password itself, for the connection only. Never log or return it."""
        self.ensure_one()
        self.flush_recordset(["db_password_stored"])
        self.env.cr.execute(
            "SELECT db_password_stored FROM pbx_backend WHERE id = %s", [self.id]
        )
        row = self.env.cr.fetchone()
        return (row and row[0]) or ""

    # ------------------------------------------------------------------
    # Actions
    # ------------------------------------------------------------------

    def _check_may_run(self):
        """Reading a phone system is for managers and system administrators."""
        self.check_access("read")
        if self.env.su:
            return
        user = self.env.user
        if not (user.has_group(MANAGER) or user.has_group(SYSTEM)):
            raise AccessError(
                self.env._("Only managers of missed calls may read phone systems.")
            )

    def action_test(self):
        """Connect, look at the tables, and tell what was found."""
        self.ensure_one()
        self._check_may_run()
        from ..intake import pull

        # Managers may run a connection they may not see.
        lines = list(pull.test(self.sudo()))
        levels = {level for level, _text in lines}
        failed = bool(levels & {"error", "danger"})
        if not failed:
            self.sudo().test_ok_at = fields.Datetime.now()
        kind = "danger" if failed else "warning" if "warning" in levels else "success"
        return self._notification(
            self.env._("Test failed") if failed else self.env._("Connected"),
            "\n".join(str(text) for _level, text in lines),
            kind,
        )

    def action_pull(self):
        """Read what is new now."""
        self._check_may_run()
        from ..intake import pull

        for backend in self:
            pull.run(backend.sudo())
        return self._pull_notification()

    def _pull_notification(self):
        """What the last pull of each of these phone systems found."""
        self.invalidate_recordset()
        texts, failed = [], False
        for backend in self:
            log = (
                self.env["pbx.pull.log"]
                .sudo()
                .search([("backend_id", "=", backend.id)], limit=1, order="id desc")
            )
            if backend.error_date:
                failed = True
                texts.append(f"{backend.name}: {backend.error_message or ''}")
            elif log:
                texts.append(
                    self.env._(
                        "%(name)s: %(rows)s rows read, %(new)s new, %(calls)s calls.",
                        name=backend.name,
                        rows=log.row_count,
                        new=log.new_count,
                        calls=log.call_count,
                    )
                )
        return self._notification(
            self.env._("Pull failed") if failed else self.env._("Pulled"),
            "\n".join(texts),
            "danger" if failed else "success",
        )

    def _notification(self, title, message, kind):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": kind,
                "sticky": kind != "success",
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def action_backfill(self):
        """Choose an older period to read."""
        return self._open_period_wizard("backfill", self.env._("Back-fill"))

    def action_rebuild(self):
        """Choose a period whose calls are built again with today's rules."""
        return self._open_period_wizard("rebuild", self.env._("Build Calls Again"))

    def _open_period_wizard(self, mode, name):
        self.ensure_one()
        self._check_may_run()
        return {
            "type": "ir.actions.act_window",
            "name": name,
            "res_model": "pbx.backend.period",
            "view_mode": "form",
            "target": "new",
            "context": {"default_backend_id": self.id, "default_mode": mode},
        }

    def action_view_calls(self):
        return self._view("missed_call_crm.pbx_call_action")

    def action_view_records(self):
        return self._view("missed_call_crm.pbx_record_action")

    def action_view_rejected(self):
        return self._view(
            "missed_call_crm.pbx_record_action_rejected",
            Domain("state", "=", "rejected"),
        )

    def action_view_logs(self):
        return self._view("missed_call_crm.pbx_pull_log_action")

    def _view(self, xmlid, domain=Domain.TRUE):
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        domain &= Domain("backend_id", "in", self.ids)
        return dict(action, domain=list(domain), context={})

    @api.model
    @api.readonly
    def get_freshness(self):
        """How old the data of the user's companies is, the stalest source first.

        :return: list of ``{"id", "name", "up_to", "stale", "error", "can_open"}`` with
            ``up_to`` as text in UTC or False. Everybody who sees calls may know it:
            an empty list means something only while the data is fresh.
        """
        if not self.env.user.has_group("missed_call_crm.group_operator"):
            raise AccessError(self.env._("This is for operators."))
        can_open = self.has_access("read")
        # operators may not read phone systems, but must know how old their lists are
        backends = self.sudo().search([("company_id", "in", self.env.companies.ids)])
        backends = backends.sorted(
            lambda backend: (
                not backend.is_stale,
                backend.last_success_at or fields.Datetime.from_string("1970-01-01"),
            )
        )
        return [
            {
                "id": backend.id,
                "name": backend.name,
                "up_to": fields.Datetime.to_string(backend.last_success_at),
                "stale": backend.is_stale,
                "failing": bool(backend.error_date),
                "can_open": can_open,
            }
            for backend in backends
        ]

    @api.model
    def _cron_pull(self):
        from ..intake import pull

        pull.cron(self.env)
